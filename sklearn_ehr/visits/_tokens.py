"""Which visible events form which visit, and which tokens a visit holds."""

import numpy as np

from ..cohort import as_duration, null_times, to_local
from ..utils import (
    concatenate_ranges,
    index_ranges,
    is_last_of_equals,
    map_in_threads,
    offsets_from_lengths,
    order_by,
    run_starts,
)
from ._sequences import VisitSequences
from ._vocabulary import UNKNOWN

_STATIC = -1


def tokenise(
    cohort,
    vocabulary,
    *,
    handle_unknown="token",
    visits="auto",
    max_visits=None,
    max_codes_per_visit=None,
    deduplicate=True,
):
    """Turn a cohort's visible events into visits of tokens; both transformers do it this way.

    Returns
    -------
    VisitSequences
    """
    if visits == "id":
        _refuse_events_without_id(cohort)
    token_of_code = vocabulary.encode(cohort.event_table.codes)

    def tokenise_block(block):
        grouped = group_events(block, visits)
        sequences = select_tokens(
            grouped,
            token_of_code[grouped.tokens],
            vocabulary,
            drop_unknown=handle_unknown == "ignore",
            deduplicate=deduplicate,
            max_per_visit=max_codes_per_visit,
        )
        return sequences if max_visits is None else sequences._keep_recent(max_visits)

    return VisitSequences._concatenate(map_in_threads(tokenise_block, cohort.blocks()))


def group_events(cohort, visits):
    """Group a cohort's visible events into ordered visits.

    Returns
    -------
    VisitSequences
        Its "tokens" are still positions in the cohort's table of codes.
    """
    table = cohort.event_table
    event, sample = cohort.visible_positions()
    label = _label_visits(table, event, visits)
    # A visit is one run of events, or several where it overlaps with others: few rows to sort.
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
        # Ties stay in the order of labels.
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
    return VisitSequences(
        table.code[event][grouped],
        visit_offsets,
        offsets_from_lengths(np.bincount(sample[first_event], minlength=len(cohort))),
        visit_times=visit_times,
        known_times=known_times,
        visit_ids=visit_ids,
        prediction_times=cohort.prediction_times,
        groups=cohort.groups,
    )


def _ids_of(visit_ids, label):
    """Ids of visits by their labels; None for static visits and those by day or time."""
    has_id = (label >= 0) & (label < len(visit_ids))
    if has_id.all():
        return visit_ids[label]
    # Objects, as floats would round large integers.
    ids = np.full(len(label), None, dtype=object)
    ids[has_id] = visit_ids[label[has_id]]
    return ids


def _first_and_last(times, offsets):
    """The earliest and the latest time of each range; none is empty."""
    ends = [end.reduceat(times, offsets[:-1]) for end in (np.minimum, np.maximum)]
    return np.stack(ends, axis=1)


def select_tokens(sequences, tokens, vocabulary, *, drop_unknown, deduplicate, max_per_visit):
    """Replace the tokens of sequences; drop unknown ones, repeats, and all but the most recent.

    Of a repeated token the last occurrence in a visit counts. A static visit is never cut short.
    """
    offsets = sequences.visit_offsets
    if drop_unknown:
        tokens, offsets = _keep(tokens != UNKNOWN, tokens, offsets)
    if deduplicate:
        visit = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
        tokens, offsets = _keep(is_last_of_equals(visit, tokens), tokens, offsets)
    if max_per_visit is not None:
        lengths = np.diff(offsets)
        tokens_to_come = np.repeat(offsets[1:], lengths) - 1 - np.arange(len(tokens))
        is_static = np.repeat(sequences.is_static, lengths)
        tokens, offsets = _keep((tokens_to_come < max_per_visit) | is_static, tokens, offsets)
    return sequences._replace(tokens=tokens, visit_offsets=offsets, vocabulary=vocabulary)


def _keep(kept, tokens, offsets):
    """Tokens that are marked, and the offsets of ranges in them."""
    return tokens[kept], offsets_from_lengths(kept)[offsets]


def _refuse_events_without_id(cohort):
    table, (event, _) = cohort.event_table, cohort.visible_positions()
    without_id = ~table.is_static(event)
    if table.visit is not None:
        without_id &= table.visit[event] < 0
    if n_without := np.count_nonzero(without_id):
        raise ValueError(
            f"visits='id' needs the visit id of every event, and {n_without} visible event(s) have "
            f"none. Use visits='auto', which groups those by day (numeric times: by time)."
        )


def _label_visits(table, event, visits):
    """Label events so that those of one sample with one label form a visit; static ones are -1."""
    is_static = table.is_static(event)
    if visits in ("auto", "id"):
        label = _label_by_id(table, event, is_static)
    else:
        label = _label_by_time(table, event, is_static, visits)
    return np.where(is_static, _STATIC, label) if is_static.any() else label


def _label_by_id(table, event, is_static):
    """Label events by their visit ids, those without one by time."""
    label = np.full(len(is_static), -1) if table.visit is None else table.visit[event]
    without_id = (label < 0) & ~is_static
    if not without_id.any():
        return label
    by = "day" if table.time.dtype.kind == "M" else "time"
    n_ids = 0 if table.visit is None else len(table.visit_ids)
    return np.where(without_id, n_ids + _label_by_time(table, event, is_static, by), label)


def _label_by_time(table, event, is_static, visits):
    """Label events by their times, by numbers from 0 on; those of static ones mean nothing."""
    if table.time is None:
        raise ValueError(
            f"visits={visits!r} needs event times, and events has no time column. Use visits='id'."
        )
    time = table.time[event]
    if visits == "day":
        if time.dtype.kind != "M":
            raise ValueError(
                "visits='day' needs datetimes, and the event times are numbers. Use visits='time', "
                "or a number: the longest gap inside a visit."
            )
        # Not runs of a day: where clocks are set back past midnight, a day comes back.
        day = to_local(time, table.zone).astype("datetime64[D]").astype(np.int64)
        return day - day[~is_static].min(initial=0)
    if visits == "time":
        return np.cumsum(run_starts(time))
    longest_gap = as_duration(visits, "visits", time.dtype.kind == "M")
    return np.cumsum(np.diff(time, prepend=time[:1]) > longest_gap)
