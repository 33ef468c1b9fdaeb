from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from falcon_cli.app import run
from falcon_cli.store import Saved, Store
from modeling.messages import SamplingParams, Stats
from modeling.turns import Segment, Turn

WRITER = Path(__file__).parent / "writer.py"
IDENTITY = {"tokenizer": "t1", "template": "c1"}


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A FALCON_HOME of the test's own, which is not there yet, and an environment that settles nothing."""
    for name in [*os.environ]:
        if name.startswith("FALCON_") or name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FALCON_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with Store.open(home) as opened:
        yield opened


@pytest.fixture
def said() -> Callable[..., Turn]:
    """said(parent, question, answer, …) makes a turn as a session does: what it adds to the transcript, with its ids."""

    def call(parent: Turn | None, user: str = "why?", reply: str = "because", **fields: Any) -> Turn:
        kept = 0 if parent is None else parent.kept + len(parent.segments)
        segments = (
            Segment("template", "<user>", (kept + 1,)),
            Segment("content", user, tuple(user.encode("utf-8", "surrogatepass"))),
            Segment("template", "<model>", (kept + 2, 130_000)),
            Segment("reply", reply, tuple(reply.encode("utf-8", "surrogatepass"))),
        )
        values: dict[str, Any] = {
            "system": None,
            "kept": kept,
            "segments": segments,
            "reason": "stop",
            "stop": 11,
            "sampling": SamplingParams(temperature=0.7, stop=("###",), seed=5, max_tokens=9),
            "stats": Stats(100, 60, 40, 20, 0.5, 0.25, 0.6),
            "created": 1_770_000_000.25,
        }
        return Turn(parent=parent, user=user, reply=reply, **(values | fields))

    return call


@pytest.fixture
def begun(store: Store) -> Saved:
    """A session without turns."""
    return store.create("trip", "demo", "abc", IDENTITY, "be kind")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def falcon(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """falcon(arguments…) runs the command line in this process, with nothing to read."""

    def call(*arguments: str) -> Outcome:
        with Path("/dev/null").open(encoding="utf-8") as nothing:
            monkeypatch.setattr(sys, "stdin", nothing)
            code = run(arguments)
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def write(home: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """write(arguments of writer.py …) adds turns in a process of its own, which prints each that is acknowledged."""
    started: list[subprocess.Popen[str]] = []

    def call(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(WRITER), str(home), *map(str, arguments)]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
