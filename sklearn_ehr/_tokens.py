"""Which visible events form which visit, and which tokens a visit holds."""

import numpy as np

from ._ragged import concatenate_ranges, offsets_from_lengths, run_starts
from ._sorting import order_by
from ._times import as_duration, to_local
from .sequences import VisitSequences
from .vocabulary import UNKNOWN

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
    sequences = group_events(cohort, visits)
    if max_visits is not None:
        recent = sequences._visits_to_come() < max_visits
        sequences = sequences._select_visits(np.flatnonzero(recent | sequences.is_static))
    return select_tokens(
        sequences,
        vocabulary.encode(cohort._events.codes)[sequences.tokens],
        vocabulary,
        drop_unknown=handle_unknown == "ignore",
        deduplicate=deduplicate,
        max_per_visit=max_codes_per_visit,
    )


def group_events(cohort, visits):
    """Group a cohort's visible events into ordered visits.

    Returns
    -------
    VisitSequences
        Its "tokens" are still positions in the cohort's table of codes.
    """
    table = cohort._events
    event, sample = cohort._visible()
    label = _label_visits(table, event, visits)
    order = order_by(sample, label)
    starts = np.flatnonzero(run_starts(sample[order], label[order]))
    stops = np.append(starts, len(order))[1:]
    visit_times = None
    if table.time is not None:
        time = table.time[event]
        # Times as integers that ascend from sample to sample. Ties stay in the order of labels.
        rank = np.cumsum(run_starts(sample, time))[order]
        by_last_event = order_by(rank[stops - 1], rank[starts])
        starts, stops = starts[by_last_event], stops[by_last_event]
        visit_times = time[order[np.stack([starts, stops - 1], axis=1)]]
    return VisitSequences(
        table.code[event[order[concatenate_ranges(starts, stops)]]],
        offsets_from_lengths(stops - starts),
        offsets_from_lengths(np.bincount(sample[order[starts]], minlength=len(cohort))),
        visit_times=visit_times,
        groups=cohort.groups,
    )


def select_tokens(sequences, tokens, vocabulary, *, drop_unknown, deduplicate, max_per_visit):
    """Replace the tokens of sequences; drop unknown ones, repeats, and all but the most recent.

    Of a repeated token the last occurrence in a visit counts. A static visit is never cut short.
    """
    n_visits = len(sequences.visit_offsets) - 1
    visit = np.repeat(np.arange(n_visits), np.diff(sequences.visit_offsets))
    if drop_unknown:
        known = tokens != UNKNOWN
        tokens, visit = tokens[known], visit[known]
    if deduplicate:
        order = order_by(visit, tokens)
        is_last = np.roll(run_starts(tokens[order], visit[order]), -1)
        kept = np.zeros(len(tokens), dtype=bool)
        kept[order[is_last]] = True
        tokens, visit = tokens[kept], visit[kept]
    lengths = np.bincount(visit, minlength=n_visits)
    if max_per_visit is not None:
        tokens_to_come = offsets_from_lengths(lengths)[visit + 1] - 1 - np.arange(len(tokens))
        kept = (tokens_to_come < max_per_visit) | sequences.is_static[visit]
        tokens, lengths = tokens[kept], np.bincount(visit[kept], minlength=n_visits)
    return VisitSequences(
        tokens,
        offsets_from_lengths(lengths),
        sequences.sample_offsets,
        visit_times=sequences.visit_times,
        groups=sequences.groups,
        vocabulary=vocabulary,
    )


def _label_visits(table, event, visits):
    """Label events so that those of one sample with one label form a visit; static ones are -1."""
    is_static = table.is_static(event)
    if visits not in ("auto", "id"):
        label = _label_by_time(table, event, is_static, visits)
        return np.where(is_static, _STATIC, label)
    label = np.full(len(event), _STATIC) if table.visit is None else table.visit[event]
    without_id = (label < 0) & ~is_static
    if without_id.any():
        if visits == "id":
            raise ValueError(
                f"visits='id' needs the visit id of every event, and {without_id.sum()} visible "
                f"event(s) have none. Use visits='auto', which groups those by day "
                f"(numeric times: by time)."
            )
        by = "day" if table.time.dtype.kind == "M" else "time"
        n_ids = 0 if table.visit is None else len(table.visit_ids)
        by_time = _label_by_time(table, event, is_static, by)
        label = np.where(without_id, n_ids + by_time, label)
    return np.where(is_static, _STATIC, label)


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
