"""Packed weights in files: what transformers saved is read as it is meant, and what is damaged is refused by name."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from modeling.api import open_model
from modeling.checkpoint.files import find
from modeling.checkpoint.load import load
from modeling.checkpoint.quantize import plan
from modeling.config import load_config
from modeling.conversion import QuantizeRequest
from modeling.errors import BadModelFile, DeviceUnavailable, InvalidRequest, UnsupportedConfig
from modeling.kernels import bitsandbytes
from modeling.kernels.packed import Packed4
from modeling.layers.linear import PackedLinear, weight_count
from modeling.messages import ModelSpec

FAMILIES = ["falcon_mamba", "falcon_h1"]
TYPES = ["nf4-dq", "nf4", "fp4", "int8"]
SKIP = ["lm_head", "x_proj", "dt_proj"]
IDS = torch.arange(10)[None] * 7 % 96
# bitsandbytes' dequantization on a CPU is only right where blocks end with rows, its products where rows divide by 32
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
STATE = "quant_state.bitsandbytes__"


def opened(folder: Path, **spec: Any) -> Any:
    spec = {"device": "cpu"} | spec
    return load(find(ModelSpec(str(folder))), load_config(folder), ModelSpec(str(folder), **spec))


def wish(kind: str) -> dict[str, Any]:
    """A type as `ModelSpec` has it."""
    return {"quantize": kind.removesuffix("-dq"), "double_quant": kind.endswith("-dq")}


def config_of(kind: str, skip: list[str] | None) -> Any:
    from transformers import BitsAndBytesConfig

    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skip)
    double = kind.endswith("-dq")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=kind[:3],
        bnb_4bit_use_double_quant=double,
        bnb_4bit_compute_dtype=torch.float32,
        llm_int8_skip_modules=skip,
    )


def quantized_by_transformers(source: Path, kind: str, skip: list[str] | None = SKIP) -> Any:
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own affair
        return AutoModelForCausalLM.from_pretrained(source, quantization_config=config_of(kind, skip), dtype="auto")


@pytest.fixture(scope="module")
def saved(tiny: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A directory that transformers quantized and saved, made once."""
    made: dict[tuple[Any, ...], Path] = {}

    def saved(family: str, kind: str, skip: tuple[str, ...] | None = tuple(SKIP)) -> Path:
        if (family, kind, skip) not in made:
            folder = tmp_path_factory.mktemp("saved")
            quantized_by_transformers(tiny(family), kind, None if skip is None else list(skip)).save_pretrained(folder)
            made[family, kind, skip] = folder
        return made[family, kind, skip]

    return saved


@pytest.fixture
def damaged(saved: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A copy whose tensors or quantization_config a test changes."""

    def damaged(kind: str, tensors: Any = None, config: Any = None) -> Path:
        folder = Path(shutil.copytree(saved("falcon_mamba", kind), tmp_path / "copy"))
        if tensors:
            loaded = load_file(folder / "model.safetensors")
            tensors(loaded)
            save_file(loaded, folder / "model.safetensors")
        if config:
            fields = json.loads((folder / "config.json").read_text())
            config(fields["quantization_config"])
            (folder / "config.json").write_text(json.dumps(fields))
        return folder

    return damaged


@pytest.mark.promise
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", TYPES)
def test_what_transformers_saved_gives_what_packing_on_load_gives(
    saved: Callable[..., Path], tiny: Callable[..., Path], family: str, kind: str
) -> None:
    theirs, ours = opened(saved(family, kind)), opened(tiny(family), **wish(kind))
    with torch.inference_mode():
        assert torch.equal(theirs(IDS), ours(IDS))
    assert sum(p.nbytes for p in theirs.parameters()) == sum(p.nbytes for p in ours.parameters())
    assert weight_count(theirs) == weight_count(opened(tiny(family)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", TYPES)
def test_the_products_are_those_of_bitsandbytes_own_dequantization(tiny: Callable[..., Path], family: str, kind: str) -> None:
    """Each packed layer is what a plain one would be with the weight that bitsandbytes itself makes of the codes."""
    import bitsandbytes

    folder = tiny(family, **WIDE[family])
    reference = quantized_by_transformers(folder, kind)
    plain, packed = opened(folder), opened(folder, **wish(kind))
    for name, module in reference.named_modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            exact = bitsandbytes.functional.dequantize_4bit(module.weight.data, module.weight.quant_state)
        elif isinstance(module, bitsandbytes.nn.Linear8bitLt):
            exact = module.weight.data * (module.weight.SCB / 127)[:, None]
        else:
            continue
        assert isinstance(packed.get_submodule(name), PackedLinear), name
        plain.get_submodule(name).weight = nn.Parameter(exact.clone(), requires_grad=False)
    with torch.inference_mode():
        assert torch.equal(packed(IDS), plain(IDS))


def test_layers_that_falcon_keeps_plain_may_be_packed_in_the_file(saved: Callable[..., Path]) -> None:
    """As in TII's published 4-bit checkpoints: everything but the head is packed, the time step's projections included."""
    model = opened(saved("falcon_mamba", "fp4", None))
    mixer = model.blocks[0].mixer
    assert isinstance(mixer.x_proj, PackedLinear)
    assert isinstance(mixer.dt_proj, PackedLinear)
    for block in model.blocks:
        for name in ("x_proj", "dt_proj", "in_proj", "out_proj"):
            layer = getattr(block.mixer, name)
            assert isinstance(layer.packed, Packed4)
    state = model.make_state(1)
    with torch.inference_mode():
        whole = model(IDS)[0, -1]
        steps = [model.prefill(IDS[0, :4], state, 0), *(model.step(IDS[0, i : i + 1], state)[0] for i in range(4, 10))]
    torch.testing.assert_close(steps[-1], whole)


def test_the_published_layout_runs_in_bfloat16_and_says_so(tmp_path: Path) -> None:
    """fp4, products in float32 by config.json, plain weights in bfloat16: nobody wants a 7B in float32."""
    from falcon_cli.demo import resolve

    source = Path(resolve("demo"))
    quantized_by_transformers(source, "fp4", None).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(source / name, tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text())
    assert fields["quantization_config"]["bnb_4bit_compute_dtype"] == "float32"
    (tmp_path / "config.json").write_text(json.dumps(fields | {"dtype": "float32", "torch_dtype": "float32"}))
    model = open_model(ModelSpec(str(tmp_path), device="cpu"))
    assert (model.info.dtype, model.info.quantization) == ("bfloat16", "fp4")
    assert any("float32; falcon does in bfloat16" in notice for notice in model.info.notices)


def drop(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda tensors: tensors.pop(next(key for key in tensors if key.endswith(name)))


def cut(name: str) -> Callable[[dict[str, Any]], Any]:
    def change(tensors: dict[str, Any]) -> None:
        key = next(key for key in tensors if key.endswith(name))
        tensors[key] = tensors[key][:-1].clone()

    return change


def say(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    """Change what the JSON text of one weight says; None takes a field out."""

    def change(tensors: dict[str, Any]) -> None:
        key = next(key for key in tensors if STATE in key)
        told = json.loads(bytes(tensors[key].tolist())) | fields
        text = json.dumps({name: value for name, value in told.items() if value is not None}).encode()
        tensors[key] = torch.tensor(list(text), dtype=torch.uint8)

    return change


def text(raw: bytes) -> Callable[[dict[str, Any]], Any]:
    def change(tensors: dict[str, Any]) -> None:
        tensors[next(key for key in tensors if STATE in key)] = torch.tensor(list(raw), dtype=torch.uint8)

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (drop(".absmax"), "missing: .*absmax"),
        (drop(".quant_map"), "missing: .*quant_map"),
        (drop(".nested_absmax"), "missing: .*nested_absmax"),
        (drop(f"{STATE}nf4"), "unknown: .*absmax"),
        (cut(".absmax"), "another shape: 1, such as .*absmax"),
        (cut(".nested_quant_map"), "another shape: 1"),
        (cut("in_proj.weight"), "another shape: 1"),
        (lambda t: t.update({"backbone.layers.0.mixer.in_proj.weight.more": torch.zeros(3)}), "unknown: .*more"),
        (say(blocksize=63), "blocksize is '63'"),
        (say(blocksize=True), "blocksize"),
        (say(shape=[1, 2]), r"is \[1, 2\] packed"),
        (say(shape=[-1, 2]), "shape is"),
        (say(quant_type="fp4"), "quant_type"),
        (say(dtype="int64"), "dtype"),
        (say(nested_dtype="float16"), "nested_dtype"),
        (say(nested_offset=10**400), "nested_offset|not valid JSON"),
        (say(nested_offset="0"), "nested_offset"),
        (say(nested_offset=None), "says"),
        (say(more=1), "says"),
        (text(b"{" * 100), "not valid JSON"),
        (text(b"[]"), "no JSON object"),
        (text(b" " * 5000), "no text of at most"),
        (text(b'{"a": NaN}'), "not valid JSON"),
    ],
)
def test_packed_weights_that_are_not_whole_are_refused(damaged: Callable[..., Path], change: Any, says: str) -> None:
    with pytest.raises(BadModelFile, match=says) as caught:
        opened(damaged("nf4-dq", tensors=change))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (drop(".SCB"), "unknown: .*weight_format"),
        (cut(".SCB"), "another shape: 1"),
        (lambda t: t.update({"lm_head.SCB": torch.zeros(3)}), "belongs to no weight in int8"),
        (lambda t: t.update({"backbone.layers.0.mixer.in_proj.weight_format": torch.tensor(1, dtype=torch.uint8)}), "rows"),
    ],
)
def test_rows_in_int8_that_are_not_whole_are_refused(damaged: Callable[..., Path], change: Any, says: str) -> None:
    with pytest.raises(BadModelFile, match=says):
        opened(damaged("int8", tensors=change))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bnb_4bit_quant_type": "nf3"}, "'nf3'"),
        ({"bnb_4bit_quant_type": "fp4"}, "config.json says fp4"),
        ({"load_in_8bit": True}, "either load_in_4bit or load_in_8bit"),
        ({"load_in_4bit": False, "load_in_8bit": True, "bnb_4bit_quant_type": "nf4"}, "none is"),
        ({"bnb_4bit_quant_storage": "bfloat16"}, "quant_storage"),
        ({"llm_int8_has_fp16_weight": True}, "has_fp16_weight"),
        ({"quant_method": "gptq"}, "'gptq'"),
        ({"bnb_5bit": 1}, "bnb_5bit"),
        ({"bnb_4bit_compute_dtype": 16}, "compute_dtype"),
    ],
)
def test_a_quantization_config_that_is_not_understood_is_refused(
    damaged: Callable[..., Path], change: dict[str, Any], says: str
) -> None:
    with pytest.raises((BadModelFile, UnsupportedConfig), match=says):
        opened(damaged("nf4-dq", config=lambda fields: fields.update(change)))


def test_a_packed_embedding_is_no_linear_layer(damaged: Callable[..., Path]) -> None:
    def swap(tensors: dict[str, Any]) -> None:
        for name in [name for name in tensors if name.startswith("backbone.layers.0.mixer.in_proj.weight")]:
            tensors[name.replace("layers.0.mixer.in_proj", "embeddings")] = tensors.pop(name)

    with pytest.raises(BadModelFile, match="no linear layer"):
        opened(damaged("nf4", tensors=swap))


def test_a_quantized_checkpoint_is_not_quantized_otherwise(saved: Callable[..., Path]) -> None:
    folder = saved("falcon_h1", "nf4")
    assert opened(folder, quantize="nf4").blocks[0].mamba.in_proj.form.name == "nf4"  # it is so already
    with pytest.raises(InvalidRequest, match="nf4 already"):
        opened(folder, quantize="int8")


def test_without_bitsandbytes_packed_files_are_read_and_packing_says_what_it_needs(
    saved: Callable[..., Path], tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved("falcon_h1", "nf4-dq")  # while it is there
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    monkeypatch.setattr("modeling.checkpoint.quantizer.find_spec", lambda name: None)
    bitsandbytes.library.cache_clear()
    try:
        for dtype in ("float32", "bfloat16"):
            with torch.inference_mode():
                assert opened(folder, dtype=dtype)(IDS).isfinite().all()
        assert bitsandbytes.library() is None
    finally:
        bitsandbytes.library.cache_clear()
    with pytest.raises(DeviceUnavailable, match="bitsandbytes") as caught:
        opened(tiny("falcon_h1"), quantize="nf4")
    assert caught.value.hint == "pip install 'falcon-cli[quant]'"


@pytest.mark.parametrize("kind", ["nf4-dq", "int8"])
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_weights_visit_from_disk_and_give_the_same(saved: Callable[..., Path], family: str, kind: str) -> None:
    folder = saved(family, kind)
    resident = opened(folder)
    size = max(sum(weight.nbytes for weight in block.parameters()) for block in resident.blocks)
    table = resident.embedding.weight.nbytes
    split = opened(folder, device_map="auto", max_memory={"cpu": str(2 * size + 2 * table)})
    assert not split.placement.resident
    with torch.inference_mode():
        assert torch.equal(split(IDS), resident(IDS))


def test_what_would_be_packed_on_every_visit_is_refused(tiny: Callable[..., Path]) -> None:
    resident = opened(tiny("falcon_h1"), quantize="nf4")
    size = max(sum(weight.nbytes for weight in block.parameters()) for block in resident.blocks)
    with pytest.raises(InvalidRequest, match="stay on disk") as caught:
        opened(
            tiny("falcon_h1"),
            quantize="nf4",
            device_map="auto",
            max_memory={"cpu": str(2 * size + 2 * resident.embedding.weight.nbytes)},
        )
    assert "falcon quantize" in caught.value.hint


def test_products_may_be_made_in_another_dtype(tiny: Callable[..., Path]) -> None:
    folder = tiny("falcon_h1", "bfloat16")
    plain, exact = opened(folder, quantize="nf4"), opened(folder, quantize="nf4", compute_dtype="float32")
    with torch.inference_mode():
        one, other = plain(IDS), exact(IDS)
    assert not torch.equal(one, other)
    torch.testing.assert_close(one, other, atol=0.1, rtol=0.1)


def test_products_of_falcon_h1_are_not_made_in_float16_either(tiny: Callable[..., Path], tmp_path: Path) -> None:
    folder = tiny("falcon_h1", "bfloat16")
    with pytest.raises(InvalidRequest, match="overflows in float16"):
        opened(folder, quantize="nf4", compute_dtype="float16")
    with pytest.raises(InvalidRequest, match="overflows in float16"):
        plan(find(ModelSpec(str(folder))), load_config(folder), QuantizeRequest(tmp_path / "out", compute_dtype="float16"))
    opened(folder, compute_dtype="float16")  # of plain weights it says nothing
