"""--num-samples, --logprobs and --prompt-cache: what is asked of the engine and what is written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Falcon = Callable[..., Any]


def test_samples_are_written_one_below_the_other(falcon: Falcon) -> None:
    outcome = falcon("generate", "ab", "--num-samples", "3")
    assert (outcome.code, outcome.out, outcome.err) == (0, "AB\n---\nABAB\n---\nABABAB\n", "")


def test_json_has_all_samples_and_the_best_by_its_mean_logprob(falcon: Falcon) -> None:
    result = falcon("generate", "ab", "--num-samples", "3", "--json", "--return-ids").json
    assert [sample["mean_logprob"] for sample in result["samples"]] == [-1.0, -0.5, -0.333333]
    assert (result["best"], result["text"], result["samples"][2]["text"]) == (2, "ABABAB", "ABABAB")
    assert result["samples"][0]["completion_ids"] == [65, 66, 0] and "logprobs" not in result["samples"][0]
    assert result["prompt_ids"] == [97, 98]


def test_json_lines_tell_of_which_sample_a_text_is(falcon: Falcon) -> None:
    events = [json.loads(line) for line in falcon("generate", "ab", "--num-samples", "2", "--jsonl").out.splitlines()]
    assert (events[0]["event"], events[0]["samples"], events[-1]["event"], events[-1]["best"]) == ("start", 2, "end", 1)
    texts = ["", ""]
    for event in events[1:-1]:
        texts[event["sample"]] += event["text"]
    assert texts == ["AB", "ABAB"]


def test_logprobs_have_the_shape_of_openai(falcon: Falcon) -> None:
    result = falcon("generate", "é", "--logprobs", "1", "--json").json
    other = {"id": 120, "token": "x", "logprob": -3.0, "bytes": [120]}
    assert result["logprobs"]["content"] == [
        {"id": 201, "token": "É", "logprob": -1.0, "bytes": [0xC3, 0x89], "top_logprobs": [other]}
    ]
    assert result["mean_logprob"] == -1.0
    assert "logprobs" not in falcon("generate", "a", "--json").json


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["a", "--logprobs", "3"], "--logprobs has no place without --json"),
        (["a", "--logprobs", "101", "--json"], "101"),
        (["a", "--num-samples", "0"], "0"),
        (["a", "--num-samples", "2", "-x"], "--extract"),
    ],
)
def test_a_wrong_call_is_told(arguments: list[str], what: str, falcon: Falcon) -> None:
    outcome = falcon("generate", *arguments)
    assert (outcome.code, outcome.out) == (2, "") and what in outcome.err


# ---- read once, ask many ----


def test_a_document_is_read_once_and_asked_many_times(falcon: Falcon, fake_model: Any, tmp_path: Path) -> None:
    document, state = tmp_path / "doc.txt", tmp_path / "doc.fstate"
    document.write_text("abc\n")
    made = falcon("cache-prompt", "-f", str(document), "-o", str(state))
    assert (made.code, made.out) == (0, "") and made.err.startswith(f"note: {state}: 3 tokens, ")
    asked = falcon("generate", "--prompt-cache", str(state), "why", "--json")
    assert (asked.json["text"], asked.json["reused_tokens"], asked.json["prompt_tokens"]) == ("ABC\n\nWHY", 3, 8)
    assert asked.err == f"note: {state}: 3 tokens reused, 5 read\n"
    again = falcon("generate", "--prompt-cache", str(state), "-f", str(document), "why", "-q")
    assert (again.out, again.err) == ("ABC\n\nWHY\n", "")
    rows = falcon("generate", "-i", "-", "--prompt-cache", str(state), "-q", stdin=b"why\nhow\n")
    assert [(row["text"], row["reused_tokens"]) for row in map(json.loads, rows.out.splitlines())] == [
        ("ABC\n\nWHY", 3),
        ("ABC\n\nHOW", 3),
    ]


def test_generate_keeps_the_state_itself_and_says_where_another_prompt_differs(falcon: Falcon, tmp_path: Path) -> None:
    state = tmp_path / "doc.fstate"
    first = falcon("generate", "why", "--prompt-cache", str(state), stdin=b"abcd\n")
    assert first.out == "ABCD\n\nWHY\n" and first.err.startswith(f"note: {state}: 4 tokens are kept, ")
    before = state.read_bytes()
    other = falcon("generate", "why", "--prompt-cache", str(state), "--json", stdin=b"abXd\n")
    assert (other.json["text"], other.json["reused_tokens"]) == ("ABXD\n\nWHY", 0)
    assert "the prefix differs at token 2 of 4; all of the prompt is read, and the file stays as it is" in other.err
    assert state.read_bytes() == before
    whole = falcon("generate", "--prompt-cache", str(tmp_path / "whole"), "--raw", stdin=b"abcd")
    assert whole.code == 0 and json.loads((tmp_path / "whole").read_text())[2] == [97, 98, 99], "one is left to feed"


@pytest.mark.parametrize(
    ("command", "code", "what"),
    [
        (["generate", "why", "--prompt-cache", "{none}"], 2, "there is no {none} to go on from"),
        (["generate", "why", "--prompt-cache", "{state}", "-m", "other"], 5, "made by another model"),
        (["generate", "why", "--prompt-cache", "{none}/x", "-f", "{doc}"], 74, "cannot be written"),
        (["cache-prompt", "-f", "{doc}"], 2, "no file for the state"),
        (["cache-prompt", "-f", "{doc}", "-o", "{none}/x"], 74, "there is no folder"),
        (["cache-prompt", "-o", "{none}"], 2, "no prompt"),
        (["cache-prompt", "-f", "{doc}", "-o", "{doc}"], 2, "the same file"),
        (["cache-prompt", "-f", "{doc}", "-o", "-"], 2, "no text for standard output"),
    ],
)
def test_what_cannot_be_kept_or_used_is_told(command: list[str], code: int, what: str, falcon: Falcon, tmp_path: Path) -> None:
    names = {"none": str(tmp_path / "none"), "state": str(tmp_path / "state"), "doc": str(tmp_path / "doc")}
    (tmp_path / "doc").write_text("abc")
    assert falcon("cache-prompt", "-f", names["doc"], "-o", names["state"], "-q").code == 0
    outcome = falcon(*(part.format(**names) for part in command))
    assert (outcome.code, outcome.out) == (code, "") and what.format(**names) in outcome.err
    assert outcome.err.splitlines()[1].startswith("hint: ") and (tmp_path / "doc").read_text() == "abc"


def test_a_folder_that_takes_no_file_is_told_before_the_document_is_read(
    falcon: Falcon, fake_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, document = tmp_path / "state", tmp_path / "doc"
    document.write_text("abc")
    assert falcon("cache-prompt", "-f", str(document), "-o", str(state)).code == 0
    fake_model.OPENED.clear()
    monkeypatch.setattr("falcon_cli.output.os.access", lambda _, mode: not mode & os.W_OK)
    for command in (["cache-prompt", "-o"], ["generate", "why", "--prompt-cache"]):
        outcome = falcon(*command, str(tmp_path / "new"), "-f", str(document))
        assert (outcome.code, outcome.out, fake_model.OPENED) == (74, "", []) and "no file can be made" in outcome.err
    assert falcon("generate", "why", "--prompt-cache", str(state)).out == "ABC\n\nWHY\n", "to read it is another matter"
