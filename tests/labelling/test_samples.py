"""Outcomes and follow-up of samples, on tables small enough to read."""

import warnings

import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import (
    Cohort,
    EventTable,
    LSTMVisitSurvival,
    VisitSequenceTransformer,
    make_samples,
)

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
    return samples[["patient_id", "prediction_time", "outcome"]].to_numpy().tolist()


def follow_ups(samples):
    return samples[["patient_id", "outcome", "event", "duration"]].to_numpy().tolist()


def test_outcome_within_the_horizon_after_the_first_code():
    samples, attrition = make()
    names = ["patient_id", "prediction_time", "outcome", "event", "duration"]
    assert samples.columns.tolist() == names
    assert rows(samples) == [[1, 0, 1], [2, 3, 0], [3, 4, 0], [4, 2, 0]]
    assert follow_ups(samples) == [[1, 1, 1, 5], [2, 0, 0, 10], [3, 0, 0, 10], [4, 0, 0, 10]]
    assert attrition.to_numpy().tolist() == [
        ["index event", 4, 4, None],
        ["observed for horizon", 4, 4, None],
    ]


def test_horizon_and_gap_are_open_at_their_start_and_closed_at_their_end():
    assert rows(make(horizon=5)[0])[0] == [1, 0, 1]
    assert rows(make(horizon=4)[0])[0] == [1, 0, 0]
    samples, attrition = make(horizon=4, gap=1)
    assert follow_ups(samples)[:2] == [[1, 1, 1, 5], [2, 0, 0, 5]]
    assert attrition["rule"].tolist()[-1] == "observed for gap + horizon"
    assert rows(make(horizon=4, gap=5)[0])[0] == [1, 0, 0]
    # At the index time the model may see it.
    assert rows(make(index=["STROKE"], outcome_codes=["STROKE"])[0])[0] == [1, 5, 0]


@pytest.mark.parametrize("zero", [None, 0, 0.0])
def test_gap_and_offset_of_zero_are_none(zero):
    pd.testing.assert_frame_equal(make(gap=zero, offset=zero)[0], make()[0])


def test_samples_whose_observation_ends_too_early_are_dropped_never_labelled_0():
    samples, attrition = make(observation_end=13)
    assert rows(samples) == [[1, 0, 1], [2, 3, 0], [4, 2, 0]]
    assert attrition["n_samples"].tolist() == [4, 3]
    # Also one that had the outcome by then: else those with it would be too many.
    assert rows(make(observation_end=9, horizon=8)[0]) == [[1, 0, 1]]
    with pytest.raises(ValueError, match="No sample is left"):
        make(observation_end=9)


def test_incomplete_samples_can_be_marked():
    samples, attrition = make(observation_end=6, incomplete="mark")
    assert samples.columns.tolist()[2:] == ["outcome", "event", "duration", "complete"]
    assert samples["complete"].tolist() == [False] * 4
    assert samples["outcome"].tolist()[0] == 1
    assert samples["outcome"].isna().tolist() == [False, True, True, True]
    assert samples["event"].tolist() == [1, 0, 0, 0]
    assert samples["duration"].tolist() == [5, 3, 2, 4]
    assert attrition["rule"].tolist() == ["index event", "observed at prediction"]
    # What came after the end of observation was not seen, nor was who came later.
    late, _ = make(observation_end=3, incomplete="mark")
    assert late["patient_id"].tolist() == [1, 2, 4]
    assert late["outcome"].isna().all()
    assert late["duration"].tolist() == [3, 0, 1]


def test_observation_may_end_for_each_patient():
    ends = pd.Series({1: 100, 2: 100, 3: 5, 4: 100, 9: 0})
    assert make(observation_end=ends)[0]["patient_id"].tolist() == [1, 2, 4]
    # Patient 5 has no sample, so none is needed.
    assert 5 not in ends
    with pytest.raises(ValueError, match="no entry for 1 of 4 patients"):
        make(observation_end=ends.drop(4))
    with pytest.raises(ValueError, match="one time per patient"):
        make(observation_end=pd.concat([ends, ends[:1]]))
    with pytest.raises(ValueError, match=r"observation_end has 1 null time\(s\)"):
        make(observation_end=ends.astype(float).where(ends != 5))
    with pytest.raises(TypeError, match="of type string in observation_end and of type number"):
        make(observation_end=ends.set_axis(list("abcde")))


def test_who_had_the_outcome_before_can_be_excluded():
    samples, attrition = make(exclude="outcome")
    assert samples["patient_id"].tolist() == [1, 2, 3]
    assert attrition["rule"].tolist()[1] == "no excluded code before prediction"
    assert attrition["n_patients"].tolist() == [4, 3, 3]
    assert make(exclude=["FLU"])[0]["patient_id"].tolist() == [1, 2, 4]
    # At the very time counts as before.
    with pytest.raises(ValueError, match="no excluded code before prediction: 0"):
        make(index=["STROKE"], exclude=["STROKE"])


DEATHS = pd.DataFrame(
    [
        (1, 0, "DM"),  # dies before the outcome could come
        (1, 4, "DEATH"),
        (1, 6, "STROKE"),
        (2, 0, "DM"),  # has the outcome first
        (2, 4, "STROKE"),
        (2, 6, "DEATH"),
        (3, 0, "DM"),  # both at once
        (3, 5, "DEATH"),
        (3, 5, "STROKE"),
        (4, 0, "DM"),  # dies after the horizon
        (4, 11, "DEATH"),
        (5, 7, "DM"),  # dead by then
        (5, 7, "DEATH"),
        (6, 0, "DM"),  # lives
        (7, 15, "DM"),  # followed for five days, and dies meanwhile
        (7, 18, "DEATH"),
        (8, 15, "DM"),  # followed for five days, and lives
        (8, 20, "VISIT"),
    ],
    columns=["patient_id", "time", "code"],
)


def test_competing_event_ends_follow_up_as_known():
    samples, attrition = make(DEATHS, competing_codes=["DEATH"])
    assert follow_ups(samples) == [
        [1, 0, 2, 4],
        [2, 1, 1, 4],
        [3, 1, 1, 5],
        [4, 0, 0, 10],
        [6, 0, 0, 10],
        [7, 0, 2, 3],
    ]
    assert attrition.iloc[:, :3].to_numpy().tolist() == [
        ["index event", 8, 8],
        ["no competing event before prediction", 7, 7],
        ["observed for horizon or competing event", 6, 6],
    ]
    marked, _ = make(DEATHS, competing_codes=["DEATH"], incomplete="mark")
    assert marked["patient_id"].tolist() == [1, 2, 3, 4, 6, 7, 8]
    assert marked["complete"].tolist() == [True] * 6 + [False]
    assert marked["outcome"].isna().tolist() == [False] * 6 + [True]
    assert marked["event"].tolist()[-1] == 0
    assert marked["duration"].tolist()[-1] == 5


def test_competing_event_counts_in_the_gap_and_the_outcome_does_not():
    samples, _ = make(DEATHS, competing_codes=["DEATH"], gap=5)
    assert follow_ups(samples)[:4] == [[1, 0, 2, 4], [2, 0, 2, 6], [3, 0, 2, 5], [4, 0, 2, 11]]


def test_competing_event_after_the_end_of_observation_was_not_seen():
    samples, _ = make(DEATHS, competing_codes=["DEATH"], observation_end=3, incomplete="mark")
    assert samples["event"].tolist() == [0] * 5
    assert not samples["complete"].any()


def test_rules_of_attrition_stand_in_their_order():
    _, attrition = make(
        DEATHS,
        index=pd.Series(0, index=[1, 2, 9]),
        competing_codes=["DEATH"],
        exclude="outcome",
        gap=1,
    )
    assert attrition["rule"].tolist() == [
        "index time",
        "patient has events",
        "no excluded code before prediction",
        "no competing event before prediction",
        "observed for gap + horizon or competing event",
    ]
    assert attrition["n_samples"].tolist() == [3, 2, 2, 2, 2]


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_datetimes_keep_their_zone_and_go_into_a_cohort(zone):
    time = pd.Timestamp("2020-01-01 12:00", tz=zone) + pd.to_timedelta(EVENTS["time"], "D")
    events = EVENTS.assign(time=time)
    samples, attrition = make(events, horizon="10D", gap=pd.Timedelta("1D"))
    assert samples["prediction_time"].dtype == time.dtype
    assert samples["prediction_time"].tolist() == time[[0, 3, 6, 8]].tolist()
    assert samples["outcome"].tolist() == [1, 0, 0, 0]
    assert samples["duration"].tolist() == [5, 11, 11, 11]
    assert set(attrition["resolution"]) == {"instant"}
    cohort = Cohort(events, samples)
    assert cohort.visible_events()["code"].tolist() == ["DM", "DM", "FLU", "DM", "STROKE", "DM"]
    later, _ = make(events, index=time.iloc[6], horizon="10D", observation_end=time.max())
    written, _ = make(events, index=time.iloc[6], horizon="10D", observation_end=str(time.max()))
    pd.testing.assert_frame_equal(written, later)
    assert later["patient_id"].tolist() == [1, 2, 3, 4]


def test_durations_are_in_days_whatever_the_unit():
    for unit in ("s", "ms", "us", "ns"):
        hours = pd.Timestamp("2020-01-01 01:00") + pd.to_timedelta(EVENTS["time"], "h")
        events = EVENTS.assign(time=hours.dt.as_unit(unit))
        samples, _ = make(events, horizon="10h", gap="100ms", offset="30min")
        assert samples["duration"].tolist() == pytest.approx(
            [4.5 / 24, *[(10 + 0.1 / 3600) / 24] * 3], abs=1e-12
        )


def test_undated_events_and_text_ids():
    events = EVENTS.astype({"time": float, "patient_id": str}).rename(
        columns={"patient_id": "who", "time": "when", "code": "what"}
    )
    events.loc[0, "when"] = np.nan
    samples, _ = make(events, patient_id="who", time="when", code="what")
    assert samples.iloc[0].tolist() == ["1", 9.0, 0, 0, 10.0]
    assert samples.columns[0] == "who"


def test_a_table_and_its_frame_give_the_same_and_the_table_stays_as_it_was():
    frame = EVENTS.astype({"time": float}).sample(frac=1, random_state=0)
    frame.loc[3, "time"] = np.nan
    table = EventTable(frame, null_time="static")
    names = ("patients", "patient_offsets", "dated_starts", "code", "codes", "time", "visit")
    arrays = {name: getattr(table, name) for name in names}
    copies = {name: array.copy() for name, array in arrays.items()}
    for index in (["DM"], "discharge", [3, 4], pd.Series({1: 2, 3: 4})):
        for mine, theirs in zip(make(table, index=index), make(frame, index=index), strict=True):
            pd.testing.assert_frame_equal(mine, theirs)
    for name in names:
        assert getattr(table, name) is arrays[name]
        np.testing.assert_array_equal(arrays[name], copies[name])


def test_event_counts_at_its_time_whenever_it_was_known():
    events = EVENTS.assign(known_time=EVENTS["time"] + 20)
    for given in (events, EventTable(events)):
        pd.testing.assert_frame_equal(make(given)[0], make()[0])


def test_meds_names_are_recognised():
    samples, _ = make(EVENTS.rename(columns={"patient_id": "subject_id"}))
    assert samples.columns[0] == "subject_id"


def test_a_few_times_centuries_ahead_do_not_end_observation():
    time = (pd.Timestamp("2020-01-01") + pd.to_timedelta(EVENTS["time"], "D")).dt.as_unit("us")
    events = EVENTS.assign(time=time)
    end = np.array(["9999-12-31"], dtype="M8[us]")
    ahead = pd.DataFrame({"patient_id": 5, "time": end, "code": "RX"})
    expected = make(events, horizon="47D")[0]
    with pytest.warns(UserWarning, match=r"1 event\(s\).*observation_end") as caught:
        samples = make(pd.concat([events, ahead]), horizon="47D")[0]
    assert caught[0].filename == __file__
    pd.testing.assert_frame_equal(samples, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given = make(pd.concat([events, ahead]), horizon="47D", observation_end=time.max())[0]
    pd.testing.assert_frame_equal(given, expected)


def test_events_beyond_the_unit_of_other_times_do_not_matter():
    events = pd.DataFrame(
        {
            "patient_id": [1, 1, 1],
            "time": np.array(["2020-01-01T10", "2020-02-01T10", "9999-12-31"], dtype="M8[s]"),
            "code": ["DM", "STROKE", "RX"],
        }
    )
    at = pd.Series(pd.to_datetime(["2020-01-01 11:00"]).as_unit("ns"), index=[1])
    end = pd.Timestamp("2021-01-01 10:00").as_unit("ns")
    samples, _ = make(events, index=at, horizon="60D", observation_end=end)
    assert samples["outcome"].tolist() == [1]


def test_events_and_durations_train_a_survival_model():
    rng = np.random.default_rng(0)
    n = 60
    parts = [
        pd.DataFrame({"patient_id": range(n), "time": 0, "code": "DM"}),
        pd.DataFrame({"patient_id": range(n), "time": rng.integers(1, 30, n), "code": "STROKE"}),
        pd.DataFrame({"patient_id": range(n), "time": rng.integers(1, 30, n), "code": "DEATH"}),
    ]
    table = EventTable(pd.concat(parts))
    samples, _ = make(table, horizon=20, competing_codes=["DEATH"])
    assert set(samples["event"]) == {0, 1, 2}
    y = samples[["event", "duration"]].to_records(index=False)
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(Cohort(table, samples))
    model = LSTMVisitSurvival(max_epochs=1, random_state=0).fit(sequences, y)
    assert model.predict_cumulative_incidence(sequences).shape[:2] == (n, 2)


def test_durations_do_not_wrap_around():
    far = 9 * 10**18
    events = pd.DataFrame(
        {"patient_id": 1, "time": [-far, far, far + 1], "code": ["DM", "STROKE", "FLU"]}
    )
    samples, _ = make(events, gap=far, horizon=far)
    assert samples["duration"].tolist() == [2.0 * far]
    samples, _ = make(events, outcome_codes=["FLU"], gap=far, horizon=far)
    assert samples[["event", "duration"]].to_numpy().tolist() == [[0, 2.0 * far]]
