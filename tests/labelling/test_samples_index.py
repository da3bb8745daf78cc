"""Index times of samples: from codes, visits, dates, frames and Series."""

import numpy as np
import pandas as pd
import pytest
from test_samples import EVENTS, make, rows

from sklearn_ehr import EventTable, make_samples

START = pd.Timestamp("2020-01-01 12:00")
DATED = EVENTS.assign(time=START + pd.to_timedelta(EVENTS["time"], "D"))


def times_of(samples):
    return samples[["patient_id", "prediction_time"]].to_numpy().tolist()


def test_every_event_of_a_code_can_be_an_index():
    assert times_of(make()[0]) == [[1, 0], [2, 3], [3, 4], [4, 2]]
    assert times_of(make(every=True)[0]) == [[1, 0], [1, 9], [2, 3], [3, 4], [4, 2]]
    events = pd.concat([EVENTS, EVENTS[:1]])
    assert times_of(make(events, every=True)[0])[:2] == [[1, 0], [1, 9]]


def test_every_discharge_is_an_index():
    assert times_of(make(index="discharge")[0]) == [[1, 5], [1, 9], [2, 3], [2, 40], [3, 2], [4, 2]]


def test_every_admission_is_an_index():
    assert times_of(make(index="admission")[0]) == [[1, 0], [1, 9], [2, 3], [2, 40], [3, 2], [4, 1]]


def test_visits_that_overlap_end_at_their_own_last_event():
    events = EVENTS.assign(visit_id=[10, 11, 10, *EVENTS["visit_id"][3:]])
    assert times_of(make(events, index="discharge")[0])[:2] == [[1, 5], [1, 9]]
    assert times_of(make(events, index="admission")[0])[:2] == [[1, 0], [1, 5]]


def test_visits_of_many_events_are_no_matter_of_blocks():
    n = 2**18
    events = pd.DataFrame({"patient_id": 1, "time": np.arange(n + 10), "visit_id": 7, "code": "DM"})
    events.loc[n + 9, "code"] = "STROKE"
    samples, _ = make(events, index="admission", horizon=n + 9)
    assert rows(samples) == [[1, 0, 1]]
    assert times_of(make(events, index="discharge", observation_end=2 * n)[0]) == [[1, n + 9]]


def test_fixed_dates_are_for_who_has_an_event_by_then():
    for index in (4, [4], np.array([4]), (4.0,)):
        samples, attrition = make(index=index)
        assert rows(samples) == [[1, 4, 1], [2, 4, 0], [3, 4, 0], [4, 4, 0]]
        assert attrition["rule"].tolist()[0] == "index time"
    assert times_of(make(index=[4, 2])[0]) == [
        [1, 2],
        [1, 4],
        [2, 4],
        [3, 2],
        [3, 4],
        [4, 2],
        [4, 4],
    ]
    dates = pd.DatetimeIndex(["2020-01-05 12:00", "2020-01-03 12:00"])
    assert len(make(DATED, index=dates, horizon="10D")[0]) == 7


def test_series_holds_a_time_for_a_patient():
    index = pd.Series([4, 9, 3, 8, 0], index=[2, 1, 1, 77, 3])
    samples, attrition = make(index=index)
    # Patient 3 has no event by then, but was asked for.
    assert rows(samples) == [[1, 3, 1], [1, 9, 0], [2, 4, 0], [3, 0, 0]]
    assert attrition.iloc[:, :3].to_numpy().tolist() == [
        ["index time", 5, 4],
        ["patient has events", 4, 3],
        ["observed for horizon", 4, 3],
    ]


def test_frame_holds_patients_and_times_and_other_columns():
    index = pd.DataFrame({"ward": list("abcd"), "time": [4, 3, 9, 3], "patient_id": [2, 1, 1, 1]})
    samples, attrition = make(index=index, offset=1)
    assert rows(samples) == [[1, 4, 1], [1, 10, 0], [2, 5, 0]]
    assert samples.columns.tolist()[:2] == ["patient_id", "prediction_time"]
    # Equal ones make one sample, that of the first row.
    assert samples["ward"].tolist() == ["b", "c", "a"]
    assert attrition["n_samples"].tolist() == [3, 3, 3]


def test_other_columns_of_a_frame_follow_their_samples():
    index = pd.DataFrame(
        {"patient_id": [2, 9, 1, 1], "time": [4, 1, 9, 3], "stay": [7, 8, 5, 6], "outcome": "x"}
    )
    samples, _ = make(index=index, exclude="outcome")
    kept = samples.merge(
        index, left_on=["patient_id", "prediction_time"], right_on=["patient_id", "time"]
    )
    assert len(samples) == len(kept) > 0
    assert (kept["stay_x"] == kept["stay_y"]).all()
    # A column of the index does not replace one of the samples.
    assert set(samples["outcome"]) <= {0, 1}
    assert "time" not in samples


def test_frame_names_its_columns_as_events_does():
    names = {"patient_id": "who", "time": "when"}
    index = pd.DataFrame({"who": ["1"], "when": [4]})
    events = EVENTS.astype({"patient_id": "str"}).rename(columns=names)
    table = EventTable(events, **names)
    for samples in (make(table, index=index)[0], make(events, index=index, **names)[0]):
        assert samples.to_numpy().tolist() == [["1", 4, 1, 1, 1.0]]


def test_series_of_datetimes_in_another_zone_and_unit():
    events = DATED.assign(time=DATED["time"].dt.tz_localize("Europe/Berlin"))
    at = (START + pd.Timedelta("4D")).tz_localize("Europe/Berlin").tz_convert("Asia/Tokyo")
    index = pd.Series([at.as_unit("ns")], index=pd.CategoricalIndex([1]))
    samples, _ = make(events, index=index, horizon="10D")
    assert samples["prediction_time"].dt.tz == events["time"].dt.tz
    assert samples["prediction_time"].tolist() == [at]
    assert samples["outcome"].tolist() == [1]


def test_offset_moves_the_prediction():
    assert rows(make(offset=5)[0])[:2] == [[1, 5, 0], [2, 8, 0]]
    assert rows(make(offset=4)[0])[:2] == [[1, 4, 1], [2, 7, 0]]
    # It also counts for what is known by then.
    assert make(offset=5, exclude="outcome")[0]["patient_id"].tolist() == [2, 3]
    for offset in ("24h", pd.Timedelta("1D"), np.timedelta64(86_400, "s")):
        samples, _ = make(DATED, offset=offset, horizon="10D")
        assert samples["prediction_time"].tolist()[0] == START + pd.Timedelta("1D")
    for zero in ("0h", pd.Timedelta(0), np.timedelta64(0, "D")):
        samples, _ = make(DATED, offset=zero, gap=zero, horizon="10D")
        assert samples["prediction_time"].tolist()[0] == START


def test_numbers_are_codes_where_codes_are_numbers():
    events = EVENTS.assign(code=EVENTS["code"].map({"DM": 4, "STROKE": 7, "FLU": 9}))
    samples, _ = make_samples(events, index=[4], outcome_codes=[7], horizon=10)
    assert rows(samples) == [[1, 0, 1], [2, 3, 0], [3, 4, 0], [4, 2, 0]]
    given = pd.Series(4, index=[1])
    samples, _ = make_samples(events, index=given, outcome_codes=[7], horizon=10)
    assert rows(samples) == [[1, 4, 1]]


@pytest.mark.parametrize("index", ["admission", "discharge", 4, pd.Series({1: 2})])
def test_every_is_for_codes_alone(index):
    with pytest.raises(ValueError, match="every=True takes every occurrence of index codes"):
        make(index=index, every=True)


SECRET = 987_654_321


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        ("visit", ValueError, "index='visit' is not accepted; give a list of codes"),
        (["UNHEARD"], ValueError, "No event with a time has a code of index"),
        ([], ValueError, "index is empty"),
        ([["DM"]], TypeError, "Column 'index' holds"),
        ([None], ValueError, "'index' has 1 null"),
        ([pd.Timestamp("2020-01-01")], TypeError, "cannot be compared"),
        ([-5], ValueError, "No event fits index"),
        (pd.Series({1: "DM"}), TypeError, "'index' of index holds strings.*tolist"),
        (pd.Series(["DM", "FLU"]), TypeError, "holds strings"),
        (pd.Series({1: pd.Timestamp("2020-01-01")}), TypeError, "cannot be compared"),
        (pd.Series({1: np.nan}), ValueError, "'index' has 1 null"),
        (pd.Series(dtype=float), ValueError, "index is empty"),
        (pd.Series(4, index=[SECRET, SECRET]), ValueError, "No patient of index has any event"),
        (pd.Series(4, index=["a"]), TypeError, "of type string in index and of type number"),
        (pd.Series(4, index=[1.0, np.nan]), ValueError, "The index of index must hold patient ids"),
        (pd.Series(4, index=[[1], [2]]), ValueError, "but is a MultiIndex"),
        (pd.DataFrame({"patient_id": [1]}), ValueError, r"index has no column 'time'"),
        (pd.DataFrame({"time": [1]}), ValueError, r"index has no column 'patient_id'"),
        (pd.DataFrame({"patient_id": [1], "time": ["x"]}), TypeError, "Column 'time' of index"),
        (pd.DataFrame({"patient_id": ["a"], "time": [1]}), TypeError, "of type string in index"),
    ],
)
def test_indices_that_fit_nothing_raise(index, error, message):
    with pytest.raises(error, match=message) as caught:
        make(index=index)
    assert str(SECRET) not in str(caught.value)


def test_visits_need_ids():
    for events in (EVENTS.drop(columns="visit_id"), EventTable(EVENTS, visit_id=None)):
        with pytest.raises(ValueError, match="index='discharge' needs visit ids"):
            make(events, index="discharge")
    nobody = EVENTS.assign(visit_id=np.nan)
    with pytest.raises(ValueError, match="No event fits index"):
        make(nobody, index="discharge")
