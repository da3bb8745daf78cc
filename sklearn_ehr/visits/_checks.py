"""Checks of the input of a transformer."""

import warnings

import numpy as np
import pandas as pd

# A thousand lies between seconds, milliseconds and so on; less may be two kinds of patients.
_SCALES_APART = 3
_TIMES = {None: "no times", "datetime": "datetimes", "number": "numeric times"}


def kind_of_times(table):
    """Kind of the times of an event table: "datetime", "number", or None without times."""
    if table.time is None:
        return None
    return "datetime" if table.time.dtype.kind == "M" else "number"


def scale_of_times(cohort):
    """Order of magnitude of numeric times that are visible: the power of ten of their median.

    None for datetimes, and where no visible time differs from 0.
    """
    if kind_of_times(cohort.event_table) != "number":
        return None
    times = np.abs(cohort.event_table.time[cohort.is_seen()].astype(np.float64))
    times = times[times > 0]
    return int(np.floor(np.median(np.log10(times)))) if len(times) else None


def warn_of_another_unit(scale, fitted):
    """Warn if numeric times are a thousand times larger or smaller than those of `fit`."""
    if None not in (scale, fitted) and abs(scale - fitted) >= _SCALES_APART:
        warnings.warn(
            f"The times of X are numbers of about 1e{scale}, and those that this transformer was "
            f"fitted on were about 1e{fitted}. Check that both are in the same unit.",
            UserWarning,
            stacklevel=5,
        )


def refuse_other_resolution(resolution, fitted):
    """Raise if a cohort has another resolution than the one of `fit`; None fits any."""
    if None in (resolution, fitted) or resolution == fitted:
        return
    raise ValueError(
        f"X is a cohort of resolution {resolution!r}, and this transformer was fitted on one of "
        f"resolution {fitted!r}: a model fitted on dates must not be used on hours, nor the other "
        f"way round. Build both cohorts with Cohort(..., resolution={fitted!r}), or fit again."
    )


def refuse_other_times(kind, fitted):
    """Raise if the events have another kind of times than those of `fit`, or only one has times."""
    if kind == fitted:
        return
    raise ValueError(
        f"The events of X have {_TIMES[kind]}, and those that this transformer was fitted on had "
        f"{_TIMES[fitted]}. Use the same kind of times in both; time= names their column."
    )


def warn_without_known_times(table, has_predictions, fitted):
    """Warn if events count as known at their times, and had known times in `fit`."""
    if fitted and has_predictions and table.known_time is None:
        warnings.warn(
            "The events of X have no known times, and those that this transformer was fitted on "
            "had some, so facts that are recorded late are seen too early. Name the column with "
            "known_time=, unless all events were known at their times.",
            UserWarning,
            stacklevel=5,
        )


def warn_without_values(table, bins):
    """Warn if the bins of values have nothing to bin."""
    if bins is None or not len(bins.codes) or table.value is None or not len(table.value):
        return
    if not np.isfinite(table.value).any():
        warnings.warn(
            "None of the events of X has a value, and those that this transformer was fitted on "
            "had some. Check the column, which value= names.",
            UserWarning,
            stacklevel=5,
        )


def warn_of_other_visit_ids(has_ids, fitted):
    """Warn if only one of the events of `fit` and those of `transform` have visit ids."""
    if has_ids == fitted:
        return
    here, there = ("have", "had none") if has_ids else ("have no", "had some")
    warnings.warn(
        f"The events of X {here} visit ids, and those that this transformer was fitted on {there}, "
        f"so visits do not mean the same as in fit. Name the column with Cohort(..., visit_id=...) "
        f"or leave it out with visit_id=None, as in fit.",
        UserWarning,
        stacklevel=5,
    )


def refuse_unordered_target(y, patients):
    """Raise if `y` does not come with these patients, in this order, as its index."""
    way_out = (
        "Build X = Cohort(events) and bring y into the order of its samples, for instance with "
        "y.loc[X.groups]."
    )
    if not isinstance(y, pd.Series | pd.DataFrame):
        raise ValueError(
            f"X is a frame of events, which has a sample for each patient, and y is a "
            f"{type(y).__name__} without patient ids, so it is unknown to whom its values belong. "
            f"{way_out}"
        )
    patients = pd.Index(patients)
    if patients.equals(y.index):
        return
    problem = f"the {len(y)} entries of the index of y are not the {len(patients)} patient ids"
    if len(y) == len(patients) and set(y.index) == set(patients):
        problem = "the index of y has the patient ids in another order"
    raise ValueError(
        f"X is a frame of events, which has a sample for each patient, sorted by id, and "
        f"{problem}. {way_out}"
    )
