"""The arithmetic of grids, and how the kernels of one step follow each other: programmatic dependent launch where it exists.

With that a kernel starts while its predecessor still runs, and fetches what nobody writes (its weights) before it waits. The
rule of such a chain: every kernel waits before it reads what an earlier one wrote, and before it overwrites what an earlier one
may still read.
"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"

from __future__ import annotations

from functools import cache

import torch
import triton
import triton.language as tl


def cdiv(n: int, size: int) -> int:
    """⌈n / size⌉. Triton's own also serves within kernels and takes 3 µs for it, a thousand times in a prefill."""
    return -(-n // size)


def power_of_two(n: int) -> int:
    """The next power of two ≥ n ≥ 1."""
    return 1 << (n - 1).bit_length()


@cache
def overlaps(device: torch.device) -> bool:
    """Whether kernels on `device` can start before their predecessor ends: Hopper and later, and never in the interpreter."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (9, 0)


@triton.jit
def row_of(rows, row):
    """(slot, start, length) of a row with padding behind its tokens (`modeling.padded`)."""
    at = rows + row * 3
    return tl.load(at).to(tl.int64), tl.load(at + 1), tl.load(at + 2)


@triton.jit
def wait(PDL: tl.constexpr):
    """Until everything that earlier kernels wrote is there to be read."""
    if PDL:
        tl.extra.cuda.gdc_wait()


@triton.jit
def release(PDL: tl.constexpr):
    """Let the next kernel start. What it reads of ours it gets only after its own `wait`."""
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
