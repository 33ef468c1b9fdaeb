"""The checkpoints that come with falcon: small folders in Hugging Face format, trained by `python -m scripts.demo`.

They know this tool, some facts, small sums and what one has told them: enough to show, without a network, what a carried state
is good for. CARD.md says how well. The tests take them as models of each family.
"""

from pathlib import Path

FOLDERS = {"demo": "falcon-mamba", "demo-h1": "falcon-h1"}


def resolve(model: str) -> str:
    """The folder behind an embedded name (`demo`, `demo-h1`); any other name unchanged."""
    folder = FOLDERS.get(model)
    return model if folder is None else str(Path(__file__).resolve().parent / folder)


def name_of(folder: str) -> str:
    """What a model is to be called so that it is found again from anywhere: an embedded folder by its name, another one by its
    whole path; an id of Hugging Face as it is."""
    for name in FOLDERS:
        if folder == resolve(name):
            return name
    path = Path(folder).expanduser()
    return str(path.resolve()) if path.is_dir() else folder
