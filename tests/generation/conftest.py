"""A toy model and a byte tokenizer: the engine, text in and text out, in milliseconds.

The toy remembers the exact tokens of each slot and its logits depend on all of them, so any mix-up of slots, order or history
shows in what it says next.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from modeling.generation.engine import Engine
from modeling.generation.runner import Runner

V = 256
EOS = 0

Voice = Callable[[Sequence[int]], Tensor]


@dataclass(frozen=True)
class ToySnapshot:
    tokens: tuple[int, ...]

    @property
    def length(self) -> int:
        return len(self.tokens)


class ToyState:
    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.tokens: list[list[int]] = [[] for _ in range(slots)]

    @property
    def lengths(self) -> list[int]:
        return [len(tokens) for tokens in self.tokens]

    def reset(self, slot: int) -> None:
        self.tokens[slot] = []

    def move(self, source: int, target: int) -> None:
        assert not (source != target and self.tokens[source] == []), "an empty slot has nothing to move"
        self.tokens[target], self.tokens[source] = self.tokens[source], []

    def snapshot(self, slot: int) -> ToySnapshot:
        return ToySnapshot(tuple(self.tokens[slot]))

    def restore(self, slot: int, snapshot: ToySnapshot) -> None:
        self.tokens[slot] = list(snapshot.tokens)


class ToyModel:
    """`voice` gives the logits (v) after a sequence of tokens. `calls` records what the engine asked for, in order."""

    device = torch.device("cpu")

    def __init__(self, voice: Voice, max_positions: int | None = None, vocab_size: int = V) -> None:
        self.config = SimpleNamespace(vocab_size=vocab_size)
        self.max_positions = max_positions
        self.voice = voice
        self.calls: list[tuple[str, int]] = []
        self.before_call: Callable[[], None] = lambda: None

    def make_state(self, slots: int, tokens: int | None = None) -> ToyState:
        self.state, self.room = ToyState(slots), tokens
        return self.state

    def prefill(self, ids: Tensor, state: ToyState, slot: int, cancelled: Callable[[], bool] | None = None) -> Tensor:
        self.before_call()
        assert ids.ndim == 1 and len(ids) > 0 and ids.dtype == torch.int64
        self.calls.append(("prefill", len(ids)))
        state.tokens[slot] += ids.tolist()
        return self.voice(state.tokens[slot])

    def step(self, ids: Tensor, state: ToyState) -> Tensor:
        self.before_call()
        self.calls.append(("step", len(ids)))
        for tokens, id in zip(state.tokens, ids.tolist(), strict=False):
            assert tokens, "a decoding slot has a prompt behind it"
            tokens.append(id)
        return torch.stack([self.voice(tokens) for tokens in state.tokens[: len(ids)]])


class ByteDecoder:
    """Ids are UTF-8 bytes; whole characters come out."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, id: int) -> str:
        return self._decoder.decode(bytes([id]))

    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)


def hashed(tokens: Sequence[int]) -> Tensor:
    """Logits that look random and depend on every token and its place."""
    key = zlib.crc32(bytes(tokens))
    words = (torch.arange(1, V + 1) * 2654435761 + key) * 40503 % 65536
    logits = words * (words % 1021) % 9973 / 1500
    logits[EOS] += 1.0
    return logits


def says(text: str | bytes) -> Voice:
    """Says `text` after a prompt of one token, then ends."""
    script = (text.encode() if isinstance(text, str) else text) + bytes([EOS])

    def voice(tokens: Sequence[int]) -> Tensor:
        place = min(len(tokens) - 1, len(script) - 1)
        return torch.nn.functional.one_hot(torch.tensor(script[place]), V) * 50.0

    return voice


@pytest.fixture
def make_engine() -> Callable[..., tuple[Engine, ToyModel]]:
    """An engine over a toy model: by its `voice`, or by the text that it says after a prompt of one token."""

    def make(
        voice: Voice | str | bytes = hashed,
        slots: int = 1,
        prefill_chunk: int = 4,
        max_positions: int | None = None,
        context: int | None = None,
    ) -> tuple[Engine, ToyModel]:
        model = ToyModel(says(voice) if isinstance(voice, str | bytes) else voice, max_positions)
        return Engine(Runner(model, slots, prefill_chunk, context), ByteDecoder, [EOS]), model

    return make


@pytest.fixture
def solo(make_engine: Callable[..., tuple[Engine, ToyModel]]) -> Callable[..., list[object]]:
    """Events of a request that has an engine to itself, without times."""

    def run(request: object) -> list[object]:
        return list(make_engine(slots=1, prefill_chunk=1000)[0].generate(request))  # type: ignore[arg-type]

    return run
