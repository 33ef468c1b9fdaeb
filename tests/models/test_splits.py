"""The strongest single property: however a sequence is cut, state and logits are the same. And what follows from it: slots do
not touch each other, and whatever happened to a slot, it is the record of its tokens."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from random import Random
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from modeling.kernels import reference
from modeling.memory import PAGE
from modeling.models import LanguageModel
from modeling.state import ModelState

TOLERANCE = 1e-5  # of the largest number in each tensor, fp32
CHUNK = 16  # tokens of a scan chunk in these tests, so that short sequences have many

Parts = list[int]


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "SCAN_ELEMENTS", CHUNK * 48 * 8)
    monkeypatch.setattr(reference, "SSD_CHUNK", CHUNK)
    monkeypatch.setattr(reference, "ATTENTION_ELEMENTS", 24 * 128)  # several blocks of queries, too


def record(state: ModelState, slot: int) -> list[Tensor]:
    """All that a slot remembers, as copies: conv and ssm of each layer, keys and values read through its pages."""
    tensors = [tensor[slot].clone() for layer in state.mamba for tensor in (layer.conv, layer.ssm)]
    if state.pool is not None:
        at = [page * PAGE + offset for page in state.pages[slot] for offset in range(PAGE)][: state.lengths[slot]]
        tensors += [tensor[at] for tensor in (*state.pool.keys, *state.pool.values)]
    return tensors


def assert_close(found: list[Tensor], expected: list[Tensor]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        if ours.numel():
            scale = theirs.abs().max().clamp_min(1e-3)
            torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE * float(scale))


def fresh(model: LanguageModel, ids: Tensor) -> list[Tensor]:
    """Record and last logits of a sequence fed whole to a memory of its own."""
    state = model.make_state(1, len(ids) + 1)
    logits = model.prefill(ids, state, 0)
    return [*record(state, 0), logits]


def fed_in_parts(model: LanguageModel, ids: Tensor, parts: Parts) -> list[Tensor]:
    state = model.make_state(2, len(ids))
    for part in ids.split(parts):
        logits = model.prefill(part, state, 1)
    assert state.lengths == [0, len(ids)]
    return [*record(state, 1), logits]


def cut(random: Random, total: int, lengths: Parts) -> Parts:
    """A random way to cut `total`: parts of the given lengths or of any, up to eight of them."""
    parts: Parts = []
    for _ in range(random.randint(1, 7)):
        left = total - sum(parts)
        if left < 2:
            break
        parts.append(min(left - 1, random.choice([*lengths, random.randint(1, left)])))
    parts.append(total - sum(parts))
    random.shuffle(parts)
    return parts


@pytest.mark.promise
def test_any_cut_gives_the_same_state_and_logits(sample: Any, cases: ModuleType) -> None:
    model, ids = cases.model(sample), cases.tokens(sample, 107)
    taps = sample.fields.get("conv_kernel") or sample.fields["mamba_d_conv"]
    whole = fresh(model, ids)
    edges = sorted({1, 2, 3, taps - 1, taps, taps + 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1})
    cuts = [[edge, len(ids) - edge] for edge in edges] + [[len(ids) - edge, edge] for edge in edges]
    cuts += [[edge] * (len(ids) // edge) + [len(ids) % edge] * (len(ids) % edge > 0) for edge in edges]  # 1: token by token
    random = Random(3)
    cuts += [cut(random, len(ids), edges) for _ in range(64)]
    for parts in cuts:
        assert_close(fed_in_parts(model, ids, parts), whole)


@pytest.mark.promise
def test_any_cut_around_pages_gives_the_same_state_and_logits(cases: ModuleType) -> None:
    """Falcon-H1 beyond two pages of keys and values."""
    case = cases.BY_NAME["h1, all quirks"]
    model, ids = cases.model(case), cases.tokens(case, 2 * PAGE + 60)
    whole = fresh(model, ids)
    assert_close(whole[-1:], [model(ids[None])[0, -1]])  # without pages: the positions go on beyond the first
    edges = [1, 2, PAGE - 1, PAGE, PAGE + 1]
    cuts = [[edge, len(ids) - edge] for edge in (*edges, 2 * PAGE - 1, 2 * PAGE, 2 * PAGE + 1)]
    cuts += [[PAGE - 1, 1, 1, PAGE - 1, 60], [PAGE, PAGE, 60], [PAGE - 1, 2, PAGE - 2, 2, 59], [1] * len(ids)]
    random = Random(4)
    cuts += [cut(random, len(ids), edges) for _ in range(16)]
    for parts in cuts:
        assert_close(fed_in_parts(model, ids, parts), whole)


def test_the_published_chunk_sizes_cut_as_well(quirky: Any, cases: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    model, ids = cases.model(quirky), cases.tokens(quirky, 3 * reference.SSD_CHUNK + 5)
    whole = fresh(model, ids)
    for edge in (reference.SSD_CHUNK - 1, reference.SSD_CHUNK, reference.SSD_CHUNK + 1):
        assert_close(fed_in_parts(model, ids, [edge, len(ids) - edge]), whole)
        assert_close(fed_in_parts(model, ids, [len(ids) - edge, edge]), whole)


def test_steps_equal_a_whole_prefill_at_every_position(sample: Any, cases: ModuleType) -> None:
    """And both equal the forward pass without a state."""
    model, ids = cases.model(sample), cases.tokens(sample, 40)
    expected = model(ids[None])[0]
    state = model.make_state(1, len(ids))
    for t in range(len(ids)):
        assert_close([model.step(ids[t : t + 1], state)[0]], [expected[t]])
    assert_close([*record(state, 0), expected[-1]], fresh(model, ids))


def test_slots_of_different_lengths_advance_together_as_each_alone(sample: Any, cases: ModuleType) -> None:
    model = cases.model(sample)
    sequences = [cases.tokens(sample, length, seed=length) for length in (1, 2, 20, 53)]
    state = model.make_state(5, 80)
    for slot, ids in enumerate(sequences):
        model.prefill(ids, state, slot)
    bystander = cases.tokens(sample, 9, seed=9)
    model.prefill(bystander, state, 4)
    untouched = record(state, 4)
    following = cases.tokens(sample, 6, len(sequences), seed=7)
    for row in following:
        logits = model.step(row, state)
    for slot, ids in enumerate(sequences):
        assert_close([*record(state, slot), logits[slot]], fresh(model, torch.cat((ids, following[:, slot]))))
    assert all(map(torch.equal, record(state, 4), untouched))
    assert state.lengths == [7, 8, 26, 59, 9]


def test_a_slots_answer_does_not_depend_on_what_its_neighbours_say(quirky: Any, cases: ModuleType) -> None:
    """To the last bit: the same slot beside other sequences of other lengths."""
    model, ids = cases.model(quirky), cases.tokens(quirky, 30)
    answers = []
    for seed in (11, 12):
        state = model.make_state(3, 80)
        model.prefill(cases.tokens(quirky, seed, seed=seed), state, 0)
        model.prefill(ids, state, 1)
        model.prefill(cases.tokens(quirky, 5 * seed, seed=seed), state, 2)
        for row in cases.tokens(quirky, 4, 3, seed=seed):
            row[1] = 5
            logits = model.step(row, state)
        answers.append([*record(state, 1), logits[1]])
    assert all(map(torch.equal, *answers))


@pytest.mark.promise
def test_back_from_a_branch_the_sequence_goes_on_as_if_alone(quirky: Any, cases: ModuleType) -> None:
    """A, branch B, back to A, and back to B: by fork and by snapshot, across the end of a page."""
    model, trunk = cases.model(quirky), cases.tokens(quirky, PAGE - 3)
    a, b = cases.tokens(quirky, 12, seed=2), cases.tokens(quirky, 300, seed=3)
    state = model.make_state(3, 2 * PAGE + 100)
    model.prefill(trunk, state, 0)
    fork_point = state.snapshot(0)
    state.fork(0, 1)
    model.prefill(b[:200], state, 1)  # B writes where A will write, over the end of the page
    model.prefill(a[:6], state, 0)
    at_a = state.snapshot(0)
    state.restore(0, fork_point)
    model.prefill(b[:1], state, 0)  # undone, and another way taken in the same slot
    state.move(1, 2)
    logits_b = model.prefill(b[200:], state, 2)
    state.restore(1, at_a)
    logits_a = model.prefill(a[6:], state, 1)
    assert_close([*record(state, 1), logits_a], fresh(model, torch.cat((trunk, a))))
    assert_close([*record(state, 2), logits_b], fresh(model, torch.cat((trunk, b))))
    assert_close(record(state, 0), fresh(model, torch.cat((trunk, b[:1])))[:-1])


class Desk:
    """A model's memory of four slots beside the token list of each; every method does one random thing to both."""

    def __init__(self, model: LanguageModel, seed: int) -> None:
        self.model, self.random = model, Random(seed)
        self.state = model.make_state(4, 4 * PAGE)
        self.texts: list[list[int]] = [[] for _ in range(4)]
        self.snapshots: list[tuple[Any, list[int]]] = []

    def slot(self) -> int:
        return self.random.randrange(4)

    def draw(self, length: int) -> list[int]:
        return [self.random.randrange(self.model.config.vocab_size) for _ in range(length)]

    def prefill(self) -> None:
        slot = self.slot()
        new = self.draw(self.random.choice([1, 2, 3, 5, CHUNK - 1, CHUNK, CHUNK + 1, PAGE - len(self.texts[slot]) % PAGE]))
        if len(self.texts[slot]) + len(new) <= 4 * PAGE:
            self.model.prefill(torch.tensor(new), self.state, slot)
            self.texts[slot] = self.texts[slot] + new

    def step(self) -> None:
        new = self.draw(self.random.randint(1, 4))
        self.model.step(torch.tensor(new), self.state)
        for slot, token in enumerate(new):
            self.texts[slot] = [*self.texts[slot], token]

    def reset(self) -> None:
        slot = self.slot()
        self.state.reset(slot)
        self.texts[slot] = []

    def move(self) -> None:
        source, target = self.random.sample(range(4), 2)
        self.state.move(source, target)
        self.texts[target], self.texts[source] = self.texts[source], []

    def fork(self) -> None:
        source, target = self.random.sample(range(4), 2)
        self.state.fork(source, target)
        self.texts[target] = self.texts[source]

    def snapshot(self) -> None:
        slot = self.slot()
        self.snapshots = [*self.snapshots[-1:], (self.state.snapshot(slot), self.texts[slot])]

    def restore(self) -> None:
        if self.snapshots:
            slot, (snapshot, text) = self.slot(), self.random.choice(self.snapshots)
            self.state.restore(slot, snapshot)
            self.texts[slot] = text

    def check(self, slot: int) -> None:
        """The slot's memory is that of a fresh prefill of its list, and so is its next answer."""
        assert self.state.lengths[slot] == len(self.texts[slot])
        if not self.texts[slot]:
            assert all(not tensor.any() for tensor in record(self.state, slot))
            return
        assert_close(record(self.state, slot), fresh(self.model, torch.tensor(self.texts[slot]))[:-1])
        probe = self.draw(1)
        logits = self.model.prefill(torch.tensor(probe), self.state, slot)
        self.texts[slot] = self.texts[slot] + probe
        assert_close([logits], fresh(self.model, torch.tensor(self.texts[slot]))[-1:])


@pytest.mark.promise
@pytest.mark.parametrize("seed", range(6))
def test_any_history_of_a_slot_leaves_it_the_record_of_its_tokens(seed: int, quirky: Any, cases: ModuleType) -> None:
    desk = Desk(cases.model(quirky), seed)
    actions = [Desk.prefill] * 6 + [Desk.step] * 5 + [Desk.fork] * 3 + [Desk.snapshot] * 2 + [Desk.restore] * 2
    actions += [Desk.move, Desk.reset]
    for moment in range(80):
        desk.random.choice(actions)(desk)
        if moment % 8 == 7:
            desk.check(desk.slot())
    for slot in range(4):
        desk.check(slot)


@pytest.mark.promise
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("way", ["prefill", "step"])
def test_an_interrupt_at_any_layer_leaves_before_or_after_never_mixed(
    way: str, error: type[BaseException], quirky: Any, cases: ModuleType
) -> None:
    """An error or Ctrl-C before or after any module: slots at work are as after the pass, or empty; the others untouched."""
    model = cases.model(quirky)
    texts = [cases.tokens(quirky, PAGE - 2 + slot, seed=slot) for slot in range(3)]
    new = cases.tokens(quirky, 5, seed=9)
    state = model.make_state(3, 2 * PAGE)
    for slot, ids in enumerate(texts):
        model.prefill(ids, state, slot)
    before = [state.snapshot(slot) for slot in range(3)]
    tensors = [record(state, slot) for slot in range(3)]
    feeds = {"prefill": partial(model.prefill, new, state, 1), "step": partial(model.step, new[:2], state)}
    at_work = {"prefill": [1], "step": [0, 1]}[way]
    for install in list(_hooks(model)):
        hook = install(partial(_throw, error))
        with pytest.raises(error):
            feeds[way]()
        hook.remove()
        for slot in range(3):
            if slot not in at_work:
                assert all(map(torch.equal, record(state, slot), tensors[slot]))
            elif state.lengths[slot]:  # the head, after everything is remembered
                assert_close(record(state, slot), fresh(model, torch.cat((texts[slot], new)))[:-1])
            else:
                assert not any(tensor.any() for tensor in record(state, slot))
                assert not state.pages[slot]
            state.restore(slot, before[slot])
    feeds[way]()
    for slot in at_work:
        more = new if way == "prefill" else new[slot : slot + 1]
        assert_close(record(state, slot), fresh(model, torch.cat((texts[slot], more)))[:-1])


def _hooks(model: LanguageModel) -> Iterator[Any]:
    """Before and after every module that a pass calls."""
    called: list[torch.nn.Module] = []
    watch = [module.register_forward_hook(lambda module, *_: called.append(module)) for module in model.modules()]
    model.prefill(torch.tensor([1]), model.make_state(1, 1), 0)
    for handle in watch:
        handle.remove()
    for module in called:
        yield module.register_forward_pre_hook
        yield module.register_forward_hook


def _throw(error: type[BaseException], *_: Any) -> None:
    raise error
