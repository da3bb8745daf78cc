"""What a fitted transformer says that it needs, and that it checks all of it."""

import json
import pickle
import warnings
from importlib.metadata import version

import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from sklearn_ehr import CodeCountVectorizer, Cohort, VisitSequenceTransformer

both_transformers = pytest.mark.parametrize(
    "Transformer", [VisitSequenceTransformer, CodeCountVectorizer]
)
VERSIONS = {name: version(name) for name in ["sklearn_ehr", "numpy", "pandas", "scikit-learn"]}
DAYS = pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04"])
EVENTS = pd.DataFrame(
    {
        "patient_id": [1, 1, 2, 2],
        "time": DAYS,
        "known_time": DAYS,
        "visit_id": [1, 2, 3, 4],
        "code": ["A", "B", "A", "A"],
        "value": [1.0, 2.0, 3.0, 4.0],
    }
)
SAMPLES = pd.DataFrame(
    {"patient_id": [1, 2], "prediction_time": pd.Timestamp("2020-02-01"), "age": [40, 60]}
)


def cohort_of(events, **options):
    return Cohort(events, SAMPLES, **{"features": ["age"], **options})


def fitted(Transformer, X, **params):
    return Transformer(min_frequency=1, **params).fit(X)


@both_transformers
def test_needs_of_dates_with_everything(Transformer):
    needs = fitted(Transformer, cohort_of(EVENTS), value_bins=2).needs
    assert needs == {
        "columns": ["patient_id", "time", "code", "visit_id", "value", "known_time"],
        "features": ["age"],
        "resolution": "day",
        "times": "datetime",
        "unit": None,
        "vocabulary_size": 3,
        "versions": VERSIONS,
    }
    assert list(needs) == [
        "columns",
        "features",
        "resolution",
        "times",
        "unit",
        "vocabulary_size",
        "versions",
    ]
    assert json.loads(json.dumps(needs)) == needs


@both_transformers
def test_needs_of_numeric_times_tell_their_order_of_magnitude(Transformer):
    numbers = EVENTS[["patient_id", "code"]].assign(time=[1000, 2000, 3000, 40])
    assert fitted(Transformer, numbers).needs == {
        "columns": ["patient_id", "time", "code"],
        "features": [],
        "resolution": None,
        "times": "number",
        "unit": "numbers of about 1e3",
        "vocabulary_size": 2,
        "versions": VERSIONS,
    }


@both_transformers
def test_needs_without_times(Transformer):
    needs = fitted(Transformer, EVENTS[["patient_id", "code", "visit_id"]]).needs
    assert needs["columns"] == ["patient_id", "code", "visit_id"]
    assert needs["times"] is None
    assert needs["unit"] is None


@both_transformers
@pytest.mark.parametrize(
    ("params", "columns"),
    [
        ({"visits": "id"}, ["visit_id"]),
        ({"visits": "day"}, []),
        ({"visits": pd.Timedelta("3D")}, []),
        ({"visits": "time", "value_bins": 2}, ["value"]),
    ],
)
def test_columns_that_are_not_read_are_not_needed(Transformer, params, columns):
    needs = fitted(Transformer, EVENTS.drop(columns="known_time"), **params).needs
    assert needs["columns"] == ["patient_id", "time", "code", *columns]


@both_transformers
def test_columns_are_called_by_their_standard_names(Transformer):
    events = EVENTS.rename(columns={"code": "icd10", "time": "date"})
    needs = fitted(Transformer, Cohort(events, code="icd10", time="date")).needs
    assert needs["columns"] == ["patient_id", "time", "code", "visit_id", "known_time"]


@both_transformers
def test_each_column_that_is_named_is_asked_for(Transformer):
    transformer = fitted(Transformer, cohort_of(EVENTS), value_bins=2)
    for name in transformer.needs["columns"]:
        without = EVENTS.drop(columns=name)
        with warnings.catch_warnings(), pytest.raises((ValueError, UserWarning)):
            warnings.simplefilter("error")
            transformer.transform(cohort_of(without))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transformer.transform(cohort_of(EVENTS))


@both_transformers
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: cohort_of(EVENTS, features=()), "lacks the features 'age'"),
        (lambda: cohort_of(EVENTS, resolution="instant"), "resolution 'instant'"),
        (
            lambda: Cohort(
                EVENTS.assign(time=[1, 2, 3, 4], known_time=[1, 2, 3, 4]),
                SAMPLES.assign(prediction_time=9),
                features=["age"],
            ),
            "have numeric times",
        ),
        (lambda: cohort_of(EVENTS.assign(code="a")), "None of the 4 visible events"),
    ],
)
def test_each_other_need_is_asked_for(Transformer, change, message):
    transformer = fitted(Transformer, cohort_of(EVENTS))
    other = change()
    with warnings.catch_warnings(), pytest.raises((ValueError, UserWarning), match=message):
        warnings.simplefilter("error")
        transformer.transform(other)


@both_transformers
def test_unit_is_asked_for(Transformer):
    numbers = EVENTS[["patient_id", "code"]].assign(time=[1000, 2000, 3000, 4000])
    with pytest.warns(UserWarning, match="numbers of about 1e3"):
        fitted(Transformer, numbers.assign(time=[1, 2, 3, 4])).transform(numbers)


@both_transformers
def test_versions_are_asked_for_when_a_saved_transformer_is_loaded(Transformer):
    transformer = fitted(Transformer, EVENTS)
    transformer._versions = {"numpy": "1.0.0"}
    assert transformer.needs["versions"] == {"numpy": "1.0.0"}
    with pytest.warns(UserWarning, match=r"numpy 1\.0\.0"):
        again = pickle.loads(pickle.dumps(transformer))
    assert again.needs == transformer.needs


@both_transformers
def test_unfitted_transformers_have_no_needs(Transformer):
    with pytest.raises(NotFittedError, match=f"This {Transformer.__name__} instance is not fitted"):
        Transformer().needs  # noqa: B018
    assert not hasattr(Transformer(), "needs")


@both_transformers
def test_needs_are_read_only(Transformer):
    transformer = fitted(Transformer, cohort_of(EVENTS))
    transformer.needs["versions"].clear()
    transformer.needs["features"].append("height")
    assert transformer.needs["versions"] == VERSIONS
    assert transformer.needs["features"] == ["age"]
    with pytest.raises(AttributeError):
        transformer.needs = {}


@both_transformers
def test_values_that_are_all_missing_are_told(Transformer):
    transformer = fitted(Transformer, cohort_of(EVENTS), value_bins=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transformer.transform(cohort_of(EVENTS))
    with pytest.warns(UserWarning, match="None of the events of X has a value"):
        transformer.transform(cohort_of(EVENTS.assign(value=float("nan"))))
