"""The gate of an MLP in one pass over its two inputs."""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from modeling.kernels.triton.launch import cdiv, power_of_two

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)
COLUMNS, WARPS = 2048, 8  # of a program, which has one row


def swiglu(gate: Tensor, up: Tensor, multiplier: float) -> Tensor:
    """The twin of `reference.swiglu`: gate, up (…, f) → up · SiLU(gate · multiplier), worked out in fp32, contiguous.

    gate and up may be two halves of wider rows.
    """
    return swiglu_in_blocks(gate, up, multiplier, COLUMNS, WARPS)


def swiglu_in_blocks(gate: Tensor, up: Tensor, multiplier: float, columns: int, warps: int) -> Tensor:
    """`swiglu` with the shape of its blocks."""
    f, dtype = gate.shape[-1], up.dtype if up.dtype == gate.dtype else torch.promote_types(up.dtype, gate.dtype)
    out = torch.empty(up.shape, dtype=dtype, device=up.device)
    (gate, gate_row), (up, up_row) = _rows(gate), _rows(up)
    columns = min(columns, power_of_two(f))
    _swiglu[(out.numel() // f * cdiv(f, columns),)](
        gate, up, out, multiplier, f, gate_row, up_row, COLUMNS=columns, num_warps=warps
    )
    return out


def _rows(x: Tensor) -> tuple[Tensor, int]:
    """x (…, f) so that its rows follow each other at one distance, and that distance."""
    if x.is_contiguous():
        return x, x.shape[-1]
    x = x.reshape(-1, x.shape[-1])
    x = x if x.stride(-1) == 1 else x.contiguous()
    return x, x.stride(0)


@triton.jit
def _swiglu(
    gate,  # (rows, f)
    up,  # (rows, f)
    out,  # (rows, f), contiguous
    multiplier,
    f,
    gate_row,
    up_row,
    COLUMNS: tl.constexpr,
):
    blocks = tl.cdiv(f, COLUMNS)
    row, i = (tl.program_id(0) // blocks).to(tl.int64), tl.program_id(0) % blocks * COLUMNS + tl.arange(0, COLUMNS)
    g = tl.load(gate + row * gate_row + i, mask=i < f, other=0.0).to(tl.float32) * multiplier
    u = tl.load(up + row * up_row + i, mask=i < f, other=0.0).to(tl.float32)
    tl.store(out + row * f + i, (u * (g / (1.0 + tl.exp2(g * -LOG2_E)))).to(out.dtype.element_ty), mask=i < f)
