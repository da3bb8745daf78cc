"""Display of net benefit over thresholds."""

from collections.abc import Mapping

import numpy as np

from .._risk_metrics import net_benefit, read_risks
from ._axes import BLACK, COLOURS, GREY, keep_axes, open_axes, tidy
from ._risks import name_of, predicted_risks


class DecisionCurveDisplay:
    """Decision curves: the net benefit of models over thresholds of the risk.

    Create it with `from_estimator` or `from_predictions`. A model is of use at the thresholds where
    its curve [1]_ is above both lines: treating all patients, and treating none.

    Parameters
    ----------
    thresholds : ndarray of shape (n_thresholds,)
        Thresholds of the risk.
    net_benefits : dict of str to ndarray of shape (n_thresholds,)
        Net benefit of each model.
    treat_all : ndarray of shape (n_thresholds,)
        Net benefit of treating all patients.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : dict of str to matplotlib Line2D
        Line of each model.

    See Also
    --------
    net_benefit : Computes the net benefit.

    References
    ----------
    .. [1] A. J. Vickers and E. B. Elkin, "Decision curve analysis: a novel method for evaluating
       prediction models", Medical Decision Making 26(6), 2006, p. 565-574.

    Examples
    --------
    >>> from sklearn_ehr.inspection import DecisionCurveDisplay
    >>> y = [0, 0, 0, 1, 0, 1]
    >>> risks = {"LSTM": [0.1, 0.2, 0.1, 0.8, 0.3, 0.6], "age": [0.2, 0.4, 0.3, 0.4, 0.3, 0.4]}
    >>> display = DecisionCurveDisplay.from_predictions(y, risks, thresholds=[0.1, 0.3, 0.5])
    >>> display.net_benefits["LSTM"].round(3)
    array([0.259, 0.262, 0.333])
    """

    def __init__(self, thresholds, net_benefits, treat_all):
        self.thresholds = thresholds
        self.net_benefits = net_benefits
        self.treat_all = treat_all

    @classmethod
    def from_estimator(
        cls, estimator, X, y, *, thresholds=None, sample_weight=None, name=None, ax=None
    ):
        """Draw the decision curve of a classifier.

        Parameters
        ----------
        estimator : estimator
            A fitted classifier of two classes with `predict_proba`, of any library.
        X : Cohort or array-like of shape (n_samples, ...)
            What `estimator` takes: samples of patients that it was not trained on.
        y : array-like of shape (n_samples,)
            Outcomes. The risk is the probability of ``estimator.classes_[1]``.
        thresholds : array-like of shape (n_thresholds,), default=None
            As in `from_predictions`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.
        name : str, default=None
            Name of the model. By default, that of its class.
        ax : matplotlib Axes, default=None
            Axes to draw on. By default, those of a new figure.

        Returns
        -------
        DecisionCurveDisplay

        Raises
        ------
        ValueError
            If `estimator` is not a classifier of two classes, or `y` has other classes.
        """
        y_true, y_prob = predicted_risks(estimator, X, y)
        return cls.from_predictions(
            y_true,
            {name or name_of(estimator): y_prob},
            thresholds=thresholds,
            sample_weight=sample_weight,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls, y_true, y_prob, *, thresholds=None, sample_weight=None, name="model", ax=None
    ):
        """Draw the decision curves of predicted risks.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Outcomes: 0 or 1, or booleans.
        y_prob : array-like of shape (n_samples,), or dict of str to array-like
            Predicted risks, of one model, or by the name of the model.
        thresholds : array-like of shape (n_thresholds,), default=None
            Thresholds of the risk, at least 0 and below 1. By default, from 0 to twice the
            prevalence, or further, to the highest risks (their 99th percentile).
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.
        name : str, default="model"
            Name of the model, if there is one.
        ax : matplotlib Axes, default=None
            Axes to draw on. By default, those of a new figure.

        Returns
        -------
        DecisionCurveDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there are fewer than two thresholds, or as `net_benefit` raises it.
        """
        risks = dict(y_prob) if isinstance(y_prob, Mapping) else {name: y_prob}
        if not risks:
            raise ValueError("y_prob must have the risks of one model at least, got an empty dict.")
        if thresholds is None:
            thresholds = _choose_thresholds(y_true, risks, sample_weight)
        thresholds = np.sort(np.ravel(thresholds).astype(np.float64))
        if len(thresholds) < 2:
            raise ValueError("thresholds must be a list of at least two numbers, to draw a line.")
        options = {"thresholds": thresholds, "sample_weight": sample_weight}
        net_benefits = {name: net_benefit(y_true, risk, **options) for name, risk in risks.items()}
        treat_all = net_benefit(y_true, np.ones(len(y_true)), **options)
        return cls(thresholds, net_benefits, treat_all).plot(ax)

    def plot(self, ax=None):
        """Draw the curve of each model, and the two lines it is compared with.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. By default, those of a new figure.

        Returns
        -------
        DecisionCurveDisplay
        """
        ax = open_axes(ax, self)
        ax.axhline(0, color=BLACK, linewidth=1, label="treat none")
        ax.plot(self.thresholds, self.treat_all, "--", color=GREY, label="treat all")
        self.lines_ = {}
        for i, (name, values) in enumerate(self.net_benefits.items()):
            colour = COLOURS[i % len(COLOURS)]
            (self.lines_[name],) = ax.plot(self.thresholds, values, color=colour, label=name)
        best = max(0.01, *map(np.max, [self.treat_all, *self.net_benefits.values()]))
        # Treating all falls far below: what matters is near 0 and above.
        ax.set_ylim(-0.2 * best, 1.05 * best)
        ax.set_xlim(self.thresholds[0], self.thresholds[-1])
        ax.set_xlabel("Threshold of the risk")
        ax.set_ylabel("Net benefit")
        ax.legend(frameon=False, loc="upper right")
        tidy(ax)
        return keep_axes(self, ax)


def _choose_thresholds(y_true, risks, sample_weight):
    checked = [read_risks(y_true, risk) for risk in risks.values()]
    prevalence = np.average(checked[0][0], weights=sample_weight)
    highest = max(2 * prevalence, *(np.quantile(risk, 0.99) for _, risk in checked))
    # In steps of 5 %, so that the axis ends at a round number.
    return np.linspace(0, min(np.ceil(highest * 20) / 20, 0.99), 101)
