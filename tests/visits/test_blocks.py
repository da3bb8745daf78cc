"""Data of many blocks give what data of one block give; blocks are made small here for that."""

import numpy as np
import pandas as pd
import pytest
from joblib import Parallel, delayed
from pandas.testing import assert_frame_equal
from threadpoolctl import threadpool_limits

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    VisitSequenceTransformer,
    Vocabulary,
)
from sklearn_ehr.cohort import _layout
from sklearn_ehr.utils import _ragged, _sorting

N_EVENTS = 400


def make_frames(kind, seed=0):
    """Events and samples with what makes order hard: ties, overlapping visits, static events."""
    rng = np.random.default_rng(seed)
    hours = rng.integers(0, 2000, N_EVENTS)
    time = pd.Timestamp("2020-01-01 00:30") + pd.to_timedelta(hours, unit="h")
    events = pd.DataFrame(
        {
            "patient_id": rng.integers(0, 40, N_EVENTS),
            "time": hours / 4 if kind == "numbers" else time.as_unit("ns"),
            "code": rng.choice(["I10", "E11", "N18", "Z99"], N_EVENTS),
            "visit_id": rng.integers(0, 150, N_EVENTS) * 1000,
            "value": rng.normal(size=N_EVENTS).round(1),
        }
    )
    events.loc[rng.random(N_EVENTS) < 0.1, "time"] = None
    if kind == "known later":
        events["known_time"] = events["time"] + pd.Timedelta("36h")
    if kind == "one without id":
        # Other blocks have visit ids alone, which are integers.
        events["visit_id"] = events["visit_id"].astype("Int64").mask(events.index == 350)
    samples = pd.DataFrame({"patient_id": rng.integers(0, 40, 60)})
    samples["prediction_time"] = rng.choice(events["time"].dropna().to_numpy(), 60)
    return events, samples


def all_results(events, samples):
    cohort = Cohort(events, samples, null_time="static")
    sequences = VisitSequenceTransformer(min_frequency=2, max_visits=4).fit_transform(cohort)
    vectorizer = CodeCountVectorizer(min_frequency=2, last_visits=(1, 2), deduplicate=False)
    counts = vectorizer.fit_transform(cohort)
    vocabulary = Vocabulary.from_cohort(cohort, min_frequency=3)
    return cohort.visible_events(), sequences, counts, vocabulary


@pytest.mark.parametrize("kind", ["times", "known later", "numbers", "one without id"])
def test_results_do_not_depend_on_blocks(kind, monkeypatch):
    frames = make_frames(kind)
    visible, sequences, counts, vocabulary = all_results(*frames)
    monkeypatch.setattr(_layout, "_ROWS_PER_BLOCK", 7)
    monkeypatch.setattr(_ragged, "_ELEMENTS_PER_BLOCK", 5)
    monkeypatch.setattr(_sorting, "_ROWS_PER_PART", 6)
    # Two threads, whatever the environment asks for.
    with threadpool_limits(2):
        in_blocks = all_results(*frames)
    assert_frame_equal(in_blocks[0], visible)
    for name in ("tokens", "visit_offsets", "sample_offsets", "visit_times", "groups"):
        np.testing.assert_array_equal(getattr(in_blocks[1], name), getattr(sequences, name))
    np.testing.assert_array_equal(in_blocks[2].toarray(), counts.toarray())
    assert in_blocks[2].has_canonical_format
    assert in_blocks[3] == vocabulary


def test_patients_with_several_samples_count_once_across_blocks(monkeypatch):
    events = pd.DataFrame({"patient_id": [1, 2, 1, 2], "time": range(4), "code": list("abac")})
    samples = pd.DataFrame({"patient_id": [1, 2] * 3, "prediction_time": [9] * 6})
    monkeypatch.setattr(_ragged, "_ELEMENTS_PER_BLOCK", 2)
    with pytest.raises(ValueError, match="the most frequent one is visible in 1"):
        Vocabulary.from_cohort(Cohort(events, samples), min_frequency=2)


def test_events_that_come_in_order_are_those_of_shuffled_ones(monkeypatch):
    events, samples = make_frames("times")
    events = events.sort_values(["patient_id", "time"], ignore_index=True)
    untouched = events.copy()
    monkeypatch.setattr(_layout, "_ROWS_PER_BLOCK", 50)
    cohort = Cohort(events, samples, null_time="static")
    assert_frame_equal(events, untouched)
    shuffled = Cohort(events.sample(frac=1, random_state=1), samples, null_time="static")
    assert_frame_equal(cohort.visible_events(), shuffled.visible_events())


def test_times_too_close_for_a_coarse_order_are_told_apart():
    time = pd.Timestamp("2020-01-01 00:00:01").as_unit("ns") + pd.to_timedelta([3, 1, 2], unit="ns")
    events = pd.DataFrame(
        {
            "patient_id": [7] * 4,
            "time": [*time, pd.Timestamp("1700-01-01 01:00").as_unit("ns")],
            "code": ["a", "d", "c", "b"],
        }
    )
    spread = pd.DataFrame(
        {
            "patient_id": range(1000, 3000),
            "time": time[0],
            "code": [f"x{i}" for i in range(2000)],
        }
    )
    codes = Cohort(pd.concat([spread, events])).visible_events()["code"]
    assert codes.tolist()[:4] == ["b", "d", "c", "a"]


@pytest.mark.parametrize("take", [lambda X: X, lambda X: X[np.arange(50)]], ids=["all", "subset"])
def test_processes_map_the_arrays_of_events_from_one_file(take):
    def files_of(X):
        arrays = (X.event_table.code, X.event_table.time, X.event_table.visit, X._visible.ranges)
        return tuple(str(getattr(array, "filename", None)) for array in arrays)

    X = take(Cohort(*make_frames("times"), null_time="static"))
    files = Parallel(n_jobs=2, max_nbytes=100)(delayed(files_of)(X) for _ in range(4))
    assert len(set(files)) == 1
    assert "None" not in files[0]
