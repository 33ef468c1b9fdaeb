"""Memory, in bytes: what a model needs, what is free, and what to suggest where the one exceeds the other. Plain numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modeling.errors import InvalidRequest, MemoryExceeded

STAGING = 16 * 2**20
"""Bytes of the buffer through which a reading thread moves weights to a device."""

_KERNELS = 24 * 2**20
"""What the operations keep of a chunk while they work on it, whatever the model's size."""

_UNITS = {
    "": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate(("", "k", "m", "g", "t"))},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate(("k", "m", "g", "t"), start=1)},
}


@dataclass(frozen=True, slots=True)
class Need:
    """What a model asks of a device while it runs.

    `weights`: all parameters in the dtype they are loaded in. `state`: the memory of all slots. `work`: room for activations
    and staging; prompts are fed in chunks, so it does not grow with their length.
    """

    weights: int
    state: int = 0
    work: int = 0

    @property
    def total(self) -> int:
        return self.weights + self.state + self.work


def estimate(weights: int, widest: int, vocabulary: int, tokens: int, state: int = 0, unpacked: int = 0) -> Need:
    """What a model with `weights` bytes of weights needs that is fed `tokens` tokens at a time.

    `widest` is the number of channels of its widest layer. A block holds about six tensors of (tokens, widest) in fp32 at its
    peak, and the logits of one position are kept a few times over while sampling. `unpacked` are the bytes of the largest
    packed weight while it is multiplied as a plain one. Measured: within 5 % of the peak of a run for models of 1 GB, and
    closer for larger ones.
    """
    activations = 6 * 4 * tokens * widest
    logits = 4 * 4 * vocabulary
    return Need(weights, state, activations + logits + unpacked + _KERNELS)


def require(need: Need, free: int, device: str, dtype: str, *, plain: bool = False) -> None:
    """Raise `MemoryExceeded` with choices if `need` does not fit into the `free` bytes of `device`; `plain` weights could be
    quantized."""
    if need.total <= free:
        return
    choices = []
    if dtype == "float32" and need.weights // 2 + need.state + need.work <= free:
        choices.append("--dtype bfloat16 (half the weights)")
    if plain and need.weights // 2 + need.state + need.work <= free:
        choices.append("--quantize nf4 (less than half the weights)")
    if need.state > need.weights:
        choices.append("fewer sequences at once (a smaller --batch-size)")
    if need.work > need.weights:
        choices.append("a smaller --prefill-chunk")
    choices.append("--device-map auto (what does not fit is kept in host memory or read from disk: slower)")
    choices.append("a smaller model")
    raise MemoryExceeded(
        f"the model needs {show(need.total)} ({show(need.weights)} weights, {show(need.state)} state, {show(need.work)} work), "
        f"but {device} has {show(free)} free",
        f"choose {', '.join(choices[:-1])} or {choices[-1]}",
    )


def parse_size(text: str | int) -> int:
    """ "10GiB", "200MB" or "1500000" → bytes. Raises `InvalidRequest`."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?b|)\s*", str(text), re.ASCII | re.IGNORECASE)
    unit = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise InvalidRequest(f"{str(text)!r} is no size of memory", "write it like 10GiB or 200MB")
    return int(float(match[1]) * unit)


def show(size: int) -> str:
    """Bytes as a person reads them: "13.6 GiB"."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if amount >= 100 or unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def free_host(root: Path = Path("/")) -> int:
    """Bytes this process may still allocate: what the machine has, and what its control groups (containers) leave of it.

    `root` is where /proc and /sys are found.
    """
    import psutil

    return max(0, min(int(psutil.virtual_memory().available), *_cgroup_rooms(root)))


def _cgroup_rooms(root: Path) -> list[int]:
    """Room in each memory control group this process is in: limit − usage, where cached files do not count as usage."""
    rooms = []
    for folder, limit_name, usage_name, prefix in _cgroups(root):
        limit, usage = _number(folder / limit_name), _number(folder / usage_name)
        if limit is None or usage is None or limit >= 2**60:  # "max", or version 1's way to say so
            continue
        statistics = _statistics(folder / "memory.stat")
        rooms.append(limit - usage + sum(statistics.get(prefix + name, 0) for name in ("inactive_file", "active_file")))
    return rooms or [2**63]


def _cgroups(root: Path) -> list[tuple[Path, str, str, str]]:
    """The folders of this process's control groups up to the root, for version 2 and the older version 1."""
    found = []
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "")
        elif "memory" in controllers.split(","):
            base, names = root / "sys/fs/cgroup/memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        else:
            continue
        here = base / path.lstrip("/")
        # In a container the path may be the host's, which is not mounted here; the limits are then at the mount's root.
        folders = [here, *here.parents]
        found += [(folder, *names) for folder in folders if folder.is_relative_to(base)]
    return found


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _statistics(path: Path) -> Mapping[str, int]:
    try:
        return {name: int(value) for name, value in (line.split() for line in path.read_text().splitlines())}
    except (OSError, ValueError):
        return {}
