from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling.checkpoint import filling
from modeling.checkpoint.files import Checkpoint, find
from modeling.checkpoint.load import blueprint, load
from modeling.checkpoint.reader import Reader
from modeling.config import load_config
from modeling.errors import BadModelFile, DeviceUnavailable, InvalidRequest, MemoryExceeded, UnsupportedConfig
from modeling.messages import ModelSpec, Progress

FAMILIES = ["falcon_mamba", "falcon_h1"]
WEIGHTS = "model.safetensors"


def opened(folder: Path, seen: list[Progress] | None = None, **spec: Any) -> Any:
    spec = {"device": "cpu"} | spec
    sink = None if seen is None else seen.append
    return load(find(ModelSpec(str(folder))), load_config(folder), ModelSpec(str(folder), **spec), sink)


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


@pytest.fixture
def copy(tiny: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A checkpoint of a family whose tensors or config a test may change."""

    def copy(
        family: str,
        tensors: Callable[[dict[str, torch.Tensor]], Any] | None = None,
        config: Callable[[dict[str, Any]], Any] | None = None,
        **options: Any,
    ) -> Path:
        folder = Path(shutil.copytree(tiny(family, **options), tmp_path / f"copy{len(list(tmp_path.iterdir()))}"))
        if tensors:
            loaded = tensors_of(folder)
            tensors(loaded)
            save_file(loaded, folder / WEIGHTS)
        if config:
            fields = json.loads((folder / "config.json").read_text())
            config(fields)
            (folder / "config.json").write_text(json.dumps(fields))
        return folder

    return copy


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shard", ["10GB", "20KB"])
def test_every_parameter_is_the_files_tensor(tiny: Callable[..., Path], family: str, shard: str) -> None:
    folder = tiny(family, shard=shard)
    assert len(list(folder.glob("*.safetensors"))) > 2 or shard == "10GB"
    model = opened(folder)
    expected = tensors_of(folder)
    assert dict(model.named_parameters()).keys() == expected.keys()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, expected[name])
        assert not parameter.requires_grad
    assert not model.training


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("stored", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_all_parameters_have_the_dtype_that_was_asked_for(
    tiny: Callable[..., Path], family: str, stored: str, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modeling.checkpoint import reader

    monkeypatch.setattr(reader, "STAGING", 104)  # so that conversions take several pieces, the last of them short
    folder = tiny(family, dtype=stored)
    expected = tensors_of(folder)
    for name, parameter in opened(folder, dtype=asked).named_parameters():
        assert torch.equal(parameter, expected[name].to(getattr(torch, asked)))


def test_auto_is_the_configs_dtype_and_else_the_commonest_of_the_file(copy: Callable[..., Path]) -> None:
    folder = copy("falcon_mamba", dtype="bfloat16")
    assert next(opened(folder).parameters()).dtype == torch.bfloat16
    for change in (lambda c: [c.pop(name, None) for name in ("dtype", "torch_dtype")], lambda c: c.update(dtype="float7")):
        folder = copy(
            "falcon_mamba",
            tensors=lambda t: t.update({n: x.float() for n, x in t.items() if x.dim() == 1}),
            config=change,
            dtype="bfloat16",
        )
        assert next(opened(folder).parameters()).dtype == torch.bfloat16


@pytest.mark.parametrize("asked", ["float16", "auto"])
def test_float16_is_refused_for_falcon_h1_with_the_reason(tiny: Callable[..., Path], asked: str) -> None:
    with pytest.raises(InvalidRequest, match="overflows in float16") as caught:
        opened(tiny("falcon_h1", dtype="float16"), dtype=asked)
    assert "bfloat16" in caught.value.hint
    assert next(opened(tiny("falcon_mamba", dtype="float16"), dtype=asked).parameters()).dtype == torch.float16


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tied_head_is_the_embedding_whichever_name_the_file_has(copy: Callable[..., Path], family: str) -> None:
    embedding = {"falcon_mamba": "backbone.embeddings.weight", "falcon_h1": "model.embed_tokens.weight"}[family]
    head = "lm_head.weight"
    for change in (
        None,
        lambda t: t.update({head: t[embedding].clone()}),
        lambda t: t.update({head: t.pop(embedding)}),
    ):
        model = opened(copy(family, tensors=change, tie_word_embeddings=True))
        assert model.lm_head.weight is model.get_parameter(embedding)
        assert not model.lm_head.weight.is_meta
    with pytest.raises(BadModelFile, match="two different tensors") as caught:
        opened(copy(family, tensors=lambda t: t.update({head: t[embedding] + 1}), tie_word_embeddings=True))
    assert "tie_word_embeddings" in caught.value.hint


def test_the_older_name_of_the_embedding_is_read(copy: Callable[..., Path]) -> None:
    folder = copy(
        "falcon_mamba", tensors=lambda t: t.update({"backbone.embedding.weight": t.pop("backbone.embeddings.weight")})
    )
    assert torch.equal(opened(folder).backbone.embeddings.weight, tensors_of(folder)["backbone.embedding.weight"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.pop("lm_head.weight"), "missing: 'lm_head.weight'"),
        (lambda t: t.update(stranger=torch.zeros(1)), "unknown: 'stranger'"),
        (lambda t: t.update({"lm_head.weight": t["lm_head.weight"].T.contiguous()}), "another shape"),
        (lambda t: t.update({"lm_head.weight": t["lm_head.weight"].to(torch.float8_e4m3fn)}), "F8_E4M3"),
        (lambda t: t.update({"lm_head.weight": t["lm_head.weight"].to(torch.int64)}), "I64"),
    ],
)
def test_weights_that_do_not_fit_are_refused(copy: Callable[..., Path], change: Any, says: str) -> None:
    for family in FAMILIES:
        with pytest.raises(BadModelFile, match=says) as caught:
            opened(copy(family, tensors=change))
        assert caught.value.hint


@pytest.mark.parametrize(
    ("quantization", "says"),
    [
        ({"quant_method": "gptq", "bits": 4}, "'gptq'"),
        ({"bits": 4}, "None"),
    ],
)
def test_quantized_weights_are_refused_for_what_they_are(copy: Callable[..., Path], quantization: Any, says: str) -> None:
    folder = copy("falcon_mamba", config=lambda c: c.update(quantization_config=quantization))
    with pytest.raises(UnsupportedConfig, match=says) as caught:
        opened(folder)
    assert "unquantized" in caught.value.hint


@pytest.mark.parametrize("family", FAMILIES)
def test_progress_counts_every_byte_once(tiny: Callable[..., Path], family: str) -> None:
    seen: list[Progress] = []
    opened(tiny(family, shard="20KB"), seen)
    total = sum(tensor.nbytes for tensor in tensors_of(tiny(family)).values())
    assert seen[0] == Progress("load", 0, total)
    assert seen[-1] == Progress("load", total, total)
    assert [p.done for p in seen] == sorted(p.done for p in seen)


def test_a_sink_that_raises_ends_the_load(tiny: Callable[..., Path]) -> None:
    """As Ctrl-C does: the readers stop, nothing hangs."""

    def interrupt(progress: Progress) -> None:
        if progress.done:
            raise KeyboardInterrupt

    folder = tiny("falcon_h1")
    with pytest.raises(KeyboardInterrupt):
        load(find(ModelSpec(str(folder))), load_config(folder), ModelSpec(str(folder), device="cpu"), interrupt)


def test_what_is_done_meanwhile_knows_the_device_and_may_end_the_load(
    tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs while weights are being read: here no reader gets on before it has."""
    folder, beside = tiny("falcon_mamba"), threading.Event()
    into = Reader.into

    def waits(self: Reader, *arguments: Any) -> None:
        assert beside.wait(10)
        into(self, *arguments)

    def meanwhile(device: torch.device) -> None:
        assert device == torch.device("cpu")
        beside.set()

    def refuse(device: torch.device) -> None:
        beside.set()
        raise DeviceUnavailable("no such kernels", "take others")

    monkeypatch.setattr(Reader, "into", waits)
    spec = ModelSpec(str(folder), device="cpu")
    model = load(find(spec), load_config(folder), spec, meanwhile=meanwhile)
    assert all(torch.equal(model.get_parameter(name), tensor) for name, tensor in tensors_of(folder).items())
    with pytest.raises(DeviceUnavailable, match="no such kernels"):
        load(find(spec), load_config(folder), spec, meanwhile=refuse)


def test_a_device_that_is_not_here_is_refused(tiny: Callable[..., Path]) -> None:
    with pytest.raises(DeviceUnavailable, match="cuda:7"):
        opened(tiny("falcon_h1"), device="cuda:7")


def test_memory_is_counted_before_a_byte_is_read(tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from modeling.checkpoint import memory

    read = []
    monkeypatch.setattr(Reader, "into", lambda *arguments: read.append(arguments))
    monkeypatch.setattr(memory, "free_host", lambda: 100_000)
    with pytest.raises(MemoryExceeded, match="free"):
        opened(tiny("falcon_h1"))
    assert read == []


def test_an_allocation_that_fails_all_the_same_is_told_in_words() -> None:
    with pytest.raises(MemoryExceeded, match="cpu ran out") as caught:
        filling._allocate(torch.Size([2**45]), torch.float32, torch.device("cpu"))  # 128 TiB
    assert "--device-map auto" in caught.value.hint


def test_a_file_that_shrinks_while_it_is_read_is_no_crash(copy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """With a memory map, this is a bus error."""
    folder = copy("falcon_mamba")
    stream = filling._stream

    def truncated(*arguments: Any) -> None:
        with (folder / WEIGHTS).open("r+b") as file:
            file.truncate(20_000)
        stream(*arguments)

    monkeypatch.setattr(filling, "_stream", truncated)
    with pytest.raises(BadModelFile, match="shorter"):
        opened(folder)


def test_a_load_in_inference_mode_gives_ordinary_parameters(tiny: Callable[..., Path]) -> None:
    with torch.inference_mode():
        model = opened(tiny("falcon_h1"))
    assert not any(parameter.is_inference() for parameter in model.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_blueprint_takes_no_memory_and_no_random_numbers(tiny: Callable[..., Path], family: str) -> None:
    config = load_config(tiny(family))
    before = torch.random.get_rng_state()
    model = blueprint(replace(config, num_hidden_layers=3, vocab_size=10**6), torch.bfloat16)
    assert all(parameter.is_meta and parameter.dtype == torch.bfloat16 for parameter in model.parameters())
    assert len(model.blocks) == 3
    assert torch.equal(before, torch.random.get_rng_state())


WATCH = """
import os, sys
folder = os.path.realpath(sys.argv[1])
opened = []
def watch(event, arguments):
    if event in ("open", "exec", "import", "compile", "pickle.find_class", "subprocess.Popen", "os.system", "socket.connect"):
        opened.append((event, str(arguments[0])))
from modeling.checkpoint.files import find
from modeling.checkpoint.load import load
from modeling.config import load_config
from modeling.messages import ModelSpec
import torch, psutil, accelerate
sys.addaudithook(watch)
spec = ModelSpec(folder, device="cpu", device_map=sys.argv[2] or None, max_memory={"cpu": sys.argv[3]} if sys.argv[2] else None)
model = load(find(spec), load_config(find(spec).folder), spec)
model(torch.arange(3)[None])
inside = {os.path.basename(path) for event, path in opened if event == "open" and path.startswith(folder + os.sep)}
other = [event for event, path in opened if event in ("pickle.find_class", "subprocess.Popen", "os.system", "socket.connect")]
print(*sorted(inside), "|", *other, "|", os.environ.get("EVIL", ""), *(m for m in sys.modules if "evil" in m))
"""


@pytest.mark.promise
@pytest.mark.parametrize("offload", [False, True])
def test_no_code_from_the_folder_is_opened_let_alone_run(copy: Callable[..., Path], offload: bool) -> None:
    folder = copy("falcon_h1")
    code = "import os; os.environ['EVIL'] = 'ran'"
    for name in ("modeling_evil.py", "configuration_evil.py", "__init__.py", "sitecustomize.py", "setup.py", "conftest.py"):
        (folder / name).write_text(code)
    for name in ("pytorch_model.bin", "model.pt", "model.pkl", "training_args.bin"):
        (folder / name).write_bytes(b"\x80\x04c__builtin__\nexec\n(V" + code.encode() + b"\ntR.")
    arguments = [str(folder), *(["auto", "90000"] if offload else ["", ""])]
    done = subprocess.run([sys.executable, "-c", WATCH, *arguments], capture_output=True, text=True, check=True)
    files, events, harm = done.stdout.split("|")
    assert files.split() == ["config.json", "generation_config.json", "model.safetensors"]
    assert events.split() == []
    assert harm.split() == []


@pytest.mark.promise
def test_the_packages_have_no_way_to_run_a_models_code() -> None:
    """No pickle, torch.load, eval, exec or compile in the source; and nobody asks a library to trust remote code."""
    import ast

    import modeling

    banned_calls = {"eval", "exec", "compile", "__import__"}
    banned_names = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    root = Path(modeling.__file__).parent.parent
    for path in [*root.glob("modeling/**/*.py"), *root.glob("falcon_cli/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Call):
                if isinstance(node.func, ast.Name):
                    assert node.func.id not in banned_calls, where
                assert ast.unparse(node.func) not in ("torch.load", "torch.jit.load", "numpy.load", "np.load"), where
                assert not any(keyword.arg == "trust_remote_code" for keyword in node.keywords), where
            if isinstance(node, ast.Import):
                assert not banned_names & {alias.name.partition(".")[0] for alias in node.names}, where
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").partition(".")[0] not in banned_names, where


def test_a_checkpoint_is_named_by_what_the_user_said(tiny: Callable[..., Path]) -> None:
    folder = tiny("falcon_mamba")
    assert find(ModelSpec(str(folder))) == Checkpoint(folder, str(folder), None)
