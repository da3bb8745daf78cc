"""Nets built from the parameters of an estimator."""

import torch
from sklearn.base import clone

from ..visits import N_SPECIAL
from ._code_vectors import vectors_given
from ._device import choose_device
from ._net import AverageWeights, check_callbacks
from ._net_state import make_net


def build_net(estimator, *, n_ids, n_features, net, criterion, output_dim, **criterion_params):
    """A net of the class `net` that is not initialized yet.

    `n_ids` and `n_features` say what it reads, the other arguments what it predicts.
    """
    # torch takes no numpy scalars, which a search may draw: hence int, float and bool.
    return make_net(
        net,
        criterion,
        callbacks_of(estimator),
        module__vocab_size=n_ids,
        module__embedding_dim=int(estimator.embedding_dim),
        module__hidden_dim=int(estimator.hidden_dim),
        module__num_layers=int(estimator.num_layers),
        module__bidirectional=bool(estimator.bidirectional),
        module__aggregation=str(estimator.aggregation),
        module__mlp_dim=int(estimator.mlp_dim),
        module__output_dim=output_dim,
        module__time_gaps=bool(estimator.time_gaps),
        module__n_features=n_features,
        criterion__reduction="none",
        **{f"criterion__{name}": value for name, value in criterion_params.items()},
        device=choose_device(estimator.device),
        **tunable(estimator),
    )


def callbacks_of(estimator):
    """Callbacks for a net of its own, in the order in which they are called."""
    callbacks = [] if estimator.callbacks is None else clone(list(estimator.callbacks), safe=False)
    check_callbacks(callbacks)
    if estimator.average:
        # First, so that the others are called with the average weights in the net.
        callbacks.insert(0, AverageWeights())
    return callbacks


def tunable(estimator):
    """Parameters of the net that may change between calls of `partial_fit`."""
    return {
        "module__dropout": float(estimator.dropout),
        "optimizer__weight_decay": float(estimator.weight_decay),
        "lr": float(estimator.lr),
        "batch_size": int(estimator.batch_size),
    }


def initialize(net, embedding_init, vocabulary):
    """Initialize a net, with the vectors given; return the share of codes that have one."""
    net.initialize()
    if embedding_init is None:
        return 0.0
    embedding = net.module_.embedding
    tokens, vectors = vectors_given(embedding_init, vocabulary, embedding.embedding_dim)
    with torch.no_grad():
        embedding.weight[tokens] = torch.from_numpy(vectors).to(embedding.weight.device)
    return len(tokens) / max(1, embedding.num_embeddings - N_SPECIAL)
