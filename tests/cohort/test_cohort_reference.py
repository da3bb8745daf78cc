"""Visible events against a slow and obvious reference, on hostile tables drawn at random."""

import datetime as dt
import pickle

import numpy as np
import pandas as pd
import pytest
from clocks import DAY, MINUTE, ZONES, Clock, midnights_of
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_ehr import Cohort, EventTable

pytestmark = pytest.mark.filterwarnings("ignore:.*no visible event:UserWarning")


def is_by(time, now, closed):
    return time <= now if closed == "right" else time < now


def reference(problem, resolution):
    """Sorted (time, code) of the events that each sample sees, decided row by row."""
    closed, lookback = problem["closed"], problem["lookback"]
    clock = Clock(problem["zone"], problem["start"])
    known_clock = Clock(problem["known_zone"], problem["start"]) if problem["has_known"] else clock
    lookback = None if lookback is None else lookback * MINUTE

    def was_known(clock, time, now, closed):
        if resolution == "instant":
            return is_by(clock.known_from(time), now, closed)
        return is_by(clock.day(time), clock.date(now), closed)

    def is_old(time, now, lookback):
        if resolution == "instant":
            return was_known(clock, time, now - lookback, closed)
        midnight = dt.datetime.combine
        start = midnight(clock.date(now), dt.time(0)) - lookback
        return is_by(midnight(clock.day(time), dt.time(0)), start, closed)

    seen = []
    for patient, now in problem["samples"]:
        rows = []
        for event in problem["events"]:
            time, known = event["time"], event["known_time"]
            if event["patient_id"] != patient:
                continue
            if time is None:
                if problem["null_time"] == "static":
                    rows.append((dt.datetime.min, event["code"]))
                continue
            if not was_known(known_clock, known if problem["has_known"] else time, now, closed):
                continue
            if lookback is not None:
                if is_old(time, now, lookback):
                    continue
                ahead = (
                    not is_by(time, now, closed)
                    if resolution == "instant"
                    else not is_by(known_clock.day(time), known_clock.date(now), closed)
                )
                if problem["has_known"] and ahead:
                    continue
            rows.append((time, event["code"]))
        seen.append(sorted(rows))
    return seen


def seen_by(cohort):
    visible = cohort.visible_events()
    times = visible["time"]
    if times.dt.tz is not None:
        times = times.dt.tz_convert("UTC").dt.tz_localize(None)
    times = [dt.datetime.min if pd.isna(time) else time.to_pydatetime() for time in times]
    rows = list(zip(visible["sample"], times, visible["code"], strict=True))
    return [[(t, c) for i, t, c in rows if i == sample] for sample in range(len(cohort))]


@st.composite
def problems(draw):
    zone = draw(st.sampled_from(list(ZONES)))
    start = ZONES[zone]
    midnights = sorted({m for pair in midnights_of(zone, start).values() for m in pair})
    midnights = [m for m in midnights if start <= m < start + 4 * DAY]
    # Hostile moments: midnights and the minutes around them; else any hour.
    near = st.sampled_from([m + i * MINUTE for m in midnights for i in (-1, 0, 0, 0, 1, 30, 61)])
    moment = near | st.integers(0, 95).map(lambda hour: start + hour * 60 * MINUTE)
    if draw(st.booleans()):
        moment = st.sampled_from(midnights)
    null_time = draw(st.sampled_from(["error", "drop", "static"]))
    event = st.fixed_dictionaries(
        {
            "patient_id": st.integers(1, 3),
            "time": moment if null_time == "error" else st.none() | moment,
            "known_time": moment,
            "code": st.sampled_from("ABCDE"),
        }
    )
    # One event keeps null_time="drop" from leaving none.
    first = {"patient_id": 1, "time": midnights[1], "known_time": midnights[1], "code": "A"}
    samples = draw(st.lists(st.tuples(st.integers(1, 4), moment), max_size=6))
    return {
        "start": start,
        "zone": zone,
        "known_zone": zone if zone is None else draw(st.sampled_from([zone, "UTC"])),
        "prediction_zone": zone if zone is None else draw(st.sampled_from([zone, "Asia/Tokyo"])),
        "events": [first, *draw(st.lists(event, max_size=25))],
        "samples": [(1, midnights[2]), *samples],
        "has_known": draw(st.booleans()),
        "resolution": draw(st.sampled_from(["auto", "day", "instant"])),
        "closed": draw(st.sampled_from(["right", "left"])),
        "lookback": draw(st.none() | st.sampled_from([1, 60, 24 * 60, 36 * 60, 48 * 60, 10**7])),
        "null_time": null_time,
        "units": draw(st.tuples(*[st.sampled_from(["s", "ms", "us", "ns"])] * 3)),
        "subset": draw(st.lists(st.integers(0, len(samples)), max_size=6)),
        "shuffle": draw(st.integers(0, 10)),
    }


def build(problem):
    events = pd.DataFrame(problem["events"]).sample(frac=1, random_state=problem["shuffle"])
    samples = pd.DataFrame(problem["samples"], columns=["patient_id", "prediction_time"])
    columns = [
        (events, "time", problem["zone"]),
        (events, "known_time", problem["known_zone"]),
        (samples, "prediction_time", problem["prediction_zone"]),
    ]
    for (frame, name, zone), unit in zip(columns, problem["units"], strict=True):
        times = pd.to_datetime(frame[name]).dt.as_unit(unit)
        frame[name] = times if zone is None else times.dt.tz_localize("UTC").dt.tz_convert(zone)
    if not problem["has_known"]:
        events = events.drop(columns="known_time")
    return EventTable(events, null_time=problem["null_time"]), samples


@settings(max_examples=700, deadline=None)
@given(problems())
def test_visible_events_are_those_of_the_reference(problem):
    table, samples = build(problem)
    options = {key: problem[key] for key in ("closed", "resolution")}
    if problem["lookback"] is not None:
        options["lookback"] = pd.Timedelta(problem["lookback"], "min")
    cohort = Cohort(table, samples, **options)
    if problem["resolution"] != "auto":
        assert cohort.resolution == problem["resolution"]
    expected = reference(problem, cohort.resolution)
    assert seen_by(cohort) == expected
    assert cohort.event_table is table
    assert f"n_events={sum(map(len, expected))})" in repr(cohort)

    subset = cohort[problem["subset"]]
    expected = [expected[i] for i in problem["subset"]]
    assert seen_by(subset) == expected
    loaded = pickle.loads(pickle.dumps(subset))
    assert seen_by(loaded) == expected
    assert loaded.resolution == cohort.resolution
    assert len(loaded.event_table) == len(np.unique(np.r_[loaded.visible_positions()[0]]))
    # A cohort cut to one sample and served alone, under the resolution it was made with.
    options["resolution"] = cohort.resolution
    for i in np.flatnonzero(samples["patient_id"].isin(table.patients)):
        alone = Cohort(table, samples.iloc[[i]], **options)
        assert seen_by(alone) == seen_by(cohort[i])


@settings(max_examples=300, deadline=None)
@given(problems())
def test_auto_is_day_where_every_time_is_a_midnight_of_the_events_zone(problem):
    table, samples = build(problem)
    zones = [problem["zone"], problem["known_zone"] if problem["has_known"] else problem["zone"]]
    clocks = [Clock(zone, problem["start"]) for zone in zones]
    kept = [event for event in problem["events"] if event["time"] is not None]
    moments = [(clocks[0], event["time"]) for event in kept]
    if problem["has_known"]:
        moments += [(clocks[1], event["known_time"]) for event in kept]
    moments += [(clocks[1], now) for _, now in problem["samples"]]
    only_midnights = all(clock.known_from(moment) != moment for clock, moment in moments)
    assert Cohort(table, samples).resolution == ("day" if only_midnights else "instant")


@st.composite
def numeric_problems(draw):
    number = st.integers(0, 60)
    event = st.tuples(st.integers(1, 3), number, number, st.sampled_from("ABCDE"))
    return {
        "events": [(1, 24, 25, "A"), *draw(st.lists(event, max_size=25))],
        "samples": [(1, 31), *draw(st.lists(st.tuples(st.integers(1, 4), number), max_size=6))],
        "has_known": draw(st.booleans()),
        "has_predictions": draw(st.booleans()),
        "closed": draw(st.sampled_from(["right", "left"])),
        "lookback": draw(st.none() | st.integers(1, 40)),
        "types": draw(st.tuples(*[st.sampled_from([int, float])] * 3)),
    }


@settings(max_examples=500, deadline=None)
@given(numeric_problems())
def test_numbers_and_whole_histories_are_those_of_the_reference(problem):
    closed, lookback, has_known = problem["closed"], problem["lookback"], problem["has_known"]
    expected = []
    for patient, now in problem["samples"]:
        own = [event for event in problem["events"] if event[0] == patient]
        rows = []
        for _, time, known, code in own:
            is_known, end = True, now
            if problem["has_predictions"]:
                is_known = is_by(known if has_known else time, now, closed)
            else:
                end = max(event[1] for event in own)
            if lookback is not None:
                is_known &= not is_by(time, end - lookback, closed)
                is_known &= not problem["has_predictions"] or is_by(time, now, closed)
            if is_known:
                rows.append((time, code))
        expected.append(sorted(rows))
    columns = ["patient_id", "time", "known_time", "code"]
    events = pd.DataFrame(problem["events"], columns=columns)
    samples = pd.DataFrame(problem["samples"], columns=["patient_id", "prediction_time"])
    times = [(events, "time"), (events, "known_time"), (samples, "prediction_time")]
    for (frame, name), dtype in zip(times, problem["types"], strict=True):
        frame[name] = frame[name].astype(dtype)
    cohort = Cohort(
        events if has_known else events.drop(columns="known_time"),
        samples,
        prediction_time="prediction_time" if problem["has_predictions"] else None,
        closed=closed,
        lookback=lookback,
    )
    assert cohort.resolution is None
    visible = cohort.visible_events()
    rows = list(zip(visible["sample"], visible["time"], visible["code"], strict=True))
    shown = [[(t, c) for i, t, c in rows if i == sample] for sample in range(len(cohort))]
    assert shown == expected
