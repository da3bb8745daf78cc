import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import Cohort, EventTable, make_next_visit_labels, make_visit_labels

EVENTS = pd.DataFrame(
    {
        "patient_id": [1, 1, 1, 2, 2, 3],
        "visit_id": [11, 10, 10, 20, 21, 30],
        "time": [5, 0, 1, 0, 3, 0],
        "code": list("abcabd"),
    }
)
LABELS = pd.DataFrame(
    {
        "visit_id": [21, 10, 11, 99],
        "patient_id": [2, 1, 1, 1],
        "label": ["ill", "well", "ill", "well"],
        "pain": [1, 0, 1, 1],
        "cough": [0, 0, 1, 1],
    }
)


def as_lists(y):
    return [array.tolist() for array in y]


def same(y, wanted):
    """Equal lists, nulls included."""
    return [[None if pd.isna(label) else label for label in array] for array in y] == wanted


def test_labels_come_in_the_order_of_visits():
    y = make_visit_labels(Cohort(EVENTS), LABELS)
    assert y.shape == (3,)
    assert same(y, [["well", "ill"], [None, "ill"], [None]])


def test_number_labels_stay_numbers():
    y = make_visit_labels(Cohort(EVENTS), LABELS, label="pain")
    assert y[0].tolist() == [0, 1]
    assert np.isnan(y[1][0])
    assert y[1][1] == 1


def test_several_labels_are_columns():
    y = make_visit_labels(Cohort(EVENTS), LABELS, label=["pain", "cough"])
    assert y[0].tolist() == [[0, 0], [1, 1]]
    assert np.isnan(y[1][0]).all()
    assert y[1][1].tolist() == [1, 0]


def test_only_visible_visits_are_labelled_and_samples_may_repeat_a_patient():
    samples = pd.DataFrame({"patient_id": [1, 1], "prediction_time": [9, 2]})
    y = make_visit_labels(Cohort(EVENTS, samples), LABELS)
    assert as_lists(y) == [["well", "ill"], ["well"]]
    assert as_lists(make_visit_labels(Cohort(EVENTS, samples)[[1, 0]], LABELS)) == [
        ["well"],
        ["well", "ill"],
    ]


def test_static_visit_and_visits_by_day_have_none():
    events = pd.DataFrame(
        {
            "patient_id": [1, 1, 1],
            "visit_id": pd.array([None, 10, None], dtype="Int64"),
            "time": [np.nan, 1, 2],
            "code": list("sab"),
        }
    )
    y = make_visit_labels(Cohort(events, null_time="static"), LABELS)
    assert same(y, [["well", None]])


@pytest.mark.parametrize("X", [EventTable(EVENTS), EVENTS], ids=["table", "frame"])
def test_events_without_samples_mean_whole_histories(X):
    cohort = Cohort(EVENTS)
    for got, of_cohort in (
        (make_visit_labels(X, LABELS), make_visit_labels(cohort, LABELS)),
        (make_next_visit_labels(X)[0], make_next_visit_labels(cohort)[0]),
    ):
        assert len(got) == 3
        assert str(as_lists(got)) == str(as_lists(of_cohort))


def test_labels_are_matched_by_patient_where_a_group_is_coarser():
    samples = pd.DataFrame({"patient_id": [2, 1], "prediction_time": 9, "ward": ["a", "a"]})
    cohort = Cohort(EVENTS, samples, group="ward")
    assert cohort.groups.tolist() == ["a", "a"]
    assert same(make_visit_labels(cohort, LABELS), [[None, "ill"], ["well", "ill"]])


def test_text_ids_and_other_names():
    events = EVENTS.astype({"visit_id": str}).rename(
        columns={"patient_id": "person", "visit_id": "stay"}
    )
    labels = LABELS.astype({"visit_id": "str"}).rename(
        columns={"patient_id": "person", "visit_id": "stay"}
    )
    cohort = Cohort(events, patient_id="person", visit_id="stay")
    y = make_visit_labels(cohort, labels, visit_id="stay")
    assert same(y, [["well", "ill"], [None, "ill"], [None]])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda f: f.drop(columns="label"), ValueError, "labels has no column 'label'"),
        (lambda f: f.drop(columns="visit_id"), ValueError, "labels has no column 'visit_id'"),
        (lambda f: f.drop(columns="patient_id"), ValueError, "no column 'patient_id'.*rename it"),
        (
            lambda f: pd.concat([f, f[:2]]),
            ValueError,
            r"2 row\(s\) for a visit that already has one",
        ),
        (lambda f: f.assign(visit_id=-1 - f.index), ValueError, "No row of labels matches"),
        (lambda f: f.assign(visit_id=[None, 1, 2, 3]), ValueError, "1 null"),
        (lambda f: f.assign(visit_id=[[1], [2], [3], [4]]), TypeError, "holds list values"),
        (lambda f: f.assign(visit_id=[1, "2", 3, 4]), TypeError, "'visit_id' mixes values"),
        (lambda f: f.astype({"visit_id": str}), TypeError, "Column 'visit_id'.*astype"),
        (lambda f: f.astype({"patient_id": str}), TypeError, "Column 'patient_id'.*astype"),
    ],
)
def test_bad_frames_of_labels_raise(change, error, message):
    with pytest.raises(error, match=message):
        make_visit_labels(Cohort(EVENTS), change(LABELS))


def test_visits_without_ids_raise():
    with pytest.raises(ValueError, match=r"no visit ids.*visit_id="):
        make_visit_labels(Cohort(EVENTS.drop(columns="visit_id")), LABELS)
    for visits in ("time", np.array(["id", "auto"])):
        with pytest.raises(ValueError, match=r"visits=.*makes visits without ids"):
            make_visit_labels(Cohort(EVENTS), LABELS, visits=visits)


@pytest.mark.parametrize("make", [lambda X: make_visit_labels(X, LABELS), make_next_visit_labels])
def test_labels_are_made_from_events(make):
    with pytest.raises(TypeError, match=r"X must be a Cohort.*, got list"):
        make([["a"]])


def test_labels_are_in_a_frame():
    with pytest.raises(TypeError, match=r"labels must be a pandas DataFrame, or .* got list"):
        make_visit_labels(Cohort(EVENTS), [["well"]])


def test_labels_without_a_column_or_a_visit_with_an_id_raise():
    with pytest.raises(ValueError, match=r"label=\[\] names no column"):
        make_visit_labels(Cohort(EVENTS), LABELS, label=[])
    nobody = Cohort(EVENTS.assign(visit_id=pd.array([None] * len(EVENTS), dtype="Int64")))
    with pytest.raises(ValueError, match="no visit with an id"):
        make_visit_labels(nobody, LABELS)


def test_next_visit_has_these_codes():
    y, names = make_next_visit_labels(Cohort(EVENTS))
    assert names.tolist() == ["a", "b", "c", "d"]
    nan = [None] * 4
    wanted = [[[1, 0, 0, 0], nan], [[0, 1, 0, 0], nan], [nan]]
    got = [np.where(np.isnan(rows), None, rows).tolist() for rows in y]
    assert got == wanted
    assert y[0].dtype == np.float32


def test_codes_can_be_grouped_and_left_out():
    groups = {"a": "vowel", "b": "consonant", "d": "consonant", "z": "never seen"}
    for mapping in (groups, pd.Series(groups)):
        y, names = make_next_visit_labels(Cohort(EVENTS), groups=mapping)
        # The columns do not depend on the cohort.
        assert names.tolist() == ["consonant", "never seen", "vowel"]
        assert y[0][0].tolist() == [0, 0, 1]
        assert y[1][0].tolist() == [1, 0, 0]
    with pytest.raises(TypeError, match="groups must be a mapping or a Series"):
        make_next_visit_labels(Cohort(EVENTS), groups=["a"])
    with pytest.raises(ValueError, match="several groups for a code"):
        make_next_visit_labels(Cohort(EVENTS), groups=pd.Series({"a": 1}).loc[["a", "a"]])
    with pytest.raises(ValueError, match="No code of X has a group"):
        make_next_visit_labels(Cohort(EVENTS), groups={"z": "never seen"})


def test_static_codes_come_next_to_nothing():
    events = pd.DataFrame(
        {"patient_id": [1, 1, 1], "time": [np.nan, 1, 2], "code": ["sex", "a", "b"]}
    )
    y, names = make_next_visit_labels(Cohort(events, null_time="static"))
    assert names.tolist() == ["a", "b", "sex"]
    assert y[0][0].tolist() == [0, 1, 0]
    assert len(y[0]) == 2


def test_visits_are_those_of_the_transformer():
    by_visit, _ = make_next_visit_labels(Cohort(EVENTS))
    by_time, _ = make_next_visit_labels(Cohort(EVENTS), visits="time")
    assert [len(rows) for rows in by_visit] == [2, 2, 1]
    assert [len(rows) for rows in by_time] == [3, 2, 1]
