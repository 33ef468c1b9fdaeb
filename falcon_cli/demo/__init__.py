"""The checkpoints that come with falcon: small folders in Hugging Face format, made by scripts/make_demo.py.

Their weights are noise. They show that everything works, without a network, and give the tests a model of each family.
"""

from pathlib import Path

FOLDERS = {"demo": "falcon-mamba", "demo-h1": "falcon-h1"}


def resolve(model: str) -> str:
    """The folder behind an embedded name (`demo`, `demo-h1`); any other name unchanged."""
    folder = FOLDERS.get(model)
    return model if folder is None else str(Path(__file__).resolve().parent / folder)
