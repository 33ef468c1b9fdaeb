"""Which checkpoint a state belongs to, in hashes: of the config, the weights and the tokenizer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from modeling.checkpoint.shards import weight_files
from modeling.errors import BadModelFile

PROBES, PROBE = 64, 4096  # spots in each weight file, bytes at each


def identify(folder: Path) -> dict[str, str]:
    """The identity of the checkpoint in `folder`. Raises `BadModelFile` if its files cannot be read.

    Weights are known by their files' names and sizes and by bytes from 64 places in each: gigabytes are not read again for
    every chat, and two trainings of one shape differ everywhere.
    """
    try:
        return {
            "config": _hash([(folder / "config.json").read_bytes()]),
            "weights": of_weights(folder),
            "tokenizer": _hash([(folder / "tokenizer.json").read_bytes()]),
        }
    except OSError as error:
        raise BadModelFile(f"{folder} cannot be read: {error.strerror or error}", "check the files and the disk") from None


def of_weights(folder: Path) -> str:
    """The hash of what the weight files are known by. Raises `BadModelFile`, or `OSError`, if they cannot be read."""
    return _hash(part for file in weight_files(folder) for part in _probes(file))


def of_text(text: str) -> str:
    """The hash of a text, such as a chat template."""
    return _hash([text.encode("utf-8", "surrogatepass")])


def _probes(path: Path) -> Iterable[bytes]:
    size = path.stat().st_size
    yield f"{path.name} {size}".encode()
    with path.open("rb") as file:
        for place in range(PROBES):
            file.seek(max(0, size - PROBE) * place // (PROBES - 1))
            yield file.read(PROBE)


def _hash(parts: Iterable[bytes]) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        hasher.update(len(part).to_bytes(8, "little") + part)
    return hasher.hexdigest()
