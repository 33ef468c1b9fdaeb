"""A state is the record of one exact token sequence, whatever way it was fed: whole, in parts, token by token, restored.

The oracle is a fresh memory and a single prefill of the same tokens. Compared are the logits of the last position and all that
is remembered: convolution windows, recurrent states, and keys and values read through the pages.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor

from modeling.errors import MemoryExceeded
from modeling.models import LanguageModel
from modeling.state import PAGE, ModelState, Snapshot

ROOM = 3 * PAGE
TOLERANCE = 1e-5


@pytest.fixture
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scans in chunks of 8 tokens, so that short sequences cross many of their borders."""
    monkeypatch.setattr("modeling.kernels.reference.SSD_CHUNK", 8)
    monkeypatch.setattr("modeling.kernels.reference.SCAN_ELEMENTS", 1)


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of 8 tokens."""
    monkeypatch.setattr("modeling.state.PAGE", 8)
    monkeypatch.setattr("modeling.models.falcon_h1.PAGE", 8)


def record(state: ModelState, slot: int) -> list[Tensor]:
    """All that a slot remembers: conv and ssm of every layer, then the keys and values of its tokens."""
    tensors = [tensor[slot] for layer in state.mamba for tensor in (layer.conv, layer.ssm)]
    if state.pool is not None and state.lengths[slot]:
        rows = state._context(slot, state.lengths[slot])
        tensors += [tensor[rows] for tensor in (*state.pool.keys, *state.pool.values)]
    return [tensor.clone() for tensor in tensors]


def whole(model: LanguageModel, ids: Tensor) -> tuple[Tensor, list[Tensor]]:
    state = model.make_state(1, max(ROOM, ids.shape[0]))
    return model.prefill(ids, state, 0), record(state, 0)


def feed(model: LanguageModel, ids: Tensor, state: ModelState, slot: int, by_step: bool = False) -> Tensor:
    """By prefill, or a single token into slot 0 by a step."""
    return model.step(ids, state)[0] if by_step and slot == 0 and ids.shape[0] == 1 else model.prefill(ids, state, slot)


def check(found: tuple[Tensor, list[Tensor]], expected: tuple[Tensor, list[Tensor]], what: Any) -> None:
    for a, b in zip((found[0], *found[1]), (expected[0], *expected[1]), strict=True):
        assert a.shape == b.shape, what
        assert (a - b).abs().max() <= TOLERANCE * b.abs().max(), what


def parts(total: int, draw: Callable[[], int]) -> list[int]:
    """Lengths from `draw` until they make `total`."""
    lengths: list[int] = []
    while sum(lengths) < total:
        lengths.append(min(draw(), total - sum(lengths)))
    return lengths


# Cuts


@pytest.mark.usefixtures("short_chunks")
def test_random_cuts(sample: Any, cases: Any) -> None:
    """70 ways to cut for each of 8 models: parts of one to three tokens, around the kernel, around a chunk, of any length."""
    model, random = cases.model(sample), Random(str(sample))
    taps = sample.fields.get("conv_kernel") or sample.fields["mamba_d_conv"]
    usual = (1, 2, 3, taps - 1, taps, taps + 1, 7, 8, 9, 15, 16, 17)
    for total in (5, 40, 41):
        ids = cases.tokens(sample, total, seed=total)
        expected = whole(model, ids)
        state = model.make_state(2, ROOM)
        for _ in range(4 if total == 5 else 33):
            few = random.choice((usual, usual[:6], range(1, 30)))
            cut = parts(total, lambda few=few: random.choice(few))  # type: ignore[misc]
            slot = random.randrange(2)
            state.reset(slot)
            for part in ids.split(cut):
                logits = feed(model, part, state, slot, by_step=random.random() < 0.5)
            check((logits, record(state, slot)), expected, cut)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 63, 64, 65, 130])
def test_around_a_real_chunk(length: int, quirky: Any, cases: Any) -> None:
    """The same with chunks as they are: of 64 tokens in Mamba-2."""
    model, ids = cases.model(quirky), cases.tokens(quirky, 195)
    expected, state = whole(model, ids), model.make_state(1, ROOM)
    for part in ids.split(length):
        logits = feed(model, part, state, 0)
    check((logits, record(state, 0)), expected, length)


@pytest.mark.parametrize("length", [PAGE - 1, PAGE, PAGE + 1, 100])
def test_around_a_page(length: int, cases: Any) -> None:
    model, ids = cases.model(cases.QUIRKY[1]), cases.tokens(cases.QUIRKY[1], 2 * PAGE + 20)
    expected, state = whole(model, ids), model.make_state(2, ROOM)
    model.prefill(ids[:30], state, 1)  # takes a page in between, so that slot 0 has no neighbouring pages
    for part in ids.split(length):
        logits = feed(model, part, state, 0)
    check((logits, record(state, 0)), expected, length)


def test_token_by_token_over_a_page(cases: Any) -> None:
    model, ids = cases.model(cases.QUIRKY[1]), cases.tokens(cases.QUIRKY[1], PAGE + 9)
    state = model.make_state(1, ROOM)
    model.prefill(ids[: PAGE - 9], state, 0)
    for token in ids[PAGE - 9 :].split(1):
        logits = model.step(token, state)[0]
    check((logits, record(state, 0)), whole(model, ids), "steps")


def test_every_token_by_a_step(sample: Any, cases: Any) -> None:
    """From the very first token, and the logits of every position."""
    model, ids = cases.model(sample), cases.tokens(sample, 21)
    state = model.make_state(1, ROOM)
    stepped = torch.stack([model.step(token, state)[0] for token in ids.split(1)])
    assert cases.relative_error(stepped, model(ids[None])[0]) < TOLERANCE


@pytest.mark.usefixtures("short_chunks", "short_pages")
def test_slots_of_different_lengths_step_together(sample: Any, cases: Any) -> None:
    model = cases.model(sample)
    rows = [cases.tokens(sample, length + 12, seed=length) for length in (0, 1, 7, 8, 20)]
    state = model.make_state(6, 40)
    for slot, row in enumerate(rows):
        if row.shape[0] > 12:
            model.prefill(row[:-12], state, slot)
    model.prefill(rows[0], state, 5)  # a slot that takes no part
    apart = record(state, 5)
    for i in range(12):
        logits = model.step(torch.stack([row[i - 12] for row in rows]), state)
    for slot, row in enumerate(rows):
        check((logits[slot], record(state, slot)), whole(model, row), slot)
    assert all(torch.equal(a, b) for a, b in zip(record(state, 5), apart, strict=True))


def test_a_row_does_not_depend_on_its_neighbours(quirky: Any, cases: Any) -> None:
    """A sequence beside any others: bit for bit the same for a number of rows, and but for rounding for any number."""
    model, ids = cases.model(quirky), cases.tokens(quirky, 30)

    def answer(rows: int, seed: int) -> Tensor:
        state = model.make_state(rows, ROOM)
        model.prefill(ids[:20], state, 0)
        for slot in range(1, rows):
            model.prefill(cases.tokens(quirky, seed + 3 * slot, seed=seed + slot), state, slot)
        for i, token in enumerate(ids[20:]):
            logits = model.step(torch.cat((token[None], cases.tokens(quirky, rows - 1, seed=seed + i))), state)
        return logits[0]

    alone = answer(1, 0)
    for rows in (2, 3, 7, 16):
        assert torch.equal(answer(rows, 1), answer(rows, 2)), rows
        assert cases.relative_error(answer(rows, 1), alone) < 2e-6, rows


# Branches


def test_a_then_branch_b_then_back_to_a(quirky: Any, cases: Any) -> None:
    """An undo: the branch that was left must not show, in the middle of a page or at its border."""
    model = cases.model(quirky)
    for length in (2, 100, PAGE - 1, PAGE, PAGE + 1):
        a, b, c = (cases.tokens(quirky, n, seed=n) for n in (length, 40, 50))
        state = model.make_state(2, ROOM)
        model.prefill(a, state, 0)
        snapshot = state.snapshot(0)
        model.prefill(b, state, 0)
        branch = state.snapshot(0)
        state.restore(0, snapshot)
        check((model.prefill(c, state, 0), record(state, 0)), whole(model, torch.cat((a, c))), "back to A")
        state.restore(1, branch)
        check((model.prefill(c, state, 1), record(state, 1)), whole(model, torch.cat((a, b, c))), "B again")


@pytest.mark.usefixtures("short_pages")
def test_a_hundred_forks_leave_the_parent_alone(quirky: Any, cases: Any) -> None:
    model, random = cases.model(quirky), Random(0)
    parent, state = cases.tokens(quirky, 21), model.make_state(5, 64)
    model.prefill(parent, state, 0)
    before = record(state, 0)
    for i in range(100):
        child = 1 + i % 4
        state.fork(0, child)
        more = cases.tokens(quirky, random.randint(1, 9), seed=i)
        logits = model.prefill(more, state, child)
        if i % 10 == 0:
            check((logits, record(state, child)), whole(model, torch.cat((parent, more))), i)
    assert all(torch.equal(a, b) for a, b in zip(record(state, 0), before, strict=True))
    more = cases.tokens(quirky, 9, seed=1000)
    check((model.prefill(more, state, 0), record(state, 0)), whole(model, torch.cat((parent, more))), "parent")


@dataclass
class Shadow:
    """What the test believes about a memory: the tokens of each slot and each snapshot, and the logits last seen of a slot."""

    model: LanguageModel
    state: ModelState
    tokens: list[list[int]]
    logits: dict[int, Tensor] = field(default_factory=dict)
    snapshots: list[tuple[Snapshot, list[int]]] = field(default_factory=list)

    def prefill(self, slot: int, ids: list[int]) -> None:
        try:
            self.logits[slot] = self.model.prefill(torch.tensor(ids), self.state, slot)
        except MemoryExceeded:
            return  # and nothing has changed
        self.tokens[slot] = self.tokens[slot] + ids

    def step(self, ids: list[int]) -> None:
        try:
            logits = self.model.step(torch.tensor(ids), self.state)
        except MemoryExceeded:
            return
        for slot, token in enumerate(ids):
            self.tokens[slot] = [*self.tokens[slot], token]
            self.logits[slot] = logits[slot]

    def copy(self, source: int, target: int, move: bool) -> None:
        (self.state.move if move else self.state.fork)(source, target)
        self.tokens[target] = self.tokens[source]
        self.logits.pop(target, None)
        if move and source != target:
            self.tokens[source] = []
            self.logits.pop(source, None)

    def reset(self, slot: int) -> None:
        self.state.reset(slot)
        self.tokens[slot] = []
        self.logits.pop(slot, None)

    def restore(self, slot: int, index: int) -> None:
        snapshot, tokens = self.snapshots[index]
        self.state.restore(slot, snapshot)
        self.tokens[slot] = tokens
        self.logits.pop(slot, None)

    def check(self, slot: int) -> None:
        """Compare a slot with a fresh prefill of its tokens."""
        tokens = self.tokens[slot]
        assert self.state.lengths[slot] == len(tokens)
        if not tokens:
            assert not any(tensor.any() for tensor in record(self.state, slot))
            return
        logits, remembered = whole(self.model, torch.tensor(tokens))
        check((self.logits.get(slot, logits), record(self.state, slot)), (logits, remembered), tokens)


@pytest.mark.usefixtures("short_chunks", "short_pages")
@pytest.mark.parametrize("seed", range(3))
def test_random_lives(seed: int, sample: Any, cases: Any) -> None:
    """Slots are fed, stepped, forked, moved, saved, restored and emptied in random order, with pages sometimes running out."""
    random, slots = Random(f"{sample} {seed}"), 4
    model = cases.model(sample)
    shadow = Shadow(model, model.make_state(slots, 40), [[] for _ in range(slots)])
    vocabulary = range(sample.fields["vocab_size"])
    for _ in range(120):
        slot, other = random.randrange(slots), random.randrange(slots)
        match random.choice("prefill prefill prefill step step fork move reset save restore restore drop check".split()):
            case "prefill":
                shadow.prefill(slot, random.choices(vocabulary, k=random.choice((1, 2, 3, 5, 8, 13, 20))))
            case "step":
                shadow.step(random.choices(vocabulary, k=random.randint(1, slots)))
            case "fork" | "move" as verb:
                shadow.copy(slot, other, verb == "move")
            case "reset":
                shadow.reset(slot)
            case "save":
                shadow.snapshots.append((shadow.state.snapshot(slot), shadow.tokens[slot]))
            case "restore" if shadow.snapshots:
                shadow.restore(slot, random.randrange(len(shadow.snapshots)))
            case "drop" if shadow.snapshots:
                shadow.snapshots.pop(random.randrange(len(shadow.snapshots)))
            case "check":
                shadow.check(slot)
    for slot in range(slots):
        shadow.check(slot)
        shadow.reset(slot)
    shadow.snapshots.clear()
    gc.collect()
    if shadow.state.pool is not None:
        assert not any(shadow.state.pool.references)
        assert len(shadow.state.pool.free) == len(shadow.state.pool.references)


# What goes wrong


@pytest.mark.usefixtures("short_pages")
def test_no_page_left_and_nothing_lost(cases: Any) -> None:
    case = cases.QUIRKY[1]
    model, ids = cases.model(case), cases.tokens(case, 40)
    state = model.make_state(2, 24)  # 8 pages
    model.prefill(ids[:30], state, 0)
    model.prefill(ids[:24], state, 1)
    with pytest.raises(MemoryExceeded):
        model.prefill(ids, state, 0)
    with pytest.raises(MemoryExceeded):
        for token in ids:
            model.step(token.expand(2), state)
    fed = state.lengths[0] - 30
    state.reset(1)
    logits = model.prefill(ids[:5], state, 0)
    check((logits, record(state, 0)), whole(model, torch.cat((ids[:30], ids[:fed], ids[:5]))), "after the refusals")


@pytest.fixture
def broken(request: pytest.FixtureRequest) -> Iterator[Callable[[LanguageModel, int], None]]:
    """Makes a block fail after it has done its work, once."""
    handles: list[Any] = []

    def break_after(model: LanguageModel, block: int) -> None:
        def fail(*_: Any) -> None:
            handles.pop().remove()
            raise RuntimeError("the device is gone")

        handles.append(model.blocks[block].register_forward_hook(fail))

    yield break_after
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("block", [0, 1, 2])
def test_a_pass_that_dies_leaves_no_mixture(
    block: int, quirky: Any, cases: Any, broken: Callable[[LanguageModel, int], None]
) -> None:
    model, ids = cases.model(quirky), cases.tokens(quirky, 20)
    state = model.make_state(3, ROOM)
    for slot in range(3):
        model.prefill(ids[: 4 + slot], state, slot)
    broken(model, block)
    with pytest.raises(RuntimeError, match="gone"):
        model.prefill(ids, state, 1)
    assert state.lengths == [4, 0, 6]
    broken(model, block)
    with pytest.raises(RuntimeError, match="gone"):
        model.step(ids[:2], state)
    assert state.lengths == [0, 0, 6]
    assert not any(tensor.any() for slot in (0, 1) for tensor in record(state, slot))
    for slot, fed in ((0, ids), (1, ids[3:]), (2, ids[6:])):
        check(
            (model.prefill(fed, state, slot), record(state, slot)),
            whole(model, ids if slot == 2 else fed),
            "the slots work again, and the third never noticed",
        )


def test_a_model_that_could_be_trained_remembers_no_graph(quirky: Any, cases: Any) -> None:
    """Feeding a state is inference, whatever the weights and the surroundings say; else each token would hold on to all
    that came before."""
    model, ids = cases.model(quirky), cases.tokens(quirky, 9)
    expected = whole(model, ids)
    model.requires_grad_()
    try:
        with torch.inference_mode():
            state = model.make_state(1, ROOM)
            model.prefill(ids[:5], state, 0)
        for token in ids[5:].split(1):
            logits = model.step(token, state)[0]
        assert not logits.requires_grad and not any(layer.ssm.requires_grad for layer in state.mamba)
        check((logits, record(state, 0)), expected, "weights that require gradients")
    finally:
        model.requires_grad_(False)
