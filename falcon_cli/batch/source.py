"""The lines of a file of prompts, or of a pipe, as they come: few of them at a time, and nobody waits for a slow pipe who has
something else to do."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Self

from falcon_cli.batch.rows import LONGEST
from falcon_cli.prompt import STDIN
from modeling.errors import InvalidRequest

AHEAD = 64  # lines read before anybody has asked for them
_FOREIGN = {  # how files begin that are no lines of text, what they are and what to do
    b"\x1f\x8b": ("is compressed", "unpack it: zcat FILE | falcon generate -i -"),
    b"\x28\xb5\x2f\xfd": ("is compressed", "unpack it: zstdcat FILE | falcon generate -i -"),
    b"\xff\xfe": ("is UTF-16 text", "convert it: iconv -f utf-16 -t utf-8 FILE | falcon generate -i -"),
    b"\xfe\xff": ("is UTF-16 text", "convert it: iconv -f utf-16 -t utf-8 FILE | falcon generate -i -"),
}
_BLANK = b"\xef\xbb\xbf \t\r\n"  # a byte order mark, too
_PATIENCE = 0.1  # seconds between two looks at whether to stop


class Source:
    """Lines with their numbers (from 1), without the empty ones. `size` is that of the file in bytes, None for a pipe; `plain`
    tells whether lines are text: by the file's name, or else by its first line.

    Raises `InvalidRequest` for a file that cannot be read or is no text: at once, and for a pipe when its first line is wanted.
    """

    def __init__(self, path: Path) -> None:
        self.name = "standard input" if path == STDIN else str(path)
        self._file = self._open(path)
        status = os.fstat(self._file.fileno())
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else None
        self.plain: bool | None = {".txt": True, ".jsonl": False, ".ndjson": False, ".json": False}.get(path.suffix.lower())
        self._lines: Queue[tuple[int, bytes] | OSError | InvalidRequest | None] = Queue(AHEAD)
        self._stop = Event()
        if self.size is not None:
            try:
                self._check_beginning()
            except InvalidRequest:
                self._file.close()
                raise
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
            if isinstance(found, InvalidRequest):
                raise found
            if self.plain is None:
                self.plain = not found[1].lstrip(_BLANK).startswith(b"{")
            return found
        self._stop.set()
        return None

    @property
    def ended(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        """No more lines are wanted. May be called from a signal handler."""
        self._stop.set()

    def _open(self, path: Path) -> BufferedReader:
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
                self._check_beginning()
                for found in self._numbered():
                    self._put(found)
                    if self._stop.is_set():
                        return
            self._put(None)
        except (OSError, InvalidRequest) as error:
            self._put(error)

    def _check_beginning(self) -> None:
        """A file of another kind would be an error in each of its lines."""
        try:
            beginning = self._file.peek(4)
        except OSError as error:
            raise InvalidRequest(f"{self.name} cannot be read: {error.strerror}", "check the file and the disk") from None
        for sign, (what, hint) in _FOREIGN.items():
            if beginning.startswith(sign):
                raise InvalidRequest(f"{self.name} {what}", hint)
        if self.plain is False and beginning.lstrip(_BLANK).startswith(b"["):
            raise InvalidRequest(f"{self.name} is one JSON list, not a row in each line", "write it so: jq -c '.[]' FILE")

    def _numbered(self) -> Iterator[tuple[int, bytes]]:
        number = 0
        while line := self._file.readline(LONGEST + 1):
            number += 1
            rest = line
            while len(line) > LONGEST and rest and not rest.endswith(b"\n"):
                rest = self._file.readline(LONGEST)
            if line.strip():
                yield number, line

    def _put(self, found: tuple[int, bytes] | OSError | InvalidRequest | None) -> None:
        while not self._stop.is_set():
            try:
                self._lines.put(found, timeout=_PATIENCE)
            except Full:
                continue
            return
