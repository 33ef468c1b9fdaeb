"""The fields of a `config.json`, read with their types and accounted for: what nobody reads must be known to be harmless."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from modeling.errors import BadModelFile, UnsupportedConfig

# Ceilings far above any model, so that a damaged or hostile file is refused here and not by running out of memory or of int64.
MOST_LAYERS = 2**10
MOST = 2**20  # of any other size
LARGEST = 3.4e38  # number that fp32 holds

# Fields that transformers writes and that change nothing in a forward pass of these two families.
WITHOUT_EFFECT = frozenset(
    # bookkeeping
    "architectures transformers_version use_cache return_dict output_hidden_states output_attentions output_router_logits "
    "torchscript chunk_size_feed_forward is_encoder_decoder is_decoder add_cross_attention cross_attention_hidden_size "
    "tie_encoder_decoder "
    "id2label label2id num_labels problem_type finetuning_task task_specific_params tokenizer_class prefix name_or_path "
    "bos_token_id eos_token_id pad_token_id sep_token_id decoder_start_token_id use_bfloat16 attn_implementation "
    "pruned_heads tf_legacy_loss gradient_checkpointing "
    # generation settings of old config files (generation_config.json is where they belong)
    "max_length min_length do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p "
    "typical_p repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids "
    "num_return_sequences "
    "output_scores return_dict_in_generate forced_bos_token_id forced_eos_token_id remove_invalid_values suppress_tokens "
    "begin_suppress_tokens exponential_decay_length_penalty add_bos_token "
    # initialisation and training
    "initializer_range rescale_prenorm_residual attention_dropout time_step_min time_step_max time_step_floor time_step_scale "
    "time_step_init_scheme use_mambapy use_falcon_mambapy use_associative_scan num_logits_to_keep pretraining_tp "
    # read by no released version of the reference implementation
    "attn_layer_indices mamba_use_mlp mlp_expansion_factor expansion_factor attn_rotary_emb sliding_window".split()
)

# Names under which people leave a line of text: what it says cannot matter.
NOTES = re.compile(
    r"(^|_)(author|by|comment|commit|date|description|hash|id|info|license|name|notes?|path|revision|url|version)$"
)


class Fields:
    """Typed access to the fields of a config file that remembers what was asked for, so that the rest can be refused."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields
        self.seen = {"model_type", "auto_map"}

    def raw(self, name: str, default: Any = None) -> Any:
        """The field, or `default` where it is absent or null."""
        self.seen.add(name)
        value = self.fields.get(name)
        return default if value is None else value

    def count(self, name: str, default: int, most: int = MOST) -> int:
        """The field as a whole number from 1 to `most`."""
        value = self.raw(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise BadModelFile(f"config.json: {name} is {shown(value)}, not a whole number from 1 to {most}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """The field as true or false; an explicit null counts as false, as it does in transformers."""
        self.seen.add(name)
        value = self.fields.get(name, default)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise BadModelFile(f"config.json: {name} is {shown(value)}, not true or false")
        return value

    def number(self, name: str, default: float) -> float:
        """The field as a finite number."""
        return number(name, self.raw(name, default))

    def epsilon(self, name: str, default: float) -> float:
        """The field as what a norm adds to a mean square: a number of at least 0."""
        value = self.number(name, default)
        if value < 0:
            raise BadModelFile(f"config.json: {name} is {value}, and a norm with it is not a number")
        return value

    def numbers(self, name: str, default: Sequence[float], most: float = LARGEST) -> tuple[float, ...]:
        value = self.raw(name, default)
        if not isinstance(value, (list, tuple)) or len(value) != len(default):
            raise BadModelFile(f"config.json: {name} is {shown(value)}, not a list of {len(default)} numbers")
        return tuple(number(name, item, most) for item in value)

    def only(self, name: str, *known: Any) -> None:
        """Refuse any value but the known ones: another would change the mathematics."""
        value = self.raw(name, known[0])
        if value not in known:
            raise UnsupportedConfig(
                f"config.json: {name} is {shown(value)}, which falcon does not know",
                f"falcon runs {name} = {' or '.join(repr(k) for k in known)}",
            )

    def close(self) -> None:
        """Refuse every field that nobody asked for and that might mean something."""
        for name, value in self.fields.items():
            known = name in self.seen or name in WITHOUT_EFFECT or name.startswith(("_", "unsloth"))
            empty = value is None or value is False or value in ("", [], {})
            note = isinstance(value, str) and NOTES.search(name) is not None
            if not known and not empty and not note:
                raise UnsupportedConfig(
                    f"config.json has a field that falcon does not know: {name[:100]} = {shown(value)}",
                    "it may change the mathematics; if it is only a note, remove it from config.json",
                )


def number(name: str, value: Any, most: float = LARGEST) -> float:
    """`value` as a number between ±`most`; transformers 5 writes infinity as {"__float__": "Infinity"}."""
    if isinstance(value, Mapping) and value == {"__float__": "Infinity"}:
        value = inf
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -most <= value <= most:  # also catches NaN
        raise BadModelFile(f"config.json: {name} is {shown(value)}, not a {'finite ' if most < inf else ''}number")
    return float(value)


def shown(value: Any) -> str:
    """A value of the file in a message: short, however long or deep the file makes it."""
    try:
        text = reprlib.repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a huge number"
    return text if len(text) <= 100 else f"{text[:99]}…"  # reprlib shows up to six items on each of six levels
