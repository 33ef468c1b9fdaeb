"""bitsandbytes' product of 4-bit weights on a CPU with AVX-512 bf16, straight from its library.

Of the package only the C library is opened: to import it would take seconds, and it might look for more on the network. A C
function tells nothing of its arguments, so only releases that have been tried are used. Without them the law runs.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modeling.kernels.packed import Interleaved4

RELEASES = ("0.49.", "0.50.")
_ARGUMENTS: list[Any] = [*[ctypes.c_int64] * 3, *[ctypes.c_void_p] * 4, *[ctypes.c_int64] * 3]


@cache
def library() -> Any:
    """The library, its functions declared; None if it is not here, not of a release that is known, or not for this CPU."""
    if sys.platform not in ("linux", "win32") or (found := find_spec("bitsandbytes")) is None or not found.origin:
        return None
    path = Path(found.origin).parent / f"libbitsandbytes_cpu.{'so' if sys.platform == 'linux' else 'dll'}"
    try:
        if not metadata.version("bitsandbytes").startswith(RELEASES):
            return None
        opened = ctypes.CDLL(str(path))
        opened.has_avx512bf16_cpu.restype = ctypes.c_bool
        if not opened.has_avx512bf16_cpu():
            return None
        for function in (opened.gemv_4bit_inference_cpu_nf4_bf16, opened.gemv_4bit_inference_cpu_fp4_bf16):
            function.argtypes, function.restype = _ARGUMENTS, None
    except (metadata.PackageNotFoundError, OSError, AttributeError):
        return None
    return opened


def packed_linear(x: Tensor, weight: Interleaved4, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b in bf16, sums in fp32: x (…, in) bf16 → (…, out). Requires `library()`."""
    rows = x.reshape(-1, x.shape[-1]).contiguous()  # m i
    padded = weight.codes.shape[0]
    out = torch.empty(rows.shape[0], padded, dtype=torch.bfloat16)
    opened = library()
    product = opened.gemv_4bit_inference_cpu_nf4_bf16 if weight.type == "nf4" else opened.gemv_4bit_inference_cpu_fp4_bf16
    pointers = (tensor.data_ptr() for tensor in (rows, weight.codes, weight.scales, out))
    product(rows.shape[0], padded, rows.shape[1], *pointers, weight.block, rows.stride(0), out.stride(0))
    out = out[:, : weight.shape[0]].view(*x.shape[:-1], -1)
    return out if bias is None else out + bias
