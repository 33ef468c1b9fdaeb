"""Bytes as a person writes and reads them."""

from __future__ import annotations

import re

from modeling.errors import InvalidRequest

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([KMGT]I?)?B?", re.IGNORECASE)
_SHOWN = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def parse_size(text: str) -> int:
    """ "500MiB" → bytes. Raises `InvalidRequest`."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise InvalidRequest(f"{text!r} is not a size", "for example 500MiB or 2GB")
    return int(float(found[1]) * _UNITS[(found[2] or "").upper()])


def shown_size(size: int) -> str:
    """Bytes as a person reads them."""
    if size < 2**10:
        return f"{size} B"
    unit, divisor = next((unit, divisor) for unit, divisor in _SHOWN if size >= divisor)
    return f"{size / divisor:.1f} {unit}"
