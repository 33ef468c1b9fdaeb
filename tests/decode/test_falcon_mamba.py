"""FalconMamba's decode program against `model.step()`, on every quirk of the family."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from modeling.config import parse_config
from modeling.decode.inputs import StepInputs
from modeling.decode.packing import laid_together
from modeling.models import FalconMamba, build
from modeling.state import ModelState

program = pytest.importorskip("modeling.decode.falcon_mamba")

FIELDS = {
    "model_type": "falcon_mamba", "vocab_size": 61, "hidden_size": 24, "state_size": 16, "num_hidden_layers": 2,
    "intermediate_size": 40, "expand": 2, "time_step_rank": 5, "conv_kernel": 4, "use_bias": False, "use_conv_bias": True,
    "tie_word_embeddings": False, "residual_in_fp32": True, "layer_norm_epsilon": 1e-5, "mixer_rms_eps": 1e-6,
    "bos_token_id": 0, "eos_token_id": None, "pad_token_id": 0,
}  # fmt: skip
VARIANTS = {
    "as published": {},
    "biased projections": {"use_bias": True},
    "unbiased convolution": {"use_conv_bias": False},
    "tied head": {"tie_word_embeddings": True},
    "three taps, eight states": {"conv_kernel": 3, "state_size": 8},
    "narrow residual": {"residual_in_fp32": False},
}
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 5e-2, torch.float16: 5e-3}  # the interpreter cuts bfloat16 off


@torch.no_grad()
def draw(variant: str, dtype: torch.dtype, device: torch.device) -> FalconMamba:
    """A model with random weights under which every term counts."""
    model = build(parse_config(FIELDS | VARIANTS[variant]))
    assert isinstance(model, FalconMamba)
    generator = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        value = torch.randn(weight.shape, generator=generator)
        if name.endswith("A_log"):
            value = value.abs()
        elif weight.dim() == 2 and "embed" not in name:
            value *= weight.shape[1] ** -0.5
        elif name.endswith("dt_proj.bias"):
            value -= 2
        elif "norm" in name or name.endswith(".D"):
            value = 1 + 0.3 * value
        weight.copy_(value)
    return model.to(device, dtype).eval().requires_grad_(False)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def fill(state: ModelState, seed: int) -> None:
    """A past for every slot."""
    generator = torch.Generator().manual_seed(seed)
    for memory in state.mamba:
        for part in (memory.conv, memory.ssm):
            part.copy_(torch.randn(part.shape, generator=generator))


def check(variant: str, dtype: torch.dtype, rows: int, device: torch.device, steps: int = 3) -> None:
    """Some steps beside the law; rows 1, 4, 7, … are not active, and one slot more than rows is not even in the batch."""
    model = draw(variant, dtype, device)
    state, law = model.make_state(rows + 1), model.make_state(rows + 1)
    fill(state, 1), fill(law, 1)
    inputs = StepInputs.zeros(rows + 1, 1, device)
    active = torch.tensor([i % 3 != 1 for i in range(rows)], device=device)
    inputs.active[:rows] = active
    inputs.active[rows] = 1
    assert program.supports(model, rows)
    step = program.FalconMambaStep(model, state, inputs, rows)
    generator = torch.Generator().manual_seed(2)
    for _ in range(steps):
        ids = torch.randint(0, 61, (rows,), generator=generator).to(device)
        inputs.ids[:rows] = ids
        step.logits.fill_(torch.nan)
        step()
        expected = model.step(ids, law)
        assert error(step.logits[active], expected[active]) < TOLERANCE[dtype]
    fresh = model.make_state(rows + 1)
    fill(fresh, 1)
    for memory, wanted, untouched in zip(state.mamba, law.mamba, fresh.mamba, strict=True):
        for part in ("conv", "ssm"):
            found, start = getattr(memory, part), getattr(untouched, part)
            assert error(found[:rows][active], getattr(wanted, part)[:rows][active]) < TOLERANCE[dtype]
            assert torch.equal(found[:rows][~active], start[:rows][~active])
            assert torch.equal(found[rows], start[rows])


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_one_row(variant: str, device: torch.device) -> None:
    check(variant, torch.float32, 1, device)


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_rows(variant: str, device: torch.device) -> None:
    for rows in (2, 3, 17, 70) if variant == "as published" else (3,):
        check(variant, torch.float32, rows, device, steps=2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rows", [1, 3])
def test_half_precision(rows: int, dtype: torch.dtype, device: torch.device) -> None:
    check("as published" if dtype == torch.bfloat16 else "narrow residual", dtype, rows, device, steps=2)


@pytest.mark.gpu
@pytest.mark.parametrize("rows", [1, 5])
def test_captured(rows: int) -> None:
    """A replay of the graph is a step with what the inputs hold then."""
    device = torch.device("cuda")
    model = draw("as published", torch.float32, device)
    state, law = model.make_state(rows), model.make_state(rows)
    inputs = StepInputs.zeros(rows, 1, device)
    step = program.FalconMambaStep(model, state, inputs, rows)
    step()  # compiles; no slot is active
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    inputs.active.fill_(1)
    for seed in range(3):
        ids = torch.randint(0, 61, (rows,), generator=torch.Generator().manual_seed(seed)).to(device)
        inputs.ids.copy_(ids)
        graph.replay()
        assert error(step.logits, model.step(ids, law)) < 1e-5


def test_supported(device: torch.device) -> None:
    model = draw("as published", torch.float32, device)
    assert program.supports(model, 128)
    assert not program.supports(model, 129)
    assert not program.supports(model, 0)
    assert not program.supports(build(model.config).to("meta"), 1)
    model.lm_head.to(torch.bfloat16)
    assert not program.supports(model, 1)


def test_laid_together(device: torch.device) -> None:
    """Names, shapes and values stay; the memory is one; a second call copies nothing."""
    module = nn.ModuleDict({"a": nn.Linear(6, 3), "b": nn.Linear(6, 4), "c": nn.Linear(6, 2)}).to(device)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    weights = [part.weight for part in module.values()]
    together = laid_together(*weights)
    assert torch.equal(together, torch.cat([before[f"{name}.weight"] for name in "abc"]))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert together.data_ptr() == module["a"].weight.data_ptr()
    with torch.no_grad():
        module["b"].weight[1, 2] = 7.0
    assert together[4, 2] == 7.0
    assert laid_together(*weights).data_ptr() == together.data_ptr()
    part = laid_together(*weights[1:])
    assert part.data_ptr() == module["b"].weight.data_ptr()
    assert torch.equal(part, together[3:])
    assert laid_together(weights[1], weights[0]).data_ptr() != together.data_ptr()
    assert torch.equal(laid_together(module["a"].bias, module["b"].bias), torch.cat((before["a.bias"], before["b.bias"])))
