"""What cannot be reported is refused before any work, without showing a cell."""

import numpy as np
import pandas as pd
import pytest
from cases import Risk, with_column
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from sklearn_ehr import CodeCountVectorizer, Cohort, LSTMVisitSurvival, report


class Unready(Risk):
    """A model that must not be asked for predictions, nor fitted."""

    def predict_proba(self, X):
        raise AssertionError


def fitted(model, data):
    return model.fit(data[0], data[1])


def without(y, value, n):
    """Outcomes of which only `n` have a value."""
    y = y.to_numpy().copy()
    y[np.flatnonzero(y == value)[n:]] = 1 - value
    return y


def with_null(y):
    return y.astype(float).where(y.index != y.index[0])


def change(**new):
    """The arguments of a report with some of them changed."""

    def make(data):
        names = ["estimator", "X", "y", "X_test", "y_test"]
        arguments = dict(zip(names, [fitted(Unready(), data), *data], strict=True))
        return arguments | {name: make(data) for name, make in new.items()}

    return make


def always(value):
    return lambda data: value


def attrition_of(counts):
    return pd.DataFrame({"rule": ["a", "b"], "n_samples": counts, "n_patients": counts})


WRONG = {
    "class": (change(estimator=always(Risk)), TypeError, "must be a fitted classifier, got class"),
    "text": (change(estimator=always("SECRET")), TypeError, "estimator must be.*got str"),
    "not fitted": (change(estimator=always(Risk())), NotFittedError, "not fitted"),
    "regressor": (
        change(estimator=lambda d: fitted(DummyRegressor(), d)), TypeError, "classifier of two"
    ),
    "no probabilities": (
        change(estimator=lambda d: fitted(make_pipeline(CodeCountVectorizer(), LinearSVC()), d)),
        TypeError,
        "with predict_proba, such as a pipeline.*got Pipeline.*make_model_card",
    ),
    "three classes": (
        change(estimator=lambda d: DummyClassifier().fit(d[0], np.arange(len(d[0])) % 3)),
        ValueError,
        "must have two classes",
    ),
    "frame": (change(X=lambda d: d[0].samples), TypeError, "X must be a Cohort, got DataFrame"),
    "test frame": (change(X_test=lambda d: d[2].samples), TypeError, "X_test must be a Cohort"),
    "shared patients": (
        change(X_test=lambda d: d[0], y_test=lambda d: d[1]),
        ValueError,
        "share 250 patient.*PatientShuffleSplit",
    ),
    "short y": (change(y=lambda d: d[1][:9]), ValueError, r"X has \d+ samples, but y has 9"),
    "short y_test": (change(y_test=lambda d: d[3][:9]), ValueError, "but y_test has 9"),
    "null y": (change(y=lambda d: with_null(d[1])), ValueError, "y has 1 null"),
    "other values": (
        change(y_test=lambda d: d[3].map({0: "SECRET", 1: "b"})), ValueError, "holds other values"
    ),
    "two columns": (change(y=lambda d: np.eye(2)[d[1]]), ValueError, "y must hold one class"),
    "no outcome": (change(y_test=lambda d: d[3] * 0), ValueError, "at least 10 patients"),
    "few outcomes": (
        change(y_test=lambda d: without(d[3], 1, 9)), ValueError, "y_test must have both classes"
    ),
    "few without": (
        change(y=lambda d: without(d[1], 0, 9)), ValueError, "y must have both classes"
    ),
    "unknown group": (change(groups=always(["SECRET_ID"])), ValueError, "groups names 'SECRET_ID'"),
    "group of patients": (
        change(groups=always(["patient_id"])), ValueError, r"'patient_id'\] has the patients"
    ),
    "group of times": (change(groups=always(["prediction_time"])), TypeError, "has times"),
    "group of many": (
        change(groups=lambda d: {"g": [f"SECRET{i}" for i in range(len(d[2]))]}),
        ValueError,
        r"groups\['g'\] has \d+ different values",
    ),
    "short group": (change(groups=always({"g": ["SECRET"]})), ValueError, "has 1 values"),
    "number as groups": (change(groups=always(3)), TypeError, "groups must be a list"),
    "names that are numbers": (
        change(groups=lambda d: {1: d[2].samples["sex"]}), TypeError, "must be strings"
    ),
    "bins of no group": (
        change(groups=always(["age"]), bins=always({"sex": [1]})), ValueError, "bins has 'sex'"
    ),
    "bins of text": (
        change(groups=always(["sex"]), bins=always({"sex": [1]})), TypeError, "not hold numbers"
    ),
    "bins that fall": (
        change(groups=always(["age"]), bins=always({"age": [60, 50]})), ValueError, "increasing"
    ),
    "no bins": (
        change(groups=always(["age"]), bins=always({"age": []})), ValueError, "increasing numbers"
    ),
    "list of bins": (
        change(groups=always(["age"]), bins=always([60])), TypeError, "bins must be a dict"
    ),
    "attrition": (change(attrition=always([1])), TypeError, "attrition must be the second table"),
    "columns of attrition": (
        change(attrition=always(pd.DataFrame({"SECRET": [1]}))),
        ValueError,
        "rule, n_samples, n_patients is missing",
    ),
    "attrition that increases": (
        change(attrition=always(attrition_of([100, 200]))), ValueError, "increase from one rule"
    ),
    "attrition of texts": (
        change(attrition=always(attrition_of(["SECRET", 2]))), ValueError, "hold whole numbers"
    ),
    "attrition with a null": (
        change(attrition=always(attrition_of([3, None]))), ValueError, "without nulls"
    ),
    "comparison": (change(comparison=always("SECRETtrees")), TypeError, "comparison must be"),
    "comparison of a class": (change(comparison=always(Risk)), TypeError, "comparison must be"),
    "fitted comparison": (
        change(comparison=lambda d: fitted(DummyRegressor(), d)), TypeError, "must be a classifier"
    ),
    "threshold": (change(thresholds=always([0.1, 1])), ValueError, "above 0 and below 1"),
    "thresholds twice": (change(thresholds=always([0.1, 0.1])), ValueError, "distinct numbers"),
    "no threshold": (change(thresholds=always([])), ValueError, "distinct numbers"),
    "characteristics": (change(characteristics=always("sex")), TypeError, "must be a list"),
    "unknown characteristic": (
        change(characteristics=always(["height"])), ValueError, r"'height'.*X\.samples"
    ),
    "characteristic of one cohort": (
        change(
            X=lambda d: with_column(d[0], "height", 1), characteristics=always(["height"])
        ),
        ValueError,
        r"X_test\.samples",
    ),
    "patients as characteristic": (
        change(characteristics=always(["patient_id"])), ValueError, "holds patients"
    ),
    "draws": (change(n_bootstrap=always(0)), ValueError, "n_bootstrap"),
    "seed": (change(random_state=always("SEED")), ValueError, "random_state"),
    "survival": (
        change(
            estimator=lambda d: LSTMVisitSurvival(max_epochs=1).fit(
                np.array([[[2]], [[3]]] * 20),
                np.rec.fromarrays([[True, False] * 20, [1.0, 2.0] * 20]),
            )
        ),
        TypeError,
        "scikit-survival",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_refused_before_any_work(data, case):
    make, error, message = WRONG[case]
    with pytest.raises(error, match=message) as info:
        report(**make(data))
    told = str(info.value)
    if case not in ("unknown group", "comparison"):
        assert "SECRET" not in told


class TwoColumns(Risk):
    def predict_proba(self, X):
        return super().predict_proba(X)[:, :1]


def test_predictions_that_are_no_probabilities_are_refused(data):
    with pytest.raises(ValueError, match="predict_proba of estimator must return"):
        report(fitted(TwoColumns(), data), *data)
    with pytest.raises(ValueError, match="predict_proba of comparison must return"):
        report(fitted(Risk(), data), *data, comparison=TwoColumns())


def test_comparison_with_other_classes_is_refused(data):
    other = Risk().fit(data[0], data[1].map({0: "no", 1: "yes"}))
    with pytest.raises(ValueError, match="fitted with other classes"):
        report(fitted(Risk(), data), *data, comparison=other)


class Counted(Risk):
    n_fits = 0

    def fit(self, X, y):
        type(self).n_fits += 1
        self.seen_ = np.asarray(y)
        return super().fit(X, y)


def test_comparison_is_fitted_unless_it_is(data, model, monkeypatch):
    monkeypatch.setattr(Counted, "n_fits", 0)
    given = Counted(0.5)
    report(model, *data, comparison=given, n_bootstrap=2)
    assert Counted.n_fits == 1
    assert not hasattr(given, "classes_")
    given.fit(data[0], data[1])
    report(model, *data, comparison=given, n_bootstrap=2)
    assert Counted.n_fits == 2


@pytest.mark.parametrize("convert", [
    list,
    np.asarray,
    lambda y: y.astype(bool),
    lambda y: y.astype(float),
    lambda y: y.astype("Int64"),
    lambda y: y.set_axis(y.index[::-1]),
    lambda y: y.map({0: "no", 1: "yes"}),
    lambda y: y.map({0: "no", 1: "yes"}).astype("category"),
])  # fmt: skip
def test_outcomes_may_be_of_any_type(data, made, convert):
    X, y, X_test, y_test = data
    model = Risk(1.4, 0.2).fit(X, np.asarray(convert(y)))
    again = report(
        model, X, convert(y), X_test, convert(y_test), comparison=Risk(), n_bootstrap=30,
        random_state=5,
    )  # fmt: skip
    pd.testing.assert_frame_equal(again.performance, made.performance)


def test_patients_are_told_apart_by_the_groups_of_the_cohort(data, model):
    """Two stays of a person, of which one is tested on, have different patient ids."""
    X, y, X_test, y_test = data

    def grouped(cohort, first):
        person = first + np.unique(cohort.groups, return_inverse=True)[1]
        samples = cohort.samples.assign(person=person)
        return Cohort(cohort.event_table, samples, group="person")

    with pytest.raises(ValueError, match="share 20 patient"):
        report(model, grouped(X, 0), y, grouped(X_test, 230), y_test)
    made = report(
        model, grouped(X, 0), y, grouped(X_test, 1000), y_test, comparison=None, n_bootstrap=2
    )
    assert "person" not in made.characteristics.index.get_level_values(0)


def test_shared_patients_are_found_under_other_groups_and_types_of_id(data):
    X, y, X_test, y_test = data

    def renamed(cohort, convert, **columns):
        number = pd.Series(cohort.groups).str[-6:].astype(int) % 300
        time = cohort.samples["prediction_time"].min()
        patient = convert(np.arange(300))
        events = pd.DataFrame({"patient_id": patient, "code": "A", "time": time})
        samples = cohort.samples.assign(patient_id=convert(number.to_numpy()), **columns)
        group = "site_of" if columns else None
        return Cohort(events, samples, group=group)

    model = fitted(Risk(), data)
    with pytest.raises(ValueError, match="share 200 patient"):
        report(model, renamed(X, np.asarray), y, renamed(X_test, lambda of: of.astype(str)), y_test)
    with pytest.raises(ValueError, match="share 200 patient"):
        report(
            model, renamed(X, np.asarray, site_of="a"), y,
            renamed(X_test, np.asarray, site_of="b"), y_test,
        )  # fmt: skip


def test_pipeline_without_steps_of_this_package(data):
    class RiskColumn(BaseEstimator):
        def fit(self, X, y=None):
            return self

        def transform(self, X):
            return X.samples[["risk"]].to_numpy()

        def __sklearn_is_fitted__(self):
            return True

    model = make_pipeline(RiskColumn(), LogisticRegression()).fit(data[0], data[1])
    made = report(model, *data, comparison=None, n_bootstrap=2)
    assert made.description.startswith("This is a `Pipeline`.\n")
    assert "codes" not in made.description
