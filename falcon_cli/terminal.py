"""Foreign text on a terminal: shown, never obeyed.

Model output, file names and server messages may hold escape sequences that move the cursor, retitle the window or write to the
clipboard. Each control character becomes a visible sign of its own, one character at a time, so that no way of cutting a stream
into parts lets a sequence through.
"""

from __future__ import annotations

_KEPT = "\n\t"
_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # they reorder the text that follows

_VISIBLE = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in _KEPT},  # ESC → ␛, CR → ␍
    0x7F: "\u2421",
    **{code: f"\\x{code:02x}" for code in range(0x80, 0xA0)},  # C1: CSI, OSC, … in one character
    **{ord(sign): f"\\u{ord(sign):04x}" for sign in _BIDI},
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),  # lone surrogates cannot be written at all
}


def visible(text: str) -> str:
    """`text` with every control character but newline and tab replaced by a visible sign."""
    return text.translate(_VISIBLE)


class Guard:
    """`visible` for a text that comes in parts. CR LF, the line end of other systems, is a newline."""

    def __init__(self) -> None:
        self._held = ""  # a CR at the end of a part

    def take(self, text: str) -> str:
        """The next part. A CR at its end is held back until it is known what follows."""
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""
        return visible(text.removesuffix("\r").replace("\r\n", "\n"))

    def end(self) -> str:
        """What was held back."""
        held, self._held = self._held, ""
        return visible(held)
