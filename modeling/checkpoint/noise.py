"""A model of a real shape with random weights: to measure speed and memory by, not to talk with.

The weights are drawn on the device itself, in the dtype that they will have, so that no file of 14 GB is needed. They are
scaled as a training run would begin: every product keeps the size of its input, states forget at the usual rates, and
activations stay finite through any number of layers.
"""

from __future__ import annotations

from math import log, prod, sqrt

import torch
from torch import Tensor, nn

from modeling.checkpoint import placement
from modeling.checkpoint.load import blueprint, choose_dtype, estimate
from modeling.checkpoint.quantized import replace
from modeling.checkpoint.quantizer import layers_to_pack
from modeling.config import ModelConfig
from modeling.errors import InvalidRequest, MemoryExceeded
from modeling.layers.linear import Linear, PackedLinear, interleave
from modeling.messages import ModelSpec
from modeling.models import LanguageModel
from modeling.quantization import VALUES, Form

_QUICKEST, _SLOWEST = 0.1, 0.001  # time steps that a state begins with (Gu & Dao 2023, §3.6)


def random_model(config: ModelConfig, spec: ModelSpec, *, slots: int = 1, seed: int = 0) -> LanguageModel:
    """The model that `config` describes, wholly on one device, as `load` would give it; the same for the same `seed`, device
    and dtype. `spec.dtype` "auto" is bfloat16 where the config names none.

    Raises `InvalidRequest` for a device map, else as `load` does.
    """
    if spec.device_map is not None:
        raise InvalidRequest("random weights are made on one device, so --device-map has no place", "leave it out")
    dtype = choose_dtype("bfloat16" if spec.dtype == "auto" and config.dtype is None else spec.dtype, config, {})
    model = blueprint(config, dtype)
    if spec.quantize != "none":
        form = Form(spec.quantize, double=spec.double_quant and spec.quantize != "int8")
        for name in layers_to_pack(model):
            replace(model, name, form, None)
    need = estimate(model, config, placement.prefill_chunk(spec), slots)
    plan = placement.plan(model, model.block_class, spec, need)
    try:
        _fill(model, plan.main, seed)
    except torch.OutOfMemoryError:
        raise MemoryExceeded(f"{plan.main} ran out of memory while the weights were made", "choose a smaller model") from None
    interleave(model, dtype)
    model.placement = plan  # type: ignore[assignment]
    return model.requires_grad_(False).eval()


@torch.no_grad()
@torch.inference_mode(False)
def _fill(model: nn.Module, device: torch.device, seed: int) -> None:
    """Give every parameter of a model on `meta` its memory and its numbers; shared ones stay shared."""
    generator = torch.Generator(device).manual_seed(seed)
    blanks = [(module, *entry) for module in model.modules() for entry in module.named_parameters(recurse=False)]
    made: dict[int, nn.Parameter] = {}
    for module, attribute, blank in blanks:
        if id(blank) not in made:
            weight = torch.empty(blank.shape, dtype=blank.dtype, device=device)
            made[id(blank)] = nn.Parameter(weight, requires_grad=False)
            if isinstance(module, PackedLinear) and attribute != "bias":
                _draw_part(module, attribute, weight, generator)
            else:
                _draw(module, attribute, weight, generator)
        module._parameters[attribute] = made[id(blank)]
    for mixer in model.modules():  # its bias is the time step's, not that of a product
        if isinstance(projection := getattr(mixer, "dt_proj", None), Linear | PackedLinear) and projection.bias is not None:
            _draw(mixer, "dt_bias", projection.bias, generator)


def _draw(module: nn.Module, attribute: str, weight: Tensor, generator: torch.Generator) -> None:
    """The numbers of one parameter."""
    if attribute == "A_log":  # each channel has states, each layer heads, of all speeds
        weight.copy_(torch.arange(1, weight.shape[-1] + 1, device=weight.device).log().expand_as(weight))
    elif attribute == "dt_bias":
        dt = torch.empty(weight.shape, device=weight.device).uniform_(log(_SLOWEST), log(_QUICKEST), generator=generator).exp()
        weight.copy_(dt + (-torch.expm1(-dt)).log())  # softplus of it is dt
    elif weight.dim() > 1:
        weight.normal_(0.0, 1.0 / sqrt(prod(weight.shape[1:])), generator=generator)
    else:  # D and the weights of norms; biases
        weight.fill_(0.0 if attribute == "bias" else 1.0)


def _draw_part(layer: PackedLinear, part: str, values: Tensor, generator: torch.Generator) -> None:
    """The numbers of one part of a packed weight: all codes alike, and scales that give the product the size of its input."""
    if values.dtype in (torch.uint8, torch.int8):
        bounds = torch.iinfo(values.dtype)
        values.random_(max(bounds.min, -127), bounds.max + 1, generator=generator)
    elif part == "weight.quant_map":
        values.copy_(torch.tensor(VALUES[layer.form.type]))
    elif part == "weight.nested_quant_map":
        values.copy_(torch.linspace(-1.0, 1.0, values.numel(), device=values.device))
    else:  # of −127 … 127 over 127 the square is 1/3 in the mean; double quantization varies the scales around their mean
        squares = [value**2 for value in VALUES.get(layer.form.type, ())]
        size = 1 / sqrt(layer.shape[1] * (sum(squares) / 16 or 1 / 3))
        values.fill_(size / 2 if part == "weight.nested_absmax" else size)
