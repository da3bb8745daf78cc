import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_ehr import Cohort, make_samples

EVENTS = pd.DataFrame(
    [
        (1, 0, 10, "DM"),
        (1, 5, 10, "STROKE"),
        (1, 9, 11, "DM"),
        (2, 3, 20, "DM"),
        (2, 40, 21, "STROKE"),
        (3, 2, 30, "FLU"),
        (3, 4, None, "DM"),
        (4, 1, 40, "STROKE"),
        (4, 2, 40, "DM"),
        (5, 50, 50, "FLU"),
    ],
    columns=["patient_id", "time", "visit_id", "code"],
)


def make(events=EVENTS, **params):
    given = {"index": ["DM"], "outcome_codes": ["STROKE"], "horizon": 10}
    return make_samples(events, **{**given, **params})


def rows(samples):
    return samples.to_numpy().tolist()


def test_outcome_within_the_horizon_after_the_first_code():
    samples, attrition = make()
    assert samples.columns.tolist() == ["patient_id", "prediction_time", "outcome"]
    assert rows(samples) == [[1, 0, 1], [2, 3, 0], [3, 4, 0], [4, 2, 0]]
    assert attrition.to_numpy().tolist() == [["index event", 4, 4], ["observed for horizon", 4, 4]]


def test_horizon_and_gap_are_open_at_their_start_and_closed_at_their_end():
    assert rows(make(horizon=5)[0])[0] == [1, 0, 1]
    assert rows(make(horizon=4)[0])[0] == [1, 0, 0]
    assert rows(make(horizon=4, gap=1)[0])[0] == [1, 0, 1]
    assert rows(make(horizon=4, gap=0)[0]) == rows(make(horizon=4)[0])
    assert rows(make(horizon=4, gap=5)[0])[0] == [1, 0, 0]
    # At the index time the model may see it.
    assert rows(make(index=["STROKE"], outcome_codes=["STROKE"])[0])[0] == [1, 5, 0]


def test_samples_whose_observation_ends_too_early_are_dropped_never_labelled_0():
    samples, attrition = make(observation_end=13)
    assert rows(samples) == [[1, 0, 1], [2, 3, 0], [4, 2, 0]]
    assert attrition.to_numpy().tolist() == [["index event", 4, 4], ["observed for horizon", 3, 3]]
    # Also one that had the outcome by then: else those with it would be too many.
    assert rows(make(observation_end=9, horizon=8)[0]) == [[1, 0, 1]]
    with pytest.raises(ValueError, match="No sample is left"):
        make(observation_end=9)


def test_incomplete_samples_can_be_marked():
    samples, attrition = make(observation_end=6, incomplete="mark")
    assert samples.columns.tolist() == ["patient_id", "prediction_time", "outcome", "complete"]
    assert samples["complete"].tolist() == [False] * 4
    assert samples["outcome"].tolist()[0] == 1
    assert samples["outcome"].isna().tolist() == [False, True, True, True]
    assert attrition["rule"].tolist() == ["index event", "observed then"]
    # What came after the end of observation was not seen, nor was who came later.
    late, _ = make(observation_end=3, incomplete="mark")
    assert late["patient_id"].tolist() == [1, 2, 4]
    assert late["outcome"].isna().all()


def test_observation_may_end_for_each_patient():
    ends = pd.Series({1: 100, 2: 100, 3: 5, 4: 100, 5: 100})
    assert make(observation_end=ends)[0]["patient_id"].tolist() == [1, 2, 4]
    with pytest.raises(ValueError, match="no entry for 1 of 5 patients"):
        make(observation_end=ends.drop(5))
    with pytest.raises(ValueError, match="several times for a patient"):
        make(observation_end=pd.concat([ends, ends[:1]]))


def test_who_had_the_outcome_before_can_be_excluded():
    samples, attrition = make(exclude="outcome")
    assert samples["patient_id"].tolist() == [1, 2, 3]
    assert attrition["rule"].tolist()[1] == "no excluded code by then"
    assert attrition["n_patients"].tolist() == [4, 3, 3]
    assert make(exclude=["FLU"])[0]["patient_id"].tolist() == [1, 2, 4]
    # At the very time counts as before.
    with pytest.raises(ValueError, match="no excluded code by then: 0"):
        make(index=["STROKE"], exclude=["STROKE"])


def test_every_discharge_is_an_index():
    samples, _ = make(index="discharge")
    assert samples[["patient_id", "prediction_time"]].to_numpy().tolist() == [
        [1, 5],
        [1, 9],
        [2, 3],
        [2, 40],
        [3, 2],
        [4, 2],
    ]


def test_fixed_dates_are_for_who_has_an_event_by_then():
    for index in (4, [4], np.array([4])):
        samples, _ = make(index=index)
        assert rows(samples) == [[1, 4, 1], [2, 4, 0], [3, 4, 0], [4, 4, 0]]
    samples, _ = make(index=[2, 4])
    assert samples[["patient_id", "prediction_time"]].to_numpy().tolist() == [
        [1, 2],
        [1, 4],
        [2, 4],
        [3, 2],
        [3, 4],
        [4, 2],
        [4, 4],
    ]


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_datetimes_keep_their_zone_and_go_into_a_cohort(zone):
    time = pd.Timestamp("2020-01-01 12:00", tz=zone) + pd.to_timedelta(EVENTS["time"], "D")
    events = EVENTS.assign(time=time)
    samples, _ = make(events, horizon="10D", gap=pd.Timedelta("1D"))
    assert samples["prediction_time"].dtype == time.dtype
    assert samples["prediction_time"].tolist() == time[[0, 3, 6, 8]].tolist()
    assert samples["outcome"].tolist() == [1, 0, 0, 0]
    cohort = Cohort(events, samples)
    assert cohort.visible_events()["code"].tolist() == ["DM", "DM", "FLU", "DM", "STROKE", "DM"]
    later, _ = make(events, index=time.iloc[6], horizon="10D", observation_end=time.max())
    written, _ = make(events, index=time.iloc[6], horizon="10D", observation_end=str(time.max()))
    pd.testing.assert_frame_equal(written, later)
    assert later["patient_id"].tolist() == [1, 2, 3, 4]


def test_undated_events_and_text_ids():
    events = EVENTS.astype({"time": float, "patient_id": str}).rename(
        columns={"patient_id": "who", "time": "when", "code": "what"}
    )
    events.loc[0, "when"] = np.nan
    samples, _ = make(events, patient_id="who", time="when", code="what")
    assert rows(samples)[0] == ["1", 9.0, 0]


def slow(events, index, outcome_codes, horizon, gap, end, exclude):
    """The rules said once more, event by event."""
    found = []
    for patient in sorted(set(events["patient_id"])):
        mine = [
            (row.time, row.visit_id, row.code)
            for row in events.itertuples()
            if row.patient_id == patient
        ]
        if index == "discharge":
            visits = {visit for _, visit, _ in mine if visit == visit and visit is not None}
            at = {max(t for t, visit, _ in mine if visit == one) for one in visits}
        elif isinstance(index[0], str):
            times = [t for t, _, code in mine if code in index]
            at = {min(times)} if times else set()
        else:
            at = {t for t in index if min(t for t, *_ in mine) <= t}
        for t in sorted(at):
            if any(s <= t and code in exclude for s, _, code in mine):
                continue
            if t + gap + horizon > end:
                continue
            hit = any(
                t + gap < s <= t + gap + horizon and code in outcome_codes for s, _, code in mine
            )
            found.append([patient, t, int(hit)])
    return found


CODES = st.lists(st.sampled_from("abcd"), min_size=1, max_size=2, unique=True)


@settings(deadline=None)
@given(
    table=st.lists(
        st.tuples(
            st.integers(1, 4), st.integers(0, 20), st.integers(0, 2), st.sampled_from("abcd")
        ),
        min_size=1,
        max_size=30,
    ),
    index=st.one_of(
        st.just("discharge"), CODES, st.lists(st.integers(0, 20), min_size=1, unique=True)
    ),
    outcome_codes=CODES,
    exclude=st.one_of(st.none(), st.just("outcome"), CODES),
    horizon=st.integers(1, 9),
    gap=st.one_of(st.none(), st.integers(1, 4)),
    end=st.one_of(st.none(), st.integers(5, 30)),
)
def test_samples_are_those_of_a_slow_look_at_every_event(
    table, index, outcome_codes, exclude, horizon, gap, end
):
    events = pd.DataFrame(table, columns=["patient_id", "time", "visit", "code"])
    visit = events["patient_id"] * 10 + events["visit"]
    events["visit_id"] = visit.where(events["visit"] > 0)
    wanted = slow(
        events,
        index,
        outcome_codes,
        horizon,
        gap or 0,
        events["time"].max() if end is None else end,
        outcome_codes if exclude == "outcome" else exclude or [],
    )
    params = {
        "index": index,
        "outcome_codes": outcome_codes,
        "horizon": horizon,
        "gap": gap,
        "observation_end": end,
        "exclude": exclude,
    }
    asked = [outcome_codes] if exclude in (None, "outcome") else [outcome_codes, exclude]
    if not wanted or not all(set(codes) & set(events["code"]) for codes in asked):
        refusals = r"No sample is left|No event fits index|No event has a code of"
        with pytest.raises(ValueError, match=refusals):
            make_samples(events, **params)
        return
    samples, attrition = make_samples(events.sample(frac=1, random_state=0), **params)
    assert rows(samples) == wanted
    assert attrition["n_samples"].iloc[-1] == len(wanted)
    assert (attrition["n_samples"].diff().dropna() <= 0).all()


def test_whole_days_among_times_of_day_count_when_they_have_ended():
    events = pd.DataFrame(
        [
            (1, "2020-01-05 14:00", "DM"),
            (1, "2020-01-05 00:00", "STROKE"),
            (2, "2020-02-03 00:00", "DM"),
            (2, "2020-02-03 15:00", "STROKE"),
            (3, "2020-03-01 09:00", "DM"),
        ],
        columns=["patient_id", "time", "code"],
    ).astype({"time": "datetime64[s]"})
    samples, _ = make(events, horizon="3D", observation_end="2021-01-01")
    assert samples["outcome"].tolist() == [1, 0, 0]
    assert samples["prediction_time"].tolist() == [
        pd.Timestamp("2020-01-05 14:00"),
        pd.Timestamp("2020-02-04"),
        pd.Timestamp("2020-03-01 09:00"),
    ]
    seen = Cohort(events, samples).visible_events()
    assert seen.groupby("patient_id")["code"].agg(sorted).tolist() == [
        ["DM"],
        ["DM", "STROKE"],
        ["DM"],
    ]
    ends = pd.to_datetime(pd.Series({1: "2020-01-01", 2: "2021-01-01", 3: "2020-01-01"}))
    with pytest.raises(ValueError, match="All samples left are predicted at midnights"):
        make(events, horizon="3D", observation_end=ends)


@settings(deadline=None)
@given(
    table=st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 12), st.sampled_from("ab")),
        min_size=2,
        max_size=20,
        unique=True,
    ),
    index=st.sampled_from([["a"], [pd.Timestamp("2020-01-02")], "discharge"]),
    n_days=st.integers(1, 2),
)
def test_labels_and_what_a_cohort_sees_never_overlap(table, index, n_days):
    events = pd.DataFrame(table, columns=["patient_id", "time", "code"])
    events["time"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(events["time"] * 6, "h")
    events["visit_id"] = range(len(events))
    horizon = pd.Timedelta(days=n_days)
    try:
        samples, _ = make_samples(
            events, index=index, outcome_codes=["b"], horizon=horizon, observation_end="2021-01-01"
        )
    except ValueError as error:
        assert re.search("No sample|No event|midnights", str(error))
        return
    cohort = Cohort(events, samples)
    by_day = (samples["prediction_time"] == samples["prediction_time"].dt.normalize()).all()
    for i, (patient, at, outcome) in enumerate(samples.itertuples(index=False)):
        mine = events[(events["patient_id"] == patient) & (events["code"] == "b")]
        is_day = (mine["time"] == mine["time"].dt.normalize()) & (not by_day)
        known = mine["time"] + is_day.astype(int) * pd.Timedelta("1D")
        assert outcome == ((known > at) & (known <= at + horizon)).any()
        visible = cohort[i].visible_events()
        assert (visible["code"] == "b").sum() == (known <= at).sum()
        if isinstance(index, str) or index == ["a"]:
            assert len(visible)


def test_lengths_that_times_cannot_hold_raise():
    time = pd.Timestamp("2020-01-01") + pd.to_timedelta(EVENTS["time"], "D")
    in_ns = EVENTS.assign(time=time.astype("datetime64[ns]"))
    with pytest.raises(ValueError, match=r"horizon=.* reaches beyond .*datetime64\[ns\]"):
        make(in_ns, horizon="100000D")
    assert len(make(in_ns, horizon="10D")[0]) == len(make(horizon=10)[0])
    with pytest.raises(ValueError, match=r"horizon=.* reaches beyond .*int64"):
        make(horizon=2**63 - 1)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"index": "admission"}, ValueError, "index='admission' is not accepted"),
        ({"index": ["UNHEARD"]}, ValueError, "No event fits index"),
        ({"index": [pd.Timestamp("2020-01-01")]}, TypeError, "cannot be compared"),
        ({"index": [-5]}, ValueError, "No event fits index"),
        ({"horizon": "30D"}, TypeError, "horizon='30D' is not a number"),
        ({"horizon": 0}, ValueError, "horizon=0"),
        ({"gap": -1}, ValueError, "gap=-1"),
        ({"outcome_codes": ["stroke"]}, ValueError, "No event has a code of outcome_codes"),
        ({"outcome_codes": [7]}, ValueError, r"of the same type \(string\)"),
        ({"exclude": ["flu"]}, ValueError, "No event has a code of exclude"),
        ({"outcome_codes": "STROKE"}, ValueError, "outcome_codes must be a list"),
        ({"outcome_codes": []}, ValueError, "outcome_codes must be a list"),
        ({"exclude": "FLU"}, ValueError, "exclude must be a list"),
        ({"incomplete": "keep"}, ValueError, "incomplete='keep' is not accepted"),
        ({"observation_end": -3}, ValueError, r"No sample is left \(index event: 4, observed"),
        ({"observation_end": np.nan}, ValueError, "observation_end=nan is null"),
        ({"observation_end": "soon"}, ValueError, "observation_end='soon' is not a date"),
        ({"observation_end": "2020-01-31"}, TypeError, "cannot be compared"),
        ({"observation_end": [3, 4]}, TypeError, "observation_end must be one datetime or number"),
        ({"code": "diagnosis"}, ValueError, "events has no column 'diagnosis'"),
        ({"index": "discharge", "visit_id": "stay"}, ValueError, "no column 'stay'"),
    ],
)
def test_bad_parameters_raise(params, error, message):
    with pytest.raises(error, match=message):
        make(**params)


def test_what_is_no_frame_of_events_raises():
    with pytest.raises(TypeError, match="events must be a pandas DataFrame, got Cohort"):
        make_samples(Cohort(EVENTS), index=["a"], outcome_codes=["b"], horizon=3)
    with pytest.raises(ValueError, match=r"another with make_samples\(\.\.\., code="):
        make_samples(
            EVENTS.rename(columns={"code": "icd"}), index=[0], outcome_codes=[0], horizon=3
        )


def test_events_without_any_time_raise():
    with pytest.raises(ValueError, match="has no time in column 'time'"):
        make(EVENTS.assign(time=np.nan))
