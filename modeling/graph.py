"""A fixed list of device operations as one CUDA graph: a single launch in place of hundreds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

import torch

T = TypeVar("T")


class Captured(Generic[T]):
    """A function without arguments whose operations read and write fixed addresses, and which never waits for the device.

    It runs as it is for the first `warm` times, which compiles what is not compiled yet and costs nothing where it is called
    a few times only; then it is captured, and replayed from there on. What it returns is written anew by each call. On devices
    without graphs, and if it cannot be captured, it goes on running as it is.
    """

    def __init__(self, function: Callable[[], T], device: torch.device, warm: int = 1) -> None:
        self._function = function
        self._left = warm if device.type == "cuda" else -1
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: T | None = None

    def __call__(self) -> T:
        if self._left == 0:
            self._capture()
        if self._graph is None:
            self._left = max(-1, self._left - 1)
            return self._function()
        self._graph.replay()
        assert self._result is not None
        return self._result

    def _capture(self) -> None:
        graph, here, aside = torch.cuda.CUDAGraph(), torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        self._left = -1
        try:
            with torch.cuda.stream(aside):
                graph.capture_begin(capture_error_mode="thread_local")
                try:
                    result = self._function()
                except BaseException:
                    with suppress(RuntimeError):  # says that the capture was broken off, and would hide by what (Ctrl-C)
                        graph.capture_end()
                    raise
                graph.capture_end()
        except RuntimeError:  # an operation that cannot be captured
            return
        here.wait_stream(aside)
        self._graph, self._result = graph, result
