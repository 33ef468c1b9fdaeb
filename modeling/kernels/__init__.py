"""The operations that layers are made of, by name. Layers call `kernels.<name>` and never ask what runs.

`reference` is the law: plain torch on any device. `choice` tells where a faster twin runs in its place. `decode_step` sets the
scene for the shapes of decoding, `tokens_apart` for several tokens that are to come out as from so many steps. With padding
behind the tokens of a row, the law is to take `row_by_row`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

from modeling.kernels import cpu, reference
from modeling.kernels.apart import by_token, tokens_apart
from modeling.kernels.choice import Choice, announce, choose, current, with_twin
from modeling.kernels.padding import row_by_row

Remembering = Callable[..., Tensor]  # the last argument is memory: that of a step, of a walk, or of rows with padding

attention: Remembering = by_token(0, 1, 2)(with_twin(row_by_row(0, 1, 2)(reference.attention)))
causal_conv: Remembering = by_token(0)(with_twin(row_by_row(0)(reference.causal_conv)))
cos = by_token(0)(torch.cos)
gated_rms_norm = by_token(0, 1)(with_twin(reference.gated_rms_norm))
linear = by_token(0)(F.linear)
packed_linear = by_token(0, alike=cpu.rows_alike)(with_twin(cpu.packed_linear))
rms_norm = by_token(0)(with_twin(reference.rms_norm))
rotary = by_token(0, 1, 2)(reference.rotary)
selective_scan: Remembering = by_token(0, 1, 3, 4, 7)(with_twin(row_by_row(0, 1, 3, 4, 7)(reference.selective_scan)))
silu = by_token(0)(F.silu)
sin = by_token(0)(torch.sin)
ssd: Remembering = by_token(0, 1, 3, 4)(with_twin(row_by_row(0, 1, 3, 4)(reference.ssd)))
swiglu = by_token(0, 1)(with_twin(reference.swiglu))

__all__ = [
    "Choice",
    "announce",
    "attention",
    "causal_conv",
    "choose",
    "cos",
    "current",
    "decode_step",
    "gated_rms_norm",
    "linear",
    "packed_linear",
    "rms_norm",
    "rotary",
    "selective_scan",
    "silu",
    "sin",
    "ssd",
    "swiglu",
    "tokens_apart",
]


def decode_step(rows: int, device: torch.device) -> AbstractContextManager[None]:
    """The surroundings in which one token for each of `rows` sequences is fed on `device`."""
    return cpu.matrix_times_vector() if device.type == "cpu" and rows == 1 else nullcontext()
