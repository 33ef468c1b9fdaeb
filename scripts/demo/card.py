"""falcon_cli/demo/CARD.md: what the demo models are and how well they do, with the figures as they were measured."""

from __future__ import annotations

from math import exp
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.nn import functional as F

from modeling.api import open_language_model
from modeling.messages import ModelSpec
from scripts.demo.evaluate import Result, evaluate, read_questions, table
from scripts.demo.rows import ASSISTANT, Maker, Order

UNSEEN = 77  # a seed that nothing was trained with

TEXT = """# The demo models

`demo` (FalconMamba) and `demo-h1` (Falcon-H1) come with falcon, so that `falcon chat` has something to show without a network.
They explain this tool and the two families of models, do small sums, copy and spell words, make small talk, and remember what
they are told; to everything else they say that they do not know. They are often wrong. They are not assistants: run
`falcon chat tiiuae/Falcon-H1-0.5B-Instruct` for a real model.

## How they were made

Both were trained from nothing by `python -m scripts.demo train`, with this repository's own `modeling/` package, on
conversations that `scripts/demo/corpus/` draws from a seed: our own words, no data set, no text from elsewhere. What is taught
is written down in `scripts/demo/syllabus.md`. Names, places, words, numbers and codes that are told, copied or remembered are
drawn at random, most of them made up letter by letter. Each conversation is used once.

{making}

Their configs keep the quirks of the real checkpoints: an untrue `expand`, norms with an epsilon of their own (FalconMamba);
all multipliers, grouped attention whose width is not the model's, two groups of B and C, a gated norm (Falcon-H1). The
embeddings are tied, unlike those of the large models.

## How well they do

{count} questions were held out: written from the syllabus by someone who had not seen the corpus, each a conversation of its
own, answered greedily on a CPU, judged by keywords (`scripts/demo/questions.jsonl`, `python -m scripts.demo evaluate`).
No run of eight words is shared with a sample of the corpus (a test), but some askings of memory ("Where do I live?") are as
plain as in the corpus; there, conversation and values are what is new. After two trainings the corpus was widened where
topics had failed, with the keywords and the answers of the failures in view, but not the wording of the questions: the
figures are those of a set that has steered the work twice. The goal was 85 % for each model, and 90 %
for memory over five turns and more.

{table}

{shortfall}

{figures}
"""


def perplexity(folder: Path, family: str, seed: int, rows: int = 48, length: int = 512) -> tuple[float, float]:
    """Of the answers and of the user's words, in conversations of an unseen seed."""
    maker = Maker(Tokenizer.from_file(str(folder / "tokenizer.json")), family, seed)
    block = maker.block(Order(0, rows, length))
    model = open_language_model(ModelSpec(str(folder), device="cpu"))
    ids, kinds = torch.from_numpy(block.ids).long(), torch.from_numpy(block.kinds)
    found = []
    with torch.inference_mode():
        losses = torch.stack([F.cross_entropy(model(row[None])[0, :-1], row[1:], reduction="none") for row in ids])
    for answers in (True, False):
        chosen = (kinds[:, 1:] == ASSISTANT) if answers else (kinds[:, 1:] == 1)
        found.append(exp(losses[chosen].mean().item()))
    return found[0], found[1]


def far_memory(result: Result) -> tuple[int, int]:
    """(right, asked) of the questions of memory that ask five turns later or more."""
    far = [good for question, _, good in result.answers if question.topic == "memory" and question.distance >= 5]
    return sum(far), len(far)


def shortfall(results: list[Result]) -> str:
    """What was not reached, in plain words."""
    said = []
    for result in results:
        right, asked = far_memory(result)
        said.append(
            f"`{result.name}` answers {100 * result.right:.0f} % rightly, and {right} of {asked} ({100 * right / asked:.0f} %) "
            f"of the questions of memory over five turns and more{'' if right / asked >= 0.9 else ', short of the goal'}."
        )
    return "\n".join(said)


def write_card(home: Path, folders: dict[str, str], families: dict[str, str], making: str) -> str:
    """Measure both checkpoints under `home`; the text of the card."""
    questions = read_questions()
    results = [evaluate(home / folder, name, questions) for name, folder in folders.items()]
    lines = ["| | " + " | ".join(folders) + " |", "| --- |" + " ---: |" * len(folders)]
    measured = [perplexity(home / folder, families[name], UNSEEN) for name, folder in folders.items()]
    sizes = [sum(path.stat().st_size for path in (home / folder).iterdir()) / 1e6 for folder in folders.values()]
    rows = {
        "parameters": [f"{result.parameters:,}" for result in results],
        "size of the folder": [f"{size:.1f} MB" for size in sizes],
        "first token of a first turn, after loading, one CPU core": [f"{1000 * r.latency:.0f} ms" for r in results],
        "perplexity of answers, unseen conversations": [f"{answers:.3f}" for answers, _ in measured],
        "perplexity of the user's words in them": [f"{user:.1f}" for _, user in measured],
    }
    lines += [f"| {name} | " + " | ".join(values) + " |" for name, values in rows.items()]
    return TEXT.format(
        making=making,
        count=len(questions),
        table=table(results),
        shortfall=shortfall(results),
        figures="\n".join(lines),
    )
