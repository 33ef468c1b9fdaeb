"""The memory by itself, without a model: an exact toy writes integers into it, so that whatever is lost or mixed up shows."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable
from random import Random

import pytest
import torch

from modeling.errors import InvalidRequest, MemoryExceeded, StateRefused
from modeling.memory import PAGE, KVPool, MambaState
from modeling.state import ModelState, Snapshot

LAYERS, CHANNELS, TAPS, STATES, GROUPS, WIDTH = 2, 3, 4, 5, 2, 4
MODULUS = 8191  # of the toy's recurrence: its numbers stay exact in fp32

Tokens = list[int]


def make_state(slots: int, pages: int | None) -> ModelState:
    """A memory of two layers; its pages hold NaN, so that a read of what nobody wrote cannot pass."""
    cpu = torch.device("cpu")
    blocks = MambaState.blocks([cpu] * LAYERS, slots, (CHANNELS, TAPS), (CHANNELS, STATES), torch.float32)
    if pages is None:
        return ModelState(blocks)
    pool = KVPool(pages, (GROUPS, WIDTH), torch.float32, [cpu] * LAYERS)
    for tensor in (*pool.keys, *pool.values):
        tensor.fill_(torch.nan)
    return ModelState(blocks, pool)


def recur(number: int, token: int) -> int:
    """The toy's recurrence: depends on every token and on their order."""
    return (3 * number + token + 1) % MODULUS


def feed(
    state: ModelState, start: int, rows: list[Tokens], fail_in: int | None = None, error: type[BaseException] = OSError
) -> None:
    """Extend slots start, start + 1, … by rows of equal length, layer by layer as a model does; die in layer `fail_in`."""
    with state.extend(start, start + len(rows), len(rows[0])) as extension:
        for i, layer in enumerate(extension.layers):
            for row, tokens in enumerate(rows):
                window = layer.mamba.conv[row, 0].int().tolist() + tokens
                layer.mamba.conv[row] = torch.tensor(window[-TAPS:]).float()
                number = int(layer.mamba.ssm[row, 0, 0])
                for token in tokens:
                    number = recur(number, token + i)
                layer.mamba.ssm[row] = number
            if i == fail_in:
                raise error
            if layer.kv:
                k = torch.tensor(rows).float()[..., None, None].expand(-1, -1, GROUPS, WIDTH) + i * MODULUS
                layer.kv.write(k, extension.positions.float()[..., None, None].expand_as(k))


def check(state: ModelState, slot: int, tokens: Tokens) -> None:
    """Slot is the record of exactly these tokens, in every tensor, read both through the pages and through a layer's cache."""
    assert state.lengths[slot] == len(tokens)
    for i, layer in enumerate(state.mamba):
        number = 0
        for token in tokens:
            number = recur(number, token + i)
        assert torch.equal(layer.ssm[slot], torch.full((CHANNELS, STATES), float(number)))
        window = ([0] * TAPS + tokens)[-TAPS:]
        assert torch.equal(layer.conv[slot], torch.tensor(window).float().expand(CHANNELS, TAPS))
        if state.pool is not None:
            assert len(state.pages[slot]) == -(-len(tokens) // PAGE)
            at = [page * PAGE + offset for page in state.pages[slot] for offset in range(PAGE)][: len(tokens)]
            keys, values = state.pool.keys[i][at], state.pool.values[i][at]
            assert torch.equal(keys, (torch.tensor(tokens).float() + i * MODULUS)[:, None, None].expand_as(keys))
            assert torch.equal(values, torch.arange(len(tokens)).float()[:, None, None].expand_as(values))


def check_books(state: ModelState, snapshots: Iterable[Snapshot] = ()) -> None:
    """Each page has as many references as holders; the free ones are those without."""
    assert state.pool is not None
    holders = Counter(page for pages in (*state.pages, *(snapshot.pages for snapshot in snapshots)) for page in pages)
    assert state.pool.references == [holders[page] for page in range(len(state.pool.references))]
    assert sorted(state.pool.free) == [page for page, count in enumerate(state.pool.references) if count == 0]


def draw(random: Random, length: int) -> Tokens:
    return [random.randrange(1, 100) for _ in range(length)]


@pytest.fixture
def random() -> Random:
    return Random(5)


@pytest.mark.parametrize("pages", [None, 12])
def test_slots_go_on_together_from_different_lengths(pages: int | None, random: Random) -> None:
    state = make_state(3, pages)
    written = [draw(random, length) for length in (1, PAGE - 1, PAGE + 3)]
    for slot, tokens in enumerate(written):
        feed(state, slot, [tokens])
    for _ in range(3):  # the second crosses into a new page
        rows = [draw(random, 1) for _ in written]
        feed(state, 0, rows)
        for tokens, row in zip(written, rows, strict=True):
            tokens += row
    for slot, tokens in enumerate(written):
        check(state, slot, tokens)


def test_positions_count_from_each_slots_length() -> None:
    state = make_state(2, 4)
    feed(state, 0, [[7] * 5])
    with state.extend(0, 2, 3) as extension:
        assert extension.positions.tolist() == [[5, 6, 7], [0, 1, 2]]


def test_a_cache_reads_a_rows_whole_past_in_order_whether_or_not_its_pages_are_neighbours(random: Random) -> None:
    state = make_state(2, 8)
    tokens = draw(random, 3 * PAGE + 10)
    for i in range(0, len(tokens), 100):  # the pages of two slots that grow in turn are interleaved
        feed(state, 0, [tokens[i : i + 100]])
        feed(state, 1, [tokens[: len(tokens[i : i + 100])]])
    assert state.pages[0] != list(range(state.pages[0][0], state.pages[0][0] + 4))
    state.move(0, 1)
    for slot, pages in ((1, "scattered"), (0, "neighbours")):
        if pages == "neighbours":
            state.reset(1)
            feed(state, 0, [tokens])
            assert state.pages[0] == [0, 1, 2, 3]
        with state.extend(slot, slot + 1, 1) as extension:
            kv = extension.layers[0].kv
            assert kv is not None
            kv.write(torch.zeros(1, 1, GROUPS, WIDTH), torch.zeros(1, 1, GROUPS, WIDTH))
            keys, _ = kv.read(0)
            assert keys[:, 0, 0].tolist() == [*tokens, 0]


@pytest.mark.promise
@pytest.mark.parametrize("pages", [None, 12])
def test_a_hundred_forks_never_disturb_their_parents(pages: int | None, random: Random) -> None:
    state = make_state(2, pages)
    parent: Tokens = []
    for fork in range(100):
        parent += (grown := draw(random, random.randrange(1, 12)))
        feed(state, 0, [grown])
        state.fork(0, 1)
        child = list(parent)
        for length in (1, random.choice([2, 5, PAGE - 1, PAGE + 1])):  # the child writes where its parent will write
            child += (more := draw(random, length))
            feed(state, 1, [more])
        check(state, 0, parent)
        check(state, 1, child)
        if fork % 3 == 0:
            parent += (more := draw(random, 2))  # and the parent where its child has written
            feed(state, 0, [more])
            check(state, 1, child)


def test_forks_and_snapshots_copy_no_page_until_somebody_writes(random: Random) -> None:
    state = make_state(4, 8)
    tokens = draw(random, 2 * PAGE + 10)
    feed(state, 0, [tokens])
    snapshot = state.snapshot(0)
    for slot in (1, 2, 3):
        state.fork(0, slot)
    assert len(state.pool.free) == 8 - 3
    feed(state, 1, [[5]])
    assert len(state.pool.free) == 8 - 4  # only the page that is written in
    assert state.pages[1][:2] == state.pages[0][:2]
    check_books(state, [snapshot])


def test_a_move_keeps_the_sequence_and_empties_its_source(random: Random) -> None:
    state = make_state(2, 6)
    a, b = draw(random, PAGE + 5), draw(random, 7)
    feed(state, 0, [a])
    feed(state, 1, [b])
    pages = list(state.pages[0])
    state.move(0, 1)
    check(state, 1, a)
    check(state, 0, [])
    assert state.pages[1] == pages  # cheap: no page was copied
    state.move(1, 1)
    check(state, 1, a)
    check_books(state)


def test_a_fork_onto_itself_changes_nothing(random: Random) -> None:
    state = make_state(1, 3)
    tokens = draw(random, PAGE + 5)
    feed(state, 0, [tokens])
    state.fork(0, 0)
    check(state, 0, tokens)
    check_books(state)


def test_snapshots_outlive_their_slot_and_restore_into_many(random: Random) -> None:
    state = make_state(4, 12)
    tokens = draw(random, PAGE + 30)
    feed(state, 0, [tokens])
    snapshot = state.snapshot(0)
    feed(state, 0, [draw(random, 9)])
    state.move(0, 3)
    state.reset(3)
    feed(state, 3, [draw(random, 2 * PAGE)])  # takes whatever was given back
    for slot in (0, 1, 2):
        state.restore(slot, snapshot)
    sequences = []
    for slot in (0, 1, 2):
        sequences.append(tokens + (more := draw(random, 5)))
        feed(state, slot, [more])
    for slot, sequence in enumerate(sequences):
        check(state, slot, sequence)
    state.restore(3, snapshot)  # and it is still what it was
    check(state, 3, tokens)


def test_a_snapshot_of_an_empty_slot_empties(random: Random) -> None:
    state = make_state(2, 4)
    snapshot = state.snapshot(0)
    feed(state, 1, [draw(random, PAGE + 1)])
    state.restore(1, snapshot)
    check(state, 1, [])
    assert len(state.pool.free) == 4


def test_restoring_a_slots_own_snapshot_undoes(random: Random) -> None:
    state = make_state(1, 4)
    tokens = draw(random, PAGE - 2)
    feed(state, 0, [tokens])
    snapshot = state.snapshot(0)
    for _ in range(3):
        feed(state, 0, [draw(random, 5)])
        state.restore(0, snapshot)
        check(state, 0, tokens)
    check_books(state, [snapshot])


def left(random: Random, pages: int | None) -> tuple[ModelState, Snapshot, Tokens]:
    """A slot that was left with a snapshot, which from then on is worth nothing by itself."""
    state, tokens = make_state(2, pages), draw(random, PAGE + 3)
    feed(state, 0, [tokens])
    snapshot = state.snapshot(0)
    for block in snapshot.blocks:
        block.copy_(MambaState(torch.full_like(block.conv, torch.nan), torch.full_like(block.ssm, torch.nan)))
    state.leave(0, snapshot)
    assert state.lengths[0] == 0 and not state.pages[0]
    return state, snapshot, tokens


@pytest.mark.parametrize("pages", [None, 6])
def test_what_a_slot_was_left_with_is_still_there(pages: int | None, random: Random) -> None:
    """Nothing is copied, as often as it goes on."""
    state, snapshot, tokens = left(random, pages)
    state.restore(0, snapshot)
    check(state, 0, tokens)
    feed(state, 0, [[1, 2]])
    check(state, 0, [*tokens, 1, 2])
    after = state.snapshot(0)
    state.leave(0, after)
    state.restore(0, after)
    check(state, 0, [*tokens, 1, 2])
    if pages:
        check_books(state, [snapshot, after])


@pytest.mark.parametrize("pages", [None, 6])
@pytest.mark.parametrize("use", ["extend", "fork from", "fork to", "move to", "snapshot", "reset", "restore another", "forget"])
def test_a_slot_that_was_left_is_empty_for_everybody_else(use: str, pages: int | None, random: Random) -> None:
    state, snapshot, _ = left(random, pages)
    feed(state, 1, [[7, 8]])
    other = state.snapshot(1)
    if use == "extend":
        feed(state, 0, [[1]])
        check(state, 0, [1])
    elif use == "fork from":
        state.fork(0, 1)
        check(state, 1, [])
    elif use in ("fork to", "move to", "restore another"):
        {"fork to": state.fork, "move to": state.move}.get(use, lambda *_: state.restore(0, other))(1, 0)
        check(state, 0, [7, 8])
    elif use == "snapshot":
        state.restore(1, state.snapshot(0))
        check(state, 1, [])
    elif use == "reset":
        state.reset(0)
        check(state, 0, [])
    elif use == "forget":
        del snapshot
        gc.collect()
        if state.pool is not None:
            assert len(state.pool.free) == 5
        return
    state.restore(0, snapshot)  # is no longer there, so that it comes from where it was put, which the test has spoiled
    assert state.mamba[0].ssm[0].isnan().all()


def test_a_snapshot_of_another_memory_is_refused(random: Random) -> None:
    ours, other = make_state(1, 4), make_state(1, 4)
    feed(ours, 0, [[1, 2, 3]])
    feed(other, 0, [draw(random, PAGE)])
    with pytest.raises(StateRefused):  # its page numbers mean something else here
        ours.restore(0, other.snapshot(0))
    check(ours, 0, [1, 2, 3])
    check_books(ours)


@pytest.mark.parametrize("slot", [-1, 2])
def test_there_is_no_slot_beyond_the_slots(slot: int) -> None:
    """A slice would take −1 for no slot at all, and the last slot would lose its length and keep its tensors."""
    state = make_state(2, 4)
    feed(state, 0, [[1, 2]])
    feed(state, 1, [[3, 4, 5]])
    snapshot = state.snapshot(0)
    for attempt in (
        lambda: state.reset(slot),
        lambda: state.fork(0, slot),
        lambda: state.fork(slot, 0),
        lambda: state.move(1, slot),
        lambda: state.move(slot, 1),
        lambda: state.snapshot(slot),
        lambda: state.restore(slot, snapshot),
        lambda: feed(state, slot, [[9]]),
    ):
        with pytest.raises(IndexError):
            attempt()
        check(state, 0, [1, 2])
        check(state, 1, [3, 4, 5])


def test_pages_are_given_back_when_the_last_holder_is_gone(random: Random) -> None:
    state = make_state(3, 10)
    feed(state, 0, [draw(random, 2 * PAGE + 1)])
    snapshots = [state.snapshot(0)]
    state.fork(0, 1)
    feed(state, 1, [draw(random, PAGE)])
    snapshots.append(state.snapshot(1))
    snapshots.append(snapshots)  # type: ignore[arg-type]  # a cycle: only the garbage collector finds it
    for slot in range(3):
        state.reset(slot)
    check_books(state, snapshots[:2])
    assert len(state.pool.free) == 10 - 5
    del snapshots
    gc.collect()
    assert sorted(state.pool.free) == list(range(10))
    assert state.pool.references == [0] * 10
    feed(state, 2, [draw(random, 10 * PAGE)])  # every page can be had again


def test_an_exhausted_pool_loses_nothing(random: Random) -> None:
    state = make_state(3, 4)
    a, b = draw(random, PAGE + 40), draw(random, 2 * PAGE)
    feed(state, 0, [a])
    feed(state, 1, [b])
    with pytest.raises(MemoryExceeded) as refusal:
        feed(state, 1, [[1]])
    assert refusal.value.hint
    with pytest.raises(MemoryExceeded):
        feed(state, 0, [[1]] * 3)  # slot 0 has room, 1 and 2 have not
    for slot, tokens in enumerate((a, b, [])):
        check(state, slot, tokens)
    check_books(state)
    feed(state, 0, [[9]])  # what fits still goes on
    check(state, 0, [*a, 9])
    state.reset(0)
    feed(state, 1, [[1]])
    check(state, 1, [*b, 1])


def test_an_exhausted_pool_leaves_shared_pages_apart(random: Random) -> None:
    """Pages reserved before the pool ran dry must not stay with a slot: a fork would share them, and both would write there."""
    state = make_state(3, 5)
    a, b = draw(random, PAGE), draw(random, 2 * PAGE + 10)
    feed(state, 0, [a])
    feed(state, 1, [b])
    with pytest.raises(MemoryExceeded):
        feed(state, 0, [draw(random, PAGE + 1), draw(random, PAGE + 1)])  # slot 0 got a page before slot 1 got none
    state.reset(1)
    state.fork(0, 1)
    feed(state, 0, [[1, 2, 3]])
    feed(state, 1, [[4, 5, 6]])
    check(state, 0, [*a, 1, 2, 3])
    check(state, 1, [*a, 4, 5, 6])


def test_a_copy_on_write_without_a_page_to_copy_to_loses_nothing(random: Random) -> None:
    state = make_state(2, 1)
    feed(state, 0, [[1, 2, 3]])
    state.fork(0, 1)
    with pytest.raises(MemoryExceeded):
        feed(state, 0, [[4]])
    check(state, 0, [1, 2, 3])
    check(state, 1, [1, 2, 3])
    state.reset(1)
    feed(state, 0, [[4]])  # now it is alone and writes in place
    check(state, 0, [1, 2, 3, 4])
    check_books(state)


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("pages", [None, 12])
@pytest.mark.parametrize("layer", range(LAYERS))
def test_a_pass_that_dies_empties_its_slots_and_no_others(
    layer: int, pages: int | None, error: type[BaseException], random: Random
) -> None:
    state = make_state(4, pages)
    sequences = [draw(random, PAGE + slot) for slot in range(4)]
    for slot, tokens in enumerate(sequences):
        feed(state, slot, [tokens])
    with pytest.raises(error):
        feed(state, 1, [[1, 2], [3, 4]], fail_in=layer, error=error)
    for slot, tokens in enumerate((sequences[0], [], [], sequences[3])):
        check(state, slot, tokens)
    if pages:
        check_books(state)
    feed(state, 1, [sequences[2]])  # and the emptied slot works
    check(state, 1, sequences[2])


@pytest.mark.parametrize("method", ["take", "own"])
def test_an_interrupt_while_pages_are_handed_out_mixes_nothing(
    method: str, random: Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C may come between two pages; those at hand must be given back, or a fork would share them for writing."""
    state = make_state(2, 8)
    tokens = draw(random, PAGE if method == "take" else PAGE - 1)
    feed(state, 0, [tokens])
    if method == "own":
        state.fork(0, 1)
    calls, original = [0], getattr(KVPool, method)

    def interrupted(pool: KVPool, *arguments: int) -> int:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt
        return int(original(pool, *arguments))

    monkeypatch.setattr(KVPool, method, interrupted)
    with pytest.raises(KeyboardInterrupt):
        feed(state, 0, [draw(random, 2 * PAGE)] * (1 if method == "take" else 2))
    monkeypatch.undo()
    check_books(state)
    kept = tokens if state.lengths[0] else []
    check(state, 0, kept)
    state.fork(0, 1)
    feed(state, 0, [[1, 2]])
    feed(state, 1, [[3, 4]])
    check(state, 0, [*kept, 1, 2])
    check(state, 1, [*kept, 3, 4])


@pytest.mark.parametrize("pages", [None, 2])
@pytest.mark.parametrize("length", [0, -1])
def test_no_tokens_are_refused_and_change_nothing(length: int, pages: int | None) -> None:
    state = make_state(1, pages)
    feed(state, 0, [[1, 2, 3]])
    with pytest.raises(InvalidRequest), state.extend(0, 1, length):
        pass
    check(state, 0, [1, 2, 3])


def test_nbytes_counts_tensors_and_pages_in_use(random: Random) -> None:
    state = make_state(2, 8)
    recurrent = LAYERS * 2 * 4 * (CHANNELS * TAPS + CHANNELS * STATES)
    page = LAYERS * 2 * PAGE * GROUPS * WIDTH * 4
    assert state.nbytes == recurrent
    feed(state, 0, [draw(random, PAGE + 1)])
    assert state.nbytes == recurrent + 2 * page
    state.fork(0, 1)  # shares
    assert state.nbytes == recurrent + 2 * page
    snapshot = state.snapshot(0)
    assert snapshot.nbytes == recurrent // 2
    feed(state, 1, [[1]])  # copies
    assert state.nbytes == recurrent + 3 * page
    state.reset(0)
    state.reset(1)
    assert state.nbytes == recurrent + 2 * page  # the snapshot's
    del snapshot
    assert state.nbytes == recurrent
    assert make_state(2, None).nbytes == recurrent


def test_addresses_never_change(random: Random) -> None:
    """A captured graph replays addresses: whatever is done to a slot, its tensors stay where they are."""

    def addresses() -> list[int]:
        tensors = [tensor for layer in state.mamba for tensor in (layer.conv, layer.ssm)]
        return [tensor.data_ptr() for tensor in (*tensors, *state.pool.keys, *state.pool.values)]

    state = make_state(3, 8)
    before = addresses()
    feed(state, 0, [draw(random, PAGE + 1)])
    snapshot = state.snapshot(0)
    state.fork(0, 1)
    feed(state, 0, [[1], [2]])
    state.move(1, 2)
    state.restore(1, snapshot)
    state.reset(0)
    assert addresses() == before


def test_a_memory_made_or_snapshotted_in_inference_mode_serves_outside_it(random: Random) -> None:
    with torch.inference_mode():
        state = make_state(2, 4)
        feed(state, 0, [[1, 2, 3]])
        snapshot = state.snapshot(0)
    state.fork(0, 1)
    feed(state, 1, [[4]])
    state.reset(0)
    state.restore(0, snapshot)
    check(state, 0, [1, 2, 3])
    check(state, 1, [1, 2, 3, 4])


class History:
    """A memory beside a shadow list of the tokens of each slot and snapshot; each method does one thing to both."""

    def __init__(self, seed: int, slots: int = 4, pages: int = 6) -> None:
        self.random = Random(seed)
        self.state = make_state(slots, pages)
        self.shadows: list[Tokens] = [[] for _ in range(slots)]
        self.snapshots: list[tuple[Snapshot, Tokens]] = []
        self.refused = 0

    def slot(self) -> int:
        return self.random.randrange(self.state.slots)

    def extend(self, start: int, rows: list[Tokens], fail_in: int | None = None) -> None:
        slots = range(start, start + len(rows))
        try:
            feed(self.state, start, rows, fail_in)
            for slot, row in zip(slots, rows, strict=True):
                self.shadows[slot] = self.shadows[slot] + row
        except MemoryExceeded:
            self.refused += 1
        except OSError:
            for slot in slots:
                self.shadows[slot] = []

    def feed(self) -> None:
        slot = self.slot()
        to_page_end = PAGE - len(self.shadows[slot]) % PAGE
        self.extend(slot, [draw(self.random, self.random.choice([1, 3, 100, PAGE - 1, PAGE, PAGE + 1, to_page_end]))])

    def step(self) -> None:
        self.extend(0, [draw(self.random, 1) for _ in range(self.random.randint(1, self.state.slots))])

    def die(self) -> None:
        self.extend(self.slot(), [draw(self.random, 5)], fail_in=self.random.randrange(LAYERS))

    def reset(self) -> None:
        slot = self.slot()
        self.state.reset(slot)
        self.shadows[slot] = []

    def move(self) -> None:
        source, target = self.slot(), self.slot()
        self.state.move(source, target)
        if source != target:
            self.shadows[target], self.shadows[source] = self.shadows[source], []

    def fork(self) -> None:
        source, target = self.slot(), self.slot()
        self.state.fork(source, target)
        self.shadows[target] = self.shadows[source]

    def snapshot(self) -> None:
        slot = self.slot()
        self.snapshots.append((self.state.snapshot(slot), self.shadows[slot]))

    def leave(self) -> None:
        slot = self.slot()
        self.snapshots.append((self.state.snapshot(slot), self.shadows[slot]))
        self.state.leave(slot, self.snapshots[-1][0])
        self.shadows[slot] = []
        if self.random.random() < 0.5:
            self.state.restore(slot, self.snapshots[-1][0])
            self.shadows[slot] = self.snapshots[-1][1]

    def restore(self) -> None:
        if self.snapshots:
            slot, (snapshot, tokens) = self.slot(), self.random.choice(self.snapshots)
            self.state.restore(slot, snapshot)
            self.shadows[slot] = tokens

    def drop(self) -> None:
        if self.snapshots:
            self.snapshots.pop(self.random.randrange(len(self.snapshots)))

    def check(self) -> None:
        check_books(self.state, [snapshot for snapshot, _ in self.snapshots])
        for slot, tokens in enumerate(self.shadows):
            if slot in self.state._left:  # its tensors are made empty for whoever comes next
                assert tokens == [] and self.state.lengths[slot] == 0 and not self.state.pages[slot]
            else:
                check(self.state, slot, tokens)


@pytest.mark.promise
@pytest.mark.parametrize("seed", range(20))
def test_any_history_leaves_every_slot_the_record_of_its_tokens(seed: int) -> None:
    """Exhaustion and passes that die included."""
    history = History(seed)
    actions = [History.feed] * 6 + [History.step] * 4 + [History.fork] * 2 + [History.snapshot] + [History.restore] * 2
    actions += [History.drop, History.reset, History.move, History.die, History.leave, History.leave]
    for _ in range(150):
        history.random.choice(actions)(history)
        history.check()
    assert history.refused > 0  # else the pool was too large for this test
