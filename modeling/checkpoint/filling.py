"""A model on `meta` gets its weights: room for each where it will live, and a source that fills it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from modeling.checkpoint import offload, placement, quantizer
from modeling.checkpoint.header import StoredTensor
from modeling.checkpoint.offload import Visitor
from modeling.checkpoint.placement import Plan
from modeling.checkpoint.reader import Reader
from modeling.errors import InvalidRequest, MemoryExceeded
from modeling.layers.linear import PackedLinear, tensors
from modeling.messages import Progress, ProgressSink
from modeling.models import LanguageModel

_READERS = 4  # threads: a single one does not fill an NVMe disk or a page cache's bandwidth

Sites = dict[str, list[tuple[nn.Module, str]]]
"""Parameter name → all places (module, attribute) that share it."""


@dataclass(frozen=True, slots=True, eq=False)
class Packing:
    """The parts of one packed layer come from its plain weight, which is read, packed and forgotten."""

    name: str
    layer: PackedLinear
    plain: StoredTensor


Source = StoredTensor | Tensor | Packing
"""What fills a parameter: bytes in a file, values that are known already, or a weight to be packed."""


@dataclass(frozen=True, slots=True)
class _Task:
    """One read of the load: `stored` tells where it is in the files, and how large."""

    stored: StoredTensor
    run: Callable[[], None]


def sites_of(model: nn.Module) -> tuple[Sites, dict[str, str]]:
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


def fill(
    model: LanguageModel,
    sites: Sites,
    plan: Plan,
    sources: Mapping[str, Source],
    reader: Reader,
    progress: ProgressSink | None,
    meanwhile: Callable[[], None] | None = None,
) -> None:
    """Allocate what stays in memory, stream it in, and attach the visits of what does not.

    `meanwhile` is called while other threads read; its errors end them.

    Raises `InvalidRequest` if weights would have to be packed anew for each visit, else as `Reader.into` does.
    """
    parts = placement.parts(model, model.block_class)
    blanks = dict(model.named_parameters())
    owner = {id(module): name for name, part in parts.items() for module in part.modules()}
    home = {name: owner[id(places[0][0])] for name, places in sites.items()}  # parts that share a parameter have one home
    pieces, waiting = _pack(home, plan, blanks)
    targets = dict(waiting)
    visitors: dict[str, list[Visitor]] = {name: [] for name in parts}
    for name, places in sites.items():
        blank = blanks[name]
        if plan.offloaded(home[name]):
            source = _visiting(waiting.get(name, sources[name]))
            for module, attribute in places:
                visitors[owner[id(module)]].append(Visitor(module._parameters, attribute, source, blank.dtype))
        else:
            targets[name] = _allocate(blank.shape, blank.dtype, plan.execution_device(home[name]))
            parameter = nn.Parameter(targets[name], requires_grad=False)
            for module, attribute in places:
                module._parameters[attribute] = parameter
    _stream(_tasks(targets, sources, reader), progress, meanwhile)
    if plan.main.type == "cuda":
        for piece in pieces:
            offload.lock_pages(piece)
    if not plan.resident:
        for name, part in parts.items():
            offload.attach(part, plan.execution_device(name), visitors[name], reader)


def _visiting(source: Source) -> StoredTensor | Tensor:
    if isinstance(source, Packing):
        raise InvalidRequest(
            "weights that stay on disk cannot be quantized while they are loaded: they would be anew for every token",
            "write them with falcon quantize, and run what it has written",
        )
    return source


def _pack(home: Mapping[str, str], plan: Plan, blanks: Mapping[str, Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Room for the parameters that wait in host memory: one piece for each part, and each parameter's place in it."""
    waiting: dict[str, dict[str, Tensor]] = {}
    for name, part in home.items():
        if plan.offloaded(part) and plan.homes[part] != "disk":
            waiting.setdefault(part, {})[name] = blanks[name]
    with out_of_memory("the host"):
        packed = [offload.pack(of_part) for of_part in waiting.values()]
    return [piece for piece, _ in packed], {name: tensor for _, tensors in packed for name, tensor in tensors.items()}


def _tasks(targets: Mapping[str, Tensor], sources: Mapping[str, Source], reader: Reader) -> list[_Task]:
    """All reads, in the order of the files. What is known is put in its place at once."""
    tasks = []
    packings: dict[Packing, dict[str, Tensor]] = {}
    for name, target in targets.items():
        source = sources[name]
        if isinstance(source, Packing):
            packings.setdefault(source, {})[name.removeprefix(f"{source.name}.")] = target
        elif isinstance(source, Tensor):
            target.copy_(source)
        else:
            tasks.append(_Task(source, partial(reader.into, target, source)))
    tasks += [_Task(packing.plain, partial(_pack_into, parts, packing, reader)) for packing, parts in packings.items()]
    return sorted(tasks, key=lambda task: (task.stored.file, task.stored.offset))


def _pack_into(parts: Mapping[str, Tensor], packing: Packing, reader: Reader) -> None:
    device = parts["weight"].device
    with out_of_memory(str(device)):
        plain = reader.own(packing.plain, device if device.type == "cuda" else torch.device("cpu"))
        for name, tensor in tensors(quantizer.pack(plain, packing.layer.form, f"{packing.name}.weight")).items():
            parts[name].copy_(tensor)


def _allocate(shape: torch.Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    with out_of_memory(str(device)):
        return torch.empty(shape, dtype=dtype, device=device)


@contextmanager
def out_of_memory(where: str, hint: str = "add --device-map auto") -> Iterator[None]:
    """An allocation that fails although there seemed to be room. Raises `MemoryExceeded`."""
    try:
        yield
    except (RuntimeError, MemoryError):  # torch.OutOfMemoryError is a RuntimeError
        raise MemoryExceeded(
            f"{where} ran out of memory while the weights were loaded",
            f"something else took what was free before: try again, or {hint}",
        ) from None


def _stream(tasks: list[_Task], progress: ProgressSink | None, meanwhile: Callable[[], None] | None) -> None:
    """Read everything into place, and report bytes."""
    total = sum(task.stored.nbytes for task in tasks)
    report = progress or (lambda _: None)
    report(Progress("load", 0, total))
    done = 0
    for nbytes in _run(tasks, meanwhile):
        done += nbytes
        report(Progress("load", done, total))


def _run(tasks: list[_Task], meanwhile: Callable[[], None] | None) -> Iterator[int]:
    """Bytes of each read as it is done. The first failure, or an interrupt, ends all readers."""
    with ThreadPoolExecutor(min(_READERS, os.cpu_count() or 1), thread_name_prefix="load") as pool:
        sizes = {pool.submit(task.run): task.stored.nbytes for task in tasks}
        try:
            if meanwhile is not None:
                meanwhile()
            for future in as_completed(sizes):
                future.result()
                yield sizes[future]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
