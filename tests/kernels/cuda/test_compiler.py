"""What was compiled is kept, and never trusted blindly. NVRTC itself is not asked: it is a part of torch for CUDA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

compiler = pytest.importorskip("modeling.kernels.cuda.compiler")


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The options of each compilation."""
    asked: list[tuple[str, ...]] = []

    def compile(source: Path, options: tuple[str, ...]) -> bytes:
        asked.append(options)
        return b"binary of " + " ".join(options).encode()

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(compiler, "_compiled", compile)
    monkeypatch.setattr(compiler, "_call", lambda *_: None)
    return asked


def test_a_kernel_is_compiled_once(compiled: list[Any], tmp_path: Path) -> None:
    """For its source and its options; a file that was damaged counts for nothing."""
    source = tmp_path / "some.cu"
    source.write_text("one")
    for options in (("-a",), ("-b",), ("-a",), ("-b",)):
        assert compiler._kept(source, options) == b"binary of " + options[0].encode()
    assert compiled == [("-a",), ("-b",)]
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:-1])
    assert compiler._kept(source, ("-a",)) == compiler._kept(source, ("-a",)) == b"binary of -a"
    assert len(compiled) == 3
    source.write_text("two")
    compiler._kept(source, ("-a",))
    assert len(compiled) == 4


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    compiled: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "some.cu"
    source.write_text("one")
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert compiler._kept(source, ("-a",)) == b"binary of -a"
