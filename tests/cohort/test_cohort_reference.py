"""Visible events against a slow and obvious reference, with every option drawn at random."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_ehr import Cohort

pytestmark = pytest.mark.filterwarnings("ignore:.*no visible event:UserWarning")

START = pd.Timestamp("2020-03-28")


def reference(events, samples, *, closed, lookback, null_time, midnights_are_days, has_predictions):
    """Sorted (time, code) of the events that each sample sees, decided row by row.

    Times are whole hours, as numbers; null is None.
    """
    seen = []
    for patient, now in samples:
        own = [event for event in events if event["patient_id"] == patient]
        dated = [event["time"] for event in own if event["time"] is not None]
        rows = []
        for event in own:
            time, known = event["time"], event["known_time"]
            if time is None:
                if null_time == "static":
                    rows.append((-np.inf, event["code"]))
                continue
            known = time if known is None else known
            if midnights_are_days and known % 24 == 0:
                known += 24
            if has_predictions:
                visible = known <= now if closed == "right" else known < now
                end = now
            else:
                visible, end = True, max(dated)
            if lookback is not None:
                after_start = time > end - lookback if closed == "right" else time >= end - lookback
                before_end = time <= end if closed == "right" or not has_predictions else time < end
                visible = visible and after_start and before_end
            if visible:
                rows.append((time, event["code"]))
        seen.append(sorted(rows))
    return seen


def seen_by(cohort, to_number):
    visible = cohort.visible_events()
    times = [-np.inf if pd.isna(time) else to_number(time) for time in visible["time"]]
    rows = list(zip(visible["sample"], times, visible["code"], strict=True))
    return [[(t, c) for i, t, c in rows if i == sample] for sample in range(len(cohort))]


@st.composite
def problems(draw):
    kind = draw(st.sampled_from(["numbers", "datetimes", "days"]))
    hours = st.integers(0, 120) if kind != "days" else st.integers(0, 5).map(lambda day: day * 24)
    null_time = draw(st.sampled_from(["error", "drop", "static"]))
    has_known = draw(st.booleans())
    event = st.fixed_dictionaries(
        {
            "patient_id": st.integers(1, 3),
            "time": hours if null_time == "error" else st.none() | hours,
            "known_time": st.integers(0, 120) if has_known else st.none(),
            "code": st.sampled_from("ABCDE"),
        }
    )
    # One event keeps every patient known to both frames, and null_time="drop" from leaving none.
    first = {"patient_id": 1, "time": 24, "known_time": 25 if has_known else None, "code": "A"}
    samples = draw(st.lists(st.tuples(st.integers(1, 4), st.integers(-1, 140)), max_size=6))
    return {
        "kind": kind,
        "events": [first, *draw(st.lists(event, max_size=25))],
        # An odd prediction time makes the column of prediction times no whole days.
        "samples": [(1, 31), *samples],
        "has_known": has_known,
        "has_predictions": draw(st.booleans()),
        "closed": draw(st.sampled_from(["right", "left"])),
        "lookback": draw(st.none() | st.integers(1, 100)),
        "null_time": null_time,
        "zone": draw(st.sampled_from([None, "UTC", "Asia/Kolkata"])),
        "units": draw(st.tuples(*[st.sampled_from(["s", "ms", "us", "ns"])] * 3)),
        "subset": draw(st.lists(st.integers(0, len(samples)), max_size=6)),
        "shuffle": draw(st.integers(0, 10)),
    }


def build(problem):
    events = pd.DataFrame(problem["events"]).sample(frac=1, random_state=problem["shuffle"])
    samples = pd.DataFrame(problem["samples"], columns=["patient_id", "prediction_time"])
    lookback = problem["lookback"]
    if not problem["has_known"]:
        events = events.drop(columns="known_time")
    if problem["kind"] != "numbers":
        columns = [(events, "time"), (events, "known_time"), (samples, "prediction_time")]
        for (frame, name), unit in zip(columns, problem["units"], strict=True):
            if name in frame:
                hours = pd.to_timedelta(frame[name].astype(float), unit="h")
                times = (START + hours).dt.as_unit(unit).dt.tz_localize(problem["zone"])
                frame[name] = times
        lookback = None if lookback is None else pd.Timedelta(lookback, "h")
    return Cohort(
        events,
        samples,
        prediction_time="prediction_time" if problem["has_predictions"] else None,
        closed=problem["closed"],
        lookback=lookback,
        null_time=problem["null_time"],
    )


@settings(max_examples=300, deadline=None)
@given(problems())
def test_visible_events_are_those_of_the_reference(problem):
    cohort = build(problem)
    start = START if problem["kind"] == "numbers" else START.tz_localize(problem["zone"])

    def to_number(time):
        return time if problem["kind"] == "numbers" else (time - start) / pd.Timedelta("1h")

    expected = reference(
        problem["events"],
        problem["samples"],
        closed=problem["closed"],
        lookback=problem["lookback"],
        null_time=problem["null_time"],
        midnights_are_days=problem["kind"] != "numbers",
        has_predictions=problem["has_predictions"],
    )
    assert seen_by(cohort, to_number) == expected

    subset = cohort[problem["subset"]]
    expected = [expected[i] for i in problem["subset"]]
    assert seen_by(subset, to_number) == expected
    loaded = pickle.loads(pickle.dumps(subset))
    assert seen_by(loaded, to_number) == expected
    assert len(loaded._events) == len(np.unique(np.r_[loaded.visible_positions()[0]]))
