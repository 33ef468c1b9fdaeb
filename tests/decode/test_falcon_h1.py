"""Falcon-H1's decode program against `model.step()`, on every switch of the family."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from modeling.config import parse_config
from modeling.decode.inputs import StepInputs
from modeling.memory import PAGE
from modeling.models import FalconH1, build
from modeling.state import ModelState

program = pytest.importorskip("modeling.decode.falcon_h1")
attention_step = pytest.importorskip("modeling.kernels.triton.attention_step")
Fields = dict[str, Any]

FIELDS = Fields(
    model_type="falcon_h1", vocab_size=61, hidden_size=24, intermediate_size=36, num_hidden_layers=1, num_attention_heads=6,
    num_key_value_heads=2, head_dim=16, mamba_d_ssm=48, mamba_n_heads=6, mamba_d_head=8, mamba_n_groups=2, mamba_d_state=12,
    mamba_d_conv=4, mamba_norm_before_gate=False, mamba_rms_norm=True, max_position_embeddings=1024,
    rope_parameters={"rope_type": "default", "rope_theta": 1e4}, embedding_multiplier=5.65, lm_head_multiplier=0.4,
    key_multiplier=0.39, attention_in_multiplier=1.1, attention_out_multiplier=0.94, ssm_in_multiplier=1.25,
    ssm_out_multiplier=0.24, mlp_multipliers=[0.88, 0.59], ssm_multipliers=[0.35, 0.25, 0.36, 0.5, 0.34],
    tie_word_embeddings=False, bos_token_id=1, eos_token_id=None, pad_token_id=0,
)  # fmt: skip
BIASED = Fields(attention_bias=True, mlp_bias=True, mamba_proj_bias=True, projectors_bias=True)
VARIANTS: dict[str, Fields] = {
    "as published": {"num_hidden_layers": 2},
    "no gated norm": {"mamba_rms_norm": False},
    "norm before gate": {"mamba_norm_before_gate": True},
    "one group": {"mamba_n_groups": 1, "mamba_d_state": 64},
    "all biases": BIASED,
    "attention biased": {"attention_bias": True},
    "products biased": {"mamba_proj_bias": True, "mamba_conv_bias": False},
    "tied head": {"tie_word_embeddings": True},
    "time steps limited": {"time_step_limit": (0.05, 0.1)},
    "three taps, odd sizes": {"mamba_d_conv": 3, "mamba_d_ssm": 30, "mamba_n_heads": 6, "mamba_d_head": 5, "mamba_d_state": 33},
    "heads of ten, three to a group": {"num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 10},
    "no grouping": {"num_attention_heads": 3, "num_key_value_heads": 3, "rope_parameters": {"rope_theta": 1e11}},
}
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 6e-2, torch.float16: 6e-3}  # the interpreter cuts bfloat16 off


@pytest.fixture(autouse=True)
def few_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter runs one program after the other."""
    monkeypatch.setattr(attention_step, "choose", lambda *_: attention_step.Sizes(4, 32))


@torch.no_grad()
def draw(variant: str, dtype: torch.dtype, device: torch.device) -> FalconH1:
    """A model with random weights under which every term counts."""
    model = build(parse_config(FIELDS | VARIANTS[variant]))
    assert isinstance(model, FalconH1)
    generator = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        value = torch.randn(weight.shape, generator=generator)
        if name.endswith("A_log"):
            value = value.abs()
        elif weight.dim() == 2 and "embed" not in name:
            value *= 2 * weight.shape[1] ** -0.5
        elif name.endswith("dt_bias"):
            value -= 2
        elif "norm" in name or name.endswith(".D"):
            value = 1 + 0.3 * value
        weight.copy_(value)
    return model.to(device, dtype).eval().requires_grad_(False)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def memory(model: FalconH1, lengths: list[int]) -> ModelState:
    """Slots with a past of so many random tokens each, in pages that are not neighbours."""
    state = model.make_state(len(lengths) + 1, max(lengths) + 2 * PAGE)
    assert state.pool is not None
    generator = torch.Generator().manual_seed(1)
    state.pool.free = torch.randperm(len(state.pool.references), generator=generator).tolist()[::-1]
    state.pool.free.sort(key=lambda page: page * 7 % 5)  # a heap of its own order
    for layer in state.mamba:
        for part in (layer.conv, layer.ssm):
            part.copy_(torch.randn(part.shape, generator=generator))
    for part in (*state.pool.keys, *state.pool.values):
        part.copy_(torch.randn(part.shape, generator=generator))
    for slot, length in enumerate(lengths):
        while len(state.pages[slot]) * PAGE < length:
            state.pages[slot].append(take(state, len(state.pages[slot]) * 7 + slot))
        state.lengths[slot] = length
    return state


def take(state: ModelState, start: int) -> int:
    """A free page, not the lowest one."""
    assert state.pool is not None
    free = sorted(state.pool.free)
    page = free[start % len(free)]
    state.pool.free = [other for other in free if other != page]
    state.pool.references[page] = 1
    return page


def describe(state: ModelState, inputs: StepInputs, active: Tensor) -> None:
    """What the engine tells the program before each step."""
    inputs.active[: len(active)] = active
    for slot in range(len(active)):
        pages = state.pages[slot]
        inputs.pages[slot, : len(pages)] = torch.tensor(pages, dtype=torch.int32)
        inputs.lengths[slot] = state.lengths[slot]


def check(variant: str, dtype: torch.dtype, lengths: list[int], device: torch.device, steps: int = 3) -> None:
    """Some steps beside the law; slot 1 is not active, and one slot more than rows is not even in the batch."""
    model, rows = draw(variant, dtype, device), len(lengths)
    state, law, start = (memory(model, lengths) for _ in range(3))
    inputs = StepInputs.zeros(rows + 1, 8, device)
    active = torch.tensor([i != 1 for i in range(rows)], device=device)
    assert program.supports(model, rows)
    step = program.FalconH1Step(model, state, inputs, rows)
    generator = torch.Generator().manual_seed(2)
    for _ in range(steps):
        ids = torch.randint(0, 61, (rows,), generator=generator).to(device)
        inputs.ids[:rows] = ids
        state.reserve(0, rows, 1)
        describe(state, inputs, active)
        step.logits.fill_(torch.nan)
        step()
        state.lengths = [length + 1 for length in state.lengths[:rows]] + [0]
        expected = model.step(ids, law)
        assert error(step.logits[active], expected[active]) < TOLERANCE[dtype]
    compare(state, law, start, active, TOLERANCE[dtype])


def compare(state: ModelState, law: ModelState, start: ModelState, active: Tensor, tolerance: float) -> None:
    """Active slots as the law has them, all else as it was at the start."""
    rows = len(active)
    for found, wanted, untouched in zip(state.mamba, law.mamba, start.mamba, strict=True):
        for part in ("conv", "ssm"):
            here, before = getattr(found, part), getattr(untouched, part)
            assert error(here[:rows][active], getattr(wanted, part)[:rows][active]) < tolerance
            assert torch.equal(here[:rows][~active], before[:rows][~active])
            assert torch.equal(here[rows], before[rows])
    assert state.pool is not None and law.pool is not None and start.pool is not None
    for name in ("keys", "values"):
        for layer, found in enumerate(getattr(state.pool, name)):
            expected, rest = getattr(start.pool, name)[layer].clone(), getattr(law.pool, name)[layer]
            for slot in active.nonzero().flatten().tolist():
                for position in range(start.lengths[slot], state.lengths[slot]):
                    at = state.pages[slot][position // PAGE] * PAGE + position % PAGE
                    theirs = law.pages[slot][position // PAGE] * PAGE + position % PAGE
                    assert error(found[at], rest[theirs]) < tolerance
                    expected[at] = found[at]
            assert torch.equal(found, expected)


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_program_is_the_step(variant: str, device: torch.device) -> None:
    check(variant, torch.float32, [40, 9, 5], device, steps=2)


@pytest.mark.parametrize("lengths", [[0], [511, 3]])
def test_over_the_edge_of_a_page(lengths: list[int], device: torch.device) -> None:
    check("one group", torch.float32, lengths, device, steps=2)


def test_many_rows(device: torch.device) -> None:
    """Attention and Mamba-2 in launches of their own."""
    check("norm before gate", torch.float32, [3 * i for i in range(program.BESIDE + 1)], device, steps=1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype, device: torch.device) -> None:
    check("norm before gate", dtype, [257, 1, 30], device, steps=2)


def test_after_prefill_and_fork(device: torch.device) -> None:
    """Steps go on where a prefill ends, over the end of its page, and two branches of one past do not see each other."""
    model = draw("as published", torch.float32, device)
    prompt = torch.randint(0, 61, (254,), generator=torch.Generator().manual_seed(3)).to(device)
    state, law = (model.make_state(2, 600) for _ in range(2))
    for one in (state, law):
        model.prefill(prompt, one, 0)
        one.fork(0, 1)
    inputs = StepInputs.zeros(2, 4, device)
    step = program.FalconH1Step(model, state, inputs, 2)
    active = torch.ones(2, dtype=torch.bool, device=device)
    for i in range(4):
        ids = torch.tensor([i, 60 - i], device=device)
        state.reserve(0, 2, 1)
        inputs.ids.copy_(ids)
        describe(state, inputs, active)
        step()
        state.lengths = [length + 1 for length in state.lengths]
        assert error(step.logits, model.step(ids, law)) < 1e-5


@pytest.mark.gpu
@pytest.mark.parametrize("rows", [1, 3, 9])
def test_captured(rows: int) -> None:
    """A replay of the graph is a step with what the inputs hold then, while contexts grow."""
    device = torch.device("cuda")
    model = draw("as published", torch.float32, device)
    lengths = [250 + i for i in range(rows)]
    state, law = memory(model, lengths), memory(model, lengths)
    inputs = StepInputs.zeros(rows + 1, 8, device)
    step = program.FalconH1Step(model, state, inputs, rows)
    step()  # compiles; no slot is active
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    active = torch.ones(rows, dtype=torch.bool, device=device)
    for seed in range(10):
        ids = torch.randint(0, 61, (rows,), generator=torch.Generator().manual_seed(seed)).to(device)
        state.reserve(0, rows, 1)
        inputs.ids[:rows] = ids
        describe(state, inputs, active)
        graph.replay()
        state.lengths = [length + 1 for length in state.lengths[:rows]] + [0]
        assert error(step.logits, model.step(ids, law)) < 1e-5


def test_supported(device: torch.device) -> None:
    model = draw("as published", torch.float32, device)
    assert program.supports(model, 128)
    assert not program.supports(model, 129)
    assert not program.supports(model, 0)
    assert not program.supports(build(model.config).to("meta"), 1)
    model.lm_head.to(torch.bfloat16)
    assert not program.supports(model, 1)
