"""How a checkpoint wants to be sampled: generation_config.json, with transformers' own defaults for what it leaves open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling.documents import read_object
from modeling.errors import BadModelFile, InvalidRequest
from modeling.messages import SamplingParams

# What transformers' generate() takes where the file is silent. They count only when sampling is on.
_DEFAULTS: Mapping[str, Any] = {
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "repetition_penalty": 1.0,
}
# Fields that change which tokens transformers would choose and that falcon does not follow, with the values that do nothing.
_IGNORED: Mapping[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "no_repeat_ngram_size": (0,),
    "encoder_repetition_penalty": (1.0,),
    "epsilon_cutoff": (0.0,),
    "eta_cutoff": (0.0,),
    "top_h": (),
    "bad_words_ids": (),
    "suppress_tokens": ([],),
    "begin_suppress_tokens": ([],),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "sequence_bias": (),
    "guidance_scale": (1.0,),
    "min_new_tokens": (0,),
    "min_length": (0,),
    "exponential_decay_length_penalty": (),
    "watermarking_config": (),
}


@dataclass(frozen=True, slots=True)
class GenerationDefaults:
    """What the checkpoint asks for.

    `sampling.temperature` is 0 (greedy) unless the file says do_sample; its other filters are kept for whoever turns sampling
    on. `stop_ids` end a completion; the tokenizer's end of turn comes on top. `ignored` names the fields of the file that would
    change the choice of tokens and that falcon does not follow.
    """

    sampling: SamplingParams
    stop_ids: frozenset[int]
    ignored: tuple[str, ...] = ()


def read_defaults(folder: Path) -> GenerationDefaults:
    """The defaults of the checkpoint in `folder`. Stop ids come from generation_config.json or, if it has none, config.json.

    Raises `BadModelFile` for a file or value that makes no sense.
    """
    path = folder / "generation_config.json"
    fields = read_object(path)
    stop_ids = _stop_ids(fields, path)
    if stop_ids is None:
        stop_ids = _stop_ids(read_object(folder / "config.json"), folder / "config.json")
    values = {name: default if fields.get(name) is None else fields[name] for name, default in _DEFAULTS.items()}
    if fields.get("do_sample") is not True:
        values["temperature"] = 0.0
    try:
        sampling = SamplingParams(**{name: type(default)(values[name]) for name, default in _DEFAULTS.items()})
    except (TypeError, ValueError, OverflowError, InvalidRequest) as error:
        raise BadModelFile(f"{path}: {error}", "correct the file, or remove it to use the defaults") from None
    ignored = tuple(name for name, idle in _IGNORED.items() if fields.get(name) is not None and fields[name] not in idle)
    return GenerationDefaults(sampling, stop_ids or frozenset(), ignored)


def _stop_ids(fields: Mapping[str, Any], path: Path) -> frozenset[int] | None:
    """`eos_token_id`, one id or a list; None where the file says nothing."""
    value = fields.get("eos_token_id")
    if value is None:
        return None
    ids = value if isinstance(value, list) else [value]
    if not all(isinstance(i, int) and not isinstance(i, bool) for i in ids):
        raise BadModelFile(f"{path}: eos_token_id is {value!r}, not an id or a list of ids")
    return frozenset(ids)
