"""The most memory that there was: on a GPU what torch had allocated there, on a CPU what the process had."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path


def peak_bytes(device: str) -> int | None:
    """Bytes on a device by its torch name, since the start or the last `forget_peak`; None where nobody knows."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device)
    if not device.startswith("cpu") or sys.platform == "win32":
        return None
    with suppress(OSError, ValueError, IndexError, StopIteration):  # Linux, where the mark can be set back
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) << 10
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget_peak(device: str) -> None:
    """Begin to look for the most memory anew, where the system lets us."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
