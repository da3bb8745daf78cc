"""Frames of any library that narwhals knows, read as pandas."""

import errno
import os
import warnings
from contextlib import contextmanager
from secrets import token_hex

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from ._arrow import as_arrow, from_arrow, import_arrow
from ._frames import key_kind

_INTEGERS = {f"{sign}Int{n_bits}" for sign in ("", "U") for n_bits in (8, 16, 32, 64)}
_ACCEPTED = "a pandas DataFrame, or a frame of polars, pyarrow, DuckDB, Spark, Dask or ibis"


@contextmanager
def _without_warning_of_dask():
    """Ignore that its support moves: it concerns those who choose the version of narwhals."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Dask support is moving", FutureWarning)
        yield


def as_narwhals(frame):
    """Wrap a frame, so that it is used in the same way whatever its library; others unchanged."""
    with _without_warning_of_dask():
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


@contextmanager
def errors_of_engine(name):
    """Tell errors of an engine without their messages, which may quote a cell."""
    try:
        yield
    except Exception as error:
        if "interrupt" in f"{type(error).__name__} {error}".lower():
            raise KeyboardInterrupt from None
        if "no space left" in str(error).lower():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
        raise RuntimeError(
            f"The engine that holds {name} could not compute them ({type(error).__name__}). Its "
            f"message may quote patients' data, and so is not shown: run the query there, such as "
            f"with .collect(), .df() or .toPandas(), to read it."
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
    schema = as_narwhals(frame).collect_schema()
    frame = from_arrow(read_arrow(frame, name, columns))
    for column, dtype in schema.items():
        # Arrow does not always keep that these categories have an order.
        if column in frame.columns and isinstance(dtype, nw.Enum):
            frame[column] = frame[column].cat.set_categories(dtype.categories, ordered=True)
    return frame


def read_arrow(frame, name, columns=None):
    """Read columns of a frame, by default all of them, as an Arrow table."""
    require_frame(frame, name)
    pa = import_arrow(f"A frame of {type(frame).__module__.partition('.')[0]}")
    names = column_names(frame) if columns is None else pd.Index(columns).unique()
    if not names.is_unique:
        raise ValueError(f"{name} has several columns of the same name; keep one of each.")
    names = list(names)
    if isinstance(frame, pd.DataFrame):
        try:
            return pa.Table.from_pandas(frame[names], preserve_index=False)
        except (pa.ArrowException, TypeError, ValueError):
            # The message quotes a cell.
            raise TypeError(
                f"{name} has a column of mixed types, which Arrow cannot hold. Convert it to one "
                f"type, for instance with .astype(str)."
            ) from None
    source = as_narwhals(frame).select(names)
    with errors_of_engine(name):
        if isinstance(source, nw.LazyFrame):
            source = source.collect("pyarrow")
        # That of Dask may come with its index.
        return as_arrow(source.to_native()).select(names)


def select_rows(frame, column, ids):
    """Select the rows of a frame of an engine whose column is one of these ids, in the engine.

    `ids` is a Series. If these are neither integers nor strings, or the column is of another kind,
    nothing is left out.
    """
    source = as_narwhals(frame)
    dtype = source.collect_schema()[column]
    ids = pd.Series(np.asarray(ids.dropna().unique())).infer_objects()
    if ids.dtype.kind == "f" and (ids % 1 == 0).all() and (ids.abs() < 2**53).all():
        ids = ids.astype(np.int64)
    if dtype == nw.String and key_kind(ids) == "string":
        arrow_type = "string"
    elif str(dtype) in _INTEGERS and pd.api.types.is_integer_dtype(ids.dtype):
        arrow_type = str(dtype).lower()
        limits = np.iinfo(arrow_type)
        ids = ids[ids.between(limits.min, limits.max)]
    else:
        return frame
    try:
        wanted = _ids_in(source, ids, column, arrow_type).select(nw.col(column).cast(dtype))
    except UnicodeError:
        # Ids that are no valid Unicode are told when they are matched.
        return frame
    return source.join(wanted, on=column, how="semi").to_native()


def _ids_in(source, ids, column, arrow_type):
    """Ids as a narwhals frame of the engine that holds another one."""
    pa = import_arrow(f"A frame of {type(source.to_native()).__module__.partition('.')[0]}")
    return table_beside(
        source, pa.table({column: pa.array(ids).cast(pa.type_for_alias(arrow_type))})
    )


def table_beside(source, table):
    """Arrow table as a narwhals frame of the engine that holds another narwhals frame."""
    native, backend = source.to_native(), source.implementation
    if backend.is_duckdb():
        return as_narwhals(_relation_beside(native, table))
    session = {"session": native.sparkSession} if backend.is_spark_like() else {}
    with _without_warning_of_dask():
        return nw.from_native(table).lazy(backend, **session)


def _relation_beside(relation, _sklearn_ehr_table):
    """Relation of an Arrow table in the connection of another relation.

    DuckDB joins no relations of two connections, but it finds this variable, whose name no table
    has.
    """
    import duckdb

    # Before version 2, DuckDB keeps a view of this name.
    name = f"_sklearn_ehr_{token_hex(8)}"
    try:
        return relation.query(name, "SELECT * FROM _sklearn_ehr_table")
    except duckdb.CatalogException:
        raise ValueError(
            "The connection of events does not read variables of Python. Let it, with SET "
            "python_enable_replacements = true, or read all events into memory, as "
            "EventTable(events) does."
        ) from None
