"""Where each part of a model lives. accelerate plans; the parts are whole blocks, the embedding, the last norm and the head.

A part is *at home* on a device that computes (a GPU, or the CPU if there is no other), or it is *offloaded* to host memory or
disk, and then its weights visit the main device for each forward pass (`offload`).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from modeling.checkpoint import memory
from modeling.checkpoint.memory import Need
from modeling.errors import DeviceUnavailable, InvalidRequest, MemoryExceeded
from modeling.layers.linear import PackedLinear
from modeling.messages import ModelSpec

Home = torch.device | Literal["disk"]

_CPU = torch.device("cpu")
_HOST_SHARE = 0.9  # of the free host memory, for offloaded weights: the rest is the system's
_GPU_SHARE = 0.95  # of a GPU's free memory: the allocator's blocks are not filled to the last byte


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the parts of a model live: `homes` by module name. Offloaded parts compute on `main`."""

    main: torch.device
    homes: Mapping[str, Home]

    def offloaded(self, part: str) -> bool:
        """Whether the part's weights are only visitors where it computes."""
        return self.homes[part] == "disk" or (self.homes[part] == _CPU and self.main != _CPU)

    def execution_device(self, part: str) -> torch.device:
        """Where the part computes, and where its state belongs."""
        home = self.homes[part]
        return self.main if home == "disk" or self.offloaded(part) else home

    @property
    def resident(self) -> bool:
        """Whether everything is at home on the main device, so that no weights and no activations travel."""
        return all(home == self.main for home in self.homes.values())

    def summary(self) -> str:
        """How many parts live where, for a notice: "20 parts on cuda:0, 26 in host memory, 2 on disk"."""
        counts: dict[str, int] = {}
        for part, home in self.homes.items():
            where = "on disk" if home == "disk" else "in host memory" if self.offloaded(part) else f"on {home}"
            counts[where] = counts.get(where, 0) + 1
        first, *rest = (f"{count} {where}" for where, count in counts.items())
        return ", ".join((first.replace(" ", " parts ", 1), *rest))


def parts(model: nn.Module, block_class: type[nn.Module]) -> dict[str, nn.Module]:
    """The modules that are never split over two devices: each block, and each module outside blocks that owns tensors."""
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        if any(name.startswith(f"{part}.") for part in found):
            continue
        owns = any(True for _ in (*module.parameters(recurse=False), *module.buffers(recurse=False)))
        if isinstance(module, block_class) or owns:
            found[name] = module
    return found


def plan(model: nn.Module, block_class: type[nn.Module], spec: ModelSpec, need: Need) -> Plan:
    """Place a model (on `meta`, in the dtype it will have) as `spec` asks.

    Raises `DeviceUnavailable`, `InvalidRequest` for sizes and device names that are none, and `MemoryExceeded` with choices if
    it does not fit: the whole model without a device map, the largest part and the state with one.
    """
    main = main_device(spec.device)
    whole = Plan(main, dict.fromkeys(parts(model, block_class), main))
    if spec.device_map is None:
        if spec.max_memory:
            raise InvalidRequest("--max-memory bounds what --device-map auto may use", "add --device-map auto")
        dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
        plain = not any(isinstance(module, PackedLinear) for module in model.modules())
        memory.require(need, free_memory(main), str(main), dtype, plain=plain)
        return whole
    budgets = _budgets(spec, main, need)
    if need.weights <= budgets[_key(main)]:
        return whole
    return _spread(model, block_class, main, budgets)


def main_device(name: str) -> torch.device:
    """The device that `name` ("auto", "cpu", "mps", "cuda", "cuda:N") means here.

    Raises `DeviceUnavailable` with what there is.
    """
    present = available_devices()
    if name == "auto":
        return present[0]
    if name == "cuda":
        name = "cuda:0"
    for device in present:
        if name == str(device):
            return device
    raise DeviceUnavailable(f"there is no device {name!r} here", f"available: {', '.join(map(str, present))}")


def prefill_chunk(spec: ModelSpec) -> int:
    """How many prompt tokens are fed at once: as asked, or by default as many as make good use of the device.

    More only cost memory and the patience of others: a CPU is busy with 512, a GPU's matrix units want thousands of rows.
    """
    return spec.prefill_chunk or (4096 if main_device(spec.device).type == "cuda" else 512)


def available_devices() -> list[torch.device]:
    """What torch can compute on here, the preferred first."""
    with warnings.catch_warnings():  # an old driver is no warning but a missing device
        warnings.simplefilter("ignore")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    devices = [torch.device("cuda", index) for index in range(count)]
    if torch.backends.mps.is_available():
        devices.append(torch.device("mps"))
    return [*devices, _CPU]


def free_memory(device: torch.device) -> int:
    """Bytes that may still be allocated on `device`, what torch holds in reserve there included."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return memory.free_host()


def _key(device: torch.device) -> int | str:
    """A device as accelerate names it: a GPU by its number."""
    return device.index if device.type == "cuda" else device.type


def _budgets(spec: ModelSpec, main: torch.device, need: Need) -> dict[int | str, int]:
    """Bytes of weights for each device: what `max_memory` says, else what is free there after state and work.

    The order is the order in which they are filled; what is left goes to disk.
    """
    present = available_devices()
    computing = [device for device in present if device.type == "cuda"] if spec.device == "auto" else []
    devices = [*(computing or [main]), *([_CPU] if main.type == "cuda" else [])]
    asked = _asked(spec.max_memory or {}, present)
    budgets: dict[int | str, int] = {}
    for device in devices:
        key = _key(device)
        if key in asked:
            budgets[key] = asked[key]
        elif device == _CPU and main != _CPU:
            budgets[key] = int(memory.free_host() * _HOST_SHARE)
        else:
            share = _HOST_SHARE if device == _CPU else _GPU_SHARE
            budgets[key] = max(0, int(free_memory(device) * share) - need.state - need.work)
    return budgets


def _asked(max_memory: Mapping[str, str], present: list[torch.device]) -> dict[int | str, int]:
    """The user's bounds by accelerate's device names. Raises `InvalidRequest` or `DeviceUnavailable`."""
    known = {alias: _key(device) for device in present for alias in (str(device), str(_key(device)))}
    asked: dict[int | str, int] = {}
    for name, size in max_memory.items():
        if name not in known:
            raise DeviceUnavailable(
                f"--max-memory names {name!r}, and there is no such device here", f"available: {', '.join(map(str, present))}"
            )
        asked[known[name]] = memory.parse_size(size)
    return asked


def _spread(model: nn.Module, block_class: type[nn.Module], main: torch.device, budgets: dict[int | str, int]) -> Plan:
    """accelerate's map, read off for whole parts."""
    from accelerate import infer_auto_device_map  # 0.4 s, and only for models that do not fit

    mapped = infer_auto_device_map(model, max_memory=dict(budgets), no_split_module_classes=[block_class.__name__])
    modules = parts(model, block_class)
    homes: dict[str, Home] = {}
    tensors: dict[int, str] = {}  # a shared parameter → the first part that has it
    for name, module in modules.items():
        entry = max((key for key in mapped if key == "" or f"{name}.".startswith(f"{key}.")), key=len)
        homes[name] = _home(mapped[entry])
        for parameter in module.parameters():
            first = tensors.setdefault(id(parameter), name)
            if first != name:  # the parts of a tied pair stay together, or their one tensor would become two
                homes[name] = homes[first]
    placed = Plan(main, homes)
    _check_room(placed, modules, budgets[_key(main)])
    return placed


def _home(entry: int | str) -> Home:
    if entry == "disk":
        return "disk"
    return torch.device("cuda", entry) if isinstance(entry, int) else torch.device(entry)


def _check_room(placed: Plan, modules: Mapping[str, nn.Module], budget: int) -> None:
    """The largest visitor must fit beside what is at home on the main device."""
    sizes = {name: sum(parameter.nbytes for parameter in module.parameters()) for name, module in modules.items()}
    tenants = {
        id(parameter): parameter.nbytes
        for name, module in modules.items()
        if placed.homes[name] == placed.main
        for parameter in module.parameters()
    }
    visitor = max((size for name, size in sizes.items() if placed.offloaded(name)), default=0)
    needed = sum(tenants.values()) + visitor
    if needed > budget:
        raise MemoryExceeded(
            f"even with offloading, {placed.main} must hold {memory.show(needed)} of weights at a time, "
            f"and may use {memory.show(max(0, budget))}",
            f"give {placed.main} more with --max-memory, or choose a smaller model",
        )
