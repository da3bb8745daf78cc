"""Frames of every library give what pandas gives, to the bit."""

import numpy as np
import pandas as pd
import pytest
from any_frame import (
    HEAVY,
    IN_MEMORY,
    LAZY,
    numpy_backed,
    parquet,
    texts_and_dates,
    whole_numbers,
)
from same import assert_same_array, assert_same_sequences

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    EventTable,
    VisitSequenceTransformer,
    make_next_visit_labels,
    make_samples,
    make_visit_labels,
)
from sklearn_ehr.cohort import _parts

pytestmark = pytest.mark.filterwarnings("ignore:.*samples have no visible event")
in_each_frame = pytest.mark.parametrize("kind", [*IN_MEMORY, *LAZY, *HEAVY])
for_both_tables = pytest.mark.parametrize("tables", [whole_numbers, texts_and_dates])
COLUMNS = {whole_numbers: {}, texts_and_dates: {"null_time": "static"}}


def in_order(samples):
    """Samples in the order that those of an engine are brought into."""
    return samples.sort_by([("patient_id", "ascending"), ("prediction_time", "ascending")])


def assert_same_table(ours, theirs):
    for name, array in vars(theirs).items():
        if isinstance(array, np.ndarray):
            assert_same_array(getattr(ours, name), array)


def assert_same_labels(ours, theirs):
    assert all(np.array_equal(*pair, equal_nan=True) for pair in zip(ours, theirs, strict=True))


def assert_same_frame(ours, theirs):
    pd.testing.assert_frame_equal(
        ours, theirs, check_dtype=False, check_column_type=False, check_categorical=False
    )


def sequences_and_counts(cohort, value_bins):
    options = {"min_frequency": 2, "value_bins": value_bins}
    return (
        VisitSequenceTransformer(**options).fit_transform(cohort),
        CodeCountVectorizer(**options).fit_transform(cohort),
    )


@in_each_frame
@for_both_tables
def test_sequences_and_counts_are_those_of_pandas(kind, tables, tmp_path):
    events, samples = tables()
    options, bins = COLUMNS[tables], 3 if "value" in events.column_names else None
    samples = in_order(samples)
    features = ["age"] if "age" in samples.column_names else []
    expected = Cohort(
        numpy_backed(events, None), numpy_backed(samples, None), features=features, **options
    )
    cohort = Cohort(kind(events, tmp_path), kind(samples, tmp_path), features=features, **options)
    assert cohort.resolution == expected.resolution
    assert_same_frame(cohort.samples, expected.samples)
    ours, theirs = (sequences_and_counts(c, bins) for c in (cohort, expected))
    assert_same_sequences(ours[0], theirs[0])
    for attribute in ("data", "indices", "indptr"):
        assert_same_array(getattr(ours[1], attribute), getattr(theirs[1], attribute))


@in_each_frame
@for_both_tables
def test_event_tables_are_those_of_pandas(kind, tables, tmp_path):
    events, _ = tables()
    expected = EventTable(numpy_backed(events, None), **COLUMNS[tables])
    assert_same_table(EventTable(kind(events, tmp_path), **COLUMNS[tables]), expected)


@in_each_frame
@for_both_tables
def test_stores_on_disk_are_those_of_pandas(kind, tables, tmp_path, monkeypatch):
    pytest.importorskip("duckdb", reason="duckdb comes with the extra store")
    monkeypatch.setattr(_parts, "_EVENTS_PER_PART", 100)
    events, samples = tables()
    samples = numpy_backed(samples, None)
    expected = Cohort(numpy_backed(events, None), samples, **COLUMNS[tables])
    store = tmp_path / "store"
    ours = EventTable(kind(events, tmp_path), directory=store, **COLUMNS[tables])
    bins = 3 if "value" in events.column_names else None
    ours, theirs = (sequences_and_counts(c, bins) for c in (Cohort(ours, samples), expected))
    assert_same_sequences(ours[0], theirs[0])
    assert (ours[1] != theirs[1]).nnz == 0


@for_both_tables
def test_event_tables_of_parquet_files_are_those_of_pandas(tables, tmp_path):
    events, _ = tables()
    expected = EventTable(numpy_backed(events, None), **COLUMNS[tables])
    pattern = parquet(events, tmp_path)
    for files in (pattern, str(pattern), tmp_path):
        assert_same_table(EventTable(files, **COLUMNS[tables]), expected)


@in_each_frame
@for_both_tables
def test_drawn_samples_are_those_of_pandas(kind, tables, tmp_path):
    events, samples = tables()
    events = events.select([name for name in events.column_names if name != "visit_id"])
    options = {"outcome_codes": ["C01", "C02"], "horizon": "90D"}
    index = samples.select(["patient_id", "prediction_time"])
    expected = numpy_backed(events, None)
    ours = make_samples(kind(events, tmp_path), index=kind(index, tmp_path), **options)
    theirs = make_samples(expected, index=numpy_backed(index, None), **options)
    for own, other in zip(ours, theirs, strict=True):
        assert_same_frame(own, other)
    assert ours[0].attrs == theirs[0].attrs


@in_each_frame
def test_labels_of_visits_are_those_of_pandas(kind, tmp_path):
    events, _ = whole_numbers()
    pairs = events.group_by(["patient_id", "visit_id"]).aggregate([("value", "sum")])
    labels = pairs.rename_columns({"value_sum": "label"})
    expected = Cohort(numpy_backed(events, None))
    ours = make_visit_labels(kind(events, tmp_path), kind(labels, tmp_path), visits="id")
    theirs = make_visit_labels(expected, numpy_backed(labels, None), visits="id")
    assert_same_labels(ours, theirs)
    ours, names = make_next_visit_labels(kind(events, tmp_path))
    theirs, others = make_next_visit_labels(expected)
    assert names.tolist() == others.tolist()
    assert_same_labels(ours, theirs)
