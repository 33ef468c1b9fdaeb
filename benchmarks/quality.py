"""What packing costs in quality, tensor by tensor, on the trained demo models: the tables of benchmarks/quality.md.

    python benchmarks/quality.py [--rows 96]

The text: conversations of the demo corpus from a seed that nothing was trained with. Weights are packed by the code that
`falcon quantize` uses; everything is computed in float32, so that packing is all that differs. What a choice saves is counted
on the published shapes.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import exp
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from modeling.api import open_language_model
from modeling.checkpoint.load import blueprint
from modeling.checkpoint.quantized import replace
from modeling.checkpoint.quantizer import layers_to_pack, linear_layers, pack
from modeling.config import load_config
from modeling.layers.linear import parts, tensors
from modeling.messages import ModelSpec
from modeling.models import LanguageModel
from modeling.quantization import Form
from scripts.demo.rows import IGNORED, Maker

SEED = 78  # neither of the trainings nor of the card
ROOT = Path(__file__).parent.parent
DEMOS = {"demo": "falcon-mamba", "demo-h1": "falcon-h1"}
SHAPES = {"demo": "falcon-mamba-7b", "demo-h1": "falcon-h1-7b"}
DOUBLE = Form("nf4", double=True)
FORMS = [DOUBLE, Form("nf4"), Form("fp4", double=True), Form("int8")]
BLOCKS = [Form("nf4", block, True) for block in (32, 128, 256)]


@dataclass(frozen=True)
class Text:
    """A conversation: ids (l), and which of them count (l) bool: what user and assistant say."""

    ids: Tensor
    counts: Tensor


@dataclass(frozen=True)
class Row:
    """One variant beside the plain model: mean KLD, its standard error, same top p, perplexity ratio."""

    kld: float
    error: float
    same: float
    ratio: float

    def cells(self) -> str:
        return f"{self.kld:.4f} ± {self.error:.4f} | {self.same:.2%} | {self.ratio:.4f}"


def texts(folder: Path, family: str, rows: int) -> list[Text]:
    maker = Maker(Tokenizer.from_file(str(folder / "tokenizer.json")), family, SEED)
    found = []
    for number in range(rows):
        ids, kinds = maker.row(random.Random(f"{SEED} quality {number}"), 512)
        found.append(Text(torch.tensor(ids), torch.tensor(kinds) != IGNORED))
    return found


@torch.inference_mode()
def logs(model: LanguageModel, text: Text) -> Tensor:
    """(s, v): log-probabilities before each token that counts."""
    return model(text.ids[None])[0, :-1][text.counts[1:]].log_softmax(-1)


def compare(model: LanguageModel, base: list[Tensor], given: list[Text]) -> Row:
    kld, same, gained = [], [], []
    for text, p in zip(given, base, strict=True):
        q, targets = logs(model, text), text.ids[1:][text.counts[1:], None]
        kld.append((p.exp() * (p - q)).sum(-1))
        same.append(p.argmax(-1) == q.argmax(-1))
        gained.append((p - q).gather(-1, targets)[:, 0])
    far, equal, ratio = torch.cat(kld).double(), torch.cat(same).double(), torch.cat(gained).double()
    return Row(float(far.mean()), float(far.std() / far.numel() ** 0.5), float(equal.mean()), exp(float(ratio.mean())))


@torch.inference_mode(False)
def packed(model: LanguageModel, chosen: list[str], form: Form) -> None:
    """Pack these layers of a model in their places."""
    for name in chosen:
        weight = model.get_submodule(name).get_parameter("weight").detach()
        layer = replace(model, name, form, None)
        for part, tensor in tensors(pack(weight, form)).items():
            layer._parameters[part] = nn.Parameter(tensor, requires_grad=False)


def groups(model: LanguageModel) -> dict[str, list[str]]:
    """Linear layers by the last part of their name; projections that do the same in one group."""
    together = {"q_proj": "q, k, v", "k_proj": "q, k, v", "v_proj": "q, k, v", "gate_proj": "gate, up", "up_proj": "gate, up"}
    found: dict[str, list[str]] = {}
    for name in linear_layers(model):
        last = name.rpartition(".")[2]
        found.setdefault(together.get(last, last), []).append(name)
    return found


def saving(name: str, group: list[str], form: Form) -> int:
    """Bytes that packing these layers saves at the published shape."""
    with_shape = blueprint(load_config(ROOT / "modeling" / "checkpoint" / "shapes" / SHAPES[name]), torch.bfloat16)
    lasts = {layer.rpartition(".")[2] for layer in group}
    saved = 0
    for layer in linear_layers(with_shape):
        if layer.rpartition(".")[2] in lasts:
            weight = with_shape.get_submodule(layer).get_parameter("weight")
            o, i = weight.shape
            after = sum(torch.empty(shape, dtype=dtype, device="meta").nbytes for shape, dtype in parts((o, i), form).values())
            saved += weight.nbytes - after
    return saved


def table(name: str, rows: int) -> Iterator[str]:
    folder = ROOT / "falcon_cli" / "demo" / DEMOS[name]
    family = json.loads((folder / "config.json").read_text())["model_type"]
    given = texts(folder, family, rows)

    def fresh(dtype: str = "float32") -> LanguageModel:
        return open_language_model(ModelSpec(str(folder), device="cpu", dtype=dtype, kernels="torch"))  # type: ignore[arg-type]

    plain = fresh()
    base = [logs(plain, text) for text in given]
    by_kind, default = groups(plain), layers_to_pack(plain)
    everything = [layer for group in by_kind.values() for layer in group]
    tokens = sum(int(text.counts[1:].sum()) for text in given)
    yield f"## {name}: {len(given)} conversations, {tokens:,} tokens\n"
    yield f"| packed | as | mean KLD | same top p | PPL ratio | saves in {SHAPES[name]} |\n|---|---|---|---|---|---|"
    yield f"| nothing, but bfloat16 | | {compare(fresh('bfloat16'), base, given).cells()} | |"

    def variant(label: str, chosen: list[str], form: Form, saved: Callable[[], str]) -> str:
        model = fresh()
        packed(model, chosen, form)
        return f"| {label} | {form.name} | {compare(model, base, given).cells()} | {saved()} |"

    for form in FORMS:
        yield variant("**the default**", default, form, lambda form=form: size(saving(name, default, form)))  # type: ignore[misc]
    for form in BLOCKS:
        yield variant("the default", default, form, lambda form=form: size(saving(name, default, form)))  # type: ignore[misc]
    for label, group in by_kind.items():
        yield variant(f"{label} alone", group, DOUBLE, lambda group=group: size(saving(name, group, DOUBLE)))  # type: ignore[misc]
    for label, group in by_kind.items():
        if not set(group) <= set(default):
            more = [*default, *group]
            yield variant(f"the default and {label}", more, DOUBLE, lambda more=more: size(saving(name, more, DOUBLE)))  # type: ignore[misc]
        elif len(by_kind) > 2:
            fewer = [layer for layer in default if layer not in group]
            yield variant(f"the default without {label}", fewer, DOUBLE, lambda fewer=fewer: size(saving(name, fewer, DOUBLE)))  # type: ignore[misc]
    yield variant("everything", everything, DOUBLE, lambda: size(saving(name, everything, DOUBLE)))


def size(count: int) -> str:
    return f"{count / 1e9:.2f} GB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=96)
    arguments = parser.parse_args()
    for name in DEMOS:
        for line in table(name, arguments.rows):
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
