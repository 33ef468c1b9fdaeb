"""A checkpoint written in packed weights: by whom it can be read, and what is there when the writing ends early."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling.checkpoint.files import find
from modeling.checkpoint.load import load
from modeling.checkpoint.quantize import carry_out, plan
from modeling.config import load_config
from modeling.conversion import Conversion, QuantizeRequest
from modeling.errors import BadModelFile, InvalidRequest, MemoryExceeded, WriteFailed
from modeling.messages import ModelSpec

FAMILIES = ["falcon_mamba", "falcon_h1"]
TYPES = ["nf4-dq", "nf4", "fp4-dq", "int8"]
SKIP = ["x_proj", "dt_proj", "lm_head"]
IDS = torch.arange(10)[None] * 7 % 96
# what bitsandbytes multiplies on a CPU: rows divide by 32, columns by 64
WIDE: dict[str, dict[str, Any]] = {
    "falcon_mamba": {"hidden_size": 64, "intermediate_size": 128, "time_step_rank": 64, "state_size": 16},
    "falcon_h1": {
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "mamba_n_heads": 32,
        "mamba_d_head": 2,
    },
}


def request(out: Path, kind: str = "nf4-dq", **more: Any) -> QuantizeRequest:
    return QuantizeRequest(out, type=kind.removesuffix("-dq"), double=kind.endswith("-dq"), **more)  # type: ignore[arg-type]


def quantize(source: Path, out: Path, kind: str = "nf4-dq", progress: Any = None, **more: Any) -> Conversion:
    planned = plan(find(ModelSpec(str(source))), load_config(source), request(out, kind, **more))
    carry_out(planned, progress)
    return planned.conversion


def opened(folder: Path, **spec: Any) -> Any:
    spec = {"device": "cpu"} | spec
    return load(find(ModelSpec(str(folder))), load_config(folder), ModelSpec(str(folder), **spec))


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: what a full disk does, at a place of the test's choice."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.promise
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", TYPES)
def test_written_and_read_again_gives_the_bits_of_packing_on_load(
    tiny: Callable[..., Path], tmp_path: Path, family: str, kind: str
) -> None:
    source = tiny(family, "bfloat16")
    quantize(source, tmp_path / "out", kind, shard_size=20_000)
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 2
    ours = opened(tmp_path / "out")
    on_load = opened(source, quantize=kind.removesuffix("-dq"), double_quant=kind.endswith("-dq"))
    with torch.inference_mode():
        assert torch.equal(ours(IDS), on_load(IDS))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", TYPES)
def test_transformers_reads_it_as_if_it_had_quantized_the_source_itself(
    tiny: Callable[..., Path], tmp_path: Path, family: str, kind: str
) -> None:
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    source = tiny(family, **WIDE[family])
    quantize(source, tmp_path / "out", kind, shard_size=60_000)
    config = (
        BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=SKIP)
        if kind == "int8"
        else BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=kind[:3],
            bnb_4bit_use_double_quant=kind.endswith("-dq"),
            bnb_4bit_compute_dtype=torch.float32,
            llm_int8_skip_modules=SKIP,
        )
    )
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # its own affair
        ours = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
        theirs = AutoModelForCausalLM.from_pretrained(source, quantization_config=config, dtype="auto")
        assert torch.equal(ours(IDS).logits, theirs(IDS).logits)


def test_rows_that_bitsandbytes_cannot_multiply_are_packed_and_run(tiny: Callable[..., Path], tmp_path: Path) -> None:
    """Falcon-H1-0.5B's in_proj has 3,352 rows: not a multiple of 32. Nor are these, and their blocks do not end with rows."""
    source = tiny("falcon_h1")
    rows, columns = opened(source).blocks[0].mamba.in_proj.weight.shape
    assert rows % 32
    assert columns % 64
    quantize(source, tmp_path / "out")
    exact, packed = opened(source), opened(tmp_path / "out")
    weight = packed.blocks[0].mamba.in_proj.packed.dequantized(torch.float32)
    error = (weight - exact.blocks[0].mamba.in_proj.weight).abs().max()
    assert error < 0.2 * exact.blocks[0].mamba.in_proj.weight.abs().max()
    with torch.inference_mode():
        assert packed(IDS).isfinite().all()


def test_everything_else_is_copied(tiny: Callable[..., Path], tmp_path: Path) -> None:
    source = Path(shutil.copytree(tiny("falcon_mamba"), tmp_path / "source"))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"):
        (source / name).write_text(f'{{"name": "{name}"}}')
    (source / "pytorch_model.bin").write_bytes(b"pickle")
    conversion = quantize(source, tmp_path / "out")
    made = files_of(tmp_path / "out")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert made[name] == (source / name).read_bytes(), name
    assert "pytorch_model.bin" not in made
    before, after = load_file(source / "model.safetensors"), load_file(tmp_path / "out/model.safetensors")
    for change in conversion.changes:
        if change.form == "float32":
            assert torch.equal(before[change.name], after[change.name])
    assert sum(tensor.nbytes for tensor in after.values()) == conversion.after
    config = json.loads(made["config.json"])
    packing = config.pop("quantization_config")
    assert config == json.loads((source / "config.json").read_text())
    assert (packing["bnb_4bit_quant_type"], packing["bnb_4bit_use_double_quant"]) == ("nf4", True)
    assert sorted(packing["llm_int8_skip_modules"]) == sorted(SKIP)
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "out/model.safetensors").stat().st_mode & 0o777 == 0o666 & ~umask


def test_which_layers_stay_plain_can_be_chosen(tiny: Callable[..., Path], tmp_path: Path) -> None:
    from modeling.layers.linear import PackedLinear

    source = tiny("falcon_h1", "bfloat16")
    conversion = quantize(source, tmp_path / "a", skip=("out_proj", "layers.0.*"), head=True, block=128)
    assert "out_proj" in conversion.skip
    assert "lm_head" not in conversion.skip
    assert "model.layers.0.mamba.in_proj" in conversion.skip
    assert "in_proj" not in conversion.skip
    model = opened(tmp_path / "a")
    packed = {name for name, module in model.named_modules() if isinstance(module, PackedLinear)}
    assert "lm_head" in packed
    assert "model.layers.1.mamba.in_proj" in packed
    assert not any(name.endswith("out_proj") or ".layers.0." in name for name in packed)
    assert model.lm_head.form.name == "nf4-dq/128"
    with torch.inference_mode():
        assert model.make_state(1).mamba[0].conv.dtype == torch.bfloat16
        assert model(IDS).isfinite().all()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"skip": ("no_proj",)}, "no linear layer is named 'no_proj'"),
        ({"skip": ("*",), "head": False}, "no layer is left"),
        ({"block": 63}, "blocks of 63"),
        ({"shard_size": 0}, "at least one byte"),
    ],
)
def test_what_cannot_be_meant_is_refused(tiny: Callable[..., Path], tmp_path: Path, more: Any, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says) as caught:
        quantize(tiny("falcon_mamba"), tmp_path / "out", **more)
    assert caught.value.hint
    assert not list(tmp_path.iterdir())


def test_a_tied_head_cannot_be_packed_but_its_model_can(tiny: Callable[..., Path], tmp_path: Path) -> None:
    source = tiny("falcon_h1", tie_word_embeddings=True)
    with pytest.raises(InvalidRequest, match="is its embedding"):
        quantize(source, tmp_path / "out", head=True)
    quantize(source, tmp_path / "out")
    model = opened(tmp_path / "out")
    assert model.lm_head.weight is model.embedding.weight


def test_a_quantized_source_and_an_output_within_the_source_are_refused(tiny: Callable[..., Path], tmp_path: Path) -> None:
    source = Path(shutil.copytree(tiny("falcon_h1"), tmp_path / "source"))
    quantize(source, tmp_path / "out")
    with pytest.raises(InvalidRequest, match="nf4 already"):
        quantize(tmp_path / "out", tmp_path / "again")
    for out in (source, source / "inner", source / ".." / "source"):
        with pytest.raises(InvalidRequest, match="folder of the model itself"):
            quantize(source, out, force=True)


def test_an_output_that_has_its_source_within_is_not_replaced(tiny: Callable[..., Path], tmp_path: Path) -> None:
    source, out = tiny("falcon_h1"), tmp_path / "out"
    quantize(source, out)
    inner = Path(shutil.copytree(source, out / "original"))
    for around in (out, Path("/")):
        with pytest.raises(InvalidRequest, match="has the model itself within it"):
            quantize(inner, around, force=True)
    assert files_of(inner) == files_of(source)


def test_what_is_there_is_replaced_only_if_it_is_a_checkpoint_and_only_by_force(
    tiny: Callable[..., Path], tmp_path: Path
) -> None:
    source, out = tiny("falcon_h1"), tmp_path / "out"
    quantize(source, out)
    before = files_of(out)
    with pytest.raises(InvalidRequest, match="there already") as caught:
        quantize(source, out, "int8")
    assert "--force" in caught.value.hint
    assert files_of(out) == before
    quantize(source, out, "int8", force=True)
    assert opened(out).blocks[0].mamba.in_proj.form.name == "int8"
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("years of work")
    with pytest.raises(InvalidRequest, match="no checkpoint"):
        quantize(source, home, force=True)
    assert files_of(home) == {"thesis.tex": b"years of work"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "out"]


KILLED = """
import os, signal, sys
from pathlib import Path
from modeling.checkpoint.files import find
from modeling.checkpoint.quantize import carry_out, plan
from modeling.config import load_config
from modeling.conversion import QuantizeRequest
from modeling.messages import ModelSpec

source, out, instant = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
told = 0

def progress(event):
    global told
    told += 1
    if told == instant:
        os.kill(os.getpid(), signal.SIGKILL)

request = QuantizeRequest(out, shard_size=20_000, resume=True)
carry_out(plan(find(ModelSpec(str(source))), load_config(source), request), progress)
"""


@pytest.mark.promise
def test_a_run_that_was_killed_is_taken_up_again(tiny: Callable[..., Path], tmp_path: Path) -> None:
    """At several instants: nothing under the output's name, no half file in what counts as finished, the same bytes at last."""
    source, out = tiny("falcon_mamba"), tmp_path / "out"
    quantize(source, tmp_path / "whole", shard_size=20_000)
    kept = 0
    for instant in (3, 30):
        done = subprocess.run([sys.executable, "-c", KILLED, str(source), str(out), str(instant)], capture_output=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert not out.exists()
        finished = {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".out.partial").glob("model-*")}
        assert len(finished) >= kept
        kept = len(finished)
    assert kept > 1
    quantize(source, out, shard_size=20_000, resume=True)
    assert files_of(out) == files_of(tmp_path / "whole")
    assert all((out / name).stat().st_mtime_ns == when for name, when in finished.items())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def interrupted(source: Path, out: Path, instant: int = 25, **more: Any) -> Path:
    def progress(event: Any, count: list[int] = []) -> None:  # noqa: B006
        count.append(1)
        if len(count) == instant:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize(source, out, progress=progress, shard_size=20_000, **more)
    return out.with_name(f".{out.name}.partial")


def test_finished_files_are_believed_only_if_every_byte_is_as_it_was(tiny: Callable[..., Path], tmp_path: Path) -> None:
    source, out = tiny("falcon_h1"), tmp_path / "out"
    partial = interrupted(source, out)
    shard = sorted(partial.glob("model-*"))[0]
    damaged = bytearray(shard.read_bytes())
    damaged[-1] ^= 1
    shard.write_bytes(damaged)
    (partial / ".model-00009.safetensors.1234.part").write_bytes(b"half")
    quantize(source, out, shard_size=20_000, resume=True)
    quantize(source, tmp_path / "whole", shard_size=20_000)
    assert files_of(out) == files_of(tmp_path / "whole")


def test_files_of_another_conversion_are_not_taken_up(tiny: Callable[..., Path], tmp_path: Path) -> None:
    source, out = tiny("falcon_h1"), tmp_path / "out"
    interrupted(source, out)
    quantize(source, out, "fp4", shard_size=20_000, resume=True)
    quantize(source, tmp_path / "whole", "fp4", shard_size=20_000)
    assert files_of(out) == files_of(tmp_path / "whole")


def test_a_run_killed_between_its_two_renames_lost_nothing(tiny: Callable[..., Path], tmp_path: Path) -> None:
    source, out = tiny("falcon_h1"), tmp_path / "out"
    quantize(source, out)
    before = files_of(out)
    out.rename(tmp_path / ".out.replaced")
    with pytest.raises(InvalidRequest, match="there already"):
        quantize(source, out)
    assert files_of(out) == before


def test_what_a_killed_run_left_behind_is_in_nobodys_way(tiny: Callable[..., Path], tmp_path: Path) -> None:
    """Killed after its renames, before it could remove the one that it had replaced."""
    source, out = tiny("falcon_h1"), tmp_path / "out"
    quantize(source, out)
    shutil.copytree(out, tmp_path / ".out.replaced")
    quantize(source, out, "int8", force=True)
    assert opened(out).blocks[0].mamba.in_proj.form.name == "int8"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_name_that_cannot_be_taken_leaves_the_old_one(
    tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tiny("falcon_h1"), tmp_path / "out"
    quantize(source, out)
    before, rename = files_of(out), Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == ".out.partial":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(WriteFailed, match="No space left"):
        quantize(source, out, "int8", force=True)
    assert files_of(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_link_stays_one_and_what_it_names_is_replaced(tiny: Callable[..., Path], tmp_path: Path) -> None:
    source, link = tiny("falcon_h1"), tmp_path / "link"
    link.symlink_to(tmp_path / "disk")
    for kind in ("nf4-dq", "int8"):
        quantize(source, link, kind, force=True)
        assert link.is_symlink()
        assert opened(link).blocks[0].mamba.in_proj.form.name == kind
        assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -70000.0])
def test_weights_that_no_code_stands_for_are_refused(tiny: Callable[..., Path], tmp_path: Path, value: float) -> None:
    """Written, and packed on load: a block, or a row in int8, would be lost with one of them."""
    source, kind = Path(shutil.copytree(tiny("falcon_h1"), tmp_path / "source")), "int8" if value < 0 else "nf4"
    path = source / "model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if name.endswith("in_proj.weight"))
    weights[name][3, 5] = value
    save_file(weights, path)
    with pytest.raises(BadModelFile, match=f"{name} has values"):
        quantize(source, tmp_path / "out", kind)
    with pytest.raises(BadModelFile, match=f"{name} has values"):
        opened(source, quantize=kind)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_memory_that_runs_out_says_so(tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("modeling.checkpoint.quantize.pack", full)
    with pytest.raises(MemoryExceeded) as caught:
        quantize(tiny("falcon_h1"), tmp_path / "out")
    assert "--device cpu" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_a_tied_head_that_is_another_is_refused(tiny: Callable[..., Path], tmp_path: Path) -> None:
    """As on load: one of the two would be dropped in silence."""
    source = Path(shutil.copytree(tiny("falcon_h1", tie_word_embeddings=True), tmp_path / "source"))
    path = source / "model.safetensors"
    weights = load_file(path)
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"] + 1
    save_file(weights, path)
    with pytest.raises(BadModelFile, match="ties the embedding"):
        quantize(source, tmp_path / "out")


def test_two_at_once_do_not_mix(tiny: Callable[..., Path], tmp_path: Path) -> None:
    source, out = tiny("falcon_h1"), tmp_path / "out"

    def progress(event: Any) -> None:
        if event.done:
            with pytest.raises(InvalidRequest, match="another falcon"):
                quantize(source, out)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize(source, out, progress=progress)


@pytest.mark.promise
@pytest.mark.parametrize("room", [0, 10, 5_000, 15_000])
def test_a_full_disk_leaves_what_was_there_and_gives_its_room_back(
    tiny: Callable[..., Path], tmp_path: Path, room: int
) -> None:
    source, out = tiny("falcon_mamba"), tmp_path / "out"
    quantize(source, out, "int8")
    before = files_of(out)
    with at_most(room), pytest.raises(WriteFailed, match="out cannot be written") as caught:
        quantize(source, out, force=True, shard_size=20_000)
    assert "untouched" in caught.value.hint
    assert files_of(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.promise
def test_a_disk_that_is_too_small_is_seen_before_the_work(tiny: Callable[..., Path]) -> None:
    """On a real small disk; nothing is begun that cannot end."""
    with tempfile.TemporaryDirectory() as name:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", name], capture_output=True).returncode:
            pytest.skip("no file system can be mounted here")
        try:
            with pytest.raises(WriteFailed, match=r"needs \d+ KiB, and its disk has 40.0 KiB free") as caught:
                quantize(tiny("falcon_mamba"), Path(name) / "out")
            assert "make room" in caught.value.hint
            assert not list(Path(name).iterdir())
        finally:
            subprocess.run(["umount", name], check=True)


PEAK = """
import json, resource, sys
from pathlib import Path
import torch
from modeling.checkpoint.files import find
from modeling.checkpoint.quantize import carry_out, plan
from modeling.checkpoint.quantizer import pack
from modeling.config import load_config
from modeling.conversion import QuantizeRequest
from modeling.messages import ModelSpec
from modeling.quantization import Form

source, out = Path(sys.argv[1]), Path(sys.argv[2])
pack(torch.randn(64, 64), Form(sys.argv[3]))  # what is imported on first use is not the conversion's
planned = plan(find(ModelSpec(str(source))), load_config(source), QuantizeRequest(out, type=sys.argv[3], shard_size=10**8))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
carry_out(planned)
grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
largest = max(change.before for change in planned.conversion.changes)
print(json.dumps({"grown": grown, "largest": largest, "whole": planned.conversion.before}))
"""


@pytest.mark.promise
def test_memory_does_not_grow_with_the_model(tmp_path: Path) -> None:
    """A model of 170 MB whose largest tensor has 17 MB, from a file with a hole: three such tensors and 16 MB of buffers do.

    What layers of 34B's size need is in benchmarks/quality.md.
    """
    from modeling.checkpoint.load import blueprint
    from modeling.config import parse_config

    fields = {
        "model_type": "falcon_mamba",
        "vocab_size": 8192,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 5,
        "tie_word_embeddings": False,
        "dtype": "bfloat16",
    }
    header, end = {}, 0
    for name, parameter in blueprint(parse_config(fields), torch.bfloat16).named_parameters():
        header[name] = {"dtype": "BF16", "shape": list(parameter.shape), "data_offsets": [end, end + parameter.nbytes]}
        end += parameter.nbytes
    text = json.dumps(header).encode()
    source = tmp_path / "source"
    source.mkdir()
    with (source / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    (source / "config.json").write_text(json.dumps(fields))
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(source), str(tmp_path / "out"), "nf4"], capture_output=True, text=True, check=True
    )
    figures = json.loads(done.stdout)
    assert figures["whole"] > 9 * figures["largest"]
    assert figures["grown"] < 3 * figures["largest"] + 16 * 2**20, figures
