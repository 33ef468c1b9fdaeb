"""The operations that layers are made of, by name. Layers call `kernels.<name>` and never ask what runs.

`reference` is the law: plain torch on any device. `choice` tells where a faster twin runs in its place. `decode_step` sets the
scene for the shapes of decoding.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from modeling.kernels import cpu, reference
from modeling.kernels.choice import Choice, announce, choose, current, with_twin
from modeling.kernels.reference import rotary

attention = with_twin(reference.attention)
causal_conv = with_twin(reference.causal_conv)
gated_rms_norm = with_twin(reference.gated_rms_norm)
packed_linear = with_twin(cpu.packed_linear)
rms_norm = with_twin(reference.rms_norm)
selective_scan = with_twin(reference.selective_scan)
ssd = with_twin(reference.ssd)
swiglu = with_twin(reference.swiglu)

__all__ = [
    "Choice",
    "announce",
    "attention",
    "causal_conv",
    "choose",
    "current",
    "decode_step",
    "gated_rms_norm",
    "packed_linear",
    "rms_norm",
    "rotary",
    "selective_scan",
    "ssd",
    "swiglu",
]


def decode_step(rows: int, device: torch.device) -> AbstractContextManager[None]:
    """The surroundings in which one token for each of `rows` sequences is fed on `device`."""
    return cpu.matrix_times_vector() if device.type == "cpu" and rows == 1 else nullcontext()
