"""Where a text breaks into rows. Greedy from left to right: a row depends only on what stands before the next one.

So the rows of a text that grows at its end are those of the whole text, but for the last; and a text may be broken further from
the beginning of any row. rich breaks between words, too, but it can neither be taken up at a row nor does it break between the
signs of Chinese and Japanese, where there are no spaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from unicodedata import combining

from rich.cells import cell_len

WIDE = "\u2e80-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\U00020000-\U0003fffd"  # scripts without spaces
_OPENING = "〈《「『【〔〖〘〚（［｛"  # not at the end of a row
_CLOSING = "、。〉》」』】〕〗〙〛！），．：；？］｝ー…"  # not at its beginning
_MARKS = "\u0300-\u036f\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef"
_UNIT = re.compile(rf"([{_OPENING}]*[{WIDE}][{_MARKS}]*[{_CLOSING}]*|[^ {WIDE}]+[{_CLOSING}]*) *")
_JOINER = "\u200d"


def rows(text: str, width: int) -> list[tuple[int, int]]:
    """The beginning and end of each row of `width` cells, without the spaces between two rows. There is at least one."""
    found: list[tuple[int, int]] = []
    start = 0
    for line in text.split("\n"):
        found += ((start + first, start + last) for first, last in _line(line, width))
        start += len(line) + 1
    return found


def _line(line: str, width: int) -> Iterator[tuple[int, int]]:
    start = end = 0
    used = len(line) - len(line.lstrip(" "))
    for match in _UNIT.finditer(line):
        unit = match[1]
        cells = cell_len(unit)
        if used and used + cells > width:
            yield start, end
            start, used = match.start(), 0
        if used + cells > width:
            *whole, last = fold(unit, width)
            for part in whole:
                yield start, start + len(part)
                start += len(part)
            cells = cell_len(last)
        used += cells + len(match[0]) - len(unit)
        end = match.end(1)
    yield start, end


def fold(text: str, width: int) -> list[str]:
    """`text` cut into parts that fill `width` cells, wherever that is, but never within a character that is seen as one."""
    if text.isascii():
        return [text[at : at + width] for at in range(0, len(text), width)] or [""]
    parts, used = [""], 0
    for cluster in clusters(text):
        cells = cell_len(cluster)
        if used + cells > width and used:
            parts.append("")
            used = 0
        parts[-1] += cluster
        used += cells
    return parts


def clusters(text: str) -> Iterator[str]:
    """What is seen as one character each: with its accents, or joined from several. Together they are the text."""
    cluster = ""
    for sign in text:
        if cluster and not (_extends(sign) or cluster[-1] == _JOINER or _pair(cluster, sign)):
            yield cluster
            cluster = ""
        cluster += sign
    if cluster:
        yield cluster


def _extends(sign: str) -> bool:
    return sign == _JOINER or combining(sign) != 0 or "\U0001f3fb" <= sign <= "\U0001f3ff" or cell_len(sign) == 0


def _pair(cluster: str, sign: str) -> bool:
    """Two letters of a flag."""
    return len(cluster) == 1 and "\U0001f1e6" <= cluster <= "\U0001f1ff" and "\U0001f1e6" <= sign <= "\U0001f1ff"
