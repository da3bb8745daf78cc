"""Codes of events, with a code of its own for each bin of values."""

import numpy as np
import pandas as pd

from ..utils import key_kind, offsets_from_lengths, search_ranges


class EventCodes:
    """The codes of an event table as a model sees them.

    Without bins they are the codes of the table. With bins, an event with a finite value has the
    code of its bin, such as ``LAB//Q2``, and ``LAB//Q1`` if its code has a single bin. Bins need
    values, and codes that are strings. `names` are the distinct codes, ascending; some of them may
    belong to no event.
    """

    def __init__(self, table, bins=None):
        self._table = table
        self._bins = bins
        if bins is None:
            self.names = table.codes
            return
        check_can_be_binned(table)
        row = pd.Index(bins.codes).get_indexer(pd.Index(table.codes))
        # Position -1, of a code without edges, takes the empty range.
        self._starts = np.append(bins.offsets[:-1], 0)[row]
        self._stops = np.append(bins.offsets[1:], 0)[row]
        names, offsets = name_bins(table.codes, self._stops - self._starts + 1)
        self._first_bins = len(table.codes) + offsets[:-1]
        self.names, position = np.unique(np.concatenate([table.codes, names]), return_inverse=True)
        self._position = position.astype(np.int32)

    def positions(self, event):
        """Position in `names` of each of these events, given as a slice or positions."""
        code = self._table.code[event]
        if self._bins is None:
            return code
        value = self._table.value[event]
        has_value = np.isfinite(value)
        position = self._position[code]
        code, value = code[has_value], value[has_value]
        starts = self._starts[code]
        bin_ = search_ranges(self._bins.edges, starts, self._stops[code], value, "left") - starts
        position[has_value] = self._position[self._first_bins[code] + bin_]
        return position


def name_bins(codes, n_bins):
    """Names of the bins of each code, one code after the other, and the offsets of the codes."""
    offsets = offsets_from_lengths(n_bins)
    number = np.arange(offsets[-1]) - np.repeat(offsets[:-1], n_bins) + 1
    names = [f"{code}//Q{q}" for code, q in zip(np.repeat(codes, n_bins), number, strict=True)]
    return np.array(names, dtype=object), offsets


def check_can_be_binned(table):
    """Raise unless the events have values, and codes to which the name of a bin can be added."""
    if table.value is None:
        raise ValueError(
            "value_bins needs the values of events, and events has no such column. Name it with "
            "value=, or leave value_bins=None."
        )
    if len(table.codes) and key_kind(table.codes) != "string":
        raise TypeError(
            f"value_bins makes codes such as 'code//Q1', and the codes of events are of type "
            f"{key_kind(table.codes)}. Convert them with .astype(str)."
        )
