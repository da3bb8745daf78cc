"""What explanations ask of the network: vectors in place of ids, and logits in reading order."""

from dataclasses import replace
from unittest import mock

import pytest
import torch
from histories import to_batch

from sklearn_ehr.nn import VisitLSTM, _lstm

MIXED = [[[2, 3], [], [4]], [], [[5]], [[]], [[6, 7], [2]], [[], [1, 2, 3, 4], [5], []]]
NETWORKS = [
    {"aggregation": "mean"},
    {"aggregation": "sum", "num_layers": 2},
    {"aggregation": "max", "mlp_dim": 3},
    {"aggregation": "attention", "time_gaps": True},
]
each_network = pytest.mark.parametrize("options", NETWORKS, ids=lambda o: o["aggregation"])


def network(**options):
    torch.manual_seed(0)
    size = {"vocab_size": 8, "embedding_dim": 4, "hidden_dim": 3, "output_dim": 2}
    return VisitLSTM(**(size | {"num_layers": 1} | options)).eval()


@each_network
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("most_visits", [2**15, 3])
def test_own_embeddings_as_vectors_give_the_same_logits(options, bidirectional, most_visits):
    net, batch = network(bidirectional=bidirectional, **options), to_batch(MIXED)
    embedded = net.embedding.weight[batch.tokens]
    with mock.patch.object(_lstm, "_MOST_VISITS", most_visits):
        torch.testing.assert_close(net(batch, embedded), net(batch))


@each_network
def test_vectors_differ_between_tokens_of_the_same_id(options):
    net, batch = network(**options), to_batch([[[2, 3], [2]], [[2, 3], [2]]])
    embedded = net.embedding.weight.detach()[batch.tokens]
    # The id 2 as 5, in the second visit of the second sample alone.
    embedded[-1] = net.embedding.weight[5]
    wanted = net(to_batch([[[2, 3], [2]], [[2, 3], [5]]]))
    torch.testing.assert_close(net(batch, embedded), wanted)


@each_network
def test_vectors_have_a_gradient_of_finite_differences(options):
    net, batch = network(**options).double(), to_batch(MIXED)
    batch = replace(batch, times=batch.times.double())
    embedded = torch.rand(len(batch.tokens), 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda vectors: net(batch, vectors), embedded)


@each_network
def test_logits_in_order_are_those_of_the_visits_before(options):
    net, batch = network(**options), to_batch(MIXED)
    prefixes = [history[: i + 1] for history in MIXED for i in range(len(history))]
    got = net.forward_in_order(batch)
    torch.testing.assert_close(got, net(to_batch(prefixes)))
    seen, last = batch.last_visits()
    torch.testing.assert_close(got[last], net(batch)[seen])


def test_features_of_the_sample_are_read_with_each_of_its_visits():
    net = network(n_features=3)
    features = torch.linspace(-1, 1, 18).view(6, 3)
    got = net.forward_in_order(replace(to_batch(MIXED), features=features))
    prefixes = [history[: i + 1] for history in MIXED for i in range(len(history))]
    repeated = features[[0, 0, 0, 2, 3, 4, 4, 5, 5, 5, 5]]
    torch.testing.assert_close(got, net(replace(to_batch(prefixes), features=repeated)))


def test_bidirectional_network_has_no_logits_in_order():
    with pytest.raises(ValueError, match="bidirectional=False"):
        network(bidirectional=True).forward_in_order(to_batch(MIXED))
