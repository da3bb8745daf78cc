"""Columns of any frame, converted to the types of MEDS."""

import numpy as np

from ..utils import refuse_null_count


def as_ids(column, name):
    """Convert to 64-bit integers, without nulls."""
    import pyarrow as pa

    column = _decoded(column)
    refuse_null_count(column.null_count, name, "Every row of MEDS needs a subject.")
    if not pa.types.is_integer(column.type):
        raise TypeError(
            f"Column {name!r} holds {column.type}, but subjects of MEDS are integers. Number the "
            f"patients, for instance with pandas.factorize, and keep the table of both ids."
        )
    return _cast(column, name, pa.int64())


def as_times(column, name):
    """Convert to timestamps in microseconds without a zone, which are in UTC if they had one."""
    import pyarrow as pa
    import pyarrow.compute

    column, types = _decoded(column), pa.types
    kind = column.type
    if not (types.is_timestamp(kind) or types.is_date(kind) or types.is_null(kind)):
        raise TypeError(
            f"Column {name!r} holds {kind}, but times of MEDS are datetimes. Convert them, for "
            f"instance with pandas.to_datetime."
        )
    if types.is_timestamp(kind) and kind.unit == "ns":
        # A cast would round times before 1970 up.
        column = pa.compute.floor_temporal(column, unit="microsecond")
    return _cast(column, name, pa.timestamp("us"), safe=False)


def as_codes(column, name):
    """Convert to strings, without nulls."""
    import pyarrow as pa

    column = _decoded(column)
    refuse_null_count(column.null_count, name, "Every event needs a code; drop those without one.")
    return _as_strings(column, name, pa.string())


def as_texts(column, name):
    """Convert to strings of any length."""
    import pyarrow as pa

    return _as_strings(_decoded(column), name, pa.large_string())


def as_floats(column, name):
    """Convert to 32-bit floats."""
    import pyarrow as pa
    import pyarrow.compute

    column, types = _decoded(column), pa.types
    kind = column.type
    if types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif not (types.is_integer(kind) or _is_real(kind) or types.is_null(kind)):
        raise TypeError(
            f"Column {name!r} holds {kind}, but values of MEDS are numbers. Convert them, for "
            f"instance with pandas.to_numeric."
        )
    # Arrow rounds whole numbers to floats only through wider ones.
    wide = _cast(column, name, pa.float64(), safe=False)
    floats = wide.cast(pa.float32(), safe=False)
    if n_beyond := _count_infinite(floats) - _count_infinite(wide):
        raise ValueError(
            f"Column {name!r} has {n_beyond} value(s) beyond the range of 32-bit floats. Make them "
            f"null, or rescale the column."
        )
    return floats


def as_booleans(column, name):
    """Convert booleans, or numbers that are 0 or 1, to booleans, without nulls."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = _decoded(column)
    refuse_null_count(column.null_count, name, "Every sample needs an outcome.")
    if pa.types.is_boolean(column.type):
        return column
    is_number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    if not is_number or not pc.all(pc.is_in(column, pa.array([0, 1], column.type))).as_py():
        raise ValueError(
            f"{name!r} must be boolean, or 0 and 1, to be an outcome of MEDS, but has other values "
            f"({column.type})."
        )
    return column.cast(pa.bool_())


def as_predictions(y_pred, n_samples):
    """Convert predicted outcomes of shape (n,) to booleans; nulls if there are none."""
    import pyarrow as pa

    if y_pred is None:
        return pa.nulls(n_samples, pa.bool_())
    y_pred = np.asarray(y_pred)
    if y_pred.shape != (n_samples,):
        raise ValueError(
            f"y_pred has shape {y_pred.shape}, but must be ({n_samples},), as samples has "
            f"{n_samples} row(s)."
        )
    if y_pred.dtype.kind not in "biuf":
        raise TypeError(f"y_pred must be boolean, or 0 and 1, got dtype {y_pred.dtype}.")
    return as_booleans(pa.array(y_pred), "y_pred")


def as_probabilities(y_proba, n_samples):
    """Convert probabilities of shape (n,), or (n, 2), to 32-bit floats."""
    import pyarrow as pa

    try:
        y_proba = np.asarray(y_proba, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError("y_proba must be an array of numbers.") from None
    if y_proba.shape not in {(n_samples,), (n_samples, 2)}:
        raise ValueError(
            f"y_proba has shape {y_proba.shape}, but must be ({n_samples},) or ({n_samples}, 2), "
            f"as samples has {n_samples} row(s)."
        )
    y_proba = y_proba if y_proba.ndim == 1 else y_proba[:, 1]
    if not ((y_proba >= 0) & (y_proba <= 1)).all():
        raise ValueError("y_proba must be probabilities, from 0 to 1. Calibrate scores first.")
    return pa.array(y_proba.astype(np.float32))


def without_view(column):
    """Convert views of strings, of which Arrow cannot select rows."""
    import pyarrow as pa

    return column.cast(pa.large_string()) if column.type == pa.string_view() else column


def _decoded(column):
    """Values of a column of categories, and others unchanged."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        return column
    if column.type.value_type != pa.string_view():
        return column.cast(column.type.value_type)
    # Arrow does not decode those of polars.
    chunks = [part.dictionary.cast(pa.large_string()).take(part.indices) for part in column.chunks]
    return pa.chunked_array(chunks, pa.large_string())


def _as_strings(column, name, kind):
    import pyarrow as pa

    texts = {pa.string(), pa.large_string(), pa.string_view(), pa.null()}
    if column.type not in texts:
        raise TypeError(
            f"Column {name!r} holds {column.type}, but codes and texts of MEDS are strings. "
            f"Convert it, for instance with .astype(str)."
        )
    return _cast(column, name, kind)


def _cast(column, name, kind, safe=True):
    import pyarrow as pa

    try:
        return column.cast(kind, safe=safe)
    except pa.ArrowException:
        # The message quotes a cell.
        raise ValueError(
            f"Column {name!r} ({column.type}) has values beyond the range of {kind}, the type of "
            f"MEDS. Make them null, or leave these rows out."
        ) from None


def _is_real(kind):
    import pyarrow as pa

    return pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _count_infinite(column):
    import pyarrow.compute as pc

    return pc.sum(pc.is_inf(column)).as_py() or 0
