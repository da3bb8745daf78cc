"""Tables of a database, a folder or a dict, as narwhals frames of one library."""

import csv
import gzip
import os
import warnings
from collections import defaultdict
from collections.abc import Mapping
from glob import escape
from os import PathLike, fspath
from pathlib import Path

import narwhals.stable.v2 as nw
import pandas as pd

from ..utils import as_narwhals, from_arrow, import_arrow, import_duckdb, is_frame, shown

_DATABASE = "A database or a folder"
# Rows of a lazy table that are read at once, to tell of columns that cannot be.
_N_TRIED = 1000
# At the end of a text of a time.
_OFFSET = r":\d\d(\.\d*)? ?[+-]\d\d(:?\d\d)?$"
_ENDINGS = (".parquet", ".csv", ".csv.gz")
_ACCEPTED = (
    "a DuckDB database (a path or a connection), a folder of parquet or CSV files, or a dict of "
    "dataframes"
)


def open_tables(source, names):
    """Tables of these names that a source has, as a dict of narwhals frames.

    Names of tables and columns are matched regardless of case, and returned in lower case. Tables
    of files and databases are relations of DuckDB: nothing is read. The columns of CSV files are
    strings, which `pick` casts.
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
        files = ", as files named like them (.parquet, .csv or .csv.gz)"
        raise ValueError(
            f"source has none of the tables {', '.join(names)}"
            f"{files if isinstance(source, str | PathLike) else ''}."
        )
    return {name: _with_lower_names(table, name) for name, table in found.items()}


def _of_dict(source, names):
    wanted = [name for name in source if str(name).lower() in names]
    for name in wanted:
        if not is_frame(source[name]):
            raise TypeError(
                f"source[{name!r}] must be a dataframe, got {type(source[name]).__name__}."
            )
    found = {str(name).lower(): _in_arrow(source[name], name) for name in wanted}
    if len(found) < len(wanted):
        raise ValueError("source has tables whose names differ only in case. Keep one of each.")
    kinds = {as_narwhals(source[name]).implementation for name in wanted}
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


def _in_arrow(table, name):
    """A pandas frame as an Arrow table, whose integers and strings may be null."""
    if not isinstance(table, pd.DataFrame):
        return table
    pa = import_arrow("A dict of pandas DataFrames")
    if not table.columns.is_unique:
        raise ValueError(f"Table {name!r} has several columns of the same name. Keep one of each.")

    def convert(column):
        try:
            return pa.array(column, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError):
            # Of mixed types, such as columns of which pandas guesses the type in parts.
            return pa.array(column.astype("string"), pa.string(), from_pandas=True)

    return pa.table({str(label): convert(column) for label, column in table.items()})


def as_in(source, frame):
    """Convert a narwhals frame made of tables of a source to what the source holds."""
    tables = source.values() if isinstance(source, Mapping) else []
    native = frame.to_native()
    return from_arrow(native) if any(isinstance(t, pd.DataFrame) for t in tables) else native


def _connect(path):
    duckdb = import_duckdb(_DATABASE)
    try:
        # Attached, as DuckDB before version 2 makes views in the database that it is connected to.
        connection = duckdb.connect()
        path_in_sql = str(path).replace("'", "''")
        connection.execute(f"ATTACH '{path_in_sql}' AS source (READ_ONLY)")
        return connection
    except duckdb.Error as error:
        raise ValueError(
            f"source={shown(str(path))} cannot be opened as a DuckDB database "
            f"({type(error).__name__}). If another connection of this process has it open, give "
            f"that connection as source."
        ) from None


def _of_database(connection, names):
    rows = connection.execute(
        "SELECT table_catalog, table_schema, table_name FROM information_schema.tables"
    )
    places_of = defaultdict(list)
    for place in rows.fetchall():
        places_of[place[-1].lower()].append(place)
    found = {name: places_of[name] for name in names if name in places_of}
    for name, places in found.items():
        if len(places) > 1:
            schemas = [".".join(place[:-1]) for place in places]
            raise ValueError(
                f"The database has a table {name!r} in several schemas ({', '.join(schemas)}). "
                f"Give a dict of those to read, such as "
                f"{{{name!r}: connection.table('{schemas[0]}.{name}')}}."
            )
    quoted = {
        name: ".".join('"{}"'.format(part.replace('"', '""')) for part in place)
        for name, (place,) in found.items()
    }
    return {name: connection.table(place) for name, place in quoted.items()}


def _of_folder(folder, names):
    connection = import_duckdb(_DATABASE).connect()
    return {
        name: _relation_of(connection, path, name) for name, path in _find(folder, names).items()
    }


def _find(folder, names):
    """Path of the file or folder of each table, anywhere within a folder."""
    found = defaultdict(list)
    for root, folders, files in os.walk(folder):
        for entry in [*folders, *files]:
            name, _, ending = entry.lower().partition(".")
            if name in names and (entry in folders or f".{ending}" in _ENDINGS):
                found[name].append(Path(root, entry))
        # The files in the folder of a table are its parts, whatever their names.
        folders[:] = [entry for entry in folders if entry.lower() not in names]
    for name, paths in found.items():
        if len(paths) > 1:
            raise ValueError(
                f"source={shown(str(folder))} has {len(paths)} files or folders of table "
                f"{name!r}. Keep one, or give a dict of dataframes."
            )
    return {name: paths[0] for name, paths in found.items()}


def _relation_of(connection, path, name):
    paths = [path]
    if path.is_dir():
        paths = sorted(file for file in path.rglob("*") if file.name.lower().endswith(_ENDINGS))
    are_parquet = [file.suffix.lower() == ".parquet" for file in paths]
    if not paths or any(are_parquet) != all(are_parquet):
        raise ValueError(
            f"The folder of table {name!r} must hold parquet files, or CSV files, and not both."
        )
    # DuckDB takes each for a pattern.
    patterns = [escape(fspath(file)) for file in paths]
    try:
        if are_parquet[0]:
            return connection.read_parquet(patterns, union_by_name=True)
        return connection.read_csv(patterns, **_dialect(paths))
    except (import_duckdb(_DATABASE).Error, UnicodeError, csv.Error, EOFError, gzip.BadGzipFile):
        # The message quotes lines of the file.
        raise ValueError(
            f"The file or folder of table {name!r} cannot be read: it is not of the format that "
            f"its name says. CSV files must be in UTF-8, all with the same header, and with a "
            f"value for each column in every line."
        ) from None


def _dialect(paths):
    """How CSV files are to be read, by their header: a guess by the first lines may be wrong."""
    headers = {_header_of(path) for path in paths}
    if len(headers) > 1:
        raise csv.Error("Files have different headers.")
    (header,) = headers
    separator = max(",\t;|", key=header.count)
    # The vocabularies of OMOP come with tabs, and with quotes that are part of names.
    quote = "" if separator == "\t" else '"'
    quoting = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
    (names,) = csv.reader([header], delimiter=separator, quoting=quoting)
    # Lines may end with a separator.
    names = [name.strip() or f"_column_{position}" for position, name in enumerate(names)]
    if len(set(names)) < len(names):
        raise csv.Error("Columns have the same name.")
    return {
        "auto_detect": False,
        "header": True,
        "columns": dict.fromkeys(names, "VARCHAR"),
        "sep": separator,
        "quotechar": quote,
        "escapechar": quote,
    }


def _header_of(path):
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        header = file.readline().rstrip("\r\n")
    if not header:
        raise csv.Error("The file is empty.")
    return header


def _with_lower_names(table, name):
    frame = as_narwhals(table)
    columns = frame.collect_schema().names()
    lower = [str(column).lower() for column in columns]
    if len(set(lower)) < len(lower):
        raise ValueError(
            f"Table {name!r} has columns whose names differ only in case. Rename them."
        )
    return frame.rename(dict(zip(columns, lower, strict=True)))


def pick(frame, name, dtypes, *, optional=()):
    """Select columns of a table, cast as a dict of names and dtypes says.

    Of those in `optional`, one that the table lacks is null; another one is an error. Texts that
    are blank are null.
    """
    present = frame.collect_schema()
    missing = [c for c in dtypes if c not in present and c not in optional]
    if missing:
        raise ValueError(
            f"Table {name!r} has no column {', '.join(missing)} among its {len(present)}. Rename "
            f"its columns to those of the data model."
        )
    if isinstance(frame, nw.DataFrame):
        # A column without values may be of any type.
        present = {c: dtype for c, dtype in present.items() if frame[c].null_count() < len(frame)}
    if frame.implementation.is_duckdb():
        _refuse_broken_lines(frame, name)
    for column, dtype in dtypes.items():
        if column in present and dtype == nw.Datetime:
            _refuse_other_times(frame, column, name)
    is_polars = frame.implementation.is_polars()

    def read(column, dtype):
        if column not in present:
            return nw.lit(None, dtype).cast(dtype).alias(column)
        values = nw.col(column)
        if present[column] == nw.String:
            values = nw.when(values.str.strip_chars() != "").then(values)
        if present[column] == nw.String and dtype == nw.Datetime:
            # The Z of UTC is not read in a cast everywhere. Polars casts no strings to datetimes.
            values = values.str.replace_all("Z", "", literal=True)
            values = values.str.to_datetime() if is_polars else values
        return values.cast(dtype).alias(column)

    columns = {column: read(column, dtype) for column, dtype in dtypes.items()}
    if isinstance(frame, nw.DataFrame):
        _refuse_unread(frame, columns, name)
    elif frame.implementation.is_duckdb():
        # The rest is read later, when an error can no longer name the column.
        _refuse_unread(frame.head(_N_TRIED), columns, name)
    return frame.select(*columns.values())


def _refuse_broken_lines(frame, name):
    """Raise if the first rows cannot be read as they are, such as those of a CSV file."""
    try:
        frame.head(_N_TRIED).collect("pyarrow")
    except Exception:
        raise ValueError(
            f"The rows of table {name!r} cannot be read. In CSV files, every line must have as "
            f"many values as the header, and texts with a separator must be quoted."
        ) from None


def _refuse_other_times(frame, column, name):
    """Raise for dates written as numbers, and for a time zone, in which a day may be another."""
    dtype = frame.collect_schema()[column]
    has_zone = getattr(dtype, "time_zone", None) is not None
    if dtype == nw.String and frame.implementation.is_duckdb():
        # In a cast, DuckDB ignores the offset of a text.
        first = frame.select(column).head(_N_TRIED).filter(nw.col(column).str.contains(_OFFSET))
        has_zone = len(first.collect("pyarrow")) > 0
    if dtype.is_numeric() or has_zone:
        raise TypeError(
            f"Column {column!r} of table {name!r} has dtype {dtype}, but must hold dates, or "
            f"datetimes in local time without a time zone. Convert it first."
        )


def _refuse_unread(frame, columns, name):
    """Raise for a column that cannot be cast, without the message, which quotes a cell."""
    for column, values in columns.items():
        try:
            frame.lazy().select(values).collect("pyarrow")
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
    wanted = list(dict.fromkeys(domains or table_of))
    chosen = [d for d in wanted if _has_column(tables.get(table_of[d]), keys[d])]
    missing = {table_of[domain]: keys[domain] for domain in wanted if domain not in chosen}
    if not missing:
        return chosen
    absent = ", ".join(name for name in missing if name not in tables)
    lacks = [f"no table {absent}"] if absent else []
    lacks += [f"no column {key} in table {name}" for name, key in missing.items() if name in tables]
    lacks = f"source has {', '.join(lacks)}"
    if domains is not None or not chosen:
        raise ValueError(f"{lacks}, but the domains to read need it.")
    warnings.warn(
        f"{lacks}, so it has no such events. To silence this warning, name the domains you want "
        f"with domains=.",
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
    if not isinstance(domains, list | tuple) or not domains:
        raise ValueError(f"domains={shown(domains)} is not accepted; give a list of strings.")
    if unknown := [domain for domain in domains if domain not in list(accepted)]:
        raise ValueError(
            f"domains has {', '.join(map(shown, unknown))}; accepted are {', '.join(accepted)}."
        )


def require_tables(tables, names, purpose):
    """Raise unless the source has these tables."""
    if missing := [name for name in names if name not in tables]:
        raise ValueError(f"source has no table {', '.join(missing)}, needed for {purpose}.")
