from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modeling.errors import BadModelFile
from modeling.generation.defaults import read_defaults
from modeling.messages import SamplingParams


def folder_with(folder: Path, generation: Any = None, config: Any = None) -> Path:
    for name, content in (("generation_config.json", generation), ("config.json", config)):
        if content is not None:
            (folder / name).write_text(json.dumps(content))
    return folder


def test_without_a_file_the_model_is_greedy_and_stops_at_the_eos_of_its_config(tmp_path: Path) -> None:
    defaults = read_defaults(folder_with(tmp_path, config={"eos_token_id": 11}))
    assert defaults.sampling == SamplingParams(temperature=0.0, top_k=50)
    assert defaults.stop_ids == {11}
    assert defaults.ignored == ()


def test_the_file_decides(tmp_path: Path) -> None:
    fields = {"do_sample": True, "temperature": 0.6, "top_k": None, "top_p": 0.95, "repetition_penalty": 1.1, "min_p": 0.01}
    defaults = read_defaults(folder_with(tmp_path, fields | {"eos_token_id": [10, 11]}, {"eos_token_id": 0}))
    assert defaults.sampling == SamplingParams(temperature=0.6, top_k=50, top_p=0.95, repetition_penalty=1.1, min_p=0.01)
    assert defaults.stop_ids == {10, 11}  # generation_config.json wins: Falcon3-Mamba's config.json says 0


def test_a_temperature_without_do_sample_is_greedy_as_in_transformers(tmp_path: Path) -> None:
    assert read_defaults(folder_with(tmp_path, {"temperature": 0.6, "eos_token_id": 5})).sampling.temperature == 0.0


def test_what_is_not_followed_is_named_unless_it_does_nothing(tmp_path: Path) -> None:
    idle = {"num_beams": 1, "guidance_scale": 1, "suppress_tokens": None, "max_length": 20, "no_repeat_ngram_size": 0}
    assert read_defaults(folder_with(tmp_path, idle)).ignored == ()
    assert read_defaults(folder_with(tmp_path, idle | {"num_beams": 4, "bad_words_ids": [[1]]})).ignored == (
        "num_beams",
        "bad_words_ids",
    )


@pytest.mark.parametrize(
    "fields", [{"eos_token_id": "x"}, {"eos_token_id": [1, True]}, {"top_p": 3}, {"temperature": "hot", "do_sample": True}, [1]]
)
def test_nonsense_is_refused_with_the_name_of_the_file(fields: Any, tmp_path: Path) -> None:
    with pytest.raises(BadModelFile, match=r"generation_config\.json"):
        read_defaults(folder_with(tmp_path, fields))
