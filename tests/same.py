"""Comparisons to the bit."""

import numpy as np

_OF_SEQUENCES = (
    "tokens",
    "visit_offsets",
    "sample_offsets",
    "visit_times",
    "known_times",
    "visit_ids",
    "prediction_times",
    "groups",
    "features",
)


def assert_same_array(ours, theirs):
    """Equal dtypes and values; both may be None."""
    if theirs is None:
        assert ours is None
        return
    assert ours.dtype == theirs.dtype
    if ours.dtype == object:
        assert ours.tolist() == theirs.tolist()
    else:
        np.testing.assert_array_equal(ours, theirs)


def assert_same_sequences(ours, theirs):
    """Equal arrays, vocabularies, features and earlier visits."""
    for name in _OF_SEQUENCES:
        assert_same_array(getattr(ours, name), getattr(theirs, name))
    assert ours.vocabulary == theirs.vocabulary
    assert ours.feature_names == theirs.feature_names
    assert (ours.earlier is None) == (theirs.earlier is None)
    if theirs.earlier is not None:
        assert_same_sequences(ours.earlier, theirs.earlier)
