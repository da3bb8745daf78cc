"""Draws of a network from a generator of its own."""

import copy
import pickle

import pytest
import torch
from histories import to_batch

from sklearn_ehr.nn import LengthBucketSampler, VisitLSTM, _layers, _lstm
from sklearn_ehr.nn._dropout import ByteDropout

BATCH = to_batch([[[2, 3], [], [4]], [], [[5]], [[6, 7], [2]], [[], [1, 2, 3, 4], [5], []]])


@pytest.fixture(autouse=True)
def global_generator_stays():
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def bare(**options):
    """A network whose weights are not drawn."""
    with torch.device("meta"):
        net = VisitLSTM(**({"vocab_size": 3000, "embedding_dim": 64, "hidden_dim": 64} | options))
    return net.to_empty(device="cpu")


def network(**options):
    net = bare(vocab_size=8, embedding_dim=16, hidden_dim=16, dropout=0.5, **options)
    net.reset_parameters(seeded(0))
    return net.train()


def weights_of(net):
    return dict(net.named_parameters())


OPTIONS = {
    "num_layers": 2,
    "bidirectional": True,
    "aggregation": "attention",
    "mlp_dim": 64,
    "output_dim": 64,
    "n_features": 100,
}


def test_weights_are_drawn_from_the_distributions_of_torchs_layers():
    net = bare(**OPTIONS)
    net.reset_parameters(seeded(0))
    state = torch.get_rng_state()
    torch.manual_seed(0)
    layers = weights_of(VisitLSTM(vocab_size=3000, embedding_dim=64, hidden_dim=64, **OPTIONS))
    torch.set_rng_state(state)
    for name, drawn in weights_of(net).items():
        drawn, wanted = drawn.detach(), layers[name].detach()
        if drawn.numel() > 1:
            assert drawn.std().item() == pytest.approx(wanted.std().item(), rel=0.25), name
        if drawn.numel() > 1 and name != "embedding.weight":
            assert drawn.abs().max().item() == pytest.approx(wanted.abs().max().item(), rel=0.2)
    assert (net.embedding.weight[:2] == 0).all()
    assert net.embedding.weight[2:].std().item() == pytest.approx(1, abs=0.01)
    assert net.embedding.weight[2:].mean().item() == pytest.approx(0, abs=0.01)


def test_weights_follow_the_seed():
    one, same, other = (bare(**OPTIONS) for _ in range(3))
    for net, seed in [(one, 1), (same, 1), (other, 2)]:
        net.reset_parameters(seeded(seed))
    for name, drawn in weights_of(one).items():
        assert torch.equal(drawn, weights_of(same)[name])
        assert not torch.equal(drawn, weights_of(other)[name])


def test_without_a_generator_weights_follow_torchs_seed():
    state = torch.get_rng_state()
    nets = [bare() for _ in range(2)]
    for net in nets:
        torch.manual_seed(5)
        net.reset_parameters()
    torch.set_rng_state(state)
    assert torch.equal(nets[0].embedding.weight, nets[1].embedding.weight)


def test_dropout_draws_from_its_generator():
    drop = ByteDropout(0.5)
    drops = []
    for seed in (3, 3, 4):
        drop.generator = seeded(seed)
        drops.append(drop(torch.ones(99)))
    assert torch.equal(drops[0], drops[1])
    assert not torch.equal(drops[0], drops[2])


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("entry", ["_run_dense", "_run_packed"])
def test_every_dropped_unit_is_drawn_from_the_generator(entry, num_layers):
    net = network(num_layers=num_layers, mlp_dim=8)
    net._run_dense = getattr(net, entry)
    outputs = []
    for seed in (3, 3, 4):
        net.drop_by(seeded(seed))
        outputs.append(net(BATCH))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def packed_states(net):
    n_numbers = BATCH.n_visits * net.lstm.input_size
    visits = torch.linspace(-1, 1, n_numbers).view(BATCH.n_visits, -1)
    return torch.cat(net._run_packed(BATCH, visits), dim=1)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_packed_layers_give_what_torchs_layers_give(bidirectional):
    net = network(num_layers=3, bidirectional=bidirectional)
    net.dropout.p = 0
    torch.testing.assert_close(packed_states(net), packed_states(net.eval()))


def test_packed_layers_drop_units_between_them():
    net = network(num_layers=2)
    net.drop_by(seeded(0))
    assert not torch.equal(packed_states(net), packed_states(net))


@pytest.mark.parametrize("num_layers", [1, 2])
def test_computing_again_drops_the_same_units_by_the_generator(num_layers, monkeypatch):
    net = network(num_layers=num_layers, mlp_dim=8)
    monkeypatch.setattr(_lstm, "_MOST_VISITS", 2)

    def train():
        net.drop_by(seeded(1))
        net.zero_grad()
        logits = net(BATCH)
        logits.sum().backward()
        # What is drawn after a training step is the same, too.
        after = torch.rand(3, generator=net.dropout.generator)
        return [logits, after, *(weight.grad for weight in net.parameters())]

    again = train()
    monkeypatch.setattr(_layers, "checkpoint", lambda function, *inputs, **_: function(*inputs))
    assert all(torch.equal(a, b) for a, b in zip(again, train(), strict=True))


def test_sampler_draws_from_its_generator():
    lengths = torch.arange(100)
    one, same, other = (
        torch.cat(list(LengthBucketSampler(lengths, 8, generator=seeded(seed))))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_go_on_from_the_state_of_the_generator(copied):
    net = network()
    net.drop_by(seeded(2))
    twin = copied(net)
    assert torch.equal(net(BATCH), twin(BATCH))
