"""Tensors ↔ parameters: the account of a load. Every parameter is filled exactly once, and nothing is left over or dropped.

The names are equal: falcon's parameters carry the checkpoint's names. What differs stands in the two tables below, exactly;
there is no rule by substring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modeling.checkpoint.header import StoredTensor, listed, short
from modeling.errors import BadModelFile

Shape = tuple[int, ...]

LEGACY: Mapping[str, Mapping[str, str]] = {
    "falcon_mamba": {
        # Mamba's original code called it so, and transformers renames it on load.
        "backbone.embedding.weight": "backbone.embeddings.weight",
    },
    "falcon_h1": {},
}
"""Older spellings in files → parameter names, by model type."""

COMPUTED: Mapping[str, tuple[str, ...]] = {
    "falcon_mamba": (),
    "falcon_h1": (
        # Non-persistent buffers of transformers: not in its own files, but in those of tools that save all buffers.
        "model.rotary_emb.inv_freq",
        "model.rotary_emb.original_inv_freq",
        "model.layers.{i}.self_attn.rotary_emb.inv_freq",
        "model.layers.{i}.mamba.mup_vector",
    ),
}
"""Tensors in files that are not needed because they follow from config.json, by model type; {i} is a layer's number."""


@dataclass(frozen=True, slots=True)
class Account:
    """The outcome: `filled` maps each parameter (one name of those that share a tensor) to the tensor that fills it.

    `twins` are pairs of tensors for one shared parameter, present under both its names: they must hold the same bytes.
    """

    filled: Mapping[str, StoredTensor]
    twins: tuple[tuple[StoredTensor, StoredTensor], ...]


def settle(
    model_type: str, layers: int, parameters: Mapping[str, Shape], tied: Mapping[str, str], stored: Mapping[str, StoredTensor]
) -> Account:
    """Match the model's `parameters` (name → shape) with the file's `stored` tensors.

    `tied` maps each further name of a shared parameter to the one in `parameters`; a file may use either name, or both.

    Raises `BadModelFile` with what is missing, unknown, of the wrong shape, or there twice.
    """
    computed = {name.format(i=i) for name in COMPUTED[model_type] for i in range(layers)}
    filled: dict[str, StoredTensor] = {}
    twins: list[tuple[StoredTensor, StoredTensor]] = []
    unknown: list[str] = []
    for name, tensor in stored.items():
        parameter = LEGACY[model_type].get(name, name)
        parameter = tied.get(parameter, parameter)
        if parameter not in parameters:
            if name not in computed:
                unknown.append(name)
        elif parameter not in filled:
            filled[parameter] = tensor
        else:
            twins.append((filled[parameter], tensor))
    missing = [name for name in parameters if name not in filled]
    misshapen = [name for name, tensor in filled.items() if tensor.shape != parameters[name]]
    misshapen += [name for name, tensor in filled.items() if any(tensor is a and b.shape != tensor.shape for a, b in twins)]
    faults = [
        f"missing: {listed(missing)}" if missing else "",
        f"unknown: {listed(unknown)}" if unknown else "",
        f"of another shape: {len(misshapen)}, such as {_shapes(misshapen[0], filled, parameters)}" if misshapen else "",
    ]
    if any(faults):
        raise BadModelFile(
            f"the weights do not fit config.json: {'; '.join(filter(None, faults))}",
            "the files of two models may be mixed up: download the model again",
        )
    return Account(filled, tuple(twins))


def _shapes(name: str, filled: Mapping[str, StoredTensor], parameters: Mapping[str, Shape]) -> str:
    return f"{short(name)} is {list(filled[name].shape)} in the file and {list(parameters[name])} by config.json"
