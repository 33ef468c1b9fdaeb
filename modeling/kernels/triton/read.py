"""Reading memory, and nothing else: the ceiling of everything that decodes. Each program sums up one block."""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

BLOCK = 8192  # elements of a program: 32 loads of a thread, all on their way at once


@triton.jit
def _read(x, sums, BLOCK: tl.constexpr):
    block = tl.program_id(0).to(tl.int64)  # the last byte may lie beyond 2³¹
    values = tl.load(x + block * BLOCK + tl.arange(0, BLOCK))
    tl.store(sums + block, tl.sum(values))  # written, so that no load can be left out


def block_sums(x: Tensor, sums: Tensor) -> None:
    """x (m · BLOCK) fp32 → sums (m) fp32, on torch's current device."""
    assert x.numel() == sums.numel() * BLOCK and x.is_contiguous()
    _read[(sums.numel(),)](x, sums, BLOCK=BLOCK, num_warps=8)
