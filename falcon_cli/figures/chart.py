"""What --plot asks for: diagrams in the terminal, or in a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from shutil import get_terminal_size

from falcon_cli import console
from falcon_cli.color import wanted
from falcon_cli.figures.picture import ENDINGS, picture
from falcon_cli.figures.series import drawable, panels
from falcon_cli.figures.sketch import sketch
from falcon_cli.output import write_bytes
from modeling.errors import FalconError, InvalidRequest, WriteFailed
from modeling.timings import Plan, Result


class Chart:
    """Diagrams of what a plan measures, on "term" or in a file. What cannot be drawn is told at once.

    Raises `InvalidRequest`, `WriteFailed`, and `FalconError` for a package that is not installed.
    """

    def __init__(self, where: str, plan: Plan) -> None:
        self._file = None if where == "term" else Path(where).expanduser()
        if self._file is not None and self._file.suffix.lower() not in ENDINGS:
            raise InvalidRequest(f"--plot {where!r} is neither term nor a picture", f"name a file in {', '.join(ENDINGS)}")
        if not drawable(plan):
            raise InvalidRequest(
                "--plot has nothing to draw: a curve needs several depths, batches or turns",
                "for example -d 0,1024,8192, or -b 1,4,16, or --turns 8",
            )
        package = "plotext" if self._file is None else "matplotlib"
        if find_spec(package) is None:
            raise FalconError(f"--plot {where} needs {package}, which is not installed", "pip install 'falcon-cli[plot]'")
        if self._file is not None and not os.access(self._file.absolute().parent, os.W_OK):
            raise WriteFailed(f"{self._file} cannot be written: no such folder, or no permission", "choose another file")

    def draw(self, results: Sequence[tuple[str, Result]], *, beside_table: bool) -> None:
        """Draw what was measured, be it less than planned.

        In a terminal it follows a table on stdout; anything else there is for programs, and the diagrams go to stderr. Raises
        `WriteFailed`.
        """
        found = panels(results)
        if not found:
            console.notice("too little was measured to draw it")
        elif self._file is not None:
            content = picture(found, self._file.suffix.lower()[1:], _caption(results))
            write_bytes(self._file, content)
        else:
            stream = sys.stdout if beside_table else sys.stderr
            text = sketch(found, get_terminal_size().columns, color=wanted(stream, console.manner.color))
            console.drawing(text, aside=not beside_table)


def _caption(results: Sequence[tuple[str, Result]]) -> str:
    """Where it was measured, in a line."""
    names = dict.fromkeys(name for name, _ in results)
    setup = results[-1][1].setup
    weights = ", random weights" if setup.random_weights else ""
    return f"{', '.join(names)} on {setup.gpu or setup.cpu}{weights} · {setup.versions}"
