"""A conversation as text, for people and for programs."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from falcon_cli.export import Origin, document, export_conversation, exported, format_of, tree
from modeling.errors import InvalidRequest, WriteFailed
from modeling.turns import Turn

Said = Callable[..., Turn]


@pytest.fixture
def talk(said: Said) -> list[Turn]:
    """Three turns: the second and the third are answers to the first."""
    first = said(None, "where to?", "Oslo", system="be kind")
    return [
        first,
        said(first, "and then?", "Ber", system="be kind", reason="length", stop=None),
        said(first, "and\nback?", "# Home\n\nby *train*\n", system="be brief"),
    ]


def test_markdown_reads_as_the_conversation_went(talk: list[Turn]) -> None:
    text = exported(talk, talk[2], "md", origin=Origin("trip", "demo"))
    assert text == (
        "# trip\n\n*demo*\n\n## System\n\nbe kind\n\n## User\n\nwhere to?\n\n## Assistant\n\nOslo\n\n"
        "## System\n\nbe brief\n\n## User\n\nand\nback?\n\n## Assistant\n\n# Home\n\nby *train*\n"
    )
    assert exported(talk, talk[1], "md").endswith("Ber\n\n*(stopped at the length that was asked for)*\n")
    assert exported([], None, "md") == "# Conversation\n"


def test_jsonl_is_what_a_chat_takes(talk: list[Turn]) -> None:
    lines = [json.loads(line) for line in exported(talk, talk[2], "jsonl").splitlines()]
    assert lines == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "where to?"},
        {"role": "assistant", "content": "Oslo"},
        {"role": "user", "content": "and\nback?"},
        {"role": "assistant", "content": "# Home\n\nby *train*\n"},
    ]
    assert exported([], None, "jsonl") == ""


def test_a_line_of_jsonl_is_a_line_whatever_was_said(said: Said) -> None:
    strange = "a\u2028b\u2029c\x85d\x0ce\r\nf\x00\x1b\ud800"
    text = exported([turn := said(None, strange, strange)], turn, "jsonl")
    assert [json.loads(line)["content"] for line in text.split("\n")[:-1]] == [strange, strange]
    assert "\x1b" not in text


def test_json_has_all_there_is_to_know(talk: list[Turn]) -> None:
    origin = Origin("trip", "demo", "abc", 1_770_000_000.0, 1_770_000_060.0)
    content = json.loads(exported(talk, talk[2], "json", branches={"north": talk[1]}, origin=origin))
    assert (content["name"], content["model"], content["revision"]) == ("trip", "demo", "abc")
    assert (content["created"], content["updated"]) == ("2026-02-02T02:40:00Z", "2026-02-02T02:41:00Z")
    assert (content["head"], content["branches"]) == (3, {"north": 2})
    assert [turn["parent"] for turn in content["turns"]] == [None, 1, 1]
    assert [turn["number"] for turn in content["turns"]] == [1, 2, 3]
    assert [turn["finish_reason"] for turn in content["turns"]] == ["stop", "length", "stop"]
    assert content["turns"][1]["sampling"]["temperature"] == 0.7
    assert content["turns"][1]["stats"]["completion_tokens"] == 20
    assert content["turns"][2]["reply"] == talk[2].reply
    assert [message["role"] for message in content["messages"]] == ["system", "user", "assistant", "user", "assistant"]
    assert document([], None, {}, Origin())["turns"] == []


def test_the_tree_shows_who_follows_whom(talk: list[Turn], said: Said) -> None:
    talk.append(said(talk[1], "further", "x" * 100))
    talk.append(said(talk[3], "and on", "so on"))
    assert list(tree(talk, talk[2], {"north": talk[4], "star": talk[4]})) == [
        "    1 where to? → Oslo",
        "    2   and then? → Ber",
        f"    4   further → {'x' * 35}…",
        "    5   and on → so on (north, star)",
        "▶   3   and back? → # Home by *train*",
    ]


def test_a_deep_conversation_is_no_deep_recursion(said: Said) -> None:
    turns: list[Turn] = []
    for number in range(3000):
        turns.append(said(turns[-1] if turns else None, str(number), segments=(), kept=0))
    assert len(list(tree(turns, turns[-1], {}))) == 3000
    assert len(json.loads(exported(turns, turns[-1], "json"))["messages"]) == 6000


def test_the_ending_of_the_file_names_the_format(talk: list[Turn], tmp_path: Path) -> None:
    for ending in ("md", "json", "jsonl", "JSON"):
        path = tmp_path / f"talk.{ending}"
        export_conversation(talk, talk[2], path)
        assert path.read_text("utf-8") == exported(talk, talk[2], ending.lower())  # type: ignore[arg-type]
    for name in ("talk.txt", "talk", ".md", "talk.jsonn"):
        with pytest.raises(InvalidRequest, match="names no format"):
            export_conversation(talk, talk[2], tmp_path / name)
    with pytest.raises(InvalidRequest, match=r"Did you mean '\.jsonl'"):
        format_of(Path("talk.jsonll"))
    export_conversation(talk, talk[2], tmp_path / "talk", format="jsonl")
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.promise
def test_a_file_is_whole_or_as_it_was(talk: list[Turn], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "talk.md"
    path.write_text("before")
    with pytest.raises(WriteFailed):
        export_conversation(talk, talk[2], tmp_path / "missing" / "talk.md")
    with pytest.raises(WriteFailed):
        export_conversation(talk, talk[2], Path("/dev/full"), format="json")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteFailed, match="No space left"):
        export_conversation(talk, talk[2], path)
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["talk.md"]
