"""`falcon help`: every topic is there, and says nothing that is not so."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from falcon_cli.exit import ExitCode
from falcon_cli.topics import TOPICS

Falcon = Callable[..., Any]
README = Path(__file__).parents[2] / "README.md"


def test_the_topics_are_listed(falcon: Falcon) -> None:
    outcome = falcon("help")
    assert (outcome.code, outcome.err) == (0, "")
    names = [line.split()[0] for line in outcome.out.splitlines()]
    assert names == sorted(TOPICS)
    assert set(names) >= {"exit-codes", "sampling", "sessions", "models", "environment"}


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_fits_a_terminal_and_names_only_options_that_exist(topic: str, falcon: Falcon) -> None:
    outcome = falcon("help", topic)
    assert (outcome.code, outcome.err) == (0, "")
    assert len(outcome.out.splitlines()) > 8
    assert max(map(len, outcome.out.splitlines())) <= 80
    known = set(re.findall(r"--[a-z][a-z-]+", falcon("generate", "--help").out + falcon("chat", "--help").out))
    assert set(re.findall(r"--[a-z][a-z-]+", outcome.out)) <= known


def test_the_exit_codes_are_all_told(falcon: Falcon) -> None:
    text = falcon("help", "exit-codes").out
    for code in ExitCode:
        assert f"{int(code):>5}  {code.meaning}\n" in text
    assert ExitCode.INTERRUPTED == 128 + signal.SIGINT
    assert ExitCode.PIPE_CLOSED == 128 + signal.SIGPIPE
    assert ExitCode.TERMINATED == 128 + signal.SIGTERM and ExitCode.HUNG_UP == 128 + signal.SIGHUP
    assert ExitCode.IO == os.EX_IOERR
    codes = README.read_text("utf-8").partition("## Exit codes")[2].partition("\n## ")[0]
    assert [int(number) for number in re.findall(r"(?:^|· ?)(\d+) ", codes, re.MULTILINE)] == list(ExitCode)


def test_a_command_is_a_topic_and_a_wrong_topic_is_met_with_the_nearest(falcon: Falcon) -> None:
    assert falcon("help", "generate").out == falcon("generate", "--help").out
    outcome = falcon("help", "exit-code")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "error: there is no topic 'exit-code'. Did you mean 'exit-codes'?\nhint: falcon help lists them\n"
    assert "Did you mean" not in falcon("help", "xyzzy").err
