"""Whether a stream gets colours, and the few that falcon uses."""

from __future__ import annotations

import os
import sys
from typing import Literal, TextIO

Color = Literal["auto", "always", "never"]
Style = Literal["error", "hint", "note", "dim"]

_CODES: dict[Style, str] = {"error": "1;31", "hint": "36", "note": "33", "dim": "2"}


def wanted(stream: TextIO | None, color: Color) -> bool:
    """`color` decides; on "auto" the first of NO_COLOR, FORCE_COLOR and TERM=dumb that is set; else a terminal."""
    if color != "auto":
        return color == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    if os.environ.get("TERM") == "dumb" or stream is None or not stream.isatty():
        return False
    return sys.platform != "win32" or "WT_SESSION" in os.environ or "TERM" in os.environ  # the old console shows the codes


def paint(text: str, style: Style) -> str:
    """`text` between the codes that switch a style on and off."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m"
