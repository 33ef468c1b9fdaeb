"""Names of sessions and branches: plain words, so that they can be typed anywhere and never mean anything else."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable
from itertools import count

from falcon_cli.settings import nearest
from modeling.errors import InvalidRequest, StateRefused

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RULE = "a name is made of letters, digits, '.', '_' and '-', begins with a letter or digit, and has at most 64 characters"


def check_name(name: str, what: str = "session", known: Iterable[str] = ()) -> str:
    """`name`, if it is one. Raises `InvalidRequest`, with the nearest of the `known` names."""
    if not _SLUG.fullmatch(name):
        raise InvalidRequest(f"{shown(name)} is no name for a {what}{nearest(name[:64], known)}", _RULE)
    return name


def check_branch(name: str) -> str:
    """The same for a branch. A number is none: it would be taken for that of a turn."""
    check_name(name, "branch")
    if name.isdecimal():
        raise InvalidRequest(f"{name} is no name for a branch: numbers are those of turns", "add a letter")
    return name


def unknown(name: str, known: Iterable[str]) -> StateRefused:
    """The error for a session that is not there."""
    return StateRefused(f"there is no session {shown(name)}{nearest(name, known)}", "falcon sessions list shows them")


def automatic(taken: Collection[str]) -> str:
    """A name for a session that was given none: the day, and a number if it is not the first of that day."""
    day = time.strftime("%Y-%m-%d")
    return next(name for number in count(1) if (name := day if number == 1 else f"{day}-{number}") not in taken)


def parallel(taken: Collection[str]) -> str:
    """A name for the branch of a process that another one has overtaken."""
    return next(name for number in count(1) if (name := f"parallel-{number}") not in taken)


def shown(name: str) -> str:
    """A name that may be anything, in a message: short, in quotes, without control characters."""
    return repr(name if len(name) <= 60 else name[:59] + "…")
