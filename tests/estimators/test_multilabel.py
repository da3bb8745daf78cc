import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.utils import get_tags
from skorch.callbacks import EpochScoring

from sklearn_ehr import LSTMVisitClassifier, StratifiedPatientKFold
from sklearn_ehr.estimators.targets import strata_of_labels

N = 120
RNG = np.random.default_rng(0)
X = RNG.integers(2, 8, (N, 3, 2))
# Three labels: a code in the last visit, one anywhere, and one by chance, seldom.
Y = np.column_stack(
    [(X[:, 2] == 2).any(axis=1), (X == 3).any(axis=(1, 2)), RNG.random(N) < 0.1]
).astype(int)


def tiny(**params):
    given = {"embedding_dim": 8, "hidden_dim": 8, "max_epochs": 2, "random_state": 0}
    return LSTMVisitClassifier(**{**given, "device": "cpu", **params})


@pytest.fixture(scope="module")
def model():
    return tiny().fit(X, Y)


def test_answers_have_the_shapes_of_sklearns_mlp(model):
    mlp = MLPClassifier(hidden_layer_sizes=4, tol=1).fit(X.reshape(N, -1), Y)
    assert model.predict_proba(X).shape == mlp.predict_proba(X.reshape(N, -1)).shape == (N, 3)
    assert model.predict(X).shape == mlp.predict(X.reshape(N, -1)).shape == (N, 3)
    assert model.predict(X).dtype == mlp.predict(X.reshape(N, -1)).dtype
    np.testing.assert_array_equal(model.classes_, mlp.classes_)


def test_each_label_has_a_probability_of_its_own(model):
    p, logits = model.predict_proba(X), model.decision_function(X)
    assert p.dtype == logits.dtype == np.float64
    np.testing.assert_allclose(p, expit(logits), atol=1e-15)
    np.testing.assert_array_equal(model.predict(X), logits > 0)
    assert np.ptp(p.sum(axis=1)) > 0.01


def test_labels_are_learnt():
    params = {"max_epochs": 60, "lr": 0.02, "dropout": 0.3, "weight_decay": 0.0}
    model = tiny(early_stopping=False, **params).fit(X, Y)
    assert roc_auc_score(Y[:, :2], model.predict_proba(X)[:, :2], average=None).min() > 0.95


@pytest.mark.usefixtures("without_bias_fit")
def test_loss_is_the_mean_log_loss_of_the_labels():
    # So small a learning rate leaves the first weights as they are.
    model = tiny(max_epochs=1, lr=1e-20, dropout=0.0, early_stopping=False).fit(X, Y)
    wanted = np.mean([log_loss(Y[:, i], model.predict_proba(X)[:, i]) for i in range(3)])
    np.testing.assert_allclose(model.history_["train_loss"], wanted, rtol=1e-6)


def test_score_counts_samples_with_every_label_right(model):
    right = (model.predict(X) == Y).all(axis=1)
    assert model.score(X, Y) == right.mean()


@pytest.mark.parametrize(
    "container",
    [
        sparse.csr_matrix,
        sparse.csr_array,
        pd.DataFrame,
        np.ndarray.tolist,
        lambda y: y.astype(bool),
        lambda y: y.astype(float),
    ],
    ids=["csr_matrix", "csr_array", "DataFrame", "list", "bool", "float"],
)
def test_indicators_of_every_kind_are_one(model, container):
    again = tiny().fit(X, container(Y))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.predict(X).dtype == model.predict(X).dtype


def test_column_of_labels_is_one_label_a_sample():
    with pytest.warns(UserWarning, match="column-vector"):
        model = tiny().fit(X, Y[:, :1])
    assert model.predict_proba(X).shape == (N, 2)


def test_sample_weight_of_zero_leaves_a_sample_out():
    weight = np.where(np.arange(N) % 4, 1.0, 0.0)
    used = weight > 0
    weighted, without = tiny().fit(X, Y, sample_weight=weight), tiny().fit(X[used], Y[used])
    np.testing.assert_array_equal(weighted.predict_proba(X), without.predict_proba(X))


@pytest.mark.parametrize("class_weight", ["balanced", {0: 1, 1: 5}])
def test_class_weights_are_for_one_label_a_sample(class_weight):
    with pytest.raises(ValueError, match=r"class_weight=.*MultiOutputClassifier"):
        tiny(class_weight=class_weight).fit(X, Y)


def test_rows_of_different_lengths_raise():
    with pytest.raises(ValueError, match=r"rows of different lengths.*MultiLabelBinarizer"):
        tiny().fit(X, [[0, 1], [1]] * (N // 2))


def test_partial_fit_goes_on():
    model = tiny().partial_fit(X, Y, classes=[0, 1, 2])
    first = model.predict_proba(X)
    assert first.shape == (N, 3)
    assert np.abs(model.partial_fit(X, Y).predict_proba(X) - first).max() > 1e-4


def test_partial_fit_names_what_classes_are():
    with pytest.raises(ValueError, match=r"their positions, numpy\.arange\(3\)"):
        tiny().partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(ValueError, match="not the same as on the first call"):
        tiny().partial_fit(X, Y, classes=[0, 1, 2]).partial_fit(X, Y[:, 0])
    with pytest.raises(ValueError, match="their positions"):
        tiny().partial_fit(X, Y, classes=[0, 1, 2]).partial_fit(X, Y[:, :2])


def test_scoring_callbacks_see_labels():
    scoring = EpochScoring("roc_auc", lower_is_better=False, on_train=True, name="auc")
    accuracy = EpochScoring("accuracy", lower_is_better=False, on_train=True, name="exact")
    model = tiny(callbacks=[scoring, accuracy], early_stopping=False).fit(X, Y)
    assert model.history_[["auc", "exact"]].apply(lambda score: score.between(0, 1)).all(axis=None)


def test_tags_say_that_labels_may_be_several():
    tags = get_tags(LSTMVisitClassifier()).classifier_tags
    assert tags.multi_label
    assert tags.multi_class


def test_validation_split_holds_each_samples_rarest_label():
    # The labels come 3, 1 and 2 times.
    labels = np.array([[1, 0, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]])
    assert strata_of_labels(labels).tolist() == [3, 2, 1, 0, 3]


def test_folds_by_patient_take_an_indicator_column():
    train, test = next(StratifiedPatientKFold(3).split(X, Y[:, 0], groups=np.arange(N)))
    fitted = tiny().fit(X[train], Y[train])
    assert fitted.predict_proba(X[test]).shape == (len(test), 3)
