"""Products of a few rows with packed matrices, and what follows them pointwise: `rows` for weights that are not plain.

Up to 16 rows of 4-bit weights go to `kernels.cuda` where that can be had (`Matrix4.rows`). Here a program owns some outputs for
all rows; its warps share the columns (`nf4`, `int8`). With one row, it asks for its first weights before the kernel ahead has
ended.

A norm before a product is a kernel by itself, but not with one row of 4-bit weights: the product that makes h writes h ∘ weight
and the sums of its squares, too (`project_grown`), and those that read them divide their results, which is the same
(`Deferred`).
"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"
# mypy: disable-error-code="assignment"

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import torch
import triton
import triton.language as tl
from torch import Tensor

from modeling.kernels.cuda import packed4
from modeling.kernels.triton.int8 import Matrix8, product8
from modeling.kernels.triton.launch import overlaps, release, wait
from modeling.kernels.triton.nf4 import Matrix4, decoder, first_words, product4, row4, unscaled
from modeling.kernels.triton.projection import PROCESSORS, Convolved
from modeling.kernels.triton.rows import comb, convolved, of_output, silu, window

PackedMatrix = Matrix4 | Matrix8
PRODUCT = ("D", "BLOCK", "GROUP", "WORDS", "SPAN", "EVEN", "COMBED", "DECODE")  # constants of `row4`
AHEAD = True  # ask for weights while the kernel before still runs


@dataclass(frozen=True, slots=True)
class PackedBlocks:
    """What one program takes on: `outputs` (≥ 16), whose columns `warps` warps share, `words` (≥ 16) of 8 columns at a time
    each; `stages` loads in flight."""

    outputs: int
    words: int = 16
    warps: int = 4
    stages: int = 3


def choose(rows: int, outputs: int, matrix: PackedMatrix, splits: int = 1) -> PackedBlocks:
    """Block sizes by shape: outputs enough to make activations cheap, few enough to keep all processors at work (compiled
    instructions a weight: 4.4 with 64 outputs, 4.6 with 32, 4.9 with 16; benchmarks/gpu/decode_nf4.py). So many warps that the
    width is all theirs, without a rest, if that can be."""
    each, words = outputs * splits / PROCESSORS, matrix.shape[1] // 8
    if rows == 1 and isinstance(matrix, Matrix4):
        return _choose_row(words // splits)
    outputs = 16 if rows > 32 or each < 24 else 64 if each >= 96 and rows <= 16 else 32
    blocks = PackedBlocks(outputs, 32 if rows <= 16 and splits > 1 and words >= 512 * splits else 16)
    for warps in (8, 4, 2) if 16 < rows <= 32 else (4, 2):
        if words % (splits * warps * blocks.words) == 0:
            return replace(blocks, warps=warps)
    while blocks.warps > 1 and words < splits * blocks.warps * blocks.words:  # some would have no columns
        blocks = replace(blocks, warps=blocks.warps // 2)
    return blocks


def _choose_row(words: int) -> PackedBlocks:
    """The same for one row of 4-bit codes: four neighbouring words of four outputs for each thread."""
    at_once = next((n for n in (1024, 512, 256, 128, 64) if words % n == 0), 128)
    return PackedBlocks(4, at_once, max(1, at_once // 128))


@dataclass(frozen=True, slots=True)
class Deferred:
    """What is left of a norm (Zhang & Sennrich 2019) for those who read x = h ∘ weight: to divide W x by √(Σ h² / d + eps).
    Σ `squares` (a power of two) fp32 is Σ h²."""

    squares: Tensor
    eps: float


@dataclass(frozen=True, slots=True)
class Growth:
    """Where a row h (1, o) is kept that grows by what is worked out, plus bias (o) or none, and what the next norm, of weight
    (o), needs of it: x (1, o) = h ∘ weight, `combed` or not, and its squares as `Deferred` has them, 0 wherever no program
    writes."""

    h: Tensor
    bias: Tensor | None
    weight: Tensor
    x: Tensor
    squares: Tensor
    combed: bool

    @staticmethod
    def no_squares(matrix: Matrix4) -> Tensor:
        """`squares` for what that matrix makes."""
        o, device = matrix.shape[0], matrix.codes.device
        programs = triton.cdiv(o, choose(1, o, matrix).outputs)
        return torch.zeros(triton.next_power_of_2(programs), dtype=torch.float32, device=device)


def project(
    x: Tensor, matrix: PackedMatrix, out: Tensor, *, bias: Tensor | None = None, multiplier: float = 1.0,
    residual: Tensor | None = None, combed: bool = False, blocks: PackedBlocks | None = None,
) -> None:  # fmt: skip
    """out (b, o) = residual + multiplier · (x Wᵀ + bias), x (b, d); `out` may be `residual` itself.

    Here and below: x and `matrix` have one dtype to meet in, that of x; rows of x may lie apart; `combed`: x is (`nf4.combed`).
    """
    b, o = x.shape[0], matrix.shape[0]
    if blocks is None and _elsewhere(matrix, b):
        packed4.project(x, matrix, out, bias=bias, multiplier=multiplier, residual=residual)
        return
    blocks = blocks or choose(b, o, matrix)
    _plain[(triton.cdiv(o, blocks.outputs),)](
        x, arguments(matrix), bias, multiplier, residual, out, b, x.stride(0), **options(x, matrix, o, blocks, 1, combed)
    )


def project_parts(
    x: Tensor, matrix: PackedMatrix, parts: Tensor, *, combed: bool = False, blocks: PackedBlocks | None = None,
) -> None:  # fmt: skip
    """parts (s, b, o) fp32 of x Wᵀ, each over its share of the columns: Σ parts is the product."""
    splits, b, o = parts.shape
    if blocks is None and _elsewhere(matrix, b):
        packed4.project_parts(x, matrix, parts)
        return
    blocks = blocks or choose(b, o, matrix, splits)
    _parts[(triton.cdiv(o, blocks.outputs), splits)](
        x, arguments(matrix), parts, b, x.stride(0), **options(x, matrix, o, blocks, splits, combed)
    )


def project_grown(products: Sequence[tuple[Tensor, Matrix4]], growth: Growth) -> None:
    """h += Σ x Wᵀ + bias over one or two products of one row each, x combed if its matrix has that, and the beginning of the
    norm of h."""
    forms = {(matrix.doubled is None, matrix.group) for _, matrix in products}
    if len(forms) == 1 and all(_elsewhere(matrix, 1) for _, matrix in products):
        packed4.project_grown(products, growth)
        return
    o, constants = growth.h.shape[1], dict[str, Any]()
    for name, (x, matrix) in zip(("", "_2"), products, strict=False):
        of_matrix = options(x, matrix, o, choose(1, o, matrix), 1, matrix.rows == 0)
        constants |= {f"{key}{name}": of_matrix[key] for key in PRODUCT}
    (x, matrix), *others = products
    second = (others[0][0], arguments(others[0][1])) if others else (None, None)
    constants |= {} if others else dict.fromkeys((f"{key}_2" for key in PRODUCT), 1)
    blocks, pdl = choose(1, o, matrix), overlaps(growth.h.device)
    _grown[(triton.cdiv(o, blocks.outputs),)](
        x, arguments(matrix), *second, growth.h, growth.bias, growth.weight, growth.x, growth.squares, O=o,
        OUTPUTS=blocks.outputs, OUT_COMBED=growth.combed, **constants, PDL=pdl, num_warps=blocks.warps, launch_pdl=pdl,
    )  # fmt: skip


def project_gated(
    x: Tensor, matrix: PackedMatrix, out: Tensor, *, bias: Tensor | None = None, multiplier: float = 1.0,
    combed: bool = False, out_combed: bool = False, blocks: PackedBlocks | None = None, deferred: Deferred | None = None,
) -> None:  # fmt: skip
    """out (b, f) = (U x) · SiLU(multiplier · G x), x (b, d); matrix (2f, d): G's rows, then U's; bias (2f) alike. `deferred`:
    of the norm that makes x, for one row of 4-bit weights."""
    b, f = x.shape[0], matrix.shape[0] // 2
    if blocks is None and _elsewhere(matrix, b):
        packed4.project_gated(x, matrix, out, bias=bias, multiplier=multiplier, out_combed=out_combed, deferred=deferred)
        return
    blocks = blocks or choose(b, 2 * f, matrix)
    _gated[(triton.cdiv(f, blocks.outputs),)](
        x, arguments(matrix), bias, multiplier, out, b, x.stride(0), *of_norm(deferred), OUT_COMBED=out_combed,
        **options(x, matrix, f, blocks, 1, combed), SQUARES=0 if deferred is None else deferred.squares.numel(),
    )  # fmt: skip


def project_convolved(
    x: Tensor, matrix: PackedMatrix, out: Tensor, conv: Convolved, *, scale: Tensor | None = None,
    bias: Tensor | None = None, combed: bool = False, blocks: PackedBlocks | None = None, deferred: Deferred | None = None,
) -> None:  # fmt: skip
    """out (b, o) = scale ∘ (x Wᵀ + bias), of which `conv` takes some on their way, as in `projection.project_convolved`; W's
    first o rows. `deferred` as above."""
    b, o, (c, k) = x.shape[0], out.shape[1], conv.weight.shape
    assert conv.state.stride() == (c * k, 1, c), "a convolution's state lies tap by tap"
    assert b == 1 or out.is_contiguous()
    if blocks is None and _elsewhere(matrix, b):
        packed4.project_convolved(x, matrix, out, conv, scale=scale, bias=bias, deferred=deferred)
        return
    blocks = blocks or choose(b, o, matrix)
    _convolved[(triton.cdiv(o, blocks.outputs),)](
        x, arguments(matrix), bias, scale, out, conv.weight, conv.bias, conv.state, conv.active, conv.first, b, x.stride(0),
        *of_norm(deferred), C=c, K=k, **options(x, matrix, o, blocks, 1, combed),
        SQUARES=0 if deferred is None else deferred.squares.numel(),
    )  # fmt: skip


def _elsewhere(matrix: PackedMatrix, rows: int) -> TypeGuard[Matrix4]:
    """Whether so many rows are for `kernels.cuda`."""
    return isinstance(matrix, Matrix4) and rows <= matrix.rows


def arguments(matrix: PackedMatrix) -> tuple[Tensor | None, ...]:
    """m in the kernels: (codes, scales; of scales in 8 bits values, absmax and mean; values)."""
    if isinstance(matrix, Matrix8):
        return matrix.codes, matrix.scales, None, None, None, None
    return matrix.codes, matrix.scales, *(matrix.doubled or (None, None, None)), matrix.values


def of_norm(deferred: Deferred | None) -> tuple[Tensor | None, float]:
    """squares and eps in the kernels."""
    return (None, 0.0) if deferred is None else (deferred.squares, deferred.eps)


def options(x: Tensor, matrix: PackedMatrix, outputs: int, blocks: PackedBlocks, splits: int, combed: bool) -> dict[str, Any]:
    """A launch's constants and options. Only one row is worth overlapping with the kernel before."""
    b, d = x.shape[0], matrix.shape[1]
    narrow, pdl = x.dtype != torch.float32, b == 1 and overlaps(x.device)
    span = triton.cdiv(triton.cdiv(d, 8), splits * blocks.warps * blocks.words) * blocks.words  # of one warp
    even = outputs % blocks.outputs == 0 and 8 * splits * blocks.warps * span == d
    form: dict[str, Any] = {"BITS": 8, "BLOCK": 0, "GROUP": 0, "DECODE": None}
    alone = b == 1 and isinstance(matrix, Matrix4)
    if isinstance(matrix, Matrix4):
        ptx = unscaled(matrix.table) if alone else decoder(matrix.table, x.dtype)
        ptx_or_none = None if triton.knobs.runtime.interpret else ptx
        form = {"BITS": 4, "BLOCK": matrix.block, "GROUP": matrix.group, "DECODE": ptx_or_none}
    if alone:
        span = triton.cdiv(triton.cdiv(d, 8), splits * blocks.words) * blocks.words
        even = outputs % blocks.outputs == 0 and 8 * splits * span == d
    return form | {
        "O": outputs, "D": d, "OUTPUTS": blocks.outputs, "ROWS": 1 if alone else max(8, triton.next_power_of_2(b)),
        "WORDS": blocks.words, "SPAN": span, "WARPS": blocks.warps, "STAGES": blocks.stages if narrow else 1, "EVEN": even,
        "COMBED": combed, "AHEAD": AHEAD and even and pdl and not alone, "PDL": pdl, "num_warps": blocks.warps,
        "launch_pdl": pdl,
    }  # fmt: skip


@triton.jit
def _ahead(m, o, split, O: tl.constexpr, LINE: tl.constexpr, BYTES: tl.constexpr):
    """Ask for BYTES of these outputs' rows of LINE bytes while the kernel before still runs: they go as far as the L2 cache."""
    at = m[0].to(tl.int64) + tl.minimum(o, O - 1).to(tl.int64) * LINE + split * BYTES
    tl.inline_asm_elementwise(
        "{ .reg .u32 n; mov.u32 n, $2; cp.async.bulk.prefetch.L2.global [$1], n; mov.u32 $0, 0; }", "=r,l,r",
        [at, tl.full(at.shape, BYTES, tl.int32)], dtype=tl.int32, is_pure=False, pack=1,
    )  # fmt: skip


@triton.jit
def _begin(
    m, split, O: tl.constexpr, D: tl.constexpr, BITS: tl.constexpr, OUTPUTS: tl.constexpr, ROWS: tl.constexpr,
    SPAN: tl.constexpr, WARPS: tl.constexpr, AHEAD: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """This program's outputs and all rows."""
    release(PDL)
    o, r = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS), tl.arange(0, ROWS)
    if AHEAD:
        _ahead(m, o, split, O, D * BITS // 8, SPAN * WARPS * BITS)
    return o, r


@triton.jit
def _row_ahead(
    m, o, split, O: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, WORDS: tl.constexpr, SPAN: tl.constexpr,
    EVEN: tl.constexpr,
):  # fmt: skip
    """What `_product` of one row begins with; for more rows there is no such thing."""
    return first_words(m, o, split, O, D, WORDS, SPAN, EVEN) if ROWS == 1 else o


@triton.jit
def scale_of_norm(squares, eps, D: tl.constexpr, SQUARES: tl.constexpr):
    """1 / √(Σ h² / D + ε) of a deferred norm, 1 if none is. At once: held until the end, the squares would cost registers."""
    return tl.rsqrt(tl.sum(tl.load(squares + tl.arange(0, SQUARES))) / D + eps) if SQUARES > 0 else 1.0


@triton.jit
def _product(
    x, m, words, o, r, b, stride, split, O: tl.constexpr, D: tl.constexpr, BITS: tl.constexpr, BLOCK: tl.constexpr,
    GROUP: tl.constexpr, OUTPUTS: tl.constexpr, ROWS: tl.constexpr, WORDS: tl.constexpr, SPAN: tl.constexpr,
    WARPS: tl.constexpr, STAGES: tl.constexpr, EVEN: tl.constexpr, COMBED: tl.constexpr, DECODE: tl.constexpr,
):  # fmt: skip
    if ROWS == 1:
        y = row4(x, m, words, o, split, O, D, BLOCK, GROUP, OUTPUTS, WORDS, SPAN, EVEN, COMBED, DECODE)
    elif BITS == 4:
        y = product4(
            x, m, o, r, b, stride, split, O, D, BLOCK, GROUP, OUTPUTS, ROWS, WORDS, SPAN, WARPS, STAGES, EVEN, COMBED, DECODE
        )  # fmt: skip
    else:
        y = product8(x, m, o, r, b, stride, split, O, D, OUTPUTS, ROWS, WORDS * 8, SPAN * 8, WARPS, STAGES, EVEN)
    return y


@triton.jit
def _plain(
    x, m, bias, multiplier, residual, out, b, stride, O: tl.constexpr, D: tl.constexpr, BITS: tl.constexpr,
    BLOCK: tl.constexpr, GROUP: tl.constexpr, OUTPUTS: tl.constexpr, ROWS: tl.constexpr, WORDS: tl.constexpr,
    SPAN: tl.constexpr, WARPS: tl.constexpr, STAGES: tl.constexpr, EVEN: tl.constexpr, COMBED: tl.constexpr,
    DECODE: tl.constexpr, AHEAD: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """out = residual + multiplier · (x Wᵀ + bias)."""
    o, r = _begin(m, 0, O, D, BITS, OUTPUTS, ROWS, SPAN, WARPS, AHEAD, PDL)
    words = _row_ahead(m, o, 0, O, D, ROWS, WORDS, SPAN, EVEN)
    wait(PDL)
    y = _product(
        x, m, words, o, r, b, stride, 0, O, D, BITS, BLOCK, GROUP, OUTPUTS, ROWS, WORDS, SPAN, WARPS, STAGES, EVEN, COMBED,
        DECODE,
    )  # fmt: skip
    if bias is not None:
        y += of_output(bias, o, O)
    y *= multiplier
    at, inside = r[None, :] * O + o[:, None], (o < O)[:, None] & (r < b)[None, :]
    if residual is not None:
        y += tl.load(residual + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + at, y.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _parts(
    x, m, parts, b, stride, O: tl.constexpr, D: tl.constexpr, BITS: tl.constexpr, BLOCK: tl.constexpr, GROUP: tl.constexpr,
    OUTPUTS: tl.constexpr, ROWS: tl.constexpr, WORDS: tl.constexpr, SPAN: tl.constexpr, WARPS: tl.constexpr,
    STAGES: tl.constexpr, EVEN: tl.constexpr, COMBED: tl.constexpr, DECODE: tl.constexpr, AHEAD: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """parts[split] = x Wᵀ over the columns of this split."""
    split = tl.program_id(1)
    o, r = _begin(m, split, O, D, BITS, OUTPUTS, ROWS, SPAN, WARPS, AHEAD, PDL)
    words = _row_ahead(m, o, split, O, D, ROWS, WORDS, SPAN, EVEN)
    wait(PDL)
    y = _product(
        x, m, words, o, r, b, stride, split, O, D, BITS, BLOCK, GROUP, OUTPUTS, ROWS, WORDS, SPAN, WARPS, STAGES, EVEN,
        COMBED, DECODE,
    )  # fmt: skip
    tl.store(parts + (split * b + r[None, :]) * O + o[:, None], y, mask=(r < b)[None, :] & (o < O)[:, None])


@triton.jit
def _grown(
    x, m, x_2, m_2, h, bias, weight, out, squares, O: tl.constexpr, OUTPUTS: tl.constexpr, OUT_COMBED: tl.constexpr,
    D: tl.constexpr, BLOCK: tl.constexpr, GROUP: tl.constexpr, WORDS: tl.constexpr, SPAN: tl.constexpr, EVEN: tl.constexpr,
    COMBED: tl.constexpr, DECODE: tl.constexpr, D_2: tl.constexpr, BLOCK_2: tl.constexpr, GROUP_2: tl.constexpr,
    WORDS_2: tl.constexpr, SPAN_2: tl.constexpr, EVEN_2: tl.constexpr, COMBED_2: tl.constexpr, DECODE_2: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """h += W x + W₂ x₂ + bias; out = h ∘ weight, combed or not; squares[program] = Σ h² over its outputs."""
    release(PDL)
    program = tl.program_id(0)
    o = program * OUTPUTS + tl.arange(0, OUTPUTS)
    inside = (o < O)[:, None]
    words = first_words(m, o, 0, O, D, WORDS, SPAN, EVEN)
    words_2 = o if x_2 is None else first_words(m_2, o, 0, O, D_2, WORDS_2, SPAN_2, EVEN_2)
    scale = of_output(weight, o, O)
    wait(PDL)
    before = tl.load(h + o[:, None], mask=inside, other=0.0)
    y = row4(x, m, words, o, 0, O, D, BLOCK, GROUP, OUTPUTS, WORDS, SPAN, EVEN, COMBED, DECODE)
    if x_2 is not None:
        y += row4(x_2, m_2, words_2, o, 0, O, D_2, BLOCK_2, GROUP_2, OUTPUTS, WORDS_2, SPAN_2, EVEN_2, COMBED_2, DECODE_2)
    if bias is not None:
        y += of_output(bias, o, O)
    after = (before.to(tl.float32) + y).to(before.dtype)
    tl.store(h + o[:, None], after, mask=inside)
    v = after.to(out.dtype.element_ty).to(tl.float32)  # as `reference.rms_norm` reads it
    tl.store(out + comb(o, O, OUT_COMBED)[:, None], (v * scale).to(out.dtype.element_ty), mask=inside)
    tl.store(squares + program, tl.sum(tl.where(inside, v * v, 0.0)))


@triton.jit
def _gated(
    x, m, bias, multiplier, out, b, stride, squares, eps, O: tl.constexpr, D: tl.constexpr, BITS: tl.constexpr,
    BLOCK: tl.constexpr, GROUP: tl.constexpr, OUTPUTS: tl.constexpr, ROWS: tl.constexpr, WORDS: tl.constexpr,
    SPAN: tl.constexpr, WARPS: tl.constexpr, STAGES: tl.constexpr, EVEN: tl.constexpr, COMBED: tl.constexpr,
    DECODE: tl.constexpr, AHEAD: tl.constexpr, PDL: tl.constexpr, OUT_COMBED: tl.constexpr, SQUARES: tl.constexpr,
):  # fmt: skip
    """out = (U x) · SiLU(multiplier · G x), W (2·O, D) = G over U."""
    o, r = _begin(m, 0, O, D, BITS, OUTPUTS, ROWS, SPAN, WARPS, AHEAD, PDL)
    words = _row_ahead(m, o, 0, O, D, ROWS, WORDS, SPAN, EVEN)
    wait(PDL)
    norm = scale_of_norm(squares, eps, D, SQUARES)
    gate = _product(
        x, m, words, o, r, b, stride, 0, O, D, BITS, BLOCK, GROUP, OUTPUTS, ROWS, WORDS, SPAN, WARPS, STAGES, EVEN, COMBED,
        DECODE,
    )  # fmt: skip
    words = _row_ahead(m, o + O, 0, 2 * O, D, ROWS, WORDS, SPAN, EVEN)
    y = _product(
        x, m, words, o + O, r, b, stride, 0, 2 * O, D, BITS, BLOCK, GROUP, OUTPUTS, ROWS, WORDS, SPAN, WARPS, STAGES, EVEN,
        COMBED, DECODE,
    )  # fmt: skip
    gate, y = gate * norm, y * norm
    if bias is not None:
        gate += of_output(bias, o, O)
        y += of_output(bias + O, o, O)
    y *= silu(multiplier * gate)
    at = r[None, :] * O + comb(o, O, OUT_COMBED)[:, None]
    tl.store(out + at, y.to(out.dtype.element_ty), mask=(o < O)[:, None] & (r < b)[None, :])


@triton.jit
def _convolved(
    x, m, bias, scale, out, conv_weight, conv_bias, state, active, first, b, stride, squares, eps, C: tl.constexpr,
    K: tl.constexpr, O: tl.constexpr, D: tl.constexpr, BITS: tl.constexpr, BLOCK: tl.constexpr, GROUP: tl.constexpr,
    OUTPUTS: tl.constexpr, ROWS: tl.constexpr, WORDS: tl.constexpr, SPAN: tl.constexpr, WARPS: tl.constexpr,
    STAGES: tl.constexpr, EVEN: tl.constexpr, COMBED: tl.constexpr, DECODE: tl.constexpr, AHEAD: tl.constexpr,
    PDL: tl.constexpr, SQUARES: tl.constexpr,
):  # fmt: skip
    """out = scale ∘ (x Wᵀ + bias), of which the outputs first … first+C−1 go through the convolution."""
    o, r = _begin(m, 0, O, D, BITS, OUTPUTS, ROWS, SPAN, WARPS, AHEAD, PDL)
    words = _row_ahead(m, o, 0, O, D, ROWS, WORDS, SPAN, EVEN)
    wait(PDL)
    norm = scale_of_norm(squares, eps, D, SQUARES)
    inside = (o < O)[:, None] & (r < b)[None, :]
    if ROWS == 1:  # there is room for it, and the product hides the way
        kept, total, newest, writes = window(state, conv_weight, conv_bias, active, o, r[None, :], inside, first, C, K)
    y = _product(
        x, m, words, o, r, b, stride, 0, O, D, BITS, BLOCK, GROUP, OUTPUTS, ROWS, WORDS, SPAN, WARPS, STAGES, EVEN, COMBED,
        DECODE,
    )  # fmt: skip
    y *= norm
    if bias is not None:
        y += of_output(bias, o, O)
    if scale is not None:
        y *= of_output(scale, o, O)
    if ROWS > 1:
        kept, total, newest, writes = window(state, conv_weight, conv_bias, active, o, r[None, :], inside, first, C, K)
    y = convolved(y, kept, total, newest, writes, state, o, r[None, :], inside, first, C, K)
    tl.store(out + r[None, :] * O + o[:, None], y.to(out.dtype.element_ty), mask=inside)
