"""What scikit-learn does with arrays, it does with a cohort."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
    permutation_test_score,
    train_test_split,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    LSTMVisitClassifier,
    PatientKFold,
    StratifiedPatientKFold,
    VisitSequenceTransformer,
)

CV = StratifiedPatientKFold(3)
GRID = {"logisticregression__C": [0.01, 1.0]}


@pytest.fixture(scope="module")
def data():
    """200 samples of 80 patients; code "risk" before the prediction time makes y likely."""
    rng = np.random.default_rng(0)
    n_events = 1200
    events = pd.DataFrame(
        {
            "patient_id": rng.integers(0, 80, n_events),
            "time": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(rng.integers(0, 10**6, n_events), "min"),
            "code": rng.choice(
                ["risk", "b", "c", "d", "e"], n_events, p=[0.05, 0.2, 0.25, 0.25, 0.25]
            ),
        }
    )
    samples = pd.DataFrame(
        {
            "patient_id": rng.integers(0, 80, 200),
            "prediction_time": pd.Timestamp("2021-01-01")
            + pd.to_timedelta(rng.integers(0, 10**5, 200), "min"),
        }
    )
    cohort = Cohort(events, samples)
    visible = cohort.visible_events()
    n_risk = np.bincount(visible.loc[visible["code"] == "risk", "sample"], minlength=200)
    y = (n_risk + rng.normal(0, 0.3, 200) > 0.5).astype(int)
    assert 40 < y.sum() < 160
    return cohort, y


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small problems are slowed down by threads of BLAS that wait for each other."""
    with threadpool_limits(1):
        yield


def make_model(C=1.0):
    vectorizer = CodeCountVectorizer(min_frequency=1, visits="time")
    return make_pipeline(vectorizer, LogisticRegression(C=C))


def dense(cohort):
    """Counts of each code, made without the package's transformers: an independent path."""
    visible = cohort.visible_events()
    counts = pd.crosstab(visible["sample"], visible["code"])
    return counts.reindex(index=range(len(cohort)), columns=[*"bcde", "risk"], fill_value=0)


def by_hand(cohort, y):
    """Out-of-fold probabilities by a loop over the folds of the independent path."""
    X = dense(cohort).to_numpy(dtype=float)
    proba = np.empty(len(y))
    for train, test in CV.split(cohort, y):
        proba[test] = LogisticRegression().fit(X[train], y[train]).predict_proba(X[test])[:, 1]
    return proba


def assert_fits(model, cohort, y):
    """Fit, and expect sensible answers of the right shape for any subset."""
    model.fit(cohort, y)
    proba = model.predict_proba(cohort)
    assert proba.shape == (200, 2)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert roc_auc_score(y, proba[:, 1]) > 0.75
    np.testing.assert_allclose(model.predict_proba(cohort[[5, 3]]), proba[[5, 3]])
    assert set(model.predict(cohort)) == {0, 1}
    return proba


def test_pipeline_equals_the_independent_path(data):
    cohort, y = data
    X = dense(cohort).to_numpy(dtype=float)
    expected = LogisticRegression().fit(X, y).predict_proba(X)
    np.testing.assert_allclose(assert_fits(make_model(), cohort, y), expected, rtol=1e-4)


def test_train_test_split(data):
    cohort, y = data
    train, test, y_train, y_test = train_test_split(cohort, y, test_size=50, random_state=0)
    rows, rows_test = train_test_split(np.arange(200), test_size=50, random_state=0)
    pd.testing.assert_frame_equal(train.samples, cohort.samples.iloc[rows])
    pd.testing.assert_frame_equal(test.samples, cohort.samples.iloc[rows_test])
    assert make_model().fit(train, y_train).score(test, y_test) > 0.7


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_cross_val_score(data, n_jobs):
    cohort, y = data
    scores = cross_val_score(make_model(), cohort, y, cv=CV, scoring="roc_auc", n_jobs=n_jobs)
    proba = by_hand(cohort, y)
    expected = [roc_auc_score(y[test], proba[test]) for _, test in CV.split(cohort, y)]
    np.testing.assert_allclose(scores, expected)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_cross_val_predict(data, n_jobs):
    cohort, y = data
    proba = cross_val_predict(make_model(), cohort, y, cv=CV, method="predict_proba", n_jobs=n_jobs)
    np.testing.assert_allclose(proba[:, 1], by_hand(cohort, y), rtol=1e-3)


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize(
    "make_search",
    [
        lambda **options: GridSearchCV(make_model(), GRID, **options),
        lambda **options: RandomizedSearchCV(
            make_model(), GRID, n_iter=2, random_state=0, **options
        ),
    ],
)
def test_searches_score_each_candidate_as_cross_val_score_does(data, make_search, n_jobs):
    cohort, y = data
    search = make_search(cv=CV, scoring="roc_auc", n_jobs=n_jobs)
    assert_fits(search, cohort, y)
    for params, mean in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        model = make_model().set_params(**params)
        scores = cross_val_score(model, cohort, y, cv=CV, scoring="roc_auc")
        assert mean == pytest.approx(scores.mean())


def test_halving_search_over_samples(data):
    cohort, y = data
    options = {"resource": "n_samples", "min_resources": 60, "cv": CV, "random_state": 0}
    grid = {"logisticregression__C": [0.01, 0.1, 1.0]}
    search = HalvingGridSearchCV(make_model(), grid, factor=3, n_jobs=1, **options)
    assert_fits(search, cohort, y)
    assert search.n_resources_ == [60, 180]
    parallel = clone(search).set_params(n_jobs=2).fit(cohort, y)
    for key in ("mean_test_score", "n_resources", "iter"):
        np.testing.assert_array_equal(parallel.cv_results_[key], search.cv_results_[key])


def test_learning_curve(data):
    cohort, y = data
    options = {"cv": CV, "train_sizes": [40, 100], "scoring": "roc_auc"}
    sizes, train_scores, test_scores = learning_curve(make_model(), cohort, y, n_jobs=1, **options)
    assert sizes.tolist() == [40, 100]
    train, test = next(CV.split(cohort, y))
    model = make_model().fit(cohort[train[:40]], y[train[:40]])
    expected = roc_auc_score(y[test], model.predict_proba(cohort[test])[:, 1])
    assert test_scores[0, 0] == pytest.approx(expected)
    parallel = learning_curve(make_model(), cohort, y, n_jobs=2, **options)
    np.testing.assert_array_equal(parallel[1], train_scores)
    np.testing.assert_array_equal(parallel[2], test_scores)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_permutation_test_score_without_groups(data, n_jobs):
    cohort, y = data
    score, permuted, p_value = permutation_test_score(
        make_model(),
        cohort,
        y,
        cv=PatientKFold(3),
        n_permutations=9,
        scoring="roc_auc",
        n_jobs=n_jobs,
        random_state=0,
    )
    expected = cross_val_score(make_model(), cohort, y, cv=PatientKFold(3), scoring="roc_auc")
    assert score == pytest.approx(expected.mean())
    assert len(permuted) == 9
    assert p_value == pytest.approx(0.1)


@pytest.mark.parametrize(
    "make_meta",
    [
        lambda **options: CalibratedClassifierCV(make_model(), cv=CV, **options),
        lambda **options: CalibratedClassifierCV(
            make_model(), cv=CV, method="isotonic", ensemble=False, **options
        ),
        lambda **options: StackingClassifier(
            [("weak", make_model(0.01)), ("strong", make_model())], cv=CV, **options
        ),
        lambda **options: VotingClassifier(
            [("weak", make_model(0.01)), ("strong", make_model())], voting="soft", **options
        ),
        lambda **options: OneVsRestClassifier(make_model(), **options),
        lambda **options: TunedThresholdClassifierCV(make_model(), cv=CV, **options),
    ],
    ids=["sigmoid", "isotonic", "stacking", "voting", "one-vs-rest", "threshold"],
)
def test_meta_estimators_fit_and_do_so_in_parallel(data, make_meta):
    cohort, y = data
    proba = assert_fits(make_meta(n_jobs=1), cohort, y)
    parallel = make_meta(n_jobs=2).fit(cohort, y)
    np.testing.assert_allclose(parallel.predict_proba(cohort), proba)
    np.testing.assert_array_equal(
        parallel.predict(cohort), make_meta(n_jobs=1).fit(cohort, y).predict(cohort)
    )


def test_calibration_is_fitted_on_the_folds_of_patients(data):
    cohort, y = data
    model = CalibratedClassifierCV(make_model(), cv=CV).fit(cohort, y)
    train, _ = next(CV.split(cohort, y))
    alone = make_model().fit(cohort[train], y[train])
    inner = model.calibrated_classifiers_[0].estimator
    np.testing.assert_allclose(inner.predict_proba(cohort), alone.predict_proba(cohort))


class Recorder(DummyClassifier):
    """A classifier that records the patients of each fit and of each prediction after it."""

    splits = []

    def fit(self, X, y):
        self.patients_ = X.groups
        return super().fit(X, y)

    def predict_proba(self, X):
        self.splits.append((self.patients_, X.groups))
        return super().predict_proba(X)


@pytest.mark.parametrize(
    "model",
    [
        StackingClassifier([("inner", Recorder())], cv=CV),
        StackingClassifier([("inner", make_pipeline("passthrough", Recorder()))], cv=CV),
        CalibratedClassifierCV(Recorder(), cv=CV),
        CalibratedClassifierCV(Recorder(), cv=CV, ensemble=False),
        VotingClassifier([("inner", CalibratedClassifierCV(Recorder(), cv=CV))], voting="soft"),
        StackingClassifier(
            [("inner", CalibratedClassifierCV(Recorder(), cv=CV))], cv=StratifiedPatientKFold(2)
        ),
    ],
    ids=["stacking", "pipeline", "calibration", "one calibration", "voting", "both"],
)
def test_no_patient_is_on_both_sides_of_an_inner_split(data, model, monkeypatch):
    cohort, y = data
    splits = []
    monkeypatch.setattr(Recorder, "splits", splits)
    model.fit(cohort, y)
    for fitted, predicted in splits:
        assert not set(fitted) & set(predicted)
    # The splits are there, and each of the patients was predicted.
    assert len(splits) >= CV.n_splits
    assert {patient for _, predicted in splits for patient in predicted} == set(cohort.groups)


@pytest.mark.parametrize(
    "make_meta",
    [
        lambda lstm: VotingClassifier([("lstm", lstm), ("counts", make_model())], voting="soft"),
        lambda lstm: StackingClassifier([("lstm", lstm), ("counts", make_model())], cv=CV),
        lambda lstm: CalibratedClassifierCV(lstm, cv=CV),
    ],
    ids=["voting", "stacking", "calibration"],
)
@pytest.mark.filterwarnings("ignore:LSTMVisitClassifier has .* samples to learn from")
def test_early_stopping_inside_keeps_patients_whole(data, make_meta):
    cohort, y = data
    validated = []

    def score(model, X, y):
        validated.append(X.groups)
        return 0.0

    lstm = make_pipeline(
        VisitSequenceTransformer(min_frequency=1, visits="time"),
        LSTMVisitClassifier(
            embedding_dim=2, hidden_dim=2, max_epochs=1, scoring=score, random_state=0
        ),
    )
    make_meta(lstm).fit(cohort, y)
    n_samples = pd.Series(cohort.groups).value_counts()
    assert validated
    for groups in validated:
        assert 0 < len(groups) < 60
        # All samples of a patient are among those to validate with, so none is trained on.
        n_validated = pd.Series(groups).value_counts()
        assert (n_validated == n_samples[n_validated.index]).all()


def test_stacking_learns_from_out_of_fold_predictions(data):
    cohort, y = data
    model = StackingClassifier([("model", make_model())], cv=CV).fit(cohort, y)
    proba = cross_val_predict(make_model(), cohort, y, cv=CV, method="predict_proba")
    final = LogisticRegression().fit(proba[:, 1:], y)
    np.testing.assert_allclose(model.final_estimator_.coef_, final.coef_)


def test_voting_averages(data):
    cohort, y = data
    models = [("weak", make_model(0.01)), ("strong", make_model())]
    voting = VotingClassifier(models, voting="soft").fit(cohort, y)
    expected = np.mean([m.fit(cohort, y).predict_proba(cohort) for _, m in models], axis=0)
    np.testing.assert_allclose(voting.predict_proba(cohort), expected)


def test_one_vs_rest_of_three_outcomes(data):
    cohort, y = data
    y = np.array(["none", "some", "many"])[y + (np.arange(200) % 5 == 0)]
    model = OneVsRestClassifier(make_model()).fit(cohort, y)
    assert model.classes_.tolist() == ["many", "none", "some"]
    single = make_model().fit(cohort, (y == "many").astype(int))
    np.testing.assert_allclose(
        model.decision_function(cohort)[:, 0], single.decision_function(cohort)
    )


def test_tuned_threshold_is_that_of_the_out_of_fold_predictions(data):
    cohort, y = data
    model = TunedThresholdClassifierCV(make_model(), cv=CV).fit(cohort, y)
    proba = model.estimator_.predict_proba(cohort)[:, 1]
    np.testing.assert_array_equal(model.predict(cohort), proba >= model.best_threshold_)
    fixed = FixedThresholdClassifier(make_model(), threshold=model.best_threshold_)
    np.testing.assert_array_equal(fixed.fit(cohort, y).predict(cohort), model.predict(cohort))


def test_dummy_classifier(data):
    cohort, y = data
    model = DummyClassifier(strategy="prior").fit(cohort, y)
    np.testing.assert_allclose(model.predict_proba(cohort[:7])[:, 1], np.full(7, y.mean()))
    scores = cross_val_score(model, cohort, y, cv=CV, n_jobs=2)
    expected = [max(y[test].mean(), 1 - y[test].mean()) for _, test in CV.split(cohort, y)]
    np.testing.assert_allclose(scores, expected)


def test_nested_search_in_parallel_equals_the_search_by_hand(data):
    cohort, y = data
    search = GridSearchCV(make_model(), GRID, cv=CV, scoring="roc_auc")
    scores = cross_val_score(search, cohort, y, cv=CV, scoring="roc_auc", n_jobs=2)
    expected = []
    for train, test in CV.split(cohort, y):
        # The outer loop by hand, the inner in parallel: it pickles subsets of the cohort.
        inner = clone(search).set_params(n_jobs=2).fit(cohort[train], y[train])
        expected.append(roc_auc_score(y[test], inner.predict_proba(cohort[test])[:, 1]))
    np.testing.assert_allclose(scores, expected)


def test_no_fitted_model_holds_a_patient(data):
    y = data[1][:80]
    ids = {"patient_id": [f"PATIENT{i}" for i in range(80)]}
    events = pd.DataFrame({**ids, "time": 1, "code": ["b", "c"] * 40})
    named = Cohort(events, pd.DataFrame({**ids, "prediction_time": 2}))
    model = CalibratedClassifierCV(make_model(), cv=PatientKFold(3)).fit(named, y)
    assert b"PATIENT" in pickle.dumps(named)
    assert b"PATIENT" not in pickle.dumps(model)
