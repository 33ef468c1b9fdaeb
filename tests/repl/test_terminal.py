"""The chat in a real terminal: typing, stopping, leaving."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    children: list[Any] = []

    def spawn(*arguments: str) -> Any:
        env = os.environ | {
            "HOME": str(tmp_path),
            "FALCON_HOME": str(tmp_path),
            "TERM": "xterm",
            "LANG": "C.UTF-8",
            "PROMPT_TOOLKIT_NO_CPR": "1",  # nobody answers where the cursor is
        }
        command = ["-m", "falcon_cli", "chat", "demo", *arguments]
        child = pexpect.spawn(sys.executable, command, env=env, timeout=60, encoding="utf-8", dimensions=(24, 100))
        children.append(child)
        child.expect("Ctrl-D leaves")
        child.expect("›")
        return child

    yield spawn
    for child in children:
        child.close(force=True)


def send(child: Any, text: str) -> None:
    child.send(text + "\r")


def test_turns_commands_and_leaving(start: Callable[..., Any]) -> None:
    child = start("-n", "5", "--stats", "--greedy")
    send(child, "hello")
    child.expect(r"reused 0 .* prefilled")
    child.expect("›")
    send(child, "again")
    child.expect(r"reused [1-9]\d* .* prefilled")
    child.expect("›")
    send(child, "/undo")
    child.expect("1 turn taken back, 1 left")
    child.expect("›")
    send(child, "/hepl")
    child.expect("/help")
    child.expect("›")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_ctrl_c_stops_an_answer_and_keeps_it(start: Callable[..., Any]) -> None:
    child = start("--ignore-eos", "--greedy")
    send(child, "go")
    child.expect("[a-z]{3}")
    child.sendintr()
    child.expect(r"\[stopped\]")
    child.expect("›")
    send(child, "/show state")
    child.expect(r"[1-9]\d* tokens in a state")
    child.expect("›")
    child.sendintr()
    child.expect("Ctrl-C again leaves")
    child.expect("›")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130


def test_ctrl_c_clears_a_line_that_has_text(start: Callable[..., Any]) -> None:
    child = start("-n", "2", "--stats")
    child.send("never said")
    child.expect("never said")
    child.sendintr()
    send(child, "/stats")
    child.expect("no turn yet")
    child.expect("›")
    send(child, "/exit")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_history_outlives_the_chat(start: Callable[..., Any], tmp_path: Path) -> None:
    child = start("-n", "2")
    send(child, "remember this line")
    child.expect("stopped at --max-tokens")
    child.expect("›")
    send(child, "/exit")
    child.expect(pexpect.EOF)
    (history,) = tmp_path.rglob("history")
    assert "remember this line" in history.read_text() and history.stat().st_mode & 0o077 == 0
    child = start("-n", "2")
    child.send("\x1b[A\x1b[A")
    child.expect("remember this line")
