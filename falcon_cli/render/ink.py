"""Styled text as a row for the terminal: with the codes of its colours, or without colours."""

from __future__ import annotations

from collections.abc import Iterable

from rich.color import ColorSystem
from rich.console import Console, ConsoleRenderable
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from falcon_cli.terminal import visible


class Ink:
    """Makes rows. Without `color` there is bold, dim, underlined text nonetheless: NO_COLOR is about colours alone.

    Only the sixteen colours are used that a terminal shows as its owner likes them, on any background.
    """

    def __init__(self, *, color: bool = True) -> None:
        self._color = color
        self._console = Console(width=80, height=25, force_terminal=True, legacy_windows=False, _environ={})

    def row(self, text: Text) -> str:
        """One row of text."""
        return self._paint(text.render(self._console))

    def plain(self, text: str, style: Style) -> str:
        """A row of one style."""
        return self._paint([Segment(text, style)]) if text else ""

    def drawn(self, drawing: ConsoleRenderable, width: int) -> list[str]:
        """The rows of something that rich draws."""
        options = self._console.options.update(width=width, height=None)
        lines = self._console.render_lines(drawing, options, pad=False)
        return [self._paint(line) for line in lines]

    def _paint(self, parts: Iterable[Segment]) -> str:
        """The parts of a row, without the spaces at its end: a terminal that becomes narrower would break them off."""
        texts = [(visible(text), style) for text, style, _ in parts]
        while texts and not texts[-1][0].strip(" "):
            texts.pop()
        if texts:
            texts[-1] = (texts[-1][0].rstrip(" "), texts[-1][1])
        return "".join(self._styled(text, style) for text, style in texts)

    def _styled(self, text: str, style: Style | None) -> str:
        if style is None:
            return text
        shown = style if self._color else style.without_color
        return shown.render(text, color_system=ColorSystem.STANDARD)
