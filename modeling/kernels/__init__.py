"""The operations that layers are made of, by name. Layers call `kernels.<name>` and never ask what runs.

`reference` is the law: plain torch on any device. `decode_step` sets the scene for the shapes of decoding.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from modeling.errors import DeviceUnavailable
from modeling.kernels import cpu
from modeling.kernels.reference import attention, causal_conv, gated_rms_norm, rms_norm, rotary, selective_scan, ssd
from modeling.messages import Kernels

__all__ = [
    "attention",
    "backend",
    "causal_conv",
    "decode_step",
    "gated_rms_norm",
    "rms_norm",
    "rotary",
    "selective_scan",
    "ssd",
]


def decode_step(rows: int, device: torch.device) -> AbstractContextManager[None]:
    """The surroundings in which one token for each of `rows` sequences is fed on `device`."""
    return cpu.matrix_times_vector() if device.type == "cpu" and rows == 1 else nullcontext()


def backend(requested: Kernels) -> str:
    """The name of the kernels that will run. Raises `DeviceUnavailable` for a backend that this version does not bring."""
    if requested in ("auto", "torch"):
        return "torch"
    raise DeviceUnavailable(f"--kernels {requested}: this version runs the torch kernels only", "use --kernels auto")
