from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import modeling
from falcon_cli.app import run

FAKE = Path(__file__).parent / "fake_model.py"


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="session")
def fake_model() -> Any:
    spec = importlib.util.spec_from_file_location("fake_model", FAKE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A FALCON_HOME of the test's own, and an environment that settles nothing."""
    for name in [*os.environ]:
        if name.startswith("FALCON_") or name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FALCON_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def falcon(
    fake_model: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Outcome]:
    """falcon(arguments…, stdin=None) runs the command line in this process, with the fake model."""
    monkeypatch.setenv("FALCON_MODEL", "fake")
    monkeypatch.setitem(sys.modules, "modeling.api", None)
    monkeypatch.setattr(modeling, "api", None, raising=False)
    fake_model.install()
    fake_model.OPENED.clear()

    def call(*arguments: str, stdin: bytes | None = None) -> Outcome:
        source = Path("/dev/null")
        if stdin is not None:
            source = tmp_path / "stdin"
            source.write_bytes(stdin)
        with source.open(encoding="utf-8") as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            code = run(arguments)
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[bytes]]:
    """start(arguments…, **popen) runs the command line with the fake model in a process of its own."""

    def call(*arguments: str, **settings: Any) -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([sys.executable, str(FAKE), *arguments], **(pipes | settings))

    return call
