"""Display of the calibration of risks, with slope and intercept."""

import numpy as np

from .._risk_metrics import calibration_slope, read_risks
from .._smoothing import smooth
from ._axes import BLUE, GREY, SKY, keep_axes, open_axes, stack_panels, tidy
from ._risks import name_of, predicted_risks

_N_POINTS = 100
_N_BINS = 40


class CalibrationSlopeDisplay:
    """Calibration of predicted risks: a smooth curve, slope, intercept and a histogram.

    Create it with `from_estimator` or `from_predictions`. The curve is a local linear regression
    (loess, span 0.75) of the outcomes on the risks [1]_, which needs no bins, unlike that of
    `sklearn.calibration.CalibrationDisplay`.

    Parameters
    ----------
    risk : ndarray of shape (n_points,)
        Risks, ascending.
    observed : ndarray of shape (n_points,)
        Smoothed share of outcomes at each of these risks.
    y_prob : ndarray of shape (n_samples,)
        Predicted risk of each sample.
    slope, intercept : float
        What `calibration_slope` returns.
    name : str, default="model"
        Name of the model.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes that hold both panels.
    axes_ : list of matplotlib Axes
        The panel of the curve, and that of the histogram.
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
        The curve.

    See Also
    --------
    calibration_slope : Computes slope and intercept.

    References
    ----------
    .. [1] P. C. Austin and E. W. Steyerberg, "Graphical assessment of internal and external
       calibration of logistic regression models by using loess smoothers", Statistics in Medicine
       33(3), 2014, p. 517-535.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ehr.inspection import CalibrationSlopeDisplay
    >>> rng = np.random.default_rng(0)
    >>> risk = rng.random(500)
    >>> y = rng.random(500) < risk
    >>> display = CalibrationSlopeDisplay.from_predictions(y, risk)
    >>> round(display.slope), round(display.intercept)
    (1, 0)
    """

    def __init__(self, risk, observed, y_prob, slope, intercept, *, name="model"):
        self.risk = risk
        self.observed = observed
        self.y_prob = y_prob
        self.slope = slope
        self.intercept = intercept
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, X, y, *, name=None, ax=None):
        """Draw the calibration of a classifier.

        Parameters
        ----------
        estimator : estimator
            A fitted classifier of two classes with `predict_proba`, of any library.
        X : Cohort or array-like of shape (n_samples, ...)
            What `estimator` takes: samples of patients that it was not trained on.
        y : array-like of shape (n_samples,)
            Outcomes. The risk is the probability of ``estimator.classes_[1]``.
        name : str, default=None
            Name of the model. By default, that of its class.
        ax : matplotlib Axes, default=None
            Axes to draw on. By default, those of a new figure.

        Returns
        -------
        CalibrationSlopeDisplay

        Raises
        ------
        ValueError
            If `estimator` is not a classifier of two classes, or `y` has other classes.
        """
        y_true, y_prob = predicted_risks(estimator, X, y)
        return cls.from_predictions(y_true, y_prob, name=name or name_of(estimator), ax=ax)

    @classmethod
    def from_predictions(cls, y_true, y_prob, *, name="model", ax=None):
        """Draw the calibration of predicted risks.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Outcomes: 0 or 1, or booleans.
        y_prob : array-like of shape (n_samples,)
            Predicted risk of each sample.
        name : str, default="model"
            Name of the model.
        ax : matplotlib Axes, default=None
            Axes to draw on. By default, those of a new figure.

        Returns
        -------
        CalibrationSlopeDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            As `calibration_slope` raises it.
        """
        slope, intercept = calibration_slope(y_true, y_prob)
        y_true, y_prob = read_risks(y_true, y_prob)
        risk = np.linspace(y_prob.min(), y_prob.max(), _N_POINTS)
        observed = np.clip(smooth(y_prob, y_true, risk), 0, 1)
        return cls(risk, observed, y_prob, slope, intercept, name=name).plot(ax)

    def plot(self, ax=None):
        """Draw the curve above the histogram of the risks.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. By default, those of a new figure.

        Returns
        -------
        CalibrationSlopeDisplay
        """
        ax = open_axes(ax, self)
        self.axes_ = curve, histogram = stack_panels(ax, [4, 1], gap=0.04)
        end = min(1.02, 1.05 * max(self.risk.max(), self.observed.max()))
        curve.plot([0, 1], [0, 1], ":", color=GREY, label="ideal")
        slope = "undefined" if np.isnan(self.slope) else f"{self.slope:.2f}"
        figures = f"slope {slope}, intercept {self.intercept:.2f}".replace("-", "\u2212")
        label = f"{self.name}\n{figures}"
        # A single risk is a point.
        marker = "" if np.ptp(self.risk) > 0 else "o"
        (self.line_,) = curve.plot(self.risk, self.observed, marker, color=BLUE, label=label)
        curve.set_xlim(0, end)
        curve.set_ylim(0, end)
        curve.set_ylabel("Share with the outcome")
        curve.legend(frameon=False, loc="upper left")
        histogram.hist(self.y_prob, bins=np.linspace(0, min(end, 1), _N_BINS + 1), color=SKY)
        histogram.set_ylabel("Samples")
        histogram.set_yticks([])
        histogram.set_xlabel("Predicted risk")
        for panel in self.axes_:
            tidy(panel)
        return keep_axes(self, ax)
