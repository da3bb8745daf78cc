"""The timeline of one patient: what it draws, for histories of every kind."""

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from drawn import drawn_texts, overlaps  # noqa: E402
from matplotlib.dates import date2num  # noqa: E402

from sklearn_ehr import (  # noqa: E402
    Cohort,
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    VisitSequenceTransformer,
)
from sklearn_ehr.inspection import (  # noqa: E402
    PatientTimelineDisplay,
    code_contributions,
    visit_contributions,
)

TINY = {"embedding_dim": 8, "hidden_dim": 4, "max_epochs": 1, "early_stopping": False}
CODES = [f"LAB//{i:04d}//Haemoglobin A1c/Haemoglobin.total in Blood [{i}, 7.5)" for i in range(15)]
DESCRIPTIONS = pd.DataFrame(
    {
        "code": CODES[:3],
        "description": [
            "Congestive heart failure with preserved ejection fraction, unspecified",
            "Congestive heart failure with preserved ejection fraction, acute",
            "Statin",
        ],
    }
)
# Number of dated visits of each patient.
N_VISITS = {"long": 200, "typical": 11, "two": 2, "one": 1, "static": 0}


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def make_events():
    rng = np.random.default_rng(0)
    parts = []
    for patient, n in N_VISITS.items():
        days = np.cumsum(rng.integers(1, 60, n))
        time = pd.Timestamp("2015-03-05 10:00") + pd.to_timedelta(np.repeat(days, 4), unit="D")
        code = rng.choice(CODES, len(time))
        parts.append(pd.DataFrame({"patient_id": patient, "time": time, "code": code}))
        parts.append(pd.DataFrame({"patient_id": patient, "time": [pd.NaT], "code": ["SEX//F"]}))
    return pd.concat(parts, ignore_index=True)


EVENTS = make_events()
LAST = EVENTS.groupby("patient_id")["time"].max().fillna(pd.Timestamp("2016-01-01 10:00"))
SAMPLES = pd.DataFrame({"patient_id": list(N_VISITS)})
SAMPLES["prediction_time"] = SAMPLES["patient_id"].map(LAST) + pd.Timedelta("9D")
Y = [0, 1, 0, 1, 0]


@pytest.fixture(scope="module")
def dated():
    X = Cohort(EVENTS, SAMPLES, null_time="static")
    lstm = LSTMVisitClassifier(random_state=0, **TINY)
    return make_pipeline(VisitSequenceTransformer(min_frequency=1), lstm).fit(X, Y), X


def times_as_numbers(values):
    return date2num(np.asarray(values, dtype="datetime64[us]"))


def test_risk_after_each_visit_is_drawn_at_its_time(dated):
    model, X = dated
    display = PatientTimelineDisplay.from_estimator(model, X, 1)
    visits = visit_contributions(model, X[[1]])
    pd.testing.assert_frame_equal(display.visits, visits)
    step, marks = display.axes_[0].get_lines()[:2]
    at = marks.get_xdata()
    np.testing.assert_allclose(at[1:], times_as_numbers(visits["time"][1:]))
    np.testing.assert_array_equal(marks.get_ydata(), visits["risk"])
    # The static visit is to the left of all others.
    assert at[0] < at[1:].min()
    # The last risk is that of the prediction, and holds until then.
    predicted = model.predict_proba(X[[1]])[0, 1]
    assert step.get_ydata()[-2:] == pytest.approx([predicted] * 2, abs=1e-6)
    end = times_as_numbers(SAMPLES["prediction_time"].iloc[1])
    assert step.get_xdata()[-1] == pytest.approx(end)
    assert display.axes_[0].get_ylabel() == "Predicted risk"
    texts = [text.get_text() for text in drawn_texts(display.figure_)]
    assert {"undated", "prediction", "raises the risk", "lowers the risk"} <= set(texts)


def test_marks_are_the_contributions_of_the_codes_that_matter(dated):
    model, X = dated
    display = PatientTimelineDisplay.from_estimator(
        model, X, 1, descriptions=DESCRIPTIONS, max_codes=4
    )
    codes = code_contributions(model, X[[1]])
    size = codes["contribution"].abs().groupby(codes["code"]).sum()
    expected = size.sort_values(ascending=False).index[:4].tolist()
    time = visit_contributions(model, X[[1]])["time"]
    raising, _, lowering, _, _ = display.axes_[1].collections
    for marks, is_one in (
        (raising, codes["contribution"] > 0),
        (lowering, codes["contribution"] < 0),
    ):
        shown = codes[is_one & codes["code"].isin(expected)]
        row = [expected.index(code) for code in shown["code"]]
        np.testing.assert_array_equal(marks.get_offsets()[:, 1], row)
        is_dated = shown["time"].notna().to_numpy()
        at = times_as_numbers(time[shown["visit"]])
        np.testing.assert_allclose(marks.get_offsets()[is_dated, 0], at[is_dated])
        # The larger the contribution, the larger the mark.
        order = shown["contribution"].abs().argsort(kind="stable")
        assert (np.diff(marks.get_sizes()[order]) >= 0).all()
    labels = [label.get_text() for label in display.axes_[1].get_yticklabels()]
    known = DESCRIPTIONS.set_index("code")["description"]
    for label, code in zip(labels, expected, strict=True):
        assert label[:5] == known.get(code, code)[:5]


@pytest.mark.parametrize("sample", range(5), ids=list(N_VISITS))
@pytest.mark.parametrize("size", [None, (9, 4)])
def test_labels_do_not_overlap(dated, sample, size):
    model, X = dated
    ax = None if size is None else plt.subplots(1, 2, figsize=size, layout="constrained")[1][1]
    display = PatientTimelineDisplay.from_estimator(
        model, X, sample, descriptions=DESCRIPTIONS, ax=ax
    )
    assert len(display.visits) == list(N_VISITS.values())[sample] + 1
    if size is not None:
        display.figure_.axes[0].set_axis_off()
    assert overlaps(display.figure_) == []


def test_ticks_are_beside_the_band_of_the_static_visit(dated):
    model, X = dated
    for sample in range(4):
        display = PatientTimelineDisplay.from_estimator(model, X, sample)
        display.figure_.canvas.draw()
        static, first = display.axes_[0].get_lines()[1].get_xdata()[:2]
        ticks = display.axes_[1].get_xticks()
        assert len(ticks)
        assert (ticks > (static + first) / 2).all()


def test_history_without_visits_says_so(dated):
    model, _ = dated
    events = EVENTS[EVENTS["time"].notna()]
    early = SAMPLES.head(1).assign(prediction_time=pd.Timestamp("1999-01-01"))
    with pytest.warns(UserWarning, match="have no visible event"):
        X = Cohort(events, early, resolution="instant")
    display = PatientTimelineDisplay.from_estimator(model, X)
    texts = [text.get_text() for text in drawn_texts(display.figure_)]
    assert texts == ["no visit is known"]
    assert display.axes_[0].get_lines()[:] == []


def test_visits_without_times_are_numbered(dated):
    events = EVENTS.dropna(subset="time").assign(visit_id=lambda frame: frame["time"].rank())
    X = Cohort(events.drop(columns="time"), visit_id="visit_id")
    lstm = LSTMVisitClassifier(random_state=0, **TINY)
    model = make_pipeline(VisitSequenceTransformer(min_frequency=1), lstm).fit(X, [0, 1, 0, 1])
    sample = X.groups.tolist().index("typical")
    display = PatientTimelineDisplay.from_estimator(model, X, sample, max_codes=15)
    marks = display.axes_[0].get_lines()[1]
    assert marks.get_xdata().tolist() == list(range(1, 12))
    assert display.axes_[-1].get_xlabel() == "Visit"
    assert overlaps(display.figure_) == []
    # The same from sequences, and from padded codes, which have no vocabulary.
    sequences = model[0].transform(X)
    again = PatientTimelineDisplay.from_estimator(model[-1], sequences, sample)
    pd.testing.assert_frame_equal(again.visits, display.visits)
    padded = PatientTimelineDisplay.from_estimator(
        LSTMVisitClassifier(random_state=0, **TINY).fit([[[2], [3]], [[3], [2]]], [0, 1]),
        [[[2], [3]], [[3], [2]]],
        1,
    )
    labels = [label.get_text() for label in padded.axes_[1].get_yticklabels()]
    assert sorted(labels) == ["2", "3"]


def test_numeric_times_and_regressors_are_drawn():
    events = EVENTS.dropna(subset="time").assign(
        time=lambda frame: (frame["time"] - pd.Timestamp("2015-01-01")).dt.days
    )
    X = Cohort(events)
    lstm = LSTMVisitRegressor(random_state=0, **TINY)
    model = make_pipeline(VisitSequenceTransformer(min_frequency=1), lstm).fit(X, [1.5, 2, 3, 4])
    sample = X.groups.tolist().index("typical")
    display = PatientTimelineDisplay.from_estimator(model, X, sample)
    marks = display.axes_[0].get_lines()[1]
    expected = visit_contributions(model, X[[sample]])
    np.testing.assert_array_equal(marks.get_xdata(), expected["time"])
    np.testing.assert_array_equal(marks.get_ydata(), expected["prediction"])
    assert display.axes_[0].get_ylabel() == "Prediction"
    assert display.axes_[1].get_xlabel() == "Time"
    assert overlaps(display.figure_) == []


def test_one_of_several_classes_is_chosen(dated):
    _, X = dated
    lstm = LSTMVisitClassifier(random_state=0, **TINY)
    y = ["a", "b", "c", "a", "b"]
    model = make_pipeline(VisitSequenceTransformer(min_frequency=1), lstm).fit(X, y)
    display = PatientTimelineDisplay.from_estimator(model, X, 1, output="b")
    marks = display.axes_[0].get_lines()[1]
    assert marks.get_ydata()[-1] == pytest.approx(model.predict_proba(X[[1]])[0, 1], abs=1e-6)
    for output in (None, "SECRET"):
        with pytest.raises(ValueError, match="one of the 3 classes") as info:
            PatientTimelineDisplay.from_estimator(model, X, 1, output=output)
        assert "SECRET" not in str(info.value)


def test_what_cannot_be_drawn_is_refused(dated):
    model, X = dated
    with pytest.raises(IndexError, match="out of bounds"):
        PatientTimelineDisplay.from_estimator(model, X, 99)
    with pytest.raises(ValueError, match="has a single one"):
        PatientTimelineDisplay.from_estimator(model, X, 0, output=1)
    survival = LSTMVisitSurvival(**TINY)
    sequences = model[0].transform(X)
    survival.fit(sequences, np.rec.fromarrays([[True] * 4 + [False], [1.0, 2, 3, 4, 5]]))
    with pytest.raises(TypeError, match="PatientTimelineDisplay explains"):
        PatientTimelineDisplay.from_estimator(survival, sequences)
