"""What this machine does at best, measured in the process that is to be judged by it: bytes read and products a second.

The best of many tries counts: a ceiling is not to be lowered by whoever else is at work. It is measured once for each device
and number format.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from modeling.timings import Ceiling

READS, PRODUCTS = 20, 20
_PATIENCE = 4.0  # seconds for one of the two on a CPU, where twenty tries may take minutes
_H200_READ, _H200_MULTIPLY = 4.3e12, 700e12


@cache
def measure_ceiling(device: torch.device, dtype: torch.dtype) -> Ceiling:
    """The ceiling of `device` for a model in `dtype`. Its memory must have some room left: up to 4 GiB, less will do."""
    read, reader = _read_rate(device)
    multiply = _multiply_rate(device, dtype)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name() if device.type == "cpu" else str(device)
    void = void_reason(name, dtype, read, multiply)
    return Ceiling(name, str(dtype).removeprefix("torch."), read, multiply, _cache_bytes(device), reader, void)


def void_reason(name: str, dtype: torch.dtype, read: float, multiply: float) -> str:
    """Why nothing that is measured on this device now counts; "" if there is no such reason."""
    if "H200" not in name:
        return ""
    if read < _H200_READ:
        return f"this {name} reads {read / 1e12:.2f} TB/s, and a free one at least {_H200_READ / 1e12:.1f}"
    if dtype == torch.bfloat16 and multiply < _H200_MULTIPLY:
        return f"this {name} multiplies {multiply / 1e12:.0f} TFLOP/s, and a free one at least {_H200_MULTIPLY / 1e12:.0f}"
    return ""


def cpu_name() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _read_rate(device: torch.device) -> tuple[float, str]:
    """Bytes read a second, and who read them."""
    wanted = 4 << 30 if device.type == "cuda" else max(512 << 20, 4 * _cache_bytes(device))
    size = min(wanted, _room(device) // 4 if device.type != "cuda" else _room(device) * 3 // 4)
    block = 1 << 20
    buffer = torch.empty(max(block, size // 4 // block * block), device=device).normal_()  # fp32
    read, reader = _reader(buffer)
    return buffer.nbytes / _best(read, device, READS), reader


def _reader(buffer: Tensor) -> tuple[Callable[[], object], str]:
    """A function that reads all of `buffer`: by a kernel of Triton where there is one, else by torch's sum."""
    if buffer.is_cuda:
        try:
            from modeling.kernels.triton.read import BLOCK, block_sums

            sums = torch.empty(buffer.numel() // BLOCK, device=buffer.device)
            with torch.cuda.device(buffer.device):
                block_sums(buffer, sums)
                torch.cuda.synchronize()
            return lambda: block_sums(buffer, sums), "triton"
        except Exception:  # no package, no compiler, an old device: there is another way
            return buffer.sum, "torch"
    return buffer.sum, "torch"


def _multiply_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second in products of square matrices of random numbers."""
    n = 1024 if device.type == "cpu" else 8192
    while n > 1024 and 4 * n * n * dtype.itemsize > _room(device):
        n //= 2
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    product = torch.empty_like(a)
    return 2 * n**3 / _best(lambda: torch.mm(a, b, out=product), device, PRODUCTS)


def _best(run: Callable[[], object], device: torch.device, tries: int) -> float:
    """Seconds of the quickest of so many runs, after one that warms up."""
    if device.type == "cuda":
        return _best_on_gpu(run, device, tries)
    run()
    best, began = float("inf"), perf_counter()
    for done in range(tries):
        if done >= 3 and perf_counter() - began > _PATIENCE:
            break
        settle(device)
        before = perf_counter()
        run()
        settle(device)
        best = min(best, perf_counter() - before)
    return best


def _best_on_gpu(run: Callable[[], object], device: torch.device, tries: int) -> float:
    """By the device's own clock, so that the host has no part in it."""
    with torch.cuda.device(device):
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(tries + 1)]
        for _ in range(3):  # clocks go up under load
            run()
        marks[0].record()
        for mark in marks[1:]:
            run()
            mark.record()
        torch.cuda.synchronize(device)
        return float(min(before.elapsed_time(after) for before, after in pairwise(marks))) / 1e3


def settle(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _room(device: torch.device) -> int:
    """Bytes that may be allocated on `device`."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    import psutil

    return int(psutil.virtual_memory().available)


def _cache_bytes(device: torch.device) -> int:
    """The largest cache between the device and its memory."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).L2_cache_size)
    found = [32 << 20]
    for file in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        try:
            found.append(int(file.read_text().strip().removesuffix("K")) << 10)
        except (OSError, ValueError):
            continue
    return max(found[1:] or found)
