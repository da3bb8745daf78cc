"""Bins of the values of each code, by quantiles that rest on enough patients."""

from dataclasses import dataclass

import numpy as np

from ..utils import (
    concatenate_ranges,
    offsets_from_lengths,
    order_by,
    run_starts,
    saved_by,
    search_ranges,
)
from ._event_codes import check_can_be_binned, name_bins


@saved_by("codes", "offsets", "edges")
@dataclass(frozen=True, eq=False)
class ValueBins:
    """Edges between the bins of each code's values, learnt from training events.

    `codes` are those with several bins, ascending. Edges ``offsets[i]:offsets[i + 1]`` are those of
    code `i`: the upper edge of each bin except the last one, ascending. A value equal to an edge
    falls into the bin below.
    """

    codes: np.ndarray
    offsets: np.ndarray
    edges: np.ndarray

    @classmethod
    def from_cohort(cls, cohort, n_bins, min_patients=1):
        """Learn the edges from the values that the samples of a cohort see; codes must be strings.

        An event counts once, however many samples see it. Each edge is a mean over at least
        `min_patients` patients, and each bin has values of at least as many: a rarer bin is merged
        with the smaller of its neighbours.
        """
        table = cohort.event_table
        check_can_be_binned(table)
        event, group = _events_with_values(cohort)
        code, value = table.code[event], table.value[event]
        # Ordered by patient as well, so that the windows around a quantile do not depend on rows.
        order = order_by(code, value, group)
        code, value, group = code[order], value[order], group[order]
        starts = np.flatnonzero(run_starts(code))
        stops = np.append(starts, len(code))[1:]
        edges = [
            _edges_at(
                starts + (stops - starts) * q // n_bins, starts, stops, value, group, min_patients
            )
            for q in range(1, n_bins)
        ]
        row, edges = _without_repeats(np.stack(edges, axis=1))
        bin_starts = np.flatnonzero(run_starts(row))
        bin_stops = np.append(bin_starts, len(row))[1:]
        row_of_event = np.repeat(np.arange(len(starts)), stops - starts)
        bin_ = search_ranges(
            edges, bin_starts[row_of_event], bin_stops[row_of_event], value, "left"
        )
        row, edges = _merge_rare_bins(bin_, group, row, edges, min_patients)
        # The last bin of each code has no upper edge.
        n_edges = np.bincount(row[np.isfinite(edges)], minlength=len(starts))
        has_edges = n_edges > 0
        return cls(
            table.codes[code[starts[has_edges]]],
            offsets_from_lengths(n_edges[has_edges]),
            edges[np.isfinite(edges)],
        )

    def keep(self, vocabulary):
        """Keep the codes with a bin in the vocabulary."""
        n_edges = np.diff(self.offsets)
        names, first = name_bins(self.codes, n_edges + 1)
        known = np.append(0, np.cumsum(vocabulary.encode(names) > 1))
        is_kept = known[first[1:]] > known[first[:-1]]
        return ValueBins(
            self.codes[is_kept],
            offsets_from_lengths(n_edges[is_kept]),
            self.edges[np.repeat(is_kept, n_edges)],
        )


def _events_with_values(cohort):
    """Visible events with a finite value, and the patient of each, as a number."""
    table = cohort.event_table
    group = np.full(len(table), -1, dtype=np.int64)
    for block in cohort.blocks():
        event, sample = block.visible_positions()
        group[event] = block.group_positions[sample]
    event = np.flatnonzero((group >= 0) & np.isfinite(table.value))
    return event, group[event]


def _edges_at(position, starts, stops, value, group, min_patients):
    """Edge of each code at a position among its sorted values; NaN for too few patients.

    The edge is a mean over the patients in a window around the position: as many values below as
    above, doubled until it holds enough patients.
    """
    edges = np.full(len(position), np.nan)
    # No edge lies below all values.
    to_do = np.flatnonzero(position > starts)
    reach = (min_patients + 1) // 2
    while to_do.size:
        low = np.maximum(position[to_do] - reach, starts[to_do])
        high = np.minimum(position[to_do] + reach, stops[to_do])
        n_patients, mean = _mean_over_patients(low, high, value, group)
        is_enough = n_patients >= min_patients
        edges[to_do[is_enough]] = mean[is_enough]
        is_whole = (low == starts[to_do]) & (high == stops[to_do])
        to_do = to_do[~is_enough & ~is_whole]
        reach *= 2
    return edges


def _mean_over_patients(low, high, value, group):
    """Number of patients in each window ``[low, high)``, and the mean of their mean values."""
    event = concatenate_ranges(low, high)
    window = np.repeat(np.arange(len(low)), high - low)
    order = order_by(window, group[event])
    event, window = event[order], window[order]
    starts = run_starts(window, group[event])
    n_patients = np.bincount(window[starts], minlength=len(low))
    patient = np.cumsum(starts) - 1
    weight = np.bincount(patient)[patient] * n_patients[window]
    # Divided before they are summed, as a sum of the largest numbers overflows.
    mean = np.bincount(window, value[event] / weight, minlength=len(low))
    # Rounding must not put an edge between equal values on either side of them.
    return n_patients, np.clip(mean, value[low], value[high - 1])


def _without_repeats(edges):
    """Code, as a number, and upper edge of each bin, without repeats, ascending.

    `edges` have shape (n_codes, n_edges), with NaN where there is none. The last upper edge of each
    code is infinite.
    """
    row = np.repeat(np.arange(len(edges)), edges.shape[1] + 1)
    edges = np.column_stack([edges, np.full(len(edges), np.inf)]).ravel()
    row, edges = row[~np.isnan(edges)], edges[~np.isnan(edges)]
    order = order_by(row, edges)
    row, edges = row[order], edges[order]
    is_first = run_starts(row, edges)
    return row[is_first], edges[is_first]


def _merge_rare_bins(bin_, group, row, edges, min_patients):
    """Merge the rarest bin of each code into a neighbour until no bin has too few patients.

    `bin_` and `group` are the bin and patient of each event, `row` and `edges` the code and upper
    edge of each bin. Returns the last two for the merged bins.
    """
    n_patients = _count_patients(bin_, group, len(row))
    while True:
        is_first = run_starts(row)
        is_last = np.append(is_first[1:], True)[: len(row)]
        rarest = order_by(row, n_patients)[is_first]
        is_single = is_first & is_last
        rarest = rarest[(n_patients[rarest] < min_patients) & ~is_single[rarest]]
        if not rarest.size:
            return row, edges
        most = len(group) + 1
        below = np.where(is_first, most, np.roll(n_patients, 1))[rarest]
        above = np.where(is_last, most, np.roll(n_patients, -1))[rarest]
        # A bin without its upper edge is one with the next bin.
        dropped = np.where(below <= above, rarest - 1, rarest)
        is_kept = np.ones(len(row), dtype=bool)
        is_kept[dropped] = False
        renumbered = offsets_from_lengths(is_kept)
        bin_, merged = renumbered[bin_], renumbered[dropped]
        row, edges, n_patients = row[is_kept], edges[is_kept], n_patients[is_kept]
        is_changed = np.zeros(len(row), dtype=bool)
        is_changed[merged] = True
        changed = is_changed[bin_]
        counts = _count_patients(bin_[changed], group[changed], len(row))
        n_patients[merged] = counts[merged]


def _count_patients(bin_, group, n_bins):
    """Number of distinct patients with a value in each bin."""
    order = order_by(bin_, group)
    bin_, group = bin_[order], group[order]
    return np.bincount(bin_[run_starts(bin_, group)], minlength=n_bins)
