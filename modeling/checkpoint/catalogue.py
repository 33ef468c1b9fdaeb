"""The published checkpoints of both families: what a mistyped name was probably meant to be, and which shape each has.

`shapes/` holds a config.json for each shape, so that it can be measured with random weights on a machine without a network.
Sizes are those of the published models. The multipliers of Falcon-H1-1.5B and 3B follow the rule that the other sizes keep, and
those of the Tiny are the ones of one of its kin: they change no time.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

PUBLISHED: tuple[str, ...] = (
    "tiiuae/falcon-mamba-7b",
    "tiiuae/falcon-mamba-7b-instruct",
    "tiiuae/falcon-mamba-7b-pre-decay",
    "tiiuae/Falcon3-Mamba-7B-Base",
    "tiiuae/Falcon3-Mamba-7B-Instruct",
    *(
        f"tiiuae/Falcon-H1-{size}-{kind}"
        for size in ("0.5B", "1.5B", "1.5B-Deep", "3B", "7B", "34B")
        for kind in ("Base", "Instruct")
    ),
    "tiiuae/Falcon-H1R-7B",
    "tiiuae/Falcon-H1-Tiny-90M-Base",
    "tiiuae/Falcon-H1-Tiny-90M-Instruct",
    "tiiuae/Falcon-H1-Tiny-R-90M",
)


def suggest(name: str, *others: str) -> str:
    """ "did you mean …?" with the nearest of the published names and `others`, or "" if none is near or it is `name` itself.

    Case, the organisation and an underscore for a hyphen do not count: `Falcon_H1-7b-instruct` is near.
    """
    known = {_key(candidate): candidate for candidate in (*PUBLISHED, *others)}
    near = get_close_matches(_key(name), known, n=1, cutoff=0.75)
    return f"did you mean {known[near[0]]}?" if near and known[near[0]] != name else ""


def _key(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].lower().replace("_", "-")


def shape_of(name: str) -> Path | None:
    """The folder with the config.json of the published checkpoint `name`, and nothing else; None for any other name.

    A base model has the shape of the one that was taught to answer, and Falcon-H1R-7B that of Falcon-H1-7B.
    """
    if name.lower() not in map(str.lower, PUBLISHED):  # as on the hub, case does not count
        return None
    shape = _key(name).removesuffix("-base").removesuffix("-instruct").removesuffix("-pre-decay")
    shape = {"falcon-h1r-7b": "falcon-h1-7b", "falcon-h1-tiny-r-90m": "falcon-h1-tiny-90m"}.get(shape, shape)
    return Path(__file__).parent / "shapes" / shape
