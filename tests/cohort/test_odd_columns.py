"""Columns as databases and Arrow hand them over: they work, or the package refuses them by name."""

import datetime as dt
import decimal
import pickle
import traceback
import uuid

import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import CodeCountVectorizer, Cohort, VisitSequenceTransformer

pa = pytest.importorskip("pyarrow")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*no visible event:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*come over a century after:UserWarning"),
]

EVENTS = {
    "patient_id": [1, 1, 2],
    "time": [1, 2, 3],
    "code": ["a", "b", "c"],
    "visit_id": [1, 2, 3],
    "value": [1.0, 2.0, 3.0],
    "known_time": [1, 2, 3],
}
SAMPLES = {"patient_id": [1, 2], "prediction_time": [5, 6], "person": ["x", "y"]}


def arrow(values, dtype):
    return pd.Series(pd.array(values, dtype=pd.ArrowDtype(dtype)))


def objects(*values):
    return pd.Series(np.fromiter(values, dtype=object, count=len(values)), dtype=object)


def view_of(values, dtype):
    table = pa.table({"x": pa.array(values, dtype)})
    return table.to_pandas(types_mapper=pd.ArrowDtype)["x"]


ODD = {
    "string view": view_of(["a", "b", "c"], pa.string_view()),
    "binary view": view_of([b"a", b"b", b"c"], pa.binary_view()),
    "list": arrow([["a"], ["a"], ["x"]], pa.list_(pa.string())),
    "struct": arrow([{"a": 1}] * 3, pa.struct([("a", pa.int64())])),
    "binary": arrow([b"a", b"b", b"c"], pa.binary()),
    "dictionary": arrow(["a", "b", "c"], pa.dictionary(pa.int32(), pa.string())),
    "decimal": arrow([decimal.Decimal(1)] * 3, pa.decimal128(9, 2)),
    "duration": arrow([1, 2, 3], pa.duration("s")),
    "time of day": arrow([1, 2, 3], pa.time32("s")),
    "date": arrow([1, 2, 3], pa.date32()),
    "timestamp": arrow([1, 2, 3], pa.timestamp("us")),
    "aware timestamp": arrow([1, 2, 3], pa.timestamp("us", "Europe/Berlin")),
    "null": arrow([None] * 3, pa.null()),
    "boolean": pd.Series([True, False, True]),
    "complex": pd.Series([1j, 2j, 3j]),
    "long double": pd.Series(np.array([1, 2, 3], dtype="longdouble")),
    "half": pd.Series(np.array([1, 2, 3], dtype="float16")),
    "large unsigned": pd.Series(np.array([2**63 + 1, 1, 2], dtype="uint64")),
    "large float": pd.Series([1e308, -1e308, 0.0]),
    "larger than int64": objects(10**30, 1, 2),
    "uuid": objects(*(uuid.UUID(int=i) for i in range(3))),
    "lists": objects([1], [2], [3]),
    "tuples": objects((1,), (2,), (3,)),
    "arrays": objects(np.array([1]), np.array([2]), np.array([3])),
    "functions": objects(len, max, min),
    "lone surrogate": objects("\ud800", "a", "b"),
    "two zones": objects(pd.Timestamp("2020", tz="UTC"), pd.Timestamp("2020"), None),
    "period": pd.Series(pd.period_range("2020", periods=3, freq="M")),
    "interval": pd.Series(pd.interval_range(0, 3)),
    "timedelta": pd.Series(pd.to_timedelta([1, 2, 3], "D")),
    "python dates": objects(*(dt.date(2020, 1, day) for day in (1, 2, 3))),
    "year 20000": pd.Series(np.array(["20000-01-01", "2020-01-01", "2020-01-02"], dtype="M8[s]")),
    "end of range": pd.Series(np.array([1 - 2**63, 0, 2**63 - 1], dtype="M8[ns]")),
    "category of dates": pd.Series(pd.Categorical(pd.to_datetime(["2020-01-01"] * 3))),
    "sparse": pd.Series(pd.arrays.SparseArray([1, 0, 2])),
    "nullable": pd.Series(pd.array([1, 2, None], dtype="Int8")),
    "text": pd.Series(["2020-01-01", "x", "y"]),
}
DATETIMES = {
    "date",
    "timestamp",
    "aware timestamp",
    "python dates",
    "year 20000",
    "end of range",
}


def use(events, samples=None, **options):
    """Everything that reads columns, or an error of the package's own."""
    try:
        X = Cohort(events, samples, **options)
        X.visible_events()
        repr(X), X.groups
        VisitSequenceTransformer(min_frequency=1).fit_transform(X)
        CodeCountVectorizer(min_frequency=1).fit(X).get_feature_names_out()
        pickle.loads(pickle.dumps(X[[0]])).visible_events()
    except (TypeError, ValueError) as error:
        last = traceback.extract_tb(error.__traceback__)[-1].filename
        assert "site-packages" not in last, error
        assert "sklearn_ehr" in last, error
        assert error.__suppress_context__ or error.__context__ is None
        return str(error)
    return None


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("column", EVENTS)
def test_odd_columns_of_events_work_or_are_refused_by_name(column, kind):
    values = ODD[kind]
    events = pd.DataFrame(EVENTS)
    events[column] = values
    messages = [use(events), use(events, null_time="static")]
    if column in ("time", "known_time"):
        both = events.assign(time=values, known_time=values)
        samples = pd.DataFrame({"patient_id": [1, 2], "prediction_time": values[:2]})
        messages += [
            use(both, samples),
            use(both, lookback="1D" if kind in DATETIMES else 2),
        ]
    else:
        messages.append(use(events.drop(columns=["time", "known_time"])))
    for message in messages:
        assert message is None or repr(column) in message or "'time'" in message


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("column", SAMPLES)
def test_odd_columns_of_samples_work_or_are_refused_by_name(column, kind):
    values = ODD[kind]
    samples = pd.DataFrame(SAMPLES)
    samples[column] = values[:2]
    messages = [use(pd.DataFrame(EVENTS), samples, group="person")]
    if column == "patient_id":
        messages.append(use(pd.DataFrame(EVENTS).assign(patient_id=values), samples))
    for message in messages:
        assert message is None or repr(column) in message or "'person'" in message


def test_what_databases_hand_over_works():
    for kind in ("string view", "dictionary", "uuid", "binary", "decimal", "boolean", "half"):
        assert use(pd.DataFrame(EVENTS).assign(code=ODD[kind])) is None, kind
        assert use(pd.DataFrame(EVENTS).assign(patient_id=ODD[kind])) is None, kind
    for kind in ("timestamp", "aware timestamp", "date", "python dates", "end of range"):
        events = pd.DataFrame(EVENTS).drop(columns="known_time").assign(time=ODD[kind])
        assert use(events) is None, kind
