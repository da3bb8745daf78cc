"""Smooth curves through outcomes."""

import numpy as np


def smooth(x, y, at, span=0.75):
    """Local linear regression of `y` on `x` at some points, as loess fits it.

    The nearest share `span` of the samples counts, and what is equally near, with tricube weights
    (W. S. Cleveland, "Robust locally weighted regression and smoothing scatterplots", JASA 74(368),
    1979, p. 829-836).
    """
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order].astype(np.float64)
    n_near = max(int(np.ceil(span * len(x))), min(2, len(x)))
    # The nearest ones to a point are consecutive, and start further right for points further right.
    first = np.searchsorted(x[:-n_near] + x[n_near:], 2 * at)
    width = np.maximum(at - x[first], x[first + n_near - 1] - at)
    # The farthest keep some weight, so that two neighbours make a line.
    width *= 1 + 1e-6
    starts = np.searchsorted(x, at - width)
    stops = np.searchsorted(x, at + width, side="right")
    return np.array(
        [
            _fit_line(x[start:stop], y[start:stop], t, w)
            for start, stop, t, w in zip(starts, stops, at, width, strict=True)
        ]
    )


def _fit_line(x, y, at, width):
    """Value at a point of a line that is fitted to its neighbours."""
    if width == 0:
        return y.mean()
    weight = (1 - np.minimum(np.abs(x - at) / width, 1) ** 3) ** 3
    weight /= weight.sum()
    centre, level = weight @ x, weight @ y
    spread = weight @ (x - centre) ** 2
    if spread <= 1e-9 * width**2:
        return level
    return level + (weight @ ((x - centre) * y)) / spread * (at - centre)
