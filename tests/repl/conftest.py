"""`falcon chat` in a terminal of its own, seen through a terminal emulator."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pyte
import pytest

ROWS, COLUMNS = 40, 100
PATIENCE = 60.0


class Terminal:
    """A chat that runs in a terminal. `text` is all that it has shown, line by line, what has scrolled away included."""

    def __init__(self, home: Path, model: str, arguments: tuple[str, ...], term: str, into: Path | None) -> None:
        env = os.environ | {
            "HOME": str(home),
            "FALCON_HOME": str(home),
            "TERM": term,
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
        }
        self.screen = pyte.HistoryScreen(COLUMNS, ROWS, history=20000, ratio=0.001)
        self.screen.write_process_input = self.types  # where the cursor is, for those who ask
        self._stream = pyte.Stream(self.screen)
        command = shlex.join([sys.executable, "-m", "falcon_cli", "chat", model, *arguments])
        command = f"exec {command}" + (f" > {shlex.quote(str(into))}" if into is not None else "")
        self.child = pexpect.spawn("/bin/sh", ["-c", command], env=env, encoding="utf-8", dimensions=(ROWS, COLUMNS))
        self.raw = ""
        self._manners = termios.tcgetattr(self.child.fileno())
        self._ended = False

    @property
    def text(self) -> str:
        gone = ["".join(line[column].data for column in range(COLUMNS)).rstrip() for line in self.screen.history.top]
        return "\n".join([*gone, *(line.rstrip() for line in self.screen.display)])

    @property
    def line(self) -> str:
        """The line of the cursor."""
        return str(self.screen.display[self.screen.cursor.y]).rstrip()

    def types(self, keys: str) -> None:
        self.child.send(keys)

    def says(self, line: str) -> None:
        """Type a line into an empty prompt, and Enter."""
        self.types(line)
        self._wait(lambda: self.line.endswith(line[-20:]), f"{line!r} in the prompt")
        self.types("\r")
        self._wait(lambda: self._ended or not self.line.endswith(line[-20:]), f"{line!r} sent")

    def shows(self, pattern: str) -> str:
        """Wait until a pattern is to be seen; everything that is."""
        self._wait(lambda: re.search(pattern, self.text) is not None, repr(pattern))
        return self.text

    def asks(self) -> str:
        """Wait for an empty prompt; everything that is to be seen."""
        self._wait(lambda: self.line == "›" and self.screen.cursor.x == 2 and "state" in self.screen.display[-1], "a prompt")
        return self.text

    def speaks(self) -> None:
        """Wait until the model is in the middle of an answer: no prompt, and more and more text."""
        self._wait(lambda: "· state" not in self.screen.display[-1], "an answer")
        before = len(self.raw)
        self._wait(lambda: len(self.raw) > before + 200, "more of an answer")

    def signal(self, number: signal.Signals) -> None:
        self.child.kill(number)

    def leaves(self, code: int) -> None:
        """Wait for the end: the exit code is right, and the terminal is as it was before."""
        self._wait(lambda: self._ended, "the end")
        with contextlib.suppress(termios.error):  # a closed terminal has no manners
            assert termios.tcgetattr(self.child.fileno()) == self._manners
        self.child.close()
        assert (self.child.exitstatus, self.child.signalstatus) == (code, None)

    def _wait(self, reached: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not (self._read() and reached()):
            assert time.monotonic() < end and not (self._ended and not reached()), f"waited for {what}, saw:\n{self.text}"

    def _read(self) -> bool:
        """Take in what has come; whether there is nothing more for the moment."""
        try:
            data = self.child.read_nonblocking(65536, timeout=0.1)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            self._ended = True
            return True
        self.raw += data
        self._stream.feed(data)
        return "· state" not in self.screen.display[-1]  # an answer may never pause


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts a chat and waits for its prompt; `home` is where it keeps its files."""
    terminals: list[Terminal] = []

    def spawn(
        *arguments: str, home: Path = tmp_path, model: str = "demo", term: str = "xterm", into: Path | None = None
    ) -> Terminal:
        terminals.append(terminal := Terminal(home, model, arguments, term, into))
        if term != "dumb":
            terminal.asks()
        return terminal

    yield spawn
    for terminal in terminals:
        terminal.child.close(force=True)
