"""Tables of a database, a folder or a dict, as narwhals frames of one library."""

import os
import warnings
from collections import defaultdict
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path

import narwhals.stable.v2 as nw
import pandas as pd

from ..utils import as_narwhals, from_arrow, import_arrow, import_duckdb, is_frame, shown

_ENDINGS = (".parquet", ".csv", ".csv.gz")
_ACCEPTED = (
    "a DuckDB database (a path or a connection), a folder of parquet or CSV files, or a dict of "
    "dataframes"
)


def open_tables(source, names):
    """Tables of these names that a source has, as a dict of narwhals frames.

    Names of tables and columns are found in any case, and returned in lower case. Tables of files
    and databases are relations of DuckDB: nothing is read. The columns of CSV files are strings,
    which `pick` casts.
    """
    if isinstance(source, Mapping):
        found = _of_dict(source, names)
    elif isinstance(source, str | PathLike):
        path = Path(fspath(source))
        if not path.exists():
            raise FileNotFoundError(f"source={shown(str(path))} does not exist; give {_ACCEPTED}.")
        found = _of_folder(path, names) if path.is_dir() else _of_database(_connect(path), names)
    elif type(source).__name__ == "DuckDBPyConnection":
        found = _of_database(source, names)
    else:
        raise TypeError(f"source must be {_ACCEPTED}, got {type(source).__name__}.")
    if not found:
        raise ValueError(f"source has none of the tables {', '.join(names)}.")
    return {name: _with_lower_names(table, name) for name, table in found.items()}


def _of_dict(source, names):
    wanted = [name for name in source if str(name).lower() in names]
    for name in wanted:
        if not is_frame(source[name]):
            raise TypeError(
                f"source[{name!r}] must be a dataframe, got {type(source[name]).__name__}."
            )
    found = {str(name).lower(): _in_arrow(source[name]) for name in wanted}
    kinds = {as_narwhals(table).implementation for table in found.values()}
    if len(kinds) > 1:
        names_of_kinds = ", ".join(sorted(kind.value for kind in kinds))
        raise TypeError(
            f"The tables of source are of several libraries ({names_of_kinds}), which cannot be "
            f"joined. Convert them to one."
        )
    if any(kind.is_dask() for kind in kinds):
        raise TypeError(
            "The tables of source are of Dask, which has no null columns of a type. Write them to "
            "parquet files, and give the folder."
        )
    return found


def _in_arrow(table):
    """A pandas frame as an Arrow table, whose integers and strings may be null."""
    if not isinstance(table, pd.DataFrame):
        return table
    return import_arrow("A dict of pandas DataFrames").Table.from_pandas(
        table, preserve_index=False
    )


def as_in(source, frame):
    """Convert a narwhals frame made of tables of a source to what the source holds."""
    tables = source.values() if isinstance(source, Mapping) else []
    native = frame.to_native()
    return from_arrow(native) if any(isinstance(t, pd.DataFrame) for t in tables) else native


def _connect(path):
    duckdb = import_duckdb("A database or a folder")
    try:
        return duckdb.connect(path, read_only=True)
    except duckdb.Error as error:
        raise ValueError(
            f"source={shown(str(path))} cannot be opened as a DuckDB database "
            f"({type(error).__name__}). If another connection of this process has it open, give "
            f"that connection as source."
        ) from None


def _of_database(connection, names):
    rows = connection.execute("SELECT table_schema, table_name FROM information_schema.tables")
    schemas = defaultdict(list)
    for schema, name in rows.fetchall():
        schemas[name.lower()].append((schema, name))
    found = {name: schemas[name] for name in names if name in schemas}
    for name, places in found.items():
        if len(places) > 1:
            raise ValueError(
                f"The database has a table {name!r} in several schemas "
                f"({', '.join(schema for schema, _ in places)}). Give a dict of those to read, "
                f"such as {{{name!r}: connection.table('{places[0][0]}.{name}')}}."
            )
    quoted = {
        name: ".".join('"{}"'.format(part.replace('"', '""')) for part in place)
        for name, (place,) in found.items()
    }
    return {name: connection.table(place) for name, place in quoted.items()}


def _of_folder(folder, names):
    duckdb = import_duckdb("A database or a folder")
    files = defaultdict(list)
    for root, folders, here in os.walk(folder):
        for entry in [*folders, *here]:
            name, _, ending = entry.lower().partition(".")
            if name in names and (entry in folders or f".{ending}" in _ENDINGS):
                files[name].append(Path(root, entry))
    connection = duckdb.connect()
    found = {}
    for name, paths in files.items():
        if len(paths) > 1:
            raise ValueError(
                f"source={shown(str(folder))} has {len(paths)} files or folders of table "
                f"{name!r}. Keep one, or give a dict of dataframes."
            )
        found[name] = _relation_of(connection, paths[0], name)
    return found


def _relation_of(connection, path, name):
    duckdb = import_duckdb("A database or a folder")
    pattern = fspath(path)
    try:
        if path.is_dir():
            pattern = os.path.join(pattern, "**", "*.parquet")
            return connection.read_parquet(pattern, union_by_name=True)
        if path.suffix.lower() == ".parquet":
            return connection.read_parquet(pattern)
        return connection.read_csv(pattern, header=True, all_varchar=True)
    except duckdb.Error as error:
        # The message quotes lines of the file.
        raise ValueError(
            f"The file or folder of table {name!r} cannot be read ({type(error).__name__}): it is "
            f"not of the format that its name says."
        ) from None


def _with_lower_names(table, name):
    frame = as_narwhals(table)
    columns = frame.collect_schema().names()
    lower = [str(column).lower() for column in columns]
    if len(set(lower)) < len(lower):
        raise ValueError(
            f"Table {name!r} has columns whose names differ only in case. Rename them."
        )
    return frame.rename(dict(zip(columns, lower, strict=True)))


def pick(frame, name, columns, *, optional=()):
    """Select columns of a table, cast as a dict of names and dtypes says.

    Of those in `optional`, one that the table lacks is null; another one is an error.
    """
    present = frame.collect_schema()
    missing = [c for c in columns if c not in present and c not in optional]
    if missing:
        raise ValueError(
            f"Table {name!r} has no column {', '.join(missing)} among its {len(present)}. Rename "
            f"its columns to those of the data model."
        )
    if isinstance(frame, nw.DataFrame):
        # A column without values may be of any type.
        present = {c: dtype for c, dtype in present.items() if frame[c].null_count() < len(frame)}
    for column, dtype in columns.items():
        if column in present and dtype == nw.Datetime:
            _refuse_other_times(present[column], column, name)
    is_polars = frame.implementation.is_polars()

    def read(column, dtype):
        if column not in present:
            return nw.lit(None, dtype).cast(dtype).alias(column)
        values = nw.col(column)
        if present[column] == nw.String and dtype == nw.Datetime:
            # The Z of UTC is not read in a cast everywhere. Polars casts no strings to datetimes.
            values = values.str.replace_all("Z", "", literal=True)
            values = values.str.to_datetime() if is_polars else values
        return values.cast(dtype).alias(column)

    columns = {column: read(column, dtype) for column, dtype in columns.items()}
    if isinstance(frame, nw.DataFrame):
        _refuse_unread(frame, columns, name)
    return frame.select(*columns.values())


def _refuse_other_times(dtype, column, name):
    """Raise for dates written as numbers, and for a time zone, in which a day may be another."""
    if dtype.is_numeric() or getattr(dtype, "time_zone", None) is not None:
        raise TypeError(
            f"Column {column!r} of table {name!r} has dtype {dtype}, but must hold dates, or "
            f"datetimes in local time without a time zone. Convert it first."
        )


def _refuse_unread(frame, columns, name):
    """Raise for a column that cannot be cast, without the message, which quotes a cell."""
    for column, values in columns.items():
        try:
            frame.select(values)
        except Exception:
            raise ValueError(
                f"Column {column!r} of table {name!r} cannot be read: some of its values are not "
                f"of the type that the data model has there. Convert it first."
            ) from None


def choose_domains(tables, domains, table_of, patient):
    """Those of the domains whose table the source has, with its column of patients.

    `patient` is the name of that column, or the name in each domain. If `domains` is None, they are
    all that `table_of` names, and a warning names missing tables; otherwise these are an error.
    """
    keys = dict.fromkeys(table_of, patient) if isinstance(patient, str) else patient
    wanted = list(domains or table_of)
    chosen = [d for d in wanted if _has_column(tables.get(table_of[d]), keys[d])]
    missing = {table_of[domain]: keys[domain] for domain in wanted if domain not in chosen}
    if not missing:
        return chosen
    told = (
        f"source has no table {', '.join(missing)} with a column "
        f"{', '.join(dict.fromkeys(missing.values()))}"
    )
    if domains is not None or not chosen:
        raise ValueError(f"{told}, but the domains to read need it.")
    warnings.warn(
        f"{told}, and so no events of it. To expect only the others, name them with domains=.",
        UserWarning,
        stacklevel=3,
    )
    return chosen


def _has_column(table, column):
    """Whether there is such a table; some databases keep the place of one without its columns."""
    return table is not None and column in table.collect_schema()


def check_domains(domains, accepted):
    """Raise unless `domains` is None or a list of accepted ones."""
    if domains is None:
        return
    if isinstance(domains, str) or not len(domains):
        raise ValueError(f"domains={shown(domains)} is not accepted; give a list of strings.")
    if unknown := [domain for domain in domains if domain not in accepted]:
        raise ValueError(
            f"domains has {', '.join(map(shown, unknown))}; accepted are {', '.join(accepted)}."
        )


def require_tables(tables, names, purpose):
    """Raise unless the source has these tables."""
    if missing := [name for name in names if name not in tables]:
        raise ValueError(f"source has no table {', '.join(missing)}, needed for {purpose}.")
