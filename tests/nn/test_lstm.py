import warnings
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import pytest
import torch
from histories import to_batch, to_padded
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn.functional import pad

from sklearn_ehr.nn import VisitBatch, VisitLSTM, _batch, _layers, _lstm

AGGREGATIONS = ["mean", "sum", "max", "attention"]
VOCAB_SIZE = 8
HISTORIES = st.lists(
    st.lists(st.lists(st.integers(1, VOCAB_SIZE - 1), max_size=4), max_size=5),
    min_size=1,
    max_size=6,
)
MIXED = [[[2, 3], [], [4]], [], [[5]], [[]], [[6, 7], [2]], [[], [1, 2, 3, 4], [5], []]]
NETWORKS = [
    {"aggregation": aggregation, "bidirectional": bidirectional, "num_layers": num_layers}
    for aggregation in AGGREGATIONS
    for bidirectional in (False, True)
    for num_layers in (1, 2)
]
EXTENDED = [
    {"aggregation": aggregation, "bidirectional": bidirectional, "num_layers": 2} | extension
    for aggregation, bidirectional in (("mean", False), ("mean", True), ("attention", False))
    for extension in ({"time_gaps": True}, {"mlp_dim": 5})
]


def each(networks):
    return pytest.mark.parametrize(
        "options", networks, ids=lambda options: "-".join(map(str, options.values()))
    )


EVERY_NETWORK = each(NETWORKS + EXTENDED)
EVERY_PLAIN_NETWORK = each(NETWORKS)
EVERY_ONE_WAY_NETWORK = each([o for o in NETWORKS + EXTENDED if not o["bidirectional"]])


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Threads that wait for each other on busy cores take longer than these sums themselves."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def network(seed=0, **options):
    torch.manual_seed(seed)
    settings = {"vocab_size": VOCAB_SIZE, "embedding_dim": 4, "hidden_dim": 3, "output_dim": 2}
    return VisitLSTM(**(settings | options)).eval()


def logits_and_gradients(net, logits):
    direction = torch.linspace(-1, 2, logits.numel()).reshape(logits.shape).to(logits.device)
    net.zero_grad()
    (logits * direction).sum().backward()
    return [logits] + [
        torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in net.parameters()
    ]


@EVERY_NETWORK
@settings(max_examples=20, deadline=None)
@given(histories=HISTORIES)
def test_ragged_entry_equals_the_padded_reference(options, histories):
    net = network(**options)
    fast = logits_and_gradients(net, net(to_batch(histories)))
    reference = logits_and_gradients(net, net.forward_padded(*to_padded(histories)))
    for got, wanted in zip(fast, reference, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)


@EVERY_NETWORK
def test_few_long_histories_among_short_ones_equal_the_padded_reference(options):
    net = network(**options)
    histories = [[[1 + i % 5]] * n for i, n in enumerate([300, 220, 220, 1, 1, 1, 1, 1])]
    fast = logits_and_gradients(net, net(to_batch(histories)))
    reference = logits_and_gradients(net, net.forward_padded(*to_padded(histories)))
    for got, wanted in zip(fast, reference, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


@EVERY_PLAIN_NETWORK
def test_state_is_that_of_the_lstm_run_on_each_sample_alone(options):
    net = network(**options)
    states = net.encode(to_batch(MIXED))
    table = net.embedding.weight
    for history, state in zip(MIXED, states, strict=True):
        if not history:
            assert (state == 0).all()
            continue
        codes = to_padded([history])[0][0]
        visits = net.encoder.forward_padded(table[codes], codes != 0)
        outputs, _ = net.lstm(visits)
        # The forward direction ends at the last visit, the backward one at the first.
        wanted = torch.cat([outputs[-1, :3], outputs[0, 3:]])
        torch.testing.assert_close(state, wanted, atol=1e-6, rtol=0)


@EVERY_NETWORK
@settings(max_examples=20, deadline=None)
@given(histories=HISTORIES, most_padding=st.sampled_from([0, 2, 48]))
def test_dense_and_packed_runs_agree(options, histories, most_padding):
    net, batch = network(**options), to_batch(histories)
    assume(batch.n_visits)
    visits = torch.linspace(-1, 1, batch.n_visits * net.lstm.input_size).view(batch.n_visits, -1)
    with mock.patch.object(_batch, "_MOST_PADDING", most_padding):
        got = [
            logits_and_gradients(net, torch.cat(list(run(batch, visits)), dim=1))
            for run in (net._run_dense, net._run_packed)
        ]
    for dense, packed in zip(*got, strict=True):
        torch.testing.assert_close(dense, packed, atol=1e-5, rtol=1e-5)


@contextmanager
def in_small_parts():
    """Three visits are many, and a stretch has room for five."""
    with (
        mock.patch.object(_lstm, "_MOST_VISITS", 3),
        mock.patch.object(_batch, "_MOST_PLACES", 5),
        mock.patch.object(_batch, "_MOST_WIDENING", 0),
    ):
        yield


@EVERY_NETWORK
@settings(max_examples=20, deadline=None)
@given(histories=HISTORIES)
def test_long_histories_in_parts_equal_the_padded_reference(options, histories):
    net = network(**options)
    with in_small_parts():
        parts = logits_and_gradients(net, net(to_batch(histories)))
        with torch.inference_mode():
            predicted = net(to_batch(histories))
    reference = logits_and_gradients(net, net.forward_padded(*to_padded(histories)))
    for got, wanted in zip(parts, reference, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(predicted, parts[0], atol=1e-6, rtol=0)


@EVERY_NETWORK
def test_computing_again_drops_the_same_units(options, monkeypatch):
    net, batch = network(dropout=0.5, **options).train(), to_batch(MIXED)

    def train(seed):
        torch.manual_seed(seed)
        with in_small_parts():
            return [*logits_and_gradients(net, net(batch)), torch.rand(4)]

    again = train(1)
    with mock.patch.object(_layers, "checkpoint", side_effect=_layers.checkpoint) as checkpoint:
        train(1)
    assert checkpoint.call_count > 3
    monkeypatch.setattr(
        _layers, "checkpoint", lambda function, *arguments, **_: function(*arguments)
    )
    kept, other = train(1), train(2)
    assert all(torch.equal(a, b) for a, b in zip(again, kept, strict=True))
    assert not torch.equal(other[0], kept[0])


def test_a_large_batch_keeps_less_for_the_backward_pass():
    """Vectors and states of each visit, but not what is computed on the way to them."""
    net = network(dropout=0.5, embedding_dim=64, hidden_dim=32, mlp_dim=64).train()
    batch = VisitBatch(torch.full((4000,), 2), torch.arange(4001), torch.tensor([0, 4000]))

    def numbers_kept_a_visit():
        kept = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: kept.setdefault(t.untyped_storage().data_ptr(), t), lambda t: t
        ):
            net(batch)
        return sum(t.untyped_storage().nbytes() for t in kept.values()) / 4 / 4000

    whole = numbers_kept_a_visit()
    with (
        mock.patch.object(_lstm, "_MOST_VISITS", 500),
        mock.patch.object(_batch, "_MOST_PLACES", 500),
    ):
        in_parts = numbers_kept_a_visit()
    # The vector, the state, and positions as 64-bit integers.
    assert in_parts < 64 + 2 * 32 + 20
    assert whole > 5 * 64


def test_ordinary_batches_are_not_computed_again():
    with mock.patch.object(_layers, "checkpoint") as checkpoint:
        network()(to_batch(MIXED)).sum().backward()
    checkpoint.assert_not_called()


@EVERY_ONE_WAY_NETWORK
@settings(max_examples=20, deadline=None)
@given(histories=HISTORIES)
def test_logits_by_visit_are_those_of_the_history_up_to_it(options, histories):
    net = network(**options)
    prefixes = [history[: i + 1] for history in histories for i in range(len(history))]
    assume(prefixes)
    got = net.forward_by_visit(to_batch(histories))
    torch.testing.assert_close(got, net.forward_padded(*to_padded(prefixes)), atol=1e-6, rtol=0)


def test_logits_by_visit_of_no_visits_are_none():
    assert network().forward_by_visit(to_batch([[], []])).shape == (0, 2)


@pytest.mark.parametrize("column", [0, 1])
def test_gaps_and_the_wait_for_the_prediction_matter(column):
    net, batch = network(time_gaps=True), to_batch(MIXED)
    other = batch.times.clone()
    other[:, column] += 10
    later = net(replace(batch, times=other))
    seen = batch.lengths > 0
    assert ((later - net(batch)).abs().max(dim=1).values > 1e-3).equal(seen)


def test_wait_does_not_reach_the_state():
    net, batch = network(time_gaps=True), to_batch(MIXED)
    other = batch.times.clone()
    other[:, 1] += 10
    assert torch.equal(net.encode(replace(batch, times=other)), net.encode(batch))


def test_network_that_reads_times_needs_them():
    with pytest.raises(ValueError, match="time_gaps=True reads the times"):
        network(time_gaps=True)(replace(to_batch(MIXED), times=None))


def test_features_are_mapped_and_added_to_the_state():
    net, batch = network(n_features=3), to_batch(MIXED)
    features = torch.linspace(-1, 1, 3 * len(MIXED)).view(-1, 3)
    state = net.encode(batch) + features @ net.features.weight.T + net.features.bias
    expected = state @ net.head.weight.T + net.head.bias
    given_some = replace(batch, features=features)
    torch.testing.assert_close(net(given_some), expected)
    codes, mask, visit_mask = to_padded(MIXED)[:3]
    padded = net.forward_padded(codes, mask, visit_mask, features=features)
    torch.testing.assert_close(padded, expected)


def test_network_with_features_needs_them_and_has_no_logits_by_visit():
    net, batch = network(n_features=3), to_batch(MIXED)
    with pytest.raises(ValueError, match="n_features reads features"):
        net(batch)
    with pytest.raises(ValueError, match="known at the prediction"):
        net.forward_by_visit(batch)
    with pytest.raises(ValueError, match="one per sample"):
        replace(batch, features=torch.zeros(1, 3))


def test_bidirectional_network_has_no_logits_by_visit():
    with pytest.raises(ValueError, match="bidirectional=False"):
        network(bidirectional=True).forward_by_visit(to_batch(MIXED))


@EVERY_NETWORK
def test_other_samples_and_their_order_do_not_matter(options):
    net = network(**options)
    together = net(to_batch(MIXED))
    for subset in ([5, 4, 3, 2, 1, 0], [4, 1], [0], [1], [3, 3, 0]):
        alone = net(to_batch([MIXED[sample] for sample in subset]))
        torch.testing.assert_close(alone, together[subset], atol=1e-6, rtol=0)


def test_mlp_adds_its_answer_to_the_vector_of_a_visit():
    net = network(mlp_dim=5)
    history = [[2, 3], [], [4, 5, 6]]
    visits = torch.stack([net.embedding.weight[visit].sum(dim=0) for visit in history])
    visits = visits / torch.tensor([2.0, 1.0, 3.0]).unsqueeze(1)
    first, _, _, second = net.mlp
    hidden = (visits @ first.weight.T + first.bias).clamp(min=0)
    outputs, _ = net.lstm(visits + hidden @ second.weight.T + second.bias)
    torch.testing.assert_close(net.encode(to_batch([history]))[0], outputs[-1])


def test_plain_network_has_the_parts_of_the_walkthrough_alone():
    parts = {name.split(".")[0] for name in network(aggregation="attention").state_dict()}
    assert parts == {"embedding", "encoder", "lstm", "head"}
    assert {name.split(".")[0] for name in network(mlp_dim=5).state_dict()} == {
        "embedding",
        "mlp",
        "lstm",
        "head",
    }


def test_order_of_visits_matters():
    net = network()
    ahead, back = net(to_batch([[[2], [3]], [[3], [2]]]))
    assert (ahead - back).abs().max() > 1e-3


def test_last_visit_of_a_short_history_is_not_that_of_the_longest():
    net = network()
    torch.testing.assert_close(
        net.forward_padded(*to_padded([[[2]], [[3], [4], [5]]]))[0],
        net.forward_padded(*to_padded([[[2]]]))[0],
        atol=1e-6,
        rtol=0,
    )


@EVERY_NETWORK
def test_padding_further_changes_nothing(options):
    net = network(**options)
    codes, mask, visit_mask, times = to_padded(MIXED)
    logits = net.forward_padded(codes, mask, visit_mask, times)
    for more_visits, more_codes in ((0, 3), (4, 0), (2, 2)):
        further = (0, more_codes, 0, more_visits)
        wider = net.forward_padded(
            pad(codes, further),
            pad(mask, further),
            pad(visit_mask, (0, more_visits)),
            pad(times, (0, 0, 0, more_visits)),
        )
        torch.testing.assert_close(wider, logits, atol=1e-6, rtol=0)


def test_without_visit_mask_trailing_padding_is_padding_and_inner_padding_an_empty_visit():
    net = network()
    codes = torch.tensor([[[2, 3], [0, 0], [4, 0], [0, 0]], [[0, 0], [0, 0], [0, 0], [0, 0]]])
    wanted = net(to_batch([[[2, 3], [], [4]], []]))
    torch.testing.assert_close(net.forward_padded(codes), wanted, atol=1e-6, rtol=0)


def test_empty_visit_at_the_end_counts_as_a_visit_when_visit_mask_says_so():
    net = network()
    codes, mask, *_ = to_padded([[[2], [], []]])
    visit_mask = torch.tensor([[True, True, False]])
    torch.testing.assert_close(
        net.forward_padded(codes, mask, visit_mask), net(to_batch([[[2], []]])), atol=1e-6, rtol=0
    )
    assert (net(to_batch([[[2], []]])) - net(to_batch([[[2]]]))).abs().max() > 1e-4


def test_mask_hides_codes_that_are_not_zero():
    net = network()
    codes = torch.tensor([[[2, 3], [4, 5]]])
    mask = torch.tensor([[[True, False], [False, False]]])
    torch.testing.assert_close(
        net.forward_padded(codes, mask), net(to_batch([[[2]]])), atol=1e-6, rtol=0
    )


@EVERY_NETWORK
def test_sample_without_visits_gets_the_answer_to_a_zero_state(options):
    net = network(**options)
    logits = net(to_batch([[], [[2]]]))
    torch.testing.assert_close(logits[0], net.head.bias)
    assert not torch.allclose(logits[1], net.head.bias)


@EVERY_NETWORK
@pytest.mark.parametrize("histories", [[[], []], [[[]], [[], []]], [[[], []], []]])
def test_batch_without_codes_or_visits_runs_forward_and_backward(options, histories):
    net = network(**options).train()
    for logits in (net(to_batch(histories)), net.forward_padded(*to_padded(histories))):
        assert logits.shape == (len(histories), 2)
        results = logits_and_gradients(net, logits)
        assert all(result.isfinite().all() for result in results)
        assert (net.head.bias.grad != 0).any()


def test_batch_without_samples_gives_no_logits():
    net = network()
    assert net(to_batch([])).shape == (0, 2)
    assert net.forward_padded(torch.zeros(0, 2, 3, dtype=torch.int64)).shape == (0, 2)


def test_unknown_code_starts_at_zero_and_learns():
    net = network()
    assert (net.embedding.weight[1] == 0).all()
    assert (net.embedding.weight[2:] != 0).all()
    net(to_batch([[[1, 2]]])).sum().backward()
    assert (net.embedding.weight.grad[1] != 0).any()


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_padding_has_a_zero_embedding_and_gets_no_gradient(aggregation):
    net = network(aggregation=aggregation)
    for logits in (net(to_batch(MIXED)), net.forward_padded(*to_padded(MIXED))):
        net.zero_grad()
        logits.sum().backward()
        assert (net.embedding.weight[0] == 0).all()
        assert (net.embedding.weight.grad[0] == 0).all()
        assert (net.embedding.weight.grad[2:] != 0).any(dim=1).all()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_are_those_of_finite_differences(bidirectional):
    net = network(aggregation="attention", bidirectional=bidirectional, hidden_dim=2).double()
    batch = to_batch([[[2, 3], []], [], [[4], [2], [5, 5]]])
    assert torch.autograd.gradcheck(lambda *_: net(batch), tuple(net.parameters()))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_encode_gives_the_state_that_the_head_sees(bidirectional):
    net = network(bidirectional=bidirectional)
    batch = to_batch(MIXED)
    states = net.encode(batch)
    assert states.shape == (len(MIXED), 6 if bidirectional else 3)
    torch.testing.assert_close(net.head(states), net(batch))


@pytest.mark.parametrize("entry", ["forward", "forward_padded"])
def test_training_drops_units_of_visit_vectors_and_of_the_final_state(entry):
    histories = [[[2, 3], [4]], [[5], [6]]]
    net = network(dropout=0.5, embedding_dim=64, hidden_dim=64)
    seen = {}
    read = net._read
    net._read = lambda visits, *args: seen.update(visits=visits) or read(visits, *args)
    net.lstm.register_forward_pre_hook(lambda _, args: seen.update(visits=args[0].data))
    net.head.register_forward_pre_hook(lambda _, args: seen.update(state=args[0]))

    def dropped():
        arguments = [to_batch(histories)] if entry == "forward" else to_padded(histories)
        getattr(net, entry)(*arguments)
        return [(seen[name] == 0).float().mean().item() for name in ("visits", "state")]

    assert dropped() == [0, 0]
    net.train()
    assert dropped() == pytest.approx([0.5, 0.5], abs=0.2)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_training_drops_units_between_layers(bidirectional):
    net = network(dropout=0.5, hidden_dim=64, num_layers=2, bidirectional=bidirectional)
    read, inputs = net._read, []
    net._read = lambda visits, *args: inputs.append(visits) or read(visits, *args)

    def dropped():
        inputs.clear()
        net(to_batch([[[2, 3], [4]], [[5], [6]]]))
        return (inputs[-1] == 0).float().mean().item()

    assert dropped() == 0
    net.train()
    assert dropped() == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize(("num_layers", "between"), [(1, 0.0), (2, 0.4)])
def test_dropout_between_layers_needs_a_second_layer_and_never_warns(num_layers, between):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = network(num_layers=num_layers, dropout=0.4)
    assert net.lstm.dropout == between
    assert net.dropout.p == 0.4


def test_repeated_runs_give_the_same_bits():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 50, (20_000,), generator=generator)
    batch = VisitBatch(tokens, torch.arange(0, 20_001, 10), torch.arange(0, 2_001, 5))
    net = network(aggregation="attention", vocab_size=50, embedding_dim=16, hidden_dim=16)
    torch.set_num_threads(2)
    try:
        first, *others = [logits_and_gradients(net, net(batch)) for _ in range(3)]
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))


def test_too_small_a_vocabulary_is_an_error():
    with pytest.raises(ValueError, match="vocab_size=1 is too small"):
        VisitLSTM(vocab_size=1)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"mask": torch.ones(1, 2, dtype=torch.bool)}, "mask is torch.bool of shape"),
        ({"mask": torch.ones(1, 2, 2)}, "mask is torch.float32"),
        ({"mask": torch.ones(1, 2, 2, dtype=torch.bool)}, "mask is True where codes is 0"),
        ({"visit_mask": torch.ones(1, 3, dtype=torch.bool)}, "visit_mask is torch.bool of shape"),
        ({"visit_mask": torch.tensor([[True, False]])}, "visit_mask is False for visits with"),
        ({"visit_mask": torch.tensor([[False, True]])}, "visit_mask has padding before a real"),
    ],
)
def test_masks_that_do_not_fit_are_an_error(masks, message):
    codes = torch.tensor([[[0, 0], [2, 3]]])
    with pytest.raises(ValueError, match=message):
        network().forward_padded(codes, **masks)


def test_codes_of_two_dimensions_are_an_error():
    with pytest.raises(ValueError, match=r"codes has shape \(1, 2\)"):
        network().forward_padded(torch.tensor([[2, 3]]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@EVERY_NETWORK
def test_cuda_agrees_with_cpu(options, monkeypatch):
    # By default cuDNN rounds the inputs of an LSTM's products to ten bits (TF32).
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    # cuDNN runs an LSTM backward in training mode only.
    net = network(dropout=0.0, **options).train()
    batch, arrays = to_batch(MIXED), to_padded(MIXED)
    wanted = [t.detach() for t in logits_and_gradients(net, net(batch))]
    net.cuda()
    for logits in (net(batch.to("cuda")), net.forward_padded(*(a.cuda() for a in arrays))):
        assert logits.device.type == "cuda"
        for got, cpu in zip(logits_and_gradients(net, logits), wanted, strict=True):
            torch.testing.assert_close(got.cpu(), cpu, atol=1e-5, rtol=1e-4)
