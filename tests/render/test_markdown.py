"""A streamed answer: in the end the terminal shows what it would show had all come at once, and on the way nothing flickers."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from itertools import pairwise
from random import Random
from types import ModuleType
from typing import Any

import pytest
from rich.style import Style

from falcon_cli.render import blocks, page, prose
from falcon_cli.render.blocks import Blocks
from falcon_cli.render.ink import Ink
from falcon_cli.render.markdown import SHARE, MarkdownReply
from falcon_cli.render.page import Page
from falcon_cli.terminal import Guard
from falcon_cli.thinking import Kind

Shown = Callable[..., Any]
Made = Callable[..., MarkdownReply]


def test_streamed_and_at_once_look_the_same(document: str, shown: Shown, corpus: ModuleType) -> None:
    """Text and attributes of scrollback and screen; `shown` sees to it that on the way nothing changes that had gone up."""
    random = Random(document)
    for width, height in (random.choice([(80, 24), (79, 4), (33, 7)]), (20, random.choice([3, 30]))):
        whole = shown([document], width, height)
        parts = shown(corpus.split(document, random), width, height)
        assert parts.texts() == whole.texts()
        assert parts.rows() == whole.rows()


def test_a_long_answer_goes_up_in_the_same_rows(long: str, shown: Shown, corpus: ModuleType) -> None:
    random = Random(long)
    for width, height in ((79, 24), (20, 5))[: 1 + (len(long) < 5000)]:
        whole = shown([long], width, height)
        parts = shown(corpus.split(long, random, 130), width, height)
        assert parts.rows() == whole.rows()


def settled(parts: Iterable[str], width: int) -> list[str]:
    """The rows of an answer, without a terminal."""
    guard, source, sheet, found = Guard(), Blocks(), Page(Ink(), Style()), list[str]()
    for part in [*parts, None]:
        source.take(guard.end() if part is None else guard.take(part))
        if part is None:
            source.end()
        found += [row for leaf in source.done for row in sheet.finish(leaf, width)]
        source.done.clear()
        if source.open is not None:
            found += sheet.settle(source.open, width)
    return found


def test_any_marks_in_any_parts_make_the_same_rows(corpus: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """With limits so narrow that each of them is met."""
    early = 0
    for seed in range(200):
        random = Random(seed)
        monkeypatch.setattr(blocks, "LONG_LINE", line := random.choice([10, 20, 60, 200]))
        monkeypatch.setattr(blocks, "LONG_TABLE_LINE", 4 * line)
        heading = random.choice([5, 20, 60])
        monkeypatch.setattr(blocks, "LONG_HEADING", heading)
        monkeypatch.setattr(page, "LONG_HEADING", heading)
        monkeypatch.setattr(page, "WORTHWHILE", random.choice([1, 10, 40]))
        monkeypatch.setattr(page, "LONG_CODE", random.choice([10, 50]))
        monkeypatch.setattr(prose, "_WINDOW", window := random.choice([10, 30, 60]))
        monkeypatch.setattr(prose, "SPAN", 2 * window + random.choice([20, 60, 200]))
        text, width = corpus.soup(random), random.choice([4, 11, 20, 60])
        parts = corpus.split(text, random)
        assert settled(parts, width) == settled([text], width), (seed, text)
        early += settled(parts, width) != settled(parts[:-1], width)
    assert early > 50


def test_three_hundred_lines_of_code_go_up_line_by_line(glass: Callable[..., Any], markdown: Made) -> None:
    screen = glass(40, 10)
    reply = markdown(screen)
    reply.take("answer", "```\n")
    for number in range(300):
        reply.take("answer", f"line {number}\n")
        assert "".join(char.data for char in screen.above()[-1]) == f"line {number}"
    reply.end()
    assert screen.texts() == [f"line {number}" for number in range(300)]


def test_a_paragraph_that_is_taller_than_the_screen_goes_up_while_it_comes(glass: Callable[..., Any], markdown: Made) -> None:
    screen = glass(40, 10)
    reply = markdown(screen)
    for number in range(600):
        reply.take("answer", f"word{number} ")
    text = " ".join("".join(char.data for char in row) for row in screen.above())
    assert text.split() == [f"word{number}" for number in range(len(text.split()))] and len(text.split()) > 500


def test_a_table_is_shown_by_its_last_rows_and_printed_once_it_has_ended(glass: Callable[..., Any], markdown: Made) -> None:
    screen = glass(60, 10)
    reply = markdown(screen)
    reply.take("answer", "| a | b |\n|---|---|\n")
    for number in range(50):
        reply.take("answer", f"| {number} | {'x' * (number // 2)} |\n")
        assert screen.above() == [] and len(screen.rows()) <= 9
    assert screen.texts()[-1].startswith("49")
    reply.take("answer", "\nAfter")
    reply.end()
    texts = screen.texts()
    assert texts[0].split() == ["a", "b"] and [text.split()[0] for text in texts[2:52]] == [str(n) for n in range(50)]
    assert texts[52:] == ["", "After"]


def test_unfinished_marks_do_not_flash(glass: Callable[..., Any], markdown: Made) -> None:
    """Bold text and code look so before they are closed, and a line of marks is no text while it may become a block."""
    screen = glass(60, 10)
    reply = markdown(screen)
    seen = []
    for sign in "A **bold `co` word** end\n- item\n\n```\ncode\n```\n\n1. x":
        reply.take("answer", sign)
        seen.append("\n".join(screen.texts()))
        bold = "".join(char.data for row in screen.rows() for char in row if char.bold)
        assert "bold co word".startswith(bold)
    assert not any(re.search(r"[*`]|^[-\d]|•$", text, re.MULTILINE) for text in seen)


@pytest.mark.parametrize("reflows", [True, False], ids=["rows are broken anew", "rows are cut off"])
def test_a_window_that_changes_its_size_leaves_no_garbage(
    reflows: bool, glass: Callable[..., Any], corpus: ModuleType, markdown: Made
) -> None:
    """Each word is unlike all others: in the end each is there once, but for those that the terminal itself cuts off."""
    text = "".join(f"w{n:03} " + ("\n\n" if n % 40 == 39 else "\n- " if n % 17 == 3 else "") for n in range(400))
    for seed in range(4):
        random = Random(seed)
        screen = glass(60, 24, reflows=reflows)
        reply = markdown(screen)
        for number, part in enumerate(corpus.split(text, random, 15)):
            reply.take("answer", part)
            if number % 9 == 0:
                screen.turn(random.choice([30, 41, 60, 80, 100]), random.choice([18, 24, 40]))
        reply.end()
        assert screen.cursor.x == 0 and len(screen.above()) == len(screen.rows())
        words = re.findall(r"w\d{3}(?!\d)", ("" if reflows else "\n").join(screen.texts()))
        assert words == sorted(set(words))
        assert len(words) == 400 if reflows else len(words) > 200


def test_a_draw_is_one_write_between_the_marks_of_an_update(document: str, corpus: ModuleType, markdown: Made) -> None:
    """No row is cleared and left empty for a moment, the screen is never cleared, and there is no alternate screen."""
    written: list[str] = []
    reply = markdown(written.append, 40, 12)
    parts = corpus.split(document, Random(1))
    for part in parts:
        before = len(written)
        reply.take("answer", part)
        assert len(written) <= before + 1
    for frame in written:
        assert frame.startswith("\x1b[?2026h") and frame.endswith("\x1b[?2026l")
        assert frame.count("\x1b[J") == 1 and not re.search(r"\x1b\[[23]J|\x1b\[H|\x1b\[\?1049|\x1bc", frame)
        assert frame.count("\x1b[?7l") == frame.count("\x1b[?7h") == 1
        assert not re.search(r" (\x1b\[0m)?\r\n", frame), "spaces at the end of a row break when the window becomes narrower"


def test_what_has_not_changed_is_not_drawn_again(markdown: Made) -> None:
    written: list[str] = []
    reply = markdown(written.append, 40, 12)
    reply.take("answer", "one " * 20)
    for word in ("two", " three", " four"):
        reply.take("answer", word)
        assert "one one" not in written[-1] and word.strip() in written[-1]
    count = len(written)
    reply.take("answer", "")
    assert len(written) == count


def test_it_is_not_drawn_more_often_than_pays() -> None:
    """Parts that come fast are drawn together, and the slower it goes, the less often."""
    now, written = [0.0], list[str]()

    def write(frame: str) -> None:
        written.append(frame)
        now[0] += 0.05  # a slow line

    reply = MarkdownReply(write, lambda: (40, 12), clock=lambda: now[0])
    for number in range(2000):
        reply.take("answer", f"{number} ")
        now[0] += 0.001
    assert 0.05 * len(written) < 1.2 * SHARE * now[0]
    reply.end()
    assert "1999" in written[-2]


def calls(function: Callable[[], object]) -> int:
    """How many calls of Python functions it takes: time that does not depend on the machine."""
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


LINES = {
    "list": ("", "- an item with `code` and **bold** text\n"),
    "nested list": ("- root\n", "  - an item with `code` and **bold** text\n"),
    "fence": ("```\n", "    x = function(a, b)\n"),
    "paragraph": ("", "some words with `code` and **bold** text, and so on\n"),
    "one line": ("", "some words with `code` and **bold** text, and so on "),
    "open star": ("a *b ", "some words that go on and on without any end to them "),
    "word": ("", "abcdefghijklmnopqrstuvwxyz"),
    "chinese": ("", "中文没有空格，所以在任何地方都可以换行。"),
    "quote": ("", "> some words with `code` and **bold** text, and so on\n"),
    "table": ("| a | b |\n|---|---|\n", "| some words | more words |\n"),
}


@pytest.mark.parametrize("kind", LINES)
def test_an_answer_costs_what_its_length_costs(kind: str, markdown: Made) -> None:
    """Drawn at the same pace, its end costs no more than its beginning, and no part of it costs much more than the others."""
    start, line = LINES[kind]
    reply = markdown(lambda frame: None, 60, 10)
    reply.take("answer", start)
    each = [calls(lambda: reply.take("answer", line * 8)) for _ in range(100)]
    early, late = each[20:60], each[60:]  # at first, all is used for the first time
    assert sum(late) < 1.3 * sum(early)
    assert max(late) < 12 * sum(early) / len(early)


def test_a_thought_is_dim_and_the_answer_stands_below_it(glass: Shown, markdown: Made) -> None:
    written, screen = list[str](), glass(40, 12)
    parts: list[tuple[Kind, str]] = [
        ("thought", "<think>\nhm **hm**"),
        ("thought", "\n</think>"),
        ("answer", "Yes"),
        ("answer", "."),
    ]
    for target in (written.append, screen):
        reply = markdown(target)
        for kind, text in parts:
            reply.take(kind, text)
        reply.end()
    assert screen.texts() == ["<think>", "hm hm", "</think>", "", "Yes."]
    frames = "".join(written)
    assert "\x1b[2mhm \x1b[0m\x1b[1;2mhm\x1b[0m" in frames and "\x1b[2m<think>\x1b[0m" in frames and "\nYes.\r\n" in frames


def test_an_interrupt_leaves_the_cursor_on_a_fresh_row(glass: Callable[..., Any], corpus: ModuleType, markdown: Made) -> None:
    """At any moment: between two parts, or while a frame is on its way; what was shown stays, and the terminal is as it was."""
    text = corpus.DOCUMENTS["lists"] + "\n\n" + corpus.DOCUMENTS["fence"]
    for stop in range(1, 40, 3):
        screen, count = glass(40, 12), [0]

        def write(frame: str, screen: Any = screen, count: list[int] = count, stop: int = stop) -> None:
            count[0] += 1
            screen.write(frame)
            if count[0] == stop:
                screen.write("^C")  # as a terminal echoes it
                raise KeyboardInterrupt

        reply = markdown(write)
        given = ""
        with pytest.raises(KeyboardInterrupt):
            for part in corpus.split(text, Random(stop), 6):
                given += part
                reply.take("answer", part)
        reply.end()
        assert screen.cursor.x == 0 and not screen.cursor.hidden and len(screen.above()) >= len(screen.rows())
        assert "^C" not in "".join(screen.texts())
        whole = glass(40, 12)
        again = markdown(whole)
        again.take("answer", given)
        again.end()
        assert screen.rows() == whole.rows()
        assert 7 << 5 in screen.mode  # a row that is too long is broken again


def test_nothing_said_is_nothing_written() -> None:
    written: list[str] = []
    reply = MarkdownReply(written.append, lambda: (40, 12))
    reply.end()
    reply.end()
    assert written == []


def test_a_terminal_that_does_not_know_its_size_is_taken_for_an_ordinary_one(glass: Callable[..., Any]) -> None:
    screen = glass(80, 24)
    reply = MarkdownReply(screen.write, lambda: (0, 0))
    reply.take("answer", "word " * 30)
    reply.end()
    assert [len(text) for text in screen.texts()] == [79, 69]


def test_a_terminal_of_one_row_is_written_to_nonetheless(glass: Callable[..., Any], markdown: Made) -> None:
    screen = glass(20, 1)
    reply = markdown(screen)
    for word in "one two three four five six seven eight".split():
        reply.take("answer", f"{word} ")
    reply.end()
    assert screen.texts() == ["one two three four", "five six seven eight"]


def test_without_colours_there_is_bold_text_nonetheless(corpus: ModuleType) -> None:
    written: list[str] = []
    reply = MarkdownReply(written.append, lambda: (60, 12), color=False)
    reply.take("answer", "\n\n".join(corpus.DOCUMENTS.values()).replace("\x1b", ""))
    reply.end()
    codes = set(re.findall(r"\x1b\[([\d;]*)m", "".join(written)))
    assert "1" in codes and not [code for code in codes if re.search(r"\b[34]\d|\b[3-4]8\b|\b9\d|\b10\d", code)]


def test_what_rich_would_show_is_shown(document: str, shown: Shown) -> None:
    """The words of rich's own rendering of the whole document, in its order; where ours differs is told in `known`."""
    from rich.console import Console
    from rich.markdown import Markdown

    known = ("<think>", "[1]:", "\x1b", "\r", "![", "| one |", "中")  # HTML, references, controls, images, long cells, wrapping
    if any(sign in document for sign in known) or document.startswith("-\n"):
        pytest.skip("not shown as rich does, and on purpose")
    console = Console(width=400, force_terminal=True, _environ={})
    with console.capture() as capture:
        console.print(Markdown(document, hyperlinks=False))
    theirs, ours = words(re.sub(r"\x1b\[[\d;]*m", "", capture.get())), words("\n".join(shown([document], 400, 50).texts()))
    assert ours == theirs


def words(text: str) -> list[str]:
    """What is said, without rules, frames and the dots behind numbers."""
    return re.sub(r"(?m)^([ •]*\d+)[.)] ", r"\1 ", re.sub(r"[─━┏┓┗┛┃]+|-{3,}|▌", " ", text)).split()


def test_rows_are_not_longer_than_the_window(document: str, shown: Shown) -> None:
    for width in (4, 20, 61):
        screen = shown([document], width, 20)
        assert all(len(row) <= width for row in screen.rows())
        assert all(a != "" or b != "" for a, b in pairwise(screen.texts())) or "```" in document or "\n\n\n" in document
