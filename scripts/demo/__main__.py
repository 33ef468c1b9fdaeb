"""Make the embedded demo models, and measure them.

python -m scripts.demo corpus [-n 20]                 look at conversations
python -m scripts.demo tokenizer FILE                 train the tokenizer alone
python -m scripts.demo train demo OUT --minutes 8     train one model on a GPU (demo-h1: the other)
python -m scripts.demo train demo OUT --smoke         the same chain in seconds on a CPU; the result knows nothing
python -m scripts.demo evaluate                       ask both models the held-out questions
python -m scripts.demo card                           the same, and write falcon_cli/demo/CARD.md
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

HOME = Path(__file__).resolve().parents[2] / "falcon_cli" / "demo"
SEED = 20240812


def corpus(arguments: argparse.Namespace) -> None:
    """Print some turns."""
    from scripts.demo.corpus.conversation import turns

    conversation = turns(random.Random(arguments.seed), "falcon_mamba")
    for _, (question, answer) in zip(range(arguments.n), conversation, strict=False):
        print(f"> {question}\n{answer}\n")


def tokenizer(arguments: argparse.Namespace) -> None:
    """Write tokenizer.json."""
    from scripts.demo.vocabulary import make_tokenizer

    make_tokenizer(arguments.seed).save(str(arguments.out), pretty=False)


def train(arguments: argparse.Namespace) -> None:
    """Corpus → tokenizer → training → files."""
    import torch

    from scripts.demo.folder import weights_of, write
    from scripts.demo.initial import fresh_model
    from scripts.demo.rows import Maker
    from scripts.demo.shapes import FULL, SMOKE
    from scripts.demo.training import SMOKE_PLAN, Plan
    from scripts.demo.training import train as run
    from scripts.demo.vocabulary import make_tokenizer

    smoke = arguments.smoke
    fields = (SMOKE if smoke else FULL)[arguments.model]
    vocabulary = make_tokenizer(arguments.seed, 60 if smoke else 6000, fields["vocab_size"])
    model = fresh_model(fields, arguments.seed)
    maker = Maker(vocabulary, fields["model_type"], arguments.seed)
    print(f"{arguments.model}: {sum(p.numel() for p in model.parameters()):,} parameters", flush=True)

    def save() -> None:
        write(arguments.out, fields, weights_of(model), vocabulary)

    device = torch.device("cuda" if torch.cuda.is_available() and not smoke else "cpu")
    run(
        model,
        maker,
        SMOKE_PLAN if smoke else Plan(),
        device,
        steps=arguments.steps or (30 if smoke else None),
        minutes=arguments.minutes,
        processes=arguments.processes,
        report=lambda line: print(f"{arguments.model}: {line}", flush=True),
        save=None if smoke else save,
    )
    save()


def evaluate(arguments: argparse.Namespace) -> None:
    """Print the shares of right answers, and the ids of the questions that were answered wrongly."""
    from falcon_cli.demo import FOLDERS
    from scripts.demo import evaluate as room

    results = [room.evaluate(arguments.home / folder, name, room.read_questions()) for name, folder in FOLDERS.items()]
    print(room.table(results))
    for result in results:
        print(f"\n{result.name}, wrong: {' '.join(question.id for question, _, good in result.answers if not good)}")


def card(arguments: argparse.Namespace) -> None:
    """Measure, and write the card."""
    from falcon_cli.demo import FOLDERS
    from scripts.demo.card import write_card
    from scripts.demo.shapes import FULL

    families = {name: fields["model_type"] for name, fields in FULL.items()}
    text = write_card(arguments.home, FOLDERS, families, arguments.making)
    (arguments.home / "CARD.md").write_text(text, encoding="utf-8")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser("scripts.demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=SEED)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("corpus")
    command.add_argument("-n", type=int, default=20)
    command.set_defaults(run=corpus)
    command = commands.add_parser("tokenizer")
    command.add_argument("out", type=Path)
    command.set_defaults(run=tokenizer)
    command = commands.add_parser("train")
    command.add_argument("model", choices=("demo", "demo-h1"))
    command.add_argument("out", type=Path)
    command.add_argument("--minutes", type=float, default=8.0)
    command.add_argument("--steps", type=int)
    command.add_argument("--processes", type=int, default=0)
    command.add_argument("--smoke", action="store_true")
    command.set_defaults(run=train)
    for name, run in (("evaluate", evaluate), ("card", card)):
        command = commands.add_parser(name)
        command.add_argument("--home", type=Path, default=HOME, help="the folder of both checkpoints")
        command.set_defaults(run=run)
    command.add_argument("--making", default="", help="a paragraph about the training")
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
