"""For every room: the tests' models are so small that threads only get in each other's way. Triton's kernels run on the GPU if
there is one, else in its interpreter on the CPU."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before anybody imports triton: it defines kernels of its own then

for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # a job in the background ignores some of them, and so would all its children
    number = getattr(signal, name, None)
    if number is not None and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Bounds:
    """Of the kernel that Triton's interpreter runs: the bytes of its tensors, beyond which it has nothing to read or write.

    A GPU has something behind most tensors, and says nothing; behind the last one it ends the process.
    """

    def __init__(self) -> None:
        self._spans: list[tuple[int, int]] = []

    def enter(self, arguments: Any) -> None:
        """The tensors of a launch."""
        self._spans = sorted(_spans(arguments))

    def check(self, pointers: Any, mask: Any, size: int) -> None:
        """Of `size` bytes behind each pointer where the mask is."""
        import numpy

        at = numpy.broadcast_to(pointers, mask.shape)[mask.astype(bool)].astype(numpy.int64)
        begins = numpy.array([begin for begin, _ in self._spans], dtype=numpy.int64)
        ends = numpy.maximum.accumulate([end for _, end in self._spans])
        span = numpy.searchsorted(begins, at, side="right") - 1
        astray = (span < 0) | (at + size > ends[span])
        assert not astray.any(), f"{astray.sum()} of {at.size} pointers lie outside of all tensors of the kernel"


def _spans(arguments: Any) -> Iterator[tuple[int, int]]:
    """Where the elements of these tensors begin and end in memory, views by what they show."""
    for each in arguments:
        if isinstance(each, tuple):
            yield from _spans(each)
        elif hasattr(each, "data_ptr") and each.numel():
            last = sum((size - 1) * step for size, step in zip(each.shape, each.stride(), strict=True))
            yield each.data_ptr(), each.data_ptr() + (last + 1) * each.element_size()
        elif hasattr(each, "base"):  # a descriptor
            yield from _spans((each.base,))


@pytest.fixture(scope="session", autouse=True)
def kernels_stay_within_their_tensors() -> None:
    """Where Triton's kernels run in its interpreter."""
    if os.environ.get("TRITON_INTERPRET") != "1":
        return
    interpreter: Any = import_module("triton.runtime.interpreter")
    bounds, builder, executor = Bounds(), interpreter.InterpreterBuilder, interpreter.GridExecutor
    load, store, arguments = builder.create_masked_load, builder.create_masked_store, executor._init_args_hst

    def bounded_load(self: Any, pointers: Any, mask: Any, *rest: Any) -> Any:
        bounds.check(pointers.data, mask.data, pointers.get_element_ty().primitive_bitwidth // 8)
        return load(self, pointers, mask, *rest)

    def bounded_store(self: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        bounds.check(pointers.data, mask.data, pointers.get_element_ty().primitive_bitwidth // 8)
        return store(self, pointers, value, mask, *rest)

    def known(self: Any, args: Any, kwargs: Any) -> Any:
        found = arguments(self, args, kwargs)
        bounds.enter((*found[0], *found[1].values()))
        return found

    builder.create_masked_load, builder.create_masked_store, executor._init_args_hst = bounded_load, bounded_store, known
