"""Where a prompt comes from: standard input, a file, the command line; in this order, with a blank line between them."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from falcon_cli import console
from modeling.errors import InvalidRequest

STDIN = Path("-")
PATIENCE = 3.0  # seconds


@dataclass(frozen=True, slots=True)
class Words:
    """What the user wants said: a `document` (piped in, or a file, or both) and a `question` about it; at least one of them."""

    document: str | None
    question: str | None

    @property
    def text(self) -> str:
        """All of it, with a blank line between the parts."""
        return "\n\n".join(part for part in (self.document, self.question) if part is not None)


def read_words(text: str | None, file: Path | None, *, exact: bool = False) -> Words:
    """The prompt. Not `exact`: the newline that ends a file or a pipe, and a byte order mark, are no part of it.

    Raises `InvalidRequest` if there is no prompt at all, a file cannot be read, or its bytes are not UTF-8.
    """
    parts = []
    with _patience(told=text is not None or file not in (None, STDIN)):
        piped = read_stdin(wanted=file == STDIN)
    if piped:
        parts.append(piped if exact else trimmed(piped))
    if file is not None and file != STDIN:
        content = read_file(file)
        parts.append(content if exact else trimmed(content))
    if not parts and text is None:
        raise InvalidRequest("there is no prompt", 'falcon generate "Once upon a time", or -f FILE, or pipe a text in')
    return Words("\n\n".join(parts) if parts else None, None if text is None else _argument(text))


def read_stdin(*, wanted: bool = False) -> str | None:
    """What is piped or redirected into the process; None if standard input is a terminal or a device, unless it is `wanted`."""
    if sys.stdin is None:
        return None
    if not wanted and not _carries_data():
        return None
    try:
        data = sys.stdin.buffer.read()
    except OSError as error:
        raise InvalidRequest(f"standard input cannot be read: {error.strerror}", "give the prompt as an argument") from None
    return _decode(data, "standard input")


def read_lines() -> Iterator[str]:
    """The lines of standard input as they come, without their ends. Raises `InvalidRequest` for bytes that are not UTF-8."""
    for line in sys.stdin.buffer if sys.stdin is not None else ():
        yield trimmed(_decode(line, "standard input"))


def read_file(path: Path) -> str:
    """The text of a file. Raises `InvalidRequest` if it cannot be read."""
    try:
        return _decode(path.read_bytes(), str(path))
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}", "check the name of the file") from None


@contextmanager
def _patience(*, told: bool) -> Iterator[None]:
    """Where the user has `told` a prompt already, a pipe that nobody closes would look like a hanging program: say so."""
    words = "standard input is a pipe that is still open: what it carries comes before the prompt (< /dev/null: nothing)"
    timer = Timer(PATIENCE, console.notice, [words])
    timer.daemon = True
    if told:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _carries_data() -> bool:
    """Whether standard input is a pipe, a socket or a file: /dev/null and terminals have nothing to say."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def _argument(text: str) -> str:
    """Text of the command line. Bytes that the locale has no characters for arrive as surrogates: they are read as UTF-8."""
    if any("\udc80" <= character <= "\udcff" for character in text):
        return _decode(os.fsencode(text), "the prompt")
    return text


def trimmed(text: str) -> str:
    """The text of a file or a pipe without what only belongs to the file: a byte order mark, the last line's end."""
    return text.removeprefix("\ufeff").removesuffix("\n").removesuffix("\r")


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        what = f"{name} is not UTF-8 text: byte 0x{data[error.start]:02x} at offset {error.start}"
        raise InvalidRequest(what, "convert it first, for example: iconv -f latin1 -t utf-8") from None
