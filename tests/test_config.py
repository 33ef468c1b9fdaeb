"""config.json: read in every spelling that is in use, and refused in one sentence wherever it could mislead a model."""

from __future__ import annotations

import json
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling.config import FalconH1Config, FalconMambaConfig, ModelConfig, load_config, parse_config
from modeling.errors import BadModelFile, FalconError, ModelNotFound, UnknownModelType, UnsupportedConfig

MAMBA: dict[str, Any] = {
    "model_type": "falcon_mamba", "architectures": ["FalconMambaForCausalLM"], "vocab_size": 97, "hidden_size": 32,
    "state_size": 8, "num_hidden_layers": 3, "intermediate_size": 48, "expand": 16, "time_step_rank": 5, "conv_kernel": 4,
    "use_bias": False, "use_conv_bias": True, "tie_word_embeddings": False, "residual_in_fp32": True, "hidden_act": "silu",
    "layer_norm_epsilon": 1e-5, "mixer_rms_eps": 1e-5, "torch_dtype": "bfloat16", "quantization_config": None,
}  # fmt: skip
H1: dict[str, Any] = {
    "model_type": "falcon_h1", "architectures": ["FalconH1ForCausalLM"], "vocab_size": 97, "hidden_size": 40,
    "intermediate_size": 56, "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16,
    "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "hidden_act": "silu", "mamba_d_ssm": 48, "mamba_n_heads": 6,
    "mamba_d_head": 8, "mamba_n_groups": 2, "mamba_d_state": 12, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_chunk_size": 8,
    "mamba_norm_before_gate": False, "mamba_rms_norm": True, "mamba_conv_bias": True, "mamba_proj_bias": False,
    "projectors_bias": False, "attention_bias": False, "mlp_bias": False, "rope_theta": 1e11, "rope_scaling": None,
    "time_step_limit": [0.0, inf], "embedding_multiplier": 5.65, "lm_head_multiplier": 0.04, "key_multiplier": 0.39,
    "attention_in_multiplier": 1.1, "attention_out_multiplier": 0.94, "ssm_in_multiplier": 1.25, "ssm_out_multiplier": 0.24,
    "mlp_multipliers": [0.88, 0.59], "ssm_multipliers": [0.35, 0.25, 0.36, 0.5, 0.34], "tie_word_embeddings": False,
    "torch_dtype": "bfloat16", "quantization_config": None,
}  # fmt: skip
BASES = {"falcon_mamba": MAMBA, "falcon_h1": H1}


def mamba(**changes: Any) -> FalconMambaConfig:
    config = parse_config(MAMBA | changes)
    assert isinstance(config, FalconMambaConfig)
    return config


def h1(**changes: Any) -> FalconH1Config:
    config = parse_config(H1 | changes)
    assert isinstance(config, FalconH1Config)
    return config


def without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


# What a file says


def test_explicit_inner_width_counts_and_expand_does_not() -> None:
    """falcon-mamba-7b says expand = 16 and means 2."""
    fields = MAMBA | {"hidden_size": 4096, "intermediate_size": 8192, "expand": 16}
    assert parse_config(fields).intermediate_size == 8192
    assert parse_config(without(fields, "intermediate_size") | {"expand": 2}).intermediate_size == 8192
    assert parse_config(without(fields, "intermediate_size")).intermediate_size == 65536


def test_rank_is_a_sixteenth_of_the_width_rounded_up() -> None:
    assert mamba(hidden_size=33, time_step_rank="auto").time_step_rank == 3
    assert parse_config(without(MAMBA, "time_step_rank")) == mamba(time_step_rank="auto")


def test_absent_head_width_follows_from_the_model_width() -> None:
    assert parse_config(without(H1 | {"hidden_size": 48}, "head_dim")) == h1(hidden_size=48, head_dim=8)


def test_null_ssm_width_is_expanded_and_an_absent_one_is_the_class_default() -> None:
    assert h1(mamba_d_ssm=None, mamba_n_heads=10).mamba_d_ssm == 80
    fields = without(H1, "mamba_d_ssm") | {"mamba_n_heads": 32, "mamba_d_head": "auto"}
    config = parse_config(fields)
    assert isinstance(config, FalconH1Config)
    assert (config.mamba_d_ssm, config.mamba_d_head) == (1024, 32)


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_parameters": {"rope_theta": 1e11, "rope_type": "default"}},
        {"rope_parameters": {"rope_theta": 1e11}},
        {"rope_theta": 100000000000},
        {"rope_theta": 1e11, "rope_scaling": None},
        {"rope_theta": 1e11, "rope_parameters": None},
    ],
)
def test_positions_in_both_spellings(changes: dict[str, Any]) -> None:
    assert parse_config(without(H1, "rope_theta", "rope_scaling") | changes) == h1()


def test_rope_theta_of_the_class() -> None:
    config = parse_config(without(H1, "rope_theta"))
    assert isinstance(config, FalconH1Config)
    assert config.rope_theta == 10000.0


@pytest.mark.parametrize("limit", [[0.0, inf], [0, {"__float__": "Infinity"}], None])
def test_step_limit_in_every_spelling(limit: Any) -> None:
    assert h1(time_step_limit=limit).time_step_limit == (0.0, inf)


def test_absent_step_limit_and_a_tight_one() -> None:
    assert parse_config(without(H1, "time_step_limit")) == h1()
    assert h1(time_step_limit=[0.01, 0.05]).time_step_limit == (0.01, 0.05)


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_dtype_in_both_spellings(base: dict[str, Any]) -> None:
    assert parse_config(base).dtype == "bfloat16"
    assert parse_config(without(base, "torch_dtype") | {"dtype": "bfloat16"}) == parse_config(base)
    assert parse_config(base | {"torch_dtype": "torch.bfloat16"}) == parse_config(base)
    assert parse_config(without(base, "torch_dtype")).dtype is None


def test_quantization_is_handed_on() -> None:
    assert mamba(quantization_config={"load_in_4bit": True}).quantization == {"load_in_4bit": True}


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_a_file_of_nothing_but_its_type_is_the_class_default(base: dict[str, Any]) -> None:
    """As transformers understands it: the two must agree on what a file leaves out."""
    from transformers import AutoConfig

    family = base["model_type"]
    everything = json.loads(AutoConfig.for_model(family).to_json_string(use_diff=False))
    assert parse_config({"model_type": family}) == parse_config(everything)


def test_null_is_the_default_of_a_size_and_no_for_a_flag() -> None:
    """As transformers understands it: it takes the null itself, which counts as false."""
    assert mamba(conv_kernel=None).conv_kernel == 4
    assert h1(time_step_limit=None, mamba_rms_norm=None) == h1(mamba_rms_norm=False)
    assert not mamba(use_conv_bias=None).use_conv_bias


# Fields that mean nothing to us


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
@pytest.mark.parametrize("value", [1, 0, 0.5, True, [1], {"a": 1}, -1, inf])
def test_an_unknown_field_that_may_mean_something_is_named(base: dict[str, Any], value: Any) -> None:
    with pytest.raises(UnsupportedConfig, match="mystery_scale"):
        parse_config(base | {"mystery_scale": value})


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
@pytest.mark.parametrize("value", ["a note", "", None, False, [], {}])
def test_an_unknown_field_that_cannot_scale_anything_passes(base: dict[str, Any], value: Any) -> None:
    assert parse_config(base | {"mystery_note": value}) == parse_config(base)


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_known_fields_without_effect_pass(base: dict[str, Any]) -> None:
    harmless = {
        "transformers_version": "4.57.0", "use_cache": True, "initializer_range": 0.1, "time_step_min": 0.001,
        "bos_token_id": 1, "eos_token_id": [11, 228], "pad_token_id": 0, "num_logits_to_keep": 1, "id2label": {"0": "LABEL_0"},
        "top_k": 50, "sliding_window": 4096, "attn_layer_indices": [1], "_name_or_path": "x", "unsloth_version": 3,
    }  # fmt: skip
    assert parse_config(base | harmless) == parse_config(base)


def test_a_field_of_the_other_family_is_not_ignored() -> None:
    with pytest.raises(UnsupportedConfig, match="key_multiplier"):
        parse_config(MAMBA | {"key_multiplier": 0.5})
    with pytest.raises(UnsupportedConfig, match="mixer_rms_eps"):
        parse_config(H1 | {"mixer_rms_eps": 1e-5})


# What would mislead a model


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
@pytest.mark.parametrize("act", ["gelu", "relu", ["silu"], {"silu": 1}, 1, True])
def test_another_activation_is_refused(base: dict[str, Any], act: Any) -> None:
    with pytest.raises(UnsupportedConfig, match="hidden_act"):
        parse_config(base | {"hidden_act": act})


@pytest.mark.parametrize("name", ["rope_parameters", "rope_scaling"])
@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "linear", "factor": 2.0},
        {"type": "dynamic", "factor": 2.0},
        {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e6},
        {"rope_type": "default", "partial_rotary_factor": 0.5},
        {"factor": 8.0},
    ],
)
def test_scaled_positions_are_refused(name: str, rope: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedConfig, match=name):
        parse_config(H1 | {name: rope})


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_code_in_the_model_folder_is_refused(base: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedConfig, match="auto_map"):
        parse_config(base | {"auto_map": {"AutoModel": "modeling_evil.Evil"}})


@pytest.mark.parametrize("family", ["llama", "mamba2", "", None, 3, True, ["falcon_h1"], {"falcon_h1": 1}])
def test_an_unknown_family_lists_the_known_ones(family: Any) -> None:
    with pytest.raises(UnknownModelType) as caught:
        parse_config(H1 | {"model_type": family})
    assert "falcon_mamba" in caught.value.hint and "falcon_h1" in caught.value.hint
    with pytest.raises(UnknownModelType):
        parse_config({})


def test_the_early_name_of_the_family_only_with_its_architecture() -> None:
    """One revision was saved as "mamba"; a true Mamba lacks the norms on Δ, B and C and must not be run as a FalconMamba."""
    assert parse_config(MAMBA | {"model_type": "mamba"}) == parse_config(MAMBA)
    for architectures in (["MambaForCausalLM"], [], None, 3, True, "NotFalconMambaForCausalLM", {"FalconMambaForCausalLM": 1}):
        with pytest.raises(UnknownModelType):
            parse_config(MAMBA | {"model_type": "mamba", "architectures": architectures})


COUNTS = ["vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size"]
FLAGS = ["tie_word_embeddings", "use_bias", "use_conv_bias", "residual_in_fp32"]
H1_FLAGS = ["tie_word_embeddings", "mamba_rms_norm", "mamba_norm_before_gate", "mamba_conv_bias", "mamba_proj_bias",
            "projectors_bias", "attention_bias", "mlp_bias"]  # fmt: skip
IMPOSSIBLE = [
    *((MAMBA, name, value) for name in [*COUNTS, "state_size", "conv_kernel", "time_step_rank"]
      for value in (0, -1, 1.5, True, "8", [8], {}, 2**31, 10**400, inf, float("nan"))),
    *((H1, name, value) for name in [*COUNTS, "num_attention_heads", "num_key_value_heads", "head_dim", "mamba_d_ssm",
                                     "mamba_n_heads", "mamba_d_head", "mamba_n_groups", "mamba_d_state", "mamba_d_conv",
                                     "max_position_embeddings"]
      for value in (0, -1, 1.5, True, "8", [8], {}, 2**31 + 1, 10**400, inf, float("nan"))),
    *((MAMBA, name, value) for name in FLAGS for value in (0, 1, "true", [])),
    *((H1, name, value) for name in H1_FLAGS for value in (0, 1, "true", [])),
    *((MAMBA, name, value) for name in ["layer_norm_epsilon", "mixer_rms_eps"]
      for value in (float("nan"), inf, -1e-5, "small", "1e-5", [1e-5], True, 10**400)),
    *((H1, "rms_norm_eps", value) for value in (float("nan"), inf, -1e-5, "small", [1e-5], True, 10**400)),
    *((H1, f"{name}_multiplier", value) for name in ["embedding", "lm_head", "key", "attention_in", "attention_out", "ssm_in",
                                                     "ssm_out"]
      for value in (float("nan"), inf, -inf, "x", [1.0], True, {}, 10**400)),
    *((H1, "mlp_multipliers", value) for value in ([1.0], [1.0, 1.0, 1.0], 1.0, "11", [1.0, None], [1.0, inf], {"0": 1})),
    *((H1, "ssm_multipliers", value) for value in ([1.0] * 4, [1.0] * 6, 1.0, "11111", [1.0] * 4 + [float("nan")])),
    *((H1, "time_step_limit", value) for value in ([0.1, 0.01], [0.0], 0.1, [0.0, float("nan")], [0.0, None], "0, inf",
                                                   [0.0, {"__float__": "NaN"}], [0.0, {"__float__": []}], [-1.0, 1.0],
                                                   [inf, inf])),
    *((H1, "rope_theta", value) for value in (0, -1.0, inf, float("nan"), "x", [1e4], True, 10**400)),
    *((H1, "rope_parameters", value) for value in (3, "default", [1e4], True)),
    *((base, "num_hidden_layers", 10**6) for base in (MAMBA, H1)),  # building a block for each would take hours
    (H1, "head_dim", 2**20),
    (H1, "mamba_d_state", 2**20),
    (H1, "mamba_d_head", 7),
    (H1, "mamba_n_heads", 5),
    (H1, "mamba_n_groups", 4),
    (H1, "num_key_value_heads", 4),
    (H1, "head_dim", 15),
    (MAMBA, "dtype", 5),
    (MAMBA, "quantization_config", "nf4"),
    (H1, "quantization_config", [4]),
]  # fmt: skip


@pytest.mark.parametrize(("base", "name", "value"), IMPOSSIBLE)
def test_an_impossible_value_is_refused_by_name(base: dict[str, Any], name: str, value: Any) -> None:
    with pytest.raises(BadModelFile) as caught:
        parse_config(base | {name: value})
    assert name in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize("theta", [0, -1, inf, "x", [], 10**400])
def test_an_impossible_theta_is_refused_in_the_new_spelling_too(theta: Any) -> None:
    with pytest.raises(BadModelFile, match="rope_theta"):
        parse_config(without(H1, "rope_theta") | {"rope_parameters": {"rope_theta": theta}})


@pytest.mark.parametrize("value", [10**400, -inf, inf, float("nan"), "x", 0, 0.01, -2, True, 1e300])
def test_an_impossible_expansion_is_refused(value: Any) -> None:
    with pytest.raises(BadModelFile):
        parse_config(without(MAMBA, "intermediate_size") | {"expand": value})
    with pytest.raises(BadModelFile):
        parse_config(H1 | {"mamba_d_ssm": None, "mamba_expand": value})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(10**350), 10**350) | st.floats() | st.text(max_size=8)
    | st.sampled_from(["auto", "silu", "bfloat16", "Infinity", "NaN", "falcon_h1", "mamba", "FalconMambaForCausalLM"]),
    lambda inner: st.lists(inner, max_size=5)
    | st.dictionaries(st.sampled_from(["__float__", "rope_theta", "rope_type", "type", "factor", "x"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(st.data())
def test_any_json_in_any_field_gives_a_config_or_one_sentence(data: st.DataObject) -> None:
    base = data.draw(st.sampled_from(list(BASES.values())))
    more = ["dtype", "rope_parameters", "auto_map", "mystery"]
    names = data.draw(st.lists(st.sampled_from([*base, *more]), min_size=1, max_size=3))
    fields = base | {name: data.draw(JSON) for name in names}
    try:
        config: ModelConfig = parse_config(fields)
    except FalconError as error:
        assert isinstance(error, BadModelFile) and 0 < len(str(error)) < 400
    else:
        hash((config.dtype, config.vocab_size))
        assert config.quantization is None or isinstance(config.quantization, dict)


@pytest.mark.parametrize("name", ["model_type", "architectures", "vocab_size", "rms_norm_eps", "ssm_multipliers", "hidden_act",
                                  "rope_parameters", "dtype", "quantization_config", "mystery", "m" * 10**6])  # fmt: skip
@pytest.mark.parametrize("item", [1, 10**40, "x" * 10**6])
def test_a_hostile_value_makes_no_hostile_message(name: str, item: Any) -> None:
    """Six levels of six items and megabytes of text: still one sentence."""
    for _ in range(6):
        item = [item] * 6
    for value in (item, {"rope_type": item, "x" * 10**6: item}):
        fields = H1 | {name: value} | ({"model_type": "mamba"} if name == "architectures" else {})
        if name == "quantization_config" and isinstance(value, dict):
            continue  # an object is what belongs there; who reads it checks it
        with pytest.raises(BadModelFile) as caught:
            parse_config(fields)
        assert len(str(caught.value)) < 400


# The file itself


def write(folder: Path, content: bytes) -> Path:
    (folder / "config.json").write_bytes(content)
    return folder


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_a_file_is_read(base: dict[str, Any], tmp_path: Path) -> None:
    """With Infinity as json.dumps spells it, and in UTF-8."""
    assert load_config(write(tmp_path, json.dumps(base | {"note": "é"}, ensure_ascii=False).encode())) == parse_config(base)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"config\.json"):
        load_config(tmp_path)
    with pytest.raises(ModelNotFound, match=r"config\.json"):
        load_config(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"<html>not found</html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1",
        b"[]",
        b"3",
        b"null",
        b'"falcon_h1"',
        b"\xff\xfe{\x00}\x00",
        b'{"model_type": "\xff"}',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"vocab_size": ' + b"9" * 5000 + b"}",
        b'{"model_type": "falcon_h1", "vocab_size": NaN}',
    ],
    ids=lambda content: repr(content[:12]),
)
def test_a_file_that_is_no_config(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadModelFile, match=r"config\.json"):
        load_config(write(tmp_path, content))


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(BadModelFile, match=r"config\.json"):
        load_config(tmp_path)


def test_a_path_through_a_file_and_a_name_with_a_null(tmp_path: Path) -> None:
    write(tmp_path, b"{}")
    for folder in (tmp_path / "config.json", tmp_path / "a\0b"):
        with pytest.raises(FalconError):
            load_config(folder)
