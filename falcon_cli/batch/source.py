"""The lines of a file of prompts, or of a pipe, as they come: few of them at a time, and nobody waits for a slow pipe who has
something else to do."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import BinaryIO, Self

from falcon_cli.prompt import STDIN
from modeling.errors import InvalidRequest

AHEAD = 64  # lines read before anybody has asked for them
_PATIENCE = 0.1  # seconds between two looks at whether to stop


class Source:
    """Lines with their numbers (from 1), without the empty ones. `size` is that of the file in bytes, None for a pipe; `plain`
    tells whether lines are text: by the file's name, or else by its first line.

    Raises `InvalidRequest` for a file that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.name = "standard input" if path == STDIN else str(path)
        self._file = self._open(path)
        status = os.fstat(self._file.fileno())
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else None
        self.plain: bool | None = {".txt": True, ".jsonl": False, ".ndjson": False, ".json": False}.get(path.suffix.lower())
        self._lines: Queue[tuple[int, bytes] | OSError | None] = Queue(AHEAD)
        self._stop = Event()
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self.size is not None:  # a pipe may keep its reader waiting for ever
            self._thread.join()

    def next(self, *, wait: bool) -> tuple[int, bytes] | None:
        """The next line and its number; None if there is none yet (unless `wait`) or none any more: `ended` tells."""
        while not self._stop.is_set():
            try:
                found = self._lines.get(timeout=_PATIENCE) if wait else self._lines.get_nowait()
            except Empty:
                if wait:
                    continue
                return None
            if found is None:
                break
            if isinstance(found, OSError):
                raise InvalidRequest(f"{self.name} cannot be read: {found.strerror}", "check the file and the disk")
            if self.plain is None:
                self.plain = not found[1].lstrip(b"\xef\xbb\xbf \t").startswith(b"{")
            return found
        self._stop.set()
        return None

    @property
    def ended(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        """No more lines are wanted. May be called from a signal handler."""
        self._stop.set()

    def _open(self, path: Path) -> BinaryIO:
        try:
            if path == STDIN:
                if sys.stdin is None:
                    raise InvalidRequest("standard input is closed", "name a file")
                return os.fdopen(os.dup(sys.stdin.fileno()), "rb")  # for the thread alone
            return path.expanduser().open("rb")
        except OSError as error:
            raise InvalidRequest(f"{self.name} cannot be read: {error.strerror}", "check the name of the file") from None

    def _read(self) -> None:
        try:
            with self._file:
                for found in self._numbered():
                    self._put(found)
                    if self._stop.is_set():
                        return
            self._put(None)
        except OSError as error:
            self._put(error)

    def _numbered(self) -> Iterator[tuple[int, bytes]]:
        for number, line in enumerate(self._file, 1):
            if line.strip():
                yield number, line

    def _put(self, found: tuple[int, bytes] | OSError | None) -> None:
        while not self._stop.is_set():
            try:
                self._lines.put(found, timeout=_PATIENCE)
            except Full:
                continue
            return
