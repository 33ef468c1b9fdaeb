"""A checkpoint in plain weights becomes one in packed weights: read, packed and written tensor by tensor.

Memory holds the tensor that is being written and the one that is being packed, whatever the size of the model. The layout is
bitsandbytes', as transformers saves it; all that is not packed is copied, byte by byte.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from modeling.checkpoint import names, outfolder
from modeling.checkpoint.files import Checkpoint
from modeling.checkpoint.filling import out_of_memory, sites_of
from modeling.checkpoint.header import StoredTensor
from modeling.checkpoint.identity import of_weights
from modeling.checkpoint.load import blueprint, check_twins, choose_dtype
from modeling.checkpoint.placement import main_device
from modeling.checkpoint.quantized import STATE
from modeling.checkpoint.quantizer import layers_to_pack, linear_layers, pack, require_bitsandbytes, skip_list
from modeling.checkpoint.reader import TORCH_DTYPES, Reader
from modeling.checkpoint.shards import INDEX, SINGLE, inside, read_tensors
from modeling.checkpoint.tensorfile import Entry, content, header
from modeling.config import ModelConfig
from modeling.conversion import Change, Conversion, QuantizeRequest
from modeling.documents import read_object
from modeling.durable import replacing
from modeling.errors import InvalidRequest
from modeling.layers.linear import parts, tensors
from modeling.messages import Progress, ProgressSink
from modeling.quantization import NESTED_BLOCK, Form

_COMPANIONS = (
    "*.jinja",
    "*.model",
    "LICENSE*",
    "merges.txt",
    "vocab.txt",
    "vocab.json",
    "tokenizer*.json",
    "generation_config.json",
)
_MORE = ("special_tokens_map.json", "added_tokens.json", "preprocessor_config.json")
_NUMBER = 25  # characters of the longest number that JSON writes for a float


@dataclass(frozen=True, slots=True)
class _Item:
    """One tensor of the source, under its parameter's name, and what becomes of it: copied if there is no `form`."""

    name: str
    source: StoredTensor
    form: Form | None

    @property
    def entries(self) -> dict[str, Entry]:
        if self.form is None:
            return {self.name: Entry(self.source.dtype, self.source.shape)}
        layer = self.name.removesuffix(".weight")
        rows, columns = self.source.shape
        sizes = {name: part for name, part in parts((rows, columns), self.form).items() if name != "weight.nested_offset"}
        blanks = {f"{layer}.{name}": torch.empty(shape, dtype=dtype, device="meta") for name, (shape, dtype) in sizes.items()}
        found = {name: Entry.of(blank) for name, blank in blanks.items()}
        if self.form.type == "int8":
            return found | {f"{layer}.weight_format": Entry("U8", ())}
        text = _state(self.source, self.form, 0.0)
        return found | {f"{layer}{STATE}{self.form.type}": Entry("U8", (len(text),))}

    @property
    def nbytes(self) -> int:
        return sum(entry.nbytes for entry in self.entries.values())

    @property
    def change(self) -> Change:
        form = self.form.name if self.form else str(TORCH_DTYPES.get(self.source.dtype, self.source.dtype))
        weights = prod(self.source.shape)
        return Change(self.name, form.removeprefix("torch."), weights, self.source.nbytes, self.nbytes)


@dataclass(frozen=True, slots=True)
class Quantization:
    """A conversion that has been checked and can be carried out."""

    conversion: Conversion
    shards: Mapping[str, tuple[_Item, ...]]
    request: QuantizeRequest
    source: Path
    compute_dtype: str


def plan(checkpoint: Checkpoint, config: ModelConfig, request: QuantizeRequest) -> Quantization:
    """What `request` makes of a checkpoint, to the byte. Nothing is written, and hardly more than headers is read.

    Raises `InvalidRequest` for a quantized source and a pattern that names nothing, `BadModelFile` for weights that do not fit
    config.json.
    """
    if config.quantization is not None:
        raise InvalidRequest(
            f"{checkpoint.name} is quantized to {config.quantization.type} already; once more would only lose",
            "name the unquantized model",
        )
    stored = read_tensors(checkpoint.folder)
    out = Path(os.path.realpath(request.out.expanduser()))  # where a link leads, for the link stays one
    dtype = choose_dtype("auto", config, stored)
    model = blueprint(config, dtype)
    sites, tied = sites_of(model)
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters() if name in sites}
    account = names.settle(config.model_type, config.num_hidden_layers, shapes, tied, stored)
    check_twins(account.twins, Reader())
    chosen = layers_to_pack(model, request.skip, head=request.head)
    if not chosen:
        raise InvalidRequest("no layer is left to be quantized", "give fewer --skip-modules")
    packed = {f"{name}.weight" for name in chosen}
    items = [_Item(name, source, request.form if name in packed else None) for name, source in account.filled.items()]
    items.sort(key=lambda item: (item.source.file, item.source.offset))
    shards = _shards(items, request.shard_size)
    sizes = {name: sum(item.nbytes for item in shard) for name, shard in shards.items()}
    skip = tuple(skip_list(linear_layers(model), chosen))
    conversion = Conversion(out, tuple(item.change for item in items), sizes, skip)
    compute = choose_dtype(request.compute_dtype, config, stored)
    return Quantization(conversion, shards, request, checkpoint.folder, str(compute).removeprefix("torch."))


def carry_out(quantization: Quantization, progress: ProgressSink | None = None) -> None:
    """Write the checkpoint. Raises `DeviceUnavailable` without bitsandbytes or the device, `InvalidRequest` for an output that
    lies in the source or around it, `BadModelFile` for weights that cannot be read or are no numbers,
    `MemoryExceeded`, and as `outfolder.making`."""
    require_bitsandbytes()
    request, conversion = quantization.request, quantization.conversion
    _refuse_overlap(quantization)
    device = main_device(request.device)
    device = device if device.type == "cuda" else torch.device("cpu")
    report = progress or (lambda _: None)
    done, total = 0, conversion.before
    report(Progress("quantize", 0, total))

    def advance(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        report(Progress("quantize", done, total))

    size = sum(conversion.shards.values())
    with outfolder.making(conversion.out, _purpose(quantization), size, resume=request.resume, force=request.force) as folder:
        for name, items in quantization.shards.items():
            if folder.finished(name):
                advance(sum(item.source.nbytes for item in items))
            else:
                folder.record(name, _write_shard(folder.partial / name, items, device, advance))
        if len(quantization.shards) > 1:
            _write_index(folder.partial / INDEX, quantization.shards)
        for path in _companions(quantization.source):
            with replacing(folder.partial / path.name) as file:
                file.write(path.read_bytes())
        folder.take_the_name(_config(quantization))


def _refuse_overlap(quantization: Quantization) -> None:
    """An output within its source would change it, and one around it would replace it."""
    out, folder = quantization.conversion.out, quantization.source.resolve()
    if out == folder or folder in out.parents:
        raise InvalidRequest(f"{out} is or lies in the folder of the model itself", "choose another --output")
    if out in folder.parents:
        raise InvalidRequest(f"{out} has the model itself within it", "choose another --output")


def _shards(items: Iterable[_Item], most: int) -> dict[str, tuple[_Item, ...]]:
    """The files by name: tensors in order, until the next one would be too much for the file."""
    groups: list[list[_Item]] = []
    size = 0
    for item in items:
        if not groups or size + item.nbytes > most:
            groups.append([])
            size = 0
        groups[-1].append(item)
        size += item.nbytes
    if len(groups) == 1:
        return {SINGLE: tuple(groups[0])}
    return {f"model-{i:05}-of-{len(groups):05}.safetensors": tuple(group) for i, group in enumerate(groups, start=1)}


def _write_shard(path: Path, items: tuple[_Item, ...], device: torch.device, advance: Callable[[int], None]) -> str:
    """One file; returns its digest. The next tensor is packed while this one is written."""
    digest = outfolder.hasher()
    reader = Reader()

    def write(file: BinaryIO, piece: bytes | memoryview) -> None:
        file.write(piece)
        digest.update(piece)

    entries = {name: entry for item in items for name, entry in item.entries.items()}
    with replacing(path) as file, ThreadPoolExecutor(1, thread_name_prefix="quantize") as worker:
        write(file, header(entries, {"format": "pt"}))
        ahead = worker.submit(_packed, items[0], reader, device)
        for item, following in zip_longest(items, items[1:]):
            ready = ahead.result()
            if following is not None:
                ahead = worker.submit(_packed, following, reader, device)
            for piece in ready if item.form else _pieces(item, reader):
                write(file, piece)
            del ready
            advance(item.source.nbytes)
    return str(digest.hexdigest())


def _pieces(item: _Item, reader: Reader) -> Iterator[memoryview]:
    return reader.pieces(item.source)


def _packed(item: _Item, reader: Reader, device: torch.device) -> list[memoryview]:
    """The bytes of all tensors that an item becomes, in the order of its entries; none for one that is copied."""
    if item.form is None:
        return []
    with out_of_memory(str(device), "choose --device cpu"):
        whole: dict[str, Tensor] = tensors(pack(reader.own(item.source, device), item.form, item.name))
    offset = whole.pop("weight.nested_offset", torch.zeros(()))
    if item.form.type == "int8":
        whole["weight_format"] = torch.zeros((), dtype=torch.uint8)
    else:
        text = _state(item.source, item.form, offset.item())
        whole[f"{STATE[1:]}{item.form.type}"] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    layer = item.name.removesuffix(".weight")
    return [content(whole[name.removeprefix(f"{layer}.")].cpu()) for name in item.entries]


def _state(source: StoredTensor, form: Form, offset: float) -> bytes:
    """What bitsandbytes keeps as JSON; always of one length for a tensor, so that a header can be written before its data."""
    dtype = {"F64": "float32"}.get(source.dtype, str(TORCH_DTYPES.get(source.dtype)).removeprefix("torch."))
    fields: dict[str, Any] = {"quant_type": form.type, "blocksize": form.block, "dtype": dtype, "shape": list(source.shape)}
    if form.double:
        fields |= {"nested_blocksize": NESTED_BLOCK, "nested_dtype": "float32", "nested_offset": 0}
    size = len(json.dumps(fields)) + _NUMBER
    if form.double:
        fields["nested_offset"] = offset
    return json.dumps(fields).encode().ljust(size)


def _write_index(path: Path, shards: Mapping[str, tuple[_Item, ...]]) -> None:
    weight_map = {name: shard for shard, items in shards.items() for item in items for name in item.entries}
    total = sum(item.nbytes for items in shards.values() for item in items)
    with replacing(path) as file:
        file.write(json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}, indent=2).encode())


def _companions(source: Path) -> list[Path]:
    """The small files that make a checkpoint one to talk with: tokenizer, generation settings, template, licence."""
    found = {path.name for pattern in (*_COMPANIONS, *_MORE) for path in source.glob(pattern) if path.is_file()}
    return [inside(source, name) for name in sorted(found)]


def _config(quantization: Quantization) -> dict[str, Any]:
    """config.json of the source, and what transformers wants to know of the packing."""
    form, four = quantization.request.form, quantization.request.type != "int8"
    packing = {
        "quant_method": "bitsandbytes",
        "load_in_4bit": four,
        "load_in_8bit": not four,
        "llm_int8_skip_modules": list(quantization.conversion.skip),
        "llm_int8_threshold": 6.0,
        "llm_int8_has_fp16_weight": False,
        "llm_int8_enable_fp32_cpu_offload": False,
        "bnb_4bit_quant_type": form.type if four else "fp4",
        "bnb_4bit_use_double_quant": form.double,
        "bnb_4bit_compute_dtype": quantization.compute_dtype,
        "bnb_4bit_quant_storage": "uint8",
    }
    return read_object(quantization.source / "config.json") | {"quantization_config": packing}


def _purpose(quantization: Quantization) -> str:
    """What makes a finished file usable: the same source, packed and split in the same way."""
    request = quantization.request
    facts = {
        "source": of_weights(quantization.source),
        "form": [request.type, request.block, request.form.double, request.shard_size],
        "tensors": [[change.name, change.form, change.after] for change in quantization.conversion.changes],
    }
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
