"""Lists of numbers as llama-bench reads them: 512 · 1,8,64 · 16-64+16 · 512-4096*2 · and the same option several times."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from modeling.errors import InvalidRequest

MOST = 1000  # numbers in a list: more are a slip of the fingers
_RANGE = re.compile(r"(\d{1,12})(?:-(\d{1,12})(?:([+*])(\d{1,12}))?)?", re.ASCII)
_EXAMPLES = "for example 512, or 1,8,64, or 128-512+128, or 512-8192*2"


def parse_numbers(option: str, texts: Iterable[str], least: int = 0) -> list[int]:
    """All numbers that the values of `option` name, in order. Raises `InvalidRequest`."""
    numbers: list[int] = []
    for part in (part.strip() for text in texts for part in text.split(",")):
        for number in _range(option, part):
            if number < least:
                raise InvalidRequest(f"{option} {part}: {number} is less than {least}", _EXAMPLES)
            numbers.append(number)
            if len(numbers) > MOST:
                raise InvalidRequest(f"{option} names more than {MOST} numbers", "give the range a larger step")
    return numbers


def parse_pairs(option: str, texts: Iterable[str]) -> list[tuple[int, int]]:
    """Each value is "P,N", two whole numbers from 1 on. Raises `InvalidRequest`."""
    pairs = []
    for text in texts:
        found = re.fullmatch(r"\s*(\d{1,12})\s*,\s*(\d{1,12})\s*", text, re.ASCII)
        if found is None or not int(found[1]) or not int(found[2]):
            raise InvalidRequest(f"{option} {text!r} is not P,N, a number to read and a number to write", "for example 512,128")
        pairs.append((int(found[1]), int(found[2])))
    return pairs


def parse_percentiles(option: str, text: str) -> tuple[float, ...]:
    """ "50,99.9": numbers from 0 to 100, each once. Raises `InvalidRequest`."""
    found: dict[float, None] = {}
    for part in text.split(","):
        if re.fullmatch(r"\s*\d{1,3}(\.\d{1,6})?\s*", part, re.ASCII) is None or not float(part) <= 100:
            raise InvalidRequest(f"{option} {part.strip()!r} is no percentile", "for example 50,90,99.9")
        found[float(part)] = None
    return tuple(found)


def parse_words(option: str, text: str, known: tuple[str, ...]) -> list[str]:
    """The words of a list, each one of the `known`. Raises `InvalidRequest`."""
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word not in known:
            raise InvalidRequest(
                f"{option} {word!r} is none of {', '.join(known)}", f"for example {option} {known[1]},{known[2]}"
            )
    return words


def _range(option: str, part: str) -> Iterator[int]:
    """One part of a list: a number, or first-last, first-last+step, first-last*factor."""
    found = _RANGE.fullmatch(part)
    if found is None:
        raise InvalidRequest(f"{option} {part!r} is neither a number nor a range", _EXAMPLES)
    number, last = int(found[1]), int(found[2] or found[1])
    sign, step = found[3] or "+", int(found[4] or 1)
    if last < number:
        raise InvalidRequest(f"{option} {part}: the range ends before it begins", _EXAMPLES)
    if (sign == "+" and step < 1) or (sign == "*" and (step < 2 or number < 1)):
        raise InvalidRequest(f"{option} {part}: the range never ends", _EXAMPLES)
    while number <= last:
        yield number
        number = number + step if sign == "+" else number * step
