"""The same events and samples in the frames of many libraries."""

import numpy as np
import pandas as pd
import pytest

pa = pytest.importorskip("pyarrow", reason="pyarrow comes with the extra arrow")
engines = pytest.mark.engines


def numpy_backed(table, folder):
    return table.to_pandas()


def arrow_backed(table, folder):
    return table.to_pandas(types_mapper=pd.ArrowDtype)


def nullable(table, folder):
    types = {
        pa.int64(): pd.Int64Dtype(),
        pa.float64(): pd.Float64Dtype(),
        pa.string(): pd.StringDtype("python"),
    }
    return table.to_pandas(types_mapper=types.get)


def categorical(table, folder):
    return table.to_pandas(categories=[n for n in ("code", "visit_id") if n in table.column_names])


def arrow(table, folder):
    return table


def arrow_dictionary(table, folder):
    for name in ("code", "visit_id", "patient_id"):
        if name in table.column_names:
            position = table.column_names.index(name)
            # Chunks with dictionaries of their own, as a reader of parquet files makes them.
            halves = table[name].slice(0, 99), table[name].slice(99)
            chunks = [c for half in halves for c in half.dictionary_encode().chunks]
            table = table.set_column(position, name, pa.chunked_array(chunks))
    return table


def polars(table, folder):
    return pytest.importorskip("polars").from_arrow(table)


def polars_in_chunks(table, folder):
    frame = polars(table, folder)
    pl = pytest.importorskip("polars")
    return pl.concat([frame.head(len(frame) // 2), frame.tail(-(len(frame) // 2))], rechunk=False)


def polars_categorical(table, folder):
    pl = pytest.importorskip("polars")
    return pl.from_arrow(table).with_columns(pl.col(pl.String).cast(pl.Categorical))


def polars_lazy(table, folder):
    return polars(table, folder).lazy()


def duckdb(table, folder):
    connection = pytest.importorskip("duckdb").connect()
    connection.from_arrow(table).create("stored")
    return connection.table("stored")


def parquet(table, folder):
    pytest.importorskip("duckdb")
    from pyarrow import parquet

    for part, start in enumerate(range(0, len(table), 250)):
        parquet.write_table(table.slice(start, 250), folder / f"part-{part}.parquet")
    return folder / "*.parquet"


def ibis(table, folder):
    return pytest.importorskip("ibis").memtable(table)


def dask(table, folder):
    frame = pytest.importorskip("dask.dataframe").from_pandas(arrow_backed(table, folder))
    return frame.repartition(npartitions=3)


def spark(table, folder):
    pytest.importorskip("pyspark")
    from engines import spark_session

    return spark_session().createDataFrame(table)


IN_MEMORY = [
    numpy_backed,
    arrow_backed,
    nullable,
    categorical,
    arrow,
    arrow_dictionary,
    polars,
    polars_in_chunks,
    polars_categorical,
]
LAZY = [polars_lazy, duckdb]
HEAVY = [pytest.param(kind, marks=engines) for kind in (ibis, dask, spark)]


def whole_numbers():
    """Events with integers as ids, instants and values, and samples; as Arrow tables."""
    rng = np.random.default_rng(0)
    n = 600
    day = np.timedelta64(1, "D")
    start = np.datetime64("2020-01-01T08:30", "us")
    events = {
        "value": np.where(np.arange(n) % 3, rng.normal(size=n), np.nan),
        "visit_id": rng.integers(0, 200, n),
        "unused": ["x"] * n,
        "code": [f"C{code:02d}" for code in rng.integers(0, 20, n)],
        "time": start + rng.integers(0, 400, n) * day,
        "patient_id": rng.integers(1000, 1060, n),
    }
    patient = rng.permutation(np.repeat(np.arange(1001, 1063, 2), 2))
    samples = {
        "patient_id": patient,
        "prediction_time": start + rng.permutation(len(patient)) * 5 * day,
        "outcome": rng.integers(0, 2, len(patient)),
        "age": rng.integers(20, 90, len(patient)),
    }
    return pa.table(events), pa.table(samples)


def texts_and_dates():
    """Events with texts as ids, dates, known times and nulls, and samples; as Arrow tables."""
    events, samples = whole_numbers()
    columns = {name: events[name].to_numpy() for name in events.column_names}
    n = len(events)
    is_static, has_no_visit = np.arange(n) % 50 == 0, np.arange(n) % 7 == 0
    date = columns["time"].astype("M8[D]")
    known = date + (columns["visit_id"] % 9).astype("m8[D]")
    events = {
        "patient_id": [f"P{i}" for i in columns["patient_id"]],
        "code": columns["code"],
        "time": pa.array(date.astype("M8[us]"), mask=is_static),
        "known_time": pa.array(known.astype("M8[us]"), mask=is_static),
        "visit_id": pa.array([f"V{i}" for i in columns["visit_id"]], mask=has_no_visit),
    }
    samples = {
        "patient_id": [f"P{i}" for i in samples["patient_id"].to_pylist()],
        "prediction_time": samples["prediction_time"].to_numpy().astype("M8[D]").astype("M8[us]"),
        "outcome": samples["outcome"],
    }
    return pa.table(events), pa.table(samples)
