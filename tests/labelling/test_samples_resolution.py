"""Samples of dates and of moments: days that have not ended, and zones whose clocks change."""

import pickle
import warnings

import pandas as pd
import pytest

from sklearn_ehr import Cohort, EventTable, make_samples

pytestmark = pytest.mark.filterwarnings("ignore:.*no visible event:UserWarning")


def events_of(*rows, zone=None):
    events = pd.DataFrame(rows, columns=["patient_id", "time", "code"])
    events["time"] = pd.to_datetime(events["time"], format="ISO8601").dt.tz_localize(zone)
    return events


def make(events, **params):
    given = {
        "index": ["DM"],
        "outcome_codes": ["STROKE"],
        "horizon": "3D",
        "observation_end": pd.Timestamp("2021-01-01", tz=events["time"].dt.tz),
    }
    return make_samples(events, **{**given, **params})


def resolution_of(attrition):
    (resolution,) = set(attrition["resolution"])
    return resolution


def at(*texts, zone=None):
    return [pd.Timestamp(text, tz=zone) for text in texts]


MIXED = events_of(
    (1, "2020-01-05 14:00", "DM"),
    (1, "2020-01-05 00:00", "STROKE"),
    (2, "2020-02-03 00:00", "DM"),
    (2, "2020-02-03 15:00", "STROKE"),
    (3, "2020-03-01 09:00", "DM"),
    (3, "2020-03-04 09:00", "STROKE"),
)
DATES = MIXED.assign(time=MIXED["time"].dt.normalize())


def test_whole_days_among_times_of_day_count_when_they_have_ended():
    samples, attrition = make(MIXED)
    assert resolution_of(attrition) == "instant"
    assert samples["prediction_time"].tolist() == at(
        "2020-01-05 14:00", "2020-02-04", "2020-03-01 09:00"
    )
    assert samples["outcome"].tolist() == [1, 0, 1]
    assert samples["duration"].tolist() == pytest.approx([10 / 24, 3, 3])
    seen = Cohort(MIXED, samples).visible_events()
    assert seen.groupby("patient_id")["code"].agg("".join).tolist() == ["DM", "DMSTROKE", "DM"]


def test_dates_compare_as_days():
    samples, attrition = make(DATES)
    assert resolution_of(attrition) == "day"
    assert samples["prediction_time"].tolist() == at("2020-01-05", "2020-02-03", "2020-03-01")
    # A stroke on the day of the index is known to the model.
    assert samples["outcome"].tolist() == [0, 0, 1]
    assert samples["duration"].tolist() == [3, 3, 3]
    cohort = Cohort(DATES, samples)
    assert cohort.resolution == "day"
    assert cohort.visible_events()["code"].tolist() == ["DM", "STROKE", "DM", "STROKE", "DM"]
    assert make(DATES, exclude="outcome")[0]["patient_id"].tolist() == [3]


def test_times_of_day_can_be_read_as_days():
    for events in (MIXED, EventTable(MIXED)):
        samples, _ = make_samples(
            events,
            index=["DM"],
            outcome_codes=["STROKE"],
            horizon="3D",
            resolution="day",
            observation_end="2021-01-01",
        )
        pd.testing.assert_frame_equal(samples, make(DATES)[0])


def test_dates_can_be_read_as_moments_at_the_end_of_their_days():
    samples, attrition = make(DATES, resolution="instant")
    assert resolution_of(attrition) == "instant"
    assert samples["prediction_time"].tolist() == at("2020-01-06", "2020-02-04", "2020-03-02")
    assert samples["outcome"].tolist() == [0, 0, 1]


@pytest.mark.parametrize("resolution", ["day", "instant"])
def test_labels_follow_exactly_on_what_a_cohort_sees(resolution):
    samples, _ = make(DATES, resolution=resolution, horizon="1D")
    later, _ = make(DATES, resolution=resolution, horizon="2D", gap="1D")
    cohort = Cohort(DATES, samples, resolution=resolution)
    n_seen = (cohort.visible_events()["code"] == "STROKE").sum()
    assert n_seen + samples["outcome"].sum() + later["outcome"].sum() == 3


def test_given_midnights_are_moments_as_they_stand():
    index = pd.Series(at("2020-02-03", "2020-03-04"), index=[2, 3])
    samples, attrition = make(MIXED, index=index)
    assert resolution_of(attrition) == "instant"
    assert samples["prediction_time"].tolist() == at("2020-02-03", "2020-03-04")
    # At 00:00 nothing is known of the day.
    assert samples["outcome"].tolist() == [1, 1]
    assert Cohort(MIXED, samples).visible_events()["code"].tolist() == ["DM"]
    # Among dates, the day of the prediction is known.
    assert make(DATES, index=index)[0]["outcome"].tolist() == [0, 0]
    # A fixed date is for those with an event by then, which a date is not before it has ended.
    samples, _ = make(DATES, index=at("2020-02-03"))
    assert samples["patient_id"].tolist() == [1, 2]
    samples, _ = make(DATES, index=at("2020-02-03"), resolution="instant")
    assert samples["patient_id"].tolist() == [1]


def test_auto_is_instant_where_an_index_time_or_the_offset_is_no_whole_day():
    index = pd.Series(at("2020-02-03", "2020-03-04 10:00"), index=[2, 3])
    for params in ({"index": index}, {"offset": "12h"}, {"offset": "36h"}):
        samples, attrition = make(DATES, **params)
        assert resolution_of(attrition) == Cohort(DATES, samples).resolution == "instant"
    for params in ({"offset": "1D"}, {"offset": "48h"}, {"index": index[:1]}):
        samples, attrition = make(DATES, **params)
        assert resolution_of(attrition) == Cohort(DATES, samples).resolution == "day"
    # Patients without events have no say.
    _, attrition = make(DATES, index=index.set_axis([2, 99]))
    assert resolution_of(attrition) == "day"


def test_offset_of_whole_days_stays_a_midnight_where_clocks_change():
    zone = "Europe/Berlin"
    events = events_of(
        (1, "2020-03-28", "DM"), (1, "2020-03-29", "FLU"), (1, "2020-03-30", "STROKE"), zone=zone
    )
    samples, attrition = make(events, offset="24h", horizon="24h")
    assert resolution_of(attrition) == "day"
    assert samples["prediction_time"].tolist() == at("2020-03-29", zone=zone)
    assert samples["outcome"].tolist() == [1]
    assert samples["duration"].tolist() == [1]
    assert Cohort(events, samples).visible_events()["code"].tolist() == ["DM", "FLU"]


def test_offset_of_hours_is_rounded_down_to_a_day_under_day():
    samples, _ = make(DATES, offset="47h", resolution="day")
    assert samples["prediction_time"].tolist() == at("2020-01-06", "2020-02-04", "2020-03-02")
    assert samples["duration"].tolist() == [3, 3, 2]


def test_offset_into_a_day_that_a_zone_left_out_is_the_next_day():
    zone = "Pacific/Apia"
    events = events_of((1, "2011-12-29", "DM"), (1, "2011-12-31", "STROKE"), zone=zone)
    samples, _ = make(events, offset="1D")
    assert samples["prediction_time"].tolist() == at("2011-12-31", zone=zone)
    assert samples["outcome"].tolist() == [0]
    assert Cohort(events, samples).visible_events()["code"].tolist() == ["DM", "STROKE"]


def test_auto_is_refused_where_a_cohort_of_the_samples_left_would_decide_otherwise():
    index = pd.Series(at("2020-02-03", "2020-03-04 10:00"), index=[2, 3])
    ends = pd.Series(at("2020-12-31", "2020-03-01"), index=[2, 3])
    with pytest.raises(ValueError, match="resolution='auto' chose 'instant'"):
        make(DATES, index=index, observation_end=ends)
    samples, _ = make(DATES, index=index, observation_end=ends, resolution="instant")
    assert samples["prediction_time"].tolist() == at("2020-02-03")
    assert samples["outcome"].tolist() == [1]


VISITS = events_of(
    (1, "2020-01-05 00:00", "DM"),
    (1, "2020-01-05 09:00", "LAB"),
    (1, "2020-01-07 00:00", "FLU"),
    (1, "2020-01-07 08:00", "LAB"),
    (1, "2020-01-07 20:00", "STROKE"),
).assign(visit_id=1)


def test_dates_beside_times_of_day_move_neither_admission_nor_discharge():
    samples, _ = make(VISITS, index="admission")
    assert samples["prediction_time"].tolist() == at("2020-01-05 09:00")
    assert samples["outcome"].tolist() == [1]
    samples, _ = make(VISITS, index="discharge")
    assert samples["prediction_time"].tolist() == at("2020-01-07 20:00")
    # What is dated by the day of the discharge is not known yet.
    assert Cohort(VISITS, samples).visible_events()["code"].tolist() == [
        "DM",
        "LAB",
        "LAB",
        "STROKE",
    ]
    ends_on_a_date = events_of((1, "2020-01-05 09:00", "LAB"), (1, "2020-01-07 00:00", "DM"))
    samples, _ = make(
        pd.concat(
            [ends_on_a_date.assign(visit_id=1), events_of((2, "2020-01-09 10:00", "STROKE"))]
        ),
        index="discharge",
    )
    assert samples["prediction_time"].tolist() == at("2020-01-08")
    samples, _ = make(VISITS, index="discharge", resolution="day")
    assert samples["prediction_time"].tolist() == at("2020-01-07")


@pytest.mark.parametrize("as_dates", [False, True])
@pytest.mark.parametrize("kind", ["one", "text", "series"])
def test_observation_that_ends_on_a_date_ends_with_that_day(kind, as_dates):
    events = events_of(
        (1, "2020-03-01 10:00", "DM"),
        (1, "2020-03-05 14:00", "STROKE"),
        (1, "2020-03-09 9:00", "X"),
    )
    if as_dates:
        events["time"] = events["time"].dt.normalize()
    end = {"one": at("2020-03-05")[0], "text": "2020-03-05"}.get(kind)
    if kind == "series":
        end = pd.Series(at("2020-03-05"), index=[1])
    samples, _ = make(events, observation_end=end, horizon="30D", incomplete="mark")
    assert samples["outcome"].tolist() == [1]
    assert samples["complete"].tolist() == [False]
    # 4 days and 14 hours reach into that day, 5 days beyond it.
    samples, _ = make(events, observation_end=end, horizon="4D" if as_dates else "110h")
    assert samples["outcome"].tolist() == [1]
    with pytest.raises(ValueError, match="No sample is left"):
        make(events, observation_end=end, horizon="5D")


def test_observation_that_ends_at_a_time_of_day_ends_then():
    ends = at("2020-03-05 13:00", "2020-03-05 14:00")
    events = events_of((1, "2020-03-01 10:00", "DM"), (1, "2020-03-05 14:00", "STROKE"))
    outcomes = [
        make(events, observation_end=end, horizon="30D", incomplete="mark")[0]["event"].item()
        for end in ends
    ]
    assert outcomes == [0, 1]


def test_latest_event_that_is_a_date_ends_observation_with_its_day():
    events = events_of(
        (1, "2020-03-01 10:00", "DM"), (1, "2020-03-05", "STROKE"), (2, "2020-03-05 14:00", "X")
    )
    samples, _ = make(events, observation_end=None, horizon="110h")
    assert samples["outcome"].tolist() == [1]
    assert samples["duration"].tolist() == pytest.approx([4 + 14 / 24])


def test_observation_ends_with_the_day_of_the_zone_of_the_events():
    zone = "America/New_York"
    events = events_of((1, "2020-03-01 10:00", "DM"), (1, "2020-03-05 23:00", "STROKE"), zone=zone)
    in_utc = at("2020-03-05", zone=zone)[0].tz_convert("UTC")
    samples, _ = make(events, observation_end=in_utc, horizon="30D", incomplete="mark")
    assert samples["outcome"].tolist() == [1]


def test_death_known_by_date_comes_at_the_end_of_its_day():
    events = events_of(
        (1, "2020-03-05 14:00", "DM"), (1, "2020-03-05 00:00", "DEATH"), (2, "2020-03-05", "STROKE")
    )
    death = {"competing_codes": ["DEATH"], "incomplete": "mark"}
    samples, _ = make(events, **death)
    assert samples["event"].tolist() == [2]
    assert samples["duration"].tolist() == pytest.approx([10 / 24])
    with pytest.raises(ValueError, match="no competing event before prediction: 0"):
        make(events, **death, resolution="day")
    assert len(make(events, exclude=["DEATH"])[0]) == 1
    with pytest.raises(ValueError, match="no excluded code before prediction: 0"):
        make(events, exclude=["DEATH"], resolution="day")


def test_competing_date_and_outcome_of_that_day():
    """The date comes when its day has ended, so the outcome with a time of day was first."""
    events = events_of(
        (1, "2020-03-01 14:00", "DM"),
        (1, "2020-03-03 00:00", "DEATH"),
        (1, "2020-03-03 9:00", "STROKE"),
    )
    for resolution in ("day", "instant"):
        samples, _ = make(events, competing_codes=["DEATH"], resolution=resolution)
        assert samples["event"].tolist() == [1]


def test_numbers_have_no_resolution():
    events = pd.DataFrame({"patient_id": [1, 1], "time": [1, 3], "code": ["DM", "STROKE"]})
    params = {"index": ["DM"], "outcome_codes": ["STROKE"], "horizon": 2}
    for resolution in ("auto", "instant"):
        assert resolution_of(make_samples(events, **params, resolution=resolution)[1]) is None
    with pytest.raises(ValueError, match="resolution='day' needs datetimes"):
        make_samples(events, **params, resolution="day")


def test_what_a_cohort_shows_by_a_known_time_is_no_outcome():
    # The stroke is dated by day, so would count at the end of it, but was known at 01:00.
    events = events_of(
        (1, "2020-01-05 12:00", "DM"),
        (1, "2020-01-05 00:00", "STROKE"),
        (2, "2020-01-05 12:00", "DM"),
        (2, "2020-01-06 09:00", "STROKE"),
        (3, "2020-01-05 12:00", "DM"),
        (3, "2020-01-06 09:00", "STROKE"),
    )
    known = ["2020-01-05 12:00", "2020-01-05 01:00", "2020-01-05 12:00", "2020-01-06 10:00"]
    # The stroke of patient 3 was planned.
    known += ["2020-01-05 12:00", "2020-01-04 10:00"]
    events = events.assign(known_time=pd.to_datetime(known))
    params = {"index": ["DM"], "outcome_codes": ["STROKE"], "horizon": "9D"}
    params["observation_end"] = "2020-03-01"
    for source in (events, EventTable(events)):
        samples, _ = make_samples(source, **params)
        assert samples["outcome"].tolist() == [0, 1, 0]
        seen = Cohort(source, samples).visible_events()
        assert seen.loc[seen["code"] == "STROKE", "patient_id"].tolist() == [1, 3]
        samples, _ = make_samples(source, exclude="outcome", **params)
        assert samples["patient_id"].tolist() == [2]


def test_a_cohort_takes_the_resolution_that_samples_were_drawn_under():
    events = events_of((1, "2020-01-05", "DM"), (1, "2020-01-06", "STROKE"), (2, "2020-01-09", "X"))
    index = pd.DataFrame({"patient_id": [1, 1], "time": at("2020-01-06", "2020-01-05 12:00")})
    samples, _ = make(events, index=index, horizon="5D", observation_end="2020-03-01")
    assert samples["outcome"].tolist() == [1, 1]
    for part in (
        samples,
        samples.iloc[[1]],
        samples[samples["prediction_time"] == at("2020-01-06")[0]],
    ):
        X = Cohort(events, part)
        assert X.resolution == "instant"
        assert "STROKE" not in X.visible_events()["code"].tolist()
    with pytest.raises(ValueError, match="make_samples drew these samples under 'instant'"):
        Cohort(events, samples, resolution="day")
    # Of numbers, and of samples that were not drawn, there is none.
    assert Cohort(events, samples.drop(columns="outcome").iloc[:1]).resolution == "instant"
    assert b"sklearn_ehr_resolution" not in pickle.dumps(Cohort(events, samples)[[0]])


def test_samples_that_lost_their_resolution_in_a_merge_are_told():
    events = events_of((1, "2020-01-05", "DM"), (1, "2020-01-06", "STROKE"), (2, "2020-01-09", "X"))
    samples, _ = make(events)
    merged = samples.merge(pd.DataFrame({"patient_id": [1], "person": ["p"]}))
    with pytest.warns(UserWarning, match="not the resolution that they were drawn under"):
        Cohort(events, merged)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Cohort(events, samples)
        Cohort(events, merged, resolution="day")


def test_index_of_another_zone_than_that_of_the_events_is_told():
    events = MIXED.assign(time=MIXED["time"].dt.tz_localize("UTC"))
    index = pd.DataFrame({"patient_id": [2], "time": at("2020-02-03 09:00", zone="Europe/Berlin")})
    with pytest.warns(
        UserWarning, match="time zone UTC, and prediction or index times of Europe/Berlin"
    ):
        make(events, index=index)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        make(events, index=index.assign(time=index["time"].dt.tz_convert("UTC")))
