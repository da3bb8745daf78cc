import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from sklearn_ehr.nn import VisitEncoder

AGGREGATIONS = ["mean", "sum", "max", "attention"]
VISITS = st.lists(st.lists(st.integers(1, 7), max_size=5), min_size=1, max_size=6)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Threads that wait for each other on busy cores take longer than these sums themselves."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def encoder_of(aggregation, embedding_dim=4):
    torch.manual_seed(0)
    return VisitEncoder(embedding_dim, aggregation).double()


def table_of(n_rows=8, embedding_dim=4):
    weight = torch.randn(
        n_rows, embedding_dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    weight[0] = 0
    return weight.requires_grad_()


def ragged(visits):
    tokens = torch.tensor([code for visit in visits for code in visit], dtype=torch.int64)
    return tokens, torch.tensor(np.cumsum([0] + [len(visit) for visit in visits]))


def padded(visits, n_codes=None):
    n_codes = max(map(len, visits)) if n_codes is None else n_codes
    codes = [visit + [0] * (n_codes - len(visit)) for visit in visits]
    return torch.tensor(codes, dtype=torch.int64).reshape(len(visits), n_codes)


def encode_both(encoder, weight, visits):
    codes = padded(visits)
    return (
        encoder(weight, *ragged(visits)),
        encoder.forward_padded(F.embedding(codes, weight), codes != 0),
    )


def test_mean_of_the_walkthrough_leaves_padding_out():
    weight = torch.tensor(
        [[0.0, 0.0, 0.0]] * 2
        + [[0.5, -0.3, 0.8], [0.3, 0.6, -0.2], [0.7, 0.1, 0.4], [0.9, 0.2, 0.5], [0.1, -0.4, 0.3]]
    )
    wanted = torch.tensor([[0.5, 0.4 / 3, 1.0 / 3], [0.5, -0.1, 0.4]])
    for vectors in encode_both(VisitEncoder(3), weight, [[2, 3, 4], [5, 6]]):
        torch.testing.assert_close(vectors, wanted, atol=1e-6, rtol=0)


def test_attention_of_the_walkthrough_has_the_weights_that_its_numbers_give():
    first = np.array([[0.5, 0.3], [0.2, 0.8], [-0.4, 0.6], [0.1, -0.2]])
    second = np.array([1.2, 0.8])
    embeddings = np.array([[0.8, 0.2, -0.1, 0.5], [0.1, 0.9, 0.3, -0.2], [0.3, -0.1, 0.7, 0.4]])
    odds = np.exp(np.tanh(embeddings @ first) @ second)
    weights = odds / odds.sum()
    np.testing.assert_allclose(weights, [0.405, 0.380, 0.215], atol=5e-4)

    encoder = encoder_of("attention")
    with torch.no_grad():
        encoder.attention[0].weight.copy_(torch.tensor(first.T))
        encoder.attention[2].weight.copy_(torch.tensor(second))
        encoder.attention[0].bias.zero_()
        encoder.attention[2].bias.zero_()
    table = torch.tensor(np.vstack([np.zeros((2, 4)), embeddings]))

    given_weights = encoder.attention_weights(table, *ragged([[2, 3, 4]]))
    np.testing.assert_allclose(given_weights.detach(), weights, atol=1e-12)
    for vectors in encode_both(encoder, table, [[2, 3, 4], [3]]):
        np.testing.assert_allclose(vectors[0].detach(), weights @ embeddings, atol=1e-12)
        np.testing.assert_allclose(vectors[1].detach(), embeddings[1], atol=1e-12)


@pytest.mark.parametrize(
    ("aggregation", "wanted"), [("mean", [2.0, -1.0]), ("sum", [6.0, -3.0]), ("max", [3.0, 1.0])]
)
def test_repeated_code_counts_each_time(aggregation, wanted):
    weight = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.5, -2.0], [3.0, 1.0]], dtype=torch.float64)
    for vectors in encode_both(encoder_of(aggregation, 2), weight, [[2, 3, 2]]):
        np.testing.assert_allclose(vectors.detach(), [wanted], atol=1e-12)


def test_max_of_negative_embeddings_is_not_lifted_to_the_zero_of_padding():
    weight = torch.tensor([[0.0], [0.0], [-1.0], [-2.0]], dtype=torch.float64)
    for vectors in encode_both(encoder_of("max", 1), weight, [[3, 2], [3]]):
        assert vectors.ravel().tolist() == [-1.0, -2.0]


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("visits", [[[2, 3], [], [4]], [[]], [[], []]])
def test_empty_visit_is_a_zero_vector_with_finite_gradients(aggregation, visits):
    encoder, weight = encoder_of(aggregation), table_of()
    for vectors in encode_both(encoder, weight, visits):
        empty = torch.tensor([not visit for visit in visits])
        assert (vectors[empty] == 0).all()
        weight.grad = None
        encoder.zero_grad()
        vectors.square().sum().backward()
        gradients = [weight.grad] + [p.grad for p in encoder.parameters() if p.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_no_visits_give_no_vectors(aggregation):
    encoder, weight = encoder_of(aggregation), table_of()
    assert encoder(weight, *ragged([])).shape == (0, 4)
    assert encoder.forward_padded(weight.new_zeros(0, 3, 4)).shape == (0, 4)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@settings(max_examples=40, deadline=None)
@given(visits=VISITS)
def test_ragged_entry_equals_the_padded_reference(aggregation, visits):
    encoder, weight = encoder_of(aggregation), table_of()
    projection = torch.randn(len(visits), 4, dtype=torch.float64)
    results = []
    for vectors in encode_both(encoder, weight, visits):
        inputs = [weight, *encoder.parameters()]
        gradients = torch.autograd.grad(
            (vectors * projection).sum(), inputs, materialize_grads=True
        )
        results.append([vectors, *gradients])
    for fast, reference in zip(*results, strict=True):
        torch.testing.assert_close(fast, reference, atol=1e-10, rtol=0)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_gradients_are_those_of_finite_differences(aggregation):
    encoder, weight = encoder_of(aggregation), table_of()
    tokens, offsets = ragged([[2, 3, 2], [], [7], [5, 3]])
    inputs = (weight, *encoder.parameters())
    assert torch.autograd.gradcheck(lambda *_: encoder(weight, tokens, offsets), inputs)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_padding_further_changes_nothing(aggregation):
    encoder, weight = encoder_of(aggregation), table_of()
    visits = [[2, 3, 4], [5], []]
    codes, wider = padded(visits), padded(visits, n_codes=9)
    torch.testing.assert_close(
        encoder.forward_padded(F.embedding(codes, weight), codes != 0),
        encoder.forward_padded(F.embedding(wider, weight), wider != 0),
        atol=1e-14,
        rtol=0,
    )


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_what_stands_under_padding_is_never_read(aggregation):
    encoder, weight = encoder_of(aggregation), table_of()
    codes = padded([[2, 3, 4], [5], []])
    embeddings = F.embedding(codes, weight).detach()
    spoiled = embeddings.masked_fill((codes == 0).unsqueeze(-1), torch.nan)
    assert torch.equal(
        encoder.forward_padded(spoiled, codes != 0),
        encoder.forward_padded(embeddings, codes != 0),
    )


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_without_a_mask_all_codes_are_real(aggregation):
    encoder = encoder_of(aggregation)
    embeddings = table_of()[2:8].reshape(2, 3, 4)
    every = torch.ones(2, 3, dtype=torch.bool)
    wanted = encoder.forward_padded(embeddings, every)
    assert torch.equal(encoder.forward_padded(embeddings), wanted)
    assert (wanted != 0).all()


def test_attention_survives_scores_beyond_the_range_of_exp():
    encoder, weight = encoder_of("attention"), table_of()
    with torch.no_grad():
        encoder.attention[2].weight.mul_(1e4)
        encoder.attention[2].bias.fill_(-1e5)
    fast, reference = encode_both(encoder, weight, [[2, 3, 4], [5, 6]])
    assert fast.isfinite().all()
    torch.testing.assert_close(fast, reference, atol=1e-9, rtol=0)


def test_attention_weights_sum_to_one_in_each_visit_with_codes():
    encoder = encoder_of("attention")
    weights = encoder.attention_weights(table_of(), *ragged([[2, 3, 2], [], [4], [5, 6]]))
    assert weights.shape == (6,)
    np.testing.assert_allclose(
        [weights[:3].sum().item(), weights[3].item(), weights[4:].sum().item()], 1, atol=1e-12
    )
    assert weights[0] == weights[2] != weights[1]


def test_attention_of_one_dimension_keeps_a_bottleneck():
    encoder = VisitEncoder(1, "attention")
    assert encoder.attention[0].weight.shape == (1, 1)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_repeated_runs_give_the_same_bits(aggregation):
    """Two threads and many tokens, as accumulation by atomic adds shows with nothing less."""
    encoder = VisitEncoder(8, aggregation)
    weight = torch.randn(50, 8, requires_grad=True)
    tokens, offsets = torch.randint(1, 50, (200_000,)), torch.arange(0, 200_001, 40)
    projection = torch.randn(5_000, 8)

    def run():
        vectors = encoder(weight, tokens, offsets)
        inputs = [weight, *encoder.parameters()]
        return [vectors, *torch.autograd.grad((vectors * projection).sum(), inputs)]

    torch.set_num_threads(2)
    try:
        first, *others = [run() for _ in range(5)]
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))


def test_unknown_aggregation_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match="aggregation='median' is not known; use one of 'mean'"):
        VisitEncoder(4, "median")


def test_attention_weights_of_another_aggregation_are_an_error():
    with pytest.raises(ValueError, match="aggregation='mean' has no attention weights"):
        encoder_of("mean").attention_weights(table_of(), *ragged([[2]]))


@pytest.mark.parametrize("mask", [torch.ones(2, 2, dtype=torch.bool), torch.ones(2, 3)])
def test_mask_of_another_shape_or_type_is_an_error(mask):
    with pytest.raises(ValueError, match=r"mask is torch.* of shape \(2, 3\) is needed"):
        encoder_of("mean").forward_padded(torch.zeros(2, 3, 4), mask)
