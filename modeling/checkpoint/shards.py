"""A checkpoint's tensors, over one file or many: which files, and what is where in them.

`model.safetensors` alone, or `model.safetensors.index.json` with a map from tensor name to shard. The index is foreign text
that names files: its entries must be plain names, and the files must lie in the folder, symbolic links followed to their end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from modeling.checkpoint.header import (
    MAX_HEADER,
    MAX_TENSORS,
    StoredTensor,
    listed,
    parse_json,
    read_header,
    refuse_impostor,
    short,
)
from modeling.errors import BadModelFile

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
MAX_SHARDS = 1024

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.safetensors", re.ASCII)
_AGAIN = "download the model again"


def read_tensors(folder: Path) -> dict[str, StoredTensor]:
    """All tensors of the checkpoint in `folder` by name, from checked headers; no tensor data is read.

    Raises `BadModelFile` for a shard that is missing, damaged or outside the folder, an index that disagrees with its shards,
    or a tensor that stands in two of them.
    """
    index = folder / INDEX
    weight_map = read_index(index) if choose(_names(folder)) == INDEX else None
    tensors: dict[str, StoredTensor] = {}
    for path in weight_files(folder):
        for name, tensor in read_header(path).items():
            if name in tensors:
                raise BadModelFile(
                    f"tensor {short(name)} stands twice, in {tensors[name].file.name} and in {path.name} of {folder}", _AGAIN
                )
            tensors[name] = tensor
    if weight_map is not None:
        _check_index(index, weight_map, tensors)
    return tensors


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files that make up the checkpoint in `folder`, each there and inside it.

    Raises `BadModelFile` otherwise, and if there are none: a model in pickle or GGUF files is refused by name.
    """
    names = _names(folder)
    choice = choose(names)
    if choice is None:
        raise _no_weights(str(folder), names)
    shards = shard_names(folder / INDEX, read_index(folder / INDEX)) if choice == INDEX else [choice]
    missing = [name for name in shards if name not in names]
    if missing:
        raise BadModelFile(f"{folder} lacks {len(missing)} of {len(shards)} weight files: {listed(missing)}", _AGAIN)
    return tuple(inside(folder, name) for name in shards)


def choose(names: Iterable[str]) -> str | None:
    """Which of a checkpoint's file names holds or indexes its weights, by transformers' order of preference; None: none does.

    A single safetensors file counts under any name; several without an index do not say which belong together.
    """
    present = set(names)
    for name in (SINGLE, INDEX):
        if name in present:
            return name
    weights = [name for name in present if name.endswith(".safetensors")]
    return weights[0] if len(weights) == 1 else None


def refuse_without_weights(where: str, names: Iterable[str]) -> None:
    """Raise `BadModelFile` if none of the file `names` in `where` (for the message) can be the checkpoint's weights."""
    names = list(names)
    if choose(names) is None:
        raise _no_weights(where, names)


def read_index(path: Path) -> dict[str, str]:
    """The map from tensor name to shard name in an index file. Raises `BadModelFile`."""
    try:
        with inside(path.parent, path.name).open("rb") as file:
            raw = file.read(MAX_HEADER + 1)
    except OSError as error:
        raise BadModelFile(f"{path} cannot be read: {error.strerror or error}", "check the file and its permissions") from None
    refuse_impostor(path, raw[:64])
    if len(raw) > MAX_HEADER or raw.count(b"{") > MAX_TENSORS or raw.count(b"[") > MAX_TENSORS:
        raise BadModelFile(f"{path} is too large for an index of tensors", _AGAIN)
    index: Any = parse_json(path, raw)
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map or not all(isinstance(file, str) for file in weight_map.values()):
        raise BadModelFile(f"{path} holds no weight_map from tensor names to files", _AGAIN)
    return weight_map


def shard_names(path: Path, weight_map: Mapping[str, str]) -> list[str]:
    """The files an index names, sorted. Raises `BadModelFile` for anything but plain names: `../x` would leave the folder."""
    names = sorted(set(weight_map.values()))
    for name in names:
        if not _PLAIN_NAME.fullmatch(name):
            raise BadModelFile(
                f"{path} names a weight file that is no plain .safetensors name: {short(name)}",
                "do not use this model: an honest index has no such entry",
            )
    if len(names) > MAX_SHARDS:
        raise BadModelFile(f"{path} names {len(names):,} weight files", _AGAIN)
    return names


def inside(folder: Path, name: str) -> Path:
    """`folder`/`name`, if the file it leads to lies in the folder, or where the hub's cache keeps the files of a snapshot.

    Raises `BadModelFile` for a symbolic link that leads elsewhere.
    """
    path = folder / name
    try:
        target = path.resolve(strict=True)
        home = folder.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise BadModelFile(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}", _AGAIN) from None
    if not any(target.is_relative_to(root) for root in (home, *_blob_stores(home))):
        raise BadModelFile(f"{path} is a link to {target}, outside the model's folder", "put the file itself into the folder")
    return path


def _blob_stores(home: Path) -> tuple[Path, ...]:
    """Where links of a snapshot in the hub's cache lead: models--org--name/blobs and, since hub 2, the cache's own blobs."""
    repository = home.parent.parent
    if home.parent.name != "snapshots" or not repository.name.startswith("models--"):
        return ()
    stores = (repository / "blobs", repository.parent / "blobs")
    return tuple(store for store in stores if store.is_dir() and not store.is_symlink())


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise BadModelFile(f"{folder} cannot be read: {error.strerror or error}", "name the folder of a checkpoint") from None


def _check_index(index: Path, weight_map: Mapping[str, str], tensors: Mapping[str, StoredTensor]) -> None:
    """Each tensor is in the shard that the index says, and the shards hold nothing else."""
    absent = [name for name in weight_map if name not in tensors]
    if absent:
        raise BadModelFile(f"{index} names {len(absent)} tensors that its files do not hold: {listed(absent)}", _AGAIN)
    elsewhere = [name for name, file in weight_map.items() if tensors[name].file.name != file]
    if elsewhere:
        raise BadModelFile(f"{index} looks for {len(elsewhere)} tensors in the wrong file: {listed(elsewhere)}", _AGAIN)
    unlisted = [name for name in tensors if name not in weight_map]
    if unlisted:
        raise BadModelFile(
            f"the files of {index} hold {len(unlisted)} tensors that it does not name: {listed(unlisted)}", _AGAIN
        )


def _no_weights(where: str, names: Iterable[str]) -> BadModelFile:
    """Why there are no weights to load, in the terms of what is there instead."""
    names = list(names)
    endings = {Path(name).suffix for name in names}
    if ".safetensors" in endings:
        return BadModelFile(
            f"{where} has several safetensors files and no {INDEX}, so nothing says which belong together", _AGAIN
        )
    if endings & {".bin", ".pt", ".pth", ".pkl", ".ckpt"}:
        return BadModelFile(
            f"{where} has its weights only in pickle files, which can run code when opened; falcon reads safetensors",
            "choose a revision with safetensors files, or convert it with transformers: from_pretrained, then save_pretrained",
        )
    if ".gguf" in endings:
        return BadModelFile(f"{where} holds GGUF files; falcon reads safetensors", "use the original checkpoint")
    if "adapter_config.json" in names:
        return BadModelFile(f"{where} is a LoRA adapter, not a whole model", "merge it into its base model first")
    return BadModelFile(f"{where} has no safetensors files", _AGAIN)
