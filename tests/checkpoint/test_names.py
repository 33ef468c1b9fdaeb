from __future__ import annotations

from pathlib import Path

import pytest

from modeling.checkpoint.header import StoredTensor
from modeling.checkpoint.names import settle
from modeling.errors import BadModelFile

PARAMETERS = {"backbone.embeddings.weight": (8, 4), "backbone.norm_f.weight": (4,)}
TIED = {"lm_head.weight": "backbone.embeddings.weight"}


def stored(*names: str, **shapes: tuple[int, ...]) -> dict[str, StoredTensor]:
    return {
        name: StoredTensor(Path("m.safetensors"), "F32", shapes.get(name.split(".")[-2], PARAMETERS.get(name, (8, 4))), 0, 0)
        for name in names
    }


def refused(tensors: dict[str, StoredTensor], model_type: str = "falcon_mamba") -> str:
    with pytest.raises(BadModelFile) as caught:
        settle(model_type, 2, PARAMETERS, TIED, tensors)
    assert caught.value.hint
    return str(caught.value)


def test_equal_names_fill_each_parameter_once() -> None:
    account = settle("falcon_mamba", 2, PARAMETERS, TIED, stored(*PARAMETERS))
    assert account.filled.keys() == PARAMETERS.keys()
    assert account.twins == ()


@pytest.mark.parametrize("name", ["backbone.embedding.weight", "lm_head.weight"])
def test_another_spelling_fills_the_same_parameter(name: str) -> None:
    account = settle("falcon_mamba", 2, PARAMETERS, TIED, stored(name, "backbone.norm_f.weight"))
    assert account.filled.keys() == PARAMETERS.keys()


def test_both_names_of_a_tied_pair_must_be_compared() -> None:
    tensors = stored(*PARAMETERS, "lm_head.weight")
    (twins,) = settle("falcon_mamba", 2, PARAMETERS, TIED, tensors).twins
    assert set(map(id, twins)) == {id(tensors["backbone.embeddings.weight"]), id(tensors["lm_head.weight"])}


def test_a_head_where_none_is_tied_is_missed() -> None:
    with pytest.raises(BadModelFile, match=r"missing: 'lm_head.weight'"):
        settle("falcon_mamba", 2, PARAMETERS | {"lm_head.weight": (8, 4)}, {}, stored(*PARAMETERS))


def test_missing_unknown_and_misshapen_are_all_named() -> None:
    message = refused(stored("backbone.embeddings.weight", "a.b.weight", "a.c.weight", embeddings=(4, 8)))
    assert "missing: 'backbone.norm_f.weight';" in message
    assert "unknown: 'a.b.weight', 'a.c.weight';" in message
    assert "'backbone.embeddings.weight' is [4, 8] in the file and [8, 4] by config.json" in message


def test_a_thousand_unknown_names_are_counted_not_listed() -> None:
    message = refused(stored(*PARAMETERS, *(f"x{i}.weight" for i in range(1000))))
    assert "unknown: 'x0.weight'" in message and "and 997 more" in message
    assert len(message) < 300


def test_what_follows_from_the_config_may_stand_in_the_file_for_its_own_family_and_layers_only() -> None:
    names = ["model.rotary_emb.inv_freq", "model.layers.0.mamba.mup_vector", "model.layers.1.self_attn.rotary_emb.inv_freq"]
    tensors = stored(*PARAMETERS, *names)
    settle("falcon_h1", 2, PARAMETERS, TIED, tensors)
    assert all(name in refused(tensors, "falcon_mamba") for name in names)
    assert "unknown: 'model.layers.2.mamba.mup_vector'" in refused(
        stored(*PARAMETERS, "model.layers.2.mamba.mup_vector"), "falcon_h1"
    )
    assert "unknown" in refused(stored(*PARAMETERS, "model.layers.0.mamba.mup_vectors"), "falcon_h1")
