#!/usr/bin/env python3
"""Record a real conversation with the embedded demo, as a terminal shows it, into README.md: record.py [--check].

The chat runs in a terminal of its own (pexpect), and a terminal emulator (pyte) reads what it writes. What stands there in the
end takes the place of the recording between two marks in the README.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pexpect
import pyte

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- recording: scripts/record.py -->", "<!-- end of recording -->"
COLUMNS, LINES = 96, 200  # high enough that nothing scrolls away
SAID = (
    "Hello! My name is Zelda.",
    "How do I take back the last turn?",
    "What is 17 plus 25?",
    "What is my name?",
    "/undo",
    "/show state",
    "/exit",
)


def record(said: Sequence[str]) -> str:
    """What the terminal shows when these lines are typed into `falcon chat demo`."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.Stream(screen)
    with tempfile.TemporaryDirectory() as home:
        env = os.environ | {"FALCON_HOME": home, "HOME": home, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "NO_COLOR": "1"}
        command = ["-m", "falcon_cli", "chat", "demo", "--stats"]
        child = pexpect.spawn(sys.executable, command, env=env, timeout=60, encoding="utf-8", dimensions=(LINES, COLUMNS))
        for line in said:
            _until_prompt(child, screen, stream)
            child.send(line + "\r")
        while True:
            try:
                stream.feed(child.read_nonblocking(65536, timeout=30))
            except pexpect.EOF:
                break
    lines = [line.rstrip() for line in screen.display]
    return "\n".join(lines).strip("\n")


def _until_prompt(child: pexpect.spawn, screen: pyte.Screen, stream: pyte.Stream) -> None:
    """Read until the cursor waits behind an empty prompt."""
    while True:
        stream.feed(child.read_nonblocking(65536, timeout=60))
        line = screen.display[screen.cursor.y]
        try:
            while True:
                stream.feed(child.read_nonblocking(65536, timeout=0.5))
        except pexpect.TIMEOUT:
            line = screen.display[screen.cursor.y]
        if line.startswith("›") and screen.cursor.x == 2:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="show the recording, write nothing")
    shown = "$ falcon chat demo --stats\n" + record(SAID)
    if parser.parse_args().check:
        print(shown)
        return
    text = README.read_text(encoding="utf-8")
    block = f"{BEGIN}\n```console\n{shown}\n```\n{END}"
    README.write_text(re.sub(f"{BEGIN}.*?{END}", lambda _: block, text, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
