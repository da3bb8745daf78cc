"""Tables of all figures of a report, over the same draws of patients."""

import numpy as np
import pandas as pd

from ._calibration_bins import RedrawnBins, bin_risks, tabulate_bins
from ._draws import RedrawnFigures, interval, redraw
from ._performance import METRICS, estimate, is_told, with_interval
from ._subgroups import tabulate_subgroups


def tabulate_scores(predicted, compared, subgroups, thresholds, n_bootstrap, random_state):
    """Frames of all figures, with their intervals over the same draws of patients."""
    n_patients = int(predicted.patient.max()) + 1
    bin_ = bin_risks(predicted)
    of_subgroups = [subgroup.predicted for subgroup in subgroups]
    parts = [predicted, *([] if compared is None else [compared]), *of_subgroups]
    scorers = [RedrawnFigures(part, thresholds, n_patients) for part in parts]
    scorers.append(RedrawnBins(predicted, bin_, n_patients))
    draws, *rest, of_bins = redraw(scorers, n_patients, n_bootstrap, random_state)

    estimates = estimate(predicted, thresholds)
    n_metrics = len(METRICS)
    index = pd.Index(METRICS, name="metric")
    performance = with_interval(estimates[:n_metrics], draws[:n_metrics], index)
    index = pd.Index(thresholds, name="threshold")
    benefit = with_interval(estimates[n_metrics:], draws[n_metrics:], index)
    benefit.loc[~is_told(predicted, thresholds)] = np.nan
    share = predicted.is_event.mean()
    benefit["treat_all"] = share - (1 - share) * index / (1 - index)
    comparison = None
    if compared is not None:
        of_other, *rest = rest
        comparison = _compare(predicted, compared, draws - of_other, thresholds)
        benefit["comparison"] = comparison["comparison"].to_numpy()[n_metrics:]
    table, of_subgroups = tabulate_subgroups(subgroups, rest, thresholds)
    return {
        "performance": performance,
        "calibration": tabulate_bins(predicted, bin_, of_bins),
        "net_benefit": benefit,
        "subgroups": table,
        "subgroup_net_benefit": of_subgroups,
        "comparison": comparison,
    }


def _compare(predicted, compared, differences, thresholds):
    """Figures of two models, and their paired differences."""
    index = [*METRICS, *(f"net_benefit at {threshold:g}" for threshold in thresholds)]
    low, high = interval(differences)
    model, other = (estimate(of, thresholds) for of in (predicted, compared))
    frame = pd.DataFrame(
        {
            "model": model,
            "comparison": other,
            "difference": model - other,
            "low": low,
            "high": high,
        },
        index=pd.Index(index, name="metric"),
    )
    n_metrics = len(METRICS)
    is_hidden = np.zeros((2, len(index)), dtype=bool)
    is_hidden[:, n_metrics:] = [~is_told(of, thresholds) for of in (predicted, compared)]
    frame.loc[is_hidden[0], "model"] = np.nan
    frame.loc[is_hidden[1], "comparison"] = np.nan
    frame.loc[is_hidden.any(axis=0), ["difference", "low", "high"]] = np.nan
    return frame
