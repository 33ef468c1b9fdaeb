"""Which twin of an operation runs: the law in plain torch, or a fast one.

One choice for the process, made when a model is opened. A fast operation is imported when it is first needed, on a device that
can run it. If it cannot be had there, the law runs in its place, and `Choice.reasons` tells why.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ParamSpec

import torch
from torch import Tensor

from modeling.errors import DeviceUnavailable
from modeling.messages import Kernels, Progress, ProgressSink

P = ParamSpec("P")

TRITON = {
    "attention": "attention",
    "causal_conv": "conv",
    "gated_rms_norm": "norm",
    "packed_linear": "dequantize",
    "rms_norm": "norm",
    "selective_scan": "scan",
    "ssd": "ssd",
    "swiglu": "swiglu",
}
"""Operation → its room in `modeling.kernels.triton`."""


@dataclass(slots=True)
class Choice:
    """`name` is "torch" or "triton". `reasons` say why an operation, or all of them ("*"), run in torch nonetheless."""

    name: str = "torch"
    strict: bool = False  # asked for by name: what cannot be had is an error
    reasons: dict[str, str] = field(default_factory=dict)
    fast: dict[str, Callable[..., Tensor]] = field(default_factory=dict)

    def twin(self, operation: str) -> Callable[..., Tensor] | None:
        """The fast twin of an operation, or None if the law is to run."""
        if self.name != "triton" or operation in self.reasons:
            return None
        if operation not in self.fast:
            try:
                room = import_module(f"modeling.kernels.triton.{TRITON[operation]}")
            except ImportError as error:
                self.give_up(operation, error)
                return None
            self.fast[operation] = getattr(room, operation)
        return self.fast[operation]

    def give_up(self, operation: str, error: Exception) -> None:
        """From now on the law runs. Raises `DeviceUnavailable` if the kernels were asked for by name."""
        first_line, *_ = str(error).splitlines() or [type(error).__name__]
        if self.strict:
            raise DeviceUnavailable(f"--kernels triton: {operation}: {first_line}", "use --kernels auto") from error
        self.reasons[operation] = first_line


_choice = Choice()


def choose(requested: Kernels, device: torch.device) -> Choice:
    """Choose the kernels of all models from now on, for a model on `device`.

    Raises `DeviceUnavailable` for kernels that were asked for by name and cannot be had.
    """
    global _choice
    if requested == "mamba-ssm":
        raise DeviceUnavailable("--kernels mamba-ssm: this version has no use for them", "use --kernels auto")
    _choice = Choice()
    if requested != "torch" and (device.type == "cuda" or requested == "triton"):
        _choice = Choice("triton", strict=requested == "triton")
        if why := _missing(device):
            _choice.name = "torch"
            _choice.give_up("*", RuntimeError(why))
    return _choice


def announce(progress: ProgressSink) -> None:
    """Tell `progress`, once, if kernels are compiled that no cache has: that takes up to a minute, the first time on a GPU."""
    from triton import knobs

    def compiled(*, cache_hit: bool, **_: object) -> None:
        if not cache_hit:
            knobs.compilation.listener = None
            progress(Progress("compile", 0, 1))

    knobs.compilation.listener = compiled


def current() -> Choice:
    """The choice in force."""
    return _choice


def _missing(device: torch.device) -> str:
    """What Triton lacks here; "" if it runs."""
    if device.type != "cuda":
        return f"they need a CUDA device, and this is {device.type}"
    if find_spec("triton") is None:
        return "the package triton is not installed"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "they need a GPU of compute capability 8.0 or later (Ampere)"
    if os.environ.get("TRITON_INTERPRET") == "1":
        return "TRITON_INTERPRET is set"
    return _trial(device)


def _trial(device: torch.device) -> str:
    """Run the smallest kernel there is: a compiler of C, the driver and the cache must all be there."""
    try:
        from modeling.kernels.triton.trial import trial

        trial(device)
    except Exception as error:  # whatever it is, there is a slower way
        first_line, *_ = str(error).splitlines() or [type(error).__name__]
        return f"a trial failed: {first_line}"
    return ""


def with_twin(law: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """The operation `law`, by its fast twin where that is chosen, the first argument is on a CUDA device, and nobody asks for
    gradients."""
    name = law.__name__

    @wraps(law)
    def operation(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        x: Any = args[0]
        if x.is_cuda and not _differentiated(args) and (twin := _choice.twin(name)) is not None:
            try:
                with torch.cuda.device(x.device):
                    return twin(*args, **kwargs)
            except _compile_errors() as error:
                _choice.give_up(name, error)
        return law(*args, **kwargs)

    return operation


def _differentiated(args: tuple[object, ...]) -> bool:
    """Whether somebody wants gradients: the twins have none."""
    return torch.is_grad_enabled() and any(isinstance(arg, Tensor) and arg.requires_grad for arg in args)


def _compile_errors() -> tuple[type[Exception], ...]:
    from triton.runtime.errors import TritonError

    return (TritonError,)
