"""The keys of the chat in a real terminal: an earlier line, an editor, completion, what is typed ahead."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]
SHORT = ("-n", "2", "--greedy", "--ignore-eos")


def test_ctrl_r_finds_a_line_of_another_run_and_enter_sends_it(start: Start) -> None:
    chat = start(*SHORT)
    chat.says("where is the needle now")
    chat.asks()
    chat.says("/exit")
    chat.leaves(0)
    chat = start("--show-prompt", *SHORT)
    chat.types("\x12needle")
    chat.shows("› where is the needle now\n")
    chat.types("\r")
    chat.shows(r"user\nwhere is the needle now<|I-search backward:\n")
    assert "where is the needle now<" in chat.text
    assert "I-search" not in chat.asks()


def test_the_editor_gets_the_line_and_what_it_writes_is_sent(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "editor"
    editor.write_text(f"""#!/bin/sh\ncp "$1" {tmp_path}/given\nprintf 'one from the editor\\ntwo\\n' > "$1"\n""")
    editor.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", str(editor))
    chat = start("--show-prompt", *SHORT)
    chat.types("half a thought")
    chat.shows("› half a thought")
    chat.types("\x18\x05")
    chat.shows(r"<\|im_start\|>user\none from the editor\ntwo<\|im_end\|>")
    chat.asks()
    chat.shows(r"turn 1 ·")
    assert (tmp_path / "given").read_text() == "half a thought" and "half a thought" not in chat.text


def test_tab_completes_files_conversations_and_parameters(start: Start, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("eggs and milk\n")
    (tmp_path / "papers").mkdir()
    chat = start("--session", "talk-of-oslo", "--show-prompt", *SHORT)
    for typed, offered, whole, rest, effect in [
        ("/read ~/no", "notes.txt", "/read ~/notes.txt", " What is missing?", r"user\neggs and milk\n\nWhat is missing\?<"),
        ("/export ~/pap", "papers/", "/export ~/papers", "/talk.md", r"\[written: \S+/papers/talk\.md\]"),
        ("/load talk", "talk-of-oslo", "/load talk-of-oslo", "", r"\[talk-of-oslo: 1 turn; state restored"),
        ("/set temperat", "temperature", "/set temperature", " 0.5", ""),
    ]:
        chat.types(typed)
        chat.shows(rf"› {re.escape(typed)}\n +{re.escape(offered)}")  # the menu
        chat.types("\t")
        chat.shows(rf"› {re.escape(whole)}\n")
        chat.types(f"{rest}\r")
        chat.shows(rf"› {re.escape(whole + rest)}\n(?! )")
        chat.asks()
        chat.shows(effect)
    chat.says("/show parameters")
    assert re.search(r"^temperature 0\.5$", chat.asks(), re.MULTILINE)


def test_tab_completes_a_file_with_a_blank_in_its_name(start: Start, tmp_path: Path) -> None:
    (tmp_path / "my notes.txt").write_text("eggs and milk\n")
    chat = start("--show-prompt", *SHORT)
    chat.types("/read ~/my")
    chat.shows(r"› /read ~/my\n +my notes\.txt")
    chat.types("\t")
    chat.shows(r"notes\.txt\"?\n(?! )")
    chat.types("\r")
    chat.asks()
    assert "eggs and milk" in chat.text and "error:" not in chat.text


def test_what_is_typed_ahead_waits_for_its_prompt_and_enter_alone_sends_it(start: Start) -> None:
    chat = start("-n", "600", "--greedy", "--ignore-eos")
    chat.says("go")
    chat.speaks()
    before = len(chat.raw)
    chat.types("/sttas\x7f\x7f\x7fats\rzebra")
    chat.shows(r"› /stats\nreused 0 · prefilled .*\n› zebra\n")
    answer = chat.raw[before : chat.raw.index("[stopped", before)]
    assert "stt" not in answer and "zebra" not in answer
    chat.shows(r"turn 1 ·")
    chat.types(" stripes\r")
    chat.shows(r"› zebra stripes\n")
    chat.speaks()
