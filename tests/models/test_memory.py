"""What a pass costs: memory that does not grow with the prompt, room for what was promised, no loop over tokens."""

from __future__ import annotations

import weakref
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from modeling.errors import MemoryExceeded
from modeling.kernels import reference
from modeling.memory import PAGE
from modeling.models import LanguageModel, build
from modeling.state import ModelState


class Meter(TorchDispatchMode):
    """Watches every operator that torch runs: how many compute something, the largest new tensor, the peak of new memory.

    Operators that are made of others are taken apart first, so that nothing hides in an attention or a matrix product.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operators = self.largest = self.live = self.peak = 0
        self.shapes: set[tuple[int, ...]] = set()
        self.known: dict[int, int] = {}  # bytes by storage

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        with self:
            made_of_others = function.decompose(*args, **kwargs)
        if made_of_others is not NotImplemented:
            return made_of_others
        given = {x.untyped_storage()._cdata for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        result = function(*args, **kwargs)
        new = [x for x in tree_leaves(result) if isinstance(x, Tensor) and x.untyped_storage()._cdata not in given]
        self.operators += bool(new) or function._schema.is_mutable  # the others are views
        for tensor in new:
            self.enter(tensor)
        return result

    def enter(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata in self.known:
            return
        self.known[storage._cdata] = storage.nbytes()
        weakref.finalize(storage, self.leave, storage._cdata)
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        self.largest = max(self.largest, tensor.numel())
        self.shapes.add(tuple(tensor.shape))

    def leave(self, storage: int) -> None:
        self.live -= self.known.pop(storage)


def metered(model: LanguageModel, ids: Tensor, chunk: int, state: ModelState | None = None) -> Meter:
    """A prefill in chunks under the meter; the memory itself is made before and does not count."""
    state = state or model.make_state(1, len(ids))
    with Meter() as meter:
        for part in ids.split(chunk):
            model.prefill(part, state, 0)
    return meter


def one_layer(case: Any, cases: ModuleType) -> LanguageModel:
    """The case cut down to one layer, for long prompts."""
    model = build(cases.Case("one layer", case.fields | {"num_hidden_layers": 1}).config).eval().requires_grad_(False)
    cases.draw(model)
    return model


@pytest.fixture
def model(quirky: Any, cases: ModuleType) -> LanguageModel:
    return cases.model(quirky)


def test_the_meter_sees_peaks_and_largest_tensors() -> None:
    """The instrument first: three tensors of which two live at once, one hidden in a view, one in a composite."""
    with Meter() as meter:
        a = torch.zeros(1000)
        b = a[:500] * 2
        del b
        c = torch.nn.functional.linear(a.view(1, 1000), torch.ones(3000, 1000)[:10])
    assert (meter.largest, meter.peak) == (3_000_000, 4 * (1000 + 3_000_000 + 10))
    assert c.shape == (1, 10)
    assert meter.operators == 4


def test_the_peak_of_a_prefill_does_not_grow_with_the_prompt(
    quirky: Any, cases: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,000 tokens or 16,000, the tensors at work are the same; beside them are the ids and Falcon-H1's keys and values."""
    monkeypatch.setattr(reference, "ATTENTION_ELEMENTS", 2**17)  # reached by both, as the published bound is by real prompts
    model, chunk = one_layer(quirky, cases), 256
    short, long = (metered(model, cases.tokens(quirky, length), chunk).peak for length in (2_000, 16_000))
    assert long <= 1.01 * short


def test_scattered_pages_are_gathered_for_one_layer_at_a_time(cases: ModuleType) -> None:
    """Where pages are not neighbours, attention reads a copy of one layer's keys and values; never of all layers'."""
    case = cases.BY_NAME["h1, all quirks"]
    model, ids = cases.model(case), cases.tokens(case, 8 * PAGE)
    together, scattered = model.make_state(2, len(ids)), model.make_state(2, len(ids))
    for part in ids.split(PAGE)[:-1]:
        model.prefill(part, together, 0)
        model.prefill(part, scattered, 0)
        model.prefill(part[:PAGE], scattered, 1)  # takes every other page
    last, of_one_layer = ids[-PAGE:], 2 * len(ids) * case.config.num_key_value_heads * case.config.head_dim * 4
    excess = metered(model, last, PAGE, scattered).peak - metered(model, last, PAGE, together).peak
    assert 0 < excess <= 1.5 * of_one_layer


def test_no_tensor_holds_a_state_for_every_token(quirky: Any, cases: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 2,048 tokens fed at once, nothing is larger than the widest activation, or a scan chunk."""
    monkeypatch.setattr(reference, "SCAN_ELEMENTS", 2**15)
    monkeypatch.setattr(reference, "ATTENTION_ELEMENTS", 2**16)
    model, ids, c = cases.model(quirky), cases.tokens(quirky, 2048), quirky.config
    if quirky.fields["model_type"] == "falcon_mamba":
        widest, states = 2 * c.intermediate_size, c.intermediate_size * c.state_size
    else:
        widest, states = c.mamba_d_ssm + c.conv_dim + c.mamba_n_heads, c.mamba_d_ssm * c.mamba_d_state
    assert metered(model, ids, len(ids)).largest <= len(ids) * widest < len(ids) * states / 3
    state = model.make_state(1, 2 * len(ids))
    model.prefill(ids, state, 0)
    assert metered(model, ids, len(ids), state).largest <= len(ids) * widest  # and after a past as long


def test_the_scan_works_chunk_by_chunk(cases: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest tensor of a Mamba-1 scan is the chunk that SCAN_ELEMENTS allows."""
    generator = torch.Generator().manual_seed(0)
    x, dt, z = torch.randn(3, 1, 3000, 8, generator=generator)
    B, C = torch.randn(2, 1, 3000, 64, generator=generator)
    A, D = -torch.rand(8, 64, generator=generator), torch.zeros(8)
    monkeypatch.setattr(reference, "SCAN_ELEMENTS", 500 * 8 * 64)
    with Meter() as meter:
        reference.selective_scan(x, dt, A, B, C, D, D, z, torch.zeros(1, 8, 64))
    assert meter.largest == 500 * 8 * 64


@torch.inference_mode()
def test_logits_are_worked_out_for_the_last_position_only(model: LanguageModel, quirky: Any, cases: ModuleType) -> None:
    ids, seen = cases.tokens(quirky, 50), []
    head = model.lm_head.register_forward_hook(lambda module, inputs, logits: seen.append(logits.numel()))
    state = model.make_state(2, 60)
    model.prefill(ids, state, 0)
    model.step(ids[:2], state)
    head.remove()
    assert seen == [model.config.vocab_size, 2 * model.config.vocab_size]


@pytest.mark.parametrize("length", [512, 2048])
def test_a_prefill_does_not_loop_over_its_tokens(length: int, model: LanguageModel, quirky: Any, cases: ModuleType) -> None:
    """A recurrence written token by token takes at least four operators each (decay, drive, state, output), in every layer."""
    operators = metered(model, cases.tokens(quirky, length), length).operators
    assert operators < length * model.config.num_hidden_layers
    by_steps = metered(model, cases.tokens(quirky, 1), 1).operators * length
    assert operators < by_steps / 25


def test_a_memory_has_room_for_exactly_what_it_promises(cases: ModuleType) -> None:
    """Falcon-H1: `tokens` in every slot, also after forks in the middle of a page, and beside a snapshot."""
    case = cases.BY_NAME["h1, all quirks"]
    model, slots = cases.model(case), 3
    for tokens in (1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 7):
        ids = cases.tokens(case, tokens)
        forked = tokens // 2 + 1 if tokens > 1 else 1
        state = model.make_state(slots, tokens)
        model.prefill(ids[:forked], state, 0)
        snapshots = [state.snapshot(0)]  # of a page that all slots go on from
        for slot in range(1, slots):
            state.fork(0, slot)
        if forked < tokens:
            for slot in range(slots):
                model.prefill(ids[forked:], state, slot)
        assert state.lengths == [tokens] * slots
        pages_each = -(-tokens // PAGE)
        assert len(state.pool.references) == slots * (pages_each + 1)
        del snapshots
        for slot in range(slots):
            state.reset(slot)
        model.prefill(ids, state, 0)
        with pytest.raises(MemoryExceeded):
            model.prefill(cases.tokens(case, len(state.pool.references) * PAGE), state, 0)
        assert state.lengths == [tokens, 0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_state_bytes_are_what_a_slot_takes(dtype: torch.dtype, case: Any) -> None:
    """Arithmetic beside the real thing, for every shape; keys and values come in whole pages."""
    model = build(case.config).to(dtype)
    slots, tokens = 2, 2 * PAGE
    state = model.make_state(slots, tokens)
    assert state.nbytes == slots * model.state_bytes(0)
    for slot in range(slots):
        with state.extend(slot, slot + 1, tokens):
            pass
    assert state.nbytes == slots * model.state_bytes(tokens)


@pytest.mark.slow
@pytest.mark.promise
def test_a_hundred_thousand_tokens_stay_finite_in_flat_memory(quirky: Any, cases: ModuleType) -> None:
    model = one_layer(quirky, cases)
    ids, peaks = cases.tokens(quirky, 100_000), []
    state = model.make_state(1, len(ids))
    for stage in ids.split(10_000):
        peaks.append(metered(model, stage, 500, state).peak)
        assert all(torch.isfinite(tensor).all() for layer in state.mamba for tensor in (layer.conv, layer.ssm))
    assert torch.isfinite(model.step(ids[:1], model.make_state(1, 1))).all()
    assert state.lengths == [100_000]
    assert max(peaks[3:]) <= 1.01 * min(peaks[3:])  # the mask of attention has reached its bound by then
