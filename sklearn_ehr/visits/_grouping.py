"""Visits, formed by grouping the visible events of a cohort."""

import numpy as np
import pandas as pd

from ..cohort import as_duration, day_of, look_back, null_times
from ..utils import (
    concatenate_ranges,
    index_ranges,
    map_in_threads,
    offsets_from_lengths,
    order_by,
    run_starts,
)
from ._sequences import VisitSequences

_STATIC = -1


def check_visits(table, visits):
    """Raise unless the events of a table can be grouped into visits in this way."""
    if visits == "auto":
        return
    if visits == "id":
        if table.visit is None:
            raise ValueError(
                "visits='id' needs visit ids, but events has no column of them. Name it with "
                "visit_id=, or use visits='auto'."
            )
        return
    if table.time is None:
        raise ValueError(
            f"visits={visits!r} needs event times, and events has no time column. Use visits='id'."
        )
    is_datetime = table.time.dtype.kind == "M"
    if visits == "day" and not is_datetime:
        raise ValueError(
            "visits='day' needs datetimes, and the event times are numbers. Use visits='time', "
            "or a number: the longest gap inside a visit."
        )
    if visits not in ("day", "time"):
        as_duration(visits, "visits", is_datetime)


def group_events(cohort, visits, event_codes=None):
    """Group the visible events of a cohort into ordered visits, as `VisitSequences`.

    The tokens are positions in `event_codes.names`, by default in the codes of the event table.
    """
    table = cohort.event_table
    check_visits(table, visits)
    event, sample = cohort.visible_positions()
    label = _label_visits(table, event, visits)
    # A visit is one run of events, or a few where visits overlap, so there is little to sort.
    starts = np.flatnonzero(run_starts(sample, label))
    stops = np.append(starts, len(sample))[1:]
    run = order_by(sample[starts], label[starts])
    first = np.flatnonzero(run_starts(sample[starts[run]], label[starts[run]]))
    last = np.append(first, len(run))[1:] - 1
    first_event, last_event = starts[run[first]], stops[run[last]] - 1
    visit_times = None
    if table.time is not None:
        time = table.time[event]
        visit_times = time[np.stack([first_event, last_event], axis=1)]
        began, ended = visit_times.T
        # Ties keep the order of the labels.
        by_end = order_by(sample[first_event], ~null_times(ended), ended, began)
        visit_times = visit_times[by_end]
        first, last = first[by_end], last[by_end]
    visit_ids = None
    if table.visit is not None and visits in ("auto", "id"):
        visit_ids = _ids_of(table.visit_ids, label[starts[run[first]]])
    run = run[concatenate_ranges(first, last + 1)]
    run_offsets = offsets_from_lengths(stops[run] - starts[run])
    visit_offsets = run_offsets[offsets_from_lengths(last + 1 - first)]
    grouped = index_ranges(starts[run], stops[run])
    known_times = cohort.known_from(event)
    if known_times is not None:
        known_times = _first_and_last(known_times[grouped], visit_offsets)
    code = table.code[event] if event_codes is None else event_codes.positions(event)
    return VisitSequences(
        code[grouped],
        visit_offsets,
        offsets_from_lengths(np.bincount(sample[first_event], minlength=len(cohort))),
        visit_times=visit_times,
        known_times=known_times,
        visit_ids=visit_ids,
        prediction_times=cohort.prediction_times,
        groups=cohort.groups,
    )


def _ids_of(visit_ids, label):
    """Ids of visits with these labels; None for static visits and visits by day or time."""
    has_id = (label >= 0) & (label < len(visit_ids))
    if has_id.all():
        return visit_ids[label]
    # An array of objects, as floats would round large integers.
    ids = np.full(len(label), None, dtype=object)
    # By way of pandas, as numpy makes integers of datetimes.
    ids[has_id] = pd.Series(visit_ids[label[has_id]]).astype(object)
    return ids


def _first_and_last(times, offsets):
    """Earliest and latest time of each range; no range is empty."""
    ends = [end.reduceat(times, offsets[:-1]) for end in (np.minimum, np.maximum)]
    return np.stack(ends, axis=1)


def refuse_events_without_id(cohort):
    """Raise if a visible event has a time but no visit id."""
    table = cohort.event_table

    def count(block):
        event, _ = block.visible_positions()
        without_id = ~table.is_static(event)
        if table.visit is not None:
            without_id &= table.visit[event] < 0
        return np.count_nonzero(without_id)

    if n_without := sum(map_in_threads(count, cohort.blocks())):
        raise ValueError(
            f"visits='id' needs the visit id of every event, and {n_without} visible event(s) have "
            f"none. Use visits='auto', which groups those by day (numeric times: by time)."
        )


def _label_visits(table, event, visits):
    """Label events so that equal labels within a sample form a visit; static ones are -1."""
    is_static = table.is_static(event)
    if visits in ("auto", "id"):
        label = _label_by_id(table, event, is_static)
    else:
        label = _label_by_time(table, event, is_static, visits)
    return np.where(is_static, _STATIC, label) if is_static.any() else label


def _label_by_id(table, event, is_static):
    """Label events by visit id, or by time where they have none."""
    label = np.full(len(is_static), -1) if table.visit is None else table.visit[event]
    without_id = (label < 0) & ~is_static
    if not without_id.any():
        return label
    by = "day" if table.time.dtype.kind == "M" else "time"
    n_ids = 0 if table.visit is None else len(table.visit_ids)
    return np.where(without_id, n_ids + _label_by_time(table, event, is_static, by), label)


def _label_by_time(table, event, is_static, visits):
    """Label events by time, with numbers from 0 on; labels of static events are arbitrary."""
    time = table.time[event]
    if visits == "day":
        # A day may come back, where clocks are set back past midnight: it is still one day.
        day = day_of(time, table.zone).astype(np.int64)
        return day - day[~is_static].min(initial=0)
    if visits == "time":
        return np.cumsum(run_starts(time))
    longest_gap = as_duration(visits, "visits", time.dtype.kind == "M")
    is_new = np.ones(len(time), dtype=bool)
    # Unlike a difference of times, the start of a window never wraps around.
    is_new[1:] = time[:-1] < look_back(time[1:], longest_gap, "left")
    return np.cumsum(is_new)
