"""Columns of frames: lookup by name, checks, and encoding."""

import numpy as np
import pandas as pd

from ._sorting import factorise

_ALIASES = {"patient_id": "subject_id", "value": "numeric_value"}


def require_frame(frame, name):
    """Raise unless a parameter is a pandas DataFrame."""
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"{name} must be a pandas DataFrame, got {type(frame).__name__}.")


def column_of(frame, name, frame_name, *, fixed, optional=False, owner="Cohort"):
    """Look up the column that plays a role in a frame, or return None if it is optional and absent.

    `fixed` is both the standard name of the column and the name of the parameter that may change
    it, and `owner` is the class with that parameter. If the standard name is not in the frame, its
    MEDS name is tried.
    """
    if name is None and optional:
        return None
    present = name
    if name not in frame.columns and name == fixed and _ALIASES.get(fixed) in frame.columns:
        present = _ALIASES[fixed]
    if present not in frame.columns:
        if optional and name == fixed:
            return None
        way_out = f"name another with {owner}(..., {fixed}=...)"
        if optional:
            way_out += ", or None to leave it out"
        raise ValueError(
            f"{frame_name} has no column {name!r} (parameter {fixed}). Its columns are "
            f"{list(frame.columns)}; {way_out}."
        )
    column = frame[present]
    if column.ndim != 1:
        raise ValueError(f"{frame_name} has several columns named {present!r}; keep one.")
    return column


def encode(column):
    """Position of each row's value among the distinct values (-1 for null), and these, sorted."""
    name = column.name
    if isinstance(column.dtype, pd.CategoricalDtype):
        check_one_kind(column.cat.categories, name)
        rank, table = factorise(column.cat.categories)
        position = np.append(rank, np.int32(-1))[column.cat.codes.to_numpy()]
        return prune(position, np.asarray(table))
    check_one_kind(column, name)
    position, table = factorise(column)
    return position, np.asarray(table)


def key_kind(values):
    """Kind of identifiers: numbers of any width are one kind, strings of any storage another."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.dtype.categories
    if isinstance(values.dtype, pd.StringDtype):
        return "string"
    kind = pd.api.types.infer_dtype(values, skipna=True)
    return "number" if kind in {"integer", "floating", "mixed-integer-float"} else kind


def check_one_kind(values, name):
    """Raise if identifiers cannot be sorted, such as a mix of numbers and strings."""
    if key_kind(values) in {"mixed", "mixed-integer"}:
        raise TypeError(
            f"Column {name!r} mixes values of several types, which have no common order. Convert "
            f"it to one type, for instance with .astype(str)."
        )


def refuse_nulls(is_null, name, way_out):
    """Raise if any value is null."""
    if n_null := int(np.count_nonzero(is_null)):
        raise ValueError(f"Column {name!r} has {n_null} null value(s). {way_out}")


def prune(position, table):
    """Drop the table entries that no position refers to, and renumber the positions except -1."""
    used = np.zeros(len(table) + 1, dtype=bool)
    used[position] = True
    used = used[:-1]
    renumbered = np.append(np.cumsum(used) - 1, -1).astype(position.dtype)
    return renumbered[position], table[used]
