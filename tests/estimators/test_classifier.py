import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from scipy.special import expit, logit, softmax
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils._param_validation import InvalidParameterError
from skorch.callbacks import EpochTimer

from sklearn_ehr import (
    LSTMVisitClassifier,
    StratifiedPatientKFold,
    VisitSequences,
    VisitSequenceTransformer,
    Vocabulary,
)
from sklearn_ehr.datasets import make_visits

TINY = {"embedding_dim": 8, "hidden_dim": 8, "max_epochs": 2, "random_state": 0, "device": "cpu"}


def tiny(**params):
    return LSTMVisitClassifier(**(TINY | params))


def visits(n_samples=60, n_classes=2, seed=0):
    """Three visits; the label is the one code of the last, modulo the classes."""
    codes = np.random.default_rng(seed).integers(2, 2 + 2 * n_classes, (n_samples, 3, 2))
    codes[:, 2, 1] = 0
    codes[:n_classes, 2, 0] = np.arange(2, 2 + n_classes)
    return codes, codes[:, 2, 0] % n_classes


X, Y = visits()
X3, Y3 = visits(n_classes=3)


@pytest.fixture(scope="module")
def binary():
    return tiny().fit(X, Y)


@pytest.fixture(scope="module")
def multiclass():
    return tiny().fit(X3, Y3)


@pytest.fixture(scope="module")
def cohort():
    return make_visits(80, random_state=0)


def pipeline(**params):
    return make_pipeline(VisitSequenceTransformer(min_frequency=5, max_visits=5), tiny(**params))


def test_binary_probabilities_and_log_odds(binary):
    p, log_odds = binary.predict_proba(X), binary.decision_function(X)
    assert p.dtype == log_odds.dtype == np.float64
    assert p.shape == (60, 2)
    assert log_odds.shape == (60,)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-15)
    np.testing.assert_allclose(log_odds, logit(p[:, 1]), atol=1e-12)


def test_multiclass_probabilities_and_logits(multiclass):
    p, logits = multiclass.predict_proba(X3), multiclass.decision_function(X3)
    assert p.dtype == logits.dtype == np.float64
    assert p.shape == logits.shape == (60, 3)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-15)
    np.testing.assert_allclose(p, softmax(logits, axis=1), atol=1e-15)


def test_binary_answers_are_the_networks_own(binary):
    with torch.no_grad():
        logits = binary.net_.module_.forward_padded(torch.from_numpy(X)).numpy()[:, 0]
    np.testing.assert_allclose(binary.decision_function(X), logits, atol=1e-6)
    np.testing.assert_allclose(binary.predict_proba(X)[:, 1], expit(logits), atol=1e-6)


@pytest.mark.parametrize("model", ["binary", "multiclass"])
def test_predict_is_the_most_probable_class_and_score_the_accuracy(model, request):
    model = request.getfixturevalue(model)
    X, y = (X3, Y3) if len(model.classes_) == 3 else visits(seed=1)
    predicted = model.predict(X)
    np.testing.assert_array_equal(predicted, model.classes_[model.predict_proba(X).argmax(axis=1)])
    assert model.score(X, y) == accuracy_score(y, predicted)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("params", [{}, {"aggregation": "attention", "bidirectional": True}])
def test_it_learns_a_planted_signal(n_classes, params):
    X, y = visits(300, n_classes)
    model = tiny(max_epochs=25, lr=0.05, batch_size=64, dropout=0.1, **params)
    p = model.fit(X[:200], y[:200]).predict_proba(X[200:])
    p = p[:, 1] if n_classes == 2 else p
    assert roc_auc_score(y[200:], p, multi_class="ovr") > 0.9


@pytest.mark.parametrize("params", [{}, {"bidirectional": True, "num_layers": 2}])
def test_transform_is_the_final_hidden_state(params):
    model = tiny(hidden_dim=5, **params).fit(X, Y)
    state = model.transform(X)
    head = model.net_.module_.head
    assert state.shape == (60, 10 if params else 5)
    assert state.dtype == np.float32
    log_odds = state @ head.weight.detach().numpy()[0] + head.bias.item()
    np.testing.assert_allclose(model.decision_function(X), log_odds, atol=1e-5)
    np.testing.assert_array_equal(model.transform(X), state)


def test_transform_feeds_another_model():
    model = make_pipeline(tiny(), LogisticRegression()).fit(X, Y)
    assert model.predict_proba(X).shape == (60, 2)


LABELS = {
    "int": np.array([3, -1]),
    "float": np.array([0.0, 1.0]),
    "bool": np.array([True, False]),
    "str": np.array(["yes", "no"]),
    "object of str": np.array(["yes", "no"], dtype=object),
    "object of bool": np.array([True, False], dtype=object),
    "object of int": np.array([7, 5], dtype=object),
    "three": np.array(["b", "a", "c"]),
}


@pytest.mark.parametrize("container", [np.asarray, list, pd.Series, pd.Categorical, pd.Index])
@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_type_come_back(kind, container):
    labels = LABELS[kind]
    codes, target = visits(n_classes=len(labels))
    y = labels[target]
    model = tiny(max_epochs=1).fit(codes, container(y))
    assert model.classes_.tolist() == sorted(labels.tolist())
    assert {type(label) for label in model.classes_.tolist()} == {
        type(label) for label in labels.tolist()
    }
    assert set(model.predict(codes).tolist()) <= set(labels.tolist())
    expected = tiny(max_epochs=1).fit(
        codes, np.unique(labels.tolist(), return_inverse=True)[1][target]
    )
    np.testing.assert_array_equal(model.predict_proba(codes), expected.predict_proba(codes))


@pytest.mark.parametrize(
    ("dtype", "values", "scalar"),
    [
        ("boolean", [False, True], bool),
        ("Int64", [0, 1], int),
        ("string", ["a", "b"], str),
        (pd.CategoricalDtype(["b", "a"], ordered=True), ["a", "b"], str),
        (pd.CategoricalDtype([True, False]), [False, True], bool),
        (pd.CategoricalDtype([0, 1, 2]), [0, 1], int),
    ],
    ids=str,
)
def test_pandas_labels_become_the_plainest_type(dtype, values, scalar):
    y = pd.Series(np.array(values, dtype=object)[Y], index=np.arange(60)[::-1]).astype(dtype)
    model = tiny(max_epochs=1).fit(X, y)
    assert model.classes_.tolist() == values
    assert type(model.classes_.tolist()[0]) is scalar
    assert 0 <= model.score(X, y) <= 1


def test_column_of_labels_warns_and_frame_works():
    with pytest.warns(DataConversionWarning):
        model = tiny().fit(X, Y[:, None])
    np.testing.assert_array_equal(model.predict_proba(X), tiny().fit(X, Y).predict_proba(X))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0.1, 0.5, 0.7, 0.9], "continuous"),
        ([0, 1, 0], r"inconsistent numbers of samples: \[4, 3\]"),
        ([[0, 2]] * 4, "indicator of 0 and 1"),
        ([["a", "b"]] * 4, "indicator of 0 and 1"),
        ([[0, 1, None]] * 4, "4 null"),
        ([[0, 1]] * 3, r"inconsistent numbers of samples: \[4, 3\]"),
        ([[[0], [1]]] * 4, "dim 3"),
        (None, "requires y to be passed"),
        ([0, 1, None, 1], "1 null"),
        ([0.0, 1.0, np.nan, np.nan], "2 null"),
        (np.array(["a", None, "b", "b"], dtype=object), "1 null"),
        (pd.Series([True, None, False, True], dtype="boolean"), "1 null"),
        (pd.Series([1, None, 0, 1], dtype="Int64"), "1 null"),
        (pd.Series(["a", None, "b", "a"], dtype="category"), "1 null"),
        (pd.Series(["a", None, "b", "a"], dtype="string"), "1 null"),
        (
            np.array(["a", 1, "b", 2], dtype=object),
            r"mixes labels of several types.*MultiLabelBinarizer",
        ),
        (np.array([{"a"}, {"b"}, {"a"}, {"b"}]), "mixes labels of several types"),
        ([3, 3, 3, 3], "only one class: .*3"),
        (["ill"] * 4, "only one class: .*ill"),
        ([True] * 4, "only one class: .*True"),
    ],
)
def test_bad_labels_raise(y, message):
    model = tiny()
    with pytest.raises(ValueError, match=message):
        model.fit(X[:4], y)
    assert not hasattr(model, "net_")


def test_one_class_raises_in_a_pipeline(cohort):
    cohort, y = cohort
    with pytest.raises(ValueError, match=r"LSTMVisitClassifier needs .* only one class: .*0"):
        pipeline().fit(cohort, np.zeros(len(y), dtype=int))


def test_padded_codes_are_the_same_as_sequences():
    padded = X.copy()
    padded[::3, 1, :] = 0
    padded[::4, 2, 1] = 0
    padded[5] = 0
    one, other = tiny().fit(padded, Y), tiny().fit(VisitSequences.from_padded(padded), Y)
    for method in ("predict_proba", "transform"):
        answer = getattr(one, method)(padded)
        np.testing.assert_array_equal(answer, getattr(other, method)(padded))
        np.testing.assert_array_equal(
            answer, getattr(one, method)(VisitSequences.from_padded(padded))
        )


@pytest.mark.parametrize("container", [np.ndarray.tolist, np.asfortranarray, np.uint8, np.int64])
def test_padded_codes_may_be_any_integer_array(binary, container):
    np.testing.assert_array_equal(binary.predict_proba(container(X)), binary.predict_proba(X))


def test_padding_says_nothing(binary):
    padded = np.pad(X, [(0, 0), (0, 2), (0, 3)])
    np.testing.assert_allclose(binary.predict_proba(padded), binary.predict_proba(X), atol=1e-6)


def test_read_only_input(binary):
    frozen = X.copy()
    frozen.flags.writeable = False
    y = Y.copy()
    y.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*samples to learn from")
        p = tiny().fit(frozen, y).predict_proba(frozen)
    np.testing.assert_array_equal(p, binary.predict_proba(X))


def embedding_size(model):
    return model.net_.module_.embedding.num_embeddings


def in_vocabulary(codes, n_codes):
    sequences = VisitSequences.from_padded(codes)
    sequences.vocabulary = Vocabulary([f"SECRET{i:03d}" for i in range(n_codes)])
    return sequences


def test_embedding_is_as_large_as_the_vocabulary():
    model = tiny().fit(in_vocabulary(X, 20), Y)
    assert embedding_size(model) == 22
    assert model.vocabulary_.size == 22


def test_embedding_without_vocabulary_is_as_large_as_the_greatest_id():
    model = tiny().fit(np.where(X == 5, 17, X), Y)
    assert embedding_size(model) == 18
    assert model.vocabulary_ is None


@pytest.mark.parametrize("larger", [6, 1000, 2**31 - 1])
def test_larger_ids_are_unknown_at_predict(larger, binary):
    assert embedding_size(binary) == 6
    codes, unknown = np.where(X == 4, larger, X), np.where(X == 4, 1, X)
    np.testing.assert_array_equal(binary.predict_proba(codes), binary.predict_proba(unknown))
    np.testing.assert_array_equal(binary.transform(codes), binary.transform(unknown))
    assert (codes == larger).any()


@pytest.mark.parametrize("method", ["predict", "predict_proba", "transform", "partial_fit"])
def test_another_vocabulary_raises_and_shows_no_code(method):
    model = tiny().fit(in_vocabulary(X, 20), Y)
    arguments = (Y,) if method == "partial_fit" else ()
    with pytest.raises(ValueError, match="another vocabulary") as error:
        getattr(model, method)(in_vocabulary(X, 21), *arguments)
    assert "SECRET" not in str(error.value)
    assert "22" in str(error.value)
    getattr(model, method)(in_vocabulary(X, 20), *arguments)


def test_cohort_given_directly_raises_with_a_way_out(cohort, binary):
    cohort, y = cohort
    for X in (cohort, cohort.visible_events()):
        for call in (lambda X: tiny().fit(X, y), binary.predict):
            with pytest.raises(TypeError, match="VisitSequenceTransformer") as error:
                call(X)
            assert type(X).__name__ in str(error.value)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (X[:, :, 0], ValueError, r"\(n_samples, n_visits, n_codes\).*VisitSequenceTransformer"),
        (X[0, 0], ValueError, r"\(n_samples, n_visits, n_codes\)"),
        (X.astype(float), TypeError, "integers"),
        (X > 3, TypeError, "integers"),
        (X.astype(str), TypeError, "integers"),
        (-X, ValueError, "positive"),
        (X[:0], ValueError, "0 samples"),
        (VisitSequences.from_padded(X)[:0], ValueError, "0 samples"),
        ([], ValueError, r"\(n_samples, n_visits, n_codes\)"),
        (None, ValueError, r"\(n_samples, n_visits, n_codes\)"),
        ("codes", ValueError, r"\(n_samples, n_visits, n_codes\)"),
    ],
)
def test_input_of_another_kind_raises(X, error, message, binary):
    for call in (lambda X: tiny().fit(X, Y), binary.predict_proba):
        with pytest.raises(error, match=message):
            call(X)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function", "transform"])
def test_unfitted_raises(method):
    with pytest.raises(NotFittedError):
        getattr(tiny(), method)(X)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("embedding_dim", 0),
        ("embedding_dim", 8.0),
        ("hidden_dim", 0),
        ("hidden_dim", None),
        ("num_layers", 0),
        ("aggregation", "median"),
        ("aggregation", None),
        ("bidirectional", "yes"),
        ("bidirectional", None),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("dropout", np.nan),
        ("lr", 0.0),
        ("lr", "fast"),
        ("weight_decay", -1e-9),
        ("batch_size", 0),
        ("batch_size", 2.5),
        ("max_epochs", 0),
        ("early_stopping", "auto"),
        ("validation_fraction", 0.0),
        ("validation_fraction", 1.0),
        ("n_iter_no_change", 0),
        ("class_weight", "even"),
        ("class_weight", [1, 2]),
        ("device", None),
        ("device", 0),
        ("callbacks", "callback"),
        ("random_state", -1),
        ("random_state", "seed"),
        ("verbose", -1),
        ("verbose", "yes"),
    ],
)
def test_unknown_parameter_values_raise(method, name, value):
    model = tiny(**{name: value})
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter of LSTMVisitClassifier"):
        getattr(model, method)(X, Y)


@pytest.mark.parametrize("callback", [1, "timer", ("timer", None), VisitSequences])
def test_callbacks_that_are_none_raise(callback):
    with pytest.raises(TypeError, match=r"callbacks holds one of type \w+; give skorch"):
        tiny(callbacks=[callback]).fit(X, Y)


def test_callbacks_may_be_classes_and_have_names():
    callbacks = (EpochTimer, ("second", EpochTimer()))
    model = tiny(callbacks=callbacks).fit(X, Y)
    assert "second" in dict(model.net_.callbacks_)


def test_every_parameter_has_a_constraint():
    assert set(LSTMVisitClassifier._parameter_constraints) == set(tiny().get_params())


def test_defaults():
    assert LSTMVisitClassifier().get_params() == {
        "embedding_dim": 256,
        "hidden_dim": 128,
        "num_layers": 1,
        "aggregation": "sum",
        "mlp_dim": 0,
        "bidirectional": False,
        "time_gaps": False,
        "scoring": None,
        "embedding_init": None,
        "dropout": 0.5,
        "lr": 1e-3,
        "weight_decay": 0.6,
        "batch_size": 128,
        "max_epochs": 50,
        "early_stopping": True,
        "average": False,
        "refit": True,
        "validation_fraction": 0.1,
        "n_iter_no_change": 5,
        "class_weight": None,
        "device": "auto",
        "callbacks": None,
        "checkpoint": None,
        "random_state": None,
        "verbose": 0,
    }


def ragged(seed=0, n_samples=40):
    """Histories of 0 to 6 visits, each of 0 to 5 codes."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(2, 9, (n_samples, 6, 5))
    codes[np.arange(6) >= rng.integers(0, 7, (n_samples, 1))] = 0
    codes[rng.random(codes.shape) < 0.4] = 0
    return VisitSequences.from_padded(codes)


@pytest.mark.parametrize("aggregation", ["mean", "sum", "max", "attention"])
@pytest.mark.parametrize("batch_size", [1, 7, 128])
def test_order_and_subset_of_samples_change_next_to_nothing(aggregation, batch_size):
    X, y = ragged(), np.arange(40) % 2
    model = tiny(aggregation=aggregation, bidirectional=True, max_epochs=1).fit(X, y)
    model.set_params(batch_size=batch_size)
    order = np.random.default_rng(1).permutation(40)
    for method in (model.predict_proba, model.decision_function, model.transform):
        everything = method(X)
        np.testing.assert_allclose(method(X[order]), everything[order], atol=1e-6)
        np.testing.assert_allclose(method(X[10:13]), everything[10:13], atol=1e-6)
        np.testing.assert_allclose(method(X[[4]]), everything[[4]], atol=1e-6)


@pytest.mark.parametrize("aggregation", ["mean", "sum", "max", "attention"])
def test_empty_histories_have_finite_predictions(aggregation):
    X, y = ragged(), np.arange(40) % 2
    model = tiny(aggregation=aggregation).fit(X, y)
    empty = np.zeros((3, 2, 2), dtype=int)
    p = model.predict_proba(empty)
    np.testing.assert_allclose(p[:, 1], expit(model.net_.module_.head.bias.item()), atol=1e-7)
    np.testing.assert_array_equal(model.transform(empty), 0)
    empty_visit = empty.copy()
    empty_visit[:, 1] = 2
    assert np.isfinite(model.predict_proba(empty_visit)).all()


@pytest.mark.parametrize("shape", [(6, 0, 0), (6, 2, 0), (6, 2, 3)])
def test_it_can_be_fitted_on_empty_histories(shape):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = tiny().fit(np.zeros(shape, dtype=int), [0, 1] * 3)
    assert np.isfinite(model.predict_proba(np.zeros(shape, dtype=int))).all()


def test_metadata_routing(cohort):
    cohort, y = cohort
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    with sklearn.config_context(enable_metadata_routing=True):
        classifier = tiny(max_epochs=1).set_fit_request(sample_weight=True)
        classifier.set_score_request(sample_weight=True)
        classifier.fit(X, Y, sample_weight=np.ones(60)).partial_fit(X, Y)
        model = make_pipeline(VisitSequenceTransformer(min_frequency=5, max_visits=5), classifier)
        routed = clone(model).fit(cohort, y, sample_weight=weight)
        scores = cross_val_score(
            model,
            cohort,
            y,
            # Without a scorer, scikit-learn 1.6 does not find what a pipeline requests.
            scoring=make_scorer(accuracy_score).set_score_request(sample_weight=True),
            cv=StratifiedPatientKFold(2),
            params={"sample_weight": weight},
            error_score="raise",
        )
        accuracy = accuracy_score(y, routed.predict(cohort), sample_weight=weight)
        assert routed.score(cohort, y, sample_weight=weight) == pytest.approx(accuracy)
    steps = {"lstmvisitclassifier__sample_weight": weight}
    plain = pipeline(max_epochs=1).fit(cohort, y, **steps)
    np.testing.assert_array_equal(routed.predict_proba(cohort), plain.predict_proba(cohort))
    assert np.isfinite(scores).all()


def test_cross_validation_of_a_pipeline_on_a_cohort(cohort):
    cohort, y = cohort
    cv = StratifiedPatientKFold(2, shuffle=True, random_state=0)
    scores = cross_val_score(pipeline(), cohort, y, cv=cv, scoring="roc_auc", error_score="raise")
    p = cross_val_predict(pipeline(), cohort, y, cv=cv, method="predict_proba")[:, 1]
    by_hand = []
    for train, test in cv.split(cohort, y):
        model = pipeline().fit(cohort[train], y.iloc[train])
        np.testing.assert_array_equal(model.predict_proba(cohort[test])[:, 1], p[test])
        by_hand.append(roc_auc_score(y.iloc[test], p[test]))
    np.testing.assert_allclose(scores, by_hand)


def test_grid_search_over_both_steps(cohort):
    cohort, y = cohort
    grid = {
        "lstmvisitclassifier__hidden_dim": np.array([3, 4]),
        "visitsequencetransformer__min_frequency": [5, 0.5],
    }
    search = GridSearchCV(
        pipeline(max_epochs=1), grid, cv=StratifiedPatientKFold(2), error_score="raise"
    ).fit(cohort, y)
    best = search.best_estimator_
    assert len(search.cv_results_["params"]) == 4
    assert best.transform(cohort).shape == (80, best[-1].hidden_dim)
    assert embedding_size(best[-1]) == best[0].vocabulary_.size
    assert search.predict_proba(cohort).shape == (80, 2)


def test_calibration_keeps_patients_apart(cohort):
    cohort, y = cohort
    model = CalibratedClassifierCV(pipeline(max_epochs=1), cv=StratifiedPatientKFold(2))
    p = model.fit(cohort, y).predict_proba(cohort)
    assert len(model.calibrated_classifiers_) == 2
    np.testing.assert_allclose(p.sum(axis=1), 1)


def test_two_jobs_give_the_same_scores(cohort):
    cohort, y = cohort
    once, twice = (
        cross_val_score(
            pipeline(max_epochs=1),
            cohort,
            y,
            cv=StratifiedPatientKFold(2),
            scoring="neg_log_loss",
            n_jobs=n_jobs,
            error_score="raise",
        )
        for n_jobs in (1, 2)
    )
    # joblib gives its workers fewer threads, and with them sums of another order.
    np.testing.assert_allclose(once, twice, atol=1e-5)


def test_clone_is_unfitted_and_equal_in_parameters(binary):
    copy = clone(binary)
    assert not hasattr(copy, "net_")
    assert copy.get_params() == binary.get_params()
    np.testing.assert_array_equal(copy.fit(X, Y).predict_proba(X), binary.predict_proba(X))
