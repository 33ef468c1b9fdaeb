"""-o: a file that is whole, or as it was before."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from falcon_cli import console
from falcon_cli.output import destination, salvaged
from modeling.errors import WriteFailed

Falcon = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[bytes]"]


def test_the_answer_goes_to_the_file_and_nothing_to_stdout(falcon: Falcon, tmp_path: Path) -> None:
    target = tmp_path / "folder" / "answer.txt"
    target.parent.mkdir()
    outcome = falcon("generate", "größe 🙂", "-o", str(target))
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert target.read_bytes() == "GRÖSSE 🙂\n".encode()
    assert [*target.parent.iterdir()] == [target]
    assert falcon("generate", "a", "-o", "-").out == "A\n"


def test_mode_and_links_are_kept(tmp_path: Path) -> None:
    old, link = tmp_path / "old", tmp_path / "link"
    old.write_text("before")
    old.chmod(0o640)
    link.symlink_to(old)
    with destination(link) as write:
        write("after")
        assert old.read_text() == "before"
    assert (old.read_text(), link.is_symlink(), stat.S_IMODE(old.stat().st_mode)) == ("after", True, 0o640)
    before = os.umask(0o027)
    try:
        with destination(tmp_path / "new") as write:
            write("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_what_stdout_does_not_take_goes_to_stderr(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(text: str, style: str | None = None) -> None:
        raise WriteFailed("standard output is closed")

    monkeypatch.setattr(console, "write", closed)
    for path in (None, Path("/dev/full")):
        with pytest.raises(WriteFailed, match="closed" if path is None else "/dev/full"), salvaged(path) as write:
            write("first\n")
            write("second\n")
        told = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("note: ")]
        assert [*dict.fromkeys(told)] == ["first", "second"]


@pytest.mark.parametrize(("prompt", "code"), [("fail:MemoryExceeded a", 4), ("raise:ZeroDivisionError", 1)])
def test_an_error_leaves_the_old_file(prompt: str, code: int, falcon: Falcon, tmp_path: Path) -> None:
    (tmp_path / "answer").mkdir()
    target = tmp_path / "answer" / "file"
    target.write_text("before")
    assert falcon("generate", prompt, "-o", str(target)).code == code
    assert target.read_text() == "before"
    assert [*target.parent.iterdir()] == [target]


def test_a_full_disk_leaves_the_old_file_and_is_74(falcon: Falcon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "answer").mkdir()
    target = tmp_path / "answer" / "file"
    target.write_text("before")
    monkeypatch.setattr("falcon_cli.output.os.fsync", full)
    outcome = falcon("generate", "a", "-o", str(target))
    assert (outcome.code, outcome.out) == (74, "")
    assert outcome.err.startswith(f"error: {target} cannot be written: No space left on device\nhint: ")
    assert target.read_text() == "before"
    assert [*target.parent.iterdir()] == [target]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_device_is_written_directly(falcon: Falcon) -> None:
    assert falcon("generate", "a", "-o", "/dev/null").code == 0
    outcome = falcon("generate", "a", "-o", "/dev/full")
    assert (outcome.code, "No space left" in outcome.err) == (74, True)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_place_that_cannot_be_written_is_told_before_the_model_is_opened(
    falcon: Falcon, fake_model: Any, tmp_path: Path
) -> None:
    for target in (tmp_path / "missing" / "file", tmp_path):
        outcome = falcon("generate", "a", "-o", str(target))
        assert (outcome.code, outcome.out) == (74, "")
        assert outcome.err.startswith(f"error: {target} cannot be written: ")
    assert fake_model.OPENED == []


def test_ctrl_c_writes_what_there_is_and_sigterm_leaves_the_old_file(start: Start, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("before")
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        process = start("generate", "forever ab", "-o", str(target))
        while not any(part.stat().st_size for part in tmp_path.glob(".*.part")):
            assert process.poll() is None
        process.send_signal(number)
        _, err = process.communicate(timeout=10)
        assert (process.returncode, err) == (code, b"")
        assert [*tmp_path.glob(".*")] == []
        if number == signal.SIGTERM:
            assert target.read_text() == "before"
    assert target.read_text().startswith("F")


def test_a_failed_write_is_told_by_its_file(tmp_path: Path) -> None:
    with pytest.raises(WriteFailed, match="missing"), destination(tmp_path / "missing" / "file"):
        raise AssertionError("never reached")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_log_on_a_full_disk_costs_nothing_but_the_log(start: Start) -> None:
    process = start("generate", "abc", "--log-file", "/dev/full")
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, b"ABC\n", b"")


def test_a_disk_that_becomes_full_is_told_by_the_name_of_the_file(start: Start, tmp_path: Path) -> None:
    target = tmp_path / "answer.txt"
    target.write_text("old")
    process = start(
        "generate", "abcdef", "-o", str(target), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2, 2))
    )
    _, err = process.communicate(timeout=20)
    assert process.returncode == 74
    assert err.decode().startswith(f"error: {target} cannot be written: ") and "untouched" in err.decode()
    assert target.read_text() == "old" and list(tmp_path.glob(".falcon*")) == []


def test_an_interrupt_before_the_block_ends_is_an_interrupt(start: Start) -> None:
    process = start("generate", "forever told ab", "-x")
    assert process.stderr is not None and process.stderr.readline() == b"answering\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (130, b"") and err.startswith(b"FOREVER TOLD AB") and b"error" not in err
