"""A cohort is indexed by samples, shares its events, and pickles what its samples see."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.validation import _num_samples

from sklearn_ehr import Cohort

pytestmark = pytest.mark.filterwarnings("ignore:.*no visible event:UserWarning")

KEYS = [
    (np.array([3, 0]), [3, 0]),
    ([1, 1, 2], [1, 1, 2]),
    (np.array([-1, -5]), [4, 0]),
    (np.array([2], dtype=np.uint8), [2]),
    (pd.Series([4, 2]), [4, 2]),
    (np.array([True, False, False, True, False]), [0, 3]),
    ([False] * 5, []),
    (pd.Series([False, True, False, False, True]), [1, 4]),
    (slice(1, 3), [1, 2]),
    (slice(None, None, -2), [4, 2, 0]),
    (slice(3, 99), [3, 4]),
    (slice(2, 2), []),
    (0, [0]),
    (-1, [4]),
    (np.int64(2), [2]),
    ([], []),
    (np.array([], dtype=int), []),
    ((np.array([3, 0]), ...), [3, 0]),
    ((slice(1, 3), ...), [1, 2]),
]

OPTIONS = [
    {},
    {"closed": "left", "lookback": 2},
    {"known_time": "known_time"},
    {"known_time": "known_time", "lookback": 2},
    {"prediction_time": None, "lookback": 1},
]


def make_cohort(**options):
    """Five samples of Ann, Bob, Ann, Cid (who has no events) and Dan (who has one later)."""
    events = pd.DataFrame(
        {
            "patient_id": ["Bob", "Ann", "Ann", "Dan", "Bob", "Ann", "Ann"],
            "time": [1, 1, 2, 8, 3, np.nan, 4],
            "known_time": [2, 1, 4, 9, 3, np.nan, 4],
            "code": ["TB", "FLU", "HIV", "LATER", "GOUT", "BIRTH", "SYPHILIS"],
            "visit_id": ["b1", "a1", "a1", "d1", "b2", None, "a2"],
            "value": [0.5, 1.5, np.nan, 2.5, 3.5, 4.5, 5.5],
        }
    )
    samples = pd.DataFrame(
        {
            "patient_id": ["Ann", "Bob", "Ann", "Cid", "Dan"],
            "prediction_time": [3, 2, 1, 5, 5],
            "readmitted": [1, 0, 0, 1, 0],
        },
        index=list("vwxyz"),
    )
    options = {"known_time": None, "null_time": "static", **options}
    return Cohort(events, samples, **options)


def events_by_hand(cohort, positions):
    """Visible events of the samples at these positions, picked out of the whole cohort's."""
    visible = cohort.visible_events()
    parts = [visible[visible["sample"] == p].assign(sample=i) for i, p in enumerate(positions)]
    return pd.concat([visible.iloc[:0], *parts], ignore_index=True)


def assert_same_events(left, right):
    pd.testing.assert_frame_equal(left, right, check_dtype=False)


@pytest.mark.parametrize(("key", "positions"), KEYS)
def test_subset_has_the_samples_asked_for(key, positions):
    cohort = make_cohort()
    subset = cohort[key]
    assert isinstance(subset, Cohort)
    assert len(subset) == len(positions)
    assert subset.shape == (len(positions),)
    assert subset.groups.tolist() == cohort.groups[positions].tolist()
    pd.testing.assert_frame_equal(subset.samples, cohort.samples.iloc[positions])
    assert_same_events(subset.visible_events(), events_by_hand(cohort, positions))


@pytest.mark.parametrize("options", OPTIONS)
def test_subset_sees_what_its_samples_see(options):
    cohort = make_cohort(**options)
    for positions in ([2, 4, 0, 2], [3], [1, 0], []):
        expected = events_by_hand(cohort, positions)
        assert_same_events(cohort[positions].visible_events(), expected)


def test_subset_of_a_subset():
    cohort = make_cohort()
    subset = cohort[[4, 2, 0]][1:][[1, 0, 1]]
    assert subset.samples.index.tolist() == ["v", "x", "v"]
    assert_same_events(subset.visible_events(), events_by_hand(cohort, [0, 2, 0]))


def test_int_gives_a_cohort_of_one():
    assert make_cohort()[1].visible_events()["code"].tolist() == ["TB"]
    assert make_cohort()[1].n_patients == 1


@pytest.mark.parametrize("key", [5, -6, [0, 5], np.array([-6])])
def test_position_past_the_end_is_an_index_error(key):
    with pytest.raises(IndexError, match="out of bounds for Cohort with 5 samples"):
        make_cohort()[key]


def test_iteration_ends():
    assert [len(one) for one in make_cohort()] == [1] * 5


@pytest.mark.parametrize("length", [0, 4, 6])
def test_mask_of_the_wrong_length_is_an_index_error(length):
    mask = np.ones(length, dtype=bool)
    with pytest.raises(IndexError, match=rf"got {length} values for 5 samples"):
        make_cohort()[mask]


@pytest.mark.parametrize(
    "key",
    [1.0, [1.0], "v", ["v"], None, np.True_, True, [[0, 1]], ..., (0, 1), np.array([1, None])],
)
def test_other_keys_are_index_errors(key):
    with pytest.raises(IndexError):
        make_cohort()[key]


def test_cohort_is_no_array():
    with pytest.raises(TypeError, match=r"not an array.*VisitSequenceTransformer.*visible_events"):
        np.asarray(make_cohort())
    with pytest.raises(TypeError, match="not an array"):
        np.array(make_cohort(), dtype=float)


def test_shape_has_no_columns_and_names_the_way_out():
    shape = make_cohort().shape
    assert shape == (5,)
    assert (shape[0], shape[-1], shape[1:]) == (5, 5, ())
    with pytest.raises(IndexError, match=r"not an array.*CodeCountVectorizer.*FeatureUnion"):
        shape[1]


def test_scikit_learn_indexes_a_cohort():
    cohort = make_cohort()
    assert _num_samples(cohort) == 5
    assert indexable(cohort, None)[0] is cohort
    for key in ([3, 0], np.array([3, 0]), (3, 0), np.array([1, 0, 0, 1, 0], dtype=bool)):
        assert len(_safe_indexing(cohort, key)) == 2
    assert _safe_indexing(cohort, slice(1, 3)).groups.tolist() == ["Bob", "Ann"]


def arrays_of(cohort):
    return {k: v for k, v in vars(cohort.event_table).items() if isinstance(v, np.ndarray)}


def test_subset_shares_the_arrays_of_events():
    cohort = make_cohort(known_time="known_time")
    arrays = arrays_of(cohort)
    assert len(arrays) == 11
    for subset in (cohort[[0, 1]], cohort[1:][[0]], cohort[2]):
        pickle.dumps(subset)
        for name, array in arrays_of(subset).items():
            assert array is arrays[name]


@pytest.mark.parametrize("options", OPTIONS)
def test_whole_cohort_pickles_its_own_arrays(options):
    cohort = make_cohort(**options)
    loaded = pickle.loads(pickle.dumps(cohort))
    assert_same_events(loaded.visible_events(), cohort.visible_events())
    pd.testing.assert_frame_equal(loaded.samples, cohort.samples)
    for name, array in arrays_of(loaded).items():
        np.testing.assert_array_equal(array, arrays_of(cohort)[name])
    assert_same_events(loaded[[2, 1]].visible_events(), events_by_hand(cohort, [2, 1]))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("positions", [[0, 1, 2, 3, 4], [1, 4], [2, 0, 2], [3], [4, 3, 1], []])
@pytest.mark.parametrize("round_trip", [lambda c: pickle.loads(pickle.dumps(c)), copy.deepcopy])
def test_compacted_subset_shows_the_same_events(options, positions, round_trip):
    cohort = make_cohort(**options)
    subset = cohort[positions]
    loaded = round_trip(subset)
    expected = events_by_hand(cohort, positions)
    assert_same_events(loaded.visible_events(), expected)
    assert_same_events(subset.visible_events(), expected)
    pd.testing.assert_frame_equal(loaded.samples, subset.samples)
    assert loaded.groups.tolist() == subset.groups.tolist()
    assert loaded.n_patients == subset.n_patients
    assert repr(loaded) == repr(subset)
    reversed_positions = list(range(len(positions)))[::-1]
    again = pickle.loads(pickle.dumps(loaded[reversed_positions]))
    assert_same_events(again.visible_events(), events_by_hand(cohort, positions[::-1]))


@pytest.mark.parametrize("known_time", [None, "known_time"])
def test_pickled_subset_holds_only_what_its_samples_see(known_time):
    cohort = make_cohort(known_time=known_time)
    subset = cohort[[2, 4]]
    dumped = pickle.dumps(subset)
    for hidden in (
        b"HIV",
        b"SYPHILIS",
        b"LATER",
        b"TB",
        b"GOUT",
        b"a2",
        b"b1",
        b"d1",
        b"Bob",
        b"Cid",
    ):
        assert hidden in pickle.dumps(cohort)
        assert hidden not in dumped
    for seen in (b"FLU", b"BIRTH", b"a1", b"Ann", b"Dan"):
        assert seen in dumped
    events = pickle.loads(dumped).event_table
    assert len(events) == 2
    assert events.codes.tolist() == ["BIRTH", "FLU"]
    assert events.visit_ids.tolist() == ["a1"]
    assert events.value.tolist() == [4.5, 1.5]


def test_pickled_subset_holds_no_other_patient_in_categories():
    events = pd.DataFrame({"patient_id": ["Ann", "Bob"], "time": [1, 1], "code": ["FLU", "TB"]})
    events = events.astype({"patient_id": "category", "code": "category"})
    samples = events[["patient_id"]].assign(prediction_time=2)
    cohort = Cohort(events, samples)
    dumped = pickle.dumps(cohort[[0]])
    assert b"Bob" not in dumped
    assert b"TB" not in dumped
    assert pickle.loads(dumped).groups.tolist() == ["Ann"]
    assert cohort[[0]].samples["patient_id"].dtype == samples["patient_id"].dtype


@pytest.mark.parametrize(
    "index",
    [
        pd.CategoricalIndex(["MRN-Ann", "MRN-Bob"]),
        pd.MultiIndex.from_arrays([["MRN-Ann", "MRN-Bob"], [1, 2]]),
    ],
    ids=["categorical", "levels"],
)
def test_pickled_subset_holds_no_other_patient_in_samples_nor_their_index(index):
    events = pd.DataFrame({"patient_id": [1, 2], "time": [1, 1], "code": ["FLU", "TB"]})
    ward = pd.Categorical(["Ward-Ann", "Ward-Bob"])
    samples = pd.DataFrame({"patient_id": [1, 2], "prediction_time": [2, 2], "ward": ward})
    cohort = Cohort(events, samples.set_index(index))
    assert b"Bob" in pickle.dumps(cohort)
    dumped = pickle.dumps(cohort[[0]])
    assert b"MRN-Ann" in dumped
    assert b"Ward-Ann" in dumped
    assert b"Bob" not in dumped
    assert cohort[[0]].samples.index.equals(samples.set_index(index).index[[0]])


def test_subset_compacts_once():
    subset = make_cohort()[[0, 1]]
    state = subset.__getstate__()
    assert subset.__getstate__() is state
    assert subset[[0]].__getstate__()["_visible"].table is not state["_visible"].table
    assert len(subset[[1]].__getstate__()["_visible"].table) == 1


def test_whole_and_unpickled_cohorts_do_not_compact():
    cohort = make_cohort()
    assert cohort.__getstate__()["_visible"].table is cohort.event_table
    loaded = pickle.loads(pickle.dumps(cohort[[0, 1]]))
    assert loaded.__getstate__()["_visible"].table is loaded.event_table
    assert len(loaded[[1]].__getstate__()["_visible"].table) == 1


def test_pickled_subset_of_a_large_cohort_is_small():
    rng = np.random.default_rng(0)
    events = pd.DataFrame(
        {
            "patient_id": np.repeat(np.arange(1000), 100),
            "time": rng.integers(0, 1000, 100_000),
            "code": rng.integers(0, 5000, 100_000),
        }
    )
    cohort = Cohort(events)
    assert len(pickle.dumps(cohort[:10])) < len(pickle.dumps(cohort)) / 50
