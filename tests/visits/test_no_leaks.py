"""Nothing after the prediction time, nothing of the test fold, and nobody in a fitted model."""

import pickle
import struct
from collections.abc import Sized

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from test_tokens import as_bits, cases, examples, options, reference_vocabulary

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    StratifiedPatientKFold,
    VisitSequenceTransformer,
    Vocabulary,
)

TRANSFORMERS = [VisitSequenceTransformer, CodeCountVectorizer]
both_transformers = pytest.mark.parametrize("Transformer", TRANSFORMERS)
few_events = pytest.mark.filterwarnings("ignore:.*no visible event:UserWarning")


def bits(output):
    if hasattr(output, "visit_offsets"):
        return as_bits(output)
    return [output.shape, *(a.tobytes() for a in (output.data, output.indices, output.indptr))]


def invisible_to_all(case):
    seen = [row for i in range(len(case.samples)) for row in case.visible(i)]
    return [row for row in case.rows if not any(row is other for other in seen)]


@both_transformers
@few_events
@examples(50)
@given(data=st.data(), case=cases())
def test_events_that_no_sample_sees_change_no_bit(Transformer, data, case):
    o = {**data.draw(options(case)), "min_frequency": 1}
    assume(reference_vocabulary(case, 1, None))
    unseen = invisible_to_all(case)
    assume(unseen)
    deleted = [row for row in case.rows if not any(row is other for other in unseen)]
    # A column of nulls alone would not say of which kind its times are.
    assume(case.kind is None or any(row["time"] is not None for row in deleted))
    changed = [{**row, "code": data.draw(st.sampled_from("AZ"))} for row in unseen]
    expected = Transformer(**o).fit(case.cohort)
    for rows in [deleted, deleted + changed]:
        cohort = case.build(rows)
        actual = Transformer(**o).fit(cohort)
        assert actual.vocabulary_ == expected.vocabulary_
        assert bits(actual.transform(cohort)) == bits(expected.transform(case.cohort))


@both_transformers
@few_events
@pytest.mark.filterwarnings("ignore:None of the .* visible events:UserWarning")
@examples(50)
@given(data=st.data(), case=cases())
def test_a_sample_depends_on_its_own_visible_events_alone(Transformer, data, case):
    o = {**data.draw(options(case)), "min_frequency": 1}
    assume(reference_vocabulary(case, 1, None))
    transformer = Transformer(**o).fit(case.cohort)
    sample = data.draw(st.integers(0, len(case.samples) - 1))
    own = list(case.visible(sample))
    assume(own and (case.kind is None or any(row["time"] is not None for row in own)))
    alone = transformer.transform(case.build(own))
    assert bits(alone[sample]) == bits(transformer.transform(case.cohort)[sample])


@both_transformers
def test_code_after_the_prediction_time_is_never_learnt(Transformer):
    day = pd.Timestamp("2020-01-01 12:00")
    events = pd.DataFrame(
        {
            "patient_id": [1, 1, 1, 2, 2],
            "time": [day, day, day + pd.Timedelta("1s"), day, day + pd.Timedelta("1s")],
            "visit_id": 1,
            "code": ["A", "B", "LATER", "A", "LATER"],
        }
    )
    samples = pd.DataFrame({"patient_id": [1, 2], "prediction_time": day})
    for cohort in [Cohort(events, samples), Cohort(events, samples)[[0, 1]]]:
        transformer = Transformer(min_frequency=1).fit(cohort)
        assert transformer.vocabulary_.codes.tolist() == ["A", "B"]
        before = events["time"] <= day
        changed = events.assign(code=events["code"].where(before, "B"))
        for other in [Cohort(events[before], samples), Cohort(changed, samples)]:
            assert Transformer(min_frequency=1).fit(other).vocabulary_ == transformer.vocabulary_
            assert bits(transformer.transform(other)) == bits(transformer.transform(cohort))


def test_fact_recorded_after_the_prediction_time_is_never_learnt():
    events = pd.DataFrame(
        {"patient_id": 1, "time": [1, 1], "known_time": [1, 5], "code": ["A", "RECORDED-LATER"]}
    )
    samples = pd.DataFrame({"patient_id": [1], "prediction_time": [4]})
    transformer = VisitSequenceTransformer(min_frequency=1).fit(Cohort(events, samples))
    assert transformer.vocabulary_.codes.tolist() == ["A"]


def own_codes_cohort(n_patients=40):
    """Two samples a patient; besides A and B, each patient has a code of their own."""
    patient = np.repeat(np.arange(n_patients), 3)
    code = [code for p in range(n_patients) for code in ("A", "AB"[p % 2], f"ONLY-{p}")]
    events = pd.DataFrame({"patient_id": patient, "time": [1, 2, 2] * n_patients, "code": code})
    samples = pd.DataFrame(
        {"patient_id": np.repeat(np.arange(n_patients), 2), "prediction_time": [2, 3] * n_patients}
    )
    return Cohort(events, samples), samples["patient_id"].to_numpy() % 2


def sorted_codes(patients):
    return sorted(["A", "B", *(f"ONLY-{p}" for p in patients)])


@both_transformers
def test_code_of_the_test_fold_is_in_no_fitted_vocabulary(Transformer):
    cohort, y = own_codes_cohort()
    model = LogisticRegression() if Transformer is CodeCountVectorizer else LastTokens()
    scores = cross_validate(
        make_pipeline(Transformer(min_frequency=1), model),
        cohort,
        y,
        cv=StratifiedPatientKFold(4),
        return_estimator=True,
        return_indices=True,
        error_score="raise",
    )
    folds = zip(scores["estimator"], scores["indices"]["train"], strict=True)
    for pipeline, train in folds:
        training_patients = np.unique(cohort.groups[train])
        assert len(training_patients) == 30
        assert pipeline[0].vocabulary_.codes.tolist() == sorted_codes(training_patients)


class LastTokens(LogisticRegression):
    """A model that takes sequences: logistic regression on how many tokens there are."""

    def fit(self, X, y):
        return super().fit(np.diff(X.visit_offsets[X.sample_offsets])[:, None], y)

    def score(self, X, y):
        return super().score(np.diff(X.visit_offsets[X.sample_offsets])[:, None], y)


def test_frequency_is_counted_in_the_training_fold():
    cohort, y = own_codes_cohort(8)
    pipeline = make_pipeline(CodeCountVectorizer(min_frequency=4), LogisticRegression())
    # B is known of four patients of the whole cohort, and of three of each training fold.
    assert pipeline[0].fit(cohort).vocabulary_.codes.tolist() == ["A", "B"]
    scores = cross_validate(
        pipeline, cohort, y, cv=StratifiedPatientKFold(4), return_estimator=True
    )
    for fitted in scores["estimator"]:
        assert fitted[0].vocabulary_.codes.tolist() == ["A"]


def secret_cohort(n_patients=300):
    """Distinctive patients, times, visits and, in the last patient, a rare code."""
    patient = np.repeat([f"PATIENT-{p:04}" for p in range(n_patients)], 3)
    start = pd.Timestamp("2011-03-05 07:11:13.171923")
    time = start + pd.to_timedelta(np.arange(3 * n_patients), unit="D")
    events = pd.DataFrame(
        {
            "patient_id": patient,
            "time": time,
            "visit_id": [f"VISIT-{v}" for v in range(3 * n_patients)],
            "code": ["A", "B", "C"] * (n_patients - 1) + ["A", "B", "RARE-CODE"],
        }
    )
    samples = pd.DataFrame(
        {
            "patient_id": patient[::3],
            "prediction_time": time[2::3],
            "outcome": [f"OUTCOME-{i % 2}" for i in range(n_patients)],
        }
    )
    return Cohort(events, samples), samples["outcome"]


class Sizes(pickle.Pickler):
    """A pickler that notes the length of whatever it meets."""

    def __init__(self, file):
        super().__init__(file, protocol=5)
        self.longest = 0

    def persistent_id(self, obj):
        if isinstance(obj, type):
            return
        self.longest = max(self.longest, len(obj) if isinstance(obj, Sized) else 0)


def times_as_bytes(cohort):
    for unit in ["s", "ms", "us", "ns"]:
        times = cohort.visible_events()["time"].dt.as_unit(unit).astype(np.int64)
        for time in times:
            yield struct.pack("<q", time)
            yield str(time).encode()


@pytest.mark.parametrize("whole", [True, False])
@both_transformers
def test_fitted_transformer_holds_no_patient_no_time_and_no_rare_code(Transformer, whole, tmp_path):
    cohort, _ = secret_cohort()
    if not whole:
        cohort = cohort[np.arange(1, 300)]
    transformer = Transformer(min_frequency=2, visits="id").fit(cohort)
    transformer.transform(cohort)
    assert b"RARE-CODE" in pickle.dumps(cohort)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        content = pickle.dumps(transformer, protocol=protocol)
        for secret in [b"PATIENT", b"VISIT-", b"RARE", b"OUTCOME", b"2011", b"171923"]:
            assert secret not in content
        assert not any(time in content for time in times_as_bytes(cohort))
    with open(tmp_path / "transformer.pkl", "wb") as file:
        pickler = Sizes(file)
        pickler.dump(transformer)
    assert 3 <= pickler.longest < 100
    learnt = set(vars(transformer)) - set(transformer.get_params())
    assert learnt == {
        "vocabulary_",
        "resolution_",
        "_feature_encoder",
        "_value_bins",
        "_kind_of_times",
        "_scale_of_times",
        "_has_visit_ids",
        "_has_known_times",
        "_versions",
    }
    assert transformer._scale_of_times is None
    assert transformer._value_bins is None
    assert transformer._kind_of_times == "datetime"
    assert transformer._has_visit_ids is True


def test_fitted_search_holds_no_patient_no_time_and_no_rare_code():
    cohort, y = secret_cohort()
    pipeline = make_pipeline(CodeCountVectorizer(), LogisticRegression())
    search = GridSearchCV(pipeline, {"logisticregression__C": [1, 2]}, cv=StratifiedPatientKFold(2))
    content = pickle.dumps(search.fit(cohort, y))
    assert b"OUTCOME-1" in content
    for secret in [b"PATIENT", b"VISIT-", b"RARE", b"171923"]:
        assert secret not in content
    assert not any(time in content for time in times_as_bytes(cohort))


@pytest.mark.parametrize("width", ["int64", "int32"])
def test_fitted_transformer_holds_no_number_of_a_patient(width):
    patients = np.arange(20) + 1_987_654_321
    events = pd.DataFrame({"patient_id": patients, "time": patients - 7, "code": "A"})
    events = events.astype({"patient_id": width})
    content = pickle.dumps(VisitSequenceTransformer().fit(events))
    for number in [*patients.tolist(), *(patients - 7).tolist()]:
        assert struct.pack("<i", number) not in content


def fit_secret(Transformer, **params):
    """Fit on events whose every cell holds the word SECRET, and try more such events."""
    events = pd.DataFrame(
        {
            "patient_id": ["SECRET-P1", "SECRET-P2"],
            "time": [1, 2],
            "visit_id": ["SECRET-V", None],
            "code": ["SECRET-A", "SECRET-B"],
        }
    )
    events = events.drop(columns=params.pop("drop", []))
    return Transformer(**{"min_frequency": 1, **params}).fit(events).transform(events)


@both_transformers
@pytest.mark.parametrize(
    "params",
    [
        {"min_frequency": 2},
        {"min_frequency": 0.9},
        {"visits": "id"},
        {"visits": "id", "drop": "visit_id"},
        {"visits": "day"},
        {"visits": pd.Timedelta("1D")},
        {"visits": "time", "drop": "time"},
        {"visits": "auto", "drop": ["time", "visit_id"]},
        {"drop": "code"},
        {"drop": "patient_id"},
    ],
)
def test_errors_of_transformers_show_no_cell(Transformer, params):
    with pytest.raises((ValueError, TypeError)) as error:
        fit_secret(Transformer, **params)
    assert_keeps_secrets(error.value)


@both_transformers
@pytest.mark.parametrize("X", [{"code": ["SECRET"]}, [["SECRET"]], "SECRET", pd.Series(["SECRET"])])
def test_errors_about_the_input_show_no_cell(Transformer, X):
    with pytest.raises(TypeError) as error:
        Transformer(min_frequency=1).fit(X)
    assert_keeps_secrets(error.value)


@both_transformers
def test_error_about_other_codes_shows_no_cell(Transformer):
    events = pd.DataFrame({"patient_id": [1], "time": [1], "code": [424242]})
    transformer = Transformer(min_frequency=1).fit(events)
    with pytest.raises(TypeError) as error:
        transformer.transform(events.assign(code="SECRET"))
    assert_keeps_secrets(error.value)
    transformer.fit(events.assign(code="SECRET"))
    with pytest.raises(TypeError) as error:
        transformer.transform(events)
    assert_keeps_secrets(error.value)


@pytest.mark.parametrize(
    "act",
    [
        lambda: Vocabulary(["SECRET", "SECRET"]),
        lambda: Vocabulary(["SECRET", 424242]),
        lambda: Vocabulary(["SECRET"]).encode([424242]),
        lambda: Vocabulary([424242]).encode(["SECRET"]),
        lambda: Vocabulary(["SECRET"]).decode([424242]),
    ],
)
def test_errors_of_a_vocabulary_show_no_code(act):
    with pytest.raises((ValueError, TypeError)) as error:
        act()
    assert_keeps_secrets(error.value)


def assert_keeps_secrets(error):
    while error is not None:
        for secret in ["SECRET", "424242"]:
            assert secret not in str(error)
        error = error.__cause__ or error.__context__


def test_reprs_show_no_cell():
    cohort, _ = secret_cohort()
    for transformer in [T(min_frequency=2).fit(cohort) for T in TRANSFORMERS]:
        shown = repr(transformer) + transformer._repr_html_() + repr(transformer.vocabulary_)
        shown += repr(VisitSequenceTransformer().fit_transform(cohort)) + repr(cohort)
        for secret in ["PATIENT", "VISIT-", "RARE", "OUTCOME"]:
            assert secret not in shown
