"""Importance of codes, against the truth of simulated patients and a slow reference."""

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    Cohort,
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
    PatientKFold,
    VisitSequences,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits
from sklearn_ehr.inspection import code_importance

# The codes of `make_visits` on which the outcome depends.
SIGNAL = [f"C{rank:02d}" for rank in range(15, 23)]
SMALL = {"embedding_dim": 32, "hidden_dim": 16, "lr": 5e-3, "early_stopping": False}


@pytest.fixture(scope="module")
def fitted():
    """A model of the outcome, samples that it has not seen, and their outcomes."""
    X, y = make_visits(4000, n_codes=40, random_state=0)
    lstm = LSTMVisitClassifier(max_epochs=6, random_state=0, **SMALL)
    model = make_pipeline(VisitSequenceTransformer(max_visits=10), lstm)
    return model.fit(X[:3400], y[:3400]), X[3400:], y[3400:].to_numpy()


@pytest.fixture(scope="module")
def importance(fitted):
    model, X, y = fitted
    return code_importance(model, X, y, scoring="neg_log_loss", n_repeats=2, random_state=0)


def test_codes_of_the_outcome_are_the_most_important(importance):
    assert len(set(importance.index[:8]) & set(SIGNAL)) >= 7
    others = importance["importance"].drop(SIGNAL)
    assert others.abs().mean() < 0.1 * importance.loc[SIGNAL, "importance"].mean()


def test_table_has_each_code_of_the_vocabulary_the_most_important_first(fitted, importance):
    model, X, _ = fitted
    assert sorted(importance.index) == sorted(model[0].vocabulary_.codes)
    assert importance.index.name == "code"
    assert importance.columns.tolist() == ["importance", "standard_error", "n_patients"]
    assert importance["importance"].is_monotonic_decreasing
    events = X.visible_events()
    # Only those of the last visits are read.
    assert (
        importance["n_patients"]
        <= events.groupby("code", observed=True)["sample"].nunique()[importance.index]
    ).all()
    assert importance["n_patients"].max() > 500


def permute_slowly(histories, group, donors):
    """Lists of visits in which each sample has the codes of the group of its donor."""
    permuted = []
    for own, donor in zip(histories, [histories[i] for i in donors], strict=True):
        history = [[token for token in visit if token not in group] for visit in own]
        for back, visit in enumerate(reversed(donor), start=1):
            at = max(len(own) - back, 0)
            # A code that a later visit of the donor has already brought to this visit stays single.
            history[at] += [t for t in visit if t in group and t not in history[at]]
        permuted.append(history)
    return permuted


def sequences_of(histories, vocabulary):
    visits = [visit for history in histories for visit in history]
    return VisitSequences(
        np.array([token for visit in visits for token in visit], dtype=np.int32),
        np.cumsum([0, *map(len, visits)]),
        np.cumsum([0, *map(len, histories)]),
        vocabulary=vocabulary,
    )


def test_importance_is_the_mean_decrease_of_the_score_of_permuted_histories(fitted):
    model, X, y = fitted
    transformer, lstm = model
    sequences = transformer.transform(X)
    tokens = np.split(sequences.tokens, sequences.visit_offsets[1:-1])
    histories = [
        [tokens[visit].tolist() for visit in range(*sequences.sample_offsets[i : i + 2])]
        for i in range(len(sequences))
    ]
    groups = {"one": ["C16"], "two": ["C20", "C01"]}
    found = code_importance(
        model, X, y, scoring="roc_auc", groups=groups, n_repeats=3, random_state=7
    )
    rng = np.random.RandomState(7)
    donors = [rng.permutation(len(y)) for _ in range(3)]
    best = roc_auc_score(y, lstm.predict_proba(sequences)[:, 1])
    for name, codes in groups.items():
        ids = set(transformer.vocabulary_.encode(codes).tolist())
        decreases = []
        for one in donors:
            permuted = sequences_of(permute_slowly(histories, ids, one), sequences.vocabulary)
            decreases.append(best - roc_auc_score(y, lstm.predict_proba(permuted)[:, 1]))
        row = found.loc[name]
        assert row["importance"] == pytest.approx(np.mean(decreases), abs=1e-6)
        assert row["standard_error"] == pytest.approx(np.std(decreases, ddof=1) / 3**0.5, abs=1e-6)
        assert row["n_patients"] == sum(
            any(ids & set(visit) for visit in history) for history in histories
        )


def test_same_random_state_gives_the_same_in_any_number_of_jobs(fitted):
    model, X, y = fitted
    X, y = X[:100], y[:100]
    options = {"scoring": "neg_log_loss", "n_repeats": 2}
    one = code_importance(model, X, y, random_state=3, **options)
    with parallel_config("threading"):
        two = code_importance(model, X, y, random_state=3, n_jobs=2, **options)
    pd.testing.assert_frame_equal(one, two)
    other = code_importance(model, X, y, random_state=4, **options)
    assert not np.array_equal(one["importance"], other["importance"])


def test_groups_may_be_a_dict_or_a_function(fitted):
    model, X, y = fitted
    options = {"scoring": "neg_log_loss", "n_repeats": 2, "random_state": 0}
    # A code that the model does not know is not permuted.
    of_dict = {"outcome": [*SIGNAL, "Z99"], "first": ["C01"]}
    by_dict = code_importance(model, X, y, groups=of_dict, **options)

    def group_of(code):
        return "outcome" if code in SIGNAL else "first" if code == "C01" else None

    by_function = code_importance(model, X, y, groups=group_of, **options)
    assert by_dict.index.tolist() == ["outcome", "first"]
    assert by_dict.index.name == "group"
    pd.testing.assert_frame_equal(by_dict, by_function)


def test_group_matters_more_than_its_codes(fitted, importance):
    model, X, y = fitted
    group = code_importance(
        model,
        X,
        y,
        scoring="neg_log_loss",
        groups={"outcome": SIGNAL},
        n_repeats=2,
        random_state=0,
    )
    assert group.loc["outcome", "importance"] > 2 * importance["importance"].max()


def test_scoring_may_be_a_name_a_function_or_the_score_of_the_estimator(fitted):
    model, X, y = fitted
    options = {"groups": {"outcome": SIGNAL}, "n_repeats": 2, "random_state": 0}

    def minus_log_loss(estimator, X, y):
        return -log_loss(y, estimator.predict_proba(X)[:, 1])

    by_name = code_importance(model, X, y, scoring="neg_log_loss", **options)
    by_function = code_importance(model, X, y, scoring=minus_log_loss, **options)
    pd.testing.assert_frame_equal(by_name, by_function)
    accuracy = code_importance(model, X, y, scoring="accuracy", **options)
    pd.testing.assert_frame_equal(accuracy, code_importance(model, X, y, **options))


def test_scorer_may_ask_for_predictions_of_some_samples(fitted):
    model, X, y = fitted
    half = np.arange(0, len(y), 2)

    def of_half(estimator, X, y):
        return roc_auc_score(y[half], estimator.predict_proba(X[half])[:, 1])

    def of_half_of_all(estimator, X, y):
        return roc_auc_score(y[half], estimator.predict_proba(X)[half, 1])

    options = {"groups": {"outcome": SIGNAL}, "n_repeats": 2, "random_state": 0}
    pd.testing.assert_frame_equal(
        code_importance(model, X, y, scoring=of_half, **options),
        code_importance(model, X, y, scoring=of_half_of_all, **options),
        atol=1e-6,
    )


def test_code_that_nobody_has_does_not_matter(fitted):
    model, X, y = fitted
    sequences = model[0].transform(X)
    without = sequences.tokens.copy()
    without[without == 2] = 3
    sequences.tokens = without
    found = code_importance(model[-1], sequences, y, groups={"gone": ["C01"]}, n_repeats=2)
    assert found.loc["gone"].tolist() == [0, 0, 0]


def test_patients_are_counted_and_not_samples(fitted):
    model, _, _ = fitted
    events = pd.DataFrame(
        {
            "patient_id": [1, 2, 2],
            "time": pd.to_datetime(["2020-01-01"] * 3),
            "visit_id": 1,
            "code": "C01",
        }
    )
    samples = pd.DataFrame(
        {
            "patient_id": [1, 1, 2, 2],
            "prediction_time": pd.to_datetime(["2020-01-02", "2020-01-03"] * 2)
            + pd.Timedelta("1h"),
        }
    )
    X = Cohort(events, samples, resolution="instant")
    found = code_importance(model, X, [0, 1, 0, 1], groups={"first": ["C01"]}, n_repeats=2)
    assert found.loc["first", "n_patients"] == 2


TINY = {"embedding_dim": 4, "hidden_dim": 4, "max_epochs": 1, "early_stopping": False}


def test_every_kind_of_estimator_and_of_input_is_accepted(fitted):
    pytest.importorskip("sksurv", reason="scikit-survival comes with the extra survival")
    model, X, y = fitted
    X, y = X[:60], y[:60]
    sequences = model[0].transform(X)
    survival = np.rec.fromarrays([y == 1, 1.0 + np.arange(60)], names="event,time")
    visits = [np.arange(n) % 2 for n in sequences.lengths]
    padded = sequences.to_padded().codes
    for estimator, data, target, expected in (
        (LSTMVisitRegressor(**TINY), sequences, y * 1.5, "C01"),
        (LSTMVisitSurvival(**TINY), sequences, survival, "C01"),
        (LSTMVisitTagger(**TINY), sequences, visits, "C01"),
        (LSTMVisitClassifier(**TINY), padded, y, 2),
    ):
        estimator.fit(data, target)
        found = code_importance(estimator, data, target, n_repeats=2, random_state=0)
        assert expected in found.index
        assert np.isfinite(found.to_numpy()).all()
    grid = {"lstmvisitclassifier__hidden_dim": [2]}
    lstm = LSTMVisitClassifier(**TINY)
    search = GridSearchCV(make_pipeline(VisitSequenceTransformer(), lstm), grid, cv=PatientKFold(2))
    assert len(code_importance(search.fit(X, y), X, y, n_repeats=2)) > 10


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        ({"SECRET": "SECRET"}, TypeError, r"pass groups\.get"),
        ({"SECRET": ["SECRET1", "SECRET2"]}, ValueError, r"None of the 2 code\(s\) of groups"),
        ({"SECRET": []}, ValueError, r"None of the 0 code\(s\) of groups"),
        (["SECRET"], TypeError, "groups must be a dict"),
        (lambda code: None, ValueError, "returns None for all"),
    ],
)
def test_groups_that_make_no_sense_are_refused_without_naming_codes(fitted, groups, error, message):
    model, X, y = fitted
    with pytest.raises(error, match=message) as info:
        code_importance(model, X, y, groups=groups)
    assert "SECRET" not in str(info.value)


def test_parameters_that_make_no_sense_are_refused(fitted):
    model, X, y = fitted
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        code_importance(model, X, y[:-1])
    with pytest.raises(ValueError, match="n_repeats"):
        code_importance(model, X, y, n_repeats=1)
    with pytest.raises(ValueError, match="scoring"):
        code_importance(model, X, y, scoring={"a": "roc_auc"})
