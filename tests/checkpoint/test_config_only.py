"""A config without weights: what a shape is measured by."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modeling.checkpoint.files import find_config
from modeling.config import load_config
from modeling.errors import ModelNotFound
from modeling.messages import ModelSpec

CONFIG = {"config.json": json.dumps({"model_type": "falcon_mamba", "hidden_size": 48}).encode()}


def test_a_folder_needs_nothing_else(tmp_path: Path, store: Callable[[Path, dict[str, bytes]], Path]) -> None:
    folder = store(tmp_path / "shape", CONFIG)
    assert find_config(ModelSpec(str(folder))).folder == folder
    with pytest.raises(ModelNotFound, match=r"has no config\.json"):
        find_config(ModelSpec(str(tmp_path)))


def test_of_the_hub_only_the_config_is_fetched_and_it_is_found_again_offline(
    hub: Any, checkpoint_files: dict[str, bytes]
) -> None:
    with pytest.raises(ModelNotFound, match="is not in the local cache"):
        find_config(ModelSpec("org/shape", offline=True))
    hub.add("org/shape", checkpoint_files | CONFIG)
    found = find_config(ModelSpec("org/shape"))
    assert [path.name for path in found.folder.iterdir()] == ["config.json"]
    assert found.commit == found.folder.name
    config = load_config(find_config(ModelSpec("org/shape", offline=True)).folder)
    assert config.hidden_size == 48
    with pytest.raises(ModelNotFound, match="has no model org/other"):
        find_config(ModelSpec("org/other"))
