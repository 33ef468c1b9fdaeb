"""From a plain weight to a packed one, by bitsandbytes (the one thing it is needed for), on the CPU or a GPU; and which
weights it is done to."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from modeling.errors import BadModelFile, DeviceUnavailable, InvalidRequest
from modeling.kernels.packed import Packed4, Packed8, Scales8
from modeling.layers.linear import Linear
from modeling.quantization import Form

HEAD = "lm_head"
KEPT = ("x_proj", "dt_proj")
"""Linear layers that stay plain: FalconMamba's two small ones around the time step. benchmarks/quality.md has what each of
them costs and saves."""

_PIECES = {
    "cpu": 2**18,
    "cuda": 2**26,
}  # weights at a time: a cache full, or a GPU's; bitsandbytes' own memory is 16 times that


def require_bitsandbytes() -> None:
    """Raises `DeviceUnavailable` without bitsandbytes: packing needs it, and running what is packed does not."""
    if find_spec("bitsandbytes") is None:
        raise DeviceUnavailable("quantizing needs the package bitsandbytes", "pip install 'falcon-cli[quant]'")


def layers_to_pack(model: nn.Module, skip: Iterable[str] = (), *, head: bool = False) -> list[str]:
    """The names of the linear layers that are packed: all but the head and `KEPT`, and those that a pattern of `skip` names.

    A pattern is a layer's name or its end, in whole parts, with * and ? as in a shell: "out_proj", "layers.0.*".

    Raises `InvalidRequest` for a pattern that names none, and for a `head` that is the embedding.
    """
    names = linear_layers(model)
    for pattern in skip:
        if not any(_named(name, pattern) for name in names):
            last = sorted({name.rpartition(".")[2] for name in names})
            raise InvalidRequest(f"no linear layer is named {pattern!r}", f"there are {', '.join(last)}")
    if head and model.config.tie_word_embeddings:  # type: ignore[union-attr]
        raise InvalidRequest("the head of this model is its embedding, which stays as it is", "leave out --quantize-head")
    kept = {*KEPT, *(() if head else (HEAD,))}
    return [
        name for name in names if name.rpartition(".")[2] not in kept and not any(_named(name, pattern) for pattern in skip)
    ]


def linear_layers(model: nn.Module) -> list[str]:
    """The names of all linear layers."""
    return [name for name, module in model.named_modules() if isinstance(module, Linear)]


def skip_list(names: Iterable[str], packed: Iterable[str]) -> list[str]:
    """Those of `names` that are not in `packed`, as transformers takes them: the last part of a name where all with that end
    are kept, else whole names."""
    packed = set(packed)
    found: dict[str, None] = {}
    for name in names:
        if name not in packed:
            last = name.rpartition(".")[2]
            found[last if not any(other.endswith(last) for other in packed) else name] = None
    return list(found)


def _named(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"*.{pattern}")


@torch.no_grad()
def pack(weight: Tensor, form: Form, name: str = "a weight") -> Packed4 | Packed8:
    """weight (out, in), of any floating dtype, on the CPU or a GPU → the same numbers in `form`, there.

    What bitsandbytes gives for the whole weight, in pieces: blocks and rows know nothing of each other. int8 goes by way of
    float16, as it does there.

    Raises `BadModelFile` for infinities, NaN, and what float16 does not hold: all of a block or a row would be lost with them,
    and in silence.
    """
    if weight.dtype == torch.float64:
        weight = weight.float()
    least, most = (float(bound) for bound in weight.aminmax())
    limit = torch.finfo(torch.float16 if form.type == "int8" else torch.float32).max
    if not -limit <= least <= most <= limit:  # so NaN, too, which is both bounds then
        what = f"{name} has values from {least:.3g} to {most:.3g}, which {form.type} cannot stand for"
        raise BadModelFile(what, "download the model again, or leave the layer plain with falcon quantize --skip-modules")
    functional = _functional()
    o, i = weight.shape
    size = _PIECES[weight.device.type]
    if form.type == "int8":
        rows = max(1, size // i)
        whole = Packed8(_room(weight, (o, i), torch.int8), _room(weight, (o,), torch.float32))
        for start in range(0, o, rows):
            codes, scales, *_ = functional.int8_vectorwise_quant(weight[start : start + rows].contiguous().half())
            whole.codes[start : start + rows] = codes
            whole.scales[start : start + rows] = scales
        return whole
    flat = weight.contiguous().view(-1)
    absmax = _room(weight, (-(-o * i // form.block),), torch.float32)
    packed = _room(weight, (-(-o * i // 2),), torch.uint8)
    for start in range(0, o * i, size):
        codes, state = functional.quantize_4bit(flat[start : start + size], blocksize=form.block, quant_type=form.type)
        packed[start // 2 : start // 2 + codes.numel()] = codes.view(-1)
        absmax[start // form.block : start // form.block + state.absmax.numel()] = state.absmax
    return Packed4(packed, _nested(absmax, form) if form.double else absmax, state.code, (o, i), form.block)


def _room(like: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Memory for the whole result: joining pieces would want it twice."""
    return torch.empty(shape, dtype=dtype, device=like.device)


def _nested(absmax: Tensor, form: Form) -> Scales8:
    """Double quantization: the scales, less their mean, as 8-bit numbers."""
    mean = absmax.mean()
    codes, state = _functional().quantize_blockwise(absmax - mean, blocksize=form.nested_block)
    return Scales8(codes, state.code, state.absmax, mean, form.nested_block)


def _functional() -> Any:
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it has much to say about kernels that are not needed here
    from bitsandbytes import functional

    return functional
