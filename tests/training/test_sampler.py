"""The order of examples: complete, a function of seed and epoch, the same however many share it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allsight.errors import TrainingError
from allsight.training import EpochSampler, Key, generator, mix


def batches(length: int, batch_size: int, epoch: int = 0, start: int = 0, **options: int) -> list[list[Key]]:
    sampler = EpochSampler(length, batch_size, **options)
    sampler.set_epoch(epoch, start)
    found = list(sampler)
    assert len(found) == len(sampler)
    return found


@given(st.integers(1, 60), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 3))
def test_every_share_together_is_the_global_batch(
    length: int, part: int, ranks: int, accumulate: int, epoch: int
) -> None:
    size = part * ranks * accumulate
    whole = batches(length, size, epoch)
    shares = [batches(length, size, epoch, rank=rank, ranks=ranks, accumulate=accumulate) for rank in range(ranks)]
    together = [
        [key for turn in range(accumulate) for share in shares for key in share[number * accumulate + turn]]
        for number in range(len(whole))
    ]
    assert together == whole
    assert all(len(batch) == part for share in shares for batch in share)


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 5))
def test_no_view_twice_and_only_the_last_part_batch_left_out(length: int, size: int, epoch: int) -> None:
    keys = [key for batch in batches(length, size, epoch) for key in batch]
    assert len(set(keys)) == len(keys) > 0
    passes = -(-len(keys) // length)
    assert len(keys) > passes * length - size
    following = {key for batch in batches(length, size, epoch + 1) for key in batch}
    assert not following & set(keys)


def test_an_epoch_can_be_taken_up_in_the_middle() -> None:
    assert batches(23, 4, epoch=2, start=3) == batches(23, 4, epoch=2)[3:]
    assert batches(23, 4, start=5) == []
    assert batches(24, 4, accumulate=2, start=3) == batches(24, 4, accumulate=2)[6:]


def test_order_depends_on_seed_and_epoch() -> None:
    orders = {
        tuple(k.index for b in batches(30, 30, epoch, seed=seed) for k in b) for seed in (0, 1) for epoch in (0, 1)
    }
    assert len(orders) == 4


@pytest.mark.parametrize(("length", "size", "ranks"), [(0, 4, 1), (8, 5, 2), (8, 0, 1)])
def test_what_cannot_be_shared_out_is_refused(length: int, size: int, ranks: int) -> None:
    with pytest.raises(TrainingError):
        EpochSampler(length, size, ranks=ranks)


def test_keys_do_not_run_into_each_other() -> None:
    seeds = [mix(*keys) for keys in [(0,), (0, 0), (0, 0, 0), (1,), (0, 1), (1, 0), (1, 0, 0), (2**32,), (0, 2**32)]]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert generator(3, 5).initial_seed() == generator(3, 5).initial_seed() == mix(3, 5)
