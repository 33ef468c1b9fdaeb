"""Falcon-H1's decode kernels on a GPU: are they right at real sizes, how fast is each, and how fast is a whole step?

    python benchmarks/gpu/decode_falcon_h1.py        (from the repository's root, on PYTHONPATH; 80 seconds)

Weights and states are noise. Times are of CUDA graphs over many layers with memory of their own, so that L2 is cold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import sqrt
from typing import Any
from unittest import mock

import torch
import triton
import triton.language as tl
from torch import Tensor

from modeling.config import parse_config
from modeling.decode import falcon_h1 as program
from modeling.decode.inputs import StepInputs
from modeling.kernels.triton import attention_step, mamba2_step
from modeling.kernels.triton.projection import Blocks
from modeling.memory import PAGE
from modeling.models import FalconH1, build
from modeling.state import ModelState

START, LIMIT = time.perf_counter(), 78.0
DEVICE = torch.device("cuda")
Fields = dict[str, Any]


def h1(
    d: int, f: int, layers: int, heads: int, p: int, ssm_heads: int, ssm_p: int, n: int, v: int, norm: bool = True
) -> Fields:
    e = ssm_heads * ssm_p
    return Fields(
        model_type="falcon_h1", vocab_size=v, hidden_size=d, intermediate_size=f, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=2, head_dim=p, mamba_d_ssm=e, mamba_n_heads=ssm_heads,
        mamba_d_head=ssm_p, mamba_d_state=n, mamba_n_groups=1, mamba_d_conv=4, mamba_rms_norm=norm,
        mamba_norm_before_gate=False, max_position_embeddings=262144, rope_theta=1e11, tie_word_embeddings=False,
        embedding_multiplier=4 * sqrt(2), lm_head_multiplier=40 / d, key_multiplier=3276800 / (d**2 * sqrt(p)),
        attention_out_multiplier=491520 / (d * heads * p), ssm_in_multiplier=1280 / d, ssm_out_multiplier=256 * sqrt(2) / e,
        mlp_multipliers=[640 * sqrt(2) / d, 1228800 / (d * f)],
        ssm_multipliers=[sqrt(2) / 4, 0.25, 32 * sqrt(2) / n, 0.5, sqrt(2) / 4],
    )  # fmt: skip


MODELS = {
    "0.5B": h1(1024, 2048, 36, 8, 64, 24, 64, 128, 32784, norm=False),
    "1.5B": h1(2048, 4608, 24, 8, 128, 48, 64, 256, 65537),
    "3B": h1(2560, 6144, 32, 10, 128, 32, 128, 256, 65537),
    "7B": h1(3072, 12288, 44, 12, 128, 24, 128, 256, 130049),
}


def left() -> float:
    return LIMIT - (time.perf_counter() - START)


@contextmanager
def attempt(what: str) -> Iterator[None]:
    """A failure costs its line, not the run."""
    try:
        yield
    except Exception as error:
        print(f"   {what}: {type(error).__name__} {str(error).strip().splitlines()[-1][:160] if str(error).strip() else ''}")
        torch.cuda.synchronize()


def graph_of(work: Callable[[], None]) -> torch.cuda.CUDAGraph:
    work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


def microseconds(work: Callable[[], None], least: float = 0.04) -> float:
    """Of one run of `work` within a graph: the best of five groups of replays."""
    graph = graph_of(work)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def group(times: int) -> float:
        begin.record()
        for _ in range(times):
            graph.replay()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) * 1e3 / times

    group(2)
    times = max(2, int(least * 1e6 / 5 / max(1.0, group(2))))
    return min(group(times) for _ in range(5))


@triton.jit
def _read(x, out, n, BLOCK: tl.constexpr):
    acc = tl.zeros((BLOCK,), tl.float32)
    base = tl.program_id(0).to(tl.int64) * BLOCK * 8
    for i in range(8):
        acc += tl.load(x + base + i * BLOCK + tl.arange(0, BLOCK), eviction_policy="evict_first")
    tl.store(out + tl.program_id(0), tl.sum(acc))


def read_ceiling() -> float:
    """TB/s of a kernel that only reads 4 GiB."""
    x = torch.zeros(2**30, dtype=torch.float32, device=DEVICE)
    out = torch.empty(2**30 // (8192 * 8), dtype=torch.float32, device=DEVICE)
    return x.nbytes / microseconds(lambda: _read[(out.numel(),)](x, out, 0, BLOCK=8192, num_warps=8), 0.2) / 1e6


@torch.no_grad()
def made(fields: Fields, dtype: torch.dtype) -> FalconH1:
    """A model with random weights under which every term counts, drawn on the device."""
    with torch.device("meta"):
        model = build(parse_config(fields)).to(dtype)
    assert isinstance(model, FalconH1)
    model.to_empty(device=DEVICE)
    for name, weight in model.named_parameters():
        if name.endswith("A_log"):
            weight.uniform_(0, 2.5)
        elif name.endswith("dt_bias"):
            weight.normal_(-2, 1)
        elif "norm" in name or name.endswith(".D"):
            weight.normal_(1, 0.3)
        elif "embed" in name:
            weight.normal_(0, 1)
        else:
            weight.normal_(0, weight[0].numel() ** -0.5)
    return model.eval().requires_grad_(False)


@torch.no_grad()
def memory(model: FalconH1, rows: int, length: int, past: bool = True) -> ModelState:
    """Slots with a random past of `length` tokens."""
    state = model.make_state(rows, length + 64)
    assert state.pool is not None
    state.reserve(0, rows, length)
    state.lengths = [length] * rows
    state.reserve(0, rows, 32)
    generator = torch.Generator(DEVICE).manual_seed(1)
    for layer in state.mamba:
        layer.ssm.normal_(generator=generator)
        layer.conv.normal_(generator=generator)
    for part in (*state.pool.keys, *state.pool.values):
        part.normal_(generator=generator) if past else part.zero_()
    return state


def inputs_of(state: ModelState) -> StepInputs:
    inputs = StepInputs.zeros(state.slots, len(state.pages[0]), DEVICE)
    inputs.active.fill_(1)
    inputs.lengths.copy_(torch.tensor(state.lengths))
    inputs.pages.copy_(torch.tensor(state.pages))
    inputs.ids.copy_(torch.randint(0, 32, (state.slots,)))
    return inputs


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def correctness() -> None:
    """Three layers of the 7B, two steps: ours and the law against the law in fp32 with the same weights."""
    fields = MODELS["7B"] | {"num_hidden_layers": 3, "vocab_size": 4096}
    narrow = made(fields, torch.bfloat16)
    wide = made(fields, torch.float32)
    wide.load_state_dict(narrow.state_dict())
    for rows, length in ((1, 40000), (16, 2048)):
        with attempt(f"correctness {rows} {length}"):
            ids = torch.randint(0, 4096, (2, rows), device=DEVICE)
            truth = memory(wide, rows, length)
            expected = torch.stack([wide.step(i, truth) for i in ids])
            line = f"3 layers, {rows} rows at {length}:"
            for model in (wide, narrow):
                results = []
                for ours in (True, False):
                    state = memory(model, rows, length)
                    if model is narrow:
                        adopt(state, memory(wide, rows, length))
                    results.append((run(model, state, ids, ours), state.mamba[-1].ssm.clone(), new_keys(state, length)))
                    del state
                keys = new_keys(truth, length)
                pair = [
                    f"{error(y, expected):.1e} ssm {error(ssm, truth.mamba[-1].ssm):.1e} k {error(k, keys):.1e}"
                    for y, ssm, k in results
                ]
                line += f"  {str(model.lm_head.weight.dtype)[6:]} {pair[0]} (law {pair[1]})"
            print(line)


def adopt(state: ModelState, other: ModelState) -> None:
    """The numbers of another state."""
    assert state.pool is not None and other.pool is not None
    for mine, theirs in zip(state.mamba, other.mamba, strict=True):
        mine.copy_(theirs)
    for name in ("keys", "values"):
        for mine, theirs in zip(getattr(state.pool, name), getattr(other.pool, name), strict=True):
            mine.copy_(theirs)


def new_keys(state: ModelState, length: int) -> Tensor:
    """The two newest keys of the last slot in the last layer."""
    assert state.pool is not None
    rows = [state.pages[-1][at // PAGE] * PAGE + at % PAGE for at in (length, length + 1)]
    return state.pool.keys[-1][rows].clone()


def run(model: FalconH1, state: ModelState, ids: Tensor, ours: bool) -> Tensor:
    if not ours:
        return torch.stack([model.step(i, state) for i in ids])
    inputs = inputs_of(state)
    step, found = program.FalconH1Step(model, state, inputs, state.slots), []
    for i in ids:
        inputs.ids.copy_(i)
        step.logits.fill_(torch.nan)
        step()
        found.append(step.logits.clone())
        inputs.lengths.add_(1)
    return torch.stack(found)


def floor_bytes(model: FalconH1, rows: int, length: int) -> float:
    weights = sum(w.nbytes for w in model.parameters()) - model.model.embed_tokens.weight.nbytes
    c = model.config
    recurrent = c.conv_dim * c.mamba_d_conv * 2 + c.mamba_d_ssm * c.mamba_d_state * 4
    kv = 2 * length * c.num_key_value_heads * c.head_dim * 2
    return weights + rows * c.num_hidden_layers * (2 * recurrent + kv)


Choice = Callable[[program.FalconH1Step], None]


def splits(*sizes: Any) -> Choice:
    def change(step: program.FalconH1Step) -> None:
        step.splits = attention_step.Sizes(*sizes)
        width = step.layers[0].past.keys.shape[2]
        step.partials = attention_step.Scratch.empty(step.rows, step.heads, width, step.splits, DEVICE)

    return change


def channels(*sizes: int) -> Choice:
    def change(step: program.FalconH1Step) -> None:
        step.channels = mamba2_step.Sizes(*sizes)
        _, h, p, _ = step.layers[0].ssm.shape
        step.unnormed = mamba2_step.Scratch.empty(step.rows, h, p, step.channels, DEVICE)

    return change


def planned(name: str, *sizes: Any) -> Choice:
    """Block sizes of a product: outputs, columns, warps, stages, repeats; or of one in parts."""
    value = sizes if name.endswith("parts") else Blocks(*sizes)
    return lambda step: setattr(step.plan, name, value)


def beside(rows: int) -> Choice:
    return lambda step: setattr(program, "BESIDE", rows)


def whole_row(outputs: int, warps: int, repeat: int) -> tuple[int, ...]:
    return outputs, 0, warps, 4, repeat


Menu = dict[str, dict[str, Choice]]


def menu_of(kind: str, name: str, sizes: list[tuple[Any, ...]], change: Callable[..., Choice]) -> Menu:
    return {kind: {"×".join(str(n) for n in size): change(*((name,) if name else ()), *size) for size in sizes}}


ROW: Menu = {
    **menu_of("outputs", "outputs", [(2, 1024, 4), (4, 512, 4)], planned),
    **menu_of("mix", "", [(64, 32, 4, 2, True), (64, 16, 4, 2, True), (32, 64, 4, 2, True)], splits),
    **menu_of("down", "down", [(2, 2048, 8), (4, 1024, 4)], planned),
    **menu_of("head", "head", [(4, 1024, 4), (4, 512, 4)], planned),
    **menu_of("channels", "", [(8, 4), (32, 8)], channels),
    **menu_of("gate_up", "gate_up", [whole_row(1, 4, 1), whole_row(2, 4, 2), whole_row(1, 4, 4)], planned),
    **menu_of("inputs", "inputs", [whole_row(2, 4, 1), whole_row(1, 4, 4), whole_row(4, 4, 1)], planned),
}
MANY: Menu = {
    **menu_of("splits", "", [(4, 32, 4, 4, False), (4, 64, 4, 2, False)], splits),
    **menu_of("gate_up", "gate_up", [(32, 64, 4, 4), (64, 64, 8, 4)], planned),
    **menu_of("down", "down_parts", [(3, 64, 128, 4, 4), (5, 64, 128, 4, 4)], planned),
}


def whole(name: str, model: FalconH1, rows: int, length: int, ceiling: float, menu: Menu, until: float) -> None:
    """ms of a step as captured; then each kind of block size in its turn, the best of which is kept."""
    state = memory(model, rows, length, past=False)
    step = program.FalconH1Step(model, state, inputs_of(state), rows)
    if rows > 1:
        step.parts = torch.empty(8, rows, step.h.shape[1], device=DEVICE)
    floor, program.BESIDE = floor_bytes(model, rows, length) / ceiling / 1e6, 8
    best = took = microseconds(step, 0.1)

    def said(t: float) -> str:
        return f"{t / 1e3:.3f} ms, {rows * 1e6 / t:.0f} tok/s, {100 * floor / t:.1f}% of {floor / 1e3:.3f} ms"

    print(f"whole {name} b={rows} at {length}: {said(took)}")
    for kind, choices in menu.items():
        found = {}
        for label, change in choices.items():
            if left() < until:
                break
            before = (step.splits, step.partials, step.channels, step.unnormed, replace(step.plan), program.BESIDE)
            with attempt(f"{kind} {label}"):
                change(step)
                found[label] = microseconds(step, 0.04)
            if found.get(label, best) < best:
                best = found[label]
            else:
                step.splits, step.partials, step.channels, step.unnormed, step.plan, program.BESIDE = before
        print(f"   {kind}: " + " | ".join(f"{label} {t / 1e3:.3f}" for label, t in found.items()))
    if menu:
        parts = []
        for module, kernel in (
            (program, "project_convolved"), (mamba2_step, "mix"), (mamba2_step, "finish"), (attention_step, "merge"),
            (program, "project_gated"), (program, "project"),
        ):  # fmt: skip
            if rows > 1 or length > 10000:
                break
            with attempt(kernel), mock.patch.object(module, kernel, lambda *_, **__: None):
                parts.append(f"{kernel} {(best - microseconds(step, 0.02)) / len(step.layers):.2f}")
        print(f"   best {said(best)}; µs a layer that go without: " + " | ".join(parts))


def main() -> None:
    print(torch.cuda.get_device_name(), torch.__version__, triton.__version__)
    torch.manual_seed(0)
    with attempt("correctness"):
        correctness()
    torch.cuda.empty_cache()
    ceiling = read_ceiling()
    print(f"read ceiling {ceiling:.2f} TB/s, {left():.0f} s left")
    model = made(MODELS["7B"], torch.bfloat16)
    for rows, length, menu, until in ((1, 2048, ROW, 40.0), (1, 131000, {}, 0.0), (64, 512, MANY, 30.0)):
        with attempt(f"7B {rows}"):
            whole("7B", model, rows, length, ceiling, menu, until)
        torch.cuda.empty_cache()
    del model
    for name, until in (("0.5B", 20.0), ("3B", 10.0), ("1.5B", 3.0)):
        with attempt(name):
            whole(name, made(MODELS[name], torch.bfloat16), 1, 2048, ceiling, ROW, until)
        torch.cuda.empty_cache()
    print(f"   {left():.0f} s left")


if __name__ == "__main__":
    main()
