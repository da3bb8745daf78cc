import dataclasses
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence

from sklearn_ehr.nn import VisitBatch


def batch_of(tokens, visit_offsets, sample_offsets):
    return VisitBatch(
        torch.tensor(tokens, dtype=torch.int64),
        torch.tensor(visit_offsets, dtype=torch.int64),
        torch.tensor(sample_offsets, dtype=torch.int64),
    )


@pytest.fixture
def three_samples():
    """Samples of 1, 3 and 0 visits; the third visit is empty."""
    return batch_of([2, 3, 4, 5], [0, 2, 3, 3, 4], [0, 1, 4, 4])


def test_length_counts_samples_and_lengths_count_visits(three_samples):
    assert len(three_samples) == 3
    assert three_samples.n_visits == 4
    assert three_samples.lengths.tolist() == [1, 3, 0]


def test_batch_without_samples_is_allowed():
    batch = batch_of([], [0], [0])
    assert (len(batch), batch.n_visits, batch.lengths.tolist()) == (0, 0, [])


def test_batch_is_frozen_and_no_tuple(three_samples):
    assert not isinstance(three_samples, tuple)
    with pytest.raises(dataclasses.FrozenInstanceError):
        three_samples.tokens = torch.tensor([1])


def test_batch_that_is_on_the_device_already_is_not_copied(three_samples):
    assert three_samples.to("cpu") is three_samples


def test_to_moves_every_field_and_leaves_the_original(three_samples):
    three_samples = replace(three_samples, times=torch.ones(4, 2), features=torch.ones(3, 5))
    moved = three_samples.to("meta")
    assert {t.device.type for t in vars(moved).values()} == {"meta"}
    assert {t.device.type for t in vars(three_samples).values()} == {"cpu"}
    assert len(moved) == 3


def test_times_need_a_row_of_two_a_visit(three_samples):
    assert three_samples.times is None
    with pytest.raises(ValueError, match=r"times has shape \(4, 1\); \(4, 2\) is needed"):
        replace(three_samples, times=torch.ones(4, 1))


def test_packing_is_time_major_and_longest_sample_first(three_samples):
    visits = torch.tensor([[10.0], [20.0], [21.0], [22.0]])
    packed, visit = three_samples.pack(visits)
    assert packed.data.ravel().tolist() == [20, 10, 21, 22]
    assert packed.batch_sizes.tolist() == [2, 1, 1]
    assert visit.tolist() == [1, 0, 2, 3]


def test_packing_agrees_with_torch_on_samples_of_equal_and_unequal_length():
    lengths = [2, 0, 4, 2, 1, 4]
    visits = torch.arange(float(sum(lengths))).unsqueeze(1)
    offsets = [0, 2, 2, 6, 8, 9, 13]
    packed, visit = batch_of([], [0] * 14, offsets).pack(visits)
    longest_first = [2, 5, 0, 3, 4]
    wanted = pack_sequence([visits[offsets[s] : offsets[s + 1]] for s in longest_first])
    assert torch.equal(visits[visit], wanted.data)
    assert torch.equal(packed.data, wanted.data)
    assert torch.equal(packed.batch_sizes, wanted.batch_sizes)


def test_stretches_go_from_step_to_step_with_the_longest_sample_first(three_samples):
    stretches, place = three_samples.stretches()
    assert [stretch.tolist() for stretch in stretches] == [[[1, 0, 4], [2, 4, 4], [3, 4, 4]]]
    assert place.tolist() == [1, 0, 3, 6]
    stretches, place = three_samples.stretches(backward=True)
    assert [stretch.tolist() for stretch in stretches] == [[[3, 0, 4], [2, 4, 4], [1, 4, 4]]]
    assert place.tolist() == [1, 6, 3, 0]


def of_lengths(lengths):
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    return batch_of([], [0] * (int(offsets[-1]) + 1), offsets.tolist())


def test_few_go_on_where_a_history_is_much_longer_than_others():
    stretches, _ = of_lengths([1] * 30 + [100] + [1] * 30 + [0, 3]).stretches()
    assert [tuple(stretch.shape) for stretch in stretches] == [(1, 63), (50, 8), (49, 8)]


@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=80).filter(any),
    backward=st.booleans(),
)
def test_each_visit_has_one_place_and_padding_stays_small(lengths, backward):
    batch = of_lengths(lengths)
    stretches, place = batch.stretches(backward=backward)
    rows = torch.cat([stretch.flatten() for stretch in stretches])
    assert rows[place].tolist() == list(range(batch.n_visits))
    assert (rows < batch.n_visits).sum() == batch.n_visits
    start = 0
    for stretch in stretches:
        running = sum(length > start for length in lengths)
        assert stretch.shape[1] == min(-(-running // 8) * 8, len(lengths))
        assert (stretch[:, :running] == batch.n_visits).sum() <= 48
        start += len(stretch)


def shapes(lengths):
    return [tuple(stretch.shape) for stretch in of_lengths(lengths).stretches()[0]]


def test_a_long_history_that_runs_on_alone_is_not_widened():
    # Seven places more at each of 146 steps are 1,022.
    assert shapes([146] + [0] * 9) == [(146, 8)]
    assert shapes([147] + [0] * 9) == [(147, 1)]
    assert shapes([5000, 1] + [1] * 20) == [(3, 22), (4997, 1)]
    assert shapes([2000] * 7 + [0]) == [(2000, 7)]
    assert shapes([2000] * 8 + [0]) == [(2000, 8)]


def test_a_stretch_goes_on_with_samples_of_the_one_before():
    # 5 places more at each of 244 steps are too many; 7 more at 56 steps would be few.
    assert shapes([300, 220, 220, 1, 1, 1, 1, 1]) == [(10, 8), (234, 3), (56, 3)]


@settings(deadline=None)
@given(lengths=st.lists(st.integers(0, 5) | st.integers(100, 400), max_size=20).filter(any))
def test_no_stretch_is_wider_than_the_one_before(lengths):
    widths = [width for _, width in shapes(lengths)]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("backward", [False, True])
def test_a_stretch_of_very_many_places_is_cut(backward):
    lengths = [70_000, 1, 20_000]
    batch = of_lengths(lengths)
    stretches, place = batch.stretches(backward=backward)
    assert all(stretch.numel() <= 2**15 for stretch in stretches)
    assert sum(map(len, stretches)) == 70_000
    rows = torch.cat([stretch.flatten() for stretch in stretches])
    assert torch.equal(rows[place], torch.arange(sum(lengths)))
    assert len(rows) <= sum(lengths) + 2 * 48


def test_padding_among_the_tokens_is_an_error():
    with pytest.raises(ValueError, match="tokens holds ids below 1"):
        batch_of([2, 0], [0, 2], [0, 1])


@pytest.mark.parametrize("visit_offsets", [[1, 2], [0, 1], [0, 3], [0, 2, 1, 2]])
def test_visit_offsets_that_do_not_cut_the_tokens_are_an_error(visit_offsets):
    # embedding_bag would read a last offset short of the tokens in three ways, one a mode.
    with pytest.raises(ValueError, match="visit_offsets runs from"):
        batch_of([2, 3], visit_offsets, [0, len(visit_offsets) - 1])


@pytest.mark.parametrize("sample_offsets", [[1, 2], [0, 1], [0, 3], [0, 2, 1, 2]])
def test_sample_offsets_that_do_not_cut_the_visits_are_an_error(sample_offsets):
    with pytest.raises(ValueError, match="sample_offsets runs from"):
        batch_of([2, 3], [0, 1, 2], sample_offsets)


def test_offsets_without_a_start_are_an_error():
    with pytest.raises(ValueError, match="sample_offsets is empty"):
        batch_of([], [0], [])


def test_field_of_another_type_is_an_error():
    offsets = torch.tensor([0, 1])
    with pytest.raises(TypeError, match=r"tokens is torch\.int32"):
        VisitBatch(torch.tensor([2], dtype=torch.int32), offsets, offsets)
    with pytest.raises(TypeError, match="sample_offsets is list"):
        VisitBatch(torch.tensor([2]), offsets, [0, 1])


def test_field_of_two_dimensions_is_an_error():
    offsets = torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"tokens has shape \(1, 1\)"):
        VisitBatch(torch.tensor([[2]]), offsets, offsets)
