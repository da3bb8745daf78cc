"""The x-axis of one history: dates, numbers, or the order of visits."""

import numpy as np
import pandas as pd

from ._axes import GREY, SMALL

# Shares of the time shown: the place of the static visit before it, its band, and the margin.
_STATIC, _BAND, _MARGIN = 0.13, 0.05, 0.04
_DAYS_OF_ONE_VISIT = 30


class TimeAxis:
    """Places of the visits of a history, `x`, and of its prediction, None without times.

    `times` is a Series with the times of the visits, null for a static one, or None. The static
    visit is placed in a band of its own, to the left of the others.
    """

    def __init__(self, times, n_visits, prediction_time):
        self.is_timed = times is not None and n_visits > 0
        is_static = np.zeros(n_visits, dtype=bool)
        self._is_date, self.prediction = False, None
        x = np.arange(1.0, n_visits + 1)
        if self.is_timed:
            is_static = times.isna().to_numpy()
            self._is_date = times.dtype.kind == "M"
            x = _as_numbers(times)
            if prediction_time is not None:
                self.prediction = _as_numbers(pd.Series([prediction_time]))[0]
        known = x[~is_static]
        if self.prediction is not None:
            known = np.append(known, self.prediction)
        self.has_scale = len(known) > 0
        self._low, self._high = self._range_of(known)
        self._span = self._high - self._low
        self._static = self._low - _STATIC * self._span if is_static.any() else None
        self.x = np.where(is_static, np.nan if self._static is None else self._static, x)

    def _range_of(self, known):
        """Limits of the times, apart even if there is a single one."""
        if not len(known):
            return 0.0, 1.0
        low, high = known.min(), known.max()
        if low < high:
            return low, high
        apart = _DAYS_OF_ONE_VISIT if self._is_date else 2.0
        # Nothing comes after the prediction.
        return (
            (low - apart, high) if self.prediction == high else (low - apart / 2, high + apart / 2)
        )

    def mark(self, panel):
        """Mark the static visit and the time of the prediction."""
        if self._static is not None:
            half = _BAND * self._span
            panel.axvspan(self._static - half, self._static + half, color="0.93", zorder=0)
        if self.prediction is not None:
            panel.axvline(self.prediction, color=GREY, linestyle="--", linewidth=1, zorder=1)

    def label(self, top, bottom):
        """Set limits, ticks and labels, above the top panel and below the bottom one."""
        left = self._low if self._static is None else self._static - _BAND * self._span
        margin = _MARGIN * self._span
        bottom.set_xlim(left - margin, self._high + margin)
        self._set_ticks(bottom)
        over = {"xycoords": ("data", "axes fraction"), "va": "bottom", "fontsize": SMALL}
        if self._static is not None:
            top.annotate("undated", (self._static, 1.01), ha="center", **over)
        if self.prediction is not None:
            top.annotate("prediction", (self.prediction, 1.01), ha="right", **over)

    def _set_ticks(self, panel):
        if not self.has_scale:
            panel.set_xticks([])
        elif self._is_date:
            from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

            locator = AutoDateLocator(minticks=3, maxticks=7)
            panel.xaxis.set_major_locator(locator)
            panel.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        else:
            panel.xaxis.get_major_locator().set_params(integer=not self.is_timed)
            panel.set_xlabel("Time" if self.is_timed else "Visit")
        if self.has_scale and self._static is not None:
            # The band of the static visit has no time.
            ticks = panel.get_xticks()
            low, high = self._low - _MARGIN * self._span, self._high + _MARGIN * self._span
            panel.set_xticks(ticks[(ticks >= low) & (ticks <= high)])


def _as_numbers(times):
    """Times as floats: days for dates, as matplotlib counts them."""
    if times.dtype.kind == "M":
        from matplotlib.dates import date2num

        return date2num(times.to_numpy())
    return times.to_numpy(dtype=np.float64)
