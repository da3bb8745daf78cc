"""Figures of a report, drawn as SVG."""

from html import escape

import numpy as np

# Two colours that all readers tell apart (Okabe and Ito), and a grey.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#6b6b6b"
_WIDTH, _HEIGHT = 480, 350
_TOP, _RIGHT, _BOTTOM, _LEFT = 34, 16, 46, 58
_ROW = 24
_MOST_CHARACTERS = 26
MINUS = "\N{MINUS SIGN}"


class Figure:
    """Axes with marks on them.

    Parameters
    ----------
    x_range, y_range : tuple of float
    x_label, y_label : str
    height, left : int
        Height of the figure, and width to the left of the axes, in pixels.
    """

    def __init__(self, x_range, y_range, x_label, y_label="", *, height=_HEIGHT, left=_LEFT):
        self.x_range, self.y_range = x_range, y_range
        self.height, self.left = height, left
        self.frame, self.marks, self.legend = [], [], []
        self._draw_axes(x_label, y_label)

    def x(self, value):
        """Pixels from the left."""
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * (_WIDTH - self.left - _RIGHT)

    def y(self, value):
        """Pixels from the top."""
        low, high = self.y_range
        return self.height - _BOTTOM - (value - low) / (high - low) * (self.height - _BOTTOM - _TOP)

    def line(self, x, y, colour, label=None, dash=None):
        """Draw a line through points; those that are NaN are left out."""
        style = f'stroke="{colour}" stroke-width="2" fill="none"'
        if dash:
            style += f' stroke-dasharray="{dash}"'
        self.marks.append(f'<polyline points="{self._points(x, y)}" {style}/>')
        if label:
            self.legend.append((label, style))

    def band(self, x, low, high, colour):
        """Fill the space between two lines."""
        points = f"{self._points(x, low)} {self._points(x[::-1], high[::-1])}"
        self.marks.append(f'<polygon points="{points}" fill="{colour}" opacity="0.18"/>')

    def interval(self, x, y, colour):
        """Draw a line between two points, and a mark at a third, in between."""
        (x1, x2, x3), (y1, y2, y3) = np.broadcast_arrays(x, y)
        self.marks.append(
            f'<line x1="{self.x(x1):.1f}" y1="{self.y(y1):.1f}" x2="{self.x(x3):.1f}" '
            f'y2="{self.y(y3):.1f}" stroke="{colour}" stroke-width="2"/>'
        )
        self.marks.append(
            f'<circle cx="{self.x(x2):.1f}" cy="{self.y(y2):.1f}" r="4" fill="{colour}"/>'
        )

    def text(self, x, y, text, anchor="start", colour="#222"):
        """Write a text outside the axes, at pixels."""
        self.frame.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
            f"{escape(text)}</text>"
        )

    def render(self, title):
        """The figure, as an element of HTML."""
        # An inner svg clips what is drawn beyond the axes.
        width, height = _WIDTH - self.left - _RIGHT, self.height - _TOP - _BOTTOM
        box = f"{self.left} {_TOP} {width} {height}"
        marks = (
            f'<svg x="{self.left}" y="{_TOP}" width="{width}" height="{height}" viewBox="{box}">'
            f"{''.join(self.marks)}</svg>"
        )
        return (
            f'<figure><svg viewBox="0 0 {_WIDTH} {self.height}" role="img" font-size="13" '
            f'font-family="sans-serif"><title>{escape(title)}</title>{"".join(self.frame)}{marks}'
            f"{self._draw_legend()}</svg><figcaption>{escape(title)}</figcaption></figure>"
        )

    def _points(self, x, y):
        points = np.column_stack([x, y]).astype(float)
        points = points[np.isfinite(points).all(axis=1)]
        return " ".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in points)

    def _draw_axes(self, x_label, y_label):
        bottom, right = self.height - _BOTTOM, _WIDTH - _RIGHT
        for tick in ticks(*self.x_range):
            x = self.x(tick)
            self._rule(x, _TOP, x, bottom)
            self.text(x, bottom + 17, _text_of(tick), "middle", GREY)
        for tick in ticks(*self.y_range) if y_label else ():
            y = self.y(tick)
            self._rule(self.left, y, right, y)
            self.text(self.left - 7, y + 4, _text_of(tick), "end", GREY)
        self.text((self.left + right) / 2, self.height - 8, x_label, "middle")
        middle = (_TOP + bottom) / 2
        if y_label:
            self.frame.append(
                f'<text transform="translate(15 {middle:.1f}) rotate(-90)" text-anchor="middle" '
                f'fill="#222">{escape(y_label)}</text>'
            )

    def _rule(self, x1, y1, x2, y2):
        self.frame.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#e3e3e3"/>'
        )

    def _draw_legend(self):
        parts, x = [], self.left
        for label, style in self.legend:
            parts.append(f'<line x1="{x}" y1="16" x2="{x + 22}" y2="16" {style}/>')
            parts.append(f'<text x="{x + 28}" y="20" fill="#222">{escape(label)}</text>')
            x += 46 + 7 * len(label)
        return "".join(parts)


def _text_of(tick):
    return f"{tick:g}".replace("-", MINUS)


def ticks(low, high):
    """Round numbers between two others, three to seven of them."""
    raw = (high - low) / 7
    size = 10 ** np.floor(np.log10(raw))
    step = size * next(factor for factor in (1, 2, 5, 10) if factor * size >= raw)
    numbers = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1)
    # Adding zero makes a negative zero positive.
    return [float(f"{number * step:.6g}") + 0 for number in numbers]


def draw_calibration(calibration):
    """Observed share of the outcome by mean predicted risk."""
    highest = min(max(calibration[["mean_risk", "observed", "high"]].max()) * 1.08, 1)
    figure = Figure((0, highest), (0, highest), "mean predicted risk", "observed share")
    figure.line([0, highest], [0, highest], GREY, "calibrated", dash="5 4")
    figure.line(calibration["mean_risk"], calibration["observed"], BLUE, "model")
    for row in calibration.itertuples():
        figure.interval(row.mean_risk, [row.low, row.observed, row.high], BLUE)
    return figure.render("Calibration: observed share of the outcome by predicted risk")


def draw_net_benefit(net_benefit):
    """Net benefit by threshold, beside treating all and none."""
    x = net_benefit.index.to_numpy()
    shown = net_benefit.drop(columns="treat_all").to_numpy(dtype=float)
    top = np.nanmax([*shown.ravel(), net_benefit["treat_all"].max(), 0.001]) * 1.1
    bottom = min(np.nanmin([*shown.ravel(), 0]), 0) - 0.15 * top
    span = (x.min(), x.max()) if len(x) > 1 else (x[0] - 0.05, x[0] + 0.05)
    figure = Figure(span, (bottom, top), "threshold of the risk", "net benefit")
    figure.line(span, [0, 0], GREY, "treat none", dash="2 3")
    figure.line(x, net_benefit["treat_all"], GREY, "treat all", dash="7 4")
    figure.band(x, net_benefit["low"].to_numpy(), net_benefit["high"].to_numpy(), BLUE)
    if "comparison" in net_benefit:
        figure.line(x, net_benefit["comparison"], ORANGE, "comparison", dash="8 3 2 3")
    figure.line(x, net_benefit["estimate"], BLUE, "model")
    return figure.render("Net benefit by threshold")


def draw_subgroups(subgroups, performance, metric, name):
    """A metric in each subgroup, with its interval, and in all test samples."""
    table = subgroups[metric]
    values = [*table.to_numpy(dtype=float).ravel(), *performance.loc[metric]]
    low, high = np.nanmin(values), np.nanmax(values)
    margin = max((high - low) * 0.08, 1e-3)
    groups = list(dict.fromkeys(table.index.get_level_values("group")))
    n_rows = len(table) + len(groups) + 1
    height = _TOP + _BOTTOM + n_rows * _ROW
    # Rows count down from the top.
    figure = Figure((low - margin, high + margin), (n_rows, 0), name, height=height, left=190)
    overall = performance.loc[metric, ["estimate", "low", "high"]]
    figure.line([overall["estimate"]] * 2, [0, n_rows], GREY, "all test samples", dash="5 4")
    row = 0.5
    for group in groups:
        figure.text(4, figure.y(row) + 4, _cut(group), colour="#000")
        for level, (estimate, lowest, highest) in table.loc[group].iterrows():
            row += 1
            figure.text(18, figure.y(row) + 4, _cut(level))
            if np.isfinite(estimate):
                # Without an interval, as if all draws lack an outcome, there is a mark alone.
                ends = np.nan_to_num([lowest, highest], nan=estimate)
                figure.interval([ends[0], estimate, ends[1]], row, BLUE)
        row += 1
    return figure.render(f"{name} in subgroups, with 95 % intervals")


def _cut(text):
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"
