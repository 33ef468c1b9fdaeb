"""Falcon-H1-7B's prefill kernels on a GPU: right or wrong, block sizes side by side, a stack of layers against the matmuls.

    python benchmarks/gpu/prefill_falcon_h1.py [seconds] [section …]

Random weights at the published shapes. The matmul rate is the best of 20 products of 8192³ in bf16, measured here. Kernels are
timed one by one by the profiler, with what they read gone from the L2 cache. Helpers of this program compile the variants of
the sweeps side by side (`warm`), before anything is timed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import inf

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from modeling import kernels
from modeling.config import FalconH1Config, parse_config
from modeling.kernels import reference
from modeling.kernels.triton import attention, ssd, swiglu
from modeling.layers.attention import Rotation, rotation
from modeling.memory import KVCache, MambaState
from modeling.models.falcon_h1 import FalconH1Block
from modeling.state import LayerState

START = time.perf_counter()
WARM = len(sys.argv) > 2 and sys.argv[1] == "warm"
LIMIT = float(sys.argv[1]) if len(sys.argv) > 1 and not WARM else 85.0
HELPERS = 7
DEVICE = torch.device("cuda")
BF16 = torch.bfloat16
H, P, N, D, F_, HEADS, GROUPS, WIDTH = 24, 128, 256, 3072, 12288, 12, 2, 128  # of the 7B
CONV = H * P + 2 * N
LAYER_FLOP = 2 * (D * (H * P + CONV + H) + D * (HEADS + 2 * GROUPS) * WIDTH + HEADS * WIDTH * D + H * P * D + 3 * D * F_)
LAYERS, STACK = 44, 4
LENGTHS = (512, 2048, 8192)
LIMITS = (0.0, inf)
CONFIG = {
    "model_type": "falcon_h1", "vocab_size": 130049, "hidden_size": D, "num_hidden_layers": LAYERS, "intermediate_size": F_,
    "num_attention_heads": HEADS, "num_key_value_heads": GROUPS, "head_dim": WIDTH, "mamba_d_ssm": H * P, "mamba_n_heads": H,
    "mamba_d_head": P, "mamba_n_groups": 1, "mamba_d_state": N, "mamba_d_conv": 4, "mamba_rms_norm": True, "rope_theta": 1e11,
    "mamba_norm_before_gate": False, "max_position_embeddings": 262144, "embedding_multiplier": 5.656854249492381,
    "key_multiplier": 0.030690398488999456, "attention_out_multiplier": 0.10416666666666667,
    "ssm_in_multiplier": 0.4166666666666667, "ssm_out_multiplier": 0.11785113019775793,
    "mlp_multipliers": [0.2946278254943948, 0.032552083333333336],
    "ssm_multipliers": [0.35355, 0.25, 0.17678, 0.5, 0.35355],
}  # fmt: skip
WALKS = (  # p, n, chunk, warps, stages
    (64, 128, 256, 8, 2), (128, 64, 256, 8, 2), (64, 64, 256, 4, 2), (64, 128, 128, 4, 2), (64, 64, 128, 4, 2),
    (32, 256, 128, 4, 2), (64, 64, 64, 4, 2), (64, 64, 64, 4, 4),
)  # fmt: skip
SPEAKS = (  # tokens, p, tokens, n, chunk, warps, stages
    (64, 128, 32, 64, 256, 4, 3), (64, 128, 32, 64, 128, 4, 3), (64, 128, 64, 64, 64, 4, 3), (64, 128, 32, 64, 64, 4, 2),
    (64, 128, 32, 64, 256, 4, 2), (64, 128, 32, 32, 256, 4, 3), (64, 128, 32, 128, 256, 4, 3), (64, 64, 32, 64, 256, 4, 3),
)  # fmt: skip
BOTH = (ssd.LARGE, replace(ssd.LARGE, chunk=128, walk_warps=4), ssd.SMALL)
ATTENTIONS = (  # rows, keys, warps, stages
    (128, 64, 8, 3), (128, 64, 8, 4), (128, 128, 8, 3), (64, 64, 4, 3), (128, 64, 8, 2), (64, 32, 4, 4),
)  # fmt: skip
SWIGLUS = ((1024, 2), (1024, 4), (2048, 4), (2048, 8), (4096, 8), (4096, 4))  # columns, warps


def left() -> float:
    return LIMIT - (time.perf_counter() - START)


def attempt(name: str, run: Callable[[], str]) -> None:
    """Print what `run` says, or the last line of what went wrong; nothing when time is up."""
    if left() < 0:
        print(f"{name:24s} no time left")
        return
    try:
        print(f"{name:24s} {run()}", flush=True)
    except Exception as error:
        print(f"{name:24s} FAILED {type(error).__name__} {str(error).strip().splitlines()[-1][:150]}", flush=True)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def flush() -> Tensor:
    """Memory whose filling drives all else out of the L2 cache."""
    return torch.empty(2**26, dtype=torch.int32, device=DEVICE)


def seconds(run: Callable[[], object], repeats: int = 7) -> float:
    """The median time of a call."""
    run()
    other = flush()
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeats)]
    for before, after in events:
        other.zero_()
        before.record()
        run()
        after.record()
    torch.cuda.synchronize()
    return sorted(before.elapsed_time(after) for before, after in events)[repeats // 2] / 1e3


def kernel_times(runs: list[Callable[[], object]], name: str, repeats: int = 3) -> list[float]:
    """The median µs of the one kernel `name` in every run."""
    other = flush()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
        for run in runs:
            for _ in range(repeats):
                other.zero_()
                run()
        torch.cuda.synchronize()
    found = sorted(
        (e.time_range.start, e.time_range.elapsed_us())
        for e in seen.events()
        if e.device_type.name == "CUDA" and e.name == name
    )
    assert len(found) == repeats * len(runs), f"{len(found)} kernels {name} in {len(runs)} runs"
    took = [us for _, us in found]
    return [sorted(took[i * repeats : (i + 1) * repeats])[repeats // 2] for i in range(len(runs))]


def matmul_rate() -> float:
    a, b = (torch.randn(8192, 8192, device=DEVICE, dtype=BF16) for _ in range(2))
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(20)]
    for _ in range(3):
        a @ b
    for before, after in events:
        before.record()
        a @ b
        after.record()
    torch.cuda.synchronize()
    return 2 * 8192**3 / min(before.elapsed_time(after) for before, after in events) * 1e3


# Right or wrong


def ssd_inputs(length: int, dtype: torch.dtype, h: int = H, p: int = P, g: int = 1, n: int = N) -> tuple[list[Tensor], Tensor]:
    """x, dt, A, B, C, D, dt_bias as the layer makes them, views among them; and a state."""
    torch.manual_seed(length)
    convolved = torch.randn(1, length, h * p + 2 * g * n, device=DEVICE).to(dtype)
    dt = torch.randn(1, length, 2 * h * p + 2 * g * n + h, device=DEVICE).to(dtype)[..., -h:]
    x, B, C = convolved.split((h * p, g * n, g * n), dim=-1)
    A, skip = -torch.arange(1, h + 1, device=DEVICE).float() * 16 / h, torch.randn(h, device=DEVICE).to(dtype)
    bias = (torch.randn(h, device=DEVICE) - 4).to(dtype)
    B, C = (tensor.unflatten(-1, (g, n)) for tensor in (B, C))
    return [x.unflatten(-1, (h, p)), dt, A, B, C, skip, bias], torch.randn(1, h, p, n, device=DEVICE)


def check_ssd(length: int, dtype: torch.dtype, shape: tuple[int, int, int, int]) -> str:
    exact, first = ssd_inputs(length, torch.float32, *shape)
    inputs = [e if i == 2 else e.to(dtype) for i, e in enumerate(exact)]
    ours, law, true, cut = (first.clone() for _ in range(4))
    y = ssd.ssd(*inputs, LIMITS, ours)
    y_law, y_true = reference.ssd(*inputs, LIMITS, law), reference.ssd(*exact, LIMITS, true)
    again = first.clone()
    same = torch.equal(ssd.ssd(*inputs, LIMITS, again), y) and torch.equal(again, ours)
    text = f"{'' if same else 'NOT THE SAME TWICE '}y {error(y, y_law):.1e} state {error(ours, law):.1e}"
    if dtype != torch.float32:
        text += f"; from unrounded inputs {error(y, y_true):.1e} (the law {error(y_law, y_true):.1e})"
        text += f" state {error(ours, true):.1e} ({error(law, true):.1e})"
    if length > 1:
        at = length // 3 + 1
        parts = []
        for part in (slice(0, at), slice(at, length)):
            x, dt, A, B, C, skip, bias = (t[:, part] if t.dim() > 2 else t for t in inputs)
            parts.append(ssd.ssd(x, dt, A, B, C, skip, bias, LIMITS, cut))
        text += f" cut {error(torch.cat(parts, 1), y):.0e}"
    return text


def check_ssds() -> None:
    small, large = (24, 64, 1, 128), (32, 128, 2, 256)
    for length in (1, 3, 63, 64, 65, 500, 2048):
        attempt(f"ssd 7B bf16 {length}", partial(check_ssd, length, BF16, (H, P, 1, N)))
    for length in (1, 65, 500):
        attempt(f"ssd 7B fp32 {length}", partial(check_ssd, length, torch.float32, (H, P, 1, N)))
    attempt("ssd 0.5B bf16 500", partial(check_ssd, 500, BF16, small))
    attempt("ssd 0.5B fp32 500", partial(check_ssd, 500, torch.float32, small))
    attempt("ssd 34B bf16 500", partial(check_ssd, 500, BF16, large))


def memory(length: int, past: int, scattered: bool, dtype: torch.dtype = BF16) -> tuple[list[Tensor], KVCache]:
    """q, k, v of `length` new tokens after `past` others; scattered: in pages of 256 in any order."""
    m = past + length
    qk = torch.randn(1, length, HEADS + GROUPS, WIDTH, device=DEVICE).to(dtype)
    v = torch.randn(1, length, GROUPS, WIDTH, device=DEVICE).to(dtype)
    pages = -(-m // 256) + 3
    keys, values = (torch.randn(pages * 256, GROUPS, WIDTH, device=DEVICE).to(dtype) for _ in "kv")
    if scattered:
        rows = (torch.randperm(pages, device=DEVICE)[:, None] * 256 + torch.arange(256, device=DEVICE)).flatten()[:m]
        return [*qk.split((HEADS, GROUPS), dim=2), v], KVCache(keys, values, rows[past:], [rows])
    written = torch.arange(256 + past, 256 + m, device=DEVICE)
    return [*qk.split((HEADS, GROUPS), dim=2), v], KVCache(keys, values, written, [slice(256, 256 + m)])


def check_attention(length: int, past: int, scattered: bool, dtype: torch.dtype) -> str:
    new, cache = memory(length, past, scattered, dtype)
    found = attention.attention(*new, cache)
    exact = KVCache(cache.keys.float(), cache.values.float(), cache.written, cache.context)
    law = reference.attention(*(t.float() for t in new), exact)
    return f"{error(found, law):.1e} (torch {error(reference.attention(*new, cache), law):.1e})"


def check_attentions() -> None:
    for length, past in ((1, 0), (1, 5000), (3, 2000), (65, 1), (65, 20000), (500, 0), (500, 700), (2048, 20000)):
        attempt(
            f"attention {length}+{past}",
            lambda n=length, m=past: " pages ".join(check_attention(n, m, scattered, BF16) for scattered in (False, True)),  # type: ignore[misc]
        )
    attempt("attention fp32 65+200", partial(check_attention, 65, 200, False, torch.float32))
    attempt("attention fp32 300+0", partial(check_attention, 300, 0, True, torch.float32))


def check_swiglu() -> str:
    gate, up = (torch.randn(99, F_, device=DEVICE).bfloat16() for _ in "gu")
    exact = reference.swiglu(gate.double(), up.double(), 0.3)
    return f"{error(swiglu.swiglu(gate, up, 0.3), exact):.1e} (torch {error(reference.swiglu(gate, up, 0.3), exact):.1e})"


# Block sizes


def walk_run(variant: tuple[int, ...], inputs: tuple[list[Tensor], Tensor]) -> Callable[[], object]:
    p, n, chunk, warps, stages = variant
    sizes = ssd.Sizes(chunk, (p, n), (64, 64), (64, 64), 64, warps, stages)
    return partial(ssd.ssd_in_chunks, *inputs[0], LIMITS, inputs[1], sizes)


def speak_run(variant: tuple[int, ...], inputs: tuple[list[Tensor], Tensor]) -> Callable[[], object]:
    tokens, p, j, n, chunk, warps, stages = variant
    sizes = ssd.Sizes(chunk, (64, 64), (tokens, p), (j, n), 64, 4, 2, warps, stages)
    return partial(ssd.ssd_in_chunks, *inputs[0], LIMITS, inputs[1], sizes)


def attention_run(variant: tuple[int, ...], inputs: tuple[list[Tensor], KVCache], splits: int = 0) -> Callable[[], object]:
    new, cache = inputs
    sizes = attention.Sizes(*variant)
    return partial(attention.attend, new[0], cache.keys, cache.values, cache.context[0], sizes, splits)


def warm(which: int) -> None:
    """Compile this helper's share of the variants."""
    small = ssd_inputs(512, BF16)
    runs = [walk_run(v, small) for v in WALKS] + [speak_run(v, small) for v in SPEAKS]
    for scattered in (False, True):
        inputs = memory(512, 512, scattered)
        runs += [attention_run(v, inputs, 1) for v in ATTENTIONS[: 4 if scattered else None]]
    for run in runs[which::HELPERS]:
        try:
            run()
        except Exception:  # it will fail again where somebody reads it
            continue
    torch.cuda.synchronize()


def table(name: str, kernel: str, variants: dict[str, Callable[[int], Callable[[], object]]]) -> None:
    """µs of the kernel in every variant at every length, the fastest first."""
    if left() < 0:
        return
    good: dict[str, list[Callable[[], object]]] = {}
    for variant, make in variants.items():
        try:
            good[variant] = [make(length) for length in LENGTHS]
            good[variant][0]()
            torch.cuda.synchronize()
        except Exception as problem:
            good.pop(variant, None)
            print(f"   {variant} FAILED {str(problem).strip().splitlines()[-1][:110]}")
    took = kernel_times([run for runs in good.values() for run in runs], kernel)
    rows = {variant: took[i * len(LENGTHS) : (i + 1) * len(LENGTHS)] for i, variant in enumerate(good)}
    best = [min(column) for column in zip(*rows.values(), strict=True)]
    print(f"-- {name}: µs at {LENGTHS}, * is best; {left():.0f} s left")
    for variant, row in sorted(rows.items(), key=lambda item: sum(us / b for us, b in zip(item[1], best, strict=True)))[:9]:
        cells = " ".join(f"{us:8.1f}{'*' if us == b else ' '}" for us, b in zip(row, best, strict=True))
        print(f"   {variant:28s} {cells}", flush=True)


def ssd_tables() -> None:
    inputs = {length: ssd_inputs(length, BF16) for length in LENGTHS}

    def at(make: Callable[..., Callable[[], object]], variant: tuple[int, ...]) -> Callable[[int], Callable[[], object]]:
        return lambda length: make(variant, inputs[length])

    table("ssd walk: p n chunk warps stages", "_walk", {str(v): at(walk_run, v) for v in WALKS})
    table("ssd speak: tokens p tokens n chunk warps stages", "_speak", {str(v): at(speak_run, v) for v in SPEAKS})
    chosen = {f"chunk {chunk}": at(walk_run, (64, 64, chunk, 4, 2)) for chunk in (64, 128, 256)}
    table("ssd prepare", "_prepare", chosen)
    for sizes in BOTH:
        attempt(f"   all, chunk {sizes.chunk}", partial(ssd_total, sizes, inputs))


def ssd_total(sizes: ssd.Sizes, inputs: dict[int, tuple[list[Tensor], Tensor]]) -> str:
    """All three kernels, in a graph: µs."""
    cells = []
    for length in LENGTHS:
        run = partial(ssd.ssd_in_chunks, *inputs[length][0], LIMITS, inputs[length][1], sizes)
        run()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
        cells.append(f"{1e6 * seconds(graph.replay):.1f}")
    return " ".join(cells)


def attention_flop(length: int, past: int) -> float:
    return 4.0 * HEADS * WIDTH * length * (past + (length + 1) / 2)


def attention_times(length: int, past: int, rate: float) -> str:
    """What runs there, the fastest first: µs, share of the matmul rate. "whole": not split."""
    inputs, pages = memory(length, past, False), memory(length, past, True)
    for new, cache in (inputs, pages):
        cache.write(*new[1:])
    runs = {f"{v}": attention_run(v, inputs) for v in ATTENTIONS}
    runs |= {f"pages {v}": attention_run(v, pages) for v in ATTENTIONS[:1]}
    runs |= {f"whole {v}": attention_run(v, inputs, 1) for v in ATTENTIONS[:1]}
    if past == 0:
        q, k, v = (t.transpose(1, 2) for t in inputs[0])
        runs["sdpa"] = partial(F.scaled_dot_product_attention, q, k, v, is_causal=True, enable_gqa=True)
    cells = []
    for name, run in runs.items():
        try:
            took = seconds(run, 3 if length > 8192 else 5)
            cells.append((took, f"{name} {1e6 * took:.0f} {attention_flop(length, past) / took / rate:.0%}"))
        except Exception as problem:
            cells.append((9.0, f"{name} FAILED {str(problem).strip().splitlines()[-1][:80]}"))
    return " | ".join(text for _, text in sorted(cells))


def attention_tables(rate: float) -> None:
    print(f"-- attention: µs, share of the matmul rate, {left():.0f} s left")
    for shape in ((512, 0), (512, 3000), (2048, 0), (8192, 0), (32768, 0), (2048, 2048), (2048, 30720), (4096, 28672)):
        attempt("   {}+{}".format(*shape), partial(attention_times, *shape, rate))


def split_table() -> str:
    cells = []
    for length, past in ((1, 32768), (64, 32768), (256, 32768), (64, 2000)):
        for scattered in (False, True):
            inputs = memory(length, past, scattered)
            sizes = attention.choose(inputs[0][0], HEADS // GROUPS)
            variant = (sizes.rows, sizes.keys, sizes.warps, sizes.stages)
            took = {s: 1e6 * seconds(attention_run(variant, inputs, s)) for s in (1, 8, 32, 0)}
            text = " ".join(f"{s or 'chosen'}: {us:.0f}" for s, us in took.items())
            cells.append(f"\n   {length}+{past}{' pages' if scattered else ''}: {text}")
    return "".join(cells)


def plan_costs() -> str:
    """torch's own attention: the first call at a length nobody asked for before, and the second."""

    def took(run: Callable[[], object]) -> str:
        times = []
        for _ in range(2):
            torch.cuda.synchronize()
            begin = time.perf_counter()
            run()
            torch.cuda.synchronize()
            times.append(time.perf_counter() - begin)
        return f"{1e3 * times[0]:.2f} then {1e3 * times[1]:.2f}"

    cells = []
    for length in (1501, 1502, 1503):
        q, k, v = (t.transpose(1, 2) for t in memory(length, 0, False)[0])
        cells.append(f"{length}: " + took(partial(F.scaled_dot_product_attention, q, k, v, is_causal=True, enable_gqa=True)))
    return "; ".join(cells)


def launch_costs() -> str:
    """What the host spends on a call, with nothing on the device to wait for."""

    def took(run: Callable[[], object]) -> float:
        times = []
        for _ in range(5):
            run()
            torch.cuda.synchronize()
            begin = time.perf_counter()
            for _ in range(100):
                run()
            times.append((time.perf_counter() - begin) / 100)
            torch.cuda.synchronize()
        return 1e6 * min(times)

    kernels.choose("auto", DEVICE)
    x, w = torch.randn(16, 64, device=DEVICE, dtype=BF16), torch.randn(64, 64, device=DEVICE, dtype=BF16)
    out, stream = torch.empty_like(x), torch.cuda.current_stream().cuda_stream
    gate = (x, x, out, 0.5, 64, 64, 64)
    compiled = swiglu._swiglu[(16,)](*gate, COLUMNS=64, num_warps=4)
    inputs, state = ssd_inputs(16, BF16)
    new, cache = memory(16, 0, False)
    runs: dict[str, Callable[[], object]] = {
        "empty": lambda: torch.empty(16, 64, device=DEVICE),
        "x * 2": lambda: x * 2,
        "linear": lambda: F.linear(x, w),
        "_swiglu[grid]": lambda: swiglu._swiglu[(16,)](*gate, COLUMNS=64, num_warps=4),
        "compiled[grid]": lambda: compiled[(16, 1, 1)](*gate, 64),
        "compiled.run": lambda: compiled.run(
            16, 1, 1, stream, compiled.function, compiled.packed_metadata, None, None, None, *gate, 64
        ),
        "swiglu": lambda: swiglu.swiglu(x, x, 0.5),
        "kernels.swiglu": lambda: kernels.swiglu(x, x, 0.5),
        "kernels.rms_norm": lambda: kernels.rms_norm(x, w[0], 1e-5),
        "ssd": lambda: ssd.ssd(*inputs, LIMITS, state),
        "attend": attention_run(ATTENTIONS[0], (new, cache), 1),
        "attention": lambda: attention.attention(*new, cache),
    }
    return " | ".join(f"{name} {took(run):.1f}" for name, run in runs.items())


def swiglu_table() -> None:
    inputs = {length: [torch.randn(length, F_, device=DEVICE).bfloat16() for _ in "gu"] for length in LENGTHS}

    def at(variant: tuple[int, int]) -> Callable[[int], Callable[[], object]]:
        return lambda length: partial(swiglu.swiglu_in_blocks, *inputs[length], 0.29, *variant)

    table("swiglu: columns warps", "_swiglu", {str(v): at(v) for v in SWIGLUS})


# A stack of layers


@triton.jit
def _turn(
    projected, cos, sin, keys, values, written, q, multiplier, width, first, HEADS: tl.constexpr, GROUPS: tl.constexpr,
    P: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Of one token: its queries and keys turned by their angles, and key and value stored where they belong."""
    token = tl.program_id(0).to(tl.int64)
    i, half = tl.arange(0, WIDE), P // 2
    c, s = tl.load(cos + token * P + i % P).to(tl.float32), tl.load(sin + token * P + i % P).to(tl.float32)
    here = projected + token * width + first
    inside = i < (HEADS + GROUPS) * P
    mine = tl.load(here + i, mask=inside, other=0.0).to(tl.float32)
    other = tl.load(here + i // P * P + (i + half) % P, mask=inside, other=0.0).to(tl.float32)
    turned = ((mine * c + other * s) * tl.where(i < HEADS * P, 1.0, multiplier)).to(q.dtype.element_ty)
    to = tl.load(written + token) * (GROUPS * P)
    tl.store(q + token * (HEADS * P) + i, turned, mask=i < HEADS * P)
    tl.store(keys + to + i - HEADS * P, turned, mask=inside & (i >= HEADS * P))
    v = tl.load(here + (HEADS + GROUPS) * P + i, mask=i < GROUPS * P, other=0.0)
    tl.store(values + to + i, v, mask=i < GROUPS * P)


class Lean:
    """A block with fewer passes, as a proposal: one product for all inputs, multipliers and residuals in the products' own
    scaling (addmm), one kernel for rotation and the cache, gate and up together. The vector of multipliers on the mixer's input
    is left out here: the convolution, the scan and the gate would apply it in passing."""

    def __init__(self, block: FalconH1Block) -> None:
        self.block = block
        a, f = block.self_attn, block.feed_forward
        self.inner = torch.cat((block.mamba.in_proj.weight, a.q_proj.weight, a.k_proj.weight, a.v_proj.weight))
        self.gate_up = torch.cat((f.gate_proj.weight, f.up_proj.weight))

    def __call__(self, h: Tensor, turns: Rotation, state: LayerState) -> Tensor:
        block, m = self.block, self.block.multipliers
        mixer, f, kv = block.mamba, block.feed_forward, state.kv
        c = mixer.config
        u = block.input_layernorm(h)
        projected = F.linear(u, self.inner)
        z, xBC, dt, _ = projected.split((*mixer.sizes, (HEADS + 2 * GROUPS) * WIDTH), dim=-1)
        xBC = kernels.causal_conv(xBC, mixer.conv1d.weight[:, 0], mixer.conv1d.bias, state.mamba.conv)
        x, B, C = xBC.split((H * P, N, N), dim=-1)
        heads, one = (*u.shape[:2], H, P), (*u.shape[:2], 1, N)
        y = kernels.ssd(
            x.view(heads), dt, mixer.A, B.view(one), C.view(one), mixer.D, mixer.dt_bias, c.time_step_limit, state.mamba.ssm
        )
        y = mixer.gate(y.flatten(-2), z).to(u.dtype)
        assert kv is not None
        q = u.new_empty(1, u.shape[1], HEADS, WIDTH)
        _turn[(u.shape[1],)](
            projected, *turns, kv.keys, kv.values, kv.written, q, m.key, projected.shape[-1], sum(mixer.sizes),
            HEADS=HEADS, GROUPS=GROUPS, P=WIDTH, WIDE=2048, num_warps=4,
        )  # fmt: skip
        a = attention.attend(q, kv.keys, kv.values, kv.context[0], attention.choose(q, HEADS // GROUPS))
        flat = h[0].clone() if h.requires_grad else h[0]
        flat.addmm_(y[0], mixer.out_proj.weight.T, alpha=m.ssm_out)
        flat.addmm_(a[0].flatten(1), block.self_attn.o_proj.weight.T, alpha=m.attention_out)
        gate, up = F.linear(block.pre_ff_layernorm(h), self.gate_up).chunk(2, dim=-1)
        flat.addmm_(kernels.swiglu(gate, up, m.mlp[0])[0], f.down_proj.weight.T, alpha=m.mlp[1])
        return h


class Stack:
    """STACK blocks of the 7B with their memory, run over a prompt."""

    def __init__(self, most: int) -> None:
        config = parse_config(CONFIG)
        assert isinstance(config, FalconH1Config)
        default = torch.get_default_dtype()
        torch.set_default_dtype(BF16)
        try:
            with DEVICE:
                self.blocks = [FalconH1Block(config).requires_grad_(False) for _ in range(STACK)]
        finally:
            torch.set_default_dtype(default)
        for block in self.blocks:
            for parameter in block.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(0, parameter[0].numel() ** -0.5)
            block.mamba.A_log.copy_(torch.linspace(0.1, 2.7, H, device=DEVICE))
            block.mamba.dt_bias.fill_(-4.0)
        self.lean = [Lean(block) for block in self.blocks]
        self.mamba = [MambaState.zeros(1, conv=(CONV, 4), ssm=(H, P, N), dtype=BF16, device=DEVICE) for _ in self.blocks]
        self.memory = [[torch.zeros(most, GROUPS, WIDTH, device=DEVICE, dtype=BF16) for _ in "kv"] for _ in self.blocks]

    def reset(self) -> None:
        for mamba in self.mamba:
            mamba.zero_()

    def run(self, h: Tensor, lean: bool = False, times: int = 1, piece: int = 0) -> Tensor:
        """`times` times all blocks over the prompt h (1, l, d), in pieces."""
        piece = piece or h.shape[1]
        out = []
        for start in range(0, h.shape[1], piece):
            part = h[:, start : start + piece]
            stop = start + part.shape[1]
            written = torch.arange(start, stop, device=DEVICE)
            turns = rotation(written[None], WIDTH, 1e11, BF16)
            part = part.clone()
            for _ in range(times):
                for i, block in enumerate(self.lean if lean else self.blocks):
                    cache = KVCache(*self.memory[i], written, [slice(0, stop)])
                    part = block(part, turns, LayerState(self.mamba[i], cache))
            out.append(part)
        return torch.cat(out, dim=1)


def start(length: int) -> Tensor:
    return torch.randn(1, length, D, device=DEVICE, dtype=BF16)


def check_stack(stack: Stack) -> str:
    h = start(700)
    kernels.choose("torch", DEVICE)
    stack.reset()
    expected = stack.run(h) - h
    ssm = [mamba.ssm.clone() for mamba in stack.mamba]
    kernels.choose("auto", DEVICE)
    stack.reset()
    found = stack.run(h) - h
    apart = max(error(mamba.ssm, s) for mamba, s in zip(stack.mamba, ssm, strict=True))
    stack.reset()
    cut = stack.run(h, piece=300) - h
    return (
        f"update {error(found, expected):.1e}, states {apart:.1e}, in pieces {error(cut, found):.1e}; "
        f"{kernels.current().name} {kernels.current().reasons}"
    )


def speed(stack: Stack, length: int, piece: int, lean: bool, rate: float) -> str:
    """The wall time of all layers, the stack run again and again, and of the launches alone."""
    h, times, issued = start(length), [], []
    stack.run(h, lean, 1, piece)
    for _ in range(3 if length <= 8192 else 1):
        stack.reset()
        torch.cuda.synchronize()
        begin = time.perf_counter()
        stack.run(h, lean, LAYERS // STACK, piece)
        issued.append(time.perf_counter() - begin)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    took = sorted(times)[len(times) // 2]
    share = length * LAYERS * LAYER_FLOP / took / rate
    every = LAYERS * (length * LAYER_FLOP + attention_flop(length, 0)) / took / rate
    return (
        f"{1e3 * took:8.2f} ms (issued in {1e3 * min(issued):7.2f}) {length / took:7.0f} tokens/s {share:6.1%}"
        f" ({every:.1%} with attention's products)"
    )


def graphed(stack: Stack, length: int, lean: bool, rate: float) -> str:
    h = start(length)
    stack.run(h, lean)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        stack.run(h, lean)
    took = seconds(graph.replay, 5)
    return f"{1e3 * took * LAYERS / STACK:8.2f} ms {length * STACK * LAYER_FLOP / took / rate:6.1%}"


def shares(stack: Stack, length: int, lean: bool) -> str:
    """Where the time goes, by kernel."""
    h = start(length)
    stack.run(h, lean)
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
        stack.run(h, lean)
        torch.cuda.synchronize()
    found = [e for e in seen.key_averages() if e.self_device_time_total > 0 and e.device_type.name == "CUDA"]
    found.sort(key=lambda e: -e.self_device_time_total)
    lines = [f"{sum(e.self_device_time_total for e in found) / STACK:.1f} µs a layer of kernels"]
    for e in found[: 9 if lean else 13]:
        key = e.key.replace("at::native::", "").replace("void ", "")
        lines.append(f"   {e.self_device_time_total / STACK:8.1f} µs {e.count / STACK:4.1f}× {key[:64]}")
    return "\n".join(lines)


def time_products(rate: float) -> str:
    shapes = {"in": (H * P + CONV + H, D), "q": (1536, D), "k": (256, D), "o": (D, 1536), "out": (D, D), "gate": (F_, D)}
    shapes |= {"down": (D, F_), "in+qkv": (8728, D), "gate+up": (2 * F_, D)}
    lines = []
    for length in (2048, 8192):
        cells = []
        for name, (rows, width) in shapes.items():
            x, w = torch.randn(length, width, device=DEVICE, dtype=BF16), torch.randn(rows, width, device=DEVICE, dtype=BF16)
            took = seconds(partial(F.linear, x, w), 5)
            cells.append(f"{name} {1e6 * took:.0f} {2 * rows * width * length / took / rate:.0%}")
        lines.append(f"\n   {length}: " + " | ".join(cells))
    return "".join(lines)


def time_stack(rate: float) -> None:
    stack = Stack(32768)
    attempt("stack against torch", partial(check_stack, stack))
    print(f"{LAYERS} layers ({LAYERS // STACK} × {STACK}); share of the matmul rate; {left():.0f} s left")
    for length, piece in ((512, 0), (2048, 0), (8192, 0), (8192, 2048), (32768, 4096)):
        for lean in (False, True):
            attempt(f"  {length}/{piece or length}{' lean' if lean else ''}", partial(speed, stack, length, piece, lean, rate))
    for length in (512, 2048):
        for lean in (False, True):
            attempt(f"  {length} graph{' lean' if lean else ''}", partial(graphed, stack, length, lean, rate))
    attempt("2048 tokens", partial(shares, stack, 2048, False))
    attempt("8192 tokens", partial(shares, stack, 8192, False))
    attempt("2048 tokens, lean", partial(shares, stack, 2048, True))


def main(sections: list[str]) -> None:
    helpers = [subprocess.Popen([sys.executable, __file__, "warm", str(i)]) for i in range(HELPERS)]
    print(torch.cuda.get_device_name(), torch.__version__, triton.__version__)
    kernels.choose("torch", DEVICE)

    def check() -> None:
        check_ssds()
        check_attentions()
        attempt("swiglu", check_swiglu)

    if "check" in sections:
        check()
    for helper in helpers:
        helper.wait(max(1.0, left() - 40))
    rate = matmul_rate()
    print(f"matmul rate {rate / 1e12:.0f} TFLOP/s; {left():.0f} s left")
    runs: dict[str, Callable[[], object]] = {
        "stack": partial(time_stack, rate),
        "ssd": ssd_tables,
        "attention": partial(attention_tables, rate),
        "splits": partial(attempt, "splits: µs", split_table),
        "plans": partial(attempt, "cuDNN's plans: ms", plan_costs),
        "launches": partial(attempt, "µs a launch, the host's", launch_costs),
        "swiglu": swiglu_table,
        "products": partial(attempt, "products: µs, share", partial(time_products, rate)),
    }
    for name, run in runs.items():
        if name in sections:
            try:
                run()
            except Exception as problem:
                print(f"{name} FAILED {type(problem).__name__} {str(problem).strip().splitlines()[-1][:200]}")


SECTIONS = ["check", "stack", "ssd", "attention", "splits", "plans", "launches", "swiglu", "products"]

if __name__ == "__main__":
    with torch.inference_mode():
        warm(int(sys.argv[2])) if WARM else main(sys.argv[2:] or SECTIONS)
