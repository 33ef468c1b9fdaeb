"""FalconMamba-7B's decode kernels on a GPU: right or wrong, and the whole step against its floor, block sizes side by side.

    python benchmarks/gpu/decode_falcon_mamba.py [seconds]

Random weights at the published shapes, all 64 layers in one CUDA graph, so each weight comes from memory. The floor is bytes /
the read rate of a Triton kernel measured here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from modeling.config import parse_config
from modeling.decode import falcon_mamba
from modeling.decode.falcon_mamba import FalconMambaStep
from modeling.decode.inputs import StepInputs
from modeling.kernels import reference
from modeling.kernels.triton import mamba1_step, projection
from modeling.kernels.triton.mamba1_step import Sizes
from modeling.kernels.triton.projection import Blocks, Convolved, Norm
from modeling.models import FalconMamba, build

START = time.perf_counter()
LIMIT = float(sys.argv[1]) if len(sys.argv) > 1 else 85.0
DEVICE = torch.device("cuda")
OVERLAPS = projection.overlaps
CONFIG = {
    "model_type": "falcon_mamba", "vocab_size": 65024, "hidden_size": 4096, "state_size": 16, "num_hidden_layers": 64,
    "intermediate_size": 8192, "expand": 2, "time_step_rank": 256, "conv_kernel": 4, "use_bias": False, "use_conv_bias":
    True, "tie_word_embeddings": False, "residual_in_fp32": True, "layer_norm_epsilon": 1e-5, "mixer_rms_eps": 1e-6,
    "bos_token_id": 0, "eos_token_id": None, "pad_token_id": 0,
}  # fmt: skip


def left() -> float:
    return LIMIT - (time.perf_counter() - START)


def attempt(name: str, run: Callable[[], str]) -> None:
    """Print what `run` says, or the last line of what went wrong; nothing when time is up."""
    if left() < 0:
        return
    try:
        print(f"{name:34s} {run()}", flush=True)
    except Exception as error:
        print(f"{name:34s} FAILED {type(error).__name__} {str(error).strip().splitlines()[-1][:150]}", flush=True)


def graph_of(run: Callable[[], None]) -> torch.cuda.CUDAGraph:
    run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph


def seconds(run: Callable[[], None], repeats: int = 9) -> float:
    """The median time of a call."""
    run()
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeats)]
    for before, after in events:
        before.record()
        run()
        after.record()
    torch.cuda.synchronize()
    return sorted(before.elapsed_time(after) for before, after in events)[repeats // 2] / 1e3


@triton.jit
def _read(x, out, SIZE: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    tl.store(out + tl.program_id(0), tl.sum(tl.load(x + i).to(tl.float32)))


def read_rate() -> float:
    """Bytes a second: the best of 20 reads of 4 GiB."""
    x = torch.ones(2**31, dtype=torch.bfloat16, device=DEVICE)
    size = 16384
    out = torch.empty(x.numel() // size, device=DEVICE)

    def read() -> None:
        _read[(out.numel(),)](x, out, SIZE=size, num_warps=8)

    return max(x.nbytes / seconds(read, 1) for _ in range(20))


@torch.no_grad()
def model_of(layers: int, dtype: torch.dtype) -> FalconMamba:
    with torch.device("meta"):
        model = build(parse_config(CONFIG | {"num_hidden_layers": layers}))
    model = model.to(dtype).to_empty(device=DEVICE).eval().requires_grad_(False)
    torch.manual_seed(0)
    for name, weight in model.named_parameters():
        if name.endswith("A_log"):
            weight.copy_(torch.arange(1, 17, device=DEVICE).float().log().expand_as(weight))
        elif name.endswith("dt_proj.bias"):
            weight.normal_(-3.0, 1.0)
        elif name.endswith(".D") or "norm" in name:
            weight.normal_(1.0, 0.2)
        elif weight.dim() == 1:
            weight.normal_(0.0, 0.2)
        elif "embed" in name:
            weight.normal_()
        else:
            weight.normal_(0.0, weight[0].numel() ** -0.5)
    return model


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def inputs_of(count: int) -> StepInputs:
    inputs = StepInputs.zeros(count, 1, DEVICE)
    inputs.active.fill_(1)
    inputs.ids.copy_(torch.randint(0, 65024, (count,), device=DEVICE))
    return inputs


# Right or wrong


@torch.inference_mode()
def check_products(dtype: torch.dtype, b: int) -> str:
    """in_proj with norm and convolution, out_proj with residual: errors against fp64, those of torch in brackets."""
    torch.manual_seed(b)
    d, e, k = 4096, 8192, 4
    w = (torch.randn(2 * e, d, device=DEVICE) * d**-0.5).to(dtype)
    norm = Norm(torch.randn(d, device=DEVICE).to(dtype), 1e-5)
    conv_weight, conv_bias = torch.randn(e, k, device=DEVICE).to(dtype), torch.randn(e, device=DEVICE).to(dtype)
    state = torch.randn(b, k, e, device=DEVICE).to(dtype).mT
    h = 3 * torch.randn(b, d, device=DEVICE)
    torch_state, law_state = state.clone(), state.double().mT.contiguous().mT
    xz = torch.full((b, 2 * e), torch.nan, dtype=dtype, device=DEVICE)
    conv = Convolved(0, conv_weight, conv_bias, state, torch.ones(b, dtype=torch.int32, device=DEVICE))
    projection.project_convolved(h, w, xz, conv, norm=norm)

    wide = reference.rms_norm(h.to(dtype).double(), norm.weight.double(), 1e-5) @ w.double().T
    x = reference.causal_conv(wide[:, None, :e], conv_weight.double(), conv_bias.double(), law_state)[:, 0]
    narrow = reference.rms_norm(h.to(dtype), norm.weight, 1e-5) @ w.T
    torch_x = reference.causal_conv(narrow[:, None, :e], conv_weight, conv_bias, torch_state)[:, 0]
    said = f"x {error(xz[:, :e], x):.1e} ({error(torch_x, x):.1e}) z {error(xz[:, e:], wide[:, e:]):.1e}"

    w = (torch.randn(d, e, device=DEVICE) * e**-0.5).to(dtype)
    y = torch.randn(b, e, device=DEVICE).to(dtype)
    expected = h.double() + y.double() @ w.double().T
    by_torch = error(h + y @ w.T, expected)
    projection.project(y, w, h, residual=h)
    return f"{said} state {error(state, law_state):.1e} out {error(h, expected):.1e} ({by_torch:.1e})"


@torch.inference_mode()
def check_model(model: FalconMamba, b: int) -> str:
    """Three steps of a model against its own `step`."""
    states = [model.make_state(b) for _ in range(2)]
    for ours, law in zip(states[0].mamba, states[1].mamba, strict=True):
        law.conv.normal_(), law.ssm.normal_(0, 0.1), ours.copy_(law)
    inputs = inputs_of(b)
    step = FalconMambaStep(model, states[0], inputs, b)
    errors = []
    for _ in range(3):
        inputs.ids.random_(0, 65024)
        step.logits.fill_(torch.nan)
        step()
        errors.append(f"{error(step.logits, model.step(inputs.ids, states[1])):.1e}")
    ssm = max(error(x.ssm, y.ssm) for x, y in zip(states[0].mamba, states[1].mamba, strict=True))
    conv = max(error(x.conv, y.conv) for x, y in zip(states[0].mamba, states[1].mamba, strict=True))
    return f"logits {' '.join(errors)} ssm {ssm:.1e} conv {conv:.1e}"


def correctness() -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    for dtype in (torch.bfloat16, torch.float32):
        for b in (1, 64):
            attempt(f"products {dtype} b={b}", lambda dtype=dtype, b=b: check_products(dtype, b))
        model = model_of(4, dtype)
        for b in (1, 3, 64):
            attempt(f"4 layers {dtype} b={b}", lambda model=model, b=b: check_model(model, b))
        del model


# The whole step, block sizes side by side

Setting = dict[str, Any]
"""x, z, head, out, dt: Blocks; step: Sizes; parts: out_proj's (splits, outputs, columns, warps, stages); pdl: bool."""

BESIDE = Sizes(16, 512, channels=32, warps=8, z=Blocks(2, 0, 8, repeat=4), early=4096, before=(132, 132))
ONE: Setting = {
    "x": Blocks(4, 0, 8, repeat=2), "out": Blocks(2, 0, 8, repeat=4), "head": Blocks(2, 2048), "step": BESIDE, "pdl": True,
}  # fmt: skip
ONE_OPTIONS: dict[str, list[Any]] = {
    "out": [Blocks(o, 0, w, repeat=r) for o, w, r in ((2, 8, 1), (2, 8, 2), (1, 8, 4), (1, 8, 8), (2, 16, 2), (4, 16, 1))],
    "step": [
        *(replace(BESIDE, before=before) for before in ((0, 0), (132, 0), (264, 0), (0, 132), (264, 264), (132, 512))),
        *(replace(BESIDE, early=early) for early in (3072, 5120, 6144)),
        *(replace(BESIDE, z=Blocks(o, 0, 8, repeat=r)) for o, r in ((4, 2), (4, 4))),
        replace(BESIDE, outputs=32), replace(BESIDE, channels=64),
    ],
    "x": [Blocks(o, 0, w, repeat=r) for o, w, r in ((2, 8, 2), (2, 8, 4), (4, 8, 1), (4, 8, 4), (4, 16, 1), (8, 16, 1))],
    "pdl": [False],
}  # fmt: skip
MANY: Setting = {
    "in": Blocks(64, 128, 4, 3), "head": Blocks(64, 128, 4, 3), "dt": Blocks(64, 128, 4, 3), "parts": (2, 64, 128, 4, 4),
    "step": Sizes(64, 512, 128, 4), "pdl": True,
}  # fmt: skip
MANY_OPTIONS: dict[str, list[Any]] = {
    "parts": [(4, 64, 128, 4, 3)],
    "step": [Sizes(64, 1024, 128, 4)],
}  # fmt: skip


def apply(setting: Setting) -> None:
    """Let the kernels' choices be these."""
    by_outputs = {16384: "in", 4096: "out", 65024: "head", 8192: "dt"}
    projection.choose = lambda rows, outputs, *_: setting[by_outputs[outputs]]
    projection.choose_whole = lambda outputs, width: setting["x" if width == 4096 else "out"]
    mamba1_step.choose = lambda *_: setting["step"]
    falcon_mamba.OUT_SPLITS, falcon_mamba.OUT = setting.get("parts", (1,))[0], setting.get("parts", (1,))[1:]
    for module in (projection, mamba1_step):
        module.overlaps = OVERLAPS if setting["pdl"] else lambda device: False


def short(value: object) -> str:
    if isinstance(value, Blocks):
        return f"{value.outputs}×{value.columns} w{value.warps} s{value.stages} r{value.repeat}"
    if isinstance(value, Sizes):
        of_z = f" z {value.z.outputs}r{value.z.repeat} {value.early} {value.before}" if value.z else ""
        return f"{value.outputs}×{value.columns} {value.channels}{of_z}"
    return str(value)


def tune(model: FalconMamba, b: int, rate: float, setting: Setting, options: dict[str, list[Any]]) -> None:
    """From a setting on, one choice after the other is replaced by the best of its options in the whole step."""
    state, inputs = model.make_state(b), inputs_of(b)
    weights = sum(w.nbytes for w in model.parameters()) - model.backbone.embeddings.weight.nbytes
    floor = (weights + 2 * sum(m.ssm.nbytes + m.conv.nbytes for m in state.mamba)) / rate

    def timed(setting: Setting) -> float:
        apply(setting)
        return seconds(graph_of(FalconMambaStep(model, state, inputs, b)).replay, 15)

    best = timed(setting)
    print(f"b={b}: {best * 1e3:.3f} ms = {floor / best:.1%} of the floor ({floor * 1e3:.2f} ms)", flush=True)
    for name, values in options.items():
        found = [f"[{short(setting[name])}]"]
        for value in values:
            if left() < 0:
                break
            try:
                t = timed(setting | {name: value})
            except Exception as error:
                found.append(f"{short(value)} {str(error).strip().splitlines()[-1][:60]}")
                continue
            found.append(f"{short(value)} {t * 1e3:.3f}")
            if t < best:
                best, setting = t, setting | {name: value}
        print(f"   {name}: " + " | ".join(found), flush=True)
    print(f"b={b}: {best * 1e3:.3f} ms, {b / best:.0f} tok/s, {floor / best:.1%} of the floor", flush=True)
    print(
        "   with " + ", ".join(f"{name} {short(value)}" for name, value in setting.items()),
        f"; {left():.0f} s left",
        flush=True,
    )


def pieces(model: FalconMamba, rate: float) -> None:
    """What parts of a layer cost by themselves and one after the other, 64 layers in a graph, one row."""
    apply(ONE)
    step = FalconMambaStep(model, model.make_state(1), inputs_of(1), 1)
    step.h.normal_(), step.xz.normal_(), step.y.normal_()
    e = 8192

    def x(layer: Any) -> None:
        projection.project_convolved(step.h, layer.in_proj[:e], step.xz[:, :e], layer.conv, norm=layer.norm)

    def both(layer: Any) -> None:
        gate = mamba1_step.Gate(step.h, layer.norm, layer.in_proj[e:], None)
        mamba1_step.step_row(step.xz, layer.recurrence, gate, layer.ssm, layer.conv.active, step.scratch, step.y)

    def out(layer: Any) -> None:
        projection.project_swished(step.y, step.xz[:, e:], layer.out_proj, step.h, step.h, None)

    def plain(layer: Any) -> None:
        projection.project(step.y, layer.out_proj, step.h, residual=step.h, blocks=Blocks(2, 4096))

    floors = {"x": 2**26, "both": 2**26 + 9 * 2**20 + 2**19 * 3, "out": 2**26, "plain": 2**26}
    for calls in ((x,), (both,), (out,), (plain,), (x, both), (both, out), (x, both, out), (x, both, plain)):

        def run(calls: tuple[Callable[[Any], None], ...] = calls) -> None:
            for layer in step.layers:
                for call in calls:
                    call(layer)

        floor = sum(floors[call.__name__] for call in calls) / rate * 1e6
        name = " → ".join(call.__name__ for call in calls)
        attempt(name, lambda run=run, floor=floor: f"{seconds(graph_of(run).replay) / 64 * 1e6:.1f} µs, floor {floor:.1f}")


def main() -> None:
    print(torch.cuda.get_device_name(), torch.__version__, triton.__version__)
    correctness()
    rate = read_rate()
    print(f"read ceiling {rate / 1e12:.2f} TB/s, {left():.0f} s left", flush=True)
    model = model_of(64, torch.bfloat16)
    with torch.inference_mode():
        pieces(model, rate)
        few = MANY | {name: replace(MANY[name], stages=4) for name in ("in", "head", "dt")}
        for b, setting, options in ((1, ONE, ONE_OPTIONS), (64, MANY, MANY_OPTIONS), (8, few, MANY_OPTIONS)):
            try:
                tune(model, b, rate, setting, options)
            except Exception as error:
                print(f"b={b} FAILED {type(error).__name__} {str(error)[-200:]}", flush=True)


if __name__ == "__main__":
    main()
