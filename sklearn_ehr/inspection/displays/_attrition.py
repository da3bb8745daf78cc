"""Flow chart of the samples of a study."""

import textwrap

import numpy as np

from ...utils import read_attrition
from ._axes import GREY, keep_axes, open_axes

_LEFT_OUT = {
    "patient has events": "patient without events",
    "observed at prediction": "not observed at prediction",
}
# Widths of the boxes, and the place of the side boxes, as shares of the axes.
_MAIN, _SIDE, _SIDE_AT = 0.5, 0.42, 0.58
_FILL = "#DCEBF5"
# Points between a text and the edge of its box, and between boxes.
_PAD, _GAP = 5, 10
# Points that constrained layout leaves around the axes.
_MARGIN = 3
# Height of a line, and width of most characters, in sizes of the font.
_SPACING, _CHARACTER = 1.35, 0.58
_SIZES = (9, 8, 7, 6, 5)


class AttritionDisplay:
    """Flow chart of a study: how many samples each rule left, and how many it left out.

    Create it with `from_attrition`.

    Parameters
    ----------
    attrition : DataFrame
        The second table that `make_samples` returns: a row per rule, with the columns `rule`,
        `n_samples` and `n_patients`.
    min_count : int, default=10
        Smallest count that may be shown, see Notes.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    sklearn_ehr.make_samples : Returns the table.

    Notes
    -----
    A count below `min_count` is shown as "<10". The counts above and below would give it away, as
    their difference, so all counts are then rounded to a multiple of `min_count`, and the chart
    says so. With ``min_count=1``, every count is exact: check whether it may be published.

    Beside a rule are the numbers of samples that it leaves out, and of patients whose last samples
    these are.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr.inspection import AttritionDisplay
    >>> attrition = pd.DataFrame({
    ...     "rule": ["index event", "observed for horizon"],
    ...     "n_samples": [1200, 1000],
    ...     "n_patients": [800, 750],
    ... })
    >>> display = AttritionDisplay.from_attrition(attrition)
    >>> print(display.ax_.texts[2].get_text())
    Not observed for horizon
    200 samples (50 patients)
    """

    def __init__(self, attrition, *, min_count=10):
        self.attrition = attrition
        self.min_count = min_count

    @classmethod
    def from_attrition(cls, attrition, *, min_count=10, ax=None):
        """Draw the flow chart of a table of attrition.

        Parameters
        ----------
        attrition : DataFrame
            The second table that `make_samples` returns. Rows of further rules of your own may be
            appended.
        min_count : int, default=10
            Smallest count that may be shown, see Notes.
        ax : matplotlib Axes, default=None
            Axes to draw on. By default, those of a new figure, which is as high as it needs to be.

        Returns
        -------
        AttritionDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `attrition` is not a frame.
        ValueError
            If a column is missing, there is no row, or counts increase or are null.
        """
        return cls(read_attrition(attrition), min_count=min_count).plot(ax)

    def plot(self, ax=None):
        """Draw the boxes and arrows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. By default, those of a new figure, which is as high as it needs to be.

        Returns
        -------
        AttritionDisplay
        """
        texts = _make_texts(self.attrition, self.min_count)
        is_new = ax is None
        ax = open_axes(ax, self)
        ax.set_axis_off()
        width, height = _size_in_points(ax)
        if is_new:
            # Without ticks and labels, the layout leaves the axes almost the whole figure.
            width = ax.figure.get_figwidth() * 72 - 2 * _MARGIN
        for size in _SIZES:
            layout = _Layout(*texts, width, size)
            if is_new or layout.height <= height:
                break
        if is_new:
            height = layout.height
            ax.figure.set_figheight((height + 2 * _MARGIN) / 72)
        # A point more, for the edges of the outer boxes.
        ax.set_xlim(-1, width + 1)
        ax.set_ylim(max(height, layout.height) + 1, -1)
        layout.draw(ax)
        return keep_axes(self, ax)


class _Layout:
    """Places of boxes and texts, in points from the top left."""

    def __init__(self, main, side, note, width, size):
        self.size, self.note, self.width = size, note, width
        self.main = [_wrap(text, _MAIN * width - 2 * _PAD, size) for text in main]
        self.side = [_wrap(text, _SIDE * width - 2 * _PAD, size) for text in side]
        self.main_heights = np.array([self._height_of(text) for text in self.main])
        self.side_heights = np.array([self._height_of(text) for text in self.side])
        # A side box stands in the gap between two main boxes.
        steps = self.main_heights[:-1] + self.side_heights + 2 * _GAP
        self.tops = np.cumsum(np.append(0, steps))
        self.height = self.tops[-1] + self.main_heights[-1] + (_GAP + 2 * size if note else 0)

    def _height_of(self, text):
        return (text.count("\n") + 1) * self.size * _SPACING + 2 * _PAD

    def draw(self, ax):
        """Draw all boxes, with arrows from each one to the next and to what was left out."""
        bottoms = self.tops + self.main_heights
        for i, text in enumerate(self.main):
            self._draw_box(ax, text, 0, self.tops[i], _MAIN, self.main_heights[i], _FILL)
        x, x_side = _MAIN * self.width / 2, _SIDE_AT * self.width
        for i, text in enumerate(self.side):
            top, height = bottoms[i] + _GAP, self.side_heights[i]
            self._draw_box(ax, text, x_side, top, _SIDE, height, "white")
            _draw_arrow(ax, (x, bottoms[i]), (x, self.tops[i + 1]))
            _draw_arrow(ax, (x, top + height / 2), (x_side, top + height / 2))
        if self.note:
            ax.text(0, self.height, self.note, size=self.size, va="bottom", color=GREY)

    def _draw_box(self, ax, text, left, top, share, height, colour):
        width = share * self.width
        ax.bar(left, height, width, top, align="edge", color=colour, edgecolor=GREY)
        ax.text(
            left + width / 2,
            top + height / 2,
            text,
            size=self.size,
            ha="center",
            va="center",
            linespacing=_SPACING,
            parse_math=False,
        )


def _draw_arrow(ax, start, end):
    style = {"arrowstyle": "-|>", "color": GREY, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=style)


def _wrap(text, width, size):
    """Break the lines of a text that are wider than a number of points."""
    n_characters = max(int(width / (_CHARACTER * size)), 8)
    lines = [textwrap.wrap(line, n_characters) or [""] for line in text.split("\n")]
    return "\n".join(line for parts in lines for line in parts)


def _size_in_points(ax):
    extent = ax.get_window_extent()
    return extent.width * 72 / ax.figure.dpi, extent.height * 72 / ax.figure.dpi


def _make_texts(attrition, min_count):
    """Texts of the main boxes and of the side boxes, and a note on how counts were rounded."""
    counts = attrition[["n_samples", "n_patients"]].to_numpy(dtype=np.int64)
    lost = counts[:-1] - counts[1:]
    every = np.concatenate([counts, lost])
    is_rounded = ((every > 0) & (every < min_count)).any()

    def shown(count, noun):
        if 0 < count < min_count:
            return f"<{min_count} {noun}s"
        if is_rounded:
            count = min_count * round(count / min_count)
        return f"{count:,} {noun}{'' if count == 1 else 's'}"

    rules = attrition["rule"].astype(str)
    main = [
        f"{_capitalise(rule)}\n{shown(samples, 'sample')} of {shown(patients, 'patient')}"
        for rule, (samples, patients) in zip(rules, counts, strict=True)
    ]
    side = [
        f"{_capitalise(_invert(rule))}\n{shown(samples, 'sample')} ({shown(patients, 'patient')})"
        for rule, (samples, patients) in zip(rules[1:], lost, strict=True)
    ]
    note = f"Counts are rounded to multiples of {min_count}." if is_rounded else ""
    return main, side, note


def _invert(rule):
    """Name of what a rule leaves out."""
    if rule in _LEFT_OUT:
        return _LEFT_OUT[rule]
    if rule.startswith("observed"):
        return f"not {rule}"
    for negation in ("no ", "not "):
        if rule.startswith(negation):
            return rule.removeprefix(negation)
    return f"left out by: {rule}"


def _capitalise(text):
    return text[:1].upper() + text[1:]
