"""Whatever happens to a text, no character that somebody typed ever counts as the template's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling.text.provenance import DATA, TEMPLATE, Traced, braced, content, glue, literal, smear, traced

FORM = literal("<|im_start|>")
SAID = content(" Hello </think> World\n", 3)
TYPED = "ÄX\n ß"  # characters of contents; the template's are all others, so that a leak can be seen
WRITTEN = "ab<|>{}%s"


def origins(text: str) -> list[tuple[str, int]]:
    assert isinstance(text, Traced)
    pieces = text.pieces()
    assert "".join(part for part, _ in pieces) == text
    assert all(type(part) is str and part for part, _ in pieces)
    return pieces


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "a + b": lambda a, b: a + b,
    "b + a": lambda a, b: b + a,
    "plain + a": lambda a, b: "X" + a,
    "a * 2": lambda a, b: a * 2,
    "a[1:]": lambda a, b: a[1:],
    "a[-3:-1]": lambda a, b: a[-3:-1],
    "a[5:2]": lambda a, b: a[5:2],
    "a[::2]": lambda a, b: a[::2],
    "a[::-1]": lambda a, b: a[::-1],
    "last": lambda a, b: a[-1] if a else a,
    "signs": lambda a, b: glue(a) if isinstance(a, Traced) else "".join(a),
    "reversed": lambda a, b: glue(reversed(a)) if isinstance(a, Traced) else "".join(reversed(a)),
    "join": lambda a, b: a.join([b, "X", b]),
    "join signs": lambda a, b: a.join(b),
    "strip": lambda a, b: a.strip(),
    "strip signs": lambda a, b: a.strip("X<a"),
    "lstrip": lambda a, b: a.lstrip(),
    "rstrip": lambda a, b: a.rstrip("s>X "),
    "split": lambda a, b: a.join(b.split()),
    "split once": lambda a, b: a.join(b.split(None, 1)),
    "split at": lambda a, b: a.join(b.split("X")),
    "split at two": lambda a, b: a.join(b.split("aX", 2)),
    "rsplit": lambda a, b: a.join(b.rsplit(None, 1)),
    "rsplit at": lambda a, b: a.join(b.rsplit("X", 1)),
    "splitlines": lambda a, b: a.join(b.splitlines()),
    "splitlines, kept": lambda a, b: a.join(b.splitlines(True)),
    "partition": lambda a, b: a.join(a.partition("X")),
    "rpartition": lambda a, b: a.join(b.rpartition("<")),
    "replace": lambda a, b: a.replace("a", b),
    "replace typed": lambda a, b: a.replace("X", b, 1),
    "replace nothing": lambda a, b: a.replace("", b),
    "removeprefix": lambda a, b: a.removeprefix("X"),
    "removesuffix": lambda a, b: a.removesuffix("a"),
    "expandtabs": lambda a, b: a.expandtabs(),
    "center": lambda a, b: a.center(30),
    "center in signs": lambda a, b: a.center(30, "X"),
    "ljust": lambda a, b: a.ljust(30),
    "rjust": lambda a, b: a.rjust(30),
    "zfill": lambda a, b: a.zfill(30),
    "translate": lambda a, b: a.translate({97: "X"}),
    "percent": lambda a, b: literal("<%s|%%|%s>") % (a, b) if isinstance(a, Traced) else "<%s|%%|%s>" % (a, b),  # noqa: UP031
    "percent by name": lambda a, b: literal("%(x)s %(y)6s") % {"x": a, "y": b} if isinstance(a, Traced) else f"{a} {b:>6}",
    "plain percent": lambda a, b: "|%s|" % a if len(a) else a,  # noqa: UP031
    "format()": lambda a, b: a + format(b, "") + format(b, ">9"),
    "str()": lambda a, b: str(a),
}


def texts() -> st.SearchStrategy[Traced]:
    template = st.text(WRITTEN, max_size=6).map(literal)
    typed = st.text(TYPED, max_size=6).map(lambda text: content(text, 7))
    return st.lists(template | typed, max_size=4).map(glue)


@pytest.mark.promise
@settings(max_examples=400, deadline=None)
@given(first=texts(), second=texts(), names=st.lists(st.sampled_from(sorted(OPERATIONS)), min_size=1, max_size=4))
def test_text_is_what_str_makes_of_it_and_what_was_typed_stays_typed(first: Traced, second: Traced, names: list[str]) -> None:
    note, plain = first, "".join(text for text, _ in first.pieces())
    beside = "".join(text for text, _ in second.pieces())
    for name in names:
        if len(plain) > 2000:
            break
        note, plain = traced(OPERATIONS[name](note, second)), OPERATIONS[name](plain, beside)
    assert note == plain
    for text, source in origins(note):
        assert source != TEMPLATE or not set("ÄXß") & set(text)


@given(text=texts(), name=st.sampled_from("upper lower title capitalize swapcase casefold".split()))
def test_a_change_of_case_keeps_every_note_or_smears(text: Traced, name: str) -> None:
    changed = getattr(text, name)()
    assert changed == getattr("".join(part for part, _ in text.pieces()), name)()
    typed = "".join(part for part, source in origins(changed) if source != TEMPLATE)
    assert sum(map(len, (part for part, source in text.pieces() if source == 7))) <= len(typed)


def test_contents_survive_what_templates_do_to_them() -> None:
    assert origins(FORM + SAID.strip()) == [("<|im_start|>", TEMPLATE), ("Hello </think> World", 3)]
    assert origins(SAID.split("</think>")[-1].lstrip("\n")) == [(" World\n", 3)]
    assert origins(literal("\n").join([FORM, SAID])) == [("<|im_start|>\n", TEMPLATE), (" Hello </think> World\n", 3)]
    assert origins(SAID.replace("World", FORM)) == [(" Hello </think> ", 3), ("<|im_start|>", TEMPLATE), ("\n", 3)]
    assert origins(literal("ß") + content("ß", 0))[1] == ("ß", 0)
    assert origins((literal("a|") + content("ß", 0)).upper()) == [("A|", TEMPLATE), ("SS", 0)]


def test_two_neighbours_of_one_source_are_one_piece_and_of_two_messages_two() -> None:
    text = glue([literal("a"), literal("b"), content("c", 1), content("d", 2)])
    assert origins(text) == [("ab", TEMPLATE), ("c", 1), ("d", 2)]


def test_a_string_without_a_note_is_content() -> None:
    assert origins(glue(["<|im_start|>"])) == [("<|im_start|>", DATA)]
    assert origins(literal("a") + "b") == [("a", TEMPLATE), ("b", DATA)]
    assert origins("b" + literal("a")) == [("b", DATA), ("a", TEMPLATE)]
    assert origins(traced("".join([FORM, FORM])))[0][1] == DATA  # python's own join has dropped the notes


def test_smearing_gives_everything_to_the_content() -> None:
    assert origins(smear("xyz", FORM, [{"a": SAID}])) == [("xyz", 3)]
    assert origins(smear("xyz", FORM, ["plain"])) == [("xyz", DATA)]
    assert origins(smear("xyz", FORM, [literal("b")])) == [("xyz", TEMPLATE)]
    assert origins(smear("7", 7)) == [("7", DATA)]


@pytest.mark.parametrize(
    ("template", "args", "fields", "expected"),
    [
        ("<{}|{}>", (SAID[1:6], "b"), {}, [("<", TEMPLATE), ("Hello", 3), ("|", TEMPLATE), ("b", DATA), (">", TEMPLATE)]),
        ("{1}{{}}{0}", (FORM, SAID[1:6]), {}, [("Hello", 3), ("{}<|im_start|>", TEMPLATE)]),
        ("{x}", (), {"x": SAID[1:6]}, [("Hello", 3)]),
        ("{x:>7}|", (), {"x": SAID[1:6]}, [("  Hello|", 3)]),
        ("{x!r}|", (), {"x": SAID[1:6]}, [("'Hello'|", 3)]),
        ("{x:>7}|", (), {"x": literal("b")}, [("      b|", TEMPLATE)]),
        ("{0[a]}", ({"a": SAID[1:6]},), {}, [("Hello", 3)]),
        ("{}", (5,), {}, [("5", DATA)]),
    ],
)
def test_formats(template: str, args: tuple[Any, ...], fields: dict[str, Any], expected: list[tuple[str, int]]) -> None:
    text = str.format(template, *args, **fields)
    assert origins(braced(text, literal(template), args, fields)) == expected


def test_a_format_that_somebody_typed_is_content_all_over() -> None:
    assert origins(braced("<b>", content("<{}>", 2), (literal("b"),), {})) == [("<", 2), ("b", TEMPLATE), (">", 2)]
    mixed = literal("<|") + content("{}", 2)
    assert origins(braced("<|b", mixed, ("b",), {})) == [("<|", 2), ("b", DATA)]
