"""What makes torch's own operators fast on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def matrix_times_vector() -> Iterator[None]:
    """Within it, one row times a bf16 matrix goes past oneDNN to torch's own matrix-vector loop.

    oneDNN treats the single row as a small matrix product and reads the weights at a quarter of the memory's speed; the plain
    loop accumulates in fp32, too, and measured 2.2 to 2.5 times as fast (benchmarks/cpu.md). For two rows and more oneDNN wins.
    """
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # a property of the module, untyped
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = before
