import pytest
import torch

from sklearn_ehr.nn import LengthBucketSampler


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def lengths(n_samples):
    """Heavy-tailed numbers of visits, from 0 to about 200."""
    return torch.exp(2 + torch.randn(n_samples)).long()


@pytest.mark.parametrize(("n_samples", "n_batches"), [(1, 1), (32, 1), (33, 2), (1000, 32)])
def test_each_sample_is_in_one_batch(n_samples, n_batches):
    sampler = LengthBucketSampler(lengths(n_samples), 32, pool_fraction=0.2)
    batches = list(sampler)
    assert len(batches) == len(sampler) == n_batches
    assert torch.cat(batches).sort().values.tolist() == list(range(n_samples))
    assert sorted(map(len, batches))[1:] == [32] * (n_batches - 1)


def test_samples_of_a_batch_are_of_similar_length():
    n_visits = lengths(5000)
    steps = {
        share: sum(n_visits[batch].max() for batch in LengthBucketSampler(n_visits, 50, share))
        for share in (0, 0.5)
    }
    assert steps[0.5] < steps[0] / 3


def test_batches_come_in_no_order_of_length():
    n_visits = lengths(5000)
    batches = list(LengthBucketSampler(n_visits, 50))
    mean = torch.stack([n_visits[batch].double().mean() for batch in batches])
    place = torch.arange(len(mean)).double()
    assert torch.corrcoef(torch.stack([place, mean]))[0, 1].abs() < 0.3


def test_each_pass_draws_other_batches_and_a_seed_the_same():
    sampler = LengthBucketSampler(lengths(500), 50)
    torch.manual_seed(1)
    first, second = list(sampler), list(sampler)
    torch.manual_seed(1)
    assert torch.equal(torch.cat(first), torch.cat(list(sampler)))
    # Sets of positions: other samples share a batch, not the same batches in another order.
    first, second = ({frozenset(batch.tolist()) for batch in drawn} for drawn in (first, second))
    assert not first & second


# Of eight batches, at most one and a half make a pool of one.
@pytest.mark.parametrize("pool_fraction", [0, 0.01, 0.18])
def test_pools_of_one_batch_are_plain_shuffling(pool_fraction):
    n_visits = lengths(400)
    torch.manual_seed(1)
    batches = {
        frozenset(batch.tolist()) for batch in LengthBucketSampler(n_visits, 50, pool_fraction)
    }
    torch.manual_seed(1)
    shuffled = torch.randperm(400)
    assert batches == {frozenset(batch.tolist()) for batch in shuffled.split(50)}


def test_a_pool_is_a_share_of_the_batches():
    # 80 samples in order of length: with pools of a quarter, batches of 5 hold a quarter of 20.
    n_visits = torch.arange(80)
    batches = list(LengthBucketSampler(n_visits, 5, 0.25))
    torch.manual_seed(0)
    pools = torch.randperm(80).split(20)
    expected = {tuple(batch.tolist()) for pool in pools for batch in pool.sort().values.split(5)}
    assert {tuple(batch.tolist()) for batch in batches} == expected
