"""Numbers beside codes: columns of the samples that models may read."""

import pickle
import traceback

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_ehr import Cohort, EventTable

EVENTS = pd.DataFrame(
    {"patient_id": ["Ann", "Bob", "Bob", "Cid"], "time": [1, 1, 2, 1], "code": ["HIV", "TB"] * 2}
)
SAMPLES = pd.DataFrame(
    {
        "patient_id": ["Bob", "Ann", "Cid", "Bob"],
        "prediction_time": [987, 987, 987, 988],
        "ward": [9871, 9872, 9873, 9871],
        "age": [61, 42, 53, 62],
        "bmi": [24.5, np.nan, 31.25, 25.0],
        "smoker": [True, False, False, True],
        "name": ["Bob", "Ann", "Cid", "Bob"],
    },
    index=list("wxyz"),
)
# Every cell that a message could show contains one of these.
SECRETS = ("Ann", "Bob", "Cid", "HIV", "987")


def column(values, dtype):
    return pd.Series(values, SAMPLES.index, dtype)


def cohort(**columns):
    return Cohort(EVENTS, SAMPLES.assign(**columns), features=list(columns))


def message_of(error, features, samples=SAMPLES, events=EVENTS, **options):
    with pytest.raises(error) as caught:
        Cohort(events, samples, features=features, **options)
    shown = traceback.format_exception(caught.value)
    raised = "".join(line for line in shown if not line.startswith(" "))
    assert not [secret for secret in SECRETS if secret in raised]
    return str(caught.value)


def test_features_are_the_named_columns_as_floats():
    X = Cohort(EVENTS, SAMPLES, features=["smoker", "bmi", "age"])
    expected = pd.DataFrame(
        {
            "smoker": [1.0, 0.0, 0.0, 1.0],
            "bmi": [24.5, np.nan, 31.25, 25.0],
            "age": [61.0, 42.0, 53.0, 62.0],
        },
        index=list("wxyz"),
    )
    pd.testing.assert_frame_equal(X.features, expected)
    pd.testing.assert_frame_equal(X.samples, SAMPLES)


@pytest.mark.parametrize("features", [("age", "bmi"), SAMPLES.columns[3:5]])
def test_names_may_be_a_tuple_or_an_index(features):
    assert Cohort(EVENTS, SAMPLES, features=features).features.columns.tolist() == ["age", "bmi"]


@pytest.mark.parametrize("X", [Cohort(EVENTS), Cohort(EVENTS, SAMPLES, features=[])])
def test_no_column_is_a_feature_by_default(X):
    assert X.features.shape == (len(X), 0)


@pytest.mark.parametrize("key", [[3, 0], slice(1, 3), np.array([False, True, True, False]), -1])
def test_subsets_blocks_and_pickles_keep_the_features_of_their_samples(key):
    X = Cohort(EVENTS, SAMPLES, features=["age", "bmi"])
    expected = X.features.iloc[np.atleast_1d(np.arange(4)[key])]
    for part in (X[key], pickle.loads(pickle.dumps(X[key])), pickle.loads(pickle.dumps(X))[key]):
        pd.testing.assert_frame_equal(part.features, expected)
    pd.testing.assert_frame_equal(pd.concat([b.features for b in X.blocks()]), X.features)


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("int8", [1, 0, 3, 4]),
        ("uint64", [2**64 - 1, 0, 1, 2]),
        ("float16", [1.5, np.nan, 0, -1]),
        ("longdouble", [1.5, np.nan, 0, -1]),
        ("bool", [True, False, True, True]),
        ("Int64", [1, None, 2**62 + 1, 4]),
        ("Float32", [1.5, None, 0, -1]),
        ("boolean", [True, None, False, True]),
        ("Sparse[float]", [0.0, 0.0, np.nan, 2.0]),
        ("int64[pyarrow]", [1, None, 2**62 + 1, 4]),
        ("double[pyarrow]", [1.5, None, 0, -1]),
        ("bool[pyarrow]", [True, None, False, True]),
    ],
)
def test_numbers_of_any_dtype_become_floats_with_nan_for_null(dtype, values):
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    X = cohort(score=column(values, dtype))
    expected = [np.nan if value is None else float(value) for value in values]
    for part in (X, X[[0, 1, 2, 3]]):
        assert part.features["score"].dtype == np.float64
        np.testing.assert_array_equal(part.features["score"], expected)


@pytest.mark.parametrize(
    "values",
    [
        SAMPLES["name"],
        SAMPLES["name"].astype("category"),
        column([1, 2, 1, 2], "category"),
        column([True, False] * 2, "category"),
        SAMPLES["age"].astype(object),
        SAMPLES["age"].astype(str),
        pd.to_datetime(SAMPLES["age"]),
        pd.to_timedelta(SAMPLES["age"]),
        SAMPLES["age"] + 1j,
    ],
    ids=lambda values: str(values.dtype),
)
def test_columns_that_are_not_numeric_are_refused(values):
    message = message_of(TypeError, ["score"], SAMPLES.assign(score=values))
    assert "Column 'score' (parameter features) must hold numbers or booleans" in message
    assert "pandas.to_numeric" in message


@pytest.mark.parametrize("value", [np.inf, -np.inf, 9.87e38, -1e300])
def test_values_that_32_bits_do_not_hold_are_refused(value):
    samples = SAMPLES.assign(score=[0.0, np.nan, value, value])
    message = message_of(ValueError, ["age", "score"], samples)
    assert "'score' (parameter features) has 2 value(s) that are infinite, or beyond" in message
    largest = float(np.finfo(np.float32).max)
    assert cohort(score=[largest, -largest, 0, 0]).features["score"].tolist()[0] == largest


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.floats(width=64) | st.none() | st.integers(), min_size=4, max_size=4),
    dtype=st.sampled_from(["float64", "Float64", "Int64", "int8", "object", "str", "category"]),
)
def test_hostile_columns_are_finite_floats_or_refused_by_name(values, dtype):
    try:
        samples = SAMPLES.assign(score=column(values, dtype))
    except (TypeError, ValueError, OverflowError):
        return
    try:
        features = Cohort(EVENTS, samples, features=["score"]).features["score"]
    except (TypeError, ValueError) as error:
        assert "Column 'score' (parameter features)" in str(error)
        return
    assert features.dtype == np.float64
    assert (np.abs(features[features.notna()]) <= np.finfo(np.float32).max).all()
    assert features.isna().tolist() == samples["score"].isna().tolist()


def test_one_name_without_a_list_is_told_to_write_one():
    message = message_of(TypeError, "age")
    assert "features='age' is not accepted" in message
    assert "features=['age']" in message


@pytest.mark.parametrize("features", [None, 3, [3], [["age"]], [None], {"age": 1}, SAMPLES])
def test_anything_but_a_list_of_names_is_refused(features):
    assert "give a list of names of columns of samples" in message_of(TypeError, features)


def test_missing_column_is_named():
    message = message_of(ValueError, ["age", "height"])
    assert "samples has no column 'height' (parameter features) among its 7" in message


def test_column_that_samples_have_twice_is_refused():
    samples = pd.concat([SAMPLES, SAMPLES[["age"]]], axis=1)
    assert "several columns named 'age'" in message_of(ValueError, ["age"], samples)


def test_feature_named_twice_is_refused():
    assert "holds 'age' several times" in message_of(ValueError, ["age", "bmi", "age"])


def test_features_without_samples_are_refused():
    assert "samples is None" in message_of(ValueError, ["age"], None)


@pytest.mark.parametrize("name", ["patient", "prediction_time", "ward"])
def test_patients_groups_and_prediction_times_are_no_features(name):
    ids = {"Ann": 9871, "Bob": 9872, "Cid": 9873}
    events = EVENTS.assign(patient=EVENTS["patient_id"].map(ids))
    samples = SAMPLES.assign(patient=SAMPLES["patient_id"].map(ids))
    options = {"patient_id": "patient", "group": "ward"}
    message = message_of(ValueError, ["age", name], samples, events, **options)
    assert f"Column {name!r} cannot be one of features" in message
    # Under another name its numbers may be meant.
    X = Cohort(events, samples.assign(copy=samples[name]), features=["copy"], **options)
    assert X.features["copy"].tolist() == samples[name].tolist()


def test_patient_column_that_an_event_table_names_is_no_feature():
    table = EventTable(pd.DataFrame({"pid": [1, 2], "time": 1, "code": "A"}), patient_id="pid")
    samples = pd.DataFrame({"pid": [1, 2], "prediction_time": 5})
    assert "Column 'pid' cannot be" in message_of(ValueError, ["pid"], samples, table)


def test_features_are_checked_before_the_events_are_read(monkeypatch):
    from sklearn_ehr.cohort import _cohort

    monkeypatch.setattr(_cohort, "as_event_table", lambda *args, **kwargs: pytest.fail("read"))
    message_of(TypeError, ["name"])
    message_of(ValueError, ["height"])
