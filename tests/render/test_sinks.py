"""Promise 5: what a model says never controls the terminal, whatever shows it and wherever its text is cut."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from random import Random
from types import ModuleType

import pytest

from falcon_cli.render import PlainReply
from falcon_cli.render.markdown import MarkdownReply
from falcon_cli.terminal import Guard, visible

pytestmark = pytest.mark.promise

Made = Callable[..., MarkdownReply]
OURS = re.compile(r"\x1b\[(?:\?2026[hl]|\?25[hl]|\?7[hl]|\d*[AB]|J|(?:0|(?:[12349]|3[46])(?:;(?:[2349]|3[46]))*)m)")
CONTROLS = [chr(code) for code in [*range(0x20), 0x7F, *range(0x80, 0xA0)] if chr(code) not in "\n\t"]
ATTACKS = [
    "\x1b[2J\x1b[H",
    "\x9b31m\x9d0;title\x9c",
    "\x1b]52;c;cm0gLXJm\x07",
    "\x1bP$q\x1b\\",
    "\x1b[38;5;77mx",
    "\r\x1b[A\x1b[K",
    "\u202eevil\u2066",
    "\ud800",
    "&#27;[2J &#x9b;2J &#x202e;",
    "<http://x/%1b%5B2J%9b>",
    "[a](http://x/%1b[2J 'b\x1b')",
    "![\x1b[2J](\x1b)",
]
PLACES = [
    "{}",
    "# {}",
    "> {}",
    "- {}",
    "1. {}",
    "**{}**",
    "`{}`",
    "```{}\n{}\n```",
    "    {}",
    "[{}](x)",
    "|{}|\n|---|\n|{}|",
    "~~~\n{}",
]


def frames(markdown: Made, parts: Iterable[str], *, kind: str = "answer") -> str:
    written: list[str] = []
    reply = markdown(written.append, 30, 8)
    for part in parts:
        reply.take(kind, part)  # type: ignore[arg-type]
    reply.end()
    return "".join(written)


def foreign(frame: str) -> set[str]:
    """The control characters in it that are not ours."""
    rest = OURS.sub("", frame).replace("\r\n", "").replace("\r", "")
    return set(rest) & {*CONTROLS, "\ud800", "\u202e", "\u2066"}


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_control_character_reaches_the_terminal_from_any_place(attack: str, markdown: Made) -> None:
    plain: list[str] = []
    for text in (place.format(attack, attack) for place in PLACES):
        frame = frames(markdown, [text])
        assert frame.encode() and not foreign(frame)
        reply = PlainReply(lambda text, style: plain.append(text), terminal=True)
        reply.take("answer", text)
        reply.end()
    assert not foreign("".join(plain))


@pytest.mark.parametrize("kind", ["answer", "thought"])
def test_every_split_point(kind: str, markdown: Made) -> None:
    """What is drawn is what would be drawn had all signs been made visible beforehand: byte by byte."""
    text = "a\x1b[31mb **\x9b2J** `\x1b]0;t\x07`\n\n- \x7f\x85 [x](\x1b)\n\n|\x1b|\n|-|\n|\x9b|\n"
    for at in range(len(text) + 1):
        shown = frames(markdown, [text[:at], text[at:]], kind=kind)
        assert shown == frames(markdown, [visible(text[:at]), visible(text[at:])], kind=kind)
        assert not foreign(shown)


def test_a_million_characters() -> None:
    random = Random(5)
    alphabet = [*CONTROLS, *CONTROLS, *"\n\tab[]0;m?hJ\\%&#x1b中🙂\u202e\ud800"]
    text = "".join(random.choices(alphabet, k=1_000_000))
    guard = Guard()
    cuts = [0, *sorted(random.sample(range(len(text)), 50_000)), len(text)]
    shown = "".join(guard.take(text[start:end]) for start, end in pairwise(cuts)) + guard.end()
    assert not set(shown) & {*CONTROLS, "\ud800", "\u202e"}
    assert shown == visible(text.replace("\r\n", "\n"))


def test_fuzz_through_markdown(markdown: Made, corpus: ModuleType) -> None:
    random = Random(6)
    alphabet = [*CONTROLS, *"\n\n\t  ab[]()*_`#>-|0;m\\%&;x1中🙂"]
    text = "".join(random.choices(alphabet, k=20_000))
    assert not foreign(frames(markdown, corpus.split(text, random, 200)))


def test_this_test_would_find_them() -> None:
    assert (
        foreign("\x1b[2J")
        and foreign("\x9b")
        and foreign("\x1b[38;5;77m")
        and foreign("\x1b[?1049h")
        and foreign("\x1b]0;x\x07")
    )
    assert not foreign("\x1b[?2026h\x1b[1;36mx\x1b[0m\r\n")
