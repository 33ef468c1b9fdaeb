"""Markdown's blocks, told apart line by line while the text is still coming.

markdown-it wants the whole document, so that every draw of a growing answer would cost as much as the answer is long. The block
structure of CommonMark needs no such thing: its own algorithm goes from line to line, and all that a line can touch is the
innermost open block.

    text ─▶ lines ─▶ boxes that go on? ─▶ new boxes? ─▶ leaf ─▶ done
                     (quotes, items)      > - 1.        paragraph, heading, code, table, rule

A `Leaf` is a block without blocks in it. It holds its source without the marks of the boxes around it, and knows the marks that
stand before its rows. What is in `done` never changes again; only the `open` leaf may grow. Both depend on the lines alone and
not on the parts that they came in. To that end a line that is too long to wait for is known by its beginning, and a paragraph
that is too long for a heading is none. HTML and link definitions are text: everything that the model says is shown.
"""

from __future__ import annotations

import re
from copy import copy
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal, NamedTuple

from falcon_cli.render import table

LONG_LINE, LONG_TABLE_LINE = 500, 4000  # characters after which a line is no longer waited for
LONG_HEADING = 400  # characters after which a paragraph can no longer become a heading by an underline
BAR, BULLET = "▌ ", " • "

_QUOTE = re.compile(r" {0,3}> ?")
_ITEM = re.compile(r"(?P<indent> {0,3})(?P<mark>[-+*]|(?P<number>\d{1,9})[.)])(?P<gap> +|$)")
_HEADING = re.compile(r" {0,3}(?P<level>#{1,6})(?: +|$)(?P<text>.*)")
_HEADING_TAIL = re.compile(r"(?:^|(?<= ))#+ *$")
_FENCE = re.compile(r"(?P<indent> {0,3})(?P<fence>`{3,}(?=[^`]*$)|~{3,})")
_UNDERLINE = re.compile(r" {0,3}(?:(?P<first>=+)|-+) *$")
_RULE = re.compile(r" {0,3}([-*_])(?: *\1){2,} *$")
_MARKS_ONLY = re.compile(r"[\s>#*+=_~`|:.)\d-]*$")

Kind = Literal["paragraph", "heading", "code", "table", "rule"]


@dataclass(slots=True)
class Leaf:
    """A block of text: its source, and what stands before its rows.

    `text` is the source that nobody has used yet: whoever can show its beginning for good takes it, which is counted in `used`.
    """

    kind: Kind
    serial: int
    lead: str  # before its first row
    indent: str  # before the others
    gap: str | None  # the empty row above it, if there is one
    text: str = ""
    level: int = 0  # of a heading
    used: int = 0
    last_line: int = 0  # where the last line begins, counted with what was used
    whole: bool = True  # the last line has ended

    @property
    def size(self) -> int:
        """How long the source is, used or not."""
        return self.used + len(self.text)

    @property
    def waits(self) -> bool:
        """Whether the last line may yet turn out to be the head of a table."""
        return self.kind == "paragraph" and self.whole and "|" in self.text[max(0, self.last_line - self.used) :]

    def take(self, length: int) -> str:
        """Use up the beginning of the source."""
        taken, self.text = self.text[:length], self.text[length:]
        self.used += length
        return taken

    def add_line(self, text: str, whole: bool) -> None:
        """A further line of a paragraph or table."""
        self.last_line, self.whole = self.size + 1, whole
        self.text += "\n" + text


class _Series(NamedTuple):
    """A list: its items have the same sign and count up."""

    sign: str
    number: int
    serial: int


@dataclass(slots=True)
class _Box:
    """A block that holds blocks: a quote, or an item of a list."""

    serial: int  # an item has that of its series as its `root`
    root: int
    mark: str = BAR
    indent: int = 0  # how far the content of an item stands to the right
    shown: bool = True  # the mark of an item is shown once
    filled: bool = False

    @property
    def quote(self) -> bool:
        return self.indent == 0

    @property
    def margin(self) -> str:
        return self.mark if self.quote else " " * len(self.mark)


class Blocks:
    """The blocks of one document. `take` its text, collect what is `done`; `open` may still change. `end` closes all.

    `follows` says that something stands above the document.
    """

    def __init__(self, *, follows: bool = False) -> None:
        self.done: list[Leaf] = []
        self.open: Leaf | None = None
        self._partial = ""  # the last line, while it has no end
        self._running = False  # its beginning has been taken for a line already
        self._path: list[_Box] = []
        self._series: list[_Series | None] = [None]  # at each depth, the list that an item would go on
        self._fence: tuple[str, int, int] | None = None  # sign, length and indent of the open fence
        self._held = 0  # empty lines that only belong to indented code if more of it follows
        self._blank = False  # since the last leaf
        self._roots: tuple[int, ...] | None = (-1,) if follows else None  # the serials around the last leaf
        self._serials = count()

    def take(self, text: str) -> None:
        """The next part of the document."""
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._begin(line)
            self._running = False
            if self.open is not None and self.open.kind == "code" and not self.open.whole:
                self.open.text, self.open.whole = self.open.text + "\n", True
        if self._running or len(self._partial) > _patience(self._partial):
            self._begin(self._partial, ended=False)
            self._partial, self._running = "", True

    def end(self) -> None:
        """There is no more: everything is done."""
        if self._partial:
            self.take("\n")
        self._leave(0)

    def preview(self) -> list[Leaf]:
        """The leaves that there would be if the document ended here, from the open one on. Nothing is changed by it.

        A last line of nothing but marks is left out: what it will mean shows with the next character.
        """
        ahead = copy(self)
        ahead.done = []
        ahead.open = self.open and replace(self.open)
        ahead._path = [replace(box) for box in self._path]
        ahead._series = [*self._series]
        if _MARKS_ONLY.match(self._partial):
            ahead._partial = ""
        ahead.end()
        return ahead.done

    # ---- lines ----

    def _begin(self, text: str, *, ended: bool = True) -> None:
        """A line, or its first part, or a further part of it."""
        length = _patience(text)
        if self._running:
            self._go_on(text)
        elif ended and len(text) <= length:
            self._line(text.expandtabs(4))
        else:
            self._line(text[:length].expandtabs(4), whole=False)
            self._go_on(text[length:])

    def _go_on(self, text: str) -> None:
        """More of a long line: text of the leaf that its beginning belongs to."""
        text = text.replace("\t", "    ")
        if self.open is not None:
            self.open.text += text
        elif text := text.lstrip(" "):
            self._start(len(self._path), "paragraph", text, whole=False)

    def _line(self, text: str, whole: bool = True) -> None:
        if self.open is not None and self.open.kind == "heading":
            self._close()
        depth, text = self._descend(text)
        inside = depth == len(self._path)
        if inside and (self._code(text, whole) or (whole and self._convert(text))):
            return
        while text.strip(" "):
            if text.startswith("    "):
                if self._paragraph is not None:
                    break  # it goes on, however far the line is indented
                self._start(depth, "code", text[4:], whole)
                return
            if self._starts_leaf(depth, text, whole):
                return
            if (rest := self._enter(depth, text, interrupts=inside and self._paragraph is not None)) is None:
                break
            if not rest:
                return
            depth, text = len(self._path), rest
        self._text(depth, text, whole)

    def _text(self, depth: int, text: str, whole: bool) -> None:
        """A line that begins no block: it is empty, goes on a paragraph or table, or begins a paragraph."""
        if not (text := text.lstrip(" ")):
            self._leave(depth)
            self._blank = True
        elif self._paragraph is not None:  # also where the boxes around it do not go on
            self._paragraph.add_line(text, whole)
        elif self.open is not None and depth == len(self._path):
            self.open.add_line(text, whole)
        else:
            self._start(depth, "paragraph", text, whole)

    def _code(self, text: str, whole: bool) -> bool:
        """Whether the line belongs to the open code block."""
        if self.open is None or self.open.kind != "code":
            return False
        if self._fence is not None:
            sign, length, indent = self._fence
            bare = text.strip(" ")
            if whole and len(bare) >= length and not bare.strip(sign) and not text.startswith("    "):
                self._close()
                return True
            text = text[min(indent, len(text) - len(text.lstrip(" "))) :]
        elif text.startswith("    ") and text.strip(" "):
            text = "\n" * self._held + text[4:]
            self._held = 0
        elif not text.strip(" "):
            self._held += 1
            return True
        else:
            self._close()
            return False
        self.open.text += text + "\n" * whole
        self.open.whole = whole
        return True

    def _convert(self, text: str) -> bool:
        """Whether the line makes a table of the last line of the open paragraph, or a heading of it all."""
        if (leaf := self._paragraph) is None:
            return False
        if leaf.waits and table.begins(head := leaf.text[leaf.last_line - leaf.used :], text):
            if leaf.last_line:
                leaf.text = leaf.text[: leaf.last_line - leaf.used - 1]
                leaf = self._start(len(self._path), "table", "", whole=True)
            leaf.kind, leaf.text = "table", f"{head}\n{text}"
            return True
        if (underline := _UNDERLINE.match(text)) is None or leaf.size > LONG_HEADING:
            return False
        leaf.kind, leaf.level = "heading", 1 if underline["first"] else 2
        self._close()
        return True

    # ---- boxes ----

    def _descend(self, text: str) -> tuple[int, str]:
        """How many of the open boxes go on with this line, and the line without their marks."""
        for depth, box in enumerate(self._path):
            if box.quote:
                if (mark := _QUOTE.match(text)) is None:
                    return depth, text
                text = text[mark.end() :]
            elif not text.strip(" "):
                if not box.filled:  # an item may begin with one empty line, not with two
                    return depth, text
                text = text[box.indent :]
            elif text.startswith(" " * box.indent):
                text = text[box.indent :]
            else:
                return depth, text
        return len(self._path), text

    def _enter(self, depth: int, text: str, interrupts: bool) -> str | None:
        """Open the quote or item that the line begins with: the line without its mark. None if it begins with neither."""
        if quote := _QUOTE.match(text):
            self._leave(depth)
            self._fill()
            self._series[depth] = None
            self._push(_Box(serial := next(self._serials), serial))
            return text[quote.end() :]
        item = _ITEM.match(text)
        if item is None:
            return None
        rest = text[item.end() :]
        if interrupts and (not rest or item["number"] not in (None, *_ONES)):
            return None  # in the middle of a paragraph, "1986." at the beginning of a line is a year
        self._leave(depth)
        self._fill()
        gap = len(item["gap"])
        if not rest or gap > 4:
            rest, gap = " " * (gap - 1) + rest, 1
        before, sign = self._series[depth], item["mark"][-1]
        if before is None or before.sign != sign:
            before = _Series(sign, int(item["number"] or 0) - 1, next(self._serials))
        series = self._series[depth] = before._replace(number=before.number + 1)
        mark = BULLET if item["number"] is None else f"{series.number}{sign}".rjust(3) + " "
        indent = item.end("mark") + gap
        self._push(_Box(next(self._serials), series.serial, mark, indent, shown=False))
        return rest if rest.strip(" ") else ""

    def _push(self, box: _Box) -> None:
        self._path.append(box)
        self._series.append(None)

    def _fill(self) -> None:
        for box in self._path:
            box.filled = True

    def _leave(self, depth: int) -> None:
        """Close the open leaf, and the boxes from `depth` on. An item in which there was nothing is shown nonetheless."""
        self._close()
        if not all(box.shown for box in self._path[depth:]):
            self._add("paragraph")
            self._close()
        del self._path[depth:], self._series[depth + 1 :]

    # ---- leaves ----

    @property
    def _paragraph(self) -> Leaf | None:
        """The open leaf, if it is a paragraph."""
        return self.open if self.open is not None and self.open.kind == "paragraph" else None

    def _starts_leaf(self, depth: int, text: str, whole: bool) -> bool:
        """Whether the line is a rule or a heading, or opens a fence."""
        if heading := _HEADING.match(text):
            leaf = self._start(depth, "heading", _HEADING_TAIL.sub("", heading["text"]).strip(" "), whole)
            leaf.level = len(heading["level"])
        elif whole and _RULE.match(text):
            self._start(depth, "rule", "", whole)
            self._close()
        elif whole and (fence := _FENCE.match(text)):
            self._start(depth, "code", "", whole)
            self._fence = fence["fence"][0], len(fence["fence"]), len(fence["indent"])
        else:
            return False
        return True

    def _start(self, depth: int, kind: Kind, text: str, whole: bool) -> Leaf:
        """Begin a leaf with this line, in place of whatever is open at this depth."""
        self._leave(depth)
        leaf = self._add(kind)
        leaf.text, leaf.whole = text, whole
        if kind == "code" and text:
            leaf.text += "\n" * whole
        return leaf

    def _add(self, kind: Kind) -> Leaf:
        self._close()
        self._fill()
        self._series[len(self._path)] = None
        lead = "".join(box.margin if box.shown else box.mark for box in self._path)
        margins = [box.margin for box in self._path]
        serial = next(self._serials)
        roots = (self._path[0].root if self._path else serial, *(box.serial for box in self._path))
        self.open = Leaf(kind, serial, lead, "".join(margins), self._gap(roots, margins))
        self._roots, self._blank = roots, False
        for box in self._path:
            box.shown = True
        return self.open

    def _gap(self, roots: tuple[int, ...], margins: list[str]) -> str | None:
        """The empty row above a leaf: between blocks always, within a list or quote where the source has one, too."""
        if self._roots is None or (self._roots[0] == roots[0] and not self._blank):
            return None
        shared = 0
        for old, new in zip(self._roots[1:], roots[1:], strict=False):
            if old != new:
                break
            shared += 1
        return "".join(margins[:shared]).rstrip(" ")

    def _close(self) -> None:
        if self.open is not None:
            self.done.append(self.open)
        self.open, self._fence, self._held = None, None, 0


_ONES = [f"{1:0{width}}" for width in range(1, 10)]  # 1, 01, 001, …


def _patience(line: str) -> int:
    """How many characters of a line are waited for before it is known by its beginning."""
    return LONG_TABLE_LINE if "|" in line[:LONG_LINE] else LONG_LINE
