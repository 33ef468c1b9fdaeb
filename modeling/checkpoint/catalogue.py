"""The published checkpoints of both families: what a mistyped name was probably meant to be."""

from __future__ import annotations

from difflib import get_close_matches

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
