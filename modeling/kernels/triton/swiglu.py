"""The gate of an MLP in one pass over its two inputs."""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)
COLUMNS, WARPS = 2048, 4  # of a program, which has one row


def swiglu(gate: Tensor, up: Tensor, multiplier: float) -> Tensor:
    """The twin of `reference.swiglu`: gate, up (…, f) → up · SiLU(gate · multiplier), worked out in fp32, contiguous.

    gate and up may be two halves of wider rows.
    """
    return swiglu_in_blocks(gate, up, multiplier, COLUMNS, WARPS)


def swiglu_in_blocks(gate: Tensor, up: Tensor, multiplier: float, columns: int, warps: int) -> Tensor:
    """`swiglu` with the shape of its blocks."""
    f = gate.shape[-1]
    out = torch.empty(up.shape, dtype=torch.promote_types(up.dtype, gate.dtype), device=up.device)
    gate, up = (tensor.reshape(-1, f) for tensor in (gate, up))
    gate, up = (tensor if tensor.stride(-1) == 1 else tensor.contiguous() for tensor in (gate, up))
    columns = min(columns, triton.next_power_of_2(f))
    _swiglu[(gate.shape[0] * triton.cdiv(f, columns),)](
        *(gate, up, out, multiplier, f, gate.stride(0), up.stride(0)), COLUMNS=columns, num_warps=warps
    )
    return out


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
    tl.store(out + row * f + i, (u * (g / (1.0 + tl.exp2(-LOG2_E * g)))).to(out.dtype.element_ty), mask=i < f)
