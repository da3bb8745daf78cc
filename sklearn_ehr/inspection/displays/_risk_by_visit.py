"""Display of the risk as of each visit."""

import numpy as np
import pandas as pd

from ...cohort import elapsed
from ...utils import MIN_PATIENTS, search_ranges, shown
from ...visits import count_static
from .._pipelines import lstm_and_sequences
from ._axes import COLOURS, LINES, keep_axes, open_axes, tidy
from ._outputs import select_output

_MOST_LINES = 10
_N_TIMES = 61
_QUANTILES = {"low": 0.25, "median": 0.5, "high": 0.75}


class RiskByVisitDisplay:
    """Predicted risk as of each visit, of a few samples or of a whole cohort.

    Create it with `from_estimator`. Up to 10 samples have a line each. For more, the line is the
    median and the band goes from the lower to the upper quartile, where there are at least 10
    patients.

    Parameters
    ----------
    curves : DataFrame
        What is drawn. For few samples: `sample`, `x` and `risk`. For more: `outcome` (if outcomes
        are given), `x`, `low`, `median`, `high` and `n_patients`.
    x_label : str
        Label of the x-axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D

    See Also
    --------
    sklearn_ehr.LSTMVisitClassifier.predict_proba_by_visit : Predicts the risks.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ehr import LSTMVisitClassifier, VisitSequenceTransformer
    >>> from sklearn_ehr.datasets import make_visits
    >>> from sklearn_ehr.inspection import RiskByVisitDisplay
    >>> X, y = make_visits(1000, random_state=0)
    >>> model = make_pipeline(
    ...     VisitSequenceTransformer(), LSTMVisitClassifier(max_epochs=2, random_state=0)
    ... )
    >>> display = RiskByVisitDisplay.from_estimator(model.fit(X[:500], y[:500]), X[500:], y[500:])
    >>> display.ax_.get_xlabel()
    'Visits read'
    """

    def __init__(self, curves, x_label):
        self.curves = curves
        self.x_label = x_label

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, against="visit", output=None, ax=None):
        """Predict the risk as of each visit, and draw it.

        Parameters
        ----------
        estimator : estimator
            A fitted `LSTMVisitClassifier`, a pipeline that ends with one, or a search over either.
            It must not read features, which are known at the prediction only: fit a model without
            them for this picture.
        X : Cohort, VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
            What `estimator` takes.
        y : array-like of shape (n_samples,), default=None
            Outcomes. Each of them has a colour and, for more than 10 samples, a line and a band.
        against : {"visit", "time"}, default="visit"
            What the x-axis shows:

            * "visit": the number of visits that are read, 0 with static events alone;
            * "time": the time before the prediction, or in whole histories before the end of the
              last visit: in days, or in the unit of numeric times.
        output : object, default=None
            The class or label whose risk is drawn, if there are several labels, or more than two
            classes.
        ax : matplotlib Axes, default=None
            Axes to draw on. By default, those of a new figure.

        Returns
        -------
        RiskByVisitDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `estimator` is not one of these models.
        ValueError
            If there are no times, lengths differ, there are too many different outcomes, `output`
            is needed or not one of the outputs, no visit has enough patients, or risks as of a
            visit cannot be predicted, as `predict_proba_by_visit` tells.

        Warns
        -----
        UserWarning
            If visits of some samples overlap. These are left out.
        """
        lstm, sequences = lstm_and_sequences(estimator, X)
        if not hasattr(lstm, "predict_proba_by_visit"):
            raise TypeError(
                f"RiskByVisitDisplay draws risks of an LSTMVisitClassifier, got "
                f"{type(lstm).__name__}."
            )
        if against not in ("visit", "time"):
            raise ValueError(f"against={shown(against)} is not accepted; choose 'visit' or 'time'.")
        frame = lstm.predict_proba_by_visit(sequences, as_frame=True)
        frame = select_output(frame, output)
        outcome = _read_outcome(y, len(sequences))
        is_few = len(sequences) <= _MOST_LINES
        if against == "time":
            frame, label = _against_time(frame, sequences, is_few)
        else:
            n_static = count_static(sequences)[frame["sample"]]
            frame, label = frame.assign(x=frame["visit"] + 1 - n_static), "Visits read"
        frame = frame.dropna(subset="risk")
        if outcome is not None:
            frame = frame.assign(outcome=outcome[frame["sample"]])
        return cls(_lines_of(frame) if is_few else _bands_of(frame), label).plot(ax)

    def plot(self, ax=None):
        """Draw lines, or bands.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. By default, those of a new figure.

        Returns
        -------
        RiskByVisitDisplay
        """
        ax = open_axes(ax, self)
        self.lines_ = []
        if "risk" in self.curves:
            self._plot_lines(ax)
        else:
            self._plot_bands(ax)
        ax.set_ylim(bottom=0)
        ax.set_xlabel(self.x_label)
        ax.set_ylabel("Predicted risk")
        if self.x_label == "Visits read":
            ax.xaxis.get_major_locator().set_params(integer=True)
        else:
            ax.invert_xaxis()
        tidy(ax)
        if any(not line.get_label().startswith("_") for line in self.lines_):
            ax.legend(frameon=False, fontsize="small")
        return keep_axes(self, ax)

    def _plot_lines(self, ax):
        by_outcome = "outcome" in self.curves
        outcomes = list(self.curves["outcome"].unique()) if by_outcome else []
        drawn = set()
        for i, (sample, curve) in enumerate(self.curves.groupby("sample", sort=True)):
            label = f"sample {sample}"
            if by_outcome:
                name = curve["outcome"].iloc[0]
                i, label = outcomes.index(name), f"outcome {name}"
            (line,) = ax.plot(
                curve["x"],
                curve["risk"],
                LINES[(i if by_outcome else i // len(COLOURS)) % len(LINES)],
                color=COLOURS[i % len(COLOURS)],
                marker="o",
                markersize=3,
                drawstyle="steps-post",
                label="_" + label if label in drawn else label,
            )
            drawn.add(label)
            self.lines_.append(line)

    def _plot_bands(self, ax):
        groups = self.curves.groupby("outcome") if "outcome" in self.curves else [("", self.curves)]
        for i, (name, curve) in enumerate(groups):
            style = {"color": COLOURS[i], "linestyle": LINES[i % len(LINES)]}
            label = "median and quartiles" if name == "" else f"outcome {name}: median, quartiles"
            ax.fill_between(
                curve["x"], curve["low"], curve["high"], color=COLOURS[i], alpha=0.2, linewidth=0
            )
            self.lines_ += ax.plot(curve["x"], curve["median"], label=label, **style)


def _read_outcome(y, n_samples):
    if y is None:
        return None
    outcome = np.asarray(y)
    if outcome.shape != (n_samples,):
        raise ValueError(
            f"y must have one outcome per sample, shape ({n_samples},), got {outcome.shape}. Of "
            f"several labels, pass one column."
        )
    n_outcomes = len(pd.unique(outcome))
    if pd.isna(outcome).any() or n_outcomes > len(COLOURS):
        raise ValueError(
            f"y must have up to {len(COLOURS)} different outcomes without nulls, got {n_outcomes}."
        )
    return outcome


def _against_time(frame, sequences, is_few):
    """Risks by the time before the prediction: of each visit, or on a grid of times."""
    if sequences.visit_times is None:
        raise ValueError("against='time' needs times, and X has none. Use against='visit'.")
    seen = sequences.lengths > 0
    end = sequences.visit_times[sequences.sample_offsets[1:][seen] - 1, 1]
    what = "last visit"
    if sequences.prediction_times is not None:
        end, what = sequences.prediction_times[seen], "prediction"
    is_date = sequences.visit_times.dtype.kind == "M"
    label = f"{'Days' if is_date else 'Time'} before the {what}"
    age = elapsed(sequences.visit_times[:, 1], np.repeat(end, sequences.lengths[seen]))
    if not is_few:
        return _on_grid(frame, sequences, age), label
    frame = frame.assign(x=age)[~sequences.is_static]
    # The last risk holds until the prediction.
    until = frame.groupby("sample").tail(1).assign(x=0.0)
    return pd.concat([frame, until]).sort_values("sample", kind="stable"), label


def _on_grid(frame, sequences, age):
    """Risk as of the last visit before each of some times, where a sample has one."""
    starts = sequences.sample_offsets[:-1] + count_static(sequences)
    stops = sequences.sample_offsets[1:]
    first = age[starts[starts < stops]]
    grid = np.linspace(0, np.quantile(first, 0.9) if len(first) else 0, _N_TIMES)
    sample = np.repeat(np.arange(len(starts)), len(grid))
    x = np.tile(grid, len(starts))
    visit = search_ranges(-age, starts[sample], stops[sample], -x, "right") - 1
    has_begun = visit >= starts[sample]
    return frame.iloc[visit[has_begun]].assign(x=x[has_begun])


def _lines_of(frame):
    columns = ["sample", "outcome", "x", "risk"]
    return frame[[name for name in columns if name in frame]].reset_index(drop=True)


def _bands_of(frame):
    """Quartiles of the risk where there are enough patients."""
    by = frame.groupby(["outcome", "x"] if "outcome" in frame else ["x"])
    bands = by["risk"].quantile(list(_QUANTILES.values())).unstack().set_axis(_QUANTILES, axis=1)
    bands = bands.assign(n_patients=by["patient"].nunique()).reset_index()
    bands = bands[bands["n_patients"] >= MIN_PATIENTS].reset_index(drop=True)
    if not len(bands):
        raise ValueError(
            f"Quartiles are drawn where there are {MIN_PATIENTS} patients (with each outcome), "
            f"which is nowhere the case. Pass more samples, or up to {_MOST_LINES}, which have a "
            f"line each."
        )
    return bands
