from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Any

import pytest

import modeling
from falcon_cli.app import run
from falcon_cli.signals import Terminated
from modeling.errors import DeviceUnavailable, MemoryExceeded
from modeling.messages import ModelSpec

FAKE = Path(__file__).parent / "fake_model.py"
RESULTS = Path(__file__).parent / "fake_results.py"


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
    return _module(FAKE)


@pytest.fixture(scope="session")
def fake_results() -> Any:
    return _module(RESULTS)


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
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


@pytest.fixture
def measured(falcon: Callable[..., Outcome], fake_results: Any) -> list[dict[str, Any]]:
    """What `falcon bench` asks of the engine room, call by call. The model "error:after" fails behind its first result,
    "error:at-once" before it, "broken" as only a fault does, "interrupted" is interrupted, "ended" gets SIGTERM, "slow-machine"
    is void. Triton is never there."""
    calls: list[dict[str, Any]] = []

    def measure(spec: ModelSpec, plan: Any, *, began: Any, progress: Any, **options: Any) -> Iterator[Any]:
        calls.append({"spec": spec, "plan": plan, **options})
        void = "this NVIDIA H200 reads too little" if spec.name == "slow-machine" else ""
        if spec.kernels == "triton":
            raise DeviceUnavailable("there is no Triton", "use --kernels auto")
        for number, result in enumerate(fake_results.results_of(spec, plan, void)):
            began(result.test)
            if spec.name == "error:at-once" or (spec.name == "error:after" and number):
                raise MemoryExceeded("it does not fit", "choose a smaller batch")
            ends = {"interrupted": KeyboardInterrupt, "broken": ZeroDivisionError, "ended": lambda: Terminated(Signals.SIGTERM)}
            if spec.name in ends and number:
                raise ends[spec.name]()
            yield result

    api: Any = sys.modules["modeling.api"]
    api.measure, api.computes_on = measure, lambda device: "cpu" if device == "cpu" else "cuda"
    return calls


@pytest.fixture
def steady(fake_results: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five repetitions that hardly differ, of 2 s each."""
    result_of = fake_results.result_of
    seconds = tuple(2.0 + number * 1e-9 for number in range(5))
    monkeypatch.setattr(fake_results, "result_of", lambda *args, **named: result_of(*args, seconds=seconds, **named))
