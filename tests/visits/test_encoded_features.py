"""Numbers beside codes, as both transformers learn and encode them."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    PatientKFold,
    VisitSequences,
    VisitSequenceTransformer,
)
from sklearn_ehr.utils import _ragged
from sklearn_ehr.visits import TruncatedHistories, with_earlier

both_transformers = pytest.mark.parametrize(
    "Transformer", [VisitSequenceTransformer, CodeCountVectorizer]
)
NAN = np.nan


def cohort(features=None, *, codes="A", **columns):
    """One sample a patient, who has two visits with the first codes, the second one later."""
    n = len(next(iter(columns.values())))
    events = pd.DataFrame(
        {
            "patient_id": np.repeat(np.arange(n), 2),
            "time": np.tile([1, 2], n),
            "code": np.resize(list(codes), 2 * n),
        }
    )
    samples = pd.DataFrame({"patient_id": np.arange(n), "prediction_time": 5, **columns})
    return Cohort(events, samples, features=list(columns) if features is None else features)


def encoded(Transformer, X, fitted_on=None, **params):
    """Columns of the features, as an array, and their names."""
    transformer = Transformer(**{"min_frequency": 1, **params})
    transformer.fit(X if fitted_on is None else fitted_on)
    output = transformer.transform(X)
    if Transformer is VisitSequenceTransformer:
        return output.features, output.feature_names
    names = transformer.get_feature_names_out().tolist()
    n_counts = len(transformer.vocabulary_.codes)
    return output.toarray()[:, n_counts:], names[n_counts:]


@both_transformers
def test_features_are_standardised(Transformer):
    # Mean 4 and variance 6; mean 1/3 and variance 2/9.
    values, names = encoded(Transformer, cohort(age=[1, 4, 7], old=[False, False, True]))
    age = np.sqrt(1.5)
    expected = [[-age, -np.sqrt(0.5)], [0, -np.sqrt(0.5)], [age, np.sqrt(2)]]
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-12)
    assert names == ["age", "old"]


@both_transformers
def test_null_values_are_the_mean_and_have_a_column_that_marks_them(Transformer):
    X = cohort(age=[1, 2, 3, 2], bmi=[20.0, NAN, 40.0, NAN])
    values, names = encoded(Transformer, X)
    assert names == ["age", "bmi", "missingindicator_bmi"]
    np.testing.assert_allclose(
        values,
        [[-np.sqrt(2), -1, 0], [0, 0, 1], [np.sqrt(2), 1, 0], [0, 0, 1]],
        rtol=1e-6,
    )


@both_transformers
def test_values_that_are_null_only_in_transform_are_the_mean(Transformer):
    values, names = encoded(Transformer, cohort(age=[NAN, 3]), cohort(age=[1, 3]))
    assert names == ["age"]
    assert values.tolist() == [[0], [1]]


@both_transformers
def test_marked_column_stays_where_nothing_is_null_in_transform(Transformer):
    values, _ = encoded(Transformer, cohort(age=[1, 3]), cohort(age=[1, 3, NAN]))
    assert values.tolist() == [[-1, 0], [1, 0]]


@both_transformers
def test_mean_and_scale_are_those_of_fit(Transformer):
    values, _ = encoded(Transformer, cohort(age=[5, 1000]), cohort(age=[1, 3]))
    assert values.tolist() == [[3], [998]]


@both_transformers
def test_constant_feature_is_zero(Transformer):
    values, names = encoded(Transformer, cohort(age=[7, 7, 7], bmi=[0.1] * 3))
    np.testing.assert_allclose(values, np.zeros((3, 2)), atol=1e-12)
    assert names == ["age", "bmi"]


@both_transformers
def test_order_of_the_features_does_not_matter(Transformer):
    first, then = cohort(age=[1, 3], bmi=[20, NAN]), cohort(["bmi", "age"], age=[3, 3], bmi=[9, 20])
    values, names = encoded(Transformer, then, first)
    # A feature with a single value has no spread: its scale is 1.
    assert values.tolist() == [[1, -11, 0], [1, 0, 0]]
    assert names == ["age", "bmi", "missingindicator_bmi"]


@both_transformers
def test_missing_features_are_refused_by_name(Transformer):
    transformer = Transformer(min_frequency=1).fit(cohort(age=[1, 2], bmi=[1, 2], sex=[0, 1]))
    for X in (cohort(["sex"], age=[1, 2], sex=[0, 1]), cohort(sex=[0, 1])):
        with pytest.raises(ValueError, match=r"lacks the features 'age', 'bmi', which.*features="):
            transformer.transform(X)
    events = pd.DataFrame({"patient_id": [1], "time": 1, "code": "A"})
    with pytest.raises(ValueError, match="lacks the features 'age', 'bmi', 'sex'"):
        transformer.transform(events)


@both_transformers
def test_features_that_fit_did_not_have_are_refused_by_name(Transformer):
    X = cohort(age=[1, 2], bmi=[1, 2])
    for fitted_on in (cohort(["age"], age=[1, 2]), cohort([], age=[1, 2])):
        transformer = Transformer(min_frequency=1).fit(fitted_on)
        with pytest.raises(ValueError, match=r"has the features.* 'bmi', which.*not fitted on"):
            transformer.transform(X)


@both_transformers
def test_feature_that_too_few_patients_have_is_left_out_and_told(Transformer):
    X = cohort(
        age=range(7),
        bmi=[20, 30, 40, 50, NAN, NAN, NAN],
        lab=[NAN] * 5 + [7, 7],
        none=[NAN] * 7,
    )
    with pytest.warns(UserWarning, match="Features 'lab', 'none' are left out, as fewer than 3"):
        values, names = encoded(Transformer, X, min_frequency=3)
    assert names == ["age", "bmi", "missingindicator_bmi"]
    assert values.shape == (7, 3)
    with pytest.warns(UserWarning, match="'none'"):
        values, names = encoded(Transformer, cohort(none=[NAN] * 4))
    assert not names
    assert values is None or values.shape == (4, 0)


@both_transformers
@pytest.mark.parametrize(("n_other", "is_kept"), [(0, True), (1, False), (2, False), (3, True)])
def test_feature_whose_mean_would_tell_the_values_of_few_patients_is_left_out(
    Transformer, n_other, is_kept
):
    """The mean times the number of samples is the sum of the values that are not 0."""
    rare = [0.0] * (8 - n_other) + [123.456789] * n_other
    X = cohort(age=range(8), rare=rare)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, names = encoded(Transformer, X, min_frequency=3)
    assert ("rare" in names) == is_kept


@both_transformers
@pytest.mark.parametrize(("n_null", "is_marked"), [(1, False), (2, False), (3, True)])
def test_null_values_of_few_patients_are_filled_and_not_marked(Transformer, n_null, is_marked):
    X = cohort(age=[*range(8 - n_null), *[NAN] * n_null])
    values, names = encoded(Transformer, X, min_frequency=3)
    assert ("missingindicator_age" in names) == is_marked
    np.testing.assert_array_equal(values[8 - n_null :, 0], 0)


@both_transformers
def test_patients_with_a_feature_are_counted_by_group(Transformer):
    events = pd.DataFrame({"patient_id": range(6), "time": 1, "code": "A"})
    samples = pd.DataFrame({"patient_id": range(6), "prediction_time": 5, "person": [0, 1, 2] * 2})
    samples["age"], samples["bmi"] = [1, NAN, NAN, 2, NAN, NAN], [1, 2, 3, NAN, NAN, NAN]
    X = Cohort(events, samples, group="person", features=["age", "bmi"])
    with pytest.warns(UserWarning, match="Features 'age' are left out"):
        _, names = encoded(Transformer, X, min_frequency=2)
    assert names == ["bmi", "missingindicator_bmi"]


@both_transformers
def test_cohorts_without_features_have_no_such_columns(Transformer):
    X = cohort([], age=[1, 2])
    values, names = encoded(Transformer, X)
    assert not names
    assert values is None or values.shape == (2, 0)


@both_transformers
@pytest.mark.parametrize("value", [3.4e38, -3.4e38, 1e-45])
def test_extreme_values_stay_finite(Transformer, value):
    values, _ = encoded(Transformer, cohort(age=[value, 0, NAN]), cohort(age=[1, 1 + 1e-9]))
    assert np.isfinite(values.astype(np.float32)).all()
    values, _ = encoded(Transformer, cohort(age=[value, 0, value, 0]))
    np.testing.assert_allclose(np.abs(values), 1, rtol=1e-6)


@settings(max_examples=50, deadline=None)
@given(data=st.data(), n=st.integers(2, 6))
def test_encoding_is_that_of_the_formula(data, n):
    number = st.floats(-1e6, 1e6) | st.sampled_from([1e30, -1e30, 1e-30, NAN])
    train, test = (np.array(data.draw(st.lists(number, min_size=n, max_size=n))) for _ in "ab")
    known = train[~np.isnan(train)]
    # Where the values hardly differ, scikit-learn and this formula may round to either side.
    spread = known.std() if len(known) else 0
    assume(spread > 1e-6 * np.abs(known).max(initial=0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values, names = encoded(CodeCountVectorizer, cohort(x=test), cohort(x=train))
    expected = np.nan_to_num((test - known.mean()) / spread)
    limit = 1e6
    np.testing.assert_allclose(values[:, 0], expected.clip(-limit, limit), rtol=1e-6, atol=1e-6)
    has_mark = np.isnan(train).any()
    assert names == ["x", "missingindicator_x"][: 1 + has_mark]
    if has_mark:
        assert values[:, 1].tolist() == np.isnan(test).tolist()


@both_transformers
def test_values_of_a_test_fold_never_change_the_encoding(Transformer):
    age = np.arange(12.0)
    changed = np.where(age < 8, age, 1e6 * age)
    train = np.arange(8)
    params = []
    for values in (age, changed, np.where(age < 8, age, NAN)):
        X = cohort(age=values)
        params.append(pickle.dumps(Transformer(min_frequency=1).fit(X[train])))
        assert encoded(Transformer, X[train])[1] == ["age"]
    assert params[0] == params[1] == params[2]
    by_hand = (age[train] - 3.5) / np.sqrt(5.25)
    values, _ = encoded(Transformer, cohort(age=changed)[train])
    np.testing.assert_allclose(values[:, 0], by_hand, rtol=1e-6)


def test_folds_of_a_pipeline_learn_from_their_training_part():
    age = np.arange(20.0) ** 2
    X, y = cohort(age=age), np.arange(20) % 2
    model = make_pipeline(CodeCountVectorizer(min_frequency=1), LogisticRegression())
    splitter = PatientKFold(4)
    results = cross_validate(
        model, X, y, cv=splitter, return_estimator=True, return_indices=True, error_score="raise"
    )
    for fitted, train in zip(results["estimator"], results["indices"]["train"], strict=True):
        values = fitted[0].transform(X[train]).toarray()[:, -1]
        np.testing.assert_allclose(values, (age[train] - age[train].mean()) / age[train].std())


@both_transformers
def test_fitted_transformer_holds_no_value_of_a_feature(Transformer):
    rng = np.random.default_rng(0)
    age, bmi = 1234.5 + rng.random(50), np.where(np.arange(50) % 3, 77.25 + rng.random(50), NAN)
    content = pickle.dumps(Transformer(min_frequency=1).fit(cohort(age=age, bmi=bmi)))
    assert age.mean().tobytes()[2:] in content
    assert not [value for value in (*age, *bmi[bmi > 0]) if value.tobytes() in content]


def test_sequences_have_features_of_each_sample_as_float32():
    X = cohort(age=[1, 3, 1, 3], bmi=[1, 3, NAN, 3])
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(X)
    assert sequences.features.dtype == np.float32
    assert sequences.features.shape == (4, 3)
    for key in ([3, 0], slice(1, 3), 2, np.array([True, False, False, True])):
        part = sequences[key]
        np.testing.assert_array_equal(
            part.features, sequences.features[np.atleast_1d(np.arange(4)[key])]
        )
        assert part.feature_names == ["age", "bmi", "missingindicator_bmi"]
    again = pickle.loads(pickle.dumps(sequences[[1]]))
    np.testing.assert_array_equal(again.features, sequences.features[[1]])
    assert again.feature_names == sequences.feature_names


def test_sequences_without_features_say_so():
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(cohort([], age=[1, 2]))
    assert sequences.features is sequences.feature_names is None
    assert VisitSequences.from_padded([[[2]]]).features is None


def test_joined_and_split_sequences_keep_their_features(monkeypatch):
    monkeypatch.setattr(_ragged, "_ELEMENTS_PER_BLOCK", 3)
    X = cohort(age=np.arange(9), bmi=[NAN, *range(8)])
    assert len(X.blocks()) > 2
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(X)
    blocks = sequences.blocks()
    assert len(blocks) > 1
    joined = VisitSequences._concatenate(blocks)
    np.testing.assert_array_equal(joined.features, sequences.features)
    np.testing.assert_allclose(sequences.features[:, 0], (np.arange(9) - 4) / np.sqrt(60 / 9))
    counts = CodeCountVectorizer(min_frequency=1).fit_transform(X).toarray()
    np.testing.assert_allclose(counts[:, 1:], sequences.features, rtol=1e-6)


def test_visits_left_out_and_put_back_leave_the_features_alone():
    X = cohort(age=[1, 3])
    transformer = VisitSequenceTransformer(min_frequency=1, max_visits=1).fit(X)
    sequences = transformer.transform(X)
    assert sequences.lengths.tolist() == [1, 1]
    assert sequences.features.tolist() == [[-1], [1]]
    whole = with_earlier(sequences)
    assert whole.lengths.tolist() == [2, 2]
    assert whole.features.tolist() == [[-1], [1]]
    assert with_earlier(sequences[[1]]).features.tolist() == [[1]]
    # As of an earlier visit they are unknown.
    histories = TruncatedHistories(sequences, whole)
    assert histories[[0, 1]].features is None


def test_counts_come_first_and_encoding_leaves_features_alone():
    X = cohort(codes="AABA", age=[1, 3])
    expected = {"count": [[2, 0, -1], [1, 1, 1]], "binary": [[1, 0, -1], [1, 1, 1]]}
    expected["log1p"] = [[np.log(3), 0, -1], [np.log(2), np.log(2), 1]]
    for encoding, values in expected.items():
        vectorizer = CodeCountVectorizer(min_frequency=1, encoding=encoding)
        counts = vectorizer.fit_transform(X)
        assert isinstance(counts, sparse.csr_matrix)
        assert counts.dtype == np.float64
        np.testing.assert_allclose(counts.toarray(), values, rtol=1e-15)
        assert vectorizer.get_feature_names_out().tolist() == ["A", "B", "age"]
        dense = vectorizer.set_params(sparse_output=False).fit_transform(X)
        np.testing.assert_array_equal(dense, counts.toarray())


def test_features_follow_all_blocks_of_counts():
    vectorizer = CodeCountVectorizer(min_frequency=1, last_visits=(1,), windows=(4,))
    counts = vectorizer.fit_transform(cohort(codes="AB", age=[1, 3, NAN])).toarray()
    names = vectorizer.get_feature_names_out().tolist()
    assert names[-3:] == ["B@within4", "age", "missingindicator_age"]
    assert counts.shape == (3, 8)
    assert counts[:, -2:].tolist() == [[-1, 0], [1, 0], [0, 1]]


@pytest.mark.parametrize("where", ["method", "global"])
def test_pandas_output_has_the_names_of_the_features(where):
    X = cohort(age=[1, 3, NAN])
    X = Cohort(X.event_table, X.samples.set_axis(list("xyz")), features=["age"])
    vectorizer = CodeCountVectorizer(min_frequency=1, sparse_output=False)
    if where == "method":
        frame = vectorizer.set_output(transform="pandas").fit_transform(X)
    else:
        with config_context(transform_output="pandas"):
            frame = vectorizer.fit_transform(X)
            assert isinstance(
                VisitSequenceTransformer(min_frequency=1).fit_transform(X).features, np.ndarray
            )
    assert frame.columns.tolist() == ["A", "age", "missingindicator_age"]
    assert frame.index.tolist() == list("xyz")
    assert frame["age"].tolist() == [-1, 1, 0]


def test_names_of_features_differ_from_those_of_codes():
    X = cohort(codes=["age", "age@feature"], age=[1, 3, NAN], missingindicator_age=[1, 2, 3])
    vectorizer = CodeCountVectorizer(min_frequency=1).fit(X)
    assert vectorizer.get_feature_names_out().tolist() == [
        "age",
        "age@feature",
        "age@feature@feature",
        "missingindicator_age",
        "missingindicator_age@feature",
    ]


def test_linear_model_reads_a_risk_that_is_in_age_alone():
    rng = np.random.default_rng(0)
    age = rng.normal(60, 10, 400)
    y = (rng.random(400) < 1 / (1 + np.exp(60 / 5 - age / 5))).astype(int)
    for features, low, high in ((["age"], 0.85, 1), ([], 0.4, 0.6)):
        model = make_pipeline(CodeCountVectorizer(), LogisticRegression())
        scores = cross_validate(
            model, cohort(features, age=age), y, cv=PatientKFold(4), scoring="roc_auc"
        )["test_score"]
        assert low <= scores.mean() <= high
