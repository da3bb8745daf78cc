from collections import Counter
from math import log1p

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import sparse
from sklearn import config_context
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils._param_validation import InvalidParameterError
from test_tokens import as_lists, cases, examples, options, reference_visits, reference_vocabulary

from sklearn_ehr import CodeCountVectorizer, Cohort, PatientKFold, VisitSequenceTransformer

EVENTS = pd.DataFrame(
    [
        (1, 1, 1, "A"),
        (1, 1, 1, "B"),
        (1, 2, 2, "A"),
        (1, 3, 3, "C"),
        (1, 3, 3, "C"),
        (2, 1, 1, "B"),
        (3, 1, 1, "A"),
        (3, 2, 2, "B"),
    ],
    columns=["patient_id", "time", "visit_id", "code"],
)


def counts(X=EVENTS, **params):
    vectorizer = CodeCountVectorizer(**{"min_frequency": 1, "sparse_output": False, **params})
    return vectorizer.fit_transform(X).tolist()


def test_counts_visits_with_a_code():
    assert counts() == [[2, 1, 1], [0, 1, 0], [1, 1, 0]]


def test_without_deduplication_counts_occurrences():
    assert counts(deduplicate=False) == [[2, 1, 2], [0, 1, 0], [1, 1, 0]]


def test_binary_tells_whether_there_is_any():
    assert counts(encoding="binary") == [[1, 1, 1], [0, 1, 0], [1, 1, 0]]


def test_log1p_is_the_logarithm_of_one_plus_the_count():
    one, two = np.log(2), np.log(3)
    np.testing.assert_allclose(
        counts(encoding="log1p"), [[two, one, one], [0, one, 0], [one, one, 0]], rtol=1e-15
    )


def test_last_visits_add_blocks_that_count_the_last_visits_alone():
    assert counts(last_visits=(1,)) == [
        [2, 1, 1, 0, 0, 1],
        [0, 1, 0, 0, 1, 0],
        [1, 1, 0, 0, 1, 0],
    ]
    assert counts(last_visits=(2, 1))[0] == [2, 1, 1, 1, 0, 1, 0, 0, 1]
    assert counts(last_visits=[9])[0] == [2, 1, 1, 2, 1, 1]


def test_encoding_applies_to_every_block():
    assert counts(last_visits=(2,), deduplicate=False)[0] == [2, 1, 2, 1, 0, 2]
    assert counts(last_visits=(2,), deduplicate=False, encoding="binary")[0] == [1, 1, 1, 1, 0, 1]


def test_last_visit_counts_nothing_if_it_is_empty():
    params = {"min_frequency": 2, "handle_unknown": "ignore", "last_visits": (1,)}
    assert counts(**params)[0] == [2, 1, 0, 0]


def test_unknown_is_no_column():
    assert counts(min_frequency=2) == [[2, 1], [0, 1], [1, 1]]
    assert counts(min_frequency=2, handle_unknown="ignore") == [[2, 1], [0, 1], [1, 1]]
    vectorizer = CodeCountVectorizer(min_frequency=1, sparse_output=False).fit(EVENTS)
    with pytest.warns(UserWarning, match="None of the 8 visible events"):
        assert vectorizer.transform(EVENTS.assign(code="Z")).tolist() == [[0] * 3] * 3


def test_unknown_codes_still_take_their_place_in_a_visit():
    events = EVENTS[EVENTS["patient_id"] != 2].replace({"code": {"C": "Z"}})
    params = {"min_frequency": 2, "max_visits": 1}
    assert counts(events, **params) == [[0, 0], [0, 1]]


def test_truncation_is_that_of_the_sequences():
    assert counts(max_visits=1) == [[0, 0, 1], [0, 1, 0], [0, 1, 0]]


def test_static_codes_count_once_in_the_first_block_only():
    events = pd.concat([EVENTS.astype({"time": float}), EVENTS[:2].assign(time=np.nan)])
    cohort = Cohort(events, null_time="static")
    assert counts(cohort, last_visits=(1, 9))[0] == [3, 2, 1, 0, 0, 1, 2, 1, 1]
    static = Cohort(events.assign(time=np.nan), null_time="static")
    assert counts(static, last_visits=(1,))[0] == [1, 1, 1, 0, 0, 0]


@examples(120)
@given(
    data=st.data(),
    case=cases(),
    encoding=st.sampled_from(["count", "binary", "log1p"]),
    last_visits=st.sampled_from([(), (1,), (2, 1), (3,)]),
)
@pytest.mark.filterwarnings("ignore:.*no visible event:UserWarning")
def test_vectorizer_does_as_a_counter_over_reference_visits(data, case, encoding, last_visits):
    o = data.draw(options(case))
    vocabulary = reference_vocabulary(case, o["min_frequency"], o["max_vocabulary"])
    assume(vocabulary)
    vectorizer = CodeCountVectorizer(**o, encoding=encoding, last_visits=last_visits)
    expected = []
    for sample in range(len(case.samples)):
        visits = reference_visits(case, sample, vocabulary, o)
        dated = [tokens for tokens, first, _ in visits if first is not None or case.kind is None]
        row = []
        for block in [[tokens for tokens, *_ in visits], *(dated[-k:] for k in last_visits)]:
            count = Counter(token for tokens in block for token in tokens)
            row += [count[token] for token in range(2, len(vocabulary) + 2)]
        encode = {"count": float, "binary": bool, "log1p": log1p}[encoding]
        expected.append([encode(n) for n in row])
    actual = vectorizer.fit_transform(case.cohort)
    assert actual.has_canonical_format
    assert actual.nnz == np.count_nonzero(expected)
    np.testing.assert_allclose(actual.toarray(), expected, rtol=1e-15)


@pytest.mark.parametrize("deduplicate", [True, False])
def test_counts_are_those_of_scikit_learn_on_the_same_tokens(deduplicate):
    rng = np.random.default_rng(0)
    n = 2000
    events = pd.DataFrame(
        {
            "patient_id": rng.integers(0, 50, n),
            "time": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 400, n), unit="h"),
            "code": rng.choice([f"C{i}" for i in range(30)], n),
        }
    )
    params = {"min_frequency": 30, "deduplicate": deduplicate}
    sequences = VisitSequenceTransformer(**params).fit_transform(events)
    vectorizer = CodeCountVectorizer(**params)
    ours = vectorizer.fit_transform(events)
    codes = ["padding", "unknown", *vectorizer.get_feature_names_out()]
    documents = [[codes[t] for visit in visits for t in visit] for visits in as_lists(sequences)]
    theirs = CountVectorizer(analyzer=list, lowercase=False, vocabulary=codes[2:])
    assert len(codes) > 10
    assert ours.max() > 1
    np.testing.assert_array_equal(ours.toarray(), theirs.fit_transform(documents).toarray())


def test_output_is_csr_by_default_with_indices_that_scikit_learn_takes():
    matrix = CodeCountVectorizer(min_frequency=1, last_visits=(1,)).fit_transform(EVENTS)
    assert sparse.issparse(matrix)
    assert matrix.format == "csr"
    assert matrix.shape == (3, 6)
    assert matrix.dtype == np.float64
    assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
    assert matrix.has_canonical_format
    assert (matrix.data != 0).all()


def test_dense_output_is_an_array():
    vectorizer = CodeCountVectorizer(min_frequency=1, sparse_output=False)
    matrix = vectorizer.fit_transform(EVENTS)
    assert type(matrix) is np.ndarray
    assert matrix.dtype == np.float64


def test_sample_without_events_is_a_row_of_zeros():
    vectorizer = CodeCountVectorizer(min_frequency=1, last_visits=(1,)).fit(EVENTS)
    with pytest.warns(UserWarning, match="no visible event"):
        cohort = Cohort(EVENTS, pd.DataFrame({"patient_id": [9, 2]}), prediction_time=None)
    assert vectorizer.transform(cohort).toarray().tolist() == [[0] * 6, [0, 1, 0, 0, 1, 0]]
    assert vectorizer.transform(cohort[0]).toarray().tolist() == [[0] * 6]
    assert vectorizer.transform(cohort[[]]).shape == (0, 6)


def test_feature_names_are_codes_then_blocks():
    vectorizer = CodeCountVectorizer(min_frequency=1, last_visits=(1, 3)).fit(EVENTS)
    names = vectorizer.get_feature_names_out()
    expected = [code + suffix for suffix in ["", "@last1", "@last3"] for code in "ABC"]
    assert names.tolist() == expected
    assert names.dtype == object


def test_feature_names_of_numeric_codes_are_text():
    vectorizer = CodeCountVectorizer(min_frequency=1).fit(EVENTS.assign(code=[9, 10] * 4))
    assert vectorizer.get_feature_names_out().tolist() == ["9", "10"]


@pytest.mark.parametrize("codes", [["A", "A@last1"], ["A", "A@last1", "A@@last1"], ["@last", "@"]])
def test_feature_names_do_not_clash_with_codes(codes):
    events = pd.DataFrame({"patient_id": 1, "time": 1, "code": codes})
    vectorizer = CodeCountVectorizer(min_frequency=1, last_visits=(1, 11)).fit(events)
    names = vectorizer.get_feature_names_out()
    assert len(set(names)) == 3 * len(codes)
    assert set(codes) < set(names)


def test_feature_names_need_a_fit():
    with pytest.raises(NotFittedError):
        CodeCountVectorizer().get_feature_names_out()


@pytest.mark.parametrize("last_visits", [(0,), (1.0,), ("1",), (None,), (1, 1), [-1]])
def test_last_visits_must_be_distinct_positive_integers(last_visits):
    with pytest.raises(InvalidParameterError, match="last_visits="):
        CodeCountVectorizer(min_frequency=1, last_visits=last_visits).fit(EVENTS)


@pytest.mark.parametrize(
    ("name", "value"),
    [("encoding", "tfidf"), ("last_visits", 1), ("last_visits", None), ("sparse_output", "no")],
)
def test_invalid_parameters_are_named(name, value):
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter"):
        CodeCountVectorizer(**{"min_frequency": 1, name: value}).fit(EVENTS)


def samples_of(n=3):
    return pd.DataFrame({"patient_id": [3, 1, 2][:n]}, index=["c", "a", "b"][:n])


def vectorizer_to_pandas(**params):
    params = {"min_frequency": 1, "sparse_output": False, **params}
    return CodeCountVectorizer(**params).set_output(transform="pandas")


def test_pandas_output_of_a_cohort_has_the_index_of_its_samples():
    cohort = Cohort(EVENTS, samples_of(), prediction_time=None)
    vectorizer = vectorizer_to_pandas(last_visits=(1,))
    output = vectorizer.fit_transform(cohort)
    expected = pd.DataFrame(
        [[1, 1, 0, 0, 1, 0], [2, 1, 1, 0, 0, 1], [0, 1, 0, 0, 1, 0]],
        dtype=float,
        index=["c", "a", "b"],
        columns=["A", "B", "C", "A@last1", "B@last1", "C@last1"],
    )
    pd.testing.assert_frame_equal(output, expected, check_column_type=False)
    subset = vectorizer.transform(cohort[[2, 0]])
    pd.testing.assert_frame_equal(subset, output.loc[["b", "c"]])


@pytest.mark.parametrize("events", [EVENTS, EVENTS.set_index(pd.Index(list("abcdefgh")))])
def test_pandas_output_of_a_long_frame_has_a_row_a_patient(events):
    vectorizer = vectorizer_to_pandas()
    output = vectorizer.fit_transform(events)
    assert output.columns.tolist() == ["A", "B", "C"]
    assert output.index.tolist() == [1, 2, 3]
    assert output.to_numpy().tolist() == counts()
    pd.testing.assert_frame_equal(vectorizer.transform(events), output)
    with config_context(transform_output="pandas"):
        plain = CodeCountVectorizer(min_frequency=1, sparse_output=False).fit_transform(events)
    pd.testing.assert_frame_equal(plain, output)


def test_pandas_output_of_a_frame_with_as_many_events_as_patients_is_not_indexed_by_events():
    events = EVENTS.iloc[[5, 0]]
    assert vectorizer_to_pandas().fit_transform(events).index.tolist() == [1, 2]


def test_pandas_output_cannot_be_sparse():
    with pytest.raises(ValueError, match="dense array"):
        vectorizer_to_pandas(sparse_output=True).fit_transform(EVENTS)


def outcome_cohort():
    """Fifty patients; those of class 1 have code X, in their last visit."""
    y = np.arange(50) % 2
    rows = [(p, t, "AB"[t]) for p in range(50) for t in range(2)]
    rows += [(p, 2, "XY"[1 - y[p]]) for p in range(50)]
    events = pd.DataFrame(rows, columns=["patient_id", "time", "code"])
    return Cohort(events, pd.DataFrame({"patient_id": range(50)}), prediction_time=None), y


@pytest.mark.parametrize("solver", ["lbfgs", "liblinear", "saga"])
def test_pipeline_with_logistic_regression(solver):
    cohort, y = outcome_cohort()
    model = LogisticRegression(solver=solver, max_iter=1000)
    pipeline = make_pipeline(CodeCountVectorizer(last_visits=(1,)), model)
    assert (cross_val_score(pipeline, cohort, y, cv=PatientKFold(3)) == 1).all()
    assert pipeline.fit(cohort, y).predict_proba(cohort[[0, 1]]).argmax(axis=1).tolist() == [0, 1]
    assert pipeline[:-1].get_feature_names_out().tolist()[:2] == ["A", "B"]


@pytest.mark.parametrize("output", ["default", "pandas"])
def test_pipeline_with_gradient_boosting(output):
    cohort, y = outcome_cohort()
    vectorizer = CodeCountVectorizer(sparse_output=False)
    model = HistGradientBoostingClassifier(
        max_iter=2, min_samples_leaf=2, max_depth=2, learning_rate=1
    )
    pipeline = make_pipeline(vectorizer, model).set_output(transform=output)
    assert (cross_val_score(pipeline, cohort, y, cv=PatientKFold(3)) == 1).all()


def test_parameters_are_searched():
    cohort, y = outcome_cohort()
    pipeline = make_pipeline(CodeCountVectorizer(), LogisticRegression())
    grid = {
        "codecountvectorizer__max_visits": [1, None],
        "codecountvectorizer__last_visits": [(1,)],
    }
    search = GridSearchCV(pipeline, grid, cv=PatientKFold(3)).fit(cohort, y)
    assert search.score(cohort, y) == 1


def test_windows_add_blocks_that_count_what_is_recent():
    # Of whole histories, before the last event: patient 1's visits at 2 and 3.
    assert counts(windows=(2,))[0] == [2, 1, 1, 1, 0, 1]
    assert counts(windows=(1, 9.5))[0] == [2, 1, 1, 0, 0, 1, 2, 1, 1]
    assert counts(windows=[2])[1] == [0, 1, 0, 0, 1, 0]
    assert counts(last_visits=(1,), windows=(2,))[0] == [2, 1, 1, 0, 0, 1, 1, 0, 1]


def test_windows_end_at_the_prediction():
    samples = pd.DataFrame({"patient_id": [1, 1, 3], "prediction_time": [4, 2, 9]})
    got = counts(Cohort(EVENTS, samples), windows=(2,))
    assert got == [[2, 1, 1, 0, 0, 1], [2, 1, 0, 2, 1, 0], [1, 1, 0, 0, 0, 0]]


@pytest.mark.parametrize("window", ["2D", pd.Timedelta("48h"), np.timedelta64(2, "D")])
def test_windows_of_datetimes_are_durations(window):
    events = EVENTS.assign(
        time=pd.Timestamp("2020-01-01 12:00") + pd.to_timedelta(EVENTS.time, "D")
    )
    assert counts(events, windows=(window,))[0] == [2, 1, 1, 1, 0, 1]


def test_windows_hold_no_static_codes():
    events = pd.concat([EVENTS, pd.DataFrame({"patient_id": [1], "code": ["S"]})])
    assert counts(Cohort(events, null_time="static"), windows=(9,))[0] == [2, 1, 1, 1, 2, 1, 1, 0]


def test_windows_name_their_columns():
    vectorizer = CodeCountVectorizer(min_frequency=2, last_visits=(1,), windows=("90D", "1D"))
    events = EVENTS.assign(time=pd.Timestamp("2020-01-01") + pd.to_timedelta(EVENTS.time, "D"))
    names = vectorizer.fit(events).get_feature_names_out().tolist()
    assert names == [f"{c}{b}" for b in ("", "@last1", "@within90D", "@within1D") for c in "AB"]
    odd = EVENTS.assign(code=EVENTS["code"] + "@within")
    names = CodeCountVectorizer(min_frequency=2, windows=(2,)).fit(odd).get_feature_names_out()
    assert names.tolist() == ["A@within", "B@within", "A@within@@within2", "B@within@@within2"]


@pytest.mark.parametrize(
    ("change", "windows", "error", "message"),
    [
        ({}, ("90D",), TypeError, "windows='90D' is not a number"),
        ({}, (0,), ValueError, "windows=0 must be finite and longer than zero"),
        ({}, (2, 2.0), ValueError, "holds a length twice"),
        ({}, 2, ValueError, "windows"),
        ({"time": pd.Timestamp("2020-01-01")}, (2,), TypeError, "not a duration"),
        ({"time": None}, (2,), ValueError, "windows needs event times"),
    ],
)
def test_bad_windows_raise(change, windows, error, message):
    events = EVENTS.assign(**change)
    if "time" in change and change["time"] is None:
        events = events.drop(columns="time")
    with pytest.raises(error, match=message):
        CodeCountVectorizer(min_frequency=1, windows=windows).fit(events)
