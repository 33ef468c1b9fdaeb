"""Products of a few rows with 4-bit matrices through `packed4.cu`, which says how: the same as `kernels.triton.packed`'s."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from modeling.kernels.cuda.compiler import Kernel, available, kernel_of
from modeling.kernels.triton.launch import cdiv

if TYPE_CHECKING:
    from modeling.kernels.triton.nf4 import Matrix4
    from modeling.kernels.triton.packed import Deferred, Growth
    from modeling.kernels.triton.projection import Convolved

MOST_ROWS = 16
WARPS = 8
BLOCK = 64  # weights to a scale
SHARED = 224 * 1024  # bytes of a processor's that its blocks may have together; one of them, a little less
_SOURCE = Path(__file__).with_suffix(".cu")
_TYPES = {torch.float32: "float", torch.bfloat16: "Bf16", torch.float16: "Half"}
_TABLE, _LINE = 32 * 1024, 272  # bytes of the table, and of 128 columns of a row
_KINDS = {"plain": 0, "parts": 1, "convolved": 2, "gated": 3, "grown": 4}


class _Matrix(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_void_p) for name in ("codes", "scales", "values", "absmax", "mean"))


class _Arguments(ctypes.Structure):
    """`Arguments` of packed4.cu."""

    _fields_ = (
        ("x", ctypes.c_void_p), ("stride", ctypes.c_long), ("matrix", _Matrix),
        ("x2", ctypes.c_void_p), ("stride2", ctypes.c_long), ("matrix2", _Matrix),
        ("bias", ctypes.c_void_p), ("multiplier", ctypes.c_float),
        ("squares", ctypes.c_void_p), ("count", ctypes.c_int), ("eps", ctypes.c_float),
        ("residual", ctypes.c_void_p), ("out", ctypes.c_void_p), ("scale", ctypes.c_void_p),
        ("conv_weight", ctypes.c_void_p), ("conv_bias", ctypes.c_void_p), ("state", ctypes.c_void_p),
        ("active", ctypes.c_void_p), ("first", ctypes.c_int), ("channels", ctypes.c_int),
        ("h", ctypes.c_void_p), ("weight", ctypes.c_void_p), ("grown", ctypes.c_void_p), ("rows", ctypes.c_int),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Form:
    """All that a kernel is compiled for, `rows` at a time. `types` of X, BIAS, RESIDUAL, OUT, CONV, STATE and WEIGHT."""

    kind: str
    rows: int
    outputs: int
    columns: int
    second: int
    splits: int
    group: int
    taps: int
    out_combed: bool
    types: tuple[torch.dtype, ...]
    table: tuple[float, ...]

    @property
    def chunks(self) -> int:
        """128 columns each, that a warp takes at once: 1 to 4, so that the warps have much alike."""
        widths = [width // 128 for width in (self.columns // self.splits, self.second) if width]

        def most(chunks: int) -> int:
            """Of one warp."""
            return sum(cdiv(width, chunks * WARPS) * chunks for width in widths)

        return min((4, 3, 2, 1), key=most)

    @property
    def shared(self) -> int:
        """Bytes: the table, x, the warps' sums of two tiles, and of squares."""
        return _shared(self.rows, self.columns // self.splits + self.second)

    @property
    def blocks(self) -> int:
        """At once on a processor: more than four rows want more registers."""
        return 2 if self.rows <= 4 and 2 * (self.shared + 1024) <= SHARED else 1

    @property
    def tiles(self) -> int:
        return cdiv(self.outputs, 8 if self.kind == "gated" else 16)


def most_rows(matrix: Matrix4, dtype: torch.dtype) -> int:
    """Up to how many rows of `dtype` this kernel multiplies with a matrix: 0 if none."""
    (_, d), device, group = matrix.shape, matrix.codes.device, 0 if matrix.doubled is None else matrix.group
    if device.type != "cuda" or dtype not in (torch.bfloat16, torch.float16) or not available():
        return 0
    fits = matrix.block == BLOCK and d % 128 == 0 and group % 2 == 0 and max(map(abs, matrix.table)) <= 1
    if not fits or torch.cuda.get_device_capability(device) < (8, 0):
        return 0
    return MOST_ROWS if _shared(1, 2 * d) <= _room(device) else 0


def _room(device: torch.device) -> int:
    """Bytes of shared memory that a block can have."""
    return int(torch.cuda.get_device_properties(device).shared_memory_per_block_optin)  # type: ignore[attr-defined]


def _shared(rows: int, columns: int) -> int:
    return _TABLE + rows * (columns // 128 * _LINE) + 2 * WARPS * rows * 16 * 4 + 4 * WARPS


def project(
    x: Tensor, matrix: Matrix4, out: Tensor, *, bias: Tensor | None, multiplier: float, residual: Tensor | None
) -> None:
    """out (b, o) = residual + multiplier · (x Wᵀ + bias)."""
    form = _form("plain", x, matrix, out, matrix.shape[0], bias, residual=residual)
    arguments = _arguments(x, matrix, out, bias, None)
    arguments.multiplier, arguments.residual = multiplier, _at(residual)
    _launch(form, x, arguments)


def project_parts(x: Tensor, matrix: Matrix4, parts: Tensor) -> None:
    """parts (s, b, o) fp32 of x Wᵀ, each over its share of the columns."""
    splits = parts.shape[0]
    if matrix.shape[1] % (128 * splits):  # the first has all of it
        parts[1:].zero_()
        splits = 1
    _launch(_form("parts", x, matrix, parts, matrix.shape[0], None, splits=splits), x, _arguments(x, matrix, parts, None, None))


def project_convolved(
    x: Tensor, matrix: Matrix4, out: Tensor, conv: Convolved, *, scale: Tensor | None, bias: Tensor | None,
    deferred: Deferred | None,
) -> None:  # fmt: skip
    """out (b, o) = scale ∘ (x Wᵀ + bias), of which `conv` takes some on their way."""
    (c, k), conv_bias = conv.weight.shape, conv.bias
    assert scale is None or scale.dtype == torch.float32
    assert conv_bias is None or conv_bias.dtype == conv.weight.dtype
    form = _form("convolved", x, matrix, out, out.shape[1], bias, conv=conv.weight, state=conv.state)
    arguments = _arguments(x, matrix, out, bias, deferred)
    arguments.scale, arguments.conv_weight, arguments.conv_bias = _at(scale), _at(conv.weight), _at(conv_bias)
    arguments.state, arguments.active, arguments.first, arguments.channels = _at(conv.state), _at(conv.active), conv.first, c
    assert conv.state.stride() == (c * k, 1, c) and conv.weight.is_contiguous()
    _launch(form, x, arguments)


def project_gated(
    x: Tensor, matrix: Matrix4, out: Tensor, *, bias: Tensor | None, multiplier: float, out_combed: bool,
    deferred: Deferred | None,
) -> None:  # fmt: skip
    """out (b, f) = (U x) · SiLU(multiplier · G x); matrix (2f, d): G's rows, then U's."""
    form = _form("gated", x, matrix, out, matrix.shape[0] // 2, bias, out_combed=out_combed)
    arguments = _arguments(x, matrix, out, bias, deferred)
    arguments.multiplier = multiplier
    _launch(form, x, arguments)


def project_grown(products: Sequence[tuple[Tensor, Matrix4]], growth: Growth) -> None:
    """h += Σ x Wᵀ + bias over one or two products of one row each, and the beginning of the norm of h."""
    (x, matrix), *others = products
    form = _form(
        "grown", x, matrix, growth.x, matrix.shape[0], growth.bias, residual=growth.h, weight=growth.weight,
        out_combed=growth.combed, second=others[0][1].shape[1] if others else 0,
    )  # fmt: skip
    arguments = _arguments(x, matrix, growth.x, growth.bias, None)
    if others:
        arguments.x2, arguments.stride2, arguments.matrix2 = _at(others[0][0]), others[0][0].stride(0), _matrix(others[0][1])
    arguments.h, arguments.weight = _at(growth.h), _at(growth.weight)
    arguments.grown, arguments.count = _at(growth.squares), growth.squares.numel()
    _launch(form, x, arguments)


def _form(
    kind: str, x: Tensor, matrix: Matrix4, out: Tensor, outputs: int, bias: Tensor | None, *, residual: Tensor | None = None,
    conv: Tensor | None = None, state: Tensor | None = None, weight: Tensor | None = None, out_combed: bool = False,
    second: int = 0, splits: int = 1,
) -> _Form:  # fmt: skip
    types = [x, bias, residual, out, conv, state, weight]
    dtypes = tuple(torch.float32 if tensor is None else tensor.dtype for tensor in types)
    group, taps = 0 if matrix.doubled is None else matrix.group, 1 if conv is None else conv.shape[1]
    columns = matrix.shape[1]
    return _Form(kind, x.shape[0], outputs, columns, second, splits, group, taps, out_combed, dtypes, matrix.table)


def _arguments(x: Tensor, matrix: Matrix4, out: Tensor, bias: Tensor | None, deferred: Deferred | None) -> _Arguments:
    assert x.shape[0] == 1 or x.stride(0) % 4 == 0, "rows of x are read four at a time"
    found = _Arguments(x=_at(x), stride=x.stride(0), matrix=_matrix(matrix), bias=_at(bias), multiplier=1.0, out=_at(out))
    if deferred is not None:
        found.squares, found.count, found.eps = _at(deferred.squares), deferred.squares.numel(), deferred.eps
    return found


def _matrix(matrix: Matrix4) -> _Matrix:
    values, absmax, mean = matrix.doubled or (None, None, None)
    return _Matrix(_at(matrix.codes), _at(matrix.scales), _at(values), _at(absmax), _at(mean))


def _at(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _launch(form: _Form, x: Tensor, arguments: _Arguments) -> None:
    """On the current stream. Rows whose x does not fit into shared memory together are for different blocks."""
    processors, arguments.rows = torch.cuda.get_device_properties(x.device).multi_processor_count, form.rows
    groups = next(n for n in range(1, form.rows + 1) if replace(form, rows=cdiv(form.rows, n)).shared <= _room(x.device))
    form = replace(form, rows=cdiv(form.rows, groups))
    _kernel(form, x.device.index)((min(form.tiles, processors * form.blocks), form.splits, groups), arguments)


@cache
def _kernel(form: _Form, device: int) -> Kernel:
    overlap = form.rows == 1 and torch.cuda.get_device_capability(device) >= (9, 0)
    halves = torch.tensor(form.table, dtype=torch.float16).view(torch.int16).tolist()
    types = dict(zip(("X", "BIAS", "RESIDUAL", "OUT", "CONV", "STATE", "WEIGHT"), map(_TYPES.get, form.types), strict=True))
    definitions = types | {
        "ROWS": form.rows, "OUTPUTS": form.outputs, "WARPS": WARPS, "CHUNKS": form.chunks, "BLOCKS": form.blocks,
        "D": form.columns, "D2": form.second, "SPAN": form.columns // form.splits, "GROUP": form.group, "TAPS": form.taps,
        "KIND": _KINDS[form.kind], "OUT_COMBED": int(form.out_combed), "PDL": int(overlap),
        "VALUES": ",".join(str(value & 0xFFFF) for value in halves),
    }  # fmt: skip
    return kernel_of(_SOURCE, "product4", device, definitions, warps=WARPS, shared=form.shared, overlap=overlap)
