"""The runner hands ids to the model as it should, and speaks of memory in our own words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from modeling.errors import MemoryExceeded


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
        assert torch.equal(engine.runner.prefill(prompt, slot), model.voice(prompt))
    logits = engine.runner.decode([7, 8])
    assert torch.equal(logits, torch.stack([model.voice([1, 2, 7]), model.voice([3, 8])]))
    assert model.state.tokens == [[1, 2, 7], [3, 8], [4, 5, 6]]


def test_nothing_is_recorded_for_gradients(make_engine: Callable[..., Any]) -> None:
    weight = torch.ones(256, requires_grad=True)
    engine, _ = make_engine(voice=lambda tokens: weight * 2)
    assert not engine.runner.prefill([1], 0).requires_grad
    assert not engine.runner.decode([1]).requires_grad


@pytest.mark.parametrize("work", ["prefill", "decode"])
def test_a_device_out_of_memory_is_an_error_of_ours(make_engine: Callable[..., Any], work: str) -> None:
    engine, model = make_engine()
    engine.runner.prefill([1], 0)

    def out_of_memory() -> None:
        raise torch.OutOfMemoryError("tried to allocate 3 GiB")

    model.before_call = out_of_memory
    with pytest.raises(MemoryExceeded, match="3 GiB") as caught:
        engine.runner.prefill([2], 0) if work == "prefill" else engine.runner.decode([2])
    assert caught.value.hint
