"""Where the answers to rows go: a line each, at once. In a file they last, and after a crash it tells which rows are done."""

from __future__ import annotations

import json
import os
import time
from array import array
from collections import Counter
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from falcon_cli import console
from falcon_cli.batch.rows import RowId, row_id_of
from falcon_cli.output import check_folder
from modeling.durable import sync_folder
from modeling.errors import InvalidRequest, WriteFailed

SYNC = 1.0  # seconds of answers that a power cut may take; a crash of the process takes none


class Journal(Protocol):
    """`failed` counts the rows that were there before and are errors."""

    failed: int

    def done(self, row_id: RowId) -> bool:
        """Whether the row has been answered. Asked once for each row, in the order of the input."""

    def write(self, line: str) -> None:
        """Add an answer. Raises `WriteFailed`."""

    def settle(self, *, now: bool = False) -> None:
        """Make what was written last, once a second, or `now`. Raises `WriteFailed`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class Stream:
    """Standard output: nobody knows what went there before."""

    failed = 0

    def done(self, row_id: RowId) -> bool:
        return False

    def write(self, line: str) -> None:
        console.write(line + "\n")

    def settle(self, *, now: bool = False) -> None:
        """Each line has gone."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Each line has been flushed."""


class File:
    """A file that rows are added to. A line is whole or not there: what a crash or a full disk has torn is cut off again."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        """A pipe or a device is written as it is. Raises `WriteFailed` if it cannot be written, `InvalidRequest` if it has
        something in it that is not to be gone on with, or is not falcon's."""
        check_folder(path.expanduser())
        self.failed = 0
        self._path = path.expanduser()
        self._done = Done()
        self._due: float | None = None  # when what was written is to be on the disk
        self._size = 0
        with self._told("choose another file"):
            self._new = not self._path.exists()
            self._special = not self._new and not self._path.is_file()
            self._file: BinaryIO = self._path.open("wb" if self._special else "ab+")
        try:
            if not self._special:
                self._lock()
                self._size = self._path.stat().st_size
            if self._size and not resume:
                raise InvalidRequest(f"{path} has something in it", "add --resume to go on with it, or choose another file")
            if self._size:
                self._size = self._take_over()
            if self._new:
                sync_folder(self._path.absolute().parent)
        except BaseException:
            self._file.close()
            raise

    def done(self, row_id: RowId) -> bool:
        return self._done.take(row_id)

    def write(self, line: str) -> None:
        data = line.encode("utf-8", "replace") + b"\n"
        try:
            with self._told():
                self._file.write(data)
                self._file.flush()
                self._size += len(data)
        except WriteFailed:
            self._cut()
            raise
        if self._due is None and not self._special:
            self._due = time.monotonic() + SYNC
        self.settle()

    def settle(self, *, now: bool = False) -> None:
        if self._due is not None and (now or time.monotonic() >= self._due):
            self._due = None
            with self._told():
                os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self.settle(now=True)
        finally:
            with suppress(OSError):
                if kind is not None and self._new and not self._size:
                    self._path.unlink()  # nothing came of it
                self._file.close()

    def _take_over(self) -> int:
        """Learn which rows are there; returns the bytes of all whole lines, behind which the next one goes."""
        size = 0
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            found = _parsed(line)
            if found is None and not line.endswith(b"\n"):
                break  # torn by a crash
            row_id = None if found is None else row_id_of(found)
            if found is None or row_id is None:
                raise InvalidRequest(
                    f"line {number} of {self._path} is no row that falcon wrote", "name the file that --output wrote"
                )
            self.failed += found.get("error") is not None
            self._done.add(row_id)
            size += len(line)
            if not line.endswith(b"\n"):
                with self._told():
                    self._file.write(b"\n")
                    self._file.flush()
                return size + 1
        with self._told():
            self._file.truncate(size)
        return size

    def _cut(self) -> None:
        """Take back the part of a line that there was room for."""
        if not self._special:
            with suppress(OSError):
                os.ftruncate(self._file.fileno(), self._size)
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())  # what is still buffered must not come later

    def _lock(self) -> None:
        """Raises `WriteFailed` while another process adds rows to the file."""
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WriteFailed(
                f"{self._path} is being written by another process", "wait for it, or choose another file"
            ) from None
        except OSError:  # a file system without locks
            return

    def _told(self, hint: str = "make room and add --resume: the rows that are there are whole") -> _Told:
        return _Told(self._path, hint)


class _Told:
    """Turns what the system says about a file into `WriteFailed`."""

    def __init__(self, path: Path, hint: str) -> None:
        self._path = path
        self._hint = hint

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, OSError):
            raise WriteFailed(f"{self._path} cannot be written: {error.strerror}", self._hint) from None


class Done:
    """The ids of rows that are there: eight bytes each, as long as rows are asked for in the order in which they were written.

    An id that is there twice is there for two rows.
    """

    def __init__(self) -> None:
        self._digests = array("Q")
        self._place = 0
        self._others: Counter[int] | None = None

    def add(self, row_id: RowId) -> None:
        self._digests.append(_digest(row_id))

    def take(self, row_id: RowId) -> bool:
        """Whether the row is there."""
        digest = _digest(row_id)
        if self._place < len(self._digests) and self._digests[self._place] == digest:
            self._place += 1
            return True
        if self._place == len(self._digests) and self._others is None:
            return False
        if self._others is None:  # out of step: --unordered, or somebody has removed a row
            self._others = Counter(self._digests[self._place :])
            self._digests, self._place = array("Q"), 0
        there = self._others[digest] > 0
        if there:
            self._others[digest] -= 1
        return there


def _digest(row_id: RowId) -> int:
    return int.from_bytes(blake2b(json.dumps(row_id).encode(), digest_size=8).digest(), "little")


def _parsed(line: bytes) -> dict[str, object] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
