"""Parts of whole patients, to which DuckDB deals events that need not fit into memory."""

import logging
import shutil
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from os import PathLike, cpu_count
from time import perf_counter

import narwhals.stable.v2 as nw
import numpy as np

from ..utils import (
    as_narwhals,
    encode,
    errors_of_engine,
    files_pattern,
    from_arrow,
    import_arrow,
    open_files,
    refuse_null_count,
)
from ._layout import DROP_ROWS, find_columns, read_columns, refuse_none_left, refuse_null_times
from ._times import refuse_rounding

_EVENTS_PER_PART = 2**22
_MOST_PARTS = 1000
_MOST_THREADS = 8
_MEGABYTES = 400
_MEGABYTES_PER_THREAD = 200
_MEGABYTES_PER_PART = 8
_SAMPLE = 100_000
_ROWS_TO_CHECK = 1000
# Of the arrays of a store; the parts, which become fewer as the arrays grow, are about as large.
_BYTES_PER_EVENT = {"code": 4, "time": 8, "known_time": 16, "visit_id": 4, "value": 8}
_MORE_BYTES_OF_PARTS = 12
_SECONDS_BETWEEN_MESSAGES = 10
_log = logging.getLogger("sklearn_ehr")


@dataclass(frozen=True)
class DealtEvents:
    """Events in folders of parquet files, each with all events of some patients.

    The folders are in the order of patients. `columns` has the name of the column for each role,
    `codes` the distinct codes, ascending, `types` the Arrow type of each column of times, and
    `n_events` the number of events that are kept.
    """

    columns: dict
    codes: np.ndarray
    types: dict
    folders: list
    n_events: int

    def parts(self):
        """Columns of each part, as `read_columns` returns them; the files are removed."""
        for number, folder in enumerate(self.folders, start=1):
            yield self._read(folder)
            shutil.rmtree(folder)
            _log.info("directory: laid out part %d of %d", number, len(self.folders))

    def _read(self, folder):
        from pyarrow import parquet

        table = parquet.read_table(folder, partitioning=None, read_dictionary=["code"])
        for role, kind in self.types.items():
            position = table.column_names.index(role)
            table = table.set_column(position, role, table[role].cast(kind))
        frame = from_arrow(table)
        return {
            role: None if name is None else frame[role].rename(name)
            for role, name in self.columns.items()
        }


def deal_events(events, names, null_time, scratch, check):
    """Deal the events of an engine, or in parquet files, to parts that fit into memory.

    `check` raises for columns whose values are not accepted. All else that can be refused is
    refused here, before any event is moved.
    """
    pa = import_arrow("directory")
    frame = open_files(events, "events")
    columns = find_columns(frame, names)
    if columns["time"] is None:
        raise ValueError(
            "A store on disk needs a column of times, and events has none. Name it with time=, or "
            "leave directory=None."
        )
    used = {role: name for role, name in columns.items() if name is not None}
    source = as_narwhals(frame).select(list(dict.fromkeys(used.values())))
    check(read_columns(source.head(_ROWS_TO_CHECK).to_native(), names))
    with errors_of_engine("events"):
        schema = source.head(0).collect("pyarrow").to_native().schema
    schema = {role: schema.field(name).type for role, name in used.items()}
    _check_types(schema, used)
    if "visit_id" in used and isinstance(source.collect_schema()[used["visit_id"]], nw.Enum):
        raise TypeError(
            f"Column {used['visit_id']!r} has categories in an order of their own, which parquet "
            f"files do not hold. Cast it to strings, or to integers in that order."
        )
    connection = _connect(scratch)
    files = _files_of(events, source, scratch)
    with errors_of_engine("events"):
        relation = _read_files(connection, files, used, schema)
        facts = _facts_of(relation, schema)
    _refuse(facts, used, null_time)
    _require_space(scratch, facts["n"], used)
    types = {role: schema[role] for role in used.keys() & {"time", "known_time"}}
    for role in types.keys() & facts["rounded"]:
        types[role] = pa.float64()
        relation = relation.project(f"* REPLACE (CAST({role} AS DOUBLE) AS {role})")
    with errors_of_engine("events"):
        codes = _distinct_codes(relation, used, null_time)
        folders = _deal(connection, relation, facts["n"], scratch)
    n_events = facts["n_kept" if null_time == "drop" else "n"]
    return DealtEvents(columns, codes, types, folders, n_events)


def _check_types(schema, used):
    """Raise for identifiers of a type that not every file and engine holds as it is."""
    import pyarrow.types as types

    for role in used.keys() & {"patient_id", "code", "visit_id"}:
        kind = schema[role]
        if types.is_dictionary(kind):
            kind = kind.value_type
        of_text = str(kind) in ("string", "large_string", "string_view")
        of_number = types.is_integer(kind) or str(kind) in ("float", "double")
        if not (of_text or of_number or types.is_temporal(kind)):
            raise TypeError(
                f"Column {used[role]!r} is of the type {schema[role]}, and a store on disk holds "
                f"identifiers that are integers, strings or dates. Cast it to BIGINT or VARCHAR, "
                f"or whatever the engine calls these."
            )


def _distinct_codes(relation, used, null_time):
    is_kept = _is_kept(used) if null_time == "drop" else "true"
    codes = relation.filter(is_kept).project("code").distinct().to_arrow_table()
    return encode(from_arrow(codes)["code"].rename(used["code"]))[1]


def _connect(scratch):
    """Connection to DuckDB that uses little memory, and the disk beside the store."""
    import duckdb

    connection = duckdb.connect()
    for setting, value in {
        "threads": _n_threads(),
        "memory_limit": f"{_megabytes(0)}MB",
        "temp_directory": str(scratch / "duckdb"),
        "preserve_insertion_order": False,
        "partitioned_write_max_open_files": _MOST_PARTS,
    }.items():
        connection.execute(f"SET {setting} = $value", {"value": value})
    return connection


def _n_threads():
    return min(cpu_count() or 1, _MOST_THREADS)


def _megabytes(n_parts):
    """Memory that DuckDB may take."""
    return _MEGABYTES + _MEGABYTES_PER_THREAD * _n_threads() + _MEGABYTES_PER_PART * n_parts


def _files_of(events, source, scratch):
    """Pattern of the parquet files of the events, which an engine writes first."""
    if isinstance(events, str | PathLike):
        return files_pattern(events)
    _log.info("directory: %s writes the events to files", source.implementation)
    path = scratch / "events.parquet"
    with errors_of_engine("events"):
        if source.implementation.is_duckdb():
            # Some versions of narwhals write with another connection.
            source.to_native().write_parquet(str(path))
        else:
            source.sink_parquet(str(path))
    return files_pattern(path)


def _read_files(connection, pattern, used, schema):
    """Columns of files by role; NaN is null."""
    expressions = []
    for role, name in used.items():
        column = '"' + name.replace('"', '""') + '"'
        if str(schema[role]) in ("float", "double"):
            column = f"CASE WHEN isnan({column}) THEN NULL ELSE {column} END"
        expressions.append(f"{column} AS {role}")
    return connection.read_parquet(pattern).project(", ".join(expressions))


def _is_kept(used):
    return " AND ".join(f"{role} IS NOT NULL" for role in ("time", "known_time") if role in used)


def _facts_of(relation, schema):
    """Numbers of events and of nulls, and the integer times that nulls turn into floats."""
    facts = {
        "n": "count(*)",
        "n_kept": f"count(*) FILTER ({_is_kept(schema)})",
        "patient_id": "count(*) FILTER (patient_id IS NULL)",
        "code": "count(*) FILTER (code IS NULL)",
        "time": "count(*) FILTER (time IS NULL)",
        "known_time": "0",
    }
    if "known_time" in schema:
        facts["known_time"] = "count(*) FILTER (known_time IS NULL AND time IS NOT NULL)"
    integers = [r for r in ("time", "known_time") if r in schema and "int" in str(schema[r])]
    facts |= {f"nulls_{role}": f"count(*) - count({role})" for role in integers}
    facts |= {f"largest_{role}": f"max(abs({role}::HUGEINT))::DOUBLE" for role in integers}
    (row,) = relation.aggregate(", ".join(facts.values())).fetchall()
    facts = dict(zip(facts, row, strict=True))
    facts["rounded"] = {
        role: facts[f"largest_{role}"] for role in integers if facts[f"nulls_{role}"]
    }
    return facts


def _refuse(facts, used, null_time):
    """Raise for nulls, and for integers that would be rounded."""
    for role in ("patient_id", "code"):
        refuse_null_count(facts[role], used[role], DROP_ROWS)
    names = used["time"], used.get("known_time")
    refuse_null_times(names, (facts["time"], facts["known_time"]), null_time)
    if null_time == "drop":
        refuse_none_left(facts["n_kept"], used["time"])
    for role, largest in facts["rounded"].items():
        if largest is not None:
            refuse_rounding(np.array([largest]), used[role])


def _require_space(folder, n_events, roles):
    """Raise if the disk has too little space for the parts and the arrays."""
    n_bytes = _MORE_BYTES_OF_PARTS + sum(_BYTES_PER_EVENT.get(role, 0) for role in roles)
    free, needed = shutil.disk_usage(folder).free, n_events * n_bytes
    if free < needed:
        raise OSError(
            f"directory needs about {needed / 2**30:.1f} GiB for {n_events} events, and "
            f"{free / 2**30:.1f} GiB are free on that disk. Free some space, or choose a "
            f"directory on another disk."
        )


def _deal(connection, relation, n_events, scratch):
    """Write a folder for each part of about the same number of events; return those with events."""
    from duckdb import StarExpression

    bounds = _bounds_of(relation, -(-n_events // _EVENTS_PER_PART))
    n_parts = len(bounds) + 1
    folder = scratch / "parts"
    number = _number_of_part(bounds, 0, n_parts).alias("part")
    dealt = relation.project(StarExpression(), number)
    _log.info("directory: splitting %d events into %d parts", n_events, n_parts)
    # DuckDB holds a group of rows of every part.
    connection.execute(f"SET memory_limit = '{_megabytes(n_parts)}MB'")
    options = {"partition_by": ["part"], "compression": "lz4"}
    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(dealt.write_parquet, str(folder), **options)
        start = perf_counter()
        try:
            while wait([writing], _SECONDS_BETWEEN_MESSAGES).not_done:
                _log.info("directory: splitting since %.0f s", perf_counter() - start)
        except BaseException:
            connection.interrupt()
            raise
        writing.result()
    return sorted(folder.iterdir(), key=lambda path: int(path.name.partition("=")[2]))


def _bounds_of(relation, n_parts):
    """First patients of all parts but the first one, ascending."""
    n_parts = min(n_parts, _MOST_PARTS)
    sample = relation.query(
        "events",
        f"SELECT patient_id FROM events USING SAMPLE reservoir({_SAMPLE} ROWS) REPEATABLE (0)",
    )
    patients = sorted(patient for (patient,) in sample.fetchall())
    return sorted({patients[len(patients) * part // n_parts] for part in range(1, n_parts)})


def _number_of_part(bounds, first, stop):
    """Expression for the part of a patient, from `first` up to `stop`: a search by halves."""
    from duckdb import CaseExpression, ColumnExpression, ConstantExpression

    if stop - first == 1:
        return ConstantExpression(first)
    middle = (first + stop) // 2
    is_below = ColumnExpression("patient_id") < ConstantExpression(bounds[middle - 1])
    below, above = (_number_of_part(bounds, *ends) for ends in ((first, middle), (middle, stop)))
    return CaseExpression(is_below, below).otherwise(above)
