"""Errors name the column or parameter, what came and the way out, and show no cell."""

import datetime as dt
import traceback

import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import Cohort

# Every cell of these frames contains one of these, and no message may.
SECRETS = ("Ann", "Bob", "HIV", "987", "1987")


def shown_lookback(lookback):
    return "lookback=<list>" if isinstance(lookback, list) else f"lookback={lookback!r}"


def make_events(**columns):
    events = {
        "patient_id": ["Ann", "Bob"],
        "time": pd.to_datetime(["1987-05-01", "1987-06-01"]),
        "code": ["HIV-1", "HIV-2"],
    }
    return pd.DataFrame({**events, **columns})


def make_samples(**columns):
    samples = {
        "patient_id": ["Bob", "Ann"],
        "prediction_time": pd.to_datetime(["1987-07-01", "1987-08-01"]),
    }
    return pd.DataFrame({**samples, **columns})


def message_of(error, events=None, samples=None, **options):
    events = make_events() if events is None else events
    with pytest.raises(error) as caught:
        Cohort(events, samples, **options)
    shown = "".join(traceback.format_exception(caught.value))
    raised = [line for line in shown.splitlines() if not line.startswith(" ")]
    assert not [secret for secret in SECRETS if secret in "\n".join(raised)]
    return str(caught.value)


def assert_mentions(message, *parts):
    assert not [part for part in parts if part not in message], message


@pytest.mark.parametrize("column", ["patient_id", "code"])
def test_missing_required_column(column):
    message = message_of(ValueError, make_events().drop(columns=column))
    assert_mentions(message, "events has no column", repr(column), "among its 2", f"{column}=")


@pytest.mark.parametrize("parameter", ["time", "visit_id", "value", "known_time"])
def test_missing_optional_column_that_was_named(parameter):
    message = message_of(ValueError, make_events(), **{parameter: "when"})
    assert_mentions(message, "'when'", f"parameter {parameter}", "among its 3", "None")


def test_required_column_cannot_be_none():
    assert_mentions(message_of(ValueError, code=None), "parameter code", "code=")


def test_neither_time_nor_visit():
    message = message_of(ValueError, make_events().drop(columns="time"))
    assert_mentions(message, "times or of visit ids", "time=", "visit_id=", "its 2 columns")


def test_missing_patient_column_of_samples():
    message = message_of(ValueError, samples=make_samples().drop(columns="patient_id"))
    assert_mentions(message, "samples has no column 'patient_id'", "among its 1")


def test_missing_prediction_time():
    message = message_of(ValueError, samples=make_samples().drop(columns="prediction_time"))
    assert_mentions(message, "'prediction_time'", "among its 1", "name another with")
    assert_mentions(message, "whole histories", "prediction_time=None")


@pytest.mark.parametrize("column", ["patient_id", "code", "time"])
def test_duplicate_column_of_events(column):
    events = make_events()
    events = pd.concat([events, events[[column]]], axis=1)
    assert_mentions(message_of(ValueError, events), "events", "several", repr(column), "keep one")


@pytest.mark.parametrize("column", ["patient_id", "prediction_time"])
def test_duplicate_column_of_samples(column):
    samples = make_samples()
    samples = pd.concat([samples, samples[[column]]], axis=1)
    message = message_of(ValueError, samples=samples)
    assert_mentions(message, "samples", "several", repr(column), "keep one")


@pytest.mark.parametrize(
    "events", [[("Ann", "HIV")], np.array([["Ann", "HIV"]]), {"code": ["HIV"]}]
)
def test_events_that_are_no_frame(events):
    message = message_of(TypeError, events)
    assert_mentions(message, "events", "pandas DataFrame", type(events).__name__)


def test_samples_that_are_no_frame():
    message = message_of(TypeError, samples=["Ann"])
    assert_mentions(message, "samples", "pandas DataFrame", "list")


def test_empty_frames():
    assert_mentions(message_of(ValueError, make_events().iloc[:0]), "events", "empty")
    assert_mentions(message_of(ValueError, samples=make_samples().iloc[:0]), "samples", "empty")


@pytest.mark.parametrize("column", ["patient_id", "code"])
def test_null_patient_or_code(column):
    message = message_of(ValueError, make_events(**{column: ["Ann", None]}))
    assert_mentions(message, repr(column), "1 null", "Drop")


def test_null_patient_of_samples():
    message = message_of(ValueError, samples=make_samples(patient_id=["Ann", None]))
    assert_mentions(message, "'patient_id'", "1 null", "Every sample")


def test_null_prediction_time():
    samples = make_samples(prediction_time=pd.to_datetime(["1987-07-01", None]))
    message = message_of(ValueError, samples=samples)
    assert_mentions(message, "'prediction_time'", "1 null", "Every sample")
    samples = make_samples(prediction_time=None)
    assert_mentions(message_of(ValueError, samples=samples), "2 null")


def test_null_time():
    message = message_of(ValueError, make_events(time=pd.to_datetime(["1987-05-01", None])))
    assert_mentions(message, "'time'", "1 null", "null_time='drop'", "null_time='static'")


@pytest.mark.parametrize("null_time", ["error", "static"])
def test_null_known_time(null_time):
    events = make_events(known_time=pd.to_datetime(["1987-05-01", None]))
    message = message_of(ValueError, events, null_time=null_time)
    assert_mentions(message, "'known_time'", "1 null", "null_time='drop'")


def test_drop_that_leaves_nothing():
    message = message_of(ValueError, make_events(time=pd.NaT), null_time="drop")
    assert_mentions(message, "null_time='drop'", "'time'")


def test_null_visit_without_times():
    events = make_events(visit_id=[1, None]).drop(columns="time")
    assert_mentions(message_of(ValueError, events), "'visit_id'", "1 null", "time=")


@pytest.mark.parametrize(
    ("times", "got"),
    [
        (["1987-05-01", "1987-06-01"], "string"),
        ([1987, "1987-06-01"], "mixed"),
        ([pd.Timestamp("1987-05-01"), 1987], "mixed"),
        ([dt.date(1987, 5, 1), "1987"], "mixed"),
        ([True, False], "boolean"),
        (pd.Categorical(["1987-05-01", "1987-06-01"]), "categorical"),
        ([1987j, 1j], "complex"),
    ],
)
def test_times_that_are_no_times(times, got):
    for_events = message_of(TypeError, make_events(time=times))
    assert_mentions(for_events, "'time'", got, "datetimes (aware or naive)", "to_datetime")
    for_samples = message_of(TypeError, samples=make_samples(prediction_time=times))
    assert_mentions(for_samples, "'prediction_time'", got, "datetimes (aware or naive)")


@pytest.mark.parametrize(
    ("times", "got", "way_out"),
    [
        (pd.to_timedelta([1987, 1987], unit="D"), "timedelta", "divide them by pandas.Timedelta"),
        (pd.period_range("1987-05", periods=2, freq="M"), "period", ".dt.to_timestamp(how='end')"),
    ],
)
def test_times_that_to_datetime_would_refuse_too(times, got, way_out):
    message = message_of(TypeError, make_events(time=times))
    assert_mentions(message, "'time'", got, way_out)
    assert "to_datetime" not in message


@pytest.mark.parametrize("other", [pd.Timestamp("1987-05-01", tz="UTC"), dt.datetime(1987, 5, 1)])
def test_column_that_mixes_zones(other):
    times = pd.Series([pd.Timestamp("1987-05-01", tz="Europe/Berlin"), other], dtype=object)
    message = message_of(TypeError, make_events(time=times))
    assert_mentions(message, "'time'", "one zone", "utc=True")


def test_aware_and_naive_columns():
    samples = make_samples()
    samples["prediction_time"] = samples["prediction_time"].dt.tz_localize("UTC")
    message = message_of(TypeError, samples=samples)
    assert_mentions(message, "'prediction_time' is aware", "'time' is naive", "tz_localize")


def test_aware_known_times_of_naive_times():
    events = make_events()
    events["known_time"] = events["time"].dt.tz_localize("UTC")
    message = message_of(TypeError, events, make_samples())
    assert_mentions(message, "'known_time' is aware", "is naive")


def test_datetimes_and_numbers():
    message = message_of(TypeError, samples=make_samples(prediction_time=[1987, 1988]))
    assert_mentions(message, "'time'", "'prediction_time'", "int64", "numbers of one unit")
    events = make_events(known_time=[1987.5, 1988.5])
    message = message_of(TypeError, events, make_samples())
    assert_mentions(message, "'known_time'", "float64")


@pytest.mark.parametrize("column", ["time", "known_time"])
def test_infinite_times(column):
    events = make_events(time=[1987.0, 1987.0])
    events[column] = [1987.0, np.inf]
    assert_mentions(message_of(ValueError, events), repr(column), "1 infinite", "Drop")


def test_infinite_prediction_time():
    samples = make_samples(prediction_time=[-np.inf, np.inf])
    message = message_of(ValueError, make_events(time=[1987, 1987]), samples)
    assert_mentions(message, "'prediction_time'", "2 infinite")


@pytest.mark.parametrize(
    "times",
    [
        np.array([1987 * 10**15 + 1, 2**63], dtype=np.uint64),
        pd.array([1987 * 10**15 + 1, None], dtype="Int64"),
        pd.Series([1987 * 10**15 + 1, 0.5], dtype=object),
    ],
)
def test_integer_times_that_would_be_rounded(times):
    message = message_of(ValueError, make_events(time=times), null_time="static")
    assert_mentions(message, "'time'", "integers beyond", "coarser unit")


def test_local_times_beyond_the_unit():
    end = pd.Timestamp("2262-04-11T22:47:00").as_unit("ns")
    events = make_events(
        time=pd.Series([end, end]).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    )
    samples = make_samples()
    samples["prediction_time"] = samples["prediction_time"].dt.tz_localize("UTC")
    assert_mentions(message_of(ValueError, events, samples), "datetime64[ns]", ".dt.as_unit('us')")


@pytest.mark.parametrize("parameter", ["closed", "null_time"])
def test_unknown_choice(parameter):
    message = message_of(ValueError, **{parameter: "both"})
    assert_mentions(message, f"{parameter}='both'", "choose one of")


@pytest.mark.parametrize(
    "lookback", [365, 365.0, np.int64(365), "365", "a year", True, pd.NaT, [1]]
)
def test_lookback_that_is_no_duration(lookback):
    message = message_of(TypeError, lookback=lookback)
    assert_mentions(message, shown_lookback(lookback), "datetimes", "pandas.Timedelta('365D')")


@pytest.mark.parametrize(
    "lookback", [pd.Timedelta("3D"), np.timedelta64(3, "D"), "3", "3D", True, [3]]
)
def test_lookback_that_is_no_number(lookback):
    message = message_of(TypeError, make_events(time=[1987, 1987]), lookback=lookback)
    assert_mentions(message, shown_lookback(lookback), "number", "unit")


@pytest.mark.parametrize("lookback", ["0D", "-3D", pd.Timedelta(0)])
def test_lookback_that_is_no_length(lookback):
    message = message_of(ValueError, lookback=lookback)
    assert_mentions(message, f"lookback={lookback!r}", "longer than zero")


@pytest.mark.parametrize("lookback", [0, -1.5, np.nan, np.inf])
def test_lookback_that_is_no_positive_number(lookback):
    message = message_of(ValueError, make_events(time=[1987, 1987]), lookback=lookback)
    assert_mentions(message, f"lookback={lookback!r}", "finite", "longer than zero")


def test_without_times_prediction_times_and_lookback_raise():
    events = make_events(visit_id=[1, 2]).drop(columns="time")
    message = message_of(ValueError, events, make_samples())
    assert_mentions(message, "no time column", "time=", "prediction_time=None")
    assert_mentions(message_of(ValueError, events, lookback="3D"), "lookback", "no time column")


@pytest.mark.parametrize("column", ["patient_id", "code", "visit_id"])
@pytest.mark.parametrize("values", [["Ann", 987], [987, ("Ann", 1)], [pd.Timestamp("1987"), "Ann"]])
def test_ids_and_codes_that_do_not_sort(column, values):
    values = pd.Series(values, dtype=object)
    message = message_of(TypeError, make_events(**{column: values}))
    assert_mentions(message, repr(column), "several types", ".astype(str)")


def test_sample_ids_that_do_not_sort():
    message = message_of(TypeError, samples=make_samples(patient_id=["Ann", 987]))
    assert_mentions(message, "'patient_id'", "several types", ".astype(str)")


def test_ids_of_different_types():
    message = message_of(TypeError, make_events(patient_id=[987, 988]), make_samples())
    assert_mentions(message, "'patient_id'", "string in samples", "number in events", ".astype")
    samples = make_samples(patient_id=pd.Categorical([987, 988]))
    message = message_of(TypeError, make_events(), samples)
    assert_mentions(message, "number in samples", "string in events")


def test_ids_of_which_none_match():
    message = message_of(ValueError, samples=make_samples(patient_id=["Ann ", "Bob "]))
    assert_mentions(message, "No patient of samples", "2 samples", "2 patients", "same ids")


def test_float_ids_that_would_be_mistaken_for_others():
    # 2**53 + 1 is no float: read as one, it is the other patient.
    events = make_events(patient_id=[2**53, 2**53 + 1])
    samples = make_samples(patient_id=[float(2**53), float(2**53 + 1)])
    message = message_of(ValueError, events, samples)
    assert_mentions(message, "'patient_id'", "2**53", "integers in both frames")


def test_value_that_is_no_number():
    message = message_of(TypeError, make_events(value=["HIV-1", "987"]))
    assert_mentions(message, "'value'", "numeric", "pandas.to_numeric", "value=None")


@pytest.mark.parametrize(
    "parameter",
    ["lookback", "closed", "null_time", "resolution", "prediction_time", "time", "code", "group"],
)
@pytest.mark.parametrize("make_value", [pd.Series, list, np.array, tuple])
def test_a_column_given_as_a_parameter_is_not_shown(parameter, make_value):
    value = make_value(["Ann", "Bob"])
    with pytest.raises((TypeError, ValueError)) as caught:
        Cohort(make_events(), make_samples(), **{parameter: value})
    if make_value is tuple and parameter in ("time", "code", "group", "prediction_time"):
        return  # A tuple may be the name of a column.
    assert "Ann" not in str(caught.value)
    assert "ambiguous" not in str(caught.value)


def test_float_ids_in_an_object_column_beyond_2_53_are_refused():
    large = 2**53
    events = make_events(patient_id=[large + 1, large + 3])
    ids = np.fromiter([float(large), 5.0], dtype=object, count=2)
    samples = make_samples(patient_id=pd.Series(ids, dtype=object))
    with pytest.raises(ValueError, match=r"beyond 2\*\*53"):
        Cohort(events, samples)


@pytest.mark.parametrize("column", ["sample", "value"])
def test_a_patient_column_that_visible_events_would_overwrite_is_refused(column):
    X = Cohort(make_events().rename(columns={"patient_id": column}), patient_id=column, value=None)
    with pytest.raises(ValueError, match=f"called '{column}'.*Rename it"):
        X.visible_events()
