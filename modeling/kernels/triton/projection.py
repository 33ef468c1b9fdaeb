"""Weight-streaming products of a decode step: b ≤ 64 rows through one weight matrix, at the speed its bytes can be read.

One row runs on the CUDA cores: a program owns a few outputs, has their first weights on the way before the previous kernel
ends (`launch`), and takes the RMS norm along for free: it sums x² while it streams, and scales the result at the end. More
rows run on the tensor cores (`rows`). What follows a product pointwise (bias, multiplier, residual, SiLU gate, causal
convolution) is done where the result still is in registers.
"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from modeling.kernels.triton.launch import overlaps, release, wait
from modeling.kernels.triton.rows import (
    convolved,
    normed,
    of_output,
    padded,
    rows_convolved,
    rows_gated,
    rows_plain,
    silu,
    tile,
    window,
)

MAX_ROWS = 64


@dataclass(frozen=True, slots=True)
class Norm:
    """An RMS norm of x on its way into a product: `weight` (d)."""

    weight: Tensor
    eps: float


@dataclass(frozen=True, slots=True)
class Convolved:
    """Which outputs of a product are inputs of a causal convolution: first … first+c−1.

    weight (c, k), bias (c) or none; state (slots, c, k), the last k inputs, the newest last, laid out tap by tap (strides
    c·k, 1, c), updated in place where active (slots) int32 is not 0.
    """

    first: int
    weight: Tensor
    bias: Tensor | None
    state: Tensor
    active: Tensor


@dataclass(frozen=True, slots=True)
class Blocks:
    """What one program takes on: so many outputs, so many columns of W at a time, by so many warps.

    One row with a gate or a convolution: all columns at once, and `repeat` times so many outputs, one after the other. More
    rows: `stages` loads in flight, and `ahead` bytes of each row of W fetched into L2 while the previous kernel still runs.
    """

    outputs: int
    columns: int
    warps: int = 8
    stages: int = 4
    ahead: int = 0
    repeat: int = 1


def project(
    x: Tensor,
    weight: Tensor,
    out: Tensor,
    *,
    norm: Norm | None = None,
    bias: Tensor | None = None,
    multiplier: float = 1.0,
    residual: Tensor | None = None,
    second: tuple[Tensor, Tensor, Tensor | None, float] | None = None,
    blocks: Blocks | None = None,
) -> None:
    """out (b, o) = residual + multiplier · (norm(x) Wᵀ + bias) + multiplier₂ · (x₂ W₂ᵀ + bias₂), second = (x₂, W₂, bias₂,
    multiplier₂). x (b, d), x₂ (b, d₂) of any float dtype, weight (o, d), W₂ (o, d₂); `out` may be `residual` itself."""
    (b, d), o = x.shape, weight.shape[0]
    pdl = overlaps(x.device)
    x2, w2, bias2, multiplier2 = second or (None, None, None, 0.0)
    d2 = 0 if x2 is None else x2.shape[1]
    blocks = blocks or choose(b, o, d, weight.dtype)
    grid = (triton.cdiv(o, blocks.outputs),)
    if b == 1:
        scale, eps = _parts(norm)
        _row_plain[grid](
            x, weight, scale, eps, bias, multiplier, x2, w2, bias2, multiplier2, residual, out, O=o, D=d, D2=d2,
            OUTPUTS=blocks.outputs, COLUMNS=blocks.columns, PDL=pdl, num_warps=blocks.warps, launch_pdl=pdl,
        )  # fmt: skip
        return
    if norm is not None:
        x = normed(x, norm.weight, norm.eps)
    rows_plain[grid](
        x, weight, bias, multiplier, x2, w2, bias2, multiplier2, residual, out, b, O=o, D=d, D2=d2,
        OUTPUTS=blocks.outputs, ROWS=padded(b), COLUMNS=blocks.columns, STAGES=blocks.stages,
        AHEAD=_ahead(weight, blocks), PDL=pdl, num_warps=blocks.warps, launch_pdl=pdl,
    )  # fmt: skip


def project_gated(
    x: Tensor,
    weight: Tensor,
    out: Tensor,
    *,
    norm: Norm,
    bias: Tensor | None = None,
    multiplier: float = 1.0,
    blocks: Blocks | None = None,
) -> None:
    """out (b, f) = (U x) · SiLU(multiplier · G x) with x (b, d) normed; weight (2f, d): G's rows, then U's; bias (2f) alike."""
    (b, d), o = x.shape, weight.shape[0] // 2
    pdl = overlaps(x.device)
    if b == 1:
        blocks = blocks or choose_whole(2 * o, d)
        _row_gated[(triton.cdiv(o, blocks.outputs * blocks.repeat),)](
            x, weight, norm.weight, norm.eps, bias, multiplier, out, O=o, D=d, WIDE=triton.next_power_of_2(d),
            OUTPUTS=blocks.outputs, REPEAT=blocks.repeat, PDL=pdl, num_warps=blocks.warps, launch_pdl=pdl,
        )  # fmt: skip
        return
    blocks = blocks or choose(b, o, d, weight.dtype, gated=True)
    rows_gated[(triton.cdiv(o, blocks.outputs),)](
        normed(x, norm.weight, norm.eps), weight, bias, multiplier, out, b, O=o, D=d,
        OUTPUTS=blocks.outputs, ROWS=padded(b), COLUMNS=blocks.columns, STAGES=blocks.stages,
        AHEAD=_ahead(weight, blocks), PDL=pdl, num_warps=blocks.warps, launch_pdl=pdl,
    )  # fmt: skip


def project_convolved(
    x: Tensor,
    weight: Tensor,
    out: Tensor,
    conv: Convolved,
    *,
    norm: Norm | None,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    blocks: Blocks | None = None,
) -> None:
    """out (b, o) = scale ∘ (norm(x) Wᵀ + bias), scale (o) fp32. The outputs of `conv` then are the convolution's newest input:
    they enter its state, and come out as SiLU(conv bias + Σ taps)."""
    (b, d), o = x.shape, weight.shape[0]
    c, k = conv.weight.shape
    assert conv.state.stride() == (c * k, 1, c), "a convolution's state lies tap by tap"
    pdl = overlaps(x.device)
    memory = (conv.weight, conv.bias, conv.state, conv.active, conv.first)
    if b == 1:
        blocks = blocks or choose_whole(o, d)
        _row_convolved[(triton.cdiv(o, blocks.outputs * blocks.repeat),)](
            x, weight, *_parts(norm), bias, scale, out, *memory, O=o, D=d, C=c, K=k, WIDE=triton.next_power_of_2(d),
            OUTPUTS=blocks.outputs, REPEAT=blocks.repeat, PDL=pdl, num_warps=blocks.warps, launch_pdl=pdl,
        )  # fmt: skip
        return
    blocks = blocks or choose(b, o, d, weight.dtype)
    if norm is not None:
        x = normed(x, norm.weight, norm.eps)
    rows_convolved[(triton.cdiv(o, blocks.outputs),)](
        x, weight, bias, scale, out, *memory, b, O=o, D=d, C=c, K=k,
        OUTPUTS=blocks.outputs, ROWS=padded(b), COLUMNS=blocks.columns, STAGES=blocks.stages,
        AHEAD=_ahead(weight, blocks), PDL=pdl, num_warps=blocks.warps, launch_pdl=pdl,
    )  # fmt: skip


def embed(ids: Tensor, table: Tensor, out: Tensor, multiplier: float = 1.0) -> None:
    """out (b, d) = multiplier · table[ids], ids (b) int64, table (v, d)."""
    (b, d), pdl = out.shape, overlaps(out.device)
    _embed[(b,)](ids, table, out, multiplier, D=d, WIDTH=triton.next_power_of_2(d), PDL=pdl, num_warps=4, launch_pdl=pdl)


def choose(rows: int, outputs: int, width: int, dtype: torch.dtype, gated: bool = False) -> Blocks:
    """Block sizes by shape, as measured on an H200 (benchmarks/gpu/decode_falcon_mamba.py)."""
    if rows == 1:
        if outputs * width < 2**20:  # less than 2 MiB: latency is all
            return Blocks(4, min(1024, triton.next_power_of_2(width)), warps=4)
        return Blocks(2, min(4096, triton.next_power_of_2(width)))
    if dtype == torch.float32:
        return Blocks(32, 32, warps=4, stages=2)
    if gated:
        return Blocks(32, 128 if rows <= 32 else 64, warps=4, stages=4)
    return Blocks(64, 128, warps=4, stages=3 if rows > 32 else 4)


def choose_whole(outputs: int, width: int) -> Blocks:
    """The same for one row whose columns are taken at once: 32 weights a thread, and programs enough for some waves."""
    warps = 8 if width > 1024 else 4
    each = max(1, 32 * 32 * warps // triton.next_power_of_2(width))
    return Blocks(each, 0, warps, repeat=max(1, min(4, outputs // (each * 1024))))


def _ahead(weight: Tensor, blocks: Blocks) -> int:
    """Bytes of a row to fetch early, in the 16s that the instruction takes; 0 where rows do not begin at 16s."""
    row = weight.shape[1] * weight.itemsize
    return 0 if row % 16 or weight.data_ptr() % 16 else min(row, blocks.ahead)


def _parts(norm: Norm | None) -> tuple[Tensor | None, float]:
    return (None, 0.0) if norm is None else (norm.weight, norm.eps)


@triton.jit
def _embed(ids, table, out, multiplier, D: tl.constexpr, WIDTH: tl.constexpr, PDL: tl.constexpr):
    """A step begins here. It lets go when the last step has ended: its kernels need not wait for what that one wrote."""
    row, i = tl.program_id(0), tl.arange(0, WIDTH)
    wait(PDL)
    release(PDL)
    found = tl.load(table + tl.load(ids + row) * D + i, mask=i < D, other=0.0).to(tl.float32)
    tl.store(out + row * D + i, (multiplier * found).to(out.dtype.element_ty), mask=i < D)


@triton.jit
def _product(x, w, first, norm, eps, o, O: tl.constexpr, D: tl.constexpr, OUTPUTS: tl.constexpr, COLUMNS: tl.constexpr):
    """norm(x) Wᵀ (OUTPUTS) in fp32, for x (D) and W (O, D), whose first tile is there already."""
    EVEN: tl.constexpr = O % OUTPUTS == 0 and D % COLUMNS == 0
    acc = tl.zeros((OUTPUTS, COLUMNS), dtype=tl.float32)
    squares = tl.zeros((COLUMNS,), dtype=tl.float32)
    for start in tl.static_range(0, D, COLUMNS):
        i = start + tl.arange(0, COLUMNS)
        if start == 0:
            weights = first
        else:
            weights = tile(w, o, i, O, D, EVEN)
        v = tl.load(x + i, mask=i < D, other=0.0)
        if norm is not None:
            v = v.to(weights.dtype).to(tl.float32)  # as the law rounds the residual
            squares += v * v
            v *= tl.load(norm + i, mask=i < D, other=0.0).to(tl.float32)
        acc += weights.to(tl.float32) * v.to(tl.float32)[None, :]
    y = tl.sum(acc, axis=1)
    if norm is not None:
        y *= tl.rsqrt(tl.sum(squares) / D + eps)
    return y


@triton.jit
def _row_plain(
    x, w, norm, eps, bias, multiplier, x2, w2, bias2, multiplier2, residual, out,
    O: tl.constexpr, D: tl.constexpr, D2: tl.constexpr, OUTPUTS: tl.constexpr, COLUMNS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """out (O) = residual + multiplier · (norm(x) Wᵀ + bias) + multiplier₂ · (x₂ W₂ᵀ + bias₂)."""
    release(PDL)
    o, i = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS), tl.arange(0, COLUMNS)
    first = tile(w, o, i, O, D, O % OUTPUTS == 0 and D % COLUMNS == 0)
    constant = tl.zeros((OUTPUTS, 1), dtype=tl.float32)
    if bias is not None:
        constant += multiplier * of_output(bias, o, O)
    if bias2 is not None:
        constant += multiplier2 * of_output(bias2, o, O)
    wait(PDL)
    if residual is not None:
        constant += of_output(residual, o, O)
    y = multiplier * _product(x, w, first, norm, eps, o, O, D, OUTPUTS, COLUMNS)
    if x2 is not None:
        first2 = tile(w2, o, i, O, D2, O % OUTPUTS == 0 and D2 % COLUMNS == 0)
        y += multiplier2 * _product(x2, w2, first2, None, 0.0, o, O, D2, OUTPUTS, COLUMNS)
    tl.store(out + o[:, None], (constant + y[:, None]).to(out.dtype.element_ty), mask=(o < O)[:, None])


@triton.jit
def _gained(x, norm, gains, i, eps, D: tl.constexpr, TYPE: tl.constexpr):
    """x (D) in fp32, times the norm's weights if there is a norm, and what it still has to be divided by: √(mean x² + ε)."""
    v = tl.load(x + i, mask=i < D, other=0.0)
    inverse = 1.0
    if norm is None:
        v = v.to(tl.float32)
    else:
        v = v.to(TYPE).to(tl.float32)  # as the law rounds the residual
        inverse = tl.rsqrt(tl.sum(v * v) / D + eps)
        v *= gains
    return v, inverse


@triton.jit
def stream(
    x, w, norm, eps, bias, scale, out, conv_weight, conv_bias, state, active, conv_first, program,
    O: tl.constexpr, D: tl.constexpr, C: tl.constexpr, K: tl.constexpr, WIDE: tl.constexpr,
    OUTPUTS: tl.constexpr, REPEAT: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """out (O) = scale ∘ (norm(x) Wᵀ + bias), of which conv_first … conv_first+C−1 go through the convolution, if any.

    One program of many: x stays in registers, and while one tile of weights is multiplied the next is on its way.
    """
    EVEN: tl.constexpr = O % (OUTPUTS * REPEAT) == 0 and D == WIDE
    i = tl.arange(0, WIDE)
    o = program * (OUTPUTS * REPEAT) + tl.arange(0, OUTPUTS)
    weights = tile(w, o, i, O, D, EVEN)
    gains = i
    if norm is not None:
        gains = tl.load(norm + i, mask=i < D, other=0.0).to(tl.float32)
    r = tl.zeros((1, 1), dtype=tl.int32)
    wait(PDL)
    v, inverse = _gained(x, norm, gains, i, eps, D, weights.dtype)
    for turn in tl.static_range(REPEAT):
        inside = (o < O)[:, None]
        if conv_weight is not None:
            kept, total, newest, writes = window(state, conv_weight, conv_bias, active, o, r, inside, conv_first, C, K)
        following = weights
        if turn + 1 < REPEAT:
            following = tile(w, o + OUTPUTS, i, O, D, EVEN)
        y = (tl.sum(weights.to(tl.float32) * v[None, :], axis=1) * inverse)[:, None]
        if bias is not None:
            y += of_output(bias, o, O)
        if scale is not None:
            y *= of_output(scale, o, O)
        if conv_weight is not None:
            y = convolved(y, kept, total, newest, writes, state, o, r, inside, conv_first, C, K)
        tl.store(out + o[:, None], y.to(out.dtype.element_ty), mask=inside)
        weights, o = following, o + OUTPUTS


@triton.jit
def _row_convolved(
    x, w, norm, eps, bias, scale, out, conv_weight, conv_bias, state, active, conv_first,
    O: tl.constexpr, D: tl.constexpr, C: tl.constexpr, K: tl.constexpr, WIDE: tl.constexpr,
    OUTPUTS: tl.constexpr, REPEAT: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    release(PDL)
    stream(
        x, w, norm, eps, bias, scale, out, conv_weight, conv_bias, state, active, conv_first, tl.program_id(0),
        O, D, C, K, WIDE, OUTPUTS, REPEAT, PDL,
    )  # fmt: skip


@triton.jit
def _row_gated(
    x, w, norm, eps, bias, multiplier, out, O: tl.constexpr, D: tl.constexpr, WIDE: tl.constexpr,
    OUTPUTS: tl.constexpr, REPEAT: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """out (O) = (U x) · SiLU(multiplier · G x), W (2·O, D) = G over U."""
    EVEN: tl.constexpr = O % (OUTPUTS * REPEAT) == 0 and D == WIDE
    release(PDL)
    i = tl.arange(0, WIDE)
    o = tl.program_id(0) * (OUTPUTS * REPEAT) + tl.arange(0, OUTPUTS)
    up = w + O * D
    g, u = tile(w, o, i, O, D, EVEN), tile(up, o, i, O, D, EVEN)
    gains = tl.load(norm + i, mask=i < D, other=0.0).to(tl.float32)
    wait(PDL)
    v, inverse = _gained(x, norm, gains, i, eps, D, g.dtype)
    for turn in tl.static_range(REPEAT):
        next_g, next_u = g, u
        if turn + 1 < REPEAT:
            next_g, next_u = tile(w, o + OUTPUTS, i, O, D, EVEN), tile(up, o + OUTPUTS, i, O, D, EVEN)
        gate = (tl.sum(g.to(tl.float32) * v[None, :], axis=1) * inverse)[:, None]
        y = (tl.sum(u.to(tl.float32) * v[None, :], axis=1) * inverse)[:, None]
        if bias is not None:
            gate += of_output(bias, o, O)
            y += of_output(bias + O, o, O)
        tl.store(out + o[:, None], (y * silu(multiplier * gate)).to(out.dtype.element_ty), mask=(o < O)[:, None])
        g, u, o = next_g, next_u, o + OUTPUTS
