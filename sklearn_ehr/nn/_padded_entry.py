"""Padded entry to the network, the readable reference of the ragged one."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from ._encoder import complete_masks


class PaddedEntry(nn.Module):
    """What a `VisitLSTM` answers to padded samples."""

    def forward_padded(self, codes, mask=None, visit_mask=None, times=None, features=None):
        """Return the logits of padded samples: the readable reference of `forward`.

        Parameters
        ----------
        codes : Tensor of int64, shape (n_samples, n_visits, n_codes)
            Token ids, 0 where padded.
        mask : Tensor of bool, shape (n_samples, n_visits, n_codes), default=None
            True where a code is real. None: where `codes` is not 0.
        visit_mask : Tensor of bool, shape (n_samples, n_visits), default=None
            True where a visit is real; the real visits of a sample come first, and a real visit
            may be empty. None: all visits up to the last one with a real code.
        times : Tensor, shape (n_samples, n_visits, 2), default=None
            As in `VisitBatch`, padded; needed with `time_gaps`.
        features : Tensor, shape (n_samples, n_features), default=None
            As in `VisitBatch`; needed with `n_features`.

        Returns
        -------
        Tensor, shape (n_samples, output_dim)

        Raises
        ------
        ValueError
            If shapes do not fit, a mask is not bool, a padded visit comes before a real one, or
            the masks contradict each other or the codes.
        """
        if codes.ndim != 3:
            raise ValueError(
                f"codes has shape {tuple(codes.shape)}; (n_samples, n_visits, n_codes) is needed."
            )
        mask, visit_mask = complete_masks(codes, mask, visit_mask)

        embedded = self.embedding(codes).flatten(0, 1)
        visits = self.encoder.forward_padded(embedded, mask.flatten(0, 1))
        visits = self._combine(visits).unflatten(0, codes.shape[:2])

        lengths = visit_mask.sum(dim=1)
        seen = lengths > 0
        wait = None
        if self.time_gaps:
            visits = torch.cat([visits, times[:, :, :1].log1p()], dim=2)
            wait = lengths.new_zeros(len(codes), dtype=times.dtype)
            wait[seen] = times[seen, lengths[seen] - 1, 1]
        state = self._zero_state(len(codes))
        if seen.any():
            packed = pack_padded_sequence(
                visits[seen], lengths[seen].cpu(), batch_first=True, enforce_sorted=False
            )
            state[seen] = self._last_state(packed)
        return self._answer(state, wait, features)

    def _last_state(self, packed):
        _, (hidden, _) = self.lstm(packed)
        directions = 2 if self.lstm.bidirectional else 1
        return hidden[-directions:].transpose(0, 1).flatten(1)
