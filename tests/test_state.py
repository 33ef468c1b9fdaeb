"""The memory of slots by itself: pages counted, shared, copied on write and given back, whatever goes wrong."""

from __future__ import annotations

import gc
from collections import Counter
from itertools import chain

import pytest
import torch

from modeling.errors import InvalidRequest, MemoryExceeded
from modeling.state import PAGE, KVPool, MambaState, ModelState, Snapshot

CPU = torch.device("cpu")
LAYERS = 2


def paged(slots: int, pages: int) -> ModelState:
    """A memory of two layers whose keys and values tell which token was written where."""
    pool = KVPool(pages, (1, 2), torch.float32, [CPU] * LAYERS)
    return ModelState([MambaState.zeros(slots, (3, 4), (5, 6), torch.float32, CPU) for _ in range(LAYERS)], pool)


def feed(state: ModelState, slot: int, *tokens: int) -> None:
    """Write tokens as a model would: the token itself as key, its negative as value, the sum of all in the recurrence."""
    with state.extend(slot, slot + 1, len(tokens)) as extension:
        assert extension.positions.tolist() == [list(range(state.lengths[slot], state.lengths[slot] + len(tokens)))]
        k = torch.tensor(tokens, dtype=torch.float32)[None, :, None, None].expand(1, -1, 1, 2)
        for layer in extension.layers:
            assert layer.kv is not None
            layer.kv.write(k, -k)
            layer.mamba.ssm += sum(tokens)


def read(state: ModelState, slot: int) -> list[int]:
    """The tokens that the pages of a slot hold; all layers, keys and values, must tell the same."""
    if not state.lengths[slot]:
        return []
    assert state.pool is not None
    rows = state._context(slot, state.lengths[slot])
    told = [keys[rows, 0, 0].tolist() for keys in state.pool.keys] + [
        (-values[rows, 0, 0]).tolist() for values in state.pool.values
    ]
    assert all(tokens == told[0] for tokens in told)
    assert all(layer.ssm[slot].unique().tolist() == [sum(told[0])] for layer in state.mamba)
    return [int(token) for token in told[0]]


def check_pages(state: ModelState, *snapshots: Snapshot) -> None:
    """Each page is free or referenced, exactly as often as slots and snapshots hold it."""
    pool = state.pool
    assert pool is not None
    held = Counter(chain(*state.pages, *(snapshot.pages for snapshot in snapshots)))
    assert pool.references == [held[page] for page in range(len(pool.references))]
    assert sorted(pool.free) == [page for page in range(len(pool.references)) if not held[page]]


# Slots


def test_slots_keep_their_own_tokens() -> None:
    state = paged(3, 9)
    feed(state, 0, *range(300))
    feed(state, 2, 7)
    feed(state, 0, *range(300, 600))
    feed(state, 2, 8, 9)
    assert (read(state, 0), read(state, 1), read(state, 2)) == (list(range(600)), [], [7, 8, 9])
    assert state.lengths == [600, 0, 3]
    check_pages(state)


@pytest.mark.parametrize("length", [1, PAGE - 1, PAGE, PAGE + 1])
def test_a_fork_goes_its_own_way(length: int) -> None:
    state = paged(2, 6)
    feed(state, 0, *range(length))
    state.fork(0, 1)
    feed(state, 1, 1000)
    feed(state, 0, 2000)
    feed(state, 1, 1001)
    assert read(state, 0) == [*range(length), 2000]
    assert read(state, 1) == [*range(length), 1000, 1001]
    check_pages(state)


def test_a_fork_costs_no_page_until_it_writes() -> None:
    state = paged(3, 5)
    feed(state, 0, *range(2 * PAGE + 5))
    before = state.nbytes
    state.fork(0, 1)
    state.fork(0, 2)
    assert state.nbytes == before
    feed(state, 1, 1)
    assert state.nbytes == before + state.pool.bytes_per_page  # type: ignore[union-attr]


def test_move_leaves_the_source_empty() -> None:
    state = paged(3, 4)
    feed(state, 0, *range(300))
    feed(state, 1, 5)
    state.move(0, 1)
    assert (read(state, 0), read(state, 1)) == ([], list(range(300)))
    assert all(not layer.ssm[0].any() and not layer.conv[0].any() for layer in state.mamba)
    state.move(1, 1)
    state.fork(1, 1)
    assert read(state, 1) == list(range(300))
    check_pages(state)


def test_a_snapshot_comes_back_into_any_slot_and_more_than_once() -> None:
    state = paged(2, 8)
    feed(state, 0, *range(400))
    snapshot = state.snapshot(0)
    feed(state, 0, 1, 2, 3)
    state.restore(1, snapshot)
    feed(state, 1, 9)
    state.restore(0, snapshot)
    feed(state, 0, 8)
    assert read(state, 0) == [*range(400), 8]
    assert read(state, 1) == [*range(400), 9]
    state.restore(0, snapshot)
    state.restore(0, snapshot)
    assert read(state, 0) == list(range(400))
    check_pages(state, snapshot)


def test_pages_come_back_when_nobody_needs_them() -> None:
    state = paged(2, 8)
    pool = state.pool
    assert pool is not None
    feed(state, 0, *range(700))
    snapshots = [state.snapshot(0) for _ in range(3)]
    state.fork(0, 1)
    feed(state, 1, 1)
    state.reset(0)
    state.reset(1)
    check_pages(state, *snapshots)
    assert len(pool.free) == 8 - 3
    state.restore(1, snapshots[1])
    assert read(state, 1) == list(range(700))
    state.reset(1)
    snapshots.clear()
    gc.collect()
    assert pool.references == [0] * 8
    assert sorted(pool.free) == list(range(8))


def test_a_snapshot_outlives_the_memory_it_came_from() -> None:
    state = paged(1, 2)
    feed(state, 0, 1, 2)
    snapshot = state.snapshot(0)
    del state
    gc.collect()
    assert snapshot.length == 2
    del snapshot
    gc.collect()


# What goes wrong


def test_no_page_left() -> None:
    state = paged(2, 3)
    feed(state, 0, *range(PAGE))
    feed(state, 1, *range(PAGE))
    with pytest.raises(MemoryExceeded, match="768 positions"):
        feed(state, 0, *range(2 * PAGE))
    assert state.lengths == [PAGE, PAGE]
    check_pages(state)
    feed(state, 1, 7)  # the pages taken in vain are not held back from others
    assert read(state, 1) == [*range(PAGE), 7]
    with pytest.raises(MemoryExceeded):
        feed(state, 0, 8)
    state.reset(1)
    feed(state, 0, 8)
    assert read(state, 0) == [*range(PAGE), 8]


@pytest.mark.parametrize("length", [PAGE, PAGE + 44])
def test_a_fork_after_a_refusal_shares_nothing_that_is_written(length: int) -> None:
    state = paged(3, 7)
    feed(state, 0, *range(length))
    feed(state, 2, *range(PAGE))
    with pytest.raises(MemoryExceeded):
        feed(state, 0, *range(8 * PAGE))
    state.fork(0, 1)
    a, b = list(range(1000, 1000 + PAGE)), list(range(5000, 5000 + PAGE))
    feed(state, 0, *a)
    feed(state, 1, *b)
    assert read(state, 0) == [*range(length), *a]
    assert read(state, 1) == [*range(length), *b]
    check_pages(state)


def test_a_step_that_one_slot_cannot_take_is_taken_by_none() -> None:
    state = paged(2, 3)
    feed(state, 0, *range(PAGE))
    feed(state, 1, *range(2 * PAGE))
    with pytest.raises(MemoryExceeded), state.extend(0, 2, 1):
        pytest.fail("the block must not run")
    assert state.lengths == [PAGE, 2 * PAGE]
    check_pages(state)


def test_copy_on_write_needs_a_page_too() -> None:
    state = paged(2, 1)
    feed(state, 0, 1, 2, 3)
    state.fork(0, 1)
    with pytest.raises(MemoryExceeded):
        feed(state, 1, 4)
    assert (read(state, 0), read(state, 1)) == ([1, 2, 3], [1, 2, 3])
    state.reset(0)
    feed(state, 1, 4)
    assert read(state, 1) == [1, 2, 3, 4]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_pass_that_dies_empties_its_slots_and_no_other(error: type[BaseException]) -> None:
    state = paged(3, 9)
    for slot in range(3):
        feed(state, slot, *range(300))
    with pytest.raises(error), state.extend(0, 2, 400) as extension:
        extension.layers[0].mamba.ssm += 1
        raise error
    assert state.lengths == [0, 0, 300]
    assert (read(state, 0), read(state, 1), read(state, 2)) == ([], [], list(range(300)))
    assert not state.mamba[0].ssm[:2].any()
    check_pages(state)


def test_nothing_to_feed_is_refused_and_nothing_lost() -> None:
    state = paged(1, 2)
    feed(state, 0, 1, 2)
    with pytest.raises(InvalidRequest):
        feed(state, 0)
    assert read(state, 0) == [1, 2]


def test_sizes_in_bytes() -> None:
    state = paged(2, 4)
    recurrent = LAYERS * 2 * (3 * 4 + 5 * 6) * 4
    page = LAYERS * 2 * PAGE * 2 * 4
    assert state.nbytes == recurrent
    feed(state, 0, *range(PAGE + 1))
    assert state.nbytes == recurrent + 2 * page
    assert state.snapshot(0).nbytes == recurrent // 2
    assert ModelState([MambaState.zeros(2, (3, 4), (5, 6), torch.bfloat16, CPU)]).nbytes == 2 * (3 * 4 * 2 + 5 * 6 * 4)


def test_memory_stays_where_it_is() -> None:
    """A captured graph reads and writes at fixed addresses: nothing is allocated anew, whatever happens to the slots."""
    state = paged(2, 6)
    assert state.pool is not None

    def addresses() -> list[int]:
        assert state.pool is not None
        tensors = [t for layer in state.mamba for t in (layer.conv, layer.ssm)] + state.pool.keys + state.pool.values
        return [tensor.data_ptr() for tensor in tensors]

    before = addresses()
    feed(state, 0, *range(400))
    snapshot = state.snapshot(0)
    state.fork(0, 1)
    feed(state, 1, 1)
    state.restore(0, snapshot)
    state.move(0, 1)
    state.reset(1)
    assert addresses() == before
