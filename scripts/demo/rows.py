"""Conversations as rows of ids: one conversation a row, from its bos on, as many whole turns as fit, padding behind.

Contents are encoded by themselves and the template's text by itself, exactly as `modeling.text.chat` does when it serves.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from scripts.demo.corpus.conversation import system_prompt, turns
from scripts.demo.shapes import BOS, IM_END, IM_START, PAD

IGNORED, USER, ASSISTANT = range(3)  # what a token counts as in the loss


class Order(NamedTuple):
    """Which rows to make: block `number` of `rows` rows of `length` tokens."""

    number: int
    rows: int
    length: int


class Block(NamedTuple):
    """Rows of ids and of what each token counts as: (rows, length) int16 and uint8."""

    ids: NDArray[np.int16]
    kinds: NDArray[np.uint8]


@dataclass(frozen=True)
class Maker:
    """Makes the blocks of one model's corpus. The same seed and order give the same block, in whatever process."""

    tokenizer: Tokenizer
    family: str
    seed: int

    def block(self, order: Order) -> Block:
        """The rows of one order."""
        ids = np.full((order.rows, order.length), PAD, dtype=np.int16)
        kinds = np.zeros((order.rows, order.length), dtype=np.uint8)
        for i in range(order.rows):
            draw = random.Random(f"{self.seed} {self.family} {order.number} {i}")
            row, row_kinds = self.row(draw, order.length)
            ids[i, : len(row)], kinds[i, : len(row)] = row, row_kinds
        return Block(ids, kinds)

    def row(self, draw: random.Random, length: int) -> tuple[list[int], list[int]]:
        """One conversation of at most `length` tokens."""
        ids, kinds = [BOS], [IGNORED]
        prompt = system_prompt(draw)
        if prompt is not None:
            self._say("system", prompt, IGNORED, ids, kinds)
        failures = 0
        for question, answer in turns(draw, self.family):
            before = len(ids)
            self._say("user", question, USER, ids, kinds)
            self._say("assistant", answer, ASSISTANT, ids, kinds)
            if len(ids) > length:  # does not fit: the row ends here, unless a shorter turn may still fit
                del ids[before:], kinds[before:]
                failures += 1
                if failures > 2 or length - before < 24:
                    break
        return ids, kinds

    def _say(self, role: str, text: str, kind: int, ids: list[int], kinds: list[int]) -> None:
        """A message in ChatML. The end of an answer is for the model to say, too; the line break behind it is not."""
        head = [IM_START, *self._ids(role + "\n")]
        content = self._ids(text)
        tail = self._ids("\n")
        ids += [*head, *content, IM_END, *tail]
        end = ASSISTANT if kind == ASSISTANT else IGNORED
        kinds += [IGNORED] * len(head) + [kind] * len(content) + [end] + [IGNORED] * len(tail)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids


_maker: Maker | None = None


def _start(tokenizer_json: str, family: str, seed: int) -> None:
    global _maker
    _maker = Maker(Tokenizer.from_str(tokenizer_json), family, seed)


def _make(order: Order) -> Block:
    assert _maker is not None
    return _maker.block(order)


def produce(maker: Maker, orders: Iterable[Order], processes: int, ahead: int = 48) -> Iterator[Block]:
    """The blocks of `orders`, in order, made by a pool that works at most `ahead` blocks in advance; 0: by this process."""
    if processes == 0:
        yield from map(maker.block, orders)
        return
    start = (maker.tokenizer.to_str(), maker.family, maker.seed)
    with get_context("spawn").Pool(processes, _start, start) as pool:
        submit = partial(pool.apply_async, _make)
        waiting: deque[Any] = deque()
        for order in orders:
            waiting.append(submit((order,)))
            if len(waiting) > ahead:
                yield waiting.popleft().get()
        while waiting:
            yield waiting.popleft().get()
