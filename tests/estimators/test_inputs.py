"""What reaches the network, a batch at a time."""

import tracemalloc

import numpy as np
import pytest

from sklearn_ehr import VisitSequences
from sklearn_ehr.estimators import _inputs
from sklearn_ehr.estimators._dataset import VisitDataset
from sklearn_ehr.estimators._inputs import batches_by_length


def test_batches_hold_samples_of_similar_length():
    batches = batches_by_length(np.array([5, 1, 4, 1, 0]), 2)
    assert [batch.tolist() for batch in batches] == [[4, 1], [3, 2], [0]]
    assert batches_by_length(np.array([], dtype=int), 2) == []


def test_long_histories_share_a_batch_with_fewer_others(monkeypatch):
    monkeypatch.setattr(_inputs, "_MOST_VISITS", 10)
    lengths = np.array([1, 2, 3, 3, 4, 6, 11, 20, 0])
    batches = batches_by_length(lengths, 4)
    assert [lengths[batch].tolist() for batch in batches] == [
        [0, 1, 2, 3],
        [3, 4],
        [6],
        [11],
        [20],
    ]


@pytest.mark.parametrize("by_visit", [False, True])
def test_a_batch_of_training_costs_by_the_batch(by_visit):
    n = 500_000
    sequences = VisitSequences(np.full(n, 2, np.int32), np.arange(n + 1), np.arange(n + 1))
    data = VisitDataset(sequences, np.zeros(n), np.ones(n), by_visit)
    tracemalloc.start()
    (batch, weight), target = data.__getitems__([5, 400_000, 7])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(batch), len(weight), len(target)) == (3, 3, 3)
    assert peak < 20_000


@pytest.mark.parametrize("batch_size", [0, -3])
def test_a_batch_has_a_sample_at_least(batch_size):
    batches = batches_by_length(np.array([2, 1]), batch_size)
    assert [batch.tolist() for batch in batches] == [[1], [0]]
