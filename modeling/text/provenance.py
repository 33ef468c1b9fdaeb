"""Strings that remember where each of their characters comes from: the template, or the message with a given index.

A chat template cuts, trims and glues what people wrote between its own marks, and the result looks like one text. `Traced`
keeps the two apart through all of it. Two rules make it safe:

* The text is always what `str` itself computes; provenance is a note beside it. Where the note cannot follow (a title case
  that changes lengths, a padding, a method added to Python tomorrow), the whole result counts as content if any of it did.
* A string without a note is content. The template's own literals are marked; whatever loses its mark on the way can only lose
  the power to become structure, never gain it.

Standard library only: this runs in the small process that renders templates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from string import Formatter
from typing import Any, SupportsIndex

TEMPLATE = -2  # written by the template
DATA = -1  # content of no message: a tool's description, a number, a string that has lost its mark
Run = tuple[int, int]  # (characters, source): source is TEMPLATE, DATA, or the index of a message


class Traced(str):
    """A `str` made of runs of characters of one source each. Without `runs`, all of it is `DATA`."""

    __slots__ = ("_runs",)  # a leading underscore is out of reach of a sandboxed template
    _runs: tuple[Run, ...]

    def __new__(cls, text: object = "", runs: tuple[Run, ...] | None = None) -> Traced:
        self = super().__new__(cls, text)
        length = str.__len__(self)
        self._runs = (((length, DATA),) if length else ()) if runs is None else runs
        return self

    def __str__(self) -> str:
        return self  # so that `str(x)`, which templates apply to everything, keeps the note

    def pieces(self) -> list[tuple[str, int]]:
        """The text, as plain strings, cut where the source changes: [(text, source), …]."""
        found, start = [], 0
        for length, source in self._runs:
            found.append((str.__getitem__(self, slice(start, start + length)), source))
            start += length
        return found

    def cut(self, start: int, stop: int) -> Traced:
        """Characters start … stop - 1, 0 ≤ start ≤ stop ≤ length."""
        runs, left = [], 0
        for length, source in self._runs:
            low, high = max(start, left), min(stop, left + length)
            if low < high:
                runs.append((high - low, source))
            left += length
            if left >= stop:
                break
        return Traced(str.__getitem__(self, slice(start, stop)), tuple(runs))

    # ── put together ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def __add__(self, other: str) -> str:
        # jinja's Markup escapes what it is added to: the result is its own, without a note
        return NotImplemented if not isinstance(other, str) or hasattr(other, "__html__") else glue((self, other))

    def __radd__(self, other: str) -> str:
        return glue((other, self)) if isinstance(other, str) else NotImplemented

    def __mul__(self, count: SupportsIndex) -> str:
        text = str.__mul__(self, count)
        return fit(text, (self,) * (len(text) // len(self)) if len(self._runs) > 1 else (), self)

    __rmul__ = __mul__

    def __mod__(self, values: Any) -> str:
        return fit(str.__mod__(self, values), _percent_parts(self, values), self, values)

    def __rmod__(self, template: str) -> str:
        return Traced(str.__mod__(template, self)) if isinstance(template, str) else NotImplemented

    def join(self, parts: Iterable[str]) -> str:
        items = list(parts)
        text = str.join(self, items)
        return fit(text, [part for item in items for part in (self, item)][1:], self, items)

    def replace(self, old: str, new: str, count: SupportsIndex = -1) -> str:
        text = str.replace(self, old, new, count)
        return fit(text, traced(new).join(self.split(old, count)) if old else (), self, new)

    # ── take apart ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        text = str.__getitem__(self, key)
        if not isinstance(key, slice):
            start = range(len(self))[key]
            return self.cut(start, start + 1)
        start, stop, step = key.indices(len(self))
        return self.cut(start, max(start, stop)) if step == 1 else smear(text, self)

    def __iter__(self) -> Iterator[str]:
        for text, source in self.pieces():
            yield from (Traced(sign, ((1, source),)) for sign in text)

    def strip(self, chars: str | None = None, /) -> str:
        kept = str.strip(self, chars)
        start = len(self) - len(str.lstrip(self, chars)) if kept else 0
        return self.cut(start, start + len(kept))

    def lstrip(self, chars: str | None = None, /) -> str:
        return self.cut(len(self) - len(str.lstrip(self, chars)), len(self))

    def rstrip(self, chars: str | None = None, /) -> str:
        return self.cut(0, len(str.rstrip(self, chars)))

    def removeprefix(self, prefix: str, /) -> str:
        return self.cut(len(self) - len(str.removeprefix(self, prefix)), len(self))

    def removesuffix(self, suffix: str, /) -> str:
        return self.cut(0, len(str.removesuffix(self, suffix)))

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        return self._locate(str.split(self, sep, maxsplit), len(sep or ""))

    def rsplit(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        return self._locate(str.rsplit(self, sep, maxsplit), len(sep or ""))

    def splitlines(self, keepends: bool = False) -> list[str]:
        whole = self._locate(str.splitlines(self, True), 0)
        bare = str.splitlines(self, keepends)
        return [traced(line).cut(0, len(text)) for line, text in zip(whole, bare, strict=True)]

    def partition(self, sep: str, /) -> tuple[str, str, str]:
        head, middle, tail = self._locate(list(str.partition(self, sep)), 0)
        return head, middle, tail

    def rpartition(self, sep: str, /) -> tuple[str, str, str]:
        head, middle, tail = self._locate(list(str.rpartition(self, sep)), 0)
        return head, middle, tail

    def _locate(self, parts: Sequence[str], gap: int) -> list[str]:
        """The same parts, in order, cut from this string; `gap` characters lie between two (0: white space, or none)."""
        found: list[str] = []
        position = 0
        for part in parts:
            start = str.index(self, part, position)
            found.append(self.cut(start, start + len(part)))
            position = start + len(part) + gap
        return found

    # ── change ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _cased(self, change: Callable[[str], str]) -> str:
        """A change of case maps each character to one or more: aligned where the length stays, else done run by run."""
        text = change(self)
        if len(text) == len(self):
            return Traced(text, self._runs)
        return fit(text, [Traced(new := change(part), ((len(new), source),)) for part, source in self.pieces()], self)

    def upper(self) -> str:
        return self._cased(str.upper)

    def lower(self) -> str:
        return self._cased(str.lower)

    def title(self) -> str:
        return self._cased(str.title)

    def capitalize(self) -> str:
        return self._cased(str.capitalize)

    def swapcase(self) -> str:
        return self._cased(str.swapcase)

    def casefold(self) -> str:
        return self._cased(str.casefold)

    def center(self, width: SupportsIndex, fill: str = " ", /) -> str:
        return smear(str.center(self, width, fill), self, fill)

    def ljust(self, width: SupportsIndex, fill: str = " ", /) -> str:
        return smear(str.ljust(self, width, fill), self, fill)

    def rjust(self, width: SupportsIndex, fill: str = " ", /) -> str:
        return smear(str.rjust(self, width, fill), self, fill)

    def zfill(self, width: SupportsIndex, /) -> str:
        return smear(str.zfill(self, width), self)

    def expandtabs(self, tabsize: SupportsIndex = 8) -> str:
        return smear(str.expandtabs(self, tabsize), self)

    def translate(self, table: Any, /) -> str:
        return smear(str.translate(self, table), self, DATA)

    def __format__(self, spec: str) -> str:
        return self if not spec else smear(str.__format__(self, spec), self, spec)


def literal(text: str) -> Traced:
    """Text of the template's own."""
    return Traced(text, ((len(text), TEMPLATE),) if text else ())


def content(text: str, source: int) -> Traced:
    """Text of the message with index `source`, or `DATA`."""
    return Traced(text, ((len(text), source),) if text else ())


def traced(text: str) -> Traced:
    """The string itself, or marked as content if it carries no note."""
    return text if isinstance(text, Traced) else Traced(text)


def glue(parts: Iterable[str]) -> Traced:
    """Concatenation: `"".join` that keeps the notes."""
    items = list(parts)
    runs: list[Run] = []
    for item in items:
        for length, source in traced(item)._runs:
            if runs and runs[-1][1] == source:
                length += runs.pop()[0]
            runs.append((length, source))
    return Traced("".join(items), tuple(runs))


def fit(text: str, parts: Iterable[str], *origins: Any) -> Traced:
    """`text` with the notes of `parts`, if they spell exactly that; else smeared over from `origins`."""
    glued = glue(parts)
    return glued if str.__eq__(glued, text) else smear(text, *origins)


def smear(text: str, *origins: Any) -> Traced:
    """`text`, made in an untraceable way from `origins`: all template if they all are, else all content."""
    if isinstance(text, Traced):
        return text
    found = {source for origin in origins for source in sources(origin)} - {TEMPLATE}
    return content(text, max(found)) if found else literal(text)


def sources(value: Any) -> Iterator[int]:
    """Where the text within `value`, however deep, comes from. What is neither text nor a plain container counts as DATA."""
    if isinstance(value, Traced):
        yield from (source for _, source in value._runs)
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from sources(key)
            yield from sources(entry)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for entry in value:
            yield from sources(entry)
    elif value != "":
        yield DATA


# ── formatting ───────────────────────────────────────────────────────────────────────────────────────────────────────────


_CONVERSION = re.compile(r"%(?:\((\w*)\))?([#0\- +]*\d*(?:\.\d+)?)([a-zA-Z%])")


def _percent_parts(template: Traced, values: Any) -> list[str]:
    """What `template % values` is made of, as far as it can be told; `fit` checks that it is the truth."""
    queue = list(values) if isinstance(values, tuple) else [values]
    parts, end = [], 0
    for match in _CONVERSION.finditer(template):
        parts.append(template.cut(end, match.start()))
        end = match.end()
        name, flags, kind = match.groups()
        if kind == "%":
            parts.append(template.cut(end - 1, end))
            continue
        if name is not None and isinstance(values, Mapping) and name in values:
            value = values[name]
        elif queue:
            value = queue.pop(0)
        else:
            return []
        plain = kind == "s" and not flags
        parts.append(traced(str(value)) if plain else smear(str.__mod__(f"%{flags}{kind}", (value,)), value))
    return [*parts, template.cut(end, len(template))]


def braced(text: str, template: str, args: Sequence[Any], fields: Mapping[str, Any]) -> Traced:
    """`text`, the result of `template.format(*args, **fields)`, with notes where every field is a plain name or number."""
    parts: list[str] = []
    of_template = smear("-", template)._runs
    automatic, origins = iter(args), (template, args, list(fields.values()))
    for before, name, spec, conversion in Formatter().parse(template):
        parts.append(Traced(before, ((len(before), of_template[0][1]),) if before else ()))
        if name is None:
            continue
        if spec or conversion:
            return smear(text, *origins)
        value = next(automatic, "") if not name else args[int(name)] if name.isdecimal() else fields.get(name, "")
        parts.append(traced(format(value)))
    return fit(text, parts, *origins)
