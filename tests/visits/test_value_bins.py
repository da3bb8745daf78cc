import math
import pickle
from fractions import Fraction
from itertools import pairwise

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
from sklearn_ehr.utils import _ragged
from sklearn_ehr.visits._event_codes import EventCodes
from sklearn_ehr.visits._value_bins import ValueBins, _merge_rare_bins


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


# Square roots of primes: no mean of some of them equals a mean of others, but for ties.
ROOTS = [math.sqrt(prime) for prime in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31)]


def slow_edge(rows, position, least):
    """The edge by the rule, for ordered rows of value and patient; None without enough patients."""
    reach = math.ceil(least / 2)
    while position:
        window = rows[max(position - reach, 0) : position + reach]
        by_patient = {}
        for value, patient in window:
            by_patient.setdefault(patient, []).append(Fraction(value))
        if len(by_patient) >= least:
            means = [sum(values) / len(values) for values in by_patient.values()]
            return sum(means) / len(means)
        if len(window) == len(rows):
            break
        reach *= 2
    return None


def slow_edges(rows, n_bins, least):
    """Edges of one code after the merging of rare bins; each row is a value and its patient."""
    rows = sorted(rows)
    edges = {slow_edge(rows, len(rows) * q // n_bins, least) for q in range(1, n_bins)}
    edges = sorted(edges - {None})
    bins = [
        {patient for value, patient in rows if low < value <= high}
        for low, high in pairwise([-math.inf, *edges, math.inf])
    ]
    while len(bins) > 1:
        sizes = [len(patients) for patients in bins]
        if min(sizes) >= least:
            break
        rarest = sizes.index(min(sizes))
        below = sizes[rarest - 1] if rarest else math.inf
        above = sizes[rarest + 1] if rarest + 1 < len(bins) else math.inf
        first = rarest - 1 if below <= above else rarest
        bins[first : first + 2] = [bins[first] | bins[first + 1]]
        del edges[first]
    return edges


def cohort_of_rows(rows, code="lab"):
    """Whole histories; each row is a value and its patient."""
    value, patient = zip(*rows, strict=True)
    frame = {"patient_id": patient, "time": np.arange(len(rows)), "code": code, "value": value}
    return Cohort(pd.DataFrame(frame))


@settings(deadline=None, max_examples=200)
@given(
    rows=st.lists(st.tuples(st.sampled_from(ROOTS), st.integers(1, 9)), min_size=1, max_size=60),
    n_bins=st.integers(2, 6),
    least=st.integers(1, 5),
)
def test_edges_are_those_of_a_slow_look_at_each_patient(rows, n_bins, least):
    wanted = [float(edge) for edge in slow_edges(rows, n_bins, least)]
    bins = ValueBins.from_cohort(cohort_of_rows(rows), n_bins, least)
    np.testing.assert_allclose(bins.edges, wanted, rtol=1e-14)
    assert bins.codes.tolist() == (["lab"] if wanted else [])
    assert bins.offsets.tolist() == ([0, len(wanted)] if wanted else [0])


@settings(deadline=None, max_examples=60)
@given(data=st.data(), n_bins=st.integers(2, 5), least=st.integers(1, 4))
def test_codes_are_binned_independently(data, n_bins, least):
    rows = st.lists(st.tuples(st.sampled_from(ROOTS), st.integers(1, 9)), min_size=1, max_size=30)
    rows_of = {code: data.draw(rows) for code in "abc"}
    frames = [
        pd.DataFrame(rows, columns=["value", "patient_id"]).assign(code=code, time=0)
        for code, rows in rows_of.items()
    ]
    bins = ValueBins.from_cohort(Cohort(pd.concat(frames)), n_bins, least)
    expected = {code: slow_edges(rows, n_bins, least) for code, rows in rows_of.items()}
    assert bins.codes.tolist() == [code for code in "abc" if expected[code]]
    for code, start, stop in zip(bins.codes, bins.offsets[:-1], bins.offsets[1:], strict=True):
        wanted = [float(edge) for edge in expected[code]]
        np.testing.assert_allclose(bins.edges[start:stop], wanted, rtol=1e-14)


@pytest.mark.parametrize(
    ("rows", "n_bins", "least", "edges"),
    [
        # Half way between two values.
        ([(1, "a"), (2, "b"), (3, "c"), (4, "d")], 2, 1, [2.5]),
        ([(1, "a"), (2, "b"), (3, "c"), (5, "d")], 4, 1, [1.5, 2.5, 4]),
        # Two values on each side; each bin has two patients.
        ([(1, "a"), (2, "b"), (4, "c"), (9, "d")], 2, 2, [3]),
        # The window has enough patients, the bins have not.
        ([(1, "a"), (2, "b"), (4, "c"), (9, "d")], 2, 3, []),
        # Not enough patients for any number.
        ([(1, "a"), (2, "a"), (4, "b"), (9, "b")], 2, 3, []),
        # One patient has all four values about the middle: the window is doubled twice, and holds
        # the means 1, 2, 5.5, 9 and 10 then.
        (
            [(1, "b"), (2, "c"), (5, "a"), (5, "a"), (6, "a"), (6, "a"), (9, "d"), (10, "e")],
            2,
            2,
            [5.5],
        ),
        # A patient's values count as their mean: in the window there are 2.5, 9 and 9.
        (
            [(1, "a"), (1, "f"), (2, "b"), (3, "b"), (9, "c"), (9, "d"), (9, "e"), (9, "g")],
            2,
            3,
            [20.5 / 3],
        ),
        # Equal values are on one side of the edge, though a sum of six sixths is less than 0.1.
        ([(0.1, p) for p in range(14)] + [(p, p) for p in range(14, 19)], 2, 5, [0.1]),
        # Only one patient is above the first edge, so that it goes.
        ([(0, p) for p in "abcdefghi"] + [(1234.567891, "z")], 2, 2, []),
    ],
)
def test_edges_by_hand(rows, n_bins, least, edges):
    got = ValueBins.from_cohort(cohort_of_rows(rows), n_bins, least).edges.tolist()
    assert got == pytest.approx(edges, rel=1e-15, abs=0)


def test_rare_bin_joins_the_smaller_of_its_neighbours():
    edges = np.array([1.0, 2.0, 3.0, np.inf])
    row = np.zeros(4, dtype=int)

    def merged(sizes, least):
        bin_ = np.repeat(np.arange(4), sizes)
        return _merge_rare_bins(bin_, np.arange(len(bin_)), row, edges, least)[1].tolist()

    assert merged([3, 1, 2, 3], 2) == [1, 3, np.inf]
    assert merged([2, 1, 3, 3], 2) == [2, 3, np.inf]
    assert merged([2, 1, 2, 3], 2) == [2, 3, np.inf]
    assert merged([1, 3, 3, 3], 2) == [2, 3, np.inf]
    assert merged([3, 3, 3, 1], 2) == [1, 2, np.inf]
    assert merged([1, 1, 1, 1], 2) == [2, np.inf]
    assert merged([1, 1, 1, 1], 4) == [np.inf]
    assert merged([1, 1, 1, 1], 5) == [np.inf]
    assert merged([2, 2, 2, 2], 2) == [1, 2, 3, np.inf]


def test_patient_with_several_samples_counts_once():
    events = pd.DataFrame({"patient_id": list("abcd"), "time": 0, "code": "lab"})
    events["value"] = [1.0, 2, 4, 9]
    samples = pd.DataFrame({"patient_id": list("abcd") * 5})
    cohort = Cohort(events, samples, prediction_time=None)
    assert ValueBins.from_cohort(cohort, 2, 2).edges.tolist() == [3]
    assert ValueBins.from_cohort(cohort, 2, 3).edges.tolist() == []
    in_order = Cohort(events, samples.sort_values("patient_id"), prediction_time=None)
    assert ValueBins.from_cohort(in_order, 2, 3).edges.tolist() == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("least", [1, 2, 5, 10])
def test_every_bin_has_enough_patients_and_no_edge_tells_a_value(seed, least):
    rng = np.random.default_rng(seed)
    n = 3000
    events = pd.DataFrame(
        {
            # Some patients have many values, and codes are of very different frequency.
            "patient_id": np.floor(80 * rng.random(n) ** 3).astype(int),
            "time": rng.integers(0, 50, n),
            "code": [f"lab{i}" for i in np.floor(30 * rng.random(n) ** 3).astype(int)],
            "value": np.where(rng.random(n) < 0.1, np.nan, rng.lognormal(size=n)),
        }
    )
    transformer = VisitSequenceTransformer(
        min_frequency=least, value_bins=6, deduplicate=False, visits="time"
    )
    sequences = transformer.fit_transform(events)
    bins = transformer._value_bins
    assert len(bins.codes) > (20 if least == 1 else 5)
    # Counted from what comes out, with pandas.
    n_tokens = np.diff(sequences.visit_offsets[sequences.sample_offsets])
    tokens = pd.DataFrame(
        {"token": sequences.tokens, "patient": np.repeat(sequences.groups, n_tokens)}
    )
    tokens = tokens[tokens["token"] > 1]
    n_patients = tokens.groupby("token")["patient"].nunique()
    assert (n_patients >= least).all()
    assert len(n_patients) == len(transformer.vocabulary_.codes)
    named = pd.Series(transformer.vocabulary_.codes)
    n_bins = named[named.str.contains("//")].str.split("//").str[0].value_counts()
    assert (n_bins[bins.codes] == np.diff(bins.offsets) + 1).all()
    if least >= 2:
        values = events["value"].dropna().to_numpy()
        content = pickle.dumps(transformer)
        for factor in (1, 1 / 2, 1 / 3, 2):
            assert not np.isin(values * factor, bins.edges).any()
            assert not any((value * factor).tobytes() in content for value in values)


def test_a_single_patients_value_is_not_to_be_found_in_the_model():
    secret = 1234.567891
    value = [0.0] * 19 + [secret]
    events = pd.DataFrame({"patient_id": range(20), "time": 0, "code": "LAB", "value": value})
    transformer = VisitSequenceTransformer(min_frequency=10, value_bins=2).fit(events)
    assert transformer.vocabulary_.codes.tolist() == ["LAB//Q1"]
    assert transformer._value_bins.edges.tolist() == []
    assert np.float64(secret / 2).tobytes() not in pickle.dumps(transformer)


def test_share_of_patients_holds_for_bins_as_for_codes():
    rows = [(float(value), value) for value in range(10)]
    cohort = cohort_of_rows(rows)
    for share, value_bins, n_bins in [(0.5, 2, 2), (0.51, 2, 1), (0.2, 4, 4), (0.21, 4, 2)]:
        transformer = VisitSequenceTransformer(min_frequency=share, value_bins=value_bins)
        assert len(transformer.fit(cohort).vocabulary_.codes) == n_bins


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


def test_event_with_a_value_never_shares_the_token_of_those_without():
    value = [None, None, 1.0, 9.0]
    events = pd.DataFrame({"patient_id": [1, 2, 3, 4], "time": 0, "code": "LAB", "value": value})
    transformer = VisitSequenceTransformer(min_frequency=2, value_bins=2).fit(events)
    assert transformer.vocabulary_.codes.tolist() == ["LAB", "LAB//Q1"]
    assert transformer.transform(events).tokens.tolist() == [2, 2, 3, 3]
    # With three patients no valued event is learnt, and at transform they are unknown.
    three = pd.concat([events, events[:1].assign(patient_id=5)])
    transformer = VisitSequenceTransformer(min_frequency=3, value_bins=2).fit(three)
    assert transformer.vocabulary_.codes.tolist() == ["LAB"]
    assert transformer.transform(events).tokens.tolist() == [2, 2, 1, 1]


def test_code_without_values_in_fit_is_unknown_with_a_value():
    events = pd.DataFrame({"patient_id": [1, 1], "time": 0, "code": ["A", "B"]})
    transformer = VisitSequenceTransformer(min_frequency=1, value_bins=2)
    transformer.fit(events.assign(value=[1.0, None]))
    assert transformer.vocabulary_.codes.tolist() == ["A//Q1", "B"]
    with pytest.warns(UserWarning, match="None of the 2 visible events"):
        swapped = transformer.transform(events.assign(value=[None, 1.0]))
    assert swapped.tokens.tolist() == [1]


def test_bins_dropped_by_max_vocabulary_are_unknown_in_fit_and_transform():
    rows = [(1.0, "a"), (2.0, "b"), (8.0, "c"), (9.0, "d")]
    events = pd.concat(
        [
            pd.DataFrame(rows, columns=["value", "patient_id"]).assign(code="lab", time=0),
            pd.DataFrame({"patient_id": list("abcd"), "code": "often", "time": 0}),
        ]
    )
    transformer = VisitSequenceTransformer(min_frequency=2, value_bins=2, max_vocabulary=1)
    sequences = transformer.fit_transform(events)
    assert transformer.vocabulary_.codes.tolist() == ["often"]
    assert transformer._value_bins.codes.tolist() == []
    assert sequences.tokens.tolist() == [1, 2] * 4
    transformer.set_params(max_vocabulary=2).fit(events)
    assert transformer.vocabulary_.codes.tolist() == ["lab//Q1", "often"]
    assert transformer.transform(events).tokens.tolist() == [2, 3, 2, 3, 1, 3, 1, 3]


@pytest.mark.filterwarnings("ignore:None of the:UserWarning")
def test_event_table_is_not_copied(monkeypatch):
    X, _ = make_visits(100, signal="values", random_state=0)
    monkeypatch.setattr(_ragged, "_ELEMENTS_PER_BLOCK", 100)
    longest = []
    positions = EventCodes.positions

    def spy(self, event):
        result = positions(self, event)
        longest.append(len(result))
        return result

    monkeypatch.setattr(EventCodes, "positions", spy)
    VisitSequenceTransformer(min_frequency=5, value_bins=3).fit_transform(X)
    n_events = len(X.event_table)
    assert sum(longest) > n_events
    assert max(longest) < n_events / 5


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
