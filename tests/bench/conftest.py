from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modeling import api
from modeling.checkpoint import catalogue
from modeling.timings import Ceiling

Shape = dict[str, Any]


@pytest.fixture(scope="session")
def shapes() -> dict[str, Shape]:
    """The fields of config.json of each published shape, by name; and of FalconMamba's layers at a CPU's size."""
    folders = sorted((Path(catalogue.__file__).parent / "shapes").iterdir())
    found = {folder.name: json.loads((folder / "config.json").read_text()) for folder in folders}
    small = {"hidden_size": 1024, "num_hidden_layers": 48, "intermediate_size": 2048, "time_step_rank": 64}
    return found | {"falcon-mamba-0.4b": found["falcon-mamba-7b"] | small | {"tie_word_embeddings": True}}


@pytest.fixture
def folder(shapes: dict[str, Shape], tmp_path: Path) -> Callable[..., Path]:
    """folder(name, **changes): a folder with the config.json of a published shape, and nothing else."""

    def folder(name: str, **changes: Any) -> Path:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(shapes[name] | changes))
        return tmp_path / name

    return folder


@pytest.fixture
def small(folder: Callable[..., Path]) -> dict[str, Path]:
    """Both families, two layers thin; no size is a power of two."""
    mamba = folder(
        "falcon-mamba-7b", num_hidden_layers=2, hidden_size=24, intermediate_size=40, time_step_rank=3, vocab_size=99
    )
    h1 = folder(
        "falcon-h1-7b", num_hidden_layers=2, hidden_size=24, intermediate_size=40, num_attention_heads=4, head_dim=6,
        mamba_n_heads=3, mamba_d_head=8, mamba_d_ssm=24, mamba_d_state=5, vocab_size=99,
    )  # fmt: skip
    return {"falcon_mamba": mamba, "falcon_h1": h1}


@pytest.fixture
def ceiling(monkeypatch: pytest.MonkeyPatch) -> Ceiling:
    """A machine that reads 1 GB/s, multiplies 1 GFLOP/s and has next to no cache, in place of this one."""
    slow = Ceiling("abacus", "float32", 1e9, 1e9, 1, "torch")
    monkeypatch.setattr(api, "measure_ceiling", lambda device, dtype: slow)
    return slow


@pytest.fixture(autouse=True)
def no_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage is collected before each repetition, untimed: in this process that takes longer than all the rest."""
    monkeypatch.setattr(gc, "collect", lambda: 0)
