import pickle
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags
from sklearn.utils._param_validation import InvalidParameterError
from test_tokens import as_bits, as_lists

from sklearn_ehr import CodeCountVectorizer, Cohort, VisitSequences, VisitSequenceTransformer


def frame(rows, columns="patient_id time visit_id code"):
    """Events from rows; a time written as text is a datetime."""
    events = pd.DataFrame(rows, columns=columns.split())
    if "time" in events and events["time"].map(lambda t: isinstance(t, str)).any():
        events["time"] = pd.to_datetime(events["time"], format="ISO8601")
    return events


def visits_of(X, *, fit_on=None, **params):
    """Codes of the visits of each sample, `?` for the unknown; one word a visit."""
    transformer = VisitSequenceTransformer(**{"min_frequency": 1, **params})
    sequences = transformer.fit(X if fit_on is None else fit_on).transform(X)
    names = ["", "?", *transformer.vocabulary_.codes]
    return [
        ["".join(names[token] for token in visit) for visit in visits]
        for visits in as_lists(sequences)
    ]


EVENTS = frame(
    [
        (2, "2020-01-01", 1, "B"),
        (1, "2020-01-01", 1, "A"),
        (1, "2020-01-01", 1, "B"),
        (1, "2020-03-01", 2, "C"),
    ]
)


def test_fit_transform_by_hand():
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(EVENTS)
    assert isinstance(sequences, VisitSequences)
    assert sequences.tokens.tolist() == [2, 3, 4, 3]
    assert sequences.visit_offsets.tolist() == [0, 2, 3, 4]
    assert sequences.sample_offsets.tolist() == [0, 2, 3]
    days = ["2020-01-01", "2020-03-01", "2020-01-01"]
    assert sequences.visit_times.astype("datetime64[D]").astype(str).tolist() == [
        [day, day] for day in days
    ]
    assert sequences.groups.tolist() == [1, 2]
    assert sequences.time_gaps.tolist() == [0, 60, 0]
    assert sequences.tokens.dtype == np.int32
    assert sequences.visit_offsets.dtype == sequences.sample_offsets.dtype == np.int64
    codes, _, visit_mask = sequences.to_padded()
    assert codes.tolist() == [[[2, 3], [4, 0]], [[3, 0], [0, 0]]]
    assert visit_mask.tolist() == [[True, True], [True, False]]


def test_vocabulary_leaves_zero_to_padding_and_one_to_unknown():
    transformer = VisitSequenceTransformer(min_frequency=1)
    assert transformer.fit(EVENTS) is transformer
    assert transformer.vocabulary_.codes.tolist() == ["A", "B", "C"]
    assert transformer.vocabulary_.size == 5
    assert transformer.vocabulary_.encode(["A", "?"]).tolist() == [2, 1]
    assert transformer.transform(EVENTS).vocabulary is transformer.vocabulary_


def test_min_frequency_is_ten_patients_by_default():
    rows = [(p, p, 1, code) for p in range(10) for code in ("AB" if p else "A")]
    assert VisitSequenceTransformer().fit(frame(rows)).vocabulary_.codes.tolist() == ["A"]


@pytest.mark.parametrize(
    ("min_frequency", "kept"), [(1, "ABC"), (2, "B"), (0.5, "ABC"), (0.51, "B"), (1.0, "B")]
)
def test_min_frequency_counts_or_shares_patients(min_frequency, kept):
    transformer = VisitSequenceTransformer(min_frequency=min_frequency).fit(EVENTS)
    assert transformer.vocabulary_.codes.tolist() == list(kept)


def test_empty_vocabulary_names_min_frequency():
    with pytest.raises(ValueError, match=r"vocabulary is empty.*min_frequency=10.*of the 2"):
        VisitSequenceTransformer().fit(EVENTS)


def test_max_vocabulary_keeps_the_most_frequent_ties_by_code():
    transformer = VisitSequenceTransformer(min_frequency=1, max_vocabulary=2).fit(EVENTS)
    assert transformer.vocabulary_.codes.tolist() == ["A", "B"]


def test_rare_codes_are_token_one_already_in_training():
    assert visits_of(EVENTS, min_frequency=2) == [["?B", "?"], ["B"]]


def test_never_seen_codes_are_token_one():
    new = frame([(7, "2020-01-01", 1, "B"), (7, "2020-01-01", 1, "Z")])
    assert visits_of(new, fit_on=EVENTS) == [["B?"]]


def test_unknown_codes_of_a_visit_are_one_token():
    new = frame([(7, "2020-01-01", 1, code) for code in "XYBZ"])
    assert visits_of(new, fit_on=EVENTS) == [["B?"]]
    assert visits_of(new, fit_on=EVENTS, deduplicate=False) == [["B???"]]


def test_ignored_codes_leave_an_empty_visit_behind():
    assert visits_of(EVENTS, min_frequency=2, handle_unknown="ignore") == [["B", ""], ["B"]]
    transformer = VisitSequenceTransformer(min_frequency=2, handle_unknown="ignore")
    sequences = transformer.fit_transform(EVENTS)
    assert sequences.to_padded().visit_mask.tolist() == [[True, True], [True, False]]
    assert sequences.time_gaps.tolist() == [0, 60, 0]


def test_auto_takes_the_visit_id_where_a_row_has_one_else_the_day():
    events = frame(
        [
            (1, "2020-01-01 08:00", 5, "A"),
            (1, "2020-01-01 09:00", None, "B"),
            (1, "2020-01-01 23:00", None, "C"),
            (1, "2020-01-02 00:00", None, "D"),
            (1, "2020-01-03 10:00", 5, "E"),
        ]
    )
    assert visits_of(events) == [["BC", "D", "AE"]]


def test_auto_without_a_column_of_visits_goes_by_day():
    events = frame(
        [(1, "2020-01-01 08:00", "A"), (1, "2020-01-01 23:59", "B"), (1, "2020-01-02", "C")],
        "patient_id time code",
    )
    assert visits_of(events) == visits_of(events, visits="day") == [["AB", "C"]]


def test_auto_with_numeric_times_goes_by_distinct_time():
    events = frame([(1, 1.0, "A"), (1, 1.25, "B"), (1, 1.25, "C")], "patient_id time code")
    assert visits_of(events) == visits_of(events, visits="time") == [["A", "BC"]]


def test_a_day_of_visits_without_id_is_one_visit_though_another_visit_interrupts_it():
    events = frame(
        [
            (1, "2020-01-01 01:00", None, "A"),
            (1, "2020-01-01 02:00", 7, "B"),
            (1, "2020-01-01 03:00", None, "C"),
        ]
    )
    assert visits_of(events) == [["B", "AC"]]


@pytest.mark.parametrize(
    ("zone", "expected"),
    [("UTC", ["A", "BC"]), ("America/New_York", ["AB", "C"]), ("Asia/Tokyo", ["ABC"])],
)
def test_day_is_the_calendar_day_in_the_zone_of_the_times(zone, expected):
    utc = pd.to_datetime(["2020-01-01 20:00", "2020-01-02 01:00", "2020-01-02 08:00"], utc=True)
    events = frame(
        [(1, t.tz_convert(zone), c) for t, c in zip(utc, "ABC", strict=True)],
        "patient_id time code",
    )
    assert visits_of(events, visits="day") == [expected]
    assert visits_of(events) == [expected]


def test_day_that_comes_back_when_clocks_are_set_back_is_one_visit():
    # Until 2011 Newfoundland set its clocks back at 00:01, to 23:01 of the day before.
    utc = ["2010-11-07 02:00", "2010-11-07 02:30:30", "2010-11-07 03:00", "2010-11-07 04:00"]
    time = pd.to_datetime(utc, format="ISO8601", utc=True).tz_convert("America/St_Johns")
    assert time.day.tolist() == [6, 7, 6, 7]
    events = pd.DataFrame({"patient_id": 1, "time": time, "code": list("ABCD")})
    assert visits_of(events, visits="day") == [["AC", "BD"]]


def test_days_before_1970_are_days():
    events = frame(
        [(1, "1969-12-30 08:00", "A"), (1, "1969-12-30 09:00", "B"), (1, "1970-01-01", "C")],
        "patient_id time code",
    )
    assert visits_of(events, visits="day") == [["AB", "C"]]


@pytest.mark.parametrize("day", ["1969-12-30", "1969-12-31", "1970-01-01", "1970-01-02"])
def test_no_day_is_mistaken_for_a_visit_id_or_the_static_visit(day):
    events = frame(
        [
            (1, None, None, "A"),
            (1, f"{day} 08:00", None, "B"),
            (1, f"{day} 09:00", "V", "C"),
            (1, f"{day} 10:00", "W", "D"),
        ]
    )
    cohort = Cohort(events, null_time="static")
    assert visits_of(cohort) == [["A", "B", "C", "D"]]
    assert visits_of(cohort, visits="day") == [["A", "BCD"]]


def test_time_makes_each_distinct_time_a_visit():
    events = frame(
        [
            (1, "2020-01-01 08:00", 1, "A"),
            (1, "2020-01-01 08:00", 2, "B"),
            (1, "2020-01-01 09:00", 1, "C"),
        ]
    )
    assert visits_of(events, visits="time") == [["AB", "C"]]


def test_id_ignores_the_time():
    events = frame(
        [(1, "2020-01-01", 1, "A"), (1, "2021-01-01", 1, "B"), (1, "2021-01-01", 2, "C")]
    )
    assert visits_of(events, visits="id") == [["AB", "C"]]


def test_timedelta_starts_a_visit_after_a_longer_gap():
    events = frame(
        [
            (1, "2020-01-01", 1, "A"),
            (1, "2020-01-02", 2, "B"),
            (1, "2020-01-03 00:00:01", 3, "C"),
            (2, "2020-01-03 00:00:01", 3, "C"),
        ]
    )
    assert visits_of(events, visits=pd.Timedelta("1D")) == [["AB", "C"], ["C"]]
    assert visits_of(events, visits=pd.Timedelta("23h")) == [["A", "B", "C"], ["C"]]
    for day in (timedelta(days=1), np.timedelta64(1, "D")):
        assert visits_of(events, visits=day) == [["AB", "C"], ["C"]]


@pytest.mark.parametrize("gap", [2, 2.0, np.float64(2), np.int64(2)])
def test_number_starts_a_visit_after_a_longer_gap(gap):
    events = frame([(1, t, 1, c) for t, c in [(1, "A"), (3, "B"), (6, "C")]] + [(2, 7, 1, "A")])
    assert visits_of(events, visits=gap) == [["AB", "C"], ["A"]]


def test_id_needs_the_id_of_every_visible_row():
    events = frame([(1, 1, 1.0, "A"), (1, 2, None, "B"), (1, 3, None, "C")])
    transformer = VisitSequenceTransformer(min_frequency=1, visits="id").fit(events)
    with pytest.raises(ValueError, match=r"visits='id' .* 2 visible event.*visits='auto'"):
        transformer.transform(events)
    samples = pd.DataFrame({"patient_id": [1], "prediction_time": [1]})
    assert transformer.transform(Cohort(events, samples)).tokens.tolist() == [2]


def test_id_without_a_column_of_ids_raises():
    with pytest.raises(ValueError, match="visits='id' needs"):
        visits_of(EVENTS.drop(columns="visit_id"), visits="id")


def test_day_on_numeric_times_raises():
    with pytest.raises(ValueError, match=r"visits='day' needs datetimes.*visits='time'"):
        visits_of(frame([(1, 1, 1, "A")]), visits="day")


@pytest.mark.parametrize("visits", ["day", "time", pd.Timedelta("1D"), 3])
def test_visits_by_time_without_times_raise(visits):
    with pytest.raises(ValueError, match=r"no time column.*visits='id'"):
        visits_of(EVENTS.drop(columns="time"), visits=visits)


@pytest.mark.parametrize(
    ("time", "visits", "error"),
    [
        ("2020-01-01", 3, TypeError),
        ("2020-01-01", pd.Timedelta(0), ValueError),
        ("2020-01-01", pd.Timedelta("-1D"), ValueError),
        (1, pd.Timedelta("1D"), TypeError),
        (1, True, TypeError),
    ],
)
def test_gap_that_does_not_fit_the_times_raises(time, visits, error):
    with pytest.raises(error, match="visits="):
        visits_of(frame([(1, time, 1, "A")]), visits=visits)


def test_without_times_visits_are_ordered_by_id():
    events = frame([(1, 10, "A"), (1, 9, "B"), (1, 9, "A")], "patient_id visit_id code")
    assert visits_of(events) == visits_of(events, visits="id") == [["AB", "A"]]
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(events)
    assert sequences.visit_times is None
    with pytest.raises(ValueError, match="no times"):
        sequences.time_gaps  # noqa: B018


def test_visit_is_keyed_by_patient_and_id():
    events = frame([(1, 1, 7, "A"), (2, 1, 7, "B"), (1, 2, 7, "C")])
    assert visits_of(events, visits="id") == [["AC"], ["B"]]


def test_ids_compare_as_values():
    events = frame([(1, 1, 1, "A"), (1.0, 2, 1.0, "B"), (1, 3, None, "C")])
    events["visit_id"] = events["visit_id"].astype(object)
    assert visits_of(events) == [["AB", "C"]]


def test_visits_are_ordered_by_last_event_then_first_then_id():
    events = frame(
        [
            (1, 1, "b", "A"),  # overlaps all others and ends last
            (1, 9, "b", "B"),
            (1, 3, "a", "C"),  # a, c, d end together; a starts last
            (1, 5, "a", "D"),
            (1, 2, "d", "E"),  # c and d start together as well
            (1, 5, "d", "F"),
            (1, 2, "c", "G"),
            (1, 5, "c", "H"),
            (1, 4, "e", "I"),  # ends first
        ]
    )
    assert visits_of(events) == [["I", "GH", "EF", "CD", "AB"]]


def test_visit_in_progress_is_last_also_as_it_is_cut_by_the_prediction_time():
    events = frame([(1, 1, 1, "A"), (1, 2, 2, "B"), (1, 3, 1, "C"), (1, 4, 2, "D")])
    samples = pd.DataFrame({"patient_id": 1, "prediction_time": [1, 2, 3, 4]})
    expected = [["A"], ["A", "B"], ["B", "AC"], ["AC", "BD"]]
    assert visits_of(Cohort(events, samples)) == expected


def test_ids_order_visits_as_values_not_as_text():
    events = frame([(1, 1, 10, "A"), (1, 1, 9, "B")])
    assert visits_of(events) == [["B", "A"]]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_equal_times_are_ordered_by_code_never_by_row(order):
    events = frame([(1, 1, 1, "C"), (1, 1, 1, "A"), (1, 0, 1, "B")]).iloc[order]
    assert visits_of(events) == [["BAC"]]
    assert visits_of(events, visits="time") == [["B", "AC"]]


def test_max_visits_keeps_the_most_recent():
    events = frame([(1, t, t, c) for t, c in enumerate("ABCD")] + [(2, 0, 0, "A")])
    assert visits_of(events, max_visits=2) == [["C", "D"], ["A"]]
    assert visits_of(events, max_visits=9) == [["A", "B", "C", "D"], ["A"]]


def test_max_visits_counts_empty_visits():
    events = frame([(1, t, t, c) for t, c in enumerate("ABC")] + [(2, 0, 0, "A"), (2, 1, 1, "B")])
    kept = visits_of(events, max_visits=2, min_frequency=2, handle_unknown="ignore")
    assert kept == [["B", ""], ["A", "B"]]


def static_cohort():
    rows = [
        (1, 1.0, 1, "A"),
        (1, 2.0, 2, "B"),
        (1, None, 2, "D"),
        (1, None, None, "C"),
        (2, 5.0, 1, "A"),
    ]
    samples = pd.DataFrame({"patient_id": [1, 1, 2], "prediction_time": [9.0, 0.0, 9.0]})
    return Cohort(frame(rows), samples, null_time="static")


@pytest.mark.parametrize("visits", ["auto", "id", "time", 0.5])
def test_static_visit_leads(visits):
    expected = [["CD", "A", "B"], ["CD"], ["A"]]
    assert visits_of(static_cohort(), visits=visits) == expected
    sequences = VisitSequenceTransformer(min_frequency=1, visits=visits).fit_transform(
        static_cohort()
    )
    assert np.isnan(sequences.visit_times[[0, 3]]).all()
    assert sequences.is_static.tolist() == [True, False, False, True, False]
    assert sequences.time_gaps.tolist() == [0, 0, 1, 0, 0]


def test_static_visit_leads_by_day():
    events = frame([(1, "1950-01-01", 1, "A"), (1, None, 1, "B"), (1, "1950-01-01", 2, "C")])
    cohort = Cohort(events, null_time="static")
    assert visits_of(cohort, visits="day") == [["B", "AC"]]


def test_static_visit_survives_truncation():
    expected = [["CD", "B"], ["CD"], ["A"]]
    assert visits_of(static_cohort(), max_visits=1) == expected


def test_deduplicate_keeps_the_last_occurrence_in_a_visit():
    events = frame([(1, t, 1, c) for t, c in enumerate("ABAC")] + [(1, 9, 2, "A")])
    assert visits_of(events) == [["BAC", "A"]]
    assert visits_of(events, deduplicate=False) == [["ABAC", "A"]]


def test_numeric_codes_are_ordered_as_numbers():
    events = frame([(1, 1, 1, 100), (1, 1, 1, 99), (1, 2, 1, 5)])
    transformer = VisitSequenceTransformer(min_frequency=1)
    assert transformer.fit_transform(events).tokens.tolist() == [3, 4, 2]
    assert transformer.vocabulary_.codes.tolist() == [5, 99, 100]


def test_numeric_codes_of_another_width_are_the_same_codes():
    transformer = VisitSequenceTransformer(min_frequency=1).fit(
        frame([(1, 1, 1, 100), (1, 1, 1, 99)])
    )
    sequences = transformer.transform(frame([(1, 1, 1, 100.0), (1, 1, 1, 99.5)]))
    assert sequences.tokens.tolist() == [1, 3]


@pytest.mark.parametrize("Transformer", [VisitSequenceTransformer, CodeCountVectorizer])
def test_codes_of_another_type_at_transform_raise(Transformer):
    transformer = Transformer(min_frequency=1).fit(EVENTS)
    with pytest.raises(TypeError, match=r"codes are of type number.*of type string.*astype"):
        transformer.transform(frame([(1, "2020-01-01", 1, 100)]))


@pytest.mark.parametrize("dtype", [object, "str", "category"])
def test_storage_of_codes_and_ids_does_not_matter(dtype):
    events = EVENTS.astype({"code": dtype, "visit_id": "str"}).astype({"visit_id": dtype})
    expected = VisitSequenceTransformer(min_frequency=1).fit(EVENTS)
    actual = VisitSequenceTransformer(min_frequency=1).fit(events)
    assert actual.vocabulary_ == expected.vocabulary_
    assert as_bits(actual.transform(events)) == as_bits(expected.transform(EVENTS))


@pytest.mark.parametrize("Transformer", [VisitSequenceTransformer, CodeCountVectorizer])
def test_features_in_are_not_set(Transformer):
    transformer = Transformer(min_frequency=1).fit(EVENTS)
    assert not hasattr(transformer, "n_features_in_")
    assert not hasattr(transformer, "feature_names_in_")
    assert not get_tags(transformer).input_tags.two_d_array


def test_fit_leaves_parameters_and_events_as_they_are():
    before = EVENTS.copy()
    transformer = VisitSequenceTransformer(min_frequency=1, visits=pd.Timedelta("1D"))
    params = transformer.get_params()
    transformer.fit_transform(EVENTS)
    assert transformer.get_params() == params
    pd.testing.assert_frame_equal(EVENTS, before)


def test_get_params_and_clone():
    params = {
        "min_frequency": 0.1,
        "max_vocabulary": 5,
        "handle_unknown": "ignore",
        "visits": pd.Timedelta("1D"),
        "max_visits": 3,
        "deduplicate": False,
        "value_bins": None,
    }
    copy = clone(VisitSequenceTransformer(**params).fit(EVENTS))
    assert copy.get_params() == params
    assert not hasattr(copy, "vocabulary_")
    assert VisitSequenceTransformer().get_params() == {
        "min_frequency": 10,
        "max_vocabulary": None,
        "handle_unknown": "token",
        "visits": "auto",
        "max_visits": None,
        "deduplicate": True,
        "value_bins": None,
    }
    counts = {**params, "encoding": "log1p", "last_visits": (1, 3), "sparse_output": False}
    counts["windows"] = ("90D",)
    assert clone(CodeCountVectorizer(**counts)).get_params() == counts


@pytest.mark.parametrize("Transformer", [VisitSequenceTransformer, CodeCountVectorizer])
def test_number_of_codes_of_a_visit_has_no_limit(Transformer):
    codes = [f"C{i:04}" for i in range(5000)]
    events = pd.DataFrame({"patient_id": 1, "time": 0, "code": codes})
    output = Transformer(min_frequency=1).fit_transform(events)
    n_codes = len(output.tokens) if hasattr(output, "tokens") else output.sum()
    assert n_codes == 5000


def test_parameters_are_keywords():
    with pytest.raises(TypeError):
        VisitSequenceTransformer(10)


@pytest.mark.parametrize("Transformer", [VisitSequenceTransformer, CodeCountVectorizer])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_frequency", 0),
        ("min_frequency", -0.1),
        ("min_frequency", 1.5),
        ("min_frequency", "10"),
        ("min_frequency", None),
        ("max_vocabulary", 0),
        ("max_vocabulary", 1.5),
        ("handle_unknown", "error"),
        ("handle_unknown", None),
        ("visits", "week"),
        ("visits", "1D"),
        ("visits", 0),
        ("visits", -1.0),
        ("visits", np.inf),
        ("visits", np.nan),
        ("visits", None),
        ("max_visits", 0),
        ("max_visits", 2.5),
        ("deduplicate", "yes"),
        ("deduplicate", None),
    ],
)
def test_invalid_parameters_are_named(Transformer, name, value):
    transformer = Transformer(**{"min_frequency": 1, name: value})
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter"):
        transformer.fit(EVENTS)


@pytest.mark.parametrize("Transformer", [VisitSequenceTransformer, CodeCountVectorizer])
def test_transform_before_fit_raises(Transformer):
    with pytest.raises(NotFittedError):
        Transformer().transform(EVENTS)


@pytest.mark.parametrize("Transformer", [VisitSequenceTransformer, CodeCountVectorizer])
@pytest.mark.parametrize("X", [[["A", "B"]], np.zeros((2, 2)), {"code": ["A"]}, None])
def test_what_is_neither_cohort_nor_frame_raises(Transformer, X):
    with pytest.raises(TypeError, match="must be a Cohort or a long DataFrame"):
        Transformer().fit(X)
    with pytest.raises(TypeError, match="must be a Cohort or a long DataFrame"):
        Transformer(min_frequency=1).fit(EVENTS).transform(X)


def test_sequences_are_no_input():
    transformer = VisitSequenceTransformer(min_frequency=1)
    with pytest.raises(TypeError, match="got VisitSequences"):
        transformer.transform(transformer.fit_transform(EVENTS))


def test_long_frame_is_a_cohort_of_patients_sorted_by_id():
    transformer = VisitSequenceTransformer(min_frequency=1)
    sequences = transformer.fit_transform(EVENTS)
    assert sequences.groups.tolist() == [1, 2]
    assert as_bits(sequences) == as_bits(transformer.fit_transform(Cohort(EVENTS)))


def test_samples_keep_their_order_and_patients_several_samples():
    samples = pd.DataFrame(
        {
            "patient_id": [2, 1, 1],
            "prediction_time": pd.to_datetime(["2020-02-01", "2020-04-01", "2020-02-01"]),
        },
        index=[7, 5, 6],
    )
    cohort = Cohort(EVENTS, samples)
    assert visits_of(cohort) == [["B"], ["AB", "C"], ["AB"]]
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(cohort)
    assert sequences.groups.tolist() == [2, 1, 1]


@pytest.mark.parametrize("key", [[2, 0], slice(1, None), np.array([True, False, True])])
def test_sequences_index_like_the_cohort_they_came_from(key):
    transformer = VisitSequenceTransformer(min_frequency=1).fit(static_cohort())
    whole = transformer.transform(static_cohort())
    assert as_bits(transformer.transform(static_cohort()[key])) == as_bits(whole[key])


def test_sample_without_visible_events_has_no_visits():
    samples = pd.DataFrame({"patient_id": [1, 3]})
    with pytest.warns(UserWarning, match="1 of 2 samples"):
        cohort = Cohort(EVENTS, samples, prediction_time=None)
    transformer = VisitSequenceTransformer(min_frequency=1).fit(cohort)
    assert transformer.transform(cohort).sample_offsets.tolist() == [0, 2, 2]
    nobody = transformer.transform(cohort[1])
    assert nobody.sample_offsets.tolist() == [0, 0]
    assert nobody.tokens.dtype == np.int32
    assert nobody.to_padded().codes.shape == (1, 0, 0)
    assert nobody.time_gaps.tolist() == []
    assert len(transformer.transform(cohort[[]])) == 0


def test_lookback_and_left_closed_cohorts_are_respected():
    events = frame([(1, t, t, c) for t, c in enumerate("ABCDE")])
    samples = pd.DataFrame({"patient_id": [1], "prediction_time": [3]})
    assert visits_of(Cohort(events, samples, closed="left")) == [["A", "B", "C"]]
    assert visits_of(Cohort(events, samples, lookback=2)) == [["C", "D"]]


def test_known_time_decides_visibility_and_time_the_order():
    events = frame([(1, 1, 1, "A"), (1, 2, 2, "B"), (1, 3, 3, "C")])
    events["known_time"] = [9, 2, 3]
    samples = pd.DataFrame({"patient_id": [1, 1], "prediction_time": [3, 9]})
    assert visits_of(Cohort(events, samples)) == [["B", "C"], ["A", "B", "C"]]


def test_fitted_transformer_pickles():
    transformer = VisitSequenceTransformer(min_frequency=1).fit(EVENTS)
    again = pickle.loads(pickle.dumps(transformer))
    assert as_bits(again.transform(EVENTS)) == as_bits(transformer.transform(EVENTS))
    assert again.transform(EVENTS).vocabulary == transformer.vocabulary_


def test_transformer_stands_in_a_pipeline():
    pipeline = make_pipeline(VisitSequenceTransformer(min_frequency=1), None)
    assert as_bits(pipeline.fit_transform(EVENTS)) == as_bits(
        VisitSequenceTransformer(min_frequency=1).fit_transform(EVENTS)
    )
