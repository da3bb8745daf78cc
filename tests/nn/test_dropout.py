import pytest
import torch

from sklearn_ehr.nn._dropout import ByteDropout

N_UNITS = 200_000


@pytest.mark.parametrize("p", [0.3, 0.5, 0.9])
def test_the_share_dropped_and_the_mean_are_those_of_torch(p):
    torch.manual_seed(0)
    units = ByteDropout(p)(torch.ones(N_UNITS))
    assert (units == 0).float().mean().item() == pytest.approx(p, abs=0.005)
    assert units.mean().item() == pytest.approx(1, abs=0.015)
    assert len(units.unique()) == 2


def test_units_are_dropped_each_on_its_own():
    torch.manual_seed(0)
    is_kept = (ByteDropout(0.5)(torch.ones(N_UNITS // 8, 8)) > 0).double()
    # Of the eight bytes of one random number, and of the same byte of one number and the next.
    among = torch.corrcoef(is_kept.T) - torch.eye(8, dtype=torch.float64)
    after = torch.corrcoef(torch.stack([is_kept.flatten()[:-8], is_kept.flatten()[8:]]))[0, 1]
    assert among.abs().max() < 5 / (N_UNITS / 8) ** 0.5
    assert after.abs() < 5 / N_UNITS**0.5


@pytest.mark.parametrize(("training", "p"), [(False, 0.5), (True, 0.0)])
def test_nothing_is_dropped_in_evaluation_or_with_a_share_of_zero(training, p):
    units = torch.rand(100)
    torch.testing.assert_close(ByteDropout(p).train(training)(units), units, rtol=0, atol=0)


def test_a_share_of_one_drops_everything():
    assert (ByteDropout(1.0)(torch.ones(99)) == 0).all()


@pytest.mark.parametrize("p", [1e-6, 1 - 1e-6])
def test_a_share_next_to_nothing_or_all_stays_finite(p):
    units = ByteDropout(p)(torch.ones(N_UNITS))
    assert units.isfinite().all()
    assert (units > 0).any()


def test_gradients_pass_through_what_is_kept():
    units = torch.ones(3, 50, requires_grad=True)
    torch.manual_seed(0)
    left = ByteDropout(0.5)(units)
    left.sum().backward()
    torch.testing.assert_close(units.grad, left.detach())


@pytest.mark.parametrize("shape", [(0, 4), (3,), (2, 3, 5)])
def test_any_shape(shape):
    assert ByteDropout(0.5)(torch.ones(shape)).shape == shape


def test_the_same_seed_drops_the_same_units():
    first, second = (torch.manual_seed(3) and ByteDropout(0.5)(torch.ones(99)) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
