import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    LSTMVisitClassifier,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits
from sklearn_ehr.visits._value_bins import ValueBins


def cohort_of(values, code="lab", **columns):
    """A visit for each value, of one patient."""
    n = len(values)
    frame = {"patient_id": 1, "time": np.arange(n), "code": code, "value": values}
    return Cohort(pd.DataFrame({**frame, **columns}))


def codes_after(cohort, n_bins, **params):
    transformer = VisitSequenceTransformer(min_frequency=1, value_bins=n_bins, **params)
    sequences = transformer.fit_transform(cohort)
    return sequences.vocabulary.decode(sequences.tokens).tolist()


def test_values_become_quantiles_of_their_code():
    got = codes_after(cohort_of([10, 40, 20, 30, 1, 2], code=["lab"] * 4 + ["bmi"] * 2), 2)
    assert got == ["lab//Q1", "lab//Q2", "lab//Q1", "lab//Q2", "bmi//Q1", "bmi//Q2"]


def test_event_without_value_stays_the_bare_code():
    got = codes_after(cohort_of([10, np.nan, 20, np.inf]), 2)
    assert got == ["lab//Q1", "lab", "lab//Q2", "lab"]
    assert codes_after(cohort_of([np.nan, np.nan]), 2) == ["lab", "lab"]


@pytest.mark.parametrize(
    ("values", "bins"),
    [
        ([0, 0, 0, 1], [1, 1, 1, 2]),
        ([0, 1, 1, 1], [1, 1, 1, 1]),
        ([5, 5, 5, 5], [1, 1, 1, 1]),
        ([7], [1]),
        ([1, 2], [1, 2]),
    ],
)
def test_equal_quantiles_are_one_bin(values, bins):
    assert codes_after(cohort_of(values), 2) == [f"lab//Q{q}" for q in bins]
    # However many bins, equal values fall into one, and numbers go up without gaps.
    many = [code[5:] for code in codes_after(cohort_of(values), 9)]
    assert len(set(many)) <= len(set(values))
    assert set(many) == {f"Q{q}" for q in range(1, len(set(many)) + 1)}


@settings(deadline=None)
@given(
    values=st.lists(st.integers(-20, 20), min_size=1, max_size=60),
    n_bins=st.integers(2, 8),
)
def test_bins_are_those_of_a_slow_look_at_each_quantile(values, n_bins):
    ordered = sorted(values)
    edges = []
    for j in range(1, n_bins):
        below = len(ordered) * j // n_bins
        above = [value for value in ordered if below and value > ordered[below - 1]]
        if above:
            edges.append((ordered[below - 1] + above[0]) / 2)
    edges = set(edges)
    wanted = [f"lab//Q{1 + sum(value > edge for edge in edges)}" for value in values]
    assert codes_after(cohort_of(values), n_bins) == wanted


def test_bins_hold_about_as_many_as_pandas_says():
    values = np.random.default_rng(0).standard_normal(997)
    got = pd.Series(codes_after(cohort_of(values), 5)).str[-1].astype(int)
    wanted = pd.qcut(values, 5, labels=False) + 1
    assert (got == wanted).mean() > 0.99


def test_each_visible_event_counts_once_and_no_other():
    events = pd.DataFrame(
        {"patient_id": [1, 1, 1, 1], "time": [1, 2, 3, 9], "code": "lab", "value": [1, 2, 3, 99]}
    )
    samples = pd.DataFrame({"patient_id": [1] * 5, "prediction_time": [2, 2, 2, 2, 3]})
    bins = ValueBins.from_cohort(Cohort(events, samples), 2)
    # Of 1, 2 and 3, whoever sees them, and never of 99.
    assert bins.edges.tolist() == [1.5]
    train = ValueBins.from_cohort(Cohort(events, samples)[:4], 3)
    assert train.edges.tolist() == [1.5]


def test_test_fold_changes_nothing():
    X, _ = make_visits(200, signal="values", random_state=0)
    train = X[:100]
    fitted = VisitSequenceTransformer(min_frequency=5, value_bins=3).fit(train)
    alone = VisitSequenceTransformer(min_frequency=5, value_bins=3)
    alone.fit(pickle.loads(pickle.dumps(train)))
    assert fitted.vocabulary_ == alone.vocabulary_
    np.testing.assert_array_equal(fitted.transform(X[100:]).tokens, alone.transform(X[100:]).tokens)


def test_new_values_fall_into_the_bins_learnt():
    transformer = VisitSequenceTransformer(min_frequency=1, value_bins=2)
    transformer.fit(cohort_of([10.0, 20.0, 30.0, 40.0]))
    new = cohort_of([-1e9, 25.0, 25.1, 1e9, np.nan, 3.0], code=["lab"] * 5 + ["other"])
    sequences = transformer.transform(new)
    assert sequences.tokens.tolist() == [2, 2, 3, 3, 1, 1]
    without_values = transformer.transform(
        Cohort(pd.DataFrame({"patient_id": [1], "time": [1], "code": ["lab"]}))
    )
    assert without_values.tokens.tolist() == [1]


def test_bins_too_rare_and_their_edges_are_not_kept():
    events = pd.DataFrame(
        {
            "patient_id": np.r_[np.arange(20), [0, 1]],
            "time": 1,
            "code": ["lab"] * 20 + ["secret"] * 2,
            "value": np.r_[np.arange(20.0), [1234.5, 4321.5]],
        }
    )
    transformer = VisitSequenceTransformer(min_frequency=10, value_bins=2).fit(Cohort(events))
    assert transformer.vocabulary_.codes.tolist() == ["lab//Q1", "lab//Q2"]
    assert transformer._value_bins.codes.tolist() == ["lab"]
    assert transformer._value_bins.edges.tolist() == [9.5]
    assert b"secret" not in pickle.dumps(transformer)


def test_no_value_of_an_event_is_kept():
    X, _ = make_visits(100, signal="values", random_state=0)
    transformer = VisitSequenceTransformer(min_frequency=5, value_bins=4).fit(X)
    content = pickle.dumps(transformer)
    values = X.visible_events()["value"].dropna().to_numpy()
    assert transformer._value_bins.edges[0].tobytes() in content
    assert not any(value.tobytes() in content for value in values)


def test_order_and_the_categories_of_codes_do_not_matter():
    X, _ = make_visits(100, signal="values", random_state=0)
    events = X.visible_events().drop(columns="sample")
    as_text = events.astype({"code": str}).sample(frac=1, random_state=0)
    one, other = (
        VisitSequenceTransformer(min_frequency=3, value_bins=3).fit_transform(Cohort(frame))
        for frame in (events, as_text)
    )
    assert one.vocabulary == other.vocabulary
    np.testing.assert_array_equal(one.tokens, other.tokens)


def test_both_transformers_make_the_same_tokens():
    X, _ = make_visits(100, signal="values", random_state=0)
    options = {"min_frequency": 5, "value_bins": 3}
    sequences = VisitSequenceTransformer(**options).fit_transform(X)
    counts = CodeCountVectorizer(**options)
    matrix = counts.fit_transform(X)
    assert counts.get_feature_names_out().tolist() == sequences.vocabulary.codes.tolist()
    known = sequences.tokens >= 2
    assert matrix.sum() == known.sum()


def test_cohort_stays_as_it_is():
    cohort = cohort_of([10, 20])
    before = cohort.visible_events()
    codes_after(cohort, 2)
    pd.testing.assert_frame_equal(cohort.visible_events(), before)


def test_bad_input_raises():
    events = pd.DataFrame({"patient_id": [1], "time": [1], "code": ["lab"]})
    with pytest.raises(ValueError, match=r"value_bins needs the values of events.*value="):
        VisitSequenceTransformer(min_frequency=1, value_bins=2).fit(events)
    with pytest.raises(TypeError, match=r"value_bins.*type number.*astype\(str\)"):
        codes_after(cohort_of([1.0, 2.0], code=[7, 8]), 2)
    for value in (1, 0, 2.5, "many"):
        with pytest.raises(ValueError, match="value_bins"):
            codes_after(cohort_of([1.0, 2.0]), value)


def test_values_lift_what_only_values_tell_from_chance_to_near_the_true_risk():
    X, y = make_visits(5000, signal="values", n_codes=40, random_state=0)
    train, test = np.arange(4000), np.arange(4000, 5000)
    best = roc_auc_score(y[test], X.samples["risk"][test])
    auc = {}
    for value_bins in (None, 4):
        lr = make_pipeline(
            CodeCountVectorizer(value_bins=value_bins, encoding="log1p"),
            LogisticRegression(C=0.1, max_iter=1000),
        )
        lstm = make_pipeline(
            VisitSequenceTransformer(value_bins=value_bins),
            LSTMVisitClassifier(
                embedding_dim=32,
                aggregation="sum",
                mlp_dim=0,
                hidden_dim=32,
                max_epochs=20,
                batch_size=64,
                lr=3e-3,
                random_state=0,
            ),
        )
        for name, model in {"lr": lr, "lstm": lstm}.items():
            proba = model.fit(X[train], y[train]).predict_proba(X[test])[:, 1]
            auc[name, value_bins] = roc_auc_score(y[test], proba)
    assert abs(auc["lr", None] - 0.5) < 0.06
    assert abs(auc["lstm", None] - 0.5) < 0.06
    assert auc["lr", 4] > best - 0.06
    assert auc["lstm", 4] > best - 0.1


def test_edges_between_the_largest_numbers_are_finite():
    events = pd.DataFrame({"patient_id": [1, 2], "code": ["a", "a"], "value": [1e308, 1.7e308]})
    bins = ValueBins.from_cohort(Cohort(events.assign(time=0)), 2)
    assert bins.edges.tolist() == [1.35e308]


def test_codes_that_are_no_texts_raise_after_fitting_too():
    events = pd.DataFrame({"patient_id": [1, 2], "code": ["a", "a"], "value": [1.0, 2.0]})
    events["time"] = 0
    model = VisitSequenceTransformer(min_frequency=1, value_bins=2).fit(Cohort(events))
    with pytest.raises(TypeError, match="codes of events are of type number"):
        model.transform(Cohort(events.assign(code=7)))
