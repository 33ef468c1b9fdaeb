"""Inline text: what it means, and how much of it means the same whatever follows."""

from __future__ import annotations

from random import Random

import pytest
from rich.style import Style
from rich.text import Text

from falcon_cli.render.prose import boundary, closed, settled, styled

PIECES = [
    *("a", "b", "word", " ", " ", " ", "\n", "*", "**", "***", "_", "__", "`", "``", "~~", "~", "[", "]", "(", ")", "](", "!["),
    *(
        "<",
        ">",
        "http://x",
        "<http://a",
        "\\",
        '"',
        "'",
        "&amp;",
        "中",
        "文",
        "。",
        "!",
        "é",
        ".",
        "](u)",
        "[a](b)",
        "`c`",
        "**d**",
    ),
    *("](<", "(x *y)", "  \n", "\\\n"),
]


def signs(text: Text) -> list[tuple[str, Style]]:
    """Each character with its style."""
    found = [(sign, Style()) for sign in text.plain]
    for start, end, style in text.spans:
        assert isinstance(style, Style)
        found[start:end] = [(sign, before + style) for sign, before in found[start:end]]
    return found


def meaning(source: str) -> list[tuple[str, Style]]:
    return signs(styled(source, Style()))


def test_what_is_settled_means_the_same_whatever_follows() -> None:
    cuts = 0
    for seed in range(8000):
        random = Random(seed)
        source = "".join(random.choice(PIECES) for _ in range(random.randint(3, 25))).strip()
        known = random.randint(0, len(source))
        if cut := settled(source[:known], known):
            cuts += 1
            assert meaning(source[:cut]) + meaning(source[cut:]) == meaning(source), (seed, source, cut)
    assert cuts > 1000


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("plain words without an end", "plain words without an "),
        ("a **bold** word and *more", "a **bold** word and "),
        ("a `code span` here", "a `code span` "),
        ("never `closed again", "never "),
        ("2 * 3 is snake_case here", "2 * 3 is snake_case "),
        ("a [link](http://x and", "a [link](http://x "),  # it is none
        ('a [link](http://x "title and', "a "),
        ("a [link](http://x) and", "a [link](http://x) "),
        ("an array[0] of things", "an array[0] of "),
        ("中文没有空格", "中文没有空"),
        ("*a [b](u*y) c d", ""),  # the second star belongs to the address
        ("[a](x`y) *b z` c d", ""),  # and so does the first tick
        ("a\\* b\\` c", "a\\* b\\` "),
        ("oneword", ""),
        ("word ", ""),
    ],
)
def test_marks_hold_back_what_they_may_change(source: str, expected: str) -> None:
    assert source[: settled(source, len(source))] == expected
    assert settled(source, 0) == 0


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a **bol", "a **bol**"),
        ("a **bold *", "a **bold**"),
        ("some `co", "some `co`"),
        ("**bold `co", "**bold `co`**"),
        ("a **bold** word", "a **bold** word"),
        ("a star *", "a star"),
        ("5 *3 is", "5 *3 is"),
        ("", ""),
    ],
)
def test_what_still_grows_is_closed(source: str, expected: str) -> None:
    assert closed(source) == expected


def test_a_cut_is_before_a_word_and_never_within_a_character() -> None:
    words = "word " * 500
    assert boundary(words, 1203) == 1200
    family = "👩\u200d👩\u200d👧"
    assert boundary(family * 400, 1501) % len(family) == 0
    assert boundary("中" * 2000, 1501) == 1501
    assert boundary("x" * 3000, 1501) == 1501
    assert boundary("x" * 800, 500) == 0  # it was cut there already


def test_links_show_where_they_lead() -> None:
    assert styled("[good](http://evil.example/a_b)", Style()).plain == "good (http://evil.example/a_b)"
    assert styled("<http://same.example>", Style()).plain == "http://same.example"
    assert styled("[http://x.y](http://x.y)", Style()).plain == "http://x.y"
    assert styled("![a *picture*](p.png)", Style()).plain == "a picture (p.png)"
    assert styled("[text][1] and [1]", Style()).plain == "[text][1] and [1]"
    assert styled("[**b** `c`](u)", Style()).plain == "b c (u)"


def test_html_is_text() -> None:
    assert styled('<b>x</b> <a b="*c*"> <!-- d -->', Style()).plain == '<b>x</b> <a b="c"> <!-- d -->'


def test_what_markdown_it_decodes_is_made_visible_before_it_is_measured() -> None:
    text = styled("<http://x/%1b> &#x202e; [\x1b](u%1b) `\x9b` ![\x07](s)", Style()).plain
    assert text == "http://x/␛ \\u202e ␛ (u%1b) \\x9b ␇ (s)"


def test_styles_add_up() -> None:
    found = dict(meaning("a**b*c*`d`**~~e~~"))
    assert found["a"] == Style() and found["b"] == Style(bold=True) and found["c"] == Style(bold=True, italic=True)
    assert found["d"] == Style(bold=True, color="cyan") and found["e"] == Style(strike=True)
    assert all(style.dim for _, style in signs(styled("a **b** `c` [d](e)", Style(dim=True))))


def test_markup_of_rich_and_emoji_codes_are_text() -> None:
    source = "[bold]x[/bold] [/b] :smile: [link=http://x]y[/link]"
    assert styled(source, Style()).plain == source


def test_lines_stay_lines() -> None:
    assert styled("roses are red\nviolets are blue  \nsugar\\\nend", Style()).plain.split("\n") == [
        "roses are red",
        "violets are blue",
        "sugar",
        "end",
    ]
