"""RMS norms in one pass: a program holds some rows whole, in fp32, and rounds where `reference` rounds."""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from modeling.kernels.triton.launch import cdiv, power_of_two

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)
ELEMENTS = 4096  # of a program, where rows are shorter


def rms_norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """The twin of `reference.rms_norm`: x (…, d) → (…, d), contiguous. x may be a view, say a slice of wider rows."""
    x, (outer, inner, outer_stride, inner_stride) = _rows(x)
    d = x.shape[-1]
    dtype = x.dtype if weight is None else torch.promote_types(x.dtype, weight.dtype)
    y = torch.empty(x.shape, dtype=dtype, device=x.device)
    rows, warps = _share(d)
    _rms_norm[(cdiv(outer * inner, rows),)](
        *(x, x if weight is None else weight, y),
        *(outer * inner, inner, d, outer_stride, inner_stride, eps),
        WEIGHTED=weight is not None,
        R=rows,
        D=power_of_two(d),
        num_warps=warps,
    )
    return y


def gated_rms_norm(y: Tensor, gate: Tensor, weight: Tensor, eps: float, groups: int, norm_before_gate: bool) -> Tensor:
    """The twin of `reference.gated_rms_norm`: y (b, l, e) fp32, gate (b, l, e), weight (e) → (b, l, e) fp32, contiguous."""
    (y, y_rows), (gate, gate_rows) = _rows(y), _rows(gate)
    e = y.shape[-1]
    out = torch.empty(y.shape, dtype=torch.float32, device=y.device)
    count = out.numel() // e * groups
    rows, warps = _share(e // groups)
    _gated_rms_norm[(cdiv(count, rows),)](
        *(y, gate, weight, out),
        *(count, groups, e // groups, y_rows[1], *y_rows[2:], gate_rows[1], *gate_rows[2:], eps),
        NORM_FIRST=norm_before_gate,
        R=rows,
        D=power_of_two(e // groups),
        num_warps=warps,
    )
    return out


def _share(d: int) -> tuple[int, int]:
    """Rows and warps of a program: at least eight elements a lane, as wide rows as there are."""
    rows = max(1, ELEMENTS // power_of_two(d))
    return rows, 4 if d <= ELEMENTS else 8


def _rows(x: Tensor) -> tuple[Tensor, tuple[int, int, int, int]]:
    """x (…, d) as rows in two levels: (x, (outer, inner, stride of outer, stride of inner)); copied if it does not lie so."""
    if x.stride(-1) != 1:
        x = x.contiguous()
    levels = [(1, 0)]  # (count, stride), the innermost last; neighbours that make one level are merged
    for count, stride in zip(x.shape[:-1], x.stride()[:-1], strict=True):
        if count == 1:
            continue
        if levels[-1][0] == 1:
            levels[-1] = (count, stride)
        elif levels[-1][1] == count * stride:
            levels[-1] = (levels[-1][0] * count, stride)
        else:
            levels.append((count, stride))
    if len(levels) > 2:
        x = x.contiguous()
        levels = [(x.numel() // x.shape[-1], x.shape[-1])]
    (outer, outer_stride), (inner, inner_stride) = levels if len(levels) == 2 else (levels[0], (1, 0))
    return x, (outer, inner, outer_stride, inner_stride)


@triton.jit(do_not_specialize=["rows"])
def _rms_norm(
    x,  # (rows, d), the row i at i // inner · outer_stride + i % inner · inner_stride
    weight,  # (d)
    y,  # (rows, d), contiguous
    rows,
    inner,
    d,
    outer_stride,
    inner_stride,
    eps,
    WEIGHTED: tl.constexpr,
    R: tl.constexpr,
    D: tl.constexpr,
):
    row = tl.program_id(0) * R + tl.arange(0, R)
    i = tl.arange(0, D)
    inside = (row < rows)[:, None] & (i < d)[None, :]
    start = (row // inner).to(tl.int64) * outer_stride + (row % inner).to(tl.int64) * inner_stride
    values = tl.load(x + start[:, None] + i[None, :], mask=inside, other=0.0).to(tl.float32)
    mean = tl.sum(values * values, axis=1) / d
    normed = (values * tl.rsqrt(mean + eps)[:, None]).to(x.dtype.element_ty)
    if WEIGHTED:
        scale = tl.load(weight + i, mask=i < d, other=0.0)
        normed = normed.to(tl.float32) * scale.to(tl.float32)[None, :]
    tl.store(y + row.to(tl.int64)[:, None] * d + i[None, :], normed.to(y.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["rows"])
def _gated_rms_norm(
    y,  # (tokens, g, d), the token i at i // y_inner · y_outer_stride + i % y_inner · y_inner_stride
    gate,  # (tokens, g, d), likewise
    weight,  # (g, d)
    out,  # (tokens, g, d), contiguous
    rows,
    groups,
    d,
    y_inner,
    y_outer_stride,
    y_inner_stride,
    gate_inner,
    gate_outer_stride,
    gate_inner_stride,
    eps,
    NORM_FIRST: tl.constexpr,
    R: tl.constexpr,
    D: tl.constexpr,
):
    row = tl.program_id(0) * R + tl.arange(0, R)
    i = tl.arange(0, D)
    inside = (row < rows)[:, None] & (i < d)[None, :]
    token, group = (row // groups).to(tl.int64), row % groups
    in_row = group[:, None] * d + i[None, :]
    y_start = token // y_inner * y_outer_stride + token % y_inner * y_inner_stride
    gate_start = token // gate_inner * gate_outer_stride + token % gate_inner * gate_inner_stride
    values = tl.load(y + y_start[:, None] + in_row, mask=inside, other=0.0).to(tl.float32)
    gates = tl.load(gate + gate_start[:, None] + in_row, mask=inside, other=0.0).to(tl.float32)
    gates = gates / (1.0 + tl.exp2(gates * -LOG2_E))
    if not NORM_FIRST:
        values *= gates
    mean = tl.sum(values * values, axis=1) / d
    scale = tl.load(weight + in_row, mask=inside, other=0.0).to(tl.float32)
    values = values * tl.rsqrt(mean + eps)[:, None] * scale
    if NORM_FIRST:
        values *= gates
    tl.store(out + row.to(tl.int64)[:, None] * d + i[None, :], values, mask=inside)
