"""Columns of the samples, and checks that they fit the events."""

import warnings
from collections.abc import Hashable

import numpy as np
import pandas as pd

from ..utils import (
    check_keys,
    column_of,
    encode,
    find_column,
    is_lazy,
    is_real,
    key_kind,
    open_files,
    order_by,
    read_frame,
    readable,
    refuse_nulls,
    run_starts,
    shown,
)
from ._event_table import EventTable
from ._times import MAX_EXACT, read_times


def read_sample_frame(samples, events, patient_id, prediction_time):
    """Read the samples as a pandas frame, and find the name of their column of patients.

    The name in an `EventTable` stands in for the standard one. The rows of an engine have no order,
    so they are sorted by patient and prediction time, and refused if these do not tell all of them
    apart.
    """
    samples = open_files(samples, "samples")
    rows = read_frame(samples, "samples")
    if not len(rows):
        raise ValueError("samples is an empty frame: there is nobody to predict.")
    is_default = patient_id == "patient_id" and patient_id not in rows.columns
    if is_default and isinstance(events, EventTable):
        patient_id = events.columns["patient_id"]
    patient_id = find_column(rows.columns, patient_id, "samples", fixed="patient_id")
    if not is_lazy(samples):
        return rows, patient_id
    keys = [patient_id]
    if isinstance(prediction_time, Hashable) and prediction_time in rows.columns:
        keys.append(prediction_time)
    if n_equal := int(rows.duplicated(keys).sum()):
        raise ValueError(
            f"samples is a frame of an engine, whose rows have no order, and {n_equal} row(s) have "
            f"the same {' and '.join(map(repr, keys))} as another. Collect it first, such as with "
            f".collect(), .df() or .toPandas(), in the order that you want."
        )
    return rows.sort_values(keys, ignore_index=True), patient_id


def read_samples(samples, table, patient_id, group):
    """Check the rows of samples; return a copy of them, and their patients and groups as Series.

    Without `samples`, the rows are the patients of the table, in ascending order. Groups are by
    default patients.
    """
    if samples is None:
        index, patient_id = pd.Index(table.patients), table.columns["patient_id"]
        samples = pd.DataFrame({patient_id: table.patients}, index=index)
    patient = column_of(samples, patient_id, "samples", fixed="patient_id")
    refuse_nulls(patient.isna(), patient.name, "Every sample needs a patient.")
    check_keys(patient)
    groups = patient
    if group is not None:
        groups = column_of(samples, group, "samples", fixed="group")
        refuse_nulls(groups.isna(), groups.name, "Every sample needs a group.")
        check_keys(groups)
        _refuse_split_patients(patient, groups)
    rows = samples.copy()
    for position, dtype in enumerate(samples.dtypes):
        # Some dtypes of Arrow cannot be indexed.
        if isinstance(dtype, pd.ArrowDtype) or dtype == np.float16:
            rows.isetitem(position, readable(samples.iloc[:, position]))
    return rows, patient, groups


def _refuse_split_patients(patient, groups):
    """Raise if a patient has samples in several groups: a split would part them."""
    position, table = encode(patient)
    group = encode(groups)[0]
    order = order_by(position, group)
    n_groups = np.bincount(position[order][run_starts(position[order], group[order])])
    if n_split := np.count_nonzero(n_groups > 1):
        raise ValueError(
            f"Column {groups.name!r} (parameter group) puts {n_split} of {len(table)} patients "
            f"into several groups, so that a split could have them on both sides. Give a column "
            f"that is constant for each patient, such as the person."
        )


def read_features(samples, features):
    """Check the columns of numbers that models read beside the codes, and return their names."""
    is_list = isinstance(features, list | tuple | pd.Index)
    if not is_list or not all(isinstance(name, str) for name in features):
        example = features if isinstance(features, str) else "age"
        raise TypeError(
            f"features={shown(features)} is not accepted; give a list of names of columns of "
            f"samples, such as features=[{example!r}]."
        )
    if not len(features):
        return ()
    if samples is None:
        raise ValueError("features are columns of samples, but samples is None. Give samples.")
    for name in features:
        if list(features).count(name) > 1:
            raise ValueError(f"features holds {name!r} several times; keep one.")
        column = column_of(
            samples, name, "samples", fixed="features", way_out="name only columns that it has"
        )
        if not is_real(column.dtype):
            raise TypeError(
                f"Column {name!r} (parameter features) must hold numbers or booleans, got dtype "
                f"{column.dtype}. Convert it, for instance with pandas.to_numeric, or with "
                f"pandas.get_dummies if it holds categories."
            )
        values = as_floats(samples, [name]).to_numpy()
        if n_beyond := np.count_nonzero(np.abs(values) > np.finfo(np.float32).max):
            raise ValueError(
                f"Column {name!r} (parameter features) has {n_beyond} value(s) that are infinite, "
                f"or beyond the range of 32-bit floats. Make them null, or rescale the column."
            )
    return tuple(features)


def as_floats(samples, names):
    """Columns of numbers as a DataFrame of float64, NaN where null."""
    columns = [readable(samples[name]) for name in names]
    # A long double may be beyond the range of float64.
    with np.errstate(over="ignore"):
        floats = [column.to_numpy(np.float64, na_value=np.nan) for column in columns]
    return pd.DataFrame(dict(zip(names, floats, strict=True)), samples.index, list(names))


def refuse_keys(features, keys):
    """Raise if a column of patients, groups or prediction times is a feature."""
    for name in features:
        if name in keys:
            raise ValueError(
                f"Column {name!r} cannot be one of features, as it holds the patient, the group or "
                f"the prediction time of each sample. If models are to read its numbers, copy them "
                f"to a column with another name."
            )


def read_prediction_times(samples, prediction_time, has_times):
    """Read the column of prediction times as `Times`; None for whole histories."""
    if prediction_time is None:
        return None
    if not isinstance(prediction_time, Hashable) or prediction_time not in samples.columns:
        raise ValueError(
            f"samples has no column {shown(prediction_time)} (parameter prediction_time) among its "
            f"{samples.shape[1]}; name another with prediction_time=. Pass prediction_time=None "
            f"only if a model may see whole histories, to the last event."
        )
    if not has_times:
        raise ValueError(
            "Prediction times need event times, but events has no time column. Name it with time=, "
            "or pass prediction_time=None if each sample is a whole history."
        )
    column = column_of(samples, prediction_time, "samples", fixed="prediction_time")
    refuse_nulls(column.isna(), prediction_time, "Every sample needs a prediction time.")
    return read_times(column, prediction_time)


def refuse_prediction_time(prediction_time):
    """Raise if a column of prediction times is named, but there are no samples."""
    if prediction_time not in (None, "prediction_time"):
        raise ValueError(
            f"prediction_time={shown(prediction_time)} is a column of samples, but samples is "
            f"None, which means whole histories. Give samples, or prediction_time=None."
        )


def warn_if_drawn(rows, resolution):
    """Warn of samples of `make_samples` that lost the resolution that they were drawn under."""
    if resolution == "day" and {"outcome", "event", "duration"} <= set(rows.columns):
        warnings.warn(
            "samples has the columns of make_samples, but not the resolution that they were drawn "
            "under, which a merge or a file drops. All times are dates, so resolution='day' is "
            "taken: samples drawn under 'instant' could see their own outcome. Pass resolution=, "
            "as in the table of attrition.",
            UserWarning,
            stacklevel=4,
        )


def match_patients(patient, patients, frame_name="samples"):
    """Position of each row's patient among the patients with events.

    Patients without events have the positions after those.
    """
    refuse_nulls(patient.isna(), patient.name, "Every sample needs a patient.")
    check_keys(patient)
    kinds = key_kind(patient), key_kind(patients)
    if kinds[0] != kinds[1]:
        raise TypeError(
            f"Patient ids are of type {kinds[0]} in {frame_name} and of type {kinds[1]} in events "
            f"(column {patient.name!r}, dtypes {patient.dtype} and {patients.dtype}). Convert one "
            f"of them with .astype."
        )
    ids = np.asarray(patient)
    _refuse_rounded_ids(ids, patients, patient.name)
    position = pd.Index(patients).get_indexer(ids)
    missing = position < 0
    if missing.all():
        raise ValueError(
            f"No patient of {frame_name} has any event (column {patient.name!r}: {len(position)} "
            f"samples, {len(patients)} patients with events). Check that both use the same ids."
        )
    position[missing] = len(patients) + pd.factorize(ids[missing])[0]
    return position


def _refuse_rounded_ids(ids, patients, name):
    """Raise if one side alone has float ids, and these are too large to be exact."""
    floats = [values for values in (ids, patients) if _holds_floats(values)]
    if len(floats) == 1 and (np.abs(floats[0].astype(np.float64)) >= MAX_EXACT).any():
        raise ValueError(
            f"Column {name!r} holds floats in one frame and integers in the other, and some ids "
            f"are beyond 2**53, where floats are rounded, so patients could be confused. Read the "
            f"ids as integers in both frames."
        )


def _holds_floats(values):
    kinds = {"floating", "mixed-integer-float"}
    return values.dtype.kind == "f" or (
        values.dtype == object and pd.api.types.infer_dtype(values) in kinds
    )


def without_unused(samples):
    """Copy without the categories and index levels that no row has, which may be patient ids."""
    samples = samples.copy(deep=False)
    samples.attrs = {}
    for position, dtype in enumerate(samples.dtypes):
        if isinstance(dtype, pd.ArrowDtype) and str(dtype).startswith("dictionary"):
            import pyarrow as pa

            values = pa.array(samples.iloc[:, position].array)
            values = values.cast(dtype.pyarrow_dtype.value_type)
            samples.isetitem(position, pd.Series(values, samples.index, pd.ArrowDtype(values.type)))
        if isinstance(dtype, pd.CategoricalDtype):
            column = samples.iloc[:, position].cat.remove_unused_categories()
            samples.isetitem(position, column)
    if isinstance(samples.index, pd.MultiIndex):
        samples.index = samples.index.remove_unused_levels()
    elif isinstance(samples.index, pd.CategoricalIndex):
        samples.index = samples.index.remove_unused_categories()
    return samples
