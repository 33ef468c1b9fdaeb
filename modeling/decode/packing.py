"""Weights that one kernel reads, one after the other in memory, while every module keeps its parameter under its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import gcd
from typing import cast

import torch
from torch import Tensor, nn

from modeling.kernels.cuda import packed4
from modeling.kernels.packed import Packed, Packed4, Packed8, Scales8
from modeling.kernels.triton.int8 import Matrix8
from modeling.kernels.triton.launch import cdiv
from modeling.kernels.triton.matrix import Matrix
from modeling.kernels.triton.nf4 import Matrix4, supports

LEAST_GROUP = 16  # scales in 8 bits that share one in fp32


def matrix_of(*linears: nn.Module, dtype: torch.dtype) -> Matrix:
    """The weights of linear layers, plain or packed, as one matrix of all their rows.

    They move in memory where they have to. Packed ones that no kernel reads as they are, or not together, come as a plain copy
    in `dtype`.
    """
    packed = [_packed(linear) for linear in linears]
    if not any(packed):
        return laid_together(*(_part(linear, "weight") for linear in linears))
    if not _alike(packed):
        pairs = zip(linears, packed, strict=True)
        return torch.cat([_part(linear, "weight").data if p is None else p.dequantized(dtype) for linear, p in pairs])
    codes = laid_together(*(_part(linear, "weight") for linear in linears))
    scales = laid_together(*(_part(linear, "SCB" if codes.dtype == torch.int8 else "weight.absmax") for linear in linears))
    if codes.dtype == torch.int8:
        return Matrix8(codes, scales)
    whole = _joined([Matrix4.of(cast(Packed4, _packed(linear))) for linear in linears], codes, scales)
    return replace(whole, rows=packed4.most_rows(whole, dtype))


def _joined(parts: Sequence[Matrix4], codes: Tensor, scales: Tensor) -> Matrix4:
    """Matrices one after the other in `codes` and `scales` as one. Each group of scales in 8 bits keeps its matrix's mean;
    where a group would have scales of two matrices, all become smaller, and if they would be too small, scales come plain."""
    first, rows = parts[0], sum(part.shape[0] for part in parts)
    codes = codes.view(-1).view(torch.int32).view(rows, -1)
    whole = replace(first, codes=codes, scales=scales, shape=(rows, first.shape[1]))
    if first.doubled is None:
        return whole
    group = gcd(first.group, *(part.scales.numel() for part in parts[:-1]))
    if group < LEAST_GROUP:
        return replace(whole, scales=torch.cat([part.plain_scales() for part in parts]), doubled=None)

    def of_groups(which: int) -> Tensor:
        """Absmax or mean of each, of as many groups as each matrix has now."""
        found = (part.doubled[which].repeat_interleave(first.group // group) for part in parts if part.doubled is not None)
        return torch.cat([each[: cdiv(part.scales.numel(), group)] for each, part in zip(found, parts, strict=True)])

    return replace(whole, doubled=(first.doubled[0], of_groups(1), of_groups(2)), group=group)


def _alike(packed: Sequence[Packed | None]) -> bool:
    """Whether packed matrices can be one: of one form, which the kernels read."""
    first, *others = packed
    if isinstance(first, Packed8):
        return all(isinstance(other, Packed8) and other.shape[1] == first.shape[1] for other in others)
    if not isinstance(first, Packed4) or not supports(first):
        return False
    return all(isinstance(other, Packed4) and supports(other) and _form(other) == _form(first) for other in others)


def _form(packed: Packed4) -> tuple[object, ...]:
    scales = packed.scales
    doubled = (scales.block, *scales.values.tolist()) if isinstance(scales, Scales8) else None
    return packed.shape[1], packed.block, packed.values.tolist(), doubled


def plain_weights(model: nn.Module) -> list[Tensor]:
    """The parameters that are not part of a packed weight."""
    packing = {
        id(part) for module in model.modules() if _packed(module) for name, part in module._parameters.items() if name != "bias"
    }
    return [weight for weight in model.parameters() if id(weight) not in packing]


def runs_in(model: nn.Module, dtype: torch.dtype) -> bool:
    """Whether all weights are in `dtype`, or packed and meant for products in it."""
    return all(weight.dtype == dtype for weight in plain_weights(model)) and all(
        getattr(module, "compute_dtype", None) in (None, dtype) for module in model.modules()
    )


def _packed(linear: nn.Module) -> Packed | None:
    """The weight of a layer that has it packed."""
    return getattr(linear, "packed", None)


def _part(linear: nn.Module, name: str) -> Tensor:
    """A parameter, by a name that may have dots."""
    return cast(Tensor, linear._parameters[name])


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
