"""On a terminal: foreign text is shown, not obeyed; progress comes and goes; a pipe sees neither."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falcon_cli import console
from falcon_cli.terminal import Guard, visible
from modeling.messages import Progress

FORBIDDEN = {chr(code) for code in [*range(0x20), 0x7F, *range(0x80, 0xA0)]} - {"\n", "\t"}


@given(st.text(st.characters(codec=None)), st.integers(0, 40))
def test_no_control_character_gets_through_however_the_text_is_cut(text: str, cut: int) -> None:
    shown = visible(text)
    assert not FORBIDDEN & set(shown)
    assert visible(text[:cut]) + visible(text[cut:]) == shown
    shown.encode()


def test_ordinary_text_is_left_alone() -> None:
    text = "größe\t日本語 🙂 👩‍👩‍👧 עברית [bold] \\x1b\n"
    assert visible(text) == text
    assert visible("\x1b]0;title\x07\x9b2J\r\u202e") == "␛]0;title␇\\x9b2J␍\\u202e"


@given(st.text(st.characters(codec=None)), st.lists(st.integers(0, 40)))
def test_the_guard_sees_the_same_however_the_text_is_cut(text: str, cuts: list[int]) -> None:
    guard = Guard()
    ends = [0, *sorted(cuts), len(text)]
    shown = "".join(guard.take(text[start:end]) for start, end in pairwise(ends)) + guard.end()
    assert shown == visible(text.replace("\r\n", "\n"))


def test_line_ends_of_other_systems_are_newlines() -> None:
    guard = Guard()
    parts = ["a\r", "\nb\r", "c\r\r", "\n", "\r"]
    assert [guard.take(part) for part in parts] == ["a", "\nb", "␍c␍", "\n", ""]
    assert guard.end() == "␍" and guard.end() == ""


def on_terminal(*, stderr_too: bool, start: Callable[..., subprocess.Popen[bytes]], arguments: list[str]) -> str:
    """What a terminal is sent by a command line."""
    master, slave = pty.openpty()
    process = start(*arguments, stdout=slave, stderr=slave if stderr_too else subprocess.DEVNULL)
    os.close(slave)
    data = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        data += part
    os.close(master)
    assert process.wait(timeout=10) == 0
    return data.decode()


def test_a_terminal_is_shown_escapes_and_a_pipe_is_given_them(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    prompt = "a\x1b[2Jb\x9b"
    assert on_terminal(stderr_too=True, start=start, arguments=["generate", prompt]) == "A␛[2JB\\x9b\r\n"
    assert start("generate", prompt).communicate(timeout=10)[0] == "A\x1b[2JB\x9b\n".encode()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("falcon_cli.console.time.monotonic", lambda: now[0])
    return now


def test_a_slow_stage_is_one_line_where_there_is_no_terminal(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    report = console.ProgressReport()
    for second in range(10):
        clock[0] = second
        report(Progress("load", second, 14_500_000_000))
    report(Progress("load", 14_500_000_000, 14_500_000_000))
    report(Progress("prefill", 0, 9000))
    report.close()
    assert sys.stderr.getvalue() == "loading: 14.50 GB\n"  # type: ignore[attr-defined]


def test_a_bar_is_drawn_late_and_leaves_nothing_behind(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    report = console.ProgressReport()
    report(Progress("load", 0, 100))
    report(Progress("load", 100, 100))
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]
    report(Progress("prefill", 0, 9000))
    clock[0] = 1.0
    report(Progress("prefill", 512, 9000))
    report(Progress("prefill", 9000, 9000))
    drawn = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "reading the prompt" in drawn
    assert drawn.rindex("\x1b[?25h") > drawn.rindex("\x1b[?25l")  # the cursor is visible again
    assert drawn.rstrip().endswith("\x1b[2K")  # and the line empty


@pytest.mark.parametrize("settings", [{"shown": False}, {}])
def test_a_dumb_or_quiet_terminal_gets_no_bar(
    settings: dict[str, Any], clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    report = console.ProgressReport(**settings)
    report(Progress("load", 0, 1_000_000))
    clock[0] = 60.0
    report(Progress("load", 1, 1_000_000))
    assert "\x1b" not in sys.stderr.getvalue()  # type: ignore[attr-defined]


def test_libraries_are_told_to_be_quiet_unless_the_user_wants_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    monkeypatch.setattr(os, "environ", {"TRANSFORMERS_VERBOSITY": "debug"})
    with warnings.catch_warnings():
        console.prepare_libraries()
        warnings.warn("chatter", stacklevel=1)  # an error under the settings of the tests, were it shown
    assert os.environ["TRANSFORMERS_VERBOSITY"] == "debug"
    assert os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] == "1"
