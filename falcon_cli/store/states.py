"""The files of states beside the database: states/<session>/<turn>.safetensors. A cache: it may be thrown away at any time.

Whoever writes and reads them checks them; here they are only listed, counted and removed. The time of change of a file is that
of its last use.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modeling.errors import WriteFailed

SUFFIX = ".safetensors"
_ABANDONED = 3600.0  # seconds after which a file that was never finished belongs to a process that is gone


@dataclass(frozen=True, slots=True)
class StateFile:
    """The state behind the turn of a row, in bytes, and when it was last used (in seconds since 1970)."""

    session: str
    row: int
    path: Path
    bytes: int
    used: float


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many files were removed, how many bytes that gave back, and how many bytes of states are left."""

    files: int
    freed: int
    left: int


class States:
    """The states below a folder, which may not exist yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, session: str, row: int) -> Path:
        """Where the state of a turn belongs; the folder is there. Raises `WriteFailed`."""
        folder = self._folder / session
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise WriteFailed(f"{folder} cannot be made: {error.strerror}", "states are not kept; the text is") from None
        return folder / f"{row}{SUFFIX}"

    def of(self, session: str) -> list[StateFile]:
        """The states of a session, the oldest turn first."""
        found = []
        for entry in _entries(self._folder / session):
            path = Path(entry.path)
            if path.suffix == SUFFIX and path.stem.isdecimal() and len(path.stem) < 19:
                with suppress(OSError):  # removed meanwhile
                    status = entry.stat(follow_symlinks=False)
                    found.append(StateFile(session, int(path.stem), path, status.st_size, status.st_mtime))
        return sorted(found, key=lambda state: state.row)

    def all(self) -> list[StateFile]:
        """The states of all sessions, those that are no longer kept among them."""
        return [state for session in self._sessions() for state in self.of(session)]

    def remove(self, session: str) -> None:
        """Remove all states of a session, as far as the system lets."""
        self._unlink(self.of(session))
        self._tidy(session, abandoned=0.0)

    def prune(self, states: Collection[StateFile], lost: Collection[StateFile], heads: Collection[int], budget: int) -> Pruned:
        """Remove of `states` those that are `lost`, then the longest unused until the others fit, those of `heads` last."""
        kept = sorted((state for state in states if state not in lost), key=lambda state: (state.row in heads, state.used))
        left = sum(state.bytes for state in kept)
        doomed = list(lost)
        while left > budget:
            doomed.append(kept.pop(0))
            left -= doomed[-1].bytes
        removed = self._unlink(doomed)
        for session in self._sessions():
            self._tidy(session, _ABANDONED)
        return Pruned(len(removed), sum(state.bytes for state in removed), sum(state.bytes for state in self.all()))

    def _sessions(self) -> list[str]:
        return sorted(entry.name for entry in _entries(self._folder) if entry.is_dir(follow_symlinks=False))

    def _unlink(self, states: Collection[StateFile]) -> list[StateFile]:
        removed = []
        for state in states:
            with suppress(OSError):
                state.path.unlink()
                removed.append(state)
        return removed

    def _tidy(self, session: str, abandoned: float) -> None:
        """Remove files that were never finished, and the folder if it is empty."""
        folder = self._folder / session
        for entry in _entries(folder):
            if entry.name.endswith(".part"):
                with suppress(OSError):
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime >= abandoned:
                        Path(entry.path).unlink()
        with suppress(OSError):
            folder.rmdir()


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from list(entries)
    except OSError:
        return
