"""Where an answer goes: to stdout, or to a file that is either whole or as it was before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from falcon_cli import console
from falcon_cli.color import Style
from modeling.durable import replacing
from modeling.errors import WriteFailed

STDOUT = Path("-")


class Writer(Protocol):
    """Writes text at once, in a style where there are colours. Raises `WriteFailed`, to stdout also `PipeClosed`."""

    def __call__(self, text: str, style: Style | None = None) -> None: ...


def check_folder(path: Path, *, anew: bool = False) -> None:
    """Raises `WriteFailed` if no file can be at `path`, or none can be made there `anew`: before hours of work, not behind
    them."""
    if not path.parent.is_dir():
        raise WriteFailed(f"{path} cannot be written: there is no folder {path.parent}", "make it, or choose another file")
    folder = Path(os.path.realpath(path)).parent  # a link stays a link
    if anew and not os.access(folder, os.W_OK | os.X_OK) and (path.is_file() or not path.exists()):
        raise WriteFailed(f"{path} cannot be written: no file can be made in {folder}", "choose another file")


@contextmanager
def destination(path: Path | None) -> Iterator[Writer]:
    """A function that writes to the file, or to stdout for None and "-".

    The file appears under its name when the block ends, complete and on the disk. If the block ends with an exception, or the
    disk is full, what was there before is untouched. A pipe or a device is written directly.

    Raises `WriteFailed`: at once if no file can be made there, in the function and at the end if it cannot be written.
    """
    if path is None or path == STDOUT:
        yield console.write
        return
    with _whole(path.expanduser()) as file:

        def write(text: str, style: Style | None = None) -> None:
            with _told(path):
                file.write(text.encode("utf-8", "replace"))
                file.flush()

        yield write


@contextmanager
def salvaged(path: Path | None) -> Iterator[Writer]:
    """`destination` for what was dear to come by: what the file does not take goes to stdout, and what stdout does not to
    stderr, all of it from the beginning.

    So the function never raises `WriteFailed`; the error comes when the block ends. That no file can be made there is raised at
    once, as by `destination`.
    """
    said: list[str] = []
    failures: list[WriteFailed] = []
    with ExitStack() as stack:
        ways: list[tuple[str, Writer]] = [("", stack.enter_context(destination(path))), ("standard error", _to_stderr)]
        if path is not None and path != STDOUT:
            ways.insert(1, ("standard output", console.write))

        def write(text: str, style: Style | None = None) -> None:
            said.append(text)
            give(text, style)

        def give(text: str, style: Style | None = None) -> None:
            try:
                ways[0][1](text, style)
            except WriteFailed as error:
                salvage(error)

        def salvage(error: WriteFailed) -> None:
            failures.append(error)
            del ways[0]
            console.notice(f"all that cannot be written follows on {ways[0][0]}")
            give("".join(said))

        yield write
        if failures:
            raise failures[0]
        try:
            stack.close()  # only now a file takes its name
        except WriteFailed as error:
            salvage(error)
            raise


def _to_stderr(text: str, style: Style | None = None) -> None:
    console.note(text.removesuffix("\n"))


def write_bytes(path: Path, content: bytes) -> None:
    """A file with this content, whole or as it was before. Raises `WriteFailed`."""
    with _whole(path.expanduser()) as file, _told(path):
        file.write(content)


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its name when the block ends well."""
    with ExitStack() as stack:
        with _told(path):
            file = stack.enter_context(replacing(path))
        yield file
        with _told(path):
            stack.close()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"{path} cannot be written: {error.strerror}"
        raise WriteFailed(what, "choose another file or make room; what was there before is untouched") from None
