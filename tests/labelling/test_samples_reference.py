"""Samples and outcomes against a slow and obvious reference, on hostile tables drawn at random."""

import datetime as dt
import re

import numpy as np
import pandas as pd
import pytest
from clocks import DAY, MINUTE, ZONES, Clock, midnights_of
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_ehr import Cohort, EventTable, make_samples

pytestmark = pytest.mark.filterwarnings("ignore:.*no visible event:UserWarning")

HOUR = 60 * MINUTE
REFUSALS = r"No sample is left|No event fits index|No event with a time has|No patient of index"


class Moments:
    """Times as moments, in naive UTC."""

    def __init__(self, clock):
        self.clock = clock

    def event(self, time):
        return self.clock.known_from(time)

    def given(self, time):
        return time

    def end(self, time):
        return self.clock.known_from(time)

    def sample(self, time):
        return time

    def moment(self, time):
        return time


class Days:
    """Times as calendar days, which are their naive midnights."""

    def __init__(self, clock):
        self.clock = clock

    def event(self, time):
        return dt.datetime.combine(self.clock.day(time), dt.time(0))

    def given(self, time):
        return dt.datetime.combine(self.clock.date(time), dt.time(0))

    def end(self, time):
        return self.given(time)

    def sample(self, time):
        # A day that the zone left out becomes the next one.
        return self.given(self.moment(time))

    def moment(self, time):
        return self.clock.midnights[time.date()][0]


class Numbers:
    """Times as numbers."""

    event = given = end = sample = moment = staticmethod(lambda number: number)


def index_times(problem, times, patient):
    """Index times of a patient, perhaps none."""
    kind, index = problem["index"]
    own = [event for event in problem["events"] if event["patient_id"] == patient]
    dated = [(times.event(event["time"]), event) for event in own if event["time"] is not None]
    if kind == "codes":
        found = [time for time, event in dated if event["code"] in index]
        return found if problem["every"] else found and [min(found)]
    if kind == "visits":
        visits = {}
        for time, event in dated:
            visits.setdefault(event["visit_id"], []).append((time, event["time"]))
        found = [pairs for visit, pairs in visits.items() if visit is not None]
        if index == "admission":
            return [min(time for time, _ in pairs) for pairs in found]
        return [max(pairs, key=lambda pair: pair[1])[0] for pairs in found]
    if kind == "times":
        first = [min(time for time, _ in dated)] if dated else []
        return [
            times.given(time) for time in index for known in first if known <= times.given(time)
        ]
    return [times.given(time) for who, time in index if who == patient and own]


def reference(problem, times):
    """Rows of samples, decided one by one."""
    length = {name: problem[name] or problem["zero"] for name in ("gap", "offset", "horizon")}
    known = [times.event(event["time"]) for event in problem["events"] if event["time"] is not None]
    rows = []
    for patient in sorted({event["patient_id"] for event in problem["events"]}):
        end = problem["end"]
        if isinstance(end, dict):
            end = end[patient]
        end = max(known) if end is None else times.end(end)

        def of(codes, who=patient):
            return sorted(
                times.event(event["time"])
                for event in problem["events"]
                if event["patient_id"] == who
                and event["code"] in (codes or ())
                and event["time"] is not None
            )

        outcomes, competing = of(problem["outcome_codes"]), of(problem["competing_codes"])
        excluded = outcomes if problem["exclude"] == "outcome" else of(problem["exclude"])
        found = index_times(problem, times, patient)
        for at in sorted({times.sample(time + length["offset"]) for time in found}):
            if any(time <= at for time in excluded + competing):
                continue
            start = at + length["gap"]
            stop = start + length["horizon"]
            seen = [(t, 1) for t in outcomes if start < t <= min(stop, end)]
            seen += [(t, 2) for t in competing if at < t <= min(stop, end)]
            until, event = min(seen, default=(min(stop, end), 0))
            complete = end >= stop or event == 2
            if at > end if problem["incomplete"] == "mark" else not complete:
                continue
            outcome = int(event == 1) if complete or event == 1 else None
            rows.append((patient, times.moment(at), outcome, event, until - at, complete))
    return rows


def as_rows(samples, problem):
    at = samples["prediction_time"]
    duration = samples["duration"].tolist()
    if at.dtype.kind == "M" or hasattr(at.dtype, "tz"):
        at = (
            at.dt.tz_localize(None)
            if at.dt.tz is None
            else at.dt.tz_convert("UTC").dt.tz_localize(None)
        )
        at = [time.to_pydatetime() for time in at]
        duration = [DAY * days for days in duration]
    complete = samples.get("complete", pd.Series(True, index=samples.index))
    assert ("complete" in samples) == (problem["incomplete"] == "mark")
    outcome = [None if pd.isna(value) else int(value) for value in samples["outcome"]]
    columns = samples["patient_id"], at, outcome, samples["event"], duration, complete
    return list(zip(*map(list, columns), strict=True))


CODES = st.lists(st.sampled_from("ABCDE"), min_size=1, max_size=2, unique=True)


@st.composite
def rules(draw, moment, late, lengths):
    """What to draw samples by, whatever the kind of times."""
    outcome_codes = draw(CODES)
    others = [code for code in "ABCDE" if code not in outcome_codes]
    kind = draw(st.sampled_from(["codes", "codes", "visits", "times", "frame", "series"]))
    pairs = st.lists(st.tuples(st.integers(1, 5), moment), min_size=1, max_size=5)
    index = {
        "codes": CODES,
        "visits": st.sampled_from(["admission", "discharge"]),
        "times": st.lists(moment, min_size=1, max_size=3),
        "frame": pairs,
        "series": pairs,
    }[kind]
    ends = st.none() | moment | st.fixed_dictionaries(dict.fromkeys((1, 2, 3, 4), moment))
    return {
        "index": (kind, draw(index)),
        "every": kind == "codes" and draw(st.booleans()),
        "outcome_codes": outcome_codes,
        "competing_codes": draw(st.none() | st.sampled_from(others).map(list)),
        "exclude": draw(st.sampled_from([None, None, None, "outcome", ["D"], ["E"]])),
        "incomplete": draw(st.sampled_from(["drop", "mark"])),
        "end": draw(ends),
        "horizon": draw(st.sampled_from(lengths)),
        "gap": draw(st.none() | st.sampled_from(lengths)),
        "offset": draw(st.none() | st.sampled_from(lengths[:2])),
        "as_table": draw(st.booleans()),
        "shuffle": draw(st.integers(0, 10)),
    }


def event_of(moment):
    return st.fixed_dictionaries(
        {
            "patient_id": st.integers(1, 4),
            "time": st.one_of(moment, moment, moment, st.none()),
            "visit_id": st.none() | st.integers(1, 3),
            "code": st.sampled_from("ABCDE"),
        }
    )


@st.composite
def events_of(draw, moment):
    """Some events, mostly with every code among them."""
    first = {"patient_id": 1, "time": draw(moment), "visit_id": 1, "code": "A"}
    codes = draw(st.sampled_from(["BCDE", "BCDE", "BCDE", ""]))
    others = [
        {
            "patient_id": draw(st.integers(1, 4)),
            "time": draw(moment),
            "visit_id": None,
            "code": code,
        }
        for code in codes
    ]
    return [first, *others, *draw(st.lists(event_of(moment), min_size=5, max_size=25))]


@st.composite
def problems(draw):
    zone = draw(st.sampled_from(list(ZONES)))
    start = ZONES[zone]
    midnights = sorted({m for pair in midnights_of(zone, start).values() for m in pair})
    midnights = [m for m in midnights if start <= m < start + 4 * DAY]
    # Hostile moments: midnights and the minutes around them; else any hour.
    near = st.sampled_from([m + i * MINUTE for m in midnights for i in (-1, 0, 0, 0, 1, 30, 61)])
    moment = near | st.integers(0, 95).map(lambda hour: start + hour * HOUR)
    if draw(st.booleans()):
        moment = st.sampled_from(midnights)
    return {
        "start": start,
        "zone": zone,
        "index_zone": zone if zone is None else draw(st.sampled_from([zone, "Asia/Tokyo"])),
        "events": draw(events_of(moment)),
        "resolution": draw(st.sampled_from(["auto", "day", "instant"])),
        "units": draw(st.tuples(*[st.sampled_from(["s", "ms", "us", "ns"])] * 3)),
        "zero": dt.timedelta(0),
        "exact": dt.timedelta(milliseconds=1),
        **draw(rules(moment, start + 7 * DAY, [DAY, HOUR, 36 * HOUR, 2 * DAY])),
    }


def build_events(problem, events):
    frame = pd.DataFrame(events).sample(frac=1, random_state=problem["shuffle"])
    frame["time"] = as_column(frame["time"], problem["units"][0], problem["zone"])
    return EventTable(frame, null_time="static") if problem["as_table"] else frame


def as_column(times, unit, zone):
    times = pd.to_datetime(pd.Series(times)).dt.as_unit(unit)
    return times if zone is None else times.dt.tz_localize("UTC").dt.tz_convert(zone)


def parameters(problem, column):
    """Parameters of `make_samples`; `column` makes a Series of times of an index or of ends."""
    kind, index = problem["index"]
    if kind == "times":
        index = list(column(index, 1))
    elif kind in ("frame", "series"):
        who, when = zip(*index, strict=True)
        index = pd.DataFrame({"patient_id": who, "time": column(list(when), 1), "other": "x"})
        if kind == "series":
            index = index.set_index("patient_id")["time"]
    end = problem["end"]
    if isinstance(end, dict):
        end = column(list(end.values()), 2).set_axis(list(end))
    elif end is not None:
        end = column([end], 2).iloc[0]
    names = ("every", "outcome_codes", "competing_codes", "exclude", "incomplete")
    lengths = ("horizon", "gap", "offset")
    return {
        "index": index,
        "observation_end": end,
        **{name: problem[name] for name in (*names, *lengths)},
    }


def datetime_parameters(problem, resolution):
    def column(times, unit):
        return as_column(times, problem["units"][unit], problem["index_zone"])

    return {**parameters(problem, column), "resolution": resolution}


def make_or_none(events, **params):
    """Samples and attrition, or the message of a refusal."""
    try:
        return make_samples(events, **params)
    except ValueError as error:
        return str(error)


def codes_missing(problem):
    kind, index = problem["index"]
    asked = [
        problem["outcome_codes"],
        problem["competing_codes"],
        index if kind == "codes" else None,
    ]
    asked.append(None if problem["exclude"] == "outcome" else problem["exclude"])
    present = {event["code"] for event in problem["events"] if event["time"] is not None}
    return any(codes is not None and not present & set(codes) for codes in asked)


def check_against(made, problem, expected):
    if codes_missing(problem) or not expected:
        assert isinstance(made, str) and re.search(REFUSALS, made)
        return
    samples, attrition = made
    rows = as_rows(samples, problem)
    assert [row[:4] + row[5:] for row in rows] == [row[:4] + row[5:] for row in expected]
    for row, wanted in zip(rows, expected, strict=True):
        assert row[4] == pytest.approx(wanted[4], abs=problem["exact"])
    assert attrition["n_samples"].iloc[-1] == len(rows)
    assert attrition["n_patients"].iloc[-1] == len({row[0] for row in rows})
    assert (attrition["n_samples"].diff().dropna() <= 0).all()


@settings(max_examples=700, deadline=None)
@given(problems())
def test_samples_are_those_of_the_reference(problem):
    events = build_events(problem, problem["events"])
    clock = Clock(problem["zone"], problem["start"])
    resolution = problem["resolution"]
    made = make_or_none(events, **datetime_parameters(problem, resolution))
    used = resolution
    if resolution == "auto":
        used = expected_resolution(problem, clock)
    expected = reference(problem, Days(clock) if used == "day" else Moments(clock))
    if resolution == "auto" and expected and not codes_missing(problem):
        are_midnights = all(is_midnight(clock, row[1]) for row in expected)
        if ("day" if are_midnights and has_midnights_only(problem, clock) else "instant") != used:
            assert "resolution='auto' chose 'instant'" in made
            return
    check_against(made, problem, expected)
    if not isinstance(made, str):
        assert set(made[1]["resolution"]) == {used}
        table = events if problem["as_table"] else EventTable(events, null_time="static")
        assert Cohort(table, made[0], resolution=resolution).resolution == used


def is_midnight(clock, moment):
    return clock.known_from(moment) != moment


def has_midnights_only(problem, clock):
    times = [event["time"] for event in problem["events"] if event["time"] is not None]
    return all(is_midnight(clock, time) for time in times)


def expected_resolution(problem, clock):
    kind, index = problem["index"]
    moments = index if kind == "times" else []
    if kind in ("frame", "series"):
        patients = {event["patient_id"] for event in problem["events"]}
        moments = [time for who, time in index if who in patients]
    is_whole = not (problem["offset"] or problem["zero"]) % DAY
    are_midnights = is_whole and all(is_midnight(clock, time) for time in moments)
    return "day" if are_midnights and has_midnights_only(problem, clock) else "instant"


@st.composite
def numeric_problems(draw):
    number = st.integers(0, 40)
    return {
        "events": draw(events_of(number)),
        "types": draw(st.tuples(*[st.sampled_from([int, float])] * 3)),
        "zero": 0,
        "exact": 0,
        **draw(rules(number, 60, [3, 1, 7, 12])),
    }


@settings(max_examples=500, deadline=None)
@given(numeric_problems())
def test_samples_of_numeric_times_are_those_of_the_reference(problem):
    events = pd.DataFrame(problem["events"]).sample(frac=1, random_state=problem["shuffle"])
    if not events["time"].isna().any():
        events["time"] = events["time"].astype(problem["types"][0])
    if problem["as_table"]:
        events = EventTable(events, null_time="static")
    params = parameters(problem, lambda times, i: pd.Series(times).astype(problem["types"][i]))
    made = make_or_none(events, **params)
    check_against(made, problem, reference(problem, Numbers))
    assert isinstance(made, str) or made[1]["resolution"].isna().all()


@settings(max_examples=400, deadline=None)
@given(problems(), st.sampled_from(["day", "instant"]), st.data())
def test_samples_of_a_patient_depend_on_their_own_events_alone(problem, resolution, data):
    # One patient keeps every code and a visit among the events of the others.
    midnight = problem["start"]
    keeper = [{"patient_id": 4, "time": midnight, "visit_id": 1, "code": code} for code in "ABCDE"]
    ends = problem["end"]
    problem["end"] = problem["start"] + 2 * DAY if ends is None else ends
    own = [event for event in problem["events"] if event["patient_id"] == 1]
    strategy = st.lists(event_of(st.sampled_from([midnight + i * 7 * HOUR for i in range(9)])))
    others = [{**event, "patient_id": 2 + event["patient_id"] % 3} for event in data.draw(strategy)]
    params = datetime_parameters(problem, resolution)
    rows = []
    for events in (own + keeper, own + keeper + others, problem["events"] + keeper):
        made = make_or_none(build_events(problem, events), **params)
        rows.append([])
        if isinstance(made, str):
            assert re.search(REFUSALS, made)
        else:
            rows[-1] = [row for row in as_rows(made[0], problem) if row[0] == 1]
    assert rows[0] == rows[1] == rows[2]


@settings(max_examples=400, deadline=None)
@given(problems(), st.sampled_from(["day", "instant"]))
def test_outcomes_are_what_a_cohort_comes_to_see_within_the_horizon(problem, resolution):
    """An independent path: what a Cohort sees at the start and at the end of the window."""
    problem.update(competing_codes=None, end=problem["start"] + 900 * DAY, incomplete="drop")
    if resolution == "day":
        # Calendar days are as long as lengths only without changes of clocks.
        lengths = {name: DAY for name in ("gap", "offset") if problem[name]}
        problem.update(zone=None, index_zone=None, horizon=2 * DAY, **lengths)
    table = build_events({**problem, "as_table": True}, problem["events"])
    params = datetime_parameters(problem, resolution)
    params["observation_end"] = params["observation_end"].as_unit("s")
    made = make_or_none(table, **params)
    if isinstance(made, str):
        assert re.search(REFUSALS, made)
        return
    samples = made[0]

    def n_seen(delay):
        later = samples.assign(prediction_time=samples["prediction_time"] + delay)
        visible = Cohort(table, later, resolution=resolution).visible_events()
        is_one = visible["code"].isin(problem["outcome_codes"]) & visible["time"].notna()
        return np.bincount(visible["sample"][is_one], minlength=len(samples))

    gap = problem["gap"] or dt.timedelta(0)
    came = n_seen(gap + problem["horizon"]) > n_seen(gap)
    assert samples["outcome"].tolist() == came.astype(int).tolist()
    if problem["exclude"] == "outcome":
        assert not n_seen(dt.timedelta(0)).any()
