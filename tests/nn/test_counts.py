import numpy as np
import pytest
import torch
from histories import to_batch, to_padded
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_ehr import CodeCountVectorizer, VisitSequenceTransformer
from sklearn_ehr.datasets import make_visits
from sklearn_ehr.estimators._inputs import as_batch
from sklearn_ehr.nn import CodeCountLinear, VisitLSTM

CODES = st.lists(st.lists(st.lists(st.integers(1, 5), max_size=4), max_size=4), min_size=1)


def linear_term(vocab_size, output_dim=1):
    linear = CodeCountLinear(vocab_size, output_dim)
    with torch.no_grad():
        linear.history.copy_(torch.randn(linear.history.shape))
        linear.last_visit.copy_(torch.randn(linear.history.shape))
    return linear


@settings(max_examples=60, deadline=None)
@given(histories=CODES)
def test_ragged_entry_equals_the_padded_reference(histories):
    linear = linear_term(6, output_dim=2)
    got, wanted = linear(to_batch(histories)), linear.forward_padded(*to_padded(histories)[:3])
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)


@settings(max_examples=60, deadline=None)
@given(histories=CODES)
def test_sums_by_visit_are_those_of_the_history_up_to_it(histories):
    linear = linear_term(6, output_dim=2)
    cut = [history[: i + 1] for history in histories for i in range(len(history))]
    got = linear.forward_by_visit(to_batch(histories))
    assert got.shape == (len(cut), 2)
    if cut:
        torch.testing.assert_close(got, linear(to_batch(cut)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("deduplicate", [True, False])
def test_counts_are_those_of_the_vectorizer(deduplicate):
    X, _ = make_visits(60, random_state=0)
    params = {"min_frequency": 3, "deduplicate": deduplicate}
    sequences = VisitSequenceTransformer(**params).fit_transform(X)
    counts = CodeCountVectorizer(encoding="log1p", last_visits=(1,), **params).fit_transform(X)
    linear = linear_term(sequences.vocabulary.size)
    with torch.no_grad():
        # The vectorizer does not count codes that it does not know.
        linear.history[1] = linear.last_visit[1] = 0
        got = linear(as_batch(sequences))[:, 0]
    weights = torch.cat([linear.history[2:, 0], linear.last_visit[2:, 0]]).detach().numpy()
    np.testing.assert_allclose(got, counts @ weights, atol=1e-4)


def test_sums_of_a_sample_do_not_depend_on_others():
    histories = [[[2, 3], [2]], [], [[4, 4, 4]], [[5], [5], [1, 2]]]
    linear = linear_term(6)
    for i, history in enumerate(histories):
        assert torch.equal(linear(to_batch([history]))[0], linear(to_batch(histories))[i])


@pytest.mark.parametrize("by_visit", [False, True])
def test_network_adds_its_linear_term_to_the_logits(by_visit):
    torch.manual_seed(0)
    histories = [[[2, 3], [2]], [], [[4, 4, 4], []]]
    net = VisitLSTM(vocab_size=6, embedding_dim=4, hidden_dim=3, output_dim=2).eval()
    entry = net.forward_by_visit if by_visit else net
    batch = to_batch(histories)
    alone, padded_alone = entry(batch), net.forward_padded(*to_padded(histories)[:3])
    net.linear = linear = linear_term(6, output_dim=2)
    term = (linear.forward_by_visit if by_visit else linear)(batch)
    torch.testing.assert_close(entry(batch), alone + term)
    assert term.abs().max() > 0.1
    reference = net.forward_padded(*to_padded(histories)[:3])
    torch.testing.assert_close(reference, padded_alone + linear(batch), atol=1e-5, rtol=1e-5)


def test_weights_start_at_zero_and_learn():
    linear, batch = CodeCountLinear(6), to_batch([[[2, 3], [2]], [[4, 4]]])
    sums = linear(batch)
    assert (sums == 0).all()
    sums.sum().backward()
    np.testing.assert_allclose(linear.history.grad[:, 0], np.log([1, 1, 3, 2, 3, 1]), atol=1e-6)
    np.testing.assert_allclose(linear.last_visit.grad[:, 0], np.log([1, 1, 2, 1, 3, 1]), atol=1e-6)
