"""What is fast on a CPU: torch's own operators in the right surroundings, and products of packed weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

import torch
from torch import Tensor

from modeling.kernels import bitsandbytes, reference
from modeling.kernels.packed import Interleaved4, Packed, Packed8

_FEW = 16  # rows up to which int8 weights are multiplied as they are; beyond it the plain matrix is quicker


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


def packed_linear(x: Tensor, weight: Packed, bias: Tensor | None = None) -> Tensor:
    """The twin of `reference.packed_linear` on a CPU, for bf16; for what it has no kernel for, the law."""
    if x.dtype == torch.bfloat16 and x.device.type == "cpu" and not torch.is_grad_enabled():
        if isinstance(weight, Interleaved4) and bitsandbytes.library() is not None:
            return bitsandbytes.packed_linear(x, weight, bias)
        # inductor refuses this product where its input is not yet made; the law it fuses by itself
        few = x.numel() <= _FEW * x.shape[-1] and x.shape[-1] % 16 == 0
        if isinstance(weight, Packed8) and few and not torch.compiler.is_compiling():
            return _eight_bits(x, weight, bias)
    return reference.packed_linear(x, weight, bias)


_alike: dict[tuple[object, ...], bool] = {}  # by kind, shape and number of rows: whether their bits were those of single rows


def rows_alike(product: Callable[..., Tensor], x: Tensor, weight: Packed, bias: Tensor | None = None) -> bool:
    """Whether l rows of x (1, l, in) times a packed weight get the bits that each would get alone.

    The kernels for packed weights sum each row by itself, in one order for all. That is nothing that torch or bitsandbytes
    promise, so each shape is tried once, with the first rows that come.
    """
    laid_out = isinstance(weight, Interleaved4) and bitsandbytes.library() is not None
    if not (laid_out or isinstance(weight, Packed8)) or x.dtype != torch.bfloat16 or x.is_cuda or x.shape[1] > _FEW:
        return False
    key = type(weight), weight.shape, x.shape[1]
    if key not in _alike:
        alone = [product(x[:, row : row + 1], weight, bias) for row in range(x.shape[1])]
        _alike[key] = torch.equal(product(x, weight, bias), torch.cat(alone, dim=1))
    return _alike[key]


def _eight_bits(x: Tensor, weight: Packed8, bias: Tensor | None) -> Tensor:
    """Codes are multiplied as they are, the scales come afterwards: x (…, in) bf16 → (…, out)."""
    rows = x.reshape(-1, x.shape[-1]).contiguous()  # m i
    sums = torch._weight_int8pack_mm(rows, weight.codes, torch.ones_like(weight.scales, dtype=torch.bfloat16))  # m o
    out = (sums * (weight.scales / 127)).to(torch.bfloat16).view(*x.shape[:-1], -1)
    return out if bias is None else out + bias
