"""Which reply is chosen, and the plain one."""

from __future__ import annotations

import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from fcntl import ioctl
from typing import Any

import pytest

from falcon_cli import console
from falcon_cli.render import PlainReply, reply_for
from falcon_cli.render.markdown import MarkdownReply
from modeling.errors import WriteFailed


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_markdown_is_for_terminals_that_can_draw_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(reply_for(Terminal()), MarkdownReply)
    assert isinstance(reply_for(Terminal(), markdown=False), PlainReply)
    assert isinstance(reply_for(io.StringIO()), PlainReply)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(reply_for(Terminal()), PlainReply)


def test_colours_follow_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown() -> str:
        out = Terminal()
        reply = reply_for(out)
        reply.take("answer", "`code`")
        reply.end()
        return out.getvalue()

    assert "\x1b[36mcode" in shown()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[36m" not in shown()
    monkeypatch.setattr(console.manner, "color", "always")
    assert "\x1b[36mcode" in shown()


def test_a_pipe_gets_the_text_itself(capsys: pytest.CaptureFixture[str]) -> None:
    reply = PlainReply()
    for kind, text in (("thought", "<think>hm</think>\r\n"), ("answer", "**a**\x1b"), ("answer", ""), ("answer", "[2J\r")):
        reply.take(kind, text)  # type: ignore[arg-type]
    reply.end()
    assert capsys.readouterr().out == "<think>hm</think>\r\n**a**\x1b[2J\r\n"


@pytest.mark.parametrize(("text", "ending"), [("a", "\n"), ("a\n", ""), ("", "\n")])
def test_a_plain_answer_ends_with_a_newline(text: str, ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    reply = PlainReply()
    reply.take("answer", text)
    reply.end()
    assert capsys.readouterr().out == text + ending


def test_a_plain_terminal_gets_dim_thoughts_and_no_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", out := Terminal())
    reply = reply_for(out, markdown=False)
    reply.take("thought", "hm")
    reply.take("answer", "a\x1b[2J\r")
    reply.take("answer", "\nb\r")
    reply.end()
    assert out.getvalue() == "\x1b[2mhm\x1b[0ma␛[2J\nb␍\n"


def test_a_terminal_that_has_gone_is_an_error_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(console, "abandon_stdout", lambda: None)
    with pytest.raises(WriteFailed, match="Input/output error"):
        reply_for(Gone()).take("answer", "a")


PROGRAM = """
import sys, time
from falcon_cli.render import reply_for
reply = reply_for(sys.stdout)
for number in range(40):
    reply.take("answer", f"word{number:02} ")
    time.sleep(0.04)
    if number == 20:
        sys.stdin.readline()
reply.end()
"""


def test_on_a_real_terminal_whose_window_changes(glass: Callable[..., Any]) -> None:
    screen = glass(60, 20, reflows=True)
    master, slave = pty.openpty()

    def resize(width: int, height: int) -> None:
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        screen.turn(width, height)

    resize(60, 20)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=slave, env={**os.environ, "COLUMNS": "9"}
    )
    assert process.stdin is not None
    while "word20" not in "".join(screen.texts()):
        screen.write(os.read(master, 65536).decode())
    resize(33, 20)
    process.stdin.write(b"\n")
    process.stdin.close()
    while screen.cursor.x != 0 or "word39" not in "".join(screen.texts()) or screen.cursor.hidden:
        screen.write(os.read(master, 65536).decode())
    assert process.wait(timeout=10) == 0
    os.close(slave)
    os.close(master)
    texts = screen.texts()
    assert re.findall(r"word\d\d", "".join(texts)) == [f"word{number:02}" for number in range(40)]
    assert max(map(len, texts)) <= 33 and len(texts) == 10
