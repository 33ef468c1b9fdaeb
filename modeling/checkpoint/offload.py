"""Parts of a model whose weights are visitors: they come in before the part computes and go out after it.

A visit covers a whole block, because blocks read weights of their submodules directly (the convolution's taps, the bias inside
a softplus, whole layers in a fused kernel): a hook on the submodule's own call would never run there, and the block would
compute on *meta* tensors. The weights come from host memory, or from the checkpoint's own files: there is no second copy on
disk.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from modeling.checkpoint.header import StoredTensor
from modeling.checkpoint.reader import Reader

_ALIGNMENT = 128  # elements: at least 256 bytes, what a GPU's own allocator would give each tensor


@dataclass(frozen=True, slots=True)
class Packed:
    """A weight in host memory, beside the other weights of its part: `flat[start:]` in the given shape."""

    flat: Tensor
    start: int
    shape: tuple[int, ...]

    @property
    def tensor(self) -> Tensor:
        return self.within(self.flat)

    def within(self, flat: Tensor) -> Tensor:
        """The same weight in a copy of all of them."""
        return flat[self.start : self.start + prod(self.shape)].view(self.shape)


@dataclass(frozen=True, slots=True)
class Visitor:
    """One weight of a visited part: parameter `name` of `module`, and where it stays meanwhile."""

    module: nn.Module
    name: str
    source: Packed | StoredTensor


def pack(shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype, page_locked: bool) -> dict[str, Packed]:
    """Room in host memory for the weights of one part, uninitialised and in one piece: so a visit is one copy.

    `page_locked`: let a GPU read it at the full speed of the bus, several times that of ordinary memory.
    """
    starts: dict[str, int] = {}
    end = 0
    for name, shape in shapes.items():
        starts[name] = end
        end += -(-prod(shape) // _ALIGNMENT) * _ALIGNMENT
    flat = torch.empty(end, dtype=dtype)
    if page_locked:
        _lock_pages(flat)
    return {name: Packed(flat, starts[name], shape) for name, shape in shapes.items()}


def attach(part: nn.Module, device: torch.device, dtype: torch.dtype, visitors: Sequence[Visitor], reader: Reader) -> None:
    """Let `part` compute on `device`: its inputs are moved there, and its `visitors` are brought in for each call.

    Sets `part.execution_device`, where its state belongs. Without visitors, only the inputs travel.
    """
    inner = part.forward

    @wraps(inner)
    def forward(*args: Any, **kwargs: Any) -> Any:
        with _visit(visitors, device, dtype, reader):
            return inner(*move(args, device), **move(kwargs, device))

    part.forward = forward
    part.execution_device = device  # type: ignore[assignment]


def move(value: Any, device: torch.device) -> Any:
    """The tensors in nested tuples, lists and dicts, on `device`. Other objects (a layer's state) are where they belong."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple):
        return tuple(move(item, device) for item in value)
    if isinstance(value, list):
        return [move(item, device) for item in value]
    if isinstance(value, dict):
        return {key: move(item, device) for key, item in value.items()}
    return value


@contextmanager
def _visit(visitors: Sequence[Visitor], device: torch.device, dtype: torch.dtype, reader: Reader) -> Iterator[None]:
    """Weights in; and out again however the visit ends, an interrupt included."""
    absent = [visitor.module._parameters[visitor.name] for visitor in visitors]
    arrived: dict[int, Tensor] = {}
    try:
        with torch.inference_mode(
            False
        ):  # so that a visitor is a tensor like any other: with a version, for what is kept of it
            for visitor in visitors:
                weight = _bring(visitor.source, device, dtype, reader, arrived)
                visitor.module._parameters[visitor.name] = nn.Parameter(weight, requires_grad=False)
        arrived.clear()
        yield
    finally:
        for visitor, parameter in zip(visitors, absent, strict=True):
            visitor.module._parameters[visitor.name] = parameter


def _bring(
    source: Packed | StoredTensor, device: torch.device, dtype: torch.dtype, reader: Reader, arrived: dict[int, Tensor]
) -> Tensor:
    if isinstance(source, StoredTensor):
        return reader.tensor(source, dtype, device)
    key = id(source.flat)
    if key not in arrived:
        arrived[key] = source.flat.to(device, non_blocking=True)  # in order with the computation, and nobody writes to it
    return source.within(arrived[key])


def _lock_pages(flat: Tensor) -> None:
    """Register memory with CUDA as it is. (torch's own pinned tensors are rounded up to a power of two: up to twice the size.)

    A system that refuses so many locked pages only makes the copies slower.
    """
    cudart: Any = torch.cuda.cudart()
    address = flat.data_ptr()
    if int(cudart.cudaHostRegister(address, flat.nbytes, 0)) == 0:
        weakref.finalize(flat, cudart.cudaHostUnregister, address).atexit = False
        return
    with suppress(RuntimeError):  # the refusal is also CUDA's "last error", which the next kernel would report as its own
        torch.zeros(1, device="cuda")
