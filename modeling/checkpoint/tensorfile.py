"""A safetensors file, written by hand: the header first, then tensor after tensor, so that none need be in memory before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from modeling.checkpoint.header import DTYPE_BYTES
from modeling.checkpoint.reader import CODES, TORCH_DTYPES

_NAMES = {dtype: name for name, dtype in (*TORCH_DTYPES.items(), *CODES.items(), ("I32", torch.int32))}


@dataclass(frozen=True, slots=True)
class Entry:
    """What a header says of one tensor: its dtype by the format's name, and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * DTYPE_BYTES[self.dtype]

    @classmethod
    def of(cls, tensor: Tensor) -> Entry:
        return cls(_NAMES[tensor.dtype], tuple(tensor.shape))


def header(entries: Mapping[str, Entry], metadata: Mapping[str, str]) -> bytes:
    """How a file begins whose tensors are `entries`, in their order."""
    fields: dict[str, object] = {"__metadata__": dict(metadata)}
    offset = 0
    for name, entry in entries.items():
        end = offset + entry.nbytes
        fields[name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": [offset, end]}
        offset = end
    raw = json.dumps(fields).encode()
    raw += b" " * (-len(raw) % 8)  # the data begin at a multiple of 8
    return len(raw).to_bytes(8, "little") + raw


def content(tensor: Tensor) -> memoryview:
    """The bytes of a tensor on the CPU."""
    return tensor.contiguous().view(-1).view(torch.uint8).numpy().data
