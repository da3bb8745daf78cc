"""Values of a column of samples, as levels that samples are told apart by."""

from itertools import pairwise

import numpy as np
import pandas as pd

MISSING = "missing"
_N_DIGITS = 3


def holds_patients(column, cohort):
    """Whether a column has the patient, or the group, of each sample of a cohort."""
    if column.isna().any():
        return False
    values = column.to_numpy()
    return np.array_equal(values, cohort.groups) or np.array_equal(values, cohort.patients)


def is_identifier(column, patient):
    """Whether each sample, or each patient, has a value that no other one has.

    Floats that are not whole numbers, such as measurements, are no ids. Whole ones may be ids
    beside nulls.
    """
    if pd.api.types.is_float_dtype(column.dtype) and (column.dropna() % 1 != 0).any():
        return False
    try:
        n_values = column.groupby(patient).nunique()
        return column.is_unique or (n_values.max() == 1 and column.nunique() == n_values.sum())
    except TypeError:
        # Lists and the like tell nobody apart.
        return True


def is_number(column):
    """Whether a column has numbers, more than two different ones."""
    dtype = column.dtype
    if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype):
        return False
    return column.nunique() > 2


def as_number(column):
    """Values of a column as floats, NaN where null."""
    return pd.to_numeric(column).astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)


def as_levels(column):
    """Position of each sample among the levels of a column, and their names, missing last."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        level, values = column.cat.codes.to_numpy(dtype=np.int64, copy=True), column.cat.categories
    else:
        level, values = pd.factorize(_as_comparable(column), sort=True)
    names = [_name_of(value) for value in values]
    if (level < 0).any():
        level = np.where(level < 0, len(names), level)
        names.append(MISSING)
    return _merge_equal_names(level, names)


def _merge_equal_names(level, names):
    """Levels, of which those that could not be told apart are one, such as 1 and "1"."""
    distinct = list(dict.fromkeys(names))
    return np.array([distinct.index(name) for name in names], dtype=np.int64)[level], distinct


def _as_comparable(column):
    """Texts, if the values of a column are of several types."""
    if column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) != "string":
        return column.map(str, na_action="ignore")
    return column


def round_number(value):
    """A number with three significant digits: quartiles are the values of single patients."""
    return float(f"{value:.{_N_DIGITS}g}")


def cut(values, edges=None):
    """Levels of numbers, between edges or, without any, between quartiles.

    A number at an edge belongs to the level above it.
    """
    if edges is None:
        quartiles = np.nanquantile(values, [0.25, 0.5, 0.75])
        edges = np.unique([round_number(edge) for edge in quartiles])
    level = np.searchsorted(edges, values, side="right")
    shown = [_name_of(edge) for edge in edges]
    names = [f"under {shown[0]}"]
    names += [f"{low} to under {high}" for low, high in pairwise(shown)]
    names.append(f"{shown[-1]} and over")
    is_null = np.isnan(values)
    if is_null.any():
        level = np.where(is_null, len(names), level)
        names.append(MISSING)
    return _without_empty(level, names)


def _without_empty(level, names):
    present, level = np.unique(level, return_inverse=True)
    return level, [names[position] for position in present]


def name_pooled(names, is_pooled, is_rare):
    """Name of merged levels, without the names of those that few patients have."""
    rare = {name for name, is_one in zip(names, is_rare, strict=True) if is_one}
    kept = is_pooled & ~is_rare
    parts = [name for name, is_one in zip(names, kept, strict=True) if is_one]
    parts += ["other values"] * bool(rare - {MISSING}) + [MISSING] * (MISSING in rare)
    name = " or ".join(parts)
    return f"{name} (merged)" if name in names else name


def _name_of(value):
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    return str(value)
