"""Tables: columns where there is room for them, and never a cell cut short."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from falcon_cli.render import table

Shown = Callable[..., Any]


def test_columns_stand_side_by_side_as_long_as_they_can(shown: Shown) -> None:
    source = "| a | count |\n|:-:|---:|\n| **x** | 1 |\n| long words here | 22 |\n"
    wide, narrow = shown([source], 40, 20).texts(), shown([source], 18, 20).texts()
    assert [row.split() for row in wide] == [["a", "count"], ["─" * 22], ["x", "1"], ["long", "words", "here", "22"]]
    assert {len(row) for row in wide} == {22}  # the right column ends where it should
    assert wide[0].index("a") == wide[2].index("x") == 7  # and the left one is centred
    assert [row.split() for row in narrow[3:]] == [["long", "words", "22"], ["here"]]


def test_where_there_is_no_room_each_row_is_a_list(shown: Shown) -> None:
    source = "| one | two | three |\n|---|---|---|\n| alpha beta | gamma | `delta` |\n| 1 | | 3 |\n"
    lines = ["one: alpha", "beta", "two: gamma", "three: delta", "", "one: 1", "two:", "three: 3"]
    assert shown([source], 12, 20).texts() == lines
    assert shown(["- item\n\n  | a | b | c |\n  |---|---|---|\n"], 8, 9).texts() == [" • item", "", "   a:", "   b:", "   c:"]


@pytest.mark.parametrize("width", [9, 14, 20, 27, 40, 80])
def test_no_character_of_a_cell_is_lost(width: int, shown: Shown, corpus: ModuleType) -> None:
    cells = ["supercalifragilistic", "中文没有空格", "a b c d", "x" * 50, "一", ""]
    source = "| h1 | h2 | h3 |\n|---|---|---|\n" + "".join(f"| {cell} | {cell} | {cell} |\n" for cell in cells)
    text = "".join(shown([source], width, 50).texts())
    for sign in "sucfx中文没有空格一":
        assert text.count(sign) >= 3 * sum(cell.count(sign) for cell in cells)


@pytest.mark.parametrize(
    ("head", "delimiter", "expected"),
    [
        ("a | b", "--- | ---", True),
        ("|a|", "|-|", True),
        ("|a|", ":-:", True),
        ("a | b", "---", False),
        ("a", "---", False),
        ("a | b", "- | -", False),  # an item
        ("a | b", "|--|--|--|", False),
        ("a \\| b", "|---|---|", False),
        ("a | b", "text", False),
    ],
)
def test_a_table_begins_with_a_head_and_as_many_delimiters(head: str, delimiter: str, expected: bool) -> None:
    assert table.begins(head, delimiter) is expected


def test_only_the_last_rows_of_a_growing_table_are_looked_at() -> None:
    assert table.shortened("h\n-\n1\n2\n3", 2) == "h\n-\n2\n3"
    assert table.shortened("h\n-", 2) == "h\n-"
