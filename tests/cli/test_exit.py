"""How `falcon` ends: exit codes, two-line errors, signals, closed pipes, full disks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from falcon_cli.exit import ExitCode, code_of
from modeling import errors

Falcon = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[bytes]"]
CODES = {
    "InvalidRequest": 2,
    "ContextExceeded": 2,
    "ModelUnavailable": 3,
    "ModelNotFound": 3,
    "ModelGated": 3,
    "DownloadFailed": 3,
    "MemoryExceeded": 4,
    "StateRefused": 5,
    "BadModelFile": 6,
    "UnknownModelType": 6,
    "UnsupportedConfig": 6,
    "DeviceUnavailable": 1,
    "NumericalFailure": 1,
    "WriteFailed": 74,
    "FalconError": 1,
}


def test_every_error_has_a_code() -> None:
    tree = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert {name: int(code_of(kind("what"))) for name, kind in tree.items()} == CODES


@pytest.mark.parametrize(("name", "code"), CODES.items())
def test_an_error_of_the_engine_room_is_two_lines_and_its_code(name: str, code: int, falcon: Falcon) -> None:
    outcome = falcon("generate", "a", "-m", f"error:{name}")
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err == "error: it cannot be opened\nhint: try another\n"
    outcome = falcon("generate", f"fail:{name} a")
    assert (outcome.code, outcome.err) == (code, "error: it failed\nhint: try again\n")


def test_a_fault_of_the_program_shows_its_traceback_only_on_request(falcon: Falcon, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = falcon("generate", "raise:ZeroDivisionError")
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    assert outcome.err.startswith("error: ZeroDivisionError: a fault\nhint: ")
    assert "Traceback" in falcon("generate", "raise:ZeroDivisionError", "--debug").err
    monkeypatch.setenv("FALCON_DEBUG", "1")
    assert "Traceback" in falcon("generate", "raise:ZeroDivisionError").err
    assert falcon("generate", "raise:MemoryError").code == ExitCode.MEMORY


def test_a_wrong_name_is_met_with_the_nearest(falcon: Falcon) -> None:
    outcome = falcon("genrate")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "error: no such command 'genrate'. Did you mean 'generate'?\nhint: falcon --help\n"
    outcome = falcon("generate", "--temprature", "1")
    assert outcome.code == 2
    assert "--temperature" in outcome.err
    assert "hint: falcon generate --help" in outcome.err


def test_asked_for_help_is_an_answer(falcon: Falcon) -> None:
    for arguments in ([], ["--help"], ["-h"], ["generate", "--help"], ["generate", "-h"]):
        outcome = falcon(*arguments)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.startswith("Usage: falcon")
    assert "generate" in falcon("--help").out
    assert falcon("--version").out.startswith("falcon ")


def read_until(stream: Any, sign: bytes) -> bytes:
    data = b""
    while sign not in data:
        part = stream.read(1)
        assert part, data
        data += part
    return data


def test_ctrl_c_keeps_what_there_is(start: Start) -> None:
    process = start("generate", "forever ab")
    read_until(process.stdout, b"AB")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert out.endswith(b"\n")
    assert err == b""


def test_ctrl_c_leaves_valid_json(start: Start) -> None:
    process = start("generate", "forever told ab", "--json", "--return-ids")
    read_until(process.stderr, b"answering\n")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (130, b"")
    result = json.loads(out)
    assert result["finish_reason"] == "interrupt"
    assert result["text"].startswith("FOREVER TOLD AB")
    assert [chr(i) for i in result["completion_ids"]] == list(result["text"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_during_the_load_ends_it_without_a_traceback(number: signal.Signals, code: int, start: Start) -> None:
    process = start("generate", "a", "-m", "loading")
    read_until(process.stderr, b"loading\n")
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (code, b"", b"")


def test_sigterm_ends_an_answer(start: Start) -> None:
    process = start("generate", "forever ab")
    read_until(process.stdout, b"AB")
    process.terminate()
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (143, b"")


def test_a_second_ctrl_c_leaves_at_once_though_the_model_does_not_listen(start: Start) -> None:
    deaf = "import signal, sys; sys.path.insert(0, sys.argv.pop(1)); import fake_model, falcon_cli.app as app\n"
    deaf += "fake_model.Engine.cancel = lambda self: print('asked', file=sys.stderr, flush=True)\n"
    deaf += "fake_model.install(); app.main()"
    command = [sys.executable, "-c", deaf, str(Path(__file__).parent), "generate", "forever ab", "-m", "fake"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    read_until(process.stdout, b"AB")
    process.send_signal(signal.SIGINT)
    read_until(process.stderr, b"asked\n")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (130, b"")


def test_a_background_job_is_not_interrupted(start: Start) -> None:
    process = start("generate", "slow abc", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    read_until(process.stdout, b"SLOW")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    assert (process.returncode, out) == (0, b" ABC\n")


@pytest.mark.parametrize("arguments", [["generate", "forever ab"], ["generate", "slow ab", "--json"], ["--help"]])
def test_a_reader_that_leaves_ends_it_silently(arguments: list[str], start: Start) -> None:
    process = start(*arguments)
    assert process.stdout is not None
    assert process.stderr is not None
    if arguments == ["generate", "forever ab"]:
        read_until(process.stdout, b"A")
    process.stdout.close()
    assert process.wait(timeout=10) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [["generate", "ab"], ["generate", "ab", "--json"], ["--help"], ["--version"]])
def test_a_full_disk_is_said_and_is_74(arguments: list[str], start: Start) -> None:
    with Path("/dev/full").open("wb") as full:
        process = start(*arguments, stdout=full)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 74
    assert b"No space left on device" in err
    assert err.startswith(b"error: ")
    assert b"Traceback" not in err


def test_a_closed_stdout_is_74_and_a_closed_stdin_is_no_prompt(start: Start) -> None:
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, str(Path(__file__).parent / "fake_model.py"), "generate", "a"]
    done = subprocess.run(shell, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    assert done.returncode == 74
    shell[2] = 'exec "$@" <&-'
    done = subprocess.run(shell, capture_output=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, b"A\n")


def test_a_ctrl_c_that_a_library_swallows_is_not_lost(start: Start) -> None:
    process = start("generate", "forever ab", "-m", "swallowing")
    read_until(process.stderr, b"loading\n")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, b"", b"")
