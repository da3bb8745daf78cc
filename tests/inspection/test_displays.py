"""Displays draw what was computed, with labels that do not overlap."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from drawn import drawn_texts, overlaps  # noqa: E402

from sklearn_ehr import LSTMVisitClassifier, VisitSequenceTransformer  # noqa: E402
from sklearn_ehr.datasets import make_visits  # noqa: E402
from sklearn_ehr.inspection import (  # noqa: E402
    CalibrationSlopeDisplay,
    CodeImportanceDisplay,
    DecisionCurveDisplay,
    TrainingHistoryDisplay,
    calibration_slope,
    code_importance,
    net_benefit,
)
from sklearn_ehr.inspection.displays._labels import label_codes  # noqa: E402

TINY = {"embedding_dim": 4, "hidden_dim": 4, "random_state": 0}


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def data():
    return make_visits(200, random_state=0)


@pytest.fixture(scope="module")
def sequences(data):
    return VisitSequenceTransformer().fit_transform(data[0])


def test_figures_are_of_notebook_size():
    display = DecisionCurveDisplay.from_predictions([0, 1], [0.2, 0.7])
    assert display.figure_.get_size_inches().tolist() == [6.4, 4.8]


def test_overlaps_are_found():
    figure, ax = plt.subplots()
    ax.set_axis_off()
    ax.text(0.5, 0.5, "one")
    ax.text(0.51, 0.5, "other")
    ax.text(0.5, 0.2, "apart")
    ax.text(0.9, 0.8, "too long for the figure")
    assert overlaps(figure) == [("one", "other"), "too long for the figure"]


def test_given_axes_are_drawn_on(sequences, data):
    figure, axes = plt.subplots(1, 4)
    lstm = LSTMVisitClassifier(max_epochs=2, **TINY).fit(sequences, data[1])
    y, risk = [0, 1, 0, 1], [0.1, 0.6, 0.3, 0.2]
    displays = [
        TrainingHistoryDisplay.from_estimator(lstm, ax=axes[0]),
        CodeImportanceDisplay.from_importance(importance_of(3), ax=axes[1]),
        DecisionCurveDisplay.from_predictions(y, risk, ax=axes[2]),
        CalibrationSlopeDisplay.from_predictions(y, risk, ax=axes[3]),
    ]
    assert [display.ax_ for display in displays] == list(axes)
    assert {display.figure_ for display in displays} == {figure}
    assert displays[0].plot(axes[3]) is displays[0]


def test_missing_matplotlib_is_an_error_that_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"DecisionCurveDisplay needs .*sklearn_ehr\[plot\]"):
        DecisionCurveDisplay.from_predictions([0, 1], [0.2, 0.7])


def curves_of(panel):
    return {
        line.get_label(): line.get_xydata()
        for line in panel.get_lines()
        if not line.get_label().startswith("_")
    }


def test_training_history_draws_the_losses_of_each_stage(sequences, data):
    lstm = LSTMVisitClassifier(max_epochs=4, lr=0.01, scoring="roc_auc", **TINY)
    lstm.fit(sequences, data[1])
    lstm.partial_fit(sequences, data[1])
    display = TrainingHistoryDisplay.from_estimator(lstm)
    losses, scores = display.axes_
    history = lstm.history_.groupby("stage")
    curves = curves_of(losses)
    for stage, column, label in (
        ("fit", "train_loss", "training"),
        ("fit", "valid_loss", "validation"),
        ("refit", "train_loss", "training, refit on all samples"),
        ("partial_fit", "train_loss", "training, partial_fit"),
    ):
        expected = history.get_group(stage)[["epoch", column]].to_numpy()
        np.testing.assert_array_equal(curves[label], expected)
    first = history.get_group("fit")
    np.testing.assert_array_equal(
        curves_of(scores)["validation score"], first[["epoch", "valid_score"]].to_numpy()
    )
    best = int(first["valid_score"].argmax())
    assert display.best_epoch == best + 1
    at_best = [[best + 1, first["valid_loss"].iloc[best]]]
    np.testing.assert_array_equal(curves[f"best epoch: {best + 1}"], at_best)
    assert scores.get_ylabel() == "Validation score\n(roc_auc)"
    assert scores.get_xlabel() == "Epoch"
    assert overlaps(display.figure_) == []


def test_training_history_without_validation_has_one_panel_and_no_best_epoch(sequences, data):
    lstm = LSTMVisitClassifier(max_epochs=1, early_stopping=False, **TINY)
    display = TrainingHistoryDisplay.from_estimator(lstm.fit(sequences, data[1]))
    assert list(curves_of(display.ax_)) == ["training"]
    assert display.axes_ == [display.ax_]
    assert overlaps(display.figure_) == []


def test_training_history_reads_pipelines_and_refuses_other_models(data):
    X, y = data
    lstm = LSTMVisitClassifier(max_epochs=1, early_stopping=False, **TINY)
    model = make_pipeline(VisitSequenceTransformer(), lstm).fit(X, y)
    display = TrainingHistoryDisplay.from_estimator(model)
    assert display.history is model[-1].history_
    with pytest.raises(TypeError, match="estimator must be a fitted LSTM estimator"):
        TrainingHistoryDisplay.from_estimator(DummyClassifier())


def importance_of(n, sign=1, name="C{:02d}"):
    values = sign * np.linspace(0.05, -0.01, n)
    return pd.DataFrame(
        {"importance": values, "standard_error": np.linspace(0.001, 0.004, n)},
        index=[name.format(i) for i in range(n)],
    )


LONG = "LAB//{:04d}//Haemoglobin A1c/Haemoglobin.total in Blood by HPLC, value in [5.7, 6.4)"


@pytest.mark.parametrize("name", ["C{:02d}", LONG])
@pytest.mark.parametrize(("n", "sign"), [(1, 1), (20, -1), (45, 1)])
def test_importance_labels_do_not_overlap(n, sign, name):
    importance = importance_of(n, sign, name)
    display = CodeImportanceDisplay.from_importance(importance, max_codes=45)
    assert overlaps(display.figure_) == []
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert len(set(labels)) == n


def test_importance_draws_the_most_important_codes_with_standard_errors():
    importance = importance_of(30).sample(frac=1, random_state=0)
    descriptions = {"C00": "Heart failure"}
    display = CodeImportanceDisplay.from_importance(importance, descriptions=descriptions)
    shown = importance.sort_values("importance", ascending=False).head(20)
    assert [bar.get_width() for bar in display.bars_] == shown["importance"].tolist()
    (errors,) = display.bars_.errorbar.lines[2]
    half = [np.ptp(segment[:, 0]) / 2 for segment in errors.get_segments()]
    np.testing.assert_allclose(half, shown["standard_error"])
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == ["Heart failure", *shown.index[1:]]
    # The most important one is on top.
    assert display.ax_.get_ylim()[0] > display.ax_.get_ylim()[1]
    assert display.ax_.get_xlabel() == "Decrease of the score (± standard error)"


def test_importance_from_an_estimator_is_what_the_function_computes(data):
    X, y = data
    lstm = LSTMVisitClassifier(max_epochs=1, early_stopping=False, **TINY)
    model = make_pipeline(VisitSequenceTransformer(), lstm).fit(X, y)
    options = {
        "scoring": "roc_auc",
        "groups": {"a": ["C001", "C002"], "b": ["C015"]},
        "n_repeats": 2,
        "random_state": 0,
    }
    display = CodeImportanceDisplay.from_estimator(model, X, y, max_codes=1, **options)
    pd.testing.assert_frame_equal(display.importance, code_importance(model, X, y, **options))
    assert len(display.bars_) == 1


@pytest.mark.parametrize("as_type", [dict, pd.Series, "frame"])
def test_descriptions_may_be_a_dict_a_series_or_a_frame(as_type):
    known = {"I50": "Heart failure", "E11": None, "N18": "  "}
    if as_type == "frame":
        known = pd.DataFrame({"code": list(known), "description": list(known.values())})
    else:
        known = as_type(known)
    labels = label_codes(["I50", "E11", "N18", "Z99"], known)
    assert labels == ["Heart failure", "E11", "N18", "Z99"]


def test_labels_are_short_and_different():
    codes = ["I50.1", "I50.9", "LAB//1//" + "x" * 50 + "[1, 2)"]
    long = "Congestive heart failure with preserved ejection fraction"
    labels = label_codes(codes, dict.fromkeys(codes[:2], long))
    assert labels == [
        "Congestive heart… (I50.1)",
        "Congestive heart… (I50.9)",
        "LAB//1//xxxxxxxxxx…xxxxxxxxxxx[1, 2)",
    ]
    assert label_codes([10, 11], None) == ["10", "11"]


def test_descriptions_of_another_kind_are_refused():
    with pytest.raises(TypeError, match="descriptions must be a dict or Series"):
        label_codes(["I50"], ["Heart failure"])
    with pytest.raises(ValueError, match="description is missing"):
        label_codes(["I50"], pd.DataFrame({"code": ["I50"]}))


def risks(n=800, seed=0):
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-2, 1, n)
    risk = 1 / (1 + np.exp(-log_odds))
    return (rng.random(n) < risk).astype(int), risk


def test_decision_curve_draws_net_benefits():
    y, risk = risks()
    weight = np.linspace(1, 2, len(y))
    at = [0.05, 0.1, 0.3]
    display = DecisionCurveDisplay.from_predictions(
        y, {"one": risk, "two": risk**2}, thresholds=at, sample_weight=weight
    )
    curves = curves_of(display.ax_)
    for name, values in (("one", risk), ("two", risk**2), ("treat all", np.ones(len(y)))):
        np.testing.assert_array_equal(curves[name][:, 0], at)
        expected = net_benefit(y, values, at, sample_weight=weight)
        np.testing.assert_array_equal(curves[name][:, 1], expected)
    assert (curves["treat none"][:, 1] == 0).all()
    assert display.ax_.get_xlabel() == "Threshold of the risk"
    assert display.ax_.get_ylabel() == "Net benefit"
    assert list(display.lines_) == ["one", "two"]
    assert overlaps(display.figure_) == []


def test_thresholds_reach_twice_the_prevalence_or_the_highest_risks():
    y = np.repeat([0, 1], [90, 10])
    ends = [
        DecisionCurveDisplay.from_predictions(y, np.full(100, risk)).thresholds[[0, -1]].tolist()
        for risk in (0.01, 0.42, 1.0)
    ]
    np.testing.assert_allclose(ends, [[0, 0.2], [0, 0.45], [0, 0.99]])


def test_decision_curve_of_no_model_is_refused():
    with pytest.raises(ValueError, match="empty dict"):
        DecisionCurveDisplay.from_predictions([0, 1], {})


@pytest.mark.parametrize("Display", [DecisionCurveDisplay, CalibrationSlopeDisplay])
def test_displays_of_risks_take_any_classifier_of_two_classes(Display, data):
    X, y = data
    y = np.where(y == 1, "yes", "no")
    lstm = LSTMVisitClassifier(max_epochs=1, early_stopping=False, **TINY)
    model = make_pipeline(VisitSequenceTransformer(), lstm).fit(X, y)
    numbers = np.random.default_rng(0).normal(size=(len(y), 2))
    for estimator, inputs, name in (
        (model, X, "LSTMVisitClassifier"),
        (LogisticRegression().fit(numbers, y), numbers, "LogisticRegression"),
    ):
        display = Display.from_estimator(estimator, inputs, y)
        risk = estimator.predict_proba(inputs)[:, 1]
        if Display is DecisionCurveDisplay:
            expected = net_benefit(y == "yes", risk, display.thresholds)
            np.testing.assert_array_equal(display.net_benefits[name], expected)
        else:
            assert (display.slope, display.intercept) == calibration_slope(y == "yes", risk)
            assert display.name == name
    with pytest.raises(ValueError, match="none of the two classes"):
        Display.from_estimator(model, X, np.where(y == "yes", "SECRET", "no"))
    three = DummyClassifier().fit(numbers[:3], [0, 1, 2])
    with pytest.raises(ValueError, match="classifier of two classes"):
        Display.from_estimator(three, numbers, y)


def test_calibration_draws_the_smooth_curve_and_tells_slope_and_intercept():
    y, risk = risks()
    display = CalibrationSlopeDisplay.from_predictions(y, risk**1.5, name="LSTM")
    slope, intercept = calibration_slope(y, risk**1.5)
    np.testing.assert_array_equal(display.line_.get_xdata(), display.risk)
    np.testing.assert_array_equal(display.line_.get_ydata(), display.observed)
    assert display.risk[[0, -1]].tolist() == [(risk**1.5).min(), (risk**1.5).max()]
    # Risks that are too low: more have the outcome.
    assert (display.observed > display.risk)[20:80].all()
    texts = [text.get_text() for text in drawn_texts(display.figure_)]
    assert f"LSTM\nslope {slope:.2f}, intercept {intercept:.2f}" in texts
    curve, histogram = display.axes_
    counts = sum(patch.get_height() for patch in histogram.patches)
    assert counts == len(y)
    assert curve.get_ylabel() == "Share with the outcome"
    assert histogram.get_xlabel() == "Predicted risk"
    assert overlaps(display.figure_) == []


def test_calibration_of_calibrated_risks_is_near_the_diagonal():
    y, risk = risks(20_000)
    display = CalibrationSlopeDisplay.from_predictions(y, risk)
    near = display.risk < 0.5
    assert np.abs(display.observed - display.risk)[near].max() < 0.03


@pytest.mark.parametrize("risk", [0.25, 1e-9, 1.0])
def test_calibration_of_a_constant_risk_is_a_point(risk):
    display = CalibrationSlopeDisplay.from_predictions([0, 0, 0, 1], np.full(4, risk))
    np.testing.assert_allclose(display.observed, 0.25)
    assert display.line_.get_marker() == "o"
    texts = " ".join(text.get_text() for text in drawn_texts(display.figure_))
    assert "slope undefined" in texts
    assert overlaps(display.figure_) == []


def test_bin_of_values_is_described_by_its_code():
    labels = label_codes(["LOINC//1//Q4", "LOINC//2//Q1", "LOINC//1"], {"LOINC//1": "Creatinine"})
    assert labels == ["Creatinine, Q4", "LOINC//2//Q1", "Creatinine"]


def test_decision_curve_keeps_its_axis_upright_if_nothing_helps():
    outcome = np.repeat([0, 1], [95, 5])
    display = DecisionCurveDisplay.from_predictions(
        outcome, np.full(100, 0.9), thresholds=[0.3, 0.5, 0.7]
    )
    low, high = display.ax_.get_ylim()
    assert low < 0 < high


def test_default_thresholds_are_those_of_the_weighted_prevalence():
    outcome = np.repeat([0, 1], [95, 5])
    weight = np.where(outcome == 1, 19.0, 1.0)
    display = DecisionCurveDisplay.from_predictions(
        outcome, np.full(100, 0.05), sample_weight=weight
    )
    assert display.thresholds[-1] == pytest.approx(0.99)


def test_codes_that_shorten_to_the_same_are_numbered():
    codes = ["A" * 30 + middle + "B" * 30 for middle in ("1", "2")]
    one, other = label_codes(codes, None)
    assert other == f"{one} (2)"


def test_dollar_signs_begin_no_formula():
    (label,) = label_codes(["$x^$ a"], None)
    figure, ax = plt.subplots()
    ax.set_yticks([0], [label])
    figure.canvas.draw()
    assert ax.get_yticklabels()[0].get_text() == r"\$x^\$ a"


@pytest.mark.parametrize("thresholds", [[], 0.5, [0.5]])
def test_decision_curve_needs_thresholds_for_a_line(thresholds):
    with pytest.raises(ValueError, match="at least two numbers"):
        DecisionCurveDisplay.from_predictions([0, 1], [0.2, 0.8], thresholds=thresholds)
