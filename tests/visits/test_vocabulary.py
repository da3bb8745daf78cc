import pickle

import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import Cohort, VisitSequenceTransformer, Vocabulary
from sklearn_ehr.utils import _ragged


def cohort_frame(codes_by_patient):
    """Events of which every patient's are in one visit."""
    rows = [(p, 1, code) for p, codes in codes_by_patient.items() for code in codes]
    return pd.DataFrame(rows, columns=["patient_id", "visit_id", "code"])


def cohort_of(codes_by_patient, **kwargs):
    """Whole histories; every patient's codes in one visit."""
    return Cohort(cohort_frame(codes_by_patient), **kwargs)


def test_codes_get_ids_from_two_on_in_ascending_order():
    vocabulary = Vocabulary(["I10", "E11", "J45"])
    assert vocabulary.codes.tolist() == ["E11", "I10", "J45"]
    assert vocabulary.size == 5
    tokens = vocabulary.encode(["J45", "E11", "I10"])
    assert tokens.dtype == np.int32
    assert tokens.tolist() == [4, 2, 3]


def test_never_seen_code_is_one():
    assert Vocabulary(["E11"]).encode(["E11", "I10", "A00"]).tolist() == [2, 1, 1]


def test_no_codes_encode_to_no_tokens():
    assert Vocabulary(["E11"]).encode([]).tolist() == []


def test_numeric_codes_compare_as_values():
    vocabulary = Vocabulary([250, 401])
    assert vocabulary.encode(np.array([401.0, 250.0, 250.5])).tolist() == [3, 2, 1]
    assert vocabulary.decode([2, 3]).tolist() == [250, 401]


@pytest.mark.parametrize(
    ("known", "given", "kinds"),
    [
        (["250"], [250], ("integer|number", "string")),
        ([250], ["250"], ("string", "number")),
    ],
)
def test_codes_of_another_type_are_refused(known, given, kinds):
    with pytest.raises(TypeError, match=rf"of type ({kinds[0]}).*of type ({kinds[1]}).*astype"):
        Vocabulary(known).encode(given)


def test_categorical_codes_sort_as_values_and_encode():
    codes = pd.Categorical(["E11", "I10"], categories=["I10", "E11"])
    vocabulary = Vocabulary(codes)
    assert vocabulary.codes.tolist() == ["E11", "I10"]
    assert vocabulary.encode(pd.Series(codes)).tolist() == [2, 3]


@pytest.mark.parametrize("codes", [["E11", "E11"], ["E11", None], [1.0, np.nan]])
def test_codes_must_be_distinct_and_not_null(codes):
    with pytest.raises(ValueError, match="distinct and not null"):
        Vocabulary(codes)


def test_decode_goes_back():
    vocabulary = Vocabulary(["I10", "E11"])
    assert vocabulary.decode(np.array([[3, 2], [2, 2]])).tolist() == [["I10", "E11"], ["E11"] * 2]


@pytest.mark.parametrize("token", [-1, 0, 1, 4])
def test_token_that_stands_for_no_code_does_not_decode(token):
    with pytest.raises(ValueError, match="from 2 to 3"):
        Vocabulary(["I10", "E11"]).decode([2, token])


def test_vocabularies_of_the_same_codes_are_equal():
    assert Vocabulary(["a", "b"]) == Vocabulary(["b", "a"])
    assert Vocabulary(["a", "b"]) != Vocabulary(["a"])
    assert Vocabulary(["1"]) != Vocabulary([1])
    assert Vocabulary(["a"]) != ["a"]
    assert pickle.loads(pickle.dumps(Vocabulary(["a", "b"]))) == Vocabulary(["a", "b"])


def test_repr_shows_the_size_and_no_code():
    assert repr(Vocabulary(["E11"])) == "Vocabulary(size=3)"


def test_min_frequency_counts_patients_not_events():
    cohort = cohort_of({1: "AAAB", 2: "B", 3: "C"})
    assert Vocabulary.from_cohort(cohort, min_frequency=2).codes.tolist() == ["B"]
    assert Vocabulary.from_cohort(cohort, min_frequency=1).codes.tolist() == ["A", "B", "C"]


def test_min_frequency_counts_a_patient_with_several_samples_once():
    samples = pd.DataFrame({"patient_id": [1, 1, 1, 2]})
    cohort = cohort_of({1: "AB", 2: "B"}, samples=samples, prediction_time=None)
    assert Vocabulary.from_cohort(cohort, min_frequency=2).codes.tolist() == ["B"]


def test_float_min_frequency_is_a_share_of_patients():
    cohort = cohort_of({1: "ABC", 2: "AB", 3: "A", 4: "A"})
    assert Vocabulary.from_cohort(cohort, min_frequency=0.5).codes.tolist() == ["A", "B"]
    assert Vocabulary.from_cohort(cohort, min_frequency=0.51).codes.tolist() == ["A"]
    assert Vocabulary.from_cohort(cohort, min_frequency=1.0).codes.tolist() == ["A"]


def test_share_counts_patients_without_events_and_samples_of_one_patient_once():
    samples = pd.DataFrame({"patient_id": [1, 1, 1, 2, 8, 9]})
    with pytest.warns(UserWarning, match="no visible event"):
        cohort = cohort_of({1: "AB", 2: "B"}, samples=samples, prediction_time=None)
    assert Vocabulary.from_cohort(cohort, min_frequency=0.5).codes.tolist() == ["B"]
    assert Vocabulary.from_cohort(cohort, min_frequency=0.25).codes.tolist() == ["A", "B"]


@pytest.mark.parametrize("count", range(1, 101))
def test_share_that_is_met_exactly_is_met(count):
    cohort = cohort_of({p: "AB" if p < count else "B" for p in range(100)})
    # 0.07 * 100 is above 7 in floating point.
    vocabulary = Vocabulary.from_cohort(cohort, min_frequency=count / 100)
    assert "A" in vocabulary.codes


def test_share_of_zero_keeps_every_visible_code_and_no_other():
    cohort = cohort_of({1: "A", 2: "B"})[[0]]
    assert Vocabulary.from_cohort(cohort, min_frequency=0.0).codes.tolist() == ["A"]


def test_integer_and_float_one_differ():
    cohort = cohort_of({1: "AB", 2: "B"})
    assert Vocabulary.from_cohort(cohort, min_frequency=1).codes.tolist() == ["A", "B"]
    assert Vocabulary.from_cohort(cohort, min_frequency=1.0).codes.tolist() == ["B"]


def test_max_vocabulary_keeps_the_most_frequent_ties_by_code():
    cohort = cohort_of({1: "DCBA", 2: "DCB", 3: "D"})
    for most, kept in [(1, "D"), (2, "BD"), (3, "BCD"), (4, "ABCD"), (9, "ABCD")]:
        vocabulary = Vocabulary.from_cohort(cohort, min_frequency=1, max_vocabulary=most)
        assert vocabulary.codes.tolist() == list(kept)


@pytest.mark.parametrize("min_frequency", [3, 0.9])
def test_empty_vocabulary_is_an_error_that_names_min_frequency(min_frequency):
    cohort = cohort_of({1: "AB", 2: "B", 3: "A"})
    with pytest.raises(ValueError, match=f"min_frequency={min_frequency} of the 3 .* visible in 2"):
        Vocabulary.from_cohort(cohort, min_frequency=min_frequency)


def test_no_visible_event_is_an_empty_vocabulary():
    events = pd.DataFrame({"patient_id": [1], "time": [5], "code": ["A"]})
    samples = pd.DataFrame({"patient_id": [1], "prediction_time": [4]})
    with pytest.warns(UserWarning, match="no visible event"):
        cohort = Cohort(events, samples)
    with pytest.raises(ValueError, match="visible in 0"):
        Vocabulary.from_cohort(cohort, min_frequency=0.0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("min_frequency", [1, 0.1])
def test_no_sample_is_an_empty_vocabulary_and_divides_by_nothing(min_frequency):
    with pytest.raises(ValueError, match="of the 0 training patients"):
        Vocabulary.from_cohort(cohort_of({1: "A"})[[]], min_frequency=min_frequency)


def test_only_visible_events_are_learnt():
    events = pd.DataFrame({"patient_id": [1, 1, 2], "time": [1, 9, 1], "code": ["A", "B", "C"]})
    samples = pd.DataFrame({"patient_id": [1, 2], "prediction_time": [5, 5]})
    cohort = Cohort(events, samples)
    assert Vocabulary.from_cohort(cohort, min_frequency=1).codes.tolist() == ["A", "C"]
    assert Vocabulary.from_cohort(cohort[[0]], min_frequency=1).codes.tolist() == ["A"]


class CohortOfStays(Cohort):
    """Patient ids are those of stays; ten stays are one person's."""

    group_positions = property(lambda self: self.groups // 10, lambda self, value: None)


def test_min_frequency_counts_groups_where_they_are_not_the_patients():
    stays = {10: "AB", 11: "A", 12: "AC", 25: "BC", 31: "C"}
    cohort = CohortOfStays(cohort_frame(stays))
    assert Vocabulary.from_cohort(cohort, min_frequency=1).codes.tolist() == ["A", "B", "C"]
    assert Vocabulary.from_cohort(cohort, min_frequency=2).codes.tolist() == ["B", "C"]
    assert Vocabulary.from_cohort(cohort, min_frequency=3).codes.tolist() == ["C"]
    assert Vocabulary.from_cohort(cohort, min_frequency=1.0).codes.tolist() == ["C"]
    assert Vocabulary.from_cohort(cohort, min_frequency=0.6).codes.tolist() == ["B", "C"]
    with pytest.raises(ValueError, match="of the 3 training patients"):
        Vocabulary.from_cohort(cohort, min_frequency=4)


@pytest.mark.parametrize("n_elements", [1, 2, 3, 7, 100])
def test_group_counts_once_wherever_blocks_are_cut(n_elements, monkeypatch):
    rng = np.random.default_rng(0)
    events = pd.DataFrame(
        {
            "patient_id": rng.integers(0, 100, 400),
            "visit_id": 1,
            "code": rng.choice(
                list("ABCDEFGH"), 400, p=np.array([30, 20, 15, 13, 10, 6, 4, 2]) / 100
            ),
        }
    )
    n_groups = events.groupby("code")["patient_id"].agg(lambda p: (p // 10).nunique())
    n_patients = events.groupby("code")["patient_id"].nunique()
    assert len(set(n_groups)) > 2
    monkeypatch.setattr(_ragged, "_ELEMENTS_PER_BLOCK", n_elements)
    for cohort, counts in [(CohortOfStays(events), n_groups), (Cohort(events), n_patients)]:
        for least in range(1, counts.max() + 1):
            vocabulary = Vocabulary.from_cohort(cohort, min_frequency=least)
            assert vocabulary.codes.tolist() == counts.index[counts >= least].tolist()


def test_bins_of_values_rest_on_groups():
    events = pd.DataFrame({"patient_id": [10, 11, 12, 20, 30, 31], "time": 0, "code": "lab"})
    events["value"] = [1.0, 2, 3, 4, 5, 6]
    params = {"min_frequency": 2, "value_bins": 2}
    by_patient = VisitSequenceTransformer(**params).fit(Cohort(events))
    assert by_patient.vocabulary_.codes.tolist() == ["lab//Q1", "lab//Q2"]
    # The three stays with the lowest values are of one person.
    by_person = VisitSequenceTransformer(**params).fit(CohortOfStays(events))
    assert by_person.vocabulary_.codes.tolist() == ["lab//Q1"]
