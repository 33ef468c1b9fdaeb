"""Weight-streaming products for 2 to 128 rows: out = x Wᵀ on tensor cores, each weight read once.

A program owns a block of outputs for all rows. W's tile is the first operand, so that the few rows cost little: they are padded
to 16, 32, 64 or 128. A norm before the product is a small kernel of its own here (`normed`): many programs would repeat it.
"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"
# mypy: disable-error-code="assignment"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from modeling.kernels.triton.launch import power_of_two, release, wait

INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)


def padded(rows: int) -> int:
    """Rows as the tensor cores take them."""
    return max(16, power_of_two(rows))


@triton.jit
def dot(a, b, acc):
    """acc + a b on the tensor cores, fp32 exactly."""
    if INTERPRETED and a.dtype == tl.bfloat16:  # numpy knows no bfloat16
        a, b = a.to(tl.float32), b.to(tl.float32)
    return tl.dot(a, b, acc, input_precision="ieee")


@triton.jit
def silu(x):
    return x / (1.0 + tl.exp(-x))


@triton.jit
def softplus(x):
    """log(1 + eˣ) = max(x, 0) + log1p(u), u = e^−|x|; log1p(u) = 2 artanh(u / (2 + u)) as a series, exact where u is small."""
    u = tl.exp(-tl.abs(x))
    t = u / (2.0 + u)  # ≤ ⅓
    q = t * t
    series = 1.0 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q * (1 / 11 + q * (1 / 13 + q * (1 / 15)))))))
    return tl.maximum(x, 0.0) + 2.0 * t * series


@triton.jit
def comb(i, WIDTH: tl.constexpr, COMBED: tl.constexpr):
    """Where column i of WIDTH lies; COMBED: as `nf4.combed` puts it."""
    return (i % 8 ^ 1) * (WIDTH // 8) + i // 8 if COMBED else i


@triton.jit
def tile(w, o, i, O: tl.constexpr, D: tl.constexpr, EVEN: tl.constexpr):
    """W[o, i] of W (O, D), 0 beyond the edges; EVEN: there are none."""
    at = w + o.to(tl.int64)[:, None] * D + i[None, :]
    if EVEN:
        found = tl.load(at, eviction_policy="evict_first")
    else:
        found = tl.load(at, mask=(o < O)[:, None] & (i < D)[None, :], other=0.0, eviction_policy="evict_first")
    return found


@triton.jit
def of_output(vector, o, O: tl.constexpr):
    """vector[o] (O) in fp32 as a column."""
    return tl.load(vector + o, mask=o < O, other=0.0).to(tl.float32)[:, None]


@triton.jit
def window(
    state, weight, bias, active, o, r, inside, first, C: tl.constexpr, K: tl.constexpr,
):  # fmt: skip
    """What the convolution needs besides its newest input, for the channels that the outputs o feed (tiles o by r): the last
    K−1 inputs, oldest first; their part of the sum; the newest one's weight; and whose state may change."""
    c = (o - first)[:, None]
    channel = inside & (c >= 0) & (c < C)
    at = state + (r.to(tl.int64) * (C * K) + c)
    kept = ()
    for j in tl.static_range(1, K):
        kept = kept + (tl.load(at + j * C, mask=channel, other=0.0),)  # noqa: RUF005 (the language has no stars)
    total = tl.zeros(inside.shape, dtype=tl.float32)
    if bias is not None:
        total += tl.load(bias + c, mask=(c >= 0) & (c < C), other=0.0).to(tl.float32)
    for j in tl.static_range(K - 1):
        total += kept[j].to(tl.float32) * tl.load(weight + c * K + j, mask=(c >= 0) & (c < C), other=0.0).to(tl.float32)
    newest = tl.load(weight + c * K + K - 1, mask=(c >= 0) & (c < C), other=0.0).to(tl.float32)
    return kept, total, newest, channel & (tl.load(active + r + 0 * c, mask=inside, other=0) != 0)


@triton.jit
def convolved(y, kept, total, weight, writes, state, o, r, inside, first, C: tl.constexpr, K: tl.constexpr):
    """y (o by r), which is the newest input where it feeds a channel: it enters the state, out comes SiLU(bias + Σ taps)."""
    c = (o - first)[:, None]
    at = state + (r.to(tl.int64) * (C * K) + c)
    newest = y.to(state.dtype.element_ty)
    tl.debug_barrier()  # everyone has read the old inputs: now they may move up
    for j in tl.static_range(K - 1):
        tl.store(at + j * C, kept[j], mask=writes)
    tl.store(at + (K - 1) * C, newest, mask=writes)
    return tl.where(inside & (c >= 0) & (c < C), silu(total + newest.to(tl.float32) * weight), y)


@triton.jit
def _normed(
    x, weight, out, parts, bias, rows, eps, D: tl.constexpr, WIDTH: tl.constexpr, PARTS: tl.constexpr, COMBED: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """x += Σ parts + bias; out[row] = x / √(mean x² + ε) · weight, rounded where `reference.rms_norm` rounds."""
    release(PDL)
    i, row = tl.arange(0, WIDTH), tl.program_id(0).to(tl.int64)
    scale = tl.load(weight + i, mask=i < D, other=0.0)
    wait(PDL)
    at = row * D + i
    v = tl.load(x + at, mask=i < D, other=0.0)
    if PARTS > 0:
        total = v.to(tl.float32)
        if bias is not None:
            total += tl.load(bias + i, mask=i < D, other=0.0).to(tl.float32)
        for part in tl.static_range(PARTS):
            total += tl.load(parts + (part * rows + row) * D + i, mask=i < D, other=0.0)
        v = total.to(v.dtype)
        tl.store(x + at, v, mask=i < D)
    v = v.to(scale.dtype).to(tl.float32)
    v = (v * tl.rsqrt(tl.sum(v * v) / D + eps)).to(scale.dtype).to(tl.float32)
    tl.store(out + row * D + comb(i, D, COMBED), (v * scale.to(tl.float32)).to(scale.dtype), mask=i < D)


def normed(
    x: Tensor, weight: Tensor, eps: float, out: Tensor | None = None, parts: Tensor | None = None, bias: Tensor | None = None,
    combed: bool = False, pdl: bool = False,
) -> Tensor:  # fmt: skip
    """The RMS norm of x (b, d) in the dtype of `weight` (d). With parts (s, b, d) fp32, x += Σ parts + bias comes first.

    `combed`: the result is (`nf4.combed`). `pdl`: it overlaps with the kernel before.
    """
    b, d = x.shape
    if out is None:
        out = torch.empty(b, d, dtype=weight.dtype, device=x.device)
    width = triton.next_power_of_2(d)
    _normed[(b,)](
        x, weight, out, parts, bias, b, eps, D=d, WIDTH=width, PARTS=0 if parts is None else parts.shape[0],
        COMBED=combed, PDL=pdl, num_warps=8 if width >= 2048 else 4, launch_pdl=pdl,
    )  # fmt: skip
    return out


def project_parts(
    x: Tensor, weight: Tensor, parts: Tensor, outputs: int, columns: int, warps: int = 4, stages: int = 4
) -> None:
    """parts (s, b, o) fp32 of x Wᵀ, each over its share of the columns: Σ parts is the product. Rows of x may lie apart."""
    (splits, b, o), d = parts.shape, weight.shape[1]
    if weight.dtype == torch.float32:
        outputs, columns, stages = 32, 32, 2  # no tensor cores: tiles go through registers
    elif b > 64:
        columns //= 2  # so that they need no more shared memory
    span = columns * triton.cdiv(d, splits * columns)
    _rows_parts[(triton.cdiv(o, outputs), splits)](
        x, weight, parts, b, STRIDE=x.stride(0), O=o, D=d, OUTPUTS=outputs, ROWS=padded(b), SPAN=span, COLUMNS=columns,
        STAGES=stages, EVEN=o % outputs == 0 and d == splits * span, num_warps=warps,
    )  # fmt: skip


@triton.jit
def _rows_parts(
    x, w, parts, b, STRIDE: tl.constexpr, O: tl.constexpr, D: tl.constexpr, OUTPUTS: tl.constexpr, ROWS: tl.constexpr,
    SPAN: tl.constexpr, COLUMNS: tl.constexpr, STAGES: tl.constexpr, EVEN: tl.constexpr,
):  # fmt: skip
    """parts[split] = x Wᵀ over the SPAN columns of this split."""
    split = tl.program_id(1)
    o, r = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS), tl.arange(0, ROWS)
    acc = tl.zeros((OUTPUTS, ROWS), dtype=tl.float32)
    for start in tl.range(0, SPAN, COLUMNS, num_stages=STAGES):
        i = split * SPAN + start + tl.arange(0, COLUMNS)
        weights = tile(w, o, i, O, D, EVEN)
        inputs = tl.load(x + r[None, :] * STRIDE + i[:, None], mask=(r < b)[None, :] & (i < D)[:, None], other=0.0)
        acc = dot(weights, inputs.to(weights.dtype), acc)
    tl.store(parts + (split * b + r[None, :]) * O + o[:, None], acc, mask=(r < b)[None, :] & (o < O)[:, None])


@triton.jit
def _product(x, w, o, r, b, O: tl.constexpr, D: tl.constexpr, OUTPUTS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
             STAGES: tl.constexpr):  # fmt: skip
    """W xᵀ (OUTPUTS, ROWS) in fp32: x (b, D), W (O, D)."""
    EVEN: tl.constexpr = O % OUTPUTS == 0 and D % COLUMNS == 0
    acc = tl.zeros((OUTPUTS, ROWS), dtype=tl.float32)
    for start in tl.range(0, D, COLUMNS, num_stages=STAGES):
        i = start + tl.arange(0, COLUMNS)
        weights = tile(w, o, i, O, D, EVEN)
        inputs = tl.load(x + r[None, :] * D + i[:, None], mask=(r < b)[None, :] & (i < D)[:, None], other=0.0)
        acc = dot(weights, inputs.to(weights.dtype), acc)
    return acc


@triton.jit
def rows_plain(
    x, w, x2, w2, bias, multiplier, bias2, multiplier2, residual, out, b,
    O: tl.constexpr, D: tl.constexpr, D2: tl.constexpr,
    OUTPUTS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """out = residual + multiplier · (x Wᵀ + bias) + multiplier₂ · (x₂ W₂ᵀ + bias₂)."""
    o, r = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS), tl.arange(0, ROWS)
    y = _product(x, w, o, r, b, O, D, OUTPUTS, ROWS, COLUMNS, STAGES)
    if bias is not None:
        y += of_output(bias, o, O)
    y *= multiplier
    if x2 is not None:
        y2 = _product(x2, w2, o, r, b, O, D2, OUTPUTS, ROWS, COLUMNS, STAGES)
        if bias2 is not None:
            y2 += of_output(bias2, o, O)
        y += multiplier2 * y2
    at = r[None, :] * O + o[:, None]
    inside = (o < O)[:, None] & (r < b)[None, :]
    if residual is not None:
        y += tl.load(residual + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + at, y.to(out.dtype.element_ty), mask=inside)


@triton.jit
def rows_sum(
    parts, bias, multiplier, bias2, multiplier2, residual, out, b,
    O: tl.constexpr, SPLITS: tl.constexpr, SECOND: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The same of products that are there in parts (1 or 2, SPLITS, b, O)."""
    row, o = tl.program_id(1).to(tl.int64), tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    y = tl.zeros((BLOCK,), dtype=tl.float32)
    for split in tl.static_range(SPLITS):
        y += tl.load(parts + (split * b + row) * O + o, mask=o < O, other=0.0)
    if bias is not None:
        y += tl.load(bias + o, mask=o < O, other=0.0).to(tl.float32)
    y *= multiplier
    if SECOND:
        y2 = tl.zeros((BLOCK,), dtype=tl.float32)
        for split in tl.static_range(SPLITS, 2 * SPLITS):
            y2 += tl.load(parts + (split * b + row) * O + o, mask=o < O, other=0.0)
        if bias2 is not None:
            y2 += tl.load(bias2 + o, mask=o < O, other=0.0).to(tl.float32)
        y += multiplier2 * y2
    if residual is not None:
        y += tl.load(residual + row * O + o, mask=o < O, other=0.0).to(tl.float32)
    tl.store(out + row * O + o, y.to(out.dtype.element_ty), mask=o < O)


@triton.jit
def rows_gated(
    x, w, bias, multiplier, out, b, O: tl.constexpr, D: tl.constexpr,
    OUTPUTS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """out = (U x) · SiLU(multiplier · G x), W (2·O, D) = G over U."""
    EVEN: tl.constexpr = O % OUTPUTS == 0 and D % COLUMNS == 0
    o, r = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS), tl.arange(0, ROWS)
    up = w + O * D
    gates = tl.zeros((OUTPUTS, ROWS), dtype=tl.float32)
    y = tl.zeros((OUTPUTS, ROWS), dtype=tl.float32)
    for start in tl.range(0, D, COLUMNS, num_stages=STAGES):
        i = start + tl.arange(0, COLUMNS)
        g, u = tile(w, o, i, O, D, EVEN), tile(up, o, i, O, D, EVEN)
        inputs = tl.load(x + r[None, :] * D + i[:, None], mask=(r < b)[None, :] & (i < D)[:, None], other=0.0).to(g.dtype)
        gates = dot(g, inputs, gates)
        y = dot(u, inputs, y)
    if bias is not None:
        gates += of_output(bias, o, O)
        y += of_output(bias + O, o, O)
    y *= silu(multiplier * gates)
    tl.store(out + r[None, :] * O + o[:, None], y.to(out.dtype.element_ty), mask=(o < O)[:, None] & (r < b)[None, :])


@triton.jit
def rows_convolved(
    x, w, bias, scale, out, conv_weight, conv_bias, state, active, first, b,
    O: tl.constexpr, D: tl.constexpr, C: tl.constexpr, K: tl.constexpr,
    OUTPUTS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """out = scale ∘ (x Wᵀ + bias), of which the outputs first … first+C−1 go through the convolution."""
    o, r = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS), tl.arange(0, ROWS)
    y = _product(x, w, o, r, b, O, D, OUTPUTS, ROWS, COLUMNS, STAGES)
    if bias is not None:
        y += of_output(bias, o, O)
    if scale is not None:
        y *= of_output(scale, o, O)
    inside = (o < O)[:, None] & (r < b)[None, :]
    kept, total, newest, writes = window(state, conv_weight, conv_bias, active, o, r[None, :], inside, first, C, K)
    y = convolved(y, kept, total, newest, writes, state, o, r[None, :], inside, first, C, K)
    tl.store(out + r[None, :] * O + o[:, None], y.to(out.dtype.element_ty), mask=inside)
