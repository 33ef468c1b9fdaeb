"""Parts of a model whose weights are visitors: they come in before the part computes and go out after it.

A visit covers a whole block, because blocks read weights of their submodules directly (the convolution's taps, the bias inside
a softplus, whole layers in a fused kernel): a hook on the submodule's own call would never run there, and the block would
compute on *meta* tensors. The weights come from host memory, or from the checkpoint's own files: there is no second copy on
disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

from modeling.checkpoint.header import StoredTensor
from modeling.checkpoint.reader import Reader


@dataclass(frozen=True, slots=True)
class Visitor:
    """One weight of a visited part: parameter `name` of `module`, and where it stays meanwhile."""

    module: nn.Module
    name: str
    source: Tensor | StoredTensor


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
    try:
        with torch.inference_mode(
            False
        ):  # so that a visitor is a tensor like any other: with a version, for what is kept of it
            for visitor in visitors:
                source = visitor.source
                weight = reader.tensor(source, dtype, device) if isinstance(source, StoredTensor) else source.to(device)
                visitor.module._parameters[visitor.name] = nn.Parameter(weight, requires_grad=False)
        yield
    finally:
        for visitor, parameter in zip(visitors, absent, strict=True):
            visitor.module._parameters[visitor.name] = parameter
