"""transformers on the very weights of a loaded model: no copy of them, no file, the same tensors under the same names.
4-bit ones are in layers of bitsandbytes, as transformers itself would have them.

It runs by its forward alone, without the overhead of `generate`: a prompt in one pass, then a token at a time. In place of its
own choice it is fed the tokens that we chose; where its choice would have been another is counted. So both do the same work on
the same text to the end, and an early difference does not make all that follows one.
"""

from __future__ import annotations

import copy
import gc
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from modeling.bench import loan
from modeling.bench.ceiling import settle
from modeling.bench.loan import Loan
from modeling.bench.track import Sample
from modeling.layers.linear import PackedLinear
from modeling.models import LanguageModel
from modeling.timings import BenchCase

WARM_STEPS = 3


class Reference:
    """The model of transformers that `folder`/config.json describes, with the weights of `model`. `name` says its version, and
    whether bitsandbytes and mamba-ssm were there to help it."""

    def __init__(self, model: LanguageModel, folder: Path) -> None:
        import transformers

        self.name = f"transformers {transformers.__version__}"
        packed = {name: module for name, module in model.named_modules() if isinstance(module, PackedLinear)}
        self._missing = loan.refusal(packed)
        self._loans: dict[str, Loan] = {}
        if packed and not self._missing:
            self.name += f" + {loan.version()}"
            dtype = next(model.parameters()).dtype  # the embedding's
            self._loans = {name: Loan(layer, dtype) for name, layer in packed.items()}
        if model.device.type == "cuda" and find_spec("mamba_ssm") and find_spec("causal_conv1d"):
            self.name += " + mamba-ssm"
        self._device = model.device
        self._model: Any = None if self._missing else _with_weights_of(model, folder, self._loans)
        self._cache_name = "cache_params" if model.config.model_type == "falcon_mamba" else "past_key_values"
        self._past: dict[tuple[int, int], tuple[Any, int]] = {}  # batch, tokens → cache behind them, the likeliest next token

    def refusal(self, case: BenchCase) -> str:
        """Why a case is not compared; "" if it is."""
        if self._model is None:
            return self._missing or "transformers has no place for these weights"
        if case.depth and case.n_prompt:
            return "transformers does not carry a state into a prompt of several tokens reliably"
        return ""

    def told(self, error: Exception) -> str:
        """A failure as a sentence, and its memory given back."""
        self.forget()
        first_line, *_ = str(error).splitlines() or [type(error).__name__]
        return f"transformers failed: {first_line[:200]}"

    def forget(self) -> None:
        """Give back the memory of caches, and what was lent."""
        self._past.clear()
        for lent in self._loans.values():
            lent.take_back()
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def warm(self, case: BenchCase, ids: Sequence[int], chosen: Sequence[int]) -> None:
        """Run the shapes of a case once."""
        self._run(case, ids, chosen[: WARM_STEPS + 1])

    def time(self, case: BenchCase, ids: Sequence[int], chosen: Sequence[int]) -> tuple[Sample, int]:
        """Measure one repetition behind the first `case.before` of `ids`; how many of the `chosen` tokens it would choose."""
        gc.collect()
        return self._run(case, ids, chosen)

    @torch.inference_mode()
    def _run(self, case: BenchCase, ids: Sequence[int], chosen: Sequence[int]) -> tuple[Sample, int]:
        for lent in self._loans.values():
            lent.lend()
        prompt = torch.tensor([ids[: case.before]] * case.batch, device=self._device)  # b l
        settle(self._device)
        if case.n_prompt:
            began = perf_counter()
            out, best = self._forward(prompt)
            cache = out[self._cache_name]
            waits = [perf_counter() - began] * case.batch
        else:
            key = prompt.shape[0], prompt.shape[1]
            if key not in self._past:
                out, best = self._forward(prompt)
                self._past[key] = out[self._cache_name], best
            kept, best = self._past[key]
            cache, waits = copy.deepcopy(kept), []  # steps write into it
            settle(self._device)
            began = perf_counter()
        choices, stamps = [best], [perf_counter()]
        for token in chosen[:-1]:
            fed = torch.tensor([[token]] * case.batch, device=self._device)  # b 1
            out, best = self._forward(fed, **{self._cache_name: cache})
            choices.append(best)
            stamps.append(perf_counter())
        gaps = [after - before for before, after in pairwise(stamps)]
        same = sum(choice == token for choice, token in zip(choices, chosen, strict=True))
        return Sample(stamps[-1] - began, waits, gaps), same

    def _forward(self, ids: Tensor, **past: Any) -> tuple[Any, int]:
        """ids (b, l) → the output, and the likeliest token of the first row, on the host: the device has done its work."""
        out = self._model(ids, use_cache=True, logits_to_keep=1, **past)
        return out, int(out.logits[:, -1].argmax(-1).tolist()[0])


def _with_weights_of(model: LanguageModel, folder: Path, loans: Mapping[str, Loan]) -> Any:
    """transformers' model on our parameters, with the layers of `loans` in place of its own; None if it has not the same
    parameters, name by name. Its buffers, which it computes itself, are its own."""
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM

    own = dict(model.named_parameters(remove_duplicate=False))
    dtype = next(iter(own.values())).dtype
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    if any(layer.endswith("dt_proj") for layer in loans):  # of which it would multiply by the weight itself
        config._is_quantized = True
    with init_empty_weights(include_buffers=False):
        theirs: Any = AutoModelForCausalLM.from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
    if not loans.keys() <= dict(theirs.named_modules()).keys():
        return None
    for layer, lent in loans.items():
        theirs.set_submodule(layer, lent.linear)
        own = {name: weight for name, weight in own.items() if not name.startswith(f"{layer}.")}
    # mixer norms without weights are buffers of ones there; everything that we have must find its place
    found = theirs.load_state_dict(own, strict=False, assign=True)
    if found.unexpected_keys or any(parameter.is_meta for parameter in theirs.parameters()):
        return None
    return theirs.to(model.device).eval()
