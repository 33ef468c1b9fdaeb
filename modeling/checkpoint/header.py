"""The header of one safetensors file, checked before any library sees the file.

A file is 8 bytes (the header's length, little-endian), the header (a JSON object: tensor name → dtype, shape, data_offsets) and
the data. The checks are stricter than the format where real files never go: a bounded header, no holes, no repeated name, no
field that is not known. What passes can be read by offset without further thought.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, NoReturn

from modeling.errors import BadModelFile

DTYPE_BYTES: Mapping[str, int] = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}
"""Bytes of one element, by the format's dtype names. Types of less than a byte are not among them: no Falcon uses one."""

# Falcon-H1-34B has 1,228 tensors in headers of less than 200 kB together. The bounds leave room for quantized models (five
# tensors for one), and keep the worst that a hostile file can ask of the JSON parser to milliseconds and a few megabytes.
MAX_HEADER = 4 * 2**20  # bytes
MAX_TENSORS = 2**15
MAX_DIMENSIONS = 8

_AGAIN = "download the model again"

# What people find under the name of a safetensors file instead of one: how it starts, what it is, what to do.
_IMPOSTORS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "is a git-LFS pointer, not the file itself", "run `git lfs pull` in the folder"),
    (b"<!doctype html", "is an HTML page, not a safetensors file", f"{_AGAIN}: a web page was saved instead of the file"),
    (b"<html", "is an HTML page, not a safetensors file", f"{_AGAIN}: a web page was saved instead of the file"),
    (b"<?xml", "is an XML document, not a safetensors file", f"{_AGAIN}: an error message was saved instead of the file"),
    (b"pk\x03\x04", "is a PyTorch pickle or zip archive, not a safetensors file", "use the model's .safetensors files"),
    (b"gguf", "is a GGUF file, not a safetensors file", "falcon runs the original checkpoints, not GGUF conversions"),
)


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies: `nbytes` bytes of `file` from `offset` on, row-major, little-endian."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int


def read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file by name; none of its data is read.

    Raises `BadModelFile` for anything but a regular, whole and well-formed file.
    """
    header, start, size = _read(path)
    _metadata(path, header)
    tensors = _tensors(path, header, start)
    _check_layout(path, tensors, start, size)
    return tensors


def read_metadata(path: Path) -> dict[str, str]:
    """The texts that a safetensors file carries beside its tensors. Raises as `read_header`."""
    return _metadata(path, _read(path)[0])


def _read(path: Path) -> tuple[dict[str, Any], int, int]:
    """The header's JSON object, where the data begin, and the file's size."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe or device would block or never end
            raise BadModelFile(f"{path} is not a regular file", _AGAIN)
        with path.open("rb") as file:
            prefix = file.read(64)
            refuse_impostor(path, prefix)
            length = _header_length(path, prefix, status.st_size)
            file.seek(8)
            raw = file.read(length)
    except OSError as error:
        raise BadModelFile(f"{path} cannot be read: {error.strerror or error}", "check the file and its permissions") from None
    return _parse(path, raw), 8 + length, status.st_size


def refuse_impostor(path: Path, prefix: bytes) -> None:
    """Raise `BadModelFile` by name for what is often saved in a model file's place; `prefix` is how the file starts."""
    start = prefix.lstrip().lower()
    for magic, what, hint in _IMPOSTORS:
        if start.startswith(magic):
            raise BadModelFile(f"{path} {what}", hint)


def parse_json(path: Path, raw: bytes) -> Any:
    """JSON without repeated keys, NaN or infinities. Raises `BadModelFile`."""
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        _bad(path, f"is not valid JSON ({error})")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name stands there twice")
    return fields


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _header_length(path: Path, prefix: bytes, size: int) -> int:
    if size < 8 + 2 or len(prefix) < 8:
        _bad(path, f"has {size} bytes, too few for a safetensors file")
    length = int.from_bytes(prefix[:8], "little")
    if length > MAX_HEADER:
        _bad(path, f"announces a header of {length:,} bytes; no model needs more than {MAX_HEADER:,}")
    if 8 + length > size:
        _bad(path, f"ends inside its header ({size:,} of at least {8 + length:,} bytes)")
    return length


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    """The header's JSON object. Its brackets are counted first: parsing a million small objects is what would take seconds."""
    if not raw.startswith(b"{"):
        _bad(path, "has a header that is no JSON object")
    if raw.count(b"{") > MAX_TENSORS or raw.count(b"[") > 4 * MAX_TENSORS or raw.count(b'"') > 16 * MAX_TENSORS:
        _bad(path, f"has more than {MAX_TENSORS:,} tensors in its header")
    header = parse_json(path, raw)
    assert isinstance(header, dict)  # it starts with a brace
    return header


def _metadata(path: Path, header: dict[str, Any]) -> dict[str, str]:
    """Takes the metadata out of the header: what is left are tensors."""
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        _bad(path, "has metadata that is not a map of strings")
    return metadata


def _tensors(path: Path, header: dict[str, Any], start: int) -> dict[str, StoredTensor]:
    return {name: _tensor(path, name, entry, start) for name, entry in header.items()}


def _tensor(path: Path, name: str, entry: Any, start: int) -> StoredTensor:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        _bad(path, f"describes tensor {short(name)} by something else than dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
        _bad(path, f"gives tensor {short(name)} the unknown dtype {short(dtype)}")
    if not _sizes(shape) or len(shape) > MAX_DIMENSIONS:
        _bad(path, f"gives tensor {short(name)} an impossible shape")
    if not _sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        _bad(path, f"gives tensor {short(name)} impossible offsets")
    begin, end = offsets
    if end - begin != prod(shape) * DTYPE_BYTES[dtype]:
        _bad(
            path, f"gives tensor {short(name)} {end - begin:,} bytes, but its shape needs {prod(shape) * DTYPE_BYTES[dtype]:,}"
        )
    return StoredTensor(path, dtype, tuple(shape), start + begin, end - begin)


def _sizes(values: Any) -> bool:
    """Whether `values` is a list of sizes that a file on this earth can have. `True` is an int in Python, but not here."""
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**48 for value in values)


def _check_layout(path: Path, tensors: Mapping[str, StoredTensor], start: int, size: int) -> None:
    """The tensors must fill the file: one after the other, from the header's end to the file's end."""
    spans = sorted((tensor.offset, tensor.offset + tensor.nbytes) for tensor in tensors.values())
    joints = [(start, start), *spans, (size, size)]
    for (_, end), (begin, _) in pairwise(joints):
        if begin == end:
            continue
        if begin < end and end > size:
            _bad(path, f"ends early: {size:,} bytes, but its tensors need {spans[-1][1]:,}")
        where = "overlap" if begin < end else f"leave {begin - end:,} bytes unused"
        _bad(path, f"has tensors that {where} at byte {min(begin, end):,}")


def short(foreign: object) -> str:
    """A foreign name or value as a message may show it: quoted, escaped, of bounded length."""
    text = ascii(foreign) if isinstance(foreign, str) else ascii(str(foreign)[:80])
    return text if len(text) <= 80 else text[:77] + "…'"


def listed(names: Iterable[str], most: int = 3) -> str:
    """A few of `names`, quoted, and how many more there are."""
    names = list(names)
    shown = ", ".join(short(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def _bad(path: Path, what: str) -> NoReturn:
    raise BadModelFile(f"{path} {what}", _AGAIN)
