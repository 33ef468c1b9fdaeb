"""config.json of both families: every field accounted for, whoever wrote the file, and no file ends in a bare exception."""

from __future__ import annotations

import json
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modeling.config import FalconH1Config, FalconMambaConfig, Multipliers, load_config, parse_config
from modeling.errors import BadModelFile, FalconError, ModelNotFound, UnknownModelType, UnsupportedConfig

Fields = dict[str, Any]

MAMBA_7B: Fields = Fields(
    model_type="falcon_mamba", architectures=["FalconMambaForCausalLM"], vocab_size=65024, hidden_size=4096,
    num_hidden_layers=64, intermediate_size=8192, expand=16, state_size=16, conv_kernel=4, time_step_rank=256,
    layer_norm_epsilon=1e-5, use_bias=False, use_conv_bias=True, hidden_act="silu", residual_in_fp32=True,
    tie_word_embeddings=False, torch_dtype="bfloat16",
    time_step_min=0.001, time_step_max=0.1, time_step_floor=0.0001, time_step_scale=1.0, time_step_init_scheme="random",
    rescale_prenorm_residual=False, initializer_range=0.1, use_mambapy=False, use_cache=True, bos_token_id=0, eos_token_id=11,
    pad_token_id=11, transformers_version="4.44.0.dev0",
)  # fmt: skip

H1_05B: Fields = Fields(
    model_type="falcon_h1", architectures=["FalconH1ForCausalLM"], vocab_size=32784, hidden_size=1024, num_hidden_layers=36,
    intermediate_size=2048, num_attention_heads=8, num_key_value_heads=2, head_dim=64, rope_theta=100000000000.0,
    rope_scaling=None, max_position_embeddings=16384, rms_norm_eps=1e-5, mamba_d_ssm=1536, mamba_n_heads=24, mamba_d_head=64,
    mamba_n_groups=1, mamba_d_state=128, mamba_d_conv=4, mamba_expand=2, mamba_chunk_size=128, mamba_conv_bias=True,
    mamba_proj_bias=False, mamba_rms_norm=False, mamba_norm_before_gate=False, projectors_bias=False, attention_bias=False,
    mlp_bias=False, mlp_expansion_factor=8, mamba_use_mlp=True, attn_layer_indices=None, embedding_multiplier=5.656854249492381,
    lm_head_multiplier=0.0390625, key_multiplier=0.39062499999999994, attention_in_multiplier=1.0,
    attention_out_multiplier=0.9375, ssm_in_multiplier=1.25, ssm_out_multiplier=0.23570226039551587,
    mlp_multipliers=[0.8838834764831844, 0.5859375], ssm_multipliers=[0.35355, 0.25, 0.35355, 0.5, 0.3535],
    num_logits_to_keep=1, tie_word_embeddings=False, torch_dtype="bfloat16", use_cache=True, bos_token_id=1, eos_token_id=11,
    pad_token_id=0, attention_dropout=0.0, initializer_range=0.02, hidden_act="silu", transformers_version="4.52.0",
)  # fmt: skip

FAMILIES = pytest.mark.parametrize("fields", [MAMBA_7B, H1_05B], ids=["mamba", "h1"])


def without(fields: Fields, *names: str) -> Fields:
    return {name: value for name, value in fields.items() if name not in names}


# What files say


def test_falcon_mamba_7b() -> None:
    assert parse_config(MAMBA_7B) == FalconMambaConfig(
        vocab_size=65024, hidden_size=4096, num_hidden_layers=64, intermediate_size=8192, state_size=16, conv_kernel=4,
        time_step_rank=256, layer_norm_epsilon=1e-5, mixer_rms_eps=1e-6, use_bias=False, use_conv_bias=True,
        residual_in_fp32=True, tie_word_embeddings=False, dtype="bfloat16",
    )  # fmt: skip


def test_falcon_h1_05b() -> None:
    assert parse_config(H1_05B) == FalconH1Config(
        vocab_size=32784, hidden_size=1024, num_hidden_layers=36, intermediate_size=2048, num_attention_heads=8,
        num_key_value_heads=2, head_dim=64, rope_theta=1e11, max_position_embeddings=16384, rms_norm_eps=1e-5, mamba_d_ssm=1536,
        mamba_n_heads=24, mamba_d_head=64, mamba_n_groups=1, mamba_d_state=128, mamba_d_conv=4, mamba_rms_norm=False,
        mamba_norm_before_gate=False, mamba_conv_bias=True, mamba_proj_bias=False, projectors_bias=False, attention_bias=False,
        mlp_bias=False, time_step_limit=(0.0, inf), tie_word_embeddings=False, dtype="bfloat16",
        multipliers=Multipliers(
            embedding=5.656854249492381, lm_head=0.0390625, key=0.39062499999999994, attention_in=1.0, attention_out=0.9375,
            ssm_in=1.25, ssm_out=0.23570226039551587, mlp=(0.8838834764831844, 0.5859375),
            ssm=(0.35355, 0.25, 0.35355, 0.5, 0.3535),
        ),
    )  # fmt: skip


def test_the_written_inner_width_counts_and_not_the_factor_beside_it() -> None:
    assert parse_config(MAMBA_7B).intermediate_size == 8192  # and not 16 · 4096
    assert parse_config(without(MAMBA_7B, "intermediate_size")).intermediate_size == 65536


def test_what_h1_leaves_open_follows_from_the_rest() -> None:
    assert parse_config(without(H1_05B, "head_dim")).head_dim == 1024 // 8  # type: ignore[union-attr]
    assert parse_config(H1_05B | {"mamba_d_ssm": None, "mamba_n_heads": 32}).mamba_d_ssm == 2048  # type: ignore[union-attr]
    assert parse_config(without(H1_05B, "mamba_d_ssm") | {"mamba_n_heads": 16}).mamba_d_ssm == 1024  # type: ignore[union-attr]
    assert parse_config(H1_05B | {"mamba_d_head": "auto"}).mamba_d_head == 64  # type: ignore[union-attr]
    assert parse_config(H1_05B | {"num_key_value_heads": None}).num_key_value_heads == 8  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "same_as"),
    [
        ({"rope_theta": None, "rope_parameters": {"rope_type": "default", "rope_theta": 1e11}}, {}),
        ({"rope_theta": None, "rope_parameters": {"rope_theta": 5e5, "partial_rotary_factor": 1.0}}, {"rope_theta": 500000}),
        ({"time_step_limit": [0.0, inf]}, {}),
        ({"time_step_limit": [0.0, {"__float__": "Infinity"}]}, {}),
        ({"time_step_limit": None}, {}),
        ({"torch_dtype": None, "dtype": "torch.bfloat16"}, {}),
        ({"hidden_act": "swish"}, {}),
        ({"mamba_conv_bias": None}, {"mamba_conv_bias": False}),  # transformers takes null for false
    ],
    ids=str,
)
def test_two_spellings_of_one_thing(change: Fields, same_as: Fields) -> None:
    assert parse_config(H1_05B | change) == parse_config(H1_05B | same_as)


def test_infinity_as_json_writes_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(H1_05B | {"time_step_limit": [0.01, inf]}))
    assert load_config(tmp_path).time_step_limit == (0.01, inf)  # type: ignore[union-attr]


def test_an_early_file_under_another_name() -> None:
    assert parse_config(MAMBA_7B | {"model_type": "mamba"}) == parse_config(MAMBA_7B)


# Every field that counts


@FAMILIES
def test_every_field_that_is_read_changes_what_is_read(fields: Fields) -> None:
    """One value after the other is replaced: the result differs, or it is an error, or the field is one without effect."""
    without_effect = set(
        "architectures transformers_version use_cache bos_token_id eos_token_id pad_token_id initializer_range "
        "time_step_min time_step_max time_step_floor time_step_scale time_step_init_scheme rescale_prenorm_residual "
        "use_mambapy num_logits_to_keep attention_dropout mlp_expansion_factor mamba_use_mlp attn_layer_indices "
        "expand mamba_expand "  # beside the size they would give
        "mamba_chunk_size".split()  # the order of summation
    )
    for name, value in fields.items():
        other = not value if isinstance(value, bool) else value * 3 if isinstance(value, (int, float)) else [7.0]
        if isinstance(value, list):
            other = [item * 2 if isinstance(item, float) else item for item in value]
        try:
            same = parse_config(fields | {name: other}) == parse_config(fields)
        except BadModelFile:
            same = False
        assert same == (name in without_effect), name


@FAMILIES
@pytest.mark.parametrize("value", [1, 0, 0.5, -1, True, [1], {"a": 1}, [None], "learned"], ids=str)
def test_an_unknown_field_that_may_mean_something(fields: Fields, value: Any) -> None:
    with pytest.raises(UnsupportedConfig, match="attention_sinks"):
        parse_config(fields | {"attention_sinks": value})


@FAMILIES
@pytest.mark.parametrize("value", ["", None, False, [], {}], ids=repr)
def test_an_unknown_field_that_says_nothing(fields: Fields, value: Any) -> None:
    assert parse_config(fields | {"attention_sinks": value}) == parse_config(fields)


@FAMILIES
def test_notes_of_tools_are_no_mathematics(fields: Fields) -> None:
    notes = {"_name_or_path": "x", "_attn_implementation_autoset": True, "unsloth_version": "2025.1", "unsloth_fixed": True}
    notes |= {"comment": "ours", "merged_by": "a tool", "dataset_name": "x", "date": "2026-01-01"}
    assert parse_config(fields | notes) == parse_config(fields)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling.*linear"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e11}}, "rope_parameters.rope_type is 'yarn'"),
        ({"rope_parameters": {"rope_theta": 1e11, "partial_rotary_factor": 0.5}}, "partial_rotary_factor is 0.5"),
        ({"auto_map": {"AutoModel": "modeling.Model"}}, "auto_map"),
    ],
    ids=str,
)
def test_other_mathematics_is_refused_by_name(change: Fields, named: str) -> None:
    with pytest.raises(UnsupportedConfig, match=named):
        parse_config(H1_05B | change)


@pytest.mark.parametrize("family", ["llama", "", None, 5, [], {}, ["falcon_h1"]], ids=repr)
def test_an_unknown_family_is_told_the_known_ones(family: Any) -> None:
    with pytest.raises(UnknownModelType) as caught:
        parse_config({"model_type": family})
    assert "falcon_mamba, falcon_h1" in caught.value.hint


def test_plain_mamba_is_not_falcon_mamba() -> None:
    for architectures in (["MambaForCausalLM"], None, 5, "FalconMambaForCausalLM"):
        with pytest.raises(UnknownModelType):
            parse_config({"model_type": "mamba", "architectures": architectures})


# Values that cannot be

WRONG = [nan, -1, 0, 2**40, 10**400, 10**5000, 1.5, "12", True, [4], {"a": 1}, -inf]


@pytest.mark.parametrize("value", WRONG, ids=map(str, range(12)))
def test_sizes_that_cannot_be(value: Any) -> None:
    sizes = {name for name in H1_05B if isinstance(H1_05B[name], int) and not isinstance(H1_05B[name], bool)}
    sizes -= {"mamba_chunk_size", "mamba_expand", "mlp_expansion_factor", "num_logits_to_keep"}
    for name in (name for name in sizes if not name.endswith("token_id")):
        with pytest.raises(BadModelFile, match=name):
            parse_config(H1_05B | {name: value})
    for name in ("vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size", "state_size", "conv_kernel"):
        with pytest.raises(BadModelFile, match=name):
            parse_config(MAMBA_7B | {name: value})


@pytest.mark.parametrize("value", [nan, inf, -inf, 10**400, 1e39, "0.5", True, [1.0], {"__float__": "NaN"}, {"a": 1}], ids=str)
def test_numbers_that_cannot_be(value: Any) -> None:
    for name in (*(name for name in H1_05B if name.endswith("_multiplier")), "rms_norm_eps", "rope_theta"):
        with pytest.raises(BadModelFile, match=name):
            parse_config(H1_05B | {name: value})
    for name in ("mixer_rms_eps", "layer_norm_epsilon"):
        with pytest.raises(BadModelFile, match=name):
            parse_config(MAMBA_7B | {name: value})


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"mamba_n_heads": 25}, "not mamba_d_ssm"),
        ({"mamba_n_groups": 5}, "not a multiple of mamba_n_groups"),
        ({"num_key_value_heads": 3}, "not a multiple of num_key_value_heads"),
        ({"head_dim": 63}, "odd"),
        ({"head_dim": 2**20}, "more than"),
        ({"mamba_n_groups": 24, "mamba_d_state": 2**16}, "more than"),
        ({"rms_norm_eps": -1e-5}, "rms_norm_eps"),
        ({"rope_theta": -1e4}, "rope_theta"),
        ({"rope_theta": 0}, "rope_theta"),
        ({"time_step_limit": [0.5, 0.1]}, "time_step_limit"),
        ({"time_step_limit": [-0.5, 0.1]}, "time_step_limit"),
        ({"time_step_limit": [inf, inf]}, "time_step_limit"),
        ({"time_step_limit": [0.0]}, "time_step_limit"),
        ({"time_step_limit": 0.1}, "time_step_limit"),
        ({"mlp_multipliers": [1.0]}, "mlp_multipliers"),
        ({"ssm_multipliers": [1.0, 1.0, 1.0, 1.0, "1.0"]}, "ssm_multipliers"),
        ({"rope_parameters": "default"}, "rope_parameters"),
        ({"attention_bias": 0}, "attention_bias"),
        ({"tie_word_embeddings": "false"}, "tie_word_embeddings"),
        ({"torch_dtype": 16}, "dtype"),
        ({"quantization_config": "bnb"}, "quantization_config"),
    ],
    ids=str,
)
def test_values_that_cannot_be(change: Fields, what: str) -> None:
    with pytest.raises(BadModelFile, match=what):
        parse_config(H1_05B | change)


# Files that are none


@pytest.mark.parametrize(
    "content",
    [b"", b"nul", b"\xff\xfe", b"[]", b'"falcon_h1"', b"{", b'{"hidden_size": ' + b"1" * 5000 + b"}", b"[" * 100_000],
    ids=lambda content: repr(content[:20]),
)
def test_a_file_that_is_no_config(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(BadModelFile):
        load_config(tmp_path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        load_config(tmp_path)
    (tmp_path / "config.json").mkdir()
    with pytest.raises(BadModelFile):
        load_config(tmp_path)


@FAMILIES
@pytest.mark.parametrize("name", ["hidden_size", "hidden_act", "rope_scaling", "torch_dtype", "mlp_multipliers", "unheard_of"])
def test_a_value_too_deep_to_print(fields: Fields, name: str) -> None:
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]
    with pytest.raises(BadModelFile) as caught:
        parse_config(fields | {name: deep})
    assert len(str(caught.value)) < 300


NUMBERS = st.one_of(
    st.integers(-5, 300), st.floats(), st.sampled_from([2**31, 2**63, 10**400, -(10**400), 10**4000, 1e308, inf, -inf, nan])
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=5), st.sampled_from(["auto", "silu", "default"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(
            st.sampled_from(["__float__", "rope_theta", "rope_type", "type", "factor", "partial_rotary_factor"])
            | st.text(max_size=3),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=600, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_a_file_says_only_our_errors_come_out(data: st.DataObject) -> None:
    fields = data.draw(st.sampled_from([MAMBA_7B, H1_05B]))
    names = st.sampled_from([*fields, "rope_parameters", "time_step_limit", "mixer_rms_eps", "dtype", "quantization_config"])
    changed = fields | data.draw(st.dictionaries(names | st.text(max_size=4), JSON, max_size=4))
    for name in data.draw(st.lists(names, max_size=6)):
        changed.pop(name, None)
    try:
        config = parse_config(changed)
    except FalconError as error:
        assert len(str(error)) < 1000
    else:
        assert config == parse_config(changed)


@pytest.mark.parametrize("family", ["falcon_mamba", "falcon_h1"])
def test_a_file_of_nothing_but_its_type_is_the_default_of_transformers(family: str) -> None:
    """The two must agree on everything a file leaves out."""
    from transformers import AutoConfig

    everything = json.loads(AutoConfig.for_model(family).to_json_string(use_diff=False))
    assert parse_config({"model_type": family}) == parse_config(everything)


def test_positions_noted_beside_a_model_without_positions() -> None:
    fields = {"model_type": "falcon_mamba"}
    config = parse_config(fields | {"max_position_embeddings": 32768})
    assert config == parse_config(fields) and config.max_position_embeddings is None
