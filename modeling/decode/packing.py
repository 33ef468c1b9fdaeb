"""Weights that one kernel reads, one after the other in memory, while every module keeps its parameter under its name."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
@torch.inference_mode(False)  # weights stay tensors like any other, in whichever mode they are laid together
def laid_together(*parameters: Tensor) -> Tensor:
    """One tensor of all rows, of which the parameters (o_i, …) are views from now on.

    If they lie that way already, nothing is copied; else they move there, and their old memory is free if nobody else has it.
    """
    first, rows = parameters[0], sum(parameter.shape[0] for parameter in parameters)
    if not _adjacent(parameters):
        together = torch.cat([parameter.data for parameter in parameters])
        offset = 0
        for parameter in parameters:
            parameter.data = together[offset : offset + parameter.shape[0]]
            offset += parameter.shape[0]
        return together
    return first.data.as_strided((rows, *first.shape[1:]), first.stride(), first.storage_offset())


def _adjacent(parameters: tuple[Tensor, ...]) -> bool:
    """Whether each begins in memory where the one before it ends."""
    end, storage = parameters[0].data_ptr(), parameters[0].untyped_storage().data_ptr()
    for parameter in parameters:
        if not parameter.is_contiguous() or parameter.data_ptr() != end or parameter.untyped_storage().data_ptr() != storage:
            return False
        end += parameter.nbytes
    return True
