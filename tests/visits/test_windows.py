"""Windows and gaps against exact arithmetic, for times as far apart as they can be."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from sklearn_ehr import CodeCountVectorizer, Cohort, VisitSequences, VisitSequenceTransformer
from sklearn_ehr.utils import _ragged

DAY = 86_400 * 10**9
NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
# Cohort takes no integers beyond these.
LOWEST, HIGHEST = -(2**63) + 2**10, 2**63 - 2**10
ANY_TIME = st.one_of(st.integers(LOWEST, HIGHEST), st.integers(-5, 5), st.just(HIGHEST))


def counts_within(events, window, samples=None):
    """Codes that a window counts, a set for each sample."""
    cohort = Cohort(events, samples)
    vectorizer = CodeCountVectorizer(
        min_frequency=1, windows=(window,), visits="time", sparse_output=False
    )
    counts = vectorizer.fit_transform(cohort)
    n_codes = len(vectorizer.vocabulary_.codes)
    return [set(vectorizer.vocabulary_.codes[row[n_codes:] > 0].tolist()) for row in counts]


def events_at(times):
    codes = [f"C{i:02}" for i in range(len(times))]
    return pd.DataFrame({"patient_id": 1, "time": times, "code": codes})


@settings(deadline=None, max_examples=200)
@given(
    times=st.lists(ANY_TIME, min_size=1, max_size=6),
    length=st.one_of(st.integers(1, 2**63 - 1), st.integers(1, 9)),
)
@example(times=[LOWEST, HIGHEST], length=1)
@example(times=[LOWEST, HIGHEST], length=2**63 - 1)
@example(times=[0, 1, 2, 3], length=2)
def test_window_of_integer_times_is_exact(times, length):
    expected = {f"C{i:02}" for i, time in enumerate(times) if max(times) - time < length}
    assert counts_within(events_at(times), length) == [expected]


@settings(deadline=None, max_examples=200)
@given(
    times=st.lists(ANY_TIME, min_size=1, max_size=6),
    ends=st.lists(ANY_TIME, min_size=1, max_size=3),
    length=st.fractions(Fraction(1, 8), 9, max_denominator=8),
)
@pytest.mark.filterwarnings("ignore:.*no visible event:UserWarning")
def test_window_before_the_prediction_is_exact(times, ends, length):
    assume(min(times) <= max(ends))
    # Numbers that all read as dates are refused.
    assume(not all(1900_01_01 <= number <= 2100_12_31 for number in ends))
    assume(not all(1900_01_01 <= number <= 2100_12_31 for number in times))
    samples = pd.DataFrame({"patient_id": 1, "prediction_time": ends})
    expected = [
        {f"C{i:02}" for i, time in enumerate(times) if 0 <= end - time < length} for end in ends
    ]
    assert counts_within(events_at(times), float(length), samples) == expected


@settings(deadline=None, max_examples=100)
@given(
    times=st.lists(st.integers(0, 10**6), min_size=1, max_size=6),
    unit=st.sampled_from(list(NANOSECONDS)),
    length=st.integers(1, 10**15),
)
def test_window_of_datetimes_is_exact_in_any_unit(times, unit, length):
    # Never midnight, which would stand for a whole day.
    start = np.datetime64("2020-01-01T01:00", unit)
    steps = [time % 7200 for time in times]
    events = events_at(start + np.array(steps, dtype=f"timedelta64[{unit}]"))
    expected = {
        f"C{i:02}"
        for i, step in enumerate(steps)
        if (max(steps) - step) * NANOSECONDS[unit] < length
    }
    assert counts_within(events, np.timedelta64(length, "ns")) == [expected]


@pytest.mark.parametrize("unit", list(NANOSECONDS))
def test_window_holds_no_event_at_exactly_its_length(unit):
    hour = np.array(["2020-01-01T01", "2020-01-02T01", "2020-01-02T02", "2020-01-03T01"])
    events = events_at(hour.astype(f"datetime64[{unit}]"))
    assert counts_within(events, "2D") == [{"C01", "C02", "C03"}]
    assert counts_within(events, "1D") == [{"C02", "C03"}]
    assert counts_within(events, pd.Timedelta("1D") + pd.Timedelta("1ns")) == [
        {"C01", "C02", "C03"}
    ]


@pytest.mark.filterwarnings("ignore:.*no visible event:UserWarning")
@pytest.mark.parametrize("lookback", [1, 2, 3.5])
def test_window_counts_what_a_lookback_shows(lookback):
    rng = np.random.default_rng(0)
    events = pd.DataFrame(
        {
            "patient_id": rng.integers(0, 20, 400),
            "time": rng.integers(0, 20, 400),
            "code": rng.choice(list("ABCDE"), 400),
        }
    )
    samples = pd.DataFrame({"patient_id": np.arange(20), "prediction_time": 12})
    params = {"min_frequency": 1, "visits": "time", "sparse_output": False}
    both = CodeCountVectorizer(**params, windows=(lookback,)).fit_transform(Cohort(events, samples))
    alone = CodeCountVectorizer(**params).fit_transform(Cohort(events, samples, lookback=lookback))
    assert alone.sum() >= 20
    np.testing.assert_array_equal(both[:, 5:], alone)


SHIFTED = ["1851-03-01 00:00", "2151-03-02 10:00", "2151-03-20 11:00"]


@pytest.mark.parametrize("kind", ["us", "ns", "integers"])
def test_births_shifted_by_300_years_are_a_visit_and_a_window_of_their_own(kind):
    times = pd.to_datetime(SHIFTED).as_unit("ns" if kind == "integers" else kind)
    events = pd.DataFrame({"patient_id": 1, "time": times, "code": ["BIRTH", "ADM", "LATER"]})
    gaps, year = [pd.Timedelta("12h"), pd.Timedelta("7D"), pd.Timedelta("18D")], "365D"
    if kind == "integers":
        events["time"] = events["time"].astype("int64")
        gaps, year = [DAY // 2, 7 * DAY, 18 * DAY], 365 * DAY
    for gap in gaps:
        sequences = VisitSequenceTransformer(min_frequency=1, visits=gap).fit_transform(events)
        assert sequences.lengths.tolist() == [3]
    assert counts_within(events, year) == [{"ADM", "LATER"}]


@settings(deadline=None, max_examples=200)
@given(
    times=st.lists(ANY_TIME, min_size=2, max_size=8),
    gap=st.one_of(st.integers(1, 2**63 - 1), st.integers(1, 9), st.sampled_from([0.5, 2.5])),
)
@example(times=[LOWEST, HIGHEST], gap=2**63 - 1)
@example(times=[-(2**62), 2**62], gap=2**63 - 1)
@example(times=[-(2**62), 2**62 - 1], gap=2**63 - 1)
def test_visits_by_gap_of_integer_times_are_exact(times, gap):
    ordered = sorted(times)
    expected = 1 + sum(b - a > gap for a, b in pairwise(ordered))
    transformer = VisitSequenceTransformer(min_frequency=1, visits=gap)
    assert transformer.fit_transform(events_at(times)).lengths.tolist() == [expected]


@settings(deadline=None, max_examples=100)
@given(
    times=st.lists(st.integers(-(2**63) + 2**61, 2**63 - 2**61), min_size=2, max_size=6),
    gap=st.integers(1, 2**62),
)
@example(times=[-(2**62), 2**62], gap=2**62)
def test_visits_by_gap_of_nanoseconds_are_exact(times, gap):
    ordered = sorted(times)
    expected = 1 + sum(b - a > gap for a, b in pairwise(ordered))
    events = events_at(np.array(times).view("datetime64[ns]"))
    transformer = VisitSequenceTransformer(min_frequency=1, visits=np.timedelta64(gap, "ns"))
    assert transformer.fit_transform(events).lengths.tolist() == [expected]


def test_static_events_and_other_patients_start_no_visit_by_gap():
    events = pd.DataFrame(
        {
            "patient_id": [1, 1, 1, 2, 2, 2],
            "time": [None, 5.0, 6.0, None, 1.0, 9.0],
            "code": list("ABCDEF"),
        }
    )
    transformer = VisitSequenceTransformer(min_frequency=1, visits=2)
    sequences = transformer.fit_transform(Cohort(events, null_time="static"))
    assert sequences.lengths.tolist() == [2, 3]
    assert sequences.is_static.tolist() == [True, False, True, False, False]


def test_counts_do_not_hold_the_tokens_of_all_samples(monkeypatch):
    rng = np.random.default_rng(0)
    events = pd.DataFrame(
        {
            "patient_id": rng.integers(0, 100, 2000),
            "time": rng.integers(0, 50, 2000),
            "code": rng.choice(list("ABCDE"), 2000),
        }
    )
    params = {"min_frequency": 1, "last_visits": (2,), "windows": (5,)}
    expected = CodeCountVectorizer(**params).fit_transform(events)
    monkeypatch.setattr(_ragged, "_ELEMENTS_PER_BLOCK", 50)
    vectorizer = CodeCountVectorizer(**params).fit(events)
    n_tokens, init = [], VisitSequences.__init__

    def spy(self, tokens, *args, **columns):
        n_tokens.append(len(tokens))
        init(self, tokens, *args, **columns)

    monkeypatch.setattr(VisitSequences, "__init__", spy)
    monkeypatch.delattr(VisitSequences, "_concatenate")
    actual = vectorizer.transform(events)
    np.testing.assert_array_equal(actual.toarray(), expected.toarray())
    assert len(n_tokens) > 20
    assert max(n_tokens) < 200
