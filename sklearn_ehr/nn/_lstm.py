"""LSTM over visits, with a head that predicts."""

import torch
from torch import nn

from ._dropout import ByteDropout
from ._encoder import VisitEncoder
from ._generators import draw_weights, redrawing
from ._layers import lay_out, recomputed, run_layers
from ._padded_entry import PaddedEntry

# Largest number of visits in a batch whose intermediate results are all kept for the backward
# pass. In a larger batch it computes most of them again, which takes less memory and more time.
_MOST_VISITS = 2**15


class VisitLSTM(PaddedEntry):
    """LSTM over visits, each the aggregate of its code embeddings.

    Embedding, `VisitEncoder`, dropout, residual MLP if any, LSTM [1]_, last real hidden state,
    dropout, linear head. A sample without visits has a zero state, so its answer is the head's
    bias, with the share of features, if any.

    Parameters
    ----------
    vocab_size : int
        Number of token ids, 0 (padding) and 1 (unknown code) included. The padding's embedding is
        zero and stays so; the unknown code's starts at zero.
    embedding_dim : int, default=128
        Size of a code's embedding and of a visit's vector.
    hidden_dim : int, default=256
        Size of the LSTM's hidden state in one direction.
    num_layers : int, default=2
        Number of stacked LSTM layers.
    dropout : float, default=0.3
        Share of units dropped in training: of visit vectors, between LSTM layers, and of the state
        given to the head.
    bidirectional : bool, default=False
        Also read visits from the last to the first, and join both final states.
    aggregation : {"mean", "sum", "max", "attention"}, default="mean"
        How the codes of a visit are pooled, see `VisitEncoder`.
    mlp_dim : int, default=0
        Hidden units of an MLP (Linear, ReLU, dropout, Linear) whose answer to a visit's vector is
        added to it [2]_, so that codes can mean together what none means alone. 0: no such MLP.
    output_dim : int, default=1
        Number of logits.
    time_gaps : bool, default=False
        Read the times of a batch too: ``log1p`` of the gap before a visit beside its vector, and of
        the time from the last visit to the prediction beside the state given to the head. Beside
        every visit the latter would tell how much history is still to come.
    n_features : int, default=0
        Number of features of a sample, such as its age: a linear map of them is added to the state
        given to the head.

    Raises
    ------
    ValueError
        If `vocab_size` is below 2, or `aggregation` is not known.

    References
    ----------
    .. [1] Hochreiter and Schmidhuber (1997). Long Short-Term Memory. Neural Computation 9(8),
       1735-1780.
    .. [2] He et al. (2016). Deep Residual Learning for Image Recognition. CVPR, 770-778.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ehr.nn import VisitBatch, VisitLSTM
    >>> batch = VisitBatch(
    ...     tokens=torch.tensor([2, 3, 4]),
    ...     visit_offsets=torch.tensor([0, 2, 3]),
    ...     sample_offsets=torch.tensor([0, 2, 2]),
    ... )
    >>> net = VisitLSTM(vocab_size=5, embedding_dim=4, hidden_dim=3).eval()
    >>> net(batch).shape, net.encode(batch).shape
    (torch.Size([2, 1]), torch.Size([2, 3]))
    >>> padded = torch.tensor([[[2, 3], [4, 0]], [[0, 0], [0, 0]]])
    >>> torch.allclose(net(batch), net.forward_padded(padded))
    True
    """

    def __init__(
        self,
        vocab_size,
        embedding_dim=128,
        hidden_dim=256,
        num_layers=2,
        dropout=0.3,
        bidirectional=False,
        aggregation="mean",
        mlp_dim=0,
        output_dim=1,
        time_gaps=False,
        n_features=0,
    ):
        super().__init__()
        if vocab_size < 2:
            raise ValueError(
                f"vocab_size={vocab_size} is too small; it counts padding (0) and the unknown "
                "code (1), so give the greatest token id plus one, at least 2."
            )
        self.embedding = nn.Embedding(vocab_size, embedding_dim, padding_idx=0)
        self.encoder = VisitEncoder(embedding_dim, aggregation)
        self._scale_embedding()
        self.dropout = ByteDropout(dropout)
        self.mlp = _mlp(embedding_dim, mlp_dim, dropout) if mlp_dim else None
        self.time_gaps = time_gaps
        self.lstm = nn.LSTM(
            embedding_dim + time_gaps,
            hidden_dim,
            num_layers,
            # nn.LSTM warns of a dropout that has no second layer to act before.
            dropout=dropout if num_layers > 1 else 0.0,
            bidirectional=bidirectional,
        )
        state_dim = hidden_dim * (2 if bidirectional else 1)
        self.features = nn.Linear(n_features, state_dim) if n_features else None
        self.head = nn.Linear(state_dim + time_gaps, output_dim)

    def reset_parameters(self, generator=None):
        """Draw new weights, from the distributions that torch's own layers draw theirs from.

        Embeddings start with a standard deviation of 1/4 if `aggregation` is "sum".

        Parameters
        ----------
        generator : torch.Generator, default=None
            The generator to draw from, on the device of the weights. None is torch's global one.
        """
        draw_weights(self, generator)
        self._scale_embedding()

    def drop_by(self, generator):
        """Draw from a generator which units to drop in training.

        Parameters
        ----------
        generator : torch.Generator or None
            The generator, on the device of the weights. None is torch's global one, which
            `forward_padded` draws from between LSTM layers in any case.
        """
        for module in self.modules():
            if isinstance(module, ByteDropout):
                module.generator = generator

    def forward(self, batch, embedded=None):
        """Return the logits of ragged samples.

        Parameters
        ----------
        batch : VisitBatch
            The samples, on the device of the weights.
        embedded : Tensor, shape (n_tokens, embedding_dim), default=None
            A vector for each token of the batch, read in place of its embedding.

        Returns
        -------
        Tensor, shape (n_samples, output_dim)
        """
        wait = None
        if self.time_gaps:
            seen, last = batch.last_visits()
            waits = _times_of(batch)[:, 1].index_select(0, last)
            wait = waits.new_zeros(len(batch)).index_copy(0, seen, waits)
        return self._answer(self.encode(batch, embedded), wait, batch.features)

    def forward_by_visit(self, batch):
        """Return the logits after each visit, which depend on no later one.

        Parameters
        ----------
        batch : VisitBatch
            As in `forward`.

        Returns
        -------
        Tensor, shape (n_visits, output_dim)
            In the order of the batch.

        Raises
        ------
        ValueError
            If the network is bidirectional or has features: it would read what is known later.
        """
        self._refuse_backward()
        if self.features is not None:
            raise ValueError(
                "Features are known at the prediction, not at an earlier visit, so a network with "
                "n_features has no logits after each visit; build it with n_features=0."
            )
        wait = _times_of(batch)[:, 1] if self.time_gaps else None
        return self._answer(self._states(batch)[0], wait)

    def forward_in_order(self, batch):
        """Return the logits after each visit, as the prediction reads one visit after the other.

        Unlike `forward_by_visit`, they are not those of an earlier prediction: the features of a
        sample are read with each visit, and so is the wait in the batch's `times`. The last visit
        of a sample has the logits of `forward`.

        Parameters
        ----------
        batch : VisitBatch
            As in `forward`.

        Returns
        -------
        Tensor, shape (n_visits, output_dim)
            In the order of the batch.

        Raises
        ------
        ValueError
            If the network is bidirectional.
        """
        self._refuse_backward()
        wait = _times_of(batch)[:, 1] if self.time_gaps else None
        features = batch.features
        if features is not None:
            features = features.repeat_interleave(batch.lengths, dim=0)
        return self._answer(self._states(batch)[0], wait, features)

    def encode(self, batch, embedded=None):
        """Return the final hidden state of ragged samples.

        Like `forward` it drops units in training mode; call ``eval()`` first for features.

        Parameters
        ----------
        batch, embedded
            As in `forward`.

        Returns
        -------
        Tensor, shape (n_samples, hidden_dim * directions)
            Zeros for a sample without visits.
        """
        seen, last = batch.last_visits()
        # A backward direction ends at the first visit.
        ways = zip(self._states(batch, embedded), [last, batch.sample_offsets[seen]], strict=False)
        state = torch.cat([states.index_select(0, end) for states, end in ways], dim=1)
        return self._zero_state(len(batch)).index_copy(0, seen, state)

    @torch.no_grad()
    def _scale_embedding(self):
        """Scale random embeddings, and let those of ids 0 and 1 begin with zeros."""
        if self.encoder.aggregation == "sum":
            # A sum of sixteen codes then varies as a single code otherwise would.
            self.embedding.weight /= 4
        self.embedding.weight[:2] = 0

    def _refuse_backward(self):
        if self.lstm.bidirectional:
            raise ValueError(
                "A bidirectional network reads visits from the last one on, so it has no logits "
                "as of an earlier visit; build it with bidirectional=False."
            )

    def _combine(self, visits):
        """Pooled visits with dropout, and what the MLP makes of their codes together."""
        visits = self.dropout(visits)
        return visits if self.mlp is None else visits + self.mlp(visits)

    def _answer(self, state, wait, features=None):
        """Logits of states, of the time from there to the prediction, and of features."""
        state = self.dropout(state)
        if self.features is not None:
            if features is None:
                raise ValueError("A network with n_features reads features; give the batch some.")
            # Not dropped: unlike the units of the state, each tells what no other does.
            state = state + self.features(features)
        if self.time_gaps:
            state = torch.cat([state, wait.log1p().unsqueeze(1)], dim=1)
        return self.head(state)

    def _states(self, batch, embedded=None):
        """Hidden state of the last layer after each visit, one tensor a direction."""
        directions = 2 if self.lstm.bidirectional else 1
        if batch.n_visits == 0:
            return [self.head.weight.new_zeros(0, self.lstm.hidden_size)] * directions
        visits = self._vectors(batch, embedded)
        # On a CPU a dense layer is one call, a packed one a call a step, worse in its gradient.
        is_cpu = visits.device.type == "cpu"
        return self._run_dense(batch, visits) if is_cpu else self._run_packed(batch, visits)

    def _vectors(self, batch, embedded):
        """What the LSTM reads of each visit, computed in parts if there are many visits."""
        weight, tokens, offsets = self.embedding.weight, batch.tokens, batch.visit_offsets
        if embedded is not None:
            weight, tokens = embedded, torch.arange(len(tokens), device=tokens.device)
        gaps = _times_of(batch)[:, :1] if self.time_gaps else None
        if batch.n_visits <= _MOST_VISITS:
            return self._vectors_of(weight, tokens, offsets, gaps)
        parts = []
        for start in range(0, batch.n_visits, _MOST_VISITS):
            ends = offsets[start : start + _MOST_VISITS + 1]
            of_part = None if gaps is None else gaps[start : start + _MOST_VISITS]
            drawing = redrawing(self.dropout.generator)
            arguments = weight, tokens[ends[0] : ends[-1]], ends - ends[0], of_part
            parts.append(recomputed(self._vectors_of, *arguments, **drawing))
        return torch.cat(parts)

    def _vectors_of(self, weight, tokens, visit_offsets, gaps):
        visits = self._combine(self.encoder(weight, tokens, visit_offsets))
        return visits if gaps is None else torch.cat([visits, gaps.log1p()], dim=1)

    def _run_packed(self, batch, visits):
        packed, visit = batch.pack(visits)
        if self.training and self.lstm.num_layers > 1:
            output = run_layers(self.lstm, self.dropout, *packed[:2])
        else:
            output = self.lstm(packed)[0].data
        states = torch.empty_like(output).index_copy(0, visit, output)
        return states.split(self.lstm.hidden_size, dim=1)

    def _run_dense(self, batch, visits):
        ways = [batch.stretches()]
        if self.lstm.bidirectional:
            ways.append(batch.stretches(backward=True))
        weights = iter(self.lstm.all_weights)
        for layer in range(self.lstm.num_layers):
            if layer:
                visits = self.dropout(visits)
            outputs = [self._read(visits, *way, next(weights)) for way in ways]
            visits = torch.cat(outputs, dim=1)
        return outputs

    def _read(self, visits, stretches, place, weights):
        """Output at each visit of one layer that reads them in one direction."""
        # Where a sample has no visit left, it reads zeros.
        visits = nn.functional.pad(visits, (0, 0, 0, 1))
        state = (visits.new_zeros(1, stretches[0].shape[1], self.lstm.hidden_size),) * 2
        # With biases, one layer, no dropout in it, in one direction, steps before samples.
        options = (True, 1, 0.0, self.training, False, False)

        def run(steps, *state):
            return torch.lstm(steps, state, weights, *options)

        is_large, outputs = len(place) > _MOST_VISITS, []
        for steps in lay_out(visits, stretches):
            arguments = [steps, *(s[:, : steps.shape[1]] for s in state)]
            output, *state = recomputed(run, *arguments) if is_large else run(*arguments)
            outputs.append(output.flatten(0, 1))
        return nn.functional.embedding(place, torch.cat(outputs))

    def _zero_state(self, n_samples):
        directions = 2 if self.lstm.bidirectional else 1
        return self.head.weight.new_zeros(n_samples, self.lstm.hidden_size * directions)


def _mlp(dim, hidden_dim, dropout):
    return nn.Sequential(
        nn.Linear(dim, hidden_dim),
        nn.ReLU(),
        ByteDropout(dropout),
        nn.Linear(hidden_dim, dim),
    )


def _times_of(batch):
    if batch.times is None:
        raise ValueError("A network with time_gaps=True reads the times of a batch; give it times.")
    return batch.times
