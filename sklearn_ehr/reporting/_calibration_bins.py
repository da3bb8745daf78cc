"""Calibration curve: the observed share of the outcome by predicted risk."""

import numpy as np
import pandas as pd

from ..utils import MIN_PATIENTS
from ._draws import interval
from ._patient_sums import PatientSums

_N_BINS = 10


def bin_risks(predicted):
    """Bin of each sample: tenths of the predicted risk, merged where the outcome is rare.

    Each bin has the outcome in at least 10 patients, and no outcome in as many.
    """
    edges = np.quantile(predicted.risk, np.arange(1, _N_BINS) / _N_BINS)
    tenth = np.searchsorted(np.unique(edges), predicted.risk, side="right")
    starts = [0]
    for stop in range(1, tenth.max() + 1):
        if _is_large(predicted[(tenth >= starts[-1]) & (tenth < stop)]):
            starts.append(stop)
    while len(starts) > 1 and not _is_large(predicted[tenth >= starts[-1]]):
        starts.pop()
    return np.searchsorted(starts, tenth, side="right") - 1


def _is_large(predicted):
    return min(predicted.n_patients_with(True), predicted.n_patients_with(False)) >= MIN_PATIENTS


class RedrawnBins:
    """Observed shares of the outcome by bin of predicted risk, for draws of patients."""

    def __init__(self, predicted, bin_, n_patients):
        members = [bin_ == number for number in range(bin_.max() + 1)]
        columns = members + [member & predicted.is_event for member in members]
        self.sums = PatientSums(predicted.patient, n_patients, columns)

    def __call__(self, counts):
        """Observed share in each bin, of shape (n_bins, n_draws)."""
        n, n_events = self.sums(counts).reshape(2, -1, len(counts))
        with np.errstate(invalid="ignore"):
            return n_events / n


def tabulate_bins(predicted, bin_, draws):
    """One row per bin: samples, mean predicted risk, and observed share with its interval."""
    low, high = interval(draws)
    samples = pd.DataFrame({"risk": predicted.risk, "is_event": predicted.is_event}).groupby(bin_)
    frame = pd.DataFrame(
        {
            "n_samples": samples.size(),
            "mean_risk": samples["risk"].mean(),
            "observed": samples["is_event"].mean(),
            "low": low,
            "high": high,
        }
    )
    return frame.set_axis(pd.RangeIndex(1, len(frame) + 1, name="bin"))
