import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from sklearn_ehr import (
    Cohort,
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
    VisitSequences,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits

EVENTS = pd.DataFrame(
    {
        "patient_id": [1, 1, 1, 1, 2],
        "visit_id": [10, 10, 11, 12, 20],
        "time": pd.to_datetime(
            [f"2020-{at}:00" for at in ("01-01 06", "01-02 06", "01-04 18", "02-01 08", "01-01 06")]
        ),
        "code": list("abcda"),
    }
)


def sequences_of(events, samples=None, **params):
    return VisitSequenceTransformer(min_frequency=1, **params).fit_transform(
        Cohort(events, samples)
    )


def predicted_at(*times):
    return pd.DataFrame({"patient_id": [1] * len(times), "prediction_time": pd.to_datetime(times)})


def test_time_to_prediction_is_that_from_the_last_visible_event():
    samples = predicted_at("2020-01-05 06:00", "2020-01-01 12:00")
    sequences = sequences_of(EVENTS, samples)
    assert sequences.lengths.tolist() == [2, 1]
    assert sequences.times_to_prediction.tolist() == [0, 0.5, 0.25]
    assert sequences[[1]].times_to_prediction.tolist() == [0.25]


def test_whole_histories_are_predicted_at_once():
    sequences = sequences_of(EVENTS)
    assert sequences.prediction_times is None
    assert sequences.times_to_prediction.tolist() == [0] * 4


def test_event_recorded_late_puts_off_the_prediction_after_its_visit():
    events = EVENTS.assign(known_time=EVENTS["time"] + pd.to_timedelta([0, 12, 0, 0, 6], "h"))
    assert sequences_of(events).times_to_prediction.tolist() == [0.5, 0, 0, 0.25]


def test_numbers_are_in_their_unit():
    events = pd.DataFrame({"patient_id": 1, "time": [1, 4], "code": ["a", "b"]})
    samples = pd.DataFrame({"patient_id": [1], "prediction_time": [9]})
    assert sequences_of(events, samples).times_to_prediction.tolist() == [0, 5]


def tiny(Estimator=LSTMVisitClassifier, **params):
    given = {"embedding_dim": 8, "hidden_dim": 8, "max_epochs": 2, "random_state": 0}
    return Estimator(**{**given, "device": "cpu", "time_gaps": True, **params})


@pytest.fixture(scope="module")
def gaps():
    X, y = make_visits(1500, signal="gaps", random_state=0)
    return VisitSequenceTransformer(min_frequency=50).fit_transform(X), y, X.samples["risk"]


def test_gaps_lift_what_only_gaps_tell_from_chance_to_near_the_true_risk(gaps):
    X, y, risk = gaps
    train, test = np.arange(1000), np.arange(1000, 1500)
    options = {"embedding_dim": 16, "hidden_dim": 32, "max_epochs": 20, "lr": 5e-3}
    options["weight_decay"] = 0.01
    blind = tiny(time_gaps=False, **options).fit(X[train], y[train])
    seeing = tiny(**options).fit(X[train], y[train])
    best = roc_auc_score(y[test], risk[test])
    assert abs(roc_auc_score(y[test], blind.predict_proba(X[test])[:, 1]) - 0.5) < 0.08
    assert roc_auc_score(y[test], seeing.predict_proba(X[test])[:, 1]) > best - 0.1


def test_time_to_prediction_is_read():
    """Who is predicted long after the last visit is ill; nothing else tells."""
    rng = np.random.default_rng(0)
    n = 200
    events = pd.DataFrame({"patient_id": range(n), "time": 0.0, "code": "a"})
    wait = rng.choice([1.0, 100.0], n)
    samples = pd.DataFrame({"patient_id": range(n), "prediction_time": wait})
    X = sequences_of(events, samples)
    model = tiny(max_epochs=40, lr=0.05, early_stopping=False).fit(X, wait > 50)
    assert model.score(X, wait > 50) == 1


@pytest.mark.parametrize(
    ("Estimator", "make_y"),
    [
        (LSTMVisitClassifier, lambda X: np.arange(len(X)) % 2),
        (LSTMVisitRegressor, lambda X: np.arange(len(X)) * 1.0),
        (LSTMVisitTagger, lambda X: [np.arange(n) % 2 for n in X.lengths]),
        (
            LSTMVisitSurvival,
            lambda X: np.rec.fromarrays([np.arange(len(X)) % 2, np.arange(len(X))]),
        ),
    ],
)
def test_every_estimator_reads_times_whatever_the_order_of_samples(gaps, Estimator, make_y):
    X = gaps[0][:150]
    model = tiny(Estimator, early_stopping=False, batch_size=32).fit(X, make_y(X))
    order = np.random.default_rng(0).permutation(len(X))
    for got, wanted in zip(model.predict(X[order]), model.predict(X)[order], strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)
    changed = X._replace(visit_times=X.visit_times + (X.visit_times - X.visit_times.min()))
    assert not np.array_equal(model.transform(changed), model.transform(X))


def test_risk_after_a_visit_knows_its_own_gaps_and_no_later_time():
    events = EVENTS.assign(known_time=EVENTS["time"] + pd.to_timedelta([0, 12, 0, 0, 6], "h"))
    transformer = VisitSequenceTransformer(min_frequency=1).fit(Cohort(events))
    predicted_late = transformer.transform(Cohort(events, predicted_at("2020-03-01 12:00")))
    model = tiny(early_stopping=False, max_epochs=5, lr=0.05)
    model.fit(transformer.transform(Cohort(events)), [0, 1])
    risks = model.predict_proba_by_visit(predicted_late)[0]
    ends = ["2020-01-02 18:00", "2020-01-04 18:00", "2020-02-01 08:00"]
    cut = transformer.transform(Cohort(events, predicted_at(*ends)))
    np.testing.assert_allclose(risks, model.predict_proba(cut), atol=1e-6)
    assert np.abs(risks[-1] - model.predict_proba(predicted_late)[0]).max() > 1e-3


def test_truncated_risk_by_visit_with_times_is_that_of_the_cut_cohort():
    rng = np.random.default_rng(0)
    events = pd.DataFrame(
        {
            "patient_id": np.repeat(np.arange(10), 6),
            "time": np.cumsum(rng.uniform(1, 30, (10, 6)), axis=1).ravel(),
            "code": rng.choice(list("abc"), 60),
        }
    )
    cohort = Cohort(events)
    transformer = VisitSequenceTransformer(min_frequency=1, max_visits=2).fit(cohort)
    sequences = transformer.transform(cohort)
    model = tiny(early_stopping=False, max_epochs=5, lr=0.05).fit(sequences, np.arange(10) % 2)
    got = np.concatenate(list(model.predict_proba_by_visit(sequences)))
    ends = sequences.visit_times[:, 1]
    samples = pd.DataFrame({"patient_id": np.repeat(np.arange(10), 2), "prediction_time": ends})
    cut = transformer.transform(Cohort(events, samples))
    np.testing.assert_allclose(got, model.predict_proba(cut), atol=1e-6)


def test_partial_fit_reads_times(gaps):
    X, y, _ = gaps
    model = tiny().partial_fit(X[:100], y[:100], classes=[0, 1]).partial_fit(X[:100], y[:100])
    assert model.predict_proba(X[:100]).shape == (100, 2)


def test_sequences_without_times_raise():
    with pytest.raises(ValueError, match="no times"):
        tiny().fit(VisitSequences.from_padded([[[2]], [[3]]]), [0, 1])
    with pytest.raises(ValueError, match="no times"):
        tiny().fit(np.array([[[2]], [[3]]]), [0, 1])


def test_times_beyond_32_bit_floats_raise_before_any_work():
    events = pd.DataFrame({"patient_id": [1, 1, 2], "time": [0.0, 1e39, 0.0], "code": "a"})
    X = sequences_of(events)
    model = tiny(max_epochs=10**9, early_stopping=False)
    with pytest.raises(ValueError, match=r"time_gaps=True reads .* 1 visit.* coarser unit"):
        model.fit(X, [0, 1])
    assert not hasattr(model, "net_")
    with pytest.raises(ValueError, match="coarser unit"):
        model.partial_fit(X, [0, 1], classes=[0, 1])
    sound = sequences_of(events.assign(time=events["time"] / 1e9))
    fitted = tiny(max_epochs=1, early_stopping=False).fit(sound, [0, 1])
    assert np.isfinite(fitted.predict_proba(sound)).all()
    with pytest.raises(ValueError, match="coarser unit"):
        fitted.predict_proba(X)


def test_prediction_beyond_32_bit_floats_raises():
    events = pd.DataFrame({"patient_id": [1, 2], "time": [0.0, 0.0], "code": "a"})
    samples = pd.DataFrame({"patient_id": [1, 2], "prediction_time": [1e300, 1.0]})
    with pytest.raises(ValueError, match="coarser unit"):
        tiny().fit(sequences_of(events, samples), [0, 1])
