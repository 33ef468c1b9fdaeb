"""Rows with the codes of a terminal."""

from __future__ import annotations

from rich.style import Style
from rich.text import Text

from falcon_cli.render.ink import Ink


def test_a_row_has_its_codes_and_no_spaces_at_its_end() -> None:
    ink = Ink()
    assert ink.row(Text.assemble("a ", ("b", "bold red"), ("  ", "bold"), " ")) == "a \x1b[1;31mb\x1b[0m"
    assert ink.plain("code  ", Style(color="cyan")) == "\x1b[36mcode\x1b[0m"
    assert ink.row(Text("  ")) == ink.plain("", Style(bold=True)) == ""


def test_without_colours_the_rest_stays() -> None:
    assert Ink(color=False).row(Text("a", spans=[])) == "a"
    assert Ink(color=False).plain("a", Style(color="cyan", bold=True)) == "\x1b[1ma\x1b[0m"
    assert Ink(color=False).plain("a", Style(color="cyan")) == "a"


def test_no_control_character_gets_into_a_row() -> None:
    assert Ink().plain("\x1b[2J\x9b", Style()) == "␛[2J\\x9b"
    assert Ink().row(Text("\x1b")) == "␛"
