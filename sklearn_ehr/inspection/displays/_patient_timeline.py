"""Display of one history: its visits, the risk after each, and the codes that mattered."""

import numpy as np
import pandas as pd

from ...cohort import Cohort
from ...visits import VisitSequences
from .._code_contributions import code_contributions
from .._pipelines import explained_and_sequences
from .._visit_contributions import visit_contributions
from ._axes import BLACK, BLUE, GREY, SMALL, VERMILLION, keep_axes, open_axes, stack_panels, tidy
from ._labels import label_codes
from ._outputs import select_output
from ._time_axis import TimeAxis

_MOST_CHARACTERS = 34
_INCHES_PER_CODE = 0.21
_SMALLEST, _LARGEST, _IN_LEGEND = 12, 110, 40


class PatientTimelineDisplay:
    """Timeline of one patient: visits, the risk after each, and the codes that mattered.

    Create it with `from_estimator`. The upper panel shows the risk after each visit was read; it
    stays until the next visit. The lower panel has a row for each of the codes with the largest
    contributions, and a mark for each visit that has the code: an upward triangle where it raises
    the risk, a downward one where it lowers it, the larger the more.

    Parameters
    ----------
    visits : DataFrame
        A row per visit, as `visit_contributions` returns it.
    codes : DataFrame
        A row per code and visit, as `code_contributions` returns it.
    prediction_time : datetime64 or number, default=None
        When the sample is predicted.
    descriptions : dict, Series or DataFrame, default=None
        Descriptions of codes: by code, or in a frame with the columns `code` and `description`, as
        `read_meds_codes` returns it. Codes without one are shown as they are.
    max_codes : int, default=10
        Number of codes that are shown.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes that hold both panels.
    axes_ : list of matplotlib Axes
        The panel of the risk and that of the codes; the first alone if there is no code.
    figure_ : matplotlib Figure

    See Also
    --------
    visit_contributions : How much each visit changes the prediction.
    code_contributions : How much each code adds.

    Notes
    -----
    The picture shows the dates and codes of one patient: treat it as you treat the record itself.
    Times with a zone are shown in UTC.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ehr import LSTMVisitClassifier, VisitSequenceTransformer
    >>> from sklearn_ehr.datasets import make_visits
    >>> from sklearn_ehr.inspection import PatientTimelineDisplay
    >>> X, y = make_visits(300, random_state=0)
    >>> model = make_pipeline(
    ...     VisitSequenceTransformer(), LSTMVisitClassifier(max_epochs=2, random_state=0)
    ... )
    >>> display = PatientTimelineDisplay.from_estimator(
    ...     model.fit(X, y), X, sample=7, descriptions={"C002": "Hypertension"}
    ... )
    >>> [panel.get_ylabel() for panel in display.axes_]
    ['Predicted risk', '']
    """

    def __init__(self, visits, codes, *, prediction_time=None, descriptions=None, max_codes=10):
        self.visits = visits
        self.codes = codes
        self.prediction_time = prediction_time
        self.descriptions = descriptions
        self.max_codes = max_codes

    @classmethod
    def from_estimator(
        cls, estimator, X, sample=0, *, output=None, descriptions=None, max_codes=10, ax=None
    ):
        """Explain the prediction for a sample, and draw its history.

        Parameters
        ----------
        estimator : estimator
            A fitted `LSTMVisitClassifier` or `LSTMVisitRegressor`, a pipeline that ends with one,
            or a search over either.
        X : Cohort, DataFrame, VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
            What `estimator` takes.
        sample : int, default=0
            Position of the sample in `X`. That of the first sample of a patient is
            ``np.flatnonzero(X.groups == patient)[0]``.
        output : object, default=None
            The class, label or position of the outcome that is explained, if there are several.
        descriptions : dict, Series or DataFrame, default=None
            Descriptions of codes, as in `PatientTimelineDisplay`.
        max_codes : int, default=10
            Number of codes that are shown: those with the largest contributions, summed over visits
            without their sign.
        ax : matplotlib Axes, default=None
            Axes to draw on. By default, those of a new figure.

        Returns
        -------
        PatientTimelineDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        IndexError
            If there is no such sample.
        TypeError
            If `estimator` is not one of these models, or `descriptions` is not of an accepted type.
        ValueError
            If the network is bidirectional, or `output` is needed or not one of the outputs.
        """
        is_indexed = isinstance(X, Cohort | VisitSequences)
        lstm, sequences = explained_and_sequences(
            estimator, X[[sample]] if is_indexed else X, cls.__name__
        )
        if not is_indexed:
            sequences = sequences[[sample]]
        times = sequences.prediction_times
        return cls(
            select_output(visit_contributions(lstm, sequences), output),
            select_output(code_contributions(lstm, sequences), output),
            prediction_time=None if times is None else times[0],
            descriptions=descriptions,
            max_codes=max_codes,
        ).plot(ax)

    def plot(self, ax=None):
        """Draw the history.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. By default, those of a new figure, which is taller for more than about
            10 codes.

        Returns
        -------
        PatientTimelineDisplay
        """
        shown = self._shown_codes()
        height = 2.6 + _INCHES_PER_CODE * len(shown)
        ax = open_axes(ax, self, height=height)
        heights = [1.9, max(_INCHES_PER_CODE * len(shown), 0.5)] if len(shown) else [1]
        self.axes_ = stack_panels(ax, heights, gap=0.09)
        times = self.visits.get("time")
        axis = TimeAxis(times, len(self.visits), self.prediction_time)
        self._plot_risk(self.axes_[0], axis)
        if len(shown):
            self._plot_codes(self.axes_[1], axis, shown)
        for panel in self.axes_:
            tidy(panel)
            axis.mark(panel)
        axis.label(self.axes_[0], self.axes_[-1])
        return keep_axes(self, ax)

    def _shown_codes(self):
        """The codes that mattered, the most important first."""
        size = self.codes["contribution"].abs()
        total = size.groupby(self._known_codes()).sum().sort_values(ascending=False, kind="stable")
        return total.index[: self.max_codes].tolist()

    def _known_codes(self):
        """Code of each row; the unknown code is an empty text."""
        return self.codes["code"].astype(object).where(self.codes["code"].notna(), "")

    def _plot_risk(self, panel, axis):
        is_risk = "risk" in self.visits
        value = self.visits["risk" if is_risk else "prediction"].to_numpy()
        panel.set_ylabel("Predicted risk" if is_risk else "Prediction")
        if not len(value):
            panel.text(0.5, 0.5, "no visit is known", ha="center", transform=panel.transAxes)
            panel.set_axis_off()
            return
        x, y = axis.x, value
        if axis.prediction is not None:
            x, y = np.append(x, axis.prediction), np.append(y, value[-1])
        panel.plot(x, y, color=BLACK, linewidth=1, drawstyle="steps-post")
        panel.plot(axis.x, value, "o", color=BLACK, markersize=4 if len(value) < 60 else 2)
        if is_risk:
            panel.set_ylim(0, min(1.05, 1.25 * max(value.max(), 0.01)))

    def _plot_codes(self, panel, axis, shown):
        row = pd.Index(shown).get_indexer(self._known_codes())
        drawn = self.codes[row >= 0]
        row, x = row[row >= 0], axis.x[drawn["visit"].to_numpy()]
        contribution = drawn["contribution"].to_numpy()
        name = "risk" if "risk" in self.visits else "prediction"
        if "output" in self.visits:
            # That of a class may rise although its risk falls, as those of others rise more.
            name = "logit"
        largest = max(np.abs(contribution).max(), 1e-12)
        size = _SMALLEST + (_LARGEST - _SMALLEST) * np.abs(contribution) / largest
        for is_one, marker, colour, what in (
            (contribution > 0, "^", VERMILLION, "raises"),
            (contribution < 0, "v", BLUE, "lowers"),
            (contribution == 0, ".", GREY, None),
        ):
            style = {"color": colour, "marker": marker, "alpha": 0.8, "linewidths": 0}
            panel.scatter(x[is_one], row[is_one], size[is_one], zorder=3, **style)
            if what:
                panel.scatter([], [], _IN_LEGEND, label=f"{what} the {name}", **style)
        labels = label_codes(shown, self.descriptions, _MOST_CHARACTERS)
        labels = [label or "unknown code" for label in labels]
        panel.set_yticks(range(len(shown)), labels, fontsize=SMALL)
        panel.set_ylim(len(shown) - 0.4, -0.6)
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="y", color="0.9", linewidth=0.8)
        panel.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=2,
            frameon=False,
            fontsize=SMALL,
            borderaxespad=0.2,
        )
