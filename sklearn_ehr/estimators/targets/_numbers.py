"""Numeric outcomes, scaled for training."""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.utils.validation import check_consistent_length, column_or_1d

from ...utils import saved_by
from .._net import VisitRegressorNet
from ._weights import as_floats, require_y

_CRITERIA = {
    "squared_error": torch.nn.MSELoss,
    "absolute_error": torch.nn.L1Loss,
    # By default it takes logarithms of rates.
    "poisson": torch.nn.PoissonNLLLoss,
}


_TOO_LARGE = (
    "y has values that are too large to scale by the standard deviation of the training outcomes. "
    "Look for a code such as 1e300 for a missing outcome, or give outcomes in a coarser unit."
)


@saved_by("loss", "center", "scale")
@dataclass(frozen=True, eq=False)
class NumberScaling:
    """The scale in which a network predicts numbers, and the way back.

    `center` and `scale` are float64 of shape () or (n_outcomes,).
    """

    loss: str
    center: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, y, weight, loss):
        """Scaling by weighted mean and standard deviation; of counts by the mean alone."""
        with np.errstate(over="ignore", invalid="ignore"):
            center = np.average(y, axis=0, weights=weight)
            distance = np.abs(y - center)
            # Relative to the largest, as the squares of tiny numbers are 0.
            unit = np.where(distance.max(axis=0) > 0, distance.max(axis=0), 1.0)
            scale = unit * np.sqrt(np.average((distance / unit) ** 2, axis=0, weights=weight))
            if not np.isfinite(scale**2).all():
                raise ValueError(_TOO_LARGE)
        if loss == "poisson" and (center == 0).any():
            raise ValueError(
                "loss='poisson' needs counts or rates that are not all 0. Use another loss or "
                "outcome."
            )
        if loss == "poisson":
            return cls(loss, np.zeros_like(center), center)
        return cls(loss, center, scale)

    @property
    def is_log(self):
        """Whether outputs of the network are logarithms of numbers."""
        return self.loss == "poisson"

    @property
    def names_of_outputs(self):
        """Position of each of several outcomes; None if there is one."""
        return None if self.center.ndim == 0 else np.arange(self.center.size)

    def as_target(self, y):
        """What the criterion takes: 32-bit floats."""
        with np.errstate(over="ignore", invalid="ignore"):
            # A constant outcome has a deviation of 0.
            scale = np.where(self.scale > 0, self.scale, 1.0)
            target = ((y - self.center) / scale).astype(np.float32)
        if not np.isfinite(target).all():
            raise ValueError(_TOO_LARGE)
        return target

    def to_numbers(self, outputs):
        """Predicted numbers: under "poisson" outputs are logarithms of rates."""
        outputs = self.to_outputs(outputs)
        return outputs[:, 0] if self.center.ndim == 0 else outputs

    def to_outputs(self, outputs):
        """What explanations add up to: predicted numbers, (n, n_outputs)."""
        outputs = outputs.astype(np.float64)
        if self.is_log:
            outputs = np.exp(outputs)
        return outputs * self.scale + self.center

    def refuse_other_outcomes(self, y_val):
        """Raise if a validation set has another number of outcomes."""
        if y_val.shape[1:] != self.center.shape:
            raise ValueError(
                f"y_val has shape {y_val.shape}, but y has {self.center.size} outcome(s) per "
                f"sample. Give the same outcomes in y_val."
            )

    def task(self):
        """What `build_net` needs to know."""
        return {
            "net": VisitRegressorNet,
            "criterion": _CRITERIA[self.loss],
            "output_dim": self.center.size,
        }


def check_numbers(X, y, estimator, loss):
    """One finite number per sample, or one column per outcome, float64.

    With ``loss="poisson"`` negative numbers are refused.
    """
    require_y(y, estimator)
    y = as_floats(y, "y")
    if y.ndim == 0 or y.ndim > 2:
        raise ValueError(
            f"y has shape {y.shape}; give one number a sample, or an array of shape (n_samples, "
            f"n_outcomes)."
        )
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    check_consistent_length(X, y)
    if n_other := int(np.count_nonzero(~np.isfinite(y))):
        raise ValueError(
            f"y has {n_other} value(s) that are NaN or infinite. Drop those samples, or find their "
            f"outcome."
        )
    if loss == "poisson" and (y < 0).any():
        raise ValueError(
            f"loss='poisson' needs counts or rates, but y has {np.count_nonzero(y < 0)} negative "
            f"value(s). Use another loss or outcome."
        )
    return y
