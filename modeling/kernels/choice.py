"""Which twin of an operation runs: the law in plain torch, or a fast one.

One choice for the process, made when a model is opened. A fast operation is imported when it is first needed, on a device that
can run it. If it cannot be had there, the law runs in its place, and `Choice.reasons` tells why.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
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

ROOMS = {
    "triton": {
        "attention": "triton.attention",
        "causal_conv": "triton.conv",
        "gated_rms_norm": "triton.norm",
        "packed_linear": "triton.dequantize",
        "rms_norm": "triton.norm",
        "selective_scan": "triton.scan",
        "ssd": "triton.ssd",
        "swiglu": "triton.swiglu",
    },
    "mamba-ssm": dict.fromkeys(("causal_conv", "selective_scan", "ssd"), "mamba_ssm") | {"packed_linear": "triton.dequantize"},
}
"""For each choice but "torch": operation → the module of `modeling.kernels` that has its fast twin."""


@dataclass(slots=True)
class Choice:
    """`name` is "torch", "compile" (torch's, in steps that torch.compile has fused) or one of `ROOMS`.

    `reasons` say why an operation, or all of them ("*"), run in torch nonetheless.
    """

    name: str = "torch"
    strict: bool = False  # asked for by name: what cannot be had is an error
    reasons: dict[str, str] = field(default_factory=dict)
    fast: dict[str, Callable[..., Tensor]] = field(default_factory=dict)

    def twin(self, operation: str) -> Callable[..., Tensor] | None:
        """The fast twin of an operation, or None if the law is to run."""
        room_name = ROOMS.get(self.name, {}).get(operation)
        if room_name is None or operation in self.reasons:
            return None
        if operation not in self.fast:
            try:
                room = import_module(f"modeling.kernels.{room_name}")
            except ImportError as error:
                self.give_up(operation, error)
                return None
            self.fast[operation] = getattr(room, operation)
        return self.fast[operation]

    def give_up(self, operation: str, error: Exception) -> None:
        """From now on the law runs. Raises `DeviceUnavailable` if the kernels were asked for by name."""
        first_line, *_ = str(error).splitlines() or [type(error).__name__]
        if self.strict:
            what = first_line if operation == "*" else f"{operation}: {first_line}"
            raise DeviceUnavailable(f"--kernels {self.name}: {what}", "use --kernels auto") from error
        self.reasons[operation] = first_line


_choice = Choice()


def choose(requested: Kernels, device: torch.device) -> Choice:
    """Choose the kernels of all models from now on, for a model on `device`.

    Raises `DeviceUnavailable` for kernels that were asked for by name and cannot be had.
    """
    global _choice
    _choice = Choice()
    asked: Kernels = requested
    if requested == "auto":
        asked = "triton" if device.type == "cuda" else "torch"
    if asked != "torch":
        choice = Choice(asked, strict=requested != "auto")
        if why := lacking(asked, device):
            choice.give_up("*", RuntimeError(why))
            choice.name = "torch"
        _choice = choice
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


def lacking(name: Kernels, device: torch.device) -> str:
    """What these kernels lack on `device`; "" if they run."""
    if name == "compile":
        return _compile_trial(device)
    if device.type != "cuda":
        return f"they need a CUDA device, and this is {device.type}"
    if name == "mamba-ssm":
        return _unimportable("modeling.kernels.mamba_ssm")
    if find_spec("triton") is None:
        return "the package triton is not installed"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "they need a GPU of compute capability 8.0 or later (Ampere)"
    if os.environ.get("TRITON_INTERPRET") == "1":
        return "TRITON_INTERPRET is set"
    return _trial(device)


def _unimportable(module: str) -> str:
    """Why packages that are compiled where they are installed do not serve: they are absent, or made for another torch."""
    try:
        import_module(module)
    except Exception as error:
        first_line, *_ = str(error).splitlines() or [type(error).__name__]
        return f"mamba-ssm and causal-conv1d cannot be imported: {first_line}"
    return ""


def _trial(device: torch.device) -> str:
    """Run the smallest kernel there is: a compiler of C, the driver and the cache must all be there."""
    try:
        from modeling.kernels.triton.trial import trial

        trial(device)
    except Exception as error:  # whatever it is, there is a slower way
        first_line, *_ = str(error).splitlines() or [type(error).__name__]
        return f"a trial failed: {first_line}"
    return ""


def _compile_trial(device: torch.device) -> str:
    """What torch.compile lacks here, a compiler of C++ most of the time; "" if it runs."""
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.ones(8, device=device))
    except Exception as error:
        first_line, *_ = str(error).splitlines() or [type(error).__name__]
        return f"a trial of torch.compile failed: {first_line}"
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
                with _current(x.device):
                    return twin(*args, **kwargs)
            except _compile_errors() as error:
                _choice.give_up(name, error)
        return law(*args, **kwargs)

    return operation


def _current(device: torch.device) -> AbstractContextManager[Any]:
    """Triton launches on the current device: make it so, for the price of a look where it is."""
    return nullcontext() if device.index == torch.cuda.current_device() else torch.cuda.device(device)


def _differentiated(args: tuple[object, ...]) -> bool:
    """Whether somebody wants gradients: the twins have none."""
    return torch.is_grad_enabled() and any(isinstance(arg, Tensor) and arg.requires_grad for arg in args)


def _compile_errors() -> tuple[type[Exception], ...]:
    from triton.runtime.errors import TritonError

    return (TritonError,)
