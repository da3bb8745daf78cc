"""Event tables on disk: as in memory, and there whole or not at all."""

import json
import logging
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
import zlib
from datetime import timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from any_frame import duckdb, pa, parquet, texts_and_dates, whole_numbers
from pyarrow import parquet as pyarrow_parquet
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    EventTable,
    PatientKFold,
    VisitSequences,
    VisitSequenceTransformer,
    make_samples,
)
from sklearn_ehr.cohort import _parts, _store

for package in ("duckdb", "filelock"):
    pytest.importorskip(package, reason=f"{package} comes with the extra store")

# With 20 it takes half a minute more.
N_KILLED = int(os.environ.get("N_KILLED", "4"))
EVENTS, SAMPLES = whole_numbers()


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(_parts, "_EVENTS_PER_PART", 100)


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "events"
    folder.mkdir()
    parquet(EVENTS, folder)
    return folder


@pytest.fixture
def store(files, tmp_path, small_parts):
    EventTable(files, directory=tmp_path / "store")
    return tmp_path / "store"


def entries(folder):
    """What is in a folder, but for the empty file of a lock."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".store.lock")


def assert_same_events(ours, theirs):
    """Equal arrays, but that visit ids may be numbered in another way."""
    for name, expected in vars(theirs).items():
        if isinstance(expected, np.ndarray) and name not in ("visit", "visit_ids"):
            assert getattr(ours, name).dtype == expected.dtype, name
            np.testing.assert_array_equal(getattr(ours, name), expected)
    assert ours.columns == theirs.columns
    assert str((ours.zone, ours.known_zone)) == str((theirs.zone, theirs.known_zone))
    visit_ids = [np.append(table.visit_ids, None)[table.visit] for table in (ours, theirs)]
    assert visit_ids[0].tolist() == visit_ids[1].tolist()
    for fact in ("has_midnights_only", "has_midnights"):
        assert getattr(ours, fact) == getattr(theirs, fact)
    if theirs.known_time is not None:
        assert ours.may_be_known_early == theirs.may_be_known_early
        np.testing.assert_array_equal(ours.known_ascending, theirs.known_ascending)


@pytest.mark.parametrize("null_time", ["static", "drop"])
@pytest.mark.parametrize("tables", [whole_numbers, texts_and_dates])
@pytest.mark.parametrize("size", [10, 100, 10**6])
def test_parts_make_the_table_of_all_events(tables, null_time, size, tmp_path, monkeypatch):
    monkeypatch.setattr(_parts, "_EVENTS_PER_PART", size)
    events, _ = tables()
    ours = EventTable(parquet(events, tmp_path), null_time=null_time, directory=tmp_path / "store")
    assert_same_events(ours, EventTable(events, null_time=null_time))
    assert entries(tmp_path) == ["part-0.parquet", "part-1.parquet", "part-2.parquet", "store"]


def test_visit_ids_that_are_null_in_whole_parts(tmp_path, small_parts):
    events = EVENTS.to_pandas()
    ids = events["visit_id"].astype("Int64")
    events["visit_id"] = ids.mask((events["patient_id"] < 1030) | (events["patient_id"] % 7 == 0))
    table = pa.Table.from_pandas(events, preserve_index=False)
    ours = EventTable(parquet(table, tmp_path), directory=tmp_path / "store")
    assert_same_events(ours, EventTable(table))


@pytest.mark.parametrize(
    "time",
    [
        pd.Series(np.arange(600) % 97),
        pd.Series(np.arange(600) % 97 / 4),
        pd.Series(np.arange(600) % 97).where(np.arange(600) % 9 > 0).astype("Int64"),
        pd.Series(np.arange(600) % 97 / 4).where(np.arange(600) % 9 > 0),
        pd.Series(pd.date_range("2020-03-28", periods=600, freq="h", tz="Europe/Berlin")),
        pd.Series(pd.date_range("2020-03-28", periods=600, freq="D")).dt.as_unit("s"),
        pd.Series(pd.date_range("2020-03-28", periods=600, freq="ms")).dt.as_unit("ns"),
    ],
    ids=["integers", "floats", "integers-null", "floats-null", "aware", "seconds", "nanoseconds"],
)
def test_times_of_every_kind_stay_as_they_are(time, tmp_path, small_parts):
    events = EVENTS.to_pandas().assign(time=time)
    import duckdb

    if time.dtype.kind == "M" and getattr(time.dt, "tz", None) is not None:
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'Europe/Berlin'")
    else:
        connection = duckdb.connect()
    relation = connection.from_df(events)
    ours = EventTable(relation, null_time="static", directory=tmp_path / "store")
    assert_same_events(ours, EventTable(relation, null_time="static"))
    if time.dtype.kind != "i":
        assert (ours.time.dtype.kind == "M") == (time.dtype.kind == "M")


def minutes_ahead(minutes, *name):
    return timezone(timedelta(minutes=minutes), *name)


@pytest.mark.parametrize(
    "zone", ["Asia/Tokyo", "UTC", minutes_ahead(60, "CET"), minutes_ahead(-90.1), minutes_ahead(0)]
)
def test_zones_with_a_name_or_an_offset_are_kept(zone, tmp_path):
    events = EVENTS.to_pandas()
    events["time"] = events["time"].dt.tz_localize(zone)
    table = EventTable(events, directory=tmp_path / "store")
    moment = pd.Timestamp("2020-07-01", tz="UTC")
    assert moment.tz_convert(table.zone).utcoffset() == moment.tz_convert(zone).utcoffset()


def test_other_zones_are_refused(tmp_path):
    rule = pytest.importorskip("dateutil.tz").tzrange("EST", -18000, "EDT", -14400)
    table = EventTable(EVENTS)
    with pytest.raises(TypeError, match="zone with a name, or with a fixed offset"):
        _store._check(SimpleNamespace(**vars(table) | {"zone": rule}))


def in_order(kind):
    """Events of one patient whose visit ids have categories in an order of their own."""
    pl = pytest.importorskip("polars")
    order = ["z", "y", "x"]
    events = {"patient_id": [1, 1, 1], "visit_id": order, "code": ["a"] * 3, "time": [0] * 3}
    if kind == "pandas":
        return pd.DataFrame(events | {"visit_id": pd.Categorical(order, order, ordered=True)})
    if kind == "arrow-backed":
        ids = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array(order), ordered=True)
        return pd.DataFrame(events | {"visit_id": pd.Series(ids, dtype=pd.ArrowDtype(ids.type))})
    frame = pl.DataFrame(events).with_columns(pl.col("visit_id").cast(pl.Enum(order)))
    return frame if kind == "polars" else frame.lazy()


@pytest.mark.parametrize("kind", ["pandas", "arrow-backed", "polars", "lazy"])
@pytest.mark.parametrize("time_column", ["time", None])
def test_order_of_categories_is_that_of_visits(kind, time_column):
    cohort = Cohort(EventTable(in_order(kind), time=time_column))
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(cohort)
    assert sequences.visit_ids.tolist() == ["z", "y", "x"]


def test_order_of_categories_that_files_lose_is_refused(tmp_path):
    with pytest.raises(TypeError, match="categories in an order of their own"):
        EventTable(in_order("lazy"), directory=tmp_path / "store")
    assert entries(tmp_path) == []


def test_time_zone_of_files_is_that_which_they_were_written_with(tmp_path):
    events = EVENTS.to_pandas()
    events["time"] = events["time"].dt.tz_localize("Asia/Tokyo")
    events.to_parquet(tmp_path / "events.parquet")
    for table in (
        EventTable(tmp_path / "events.parquet"),
        EventTable(tmp_path / "events.parquet", directory=tmp_path / "store"),
    ):
        assert_same_events(table, EventTable(events))


def test_store_gives_the_sequences_counts_and_samples_of_memory(store):
    table, expected = EventTable.open(store), EventTable(EVENTS)
    samples = SAMPLES.to_pandas()
    cohorts = Cohort(table, samples), Cohort(expected, samples)
    ours, theirs = (VisitSequenceTransformer(min_frequency=2).fit_transform(c) for c in cohorts)
    for name in ("tokens", "visit_offsets", "sample_offsets", "visit_times", "visit_ids"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    ours, theirs = (CodeCountVectorizer(min_frequency=2).fit_transform(c) for c in cohorts)
    assert (ours != theirs).nnz == 0
    options = {"index": ["C03"], "outcome_codes": ["C01"], "horizon": "60D"}
    for own, other in zip(
        make_samples(table, **options), make_samples(expected, **options), strict=True
    ):
        pd.testing.assert_frame_equal(own, other)


def test_pickles_carry_the_path_and_no_events(store):
    cohort = Cohort(EventTable.open(store), SAMPLES.to_pandas())
    assert len(pickle.dumps(cohort.event_table)) < 500
    for part in (cohort, cohort[::3], cohort[:5][[1, 1]]):
        read = pickle.loads(pickle.dumps(part))
        assert read.event_table.directory == store
        pd.testing.assert_frame_equal(read.visible_events(), part.visible_events())
        assert len(pickle.dumps(part)) < 20_000


def test_worker_processes_map_the_store(store):
    samples = SAMPLES.to_pandas()
    y = np.arange(len(samples)) % 2
    model = make_pipeline(CodeCountVectorizer(min_frequency=2), LogisticRegression())
    grid = {"codecountvectorizer__min_frequency": [1, 3]}
    scores = [
        GridSearchCV(model, grid, cv=PatientKFold(3), n_jobs=n_jobs).fit(Cohort(table, samples), y)
        for table, n_jobs in ((EventTable.open(store), 2), (EventTable(EVENTS), 1))
    ]
    ours, theirs = (search.cv_results_["mean_test_score"] for search in scores)
    np.testing.assert_array_equal(ours, theirs)
    assert np.isfinite(cross_val_score(model, Cohort(EventTable.open(store), samples), y)).all()


def test_pickle_of_a_moved_store_says_so(store, tmp_path):
    content = pickle.dumps(Cohort(EventTable.open(store), SAMPLES.to_pandas())[:3])
    store.rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError, match="If the store was moved, open it at its new place"):
        pickle.loads(content)
    EventTable(EVENTS, directory=store)
    with pytest.raises(ValueError, match="holds another store than the one that was pickled"):
        pickle.loads(content)
    assert len(EventTable.open(tmp_path / "moved")) == len(EVENTS)


def test_existing_directories_are_never_replaced(store, files, tmp_path):
    with pytest.raises(ValueError, match=r"holds a store already. Open it with .open"):
        EventTable(files, directory=store)
    with pytest.raises(ValueError, match="exists already"):
        EventTable(files, directory=files)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="exists already"):
        EventTable(files, directory=tmp_path / "file")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for there in ("empty", "link"):
        with pytest.raises(ValueError, match="exists already"):
            EventTable(files, directory=tmp_path / there)
    assert len(EventTable(files, directory=str(tmp_path / "new" / "deep"))) == len(EVENTS)


def lose_array(store):
    (store / "code.npy").unlink()


def cut_array(store):
    with (store / "time.npy").open("r+b") as file:
        file.truncate(1000)


def lose_manifest(store):
    (store / "manifest.json").unlink()


def cut_manifest(store):
    path = store / "manifest.json"
    path.write_text(path.read_text()[:-20])


def change_manifest(store, drop=None, **changes):
    path = store / "manifest.json"
    content = json.loads(json.loads(path.read_text())["content"]) | changes
    content.pop(drop, None)
    text = json.dumps(content)
    path.write_text(json.dumps({"crc32": zlib.crc32(text.encode()), "content": text}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lose_array, "not intact: code.npy is missing"),
        (cut_array, "not intact: time.npy is not as long as it was"),
        (lose_manifest, "not a store of this package"),
        (cut_manifest, "not intact: manifest.json is not as it was written"),
        (lambda s: (s / "manifest.json").write_text("[]"), "manifest.json is not as it was"),
        (lambda s: (s / "manifest.json").write_bytes(b"\xff\x00"), "manifest.json is not as it"),
        (lambda s: change_manifest(s, drop="arrays"), "manifest.json is not as it was"),
        (lambda s: change_manifest(s, format=99), "has the format 99, but this version"),
        (lambda s: change_manifest(s, kind="other"), "holds 'other', not"),
        (shutil.rmtree, "There is no directory"),
    ],
)
def test_stores_that_are_not_intact_do_not_open(store, spoil, message):
    spoil(store)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        EventTable.open(store)
    assert str(store) in str(caught.value)


def test_verify_finds_a_bit_that_has_changed(store):
    path = store / "value.npy"
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(bytes(content))
    EventTable.open(store)
    with pytest.raises(ValueError, match=re.escape("not intact: value.npy has changed")):
        EventTable.open(store, verify=True)


@pytest.mark.parametrize(
    ("changes", "options", "error", "message"),
    [
        ({"time": None}, {}, ValueError, "'time' has 600 null"),
        ({"code": None}, {}, ValueError, "'code' has 600 null"),
        ({"patient_id": None}, {}, ValueError, "'patient_id' has 600 null"),
        ({"time": None}, {"null_time": "drop"}, ValueError, "leaves no events"),
        ({"time": "2020-01-01"}, {}, TypeError, "'time' holds string values"),
        ({"time": 20200101}, {}, ValueError, "dates written as numbers"),
        ({"known_time": pd.NaT}, {}, ValueError, "'known_time' has 600 null"),
        ({"known_time": 5}, {}, TypeError, "cannot be compared"),
        ({}, {"time": None}, ValueError, "A store on disk needs a column of times"),
        ({}, {"code": "icd"}, ValueError, "no column 'icd'"),
        ({}, {"null_time": "no"}, ValueError, "null_time='no' is not accepted"),
    ],
)
def test_what_is_refused_leaves_nothing(changes, options, error, message, tmp_path):
    import duckdb

    relation = duckdb.connect().from_df(EVENTS.to_pandas().assign(**changes))
    with pytest.raises(error, match=message):
        EventTable(relation, directory=tmp_path / "store", **options)
    assert entries(tmp_path) == []


@pytest.mark.parametrize("kind", [parquet, duckdb])
def test_paths_may_hold_any_character(kind, tmp_path, small_parts):
    folder = tmp_path / "it's [1] ? {a,b} *é\"%"
    folder.mkdir()
    events = kind(EVENTS, folder)
    if kind is parquet:
        events = folder / "whole[1].parquet"
        pyarrow_parquet.write_table(EVENTS, events)
    table = EventTable(events, directory=folder / "st*re [2]")
    assert_same_events(table, EventTable(EVENTS))
    assert_same_events(EventTable(events), EventTable(EVENTS))


def test_identifiers_that_files_would_round_are_refused(tmp_path):
    import duckdb

    connection = duckdb.connect()
    connection.from_arrow(EVENTS).create("events")
    for number in (1, 2**60):
        change = f"SELECT * REPLACE ({number}::HUGEINT + patient_id AS patient_id) FROM events"
        relation = connection.sql(change)
        with pytest.raises(TypeError, match=r"'patient_id' is of the type .* Cast it to BIGINT"):
            EventTable(relation, directory=tmp_path / "store")
    assert entries(tmp_path) == []


def test_cells_of_files_of_several_types_are_not_printed(tmp_path):
    events = EVENTS.to_pandas()
    events.to_parquet(tmp_path / "0.parquet")
    events = pd.concat([events] * 10)
    events.assign(patient_id="SECRET").to_parquet(tmp_path / "1.parquet")
    for options in ({}, {"directory": tmp_path / "store"}):
        with pytest.raises((RuntimeError, ValueError, TypeError)) as caught:
            EventTable(tmp_path, **options)
        assert "SECRET" not in str(caught.value)


def test_files_of_several_zones_or_columns_are_refused(tmp_path):
    events = EVENTS.to_pandas()
    for number, zone in enumerate(["Europe/Berlin", "Asia/Tokyo"]):
        zoned = events.assign(time=events["time"].dt.tz_localize(zone))
        zoned.to_parquet(tmp_path / f"{number}.parquet")
    with pytest.raises(ValueError, match=r"several zones \(Asia/Tokyo, Europe/Berlin\)"):
        EventTable(tmp_path)
    zoned.drop(columns="value").to_parquet(tmp_path / "0.parquet")
    with pytest.raises(ValueError, match="files with different columns"):
        EventTable(tmp_path)


@pytest.mark.parametrize("first", [1, None])
def test_numbers_are_not_rounded_to_the_type_of_the_first_file(first, tmp_path):
    events = EVENTS.to_pandas()
    for number, value in enumerate((first, 1.5)):
        events.assign(value=value).to_parquet(tmp_path / f"{number}.parquet")
    values = EventTable(tmp_path).value
    assert set(values[~np.isnan(values)]) == {1.5} | ({first} - {None})


def test_stores_are_not_taken_for_events(store):
    with pytest.raises(ValueError, match=r"is a store on disk: open it with EventTable.open"):
        EventTable(store)


def test_directory_is_a_path(tmp_path):
    with pytest.raises(TypeError, match="directory must be a path, got 3"):
        EventTable(EVENTS, directory=3)


def test_ids_other_than_texts_numbers_and_times_are_refused(tmp_path):
    events = EVENTS.to_pandas().assign(code=pd.Series([b"bytes"] * 600, dtype=object))
    with pytest.raises(TypeError, match=r"codes are bytes. Convert them with .astype"):
        EventTable(events, directory=tmp_path / "store")
    assert entries(tmp_path) == []


def test_too_little_space_is_told_before_any_event_is_moved(files, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(_parts.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match=r"directory needs about 0.0 GiB for 600 events"):
        EventTable(files, directory=tmp_path / "store")
    assert entries(tmp_path) == ["events"]


@pytest.fixture
def small_disk(tmp_path):
    """Disk of 2 MiB, all of it real."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no right to mount a disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("n_copies", [120, 300], ids=["arrays", "parts"])
@pytest.mark.parametrize("kind", [parquet, duckdb])
def test_disk_that_is_really_full_leaves_nothing(kind, n_copies, small_disk, tmp_path, monkeypatch):
    """Too small for the arrays, or even for the files of parts."""
    monkeypatch.setattr(_parts, "_require_space", lambda *arguments: None)
    events = pa.concat_tables([EVENTS] * n_copies)
    noise = np.random.default_rng(0).normal(size=len(events))
    events = events.set_column(events.column_names.index("value"), "value", pa.array(noise))
    events = kind(events, tmp_path)
    with pytest.raises(OSError, match="The disk became full before the store was complete"):
        EventTable(events, directory=small_disk / "store")
    assert entries(small_disk) == []


def test_progress_is_logged(files, tmp_path, small_parts, caplog):
    with caplog.at_level(logging.INFO, logger="sklearn_ehr"):
        EventTable(files, directory=tmp_path / "store")
    assert "splitting 600 events into 6 parts" in caplog.messages[0]
    assert caplog.messages[-1] == "directory: laid out part 6 of 6"


BUILD = """
import sys
from sklearn_ehr import EventTable
from sklearn_ehr.cohort import _parts, _store

_parts._EVENTS_PER_PART = 2000
print("begins", flush=True)
EventTable(sys.argv[1], directory=sys.argv[2])
print("ends", flush=True)
"""


def start_build(files, directory):
    build = subprocess.Popen(
        [sys.executable, "-c", BUILD, files, directory], stdout=subprocess.PIPE, text=True
    )
    assert build.stdout.readline() == "begins\n"
    return build


@pytest.fixture(scope="module")
def many_events(tmp_path_factory):
    """Files of 60,000 events, and about how many seconds it takes to build a store of them."""
    folder = tmp_path_factory.mktemp("many")
    events = EVENTS.to_pandas()
    events = pd.concat(
        [events.assign(patient_id=events["patient_id"] + 60 * i) for i in range(100)]
    )
    events.to_parquet(folder / "events.parquet")
    build, start = start_build(folder, folder / "store"), time.perf_counter()
    assert build.wait() == 0
    return folder / "events.parquet", time.perf_counter() - start


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("number", range(N_KILLED))
def test_killed_builds_leave_nothing_that_opens_and_end_right(number, many_events, tmp_path):
    """Killed at a random moment, then run again."""
    files, seconds = many_events
    store = tmp_path / "store"
    build = start_build(files, store)
    time.sleep(np.random.default_rng(number).uniform(0, 0.9) * seconds)
    build.kill()
    build.wait()
    was_finished = build.stdout.read() == "ends\n"
    if not was_finished and not store.exists():
        with pytest.raises(FileNotFoundError, match="There is no directory"):
            EventTable.open(store)
        assert start_build(files, store).wait() == 0
    assert_same_events(EventTable.open(store, verify=True), EventTable(files))
    assert store.stat().st_mode & 0o777 == 0o700
    assert entries(tmp_path) == ["store"]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGSTOP")
def test_directory_in_use_is_refused(many_events, tmp_path):
    import signal

    files, _ = many_events
    build = start_build(files, tmp_path / "store")
    while not (tmp_path / "store.unfinished" / "new").exists():
        time.sleep(0.001)
    build.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(ValueError, match="is being written by another process"):
            EventTable(files, directory=tmp_path / "store")
    finally:
        build.send_signal(signal.SIGCONT)
    assert build.wait() == 0
    assert len(EventTable.open(tmp_path / "store")) == 60_000


def test_stores_of_format_1_are_read():
    data = Path(__file__).parents[1] / "data"
    table = EventTable.open(data / "event_table_format_1", verify=True)
    events = Cohort(table).visible_events()
    assert events["patient_id"].tolist() == ["a", "a", "b"]
    assert events["code"].tolist() == ["x", "y", "x"]
    assert events["time"].dt.strftime("%d/%m %H:%M").tolist() == [
        "01/01 00:00",
        "01/02 00:00",
        "01/03 00:00",
    ]
    assert events["value"].fillna(0).tolist() == [1.5, 0, 2]
    sequences = VisitSequences.open(data / "sequences_format_1", verify=True)
    assert sequences.tokens.tolist() == [3, 2]
    assert sequences.earlier.tokens.tolist() == [2]
    assert sequences.visit_ids.tolist() == [None, "v2"]
