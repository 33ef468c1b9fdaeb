"""The forms of an answer: thoughts apart, fenced blocks, JSON lines, echo."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falcon_cli.fence import first_block
from falcon_cli.thinking import Thinking

Falcon = Callable[..., Any]


def sort(parts: list[str], *, opened: bool = False) -> dict[str, str]:
    thinking = Thinking(opened=opened)
    found = {"thought": "", "answer": ""}
    for part in parts:
        for kind, text in thinking.feed(part):
            found[kind] += text
    for kind, text in thinking.end():
        found[kind] += text
    return found


@pytest.mark.parametrize(
    ("text", "opened", "thought", "answer"),
    [
        ("plain", False, "", "plain"),
        ("  plain", False, "", "  plain"),
        ("<think>\na b\n</think>\n\nanswer", False, "<think>\na b\n</think>\n\n", "answer"),
        (" <think>a</think>b </think>", False, " <think>a</think>", "b </think>"),
        ("a</think>b", True, "a</think>", "b"),
        ("never closed </thin", True, "never closed </thin", ""),
        ("<think>never closed", False, "<think>never closed", ""),
        ("<thin", False, "", "<thin"),
        ("the tag <think> later", False, "", "the tag <think> later"),
        ("<think></think>  ", False, "<think></think>  ", ""),
        ("", False, "", ""),
    ],
)
def test_a_thought_is_told_from_the_answer(text: str, opened: bool, thought: str, answer: str) -> None:
    assert sort([text], opened=opened) == {"thought": thought, "answer": answer}
    assert sort(list(text), opened=opened) == {"thought": thought, "answer": answer}


@given(st.lists(st.sampled_from(["<", "<think>", "</think>", "</", "think", ">", " ", "\n", "a"])), st.booleans())
def test_nothing_is_lost_or_sorted_otherwise_however_it_is_cut(parts: list[str], opened: bool) -> None:
    found = sort(parts, opened=opened)
    assert found["thought"] + found["answer"] == "".join(parts)
    assert sort(["".join(parts)], opened=opened) == found


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("no block", None),
        ("a ``` b", None),
        ("``` a`b\nno info string holds a backtick", None),
        ("text\n```python\nx = 1\n```\nmore\n```\nsecond\n```", "x = 1\n"),
        ("```\n```", ""),
        ("~~~\n```\n~~~", "```\n"),
        ("````md\n```\ninner\n```\n````\n", "```\ninner\n```\n"),
        ("  ```\n  kept\n  ```", "  kept\n"),
        ("```sh\ncut off", "cut off"),
        ("```", ""),
        ("```\na\n``` not the end\n```", "a\n``` not the end\n"),
    ],
)
def test_the_first_fenced_block(text: str, block: str | None) -> None:
    assert first_block(text) == block


def test_extract_writes_the_block_only(falcon: Falcon) -> None:
    outcome = falcon("generate", "so:\n```py\nx = 1\n```\nwell", "-x")
    assert (outcome.code, outcome.out, outcome.err) == (0, "X = 1\n", "")
    result = falcon("generate", "so:\n```py\nx = 1\n```\nwell", "-x", "--json").json
    assert (result["extracted"], result["text"]) == ("X = 1\n", "SO:\n```PY\nX = 1\n```\nWELL")


def test_an_answer_without_a_block_is_not_lost_and_not_passed_off_as_one(falcon: Falcon, tmp_path: Path) -> None:
    (tmp_path / "code").write_text("before")
    for arguments in ([], ["-o", str(tmp_path / "code")]):
        outcome = falcon("generate", "sorry", "-x", *arguments)
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err.startswith("SORRY\nerror: the answer has no fenced block\nhint: ")
    assert (tmp_path / "code").read_text() == "before"
    assert falcon("generate", "sorry", "-x", "--json").json["extracted"] is None


def test_json_lines_tell_the_answer_as_it_comes_and_then_everything(falcon: Falcon) -> None:
    outcome = falcon("generate", "ab\n", "--jsonl", "--return-ids")
    events = [json.loads(line) for line in outcome.out.splitlines()]
    assert [event["event"] for event in events] == ["start", "text", "text", "text", "end"]
    assert events[0] == {"event": "start", "model": "fake", "prompt_tokens": 3}
    assert "".join(event["text"] for event in events[1:4]) == events[-1]["text"] == "AB\n"
    assert events[-1]["completion_ids"] == [65, 66, 10, 0]
    assert events[-1]["finish_reason"] == "stop"
    assert "prompt_ids" not in json.loads(falcon("generate", "a", "--jsonl").out.splitlines()[-1])
    whole = falcon("generate", "ab", "--jsonl", "--no-stream").out.splitlines()
    assert [json.loads(line)["event"] for line in whole] == ["end"]


def test_json_lines_end_with_the_error(falcon: Falcon) -> None:
    outcome = falcon("generate", "fail:MemoryExceeded a", "--jsonl")
    last = json.loads(outcome.out.splitlines()[-1])
    assert last == {"event": "error", "message": "it failed", "hint": "try again", "exit_code": 4}
    assert (outcome.code, outcome.err) == (4, "error: it failed\nhint: try again\n")


def test_echo_and_no_stream(falcon: Falcon) -> None:
    assert falcon("generate", "once ", "--echo").out == "once ONCE \n"
    assert falcon("generate", "a", "--no-stream").out == "A\n"


def test_no_stream_writes_nothing_until_the_end(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start("generate", "fail:ModelGated a", "--no-stream")
    assert process.communicate(timeout=10)[0] == b""
    process = start("generate", "slow a", "--no-stream")
    assert process.communicate(timeout=10)[0] == b"SLOW A\n"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ("--json --jsonl", "--json and --jsonl contradict"),
        ("--chat --raw", "--chat and --raw contradict"),
        ("--echo --json", "--echo has no place beside --json"),
        ("--echo --jsonl", "--echo has no place beside --jsonl"),
        ("--echo -x", "--echo has no place beside --extract"),
        ("--raw --system x", "--raw feeds the text as it is, so --system has no place"),
        ("--raw --prefill-response x", "so --prefill-response has no place"),
        ("--system a --system-file b", "system prompt is given twice"),
        ("--system-file /does/not/exist", "/does/not/exist cannot be read"),
        ("--tools /dev/null", "--tools /dev/null is not JSON"),
        ("--chat-template /does/not/exist", "the chat template '/does/not/exist' cannot be read"),
    ],
)
def test_contradictions_are_found_before_the_model_is_opened(
    arguments: str, what: str, falcon: Falcon, fake_model: Any
) -> None:
    outcome = falcon("generate", "a", *arguments.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert what in outcome.err.splitlines()[0]
    assert outcome.err.splitlines()[1].startswith("hint: ")
    assert fake_model.OPENED == []
