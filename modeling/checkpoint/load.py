"""A checkpoint becomes a model: shapes on `meta` → account of names → plan → tensors streamed to where they live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from modeling.checkpoint import memory, names, placement, quantized
from modeling.checkpoint.files import Checkpoint
from modeling.checkpoint.filling import Packing, Source, fill, sites_of
from modeling.checkpoint.header import StoredTensor
from modeling.checkpoint.memory import Need
from modeling.checkpoint.quantizer import layers_to_pack, require_bitsandbytes
from modeling.checkpoint.reader import TORCH_DTYPES, Reader
from modeling.checkpoint.shards import read_tensors
from modeling.config import ModelConfig
from modeling.errors import BadModelFile, InvalidRequest
from modeling.layers.linear import PackedLinear, interleave, parts
from modeling.messages import ModelSpec, ProgressSink
from modeling.models import LanguageModel, build
from modeling.quantization import Form

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
_CONTEXT = 4096  # tokens of keys and values a sequence, at the least, for a load to make sense (FalconMamba keeps none)


def load(
    checkpoint: Checkpoint,
    config: ModelConfig,
    spec: ModelSpec,
    progress: ProgressSink | None = None,
    *,
    slots: int = 1,
    meanwhile: Callable[[torch.device], None] | None = None,
) -> LanguageModel:
    """The model that `config` describes, with the weights of `checkpoint`, placed as `spec` asks; ready for inference.

    All plain parameters have one dtype. Weights that the files hold packed stay so; plain ones are packed while they are read
    if `spec.quantize` asks for it, one by one, so that the plain model is never in memory. Peak host memory is the weights that
    stay there, and for each of four threads 16 MiB or, where weights are packed, the one that it is at.
    Room is left on the device for the state of `slots` sequences. Sets `model.placement`, the `Plan` that was carried out.
    `meanwhile` is called, with the device that the model runs on, while other threads read weights; its errors end the load.

    Raises `BadModelFile`, `UnsupportedConfig`, `InvalidRequest`, `DeviceUnavailable` or `MemoryExceeded`: before any weights
    are read, unless the disk or an allocation fails.
    """
    stored = read_tensors(checkpoint.folder)
    form = wanted(spec, config)
    dtype = choose_dtype(spec.dtype, config, stored)
    compute_dtype = None
    if spec.compute_dtype != "auto" and (form or config.quantization):
        compute_dtype = choose_dtype(spec.compute_dtype, config, stored)
    reader = Reader()
    known: dict[str, Tensor] = {}
    model = blueprint(config, dtype)
    if config.quantization is not None:
        stored, known = quantized.adopt(model, stored, config.quantization, reader, compute_dtype)
    sites, tied = sites_of(model)
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters() if name not in known}
    account = names.settle(config.model_type, config.num_hidden_layers, shapes, tied, stored)
    check_twins(account.twins, reader)
    sources: dict[str, Source] = {**account.filled, **known}
    if form is not None:
        for name in layers_to_pack(model):
            packing = Packing(name, quantized.replace(model, name, form, compute_dtype), account.filled[f"{name}.weight"])
            sources |= {f"{name}.{part}": packing for part in parts(packing.layer.shape, form)}
        sites, _ = sites_of(model)
    need = estimate(model, config, placement.prefill_chunk(spec), slots)
    plan = placement.plan(model, model.block_class, spec, need)
    with torch.inference_mode(False):  # whatever mode the caller is in, weights are tensors like any other
        fill(model, sites, plan, sources, reader, progress, partial(meanwhile, plan.main) if meanwhile else None)
    if plan.resident:
        interleave(model, dtype)
    model.placement = plan  # type: ignore[assignment]
    return model.requires_grad_(False).eval()


def blueprint(config: ModelConfig, dtype: torch.dtype) -> LanguageModel:
    """The model on `meta`: names, shapes and dtypes, and no memory. For arithmetic before a load, such as its state's size."""
    with torch.device("meta"), _Uninitialised():
        return build(config).to(dtype)


class _Uninitialised(TorchFunctionMode):
    """Skips `torch.nn.init`: random numbers mean nothing on meta, and the first of them imports torch._dynamo, for 2 s."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return kwargs.get("tensor", *args[:1])
        return func(*args, **kwargs)


def choose_dtype(asked: str, config: ModelConfig, stored: Mapping[str, StoredTensor]) -> torch.dtype:
    """The dtype to run in: what was `asked`; for "auto" what config.json says, else what most stored elements have.

    Raises `InvalidRequest` for float16 with Falcon-H1, and for "auto" where the checkpoint's dtype is none to run in.
    """
    name = asked
    if asked == "auto":
        name = config.dtype if config.dtype in _DTYPES else _commonest(stored)
        if config.quantization is not None and name == "float32":  # as some say who mean the products of packed weights
            name = _commonest(stored)
    if name not in _DTYPES:
        raise InvalidRequest(f"the checkpoint is stored as {name}", f"choose --dtype {', '.join(_DTYPES)}")
    if name == "float16" and config.model_type == "falcon_h1":
        raise InvalidRequest(
            "Falcon-H1 overflows in float16: its activations leave the type's range, and the answers come out empty or broken",
            "use bfloat16, or float32",
        )
    return _DTYPES[name]


def _commonest(stored: Mapping[str, StoredTensor]) -> str:
    """The dtype, by torch's name, that most bytes of the checkpoint's plain weights have."""
    counts: Counter[str] = Counter()
    for name, tensor in stored.items():
        if tensor.dtype not in ("U8", "I8") and ".weight." not in name and not name.endswith(".SCB"):
            counts[tensor.dtype] += tensor.nbytes
    (commonest, _), *_ = counts.most_common(1) or [("none", 0)]
    return str(TORCH_DTYPES.get(commonest, commonest)).removeprefix("torch.")


def wanted(spec: ModelSpec, config: ModelConfig) -> Form | None:
    """The form that the weights are to be packed in while they are loaded; None: they stay as they are.

    Raises `InvalidRequest` for weights that are quantized otherwise, `DeviceUnavailable` without bitsandbytes.
    """
    if spec.quantize == "none" or (config.quantization is not None and config.quantization.type == spec.quantize):
        return None
    if config.quantization is not None:
        raise InvalidRequest(
            f"the weights are quantized to {config.quantization.type} already; --quantize {spec.quantize} would quantize twice",
            "leave out --quantize, or use the unquantized model",
        )
    require_bitsandbytes()
    return Form(spec.quantize, double=spec.double_quant and spec.quantize != "int8")


def estimate(model: LanguageModel, config: ModelConfig, tokens: int, slots: int) -> Need:
    """What `model` (on meta) needs while it runs `slots` sequences, fed `tokens` tokens at a time."""
    packed = [module for module in model.modules() if isinstance(module, PackedLinear)]
    own = {id(parameter) for layer in packed for parameter in layer.parameters()}
    sizes = [size for weight in model.blocks[0].parameters() if id(weight) not in own for size in weight.shape]
    return memory.estimate(
        sum(parameter.nbytes for parameter in model.parameters()),
        max(*sizes, *(size for layer in packed for size in layer.shape)),
        config.vocab_size,
        tokens,
        slots * model.state_bytes(_CONTEXT),
        max((prod(layer.shape) * (layer.compute_dtype or model.dtype).itemsize for layer in packed), default=0),
    )


def check_twins(twins: Iterable[tuple[StoredTensor, StoredTensor]], reader: Reader) -> None:
    """Raises `BadModelFile` if two tensors for one parameter differ."""
    for one, other in twins:
        if not reader.equal(one, other):
            raise BadModelFile(
                f"config.json ties the embedding and the head, but {one.file.parent} holds two different tensors for them",
                "if the head is its own, say tie_word_embeddings: false in config.json",
            )
