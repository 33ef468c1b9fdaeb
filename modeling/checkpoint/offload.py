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
from typing import Any

import torch
from torch import Tensor, nn

from modeling.checkpoint.header import StoredTensor
from modeling.checkpoint.reader import Reader

_ALIGNMENT = 256  # bytes, what a GPU's own allocator would give each tensor


@dataclass(frozen=True, slots=True)
class Visitor:
    """One weight of a visited part: entry `name` of a module's table of parameters, and where it stays meanwhile.

    The table, not the module: what a module's own `forward` refers to must not refer back to it, or a model that is let go
    would keep its memory until the next garbage collection.
    """

    parameters: dict[str, nn.Parameter | None]
    name: str
    source: Tensor | StoredTensor
    dtype: torch.dtype


def pack(weights: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Room in host memory for the weights of one part (on meta): one uninitialised piece of bytes (so that its pages are locked
    at once), and each weight as a view of it."""
    starts: dict[str, int] = {}
    end = 0
    for name, weight in weights.items():
        starts[name] = end
        end += -(-weight.nbytes // _ALIGNMENT) * _ALIGNMENT
    piece = torch.empty(end, dtype=torch.uint8)
    return piece, {
        name: piece[starts[name] : starts[name] + weight.nbytes].view(weight.dtype).view(weight.shape)
        for name, weight in weights.items()
    }


def lock_pages(piece: Tensor) -> None:
    """Let a GPU read this host memory at the full speed of the bus, several times that of ordinary memory.

    Registered as it is, once it is filled: torch's own pinned tensors are rounded up to a power of two, up to twice the size.
    A system that refuses so many locked pages only makes the copies slower.
    """
    cudart: Any = torch.cuda.cudart()
    address = piece.data_ptr()
    if int(cudart.cudaHostRegister(address, piece.nbytes, 0)) == 0:
        weakref.finalize(piece.untyped_storage(), cudart.cudaHostUnregister, address).atexit = False
        return
    with suppress(RuntimeError):  # the refusal is also CUDA's "last error", which the next kernel would report as its own
        torch.zeros(1, device="cuda")


def attach(part: nn.Module, device: torch.device, visitors: Sequence[Visitor], reader: Reader) -> None:
    """Let `part` compute on `device`: its inputs are moved there, and its `visitors` are brought in for each call.

    Sets `part.execution_device`, where its state belongs. Without visitors, only the inputs travel.
    """
    inner, this = type(part).forward, weakref.ref(part)

    @wraps(inner)
    def forward(*args: Any, **kwargs: Any) -> Any:
        with _visit(visitors, device, reader):
            return inner(this(), *move(args, device), **move(kwargs, device))

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
def _visit(visitors: Sequence[Visitor], device: torch.device, reader: Reader) -> Iterator[None]:
    """Weights in; and out again however the visit ends, an interrupt included.

    Each comes by itself: what a layer keeps of one small weight must not hold on to all the others.
    """
    absent = [visitor.parameters[visitor.name] for visitor in visitors]
    try:
        with torch.inference_mode(
            False
        ):  # so that a visitor is a tensor like any other: with a version, for what is kept of it
            for visitor in visitors:
                source = visitor.source
                if isinstance(source, StoredTensor):
                    weight = reader.tensor(source, visitor.dtype, device)
                else:
                    weight = source.to(device, non_blocking=True)  # in order with the computation, and nobody writes to it
                visitor.parameters[visitor.name] = nn.Parameter(weight, requires_grad=False)
        yield
    finally:
        for visitor, parameter in zip(visitors, absent, strict=True):
            visitor.parameters[visitor.name] = parameter
