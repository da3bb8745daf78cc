"""Models are compared on the same patients, as `cross_validate` would, with paired intervals."""

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    make_scorer,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    PatientKFold,
    PatientShuffleSplit,
    StratifiedPatientKFold,
    TemporalPatientSplit,
    VisitSequenceTransformer,
    compare,
)
from sklearn_ehr.comparison import _bootstrap, _compare
from sklearn_ehr.datasets import make_visits

ONLY_CHANCE = {"LSTM": None, "regression": None, "trees": None, "chance": DummyClassifier()}
CURVES = ["roc_auc", "average_precision"]


@pytest.fixture(scope="module")
def data():
    """A cohort of one to three samples a patient, and a class of each sample."""
    X, _ = make_visits(240, n_codes=30, random_state=0)
    rng = np.random.default_rng(0)
    first = X.samples[["patient_id", "prediction_time", "risk"]]
    samples = first.loc[first.index.repeat(rng.integers(1, 4, len(first)))].reset_index(drop=True)
    samples["prediction_time"] -= pd.to_timedelta(rng.integers(0, 60, len(samples)), "D")
    samples = samples.drop_duplicates(ignore_index=True)
    y = pd.Series(rng.binomial(1, samples["risk"]), name="outcome")
    return Cohort(X.event_table, samples), y


@pytest.fixture
def few_draws(monkeypatch):
    monkeypatch.setattr(_bootstrap, "N_DRAWS", 60)


class Risk(ClassifierMixin, BaseEstimator):
    """The true risk with some noise, to a few digits, so that it has ties; learns nothing."""

    def __init__(self, noise=0.1, decimals=2):
        self.noise, self.decimals = noise, decimals

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        rng = np.random.default_rng(len(X))
        risk = X.samples["risk"] + self.noise * rng.standard_normal(len(X))
        risk = risk.clip(0, 1).round(self.decimals).to_numpy()
        others = np.tile(risk / (len(self.classes_) - 1), (len(self.classes_) - 1, 1))
        return np.column_stack([1 - risk, *others])

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


RISKS = {
    "LSTM": None,
    "regression": None,
    "trees": None,
    "some noise": Risk(0.2),
    "more noise": Risk(0.5, decimals=1),
}


class Broken(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        raise RuntimeError("out of order")


class BrokenInFit(Broken):
    def predict_proba(self, X):
        raise AssertionError


def the_three_by_hand(kind):
    counts = CodeCountVectorizer(encoding="log1p", last_visits=(1,))
    dense = CodeCountVectorizer(encoding="log1p", last_visits=(1,), sparse_output=False)
    if kind == "number":
        network = LSTMVisitRegressor(random_state=0)
        trees = HistGradientBoostingRegressor(random_state=0)
        grid = {"ridge__alpha": [1, 10, 100, 1000, 10000]}
        inner = PatientKFold(3, shuffle=True, random_state=0)
        search = GridSearchCV(make_pipeline(counts, Ridge()), grid, cv=inner, scoring="r2")
    else:
        network = LSTMVisitClassifier(random_state=0)
        trees = HistGradientBoostingClassifier(random_state=0)
        grid = {"logisticregression__C": [1e-4, 1e-3, 1e-2, 1e-1, 1]}
        inner = StratifiedPatientKFold(3, shuffle=True, random_state=0)
        linear = make_pipeline(counts, LogisticRegression(max_iter=1000))
        scoring = "roc_auc" if kind == "two classes" else "roc_auc_ovr"
        search = GridSearchCV(linear, grid, cv=inner, scoring=scoring)
    return {
        "LSTM": make_pipeline(VisitSequenceTransformer(), network),
        "regression": search,
        "trees": make_pipeline(dense, trees),
    }


@pytest.mark.parametrize(
    ("kind", "scoring"),
    [
        ("two classes", ["roc_auc", "average_precision", "accuracy"]),
        ("three classes", ["roc_auc_ovr", "neg_log_loss"]),
        ("number", ["r2", "neg_mean_absolute_error"]),
    ],
)
def test_scores_are_those_of_cross_validate_on_the_same_folds(
    data, few_epochs, few_draws, kind, scoring
):
    X, y = data
    if kind == "three classes":
        y = y + (X.samples["risk"] > 0.4)
    if kind == "number":
        y = y + X.samples["risk"]
    folds = PatientKFold if kind == "number" else StratifiedPatientKFold
    cv = folds(2, shuffle=True, random_state=0)
    table = compare(X, y, cv=2, scoring=scoring)
    for name, model in the_three_by_hand(kind).items():
        by_hand = cross_validate(model, X, y, cv=cv, scoring=scoring, error_score="raise")
        for metric in scoring:
            scores = by_hand[f"test_{metric}"]
            assert table.loc[name, (metric, "mean")] == pytest.approx(scores.mean(), abs=1e-6)
            assert table.loc[name, (metric, "std")] == pytest.approx(scores.std(ddof=1), abs=1e-6)


def test_differences_are_to_the_first_model(data, few_draws):
    X, y = data
    models = RISKS | {"chance": DummyClassifier()}
    table = compare(X, y, models, cv=3)["roc_auc"]
    assert table.index.tolist() == ["some noise", "more noise", "chance"]
    assert table.loc["some noise", ["difference", "low", "high"]].isna().all()
    others = table.loc[["more noise", "chance"]]
    expected = others["mean"] - table.loc["some noise", "mean"]
    np.testing.assert_allclose(others["difference"], expected)
    assert (others["low"] < others["difference"]).all()
    assert (others["difference"] < others["high"]).all()


@pytest.mark.parametrize("by", [roc_auc_score, average_precision_score])
@pytest.mark.parametrize(
    "cv",
    [StratifiedPatientKFold(3), PatientShuffleSplit(2, random_state=0)],
    ids=["folds", "random"],
)
def test_intervals_are_those_of_a_slow_loop_over_draws_and_patients(data, few_draws, by, cv):
    X, y = data
    table, risks = compare(
        X, y, RISKS, cv=cv, scoring=CURVES, random_state=3, return_predictions=True
    )
    split, sample = (risks.index.get_level_values(level) for level in ("split", "sample"))
    patient = X.groups[sample]
    patients = np.unique(patient)
    rng = np.random.default_rng(3)
    differences = []
    for _ in range(_bootstrap.N_DRAWS):
        drawn = patients[rng.integers(len(patients), size=len(patients))]
        of_splits = []
        for number in np.unique(split):
            in_split = [np.flatnonzero((patient == one) & (split == number)) for one in drawn]
            rows = np.concatenate(in_split)
            outcome = y.to_numpy()[sample[rows]]
            one, other = (by(outcome, risks[name].iloc[rows]) for name in risks)
            of_splits.append(other - one)
        differences.append(np.mean(of_splits))
    interval = table.loc["more noise", "roc_auc" if by is roc_auc_score else "average_precision"]
    np.testing.assert_allclose(
        interval[["low", "high"]], np.quantile(differences, [0.025, 0.975]), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_fast_metrics_have_the_intervals_of_any_scorer(data, few_draws, n_classes):
    X, y = data
    if n_classes == 3:
        y = y + (X.samples["risk"] > 0.4)
    scoring = {
        "fast AUC": "roc_auc_ovr",
        "AUC": make_scorer(roc_auc_score, response_method="predict_proba", multi_class="ovr"),
        "fast AP": "average_precision",
        "AP": make_scorer(average_precision_score, response_method="predict_proba"),
    }
    table = compare(X, y, RISKS, cv=2, scoring=scoring)
    for metric in ["AUC", "AP"]:
        np.testing.assert_allclose(table[f"fast {metric}"], table[metric], rtol=0, atol=1e-12)


def test_interval_is_not_given_if_many_draws_lack_a_class(data):
    X, y = data
    positives = np.flatnonzero(y)
    # Three positives, so that most draws have none of them in a fold.
    rows = np.sort(np.concatenate([positives[[0, 40, 80]], np.flatnonzero(y == 0)[:60]]))
    with pytest.warns(UserWarning, match=r"roc_auc is undefined in \d+ of 1000 draws") as warned:
        interval = compare(X[rows], y.iloc[rows], RISKS, cv=3).loc["more noise", "roc_auc"]
    assert "Its interval is not given" in str(warned[0].message)
    assert interval[["low", "high"]].isna().all()
    assert np.isfinite(interval["difference"])


def test_score_that_is_missing_in_a_split_leaves_no_mean(data, few_draws):
    X, y = data
    precise = make_scorer(precision_score, zero_division=np.nan)
    models = ONLY_CHANCE | {
        "chance": DummyClassifier(strategy="constant", constant=1),
        "noise": Risk(),
    }
    models["none"] = DummyClassifier(strategy="constant", constant=0)
    table = compare(X, y, models, cv=3, scoring={"precision": precise})["precision"]
    assert table.loc["none"].isna().all()
    assert np.isfinite(table.loc["chance", "mean"])


def test_few_draws_without_a_class_are_left_out(data, monkeypatch):
    X, y = data
    positives = np.flatnonzero(y)
    rows = np.sort(np.concatenate([positives[::5][:12], np.flatnonzero(y == 0)[:60]]))
    seen = []
    score = _bootstrap.score_draws

    def spy(*args):
        seen.append(score(*args))
        return seen[0]

    monkeypatch.setattr(_compare, "score_draws", spy)
    with pytest.warns(UserWarning, match="They are left out"):
        interval = compare(X[rows], y.iloc[rows], RISKS, cv=3).loc["more noise", "roc_auc"]
    (of_one, of_other), *_ = seen[0]
    assert 0 < np.isnan(of_one).sum() <= 50
    expected = np.nanquantile(of_other - of_one, [0.025, 0.975])
    np.testing.assert_array_equal(interval[["low", "high"]], expected)


def test_interval_of_a_number_is_that_of_its_metric(data, few_draws):
    X, y = data
    models = dict.fromkeys(["regression", "trees"]) | {"LSTM": Means(), "median": DummyRegressor()}
    y = y + X.samples["risk"]
    scoring = {"name": "r2", "own": make_scorer(r2_score)}
    table, numbers = compare(X, y, models, cv=3, scoring=scoring, return_predictions=True)
    np.testing.assert_array_equal(table["name"], table["own"])
    assert table.loc["median", ("name", "high")] < 0
    assert numbers.columns.tolist() == ["LSTM", "median"]
    assert numbers["median"].nunique() == 3


class Means(DummyRegressor):
    """Means of the outcome by whether the true risk is high."""

    def fit(self, X, y):
        high = X.samples["risk"] > 0.3
        self.means_ = y[high].mean(), y[~high].mean()
        return self

    def predict(self, X):
        return np.where(X.samples["risk"] > 0.3, *self.means_)


def test_predictions_are_of_each_test_sample(data, few_draws):
    X, y = data
    _, risks = compare(X, y, RISKS, cv=3, return_predictions=True)
    cv = StratifiedPatientKFold(3, shuffle=True, random_state=0)
    assert sorted(risks.index.get_level_values("sample")) == list(range(len(X)))
    for split, (_, test) in enumerate(cv.split(X, y)):
        of_split = risks.loc[split]
        assert of_split.index.tolist() == test.tolist()
        expected = Risk(0.2).fit(X, y).predict_proba(X[test])[:, 1]
        np.testing.assert_array_equal(of_split["some noise"], expected)


def test_predictions_have_a_column_for_each_of_many_classes(data, few_draws):
    X, y = data
    y = np.array(["low", "middle", "rare"])[y + (X.samples["risk"] > 0.4)]
    _, risks = compare(X, y, RISKS, cv=3, return_predictions=True)
    assert risks["some noise"].columns.tolist() == ["low", "middle", "rare"]
    np.testing.assert_allclose(risks["more noise"].sum(axis=1), 1)


def test_no_patient_is_in_two_folds(data, few_draws):
    X, y = data
    _, risks = compare(X, y, ONLY_CHANCE, return_predictions=True)
    split, sample = (risks.index.get_level_values(level) for level in ("split", "sample"))
    assert pd.Series(split).groupby(X.groups[sample]).nunique().max() == 1


def test_inner_search_keeps_patients_together(data, few_draws, monkeypatch):
    X, y = data
    seen = []
    split = StratifiedPatientKFold.split

    def spy(self, X, y=None, groups=None):
        for train, test in split(self, X, y, groups):
            seen.append((self.n_splits, set(X.groups[train]) & set(X.groups[test])))
            yield train, test

    monkeypatch.setattr(StratifiedPatientKFold, "split", spy)
    compare(X, y, {"LSTM": None, "trees": None}, cv=2)
    assert seen == [(2, set())] * 2 + [(3, set())] * 6


def test_single_split_has_no_spread(data, few_draws):
    X, y = data
    cv = TemporalPatientSplit("2003-01-01")
    table, risks = compare(X, y, RISKS, cv=cv, return_predictions=True)
    _, test = next(cv.split(X))
    assert risks.loc[0].index.tolist() == test.tolist()
    assert table["roc_auc", "std"].isna().all()
    assert (
        table.loc["more noise", ("roc_auc", "low")] < table.loc["more noise", ("roc_auc", "high")]
    )


def test_models_are_added_replaced_and_left_out(data, few_draws):
    X, y = data
    models = {"trees": DummyClassifier(), "LSTM": None, "noise": Risk()}
    table = compare(X, y, models, cv=2)
    assert table.index.tolist() == ["regression", "trees", "noise"]
    assert table.loc["trees", ("roc_auc", "mean")] == 0.5


def test_model_that_is_given_is_not_fitted_itself(data, few_draws):
    X, y = data
    model = Risk()
    compare(X, y, ONLY_CHANCE | {"noise": model}, cv=2)
    assert not hasattr(model, "classes_")


def test_table_is_reproducible_and_the_same_side_by_side(data, few_epochs, few_draws):
    X, y = data
    models = {"regression": None, "trees": None, "noise": Risk()}
    table = compare(X, y, models, cv=2)
    with parallel_config("threading"):
        again = compare(X, y, models, cv=2, n_jobs=2)
    pd.testing.assert_frame_equal(again["roc_auc"], table["roc_auc"])
    other = compare(X, y, models, cv=2, random_state=1)
    assert (other["roc_auc", "mean"] != table["roc_auc", "mean"]).all()


def test_table_is_printed_whole_in_80_columns(data, few_draws):
    table = compare(*data, {name: Risk() for name in ("LSTM", "regression", "trees")}, cv=2)
    table["fit_time"] = 123.456789
    lines = str(table).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) == 3 + len(table)
    assert "..." not in str(table)


@pytest.mark.parametrize("convert", [
    list,
    np.asarray,
    lambda y: y.set_axis(y.index[::-1]),
    lambda y: y.astype(bool),
    lambda y: y.astype("Int64"),
    lambda y: y.astype(float),
    lambda y: y.astype(object),
    lambda y: y.replace(0, -1),
])  # fmt: skip
def test_outcomes_may_be_of_any_type(data, few_draws, convert):
    X, y = data
    scoring = [*CURVES, "f1"]
    expected = compare(X, y, RISKS, cv=2, scoring=scoring)
    table = compare(X, convert(y), RISKS, cv=2, scoring=scoring)
    pd.testing.assert_frame_equal(table[scoring], expected[scoring])


@pytest.mark.parametrize("dtype", [str, "category"])
def test_outcomes_may_be_texts(data, few_draws, dtype):
    X, y = data
    texts = y.map({0: "no", 1: "yes"}).astype(dtype)
    yes = {
        "roc_auc": "roc_auc",
        "average_precision": make_scorer(
            average_precision_score, response_method="predict_proba", pos_label="yes"
        ),
        "f1": make_scorer(f1_score, pos_label="yes"),
    }
    expected = compare(X, y, RISKS, cv=2, scoring=list(yes))
    table = compare(X, texts, RISKS, cv=2, scoring=yes)
    pd.testing.assert_frame_equal(table[list(yes)], expected[list(yes)])


def test_scorers_get_the_labels_as_they_are(data, few_draws):
    X, y = data
    y = y + 1
    scoring = {
        "f1": "f1",
        "average_precision": "average_precision",
        "first": make_scorer(recall_score, pos_label=1),
        "second": make_scorer(recall_score, pos_label=2),
        "only": make_scorer(recall_score, labels=[2], average="macro"),
    }
    table = compare(X, y, RISKS, cv=StratifiedPatientKFold(2), scoring=scoring)
    cv = StratifiedPatientKFold(2)
    by_hand = cross_validate(RISKS["some noise"], X, y, cv=cv, scoring=scoring)
    for metric in scoring:
        mean = by_hand[f"test_{metric}"].mean()
        assert table.loc["some noise", (metric, "mean")] == pytest.approx(mean, abs=1e-12)
    low, high = table.loc["more noise", ("average_precision", ["low", "high"])]
    assert low < table.loc["more noise", ("average_precision", "difference")] < high


def test_verbose_prints_a_line_a_fit(data, few_draws, capsys):
    X, y = data
    compare(X, y, RISKS, cv=2)
    assert capsys.readouterr().out == ""
    compare(X, y, RISKS, cv=2, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[1].startswith("more noise, split 1 of 2: roc_auc 0.")


def test_copies_of_samples_are_told(data, few_draws):
    X, y = data
    rows = np.r_[: len(X), 0:9, 0:9]
    with pytest.warns(UserWarning, match=f"18 of the {rows.size} samples of X are copies"):
        compare(X[rows], y.iloc[rows], RISKS, cv=2)


def test_what_a_model_raises_names_the_model(data):
    X, y = data
    with pytest.raises(RuntimeError, match="out of order") as info:
        compare(X, y, ONLY_CHANCE | {"mine": BrokenInFit()}, cv=2)
    assert "mine, split 1 of 2" in info.value.__notes__[0]


SURVIVAL = np.rec.fromarrays([[True], [1.5]], names=["event", "duration"])
WRONG = [
    (lambda X, y: (X.samples, y), {}, TypeError, "X must be a Cohort, got DataFrame"),
    (lambda X, y: (X, y[:9]), {}, ValueError, r"X has \d+ samples, but y has 9"),
    (lambda X, y: (X, y.where(y == 1)), {}, ValueError, r"y has \d+ null.*known = y.notna"),
    (lambda X, y: (X, y.map({0: "SECRET"})), {}, ValueError, r"y has \d+ null"),
    (lambda X, y: (X, ["SECRET"] * len(y)), {}, ValueError, "y has the same value"),
    (lambda X, y: (X, np.repeat(SURVIVAL, len(y))), {}, ValueError, "LSTMVisitSurvival"),
    (lambda X, y: (X, np.eye(2)[y]), {}, ValueError, "one class, or one finite number"),
    (lambda X, y: (X, [["SECRET"], ["SECRET", "b"]] * 9), {}, ValueError, "labels of visits"),
    (lambda X, y: (X, np.array([1, "SECRET"] * 9, object)), {}, ValueError, "must have one class"),
    (lambda X, y: (X, np.full(len(y), np.inf)), {}, ValueError, "finite number"),
    (lambda X, y: (X, None), {}, ValueError, "y must have one class"),
    (lambda X, y: (X, np.minimum(y.index, 3)), {"cv": 3}, ValueError, "Whole numbers are read as"),
    (lambda X, y: (X, y), {"cv": KFold(5)}, ValueError, r"the same \d+ patient"),
    (lambda X, y: (X, y), {"cv": 1}, ValueError, "n_splits=1"),
    (lambda X, y: (X, y), {"cv": []}, ValueError, "cv gives no split"),
    (lambda X, y: (X, y), {"random_state": 2**33}, ValueError, "random_state"),
    (
        lambda X, y: (X, np.arange(len(y)) % 120 == 0),
        {"cv": 2, "models": {"LSTM": None, "trees": None}},
        ValueError,
        r"class with \d patient\(s\) to train on, too few to tune",
    ),
    (lambda X, y: (X, y), {"cv": [([0], [])]}, ValueError, "Split 1 of 1 has no sample"),
    (lambda X, y: (X, y), {"cv": [([0], [9])]}, ValueError, "only 1 of 2 classes to train on"),
    (lambda X, y: (X, y), {"models": {"a": Broken()}}, TypeError, r"models\['a'\].*predict_proba"),
    (lambda X, y: (X, y), {"scoring": "rok_auc"}, ValueError, "rok_auc"),
    (lambda X, y: (X, y + 0.5), {"scoring": "roc_auc"}, ValueError, "'roc_auc' does not score"),
    (lambda X, y: (X, y), {"scoring": {"own": len}}, ValueError, "'own' does not score binary"),
    (lambda X, y: (X, y), {"scoring": []}, TypeError, "scoring must be the name of a metric"),
    (lambda X, y: (X, y), {"scoring": roc_auc_score}, TypeError, "got <function>"),
    (lambda X, y: (X, y), {"models": [Risk()]}, TypeError, "must be a dict.*got list"),
    (lambda X, y: (X, y), {"models": {1: Risk()}}, TypeError, "must be strings, got int"),
    (lambda X, y: (X, y), {"models": {"lstm": None}}, ValueError, "these are 'LSTM', 'regression'"),
    (lambda X, y: (X, y), {"models": {"a": Risk}}, TypeError, r"models\['a'\].*got Risk"),
    (lambda X, y: (X, y), {"models": {"a": "SECRET"}}, TypeError, r"models\['a'\].*got str"),
    (
        lambda X, y: (X, y),
        {"models": dict.fromkeys(["LSTM", "regression", "trees"])},
        ValueError,
        "leaves out every model",
    ),
    (lambda X, y: (X, y), {"random_state": "SEED"}, ValueError, "random_state"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:The groups parameter is ignored by KFold")
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@pytest.mark.filterwarnings("ignore:The least populated class in y")
@pytest.mark.parametrize(("change", "options", "error", "message"), WRONG)
def test_wrong_input_is_refused_before_any_fit(data, change, options, error, message):
    X, y = change(*data)
    options = {"models": ONLY_CHANCE | {"broken": BrokenInFit()}} | options
    with pytest.raises(error, match=message) as info:
        compare(X, y, **options)
    assert "SECRET" not in str(info.value)
