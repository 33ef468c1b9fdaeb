"""The runner hands ids to the model as it should, and speaks of memory in our own words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from modeling.errors import MemoryExceeded
from modeling.generation.runner import Runner


@pytest.mark.parametrize(
    "max_positions, context, limit, room",
    [(None, None, None, None), (None, 50, None, None), (100, None, 100, 100), (100, 50, 50, 50), (100, 500, 100, 100)],
)
def test_context_narrows_the_positions_of_a_model_that_has_some(
    make_engine: Callable[..., Any], max_positions: int | None, context: int | None, limit: int | None, room: int | None
) -> None:
    engine, model = make_engine(max_positions=max_positions, context=context)
    assert engine.runner.max_positions == limit
    assert model.room == room


def test_prefill_and_decode_are_the_models_own(make_engine: Callable[..., Any]) -> None:
    engine, model = make_engine(slots=3)
    for slot, prompt in enumerate([[1, 2], [3], [4, 5, 6]]):
        assert torch.equal(engine.runner.prefill([prompt], slot)[0], model.voice(prompt))
    logits = engine.runner.decode([7, 8])
    assert torch.equal(logits, torch.stack([model.voice([1, 2, 7]), model.voice([3, 8])]))
    assert model.state.tokens == [[1, 2, 7], [3, 8], [4, 5, 6]]


def test_nothing_is_recorded_for_gradients(make_engine: Callable[..., Any]) -> None:
    weight = torch.ones(256, requires_grad=True)
    engine, _ = make_engine(voice=lambda tokens: weight * 2)
    assert not engine.runner.prefill([[1]], 0).requires_grad
    assert not engine.runner.decode([1]).requires_grad


GPU = torch.OutOfMemoryError("tried to allocate 3 GiB\nand a page of advice")
MPS = RuntimeError("MPS backend out of memory (tried to allocate 3 GiB)")


def too_much() -> None:
    """What the CPU's allocator really says to a request that no machine can serve."""
    torch.empty(2**60, dtype=torch.uint8)


def raiser(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize("out_of_memory", [raiser(GPU), raiser(MPS), too_much], ids=["gpu", "mps", "cpu"])
@pytest.mark.parametrize("work", ["prefill", "decode"])
def test_a_device_out_of_memory_is_an_error_of_ours(
    make_engine: Callable[..., Any], work: str, out_of_memory: Callable[[], None]
) -> None:
    engine, model = make_engine()
    engine.runner.prefill([[1]], 0)
    model.before_call = out_of_memory
    with pytest.raises(MemoryExceeded, match="allocate") as caught:
        engine.runner.prefill([[2]], 0) if work == "prefill" else engine.runner.decode([2])
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_slots_that_do_not_fit_are_an_error_of_ours(make_engine: Callable[..., Any]) -> None:
    _, model = make_engine()
    model.make_state = lambda slots, tokens: too_much()
    with pytest.raises(MemoryExceeded):
        Runner(model, slots=1, prefill_chunk=1)


def test_a_fault_stays_a_fault(make_engine: Callable[..., Any]) -> None:
    engine, model = make_engine()
    model.before_call = raiser(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        engine.runner.prefill([[1]], 0)
