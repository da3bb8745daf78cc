"""Events laid out once: what a table holds, and that cohorts leave it as it is."""

import pickle
import tracemalloc
import uuid

import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import CodeCountVectorizer, Cohort, EventTable, VisitSequenceTransformer

EVENTS = pd.DataFrame(
    {
        "patient_id": ["b", "a", "b", "b"],
        "time": pd.to_datetime(["2020-01-03 10:00", "2020-01-01 00:00", "2020-01-02 00:00", None]),
        "code": ["X", "Y", "Z", "BIRTH"],
        "visit_id": [7, 5, None, None],
        "value": [1.5, None, None, None],
    }
)


def arrays_of(table):
    return {
        name: array
        for name, array in vars(table).items()
        if isinstance(array, np.ndarray) and name != "known_ascending"
    }


def test_table_is_sorted_by_patient_static_events_first_then_by_time():
    table = EventTable(EVENTS, null_time="static")
    assert repr(table) == (
        "EventTable(n_patients=2, n_events=4, n_codes=4, patient_id='patient_id', time='time', "
        "code='code', visit_id='visit_id', value='value', known_time=None)"
    )
    assert len(table) == 4
    assert table.patients.tolist() == ["a", "b"]
    assert table.patient_offsets.tolist() == [0, 1, 4]
    assert table.dated_starts.tolist() == [0, 2]
    assert table.codes[table.code].tolist() == ["Y", "BIRTH", "Z", "X"]
    assert table.visit_ids.tolist() == [5, 7]
    assert table.visit.tolist() == [0, -1, -1, 1]
    np.testing.assert_array_equal(table.value, [np.nan, np.nan, np.nan, 1.5])
    assert table.columns["patient_id"] == "patient_id"
    assert table.columns["known_time"] is None


def test_arrays_can_not_be_written_to():
    for name, array in arrays_of(EventTable(EVENTS, null_time="static")).items():
        assert not array.flags.writeable, name


@pytest.mark.parametrize("unit", ["s", "ns"])
@pytest.mark.parametrize("resolution", ["day", "instant"])
@pytest.mark.parametrize("lookback", [None, "1D"])
def test_cohorts_share_a_table_and_neither_change_nor_copy_it(unit, resolution, lookback):
    table = EventTable(EVENTS.assign(known_time=EVENTS["time"]), null_time="static")
    before = {name: array.copy() for name, array in arrays_of(table).items()}
    identities = {name: id(array) for name, array in arrays_of(table).items()}
    samples = pd.DataFrame(
        {"patient_id": ["a", "b"], "prediction_time": pd.to_datetime("2020-01-03")}
    )
    samples["prediction_time"] = samples["prediction_time"].dt.as_unit(unit)
    for X in (Cohort(table), Cohort(table, samples, resolution=resolution, lookback=lookback)):
        assert X.event_table is table
        assert X[[1]].event_table is table
        VisitSequenceTransformer(min_frequency=1).fit_transform(X)
        pickle.dumps(X[[0]])
    assert {name: id(array) for name, array in arrays_of(table).items()} == identities
    for name, array in arrays_of(table).items():
        np.testing.assert_array_equal(array, before[name])


def test_cohort_on_a_table_is_the_cohort_on_its_frame():
    events = EVENTS.rename(columns={"patient_id": "pid", "code": "icd"})
    samples = pd.DataFrame({"pid": ["b"], "prediction_time": pd.to_datetime(["2020-01-04"])})
    table = EventTable(events, patient_id="pid", code="icd", null_time="static")
    shared = Cohort(table, samples).visible_events()
    own = Cohort(events, samples, patient_id="pid", code="icd", null_time="static")
    pd.testing.assert_frame_equal(shared, own.visible_events())
    assert shared["code"].tolist() == ["BIRTH", "Z", "X"]
    assert Cohort(table).samples.columns.tolist() == ["pid"]
    # The samples may call the patient as they like.
    renamed = samples.rename(columns={"pid": "person"})
    assert Cohort(table, renamed, patient_id="person").groups.tolist() == ["b"]


@pytest.mark.parametrize(
    "options", [{"code": "icd"}, {"null_time": "drop"}, {"time": "when", "value": None}]
)
def test_column_names_beside_a_table_are_refused(options):
    with pytest.raises(TypeError, match=f"{', '.join(options)}.*Give it to EventTable"):
        Cohort(EventTable(EVENTS, null_time="static"), **options)


def test_table_needs_no_samples_and_gives_patients_as_index():
    X = Cohort(EventTable(EVENTS, null_time="static"))
    assert X.samples.index.tolist() == X.groups.tolist() == ["a", "b"]
    died = pd.Series({"b": 1, "a": 0})
    assert died.loc[X.samples.index].tolist() == [0, 1]


def test_pickled_table_is_the_same():
    table = EventTable(EVENTS.assign(known_time=EVENTS["time"]), null_time="static")
    assert table.known_ascending is table.known_ascending
    loaded = pickle.loads(pickle.dumps(table))
    assert "known_ascending" not in vars(loaded)
    for name, array in arrays_of(table).items():
        np.testing.assert_array_equal(getattr(loaded, name), array)
        assert not getattr(loaded, name).flags.writeable


def test_ids_of_databases_and_arrow_work():
    events = {"time": [1, 2], "code": ["a", "b"]}
    ids = [uuid.UUID(int=2), uuid.UUID(int=1)]
    X = Cohort(pd.DataFrame({"patient_id": ids, **events}))
    assert X.groups.tolist() == ids[::-1]
    samples = pd.DataFrame({"patient_id": ids, "prediction_time": 5})
    assert len(Cohort(pd.DataFrame({"patient_id": ids, **events}), samples).visible_events()) == 2
    pa = pytest.importorskip("pyarrow")
    views = pa.table({"code": pa.array(["a", "b"], pa.string_view())})
    views = views.to_pandas(types_mapper=pd.ArrowDtype)["code"]
    table = EventTable(pd.DataFrame({"patient_id": [1, 1], "time": [1, 2], "code": views}))
    assert table.codes.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("column", "values", "error", "message"),
    [
        (
            "code",
            np.array(["SECRET\ud800", "b"], dtype=object),
            ValueError,
            "not valid Unicode.*encoding",
        ),
        ("code", [["SECRET"], ["b"]], TypeError, "'code' holds list values"),
        ("code", [{"SECRET": 1}, {}], TypeError, "'code' holds dict values"),
        ("code", [1j, 2j], TypeError, "'code' holds complex values"),
        ("code", np.array([1, 2], dtype="longdouble"), TypeError, "'code' holds float"),
        ("code", ["SECRET", 1], TypeError, "'code' mixes values of several types"),
        ("code", [b"SECRET", "b"], TypeError, "'code' mixes values of several types"),
        ("patient_id", [uuid.UUID(int=1), "SECRET"], TypeError, "mixes values of several types"),
        ("visit_id", [["SECRET"], ["b"]], TypeError, "'visit_id' holds list values"),
        ("value", [1j, 2j], TypeError, "'value' must hold real numbers, got dtype complex128"),
        ("value", ["SECRET", "b"], TypeError, "'value' must hold real numbers"),
        ("time", [20200101, 20200131], ValueError, "'time' holds dates written as numbers"),
    ],
)
def test_columns_that_are_none_are_refused_by_name(column, values, error, message):
    frame = pd.DataFrame({"patient_id": [1, 1], "time": [1, 2], "code": ["a", "b"]})
    is_object = isinstance(values, np.ndarray) and values.dtype == object
    frame[column] = pd.Series(values, dtype=object if is_object else None)
    with pytest.raises(error, match=message) as caught:
        EventTable(frame)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("name", [[], ["time"], {}])
def test_column_names_that_are_none_are_refused(name):
    with pytest.raises(
        TypeError, match=f"time must be the name of a column, got a {type(name).__name__}"
    ):
        EventTable(EVENTS, time=name)


def test_missing_column_of_a_wide_frame_counts_columns_and_tells_known_names_only():
    wide = pd.crosstab(pd.Series(["B20", "F11"]), pd.Series(["MRN-001", "patient_17"]))
    with pytest.raises(ValueError, match=r"no column 'patient_id'.*among its 2;") as error:
        EventTable(wide)
    assert "MRN" not in str(error.value)
    assert "patient_17" not in str(error.value)
    renamed = EVENTS.rename(columns={"patient_id": "PERSON_ID"})
    with pytest.raises(ValueError, match="among its 5, but has 'PERSON_ID'; name another with"):
        EventTable(renamed)


def test_visit_ids_that_are_numbers_as_texts_give_no_order_without_times():
    events = pd.DataFrame({"patient_id": 1, "visit_id": ["9", "10"], "code": ["FIRST", "SECOND"]})
    with pytest.raises(
        ValueError, match=r"'visit_id'.*numbers written as strings.*integers.*ordered"
    ):
        EventTable(events)
    integers = EventTable(events.assign(visit_id=[9, 10]))
    ordered = EventTable(
        events.assign(visit_id=pd.Categorical(["9", "10"], ["9", "x", "10"], ordered=True))
    )
    for table in (integers, ordered):
        assert table.codes[table.code].tolist() == ["FIRST", "SECOND"]
    assert ordered.visit_ids.tolist() == ["9", "10"]
    # Beside times, ids only name visits.
    assert len(EventTable(events.assign(time=[1, 2]))) == 2
    assert len(EventTable(events.assign(visit_id=["v9", "v8"]))) == 2
    assert len(EventTable(events.assign(visit_id=["first", "second"]))) == 2
    with pytest.raises(ValueError, match=r"numbers written as strings.*ordered category"):
        EventTable(events.assign(visit_id=["v9", "v10"]))


@pytest.mark.parametrize("options", [{}, {"lookback": "90D"}])
def test_memory_of_a_cohort_is_bounded_by_samples_not_by_samples_times_events(options):
    n_events = n_samples = 3000
    minutes = pd.to_timedelta(np.arange(n_events), unit="min")
    time = pd.Timestamp("2020-01-01 00:00") + minutes
    events = pd.DataFrame({"patient_id": 1, "time": time, "code": "A", "known_time": time})
    samples = pd.DataFrame({"patient_id": 1, "prediction_time": time + pd.Timedelta("30D")})
    table = EventTable(events)
    Cohort(table, samples, **options)
    tracemalloc.start()
    X = Cohort(table, samples, **options)
    assert f"n_events={n_events * n_samples})" in repr(X)
    X[::2]
    pickle.dumps(X[:1500])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 9 million visible events would take 36 MB as the smallest integers.
    assert peak < 30e6


@pytest.mark.parametrize(
    "ids", [["9.0", "10.0"], ["9,000", "10,000"], ["+9", "10"], ["9a", "10a"], ["9e0", "1e1"]]
)
def test_visit_ids_that_read_as_numbers_give_no_order_without_times(ids):
    events = pd.DataFrame({"patient_id": 1, "visit_id": ids, "code": ["FIRST", "SECOND"]})
    with pytest.raises(ValueError, match="numbers written as strings"):
        EventTable(events)


def test_datetimes_are_visit_ids_too():
    ids = pd.to_datetime(["2020-01-01", "2020-01-02", None]).as_unit("ns")
    events = pd.DataFrame({"patient_id": 1, "time": [1, 2, 3], "visit_id": ids, "code": "A"})
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(Cohort(EventTable(events)))
    assert sequences.visit_ids.tolist() == [ids[0], ids[1], None]


def test_arrow_types_that_pandas_cannot_read_are_refused_by_name():
    pa = pytest.importorskip("pyarrow")
    encoded = pa.array([1, 1, 2]).run_end_encode() if hasattr(pa.Array, "run_end_encode") else None
    encoded = pa.compute.run_end_encode(pa.array([1, 1, 2])) if encoded is None else encoded
    column = pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([encoded])))
    for name in ("patient_id", "time", "value", "visit_id"):
        frame = pd.DataFrame({"patient_id": 1, "time": [1, 2, 3], "code": "A"})
        frame[name] = column
        with pytest.raises(TypeError, match=f"'{name}' is of the Arrow type run_end_encoded"):
            EventTable(frame)


def test_a_pickled_sample_without_events_is_served():
    events = pd.DataFrame({"patient_id": [1, 1], "time": [1, 2], "code": "A"})
    X = Cohort(events, pd.DataFrame({"patient_id": [1, 2]}), prediction_time=None, lookback=5)
    vectorizer = CodeCountVectorizer(min_frequency=1, windows=(3,)).fit(X)
    alone = pickle.loads(pickle.dumps(X[[1]]))
    assert vectorizer.transform(alone).toarray().tolist() == [[0.0, 0.0]]
    assert vectorizer.transform(X[[1]]).toarray().tolist() == [[0.0, 0.0]]


def test_a_pickled_sample_holds_no_other_patient_in_arrow_dictionaries_nor_attrs():
    pa = pytest.importorskip("pyarrow")
    ids = pd.Series(
        ["MRN-Ann", "MRN-Bob"], dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))
    )
    events = pd.DataFrame({"patient_id": ids, "time": [1, 2], "code": "A"})
    samples = pd.DataFrame({"patient_id": ids, "prediction_time": 5, "ward": ids})
    samples.attrs["who"] = ["MRN-Ann", "MRN-Bob"]
    dumped = pickle.dumps(Cohort(events, samples)[[0]])
    assert b"MRN-Ann" in dumped
    assert b"MRN-Bob" not in dumped
