"""Weight-streaming products of a decode step: b ≤ 128 rows through one weight matrix, at the speed its bytes can be read.

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
    project_parts,
    rows_convolved,
    rows_gated,
    rows_plain,
    rows_sum,
    silu,
    tile,
    window,
)

MAX_ROWS = 128
PROCESSORS = 132  # of an H100 or H200
SMALL = 2**21  # weights of a matrix that is read in no time


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

    One row with a gate or a convolution: all columns at once, and `repeat` times so many outputs, one after the other (powers
    of 2). More rows: `stages` loads in flight.
    """

    outputs: int
    columns: int
    warps: int = 8
    stages: int = 4
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
    epilogue = (bias, multiplier, bias2, multiplier2, residual, out)
    splits = min(triton.cdiv(PROCESSORS, triton.cdiv(o, 64)), d // 512)
    if splits > 1 and o * d >= SMALL:
        _project_in_parts(x, weight, x2, w2, splits, *epilogue)
        return
    rows_plain[grid](
        x, weight, x2, w2, *epilogue, b, O=o, D=d, D2=d2,
        OUTPUTS=blocks.outputs, ROWS=padded(b), COLUMNS=blocks.columns, STAGES=blocks.stages,
        num_warps=blocks.warps,
    )  # fmt: skip


def _project_in_parts(
    x: Tensor, weight: Tensor, x2: Tensor | None, w2: Tensor | None, splits: int, bias: Tensor | None, multiplier: float,
    bias2: Tensor | None, multiplier2: float, residual: Tensor | None, out: Tensor,
) -> None:  # fmt: skip
    """`project` where the outputs are so few that the columns have to be cut as well, to give every processor something."""
    b, o = out.shape
    both = [(x, weight)] if x2 is None or w2 is None else [(x, weight), (x2, w2)]
    parts = torch.empty(len(both), splits, b, o, dtype=torch.float32, device=x.device)
    for (inputs, w), some in zip(both, parts, strict=True):
        project_parts(inputs, w, some, 64, 128, stages=3)
    rows_sum[(triton.cdiv(o, 512), b)](
        parts, bias, multiplier, bias2, multiplier2, residual, out, b, O=o, SPLITS=splits, SECOND=len(both) == 2, BLOCK=512,
        num_warps=4,
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
        num_warps=blocks.warps,
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
        _row_whole[(triton.cdiv(o, blocks.outputs * blocks.repeat),)](
            x, None, weight, *_parts(norm), bias, scale, None, out, *memory, O=o, D=d, C=c, K=k,
            WIDE=triton.next_power_of_2(d), OUTPUTS=blocks.outputs, REPEAT=blocks.repeat, PDL=pdl, num_warps=blocks.warps,
            launch_pdl=pdl,
        )  # fmt: skip
        return
    blocks = blocks or choose(b, o, d, weight.dtype)
    if norm is not None:
        x = normed(x, norm.weight, norm.eps)
    rows_convolved[(triton.cdiv(o, blocks.outputs),)](
        x, weight, bias, scale, out, *memory, b, O=o, D=d, C=c, K=k,
        OUTPUTS=blocks.outputs, ROWS=padded(b), COLUMNS=blocks.columns, STAGES=blocks.stages,
        num_warps=blocks.warps,
    )  # fmt: skip


def project_swished(
    x: Tensor, swish: Tensor, weight: Tensor, out: Tensor, residual: Tensor, bias: Tensor | None, blocks: Blocks | None = None
) -> None:  # fmt: skip
    """One row: out (1, o) = residual + (x · SiLU(swish)) Wᵀ + bias; x, swish (1, d); `out` may be `residual`."""
    o, d = weight.shape
    blocks, pdl = blocks or choose_whole(o, d), overlaps(x.device)
    _row_whole[(triton.cdiv(o, blocks.outputs * blocks.repeat),)](
        x, swish, weight, None, 0.0, bias, None, residual, out, None, None, None, None, 0, O=o, D=d, C=1, K=1,
        WIDE=triton.next_power_of_2(d), OUTPUTS=blocks.outputs, REPEAT=blocks.repeat, PDL=pdl, num_warps=blocks.warps,
        launch_pdl=pdl,
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
        return Blocks(2, min(2048, triton.next_power_of_2(width)))
    if dtype == torch.float32:
        return Blocks(32, 32, warps=4, stages=2)
    if gated:
        return Blocks(32, 128 if rows <= 32 else 64, warps=4, stages=4)
    if rows > 64:
        return Blocks(64, 64, warps=4, stages=4)
    return Blocks(64, 128, warps=4, stages=3 if rows > 32 else 4)


def choose_whole(outputs: int, width: int) -> Blocks:
    """The same for one row whose columns are taken at once."""
    wide = triton.next_power_of_2(width)
    each = max(2, min(8, 16384 // wide))
    repeat = 1 if outputs < 1024 * each else 4 if wide > 4096 else 2
    return Blocks(each, 0, 8 if width > 1024 else 4, repeat=repeat)


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
def gained(x, swish, norm, gains, i, eps, D: tl.constexpr, TYPE: tl.constexpr):
    """x (D) in fp32, times SiLU(swish) if there is one, times the norm's weights if there is a norm; and what is still missing
    then: the factor 1/√(mean x² + ε)."""
    v = tl.load(x + i, mask=i < D, other=0.0)
    inverse = 1.0
    if norm is not None:
        v = v.to(TYPE).to(tl.float32)  # as the law rounds the residual
        inverse = tl.rsqrt(tl.sum(v * v) / D + eps)
        v *= gains
    v = v.to(tl.float32)
    if swish is not None:
        v *= silu(tl.load(swish + i, mask=i < D, other=0.0).to(tl.float32))
    return v, inverse


@triton.jit
def stream(
    x, swish, w, norm, eps, bias, scale, residual, out, conv_weight, conv_bias, state, active, conv_first, program,
    O: tl.constexpr, D: tl.constexpr, C: tl.constexpr, K: tl.constexpr, WIDE: tl.constexpr,
    OUTPUTS: tl.constexpr, REPEAT: tl.constexpr, EARLY: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """out (O) = residual + scale ∘ (norm(x · SiLU(swish)) Wᵀ + bias), of which conv_first … conv_first+C−1 go through the
    convolution, if there is any.

    One program of many: x stays in registers, and while one tile of weights is multiplied the next is on its way. EARLY: x is
    there as soon as this kernel starts. Else this one waits, and lets the next start so late that x is there for that one, too.
    """
    EVEN: tl.constexpr = O % (OUTPUTS * REPEAT) == 0 and D == WIDE
    i = tl.arange(0, WIDE)
    o = program * (OUTPUTS * REPEAT) + tl.arange(0, OUTPUTS)
    every = program * (OUTPUTS * REPEAT) + tl.arange(0, OUTPUTS * REPEAT)
    inside, r = (every < O)[:, None], tl.zeros((1, 1), dtype=tl.int32)
    weights = tile(w, o, i, O, D, EVEN)
    gains = i
    if norm is not None:
        gains = tl.load(norm + i, mask=i < D, other=0.0).to(tl.float32)
    if conv_weight is not None:  # its state is of the last step, which has ended (_embed)
        kept, total, newest, writes = window(state, conv_weight, conv_bias, active, every, r, inside, conv_first, C, K)
    offset = tl.zeros((OUTPUTS * REPEAT, 1), dtype=tl.float32)
    if bias is not None:
        offset += of_output(bias, every, O)
    if not EARLY:
        wait(PDL)
        release(PDL)
    v, inverse = gained(x, swish, norm, gains, i, eps, D, weights.dtype)
    y = tl.zeros((OUTPUTS * REPEAT,), dtype=tl.float32)
    for turn in tl.static_range(REPEAT):
        following = weights
        if turn + 1 < REPEAT:
            following = tile(w, o + OUTPUTS, i, O, D, EVEN)
        some = tl.sum(weights.to(tl.float32) * v[None, :], axis=1)
        y += tl.sum(tl.where(every[:, None] == o[None, :], some[None, :], 0.0), axis=1)
        weights, o = following, o + OUTPUTS
    y = y[:, None] * inverse + offset
    if scale is not None:
        y *= of_output(scale, every, O)
    if conv_weight is not None:
        y = convolved(y, kept, total, newest, writes, state, every, r, inside, conv_first, C, K)
    if residual is not None:
        y += of_output(residual, every, O)
    tl.store(out + every[:, None], y.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _row_whole(
    x, swish, w, norm, eps, bias, scale, residual, out, conv_weight, conv_bias, state, active, conv_first,
    O: tl.constexpr, D: tl.constexpr, C: tl.constexpr, K: tl.constexpr, WIDE: tl.constexpr,
    OUTPUTS: tl.constexpr, REPEAT: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    stream(
        x, swish, w, norm, eps, bias, scale, residual, out, conv_weight, conv_bias, state, active, conv_first,
        tl.program_id(0), O, D, C, K, WIDE, OUTPUTS, REPEAT, False, PDL,
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
    v, inverse = gained(x, None, norm, gains, i, eps, D, g.dtype)
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
