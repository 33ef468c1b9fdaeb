"""A checkpoint folder that is written whole or not at all: under another name, with its config.json last, and then renamed.

DIR                     what is there: the old one, until the new one is complete and on the disk
.DIR.partial            the new one; its journal says which of its files are finished, and for what they were made
.DIR.replaced           the old one, for the moment between two renames
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from modeling.checkpoint.hub import CONFIG
from modeling.checkpoint.memory import show
from modeling.durable import replacing, sync_folder
from modeling.errors import FalconError, InvalidRequest, WriteFailed

_JOURNAL = ".journal.json"


class OutFolder:
    """The folder while it is being made. `purpose` tells one conversion from another: only its own files are taken up again."""

    def __init__(self, target: Path, purpose: str, *, resume: bool) -> None:
        self.target = target
        self.partial = _partial(target)
        self._purpose = purpose
        self._sums = self._finished() if resume else {}
        for path in self.partial.iterdir():  # half a file has another name, but whatever is not vouched for goes
            if path.name not in (*self._sums, *([_JOURNAL] if self._sums else [])):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def finished(self, name: str) -> bool:
        """Whether the file is there from an earlier run, as that left it: every byte is looked at."""
        path = self.partial / name
        return name in self._sums and path.is_file() and _sum(path) == self._sums[name]

    def record(self, name: str, digest: str) -> None:
        """Remember a file that is complete, and its `digest` (see `hasher`)."""
        self._sums[name] = digest
        with replacing(self.partial / _JOURNAL) as file:
            file.write(json.dumps({"purpose": self._purpose, "files": self._sums}).encode())

    def take_the_name(self, config: Mapping[str, Any]) -> None:
        """The last steps: config.json, and the name; the folder that had it goes."""
        with replacing(self.partial / CONFIG) as file:
            file.write((json.dumps(config, indent=2) + "\n").encode())
        (self.partial / _JOURNAL).unlink(missing_ok=True)
        sync_folder(self.partial)
        replaced = _replaced(self.target)
        if self.target.exists():
            self.target.rename(replaced)
        try:
            self.partial.rename(self.target)
        except OSError:
            with suppress(OSError):
                replaced.rename(self.target)
            raise
        sync_folder(self.target.parent)
        shutil.rmtree(replaced, ignore_errors=True)

    def _finished(self) -> dict[str, str]:
        try:
            journal = json.loads((self.partial / _JOURNAL).read_bytes())
            if journal["purpose"] == self._purpose:
                return {str(name): str(digest) for name, digest in journal["files"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        return {}


@contextmanager
def making(target: Path, purpose: str, size: int, *, resume: bool, force: bool) -> Iterator[OutFolder]:
    """The folder `target`, of `size` bytes, in the making. Whoever fails gives the room back; an interrupt leaves what is
    finished for `resume`.

    Raises `InvalidRequest` if something else is there, or somebody else at it; `WriteFailed`, and then the old one is intact.
    """
    try:
        refuse_occupied(target, force=force)
        partial = _partial(target)
        partial.mkdir(parents=True, exist_ok=True)
        with _alone(partial):
            try:
                if (target / CONFIG).is_file():  # whoever was killed after the renames has left the one before it
                    shutil.rmtree(_replaced(target), ignore_errors=True)
                folder = OutFolder(target, purpose, resume=resume)
                _require_room(folder, size)
                yield folder
            except (OSError, FalconError):
                shutil.rmtree(partial, ignore_errors=True)
                raise
    except OSError as error:
        what = f"{target} cannot be written: {error.strerror or error}"
        raise WriteFailed(what, "make room or choose another folder; what was there before is untouched") from None


def refuse_occupied(target: Path, *, force: bool) -> None:
    """Raise `InvalidRequest` unless `target` is free, or is a checkpoint and may be replaced."""
    replaced = _replaced(target)
    if replaced.is_dir() and not target.exists():  # a run was killed between its two renames
        with suppress(OSError):
            replaced.rename(target)
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not (target / CONFIG).is_file():
        raise InvalidRequest(f"{target} is there, and it is no checkpoint that could be replaced", "choose another --output")
    if not force:
        raise InvalidRequest(f"{target} is there already", "add --force to replace it, or choose another --output")


def hasher() -> Any:
    """What digests of files are made with."""
    return hashlib.blake2b(digest_size=16)


def _require_room(folder: OutFolder, size: int) -> None:
    there = sum(path.stat().st_size for path in folder.partial.iterdir())
    free = shutil.disk_usage(folder.partial).free
    if size - there > free:
        raise WriteFailed(
            f"{folder.target} needs {show(size - there)}, and its disk has {show(free)} free",
            "make room or choose another folder; what was there before is untouched",
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else writes into the folder meanwhile, where the system has locks for that."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidRequest(f"another falcon is writing {folder}", "wait for it, or choose another --output") from None
        yield
    finally:
        os.close(descriptor)


def _partial(target: Path) -> Path:
    return target.parent / f".{target.name}.partial"


def _replaced(target: Path) -> Path:
    return target.parent / f".{target.name}.replaced"


def _sum(path: Path) -> str:
    digest = hasher()
    with path.open("rb") as file:
        while piece := file.read(2**22):
            digest.update(piece)
    return str(digest.hexdigest())
