"""Which samples a cohort has, and what it takes from the frames."""

import warnings

import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import Cohort
from sklearn_ehr.cohort import as_cohort


def make_events(**columns):
    events = {
        "patient_id": [2, 1, 1, 3],
        "time": [5, 1, 3, 4],
        "code": ["D", "A", "B", "C"],
    }
    return pd.DataFrame({**events, **columns})


def make_samples(**columns):
    return pd.DataFrame({"patient_id": [3, 1], "prediction_time": [9, 2], **columns})


def codes_of(cohort):
    """Visible codes of each sample, as a list of strings."""
    visible = cohort.visible_events()
    return ["".join(visible.loc[visible["sample"] == i, "code"]) for i in range(len(cohort))]


def test_samples_keep_their_order():
    cohort = Cohort(make_events(), make_samples())
    assert cohort.groups.tolist() == [3, 1]
    assert codes_of(cohort) == ["C", "A"]


def test_without_samples_one_sample_a_patient_sorted_by_id_with_the_whole_history():
    cohort = Cohort(make_events())
    assert cohort.groups.tolist() == [1, 2, 3]
    assert cohort.samples["patient_id"].tolist() == [1, 2, 3]
    assert codes_of(cohort) == ["AB", "D", "C"]
    assert len(cohort) == 3
    assert cohort.shape == (3,)


def test_patient_ids_of_text_sort_as_text():
    events = make_events(patient_id=["p10", "p9", "p9", "p1"])
    assert Cohort(events).groups.tolist() == ["p1", "p10", "p9"]


def test_prediction_time_none_means_whole_histories():
    cohort = Cohort(make_events(), make_samples(), prediction_time=None)
    assert codes_of(cohort) == ["C", "AB"]


def test_prediction_time_none_accepts_samples_without_the_column():
    samples = make_samples().drop(columns="prediction_time")
    assert codes_of(Cohort(make_events(), samples, prediction_time=None)) == ["C", "AB"]


def test_several_samples_a_patient_see_what_each_of_them_may():
    samples = pd.DataFrame({"patient_id": [1, 1, 1], "prediction_time": [3, 1, 2]})
    cohort = Cohort(make_events(), samples)
    assert codes_of(cohort) == ["AB", "A", "A"]
    assert cohort.n_patients == 1


def test_extra_sample_columns_stay_in_samples_and_are_no_features():
    samples = make_samples(readmitted=[1, 0], ward=["x", "y"])
    cohort = Cohort(make_events(), samples)
    y = cohort.samples["readmitted"]
    assert y.tolist() == [1, 0]
    assert list(cohort.samples) == ["patient_id", "prediction_time", "readmitted", "ward"]
    assert list(cohort.visible_events()) == ["sample", "patient_id", "time", "code"]
    assert cohort[[1]].samples["ward"].tolist() == ["y"]


def test_samples_keep_their_index():
    samples = make_samples().set_index(pd.Index(["a", "b"]))
    assert Cohort(make_events(), samples)[[1]].samples.index.tolist() == ["b"]


def test_sample_without_events_stays():
    samples = pd.DataFrame({"patient_id": [1, 7, 7, 3], "prediction_time": [9, 9, 9, 0]})
    with pytest.warns(UserWarning, match="3 of 4 samples"):
        cohort = Cohort(make_events(), samples)
    assert codes_of(cohort) == ["AB", "", "", ""]
    assert cohort.groups.tolist() == [1, 7, 7, 3]
    assert cohort.n_patients == 3


@pytest.mark.parametrize(
    ("n_samples", "n_empty", "warns"), [(20, 1, False), (19, 1, True), (140, 7, False)]
)
def test_more_than_5_percent_of_samples_without_events_warns(n_samples, n_empty, warns):
    times = [0] * n_empty + [9] * (n_samples - n_empty)
    samples = pd.DataFrame({"patient_id": 1, "prediction_time": times})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Cohort(make_events(), samples)
    assert [w.category for w in caught] == [UserWarning] * warns
    assert all(w.filename == __file__ for w in caught)


def test_subset_does_not_warn():
    with pytest.warns(UserWarning):
        cohort = Cohort(make_events(), make_samples(prediction_time=[0, 0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert codes_of(cohort[[0]]) == [""]


def test_patient_with_only_dropped_events_stays_without_samples():
    events = make_events(time=[5.0, 1.0, np.nan, np.nan])
    with pytest.warns(UserWarning, match="1 of 3"):
        cohort = Cohort(events, null_time="drop")
    assert cohort.groups.tolist() == [1, 2, 3]
    assert codes_of(cohort) == ["A", "D", ""]


def test_columns_may_have_other_names():
    events = pd.DataFrame(
        {"who": [1, 1], "when": [2, 1], "what": ["B", "A"], "stay": [7, 8], "result": [0.5, 1.5]}
    )
    samples = pd.DataFrame({"who": [1], "as_of": [9]})
    cohort = Cohort(
        events,
        samples,
        patient_id="who",
        time="when",
        code="what",
        visit_id="stay",
        value="result",
        prediction_time="as_of",
    )
    expected = pd.DataFrame(
        {
            "sample": [0, 0],
            "who": [1, 1],
            "time": [1, 2],
            "code": ["A", "B"],
            "visit_id": [8, 7],
            "value": [1.5, 0.5],
        }
    )
    pd.testing.assert_frame_equal(cohort.visible_events(), expected, check_dtype=False)


def test_meds_names_are_recognised_as_they_stand():
    events = make_events(numeric_value=[1.0, 2.0, 3.0, np.nan])
    events = events.rename(columns={"patient_id": "subject_id"})
    samples = make_samples(boolean_value=[True, False]).rename(columns={"patient_id": "subject_id"})
    cohort = Cohort(events, samples)
    assert cohort.groups.tolist() == [3, 1]
    visible = cohort.visible_events()
    assert visible["subject_id"].tolist() == [3, 1]
    np.testing.assert_array_equal(visible["value"], [np.nan, 2.0])


def test_meds_events_need_no_samples():
    events = make_events().rename(columns={"patient_id": "subject_id"})
    assert codes_of(Cohort(events)) == ["AB", "D", "C"]


def test_standard_name_goes_before_the_meds_name():
    events = make_events(subject_id=[1, 1, 1, 1])
    assert Cohort(events).groups.tolist() == [1, 2, 3]


def test_meds_name_does_not_stand_in_for_a_name_that_was_asked_for():
    events = make_events(subject_id=[1, 1, 1, 1])
    with pytest.raises(ValueError, match="'person'"):
        Cohort(events, patient_id="person")


def test_optional_columns_can_be_left_out():
    events = make_events(visit_id=[1, 1, 1, 1], value=["high", "low", "low", "low"])
    cohort = Cohort(events, visit_id=None, value=None)
    assert list(cohort.visible_events()) == ["sample", "patient_id", "time", "code"]


def test_without_a_time_column_the_visit_id_orders_the_history():
    events = pd.DataFrame(
        {"patient_id": [1, 1, 1], "visit_id": [30, 4, 30], "code": ["B", "C", "A"]}
    )
    cohort = Cohort(events)
    assert codes_of(cohort) == ["CAB"]
    assert cohort.visible_events()["visit_id"].tolist() == [4, 30, 30]


def test_without_a_time_column_whole_histories_can_be_predicted():
    events = pd.DataFrame({"patient_id": [1, 2], "visit_id": [1, 1], "code": ["A", "B"]})
    samples = pd.DataFrame({"patient_id": [2]})
    assert codes_of(Cohort(events, samples, prediction_time=None)) == ["B"]


def test_time_none_leaves_the_time_column_alone():
    cohort = Cohort(make_events(visit_id=[1, 2, 1, 1]), time=None)
    assert codes_of(cohort) == ["BA", "D", "C"]


def test_null_visit_ids_show_as_null():
    cohort = Cohort(make_events(visit_id=[5, np.nan, 6, 7]))
    np.testing.assert_array_equal(cohort.visible_events()["visit_id"], [np.nan, 6, 5, 7])


def test_visit_ids_may_all_be_null():
    cohort = Cohort(make_events(visit_id=None))
    assert cohort.visible_events()["visit_id"].isna().all()


def test_large_integer_ids_stay_exact():
    big = 2**53
    events = make_events(patient_id=[big, big + 1, big + 1, big + 2])
    samples = pd.DataFrame({"patient_id": [big + 1, big], "prediction_time": [9, 9]})
    assert codes_of(Cohort(events, samples)) == ["AB", "D"]


def test_unsigned_ids_match_signed_ones():
    events = make_events(patient_id=np.array([2, 1, 1, 3], dtype=np.uint64))
    assert codes_of(Cohort(events, make_samples())) == ["C", "A"]


def test_float_ids_match_integer_ones():
    samples = make_samples(patient_id=[3.0, 1.0])
    assert codes_of(Cohort(make_events(), samples)) == ["C", "A"]


@pytest.mark.parametrize("frame", ["events", "samples", "both"])
def test_categorical_patients_match_by_value(frame):
    events, samples = make_events(patient_id=["b", "a", "a", "c"]), make_samples()
    samples["patient_id"] = ["c", "a"]
    if frame != "samples":
        dtype = pd.CategoricalDtype(["unused", "c", "b", "a"])
        events["patient_id"] = events["patient_id"].astype(dtype)
    if frame != "events":
        samples["patient_id"] = samples["patient_id"].astype("category")
    cohort = Cohort(events, samples)
    assert codes_of(cohort) == ["C", "A"]
    assert cohort.groups.tolist() == ["c", "a"]
    assert Cohort(events).groups.tolist() == ["a", "b", "c"]


def test_categorical_codes_and_visits_sort_by_value():
    events = pd.DataFrame(
        {
            "patient_id": 1,
            "time": 1,
            "code": pd.Categorical(["B", "A", "C"], categories=["C", "B", "unused", "A"]),
            "visit_id": pd.Categorical(["v", None, "u"], categories=["v", "u"]),
        }
    )
    visible = Cohort(events).visible_events()
    assert visible["code"].tolist() == ["A", "B", "C"]
    assert visible["visit_id"].fillna("").tolist() == ["", "v", "u"]


def test_nullable_integers_are_taken():
    events = make_events(
        patient_id=pd.array([2, 1, 1, 3], dtype="Int64"),
        time=pd.array([5, 1, 3, 4], dtype="Int64"),
        visit_id=pd.array([1, None, 2, 3], dtype="Int64"),
        value=pd.array([1, None, 2, 3], dtype="Int64"),
    )
    visible = Cohort(events, make_samples(), prediction_time=None).visible_events()
    assert visible["code"].tolist() == ["C", "A", "B"]
    np.testing.assert_array_equal(visible["visit_id"].astype(float), [3, np.nan, 2])
    np.testing.assert_array_equal(visible["value"], [3, np.nan, 2])


def test_frames_are_left_as_they_were():
    events = make_events(visit_id=[1, None, 1, 2], value=[1.0, 2.0, None, 4.0], known_time=9)
    samples = make_samples(readmitted=[1, 0])
    events_before, samples_before = events.copy(deep=True), samples.copy(deep=True)
    with pytest.warns(UserWarning):
        cohort = Cohort(events, samples, closed="left")
    own_samples, own_events = cohort.samples, cohort.visible_events()
    own_samples["new"] = 1
    own_samples.loc[:, "readmitted"] = 7
    own_events["code"] = "Z"
    pd.testing.assert_frame_equal(events, events_before)
    pd.testing.assert_frame_equal(samples, samples_before)
    assert "new" not in cohort.samples
    assert cohort.samples["readmitted"].tolist() == [1, 0]
    patients = cohort.patients.tolist()
    cohort.patients[:] = cohort.groups[:] = 7
    assert cohort.patients.tolist() == cohort.groups.tolist() == patients


def test_later_changes_of_the_frames_do_not_reach_the_cohort():
    events, samples = make_events(), make_samples()
    cohort = Cohort(events, samples)
    events.loc[:, "code"] = "Z"
    events.loc[:, "time"] = 0
    samples.loc[:, "patient_id"] = 2
    assert codes_of(cohort) == ["C", "A"]
    assert cohort.groups.tolist() == [3, 1]


@pytest.mark.parametrize("seed", range(5))
def test_order_of_rows_changes_nothing(seed):
    events = pd.DataFrame(
        {
            "patient_id": [1, 1, 1, 1, 1, 2],
            "time": [1, 1, 1, 1, 0, 1],
            "code": ["B", "A", "A", "A", "C", "A"],
            "visit_id": ["u", "v", "u", "u", "w", "u"],
            "value": [1.0, 2.0, 4.0, np.nan, 5.0, 6.0],
        }
    )
    samples = pd.DataFrame({"patient_id": [2, 1], "prediction_time": [1, 1]})
    shuffled = events.sample(frac=1, random_state=seed)
    visible = Cohort(shuffled, samples).visible_events()
    pd.testing.assert_frame_equal(visible, Cohort(events, samples).visible_events())
    np.testing.assert_array_equal(visible["value"], [6, 5, 4, np.nan, 2, 1])


def test_events_of_equal_time_are_ordered_by_code():
    events = pd.DataFrame({"patient_id": 1, "time": 1, "code": ["B", "C", "A"]})
    assert codes_of(Cohort(events)) == ["ABC"]


def test_repr_shows_counts_and_no_cell():
    events = pd.DataFrame({"patient_id": ["Ann", "Bob"], "time": [1, 2], "code": ["HIV", "TB"]})
    samples = pd.DataFrame({"patient_id": ["Ann"], "prediction_time": [5]})
    assert repr(Cohort(events, samples)) == "Cohort(n_samples=1, n_patients=1, n_events=1)"
    known = Cohort(events.assign(known_time=[6, 7]), samples, closed="right", prediction_time=None)
    assert repr(known) == "Cohort(n_samples=1, n_patients=1, n_events=1)"


def test_as_cohort_takes_a_cohort_or_a_long_frame():
    cohort = Cohort(make_events())
    assert as_cohort(cohort) is cohort
    assert as_cohort(make_events()).groups.tolist() == [1, 2, 3]
    with pytest.raises(TypeError, match=r"got ndarray.*Cohort\(events, samples\)"):
        as_cohort(np.zeros((2, 2)))
