"""A turn ↔ a row. The text is the truth; ids, parameters and figures come back as far as they can be read and trusted.

The ids of all segments stand one after the other in one array of 32-bit numbers, little-endian: a conversation of 100,000
tokens is 400 KB and read in milliseconds. Texts are UTF-8, with the lone surrogates that undecodable input leaves behind.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import zlib
from array import array
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any, TypeVar

from modeling.errors import InvalidRequest
from modeling.messages import SamplingParams, Stats
from modeling.turns import Segment, Turn

Facts = TypeVar("Facts", SamplingParams, Stats)
COLUMNS = "system user reply kept segments ids checksum reason stop sampling stats tokens created".split()
_TEXTS = {"system", "user", "reply"}
PLACES = ", ".join(f"CAST(:{name} AS TEXT)" if name in _TEXTS else f":{name}" for name in COLUMNS)  # they come as bytes


def columns(turn: Turn) -> dict[str, Any]:
    """What a row holds of a turn, all but its parent."""
    ids = array("I", [token for segment in turn.segments for token in segment.ids])
    if sys.byteorder == "big":
        ids.byteswap()
    outline = [(segment.kind, segment.text, len(segment.ids)) for segment in turn.segments]
    segments = encode(json.dumps(outline, ensure_ascii=False, separators=(",", ":")))
    return {
        "system": None if turn.system is None else encode(turn.system),
        "user": encode(turn.user),
        "reply": encode(turn.reply),
        "kept": turn.kept,
        "segments": segments,
        "ids": ids.tobytes(),
        "checksum": _checksum(turn.kept, segments, ids.tobytes()),
        "reason": turn.reason,
        "stop": json.dumps(turn.stop),
        "sampling": json.dumps(asdict(turn.sampling)),
        "stats": json.dumps(asdict(turn.stats)),
        "tokens": turn.stats.prompt_tokens + turn.stats.completion_tokens,
        "created": turn.created,
    }


def turn_of(row: sqlite3.Row, parent: Turn | None, available: int | None) -> Turn:
    """The turn of a row behind `parent`, whose transcript has `available` segments; None: they do not matter.

    Without ids, as `Turn.text_only` makes it, if they do not matter, are damaged, or their beginning is not there.
    """
    segments = _segments(row) if available is not None and 0 <= row["kept"] <= available else ()
    return Turn(
        parent=parent,
        system=row["system"],
        user=row["user"],
        reply=row["reply"],
        kept=row["kept"] if segments else 0,
        segments=segments,
        reason=row["reason"],
        stop=_read(row["stop"]),
        sampling=_facts(SamplingParams, row["sampling"], {}),
        stats=_facts(Stats, row["stats"], {field.name: 0 for field in fields(Stats) if field.default is MISSING}),
        created=row["created"],
    )


def encode(text: str) -> bytes:
    """UTF-8, whatever the text holds."""
    return text.encode("utf-8", "surrogatepass")


def decode(raw: bytes) -> str:
    """The same back; what is damaged becomes "�"."""
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace")


def _segments(row: sqlite3.Row) -> tuple[Segment, ...]:
    """None at all if anything about them is wrong."""
    if row["checksum"] != _checksum(row["kept"], row["segments"], row["ids"]):
        return ()
    ids = array("I", row["ids"])
    if sys.byteorder == "big":
        ids.byteswap()
    segments, start = [], 0
    for kind, text, length in json.loads(decode(row["segments"])):
        segments.append(Segment(kind, text, tuple(ids[start : start + length])))
        start += length
    return tuple(segments)


def _checksum(kept: int, segments: bytes, ids: bytes) -> int:
    return zlib.crc32(ids, zlib.crc32(segments, kept))


def _facts(kind: type[Facts], text: str, missing: Mapping[str, Any]) -> Facts:
    """What this version knows of the fields: a later one may have added some, an earlier one lacked some."""
    content = _read(text)
    names = {field.name for field in fields(kind)}
    known = {name: value for name, value in content.items() if name in names} if isinstance(content, dict) else {}
    try:
        if "stop" in known:
            known["stop"] = tuple(known["stop"])
        return kind(**{**missing, **known})
    except (InvalidRequest, TypeError):
        return kind(**missing)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
