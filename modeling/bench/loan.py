"""Our 4-bit weights in bitsandbytes' layers, for transformers to run: the very memory, lent for a case and given back.

Between cases our kernels may move weights, so that what one program reads lies together. A layer that still held the old memory
then would keep a second copy of it alive.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from modeling.kernels.packed import Interleaved4, Packed4, Scales8
from modeling.layers.linear import PackedLinear
from modeling.quantization import VALUES


class Loan:
    """`linear`, a `bitsandbytes.nn.Linear4bit`, has the weight of `layer` from `lend` to `take_back`, and none else."""

    def __init__(self, layer: PackedLinear, dtype: torch.dtype) -> None:
        """Products are made in `dtype` where the layer names none."""
        nn4bit = _bitsandbytes().nn
        self._layer, self._made = layer, nn4bit.Params4bit
        o, i = layer.shape
        self.linear: Any = nn4bit.Linear4bit(i, o, bias=False, compute_dtype=layer.compute_dtype or dtype, device="meta")
        if layer.packed.codes.device.type == "cpu":  # whose kernels read x row by row, however it lies: FalconMamba transposes
            self.linear.register_forward_pre_hook(lambda module, x: (x[0].contiguous(),))
        self._lent = True
        self.take_back()

    @torch.inference_mode(False)
    def lend(self) -> None:
        """Parameters of its own on our memory: on a CPU it lays its weight out anew, and it changes a bias' dtype."""
        if self._lent:
            return
        layer, codes, state = self._layer, self._layer.packed.codes, _state(self._layer)
        codes = codes if layer.interleaved else codes.view(-1, 1)
        self.linear.weight = self._made(codes, quant_state=state, blocksize=state.blocksize, bnb_quantized=True)
        if layer.bias is not None:
            self.linear.bias = nn.Parameter(layer.bias.detach(), requires_grad=False)
        self._lent = True

    def take_back(self) -> None:
        if self._lent:
            self.linear.weight, self.linear.bias = self._made(torch.empty(0, dtype=torch.uint8), bnb_quantized=True), None
        self._lent = False


def version() -> str:
    """Which bitsandbytes it is."""
    return f"bitsandbytes {_bitsandbytes().__version__}"


def refusal(layers: Mapping[str, PackedLinear]) -> str:
    """Why bitsandbytes cannot run these layers, by name, or not with the same numbers; "" if it can."""
    if any(layer.form.type == "int8" for layer in layers.values()):
        return "int8 weights are not compared: only plain and 4-bit ones are"
    if layers and find_spec("bitsandbytes") is None:
        return "4-bit weights are compared by way of bitsandbytes, which is not installed"
    reasons = (_reason(layer, name) for name, layer in layers.items())
    return next((reason for reason in reasons if reason), "")


def _reason(layer: PackedLinear, name: str) -> str:
    packed = layer.packed
    assert isinstance(packed, Packed4 | Interleaved4)
    o, i = packed.shape
    if not torch.allclose(packed.values, packed.values.new_tensor(VALUES[layer.form.type]), atol=1e-6):
        return f"the codes of {name} stand for other values than those that bitsandbytes' kernels know"
    if packed.codes.device.type != "cpu":
        return ""
    if i % packed.block:  # its kernels there take it that a row begins with a block
        return f"bitsandbytes on a CPU needs whole blocks of {packed.block} in a row, and those of {name} have {i} weights"
    if o % 32 and getattr(_bitsandbytes().functional, "has_avx512bf16", bool)():
        return f"bitsandbytes on this CPU multiplies 32 rows at a time, and {name} has {o}"
    return ""


def _state(layer: PackedLinear) -> Any:
    """What bitsandbytes keeps beside the codes, made of our tensors."""
    made, packed, form = _bitsandbytes().functional.QuantState, layer.packed, layer.form
    shape, dtype = torch.Size(layer.shape), layer.compute_dtype or torch.bfloat16
    if isinstance(packed, Interleaved4):
        state = made(packed.scales, shape, packed.values, packed.block, form.type, torch.bfloat16)
        state.packing_format_for_cpu = True  # they lie as it would lay them out
        return state
    assert isinstance(packed, Packed4)
    if not isinstance(scales := packed.scales, Scales8):
        return made(scales, shape, packed.values, packed.block, form.type, dtype)
    nested = made(scales.absmax, code=scales.values, blocksize=scales.block, dtype=torch.float32)
    return made(scales.codes, shape, packed.values, packed.block, form.type, dtype, scales.mean, nested)


def _bitsandbytes() -> Any:
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it has much to say about kernels that are not needed here
    import bitsandbytes

    return bitsandbytes
