"""From the name of a model to a complete checkpoint folder on this disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from modeling.checkpoint import hub
from modeling.checkpoint.catalogue import shape_of, suggest
from modeling.checkpoint.header import refuse_impostor
from modeling.checkpoint.hub import CONFIG
from modeling.checkpoint.shards import inside, weight_files
from modeling.errors import BadModelFile, InvalidRequest, ModelNotFound
from modeling.messages import ModelSpec, ProgressSink

_PATH_LIKE = re.compile(r"[.~/\\]|[A-Za-z]:[/\\]|.*[/\\]$|.*\\|.*/.*/")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint on this disk: config, tokenizer and weights in one folder, under Hugging Face's file names.

    `name` is what the user called it. `commit` is the hub's, 40 hex digits; None for a local folder.
    """

    folder: Path
    name: str
    commit: str | None = None


def find(spec: ModelSpec, progress: ProgressSink | None = None) -> Checkpoint:
    """The checkpoint that `spec.name` means: a folder if there is one, else a repository on the hub, downloaded if need be.

    No weights are read, but the files are there: the ones an index names, none of them a git-LFS pointer.

    Raises `ModelNotFound`, `ModelGated` or `DownloadFailed` if it cannot be had, `BadModelFile` if it is no checkpoint with
    safetensors, `InvalidRequest` for a name that is none.
    """
    path = _local(spec)
    if path is not None:
        checkpoint = Checkpoint(path, spec.name)
    else:
        folder = hub.download(spec.name, spec.revision, spec.offline, progress)
        checkpoint = Checkpoint(folder, spec.name, folder.name)
    _check(checkpoint.folder)
    return checkpoint


def find_config(spec: ModelSpec) -> Checkpoint:
    """The folder with the config.json of what `spec.name` means. Weights and tokenizer need not be there, nor are they fetched.

    The shapes of the published models are in the package: their names need no network, unless a revision is asked for.

    Raises as `find` does.
    """
    path = _local(spec)
    if path is None and spec.revision is None and (shape := shape_of(spec.name)) is not None:
        return Checkpoint(shape, spec.name)
    if path is None:
        path = hub.download_config(spec.name, spec.revision, spec.offline)
        return Checkpoint(path, spec.name, path.name)
    _check_config(path)
    return Checkpoint(path, spec.name)


def _local(spec: ModelSpec) -> Path | None:
    """The folder that `spec.name` names; None if the name is one for the hub to know."""
    name = spec.name
    if not name or "\0" in name:
        raise InvalidRequest(
            "the name of the model is empty or has a NUL in it", "use organisation/name, or the path of a folder"
        )
    try:
        path = Path(name).expanduser()
        if path.is_dir():
            if spec.revision is not None:
                raise InvalidRequest(
                    f"{name} is a local folder, which has no revision {spec.revision!r}", "leave out --revision"
                )
            return path.absolute()
        if path.is_file():
            raise ModelNotFound(f"{name} is a file, not the folder of a checkpoint", f"did you mean {path.absolute().parent}?")
    except (OSError, RuntimeError) as error:  # name too long, no permission, unknown ~user
        raise ModelNotFound(
            f"{name[:200]} cannot be opened: {error}", "use organisation/name, or the path of a folder"
        ) from None
    if _PATH_LIKE.match(name):
        raise ModelNotFound(f"there is no folder {name}", _neighbour(path) or "check the path")
    if not hub.is_repository(name):
        raise ModelNotFound(
            f"{name!r} is neither a folder nor a name that the hub could know",
            suggest(name) or "use organisation/name, or the path of a folder",
        )
    return None


def _neighbour(path: Path) -> str:
    """ "did you mean" for a mistyped path: the nearest name beside it."""
    parent = path.absolute().parent
    try:
        beside = [str(parent / entry.name) for entry in parent.iterdir() if entry.is_dir()]
    except OSError:
        return f"{parent} is not there either" if not parent.exists() else ""
    found = suggest(path.name, *beside)
    return found if any(found == f"did you mean {candidate}?" for candidate in beside) else ""


def _check_config(folder: Path) -> None:
    """A folder without a config is none of a checkpoint."""
    if not (folder / CONFIG).exists():
        snapshots = folder / "snapshots"
        inner = (
            sorted(snapshots.iterdir()) if snapshots.is_dir() else sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))
        )
        hint = f"did you mean {inner[0]}?" if inner else "name the folder of a Hugging Face checkpoint"
        raise ModelNotFound(f"{folder} has no {CONFIG}", hint)


def _check(folder: Path) -> None:
    """What can be said about a folder without opening its weights."""
    _check_config(folder)
    weight_files(folder)
    # A repository cloned without git-LFS has pointers for tokenizers, too. Nothing that will be read may be a pipe (reading it
    # would never end) or a link to a file of somebody else (its text would become part of the prompt).
    for path in sorted((*folder.glob("*.json"), *folder.glob("*.jinja"))):
        if not path.is_file():
            raise BadModelFile(f"{path} is not a regular file", "download the model again")
        with inside(folder, path.name).open("rb") as file:
            refuse_impostor(path, file.read(64))
