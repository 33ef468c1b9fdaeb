"""Files and folders that are on the disk when they have their name. Standard library only."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path, mode: int | None = None) -> Iterator[BinaryIO]:
    """A file that takes the name `path` when the block ends, whole and on the disk; after an exception nothing has changed.

    `mode` are its permissions, by default those of the file that is there, or what the user's umask leaves. A link stays one,
    and what it names is replaced. What is no file, such as /dev/null, is written to as it is. Raises the system's `OSError`s.
    """
    path = Path(os.path.realpath(path))
    special = path.exists() and not path.is_file()
    part = path if special else path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    file = part.open("wb" if special else "xb")
    try:
        if not special:
            _set_mode(part, path, mode)
        yield file
        file.flush()
        if not special:
            os.fsync(file.fileno())
        file.close()
        if not special:
            part.replace(path)
            sync_folder(path.parent)
    finally:
        with suppress(OSError):  # what cannot be flushed has been told, or something worse has
            file.close()
        if not special:
            part.unlink(missing_ok=True)


def _set_mode(part: Path, path: Path, mode: int | None) -> None:
    """The new file may be read by whoever could read the old one, or is to."""
    if mode is not None:
        part.chmod(mode)
        return
    with suppress(OSError):
        part.chmod(stat.S_IMODE(path.stat().st_mode))


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system has a way to."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
