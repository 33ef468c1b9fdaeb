"""Packed matrices made plain, at the speed of memory, for products of many rows: those are cuBLAS's then."""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

from modeling.kernels.packed import Interleaved4, Packed, Packed4, Packed8, Scales8
from modeling.kernels.triton.int8 import Matrix8
from modeling.kernels.triton.nf4 import scale_of
from modeling.kernels.triton.packed import PackedMatrix

BYTES, WARPS = 4096, 8  # codes of one program


def packed_linear(x: Tensor, weight: Packed, bias: Tensor | None = None) -> Tensor:
    """The twin of `reference.packed_linear`. The plain matrix lives as long as the product: all layers get the same memory
    from torch's allocator, one after the other."""
    return F.linear(x, dequantized(weight, x.dtype), bias)


def dequantized(weight: Packed, dtype: torch.dtype, size: int = BYTES, warps: int = WARPS) -> Tensor:
    """(o, d) in `dtype`, equal to `weight.dequantized(dtype)` bit by bit."""
    assert not isinstance(weight, Interleaved4)  # those are laid out for a CPU
    out = torch.empty(weight.shape, dtype=dtype, device=weight.codes.device)
    if isinstance(weight, Packed8):
        o, d = weight.shape
        columns = min(size, triton.next_power_of_2(d))
        _rows8[(o, triton.cdiv(d, columns))](
            weight.codes, weight.scales, out, weight.codes.stride(0), D=d, COLUMNS=columns, num_warps=warps
        )
        return out
    (tensors, group), blocks = _tensors(weight), max(1, 2 * size // weight.block)
    _blocks4[(triton.cdiv(out.numel(), blocks * weight.block),)](
        (weight.codes, *tensors), out, out.numel(), BLOCK=weight.block, BLOCKS=blocks, GROUP=group, MEANS=False,
        EVEN=out.numel() % (blocks * weight.block) == 0, PTX=not triton.knobs.runtime.interpret, num_warps=warps,
    )  # fmt: skip
    return out


def plain_of(matrix: PackedMatrix, dtype: torch.dtype) -> Tensor:
    """The same for a matrix as the kernels of a decode step read it."""
    (o, d), codes = matrix.shape, matrix.codes
    if isinstance(matrix, Matrix8):
        return dequantized(Packed8(codes, matrix.scales), dtype)
    out, blocks = torch.empty(o, d, dtype=dtype, device=codes.device), max(1, 2 * BYTES // matrix.block)
    tensors = (codes.view(-1).view(torch.uint8), matrix.scales, *(matrix.doubled or (None, None, None)), matrix.values)
    _blocks4[(triton.cdiv(out.numel(), blocks * matrix.block),)](
        tensors, out, out.numel(), BLOCK=matrix.block, BLOCKS=blocks, GROUP=matrix.group, MEANS=True,
        EVEN=out.numel() % (blocks * matrix.block) == 0, PTX=not triton.knobs.runtime.interpret, num_warps=WARPS,
    )  # fmt: skip
    return out


def _tensors(weight: Packed4) -> tuple[tuple[Tensor | None, ...], int]:
    """Scales and values as `nf4.scale_of` takes them, and how many scales share one of their own."""
    scales = weight.scales
    if not isinstance(scales, Scales8):
        return (scales, None, None, None, weight.values), 1
    return (scales.codes, scales.values, scales.absmax, scales.mean, weight.values), scales.block


@triton.jit
def _entry(values):
    """Entry i mod 16 of the table in lane i of every warp: what the compiler takes for one number is another in each lane."""
    return tl.inline_asm_elementwise(
        "{ .reg .u32 l; .reg .u64 a; mov.u32 l, %laneid; and.b32 l, l, 15; mul.wide.u32 a, l, 4; add.u64 a, a, $1; "
        "ld.global.nc.f32 $0, [a]; }", "=f,l", [values.to(tl.int64)], dtype=tl.float32, is_pure=True, pack=1,
    )  # fmt: skip


@triton.jit
def _value(codes, values, entry, PTX: tl.constexpr):
    """The value of the codes in the low bits, in fp32; bits above do not matter."""
    if PTX:
        found = tl.inline_asm_elementwise(
            "shfl.sync.idx.b32 $0, $1, $2, 31, 0xffffffff;", "=f,f,r", [entry, codes], dtype=tl.float32, is_pure=True, pack=1
        )
    else:
        found = tl.load(values + (codes & 15))
    return found


@triton.jit
def _blocks4(
    m, out, count, BLOCK: tl.constexpr, BLOCKS: tl.constexpr, GROUP: tl.constexpr, MEANS: tl.constexpr, EVEN: tl.constexpr,
    PTX: tl.constexpr,
):  # fmt: skip
    """out[2 i], out[2 i + 1] of byte i, for some blocks: m = (codes, scales, their values, absmax and mean, values)."""
    block = tl.program_id(0).to(tl.int64) * BLOCKS + tl.arange(0, BLOCKS)
    i = block[:, None] * (BLOCK // 2) + tl.arange(0, BLOCK // 2)[None, :]
    if EVEN:
        scale = scale_of(m, block, None, GROUP, MEANS, PTX)[:, None]
        codes = tl.load(m[0] + i).to(tl.int32)
    else:
        scale = scale_of(m, block, block * BLOCK < count, GROUP, MEANS, PTX)[:, None]
        codes = tl.load(m[0] + i, mask=2 * i < count, other=0).to(tl.int32)
    entry = 0.0
    if PTX:
        entry = _entry(m[5])
    pair = tl.join(_value(codes >> 4, m[5], entry, PTX) * scale, _value(codes, m[5], entry, PTX) * scale)
    weights = tl.reshape(pair.to(out.dtype.element_ty), (BLOCKS, BLOCK))
    at = block[:, None] * BLOCK + tl.arange(0, BLOCK)[None, :]
    if EVEN:
        tl.store(out + at, weights)
    else:
        tl.store(out + at, weights, mask=at < count)


@triton.jit
def _rows8(codes, scales, out, stride, D: tl.constexpr, COLUMNS: tl.constexpr):
    """out[row] = codes[row] · (scale / 127)."""
    row, i = tl.program_id(0).to(tl.int64), tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    found = tl.load(codes + row * stride + i, mask=i < D, other=0).to(tl.float32)
    scale = tl.math.div_rn(tl.load(scales + row), 127.0)
    tl.store(out + row * D + i, (found * scale).to(out.dtype.element_ty), mask=i < D)
