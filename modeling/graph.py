"""A fixed list of device operations as one CUDA graph: a single launch in place of hundreds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar
from weakref import WeakSet

import torch

T = TypeVar("T")


class Pool:
    """Memory that several graphs share: they never run at the same time, and none reads what another one left, but for what
    their functions return. They are captured on one stream, since memory belongs to the stream that it was taken on."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream | None = None
        self._graphs: WeakSet[torch.cuda.CUDAGraph] = WeakSet()
        self._handle: Any = None

    @property
    def stream(self) -> torch.cuda.Stream:
        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device)
        return self._stream

    @property
    def handle(self) -> Any:
        """By which torch knows the memory. It is given back, and the handle void, when the last of its graphs is gone."""
        if self._handle is None or not self._graphs:
            self._handle = torch.cuda.graph_pool_handle()
        return self._handle

    def add(self, graph: torch.cuda.CUDAGraph) -> None:
        self._graphs.add(graph)


class Captured(Generic[T]):
    """A function without arguments whose operations read and write fixed addresses, and which never waits for the device.

    It runs as it is for the first `warm` times, which compiles what is not compiled yet and costs nothing where it is called
    a few times only; then it is captured, and replayed from there on. What it returns is written anew by each call. On devices
    without graphs, and if it cannot be captured (`failed`), it goes on running as it is. What interrupts a capture (Ctrl-C)
    goes on to the caller, and the next call tries again.

    Without a `pool` its memory is its own.
    """

    def __init__(self, function: Callable[[], T], device: torch.device, warm: int = 1, pool: Pool | None = None) -> None:
        self._function = function
        self._left = warm if device.type == "cuda" else -1
        self._pool = pool or Pool(device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: T | None = None
        self.failed = False

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
        graph, here, aside = torch.cuda.CUDAGraph(), torch.cuda.current_stream(), self._pool.stream
        aside.wait_stream(here)
        try:
            with torch.cuda.stream(aside):
                graph.capture_begin(pool=self._pool.handle, capture_error_mode="thread_local")
                try:
                    result = self._function()
                except BaseException:
                    with suppress(RuntimeError):  # says that the capture was broken off, and would hide by what (Ctrl-C)
                        graph.capture_end()
                    raise
                graph.capture_end()
        except RuntimeError:  # an operation that cannot be captured, or memory that is not there
            self._left, self.failed = -1, True
            return
        here.wait_stream(aside)
        self._pool.add(graph)
        self._left, self._graph, self._result = -1, graph, result
