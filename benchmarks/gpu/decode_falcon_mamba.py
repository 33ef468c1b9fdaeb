"""FalconMamba-7B's decode kernels on a GPU: right or wrong, block sizes side by side, and the whole step against its floor.

    python benchmarks/gpu/decode_falcon_mamba.py [seconds]

Random weights at the published shapes. Every product has the next layer's weights to read each time, so the L2 cache is cold.
The floor is bytes / the read rate of a Triton kernel measured here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace

import torch
import triton
import triton.language as tl
from torch import Tensor

from modeling.config import parse_config
from modeling.decode.falcon_mamba import FalconMambaStep
from modeling.decode.inputs import StepInputs
from modeling.kernels import reference
from modeling.kernels.triton import mamba1_step, projection, rows
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
        for b in (1, 8, 64):
            attempt(f"products {dtype} b={b}", lambda dtype=dtype, b=b: check_products(dtype, b))
        model = model_of(4, dtype)
        for b in (1, 3, 64):
            attempt(f"4 layers {dtype} b={b}", lambda model=model, b=b: check_model(model, b))
        del model


# Block sizes side by side


def sweep(name: str, nbytes: int, rate: float, runs: dict[object, Callable[[], None]], count: int) -> object:
    """Time each variant, a graph of `count` launches, and print the best few. Gives the best one's key."""
    found: list[tuple[float, object]] = []
    failed = []
    for key, run in runs.items():
        if left() < 0:
            break
        try:
            found.append((seconds(graph_of(run).replay) / count, key))
        except Exception as error:
            failed.append(f"{_short(key)} {str(error).strip().splitlines()[-1][:90]}")
    found.sort(key=lambda pair: pair[0])
    print(f"-- {name}: {nbytes / 1e6:.1f} MB, floor {nbytes / rate * 1e6:.1f} µs")
    print("   " + " | ".join(f"{_short(key)} {t * 1e6:.1f}µs {nbytes / t / rate:.0%}" for t, key in found[:7]), flush=True)
    print(
        "   worst " + " | ".join(f"{_short(key)} {t * 1e6:.1f}" for t, key in found[-3:]),
        *failed,
        sep="\n   failed ",
        flush=True,
    )
    return found[0][1] if found else None


def _short(key: object) -> str:
    if isinstance(key, Blocks):
        return f"{key.outputs}×{key.columns}w{key.warps}s{key.stages}a{key.ahead}"
    if isinstance(key, mamba1_step.Sizes):
        return f"{key.outputs}×{key.columns}w{key.warps}+{key.channels}w{key.advance_warps} t{key.step} a{key.ahead}"
    return str(key)


def blocks(*sizes: tuple[int, ...]) -> list[Blocks]:
    return [Blocks(*size) for size in sizes]


ONE_IN = blocks(
    (1, 2048, 8), (1, 4096, 8), (2, 1024, 4), (2, 2048, 8), (2, 4096, 8), (2, 4096, 16), (4, 1024, 8), (4, 1024, 4),
    (4, 2048, 8), (4, 4096, 16), (1, 1024, 4), (1, 4096, 4), (2, 2048, 4), (8, 512, 8), (8, 1024, 8), (4, 512, 4),
    (8, 512, 4),
)  # fmt: skip
ONE_OUT = blocks(
    (1, 512, 8), (1, 1024, 8), (1, 2048, 8), (1, 4096, 8), (1, 8192, 8), (1, 8192, 16), (2, 2048, 8), (2, 4096, 8),
    (2, 4096, 16), (2, 1024, 4), (1, 1024, 4), (1, 2048, 4), (4, 1024, 8), (4, 2048, 8), (4, 1024, 4), (2, 512, 4),
    (4, 2048, 16),
)  # fmt: skip
ONE_HEAD = blocks(
    (1, 2048, 8), (1, 4096, 8), (2, 2048, 8), (2, 4096, 16), (4, 1024, 8), (4, 2048, 8), (2, 4096, 8), (1, 4096, 4),
)  # fmt: skip
FEW_IN = blocks(
    (64, 128, 4, 4), (64, 128, 4, 4, 1024), (64, 64, 4, 6), (64, 256, 4, 3), (32, 128, 4, 4), (32, 128, 4, 4, 1024),
    (32, 256, 4, 4), (128, 64, 4, 4), (128, 128, 8, 3, 1024), (64, 128, 8, 4), (32, 256, 4, 3, 1024),
)  # fmt: skip
FEW_OUT = blocks(
    (32, 128, 4, 4), (32, 128, 4, 4, 2048), (32, 128, 4, 4, 8192), (32, 256, 4, 4), (32, 256, 4, 4, 2048), (16, 256, 4, 4),
    (16, 256, 4, 4, 2048), (16, 512, 4, 3, 2048), (64, 128, 4, 6, 2048), (32, 256, 8, 4, 2048), (32, 512, 8, 3, 2048),
)  # fmt: skip
MANY_IN = blocks(
    (64, 64, 4, 4), (64, 64, 4, 5, 1024), (64, 128, 4, 4), (64, 128, 4, 3), (128, 64, 4, 4), (128, 64, 8, 4, 1024),
    (128, 64, 8, 5), (128, 128, 8, 3), (128, 128, 8, 4, 1024), (64, 128, 8, 3), (128, 64, 4, 6),
)  # fmt: skip
MANY_OUT = blocks(
    (32, 128, 4, 4), (32, 128, 4, 4, 2048), (32, 128, 4, 6), (32, 256, 4, 3), (64, 128, 4, 4), (64, 128, 4, 6, 2048),
    (64, 64, 4, 8), (16, 256, 4, 4), (32, 128, 8, 4), (32, 256, 8, 3, 2048), (64, 256, 8, 3),
)  # fmt: skip
STEP_ONE = [
    mamba1_step.Sizes(o, c, w, channels, aw, ahead=0)
    for (o, c, w), (channels, aw) in [
        ((16, 512, 8), (64, 8)), ((8, 512, 4), (64, 8)), ((8, 1024, 8), (64, 8)), ((16, 512, 4), (64, 8)),
        ((32, 256, 8), (64, 8)), ((16, 1024, 8), (64, 8)), ((4, 2048, 8), (64, 8)), ((16, 512, 8), (32, 4)),
        ((16, 512, 8), (32, 8)), ((16, 512, 8), (64, 4)), ((8, 1024, 8), (32, 4)), ((8, 1024, 8), (16, 4)),
        ((4, 2048, 8), (16, 4)), ((4, 2048, 8), (32, 4)),
    ]
]  # fmt: skip
STEP_MANY = [
    mamba1_step.Sizes(o, c, 4, channels, aw, step=s)
    for (o, c, s), (channels, aw) in [
        ((32, 1024, 128), (32, 4)), ((32, 512, 128), (32, 4)), ((16, 1024, 128), (32, 4)), ((32, 1024, 64), (32, 4)),
        ((32, 2048, 128), (32, 4)), ((32, 1024, 128), (32, 8)), ((32, 1024, 128), (16, 4)), ((32, 1024, 128), (64, 8)),
        ((32, 1024, 128), (16, 2)), ((32, 1024, 128), (16, 8)),
    ]
]  # fmt: skip


def sweeps(model: FalconMamba, b: int, rate: float) -> dict[str, object]:
    """Each kernel by itself over the weights of many layers. Gives the best block sizes."""
    many = 16
    step = FalconMambaStep(model, model.make_state(b), inputs_of(b), b)
    layers, best = step.layers[:many], {}
    step.h.normal_(), step.xz.normal_(), step.y.normal_()

    def each(call: Callable[..., None]) -> Callable[[], None]:
        return lambda: [call(layer) for layer in layers] and None

    def convolved(size: Blocks) -> Callable[[], None]:
        return each(lambda m: projection.project_convolved(step.h, m.in_proj, step.xz, m.conv, norm=m.norm, blocks=size))

    def out(size: Blocks) -> Callable[[], None]:
        return each(lambda m: projection.project(step.y, m.out_proj, step.h, residual=step.h, blocks=size))

    lists = (ONE_IN, ONE_OUT, ONE_HEAD, STEP_ONE) if b == 1 else (FEW_IN, FEW_OUT, FEW_IN, STEP_MANY)
    if b > 32:
        lists = (MANY_IN, MANY_OUT, MANY_IN, STEP_MANY)
    nbytes = layers[0].in_proj.nbytes
    best["in"] = sweep(f"in_proj b={b}", nbytes, rate, {s: convolved(s) for s in lists[0]}, many)
    if b == 1:
        plain, normal = step.y[:, :4096].contiguous(), Norm(step.norm.weight, 1e-5)
        size = best["in"] or Blocks(1, 2048)
        runs = {
            "plain": each(lambda m: projection.project(plain, m.in_proj, step.xz, blocks=size)),
            "fp32 x": each(lambda m: projection.project(step.h, m.in_proj, step.xz, blocks=size)),
            "normed": each(lambda m: projection.project(step.h, m.in_proj, step.xz, norm=normal, blocks=size)),
        }
        sweep("in_proj, less of it", nbytes, rate, runs, many)
    best["out"] = sweep(f"out_proj b={b}", layers[0].out_proj.nbytes, rate, {s: out(s) for s in lists[1]}, many)

    def head(size: Blocks) -> Callable[[], None]:
        return lambda: (
            [projection.project(step.h, step.head, step.logits, norm=step.norm, blocks=size) for _ in range(2)] and None
        )

    best["head"] = sweep(f"lm_head b={b}", step.head.nbytes, rate, {s: head(s) for s in lists[2]}, 2)

    def advance(size: mamba1_step.Sizes) -> Callable[[], None]:
        scratch = mamba1_step.Scratch.empty(b, layers[0].recurrence, size)
        active = step.layers[0].conv.active
        return each(lambda m: mamba1_step.step(step.xz, m.recurrence, m.ssm, active, scratch, step.y, sizes=size))

    m = layers[0].recurrence
    nbytes = sum(w.nbytes for w in (m.x_proj, m.dt_proj, m.A)) + 2 * step.layers[0].ssm.nbytes
    best["step"] = sweep(f"x_proj … gate b={b}", nbytes, rate, {s: advance(s) for s in lists[3]}, many)
    return best


# The whole step


def whole(model: FalconMamba, b: int, rate: float, best: dict[str, object]) -> None:
    state, inputs = model.make_state(b), inputs_of(b)
    unread = model.backbone.embeddings.weight.nbytes
    weights = sum(w.nbytes for w in model.parameters()) - unread
    nbytes = weights + 2 * sum(m.ssm.nbytes + m.conv.nbytes for m in state.mamba)
    defaults = projection.choose, mamba1_step.choose

    def chosen(count: int, outputs: int, width: int, dtype: torch.dtype, gated: bool = False) -> Blocks:
        name = {16384: "in", 4096: "out", 65024: "head"}.get(outputs, "")
        found = best.get(name)
        return found if isinstance(found, Blocks) else defaults[0](count, outputs, width, dtype, gated)

    def timed(pdl: bool, ahead: int, own: bool) -> str:
        sizes = best.get("step")
        sizes = sizes if own and isinstance(sizes, mamba1_step.Sizes) else defaults[1](b, 8192, torch.bfloat16)
        sizes = replace(sizes, ahead=ahead)
        mamba1_step.choose = lambda *_: sizes
        projection.choose = chosen if own else defaults[0]
        for module in (projection, rows, mamba1_step):
            module.overlaps = OVERLAPS if pdl else lambda device: False
        graph = graph_of(FalconMambaStep(model, state, inputs, b))
        t = seconds(graph.replay, 15)
        return f"{t * 1e3:.3f} ms, {b / t:.0f} tok/s, {nbytes / t / rate:.1%} of the floor ({nbytes / rate * 1e3:.2f} ms)"

    variants = [(True, 256, False), (True, 0, True), (False, 0, True)]
    if b == 1:
        variants += [(True, ahead, True) for ahead in (64, 128, 192, 256, 384, 512, 1024)]
    for pdl, ahead, own in variants:
        name = f"whole b={b} pdl={pdl:d} ahead={ahead} {'best' if own else 'as in the code'}"
        attempt(name, lambda pdl=pdl, ahead=ahead, own=own: timed(pdl, ahead, own))
    projection.choose, mamba1_step.choose = defaults
    for module in (projection, rows, mamba1_step):
        module.overlaps = OVERLAPS


def main() -> None:
    print(torch.cuda.get_device_name(), torch.__version__, triton.__version__)
    correctness()
    rate = read_rate()
    print(f"read ceiling {rate / 1e12:.2f} TB/s, {left():.0f} s left", flush=True)
    model = model_of(64, torch.bfloat16)
    with torch.inference_mode():
        for b in (1, 64, 8):
            best: dict[str, object] = {}
            try:
                best = sweeps(model, b, rate)
            except Exception as error:
                print(f"sweep b={b} FAILED {type(error).__name__} {str(error)[-200:]}")
            whole(model, b, rate, best)
            print(f"   {left():.0f} s left", flush=True)


if __name__ == "__main__":
    main()
