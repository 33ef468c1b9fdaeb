"""The chat in a real terminal: typing, stopping, leaving."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]
ENDLESS = ("--ignore-eos", "--greedy")


def test_turns_commands_and_leaving(start: Start) -> None:
    chat = start("-n", "5", "--stats", "--greedy", "--ignore-eos")
    chat.says("hello")
    assert "[reused 0 · prefilled" in chat.asks()
    chat.says("again")
    chat.asks()
    chat.shows(r"\[reused [1-9]\d* · prefilled")
    chat.says("/undo")
    assert "1 turn taken back, 1 left" in chat.asks()
    chat.says("/redo")
    assert "1 turn brought back" in chat.asks()
    chat.says("/hepl")
    chat.asks()
    chat.shows("Did you mean .*/help")
    chat.types("\x04")
    chat.leaves(0)


def test_ctrl_c_stops_an_answer_and_keeps_it(start: Start) -> None:
    chat = start(*ENDLESS)
    chat.says("go")
    chat.speaks()
    chat.types("\x03\x03")  # impatient fingers
    assert "[stopped; /continue goes on]" in chat.asks()
    chat.says("/show state")
    chat.asks()
    chat.shows(r"[1-9]\d* tokens in a state")
    chat.types("\x03")
    chat.shows("Ctrl-C again leaves")
    chat.asks()
    chat.says("/stats")
    chat.shows("reused 0 ·")
    chat.asks()
    chat.types("\x03")
    chat.shows("leaves; so does Ctrl-D or /exit](.|\n)*leaves; so does Ctrl-D or /exit]")
    chat.asks()
    chat.types("\x03")
    chat.leaves(130)


def test_ctrl_c_clears_a_line_that_has_text(start: Start) -> None:
    chat = start("-n", "2")
    chat.types("never said")
    chat.shows("› never said")
    chat.types("\x03")
    chat.asks()
    chat.says("/stats")
    assert "no turn yet" in chat.asks()
    chat.says("/exit")
    chat.leaves(0)


def test_history_outlives_the_chat(start: Start, tmp_path: Path) -> None:
    chat = start("-n", "2", "--ignore-eos")
    chat.says("remember this line")
    assert "stopped at --max-tokens" in chat.asks()
    chat.says("/exit")
    chat.leaves(0)
    (history,) = tmp_path.rglob("history")
    assert "remember this line" in history.read_text() and history.stat().st_mode & 0o077 == 0
    chat = start("-n", "2")
    chat.types("\x1b[A\x1b[A")
    chat.shows("› remember this line")


def test_what_is_typed_while_the_model_speaks_waits_for_the_prompt(start: Start) -> None:
    chat = start("-n", "600", *ENDLESS)
    chat.says("go")
    chat.speaks()
    chat.types("typed ahead\r")
    chat.shows("› typed ahead")
    assert chat.text.count("typed ahead") == 1  # it was not echoed into the answer
    chat.speaks()


@pytest.mark.parametrize(
    "keys",
    ["one\x1b\rtwo\r", "one\ntwo\r", "\x1b[200~one\ntwo\x1b[201~\r", '"""one\rtwo"""\r'],
    ids="alt ctrl-j paste quotes".split(),
)
def test_many_lines_are_one_message(start: Start, keys: str) -> None:
    chat = start("-n", "1", "--show-prompt", *ENDLESS)
    chat.types(keys)
    chat.shows(r"<\|im_start\|>user\none\ntwo<\|im_end\|>")


def test_enter_may_begin_a_line(start: Start) -> None:
    chat = start("-n", "1", "--show-prompt", *ENDLESS)
    chat.says("/multiline")
    chat.asks()
    chat.types("one\rtwo\x1b\r")
    chat.shows(r"<\|im_start\|>user\none\ntwo<\|im_end\|>")
    chat.asks()
    chat.says("/multiline")
    assert "[Enter sends]" in chat.asks()


def test_the_last_question_can_be_changed_in_the_prompt(start: Start) -> None:
    chat = start("-n", "1", *ENDLESS)
    chat.says("first wish")
    chat.asks()
    chat.says("/edit")
    chat.shows("› first wish")
    chat.types("es\r")
    chat.asks()
    chat.says("/tree")
    chat.asks()
    chat.shows("   1 first wish →")
    chat.shows("▶   2 first wishes →")


def test_the_keys_of_vi(start: Start) -> None:
    chat = start("-n", "1", "--show-prompt", "--vi", *ENDLESS)
    chat.types("wrong")
    chat.shows("› wrong")
    chat.types("\x1b")
    chat.types("0cwright\r")
    chat.shows(r"<\|im_start\|>user\nright<\|im_end\|>")


def test_the_toolbar_tells_model_turn_and_state(start: Start) -> None:
    chat = start("-n", "3", "--session", "talk", *ENDLESS)
    chat.shows(r"demo · bfloat16 · not saved · turn 0 · state \d\.\d MiB · –")
    size = re.findall(r"state (\S+) MiB", chat.text)[-1]
    chat.says("hello")
    chat.asks()
    chat.shows(rf"demo · bfloat16 · talk · turn 1 · state {size} MiB · \S+ tok/s")  # the state does not grow


@pytest.mark.promise
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("where", ["prompt", "prefill", "answer"])
def test_a_signal_keeps_what_was_said_and_gives_the_terminal_back(
    start: Start, number: signal.Signals, code: int, where: str
) -> None:
    chat = start("--session", "talk", "-n", "3", *ENDLESS)
    chat.says("first")
    chat.asks()
    if where == "answer":
        chat.says("/set max_tokens -1")
        chat.asks()
        chat.says("second")
        chat.speaks()
    elif where == "prefill":
        chat.types("\x1b[200~" + "a very long question " * 4000 + "\x1b[201~")
        chat.shows("question ")
        chat.types("\r")
    chat.signal(number)
    chat.leaves(code)
    chat = start("--session", "talk")
    chat.says("/tree")
    shown = chat.asks()
    assert "first →" in shown and ("second →" in shown) == (where == "answer")


def test_a_terminal_that_is_closed_ends_the_chat_and_loses_nothing(start: Start) -> None:
    chat = start("--session", "talk", *ENDLESS)
    chat.says("go on and on")
    chat.speaks()
    chat.child.close(force=False)  # the window is closed: SIGHUP, and nothing can be written any more
    assert (chat.child.exitstatus, chat.child.signalstatus) == (129, None)
    chat = start("--session", "talk")
    chat.says("/tree")
    chat.shows("go on and on →")


def test_a_file_gets_the_answers_and_nothing_else(start: Start, tmp_path: Path) -> None:
    chat = start("-n", "3", "--show-prompt", *ENDLESS, into=tmp_path / "answers")
    chat.says("hello")
    assert "hello" in chat.asks()
    chat.says("/exit")
    chat.leaves(0)
    written = (tmp_path / "answers").read_text()
    assert written.count("\n") == 1 and "hello" not in written and "\x1b" not in written and "›" not in written


def test_a_terminal_that_can_do_nothing_gets_no_codes(start: Start) -> None:
    chat = start("-n", "3", *ENDLESS, term="dumb")
    chat.shows(r"leaves\n>")
    chat.types("hello\n")
    chat.shows(r"goes on]\n>")
    chat.types("/exit\n")
    chat.leaves(0)
    assert "\x1b" not in chat.raw


def test_an_error_in_the_middle_leaves_the_chat_as_it_was(start: Start) -> None:
    chat = start("-n", "3", *ENDLESS, model="demo-h1")
    chat.types("\x1b[200~" + "far too much " * 9000 + "\x1b[201~\r")
    chat.shows("positions of the model")
    chat.asks()
    chat.says("hello")
    chat.asks()
    chat.says("/tree")
    chat.shows("   1 hello →")


def test_states_to_go_back_to_have_a_budget(start: Start) -> None:
    chat = start("-n", "2", "--snapshot-memory", "0")
    for text in ("one", "two", "three"):
        chat.says(text)
        chat.asks()
    chat.says("/show state")
    chat.shows(r"1 snapshot for going back, .* of at most 0 MiB")  # the newest is always kept
    chat.asks()
    chat.says("/undo")
    chat.shows("1 turn taken back, 2 left")
