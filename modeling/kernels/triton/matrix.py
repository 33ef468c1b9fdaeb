"""Products of up to 128 rows with a matrix that is plain or packed: who calls them need not know which.

Packed 4-bit codes are read fastest when the activations are `combed`. Whoever makes activations asks `combs`, and says so. For
more rows than FUSED it is faster to make the matrix plain first (benchmarks/gpu/decode_nf4.py); all get the same memory for
that from torch's allocator, one after the other.
"""

from __future__ import annotations

from typing import TypeAlias

import triton
from torch import Tensor

from modeling.kernels.triton import packed, projection, rows
from modeling.kernels.triton.dequantize import plain_of
from modeling.kernels.triton.nf4 import Matrix4
from modeling.kernels.triton.packed import Deferred, PackedMatrix
from modeling.kernels.triton.projection import Blocks, Convolved

Matrix: TypeAlias = Tensor | PackedMatrix

PARTS = (64, 128, 4, 4)  # outputs, columns at a time, warps, stages
FUSED = 16  # rows


def combs(matrix: Matrix, rows: int) -> bool:
    """Whether the products of so many rows with this matrix want their activations combed."""
    return isinstance(matrix, Matrix4) and matrix.rows < rows <= FUSED


def _read(matrix: Matrix, x: Tensor) -> Matrix:
    return matrix if isinstance(matrix, Tensor) or x.shape[0] <= FUSED else plain_of(matrix, x.dtype)


def project(
    x: Tensor, matrix: Matrix, out: Tensor, *, bias: Tensor | None = None, multiplier: float = 1.0, combed: bool = False,
    blocks: Blocks | None = None,
) -> None:  # fmt: skip
    """out (b, o) = multiplier · (x Wᵀ + bias)."""
    matrix = _read(matrix, x)
    if isinstance(matrix, Tensor):
        projection.project(x, matrix, out, bias=bias, multiplier=multiplier, blocks=blocks)
    else:
        packed.project(x, matrix, out, bias=bias, multiplier=multiplier, combed=combed)


def project_parts(
    x: Tensor, matrix: Matrix, parts: Tensor, sizes: tuple[int, int, int, int] = PARTS, combed: bool = False
) -> None:
    """parts (s, b, o) fp32 of x Wᵀ, each over its share of the columns: Σ parts is the product."""
    matrix = _read(matrix, x)
    if isinstance(matrix, Tensor):
        rows.project_parts(x, matrix, parts, *sizes)
    else:
        packed.project_parts(x, matrix, parts, combed=combed)


def project_convolved(
    x: Tensor, matrix: Matrix, out: Tensor, conv: Convolved, *, scale: Tensor | None = None, bias: Tensor | None = None,
    combed: bool = False, blocks: Blocks | None = None, deferred: Deferred | None = None,
) -> None:  # fmt: skip
    """out (b, o) = scale ∘ (x Wᵀ + bias), of which `conv` takes some on their way, as in `projection.project_convolved`."""
    matrix = _read(matrix, x)
    if isinstance(matrix, Tensor):
        projection.project_convolved(x, matrix, out, conv, norm=None, scale=scale, bias=bias, blocks=blocks)
    else:
        packed.project_convolved(x, matrix, out, conv, scale=scale, bias=bias, combed=combed, deferred=deferred)


def project_gated(
    x: Tensor, matrix: Matrix, out: Tensor, *, bias: Tensor | None, multiplier: float, combed: bool = False,
    out_combed: bool = False, blocks: Blocks | None = None, deferred: Deferred | None = None,
) -> None:  # fmt: skip
    """out (b, f) = (U x) · SiLU(multiplier · G x), x (b, d) normed already; matrix (2f, d): G's rows, then U's.

    A plain product leaves its result as it is, not combed.
    """
    matrix = _read(matrix, x)
    if not isinstance(matrix, Tensor):
        packed.project_gated(
            x, matrix, out, bias=bias, multiplier=multiplier, combed=combed, out_combed=out_combed, deferred=deferred
        )
        return
    assert not (combed or out_combed)
    (b, f), d = out.shape, x.shape[1]
    blocks = blocks or projection.choose(max(2, b), f, d, out.dtype, gated=True)
    rows.rows_gated[(triton.cdiv(f, blocks.outputs),)](
        x, matrix, bias, multiplier, out, b, O=f, D=d, OUTPUTS=blocks.outputs, ROWS=rows.padded(b),
        COLUMNS=blocks.columns, STAGES=blocks.stages, num_warps=blocks.warps,
    )  # fmt: skip
