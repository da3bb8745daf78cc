"""Parquet files, read as relations of DuckDB."""

import os
from glob import escape, glob
from os import PathLike, fspath

from ._arrow import import_arrow
from ._frames import shown


def import_duckdb(what):
    """Return duckdb, which something needs, or an error that names its extra."""
    try:
        import duckdb
    except ImportError as error:
        raise ImportError(
            f"{what} needs duckdb, which is not installed: pip install sklearn_ehr[store]."
        ) from error
    return duckdb


def open_files(events, name):
    """Return a path or glob of parquet files as a DuckDB relation, anything else unchanged."""
    if not isinstance(events, str | PathLike):
        return events
    duckdb = import_duckdb(f"{name} in parquet files")
    pattern = files_pattern(events)
    if "://" not in pattern and not glob(pattern, recursive=True):
        if os.path.exists(os.path.join(fspath(events), "manifest.json")):
            raise ValueError(
                f"{name}={shown(fspath(events))} is a store on disk: open it with EventTable.open."
            )
        raise FileNotFoundError(
            f"{name}={shown(fspath(events))} is no parquet file, no folder of parquet files, and "
            f"no pattern such as 'events/*.parquet' that matches any."
        )
    connection = duckdb.connect()
    try:
        # Otherwise, numbers would be rounded to the type of the first file.
        relation = connection.read_parquet(pattern, union_by_name="://" not in pattern)
    except duckdb.Error:
        raise ValueError(
            f"{name}={shown(fspath(events))} cannot be read: a file is not of the parquet format, "
            f"or the files have different columns."
        ) from None
    zone = _zone_of(glob(pattern, recursive=True), f"{name}={shown(fspath(events))}")
    try:
        connection.execute("SET TimeZone = $zone", {"zone": zone})
    except duckdb.Error:
        raise ValueError(
            f"{name}={shown(fspath(events))} has times of the zone {zone!r}, which DuckDB does not "
            f"know. Write them with another zone, or read the files with pyarrow or polars."
        ) from None
    return relation


def _zone_of(paths, what):
    """Time zone of files, which DuckDB leaves out; it also leaves out what the first one lacks.

    Files of another computer are taken as DuckDB reads them.
    """
    if not paths:
        return "UTC"
    import_arrow(what)
    from pyarrow import parquet

    schemas = [parquet.read_schema(path) for path in paths]
    if any(set(schema.names) != set(schemas[0].names) for schema in schemas):
        raise ValueError(f"{what} leads to files with different columns. Give all the same ones.")
    zones = {getattr(kind, "tz", None) for schema in schemas for kind in schema.types} - {None}
    if len(zones) > 1:
        raise ValueError(
            f"{what} has times of several zones ({', '.join(sorted(zones))}), which DuckDB does "
            f"not keep. Write them with one zone, or read the files with pyarrow or polars."
        )
    return zones.pop() if zones else "UTC"


def files_pattern(files):
    """Pattern of the parquet files that a path, folder or pattern stands for."""
    pattern = fspath(files)
    if os.path.isdir(pattern):
        return os.path.join(escape(pattern), "**", "*.parquet")
    # A file is meant as it is, even if its name looks like a pattern.
    return escape(pattern) if os.path.isfile(pattern) else pattern
