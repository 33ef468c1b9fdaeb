"""The operations that layers are made of, by name. Layers call `kernels.<name>` and never ask what runs.

`reference` is the law: plain torch on any device. `backend` says what a request for kernels comes to on this machine.
"""

from __future__ import annotations

from modeling.errors import DeviceUnavailable
from modeling.kernels.reference import attention, causal_conv, gated_rms_norm, rms_norm, rotary, selective_scan, ssd
from modeling.messages import Kernels

__all__ = ["attention", "backend", "causal_conv", "gated_rms_norm", "rms_norm", "rotary", "selective_scan", "ssd"]


def backend(requested: Kernels) -> str:
    """The name of the kernels that will run. Raises `DeviceUnavailable` for a backend that this version does not bring."""
    if requested in ("auto", "torch"):
        return "torch"
    raise DeviceUnavailable(f"--kernels {requested}: this version runs the torch kernels only", "use --kernels auto")
