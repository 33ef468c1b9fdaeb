"""Products of a few rows with a matrix of 4-bit codes (nf4, fp4), which are read as they are and decoded in registers.

At the speed of memory there is time for three or four instructions a weight, and a matrix product that decodes each weight to
exactly what the law says (`packed.Packed4.dequantized`) has to

    bring the code to the low bits     ¾ shift
    look its value up, in fp32         1 shuffle: lane i of each warp keeps entry i mod 16 of the table; a shuffle heeds no more
                                       than the low bits of the lane it is asked for, so the code needs no mask
    scale, and round to the activations' dtype          1 product, ½ conversion of two at once
    multiply and add                   ⅛ tensor-core product, for 8 rows of activations at once

One 32-bit word holds 8 neighbours of a row, so a tile of words is 8 tiles of weights, one for each place in the word. Place p
meets every eighth activation; activations that are *combed* (`combed`) have those side by side. Warps share the columns of a
program's outputs, and their sums meet in the end.

One row alone has no use for tensor cores: its weights stay in fp32 as the table has them (shift, shuffle, product and sum), and
the scale of a block multiplies its sum (`row4`). That rounds less than the law, which rounds every weight.
"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"
# mypy: disable-error-code="assignment"

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from modeling.kernels.packed import Packed4, Scales8
from modeling.kernels.triton.rows import dot


@dataclass(frozen=True, slots=True)
class Matrix4:
    """A `Packed4` (o, d) as the kernels read it: `codes` (o, d / 8) int32, 8 in each; `scales` (o · d / block) fp32, or uint8
    with `doubled` = (values (256), absmax (groups), mean (groups)) in fp32, `group` scales to each; `table` has the values. Up
    to so many `rows` are for the kernels of `kernels.cuda`."""

    codes: Tensor
    scales: Tensor
    doubled: tuple[Tensor, Tensor, Tensor] | None
    values: Tensor
    table: tuple[float, ...]
    shape: tuple[int, int]
    block: int
    group: int = 256
    rows: int = 0

    @classmethod
    def of(cls, packed: Packed4) -> Matrix4:
        """The same memory. Raises `ValueError` if `supports` does not hold."""
        if not supports(packed):
            raise ValueError(f"no kernel for a packed matrix of {packed.shape} in blocks of {packed.block}")
        o, d = packed.shape
        codes, scales = packed.codes.view(-1).view(torch.int32).view(o, d // 8), packed.scales
        table = tuple(packed.values.tolist())
        if not isinstance(scales, Scales8):
            return cls(codes, scales, None, packed.values, table, packed.shape, packed.block)
        doubled = (scales.values, scales.absmax, scales.mean.reshape(1).expand(scales.absmax.numel()).contiguous())
        return cls(codes, scales.codes, doubled, packed.values, table, packed.shape, packed.block, scales.block)

    def plain_scales(self) -> Tensor:
        """(o · d / block) fp32."""
        if self.doubled is None:
            return self.scales
        values, *of_groups = self.doubled
        absmax, mean = (part.repeat_interleave(self.group)[: self.scales.numel()] for part in of_groups)
        return values[self.scales.long()] * absmax + mean


def supports(packed: Packed4) -> bool:
    """Whether the kernels take a matrix: its blocks are powers of two and fill its rows, and its codes lie as words do."""
    (o, d), block, codes = packed.shape, packed.block, packed.codes
    scales = packed.scales.codes if isinstance(packed.scales, Scales8) else packed.scales
    whole = d % block == 0 and block >= 16 and block & (block - 1) == 0 and o * d < 2**34 and codes.numel() * 2 == o * d
    return whole and codes.is_contiguous() and scales.is_contiguous() and codes.storage_offset() % 16 == 0


def combed(x: Tensor) -> Tensor:
    """x (b, d) so that what meets one place of a word lies together: place p of word w is that of column 8 w + (p xor 1), for
    of two codes in a byte the first has the high half."""
    b, d = x.shape
    places = [p ^ 1 for p in range(8)]
    return x.view(b, d // 8, 8)[..., places].mT.reshape(b, d)


@cache
def decoder(table: tuple[float, ...], dtype: torch.dtype) -> str:
    """PTX: (words, already shifted; scales) → weights, two at once for a 16-bit dtype.

    A lane makes its entry of the table from constants by the bits of its number. All this is the same every time, and the
    compiler does it once.
    """
    lines = _entry(table)
    if dtype == torch.float32:
        return " ".join((*lines, "shfl.sync.idx.b32 t, v0, $1, 31, 0xffffffff; mul.rn.f32 $0, t, $2; }"))
    to = {torch.bfloat16: "bf16x2", torch.float16: "f16x2"}[dtype]
    for value, word, scale in (("t", "$1", "$3"), ("u", "$2", "$4")):
        lines.append(f"shfl.sync.idx.b32 {value}, v0, {word}, 31, 0xffffffff; mul.rn.f32 {value}, {value}, {scale};")
    return " ".join((*lines, f"cvt.rn.{to}.f32 $0, u, t; }}"))


@cache
def unscaled(table: tuple[float, ...]) -> str:
    """PTX: words, already shifted → values of the table in fp32."""
    return " ".join((*_entry(table), "shfl.sync.idx.b32 $0, v0, $1, 31, 0xffffffff; }"))


def _entry(table: tuple[float, ...]) -> list[str]:
    """The beginning of a block of PTX: a lane's entry of the table is in v0."""
    lines = ["{ .reg .u32 l, m; .reg .pred p<4>; .reg .f32 t, u, v<16>; mov.u32 l, %laneid;"]
    lines += [f"and.b32 m, l, {1 << bit}; setp.ne.u32 p{bit}, m, 0;" for bit in range(4)]
    entries = [f"0f{struct.unpack('<I', struct.pack('<f', value))[0]:08X}" for value in table]
    for bit in range(4):
        entries, pairs = [f"v{i}" for i in range(len(entries) // 2)], list(zip(entries[::2], entries[1::2], strict=True))
        lines += [f"selp.f32 v{i}, {high}, {low}, p{bit};" for i, (low, high) in enumerate(pairs)]
    return lines


@triton.jit
def _decoded(words, scales, values, x, DECODE: tl.constexpr):
    """The weights of the codes in the low bits of `words`, of the same shape, in the dtype that x points to."""
    if DECODE is None:  # the interpreter knows no PTX
        weights = tl.load(values + (words & 15)) * scales
        if x.dtype.element_ty == tl.bfloat16:  # nor how to round to this
            bits = weights.to(tl.int32, bitcast=True)
            weights = (bits + 32767 + ((bits >> 16) & 1) & -65536).to(tl.float32, bitcast=True)
        weights = weights.to(x.dtype.element_ty)
    elif x.dtype.element_ty == tl.float32:
        weights = tl.inline_asm_elementwise(DECODE, "=f,r,f", [words, scales], x.dtype.element_ty, True, 1)
    else:
        weights = tl.inline_asm_elementwise(DECODE, "=r,r,r,f,f", [words, scales], x.dtype.element_ty, True, 2)
    return weights


@triton.jit
def _loaded(at, inside):
    if inside is None:
        found = tl.load(at)
    else:
        found = tl.load(at, mask=inside, other=0)
    return found


@triton.jit
def scale_of(m, at, inside, GROUP: tl.constexpr, MEANS: tl.constexpr, PTX: tl.constexpr):
    """Scales `at` in fp32; those in 8 bits rounded twice, as the law does: never a product and a sum in one. MEANS: each group
    of scales has its own mean."""
    found = _loaded(m[1] + at, inside)
    if m[2] is not None:
        value = tl.load(m[2] + found.to(tl.int32))
        absmax = _loaded(m[3] + at // GROUP, inside)
        mean = _loaded(m[4] + at // GROUP, inside) if MEANS else tl.load(m[4])
        if PTX:
            found = tl.inline_asm_elementwise(
                "{ .reg .f32 t; mul.rn.f32 t, $1, $2; add.rn.f32 $0, t, $3; }", "=f,f,f,f", [value, absmax, mean],
                dtype=tl.float32, is_pure=True, pack=1,
            )  # fmt: skip
        else:
            found = value * absmax + mean
    return found


@triton.jit
def product4(
    x, m, o, r, b, stride, split, O: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr, GROUP: tl.constexpr,
    OUTPUTS: tl.constexpr, ROWS: tl.constexpr, WORDS: tl.constexpr, SPAN: tl.constexpr, WARPS: tl.constexpr,
    STAGES: tl.constexpr, EVEN: tl.constexpr, COMBED: tl.constexpr, DECODE: tl.constexpr,
):  # fmt: skip
    """W xᵀ (OUTPUTS, ROWS) in fp32 over the columns of a split: x (b, D), W (O, D) in m = (codes, scales, …, values)."""
    LINE: tl.constexpr = D // 8
    OF_BLOCK: tl.constexpr = BLOCK // 8 if BLOCK // 8 < WORDS else WORDS  # words of a tile that share a scale
    begin = (split * WARPS + tl.arange(0, WARPS)) * SPAN  # a warp's first word
    line = (o * LINE)[None, :, None]
    scale_line = (o * (D // BLOCK))[None, :, None]
    acc = tl.zeros((WARPS, OUTPUTS, ROWS), dtype=tl.float32)
    for start in tl.range(0, SPAN, WORDS, num_stages=STAGES):
        word = begin[:, None] + start + tl.arange(0, WORDS)[None, :]
        block = begin[:, None] + start + tl.arange(0, WORDS // OF_BLOCK)[None, :] * OF_BLOCK
        inside = (r < b)[None, None, :]
        if EVEN:
            words = tl.load(m[0] + line + word[:, None, :], eviction_policy="evict_first")
            scales = scale_of(m, scale_line + (block // (BLOCK // 8))[:, None, :], None, GROUP, True, DECODE is not None)
        else:
            real = (o < O)[None, :, None]
            words = tl.load(m[0] + line + word[:, None, :], mask=real & (word < LINE)[:, None, :], other=0)
            real = real & (block < LINE)[:, None, :]
            scales = scale_of(m, scale_line + (block // (BLOCK // 8))[:, None, :], real, GROUP, True, DECODE is not None)
            inside = inside & (word < LINE)[:, :, None]
        shape: tl.constexpr = (WARPS, OUTPUTS, WORDS // OF_BLOCK, OF_BLOCK)
        scales = tl.reshape(tl.broadcast_to(scales[:, :, :, None], shape), (WARPS, OUTPUTS, WORDS))
        for place in tl.static_range(8):
            column = word + place * LINE if COMBED else word * 8 + (place ^ 1)
            inputs = tl.load(x + r[None, None, :] * stride + column[:, :, None], mask=inside, other=0.0)
            acc = dot(_decoded(words >> (4 * place), scales, m[5], x, DECODE), inputs, acc)
    return tl.sum(acc, axis=0)


@triton.jit
def row4(
    x, m, words, o, split, O: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr, GROUP: tl.constexpr, OUTPUTS: tl.constexpr,
    WORDS: tl.constexpr, SPAN: tl.constexpr, EVEN: tl.constexpr, COMBED: tl.constexpr, DECODE: tl.constexpr,
):  # fmt: skip
    """W x (OUTPUTS, 1) in fp32 over the columns of a split: one row x (D), W (O, D) in m = (codes, scales, …, values).

    `words` are its first ones (`first_words`), on their way since before x was there.
    """
    SHARED: tl.constexpr = BLOCK // 8 if BLOCK < 32 else 4  # neighbouring words of one block, which one thread has
    first = split * SPAN
    line, scale_line = (o * (D // 8))[:, None], (o * (D // BLOCK))[:, None]
    total = tl.zeros((OUTPUTS, WORDS // SHARED), dtype=tl.float32)
    for done in tl.range(0, SPAN, WORDS, num_stages=1):
        start, following = first + done, words
        if SPAN > WORDS:  # the last one asks for nothing
            end = tl.where(done + WORDS < SPAN, O, 0)
            following = _words(m, line, start + WORDS, o, end, D, WORDS, False)
        word = start + tl.arange(0, WORDS)
        acc = tl.zeros((OUTPUTS, WORDS), dtype=tl.float32)
        for place in tl.static_range(8):
            column = word + place * (D // 8) if COMBED else word * 8 + (place ^ 1)
            inputs = _loaded(x + column, None if EVEN else word < D // 8).to(tl.float32)
            acc += _looked_up(words >> (4 * place), m[5], DECODE) * inputs[None, :]
        sums = tl.sum(tl.reshape(acc, (OUTPUTS, WORDS // SHARED, SHARED)), axis=2)
        at = start + tl.arange(0, WORDS // SHARED) * SHARED
        inside = None if EVEN else (o < O)[:, None] & (at < D // 8)[None, :]
        total += sums * scale_of(m, scale_line + (at // (BLOCK // 8))[None, :], inside, GROUP, True, DECODE is not None)
        words = following
    return tl.sum(total, axis=1)[:, None]


@triton.jit
def first_words(m, o, split, O: tl.constexpr, D: tl.constexpr, WORDS: tl.constexpr, SPAN: tl.constexpr, EVEN: tl.constexpr):
    """The words (OUTPUTS, WORDS) that `row4` begins with. Weights can be asked for before the kernel ahead has ended."""
    return _words(m, (o * (D // 8))[:, None], split * SPAN, o, O, D, WORDS, EVEN)


@triton.jit
def _words(m, line, start, o, end, D: tl.constexpr, WORDS: tl.constexpr, EVEN: tl.constexpr):
    word = start + tl.arange(0, WORDS)
    at = m[0] + line + word[None, :]
    if EVEN:
        words = tl.load(at, eviction_policy="evict_first")
    else:
        words = tl.load(at, mask=(o < end)[:, None] & (word < D // 8)[None, :], other=0, eviction_policy="evict_first")
    return words


@triton.jit
def _looked_up(words, values, DECODE: tl.constexpr):
    """The table's values (fp32) of the codes in the low bits of `words`."""
    if DECODE is None:
        found = tl.load(values + (words & 15))
    else:
        found = tl.inline_asm_elementwise(DECODE, "=r,r", [words], tl.float32, True, 1)
    return found
