"""FalconMamba-7B's prefill kernels on a GPU: right or wrong, tile shapes side by side, a stack of layers against the matmuls.

    python benchmarks/gpu/prefill_falcon_mamba.py [seconds]

Random weights at the published shapes (and Falcon-H1's for the convolution and the norms). The matmul rate is the best of 20
products of 8192³ in bf16, measured here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from modeling import kernels
from modeling.config import FalconMambaConfig, parse_config
from modeling.kernels import reference
from modeling.kernels.triton import conv, norm, scan
from modeling.memory import MambaState
from modeling.models.falcon_mamba import FalconMambaBlock
from modeling.state import LayerState

START = time.perf_counter()
LIMIT = float(sys.argv[1]) if len(sys.argv) > 1 else 85.0
DEVICE = torch.device("cuda")
E, N, K, RANK, D = 8192, 16, 4, 256, 4096
LAYER_FLOP = 2 * (D * 2 * E + E * (RANK + 2 * N) + RANK * E + E * D)  # a token
LAYERS, STACK = 64, 4
LENGTHS = (512, 2048, 8192)
CONFIG = {
    "model_type": "falcon_mamba", "vocab_size": 65024, "hidden_size": 4096, "state_size": 16, "num_hidden_layers": 64,
    "intermediate_size": 8192, "expand": 2, "time_step_rank": 256, "conv_kernel": 4, "use_bias": False, "use_conv_bias":
    True, "tie_word_embeddings": False, "residual_in_fp32": True, "layer_norm_epsilon": 1e-5, "mixer_rms_eps": 1e-6,
    "bos_token_id": 0, "eos_token_id": None, "pad_token_id": 0,
}  # fmt: skip
SCANS = (  # warps, groups, lanes, tokens
    *((4, 4, 4, 16), (2, 2, 4, 16), (8, 8, 4, 16), (1, 1, 4, 16)),
    *((4, 4, 8, 16), (8, 8, 8, 16), (4, 4, 4, 8), (2, 2, 2, 8)),
)
CONVS = (  # tokens, steps, channels, warps
    *((16, 1, 128, 1), (16, 2, 128, 1), (16, 4, 128, 1), (16, 8, 128, 1), (8, 1, 128, 1), (8, 4, 128, 1)),
    *((16, 2, 512, 4), (16, 4, 512, 4), (16, 8, 512, 4)),
)


def left() -> float:
    return LIMIT - (time.perf_counter() - START)


def attempt(name: str, run: Callable[[], str]) -> None:
    """Print what `run` says, or the last line of what went wrong; nothing when time is up."""
    if left() < 0:
        print(f"{name:26s} no time left")
        return
    try:
        print(f"{name:26s} {run()}", flush=True)
    except Exception as error:
        print(f"{name:26s} FAILED {type(error).__name__} {str(error).strip().splitlines()[-1][:150]}", flush=True)


def elapsed(run: Callable[[], object], repeats: int = 5) -> float:
    """The median time of a call."""
    run()
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeats)]
    for before, after in events:
        before.record()
        run()
        after.record()
    torch.cuda.synchronize()
    return sorted(before.elapsed_time(after) for before, after in events)[repeats // 2] / 1e3


def seconds(run: Callable[[], object], times: int = 8) -> float:
    """The time of a call, as one of a captured graph, and with what it reads gone from the L2 cache."""
    flush = torch.empty(2**25, dtype=torch.int32, device=DEVICE)

    def together(*calls: Callable[[], object]) -> float:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(times):
                for call in calls:
                    call()
        return elapsed(graph.replay)

    run()
    torch.cuda.synchronize()
    return (together(flush.zero_, run) - together(flush.zero_)) / times


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def matmul_rate() -> float:
    a, b = (torch.randn(8192, 8192, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(20)]
    for _ in range(3):
        a @ b
    for before, after in events:
        before.record()
        a @ b
        after.record()
    torch.cuda.synchronize()
    return 2 * 8192**3 / min(before.elapsed_time(after) for before, after in events) * 1e3


# Operations at the 7B's shapes


def scan_inputs(length: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """x, dt, A, B, C, D, dt_bias, z: views where the layer has views."""
    torch.manual_seed(length)
    xz = torch.randn(1, length, 2 * E, device=DEVICE, dtype=dtype)
    dt = torch.randn(1, length, E, device=DEVICE, dtype=dtype)
    B, C = torch.randn(1, length, 2, N, device=DEVICE, dtype=dtype).unbind(-2)
    A = -torch.arange(1, N + 1, device=DEVICE).float().repeat(E, 1)
    skip, bias = torch.randn(E, device=DEVICE, dtype=dtype), torch.randn(E, device=DEVICE, dtype=dtype) - 4
    return xz[..., :E].contiguous(), dt, A, B, C, skip, bias, xz[..., E:]


def check_scan(length: int, dtype: torch.dtype) -> str:
    reference.SCAN_ELEMENTS = 2**25
    inputs = scan_inputs(length, dtype)
    exact = [t.float() for t in inputs]
    first = torch.randn(1, E, N, device=DEVICE)
    ours, law, low, cut = (first.clone() for _ in range(4))
    y, y_law = scan.selective_scan(*inputs, ours), reference.selective_scan(*exact, law)
    y_low = reference.selective_scan(*inputs, low)
    text = f"y {error(y, y_law):.1e} (torch {error(y_low, y_law):.1e}) state {error(ours, law):.1e}"
    text += f" stateless {error(scan.selective_scan(*inputs), reference.selective_scan(*exact)):.1e}"
    if length > 1:
        at = length // 3 + 1
        parts = [
            scan.selective_scan(*(t[:, part] if t.dim() == 3 else t for t in inputs), cut)
            for part in (slice(0, at), slice(at, length))
        ]
        text += f" cut: y {error(torch.cat(parts, 1), y):.1e} state {error(cut, ours):.1e}"
    return text


def check_conv(width: int, length: int, dtype: torch.dtype) -> str:
    x = torch.randn(1, length, 2 * width, device=DEVICE, dtype=dtype)[..., width:]
    weight, bias = torch.randn(width, K, device=DEVICE, dtype=dtype), torch.randn(width, device=DEVICE, dtype=dtype)
    state = MambaState.zeros(1, conv=(width, K), ssm=(1,), dtype=dtype, device=DEVICE).conv.normal_()
    law, low = state.double(), state.clone()
    y_law = reference.causal_conv(x.double(), weight.double(), bias.double(), law)
    y_low = reference.causal_conv(x, weight, bias, low)
    y = conv.causal_conv(x, weight, bias, state)
    return f"y {error(y, y_law):.1e} (torch {error(y_low, y_law):.1e}) state equal {torch.equal(state, low)}"


def check_norms(dtype: torch.dtype) -> str:
    def compare(x: Tensor, weight: Tensor | None) -> str:
        exact = reference.rms_norm(x.float(), None if weight is None else weight.float(), 1e-5)
        found, low = norm.rms_norm(x, weight, 1e-5), reference.rms_norm(x, weight, 1e-5)
        assert found.dtype == low.dtype
        return f"{error(found, exact):.1e} ({error(low, exact):.1e})"

    x = torch.randn(500, D, device=DEVICE, dtype=dtype)
    weight = torch.randn(D, device=DEVICE, dtype=dtype)
    low = torch.randn(1, 500, RANK + 2 * N, device=DEVICE, dtype=dtype)
    y, gate = torch.randn(1, 99, 5120, device=DEVICE), torch.randn(1, 99, 9248, device=DEVICE, dtype=dtype)[..., :5120]
    wide = torch.randn(5120, device=DEVICE, dtype=dtype)
    gated = [
        error(norm.gated_rms_norm(y, gate, wide, 1e-5, g, f), reference.gated_rms_norm(y, gate, wide, 1e-5, g, f))
        for g in (1, 2)
        for f in (True, False)
    ]
    return (
        f"d {compare(x, weight)} fp32 stream {compare(x.float(), weight)} dt {compare(low[..., :RANK], None)} "
        f"B C {compare(low[..., RANK:].unflatten(-1, (2, -1)), None)} gated {max(gated):.1e}"
    )


# Times


def sweep(name: str, variants: dict[str, Callable[[int], Callable[[], object]]], traffic: Callable[[int], float]) -> None:
    """µs of every variant at every length; the best of each is marked. `traffic` gives the bytes that must move."""
    print(f"\n{name}: µs (GB/s) at " + ", ".join(str(length) for length in LENGTHS))
    best: dict[int, tuple[float, str]] = {}
    for variant, make in variants.items():

        def row(variant: str = variant, make: Callable[[int], Callable[[], object]] = make) -> str:
            cells = []
            for length in LENGTHS:
                took = seconds(make(length))
                best[length] = min(best.get(length, (1e9, "")), (took, variant))
                cells.append(f"{1e6 * took:7.1f} ({traffic(length) / took / 1e9:5.0f})")
            return " ".join(cells)

        attempt("  " + variant, row)
    print(
        "  best: "
        + ", ".join(f"{length}: {v} {1e6 * t:.1f} µs, {1e9 * t / length:.1f} ns a token" for length, (t, v) in best.items())
    )


def time_scans() -> None:
    inputs = {length: scan_inputs(length, torch.bfloat16) for length in LENGTHS}
    state = torch.zeros(1, E, N, device=DEVICE)

    def tiles(tile: scan.Tile, e: int) -> Callable[[int], Callable[[], object]]:
        def make(length: int) -> Callable[[], object]:
            x, dt, A, B, C, skip, bias, z = inputs[length]
            narrow = (x[..., :e], dt[..., :e], A[:e], B, C, skip[:e], bias[:e], z[..., :e], state[:, :e])
            return partial(scan.scan_in_tiles, *narrow, tile)

        return make

    name = "selective_scan: warps, groups, lanes, tokens"
    variants = {" ".join(str(int(part)) for part in tile): tiles(scan.Tile(*tile), E) for tile in SCANS}
    sweep(name, variants, lambda length: length * 8.0 * E)
    variants = {" ".join(str(int(part)) for part in tile): tiles(scan.Tile(*tile), 2048) for tile in SCANS[:4]}
    sweep(name + ", 2,048 channels", variants, lambda length: length * 8.0 * 2048)


def time_convs() -> None:
    weight, bias = torch.randn(E, K, device=DEVICE).bfloat16(), torch.randn(E, device=DEVICE).bfloat16()
    xs = {length: torch.randn(1, length, 2 * E, device=DEVICE, dtype=torch.bfloat16) for length in LENGTHS}
    state = MambaState.zeros(1, conv=(E, K), ssm=(1,), dtype=torch.bfloat16, device=DEVICE).conv

    def tiles(shape: tuple[int, int, int, int]) -> Callable[[int], Callable[[], object]]:
        return lambda length: partial(conv.conv_in_tiles, xs[length][..., :E], weight, bias, state, *shape)

    variants = {" ".join(map(str, shape)): tiles(shape) for shape in CONVS}
    sweep("causal_conv: tokens, steps, channels, warps", variants, lambda length: length * 4.0 * E)


@triton.jit
def _add_rms_norm(h, update, weight, u, width, eps, W: tl.constexpr):
    """h + update in fp32, stored; u = its RMS norm, rounded as the block rounds."""
    row, i = tl.program_id(0).to(tl.int64), tl.arange(0, W)
    on = i < width
    total = tl.load(h + row * width + i, mask=on, other=0.0)
    total += tl.load(update + row * width + i, mask=on, other=0.0).to(tl.float32)
    tl.store(h + row * width + i, total, mask=on)
    total = total.to(u.dtype.element_ty).to(tl.float32)
    normed = (total * tl.rsqrt(tl.sum(total * total) / width + eps)).to(u.dtype.element_ty).to(tl.float32)
    scaled = normed * tl.load(weight + i, mask=on, other=0.0).to(tl.float32)
    tl.store(u + row * width + i, scaled.to(u.dtype.element_ty), mask=on)


def add_rms_norm(h: Tensor, update: Tensor, weight: Tensor, eps: float, warps: int = 8) -> Tensor:
    """h (…, d) += update in place; the normed sum in the weights' dtype."""
    u, d = torch.empty_like(update), h.shape[-1]
    _add_rms_norm[(h.numel() // d,)](h, update, weight, u, d, eps, W=triton.next_power_of_2(d), num_warps=warps)
    return u


def time_norms() -> None:
    weight = torch.randn(D, device=DEVICE).bfloat16()
    xs = {length: torch.randn(1, length, D, device=DEVICE, dtype=torch.bfloat16) for length in LENGTHS}
    hs = {length: x.float() for length, x in xs.items()}
    low = {length: torch.randn(1, length, RANK + 2 * N, device=DEVICE, dtype=torch.bfloat16) for length in LENGTHS}
    fused: dict[str, Any] = {
        f"add_rms_norm {w} warps": lambda n, w=w: partial(add_rms_norm, hs[n], xs[n], weight, 1e-5, w) for w in (4, 8, 16)
    }
    sweep(
        "norms and residual",
        {
            "rms_norm (l, d) torch": lambda n: partial(reference.rms_norm, xs[n], weight, 1e-5),
            "rms_norm (l, d)": lambda n: partial(norm.rms_norm, xs[n], weight, 1e-5),
            "rms_norm (l, r)": lambda n: partial(norm.rms_norm, low[n][..., :RANK], None, 1e-5),
            "rms_norm (l, 2, n)": lambda n: partial(norm.rms_norm, low[n][..., RANK:].unflatten(-1, (2, -1)), None, 1e-5),
            "h.to(bf16)": lambda n: lambda: hs[n].to(torch.bfloat16),
            "h + update": lambda n: lambda: hs[n] + xs[n],
            **fused,
        },
        lambda length: length * 12.0 * D,
    )


def time_products() -> None:
    shapes = {"in_proj": (2 * E, D), "x_proj": (RANK + 2 * N, E), "dt_proj": (E, RANK), "out_proj": (D, E)}
    weights = {name: torch.randn(shape, device=DEVICE, dtype=torch.bfloat16) for name, shape in shapes.items()}
    xs = {length: torch.randn(length, 2 * E, device=DEVICE, dtype=torch.bfloat16) for length in LENGTHS}
    print("\nproducts: µs (TFLOP/s)")
    for name, (rows, width) in shapes.items():

        def row(name: str = name, rows: int = rows, width: int = width) -> str:
            cells = []
            for length in LENGTHS:
                x = xs[length][:, :width].contiguous()
                took = seconds(partial(torch.nn.functional.linear, x, weights[name]))
                cells.append(f"{1e6 * took:7.1f} ({2 * rows * width * length / took / 1e12:4.0f})")
            return " ".join(cells)

        attempt("  " + name, row)


# A stack of layers


@contextmanager
def triton_kernels(on: bool = True) -> Iterator[None]:
    twins = {"selective_scan": scan.selective_scan, "causal_conv": conv.causal_conv, "rms_norm": norm.rms_norm} if on else {}
    kept = {name: getattr(kernels, name) for name in twins}
    try:
        for name, twin in twins.items():
            setattr(kernels, name, twin)
        yield
    finally:
        for name, law in kept.items():
            setattr(kernels, name, law)


@torch.inference_mode(False)
def make_stack() -> tuple[list[FalconMambaBlock], list[LayerState]]:
    config = parse_config(CONFIG)
    assert isinstance(config, FalconMambaConfig)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with DEVICE:
            blocks = [FalconMambaBlock(config).requires_grad_(False) for _ in range(STACK)]
    finally:
        torch.set_default_dtype(default)
    for block in blocks:
        for parameter in block.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, parameter[0].numel() ** -0.5)
        block.mixer.A_log.copy_(torch.arange(1, N + 1, device=DEVICE).log().expand(E, N))
        block.mixer.dt_proj.bias.fill_(-4.0)
    states = [LayerState(MambaState.zeros(1, conv=(E, K), ssm=(E, N), dtype=torch.bfloat16, device=DEVICE)) for _ in blocks]
    return blocks, states


def run_stack(blocks: list[FalconMambaBlock], states: list[LayerState], h: Tensor, times: int = 1) -> Tensor:
    for _ in range(times):
        for block, state in zip(blocks, states, strict=True):
            h = block(h, state)
    return h


def run_fused(blocks: list[FalconMambaBlock], states: list[LayerState], h: Tensor, times: int = 1) -> Tensor:
    """With the residual, the cast and the next norm in one pass."""
    h, update = h.clone(), torch.zeros(h.shape, dtype=torch.bfloat16, device=DEVICE)
    for _ in range(times):
        for block, state in zip(blocks, states, strict=True):
            update = block.mixer(add_rms_norm(h, update, block.norm.weight, block.norm.eps), state.mamba)
    return h.add_(update)


def start(length: int) -> Tensor:
    return torch.randn(1, length, D, device=DEVICE)


def check_stack(blocks: list[FalconMambaBlock], states: list[LayerState]) -> str:
    h = start(500)
    with triton_kernels(False):
        expected = run_stack(blocks, states, h) - h
    ssm = [state.mamba.ssm.clone() for state in states]
    for state in states:
        state.mamba.zero_()
    with triton_kernels():
        found = run_stack(blocks, states, h) - h
        apart = max(error(state.mamba.ssm, s) for state, s in zip(states, ssm, strict=True))
        for state in states:
            state.mamba.zero_()
        fused = run_fused(blocks, states, h) - h
    return f"{STACK} layers' update {error(found, expected):.1e}, states {apart:.1e}, fused {error(fused, expected):.1e}"


def eager(run: Callable[[Tensor, int], Tensor], length: int, rate: float) -> str:
    """The wall time of all layers, the stack run again and again, and of the launches alone."""
    h, times, issued = start(length), [], []
    with triton_kernels():
        run(h, 1)
        for _ in range(3):
            torch.cuda.synchronize()
            begin = time.perf_counter()
            run(h, LAYERS // STACK)
            issued.append(time.perf_counter() - begin)
            torch.cuda.synchronize()
            times.append(time.perf_counter() - begin)
    took = sorted(times)[1]
    share = length * LAYERS * LAYER_FLOP / took / rate
    return f"{1e3 * took:8.2f} ms (issued in {1e3 * min(issued):6.2f}) {length / took:8.0f} tokens/s {share:6.1%}"


def graphed(run: Callable[[Tensor, int], Tensor], length: int, rate: float) -> str:
    h = start(length)
    with triton_kernels():
        run(h, 1)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run(h, 1)
    took = elapsed(graph.replay)
    return f"{1e3 * took * LAYERS / STACK:8.2f} ms {length * STACK * LAYER_FLOP / took / rate:6.1%}"


def shares(run: Callable[[Tensor, int], Tensor], length: int) -> str:
    """Where the time goes, by kernel."""
    h = start(length)
    with triton_kernels():
        run(h, 1)
        torch.cuda.synchronize()
        with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
            run(h, 1)
            torch.cuda.synchronize()
    found = [e for e in seen.key_averages() if e.self_device_time_total > 0 and e.device_type.name == "CUDA"]
    found.sort(key=lambda e: -e.self_device_time_total)
    lines = [f"{sum(e.self_device_time_total for e in found) / STACK:.1f} µs a layer of kernels"]
    lines += [f"    {e.self_device_time_total / STACK:8.1f} µs {e.count / STACK:4.1f}× {e.key[:90]}" for e in found[:12]]
    return "\n".join(lines)


def time_stack(rate: float) -> None:
    blocks, states = make_stack()
    plain, fused = partial(run_stack, blocks, states), partial(run_fused, blocks, states)
    attempt("stack against torch", partial(check_stack, blocks, states))
    print(f"\n{LAYERS} layers ({LAYERS // STACK} times {STACK}), wall time; tokens/s; share of the matmul rate")
    for length in (512, 2048, 8192, 32768):
        attempt(f"  {length:6d}", partial(eager, plain, length, rate))
        attempt(f"  {length:6d} fused residual", partial(eager, fused, length, rate))
    for length in (512, 2048):
        attempt(f"  {length:6d} as a graph", partial(graphed, plain, length, rate))
    for length in (2048, 8192):
        attempt(f"where {length} tokens go", partial(shares, plain, length))


@torch.inference_mode()
def main() -> None:
    rate = matmul_rate()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, matmul {rate / 1e12:.0f} TFLOP/s")
    for dtype in (torch.bfloat16, torch.float32):
        name = str(dtype).removeprefix("torch.")
        for length in (1, 3, 63, 65, 500, 2048):
            attempt(f"scan {name} {length}", partial(check_scan, length, dtype))
        for width, length in ((E, 1), (E, 3), (3584, 500)):
            attempt(f"conv {name} {width} × {length}", partial(check_conv, width, length, dtype))
        attempt(f"norms {name}", partial(check_norms, dtype))
    time_scans()
    time_stack(rate)
    time_convs()
    time_norms()
    time_products()
    print(f"{time.perf_counter() - START:.0f} s")


if __name__ == "__main__":
    main()
