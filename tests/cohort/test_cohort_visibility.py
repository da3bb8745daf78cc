"""Which events a sample may be predicted from."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import Cohort

pytestmark = pytest.mark.filterwarnings("ignore:.*no visible event:UserWarning")

DAY = pd.Timedelta("1D")


def times_of(*texts, zone=None):
    return pd.Series(pd.to_datetime(list(texts), format="ISO8601")).dt.tz_localize(zone)


def see(times, prediction_time, *, known_time=None, **options):
    """Codes A, B, C, ... at these times of one patient, as visible at each prediction time."""
    events = pd.DataFrame({"patient_id": 1, "time": times})
    events["code"] = [chr(ord("A") + i) for i in range(len(events))]
    if known_time is not None:
        events["known_time"] = known_time
    samples = pd.DataFrame({"prediction_time": prediction_time})
    samples["patient_id"] = 1
    cohort = Cohort(events, samples, **options)
    visible = cohort.visible_events()
    return ["".join(visible.loc[visible["sample"] == i, "code"]) for i in range(len(cohort))]


def test_event_after_prediction_time_is_invisible():
    assert see([1, 2, 3, 4], [0, 1, 3, 9]) == ["", "A", "ABC", "ABCD"]


def test_day_before_one_that_a_zone_left_out_has_not_ended_at_its_midnight():
    """Samoa had no 30 December 2011: the 29th ended at the midnight of the 31st."""
    times = times_of("2011-12-29", zone="Pacific/Apia")
    predictions = times_of("2011-12-31", "2012-01-01", zone="Pacific/Apia")
    options = {"resolution": "instant", "closed": "left"}
    assert see(times, predictions, **options) == ["", "A"]


def test_event_at_prediction_time_is_visible_unless_closed_left():
    assert see([1, 2, 2, 3], [2], closed="right") == ["ABC"]
    assert see([1, 2, 2, 3], [2], closed="left") == ["A"]


def test_visit_in_progress_is_cut_in_the_middle():
    events = pd.DataFrame(
        {"patient_id": 1, "time": [1, 5, 6, 7], "code": list("ABCD"), "visit_id": [1, 2, 2, 2]}
    )
    cohort = Cohort(events, pd.DataFrame({"patient_id": [1], "prediction_time": [6]}))
    assert cohort.visible_events()["code"].tolist() == ["A", "B", "C"]
    assert cohort.visible_events()["visit_id"].tolist() == [1, 2, 2]


def test_patients_do_not_see_each_other():
    events = pd.DataFrame(
        {"patient_id": [1, 2, 1, 2], "time": [1, 1, 2, 2], "code": ["A", "B", "C", "D"]}
    )
    samples = pd.DataFrame({"patient_id": [2, 1, 2], "prediction_time": [1, 2, 2]})
    visible = Cohort(events, samples).visible_events()
    assert visible["sample"].tolist() == [0, 1, 1, 2, 2]
    assert visible["patient_id"].tolist() == [2, 1, 1, 2, 2]
    assert visible["code"].tolist() == ["B", "A", "C", "B", "D"]


@pytest.mark.parametrize(
    ("times", "prediction_time"),
    [
        ([0.5, 1.5, 2.5], [1.5]),
        ([0, 1, 2], [1.0]),
        ([0.0, 1.0, 2.0], [1]),
        (pd.array([0, 1, 2], dtype="Int16"), [1]),
        (pd.Series([0, 1, 2.0], dtype=object), [1]),
        ([dt.date(2020, 1, 1), dt.date(2020, 1, 2), dt.date(2020, 1, 3)], [dt.date(2020, 1, 2)]),
        (times_of("2020-01-01T05", "2020-01-02T05", "2020-01-03T05"), times_of("2020-01-02T05")),
        (
            times_of("2020-01-01T05", "2020-01-02T05", "2020-01-03T05").astype(object),
            [dt.datetime(2020, 1, 2, 5)],
        ),
    ],
)
def test_times_of_many_types_compare(times, prediction_time):
    assert see(times, prediction_time) == ["AB"]
    assert see(times, prediction_time, closed="left") == ["A"]


def test_known_time_decides_visibility_and_time_the_order():
    # B happened first, but was coded at discharge.
    assert see([2, 1, 3], [3, 4, 5], known_time=[3, 4, 5]) == ["A", "BA", "BAC"]


def test_known_time_respects_closed():
    assert see([1, 1], [4], known_time=[4, 3]) == ["AB"]
    assert see([1, 1], [4], known_time=[4, 3], closed="left") == ["B"]


def test_planned_event_is_visible_once_it_is_known():
    assert see([9, 1], [3], known_time=[2, 1]) == ["BA"]


def test_known_time_is_not_needed_for_whole_histories():
    events = pd.DataFrame({"patient_id": 1, "time": [2, 1], "code": ["B", "A"], "known_time": 99})
    assert Cohort(events).visible_events()["code"].tolist() == ["A", "B"]


def test_known_time_none_leaves_the_column_alone():
    events = pd.DataFrame({"patient_id": 1, "time": [1], "code": ["A"], "known_time": ["later"]})
    samples = pd.DataFrame({"patient_id": [1], "prediction_time": [5]})
    assert len(Cohort(events, samples, known_time=None).visible_events()) == 1


def test_event_of_a_whole_day_is_known_when_its_day_has_ended():
    times = times_of("2020-01-01", "2020-01-02", "2020-01-03")
    predictions = times_of("2020-01-02T23:59:59", "2020-01-03", "2020-01-03T08")
    assert see(times, predictions) == ["A", "AB", "AB"]
    assert see(times, predictions, closed="left") == ["A", "A", "AB"]


def test_dates_are_whole_days():
    times = [dt.date(2020, 1, 1), dt.date(2020, 1, 2)]
    assert see(times, times_of("2020-01-02T23", "2020-01-03T01")) == ["A", "AB"]


def test_whole_days_on_both_sides_compare_plainly():
    times = times_of("2020-01-01", "2020-01-02", "2020-01-03")
    assert see(times, times_of("2020-01-02", "2020-01-03")) == ["AB", "ABC"]
    assert see(times, times_of("2020-01-02", "2020-01-03"), closed="left") == ["A", "AB"]


def test_midnight_among_other_times_stands_for_a_whole_day():
    times = times_of("2020-01-01", "2020-01-02", "2020-01-02T07")
    predictions = times_of("2020-01-02T08", "2020-01-03T08")
    assert see(times, predictions) == ["AC", "ABC"]


def test_events_of_others_do_not_decide_whether_a_midnight_is_a_day():
    times = times_of("2020-01-01", "2020-01-02")
    events = pd.DataFrame({"patient_id": [1, 1], "time": times, "code": ["A", "B"]})
    later = pd.DataFrame({"patient_id": [2], "time": times_of("2020-06-01T12"), "code": ["C"]})
    samples = pd.DataFrame({"patient_id": [1], "prediction_time": times_of("2020-01-02T08")})
    for table in (events, pd.concat([events, later])):
        assert Cohort(table, samples).visible_events()["code"].tolist() == ["A"]


def test_whole_days_of_another_zone_are_no_whole_days():
    # Midnight in New York is 05:00 UTC, in the middle of the event's day.
    event = times_of("2020-01-02", zone="UTC")
    for seconds in (0, 1):
        predicted = times_of("2020-01-02", zone="America/New_York") + pd.Timedelta(seconds, "s")
        assert see(event, predicted) == [""]
    assert see(event, times_of("2020-01-03", zone="America/New_York")) == ["A"]


def test_known_times_of_whole_days_are_known_when_their_day_has_ended():
    times = times_of("2020-01-01T10", "2020-01-01T11")
    known = times_of("2020-01-01", "2020-01-03")
    predictions = times_of("2020-01-01T12", "2020-01-02T00", "2020-01-03T12", "2020-01-04T12")
    assert see(times, predictions, known_time=known) == ["", "A", "A", "AB"]


def test_exact_known_times_spare_whole_day_events_the_rest_of_the_day():
    times, known = times_of("2020-01-01"), times_of("2020-01-01T09")
    assert see(times, times_of("2020-01-01T08", "2020-01-01T10"), known_time=known) == ["", "A"]


def test_day_of_a_clock_change_ends_at_local_midnight():
    # Berlin: 29 March 2020 has 23 hours, 25 October 2020 has 25.
    zone = "Europe/Berlin"
    spring = times_of("2020-03-29", zone=zone)
    ends = times_of("2020-03-29T21:59:59", "2020-03-29T22:00", zone="UTC")
    assert see(spring, ends) == ["", "A"]
    autumn = times_of("2020-10-25", zone=zone)
    ends = times_of("2020-10-25T22:59:59", "2020-10-25T23:00", zone="UTC")
    assert see(autumn, ends) == ["", "A"]


def test_day_without_a_midnight_is_a_whole_day():
    # Sao Paulo: 4 November 2018 started at 01:00, which is 03:00 UTC.
    times = times_of("2018-11-03", "2018-11-04").dt.tz_localize(
        "America/Sao_Paulo", nonexistent="shift_forward"
    )
    predictions = times_of(
        "2018-11-04T02:59:59", "2018-11-04T03", "2018-11-04T20", "2018-11-05T02", zone="UTC"
    )
    assert see(times, predictions) == ["", "A", "A", "AB"]


def test_day_that_ends_at_a_midnight_that_comes_twice_ends_at_the_second():
    # Havana: on 1 November 2020 the hour from midnight, 04:00 UTC, was repeated at 05:00 UTC.
    times = times_of("2020-10-31", zone="America/Havana")
    assert see(times, times_of("2020-11-01T04:30", "2020-11-01T05", zone="UTC")) == ["", "A"]


def test_whole_days_are_judged_in_the_zone_of_their_column():
    # Midnights in Tokyo are no midnights in UTC; these are 15:00 UTC of the day before.
    times = times_of("2020-01-02", zone="Asia/Tokyo")
    assert see(times, times_of("2020-01-02T14:59", "2020-01-02T15:01", zone="UTC")) == ["", "A"]


def test_whole_days_before_1970_end_a_day_later():
    times = times_of("1950-06-01", "1950-06-02")
    assert see(times, times_of("1950-06-02T12")) == ["A"]


@pytest.mark.parametrize("unit", ["ns", "us"])
def test_whole_days_with_times_at_the_end_of_the_range_are_no_leak(unit):
    # The end of this day is beyond datetime64[ns] and must not wrap around to 1677.
    times = pd.Series(pd.to_datetime(["2020-01-01", "2262-04-11"])).dt.as_unit(unit)
    assert see(times, times_of("2020-01-05T12").dt.as_unit(unit)) == ["A"]


def test_placeholder_date_of_the_year_9999_stays_invisible():
    times = [dt.date(2020, 1, 1), dt.date(9999, 12, 31)]
    assert see(times, times_of("2020-06-01T12").dt.as_unit("us")) == ["A"]
    assert see(times, times_of("2020-06-01T12").dt.as_unit("us"), lookback="1ns") == [""]
    assert see(times, times_of("2020-06-01T12").dt.as_unit("us"), lookback="400D") == ["A"]


def test_aware_times_of_different_zones_compare_as_instants():
    times = times_of("2020-01-01T12:00", "2020-01-01T13:00", zone="Europe/Berlin")  # 11, 12 UTC
    predictions = times_of("2020-01-01T06:30", "2020-01-01T07:00", zone="America/New_York")
    assert see(times, predictions) == ["A", "AB"]


def test_visible_events_show_aware_times_in_their_zone():
    times = times_of("2020-01-01T12:00", zone="Europe/Berlin")
    events = pd.DataFrame({"patient_id": 1, "time": times, "code": "A"})
    shown = Cohort(events).visible_events()["time"]
    pd.testing.assert_series_equal(shown, times, check_names=False)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("other", ["s", "ms", "us", "ns"])
def test_units_may_differ(unit, other):
    times = times_of("2020-01-01T01", "2020-01-01T02", "2020-01-01T03").dt.as_unit(unit)
    assert see(times, times_of("2020-01-01T02").dt.as_unit(other)) == ["AB"]


def test_comparison_is_exact_to_the_nanosecond():
    stem = "2020-01-01T01:00:00"
    times = times_of(f"{stem}.000000000", f"{stem}.000000001", f"{stem}.000000002")
    assert see(times, times_of(f"{stem}.000000001")) == ["AB"]
    assert see(times, times_of(f"{stem}").dt.as_unit("s")) == ["A"]
    predictions = times_of(f"{stem}.999999999", "2020-01-01T01:00:01.000000000")
    assert see(times_of("2020-01-01T01:00:01").dt.as_unit("s"), predictions) == ["", "A"]


def test_prediction_times_beyond_the_unit_of_events_compare_exactly():
    times = pd.Series([dt.date(1987, 1, 1), dt.date(9999, 12, 31)])
    assert see(times, times_of("1987-07-01T12").dt.as_unit("ns")) == ["A"]
    times = times_of("1987-01-01T12", "2262-04-11T12").dt.as_unit("ns")
    assert see(times, np.array(["9999-12-31T12", "1000-01-01"], "M8[s]")) == ["AB", ""]


def test_large_integer_times_beside_float_prediction_times_compare_exactly():
    # As a float, 2**53 + 1 is 2**53: the second event would seem known too early.
    assert see([1987, 2**53 + 1], [2.0**53, 2.0**53 + 2, 1986.5, 1e300, -1e300]) == [
        "A",
        "AB",
        "",
        "AB",
        "",
    ]
    assert see([2.0**53, 2.0**53 + 2], [2**53 + 1, 2**53 + 2]) == ["A", "AB"]
    assert see([2.0**53, 2.0**53 + 2], [2**53 + 1, 2**53 + 2], closed="left") == ["A", "A"]
    assert see([2.0**63, 1.0], [2**63 - 1024]) == ["B"]


def test_large_integer_times_compare_exactly():
    big = 2**60
    assert see([big - 1, big, big + 1], [big]) == ["AB"]
    assert see([big - 1, big, big + 1], [big], lookback=1) == ["B"]


def test_lookback_keeps_its_end_and_not_its_start_when_closed_right():
    assert see([1, 2, 3, 4, 5], [4], lookback=2) == ["CD"]


def test_lookback_keeps_its_start_and_not_its_end_when_closed_left():
    assert see([1, 2, 3, 4, 5], [4], lookback=2, closed="left") == ["BC"]


@pytest.mark.parametrize(
    "lookback", ["2D", 2 * DAY, dt.timedelta(days=2), np.timedelta64(2, "D"), "48h"]
)
def test_lookback_of_datetimes_is_a_duration(lookback):
    times = times_of("2020-01-01T12", "2020-01-02T12", "2020-01-03T12", "2020-01-04T12")
    assert see(times, times_of("2020-01-03T12"), lookback=lookback) == ["BC"]
    assert see(times, times_of("2020-01-03T12"), lookback=lookback, closed="left") == ["AB"]


@pytest.mark.parametrize(
    ("lookback", "expected"), [(1.5, "BC"), (1, "C"), (np.float32(2.5), "ABC")]
)
def test_lookback_of_integers_may_be_a_fraction(lookback, expected):
    assert see([1, 2, 3], [3], lookback=lookback) == [expected]


def test_lookback_of_floats():
    assert see([0.25, 0.5, 0.75], [0.75], lookback=0.25) == ["C"]
    assert see([0.25, 0.5, 0.75], [0.75], lookback=0.25, closed="left") == ["B"]


def test_lookback_finer_than_the_times_is_exact():
    times = times_of("2020-01-01T01:00:00", "2020-01-01T01:00:01").dt.as_unit("s")
    predictions = times_of("2020-01-01T01:00:01").dt.as_unit("s")
    assert see(times, predictions, lookback="999ms") == ["B"]
    assert see(times, predictions, lookback="1000ms") == ["B"]
    assert see(times, predictions, lookback="1001ms") == ["AB"]
    assert see(times, predictions, lookback="1000ms", closed="left") == ["A"]
    assert see(times, predictions, lookback="999ms", closed="left") == [""]


def test_lookback_longer_than_the_range_of_the_times_keeps_all():
    times = times_of("1700-01-01T12", "2020-01-01T12").dt.as_unit("ns")
    predictions = times_of("2020-01-02T12").dt.as_unit("ns")
    assert see(times, predictions, lookback=np.timedelta64(400_000, "D")) == ["AB"]
    assert see([-(2**62), 2**62], [2**62], lookback=10**30) == ["AB"]


def test_lookback_without_prediction_time_counts_from_the_last_event():
    events = pd.DataFrame(
        {"patient_id": [1, 1, 1, 2, 2], "time": [1, 2, 4, 10, 20], "code": list("ABCDE")}
    )
    visible = Cohort(events, lookback=2).visible_events()
    assert visible["code"].tolist() == ["C", "E"]
    visible = Cohort(events, lookback=2, closed="left").visible_events()
    assert visible["code"].tolist() == ["B", "C", "E"]


def test_lookback_counts_in_time_while_known_time_decides_what_is_visible():
    # A is too old, B not yet known, D planned for after the prediction time.
    times, known = [1, 4, 5, 9], [5, 7, 6, 2]
    assert see(times, [6], known_time=known, lookback=3) == ["C"]
    assert see(times, [6], known_time=known) == ["ACD"]


def test_lookback_takes_away_what_was_known_at_its_start():
    # The days of A and B ended half a day and one and a half days before the prediction.
    times = times_of("2020-01-01", "2020-01-02", "2020-01-03", "2020-01-03T11")
    predictions = times_of("2020-01-03T12")
    assert see(times, predictions) == ["ABD"]
    assert see(times, predictions, lookback="2D") == ["ABD"]
    assert see(times, predictions, lookback="1D") == ["BD"]
    assert see(times, predictions, lookback="12h") == ["D"]
    assert see(times, predictions, lookback="12h", closed="left") == ["BD"]


def test_static_events_are_always_visible_and_lead():
    times = [5, np.nan, 1]
    assert see(times, [0, 1, 9], null_time="static") == ["B", "BC", "BCA"]
    assert see(times, [9], null_time="static", closed="left") == ["BCA"]


def test_static_events_are_exempt_from_lookback():
    assert see([5, np.nan, 1], [6], null_time="static", lookback=2) == ["BA"]


def test_static_events_are_exempt_from_known_times():
    times, known = [5, np.nan, 1], [6, np.nan, 2]
    assert see(times, [3], null_time="static", known_time=known) == ["BC"]


def test_patient_with_nothing_but_static_events():
    events = pd.DataFrame(
        {"patient_id": [1, 1, 2], "time": [np.nan, np.nan, 4], "code": ["B", "A", "C"]}
    )
    visible = Cohort(events, null_time="static", lookback=1).visible_events()
    assert visible["patient_id"].tolist() == [1, 1, 2]
    assert visible["code"].tolist() == ["A", "B", "C"]


def test_all_events_may_be_static():
    assert see([np.nan, np.nan], [3], null_time="static", lookback=2) == ["AB"]
    assert see([pd.NaT, pd.NaT], times_of("2020-01-01T12"), null_time="static") == ["AB"]


def test_static_events_of_whole_days_stay_visible():
    times = times_of("2020-01-01", None)
    predictions = times_of("2020-01-01T12", "2020-01-02T12")
    assert see(times, predictions, null_time="static") == ["B", "BA"]


def test_drop_leaves_undated_events_out():
    assert see([5, np.nan, 1], [9], null_time="drop") == ["CA"]
    assert see(
        [pd.NaT, *times_of("2020-01-01T12")], times_of("2020-01-03T12"), null_time="drop"
    ) == ["B"]


def test_drop_leaves_events_of_unknown_known_time_out():
    assert see([5, 1, 2], [9], null_time="drop", known_time=[6, np.nan, 3]) == ["CA"]
