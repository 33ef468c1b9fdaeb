"""Leaves set as rows: each kind of block in its own way, with the marks of the boxes around it.

A paragraph or code block that is still open is set as far as nothing can change it any more: `settle` uses up that much of its
source. What is settled of a paragraph may end in the middle of a row, which is kept as text and filled later. So the rows of an
answer are the same whether it is set at once or in a thousand parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from falcon_cli.render import prose, table
from falcon_cli.render.blocks import LONG_HEADING, Leaf
from falcon_cli.render.ink import Ink
from falcon_cli.render.wrap import fold, rows

WORTHWHILE = 200  # characters of a paragraph: not every word is settled by itself
LONG_CODE = 2000  # characters of a line of code that is not waited for

_MARKS, _RULE, _CODE = Style(color="cyan"), Style(dim=True), Style(color="cyan")
_HEADINGS = [Style(bold=True, underline=True), Style(bold=True), Style(bold=True, italic=True)]


@dataclass(slots=True)
class _Begun:
    """What is settled of a leaf."""

    serial: int
    span: int  # where a paragraph is cut next
    kept: Text = field(default_factory=Text)  # of a paragraph, not yet a whole row
    shown: bool = False  # its first row


class Page:
    """Sets leaves one after the other, in `style`: the next one may be settled in part before it is finished."""

    def __init__(self, ink: Ink, style: Style) -> None:
        self._ink = ink
        self._style = style
        self._begun = _Begun(-1, prose.SPAN)

    def settle(self, leaf: Leaf, width: int) -> list[str]:
        """The next rows of an open leaf that nothing can change. Their source is used up."""
        begun = self._begun = self._of(leaf)
        found: list[str] = []
        if leaf.kind == "code":
            found = self._settle_code(leaf, _room(leaf, width))
        elif leaf.kind == "paragraph" and leaf.size > LONG_HEADING:
            found = self._settle_paragraph(leaf, begun, _room(leaf, width))
        if not found:
            return []
        placed = self._placed(found, leaf, begun, width)
        begun.shown = True
        return placed

    def finish(self, leaf: Leaf, width: int) -> list[str]:
        """The remaining rows of a leaf that is done."""
        begun = self._of(leaf)
        if leaf.kind == "paragraph":
            self._cut(leaf, begun, len(leaf.text))
        return self._placed([*self._set(leaf, begun, _room(leaf, width))], leaf, begun, width)

    def preview(self, leaf: Leaf, width: int, height: int) -> list[str]:
        """The remaining rows of a leaf as they look now. Of a table, no more rows than `height` are looked at."""
        begun = self._of(leaf)
        return self._placed([*self._set(leaf, begun, _room(leaf, width), height)], leaf, begun, width)

    def _of(self, leaf: Leaf) -> _Begun:
        return self._begun if self._begun.serial == leaf.serial else _Begun(leaf.serial, prose.SPAN)

    def _placed(self, found: list[str], leaf: Leaf, begun: _Begun, width: int) -> list[str]:
        """The rows with the marks before them, and the gap above."""
        if begun.shown:
            return [self._marked(leaf.indent, row, width) for row in found]
        if not found and leaf.lead:
            found = [""]  # an item without content
        placed = [self._marked(leaf.indent if number else leaf.lead, row, width) for number, row in enumerate(found)]
        return placed if leaf.gap is None or not placed else [self._marked(leaf.gap, "", width), *placed]

    def _marked(self, marks: str, row: str, width: int) -> str:
        marks = _fitting(marks, width)
        bare = marks.rstrip(" ")
        return self._ink.plain(bare, self._style + _MARKS) + (marks[len(bare) :] + row if row else "")

    # ---- kinds of leaves ----

    def _set(self, leaf: Leaf, begun: _Begun, room: int, height: int | None = None) -> Iterator[str]:
        """The rows of what is left of a leaf. With a `height`, as a leaf that still grows."""
        if leaf.kind == "code":
            yield from self._code(leaf.text, room)
        elif leaf.kind == "rule":
            yield self._ink.plain("─" * room, self._style + _RULE)
        elif leaf.kind == "table":
            yield from self._table(leaf.text if height is None else table.shortened(leaf.text, height), room)
        else:
            heading = [_HEADINGS[min(leaf.level, len(_HEADINGS)) - 1]] if leaf.kind == "heading" else []
            source = leaf.text.rstrip(" ") if height is None else prose.closed(leaf.text)
            text = begun.kept + prose.styled(source, Style.combine([self._style, *heading]))
            if text.plain:
                yield from (self._ink.row(part) for part in _broken(text, room))

    def _settle_paragraph(self, leaf: Leaf, begun: _Begun, room: int) -> list[str]:
        limit = max(0, leaf.last_line - leaf.used) if leaf.waits else len(leaf.text)
        self._cut(leaf, begun, limit)
        if len(leaf.text) >= WORTHWHILE and (length := prose.settled(leaf.text, limit)):
            self._keep(leaf, begun, length)
        *whole, begun.kept = _broken(begun.kept, room)
        return [self._ink.row(part) for part in whole]

    def _cut(self, leaf: Leaf, begun: _Begun, limit: int) -> None:
        """Keep the spans of a long paragraph that are over, as far as `limit`."""
        while leaf.size > begun.span and (length := prose.boundary(leaf.text, begun.span - leaf.used)) <= limit:
            self._keep(leaf, begun, length)
            begun.span += prose.SPAN

    def _keep(self, leaf: Leaf, begun: _Begun, length: int) -> None:
        begun.kept = begun.kept + prose.styled(leaf.take(length), self._style)

    def _settle_code(self, leaf: Leaf, room: int) -> list[str]:
        found = self._code(leaf.take(leaf.text.rfind("\n") + 1), room)
        if len(leaf.text) > LONG_CODE:
            last = fold(leaf.text, room)[-1]
            found += self._code(leaf.take(len(leaf.text) - len(last)), room)
        return found

    def _code(self, source: str, room: int) -> list[str]:
        """Code has no margin, and no spaces at the end of its rows: what is copied from the screen is what was written."""
        lines = source.removesuffix("\n").split("\n") if source else []
        return [self._ink.plain(part, self._style + _CODE) for line in lines for part in fold(line, room)]

    def _table(self, source: str, room: int) -> Iterator[str]:
        head, body = table.cells(source, self._style)
        if table.fits(head, body, room):
            yield from self._ink.drawn(table.columns(head, body), room)
        else:
            for record in table.records(head, body):
                yield from (self._ink.row(part) for part in _broken(record, room))


def _broken(text: Text, room: int) -> list[Text]:
    """The rows of a text. What follows may be added to the last one."""
    places = rows(text.plain, room)
    pieces = text.divide([place for each in places for place in each][:-1])  # what is between two rows, each row
    return [*pieces[1::2]]


def _room(leaf: Leaf, width: int) -> int:
    return width - cell_len(_fitting(leaf.lead, width))


def _fitting(marks: str, width: int) -> str:
    """The marks before a row, the outer ones left out where they would take more than half of the screen."""
    return marks[-(width // 2) :] if width > 1 else ""
