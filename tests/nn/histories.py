"""Histories as literals, lists of visits of codes, in both ways that the network reads them."""

import torch

from sklearn_ehr.nn import VisitBatch


def to_batch(histories):
    visits = [visit for history in histories for visit in history]
    offsets = [[0], [0]]
    for ends, items in zip(offsets, (visits, histories), strict=True):
        for item in items:
            ends.append(ends[-1] + len(item))
    tokens = [code for visit in visits for code in visit]
    times = [time for history in histories for time in times_of(history)]
    return VisitBatch(
        torch.tensor(tokens, dtype=torch.int64),
        *map(torch.tensor, offsets),
        torch.tensor(times).reshape(-1, 2),
    )


def times_of(history):
    """A gap and a wait for each visit, for networks that read them."""
    return [(i + len(visit) / 2, 3.0 * i + 1) for i, visit in enumerate(history)]


def to_padded(histories):
    n_visits = max(map(len, histories))
    n_codes = max((len(visit) for history in histories for visit in history), default=0)
    codes = torch.zeros(len(histories), n_visits, n_codes, dtype=torch.int64)
    visit_mask = torch.zeros(len(histories), n_visits, dtype=torch.bool)
    times = torch.zeros(len(histories), n_visits, 2)
    for sample, history in enumerate(histories):
        visit_mask[sample, : len(history)] = True
        times[sample, : len(history)] = torch.tensor(times_of(history)).reshape(-1, 2)
        for position, visit in enumerate(history):
            codes[sample, position, : len(visit)] = torch.tensor(visit)
    return codes, codes != 0, visit_mask, times
