from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modeling.checkpoint.header import MAX_HEADER, MAX_TENSORS, read_header
from modeling.errors import BadModelFile

Pack = Callable[..., bytes]
ENTRIES = {"a": ("F32", [2, 3]), "b.weight": ("BF16", [5]), "empty": ("F16", [0, 4]), "scalar": ("F64", [])}


def refused(path: Path) -> str:
    with pytest.raises(BadModelFile) as caught:
        read_header(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    return str(caught.value)


def test_the_tensors_are_where_the_library_puts_them(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    tensors = {"a": torch.arange(6.0).view(2, 3), "b": torch.arange(5, dtype=torch.bfloat16), "c": torch.zeros(0, 4)}
    path = tmp_path / "model.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    read = read_header(path)
    assert {name: stored.shape for name, stored in read.items()} == {name: tuple(t.shape) for name, t in tensors.items()}
    for name, stored in read.items():
        data = path.read_bytes()[stored.offset : stored.offset + stored.nbytes]
        assert data == tensors[name].view(torch.uint8).numpy().tobytes()


def test_a_hand_made_file_is_read(tmp_path: Path, pack: Pack) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(pack(ENTRIES))
    assert list(read_header(path)) == list(ENTRIES)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda h: h["a"].update(dtype="F31"), "unknown dtype"),
        (lambda h: h["a"].update(dtype=4), "unknown dtype"),
        (lambda h: h["a"].update(dtype=["F32"]), "unknown dtype"),
        (lambda h: h["a"].update(shape=[2, -3]), "impossible shape"),
        (lambda h: h["a"].update(shape=[2.0, 3]), "impossible shape"),
        (lambda h: h["a"].update(shape=[True, 6]), "impossible shape"),
        (lambda h: h["a"].update(shape="23"), "impossible shape"),
        (lambda h: h["a"].update(shape=[1] * 9 + [6]), "impossible shape"),
        (lambda h: h["a"].update(shape=[2**60, 2**60]), "impossible shape"),
        (lambda h: h["a"].update(shape=[2**40, 2**40]), "its shape needs"),
        (lambda h: h["a"].update(shape=[2, 4]), "its shape needs"),
        (lambda h: h["a"].update(data_offsets=[24, 0]), "impossible offsets"),
        (lambda h: h["a"].update(data_offsets=[-24, 0]), "impossible offsets"),
        (lambda h: h["a"].update(data_offsets=[0, 8, 24]), "impossible offsets"),
        (lambda h: h["a"].update(data_offsets=None), "impossible offsets"),
        (lambda h: h["a"].pop("shape"), "something else"),
        (lambda h: h["a"].update(more=1), "something else"),
        (lambda h: h.update(a=[]), "something else"),
        (lambda h: h["b.weight"].update(data_offsets=[20, 30]), "overlap"),
        (lambda h: h["b.weight"].update(data_offsets=[0, 10]), "overlap"),
        (lambda h: h["a"].update(data_offsets=[1, 25]), "unused"),
        (lambda h: h["scalar"].update(data_offsets=[1000, 1008]), "unused"),
        (lambda h: h.pop("scalar"), "unused"),
        (lambda h: h.update(__metadata__={"format": 1}), "metadata"),
        (lambda h: h.update(__metadata__=[]), "metadata"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, pack: Pack, change: Callable[[dict[str, Any]], None], says: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(pack(ENTRIES, change))
    assert says in refused(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "too few"),
        (b"\x02\0\0\0\0\0\0\0{", "too few"),
        (struct.pack("<Q", 2**63) + b"{}" + b" " * 60, "announces"),
        (struct.pack("<Q", 1000) + b"{}" + b" " * 60, "ends inside"),
        (struct.pack("<Q", 2) + b"[]", "no JSON object"),
        (struct.pack("<Q", 3) + b" {}", "no JSON object"),
        (struct.pack("<Q", 4) + b'{"a"', "not valid JSON"),
        (struct.pack("<Q", 4) + b'{"\xff"', "not valid JSON"),
        (struct.pack("<Q", 18) + b'{"a":NaN,"b":[1]} ', "not valid JSON"),
        (struct.pack("<Q", 15) + b'{"a":1, "a":2} ', "twice"),
        (struct.pack("<Q", 30000) + (b'{"a":' * 6000)[:30000], "not valid JSON"),
        (struct.pack("<Q", 8000) + b'{"a":' + b"9" * 7994 + b"}", "not valid JSON"),
        (struct.pack("<Q", 2) + b"{}x", "unused"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 1\n", "git-LFS pointer"),
        (b"<!DOCTYPE html><html><head></head></html>", "HTML page"),
        (b"\n  <html>", "HTML page"),
        (b"PK\x03\x04" + bytes(100), "pickle"),
        (b"GGUF" + bytes(100), "GGUF"),
    ],
)
def test_what_is_no_safetensors_file_is_called_by_its_name(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    assert says in refused(path)


@pytest.mark.parametrize("lost", [1, 8, 40])
def test_a_download_that_stopped_early_is_called_so(tmp_path: Path, pack: Pack, lost: int) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(pack(ENTRIES)[:-lost])
    assert "ends early" in refused(path)


def test_folders_and_pipes_are_not_read(tmp_path: Path) -> None:
    import os

    (tmp_path / "folder").mkdir()
    assert "not a regular file" in refused(tmp_path / "folder")
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer forever
    assert "not a regular file" in refused(tmp_path / "pipe")
    assert "No such file" in refused(tmp_path / "nothing")


def test_foreign_names_cannot_steer_a_terminal_through_a_message(tmp_path: Path, pack: Pack) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(pack({"\x1b[2J\u202e" + "n" * 5000: ("F32", [1])}, lambda h: next(iter(h.values())).update(shape=[2])))
    message = refused(path)
    assert message.isprintable()
    assert "\u202e" not in message
    assert len(message) < 400


@pytest.mark.promise
def test_no_mutated_header_gets_through_as_anything_but_a_consistent_file(tmp_path: Path, pack: Pack) -> None:
    """10,000 mutations: each is refused in words, or describes tensors that really fill the file."""
    draw = random.Random(20)
    original = pack(ENTRIES)
    path = tmp_path / "x.safetensors"
    accepted = 0
    for _ in range(10_000):
        content = bytearray(original)
        for _ in range(draw.randint(1, 4)):
            kind, at = draw.randrange(5), draw.randrange(len(content))
            if kind == 0:
                content[at] ^= 1 << draw.randrange(8)
            elif kind == 1:
                content[at] = draw.choice(b'0123456789-+eE.,:"{}[]\\ \n\0\xff')
            elif kind == 2:
                del content[at : at + draw.randint(1, 40)]
            elif kind == 3:
                content[at:at] = content[: draw.randint(1, 40)]
            else:
                content[at:at] = draw.choice([b"null", b"1e999", b"{}", b"[[", b'"a":', b"\\ud800", b"18446744073709551616"])
            content = content or bytearray(b"x")
        path.write_bytes(content)
        try:
            tensors = read_header(path)
        except BadModelFile as error:
            assert error.hint
        else:
            accepted += 1
            length = struct.unpack("<Q", content[:8])[0]
            assert sum(tensor.nbytes for tensor in tensors.values()) == len(content) - 8 - length
    assert 0 < accepted < 2_000  # most flips hit a name or the data and change nothing that counts


def entries(count: int) -> bytes:
    return b"{" + b",".join(b'"t%d":{"dtype":"F32","shape":[],"data_offsets":[0,0]}' % i for i in range(count)) + b"}"


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a million entries": lambda: entries(1_000_000),
    "as many entries as the bytes allow": lambda: entries(MAX_HEADER // 56),
    "as many entries as the count allows": lambda: entries(MAX_TENSORS - 1),
    "empty objects": lambda: b'{"a":[' + b"{}," * (MAX_HEADER // 3 - 4) + b"0]}",
    "empty lists": lambda: b'{"a":[' + b"[]," * (MAX_HEADER // 3 - 4) + b"0]}",
    "nested lists": lambda: b'{"a":' + b"[" * 2_000_000 + b"]" * 2_000_000 + b"}",
    "nested objects": lambda: b'{"a":' * 30_000 + b"0" + b"}" * 30_000,
    "short keys": lambda: b"{" + b",".join(b'"%x":0' % i for i in range(400_000)) + b"}",
    "one long number": lambda: b'{"a":' + b"1" * (MAX_HEADER - 10) + b"}",
    "numbers": lambda: b'{"a":[' + b"7777," * (MAX_HEADER // 5 - 4) + b"0]}",
    "one long name": lambda: b'{"' + b"n" * (MAX_HEADER - 10) + b'":0}',
    "escapes": lambda: b'{"' + b"\\u00e9" * (MAX_HEADER // 6 - 10) + b'":0}',
}

PROBE = """
import sys, time
from pathlib import Path
from modeling.checkpoint.header import read_header
from modeling.errors import BadModelFile
for path in sys.argv[1:]:
    started = time.process_time()
    try:
        read_header(Path(path))
        outcome = "read"
    except BadModelFile:
        outcome = "refused"
    (peak,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))  # not inherited, as maxrss is
    print(outcome, time.process_time() - started, int(peak) // 1024)
"""


@pytest.mark.promise
def test_the_worst_headers_cost_neither_time_nor_memory(tmp_path: Path) -> None:
    paths = []
    for name, make in HOSTILE.items():
        header = make()
        path = tmp_path / name
        path.write_bytes(struct.pack("<Q", len(header)) + header)
        paths.append(str(path))
    done = subprocess.run([sys.executable, "-c", PROBE, *paths], capture_output=True, text=True, check=True)
    for name, line in zip(HOSTILE, done.stdout.splitlines(), strict=True):
        outcome, seconds, peak = line.split()
        assert outcome == "refused", name
        assert float(seconds) < 0.5, f"{name}: {seconds} s"
        assert int(peak) < 200, f"{name}: {peak} MiB"


def test_the_bounds_leave_room_for_the_largest_real_model(tmp_path: Path, pack: Pack) -> None:
    """Falcon-H1-34B with five tensors for each, as 4-bit quantization writes it, in a single file."""
    names = [
        f"model.layers.{i}.mamba.in_proj.weight.quant_state.bitsandbytes__nf4.{j}" for i in range(72) for j in range(17 * 5)
    ]
    path = tmp_path / "x.safetensors"
    path.write_bytes(pack({name: ("U8", [3]) for name in names}))
    assert len(read_header(path)) == 72 * 17 * 5
    assert json.loads(path.read_bytes()[8 : path.read_bytes().rindex(b"}") + 1])
