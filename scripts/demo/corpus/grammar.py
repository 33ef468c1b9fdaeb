"""Patterns: `(a|b|c)` is one of several, `[x]` is there or not, `{name}` is filled in. One stands for many sentences."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from functools import cache
from textwrap import dedent
from typing import TypeAlias

Node: TypeAlias = "str | Choice | Slot | tuple[Node, ...]"
Fill = Callable[[random.Random], str]


class Choice:
    """One of several nodes, all equally likely."""

    def __init__(self, options: list[Node]) -> None:
        self.options = options


class Slot:
    """A name whose text is given at expansion."""

    def __init__(self, name: str) -> None:
        self.name = name


_TOKENS = re.compile(r"[()\[\]|]|\{\w+\}|[^()\[\]|{}]+")


@cache
def parse(pattern: str) -> Node:
    """The tree of a pattern. Raises ValueError where brackets do not match."""
    tokens = _TOKENS.findall(pattern)
    node, rest = _alternatives(tokens, 0, "")
    if rest != len(tokens):
        raise ValueError(f"unbalanced pattern: {pattern}")
    return node


def _alternatives(tokens: list[str], at: int, end: str) -> tuple[Node, int]:
    options: list[Node] = []
    parts: list[Node] = []
    while at < len(tokens) and tokens[at] != end:
        token = tokens[at]
        if token in "([":
            inner, at = _alternatives(tokens, at + 1, ")" if token == "(" else "]")
            if at >= len(tokens):
                raise ValueError(f"unbalanced pattern: {''.join(tokens)}")
            parts.append(inner if token == "(" else Choice(["", inner]))
        elif token == "|":
            options.append(tuple(parts))
            parts = []
        elif token in ")]":
            raise ValueError(f"unbalanced pattern: {''.join(tokens)}")
        else:
            parts.append(Slot(token[1:-1]) if token.startswith("{") else token)
        at += 1
    options.append(tuple(parts))
    return (options[0] if len(options) == 1 else Choice(options)), at


def _expand(node: Node, draw: random.Random, fill: Mapping[str, Fill]) -> str:
    if isinstance(node, str):
        return node
    if isinstance(node, Choice):
        return _expand(node.options[int(draw.random() * len(node.options))], draw, fill)
    if isinstance(node, Slot):
        return fill[node.name](draw)
    return "".join([_expand(part, draw, fill) for part in node])


_SPACES = re.compile(r" {2,}")
_BEFORE_MARK = re.compile(r" +([,.?!;:])(?= |$)")


def expand(pattern: str, draw: random.Random, fill: Mapping[str, Fill] | None = None) -> str:
    """One text of a pattern, with the spaces that left-out options leave behind tidied."""
    text = _expand(parse(pattern), draw, fill or {})
    return _BEFORE_MARK.sub(r"\1", _SPACES.sub(" ", text)).strip()


def pick(patterns: tuple[str, ...], draw: random.Random, fill: Mapping[str, Fill] | None = None) -> str:
    """One text of one of several patterns."""
    return expand(patterns[int(draw.random() * len(patterns))], draw, fill)


def lines(text: str) -> tuple[str, ...]:
    """The lines of a block, without its indentation. A line that is indented further goes on with the one before."""
    found: list[str] = []
    for line in dedent(text).strip("\n").splitlines():
        if line.startswith(" ") and found:
            found[-1] += ("" if found[-1].endswith("|") else " ") + line.strip()
        elif line.strip():
            found.append(line.strip())
    return tuple(found)
