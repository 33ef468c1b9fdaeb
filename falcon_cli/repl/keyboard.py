"""The keyboard while the model speaks: what is typed is not echoed into the answer, and waits for the next prompt."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def held_back() -> Iterator[None]:
    """Within the block nothing that is typed shows, and all of it is there behind the block; Ctrl-C works as ever.

    Without a terminal, or on a system without termios, nothing changes.
    """
    try:
        import termios
    except ImportError:
        yield
        return
    if sys.stdin is None or not sys.stdin.isatty():
        yield
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    quiet = termios.tcgetattr(keyboard)
    if os.environ.get("TERM") != "dumb":  # there lines are read as the terminal gives them
        quiet[0] &= ~termios.ICRNL  # Enter stays what it is: as a line feed, the prompt would take it for Ctrl-J
    quiet[3] &= ~(termios.ECHO | termios.ICANON)  # key by key: a line would end at 4096 bytes, and Ctrl-D would vanish
    termios.tcsetattr(keyboard, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        with suppress(termios.error):  # the terminal has gone
            termios.tcsetattr(keyboard, termios.TCSANOW, before)
