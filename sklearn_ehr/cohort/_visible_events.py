"""Events that samples see, as ranges of an event table."""

from dataclasses import dataclass, replace

import numpy as np

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
    """Events that samples see, as ranges of a table; never listed for all samples at once.

    Attributes
    ----------
    table : EventTable
    patient : ndarray of int, shape (n_samples,)
        Position of each sample's patient; beyond the table's for one without events.
    moments : Times or None
        Prediction times; None for whole histories.
    resolution : {"day", "instant"} or None
    closed : {"right", "left"}
    lookback : timedelta64, number or None
    ranges : ndarray of int64, shape (n_samples, n_ranges, 2)
        As of `visible_ranges`.
    known_cut : Cut or None
        What of the known times was known by the moments, where known times decide.
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
        """What samples see under the rule of `_visibility`."""
        rule = (moments, resolution, closed, lookback)
        known_cut = None
        if table.known_time is not None and moments is not None:
            known_cut = cut_at(moments, table.known_times_of(slice(0)), resolution, closed)
        return cls(table, patient, *rule, visible_ranges(table, patient, *rule), known_cut)

    def positions(self):
        """Positions of the visible events, sample by sample, and the sample of each.

        Returns
        -------
        event : ndarray of int64 or slice
            Positions in `table`.
        sample : ndarray of int32
        """
        event = index_ranges(self.ranges[..., 0].ravel(), self.ranges[..., 1].ravel())
        sample = np.repeat(np.arange(len(self.patient), dtype=np.int32), self._n_in_ranges())
        if self.known_cut is None:
            return event, sample
        event = np.r_[event]
        keys = as_keys(self.table.known_time[event])
        keep = self.known_cut.has(keys, sample) | self.table.is_static(event)
        return event[keep], sample[keep]

    def is_seen(self):
        """Whether any sample sees each event of the table, ndarray of bool (n_events,)."""
        if self.known_cut is None:
            return cover_ranges(self.ranges[..., 0], self.ranges[..., 1], len(self.table))
        is_seen = np.zeros(len(self.table), dtype=bool)
        for part in self.block_slices():
            is_seen[self.take(part).positions()[0]] = True
        return is_seen

    def known_from(self, event):
        """When the events of this index count as known, or None where that is their time.

        Parameters
        ----------
        event : ndarray of int or slice
            Positions in `table`.

        Returns
        -------
        ndarray of datetime64 or number, or None
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
        """Whether times lie within a length of time before the prediction of their samples.

        The rule is that of `lookback`.

        Parameters
        ----------
        length : timedelta64 or number
            As of `as_duration`.
        time : ndarray of shape (n,)
            Times of the kind and unit of the events'; not null.
        sample : ndarray of int, shape (n,)
            Sample of each, ascending.

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        moments, times = self.moments, self.table.times_of(slice(0))
        if moments is None:
            last = self.table.bounds_of(self.patient)[2]
            moments = self.table.times_of(np.maximum(last - 1, 0))
        cut = cut_lookback(moments, length, times, self.resolution, self.closed)
        return ~cut.has(as_keys(time), sample)

    def counts(self):
        """Number of events that each sample sees, ndarray of shape (n_samples,)."""
        if self.known_cut is None:
            return self._n_in_ranges()
        if self.lookback is None:
            return count_known(self.table, self.patient, self.known_cut)
        return np.concatenate(map_in_threads(self._count, self.block_slices()))

    def block_slices(self):
        """Slices of consecutive samples that see about as many events."""
        return slices_of_about(offsets_from_lengths(self._n_in_ranges())[:-1])

    def take(self, samples):
        """The same for the samples at these positions, or in this slice."""
        return replace(
            self,
            patient=self.patient[samples],
            moments=None if self.moments is None else self.moments.take(samples),
            ranges=self.ranges[samples],
            known_cut=None if self.known_cut is None else self.known_cut.take(samples),
        )

    def compact(self):
        """The same on a table of these patients and of the events that any sample sees."""
        patients, patient = np.unique(self.patient, return_inverse=True)
        with_events = patients[patients < len(self.table.patients)]
        table, position = self.table.compact(with_events, self.is_seen())
        return replace(self, table=table, patient=patient, ranges=position[self.ranges])

    def _count(self, part):
        part = self.take(part)
        return np.bincount(part.positions()[1], minlength=len(part.patient))

    def _n_in_ranges(self):
        """Events in each sample's ranges, among which known times may hide some."""
        return (self.ranges[..., 1] - self.ranges[..., 0]).sum(axis=1)
