"""Events that samples see, as ranges of an event table."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from ..utils import (
    cover_ranges,
    index_ranges,
    map_in_threads,
    offsets_from_lengths,
    slices_of_about,
)
from ._event_table import EventTable
from ._times import Times, as_keys
from ._visibility import Cut, count_known, cut_at, cut_lookback, known_from, visible_ranges


@dataclass(frozen=True, eq=False)
class VisibleEvents:
    """Events that samples see, as ranges of a table, which take little memory.

    `patient` has positions in the table, beyond its end for a patient without events, and `moments`
    is None for whole histories. `ranges` are as `visible_ranges` returns them, and `known_cut` is
    the cutoff of the known times, if these decide what is visible.
    """

    table: EventTable
    patient: np.ndarray
    moments: Times | None
    resolution: str | None
    closed: str
    lookback: object
    ranges: np.ndarray
    known_cut: Cut | None

    @classmethod
    def of(cls, table, patient, moments, resolution, closed, lookback):
        """Find the events that samples see, by the rule of `_visibility`."""
        rule = (moments, resolution, closed, lookback)
        known_cut = None
        if table.known_time is not None and moments is not None:
            known_cut = cut_at(moments, table.known_times_of(slice(0)), resolution, closed)
        ranges = visible_ranges(table, patient, *rule)
        table._release()
        return cls(table, patient, *rule, ranges, known_cut)

    def positions(self):
        """Positions of the visible events in the table, sample by sample, and the sample of each.

        The first may be a slice.
        """
        self.table._release()
        if self.known_cut is None:
            return self._candidates()
        # Known times may hide most of the candidates, so these are listed a block at a time.
        slices = self.block_slices()
        parts = [self.take(part)._known_candidates() for part in slices]
        event, sample = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        first = np.repeat([part.start for part in slices], [len(part[0]) for part in parts])
        return event, sample + first.astype(np.int32)

    def as_frame(self):
        """The visible events, sample by sample, as a DataFrame."""
        event, sample = self.positions()
        table = self.table
        columns = {"sample": sample.astype(np.int64)}
        if table.time is not None:
            columns["time"] = table.times_of(event).as_series()
        if table.known_time is not None:
            columns["known_time"] = table.known_times_of(event).as_series()
        columns["code"] = table.codes[table.code[event]]
        if table.visit is not None:
            # Position -1, which no visit id has, becomes null.
            visit_ids = pd.Series(table.visit_ids).reindex(table.visit[event])
            columns["visit_id"] = visit_ids.reset_index(drop=True)
        if table.value is not None:
            columns["value"] = table.value[event]
        return pd.DataFrame(columns)

    def is_seen(self):
        """Whether each event of the table is visible to any sample, ndarray of bool."""
        if self.known_cut is None:
            return cover_ranges(self.ranges[..., 0], self.ranges[..., 1], len(self.table))
        is_seen = np.zeros(len(self.table), dtype=bool)
        for part in self.block_slices():
            is_seen[self.take(part).positions()[0]] = True
        return is_seen

    def known_from(self, event):
        """Times from which events at these positions count as known.

        None if these are the times of the events, or the events have no times.
        """
        table = self.table
        if table.time is None:
            return None
        differs = {
            "day": lambda: not table.has_midnights_only,
            "instant": lambda: table.has_midnights,
        }.get(self.resolution, lambda: False)
        if table.known_time is None and not differs():
            return None
        return known_from(table.known_times_of(event), self.resolution).values

    def is_recent(self, length, time, sample):
        """Whether times come after the start of a window that ends at the prediction.

        The window starts like a `lookback` of this length, as returned by `as_duration`. Its end is
        not checked. Times are of the same dtype as those of the table, without nulls.
        """
        moments, times = self.moments, self.table.times_of(slice(0))
        if moments is None:
            moments = self.table.last_times_of(self.patient)
        cut = cut_lookback(moments, length, times, self.resolution, self.closed)
        return ~cut.has(as_keys(time), sample)

    @cached_property
    def counts(self):
        """Number of events that each sample sees, ndarray of shape (n_samples,)."""
        if self.known_cut is None:
            return self._n_in_ranges()
        if self.lookback is None:
            return count_known(self.table, self.patient, self.known_cut)
        return np.concatenate(map_in_threads(self._count, self.block_slices()))

    def counts_by(self, patient):
        """Number of events that any sample of each patient sees, and whether it is exact.

        `patient` has the position of each sample's patient, from 0 on. No events are read. With
        known times and a lookback, the number may be lower.
        """
        is_exact = self.known_cut is None or self.lookback is None
        if self.known_cut is not None and is_exact:
            # A later sample of a patient sees all that an earlier one sees.
            counts = np.zeros(patient.max() + 1, dtype=np.int64)
            np.maximum.at(counts, patient, self.counts)
            return counts, is_exact
        starts, stops = self.ranges[..., 0].ravel(), self.ranges[..., 1].ravel()
        order = np.argsort(starts, kind="stable")
        starts, stops = starts[order], stops[order]
        covered = np.maximum.accumulate(np.append(0, stops[:-1]))
        n_new = np.maximum(stops - np.maximum(starts, covered), 0)
        owner = np.repeat(patient, self.ranges.shape[1])[order]
        return np.bincount(owner, n_new).astype(np.int64), is_exact

    def block_slices(self):
        """Slices of consecutive samples, with about equal numbers of events."""
        return slices_of_about(offsets_from_lengths(self._n_in_ranges())[:-1])

    def take(self, samples):
        """Select samples by position or slice."""
        return replace(
            self,
            patient=self.patient[samples],
            moments=None if self.moments is None else self.moments.take(samples),
            ranges=self.ranges[samples],
            known_cut=None if self.known_cut is None else self.known_cut.take(samples),
        )

    def compact(self):
        """Copy whose table has only the patients of the samples and the events that they see.

        A table on disk is shared instead.
        """
        if self.table.directory is not None:
            return self
        patients, patient = np.unique(self.patient, return_inverse=True)
        with_events = patients[patients < len(self.table.patients)]
        table, position = self.table.compact(with_events, self.is_seen())
        return replace(self, table=table, patient=patient, ranges=position[self.ranges])

    def _candidates(self):
        """Events in the ranges of samples, and the sample of each."""
        event = index_ranges(self.ranges[..., 0].ravel(), self.ranges[..., 1].ravel())
        sample = np.repeat(np.arange(len(self.patient), dtype=np.int32), self._n_in_ranges())
        return event, sample

    def _known_candidates(self):
        event, sample = self._candidates()
        event = np.r_[event]
        keys = as_keys(self.table.known_time[event])
        keep = self.known_cut.has(keys, sample) | self.table.is_static(event)
        return event[keep], sample[keep]

    def _count(self, part):
        part = self.take(part)
        return np.bincount(part._known_candidates()[1], minlength=len(part.patient))

    def _n_in_ranges(self):
        """Number of events in each sample's ranges, including those not known yet."""
        return (self.ranges[..., 1] - self.ranges[..., 0]).sum(axis=1)
