"""Sequences of visits on disk, mapped."""

from ..utils import new_folder, open_folder
from ._joined_sequences import PER_SAMPLE, PER_VISIT
from ._vocabulary import Vocabulary

_KIND = "sklearn_ehr.VisitSequences"
_ARRAYS = ("tokens", "visit_offsets", "sample_offsets", *PER_VISIT, *PER_SAMPLE)


def save_sequences(sequences, directory):
    """Write sequences to a new folder."""
    vocabulary = sequences.vocabulary
    with new_folder(directory) as writer:
        if vocabulary is not None:
            writer.append_ids("codes", vocabulary.codes)
        _append(writer, sequences, "")
        if sequences.earlier is not None:
            _append(writer, sequences.earlier, "earlier.")
        names = sequences.feature_names
        attributes = {"feature_names": names, "has_earlier": sequences.earlier is not None}
        writer.finish(_KIND, attributes)


def _append(writer, sequences, prefix):
    for name in _ARRAYS:
        if getattr(sequences, name) is not None:
            writer.append_ids(prefix + name, getattr(sequences, name))


def open_sequences(cls, directory, store_id=None, verify=False):
    """Sequences of a class in a folder, arrays of numbers mapped."""
    folder = open_folder(directory, _KIND, store_id)
    if verify:
        folder.verify()
    vocabulary = Vocabulary(folder.ids("codes")) if "codes" in folder else None
    sequences = cls(**_read(folder, ""), vocabulary=vocabulary)
    sequences.feature_names = folder.attributes["feature_names"]
    if folder.attributes["has_earlier"]:
        sequences.earlier = cls(**_read(folder, "earlier."), vocabulary=vocabulary)
    sequences._folder = folder
    return sequences


def _read(folder, prefix):
    return {name: folder.ids(prefix + name) for name in _ARRAYS}
