"""What scikit-learn's check_estimator asks of any estimator, asked on visit data.

Most of its checks make 2-D arrays, which no estimator here takes. Those that look at parameters
alone are scikit-learn's own functions; the others are said again.
"""

import inspect
import pickle
import re
from copy import deepcopy
from typing import NamedTuple

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils import _safe_indexing, estimator_checks, estimator_html_repr, get_tags
from sklearn.utils.metadata_routing import get_routing_for_object

import sklearn_ehr
from sklearn_ehr import (
    CodeCountVectorizer,
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
    VisitSequences,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits


class Case(NamedTuple):
    """An estimator with small settings, and a function that makes its X and y."""

    estimator: BaseEstimator
    make_input: callable

    def data(self):
        return self.make_input()

    def fitted(self):
        return clone(self.estimator).fit(*self.data())

    def methods(self):
        names = ("transform", "predict", "predict_proba", "decision_function")
        return [name for name in names if hasattr(self.estimator, name)]

    def __str__(self):
        return type(self.estimator).__name__


def cohort_and_labels():
    return make_visits(40, random_state=0)


def sequences_and_labels():
    X, y = cohort_and_labels()
    return VisitSequenceTransformer(min_frequency=8, max_visits=4).fit_transform(X), y


def sequences_and_numbers():
    X, y = cohort_and_labels()
    return sequences_and_labels()[0], y + X.samples["risk"]


def sequences_and_visit_labels():
    X, y = sequences_and_labels()
    labels = [(np.arange(n) + label) % 2 for n, label in zip(X.lengths, y, strict=True)]
    return X, pd.Series(labels, index=y.index)


def sequences_and_times():
    X, y = sequences_and_labels()
    times = 10 + np.arange(40) % 7
    return X, np.rec.fromarrays([1 - y.to_numpy(), times], names=["event", "time"])


ESTIMATORS = [
    Case(VisitSequenceTransformer(min_frequency=3), cohort_and_labels),
    Case(CodeCountVectorizer(min_frequency=3, last_visits=(1,)), cohort_and_labels),
    Case(
        LSTMVisitClassifier(
            embedding_dim=8, hidden_dim=8, max_epochs=2, device="cpu", random_state=0
        ),
        sequences_and_labels,
    ),
    Case(
        LSTMVisitRegressor(
            embedding_dim=8, hidden_dim=8, max_epochs=2, device="cpu", random_state=0
        ),
        sequences_and_numbers,
    ),
    Case(
        LSTMVisitTagger(embedding_dim=8, hidden_dim=8, max_epochs=2, device="cpu", random_state=0),
        sequences_and_visit_labels,
    ),
    Case(
        LSTMVisitSurvival(
            embedding_dim=8, hidden_dim=8, max_epochs=2, device="cpu", random_state=0, n_intervals=4
        ),
        sequences_and_times,
    ),
]
PREDICTORS = [case for case in ESTIMATORS if hasattr(case.estimator, "predict")]
CLASSIFIERS = [case for case in ESTIMATORS if is_classifier(case.estimator)]

every_estimator = pytest.mark.parametrize("case", ESTIMATORS, ids=str)
every_predictor = pytest.mark.parametrize("case", PREDICTORS, ids=str)
every_classifier = pytest.mark.parametrize("case", CLASSIFIERS, ids=str)

SKLEARN_CHECKS = [
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_estimator_tags_renamed,
    estimator_checks.check_estimators_unfitted,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_mixin_order,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_param_validation,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_set_params,
    estimator_checks.check_valid_tag_types,
]


@pytest.mark.parametrize("check", SKLEARN_CHECKS, ids=lambda check: check.__name__)
@every_estimator
def test_sklearn_check(case, check):
    check(str(case), clone(case.estimator))


def rows(output):
    """What an estimator answers for each sample, as a list of flat arrays."""
    if isinstance(output, VisitSequences):
        return [np.concatenate([one.tokens, one.visit_offsets]) for one in each_sample(output)]
    if sparse.issparse(output):
        output = output.toarray()
    return [np.ravel(row) for row in np.asarray(output)]


def each_sample(sequences):
    return (sequences[i] for i in range(len(sequences)))


def answers(model, case, X):
    return {name: rows(getattr(model, name)(X)) for name in case.methods()}


def assert_same_answers(one, other, atol=0.0):
    assert one.keys() == other.keys()
    for name in one:
        assert len(one[name]) == len(other[name])
        for mine, yours in zip(one[name], other[name], strict=True):
            assert mine.dtype == yours.dtype
            if mine.dtype.kind in "OU":
                np.testing.assert_array_equal(mine, yours)
            else:
                np.testing.assert_allclose(mine, yours, rtol=0, atol=atol, err_msg=name)


def parameters_of(estimator):
    return list(inspect.signature(type(estimator).__init__).parameters.values())[1:]


@every_estimator
def test_constructor_takes_keywords_only(case):
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters_of(case.estimator))
    with pytest.raises(TypeError, match="positional"):
        type(case.estimator)(1)


@every_estimator
def test_constructor_stores_parameters_untouched_and_nothing_else(case):
    given = {p.name: object() for p in parameters_of(case.estimator)}
    estimator = type(case.estimator)(**given)
    assert vars(estimator) == given
    assert estimator.get_params(deep=False) == given


@every_estimator
def test_set_params_sets_and_clone_copies(case):
    estimator = clone(case.estimator)
    given = {p.name: f"value of {p.name}" for p in parameters_of(estimator)}
    assert estimator.set_params(**given) is estimator
    assert clone(estimator).get_params() == given


@every_estimator
def test_unknown_parameter_raises(case):
    with pytest.raises(TypeError, match="unexpected keyword"):
        type(case.estimator)(no_such_parameter=1)
    with pytest.raises(ValueError, match="no_such_parameter"):
        clone(case.estimator).set_params(no_such_parameter=1)


@every_estimator
def test_every_parameter_has_a_constraint(case):
    constraints = type(case.estimator)._parameter_constraints
    assert set(constraints) == {p.name for p in parameters_of(case.estimator)}


@every_estimator
def test_fit_returns_self_and_leaves_parameters_untouched(case):
    estimator = clone(case.estimator)
    before = estimator.get_params(deep=False)
    assert estimator.fit(*case.data()) is estimator
    after = estimator.get_params(deep=False)
    assert before.keys() == after.keys()
    assert all(after[name] is before[name] for name in before)


@every_estimator
def test_what_fit_learns_ends_with_an_underscore(case):
    learnt = vars(case.fitted()).keys() - case.estimator.get_params()
    assert any(name.endswith("_") and not name.startswith("_") for name in learnt)
    assert all(name.endswith("_") or name.startswith("_") for name in learnt)


@every_estimator
def test_documented_attributes_are_there_after_fit(case):
    model = case.fitted()
    documented = documented_names(type(model), "Attributes")
    assert documented
    assert all(hasattr(model, name) for name in documented)
    public = {name for name in vars(model) if name.endswith("_") and not name.startswith("_")}
    assert public <= set(documented)


@every_estimator
def test_fit_and_answers_do_not_touch_their_input(case):
    X, y = case.data()
    # Copies, which have nothing that pandas < 3 caches in a column of times.
    before = joblib.hash(deepcopy((X, y)))
    model = clone(case.estimator).fit(X, y)
    answers(model, case, X)
    if hasattr(model, "partial_fit"):
        model.partial_fit(X, y)
    assert joblib.hash(deepcopy((X, y))) == before


@every_estimator
def test_fit_takes_a_subset_like_a_whole(case):
    X, y = case.data()
    chosen = np.r_[3:33]
    model = clone(case.estimator).fit(X[chosen], _safe_indexing(y, chosen))
    again = clone(case.estimator).fit(
        pickle.loads(pickle.dumps(X[chosen])), _safe_indexing(y, chosen)
    )
    assert_same_answers(answers(model, case, X), answers(again, case, X))


@every_estimator
def test_not_fitted_error_before_fit(case):
    X, _ = case.data()
    for method in case.methods():
        with pytest.raises(NotFittedError, match=str(case)):
            getattr(clone(case.estimator), method)(X)


@every_estimator
def test_fit_is_idempotent(case):
    X, y = case.data()
    model = clone(case.estimator).fit(X, y)
    first = answers(model, case, X)
    assert_same_answers(answers(model.fit(X, y), case, X), first)
    assert_same_answers(answers(clone(model).fit(X, y), case, X), first)


@every_estimator
def test_fit_forgets_what_was_fitted_before(case):
    X, y = case.data()
    model = clone(case.estimator).fit(X[:20], y[:20]).fit(X, y)
    assert_same_answers(answers(model, case, X), answers(case.fitted(), case, X))


@every_estimator
def test_order_of_samples_does_not_matter(case):
    X, _ = case.data()
    model, order = case.fitted(), np.random.default_rng(0).permutation(len(X))
    expected = {
        name: [answer[i] for i in order] for name, answer in answers(model, case, X).items()
    }
    assert_same_answers(answers(model, case, X[order]), expected, atol=1e-6)


@every_estimator
def test_subset_of_samples_does_not_matter(case):
    X, _ = case.data()
    model = case.fitted()
    everything = answers(model, case, X)
    is_chosen = np.arange(len(X)) % 3 == 1
    for key in (slice(5, 9), is_chosen, [7], 7, [2, 2, 0]):
        positions = np.atleast_1d(np.arange(len(X))[key])
        expected = {name: [answer[i] for i in positions] for name, answer in everything.items()}
        assert_same_answers(answers(model, case, X[key]), expected, atol=1e-6)


@every_estimator
def test_answers_do_not_change_the_estimator(case):
    X, _ = case.data()
    model = case.fitted()
    before, content = dict(vars(model)), pickle.dumps(model)
    answers(model, case, X)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is before[name] for name in before)
    assert pickle.dumps(model) == content


@every_estimator
def test_pickle_and_joblib_round_trips_give_same_bits(case, tmp_path):
    X, _ = case.data()
    model = case.fitted()
    joblib.dump(model, tmp_path / "model")
    for again in (pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model")):
        assert_same_answers(answers(again, case, X), answers(model, case, X))
        assert again.get_params().keys() == model.get_params().keys()


@every_estimator
def test_unfitted_estimator_pickles(case):
    again = pickle.loads(pickle.dumps(case.estimator))
    assert again.get_params() == case.estimator.get_params()


@every_estimator
def test_tags_say_that_input_is_no_2d_array(case):
    tags = get_tags(case.estimator)
    assert not tags.input_tags.two_d_array
    assert not tags.input_tags.sparse
    assert not tags.no_validation
    assert tags.requires_fit
    assert tags.target_tags.required == (case in PREDICTORS)


@every_estimator
def test_n_features_in_is_not_set(case):
    assert not hasattr(case.fitted(), "n_features_in_")
    assert not hasattr(case.fitted(), "feature_names_in_")


@every_estimator
def test_representations(case):
    name = str(case)
    for estimator in (clone(case.estimator), case.fitted()):
        assert repr(estimator).startswith(f"{name}(")
        assert name in estimator_html_repr(estimator)
        pipeline = make_pipeline(estimator)
        assert name in repr(pipeline)
        assert name in estimator_html_repr(pipeline)
        assert name in pipeline._repr_html_()


@every_estimator
def test_only_changed_parameters_are_shown(case):
    assert repr(type(case.estimator)()) == f"{case}()"


@every_estimator
def test_fit_transform_equals_fit_then_transform(case):
    X, y = case.data()
    if not hasattr(case.estimator, "fit_transform"):
        pytest.skip("a predictor")
    at_once = rows(clone(case.estimator).fit_transform(X, y))
    in_steps = rows(clone(case.estimator).fit(X, y).transform(X))
    assert_same_answers({"transform": at_once}, {"transform": in_steps})


@every_estimator
def test_works_under_a_global_pandas_output(case):
    X, _ = case.data()
    expected = answers(case.fitted(), case, X)
    estimator = clone(case.estimator)
    if "sparse_output" in estimator.get_params():
        estimator.set_params(sparse_output=False)
    with sklearn.config_context(transform_output="pandas"):
        model = estimator.fit(*case.data())
        assert_same_answers(answers(model, case, X), expected)


def test_counts_can_be_a_frame():
    X, _ = cohort_and_labels()
    model = CodeCountVectorizer(min_frequency=3, last_visits=(1,)).fit(X)
    dense = clone(model).set_params(sparse_output=False).set_output(transform="pandas").fit(X)
    frame = dense.transform(X[5:9])
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns.tolist() == model.get_feature_names_out().tolist()
    assert frame.index.tolist() == X[5:9].samples.index.tolist()
    np.testing.assert_array_equal(frame, model.transform(X[5:9]).toarray())
    with pytest.raises(ValueError, match="sparse"):
        clone(model).set_output(transform="pandas").fit_transform(X)


@every_estimator
def test_one_sample(case):
    X, y = case.data()
    if case in CLASSIFIERS:
        with pytest.raises(ValueError, match=f"{case} .*one class"):
            clone(case.estimator).fit(X[:1], y[:1])
    elif case in PREDICTORS:
        with pytest.warns(UserWarning, match="no validation split"):
            model = clone(case.estimator).fit(X[:1], y[:1])
        assert len(rows(model.predict(X[0]))) == 1
    else:
        model = clone(case.estimator).set_params(min_frequency=1)
        assert len(rows(model.fit(X[0]).transform(X[0]))) == 1


@every_estimator
def test_empty_input_raises(case):
    X, y = case.data()
    with pytest.raises(ValueError, match=r"0 samples|empty"):
        clone(case.estimator).fit(X[:0], y[:0])


@every_estimator
@pytest.mark.parametrize(
    "X", [np.zeros((4, 2)), sparse.eye_array(4).tocsr(), [[1.5, 2.0]], "text", None, 3]
)
def test_input_of_another_kind_raises(case, X):
    with pytest.raises((TypeError, ValueError)) as error:
        clone(case.estimator).fit(X, [0, 1, 0, 1])
    assert re.search(r"Cohort|\(n_samples, n_visits, n_codes\)", str(error.value))


@every_classifier
def test_one_class_raises_and_is_named(case):
    X, y = case.data()
    with pytest.raises(ValueError, match=rf"{case} .*only one class: .*17"):
        clone(case.estimator).fit(X, np.full(len(y), 17))


@every_predictor
@pytest.mark.parametrize("length", [0, 1, 39, 41])
def test_y_of_another_length_raises(case, length):
    X, _ = case.data()
    for method in fitting_methods(case):
        with pytest.raises(ValueError, match=rf"inconsistent.*\[40, {length}\]"):
            getattr(clone(case.estimator), method)(X, np.arange(length) % 2)


@every_predictor
def test_missing_y_raises(case):
    X, _ = case.data()
    with pytest.raises(TypeError, match="'y'"):
        clone(case.estimator).fit(X)
    with pytest.raises(ValueError, match="requires y to be passed"):
        clone(case.estimator).fit(X, None)


@every_classifier
@pytest.mark.parametrize(
    "labels",
    [
        np.array([0, 1], dtype="int8"),
        np.array([2, 3], dtype="uint64"),
        np.array([0.0, 1.0], dtype="float32"),
        np.array([False, True]),
        np.array(["a", "b"]),
        np.array(["a", "b"], dtype=object),
    ],
    ids=lambda labels: str(labels.dtype),
)
@pytest.mark.parametrize("container", [np.asarray, list, pd.Series, pd.Categorical])
def test_labels_of_every_dtype(case, labels, container):
    X, y = case.data()
    model = clone(case.estimator).fit(X, container(labels[y]))
    assert model.classes_.tolist() == labels.tolist()
    assert isinstance(model.classes_.tolist()[0], type(labels.tolist()[0]))
    predicted = model.predict(X)
    assert predicted.shape == (40,)
    assert predicted.dtype == model.classes_.dtype
    assert set(predicted.tolist()) <= set(labels.tolist())


@every_predictor
@pytest.mark.parametrize(
    "ones", [np.ones(40), np.ones(40, dtype=int), [1] * 40, pd.Series([1] * 40)]
)
def test_sample_weights_of_one_are_none_at_all(case, ones):
    X, y = case.data()
    weighted = clone(case.estimator).fit(X, y, sample_weight=ones)
    assert_same_answers(answers(weighted, case, X), answers(case.fitted(), case, X))


@every_predictor
def test_sample_weight_of_zero_leaves_a_sample_out(case):
    X, y = case.data()
    weight = np.where(np.arange(40) % 4, 1.0, 0.0)
    used = np.flatnonzero(weight)
    weighted = clone(case.estimator).fit(X, y, sample_weight=weight)
    without = clone(case.estimator).fit(X[used], _safe_indexing(y, used))
    assert_same_answers(answers(weighted, case, X), answers(without, case, X))


@every_predictor
def test_sample_weight_can_be_requested(case):
    with sklearn.config_context(enable_metadata_routing=True):
        for name in (*fitting_methods(case), *weighted_scores(case)):
            estimator = clone(case.estimator)
            request = getattr(get_routing_for_object(estimator), name).requests
            assert request["sample_weight"] is None
            getattr(estimator, f"set_{name}_request")(sample_weight=True)
            request = getattr(get_routing_for_object(estimator), name).requests
            assert request["sample_weight"] is True


@every_classifier
def test_decisions_agree_with_probabilities(case):
    X, _ = case.data()
    model = case.fitted()
    p, decision = model.predict_proba(X), model.decision_function(X)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(np.argsort(p[:, 1], kind="stable"), np.argsort(decision))
    np.testing.assert_array_equal(model.predict(X), model.classes_[(decision > 0).astype(int)])


def fitting_methods(case):
    return [name for name in ("fit", "partial_fit") if hasattr(case.estimator, name)]


def weighted_scores(case):
    """Harrell's concordance index is not weighted."""
    return (
        ["score"] if "sample_weight" in inspect.signature(case.estimator.score).parameters else []
    )


def section(doc, title):
    """The text below a numpydoc heading."""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=^\S[^\n]*\n-+\n|\Z)", doc, re.DOTALL | re.MULTILINE)
    return found[1] if found else None


def documented_names(documented, title):
    """Names in a section of a numpydoc docstring, in order."""
    text = section(inspect.getdoc(documented), title) or ""
    entries = [line.split(" : ")[0] for line in text.splitlines() if re.match(r"\w", line)]
    return [name.strip() for entry in entries for name in entry.split(",")]


def own_methods(cls):
    """Public methods and properties that this package wrote."""
    for name, member in inspect.getmembers(cls):
        function = member.fget if isinstance(member, property) else inspect.unwrap(member)
        is_own = str(getattr(function, "__module__", None)).startswith("sklearn_ehr")
        if is_own and not name.startswith("_"):
            yield name, member


@every_estimator
def test_docstring_names_every_parameter_in_order(case):
    documented = documented_names(type(case.estimator), "Parameters")
    assert documented == [p.name for p in parameters_of(case.estimator)]


@every_estimator
def test_docstring_tells_the_defaults(case):
    text = section(inspect.getdoc(type(case.estimator)), "Parameters")
    for p in parameters_of(case.estimator):
        entry = re.search(rf"^{p.name} : (.*)$", text, re.MULTILINE)
        # A shared entry refers to the class where the defaults are told.
        told = re.search(r"default=(.*)$", entry[1])[1] if entry else None
        assert told is None or told in (repr(p.default), f'"{p.default}"', "1e-3")


@every_estimator
def test_every_public_method_documents_its_parameters_in_order(case):
    methods = dict(own_methods(type(case.estimator)))
    assert "fit" in methods
    for name, method in methods.items():
        function = getattr(method, "fget", method)  # of a property
        parameters = list(inspect.signature(function).parameters)[1:]
        assert documented_names(method, "Parameters") == parameters, name
        assert section(inspect.getdoc(method), "Returns"), name


@pytest.mark.parametrize("name", sklearn_ehr.__all__)
def test_every_public_class_has_an_example(name):
    doc = inspect.getdoc(getattr(sklearn_ehr, name))
    assert ">>> " in section(doc, "Examples")
