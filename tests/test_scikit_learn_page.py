"""Every line of docs/how_to/scikit_learn.rst is run, and one without a test fails."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
import sklearn
from pages import python_blocks, read, rows_of
from sklearn import compose, ensemble, feature_selection, multiclass, multioutput, preprocessing
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, TruncatedSVD
from sklearn.dummy import DummyClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import (
    PartialDependenceDisplay,
    partial_dependence,
    permutation_importance,
)
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    SGDClassifier,
)
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    DetCurveDisplay,
    PrecisionRecallDisplay,
    PredictionErrorDisplay,
    RocCurveDisplay,
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    make_scorer,
    roc_auc_score,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    GroupKFold,
    GroupShuffleSplit,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    LearningCurveDisplay,
    RandomizedSearchCV,
    StratifiedGroupKFold,
    TunedThresholdClassifierCV,
    ValidationCurveDisplay,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    train_test_split,
    validation_curve,
)
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import LinearSVC
from sklearn.utils import estimator_html_repr
from sklearn.utils.estimator_checks import check_estimator

import sklearn_ehr
from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    StratifiedPatientKFold,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits

PAGE = "how_to/scikit_learn"
CV = StratifiedPatientKFold(2)
NAMES_THE_WAY = "Put CodeCountVectorizer before whatever reads columns"
TINY = {"embedding_dim": 4, "hidden_dim": 4, "max_epochs": 1, "random_state": 0}


def tools_of(cell):
    """The tools that a line names: those of a list of code, else all of its first cell."""
    if re.fullmatch(r"``[^`]+``(, ``[^`]+``)*", cell):
        return re.findall(r"``([^`]+)``", cell)
    return [cell.replace("``", "`")]


LINES = [row for row in rows_of(read(PAGE)) if row[0] not in ("tool", "metadata", "pipeline")]
TESTED = {}


def line(*tools, verdict="yes"):
    """Say of which lines of the page a test is the test, and what these must say."""

    def mark(test):
        TESTED.update(dict.fromkeys(tools, verdict))
        return test

    return mark


def make_data():
    """80 patients with two samples each, and columns of samples beside their codes."""
    X, _ = make_visits(80, n_codes=40, random_state=0)
    samples = X.samples
    earlier = samples.assign(prediction_time=samples["prediction_time"] - pd.to_timedelta(20, "D"))
    samples = pd.concat([samples, earlier], ignore_index=True)
    rng = np.random.default_rng(0)
    samples["ward"] = rng.choice(["A", "B"], len(samples))
    samples["age"] = rng.normal(60, 10, len(samples))
    return Cohort(X.event_table, samples), samples["outcome"], samples["risk"]


X, Y, RISK = make_data()
BOTH = np.column_stack([Y, RISK > 0.2]).astype(int)
WEIGHT = np.random.default_rng(0).uniform(0.5, 2, len(Y))


def make_lstm():
    network = LSTMVisitClassifier(**TINY, early_stopping=False)
    return make_pipeline(VisitSequenceTransformer(), network)


def make_counts(model=None, **params):
    model = LogisticRegression(max_iter=1000) if model is None else model
    return make_pipeline(CodeCountVectorizer(**params), model)


@pytest.fixture(params=[make_lstm, make_counts])
def model(request):
    return request.param()


def grid_of(model):
    return {f"{model.steps[0][0]}__min_frequency": [5, 10]}


def assert_answers(model, y=Y, X=X):
    """Fit on a cohort; the answers for some samples are those of these samples among all."""
    model.fit(X, y)
    method = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    answer = getattr(model, method)
    everything, some = answer(X), answer(X[::3])
    if isinstance(everything, list):
        everything, some = np.stack(everything, 1), np.stack(some, 1)
    assert len(everything) == len(X)
    assert everything.std() > 0
    np.testing.assert_allclose(some, everything[::3], atol=1e-5)
    if method == "predict_proba" and everything.ndim == 2 and np.ndim(y) == 1:
        np.testing.assert_allclose(everything.sum(axis=1), 1)
    return model


def whose(rows):
    return set(X.groups[rows])


@line("train_test_split")
def test_train_test_split_cuts_patients():
    train, test, y_train, y_test = train_test_split(X, Y, test_size=40, random_state=0)
    assert (len(train), len(test), len(y_train), len(y_test)) == (120, 40, 120, 40)
    assert (train.samples["outcome"].to_numpy() == y_train.to_numpy()).all()
    # As the line warns.
    assert set(train.groups) & set(test.groups)


@line("GroupKFold", "StratifiedGroupKFold", "GroupShuffleSplit")
def test_splitters_of_groups_keep_patients_whole():
    for splitter in (GroupKFold(2), StratifiedGroupKFold(2), GroupShuffleSplit(2)):
        for train, test in splitter.split(X, Y, X.groups):
            assert not whose(train) & whose(test)
        scores = cross_val_score(make_counts(), X, Y, cv=splitter, groups=X.groups)
        assert np.isfinite(scores).all()


def by_hand(model):
    """Probabilities of the folds, by a loop."""
    proba = np.empty((len(Y), 2))
    for train, test in CV.split(X, Y):
        proba[test] = clone(model).fit(X[train], Y.iloc[train]).predict_proba(X[test])
    return proba


@line("cross_val_score", "cross_validate", "cross_val_predict")
def test_cross_validation_equals_a_loop_over_the_folds(model):
    expected = by_hand(model)
    proba = cross_val_predict(model, X, Y, cv=CV, method="predict_proba")
    np.testing.assert_array_equal(proba, expected)
    auc = [roc_auc_score(Y[test], expected[test, 1]) for _, test in CV.split(X, Y)]
    np.testing.assert_allclose(cross_val_score(model, X, Y, cv=CV, scoring="roc_auc"), auc)
    scores = cross_validate(model, X, Y, cv=CV, scoring=["roc_auc"], return_indices=True)
    np.testing.assert_allclose(scores["test_roc_auc"], auc)
    for train, test in zip(*scores["indices"].values(), strict=True):
        assert not whose(train) & whose(test)


@line("learning_curve", "validation_curve")
def test_curves(model):
    options = {"cv": CV, "error_score": "raise"}
    sizes, scores, _ = learning_curve(model, X, Y, train_sizes=[40, 70], **options)
    assert sizes.tolist() == [40, 70]
    assert scores.shape == (2, 2)
    ((name, values),) = grid_of(model).items()
    _, scores = validation_curve(model, X, Y, param_name=name, param_range=values, **options)
    expected = cross_val_score(clone(model).set_params(**{name: values[1]}), X, Y, cv=CV)
    np.testing.assert_array_equal(scores[1], expected)


@line("permutation_test_score")
def test_permutation_test(model):
    score, permuted, _ = permutation_test_score(
        model, X, Y, cv=CV, n_permutations=2, random_state=0
    )
    assert score == pytest.approx(cross_val_score(model, X, Y, cv=CV).mean())
    assert len(permuted) == 2


@line("make_scorer")
def test_scorer(model):
    scorer = make_scorer(brier_score_loss, response_method="predict_proba")
    expected = brier_score_loss(Y, model.fit(X, Y).predict_proba(X)[:, 1])
    assert scorer(model, X, Y) == pytest.approx(expected)


@line("DummyClassifier")
def test_baseline():
    proba = DummyClassifier(strategy="prior").fit(X, Y).predict_proba(X[:3])
    np.testing.assert_allclose(proba[:, 1], Y.mean())


@line("GridSearchCV", "RandomizedSearchCV")
def test_searches(model):
    grid = {**grid_of(model), model.steps[1][0]: [model[1], clone(model[1])]}
    options = {"cv": CV, "scoring": "roc_auc", "error_score": "raise"}
    for search in (
        GridSearchCV(model, grid, **options),
        RandomizedSearchCV(model, grid, n_iter=2, random_state=0, **options),
    ):
        assert_answers(search)
        best = clone(model).set_params(**search.best_params_)
        expected = cross_val_score(best, X, Y, cv=CV, scoring="roc_auc").mean()
        assert search.best_score_ == pytest.approx(expected)


@line("HalvingGridSearchCV", "HalvingRandomSearchCV")
def test_halving_over_samples_and_epochs(model):
    for search in (HalvingGridSearchCV, HalvingRandomSearchCV):
        options = {"cv": CV, "random_state": 0, "factor": 2, "error_score": "raise"}
        found = assert_answers(search(model, grid_of(model), min_resources=80, **options))
        assert found.n_resources_[0] == 80
    network = {"lstmvisitclassifier__hidden_dim": [2, 3]}
    epochs = {"resource": "lstmvisitclassifier__max_epochs", "max_resources": 2}
    found = HalvingGridSearchCV(make_lstm(), network, min_resources=1, **epochs, **options)
    assert found.fit(X, Y).n_resources_ == [1, 2]


def as_regression(model):
    """The regression that goes with a classifier."""
    last = Ridge()
    if isinstance(model[-1], LSTMVisitClassifier):
        last = LSTMVisitRegressor(**TINY, early_stopping=False)
    return make_pipeline(model[0], last)


OVER_A_COHORT = {
    "CalibratedClassifierCV": (lambda model: CalibratedClassifierCV(model, cv=CV), Y),
    "StackingClassifier": (
        lambda model: ensemble.StackingClassifier([("a", model), ("b", make_counts())], cv=CV),
        Y,
    ),
    "StackingRegressor": (
        lambda model: ensemble.StackingRegressor(
            [("a", as_regression(model))], cv=sklearn_ehr.PatientKFold(2)
        ),
        RISK,
    ),
    "VotingClassifier": (
        lambda model: ensemble.VotingClassifier(
            [("a", model), ("b", make_counts())], voting="soft"
        ),
        Y,
    ),
    "VotingRegressor": (
        lambda model: ensemble.VotingRegressor([("a", as_regression(model))]),
        RISK,
    ),
    "TunedThresholdClassifierCV": (lambda model: TunedThresholdClassifierCV(model, cv=CV), Y),
    "FixedThresholdClassifier": (
        lambda model: FixedThresholdClassifier(model, threshold=0.3),
        Y,
    ),
    "OneVsRestClassifier": (multiclass.OneVsRestClassifier, Y),
    "MultiOutputClassifier": (multioutput.MultiOutputClassifier, BOTH),
    "MultiOutputRegressor": (
        lambda model: multioutput.MultiOutputRegressor(as_regression(model)),
        np.column_stack([RISK, 1 - RISK]),
    ),
    "TransformedTargetRegressor": (
        lambda model: compose.TransformedTargetRegressor(
            as_regression(model), func=np.log1p, inverse_func=np.expm1
        ),
        RISK,
    ),
}


@line(*OVER_A_COHORT)
@pytest.mark.parametrize("tool", OVER_A_COHORT)
def test_meta_estimators_over_a_cohort(tool, model):
    make, y = OVER_A_COHORT[tool]
    assert_answers(make(model), y)


@line("FrozenEstimator")
def test_frozen_model_is_calibrated_and_not_fitted(model):
    fitted = model.fit(X[:100], Y[:100])
    coefficients = pickle.dumps(fitted)
    assert_answers(CalibratedClassifierCV(FrozenEstimator(fitted), cv=CV), Y[100:], X[100:])
    assert pickle.dumps(fitted) == coefficients


PARTLY = np.where(np.arange(len(Y)) % 3, Y, -1)
AFTER_THE_COUNTS = {
    "OneVsOneClassifier": (multiclass.OneVsOneClassifier, Y),
    "OutputCodeClassifier": (
        lambda model: multiclass.OutputCodeClassifier(model, random_state=0),
        Y,
    ),
    "ClassifierChain": (multioutput.ClassifierChain, BOTH),
    "RegressorChain": (multioutput.RegressorChain, np.column_stack([RISK, 1 - RISK])),
    "BaggingClassifier": (
        lambda model: ensemble.BaggingClassifier(model, n_estimators=2, random_state=0),
        Y,
    ),
    "BaggingRegressor": (
        lambda model: ensemble.BaggingRegressor(model, n_estimators=2, random_state=0),
        RISK,
    ),
    "AdaBoostClassifier": (
        lambda model: ensemble.AdaBoostClassifier(model, n_estimators=2, random_state=0),
        Y,
    ),
    "SelfTrainingClassifier": (SelfTrainingClassifier, PARTLY),
    "StackingClassifier(passthrough=True)": (
        lambda model: ensemble.StackingClassifier(
            [("a", model)], cv=list(CV.split(X, Y)), passthrough=True
        ),
        Y,
    ),
}


@line(*AFTER_THE_COUNTS, verdict="after the counts")
@pytest.mark.parametrize("tool", AFTER_THE_COUNTS)
def test_meta_estimators_that_read_columns(tool):
    make, y = AFTER_THE_COUNTS[tool]
    last = Ridge() if "Regressor" in tool else LogisticRegression(max_iter=1000)
    with pytest.raises(TypeError, match=NAMES_THE_WAY):
        make(make_counts(last)).fit(X, y)
    assert_answers(make_counts(make(last), max_vocabulary=8), y)


@line("Pipeline(memory=...)")
def test_memory_fits_the_transformer_once_a_fold(model, tmp_path, monkeypatch):
    fits = []
    first = type(model[0])
    fit = first.fit
    monkeypatch.setattr(first, "fit", lambda self, X, y=None: fits.append(1) or fit(self, X, y))
    last = model.steps[1][0]
    name = f"{last}__{'lr' if 'lstm' in last else 'C'}"
    grid = {name: [0.1, 0.01, 0.001]}
    search = GridSearchCV(Pipeline(model.steps, memory=str(tmp_path)), grid, cv=CV).fit(X, Y)
    # Two folds and the whole; without memory, three candidates in two folds and the whole.
    assert len(fits) == 3
    search.fit(X, Y)
    assert len(fits) == 3
    plain = GridSearchCV(model, grid, cv=CV).fit(X, Y)
    np.testing.assert_array_equal(search.predict_proba(X), plain.predict_proba(X))


def page_names():
    """What the python blocks of the page define."""
    names = {}
    with sklearn.config_context():
        for block in python_blocks(PAGE):
            exec(compile(block, PAGE, "exec"), names)
    return names


def test_validation_set_of_the_page_reaches_the_network_transformed():
    model = page_names()["validated"].set_params(lstmvisitclassifier__max_epochs=2)
    with sklearn.config_context(enable_metadata_routing=True):
        model.fit(X[:100], Y[:100], X_val=X[100:], y_val=Y[100:])
    assert model[-1].history_["valid_loss"].notna().all()


@line("FeatureUnion", "FunctionTransformer")
def test_columns_of_samples_beside_counts():
    names = page_names()
    union, samples = names["union"], X.samples
    table = union.fit_transform(X)
    n_codes = CodeCountVectorizer().fit_transform(X).shape[1]
    assert table.shape == (len(X), n_codes + 3)
    is_b = (samples["ward"] == "B").to_numpy()
    age = preprocessing.scale(samples["age"].to_numpy())
    np.testing.assert_allclose(table[:, n_codes:].toarray(), np.column_stack([~is_b, is_b, age]))
    assert union.get_feature_names_out()[-3:].tolist() == [
        "samples__onehotencoder__ward_A",
        "samples__onehotencoder__ward_B",
        "samples__standardscaler__age",
    ]
    assert_answers(names["model"])
    states = FeatureUnion([("states", make_lstm()), ("counts", CodeCountVectorizer())])
    assert states.fit(X, Y).transform(X).shape == (len(X), 4 + n_codes)


@line("ColumnTransformer", verdict="no")
def test_column_transformer_over_a_cohort_names_the_way():
    for columns in (["age"], [0], slice(None)):
        over = compose.ColumnTransformer([("age", "passthrough", columns)])
        with pytest.raises(IndexError, match=r"features=\[\.\.\.\].* FeatureUnion"):
            over.fit(X)


@line("`FeatureUnion` of sequences", verdict="no")
def test_sequences_are_no_columns_but_read_features():
    union = FeatureUnion([("a", VisitSequenceTransformer()), ("b", CodeCountVectorizer())])
    # scikit-learn 1.6 asks for an array, later versions look at the dimensions first.
    with pytest.raises((ValueError, TypeError), match=r"2 dimensions|CodeCountVectorizer"):
        union.fit_transform(X)
    aged = Cohort(X.event_table, X.samples, features=["age"])
    assert VisitSequenceTransformer().fit_transform(aged).feature_names == ["age"]
    assert_answers(make_lstm(), X=aged)


@line("clone", "set_params", "estimator_html_repr")
def test_clones_and_representations(model):
    ((name, (value, _)),) = grid_of(model).items()
    other = clone(model.fit(X, Y)).set_params(**{name: value})
    assert other.get_params()[name] == value
    assert not hasattr(other[0], "vocabulary_")
    assert type(model[0]).__name__ in estimator_html_repr(model)


@line("set_output", "get_feature_names_out")
def test_names_of_columns():
    counts = CodeCountVectorizer(sparse_output=False).set_output(transform="pandas").fit(X)
    assert list(counts.transform(X).columns) == list(counts.get_feature_names_out())
    assert "C01" in counts.transform(X).columns
    states = make_lstm().set_output(transform="pandas").fit(X, Y).transform(X)
    assert list(states.columns) == [f"lstmvisitclassifier{i}" for i in range(4)]
    assert not hasattr(VisitSequenceTransformer(), "get_feature_names_out")


@pytest.mark.filterwarnings("ignore:Can't test estimator")
@line("check_estimator")
def test_estimators_pass_the_checks():
    for name in sklearn_ehr.__all__:
        if name.startswith("LSTM") or name.endswith(("Transformer", "Vectorizer")):
            check_estimator(getattr(sklearn_ehr, name)())


@line("n_jobs")
def test_processes():
    # That of networks is in tests/estimators/test_classifier.py.
    model = make_counts()
    alone, together = (cross_val_score(model, X, Y, cv=CV, n_jobs=n) for n in (1, 2))
    np.testing.assert_array_equal(alone, together)


@line("LogisticRegression", "SGDClassifier", "LinearSVC", "MultinomialNB")
def test_linear_models_after_counts():
    for last in (LogisticRegression(), SGDClassifier(random_state=0), LinearSVC(), MultinomialNB()):
        assert_answers(make_counts(last))


@line("RandomForestClassifier", "GradientBoostingClassifier", "KNeighborsClassifier")
def test_trees_and_neighbours_after_counts():
    few = {"n_estimators": 3, "random_state": 0}
    for last in (
        ensemble.RandomForestClassifier(**few),
        ensemble.GradientBoostingClassifier(**few),
        KNeighborsClassifier(),
    ):
        assert_answers(make_counts(last))


@line("KMeans", "IsolationForest")
def test_models_without_outcome_after_counts():
    for last in (
        KMeans(2, n_init=1, random_state=0),
        ensemble.IsolationForest(n_estimators=5, random_state=0),
    ):
        assert_answers(make_counts(last), None)


@line("HistGradientBoostingClassifier", "GaussianNB", "MinMaxScaler", "StandardScaler")
def test_what_needs_dense_counts():
    for last in (
        ensemble.HistGradientBoostingClassifier(max_iter=3),
        GaussianNB(),
        make_pipeline(preprocessing.MinMaxScaler(), LogisticRegression()),
        make_pipeline(preprocessing.StandardScaler(), LogisticRegression()),
    ):
        with pytest.raises((TypeError, ValueError), match=r"[Ss]parse"):
            make_counts(last).fit(X, Y)
        assert_answers(make_counts(last, sparse_output=False))


@line("StandardScaler(with_mean=False)", "MaxAbsScaler", "Normalizer", "Binarizer")
def test_scalers_of_sparse_counts():
    for step in (
        preprocessing.StandardScaler(with_mean=False),
        preprocessing.MaxAbsScaler(),
        preprocessing.Normalizer(),
        preprocessing.Binarizer(),
    ):
        assert make_counts(step).fit_transform(X).format == "csr"
        assert_answers(make_counts(make_pipeline(step, LogisticRegression())))


@line("TruncatedSVD", "NMF")
def test_decompositions_of_counts():
    for step in (TruncatedSVD(2), NMF(2, tol=0.1)):
        assert make_counts(step).fit_transform(X).shape == (len(X), 2)


@line("SelectKBest", "SelectFromModel", "VarianceThreshold", "RFE", "SequentialFeatureSelector")
def test_selection_of_codes():
    last = LogisticRegression(max_iter=1000)
    for step in (
        feature_selection.SelectKBest(feature_selection.chi2, k=3),
        feature_selection.SelectFromModel(last, max_features=3, threshold=-np.inf),
        feature_selection.VarianceThreshold(),
        feature_selection.RFE(last, n_features_to_select=3),
        feature_selection.SequentialFeatureSelector(last, n_features_to_select=3, cv=2),
    ):
        model = make_counts(step, max_vocabulary=5).fit(X, Y)
        n_kept = 5 if "Variance" in type(step).__name__ else 3
        names = model.get_feature_names_out()
        assert len(names) == n_kept
        assert set(names) <= set(model[0].get_feature_names_out())


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


SPLITS = []


class Splitter(StratifiedPatientKFold):
    """A splitter that records what it splits."""

    def split(self, X, y=None, groups=None):
        for train, test in super().split(X, y, groups):
            SPLITS.append((groups[train], groups[test]))
            yield train, test


@pytest.mark.filterwarnings("ignore::FutureWarning:sklearn.linear_model")
@line("groups", "RFECV", "LogisticRegressionCV")
def test_splitters_after_counts_keep_patients_whole(routing):
    for last in (
        feature_selection.RFECV(LogisticRegression(), cv=Splitter(2)),
        LogisticRegressionCV(Cs=2, cv=Splitter(2), max_iter=1000),
    ):
        SPLITS.clear()
        model = make_counts(last, max_vocabulary=5)
        model.fit(X, Y, groups=X.groups)
        assert len(SPLITS) == 2
        assert all(not set(train) & set(test) for train, test in SPLITS)
        # Without a scorer, scikit-learn 1.6 does not find what a pipeline requests.
        options = {"scoring": "accuracy", "error_score": "raise"}
        cross_validate(model, X, Y, cv=CV, params={"groups": X.groups}, **options)
        assert len(SPLITS) == 6
        with pytest.raises(ValueError, match="needs the patient of each sample"):
            clone(model).set_params(**{f"{model.steps[1][0]}__cv": CV}).fit(X, Y)


SEEN = []


class Recorder(LogisticRegression):
    """A regression that records its weights."""

    def fit(self, X, y, sample_weight=None):
        SEEN.append(sample_weight)
        return super().fit(X, y, sample_weight)


@line("sample_weight")
def test_weights_are_routed(routing):
    model = make_counts(Recorder(max_iter=1000).set_fit_request(sample_weight=True))
    scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
    for make in (
        lambda: model,
        lambda: GridSearchCV(model, grid_of(model), cv=CV, scoring=scorer),
        lambda: CalibratedClassifierCV(model, cv=CV),
        lambda: ensemble.StackingClassifier([("a", model)], cv=CV),
        lambda: ensemble.VotingClassifier([("a", model)]),
        lambda: TunedThresholdClassifierCV(model, cv=CV, scoring=scorer),
        lambda: FixedThresholdClassifier(model),
    ):
        SEEN.clear()
        make().fit(X, Y, sample_weight=WEIGHT)
        assert SEEN
        assert all(set(weight) <= set(WEIGHT) for weight in SEEN)
    SEEN.clear()
    scores = cross_validate(
        model,
        X,
        Y,
        cv=CV,
        scoring=scorer,
        params={"sample_weight": WEIGHT},
        return_estimator=True,
        return_indices=True,
    )
    folds = zip(scores["indices"]["train"], scores["indices"]["test"], strict=True)
    for i, (train, test) in enumerate(folds):
        np.testing.assert_array_equal(SEEN[i], WEIGHT[train])
        predicted = scores["estimator"][i].predict(X[test])
        expected = accuracy_score(np.asarray(Y)[test], predicted, sample_weight=WEIGHT[test])
        assert scores["test_score"][i] == expected
    lstm = make_lstm()
    lstm[-1].set_fit_request(sample_weight=True)
    routed = FixedThresholdClassifier(lstm).fit(X, Y, sample_weight=WEIGHT)
    sequences = VisitSequenceTransformer().fit_transform(X)
    alone = clone(lstm[-1]).fit(sequences, Y, sample_weight=WEIGHT)
    np.testing.assert_array_equal(routed.predict_proba(X), alone.predict_proba(sequences))


def make_validated():
    network = LSTMVisitClassifier(**TINY).set_fit_request(X_val=True, y_val=True)
    return make_pipeline(VisitSequenceTransformer(), network, transform_input=["X_val"])


def first_and_last():
    """A cohort to fit on, and one to validate with, of other patients."""
    is_first = X.samples["patient_id"].isin(X.samples["patient_id"].unique()[:50]).to_numpy()
    validation = {"X_val": X[~is_first], "y_val": Y[~is_first]}
    return X[is_first], Y[is_first], validation


@line("X_val", "y_val")
def test_validation_set_is_routed(routing):
    X_first, y_first, validation = first_and_last()
    model = make_validated()
    grid = {"lstmvisitclassifier__hidden_dim": [2, 3]}
    for meta, fitted in (
        (model, lambda meta: meta),
        (
            GridSearchCV(model, grid, cv=CV, error_score="raise"),
            lambda meta: meta.best_estimator_,
        ),
        (
            CalibratedClassifierCV(model, cv=CV),
            lambda meta: meta.calibrated_classifiers_[0].estimator,
        ),
        (ensemble.VotingClassifier([("a", model)]), lambda meta: meta.estimators_[0]),
        (TunedThresholdClassifierCV(model, cv=CV), lambda meta: meta.estimator_),
    ):
        network = fitted(meta.fit(X_first, y_first, **validation))[-1]
        # Nothing was split off, so nothing is refitted.
        assert network.history_["stage"].tolist() == ["fit"]
        assert network.history_["valid_loss"].notna().all()


@line("`X_val` in `StackingClassifier`", verdict="no")
def test_validation_set_and_stack(routing):
    X_first, y_first, validation = first_and_last()
    stack = ensemble.StackingClassifier([("a", make_validated())], cv=CV)
    with pytest.raises(TypeError, match="X_val"):
        stack.fit(X_first, y_first, **validation)
    fitted = make_validated().fit(X_first, y_first, **validation)
    stack = ensemble.StackingClassifier([("a", fitted)], cv="prefit")
    assert_answers(stack, validation["y_val"], validation["X_val"])


@pytest.fixture
def axes():
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra examples")
    from matplotlib.figure import Figure

    return Figure().subplots()


@line("RocCurveDisplay", "PrecisionRecallDisplay", "DetCurveDisplay")
def test_displays_of_scores(model, axes):
    score = model.fit(X, Y).predict_proba(X)[:, 1]
    roc = RocCurveDisplay.from_estimator(model, X, Y, ax=axes)
    assert roc.roc_auc == pytest.approx(roc_auc_score(Y, score))
    curve = PrecisionRecallDisplay.from_estimator(model, X, Y, ax=axes)
    assert curve.average_precision == pytest.approx(average_precision_score(Y, score))
    assert len(DetCurveDisplay.from_estimator(model, X, Y, ax=axes).fpr) > 2


@line("CalibrationDisplay", "ConfusionMatrixDisplay")
def test_displays_of_calibration_and_confusion(model, axes):
    model.fit(X, Y)
    display = CalibrationDisplay.from_estimator(model, X, Y, ax=axes)
    np.testing.assert_array_equal(display.y_prob, model.predict_proba(X)[:, 1])
    display = ConfusionMatrixDisplay.from_estimator(model, X, Y, ax=axes)
    np.testing.assert_array_equal(display.confusion_matrix, confusion_matrix(Y, model.predict(X)))


@line("LearningCurveDisplay", "ValidationCurveDisplay")
def test_displays_of_curves(model, axes):
    display = LearningCurveDisplay.from_estimator(model, X, Y, cv=CV, train_sizes=[40, 70], ax=axes)
    assert display.test_scores.shape == (2, 2)
    ((name, values),) = grid_of(model).items()
    display = ValidationCurveDisplay.from_estimator(
        model, X, Y, cv=CV, param_name=name, param_range=values, ax=axes
    )
    assert np.isfinite(display.test_scores).all()


@line("PredictionErrorDisplay")
def test_display_of_a_regression(model, axes):
    regression = as_regression(model).fit(X, RISK)
    display = PredictionErrorDisplay.from_estimator(regression, X, RISK, ax=axes, subsample=None)
    np.testing.assert_array_equal(display.y_pred, regression.predict(X))


@line("permutation_importance", verdict="after the counts")
def test_permutation_importance_of_counts():
    model = make_counts(sparse_output=False).fit(X, Y)
    for over in (model, make_lstm().fit(X, Y)):
        with pytest.raises(TypeError, match=r"model\[-1\] and model\[:-1\]\.transform\(X\)"):
            permutation_importance(over, X, Y)
    with pytest.raises(TypeError, match="CodeCountVectorizer in the place of"):
        permutation_importance(over[-1], over[:-1].transform(X), Y)
    # A code that the regression does not use has no importance.
    model[-1].coef_[0, 0] = 0
    found = permutation_importance(
        model[-1], model[:-1].transform(X), Y, n_repeats=2, random_state=0
    )
    assert found.importances_mean.shape == model[0].get_feature_names_out().shape
    assert found.importances_mean[0] == 0
    assert found.importances_mean.max() > 0


@line("partial_dependence", "PartialDependenceDisplay", verdict="after the counts")
def test_partial_dependence_on_counts(axes):
    model = make_counts(sparse_output=False).fit(X, Y)
    for over in (model, make_lstm().fit(X, Y)):
        for tool in (partial_dependence, PartialDependenceDisplay.from_estimator):
            with pytest.raises(IndexError, match=r"model\[-1\] and model\[:-1\]\.transform\(X\)"):
                tool(over, X, [0])
    with pytest.raises(IndexError, match="CodeCountVectorizer in the place of"):
        partial_dependence(over[-1], over[:-1].transform(X), [0])
    counts = model[:-1].transform(X)
    options = {"features": [0], "method": "brute", "response_method": "predict_proba"}
    found = partial_dependence(model[-1], counts, **options)
    counts_of_first = counts.copy()
    counts_of_first[:, 0] = found["grid_values"][0][0]
    expected = model[-1].predict_proba(counts_of_first)[:, 1].mean()
    assert found["average"][0, 0] == pytest.approx(expected)
    PartialDependenceDisplay.from_estimator(model[-1], counts, [0], ax=axes)


@line("`CodeCountVectorizer`, then `LSTMVisitClassifier`", verdict="no")
def test_network_after_counts_names_the_right_transformer():
    network = make_lstm()[-1]
    dense = CodeCountVectorizer(sparse_output=False)
    frame = clone(dense).set_output(transform="pandas")
    for counts in (CodeCountVectorizer(), dense, frame):
        with pytest.raises((ValueError, TypeError), match="VisitSequenceTransformer"):
            make_pipeline(counts, network).fit(X, Y)


@line("`VisitSequenceTransformer`, then `LogisticRegression`", verdict="no")
def test_regression_after_sequences_names_the_right_transformer():
    for last in (LogisticRegression(), ensemble.HistGradientBoostingClassifier(), LinearSVC()):
        with pytest.raises(TypeError, match="put CodeCountVectorizer in the place of"):
            make_pipeline(VisitSequenceTransformer(), last).fit(X, Y)


@line("`LogisticRegression` or `LSTMVisitClassifier` alone", verdict="no")
def test_model_alone_names_the_transformer():
    with pytest.raises(TypeError, match=NAMES_THE_WAY):
        LogisticRegression().fit(X, Y)
    with pytest.raises(TypeError, match=r"make_pipeline\(VisitSequenceTransformer\(\)"):
        LSTMVisitClassifier().fit(X, Y)


def test_every_line_is_tested_and_says_what_its_test_does():
    assert {tool: verdict for cell, verdict, _ in LINES for tool in tools_of(cell)} == TESTED


def test_no_tool_has_two_lines():
    assert len(TESTED) == sum(len(tools_of(cell)) for cell, _, _ in LINES)
