from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

Entries = dict[str, tuple[str, list[int]]]  # tensor name → dtype, shape
BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "U8": 1, "F8_E4M3": 1, "I64": 8}


def _fake_hub() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fake_hub", Path(__file__).parent / "hub.py")
    assert spec and spec.loader
    module = sys.modules["fake_hub"] = importlib.util.module_from_spec(spec)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pack() -> Callable[..., bytes]:
    """A safetensors file of zeros, written by hand: no library stands between a test and the bytes."""

    def pack(entries: Entries, change: Callable[[dict[str, Any]], None] | None = None, tail: bytes = b"") -> bytes:
        header: dict[str, Any] = {}
        end = 0
        for name, (dtype, shape) in entries.items():
            size = BYTES[dtype]
            for dimension in shape:
                size *= dimension
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
            end += size
        if change:
            change(header)
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + bytes(end) + tail

    return pack


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A fake hub that huggingface_hub takes for the real one, with an empty cache and without its pauses between tries."""
    from huggingface_hub import constants, file_download

    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with _fake_hub().running() as fake:
        monkeypatch.setattr(constants, "ENDPOINT", fake.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", fake.url + "/{repo_id}/resolve/{revision}/{filename}")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        clock = file_download.time
        monkeypatch.setattr(file_download, "time", SimpleNamespace(sleep=lambda seconds: None, time=clock.time))
        yield fake


@pytest.fixture
def checkpoint_files(pack: Callable[..., bytes]) -> dict[str, bytes]:
    """The files of a small checkpoint in three shards, beside files that falcon must not touch."""
    shards = {f"model-0000{i}-of-00003.safetensors": pack({f"w{i}": ("F32", [64, 32])}) for i in (1, 2, 3)}
    weight_map = {f"w{i}": name for i, name in enumerate(shards, start=1)}
    return {
        "config.json": b'{"model_type": "falcon_h1"}',
        "generation_config.json": b'{"eos_token_id": 11}',
        "tokenizer.json": b'{"model": {}}',
        "tokenizer_config.json": b'{"bos_token": "b"}',
        "special_tokens_map.json": b'{"eos_token": "e"}',
        "chat_template.jinja": b"{{ messages }}",
        "model.safetensors.index.json": json.dumps({"metadata": {}, "weight_map": weight_map}).encode(),
        **shards,
        "pytorch_model.bin": b"pickle",
        "modeling_evil.py": b"raise SystemExit",
        "README.md": b"# model",
        "original/consolidated.safetensors": b"x",
    }


@pytest.fixture
def store() -> Callable[[Path, dict[str, bytes]], Path]:
    """Write files into a new folder."""

    def store(folder: Path, files: dict[str, bytes]) -> Path:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder

    return store


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Checkpoints of both families as transformers writes them, by family, dtype and shards; made once."""
    made: dict[tuple[Any, ...], Path] = {}

    def tiny(family: str, dtype: str = "float32", shard: str = "10GB", **changes: Any) -> Path:
        key = (family, dtype, shard, *sorted(changes.items()))
        if key not in made:
            made[key] = _save(tmp_path_factory.mktemp(family), family, dtype, shard, changes)
        return made[key]

    return tiny


def _save(folder: Path, family: str, dtype: str, shard: str, changes: dict[str, Any]) -> Path:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    fields: dict[str, Any] = {"vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 4}
    if family == "falcon_mamba":
        fields |= {"intermediate_size": 64, "state_size": 4, "time_step_rank": 4, "tie_word_embeddings": False}
    else:
        fields |= {
            "intermediate_size": 48,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "mamba_d_ssm": 64,
            "mamba_n_heads": 8,
            "mamba_d_head": 8,
            "mamba_d_state": 8,
            "mamba_n_groups": 2,
            "mamba_chunk_size": 8,
            "mamba_rms_norm": True,
            "mamba_norm_before_gate": False,
        }
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **(fields | changes)))
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=shard)
    return folder
