"""A table of a Markdown document.

The widths of its columns depend on every row, so that a table is shown whole once it has ended; while it grows, only its head
and its last rows are looked at. Where the screen is too narrow for columns, each row becomes a list of "heading: cell".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from rich import box
from rich.style import Style
from rich.table import Table
from rich.text import Text

from falcon_cli.render.prose import styled

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from rich.console import JustifyMethod

NARROWEST = 6  # cells that a column can be squeezed into
_BETWEEN = 2  # cells between two columns
_BOLD = Style(bold=True)
_DELIMITER = re.compile(r" {0,3}[|:-][|: -]+$")


def begins(head: str, delimiter: str) -> bool:
    """Whether the two lines are the beginning of a table."""
    if not _DELIMITER.match(delimiter):
        return False
    return any(token.type == "table_open" for token in _parser().parse(f"{head}\n{delimiter}"))


def shortened(source: str, rows: int) -> str:
    """The table with its head and its last rows only."""
    lines = source.split("\n")
    return "\n".join(lines[:2] + lines[2:][-rows:])


def cells(source: str, style: Style) -> tuple[list[Text], list[list[Text]]]:
    """The headings, and the cells of each row, on top of `style`."""
    rows: list[list[Text]] = []
    justify: JustifyMethod = "left"
    heading = False
    for token in _parser().parse(source):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            justify, heading = _justify(token), token.type == "th_open"
        elif token.type == "inline":
            text = styled(token.content, style + _BOLD if heading else style)
            text.justify = justify
            rows[-1].append(text)
    return rows[0], rows[1:]


def fits(head: list[Text], body: list[list[Text]], width: int) -> bool:
    """Whether the columns can stand side by side."""
    columns = zip(head, *body, strict=True)
    needed: int = sum(min(NARROWEST, max(text.cell_len for text in column)) for column in columns)
    return needed + _BETWEEN * (len(head) - 1) <= width


def columns(head: list[Text], body: list[list[Text]]) -> Table:
    """The table, as rich draws it."""
    drawn = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, collapse_padding=True, border_style="dim")
    for text in head:
        drawn.add_column(text, justify=text.justify or "left", overflow="fold")
    for row in body:
        drawn.add_row(*row)
    return drawn


def records(head: list[Text], body: list[list[Text]]) -> Iterator[Text]:
    """The table as lines of "heading: cell", with an empty one between two rows."""
    for number, row in enumerate(body or [[Text() for _ in head]]):
        if number:
            yield Text()
        for heading, cell in zip(head, row, strict=True):
            yield Text.assemble(heading, ": ", cell)


def _justify(token: Token) -> JustifyMethod:
    style = str(token.attrs.get("style", ""))
    return "right" if style.endswith("right") else "center" if style.endswith("center") else "left"


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("zero").enable(["table"])
