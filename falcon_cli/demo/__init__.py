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
