import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits
from sklearn_ehr.estimators import _base, _linear_skip
from sklearn_ehr.estimators._inputs import as_batch
from sklearn_ehr.estimators._net import VisitDataset
from sklearn_ehr.nn import CodeCountLinear

N = 400


def small(Estimator=LSTMVisitClassifier, **params):
    given = {"embedding_dim": 8, "hidden_dim": 8, "max_epochs": 2, "random_state": 0}
    return Estimator(**{**given, "device": "cpu", "validation_fraction": 0.3, **params})


@pytest.fixture(scope="module")
def cohort():
    return make_visits(N, random_state=0)


@pytest.fixture(scope="module")
def data(cohort):
    X, y = cohort
    return VisitSequenceTransformer(min_frequency=20).fit_transform(X), y.to_numpy()


def dataset(sequences, y, by_visit=False):
    weight = np.ones(len(sequences), dtype=np.float32)
    return VisitDataset(sequences, np.asarray(y, dtype=np.float32), weight, by_visit)


@pytest.mark.parametrize("by_visit", [False, True])
def test_counts_answer_as_the_module_does(data, by_visit):
    sequences = data[0][np.r_[:30]]
    n_ids = sequences.vocabulary.size
    weights = np.random.default_rng(0).normal(size=(1 + 2 * n_ids, 3)).astype(np.float32)
    linear = CodeCountLinear(n_ids, 3)
    with torch.no_grad():
        parts = torch.from_numpy(weights).split([1, n_ids, n_ids])
        linear.history.copy_(parts[1])
        linear.last_visit.copy_(parts[2])
    entry = linear.forward_by_visit if by_visit else linear
    answers = entry(as_batch(sequences))
    counts = _linear_skip.CodeCounts(dataset(sequences, [], by_visit), n_ids)
    np.testing.assert_allclose(
        counts.dot(weights), answers.detach().numpy() + weights[0], atol=1e-4
    )

    direction = torch.randn(answers.shape)
    (answers * direction).sum().backward()
    gradient = counts.gradient(direction.numpy())
    wanted = np.concatenate(
        [direction.sum(0, keepdim=True), linear.history.grad, linear.last_visit.grad]
    )
    np.testing.assert_allclose(gradient, wanted, atol=1e-3)


def test_sample_without_visits_counts_nothing():
    frame = pd.DataFrame({"patient_id": [1], "visit_id": [1], "code": ["a"]})
    samples = pd.DataFrame({"patient_id": [1, 2]})
    with pytest.warns(UserWarning, match="no visible event"):
        cohort = Cohort(frame, samples, prediction_time=None)
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(cohort)
    counts = _linear_skip.CodeCounts(dataset(sequences, []), 3)
    answers = counts.dot(np.ones((7, 1), dtype=np.float32))
    np.testing.assert_allclose(answers[:, 0], [1 + 2 * np.log(2), 1], atol=1e-6)


def log_odds_on_counts(cohort, y, penalty):
    """By scikit-learn's own logistic regression, of known codes alone."""
    counts = CodeCountVectorizer(
        encoding="log1p", last_visits=(1,), min_frequency=20, handle_unknown="ignore"
    ).fit_transform(cohort)
    model = LogisticRegression(C=1 / penalty, max_iter=5000).fit(counts, y)
    return model.decision_function(counts)


@pytest.fixture(scope="module")
def known(cohort):
    transformer = VisitSequenceTransformer(min_frequency=20, handle_unknown="ignore")
    return transformer.fit_transform(cohort[0])


@pytest.mark.parametrize("n_labels", [1, 3])
@pytest.mark.parametrize("penalty", [1000.0, 100.0, 10.0])
def test_linear_model_is_logistic_regression_on_counts(cohort, data, known, penalty, n_labels):
    wanted = log_odds_on_counts(cohort[0], data[1], penalty)
    # Several labels, each the same: as many regressions with the penalty that one has.
    y = data[1] if n_labels == 1 else np.repeat(data[1][:, None], n_labels, axis=1)
    net = small(linear_skip=False).fit(known, y).net_
    train = dataset(known, y)
    model = _linear_skip.CodeCounts(train, known.vocabulary.size)
    answers = model.dot(_linear_skip._fit(net, train, model, penalty))
    np.testing.assert_allclose(answers, np.repeat(wanted[:, None], n_labels, axis=1), atol=0.02)


def test_loss_of_visits_is_a_mean_of_the_labels_that_are_there(data):
    sequences = data[0][np.r_[:3]]
    target = np.full((sequences.lengths.sum(), 2), np.nan)
    target[0], target[1, 0] = 1, 0
    assert dataset(sequences, target, by_visit=True).n_outcomes == 3
    assert dataset(sequences, np.zeros((3, 2))).n_outcomes == 6
    assert dataset(sequences, np.zeros(3)).n_outcomes == 3


def probabilities(log_odds):
    return 1 / (1 + np.exp(-log_odds))


@pytest.mark.parametrize("base", [0, -1.5, 2])
@pytest.mark.parametrize(
    ("net_tells", "linear_tells"), [(True, False), (False, True), (True, True)]
)
def test_part_that_tells_nothing_is_left_out(data, net_tells, linear_tells, base):
    rng = np.random.default_rng(0)
    # As much as stays within the bounds of 1 and 3.
    tells = np.array([0.6 * net_tells, 2 * linear_tells]).reshape(2, 1, 1)
    parts = rng.normal(size=(2, N // 2, 1)).astype(np.float32)
    risk = probabilities(base + (parts * tells).sum(axis=0)[:, 0])
    y = np.tile(rng.random(N // 2) < risk, 2).astype(np.float32)
    # The same outcomes again, with the opposite of what tells nothing: by chance it neither does.
    parts = np.concatenate([parts, np.where(tells > 0, parts, -parts)], axis=1)
    net = small(linear_skip=False).fit(*data).net_
    shares = _linear_skip._shares(net, dataset(data[0], y), *(base + parts))
    assert [share > 0 for share in shares] == [net_tells, linear_tells]
    # As a regression with a constant would add them up.
    chosen = parts[np.flatnonzero(shares)][:, :, 0].T
    line = LogisticRegression(C=np.inf).fit(chosen, y)
    np.testing.assert_allclose([s for s in shares if s > 0], line.coef_[0], atol=0.01)


def test_network_stays_where_neither_tells_anything(data):
    y = data[1].astype(np.float32)
    against = 1 - 2 * y[:, None]
    flat = np.full_like(against, 0.5)
    # By chance a little for the outcome, less than a parameter is worth.
    little = 0.05 * (2 * y - 1) + np.tile([1, -1], N // 2).astype(np.float32)
    net = small(linear_skip=False).fit(*data).net_
    for part in (against, flat, little[:, None]):
        assert _linear_skip._shares(net, dataset(data[0], y), part, part) == (1, 0)
    one_class = dataset(data[0], np.zeros(N))
    assert _linear_skip._shares(net, one_class, against, against) == (1, 0)


def test_the_network_is_not_scaled_up_and_the_linear_term_is(data):
    y = data[1].astype(np.float32)
    unsure = np.where(np.arange(N) % 4 == 0, 1 - y, y).astype(np.float32)[:, None] / 10
    net = small(linear_skip=False).fit(*data).net_
    for parts, wanted in [((unsure, 0 * unsure), (1, 0)), ((0 * unsure, unsure), (0, 3))]:
        assert _linear_skip._shares(net, dataset(data[0], y), *parts) == wanted


@pytest.mark.parametrize("refit", [True, False])
def test_mean_probability_is_the_base_rate_of_what_was_trained_on(data, monkeypatch, refit):
    trained_on = []
    combine = _base.combine
    monkeypatch.setattr(
        _base,
        "combine",
        lambda net, data, *args: trained_on.append(data) or combine(net, data, *args),
    )
    model = small(refit=refit).fit(*data)
    (training,) = trained_on
    told = model.predict_proba(training.sequences)[:, 1].mean()
    assert told == pytest.approx(float(training.target.mean()), abs=1e-3)
    assert len(training) == (N if refit else 280)


def test_module_adds_up_the_shares_of_the_network_and_of_the_regression(
    cohort, data, known, monkeypatch
):
    y = data[1]
    network = small(linear_skip=False, max_epochs=3).fit(known, y).decision_function(known)
    regression = log_odds_on_counts(cohort[0], y, _linear_skip._PENALTY)
    monkeypatch.setattr(_base, "choose_shares", lambda *args: (0.25, 1.5))
    both = small(max_epochs=3).fit(known, y).decision_function(known)
    # The regression is one of all samples, those that chose the shares too.
    constant = both - 0.25 * network - 1.5 * regression
    np.testing.assert_allclose(constant, constant.mean(), atol=0.02)
    assert abs(constant.mean()) > 0.1
    assert probabilities(both).mean() == pytest.approx(y.mean(), abs=1e-3)


def test_shares_are_told(data, monkeypatch, capsys):
    monkeypatch.setattr(_base, "choose_shares", lambda *args: (0.25, 1.5))
    model = small(verbose=1).fit(*data)
    assert (model.network_share_, model.linear_share_) == (0.25, 1.5)
    out = capsys.readouterr().out
    assert "refit: 2 epochs on all 400 samples" in out
    assert "linear_skip: 0.25 of the network, 1.50 of the linear term" in out
    model.partial_fit(*data)
    assert (model.network_share_, model.linear_share_) == (0.25, 1.5)
    for other in (small(linear_skip=False).fit(*data), small().partial_fit(*data, classes=[0, 1])):
        assert (other.network_share_, other.linear_share_) == (1, 0)


def test_without_refit_the_linear_term_is_of_the_training_samples_alone(data, monkeypatch):
    n_samples = []
    fit = _linear_skip._fit
    monkeypatch.setattr(
        _linear_skip,
        "_fit",
        lambda net, data, *args: n_samples.append(len(data)) or fit(net, data, *args),
    )
    for refit in (False, True):
        small(refit=refit).fit(*data)
    assert n_samples == [280, 280, 280, 400]


def test_counts_are_learnt_where_the_network_has_too_little_time(data):
    sequences, y = data
    with_skip, without = (
        roc_auc_score(y, small(linear_skip=skip).fit(sequences, y).predict_proba(sequences)[:, 1])
        for skip in (True, False)
    )
    assert with_skip > without + 0.1


def times_of(y):
    return np.array(
        [(label == 1, 1.0 + label) for label in y], dtype=[("event", "?"), ("time", float)]
    )


TASKS = {
    "two classes": (LSTMVisitClassifier, lambda y: y, {}),
    "three classes": (LSTMVisitClassifier, lambda y: y + (np.arange(len(y)) % 2) * y, {}),
    "labels": (LSTMVisitClassifier, lambda y: np.stack([y, 1 - y], axis=1), {}),
    "number": (LSTMVisitRegressor, lambda y: y * 3.0, {}),
    "counts": (LSTMVisitRegressor, lambda y: y * 3, {"loss": "poisson"}),
    "times": (LSTMVisitSurvival, times_of, {}),
}


@pytest.mark.parametrize("task", TASKS)
def test_fitted_module_answers_with_its_linear_term(data, task):
    Estimator, as_target, params = TASKS[task]
    sequences, y = data
    model = small(Estimator, **params).fit(sequences, as_target(y))
    module = model.net_.module_
    assert model.linear_share_ > 0
    assert module.linear.history.shape == (sequences.vocabulary.size, module.head.out_features)
    assert not module.linear.history.requires_grad
    some = sequences[np.r_[:20]]
    codes, mask, visit_mask = map(torch.from_numpy, some.to_padded())
    wanted = module.forward_padded(codes, mask, visit_mask).detach().numpy()
    np.testing.assert_allclose(model._outputs(some), wanted, atol=1e-4)


def test_labels_of_visits_have_a_linear_term_too(data):
    sequences, _ = data
    frequent = sequences.tokens == np.bincount(sequences.tokens)[2:].argmax() + 2
    has_it = np.add.reduceat(frequent, sequences.visit_offsets[:-1]) > 0
    labels = np.split(has_it.astype(int), sequences.sample_offsets[1:-1])
    y = np.empty(len(labels), dtype=object)
    y[:] = labels
    model = small(LSTMVisitTagger).fit(sequences, y)
    assert model.net_.module_.linear is not None
    proba = np.concatenate(model.predict_proba(sequences))[:, 1]
    assert roc_auc_score(has_it, proba) > 0.9


def test_answers_by_visit_are_those_of_the_history_up_to_it(data):
    sequences, y = data
    model = small().fit(sequences, y)
    assert model.net_.module_.linear is not None
    last = [p[-1] for p in model.predict_proba_by_visit(sequences[np.r_[:20]])]
    np.testing.assert_allclose(model.predict_proba(sequences[np.r_[:20]]), last, atol=1e-6)


@pytest.mark.parametrize("params", [{"linear_skip": False}, {"early_stopping": False}])
def test_no_linear_term(data, params):
    assert small(**params).fit(*data).net_.module_.linear is None


def test_partial_fit_leaves_the_linear_term_as_it_is(data):
    model = small().fit(*data)
    before = model.net_.module_.linear.history.clone()
    model.partial_fit(*data)
    assert torch.equal(model.net_.module_.linear.history, before)
