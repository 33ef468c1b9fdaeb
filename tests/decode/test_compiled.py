"""`--kernels compile`: the readable blocks, fused for single tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from falcon_cli import demo
from modeling import api
from modeling.errors import DeviceUnavailable
from modeling.kernels import choice
from modeling.messages import ModelSpec


@pytest.mark.parametrize("name", ["demo", pytest.param("demo-h1", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore")  # torch's own, about its deprecations
def test_compiled_steps_are_the_readable_ones_in_one_graph(name: str) -> None:
    spec = ModelSpec(demo.resolve(name), device="cpu", dtype="float32", kernels="torch")
    plain = api.open_language_model(spec)
    ids = torch.randint(0, plain.config.vocab_size, (40,), generator=torch.Generator().manual_seed(1))
    want, state = [], plain.make_state(1, 64)
    plain.prefill(ids[:30], state, 0)
    want = [plain.step(id[None], state) for id in ids[30:]]
    torch.compiler.reset()
    counters.clear()
    compiled = api.open_language_model(ModelSpec(spec.name, device="cpu", dtype="float32", kernels="compile"))
    state = compiled.make_state(1, 64)
    compiled.prefill(ids[:30], state, 0)
    for id, logits in zip(ids[30:], want, strict=True):
        torch.testing.assert_close(compiled.step(id[None], state), logits, rtol=1e-4, atol=1e-4)
    assert (
        not counters["graph_break"] and counters["stats"]["unique_graphs"] <= 4
    )  # the trial's, and a block's: not each block's


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nf4", "int8"])
@pytest.mark.filterwarnings("ignore")
def test_packed_weights_compile(kind: Any) -> None:
    """In bfloat16, where packed weights have products of their own on a CPU."""
    spec = ModelSpec(demo.resolve("demo"), device="cpu", quantize=kind, kernels="torch")
    plain, ids = api.open_language_model(spec), torch.arange(20) + 100
    torch.compiler.reset()
    compiled = api.open_language_model(replace(spec, kernels="compile"))
    found = []
    for model in (plain, compiled):
        state = model.make_state(1, 64)
        model.prefill(ids[:19], state, 0)
        found.append(model.step(ids[19:], state))
    torch.testing.assert_close(found[1], found[0], rtol=0.05, atol=0.3)


def test_without_a_compiler_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(function: Any) -> Any:
        raise RuntimeError("no C++ compiler\nand a page more")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(DeviceUnavailable, match=r"--kernels compile: a trial of torch\.compile failed: no C\+\+ compiler$"):
        choice.choose("compile", torch.device("cpu"))
