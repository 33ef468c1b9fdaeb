"""The file of --log-file: what falcon says on stderr and what libraries report, with the time. Never a prompt or an answer."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from modeling.errors import WriteFailed

if TYPE_CHECKING:
    from logging import Handler

_open: list[Handler] = []


def start(path: Path, *, everything: bool = False) -> None:
    """Add to the file from now on; with `everything` also what libraries say to those who debug them. Raises `WriteFailed`."""
    import logging

    try:
        handler = logging.FileHandler(path.expanduser(), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        what = f"--log-file {path} cannot be written: {error.strerror}"
        raise WriteFailed(what, "give a file in a folder that you may write to") from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.handleError = lambda record: None  # type: ignore[method-assign]  # a full disk must not spoil the answer
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.DEBUG if everything else logging.INFO)
    logging.captureWarnings(True)
    _open.append(handler)
    write(f"started with {Path(sys.argv[0]).name}, Python {sys.version.split()[0]}")


def write(line: str) -> None:
    """One line from falcon itself; nothing if there is no log file."""
    if _open:
        import logging

        logging.getLogger("falcon").info("%s", line)


def stop() -> None:
    """Close the file."""
    while _open:
        import logging

        handler = _open.pop()
        logging.getLogger().removeHandler(handler)
        logging.captureWarnings(False)
        with suppress(OSError):  # the disk is full: what could be written is there
            handler.close()
