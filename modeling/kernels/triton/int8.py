"""Products of a few rows with a matrix of 8-bit integers. Each row has one scale, which waits until the sum is there."""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"
# mypy: disable-error-code="assignment"

from __future__ import annotations

from dataclasses import dataclass

import triton
import triton.language as tl
from torch import Tensor

from modeling.kernels.packed import Packed8
from modeling.kernels.triton.rows import dot, of_output


@dataclass(frozen=True, slots=True)
class Matrix8:
    """A `Packed8` as the kernels read it: `codes` (o, d) int8, `scales` (o) fp32."""

    codes: Tensor
    scales: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        o, d = self.codes.shape
        return o, d

    @classmethod
    def of(cls, packed: Packed8) -> Matrix8:
        """The same memory. Raises `ValueError` if it has gaps."""
        if not (packed.codes.is_contiguous() and packed.scales.is_contiguous()):
            raise ValueError("no kernel for a packed matrix with gaps")
        return cls(packed.codes, packed.scales)


@triton.jit
def product8(
    x, m, o, r, b, stride, split, O: tl.constexpr, D: tl.constexpr, OUTPUTS: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr, SPAN: tl.constexpr, WARPS: tl.constexpr, STAGES: tl.constexpr, EVEN: tl.constexpr,
):  # fmt: skip
    """W xᵀ (OUTPUTS, ROWS) in fp32 over the columns of a split, SPAN to a warp: x (b, D), W (O, D) in m = (codes, scales)."""
    begin = (split * WARPS + tl.arange(0, WARPS)) * SPAN
    line = (o.to(tl.int64) * D)[None, :, None]
    acc = tl.zeros((WARPS, OUTPUTS, ROWS), dtype=tl.float32)
    for start in tl.range(0, SPAN, COLUMNS, num_stages=STAGES):
        i = begin[:, None] + start + tl.arange(0, COLUMNS)[None, :]
        inside = (r < b)[None, None, :]
        if EVEN:
            codes = tl.load(m[0] + line + i[:, None, :], eviction_policy="evict_first")
        else:
            codes = tl.load(m[0] + line + i[:, None, :], mask=(o < O)[None, :, None] & (i < D)[:, None, :], other=0)
            inside = inside & (i < D)[:, :, None]
        inputs = tl.load(x + r[None, None, :] * stride + i[:, :, None], mask=inside, other=0.0)
        weights = codes.to(tl.float32).to(x.dtype.element_ty)  # exactly: up to 127 is in every dtype
        acc = dot(weights, inputs, acc)
    return tl.sum(acc, axis=0) * (of_output(m[1], o, O) / 127.0)
