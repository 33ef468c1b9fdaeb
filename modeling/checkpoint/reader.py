"""From bytes in a file to a tensor on its device.

Plain reads instead of a memory map: the bytes go straight into the tensor that stays, so host memory holds each weight once and
a load's peak is the model itself plus one small buffer per thread; a file that shrinks under us is a short read and not a
SIGBUS; and a slow network drive is read ahead in large pieces instead of page by page.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn

import torch
from torch import Tensor

from modeling.checkpoint.header import StoredTensor
from modeling.checkpoint.memory import STAGING
from modeling.errors import BadModelFile

TORCH_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""The stored dtypes that a plain weight may have."""

CODES = {"U8": torch.uint8, "I8": torch.int8}
"""Those of a packed weight's codes. They are what they are: nothing is converted to or from them."""

_FORMAT = ("floating-point numbers", "codes of 4 or 8 bits")


class Reader:
    """Reads stored tensors. Any number of threads may share one; each has its own staging buffer."""

    def __init__(self) -> None:
        self._local = threading.local()

    def into(self, target: Tensor, stored: StoredTensor) -> None:
        """Fill `target` (contiguous, of `stored`'s shape, any device and floating dtype, or the codes' own) from its file.

        Raises `BadModelFile` if the file cannot be read or is not what its header was.
        """
        dtype = _torch_dtype(stored, target.dtype)
        flat = target.detach().view(-1)
        with _opened(stored) as file, torch.no_grad():
            if target.device.type == "cpu" and target.dtype == dtype:
                _fill(file, flat.view(torch.uint8), stored)
                return
            staging = self._staging(target.device)
            start = 0
            for size in _pieces(stored.nbytes, staging.numel()):
                piece = staging[:size]
                _fill(file, piece, stored)
                values = piece.view(dtype)
                flat[start : start + values.numel()].copy_(values)
                start += values.numel()

    def tensor(self, stored: StoredTensor, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The stored tensor as a new one of `dtype` on `device`."""
        target = torch.empty(stored.shape, dtype=dtype, device=device)
        self.into(target, stored)
        return target

    def own(self, stored: StoredTensor, device: torch.device) -> Tensor:
        """The stored tensor in its own floating dtype, on `device`."""
        return self.tensor(stored, TORCH_DTYPES.get(stored.dtype, torch.float32), device)

    def exact(self, stored: StoredTensor, dtype: torch.dtype) -> Tensor:
        """The stored tensor, of any dtype, on the CPU. Raises `BadModelFile` if it was not stored as `dtype`."""
        target = torch.empty(stored.shape, dtype=dtype)
        if target.nbytes != stored.nbytes:
            raise BadModelFile(f"{stored.file} holds {stored.dtype} where {dtype} belongs", "download the model again")
        with _opened(stored) as file:
            _fill(file, target.view(-1).view(torch.uint8), stored)
        return target

    def pieces(self, stored: StoredTensor) -> Iterator[memoryview]:
        """The bytes of a stored tensor, a few MB at a time; a piece is good until the next one is asked for."""
        staging = self._staging(torch.device("cpu"))
        with _opened(stored) as file:
            for size in _pieces(stored.nbytes, staging.numel()):
                _fill(file, staging[:size], stored)
                yield staging[:size].numpy().data

    def equal(self, one: StoredTensor, other: StoredTensor) -> bool:
        """Whether two stored tensors of one dtype and shape hold the same bytes."""
        if (one.dtype, one.shape) != (other.dtype, other.shape):
            return False
        buffers = torch.empty(2, STAGING // 2, dtype=torch.uint8)
        with _opened(one) as file_one, _opened(other) as file_other:
            for size in _pieces(one.nbytes, buffers.shape[1]):
                left, right = buffers[0, :size], buffers[1, :size]
                _fill(file_one, left, one)
                _fill(file_other, right, other)
                if not torch.equal(left, right):
                    return False
        return True

    def _staging(self, device: torch.device) -> Tensor:
        """This thread's buffer; page-locked for a GPU, which then copies from it at full speed."""
        pinned = device.type == "cuda"
        buffer: Tensor | None = getattr(self._local, "buffer", None)
        if buffer is None or buffer.is_pinned() != pinned:
            buffer = self._local.buffer = torch.empty(STAGING, dtype=torch.uint8, pin_memory=pinned)
        return buffer


def _torch_dtype(stored: StoredTensor, target: torch.dtype) -> torch.dtype:
    if target in CODES.values() and CODES.get(stored.dtype) == target:
        return target
    if stored.dtype not in TORCH_DTYPES or target in CODES.values():
        raise BadModelFile(
            f"{stored.file} holds weights as {stored.dtype}, where {_FORMAT[target in CODES.values()]} belong",
            f"falcon reads {', '.join(TORCH_DTYPES)} and what bitsandbytes packs; choose another copy of the model",
        )
    return TORCH_DTYPES[stored.dtype]


class _opened:
    """The file of a stored tensor, unbuffered and at its first byte; the system's errors become falcon's."""

    def __init__(self, stored: StoredTensor) -> None:
        self.stored = stored

    def __enter__(self) -> BinaryIO:
        try:
            self.file: BinaryIO = self.stored.file.open("rb", buffering=0)
            self.file.seek(self.stored.offset)
        except OSError as error:
            _unreadable(self.stored.file, error)
        return self.file

    def __exit__(self, *failure: object) -> None:
        self.file.close()


def _fill(file: BinaryIO, target: Tensor, stored: StoredTensor) -> None:
    """Read exactly as many bytes as `target` (uint8, on the CPU) has."""
    view = target.numpy().data
    while view:
        try:
            count = file.readinto(view)  # type: ignore[attr-defined]
        except OSError as error:
            _unreadable(stored.file, error)
        if not count:
            raise BadModelFile(f"{stored.file} has become shorter while it was read", "download the model again")
        view = view[count:]


def _pieces(total: int, most: int) -> Iterator[int]:
    """`total` bytes in pieces of at most `most`."""
    for start in range(0, total, most):
        yield min(most, total - start)


def _unreadable(path: Path, error: OSError) -> NoReturn:
    raise BadModelFile(f"{path} cannot be read: {error.strerror or error}", "check the file and the disk") from None
