"""The rule of what is known when."""

from dataclasses import replace

import numpy as np

from ..utils import search_ranges
from ._times import align, look_back


def align_with_predictions(table, times, known, prediction_times):
    """Bring event and prediction times to one representation.

    Decides when each event counts as known: at its known time, else at its time. A midnight stands
    for a whole day, known when the day has ended, unless prediction times are whole days too.
    """
    known_from = times if known is None else known
    # Days of one zone on both sides: a midnight elsewhere falls into the middle of an event's day.
    by_day = replace(prediction_times, zone=known_from.zone).resolved_to_days()
    if known_from.is_datetime and not by_day:
        whole_day = known_from.starts_day()
        known = known_from.end_of_day(whole_day) if whole_day.any() else known
    columns = [times, prediction_times] if known is None else [times, prediction_times, known]
    times, prediction_times, *known = align(*columns)
    known = known[0].values if known else None
    return replace(table, time=times.values, known=known), prediction_times.values


def visible_bounds(table, patient, cut, closed, lookback):
    """Ranges of events, (n_samples, 2, 2): static and dated ones, each its start and stop.

    Where known times matter, the dated range holds candidates, of which `_visible` keeps the known.
    """
    bounds = np.zeros((len(patient), 2, 2), dtype=np.int64)
    has_events = patient < len(table.dated_starts)
    p = patient[has_events]
    first, dated, last = (
        table.patient_offsets[p],
        table.dated_starts[p],
        table.patient_offsets[p + 1],
    )
    start, stop = dated, last
    if cut is not None:
        cut = cut[has_events]
        # Known times matter only among events of the past, unless some are known in advance.
        if lookback is not None or table.known is None or not (table.known < table.time).any():
            stop = search_ranges(table.time, dated, last, cut, closed)
    if lookback is not None:
        # Patients without dated events have nothing to look back from, nor to leave out.
        end = table.time[np.maximum(last - 1, 0)] if cut is None else cut
        start = search_ranges(table.time, dated, last, look_back(end, lookback, closed), closed)
    bounds[has_events] = np.stack(
        [np.stack([first, dated], axis=1), np.stack([start, np.maximum(start, stop)], axis=1)],
        axis=1,
    )
    return bounds
