"""Events and predictions as tables of MEDS, valid by its own packages."""

import numpy as np
import pandas as pd
import pytest
from any_frame import HEAVY, IN_MEMORY, LAZY, texts_and_dates, whole_numbers
from test_meds import EVENTS, LABELS, meds, whole

from sklearn_ehr import Cohort
from sklearn_ehr.io import read_meds, to_meds, to_meds_predictions

pa = pytest.importorskip("pyarrow", reason="pyarrow comes with the extra arrow")


def schemas():
    return pytest.importorskip("meds", reason="meds comes with the extra dev")


@pytest.mark.parametrize("kind", [*IN_MEMORY, *LAZY, *HEAVY])
def test_there_and_back_is_the_same_table(kind, tmp_path):
    shuffled = whole().take(np.random.default_rng(0).permutation(len(EVENTS)))
    table = to_meds(read_meds(kind(shuffled, tmp_path)))
    assert table.equals(whole())


def test_events_are_valid_and_keep_their_visits():
    events = whole_numbers()[0].to_pandas()
    table = to_meds(events)
    schemas().DataSchema.validate(table)
    assert table.column_names == [
        "subject_id", "time", "code", "numeric_value", "visit_id", "unused",
    ]  # fmt: skip
    expected = events.sort_values(["patient_id", "time"], kind="stable")
    assert table["subject_id"].to_pylist() == expected["patient_id"].tolist()
    assert table["code"].to_pylist() == expected["code"].tolist()
    assert table["visit_id"].to_pylist() == expected["visit_id"].tolist()
    assert (table["time"].to_numpy() == expected["time"].to_numpy()).all()
    values = table["numeric_value"].to_pandas()
    np.testing.assert_array_equal(values, expected["value"].to_numpy(np.float32))


def test_static_events_come_first():
    events = whole().to_pandas()[::-1]
    assert to_meds(events)["code"][0].as_py() == "EYE_COLOR//BROWN"


def test_columns_of_other_names_are_named():
    events = pd.DataFrame(
        {"person": [1], "when": [pd.Timestamp("2020")], "what": ["a"], "value": 1}
    )
    table = to_meds(events, patient_id="person", time="when", code="what", value=None)
    assert table.column_names == ["subject_id", "time", "code", "value"]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_unit_become_microseconds(unit):
    time = pd.Series(pd.to_datetime(["2020-01-01 08:00", "1960-01-02 00:00"])).astype(f"M8[{unit}]")
    table = to_meds(pd.DataFrame({"patient_id": 1, "time": time, "code": "a"}))
    assert table["time"].type == pa.timestamp("us")
    assert sorted(time) == [pd.Timestamp(t) for t in table["time"].to_pylist()]


def test_aware_times_become_utc_and_dates_midnights():
    aware = pd.to_datetime(["2020-01-01 08:00"]).tz_localize("Europe/Berlin")
    for time in (aware, pa.array([pd.Timestamp("2020-01-01").date()])):
        table = to_meds(pa.table({"patient_id": [1], "time": time, "code": ["a"]}))
        hour = 7 if time is aware else 0
        assert table["time"].to_pylist() == [pd.Timestamp(2020, 1, 1, hour)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([True, None], [1, None]),
        ([2**24 + 1, 5], [2**24, 5]),
        ([0.1, None], [np.float32(0.1), None]),
    ],
)
def test_values_are_rounded_to_32_bits(value, expected):
    table = pa.table({"patient_id": [1, 1], "time": [0, 1], "code": ["a", "b"], "value": value})
    table = table.set_column(1, "time", table["time"].cast(pa.timestamp("us")))
    assert to_meds(table)["numeric_value"].to_pylist() == expected


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"subject_id": ["SECRET"]}, TypeError, "'subject_id' holds .*string, but .* integers"),
        ({"subject_id": [987654321.5]}, TypeError, "'subject_id' holds double"),
        ({"subject_id": [None]}, ValueError, r"'subject_id' has 1 null value\(s\)"),
        ({"subject_id": np.array([2**64 - 1], np.uint64)}, ValueError, "beyond the range of int64"),
        ({"time": ["2017-03-04"]}, TypeError, "'time' holds .*string, but .* datetimes"),
        ({"time": [987654321]}, TypeError, "'time' holds int64"),
        ({"code": [None]}, ValueError, r"'code' has 1 null value\(s\)"),
        ({"code": [987654321]}, TypeError, "'code' holds int64, but codes .* strings"),
        ({"value": ["SECRET"]}, TypeError, "'value' holds .*string, but .* numbers"),
        ({"value": [9.87654321e200]}, ValueError, r"1 value\(s\) beyond the range of 32-bit"),
        ({"text_value": [987654321]}, TypeError, "'text_value' holds int64"),
        ({"patient_id": [1]}, ValueError, "'subject_id' beside the column"),
    ],
)
def test_events_that_meds_cannot_hold_are_refused_without_a_cell(columns, error, message):
    with pytest.raises(error, match=message) as info:
        to_meds(meds(**columns))
    assert not [
        cell for cell in ("SECRET", "987654321", "9.8765", "2017") if cell in str(info.value)
    ]


def test_column_of_mixed_types_is_refused_without_a_cell():
    with pytest.raises(TypeError, match="mixed types") as info:
        to_meds(pd.concat([meds(note="SECRET"), meds(note=987654321)]))
    assert info.value.__suppress_context__
    assert "SECRET" not in str(info.value)


def test_texts_as_patients_are_refused():
    with pytest.raises(TypeError, match=r"pandas\.factorize"):
        to_meds(texts_and_dates()[0])


def test_predictions_are_valid():
    table = to_meds_predictions(
        LABELS, [[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]], [False, False, True]
    )
    schemas().LabelSchema.validate(table.select(["subject_id", "prediction_time", "boolean_value"]))
    assert table.to_pydict() == {
        "subject_id": [2, 1, 1],
        "prediction_time": LABELS["prediction_time"].to_pylist(),
        "boolean_value": [False, True, True],
        "predicted_boolean_value": [False, False, True],
        "predicted_boolean_probability": [0.25, 0.5, 1.0],
    }


@pytest.mark.parametrize("y_pred", [None, [0, 1, 1]])
def test_predictions_are_evaluated_by_meds_evaluation(y_pred):
    pytest.importorskip("meds_evaluation", reason="meds-evaluation comes with the extra dev")
    import polars as pl
    from meds_evaluation.evaluate import evaluate_binary_classification

    cohort = Cohort(read_meds(whole()), LABELS, null_time="static")
    table = to_meds_predictions(cohort.samples, [0.5, 0.25, 1.0], y_pred)
    result = evaluate_binary_classification(pl.from_arrow(table))["samples_equally_weighted"]
    # Of the two pairs of a true and a false outcome, one is in order.
    assert result["roc_auc_score"] == 0.5
    assert result["brier_score"] == pytest.approx((0.5**2 + 0.75**2 + 0) / 3)
    assert ("f1_score" in result) == (y_pred is not None)


def test_samples_of_make_samples_name_their_outcome():
    samples = LABELS.to_pandas()[["subject_id", "prediction_time", "boolean_value"]]
    samples = samples.rename(columns={"boolean_value": "outcome"}).astype({"outcome": float})
    table = to_meds_predictions(samples, [0.5, 0.25, 1.0], outcome="outcome")
    assert table["boolean_value"].to_pylist() == [False, True, True]


SAMPLES = LABELS.to_pandas()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: to_meds_predictions(SAMPLES, [0.5]),
            ValueError,
            r"shape \(1,\), but must be \(3,\)",
        ),
        (lambda: to_meds_predictions(SAMPLES, np.ones((3, 3))), ValueError, r"shape \(3, 3\)"),
        (lambda: to_meds_predictions(SAMPLES, [0, 1, 7.5]), ValueError, "from 0 to 1"),
        (lambda: to_meds_predictions(SAMPLES, [0, 1, np.nan]), ValueError, "from 0 to 1"),
        (lambda: to_meds_predictions(SAMPLES, ["SECRET"] * 3), TypeError, "array of numbers"),
        (lambda: to_meds_predictions(SAMPLES, [0, 1, 1], [0, 1]), ValueError, "y_pred has shape"),
        (
            lambda: to_meds_predictions(SAMPLES, [0, 1, 1], [0, 1, 7]),
            ValueError,
            "'y_pred' must be",
        ),
        (lambda: to_meds_predictions(SAMPLES, [0, 1, 1], ["SECRET"] * 3), TypeError, "y_pred must"),
        (
            lambda: to_meds_predictions(SAMPLES, [0, 1, 1], outcome="integer_value"),
            ValueError,
            "'integer_value' has 3 null",
        ),
        (
            lambda: to_meds_predictions(SAMPLES, [0, 1, 1], outcome="subject_id"),
            ValueError,
            "'subject_id' must be boolean",
        ),
        (
            lambda: to_meds_predictions(SAMPLES.drop(columns="prediction_time"), [0, 1, 1]),
            ValueError,
            "no column 'prediction_time'",
        ),
        (
            lambda: to_meds_predictions(SAMPLES.assign(prediction_time=pd.NaT), [0, 1, 1]),
            ValueError,
            "'prediction_time' has 3 null",
        ),
        (
            lambda: to_meds_predictions(
                pytest.importorskip("polars").from_arrow(LABELS).lazy(), [0, 1, 1]
            ),
            TypeError,
            "no order to match",
        ),
        (
            lambda: to_meds_predictions(Cohort(whole(), LABELS, null_time="static"), [0, 1, 1]),
            TypeError,
            "samples must be",
        ),
    ],
)
def test_what_is_no_prediction_is_refused_without_a_cell(call, error, message):
    with pytest.raises(error, match=message) as info:
        call()
    assert "SECRET" not in str(info.value)


def test_parts_of_microseconds_are_cut_off_before_1970_too():
    times = pd.to_datetime(["1969-12-31 23:59:59.999999999", "1970-01-01 00:00:00.000000999"])
    events = pd.DataFrame({"patient_id": 1, "time": times, "code": "a"})
    expected = ["1969-12-31 23:59:59.999999", "1970-01-01 00:00:00.000000"]
    assert to_meds(events)["time"].to_pylist() == pd.to_datetime(expected).tolist()
