"""Text with emphasis, code and links: from its source to styled text, and how much of a source is settled.

    source ─▶ markdown-it ─▶ tokens ─▶ `styled`: text of rich
       └────▶ `settled`: up to where nothing that follows can change what it means

Foreign text goes through `visible` behind markdown-it, too: the `%1b` of a link becomes an escape only there. Links are shown
with their addresses, so that it can be read where they lead. References ("[text][1]") stay as they are written: what they refer
to stands at the end of an answer, when they have long been printed. Line ends are kept, as chats do: a model means them.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text

from falcon_cli.render.wrap import WIDE, clusters
from falcon_cli.terminal import visible

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

SPAN = 4000  # characters: emphasis, code and links do not reach across a multiple of this in their paragraph
_WINDOW = 1000  # how far before it the text may be cut

_STYLES = {"em": Style(italic=True), "strong": Style(bold=True), "s": Style(strike=True), "a": Style(underline=True)}
_CODE, _ADDRESS = Style(color="cyan"), Style(color="blue")

_BREAK = re.compile(rf"(?<=[ \n])(?=[^ \n])|(?<=[{WIDE}])(?=[{WIDE}])")
_MARKS = re.compile(rf"\\.|`+|\*+|_+|~~+|!?\[|\]|<|[ \n]+(?=[^ \n])|(?<=[{WIDE}])(?=[{WIDE}])", re.DOTALL)
_ANGLE = re.compile(r"<[^<>\s]*\n?")  # markdown-it allows for a line end before the ">"
_SPACE = re.compile(r"\s*")


def styled(source: str, style: Style) -> Text:
    """The text that `source` means, on top of `style`."""
    text = Text()
    stack = [style]
    address, start = "", 0
    for token in _parser().parseInline(source)[0].children or ():
        if token.type == "code_inline":
            text.append(visible(token.content), stack[-1] + _CODE)
        elif token.type in ("softbreak", "hardbreak"):
            text.append("\n")
        elif token.type == "image":
            words = "".join(part.content for part in token.children or ())
            _append_link(text, visible(words), visible(str(token.attrs["src"])), stack[-1])
        elif token.nesting > 0:
            if token.tag == "a":
                address, start = visible(str(token.attrs["href"])), len(text)
            stack.append(stack[-1] + _STYLES[token.tag])
        elif token.nesting < 0:
            stack.pop()
            if token.tag == "a" and token.info != "auto":
                _append_link(text, "", address if address != text.plain[start:] else "", stack[-1])
        else:
            text.append(visible(token.content), stack[-1])
    return text


def _append_link(text: Text, words: str, address: str, style: Style) -> None:
    text.append(words, style + _STYLES["a"])
    if address:
        text.append(" ", style)
        text.append(f"({address})", style + _ADDRESS)


def settled(source: str, limit: int) -> int:
    """The longest beginning, up to `limit`, that means the same whatever stands behind it; and so does what stands behind it.

    It ends before a word, or between two signs of a script without spaces.
    """
    return _Scan(source, limit).settled


def closed(source: str) -> str:
    """The source of a text that still grows, as it will probably go on: bold text and code that are open at its end are closed.

    A mark at the very end is left out; what it does depends on what follows.
    """
    source = source.rstrip().rstrip("*_~`").rstrip()
    return source + "".join(mark for mark in reversed(_Scan(source, 0).open) if mark in ("**", "`"))


def boundary(source: str, limit: int) -> int:
    """The last place up to `limit` where the text can be cut, whatever becomes of the marks. More must stand behind it."""
    first = max(0, limit - _WINDOW)
    if found := [match.start() for match in _BREAK.finditer(source, first, limit + 1)]:
        return found[-1]
    if first == 0:
        return 0  # it has been cut within the window
    *_, last = clusters(source[limit - _WINDOW // 10 : limit + 1])
    return limit + 1 - len(last)


class _Scan:
    """One pass over the marks of a source: how much is `settled`, and which marks are `open` at its end.

    What could open something must be closed by its equal before anything behind it is settled. markdown-it finds other pairs,
    too: where there may be one, the pass ends. In an address (up to `_region`) a mark may be a mark or a mere character.
    """

    def __init__(self, source: str, limit: int) -> None:
        from markdown_it.rules_inline import StateInline

        self.settled = 0
        self.open: list[str] = []
        self._source = source
        self._state = StateInline(source, _parser(), {}, [])
        self._region = 0
        place: int | None = 0
        while place is not None and (match := _MARKS.search(source, place)):
            place = max(match.end(), match.start() + 1)
            if match[0].strip(" \n"):
                place = self._mark(match[0], match.start(), place)
            elif not self.open and match.start() >= self._region and match.end() <= limit:
                self.settled = match.end()

    def _mark(self, mark: str, start: int, end: int) -> int | None:
        """Where to go on behind a mark; None if nothing behind it can be told."""
        address = start < self._region
        if mark[0] == "`":
            return self._code(mark, end) if not address else None
        if mark[0] in "*_~":
            return end if self._emphasis(mark, start, address) else None
        if mark[-1] == "[":
            self.open.append("[")
        elif mark == "]" and not address:
            return self._bracket(end)
        elif mark == "<":
            return self._angle(start, end)
        return end

    def _code(self, mark: str, place: int) -> int | None:
        end = re.compile(rf"(?<!`){mark}(?!`)").search(self._source, place)
        if end is None:
            self.open.append(mark)
        return end and end.end()

    def _emphasis(self, mark: str, start: int, address: bool) -> bool:
        """Whether it is clear what the mark does."""
        scanned = self._state.scanDelims(start, mark[0] != "_")
        if scanned.can_close and any(mark[0] == other[0] for other in self.open):
            if address or self.open[-1] != mark:
                return False
            self.open.pop()
        elif scanned.can_open:
            self.open.append(mark)
        return True

    def _bracket(self, place: int) -> int | None:
        if not self.open or self.open[-1] != "[":
            return place
        self.open.pop()
        if self._source.startswith("(", place):
            if (end := _end_of_address(self._source, place + 1)) is None:
                self.open.append("(")
                return None
            self._region = end
        return place

    def _angle(self, start: int, place: int) -> int | None:
        angle = _ANGLE.match(self._source, start)
        end = angle.end() if angle else place
        if end == len(self._source):
            return None
        if self._source[end] == ">":
            self._region = max(self._region, end)
        return place


def _end_of_address(source: str, place: int) -> int | None:
    """Where the address of a link ends that begins at `place`; `place` itself if it is none; None if it may still go on."""
    from markdown_it.helpers import parseLinkDestination, parseLinkTitle

    size = len(source)
    address = parseLinkDestination(source, _skip(source, place), size)
    end = _skip(source, address.pos)
    if not address.ok or end == size:
        return None
    if source[end] in "\"'(":
        title = parseLinkTitle(source, end, size)
        end = _skip(source, title.pos)
        if not title.ok or end == size:
            return None
    return end + 1 if source[end] == ")" else place


def _skip(source: str, place: int) -> int:
    space = _SPACE.match(source, place)
    return space.end() if space else place


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("strikethrough")
