"""Errors of make_samples: they name the parameter, and never show a cell."""

import numpy as np
import pandas as pd
import pytest
from test_samples import DEATHS, EVENTS, make

from sklearn_ehr import Cohort, EventTable, make_samples


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"horizon": "30D"}, TypeError, "horizon='30D' is not a number"),
        ({"horizon": 0}, ValueError, "horizon=0"),
        ({"gap": -1}, ValueError, "gap=-1"),
        ({"offset": -1}, ValueError, "offset=-1"),
        ({"offset": "24h"}, TypeError, "offset='24h' is not a number"),
        ({"offset": [1]}, TypeError, "offset=<list> is not a number"),
        ({"outcome_codes": ["stroke"]}, ValueError, "has a code of outcome_codes"),
        ({"outcome_codes": [7]}, ValueError, r"of the same type \(string\)"),
        ({"outcome_codes": [1j]}, TypeError, "outcome_codes must be a list of codes, each a"),
        ({"outcome_codes": [["STROKE"]]}, TypeError, "outcome_codes must be a list of codes"),
        ({"exclude": ["flu"]}, ValueError, "has a code of exclude"),
        ({"competing_codes": ["death"]}, ValueError, "has a code of competing_codes"),
        ({"competing_codes": "FLU"}, ValueError, "competing_codes must be a non-empty list"),
        ({"competing_codes": ["FLU", "STROKE"]}, ValueError, "outcome_codes share a code"),
        ({"outcome_codes": "STROKE"}, ValueError, "outcome_codes must be a non-empty list"),
        ({"outcome_codes": []}, ValueError, "outcome_codes must be a non-empty list"),
        ({"exclude": "FLU"}, ValueError, "exclude must be a non-empty list"),
        ({"incomplete": "keep"}, ValueError, "incomplete='keep' is not accepted"),
        (
            {"incomplete": np.array(["drop", "mark"])},
            ValueError,
            "incomplete=<ndarray> is",
        ),
        ({"resolution": "hour"}, ValueError, "resolution='hour' is not accepted"),
        ({"observation_end": -3}, ValueError, r"No sample is left \(index event: 4, observed"),
        ({"observation_end": np.nan}, ValueError, "observation_end=nan is null"),
        ({"observation_end": "soon"}, ValueError, "observation_end='soon' is not a date"),
        ({"observation_end": "2020-01-31"}, TypeError, "cannot be compared"),
        (
            {"observation_end": [3, 4]},
            TypeError,
            "observation_end must be one time for all",
        ),
        (
            {"observation_end": pd.Series(9, index=[1, np.nan])},
            ValueError,
            "The index of observation_end must hold patient ids, without nulls",
        ),
        (
            {"observation_end": pd.Series(9, index=[7_654_321])},
            ValueError,
            "No patient of observation_end has any event .1 id.s. in observation_end",
        ),
        (
            {"observation_end": pd.Series(9, index=[[1], [2]])},
            ValueError,
            "The index of observation_end must hold patient ids, but is a MultiIndex",
        ),
        ({"code": "diagnosis"}, ValueError, "events has no column 'diagnosis'"),
        ({"index": "discharge", "visit_id": "stay"}, ValueError, "no column 'stay'"),
    ],
)
def test_bad_parameters_raise(params, error, message):
    with pytest.raises(error, match=message):
        make(**params)


def test_codes_of_undated_events_alone_are_codes_of_none():
    events = EVENTS.assign(time=EVENTS["time"].where(EVENTS["code"] != "FLU"))
    with pytest.raises(ValueError, match="No event with a time has a code of exclude"):
        make(events, exclude=["FLU"])


def test_what_is_no_table_of_events_raises():
    with pytest.raises(TypeError, match=r"events must be a pandas DataFrame, or .* got Cohort"):
        make_samples(Cohort(EVENTS), index=["a"], outcome_codes=["b"], horizon=3)
    with pytest.raises(ValueError, match="name another with code="):
        make(EVENTS.rename(columns={"code": "icd"}))


@pytest.mark.parametrize("name", ["time", "code", "visit_id"])
def test_columns_cannot_be_named_beside_a_table(name):
    with pytest.raises(TypeError, match=f"{name} cannot be given with an EventTable"):
        make(EventTable(EVENTS), **{name: "other"})


def test_patients_of_a_table_have_their_own_column():
    table = EventTable(EVENTS.rename(columns={"patient_id": "person"}), patient_id="person")
    with pytest.raises(TypeError, match="patient_id='other' is not the column of patients"):
        make(table, patient_id="other")
    assert make(table, patient_id="person")[0].equals(make(table)[0])


def test_events_without_any_time_raise():
    with pytest.raises(ValueError, match="All times in column 'time'"):
        make(EVENTS.assign(time=np.nan))
    timeless = EVENTS.drop(columns="time")
    for events in (timeless.dropna(), EventTable(timeless.dropna())):
        with pytest.raises(ValueError, match="make_samples needs event times"):
            make(events)


def test_lengths_that_times_cannot_hold_raise():
    time = pd.Timestamp("2020-01-01") + pd.to_timedelta(EVENTS["time"], "D")
    in_ns = EVENTS.assign(time=time.astype("datetime64[ns]"))
    with pytest.raises(ValueError, match=r"horizon=.* reaches beyond .*datetime64\[ns\]"):
        make(in_ns, horizon="100000D", resolution="instant")
    # Days are counted in seconds.
    assert make(in_ns, horizon="100000D", incomplete="mark")[0]["duration"].tolist()[0] == 5
    assert len(make(in_ns, horizon="10D")[0]) == len(make(horizon=10)[0])
    with pytest.raises(ValueError, match=r"horizon=.* reaches beyond .*int64"):
        make(horizon=2**63 - 1)
    with pytest.raises(ValueError, match=r"prediction_time.* beyond the range of datetime64\[ns\]"):
        late = in_ns.assign(time=in_ns["time"].dt.as_unit("s") + np.timedelta64(100_000, "D"))
        make(late, horizon="10D", gap="1ns", resolution="instant")


def test_messages_show_no_cell_and_no_list_of_codes():
    events = DEATHS.assign(
        patient_id=DEATHS["patient_id"] + 7_654_321, code="SECRET" + DEATHS["code"]
    )
    outcome, death = ["SECRETSTROKE"], ["SECRETDEATH"]
    failures = [
        {"competing_codes": outcome},
        {"exclude": ["UNHEARD", "SECRET"]},
        {"observation_end": -1},
        {"observation_end": pd.Series(3, index=[7_654_322])},
        {"observation_end": pd.Series(["SECRET"] * 8, index=range(7_654_322, 7_654_330))},
        {"index": pd.Series(["SECRET"], index=[7_654_322])},
        {"index": pd.Series([3], index=["SECRET"])},
        {"index": pd.Series([3], index=[7_654_399])},
    ]
    for params in failures:
        given = {"index": ["SECRETDM"], "outcome_codes": outcome, "competing_codes": death}
        with pytest.raises((TypeError, ValueError)) as caught:
            make_samples(events, **{**given, "horizon": 3, **params})
        assert "SECRET" not in str(caught.value)
        assert "76543" not in str(caught.value)


@pytest.mark.parametrize("column", ["outcome", "event", "duration", "prediction_time", "complete"])
def test_a_patient_column_that_would_be_overwritten_is_refused(column):
    events = EVENTS.rename(columns={"patient_id": column})
    with pytest.raises(ValueError, match=f"called '{column}'.*Rename it"):
        make(events, patient_id=column)


@pytest.mark.parametrize("length", [np.int64(2**63 - 1), np.uint64(2**63), 2**63 - 1])
@pytest.mark.parametrize("parameter", ["offset", "gap", "horizon"])
def test_numbers_of_numpy_do_not_wrap(parameter, length):
    with pytest.raises(ValueError, match=f"{parameter}=.*reaches beyond"):
        make(EVENTS, **{parameter: length})


def test_small_integers_of_numpy_are_lengths():
    for dtype in (np.int8, np.uint8, np.float32):
        assert make(EVENTS, horizon=dtype(10))[0].equals(make(EVENTS, horizon=10)[0])


def test_a_fraction_beside_integers_beyond_floats_is_refused():
    events = EVENTS.assign(time=EVENTS["time"] + 2**60)
    with pytest.raises(ValueError, match=r"gap=0\.5 is added to integer times beyond"):
        make(events, gap=0.5)


def test_codes_that_no_event_has_are_told():
    events = pd.DataFrame({"patient_id": 1, "time": [1, 2], "code": ["A", "B"]})
    with pytest.warns(UserWarning, match="No event has 1 of the 2 codes of outcome_codes: 'BB'"):
        make_samples(events, index=["A"], outcome_codes=["B", "BB"], horizon=1, observation_end=9)
