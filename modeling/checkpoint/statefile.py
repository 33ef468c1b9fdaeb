"""A state on disk: what one slot remembers, with the ids that it is the record of and whose it is.

A safetensors file: the ids (I32), the tensors of the state by layer, and in its metadata the identity of the model, tokenizer
and template that made it and a checksum of every tensor. It is a cache. Whatever is wrong with it is told in one sentence, and
the tokens can be read again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from modeling.checkpoint.header import read_header, read_metadata
from modeling.checkpoint.reader import TORCH_DTYPES, Reader
from modeling.checkpoint.tensorfile import Entry, content, header
from modeling.durable import replacing
from modeling.errors import BadModelFile, StateRefused, WriteFailed

FORMAT = "1"
_IDS = "ids"
_AGAIN = "it is read again from its text"
_WORDS = {
    "format": "written by another version of falcon",
    "config": "made by another model",
    "weights": "made with other weights",
    "dtype": "made in another number format",
    "quantization": "made with another quantization",
    "tokenizer": "made with another tokenizer",
    "template": "made with another chat template",
}


def write_state(path: Path, tensors: Mapping[str, Tensor], ids: Sequence[int], identity: Mapping[str, str]) -> None:
    """Write a state whole or not at all, and durably. `tensors` are those of `Snapshot.tensors`, on the CPU.

    Raises `WriteFailed`; what was there before is then untouched.
    """
    whole = {_IDS: torch.tensor(ids, dtype=torch.int32), **{name: tensor.contiguous() for name, tensor in tensors.items()}}
    sums = {name: _checksum(tensor) for name, tensor in whole.items()}
    entries = {name: Entry.of(tensor) for name, tensor in whole.items()}
    try:
        with replacing(path, mode=0o600) as file:
            file.write(header(entries, {**identity, "format": FORMAT, "checksums": json.dumps(sums)}))
            for tensor in whole.values():
                file.write(content(tensor))
    except OSError as error:
        raise WriteFailed(f"{path} cannot be written: {error.strerror}", "make room, or go on without it") from None


def read_state(path: Path, identity: Mapping[str, str]) -> tuple[tuple[int, ...], dict[str, Tensor]]:
    """The ids and the tensors (on the CPU) of a state that was made by what `identity` names.

    Raises `StateRefused` for a file that is missing, damaged or foreign.
    """
    try:
        stored, metadata = read_header(path), read_metadata(path)
        for name, value in {**identity, "format": FORMAT}.items():
            if metadata.get(name) != value:
                raise StateRefused(f"the state in {path.name} was {_WORDS.get(name, f'made with another {name}')}", _AGAIN)
        reader, tensors = Reader(), {}
        sums = json.loads(metadata.get("checksums", ""))
        for name, entry in stored.items():
            dtype = torch.int32 if name == _IDS else TORCH_DTYPES.get(entry.dtype, torch.float32)
            tensors[name] = reader.exact(entry, dtype)
            if sums[name] != _checksum(tensors[name]):
                raise StateRefused(f"the state in {path.name} is damaged", _AGAIN)
        return tuple(tensors.pop(_IDS).tolist()), tensors
    except BadModelFile as error:
        raise StateRefused(f"the state cannot be used: {error}", _AGAIN) from None
    except (KeyError, ValueError, TypeError, RecursionError):
        raise StateRefused(f"{path.name} is no state of falcon", _AGAIN) from None


def _checksum(tensor: Tensor) -> str:
    return hashlib.sha256(content(tensor)).hexdigest()
