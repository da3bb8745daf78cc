"""Engines that hold the events: what leaves them, and what they are asked."""

import subprocess
import sys
import warnings

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import pytest
from any_frame import duckdb, ibis, pa, parquet, polars_lazy, spark, whole_numbers

from sklearn_ehr import CodeCountVectorizer, Cohort, EventTable
from sklearn_ehr.cohort import _engine_events
from sklearn_ehr.utils import _any_frame

engines = pytest.mark.engines
EVENTS, SAMPLES = whole_numbers()
COLUMNS = ["patient_id", "time", "code", "visit_id", "value"]


@pytest.fixture(scope="module")
def cluster():
    """Cluster of Dask: two worker processes."""
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    with (
        distributed.LocalCluster(dashboard_address=None, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert len({worker.pid for worker in cluster.workers.values()}) == 2
        yield client


def on_dask(table, folder, cluster):
    """Events that the workers read from files."""
    import dask.dataframe

    parquet(table, folder)
    return dask.dataframe.read_parquet(folder)


HEAVY = [pytest.param(name, marks=engines) for name in ("ibis", "spark", "dask")]


@pytest.fixture(params=["polars_lazy", "duckdb", *HEAVY])
def held(request, tmp_path):
    """Events as an engine holds them."""
    if request.param == "dask":
        return on_dask(EVENTS, tmp_path, request.getfixturevalue("cluster"))
    kinds = {"polars_lazy": polars_lazy, "duckdb": duckdb, "ibis": ibis, "spark": spark}
    return kinds[request.param](EVENTS, tmp_path)


@pytest.fixture
def left(monkeypatch):
    """Tables that left an engine."""
    tables = []
    read = _any_frame.from_arrow
    monkeypatch.setattr(_any_frame, "from_arrow", lambda table: tables.append(table) or read(table))
    return tables


def some_samples():
    return SAMPLES.to_pandas()[:20]


def plan_of(frame):
    """Plan by which an engine computes a frame, as text."""
    backend = nw.from_native(frame).implementation
    if backend.is_pyspark():
        return frame._jdf.queryExecution().optimizedPlan().toString()
    if backend.is_polars() or backend.is_duckdb():
        return frame.explain()
    if backend.is_ibis():
        import ibis

        return str(ibis.to_sql(frame))
    return frame.optimize(fuse=False).expr.tree_repr()


def test_only_columns_and_patients_that_are_needed_leave_the_engine(held, left):
    samples = some_samples()
    cohort = Cohort(held, samples)
    (table,) = left
    assert sorted(table.column_names) == sorted(COLUMNS)
    wanted = np.isin(EVENTS["patient_id"].to_numpy(), samples["patient_id"])
    assert 0 < table.num_rows == wanted.sum() < len(EVENTS) / 2
    ours, theirs = (
        CodeCountVectorizer(min_frequency=2).fit_transform(c)
        for c in (cohort, Cohort(EVENTS, samples))
    )
    assert (ours != theirs).nnz == 0


def test_the_engine_is_asked_for_them(held):
    chosen = _engine_events.events_of_patients(held, some_samples()["patient_id"], "patient_id")
    plan = plan_of(nw.from_native(chosen).select(COLUMNS).to_native()).lower()
    if "polars" in type(held).__module__:
        # The plan names all columns of the frame in memory.
        assert "5/6 columns" in plan
    else:
        assert "unused" not in plan
    # Dask has no semi-join, but an inner one with distinct ids.
    assert "semi" in plan or "merge" in plan


@engines
def test_table_from_two_workers_is_that_of_memory(cluster, tmp_path):
    (tmp_path / "events").mkdir()
    events = on_dask(EVENTS, tmp_path / "events", cluster)
    expected = EventTable(EVENTS)
    for table in (EventTable(events), EventTable(events, directory=tmp_path / "store")):
        for name in ("patients", "patient_offsets", "code", "codes", "time", "value"):
            np.testing.assert_array_equal(getattr(table, name), getattr(expected, name))


CONNECT = """
import sys
import numpy as np
import pyarrow as pa
from any_frame import whole_numbers
from pyspark.sql import SparkSession
from sklearn_ehr import Cohort, EventTable

session = SparkSession.builder.remote("local[2]").config("spark.sql.session.timeZone", "UTC")
session = session.config("spark.ui.enabled", "false").getOrCreate()
events, samples = whole_numbers()
times = events["time"].cast(pa.timestamp("us", "UTC"))
events = events.set_column(events.column_names.index("time"), "time", times)
held = session.createDataFrame(events)
assert "connect" in type(held).__module__
expected = EventTable(events)
for table in (EventTable(held), EventTable(held, directory=sys.argv[1])):
    for name in ("patients", "patient_offsets", "code", "codes", "time", "value"):
        np.testing.assert_array_equal(getattr(table, name), getattr(expected, name))
samples = samples.to_pandas()[:20]
samples["prediction_time"] = samples["prediction_time"].dt.tz_localize("UTC")
assert len(Cohort(held, samples).event_table) < len(events) / 2
"""


@engines
def test_table_from_spark_connect_is_that_of_memory(tmp_path, request):
    pytest.importorskip("pyspark.sql.connect.session", reason="pyspark[connect] brings it")
    path = str(request.path.parent)
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CONNECT, tmp_path / "store"], check=True, cwd=path
    )


def dates_with_hours_of_others(kind, hours, folder):
    """Events at midnights, but one, of a patient without a sample."""
    events = EVENTS.to_pandas()
    events["time"] = events["time"].dt.normalize()
    other = ~events["patient_id"].isin(some_samples()["patient_id"])
    events.loc[other.idxmax(), "time"] += pd.Timedelta(hours=hours)
    return events, kind(pa.Table.from_pandas(events, preserve_index=False), folder)


@pytest.mark.parametrize("hours", [0, 3])
@pytest.mark.parametrize(
    "kind",
    [polars_lazy, duckdb, pytest.param(ibis, marks=engines), pytest.param(spark, marks=engines)],
)
def test_resolution_depends_on_all_events_the_engine_holds(kind, hours, tmp_path):
    events, held = dates_with_hours_of_others(kind, hours, tmp_path)
    samples = some_samples()
    samples["prediction_time"] = samples["prediction_time"].dt.normalize()
    expected = Cohort(events, samples).resolution
    assert expected == ("instant" if hours else "day")
    assert Cohort(held, samples).resolution == expected


def test_static_events_known_by_the_hour_leave_dates_dates(tmp_path):
    events = EVENTS.to_pandas()
    events["time"] = events["known_time"] = events["time"].dt.normalize()
    events.loc[0, ["time", "known_time"]] = [pd.NaT, pd.Timestamp("2020-01-01T03:00")]
    samples = some_samples().assign(prediction_time=lambda s: s["prediction_time"].dt.normalize())
    held = polars_lazy(pa.Table.from_pandas(events, preserve_index=False), tmp_path)
    for frame in (events, held):
        assert Cohort(frame, samples, null_time="static").resolution == "day"


@pytest.mark.parametrize(
    "dtype", ["category", object, "float64", "int32", "Int64", "uint64", "int64[pyarrow]"]
)
def test_ids_of_any_dtype_select_patients(dtype, left, tmp_path):
    samples = some_samples()
    samples["patient_id"] = samples["patient_id"].astype(dtype)
    Cohort(polars_lazy(EVENTS, tmp_path), samples)
    assert 0 < left[0].num_rows < len(EVENTS) / 2


def test_one_column_may_play_two_roles(tmp_path):
    samples = some_samples()
    for kind in (polars_lazy, duckdb):
        ours = Cohort(kind(EVENTS, tmp_path), samples, known_time="time")
        theirs = Cohort(EVENTS, samples, known_time="time")
        pd.testing.assert_frame_equal(ours.visible_events(), theirs.visible_events())


def test_interrupts_of_an_engine_are_interrupts():
    with pytest.raises(KeyboardInterrupt), _any_frame.errors_of_engine("events"):
        raise RuntimeError("Query interrupted")


def test_dictionaries_with_nulls_and_repeats_are_read():
    values = pa.array(["a", None, "a", "b"])
    code = pa.DictionaryArray.from_arrays(pa.array([0, 2, 3]), values)
    events = pa.table({"patient_id": [1, 1, 2], "time": [1, 2, 3], "code": code})
    assert EventTable(events).codes.tolist() == ["a", "b"]


def test_table_of_the_user_is_not_taken_for_the_patients(tmp_path):
    connection = pytest.importorskip("duckdb").connect()
    connection.from_arrow(EVENTS).create("events")
    samples = some_samples()
    expected = Cohort(connection.table("events"), samples).visible_events()
    for name in ("wanted", "native", "ids", "table"):
        connection.execute(f'CREATE TABLE "{name}" AS SELECT 1001 AS patient_id')
    ours = Cohort(connection.table("events"), samples).visible_events()
    pd.testing.assert_frame_equal(ours, expected)


def test_connection_without_variables_of_python_is_told(tmp_path):
    connection = pytest.importorskip("duckdb").connect()
    connection.from_arrow(EVENTS).create("events")
    connection.execute("SET python_enable_replacements = false")
    with pytest.raises(ValueError, match="python_enable_replacements = true"):
        Cohort(connection.table("events"), some_samples())


def test_lazy_samples_have_other_names_and_may_lack_columns(tmp_path):
    samples = SAMPLES.rename_columns({"patient_id": "subject_id"})
    held = polars_lazy(samples, tmp_path)
    assert len(Cohort(EVENTS, held)) == len(samples)
    with pytest.raises(ValueError, match="samples has no column 'patient_id'"):
        Cohort(EVENTS, held.drop("subject_id"))


def test_samples_are_read_from_files(tmp_path):
    pytest.importorskip("duckdb")
    ours = Cohort(EVENTS, parquet(SAMPLES, tmp_path)).visible_events()
    expected = Cohort(EVENTS, polars_lazy(SAMPLES, tmp_path)).visible_events()
    pd.testing.assert_frame_equal(ours, expected)


def test_other_zone_than_that_of_the_predictions_is_told(tmp_path):
    events, samples = EVENTS.to_pandas(), some_samples()
    events["time"] = events["time"].dt.tz_localize("Europe/Berlin")
    times = samples["prediction_time"]
    berlin = samples.assign(prediction_time=times.dt.tz_localize("Europe/Berlin"))
    connection = pytest.importorskip("duckdb").connect()
    connection.execute("SET TimeZone = 'Etc/UTC'")
    with pytest.warns(
        UserWarning, match="time zone Etc/UTC, and prediction or index times of Europe"
    ):
        Cohort(connection.from_df(events), berlin)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        Cohort(events, berlin)
        utc = samples.assign(prediction_time=times.dt.tz_localize("UTC"))
        Cohort(connection.from_df(events), utc)


def test_rows_of_an_engine_that_need_an_order_are_refused(tmp_path):
    samples = SAMPLES.to_pandas()
    samples = pd.concat([samples, samples[:3].assign(outcome=9)])
    held = pytest.importorskip("polars").from_pandas(samples).lazy()
    with pytest.raises(ValueError, match=r"no order, and 3 row\(s\) have the same"):
        Cohort(EVENTS, held)
    assert len(Cohort(EVENTS, held.collect())) == len(samples)


@pytest.mark.parametrize("kind", [polars_lazy, duckdb])
def test_errors_of_an_engine_print_no_cell(kind, tmp_path):
    secret = EVENTS.set_column(0, "value", pa.array(["SECRET"] * len(EVENTS)))
    held = nw.from_native(kind(secret, tmp_path)).with_columns(nw.col("value").cast(nw.Float64))
    with pytest.raises(RuntimeError, match="The engine that holds events could not") as caught:
        EventTable(held.to_native())
    assert "SECRET" not in str(caught.value)
    with pytest.raises(RuntimeError, match="The engine that holds events could not") as caught:
        EventTable(held.to_native(), directory=tmp_path / "store")
    assert "SECRET" not in str(caught.value)


def test_patients_without_events_in_an_engine_are_told(tmp_path):
    samples = some_samples().assign(patient_id=lambda rows: rows["patient_id"] + 10**6)
    with pytest.raises(ValueError, match="or none of its patients is in samples"):
        Cohort(duckdb(EVENTS, tmp_path), samples)


def test_ids_of_another_kind_are_told(tmp_path):
    samples = some_samples().assign(patient_id=lambda rows: rows["patient_id"].astype(str))
    with pytest.raises(TypeError, match="Patient ids are of type string in samples"):
        Cohort(duckdb(EVENTS, tmp_path), samples)


def test_ids_beyond_the_type_of_the_engine_are_those_of_nobody(tmp_path):
    samples = some_samples()
    narrow = EVENTS.set_column(
        EVENTS.column_names.index("patient_id"), "patient_id", EVENTS["patient_id"].cast("int16")
    )
    samples.loc[0, "patient_id"] = 2**40
    cohort = Cohort(duckdb(narrow, tmp_path), samples)
    pd.testing.assert_frame_equal(
        cohort.visible_events(), Cohort(narrow, samples).visible_events(), check_dtype=False
    )


def test_selection_leaves_the_tables_of_the_user_as_they_are(tmp_path):
    connection = pytest.importorskip("duckdb").connect()
    connection.from_arrow(EVENTS).create("events")
    for _ in range(2):
        Cohort(connection.table("events"), some_samples())
    assert connection.execute("SELECT count(*) FROM events").fetchall() == [(600,)]
    names = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    # Before version 2, DuckDB keeps a view for every query of a relation.
    assert all(name.startswith("_sklearn_ehr_") for (name,) in names)
