"""Frames of any library that narwhals knows, read as pandas."""

import errno
import os
import warnings
from contextlib import contextmanager
from glob import escape, glob
from os import PathLike, fspath

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from ._frames import key_kind, shown

_INTEGERS = {f"{sign}Int{n_bits}" for sign in ("", "U") for n_bits in (8, 16, 32, 64)}
_ACCEPTED = "a pandas DataFrame, or a frame of polars, pyarrow, DuckDB, Spark, Dask or ibis"


def as_narwhals(frame):
    """Wrap a frame, so that it is used in the same way whatever its library; others unchanged."""
    with warnings.catch_warnings():
        # It concerns those who choose the version of narwhals.
        warnings.filterwarnings("ignore", "Dask support is moving", FutureWarning)
        return nw.from_native(frame, pass_through=True)


def is_frame(value):
    """Whether a value is a frame of any library, in memory or of an engine."""
    return isinstance(value, pd.DataFrame) or isinstance(
        as_narwhals(value), nw.DataFrame | nw.LazyFrame
    )


def is_lazy(frame):
    """Whether a frame is of an engine, which holds its rows in no particular order."""
    return not isinstance(frame, pd.DataFrame) and isinstance(as_narwhals(frame), nw.LazyFrame)


def require_frame(frame, name):
    """Raise unless a parameter is a frame."""
    if not is_frame(frame):
        raise TypeError(f"{name} must be {_ACCEPTED}, got {type(frame).__name__}.")


def open_files(events, name):
    """Return a path or glob of parquet files as a DuckDB relation, anything else unchanged."""
    if not isinstance(events, str | PathLike):
        return events
    try:
        import duckdb
    except ImportError as error:
        raise ImportError(
            f"{name} in parquet files needs duckdb, which is not installed: pip install "
            f"sklearn_ehr[store]."
        ) from error
    pattern = files_pattern(events)
    if "://" not in pattern and not glob(pattern, recursive=True):
        raise FileNotFoundError(
            f"{name}={shown(fspath(events))} is no parquet file, no folder of parquet files, and "
            f"no pattern such as 'events/*.parquet' that matches any."
        )
    connection = duckdb.connect()
    try:
        relation = connection.read_parquet(pattern)
    except duckdb.Error:
        raise ValueError(
            f"{name}={shown(fspath(events))} cannot be read: a file is not of the parquet format, "
            f"or the files have different columns."
        ) from None
    zone = _zone_of(pattern)
    try:
        connection.execute("SET TimeZone = $zone", {"zone": zone})
    except duckdb.Error:
        raise ValueError(
            f"{name}={shown(fspath(events))} has times of the zone {zone!r}, which DuckDB does not "
            f"know. Write them with another zone, or read the files with pyarrow or polars."
        ) from None
    return relation


def _zone_of(pattern):
    """Time zone that the first of these parquet files was written with, which DuckDB leaves out."""
    try:
        from pyarrow import parquet

        schema = parquet.read_schema(min(glob(pattern, recursive=True)))
    except (ImportError, ValueError, OSError):
        return "UTC"
    zones = {getattr(kind, "tz", None) for kind in schema.types} - {None}
    if len(zones) > 1:
        raise ValueError(
            "The parquet files have times of several zones, which DuckDB does not keep. Write them "
            "with one zone, or read the files with pyarrow or polars."
        )
    return zones.pop() if zones else "UTC"


def files_pattern(files):
    """Pattern of the parquet files that a path, folder or pattern stands for."""
    pattern = fspath(files)
    if os.path.isdir(pattern):
        return os.path.join(escape(pattern), "**", "*.parquet")
    # A file is meant as it is, even if its name looks like a pattern.
    return escape(pattern) if os.path.isfile(pattern) else pattern


def import_arrow(frame):
    """Return pyarrow, or raise an error that names the extra that installs it."""
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError(
            f"A frame of {type(frame).__module__.partition('.')[0]} is read by way of pyarrow, "
            f"which is not installed: pip install sklearn_ehr[arrow]."
        ) from error
    return pyarrow


@contextmanager
def errors_of_engine(name):
    """Tell errors of an engine without their messages, which may quote a cell."""
    try:
        yield
    except Exception as error:
        if "no space left" in str(error).lower():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
        raise RuntimeError(
            f"The engine that holds {name} could not compute them ({type(error).__name__}). Run "
            f"the query there, such as with .collect(), .df() or .toPandas(), to see why."
        ) from None


def column_names(frame):
    """Names of the columns of a frame, Index."""
    if isinstance(frame, pd.DataFrame):
        return frame.columns
    return pd.Index(as_narwhals(frame).collect_schema().names(), dtype=object)


def read_frame(frame, name, columns=None):
    """Read columns of a frame, by default all of them, as a pandas DataFrame.

    Only these columns leave an engine. Texts and categories stay encoded as Arrow has them. A
    pandas frame is returned as it is.
    """
    require_frame(frame, name)
    if isinstance(frame, pd.DataFrame):
        return frame
    import_arrow(frame)
    source = as_narwhals(frame)
    names = column_names(frame) if columns is None else list(dict.fromkeys(columns))
    source = source.select(names)
    if isinstance(source, nw.LazyFrame):
        with errors_of_engine(name):
            source = source.collect("pyarrow")
    # That of Dask may come with its index.
    return from_arrow(source.to_arrow().select(names))


def from_arrow_column(column):
    """Convert a Series of an Arrow type to numpy's, where that can hold it."""
    import pyarrow as pa

    return _from_arrow(pa.array(column.array))


def from_arrow(table):
    """Convert an Arrow table to pandas; columns stay in Arrow where numpy cannot hold them."""
    columns = [_from_arrow(column) for column in table.unify_dictionaries().columns]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame()
    return frame.set_axis(pd.Index(table.column_names, dtype=object), axis=1)


def _from_arrow(column):
    import pyarrow as pa

    kind = column.type
    if pa.types.is_date32(kind):
        column = column.cast(pa.timestamp("s"))
    elif pa.types.is_date64(kind):
        column = column.cast(pa.timestamp("ms"))
    is_exact = not pa.types.is_integer(kind) or not column.null_count
    of_numpy = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if (of_numpy and is_exact) or pa.types.is_timestamp(column.type):
        return column.to_pandas()
    if pa.types.is_dictionary(kind):
        return column.to_pandas()
    return pd.Series(column, dtype=pd.ArrowDtype(column.type))


def select_rows(frame, column, ids):
    """Select the rows of a frame of an engine whose column is one of these ids, in the engine.

    `ids` is a Series. If these are neither integers nor strings, or the column is of another kind,
    nothing is left out.
    """
    source = as_narwhals(frame)
    dtype = source.collect_schema()[column]
    ids = ids.dropna().drop_duplicates()
    if dtype == nw.String and key_kind(ids) == "string":
        arrow_type = "string"
    elif str(dtype) in _INTEGERS and pd.api.types.is_integer_dtype(ids.dtype):
        arrow_type = str(dtype).lower()
        limits = np.iinfo(arrow_type)
        ids = ids[ids.between(limits.min, limits.max)]
    else:
        return frame
    wanted = _ids_in(source, ids, column, arrow_type).select(nw.col(column).cast(dtype))
    return source.join(wanted, on=column, how="semi").to_native()


def _ids_in(source, ids, column, arrow_type):
    """Ids as a narwhals frame of the engine that holds another one."""
    pa = import_arrow(source.to_native())
    wanted = pa.table({column: pa.array(ids).cast(pa.type_for_alias(arrow_type))})
    native, backend = source.to_native(), source.implementation
    if backend.is_duckdb():
        # A relation can only be joined with one of its own connection, which sees this variable.
        return as_narwhals(native.query("_sklearn_ehr_events", "SELECT * FROM wanted"))
    session = {"session": native.sparkSession} if backend.is_spark_like() else {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Dask support is moving", FutureWarning)
        return nw.from_native(wanted).lazy(backend, **session)
