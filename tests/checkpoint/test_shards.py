from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modeling.checkpoint.shards import INDEX, choose, read_tensors, weight_files
from modeling.errors import BadModelFile

Pack = Callable[..., bytes]
ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
MAP = {"a": ONE, "b": ONE, "c": TWO}


@pytest.fixture
def folder(tmp_path: Path, pack: Pack) -> Path:
    """A checkpoint in two shards."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / ONE).write_bytes(pack({"a": ("F32", [2, 3]), "b": ("BF16", [4])}))
    (folder / TWO).write_bytes(pack({"c": ("F32", [8])}))
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 64}, "weight_map": MAP}))
    return folder


def index(folder: Path, **changes: Any) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": MAP | changes}))


def test_shards_and_a_single_file_give_all_tensors(folder: Path, tmp_path: Path, pack: Pack) -> None:
    assert {name: tensor.file.name for name, tensor in read_tensors(folder).items()} == MAP
    for name in ("model.safetensors", "weights.safetensors"):  # any name, if it is the only one
        alone = tmp_path / f"only {name}"
        alone.mkdir()
        (alone / name).write_bytes(pack({"a": ("F32", [2])}))
        assert list(read_tensors(alone)) == ["a"]


def swap(folder: Path) -> None:
    (folder / ONE).rename(folder / "x")
    (folder / TWO).rename(folder / ONE)
    (folder / "x").rename(folder / TWO)


def outside(folder: Path) -> Path:
    """A perfectly good shard that lies beside the folder and not in it."""
    return (folder / TWO).rename(folder.parent / TWO)


def link_to_folder(folder: Path) -> None:
    other = folder.parent / "elsewhere"
    other.mkdir()
    (folder / TWO).rename(other / TWO)
    (folder / "sub").symlink_to(other)
    index(folder, c=f"sub/{TWO}")


FAULTS: dict[str, tuple[Callable[[Path, Pack], object], str]] = {
    "shard missing": (lambda f, p: (f / TWO).unlink(), "lacks 1 of 2"),
    "both shards missing": (lambda f, p: [(f / name).unlink() for name in (ONE, TWO)], "lacks 2 of 2"),
    "shards swapped": (lambda f, p: swap(f), "wrong file"),
    "parent folder": (lambda f, p: (outside(f), index(f, c=f"../{TWO}")), "no plain"),
    "parent in the middle": (lambda f, p: index(f, c=f"x/../{TWO}"), "no plain"),
    "absolute path": (lambda f, p: index(f, c=str(outside(f))), "no plain"),
    "subfolder": (lambda f, p: index(f, c=f"sub/{TWO}"), "no plain"),
    "subfolder behind a link": (lambda f, p: link_to_folder(f), "no plain"),
    "backslashes": (lambda f, p: index(f, c=f"..\\{TWO}"), "no plain"),
    "drive letter": (lambda f, p: index(f, c=f"C:{TWO}"), "no plain"),
    "NUL": (lambda f, p: index(f, c=f"{TWO}\0"), "no plain"),
    "line break": (lambda f, p: index(f, c=f"{TWO}\n"), "no plain"),
    "hidden file": (lambda f, p: index(f, c=".x.safetensors"), "no plain"),
    "pickle": (lambda f, p: index(f, c="pytorch_model.bin"), "no plain"),
    "python": (lambda f, p: index(f, c="modeling.py"), "no plain"),
    "empty name": (lambda f, p: index(f, c=""), "no plain"),
    "name of 300 characters": (lambda f, p: index(f, c="n" * 300 + ".safetensors"), "no plain"),
    "file is no string": (lambda f, p: index(f, c=7), "no weight_map"),
    "file is a list": (lambda f, p: index(f, c=[TWO]), "no weight_map"),
    "link out of the folder": (lambda f, p: (f / TWO).symlink_to(outside(f)), "outside"),
    "relative link out of the folder": (lambda f, p: (outside(f), (f / TWO).symlink_to(f"../{TWO}")), "outside"),
    "link to a device": (lambda f, p: ((f / TWO).unlink(), (f / TWO).symlink_to("/dev/zero")), "outside"),
    "link to itself": (lambda f, p: ((f / TWO).unlink(), (f / TWO).symlink_to(f / TWO)), "cannot be read"),
    "dangling link": (lambda f, p: ((f / TWO).unlink(), (f / TWO).symlink_to("nothing")), "cannot be read"),
    "shard is a folder": (lambda f, p: ((f / TWO).unlink(), (f / TWO).mkdir()), "not a regular file"),
    "shard is a pipe": (lambda f, p: ((f / TWO).unlink(), os.mkfifo(f / TWO)), "not a regular file"),
    "shard is a git-LFS pointer": (
        lambda f, p: (f / TWO).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
        "git-LFS pointer",
    ),
    "shard is a web page": (lambda f, p: (f / TWO).write_text("<!DOCTYPE html><html>Sign in</html>"), "HTML page"),
    "shard is cut": (lambda f, p: (f / TWO).write_bytes((f / TWO).read_bytes()[:-1]), "ends early"),
    "shard is empty": (lambda f, p: (f / TWO).write_bytes(b""), "too few"),
    "shard of another model": (lambda f, p: (f / TWO).write_bytes(p({"z": ("F32", [1])})), "do not hold: 'c'"),
    "tensor absent from its shard": (lambda f, p: index(f, d=TWO), "do not hold: 'd'"),
    "tensor that the index does not name": (
        lambda f, p: (f / TWO).write_bytes(p({"c": ("F32", [8]), "extra": ("F32", [1])})),
        "does not name: 'extra'",
    ),
    "tensor in the wrong shard": (lambda f, p: index(f, a=TWO), "wrong file: 'a'"),
    "tensor twice": (lambda f, p: (f / TWO).write_bytes(p({"c": ("F32", [8]), "a": ("F32", [2, 3])})), "twice"),
    "shard twice under two names": (lambda f, p: (f / TWO).write_bytes((f / ONE).read_bytes()), "twice"),
    "index is a git-LFS pointer": (
        lambda f, p: (f / INDEX).write_text("version https://git-lfs.github.com/spec/v1\n"),
        "git-LFS pointer",
    ),
    "index is no JSON": (lambda f, p: (f / INDEX).write_text("{"), "not valid JSON"),
    "index repeats a tensor": (lambda f, p: (f / INDEX).write_text('{"weight_map": {"a": "x", "a": "y"}}'), "twice"),
    "index is a list": (lambda f, p: (f / INDEX).write_text("[]"), "no weight_map"),
    "index without weight_map": (lambda f, p: (f / INDEX).write_text('{"metadata": {}}'), "no weight_map"),
    "index with an empty weight_map": (lambda f, p: (f / INDEX).write_text('{"weight_map": {}}'), "no weight_map"),
    "index nested too deep": (lambda f, p: (f / INDEX).write_text("[" * 30_000), "not valid JSON"),
    "index of 5 MiB": (lambda f, p: (f / INDEX).write_text(" " * (5 * 2**20)), "too large"),
    "index with 2,000 shards": (
        lambda f, p: index(f, **{f"t{i}": f"m{i}.safetensors" for i in range(2000)}),
        "names 2,00",
    ),
    "index is a link out of the folder": (
        lambda f, p: ((f / INDEX).rename(f.parent / INDEX), (f / INDEX).symlink_to(f.parent / INDEX)),
        "outside",
    ),
    "several files without an index": (lambda f, p: (f / INDEX).unlink(), "several safetensors files"),
}


@pytest.mark.promise
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_shards_or_index_is_refused(folder: Path, pack: Pack, fault: str) -> None:
    make, says = FAULTS[fault]
    make(folder, pack)
    with pytest.raises(BadModelFile) as caught:
        read_tensors(folder)
    assert says in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["pytorch_model.bin"], "pickle"),
        (["pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"], "pickle"),
        (["consolidated.00.pth"], "pickle"),
        (["model.pt"], "pickle"),
        (["model.pkl"], "pickle"),
        (["model-Q4_K_M.gguf"], "GGUF"),
        (["adapter_config.json", "adapter_model.txt"], "LoRA"),
        (["config.json"], "no safetensors"),
        ([], "no safetensors"),
    ],
)
def test_other_weights_are_refused_by_name(tmp_path: Path, names: list[str], says: str) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(BadModelFile, match=says) as caught:
        weight_files(tmp_path)
    assert caught.value.hint


def test_a_link_within_the_folder_is_fine(folder: Path) -> None:
    (folder / "files").mkdir()
    (folder / TWO).rename(folder / "files" / TWO)
    (folder / TWO).symlink_to(f"files/{TWO}")
    assert len(read_tensors(folder)) == 3


def snapshot(tmp_path: Path, folder: Path, store: Path) -> Path:
    """The checkpoint as the hub's cache keeps it: a folder of links into a store of blobs."""
    home = tmp_path / "hub" / "models--org--name" / "snapshots" / ("0" * 40)
    home.mkdir(parents=True)
    store.mkdir(parents=True)
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(store / f"blob{number}")
        (home / path.name).symlink_to(os.path.relpath(store / f"blob{number}", home))
    return home


@pytest.mark.parametrize("store", ["hub/models--org--name/blobs", "hub/blobs"])
def test_the_links_of_the_hubs_cache_are_fine(tmp_path: Path, folder: Path, store: str) -> None:
    home = snapshot(tmp_path, folder, tmp_path / store)
    assert len(read_tensors(home)) == 3
    other_name = tmp_path / "shortcut"
    other_name.symlink_to(home)
    assert len(read_tensors(other_name)) == 3


def test_a_snapshot_may_link_to_nowhere_else(tmp_path: Path, folder: Path) -> None:
    home = snapshot(tmp_path, folder, tmp_path / "hub" / "models--org--other" / "blobs")
    with pytest.raises(BadModelFile, match="outside"):
        read_tensors(home)


def test_a_store_of_blobs_that_is_itself_a_link_does_not_count(tmp_path: Path, folder: Path) -> None:
    home = snapshot(tmp_path, folder, tmp_path / "secrets")
    (tmp_path / "hub" / "models--org--name" / "blobs").symlink_to(tmp_path / "secrets")
    with pytest.raises(BadModelFile, match="outside"):
        read_tensors(home)


def test_the_order_of_preference_is_that_of_transformers() -> None:
    assert choose(["x.safetensors", INDEX, "model.safetensors"]) == "model.safetensors"
    assert choose(["x.safetensors", INDEX, "y.safetensors"]) == INDEX
    assert choose(["x.safetensors", "y.safetensors"]) is None
    assert choose(["x.safetensors", "y.bin"]) == "x.safetensors"
