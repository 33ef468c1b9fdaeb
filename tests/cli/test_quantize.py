"""`falcon quantize` and `falcon perplexity` as their user meets them, on the embedded models."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from falcon_cli.app import run
from modeling.checkpoint.header import read_header

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    """call(arguments…) → exit code, stdout, stderr, in this process."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return code, out, err

    return call


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """demo-h1 in nf4, made once."""
    out = tmp_path_factory.mktemp("packed") / "out"
    assert run(["quantize", "demo-h1", "-o", str(out), "-q"]) == 0
    return out


def test_a_dry_run_tells_every_tensor_and_writes_nothing(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    code, out, _ = call("quantize", "demo", "--dry-run")
    assert code == 0 and sorted(tmp_path.rglob("*")) == before
    lines = out.splitlines()
    assert lines[0].split() == ["tensor", "type", "before", "after", "bits"]
    kinds = {line.split()[0].rpartition("mixer.")[2]: line.split()[1] for line in lines[1:-1]}
    assert kinds["in_proj.weight"] == kinds["out_proj.weight"] == "nf4-dq"
    assert {kinds[name] for name in ("x_proj.weight", "dt_proj.weight", "A_log", "D", "conv1d.weight")} <= {
        "bfloat16",
        "float32",
    }
    assert lines[-1].startswith("nf4-dq, 5.6 MiB → ")
    code, out, _ = call("quantize", "demo", "--dry-run", "--json", "-t", "int8")
    told = json.loads(out)
    assert told["output"] is None and told["quantization"] == "int8"
    assert sum(tensor["bytes_after"] for tensor in told["tensors"]) == told["bytes_after"] == sum(told["files"].values())


def test_what_is_written_is_what_was_foretold_and_answers_as_if_packed_on_load(call: Call, packed: Path) -> None:
    foretold = json.loads(call("quantize", "demo-h1", "--dry-run", "--json")[1])
    found = read_header(packed / "model.safetensors").values()
    assert sum(tensor.nbytes for tensor in found) == foretold["bytes_after"]
    question = ("generate", "What is falcon?", "--greedy", "-n", "12", "--json", "--no-progress")
    one, other = (json.loads(call(*question, *model)[1]) for model in (["-m", packed], ["-m", "demo-h1", "--quantize", "nf4"]))
    assert one["text"] == other["text"] and one["text"]
    assert one["quantization"] == other["quantization"] == "nf4-dq"


def test_verify_tells_how_far_it_is_from_its_source(call: Call, packed: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("What is falcon? falcon is a tool for two families of models. " * 20)
    code, out, _ = call("quantize", "demo-h1", "-o", tmp_path / "out", "--verify-text", text, "--json")
    told = json.loads(out)["verify"]
    assert code == 0 and told["quantization"] == "nf4-dq" and told["model"] == str(tmp_path / "out")
    assert (
        0 < told["kld"]["mean"]["value"] < 1 and 0.5 < told["ppl_ratio"]["value"] < 2 and 0.5 < told["same_top_p"]["value"] <= 1
    )
    code, out, _ = call("quantize", "demo", "-o", tmp_path / "eight", "-t", "int8", "--verify")  # on the text that comes along
    assert code == 0 and "Mean PPL(Q)/PPL(base)" in out and "Mean    KLD:" in out
    assert float(out.rpartition("Same top p:")[2].split()[0]) > 90


@pytest.mark.parametrize(
    ("arguments", "says", "hint"),
    [
        (["demo"], "no folder to write to", "--output DIR"),
        (["demo", "--dry-run", "--verify"], "writes nothing", "one of the two"),
        (["demo", "--dry-run", "--block-size", "65"], "no blocks of 65", "64"),
        (["demo", "--dry-run", "--skip-modules", "q_proj"], "no linear layer is named 'q_proj'", "in_proj"),
        (["demo", "--dry-run", "--quantize-head"], "is its embedding", "--quantize-head"),
        (["demo", "--dry-run", "--max-shard-size", "many"], "is not a size", "2GB"),
        (["PACKED", "--dry-run"], "nf4 already", "unquantized"),
        (["demo", "-o", "PACKED"], "is there already", "--force"),
    ],
)
def test_mistakes_are_told_and_change_nothing(call: Call, packed: Path, arguments: list[str], says: str, hint: str) -> None:
    before = {path: path.read_bytes() for path in packed.iterdir()}
    code, out, err = call("quantize", *(str(packed) if argument == "PACKED" else argument for argument in arguments))
    assert (code, out) == (2, "")
    what, todo = err.strip().splitlines()
    assert says in what and todo.startswith("hint: ") and hint in todo
    assert {path: path.read_bytes() for path in packed.iterdir()} == before


def test_a_text_too_short_to_verify_on_is_told_before_anything_is_written(call: Call, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("Hi.")
    code, _, err = call("quantize", "demo", "-o", tmp_path / "out", "--verify-text", text)
    assert code == 2 and "the text has" in err and not (tmp_path / "out").exists()


def test_an_interrupt_says_how_to_go_on(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from modeling import api

    def interrupted(*args: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "quantize", interrupted)
    code, out, err = call("quantize", "demo", "-o", tmp_path / "out")
    assert (code, out) == (130, "") and "--resume" in err


@pytest.mark.promise
def test_a_full_disk_is_74_and_leaves_the_old_output(packed: Path) -> None:
    before = {path: path.read_bytes() for path in packed.iterdir()}
    done = subprocess.run(
        [sys.executable, "-m", "falcon_cli", "quantize", "demo-h1", "-o", str(packed), "--force", "-t", "int8"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)),
    )
    assert done.returncode == 74 and done.stdout == "" and "untouched" in done.stderr
    assert {path: path.read_bytes() for path in packed.iterdir()} == before
    assert [path.name for path in packed.parent.iterdir()] == ["out"]


def test_perplexity_prints_what_scripts_for_llama_perplexity_look_for(call: Call, tmp_path: Path) -> None:
    text, base = tmp_path / "text", tmp_path / "base"
    text.write_text("What is falcon? falcon is a tool for two families of models. " * 9)
    code, out, _ = call("perplexity", "demo", text, "-c", "64", "--kl-divergence-base", base)
    assert code == 0 and out.startswith("Final estimate: PPL = ") and " +/- " in out and base.is_file()
    code, out, _ = call("perplexity", "-m", "demo", text, "--quantize", "nf4", "--kl-divergence", "--kl-divergence-base", base)
    names = [line.partition(":")[0].strip() for line in out.splitlines() if ":" in line]
    assert code == 0 and names[:2] == ["Mean PPL(Q)", "Mean PPL(base)"] and names[-2:] == ["RMS Δp", "Same top p"]
    assert {"Mean    KLD", "Maximum KLD", "99.9%   KLD", "Median  KLD", "Minimum KLD", "Mean    Δp"} <= set(names)
    code, out, _ = call("perplexity", "demo", text, "-c", "64", "--json")
    told = json.loads(out)
    assert (told["model"], told["ctx_size"], told["quantization"]) == ("demo", 64, None) and "kld" not in told


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["demo", "nowhere.txt"], "nowhere.txt cannot be read"),
        (["demo", "-m", "demo-h1", "TEXT"], "the model is given twice"),
        (["demo", "TEXT", "TEXT"], "unexpected extra argument"),
        ([], "no text to score"),
        (["-m", "demo", "nowhere.txt"], "nowhere.txt cannot be read"),
        (["demo", "TEXT"], "the text has"),
        (["demo", "TEXT", "--kl-divergence"], "nothing to compare with"),
        (["demo", "TEXT", "-c", "4"], "too short"),
    ],
)
def test_mistakes_of_a_perplexity(call: Call, tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "text").write_text("Hi.")
    code, out, err = call("perplexity", *(tmp_path / "text" if argument == "TEXT" else argument for argument in arguments))
    assert (code, out) == (2, "") and says in err and "hint: " in err
