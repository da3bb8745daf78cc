"""Into which quantile of its code's values an event's value falls."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..utils import key_kind, offsets_from_lengths, order_by, run_starts, search_ranges


@dataclass(frozen=True, eq=False)
class ValueBins:
    """Edges of the bins of each code that has values, learnt from training events.

    Attributes
    ----------
    codes : ndarray of shape (n_codes,)
        Codes with values, ascending.
    offsets : ndarray of shape (n_codes + 1,)
        Edges ``offsets[i]:offsets[i + 1]`` are those of code `i`.
    edges : float64 ndarray
        Highest value of a bin but the last, ascending within a code, tied ones merged.
    """

    codes: np.ndarray
    offsets: np.ndarray
    edges: np.ndarray

    @classmethod
    def from_cohort(cls, cohort, n_bins):
        """Learn from the events that any sample sees, each once.

        An edge lies half way between a quantile and the next higher value, so that no event's value
        is kept.

        Raises
        ------
        ValueError
            If events have no values.
        TypeError
            If codes are no texts, to which the names of bins could be added.
        """
        table = cohort.event_table
        if table.value is None:
            raise ValueError(
                "value_bins needs the values of events, and events has no such column. Name it "
                "with Cohort(..., value=...), or leave value_bins=None."
            )
        _check_texts(table.codes)
        event = np.flatnonzero(cohort.is_seen() & np.isfinite(table.value))
        code, value = table.code[event], table.value[event]
        order = order_by(code, value)
        code, value = code[order], value[order]
        starts = np.flatnonzero(run_starts(code))
        stops = np.append(starts, len(code))[1:]
        # Of n values in k bins n / k fall into the first, as many into the next, and so on.
        n_below = (stops - starts)[:, None] * np.arange(1, n_bins) // n_bins
        highest_below = starts[:, None] + np.maximum(n_below - 1, 0)
        next_value = _starts_of_next(run_starts(code, value))[highest_below]
        next_value[n_below == 0] = -1
        # Equal quantiles have the same value next, so that one edge stands for them.
        before = np.column_stack([np.full(len(starts), -1), next_value[:, :-1]])
        parts = (before < next_value) & (next_value < stops[:, None])
        edges = value[highest_below[parts]] / 2 + value[next_value[parts]] / 2
        return cls(table.codes[code[starts]], offsets_from_lengths(parts.sum(axis=1)), edges)

    def apply(self, cohort):
        """The cohort with ``code//Q1``, ``code//Q2`` and so on for codes with a value."""
        table = cohort.event_table
        _check_texts(table.codes)
        row = pd.Index(self.codes).get_indexer(pd.Index(table.codes))
        names, first = self._names()
        codes, position = np.unique(np.concatenate([table.codes, names]), return_inverse=True)
        code = position[table.code].astype(np.int32)
        if table.value is not None:
            row = row[table.code]
            event = np.flatnonzero((row >= 0) & np.isfinite(table.value))
            row = row[event]
            starts, stops = self.offsets[row], self.offsets[row + 1]
            bin_ = search_ranges(self.edges, starts, stops, table.value[event], "left") - starts
            code[event] = position[len(table.codes) + first[row] + bin_]
        return cohort._replace(_events=replace(table, code=code, codes=codes))

    def keep(self, vocabulary):
        """The bins of codes of which the vocabulary has any."""
        names, first = self._names()
        known = np.append(0, np.cumsum(vocabulary.encode(names) > 1))
        is_kept = known[first[1:]] > known[first[:-1]]
        n_edges = np.diff(self.offsets)
        return ValueBins(
            self.codes[is_kept],
            offsets_from_lengths(n_edges[is_kept]),
            self.edges[np.repeat(is_kept, n_edges)],
        )

    def _names(self):
        """Names of all bins, and where those of each code start among them."""
        n_bins = np.diff(self.offsets) + 1
        first = offsets_from_lengths(n_bins)
        number = np.arange(first[-1]) - np.repeat(first[:-1], n_bins) + 1
        codes = np.repeat(self.codes, n_bins)
        names = [f"{code}//Q{q}" for code, q in zip(codes, number, strict=True)]
        return np.array(names, dtype=object), first


def _check_texts(codes):
    if key_kind(codes) != "string":
        raise TypeError(
            f"value_bins makes codes such as 'code//Q1', and the codes of events are of type "
            f"{key_kind(codes)}. Convert them with .astype(str)."
        )


def _starts_of_next(is_start):
    """Where the run after each element's own starts; the end where there is none."""
    starts = np.flatnonzero(is_start)
    return np.append(starts, len(is_start))[np.cumsum(is_start)]
