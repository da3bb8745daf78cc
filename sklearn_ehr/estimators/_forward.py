"""Forward passes of a fitted net over sequences, a batch at a time."""

import numpy as np
import torch

from ..nn import VisitLSTM
from ._device import plain_torch
from ._inputs import as_batch, batches_by_length, known_tokens, read_times, refuse_nonfinite

_PER_VISIT = (VisitLSTM.forward_by_visit, VisitLSTM.forward_in_order)


def forward_in_batches(net, sequences, batch_size, entry=VisitLSTM.forward):
    """What an entry of the module answers for each sample or visit, ndarray (n, ...)."""
    module, device = net.module_, net.device
    # As of each visit, where no time has passed since the last one.
    by_visit = entry is VisitLSTM.forward_by_visit
    times = read_times(sequences, by_visit) if module.time_gaps else None
    known = known_tokens(sequences, module.embedding.num_embeddings)
    batches = batches_by_length(sequences.lengths, batch_size)

    def answer(part):
        read = None if times is None else times[known.visits_of(part)]
        return entry(module, as_batch(known[part], read).to(device)).cpu()

    with plain_torch(device), torch.inference_mode():
        outputs = torch.cat(list(map(answer, batches))).numpy()
    refuse_nonfinite(outputs)
    rows = np.concatenate(batches)
    in_order = np.empty_like(outputs)
    in_order[sequences.visits_of(rows) if entry in _PER_VISIT else rows] = outputs
    return in_order
