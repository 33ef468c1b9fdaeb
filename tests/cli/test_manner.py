"""How falcon speaks: colours where they belong, and the file of --log-file."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from falcon_cli.color import wanted

Falcon = Callable[..., Any]
RED_ERROR = "\x1b[1;31merror:\x1b[0m "


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("color", "variables", "terminal", "pipe"),
    [
        ("auto", {}, True, False),
        ("auto", {"NO_COLOR": "1"}, False, False),
        ("auto", {"NO_COLOR": ""}, True, False),
        ("auto", {"FORCE_COLOR": "1"}, True, True),
        ("auto", {"FORCE_COLOR": "0"}, True, False),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
        ("auto", {"TERM": "dumb"}, False, False),
        ("always", {"NO_COLOR": "1", "TERM": "dumb"}, True, True),
        ("never", {"FORCE_COLOR": "1"}, False, False),
    ],
)
def test_who_gets_colours(
    color: Any, variables: dict[str, str], terminal: bool, pipe: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert wanted(Terminal(), color) is terminal
    assert wanted(io.StringIO(), color) is pipe
    assert wanted(None, color) is (color == "always" or bool(pipe))


def test_an_error_is_coloured_from_the_first_word_of_the_command_line(falcon: Falcon, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (["--color", "always"], ["--color=always"]):
        assert falcon("generate", "--nonsense", *arguments).err.startswith(f"{RED_ERROR}no such option")
        assert falcon("generate", "fail:ModelGated a", *arguments).err.startswith(f"{RED_ERROR}it failed\n")
    monkeypatch.setenv("FALCON_COLOR", "always")
    assert falcon("generate", "--nonsense").err.startswith(RED_ERROR)
    assert falcon("generate", "--nonsense", "--color", "never").err.startswith("error: ")
    assert falcon("generate", "a").out == "A\n"


def test_a_coloured_error_still_shows_what_foreign_text_it_holds(falcon: Falcon) -> None:
    assert "\x1b[2J" not in falcon("generate", "-f", "\x1b[2J", "--color", "always").err


def test_a_settled_debug_shows_the_traceback(falcon: Falcon, home: Path) -> None:
    (home / "config.toml").write_text("debug = true\n")
    assert "Traceback" in falcon("generate", "raise:ZeroDivisionError").err


def test_the_log_has_what_was_said_and_no_word_of_prompt_or_answer(falcon: Falcon, tmp_path: Path) -> None:
    log = tmp_path / "falcon.log"
    log.write_text("before\n")
    assert falcon("generate", "secret", "--log-file", str(log), "--stats").out == "SECRET\n"
    assert falcon("generate", "fail:ModelGated a", "--log-file", str(log)).code == 3
    text = log.read_text()
    assert text.startswith("before\n")
    assert "finish reason:        stop" in text
    assert "opened fake (fake, local): float32, cpu, torch\n" in text
    assert "finished (stop): 6 tokens in, 7 tokens out\n" in text
    assert text.count("error: it failed") == text.count("hint: try again") == 1
    assert "secret" not in text.lower()


def test_a_log_that_cannot_be_written_is_74_before_anything_is_loaded(falcon: Falcon, fake_model: Any, tmp_path: Path) -> None:
    outcome = falcon("generate", "a", "--log-file", str(tmp_path))
    assert (outcome.code, outcome.out) == (74, "")
    assert "cannot be written: Is a directory" in outcome.err
    assert fake_model.OPENED == []
