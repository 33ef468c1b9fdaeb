"""Walks: several tokens in one pass, with the very bits of as many steps, and back again."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch

from falcon_cli import demo
from modeling.api import open_language_model
from modeling.messages import ModelSpec
from modeling.models import LanguageModel, build


def assert_walks_are_steps(
    model: LanguageModel, rounds: tuple[tuple[int, int], ...] = ((5, 3), (2, 1), (4, 4), (1, 1))
) -> None:
    """`rounds` of walks of so many tokens of which so many stay, beside steps; over the edge of a page of keys."""
    dice = torch.Generator().manual_seed(1)
    stepping, walking = model.make_state(1, 300), model.make_state(1, 300)
    prompt = torch.randint(model.config.vocab_size, (252,), generator=dice)
    for state in (stepping, walking):
        model.prefill(prompt, state, 0)
    trail = walking.make_trail(4)
    for length, kept in rounds:
        ids = torch.randint(model.config.vocab_size, (length,), generator=dice)
        steps = [model.step(id[None], stepping) for id in ids[:kept]]
        h = model.walk(ids, walking, trail)
        assert h.isfinite().all()
        for place, logits in enumerate(steps):
            assert torch.equal(model.scores(h[place : place + 1]), logits)
        walking.go_back(0, length, kept, trail)
        assert walking.lengths == stepping.lengths
        for name, tensor in stepping.snapshot(0).tensors().items():
            assert torch.equal(walking.snapshot(0).tensors()[name], tensor), name


@pytest.mark.promise
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_walk_has_the_bits_of_steps(case: Any, cases: ModuleType, dtype: torch.dtype) -> None:
    """Exactly, in every shape: what differs by a rounding would one day be another token."""
    model = build(case.config).eval().requires_grad_(False)
    cases.draw(model)
    model = model.to(dtype)
    with torch.inference_mode():
        assert_walks_are_steps(model)


def test_rows_that_lie_crooked_in_memory_have_the_bits_of_steps(cases: ModuleType) -> None:
    """Heads of 6 numbers in fp32: torch's attention rounds otherwise where a query does not begin at a multiple of 16 bytes."""
    shape = cases.Fields(head_dim=6, num_attention_heads=6, num_key_value_heads=3)
    assert_walks_are_steps(cases.model(cases.Case("crooked", cases.H1 | shape)))


@pytest.mark.promise
@pytest.mark.parametrize("quantize", ["nf4", "int8"])
@pytest.mark.parametrize("name", ["demo", "demo-h1"])
def test_packed_weights_multiply_several_tokens_at_once(name: str, quantize: Any) -> None:
    pytest.importorskip("bitsandbytes")
    assert_walks_are_steps(open_language_model(ModelSpec(demo.resolve(name), device="cpu", quantize=quantize)))


def test_a_walk_that_dies_leaves_an_empty_slot(cases: ModuleType, quirky: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = cases.model(quirky)
    state = model.make_state(1, 300)
    model.prefill(torch.arange(5), state, 0)
    with pytest.raises(KeyboardInterrupt), state.walk(0, 3, state.make_trail(2)):
        raise KeyboardInterrupt
    assert state.lengths == [0] and state.pages == [[]]
    assert all(not layer.ssm.any() and not layer.conv.any() for layer in state.mamba)
