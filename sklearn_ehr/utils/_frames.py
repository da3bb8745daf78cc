"""Columns of frames: lookup by name, checks, and encoding."""

from collections.abc import Hashable
from datetime import date, timedelta
from numbers import Number

import numpy as np
import pandas as pd

from ._sorting import factorise

# Other usual names of columns. If a column is missing, the error lists only these, because any
# other name may identify a patient.
_ALIASES = {
    "patient_id": ("subject_id", "person_id", "patient", "pid", "patientunitstayid", "id"),
    "value": ("numeric_value", "valuenum", "value_as_number", "result"),
    "time": ("charttime", "start_time", "timestamp", "datetime", "date", "event_time"),
    "code": ("concept_id", "icd_code", "concept_code", "codes"),
    "visit_id": ("visit_occurrence_id", "hadm_id", "encounter_id", "visit"),
    "prediction_time": ("index_time", "index_date", "time", "date", "cutoff"),
}
_KIND_OF_TYPE = {
    "str": "string",
    "int": "number",
    "float": "number",
    "bool": "boolean",
    "Decimal": "decimal",
    "integer": "number",
    "floating": "number",
    "mixed-integer-float": "number",
    "datetime64": "datetime",
    "timedelta64": "timedelta",
}
_MEDS = {"patient_id": "subject_id", "value": "numeric_value"}


def shown(value):
    """A parameter as it may stand in a message: a single value, or only the type of any other."""
    single = (str, Number, date, timedelta, np.datetime64, np.timedelta64, type(None))
    return repr(value) if isinstance(value, single) else f"<{type(value).__name__}>"


def find_column(columns, name, frame_name, *, fixed, optional=False, way_out=None):
    """Find the column that plays a role in a frame; None if it is optional and absent.

    `columns` is the Index of all names, and `fixed` is both the standard name of the column and the
    name of the parameter that may change it. If there is no column of the standard name, its MEDS
    name is tried.
    """
    if name is None and optional:
        return None
    if not isinstance(name, Hashable) or name is pd.NA:
        raise TypeError(f"{fixed} must be the name of a column, got a {type(name).__name__}.")
    present = name
    if name not in columns and name == fixed and _MEDS.get(fixed) in columns:
        present = _MEDS[fixed]
    if present not in columns:
        if optional and name == fixed:
            return None
        way_out = way_out or f"name another with {fixed}='...'"
        if optional:
            way_out += ", or None to leave it out"
        raise ValueError(
            f"{frame_name} has no column {name!r} (parameter {fixed}) among its "
            f"{len(columns)}{_candidates(columns, fixed)}; {way_out}."
        )
    return present


def column_of(frame, name, frame_name, *, keep_views=False, **options):
    """Look up a column of a pandas frame as `find_column` does.

    Views of strings are converted, as pandas can do little with them, or kept to be encoded.
    """
    present = find_column(frame.columns, name, frame_name, **options)
    if present is None:
        return None
    column = frame[present]
    if column.ndim != 1:
        raise ValueError(f"{frame_name} has several columns named {present!r}; keep one.")
    return column if keep_views and is_view(column) else readable(column)


def _candidates(columns, fixed):
    """Part of a message that lists the columns with another usual name for this one."""
    known = {fixed, *_ALIASES.get(fixed, ())}
    found = [name for name in columns if isinstance(name, str) and name.lower() in known]
    return f", but has {', '.join(map(repr, found))}" if found else ""


def encode(column, *, keep_categories_ordered=False):
    """Each row's position (-1 for null) among the distinct values, and these, ascending.

    With `keep_categories_ordered` those of an ordered category stay in its own order.
    """
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return _factorise(column)
    categories = column.cat.categories
    if keep_categories_ordered and column.cat.ordered:
        rank, table = np.arange(len(categories), dtype=np.int32), np.asarray(categories)
    else:
        rank, table = _factorise(pd.Series(categories, name=column.name))
    position = np.append(rank, np.int32(-1))[column.cat.codes.to_numpy()]
    return prune(position, table)


def _factorise(column):
    name = column.name
    check_one_kind(column, name)
    try:
        position, table = factorise(column if is_view(column) else readable(column))
        table = np.asarray(table)
        if key_kind(table) == "string":
            "".join(table).encode()
    except UnicodeError:
        raise ValueError(
            f"Column {name!r} holds strings that are not valid Unicode (lone surrogates), for "
            f"instance because a file was read with the wrong encoding. Read it again with the "
            f"right one, such as encoding='latin-1'."
        ) from None
    except MemoryError:
        raise
    except Exception:
        # The messages of pandas and Arrow quote cells.
        raise TypeError(
            f"Column {name!r} (dtype {column.dtype}) holds values that cannot be compared and "
            f"sorted. Convert it to strings or integers, for instance with .astype(str)."
        ) from None
    return position, table


def readable(column):
    """Convert dtypes that pandas cannot factorise or use as an index."""
    if column.dtype == np.float16:
        return column.astype(np.float32)
    if isinstance(column.dtype, pd.SparseDtype):
        return column.sparse.to_dense()
    if not isinstance(column.dtype, pd.ArrowDtype):
        return column
    name = str(column.dtype)
    if getattr(column.dtype.pyarrow_dtype, "ordered", False):
        # These categories have an order of their own, which only those of pandas keep.
        return _from_ordered(column)
    if name.endswith("_view[pyarrow]") and not name.startswith("list"):
        return _without_view(column, name)
    try:
        _ = column.dtype.type
    except NotImplementedError:
        raise TypeError(
            f"Column {column.name!r} is of the Arrow type {column.dtype.pyarrow_dtype}, which "
            f"pandas cannot read. Cast it to a plain type first."
        ) from None
    return column


def is_view(column):
    """Whether a column holds views of strings, as polars does."""
    return str(column.dtype) == "string_view[pyarrow]"


def _from_ordered(column):
    import pyarrow as pa

    return pa.array(column.array).to_pandas().set_axis(column.index).rename(column.name)


def _without_view(column, name):
    """Convert Arrow views, which pandas cannot factorise."""
    import pyarrow as pa

    layout = pa.large_string() if name.startswith("string") else pa.large_binary()
    values = pa.array(column.array).cast(layout)
    return pd.Series(values, dtype=pd.ArrowDtype(layout), name=column.name, index=column.index)


def is_real(dtype):
    """Whether a dtype is one of real numbers or booleans, nullable and Arrow ones included."""
    types = pd.api.types
    if isinstance(dtype, pd.CategoricalDtype) or types.is_complex_dtype(dtype):
        return False
    return types.is_numeric_dtype(dtype) or types.is_bool_dtype(dtype)


def key_kind(values):
    """Kind of identifiers, such as "number" or "string", however they are stored."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return key_kind(dtype.categories)
    if isinstance(dtype, pd.ArrowDtype):
        return _kind_in_arrow(dtype)
    if isinstance(dtype, pd.StringDtype):
        return "string"
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind == "mixed":
        # Objects of a single type, such as uuid.UUID, are of one kind.
        types = {type(value) for value in np.asarray(values) if not _is_null(value)}
        kind = types.pop().__name__ if len(types) == 1 else kind
    return _KIND_OF_TYPE.get(kind, kind)


def _kind_in_arrow(dtype):
    name = str(dtype.pyarrow_dtype)
    if name == "string_view":
        return "string"
    if name.startswith("dictionary"):
        return _kind_in_arrow(pd.ArrowDtype(dtype.pyarrow_dtype.value_type))
    try:
        kind = dtype.type.__name__
    except NotImplementedError:
        # pandas has no Python type for it.
        return name
    return _KIND_OF_TYPE.get(kind, kind)


def _is_null(value):
    is_nan = isinstance(value, float) and value != value
    return value is None or value is pd.NA or value is pd.NaT or is_nan


def check_keys(column):
    """Refuse a column whose values cannot serve as identifiers."""
    if column.dtype == object:
        # Objects have to be compared to find out whether they can serve.
        _factorise(column)
    else:
        check_one_kind(column, column.name)


def check_one_kind(values, name):
    """Refuse identifiers that cannot be sorted, such as numbers among strings."""
    kind = key_kind(values)
    if kind in {"mixed", "mixed-integer"}:
        raise TypeError(
            f"Column {name!r} mixes values of several types, which have no common order. Convert "
            f"it to one type, for instance with .astype(str)."
        )
    if getattr(values.dtype, "kind", "O") == "f" and values.dtype.itemsize > 8:
        kind = str(values.dtype)
    if kind in {"complex", "float128", "list", "dict", "set", "ndarray", "tuple"}:
        raise TypeError(
            f"Column {name!r} holds {kind} values (dtype {values.dtype}), which cannot be used as "
            f"identifiers. Give one string or integer per row, for instance with .explode or "
            f".astype(str)."
        )


def refuse_nulls(is_null, name, way_out):
    """Raise if any value is null."""
    refuse_null_count(int(np.count_nonzero(is_null)), name, way_out)


def refuse_null_count(n_null, name, way_out):
    """Raise unless the number of null values of a column is 0."""
    if n_null:
        raise ValueError(f"Column {name!r} has {n_null} null value(s). {way_out}")


def prune(position, table):
    """Drop the table entries that no position refers to, and renumber the positions except -1."""
    used = np.zeros(len(table) + 1, dtype=bool)
    used[position] = True
    used = used[:-1]
    renumbered = np.append(np.cumsum(used) - 1, -1).astype(position.dtype)
    return renumbered[position], table[used]
