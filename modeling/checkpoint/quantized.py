"""Packed weights in a checkpoint's files: bitsandbytes' layout, read without bitsandbytes.

Beside the codes under the weight's own name lie, for 4 bits, `.absmax`, `.quant_map`, with double quantization
`.nested_absmax` and `.nested_quant_map`, and a small JSON text in a tensor of bytes, `.quant_state.bitsandbytes__nf4` or
`…fp4`. For int8 it is the rows' scales in `SCB`, and often a `weight_format`, which is 0 (rows as they are).

Which weights are packed is what the files say, not what config.json says of modules that were skipped: there is no rule to
guess by. Only linear layers may be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from modeling.checkpoint.header import StoredTensor, parse_json, short
from modeling.checkpoint.reader import Reader
from modeling.errors import BadModelFile
from modeling.fields import LARGEST
from modeling.layers.linear import Linear, PackedLinear
from modeling.quantization import BLOCKS, NESTED_BLOCK, Form, QuantConfig

STATE = ".weight.quant_state.bitsandbytes__"
_MOST_TEXT = 4096  # bytes of the JSON text; bitsandbytes writes fewer than 200
_AGAIN = "download the model again"

Stored = Mapping[str, StoredTensor]


def adopt(
    model: nn.Module, stored: Stored, config: QuantConfig, reader: Reader, compute_dtype: torch.dtype | None
) -> tuple[dict[str, StoredTensor], dict[str, Tensor]]:
    """Make the layers of `model` (on meta) packed that are so in the files.

    Returns the tensors that the parameters are to be filled with, and the parameters whose values are known already because
    the files have them as text. Raises `BadModelFile` for what does not fit.
    """
    rest = dict(stored)
    known: dict[str, Tensor] = {}
    forms = _int8(rest, reader) if config.type == "int8" else _four_bits(rest, known, reader, config)
    if not forms:
        _bad(stored, f"config.json says that weights are quantized to {config.type}, but none is")
    for name, (shape, form) in forms.items():
        layer = _layer(model, name)
        if not isinstance(layer, Linear):
            _bad(stored, f"{short(f'{name}.weight')} is quantized, and it is no linear layer of this model")
        own = (layer.out_features, layer.in_features)
        if shape != own:
            _bad(stored, f"{short(f'{name}.weight')} is {list(shape)} packed, and {list(own)} by config.json")
        replace(model, name, form, compute_dtype)
    return rest, known


def replace(model: nn.Module, name: str, form: Form, compute_dtype: torch.dtype | None) -> PackedLinear:
    """Put a packed layer of `form` (on meta) in the place of the plain one."""
    plain = model.get_submodule(name)
    assert isinstance(plain, Linear)
    with torch.device("meta"):
        layer = PackedLinear((plain.out_features, plain.in_features), form, plain.bias, compute_dtype)
    model.set_submodule(name, layer)
    return layer


def _layer(model: nn.Module, name: str) -> nn.Module | None:
    try:
        return model.get_submodule(name)
    except AttributeError:
        return None


def _int8(rest: dict[str, StoredTensor], reader: Reader) -> dict[str, tuple[tuple[int, ...], Form]]:
    forms = {}
    for scales in [name for name in rest if name.endswith(".SCB")]:
        name = scales.removesuffix(".SCB")
        weight = rest.get(f"{name}.weight")
        if weight is None or weight.dtype != "I8":
            _bad(rest, f"{short(scales)} belongs to no weight in int8")
        forms[name] = (weight.shape, Form("int8"))
        layout = rest.pop(f"{name}.weight_format", None)
        if layout is not None:
            if layout.nbytes != 1:
                _bad(rest, f"{short(f'{name}.weight_format')} is not one byte")
            if int(reader.exact(layout, torch.uint8)):
                _bad(rest, f"{short(f'{name}.weight')} is laid out for the matrix units of a GPU, not in rows")
    return forms


def _four_bits(
    rest: dict[str, StoredTensor], known: dict[str, Tensor], reader: Reader, config: QuantConfig
) -> dict[str, tuple[tuple[int, ...], Form]]:
    forms = {}
    for text in [name for name in rest if STATE in name]:
        name, _, kind = text.partition(STATE)
        if kind != config.type:
            _bad(rest, f"{short(text)} is {short(kind)}, and config.json says {config.type}")
        fields = _fields(text, rest.pop(text), reader)
        shape, form, offset = _form(text, rest, fields, config)
        forms[name] = (shape, form)
        if offset is not None:
            known[f"{name}.weight.nested_offset"] = torch.tensor(offset, dtype=torch.float32)
    return forms


def _fields(text: str, stored: StoredTensor, reader: Reader) -> dict[str, Any]:
    if stored.dtype != "U8" or stored.nbytes > _MOST_TEXT:
        _bad({text: stored}, f"{short(text)} is no text of at most {_MOST_TEXT:,} bytes")
    fields = parse_json(stored.file, bytes(reader.exact(stored, torch.uint8).tolist()))
    if not isinstance(fields, dict):
        _bad({text: stored}, f"{short(text)} is no JSON object")
    return fields


def _form(text: str, stored: Stored, fields: dict[str, Any], config: QuantConfig) -> tuple[tuple[int, ...], Form, float | None]:
    """The shape, the form and the scales' mean that the text tells. Every field counts: a wrong one is a wrong number."""
    nested = {"nested_offset", "nested_blocksize", "nested_dtype"}
    double = bool(fields.keys() & nested)
    known = {"quant_type", "blocksize", "dtype", "shape"} | (nested if double else set())
    if fields.keys() != known:
        _bad(stored, f"{short(text)} says {', '.join(sorted(map(short, fields)))}, not {', '.join(sorted(known))}")
    block, nested_block = fields["blocksize"], fields.get("nested_blocksize", NESTED_BLOCK)
    shape, offset = fields["shape"], fields.get("nested_offset", 0.0)
    right = {
        "quant_type": fields["quant_type"] == config.type,
        "blocksize": type(block) is int and block in BLOCKS,
        "dtype": fields["dtype"] in ("bfloat16", "float16", "float32"),
        "shape": isinstance(shape, list) and len(shape) == 2 and all(type(size) is int and size > 0 for size in shape),
        "nested_blocksize": type(nested_block) is int and nested_block in (*BLOCKS, NESTED_BLOCK),
        "nested_dtype": fields.get("nested_dtype", "float32") == "float32",
        "nested_offset": type(offset) in (int, float) and abs(offset) < LARGEST,
    }
    for name, holds in right.items():
        if not holds:
            _bad(stored, f"{short(text)}: {name} is {short(json.dumps(fields[name]))}, which falcon does not know")
    return tuple(shape), Form(config.type, block, double, nested_block), float(offset) if double else None


def _bad(stored: Stored, what: str) -> NoReturn:
    folder = next(iter(stored.values())).file.parent
    raise BadModelFile(f"{folder}: {what}", _AGAIN)
