"""The risk as of each visit, of few samples and of many."""

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from drawn import overlaps  # noqa: E402

from sklearn_ehr import (  # noqa: E402
    Cohort,
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits  # noqa: E402
from sklearn_ehr.inspection import RiskByVisitDisplay  # noqa: E402

TINY = {"embedding_dim": 8, "hidden_dim": 4, "max_epochs": 1, "early_stopping": False}


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fitted():
    X, y = make_visits(120, random_state=0)
    lstm = LSTMVisitClassifier(random_state=0, **TINY)
    return make_pipeline(VisitSequenceTransformer(), lstm).fit(X, y), X, y.to_numpy()


def risks_of(model, X):
    return model[-1].predict_proba_by_visit(model[0].transform(X), as_frame=True)


def test_bands_are_the_quartiles_of_the_risk_at_each_visit(fitted):
    model, X, y = fitted
    display = RiskByVisitDisplay.from_estimator(model, X, y)
    frame = risks_of(model, X)
    frame["y"] = y[frame["sample"]]
    for name, line in zip([0, 1], display.lines_, strict=True):
        x, median = line.get_data()
        expected = frame[frame["y"] == name].groupby("visit")["risk"]
        counts = expected.size()
        assert x.tolist() == (counts.index[counts >= 10] + 1).tolist()
        np.testing.assert_allclose(median, expected.median()[counts >= 10])
        band = display.curves[display.curves["outcome"] == name]
        np.testing.assert_allclose(band["low"], expected.quantile(0.25)[counts >= 10])
        np.testing.assert_allclose(band["high"], expected.quantile(0.75)[counts >= 10])
    assert (display.curves["n_patients"] >= 10).all()
    assert display.ax_.get_xlabel() == "Visits read"
    assert display.ax_.get_ylabel() == "Predicted risk"
    assert overlaps(display.figure_) == []


def test_bands_over_time_are_those_of_the_last_visit_before(fitted):
    model, X, _ = fitted
    display = RiskByVisitDisplay.from_estimator(model, X, against="time")
    frame = risks_of(model, X)
    prediction = X.samples["prediction_time"].to_numpy()[frame["sample"]]
    age = (prediction - frame["time"].to_numpy()) / np.timedelta64(1, "D")
    for at, expected in display.curves.set_index("x").iloc[[0, 20, -1]].iterrows():
        last = frame[age >= at].groupby("sample")["risk"].last()
        assert expected["median"] == pytest.approx(last.median())
        assert expected["n_patients"] == len(last)
    assert display.curves["x"].min() == 0
    assert display.ax_.xaxis_inverted()
    assert display.ax_.get_xlabel() == "Days before the prediction"


@pytest.mark.parametrize("y", [None, [0, 1, 1]])
@pytest.mark.parametrize("against", ["visit", "time"])
def test_few_samples_have_a_line_each(fitted, y, against):
    model, X, _ = fitted
    display = RiskByVisitDisplay.from_estimator(model, X[:3], y, against=against)
    frame = risks_of(model, X[:3])
    assert len(display.lines_) == 3
    for sample, line in enumerate(display.lines_):
        x, risk = line.get_data()
        own = frame[frame["sample"] == sample]
        np.testing.assert_array_equal(risk[: len(own)], own["risk"])
        if against == "visit":
            assert x.tolist() == list(range(1, len(own) + 1))
        else:
            assert (np.diff(x) <= 0).all()
            assert (x[-1], risk[-1]) == (0, risk[-2])
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == (
        ["sample 0", "sample 1", "sample 2"] if y is None else ["outcome 0", "outcome 1"]
    )
    assert overlaps(display.figure_) == []


def test_static_visit_has_number_zero_and_no_time():
    events = pd.DataFrame(
        {
            "patient_id": [1, 1, 1, 2],
            "time": pd.to_datetime([None, "2020-01-01", "2020-01-31", "2020-01-01"]),
            "code": ["F", "A", "A", "A"],
        }
    )
    X = Cohort(events, null_time="static")
    lstm = LSTMVisitClassifier(random_state=0, **TINY)
    model = make_pipeline(VisitSequenceTransformer(min_frequency=1), lstm).fit(X, [0, 1])
    by_visit = RiskByVisitDisplay.from_estimator(model, X).curves
    assert by_visit[["sample", "x"]].to_numpy().tolist() == [[0, 0], [0, 1], [0, 2], [1, 1]]
    by_time = RiskByVisitDisplay.from_estimator(model, X, against="time")
    dated = by_time.curves[by_time.curves["sample"] == 0]
    assert dated["x"].tolist() == [30, 0, 0]
    assert by_time.ax_.get_xlabel() == "Days before the last visit"


def test_one_of_several_classes_is_chosen(fitted):
    model, X, _ = fitted
    sequences = model[0].transform(X)
    y = np.arange(120) % 3
    lstm = LSTMVisitClassifier(random_state=0, **TINY).fit(sequences, y)
    display = RiskByVisitDisplay.from_estimator(lstm, sequences[:2], output=2)
    expected = np.concatenate(lstm.predict_proba_by_visit(sequences[:2]))[:, 2]
    np.testing.assert_allclose(display.curves["risk"], expected)
    with pytest.raises(ValueError, match="one of the 3 classes"):
        RiskByVisitDisplay.from_estimator(lstm, sequences)


def test_what_cannot_be_drawn_is_refused(fitted):
    model, X, y = fitted
    draw = RiskByVisitDisplay.from_estimator
    with pytest.raises(ValueError, match="choose 'visit' or 'time'"):
        draw(model, X, against="visits")
    with pytest.raises(ValueError, match="one outcome per sample"):
        draw(model, X, y[:-1])
    with pytest.raises(ValueError, match="up to 8 different outcomes"):
        draw(model, X, np.arange(120))
    with pytest.raises(ValueError, match="without nulls"):
        draw(model, X, np.where(y == 1, 1.0, np.nan))
    with pytest.raises(ValueError, match="Quartiles are drawn where there are 10 patients"):
        draw(model, X[:12], [0, 1] * 6)
    with pytest.raises(ValueError, match="against='time' needs times"):
        draw(LSTMVisitClassifier(**TINY).fit([[[2]], [[3]]], [0, 1]), [[[2]]], against="time")
    sequences = model[0].transform(X)
    with pytest.raises(TypeError, match="risks of an LSTMVisitClassifier"):
        draw(LSTMVisitRegressor(**TINY).fit(sequences, y * 1.5), sequences)
