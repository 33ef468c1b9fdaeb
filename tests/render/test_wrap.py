"""Where rows break."""

from __future__ import annotations

from random import Random

import pytest
from rich.cells import cell_len

from falcon_cli.render.wrap import clusters, fold, rows

FAMILY = "👩\u200d👩\u200d👧"
PIECES = [
    "a",
    "bb",
    "word",
    "longlonglong",
    " ",
    " ",
    "  ",
    "\n",
    "中",
    "文",
    "。",
    "「",
    "é",
    "e\u0301",
    FAMILY,
    "🇩🇪",
    "👍🏽",
    "❤\ufe0f",
]
PIECES += ["한국", "，", "ー", "\u3000", "x" * 15]


def lines(text: str, width: int) -> list[str]:
    return [text[start:end] for start, end in rows(text, width)]


def test_a_text_that_grows_keeps_its_rows_but_the_last() -> None:
    """And from the beginning of the last one it can be broken further. Nothing is lost, nothing is too wide."""
    for seed in range(4000):
        random = Random(seed)
        text = "".join(random.choice(PIECES) for _ in range(random.randint(1, 20)))
        width = random.choice([3, 4, 5, 7, 10, 14])
        whole = lines(text, width)
        known = text[: random.randint(0, len(text))]
        last = rows(known, width)[-1][0]
        assert lines(known, width)[:-1] + lines(text[last:], width) == whole, (seed, text)
        assert all(cell_len(line) <= width for line in whole)
        assert "".join(whole).replace(" ", "") == text.replace(" ", "").replace("\n", "")


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("one two three", 8, ["one two", "three"]),
        ("one two", 7, ["one two"]),
        ("", 5, [""]),
        ("a\n\nb", 5, ["a", "", "b"]),
        ("abcdefghijkl x", 5, ["abcde", "fghij", "kl x"]),
        ("ab abcdefgh", 5, ["ab", "abcde", "fgh"]),
        ("中文没有空格", 5, ["中文", "没有", "空格"]),
        ("ab 中文字", 5, ["ab 中", "文字"]),
        ("中文。字", 4, ["中", "文。", "字"]),  # no full stop at the beginning of a row
        ("字「文", 4, ["字", "「文"]),  # no opening bracket at the end of one
        (f"ab {FAMILY}{FAMILY}", 4, ["ab", FAMILY + FAMILY]),
        ("wide\u3000space", 20, ["wide\u3000space"]),
    ],
)
def test_rows_are_filled_from_left_to_right(text: str, width: int, expected: list[str]) -> None:
    assert lines(text, width) == expected


def test_characters_that_are_seen_as_one_stay_together() -> None:
    seen = ["a", "e\u0301", FAMILY, "🇩🇪", "🇫🇷", "👍🏽", "❤\ufe0f", "z"]
    assert list(clusters("".join(seen))) == seen
    assert fold(FAMILY * 3, 4) == [FAMILY * 2, FAMILY] or cell_len(FAMILY) > 2  # older versions of rich take it for wider
    assert fold("e\u0301" * 5, 2) == ["e\u0301" * 2, "e\u0301" * 2, "e\u0301"]
    assert fold("abcdef", 4) == ["abcd", "ef"] and fold("", 4) == [""]


def test_a_window_of_one_cell_ends_the_rows_nonetheless() -> None:
    assert lines("中文 ab", 1) == ["中", "文", "a", "b"]
