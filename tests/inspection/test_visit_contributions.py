"""Base and contributions of visits sum to the prediction, and each is what its visit changes."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, softmax
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    Cohort,
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
    VisitSequences,
    VisitSequenceTransformer,
)
from sklearn_ehr.inspection import visit_contributions

HISTORIES = [
    [[2, 3], [4], [2, 5, 6]],
    [[6]],
    [],
    [[3], [], [4, 5]],
    [[5, 2], [2, 3]],
    [[4], [5], [6], [2, 3]],
]
SIZE = {
    "embedding_dim": 5,
    "hidden_dim": 4,
    "lr": 0.05,
    "max_epochs": 3,
    "early_stopping": False,
    "random_state": 0,
}
NETWORKS = [
    {"aggregation": "sum"},
    {"aggregation": "mean", "mlp_dim": 3},
    {"aggregation": "max", "num_layers": 2},
    {"aggregation": "attention"},
]
each_network = pytest.mark.parametrize("options", NETWORKS, ids=lambda o: o["aggregation"])


def padded(histories):
    """Lists of visits of codes as an array; the last visit of a history has a code."""
    codes = np.zeros((len(histories), 4, 3), dtype=int)
    for i, history in enumerate(histories):
        for j, visit in enumerate(history):
            codes[i, j, : len(visit)] = visit
    return codes


def total(frame, n_samples):
    """Base plus contributions by sample, NaN for a sample without visits."""
    by_sample = frame.groupby("sample")
    return (by_sample["base"].first() + by_sample["contribution"].sum()).reindex(range(n_samples))


@each_network
def test_contribution_is_what_a_visit_changes_after_those_before(options):
    X = padded(HISTORIES)
    model = LSTMVisitClassifier(**SIZE, **options).fit(X, [0, 1, 0, 1, 1, 0])
    frame = visit_contributions(model, X)
    empty = model.decision_function(padded([[]]))[0]
    rows = frame.itertuples()
    for i, history in enumerate(HISTORIES):
        before = empty
        for j in range(len(history)):
            row = next(rows)
            logit = model.decision_function(padded([history[: j + 1]]))[0]
            if not history[j]:
                # Padding to the array above, while the frame knows of a visit without codes.
                logit = before + row.contribution
            assert (row.sample, row.patient, row.visit) == (i, i, j)
            assert row.base == pytest.approx(empty, abs=1e-6)
            assert row.contribution == pytest.approx(logit - before, abs=1e-5)
            assert row.risk == pytest.approx(expit(logit), abs=1e-6)
            before = logit
    assert next(rows, None) is None
    assert frame["contribution"].abs().max() > 1e-3
    seen = total(frame, len(X)).dropna()
    assert seen.index.tolist() == [0, 1, 3, 4, 5]
    np.testing.assert_allclose(seen, model.decision_function(X)[seen.index], atol=1e-5)


def make_events(n_patients=30):
    """Visits that overlap, with features and predictions some time after the last of them."""
    rng = np.random.default_rng(0)
    n = 12 * n_patients
    patient = rng.integers(0, n_patients, n)
    events = pd.DataFrame(
        {
            "patient_id": patient,
            "visit_id": 10 * patient + rng.integers(0, 4, n),
            "time": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(1, 9999, n), "h"),
            "code": rng.choice(list("abcdef"), n),
        }
    )
    samples = pd.DataFrame({"patient_id": np.arange(n_patients)})
    samples["prediction_time"] = pd.Timestamp("2021-06-01") + pd.to_timedelta(
        rng.integers(1, 3000, n_patients), "h"
    )
    samples["age"] = rng.normal(60, 10, n_patients)
    return events, samples


@pytest.fixture(scope="module", params=["plain", "time_gaps", "features", "both"])
def timed(request):
    events, samples = make_events()
    features = ["age"] if request.param in ("features", "both") else []
    X = Cohort(events, samples, features=features)
    lstm = LSTMVisitClassifier(**SIZE, time_gaps=request.param in ("time_gaps", "both"))
    model = make_pipeline(VisitSequenceTransformer(min_frequency=1), lstm)
    return model.fit(X, np.arange(30) % 2), X


def test_sum_is_the_decision_function_under_overlaps_times_and_features(timed):
    model, X = timed
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = visit_contributions(model, X)
    np.testing.assert_allclose(total(frame, 30), model.decision_function(X), atol=1e-5)
    last = frame.groupby("sample")["risk"].last()
    np.testing.assert_allclose(last, model.predict_proba(X)[:, 1], atol=1e-6)
    assert frame["patient"].tolist() == X.groups[frame["sample"]].tolist()


def test_base_is_the_output_for_the_sample_without_any_visit(timed):
    model, X = timed
    frame = visit_contributions(model, X)
    events, samples = make_events()
    events["time"] += pd.Timedelta("9999D")
    # The transformer warns of samples without visible events.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        emptied = model.decision_function(Cohort(events, samples, features=list(X.features)))
    np.testing.assert_allclose(frame.groupby("sample")["base"].first(), emptied, atol=1e-6)
    assert (np.ptp(frame["base"]) > 1e-3) == bool(len(X.features.columns))


def test_wait_for_the_prediction_belongs_to_the_last_visit():
    events, samples = make_events()
    X = Cohort(events, samples)
    later = Cohort(events, samples.assign(prediction_time=pd.Timestamp("2031-01-01")))
    lstm = LSTMVisitClassifier(**SIZE, time_gaps=True)
    model = make_pipeline(VisitSequenceTransformer(min_frequency=1), lstm)
    model.fit(X, np.arange(30) % 2)
    one, other = visit_contributions(model, X), visit_contributions(model, later)
    is_last = one["sample"].ne(one["sample"].shift(-1))
    change = (one["contribution"] - other["contribution"]).abs()
    assert change[~is_last].max() < 1e-6 < 1e-3 < change[is_last].min()


def test_earlier_risks_are_those_of_predictions_by_visit_where_visits_are_apart():
    events, samples = make_events()
    X = Cohort(events, samples)
    for time_gaps in (False, True):
        lstm = LSTMVisitClassifier(**SIZE, time_gaps=time_gaps)
        model = make_pipeline(VisitSequenceTransformer(min_frequency=1, visits="time"), lstm)
        model.fit(X, np.arange(30) % 2)
        by_visit = lstm.predict_proba_by_visit(model[:-1].transform(X), as_frame=True)
        frame = visit_contributions(model, X)
        is_last = frame["sample"].ne(frame["sample"].shift(-1))
        np.testing.assert_allclose(
            frame["risk"][~is_last], by_visit["risk"][~is_last], atol=1e-6, rtol=0
        )
        leading = ["sample", "patient", "visit", "time"]
        pd.testing.assert_frame_equal(frame[leading], by_visit[leading])


def test_visits_that_max_visits_left_out_have_no_row():
    events, samples = make_events()
    X = Cohort(events, samples)
    lstm = LSTMVisitClassifier(**SIZE)
    model = make_pipeline(VisitSequenceTransformer(min_frequency=1, max_visits=2), lstm)
    model.fit(X, np.arange(30) % 2)
    frame = visit_contributions(model, X)
    assert frame["visit"].max() == 1
    np.testing.assert_allclose(total(frame, 30), model.decision_function(X), atol=1e-5)


@pytest.mark.parametrize("kind", ["classes", "labels"])
def test_several_classes_or_labels_have_a_row_each(kind):
    X = padded(HISTORIES * 2)
    names = list("xyz") if kind == "classes" else [0, 1, 2]
    y = np.arange(12) % 3
    y = np.array(names)[y] if kind == "classes" else np.eye(3, dtype=int)[y]
    model = LSTMVisitClassifier(**SIZE).fit(X, y)
    frame = visit_contributions(model, X)
    assert frame["output"].tolist() == names * (len(frame) // 3)
    by_output = frame.groupby(["sample", "output"])
    sums = (by_output["base"].first() + by_output["contribution"].sum()).unstack()
    logits = model.decision_function(X)[sums.index]
    np.testing.assert_allclose(sums[names], logits, atol=1e-5)
    wanted = softmax(logits, axis=1) if kind == "classes" else expit(logits)
    np.testing.assert_allclose(by_output["risk"].last().unstack()[names], wanted, atol=1e-6)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("n_outcomes", [1, 2])
def test_contributions_to_numbers_are_in_their_unit(loss, n_outcomes):
    X = padded(HISTORIES)
    y = np.arange(6 * n_outcomes).reshape(6, -1)[:, ::-1] * 10.0
    model = LSTMVisitRegressor(loss=loss, **SIZE).fit(X, y[:, 0] if n_outcomes == 1 else y)
    frame = visit_contributions(model, X)
    assert "risk" not in frame
    predicted = model.predict(X).reshape(6, -1)
    frame["output"] = frame["output"] if n_outcomes > 1 else 0
    by_output = frame.groupby(["sample", "output"])
    sums = (by_output["base"].first() + by_output["contribution"].sum()).unstack()
    np.testing.assert_allclose(sums, predicted[sums.index], rtol=1e-5)
    last = by_output["prediction"].last().unstack()
    np.testing.assert_allclose(last, predicted[sums.index], rtol=1e-5)
    assert frame["contribution"].abs().max() > 0.1


def test_cohort_in_a_pipeline_is_explained_like_its_sequences():
    events, samples = make_events()
    X = Cohort(events, samples)
    model = make_pipeline(VisitSequenceTransformer(min_frequency=1), LSTMVisitClassifier(**SIZE))
    model.fit(X, np.arange(30) % 2)
    alone = visit_contributions(model[-1], model[:-1].transform(X))
    pd.testing.assert_frame_equal(visit_contributions(model, X), alone)


def test_samples_without_visits_alone_have_no_rows():
    model = LSTMVisitClassifier(**SIZE).fit(padded(HISTORIES), [0, 1, 0, 1, 1, 0])
    frame = visit_contributions(model, padded([[], []]))
    assert frame.columns.tolist() == ["sample", "patient", "visit", "base", "contribution", "risk"]
    assert frame.empty


def test_bidirectional_network_is_refused():
    X = padded(HISTORIES)
    model = LSTMVisitClassifier(**SIZE, bidirectional=True).fit(X, [0, 1, 0, 1, 1, 0])
    with pytest.raises(ValueError, match="bidirectional=False"):
        visit_contributions(model, X)


def test_estimators_that_predict_for_each_time_are_refused():
    X = VisitSequences.from_padded(padded(HISTORIES))
    tagger = LSTMVisitTagger(**SIZE).fit(X, [np.arange(n) % 2 for n in X.lengths])
    outcome = np.array([(True, 1.0), (False, 2.0)] * 3, dtype=[("event", bool), ("time", float)])
    survival = LSTMVisitSurvival(**SIZE).fit(X, outcome)
    for model, name in [(tagger, "LSTMVisitTagger"), (survival, "LSTMVisitSurvival")]:
        with pytest.raises(TypeError, match=f"visit_contributions explains .* {name} .*horizon"):
            visit_contributions(model, X)
