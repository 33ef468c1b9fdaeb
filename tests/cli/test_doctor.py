"""`falcon doctor`: its answer, its exit code, and that nothing broken breaks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import falcon_cli
from modeling import checkup
from modeling.checkup import Finding, Question, examine
from modeling.errors import DeviceUnavailable
from modeling.messages import ModelSpec

Falcon = Callable[..., Any]
SOURCE = Path(falcon_cli.__file__).parents[1]


def question(named: bool = False, **spec: Any) -> Question:
    return Question(ModelSpec(**({"name": "demo"} | spec)), named, {}, SOURCE)


def doctor(*arguments: str, path: str = "", **settings: Any) -> subprocess.CompletedProcess[str]:
    """In a process of its own, with `path` in front of PYTHONPATH."""
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (path, str(SOURCE)))), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "falcon_cli", "doctor", *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, **settings)


def test_this_machine() -> None:
    done = doctor("demo", "--device", "cpu", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["ok"], done.stderr) == (0, True, "")
    told = {(finding["section"], finding["name"]): finding["value"] for finding in found["findings"]}
    assert told["device", "models run on"] == "cpu"
    assert told["kernels", "ssd"] == "torch (they need a CUDA device, and this is cpu)"
    assert told["model", "shape"].startswith("falcon_mamba, ")
    assert {"falcon", "packages", "device", "kernels", "model", "places"} == {section for section, _ in told}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--kernels", "triton", "--device", "cpu"], "they need a CUDA device, and this is cpu"),
        (["--device", "cuda:77"], "there is no device 'cuda:77' here"),
        (["--kernels", "mamba-ssm"], "--kernels mamba-ssm: "),
        (["no-such-org/no-such-model", "--offline"], "is not in the local cache"),
    ],
)
def test_what_was_asked_for_and_is_not_there_is_a_fault(arguments: list[str], told: str) -> None:
    faults = [finding for finding in examine(question(**_spec(arguments))) if finding.level == "fault"]
    assert [told in finding.value for finding in faults] == [True]  # once, however many probes it stops


def _spec(arguments: list[str]) -> dict[str, Any]:
    if arguments[0].startswith("--"):
        return {name[2:]: value for name, value in zip(arguments[::2], arguments[1::2], strict=True)}
    return {"named": True, "name": arguments[0], "offline": True}


def test_the_exit_code_tells_of_faults(falcon: Falcon, monkeypatch: pytest.MonkeyPatch) -> None:
    finding = Finding("device", "torch", "2.13", "ok")
    asked: list[Question] = []

    def examined(question: Question) -> Iterator[Finding]:
        asked.append(question)
        yield finding
        yield Finding("kernels", "ssd", "torch", "note", "do this")

    monkeypatch.setattr(checkup, "examine", examined)
    outcome = falcon("doctor", "some/model", "--kernels", "torch")
    assert outcome.code == 0 and outcome.err == ""
    assert outcome.out.splitlines() == [
        "device", "  torch              2.13", "", "kernels", "! ssd                torch", " " * 21 + "do this",
    ]  # fmt: skip
    assert (asked[0].named, asked[0].spec.name, asked[0].spec.kernels, asked[0].home) == (True, "some/model", "torch", SOURCE)
    finding = Finding("device", "torch", "broken", "fault")
    outcome = falcon("doctor", "--json")
    assert outcome.code == 1 and outcome.json["ok"] is False and len(outcome.json["findings"]) == 2


@pytest.mark.parametrize(
    "error", [ImportError("no"), OSError("libcudart"), RuntimeError(), SystemExit(3), ZeroDivisionError("x")]
)
def test_a_probe_that_fails_is_a_finding(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def _half(question: Question) -> Iterator[Finding]:
        yield Finding("device", "first", "there")
        raise error

    def _other(question: Question) -> Iterator[Finding]:
        raise DeviceUnavailable("what happened", "what to do")

    monkeypatch.setattr(checkup, "PROBES", {"device": (_half, _half, _other)})
    first, fault, again, other = examine(question())
    assert (first.level, again) == ("ok", first) and fault.level == "fault" and type(error).__name__ in fault.value
    assert other == Finding("device", "other", "what happened", "fault", "what to do")


def test_a_broken_torch_is_told_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise OSError('libcudart.so: cannot open shared object file')")
    done = doctor("demo", path=str(tmp_path), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.count("OSError: libcudart.so: cannot open shared object file") == 1
    assert "\nplaces\n" in done.stdout and "  python  " in done.stdout


def test_a_package_that_is_there_and_does_not_work_is_told(tmp_path: Path) -> None:
    """Required ones are faults, others are not; what they say or do at their import is no part of the answer."""
    for name, source in {
        "safetensors": "raise ImportError('no safetensors')",
        "matplotlib": "print('hello')\nraise SystemExit(3)",
        "rich-15.0.0.dist-info": "",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / ("METADATA" if name.endswith("info") else "__init__.py")).write_text(source)
    done = doctor("--json", path=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "")
    findings = [finding for finding in json.loads(done.stdout)["findings"] if finding["section"] == "packages"]
    told = {finding["name"]: (finding["level"], finding["value"]) for finding in findings if finding["level"] != "ok"}
    assert told == {
        "safetensors": ("fault", "ImportError: no safetensors"),
        "matplotlib": ("note", "SystemExit: 3"),
        "rich": ("note", "its metadata is damaged"),
    }


def test_quantizing_that_is_asked_for_and_cannot_be_had_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "PROBES", {"kernels": (checkup._bitsandbytes,)})
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setattr(checkup.importlib.util, "find_spec", lambda name: object())
    assert [finding.level for finding in examine(question())] == ["note"]
    assert [finding.level for finding in examine(question(quantize="nf4"))] == ["fault"]
    monkeypatch.setattr(checkup.importlib.util, "find_spec", lambda name: None)
    (finding,) = examine(question(quantize="nf4"))
    assert (finding.level, finding.value) == ("fault", "not installed")


@pytest.mark.parametrize("source", ["mine = True", "import no_such_package", "raise SystemExit('run')", "def"])
def test_another_package_called_modeling_is_told_at_the_door(source: str, tmp_path: Path) -> None:
    other = tmp_path / "modeling.py"
    other.write_text(source)
    done = doctor(path=str(tmp_path), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0] == f"error: {other} is imported in the place of falcon's own package modeling"
    assert done.stderr.splitlines()[1].startswith("hint: ")


def test_another_one_behind_ours_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "modeling").mkdir()
    (tmp_path / "modeling" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(SOURCE))
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    found = [f for f in examine(question()) if f.name == "modeling" and str(tmp_path) in f.value]
    assert [finding.level for finding in found] == ["note"]


def test_a_folder_that_cannot_be_written_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup.os, "access", lambda path, mode: False)
    asked = Question(ModelSpec("demo"), False, {"conversations": tmp_path / "not" / "yet"}, SOURCE)
    (found,) = [finding for finding in examine(asked) if finding.name == "conversations"]
    assert found.level == "note" and "(not made yet)" in found.value and "it cannot be written" in found.value


def test_a_file_where_a_folder_is_to_be_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name, told in (("file", "is not a folder"), ("link", "No such file or directory")):
        asked = Question(ModelSpec("demo"), False, {"settings": tmp_path / name / "falcon"}, SOURCE)
        (found,) = [finding for finding in examine(asked) if finding.name == "settings"]
        assert found.level == "note" and told in found.value
