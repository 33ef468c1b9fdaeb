"""A checkpoint becomes a model: shapes on `meta` → account of names → plan → tensors streamed to where they live."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from modeling.checkpoint import memory, names, offload, placement
from modeling.checkpoint.files import Checkpoint
from modeling.checkpoint.header import StoredTensor
from modeling.checkpoint.memory import Need
from modeling.checkpoint.offload import Visitor
from modeling.checkpoint.placement import Plan
from modeling.checkpoint.reader import TORCH_DTYPES, Reader
from modeling.checkpoint.shards import read_tensors
from modeling.config import ModelConfig
from modeling.errors import BadModelFile, InvalidRequest, MemoryExceeded, UnsupportedConfig
from modeling.messages import ModelSpec, Progress, ProgressSink
from modeling.models import LanguageModel, build

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
_CONTEXT = 4096  # tokens of keys and values a sequence, at the least, for a load to make sense (FalconMamba keeps none)
_READERS = 4  # threads: a single one does not fill an NVMe disk or a page cache's bandwidth

Sites = dict[str, list[tuple[nn.Module, str]]]
"""Parameter name → all places (module, attribute) that share it."""


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

    All parameters have one dtype. Peak host memory is the weights that stay there and 16 MiB for each of four threads.
    Room is left on the device for the state of `slots` sequences. Sets `model.placement`, the `Plan` that was carried out.
    `meanwhile` is called, with the device that the model runs on, while other threads read weights; its errors end the load.

    Raises `BadModelFile`, `UnsupportedConfig`, `InvalidRequest`, `DeviceUnavailable` or `MemoryExceeded`: before any weights
    are read, unless the disk or an allocation fails.
    """
    refuse_quantized(config.quantization)
    stored = read_tensors(checkpoint.folder)
    dtype = choose_dtype(spec.dtype, config, stored)
    model = blueprint(config, dtype)
    sites, tied = _sites(model)
    shapes = {name: tuple(model.get_parameter(name).shape) for name in sites}
    account = names.settle(config.model_type, config.num_hidden_layers, shapes, tied, stored)
    reader = Reader()
    _check_twins(account.twins, reader)
    need = estimate(model, config, placement.prefill_chunk(spec), slots)
    plan = placement.plan(model, model.block_class, spec, need)
    with torch.inference_mode(False):  # whatever mode the caller is in, weights are tensors like any other
        _fill(model, sites, plan, account.filled, dtype, reader, progress, partial(meanwhile, plan.main) if meanwhile else None)
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


def refuse_quantized(quantization: Any) -> None:
    """Raise `UnsupportedConfig` if config.json says that the weights are quantized."""
    if not quantization:
        return
    method = quantization.get("quant_method") if isinstance(quantization, Mapping) else None
    if method == "bitsandbytes" or (method is None and isinstance(quantization, Mapping) and "load_in_4bit" in quantization):
        raise UnsupportedConfig(
            "the weights are quantized with bitsandbytes, which falcon will read in a later version",
            "use the unquantized model for now",
        )
    raise UnsupportedConfig(
        f"the weights are quantized with {method!r}, which falcon does not read", "use the unquantized model"
    )


def choose_dtype(asked: str, config: ModelConfig, stored: Mapping[str, StoredTensor]) -> torch.dtype:
    """The dtype to run in: what was `asked`; for "auto" what config.json says, else what most stored elements have.

    Raises `InvalidRequest` for float16 with Falcon-H1, and for "auto" where the checkpoint's dtype is none to run in.
    """
    name = asked
    if asked == "auto":
        name = config.dtype if config.dtype in _DTYPES else _commonest(stored.values())
    if name not in _DTYPES:
        raise InvalidRequest(f"the checkpoint is stored as {name}", f"choose --dtype {', '.join(_DTYPES)}")
    if name == "float16" and config.model_type == "falcon_h1":
        raise InvalidRequest(
            "Falcon-H1 overflows in float16: its activations leave the type's range, and the answers come out empty or broken",
            "use --dtype bfloat16, or float32",
        )
    return _DTYPES[name]


def _commonest(tensors: Iterable[StoredTensor]) -> str:
    """The dtype, by torch's name, that most bytes of the checkpoint have."""
    counts: Counter[str] = Counter()
    for tensor in tensors:
        counts[tensor.dtype] += tensor.nbytes
    (commonest, _), *_ = counts.most_common(1) or [("none", 0)]
    return str(TORCH_DTYPES.get(commonest, commonest)).removeprefix("torch.")


def estimate(model: LanguageModel, config: ModelConfig, tokens: int, slots: int) -> Need:
    """What `model` (on meta) needs while it runs `slots` sequences, fed `tokens` tokens at a time."""
    parameters = list(model.parameters())
    widest = max(size for parameter in model.blocks[0].parameters() for size in parameter.shape)
    return memory.estimate(
        sum(parameter.numel() for parameter in parameters),
        parameters[0].itemsize,
        widest,
        config.vocab_size,
        tokens,
        slots * model.state_bytes(_CONTEXT),
    )


def _sites(model: nn.Module) -> tuple[Sites, dict[str, str]]:
    """Where each parameter is used, and the further names of shared ones → the first."""
    sites: Sites = {}
    tied: dict[str, str] = {}
    first: dict[int, str] = {}
    for prefix, module in model.named_modules():
        for attribute, parameter in module.named_parameters(recurse=False):
            name = f"{prefix}.{attribute}" if prefix else attribute
            canonical = first.setdefault(id(parameter), name)
            sites.setdefault(canonical, []).append((module, attribute))
            if canonical != name:
                tied[name] = canonical
    for name, buffer in model.named_buffers():
        if buffer.is_meta:  # computed in the constructor, and so lost on meta
            raise NotImplementedError(f"buffer {name} has no values after a build on meta")
    return sites, tied


def _check_twins(twins: Iterable[tuple[StoredTensor, StoredTensor]], reader: Reader) -> None:
    for one, other in twins:
        if not reader.equal(one, other):
            raise BadModelFile(
                f"config.json ties the embedding and the head, but {one.file.parent} holds two different tensors for them",
                "if the head is its own, say tie_word_embeddings: false in config.json",
            )


def _fill(
    model: LanguageModel,
    sites: Sites,
    plan: Plan,
    filled: Mapping[str, StoredTensor],
    dtype: torch.dtype,
    reader: Reader,
    progress: ProgressSink | None,
    meanwhile: Callable[[], None] | None,
) -> None:
    """Allocate what stays in memory, stream it in, and attach the visits of what does not."""
    parts = placement.parts(model, model.block_class)
    owner = {id(module): name for name, part in parts.items() for module in part.modules()}
    home = {name: owner[id(places[0][0])] for name, places in sites.items()}  # parts that share a parameter have one home
    pieces, waiting = _pack(home, plan, filled, dtype)
    staying = [(tensor, filled[name]) for name, tensor in waiting.items()]
    visitors: dict[str, list[Visitor]] = {name: [] for name in parts}
    for name, places in sites.items():
        if plan.offloaded(home[name]):
            source = waiting.get(name, filled[name])
            for module, attribute in places:
                visitors[owner[id(module)]].append(Visitor(module._parameters, attribute, source))
        else:
            tensor = _allocate(filled[name].shape, dtype, plan.execution_device(home[name]))
            staying.append((tensor, filled[name]))
            parameter = nn.Parameter(tensor, requires_grad=False)
            for module, attribute in places:
                module._parameters[attribute] = parameter
    _stream(staying, reader, progress, meanwhile)
    if plan.main.type == "cuda":
        for piece in pieces:
            offload.lock_pages(piece)
    if not plan.resident:
        for name, part in parts.items():
            offload.attach(part, plan.execution_device(name), dtype, visitors[name], reader)


def _pack(
    home: Mapping[str, str], plan: Plan, filled: Mapping[str, StoredTensor], dtype: torch.dtype
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Room for the parameters that wait in host memory: one piece for each part, and each parameter's place in it."""
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, part in home.items():
        if plan.offloaded(part) and plan.homes[part] != "disk":
            shapes.setdefault(part, {})[name] = filled[name].shape
    with _out_of_memory("the host"):
        packed = [offload.pack(of_part, dtype) for of_part in shapes.values()]
    return [piece for piece, _ in packed], {name: tensor for _, tensors in packed for name, tensor in tensors.items()}


def _allocate(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with _out_of_memory(str(device)):
        return torch.empty(shape, dtype=dtype, device=device)


@contextmanager
def _out_of_memory(where: str) -> Iterator[None]:
    """An allocation that fails although there seemed to be room."""
    try:
        yield
    except (RuntimeError, MemoryError):  # torch.OutOfMemoryError is a RuntimeError
        raise MemoryExceeded(
            f"{where} ran out of memory while the weights were loaded",
            "something else took what was free before: try again, or add --device-map auto",
        ) from None


def _stream(
    staying: list[tuple[Tensor, StoredTensor]],
    reader: Reader,
    progress: ProgressSink | None,
    meanwhile: Callable[[], None] | None,
) -> None:
    """Read all tensors into place, in the order of the files, and report bytes."""
    total = sum(stored.nbytes for _, stored in staying)
    report = progress or (lambda _: None)
    report(Progress("load", 0, total))
    staying = sorted(staying, key=lambda pair: (pair[1].file, pair[1].offset))
    done = 0
    for nbytes in _read_all(staying, reader, meanwhile):
        done += nbytes
        report(Progress("load", done, total))


def _read_all(
    staying: list[tuple[Tensor, StoredTensor]], reader: Reader, meanwhile: Callable[[], None] | None
) -> Iterator[int]:
    """Bytes of each tensor as it is read. The first failure, or an interrupt, ends all readers."""
    with ThreadPoolExecutor(min(_READERS, os.cpu_count() or 1), thread_name_prefix="load") as pool:
        sizes = {pool.submit(reader.into, target, stored): stored.nbytes for target, stored in staying}
        try:
            if meanwhile is not None:
                meanwhile()
            for future in as_completed(sizes):
                future.result()
                yield sizes[future]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
