"""What makes torch's own operators fast on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import torch


class _Switch:
    """oneDNN's switch, which belongs to the process: the first thread in turns it off, the last one out puts it back."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._before = True

    def enter(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = bool(torch.backends.mkldnn.enabled)
                torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # a property of the module, untyped
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                torch.backends.mkldnn.enabled = self._before  # type: ignore[assignment]


_onednn = _Switch()


@contextmanager
def matrix_times_vector() -> Iterator[None]:
    """Within it, one row times a bf16 matrix goes past oneDNN to torch's own matrix-vector loop.

    oneDNN treats the single row as a small matrix product and reads the weights at a quarter of the memory's speed; the plain
    loop accumulates in fp32, too, and measured 2.2 to 2.5 times as fast (benchmarks/cpu.md). For two rows and more oneDNN wins.
    """
    _onednn.enter()
    try:
        yield
    finally:
        _onednn.leave()
