"""Axes, colours and labels that the displays share."""

from ...utils import import_matplotlib

# M. Okabe and K. Ito, "Color universal design", 2008: told apart with any kind of colour vision.
BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE, YELLOW, BLACK = "#56B4E9", "#CC79A7", "#F0E442", "#000000"
COLOURS = [BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK, YELLOW]
LINES = ["-", "--", "-.", ":"]
GREY = "0.45"
SMALL = 8

_WIDTH, _HEIGHT = 6.4, 4.8


def open_axes(ax, owner, height=_HEIGHT):
    """Axes to draw on: those given, or new ones in a figure of notebook width."""
    plt = import_matplotlib(type(owner).__name__)
    if ax is None:
        _, ax = plt.subplots(figsize=(_WIDTH, max(height, _HEIGHT)), layout="constrained")
    return ax


def stack_panels(ax, heights, gap=0.06):
    """Panels inside of some axes, from top to bottom, that share the x-axis.

    `heights` are relative. Ticks of the x-axis are labelled below the last panel.
    """
    ax.set_axis_off()
    unit = (1 - gap * (len(heights) - 1)) / sum(heights)
    panels, top = [], 1.0
    for height in heights:
        share = {"sharex": panels[0]} if panels else {}
        panels.append(ax.inset_axes([0, top - height * unit, 1, height * unit], **share))
        top -= height * unit + gap
    for panel in panels[:-1]:
        panel.tick_params(labelbottom=False)
    return panels


def keep_axes(display, ax):
    """Set the attributes that every display has after it is plotted."""
    display.ax_ = ax
    display.figure_ = ax.figure
    return display


def tidy(ax):
    """Leave out the frame's top and right."""
    ax.spines[["top", "right"]].set_visible(False)
