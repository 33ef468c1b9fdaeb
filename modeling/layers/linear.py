"""The matrix product y = x Wᵀ + b under the checkpoint's names, with a plain matrix or a packed one: the same face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from modeling import kernels
from modeling.kernels import bitsandbytes
from modeling.kernels.packed import Interleaved4, Packed, Packed4, Packed8, Scales8
from modeling.quantization import Form

Parts = Mapping[str, tuple[tuple[int, ...], torch.dtype]]


class Linear(nn.Linear):
    """weight (out, in), bias (out) or none; x (…, in) → (…, out) in x's dtype."""

    if TYPE_CHECKING:

        def __call__(self, x: Tensor) -> Tensor: ...

    def forward(self, input: Tensor) -> Tensor:
        return kernels.linear(input, self.weight, self.bias)

    def product(self, x: Tensor) -> Tensor:
        """x Wᵀ without the bias: x (…, in) → (…, out)."""
        return kernels.linear(x, self.weight)


class PackedLinear(nn.Module):
    """The same with a weight in 4 or 8 bits.

    Its parts are parameters under the names they have in bitsandbytes' files: "weight", "weight.absmax", … (see `parts`), and
    so they are counted, moved and offloaded like any other. The one that the files keep as text is "weight.nested_offset".

    The product is made in `compute_dtype`; None: in x's.
    """

    if TYPE_CHECKING:

        def __call__(self, x: Tensor) -> Tensor: ...

    def __init__(
        self, shape: tuple[int, int], form: Form, bias: nn.Parameter | None = None, compute_dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.shape = shape
        self.form = form
        self.compute_dtype = compute_dtype
        self.interleaved = False
        for name, (size, dtype) in parts(shape, form).items():
            # past register_parameter, which wants names without dots
            self._parameters[name] = nn.Parameter(torch.empty(size, dtype=dtype), requires_grad=False)
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        return self._product(x, self.bias)

    def product(self, x: Tensor) -> Tensor:
        """x Wᵀ without the bias: x (…, in) → (…, out)."""
        return self._product(x, None)

    def _product(self, x: Tensor, bias: Tensor | None) -> Tensor:
        dtype = self.compute_dtype or x.dtype
        bias = bias if bias is None else bias.to(dtype)
        return kernels.packed_linear(x.to(dtype), self.packed, bias).to(x.dtype)

    @torch.inference_mode(False)
    def interleave(self) -> None:
        """Lay the weight out for the CPU's kernels, where there are some that serve; it cannot be laid back."""
        packed = self.packed
        if not isinstance(packed, Packed4) or self.form.type == "int8":
            return
        if packed.codes.device.type != "cpu" or self.shape[1] % self.form.block or bitsandbytes.library() is None:
            return
        laid = Interleaved4.of(packed, self.form.type)
        for name in [name for name in self._parameters if name.startswith("weight")]:
            del self._parameters[name]
        for name, part in {"weight": laid.codes, "weight.absmax": laid.scales, "weight.quant_map": laid.values}.items():
            self._parameters[name] = nn.Parameter(part, requires_grad=False)
        self.interleaved = True

    @property
    def packed(self) -> Packed:
        """The weight as the kernels take it: views of the parameters."""
        part = {name: entry.detach() for name, entry in self._parameters.items() if entry is not None}
        if self.form.type == "int8":
            return Packed8(part["weight"], part["SCB"])
        if self.interleaved:
            tensors = (part["weight"], part["weight.absmax"], part["weight.quant_map"])
            return Interleaved4(*tensors, self.shape, self.form.block, self.form.type)
        scales: Tensor | Scales8 = part["weight.absmax"]
        if self.form.double:
            values, absmax = part["weight.nested_quant_map"], part["weight.nested_absmax"]
            scales = Scales8(part["weight.absmax"], values, absmax, part["weight.nested_offset"], self.form.nested_block)
        return Packed4(part["weight"].view(-1), scales, part["weight.quant_map"], self.shape, self.form.block)

    def extra_repr(self) -> str:
        return f"out={self.shape[0]}, in={self.shape[1]}, {self.form.name}"


def parts(shape: tuple[int, int], form: Form) -> Parts:
    """The parts of a packed weight (out, in): name in the layer → shape and dtype, as they lie in bitsandbytes' files."""
    o, i = shape
    if form.type == "int8":
        return {"weight": ((o, i), torch.int8), "SCB": ((o,), torch.float32)}
    blocks = -(-o * i // form.block)
    found: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
        "weight": ((-(-o * i // 2), 1), torch.uint8),
        "weight.absmax": ((blocks,), torch.uint8 if form.double else torch.float32),
        "weight.quant_map": ((16,), torch.float32),
    }
    if form.double:
        found["weight.nested_absmax"] = ((-(-blocks // form.nested_block),), torch.float32)
        found["weight.nested_quant_map"] = ((256,), torch.float32)
        found["weight.nested_offset"] = ((), torch.float32)
    return found


def tensors(packed: Packed4 | Packed8) -> dict[str, Tensor]:
    """The other way round: a packed weight as parts."""
    if isinstance(packed, Packed8):
        return {"weight": packed.codes, "SCB": packed.scales}
    found = {"weight": packed.codes.view(-1, 1), "weight.quant_map": packed.values}
    if isinstance(packed.scales, Tensor):
        return found | {"weight.absmax": packed.scales}
    scales = packed.scales
    nested = {"nested_absmax": scales.absmax, "nested_quant_map": scales.values, "nested_offset": scales.mean}
    return found | {"weight.absmax": scales.codes} | {f"weight.{name}": part for name, part in nested.items()}


def interleave(model: nn.Module, dtype: torch.dtype) -> None:
    """Lay out packed weights that are on the CPU for its kernels, if products are made in the `dtype` that these know."""
    for module in model.modules():
        if isinstance(module, PackedLinear) and (module.compute_dtype or dtype) == torch.bfloat16:
            module.interleave()


def weight_count(model: nn.Module) -> int:
    """How many numbers a model has learned: those of a packed weight count one by one, its scales not at all."""
    layers = [module for module in model.modules() if isinstance(module, PackedLinear)]
    packing = {id(entry) for layer in layers for name, entry in layer._parameters.items() if name != "bias"}
    plain = sum(entry.numel() for entry in model.parameters() if id(entry) not in packing)
    return plain + packed_count(model)


def packed_count(model: nn.Module) -> int:
    """How many of them are packed."""
    return sum(module.shape[0] * module.shape[1] for module in model.modules() if isinstance(module, PackedLinear))


def quantization_name(model: nn.Module) -> str | None:
    """How a model's weights are packed, as "nf4-dq", with another dtype of the products behind it; None if all are plain."""
    for module in model.modules():
        if isinstance(module, PackedLinear):
            dtype = module.compute_dtype
            return module.form.name + (f", {str(dtype).removeprefix('torch.')} products" if dtype else "")
    return None
