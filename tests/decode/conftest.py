"""CUDA's graphs on the GPU if there is one, else what is like them on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes, _get_current_dispatch_mode

pytest.importorskip("triton", reason="no triton here: pip install '.[test]' brings it")


@pytest.fixture(scope="session")
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Graph(TorchDispatchMode):
    """A CUDA graph on the CPU: torch's operations and Triton's launches that are done while it is captured are done again by
    `replay`, from and to the same tensors. So whatever the host has worked out of the inputs is repeated, not worked out anew.

    Unlike CUDA's, a capture runs what it records; the replay that follows it does nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Callable[[], None]] = []
        self._ran = False

    def capture_begin(self, pool: object, capture_error_mode: str) -> None:
        self.__enter__()

    def capture_end(self) -> None:
        self.__exit__(None, None, None)

    def replay(self) -> None:
        for call in self._calls if self._ran else ():
            call()
        self._ran = True

    def launch(self, run: Callable[[], None]) -> None:
        with _disable_current_modes():
            run()
        self._calls.append(run)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")

        def run() -> Any:
            return function(*args, **kwargs or {})

        found = run()

        def again() -> None:
            for old, new in zip(_tensors(found), _tensors(run()), strict=True):
                if old.data_ptr() != new.data_ptr():  # else it is a view, or was written in place
                    old.copy_(new)

        self._calls.append(again)
        return found


def _tensors(found: Any) -> list[Tensor]:
    return [each for each in (found if isinstance(found, tuple | list) else (found,)) if isinstance(each, Tensor)]


class Stream:
    def __init__(self, *_: object) -> None: ...

    def wait_stream(self, _: Stream) -> None: ...


@pytest.fixture
def capture(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, models run Triton's kernels, and prompts are captured: on the CPU, by stand-ins for both."""

    def begin() -> None:
        choice = import_module("modeling.kernels.choice")
        if device.type == "cuda":
            monkeypatch.setattr(choice, "_choice", choice.Choice("triton"))
            return
        for name, room in choice.ROOMS["triton"].items():
            monkeypatch.setattr(f"modeling.kernels.{name}", getattr(import_module(f"modeling.kernels.{room}"), name))
        graph = import_module("modeling.graph")
        captured = lambda function, _, pool: graph.Captured(function, torch.device("cuda"), pool=pool)  # noqa: E731
        monkeypatch.setattr("modeling.decode.prompts.Captured", captured)
        handles = count()
        stand_ins = {"CUDAGraph": Graph, "Stream": Stream, "current_stream": Stream, "stream": lambda _: nullcontext()}
        for name, stand_in in (stand_ins | {"graph_pool_handle": lambda: next(handles)}).items():
            monkeypatch.setattr(torch.cuda, name, stand_in)
        executor = import_module("triton.runtime.interpreter").GridExecutor
        launch = executor.__call__

        def recorded(grid: Any, *args: Any, **kwargs: Any) -> None:
            graph = _get_current_dispatch_mode()
            run = lambda: launch(grid, *args, **kwargs)  # noqa: E731
            graph.launch(run) if isinstance(graph, Graph) else run()

        monkeypatch.setattr(executor, "__call__", recorded)

    return begin
