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
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from modeling.decode.inputs import StepInputs
from modeling.generation.engine import Engine
from modeling.generation.runner import Runner
from modeling.text.grammar import Grammars
from modeling.text.stream import byte_alphabet

V = 256
EOS = 0
SPECIAL = (EOS, 1)  # 1 ends nothing


def byte_tokenizer() -> str:
    """A tokenizer.json whose ids are bytes, but for special ones."""
    vocab = {sign: byte for sign, byte in byte_alphabet().items() if byte not in SPECIAL}
    model = models.BPE(vocab={f"<{id}>": id for id in SPECIAL} | vocab, merges=[])
    backend = Tokenizer(model)
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    backend.add_special_tokens([f"<{id}>" for id in SPECIAL])
    return backend.to_str()


GRAMMARS = Grammars(byte_tokenizer, V, [EOS])

Voice = Callable[[Sequence[int]], Tensor]


@dataclass(frozen=True)
class ToySnapshot:
    tokens: tuple[int, ...]

    @property
    def length(self) -> int:
        return len(self.tokens)


class ToyState:
    """`tokens` are what the device has read, `lengths` what the host has counted: the same wherever a state is kept."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.tokens: list[list[int]] = [[] for _ in range(slots)]
        self.lengths = [0] * slots
        self.pages: list[list[int]] = [[slot + 1] for slot in range(slots)]
        self.reserved = [0] * slots

    def reset(self, slot: int) -> None:
        self.tokens[slot], self.lengths[slot], self.reserved[slot] = [], 0, 0

    def leave(self, slot: int, snapshot: ToySnapshot) -> None:
        assert snapshot.tokens == tuple(self.tokens[slot])
        self.reset(slot)

    def move(self, source: int, target: int) -> None:
        if source != target:
            assert self.tokens[source], "an empty slot has nothing to move"
            for column in (self.tokens, self.lengths, self.pages, self.reserved):
                column[target] = column[source]
            self.pages[source] = [self.pages[source][0] + 100]
            self.reset(source)

    def fork(self, source: int, target: int) -> None:
        assert source != target and not self.tokens[target]
        self.tokens[target], self.lengths[target] = list(self.tokens[source]), self.lengths[source]

    def make_trail(self, length: int) -> int:
        return length

    def go_back(self, slot: int, length: int, kept: int, trail: int) -> None:
        assert 1 <= kept <= length <= trail + 1 and self.lengths[slot] == len(self.tokens[slot])
        del self.tokens[slot][len(self.tokens[slot]) - (length - kept) :]
        self.lengths[slot] = len(self.tokens[slot])

    def reserve(self, start: int, stop: int, length: int) -> None:
        for slot in range(start, stop):
            self.reserved[slot] = self.lengths[slot] + length

    def snapshot(self, slot: int) -> ToySnapshot:
        assert self.lengths[slot] == len(self.tokens[slot]), "a state that is kept is the record of what was counted"
        return ToySnapshot(tuple(self.tokens[slot]))

    def restore(self, slot: int, snapshot: ToySnapshot) -> None:
        self.tokens[slot], self.lengths[slot] = list(snapshot.tokens), snapshot.length


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
        assert ids.ndim == 2 and ids.numel() > 0 and ids.dtype == torch.int64
        self.calls.append(("prefill", ids.numel()))
        for row, row_ids in enumerate(ids.tolist(), slot):
            state.tokens[row] += row_ids
            state.lengths[row] += len(row_ids)
        return torch.stack([self.voice(tokens) for tokens in state.tokens[slot : slot + len(ids)]])

    def step(self, ids: Tensor, state: ToyState) -> Tensor:
        self.before_call()
        self.calls.append(("step", len(ids)))
        for slot, id in enumerate(ids.tolist()):
            assert state.tokens[slot], "a decoding slot has a prompt behind it"
            state.tokens[slot].append(id)
            state.lengths[slot] += 1
        return torch.stack([self.voice(tokens) for tokens in state.tokens[: len(ids)]])

    def walk(self, ids: Tensor, state: ToyState, trail: int) -> Tensor:
        """Hidden states are the logits already."""
        self.before_call()
        self.calls.append(("walk", len(ids)))
        assert state.tokens[0] and len(ids) <= trail + 1
        hidden = []
        for id in ids.tolist():
            state.tokens[0].append(id)
            state.lengths[0] += 1
            hidden.append(self.voice(state.tokens[0]))
        return torch.stack(hidden)

    def scores(self, h: Tensor) -> Tensor:
        return h


class ToyPrograms:
    """Steps that find their tokens where the step before has left them. Rows that take no part give NaN."""

    def __init__(self, model: ToyModel, slots: int) -> None:
        self.model = model
        self.inputs = StepInputs.zeros(slots, 3, model.device)

    def run(self, rows: int) -> Tensor:
        model, inputs, state = self.model, self.inputs, self.model.state
        model.before_call()
        model.calls.append(("step", rows))
        logits = torch.full((state.slots, model.config.vocab_size), torch.nan)
        for slot in inputs.active[:rows].nonzero().flatten().tolist():
            tokens = state.tokens[slot]
            assert tokens and inputs.lengths[slot] == len(tokens) < state.reserved[slot]
            assert inputs.pages[slot, 0] == state.pages[slot][0]
            tokens.append(int(inputs.ids[slot]))
            logits[slot] = model.voice(tokens)
        return logits

    def pick(self, logits: Tensor, stops: Tensor, heeds: Tensor) -> tuple[Tensor, Tensor]:
        inputs, rows = self.inputs, len(logits)
        ids, finite = logits.argmax(-1), logits.isfinite().all(-1)
        inputs.ids[:rows] = ids
        inputs.lengths[:rows] += inputs.active[:rows]
        inputs.active[:rows] *= ~(torch.isin(ids, stops) & heeds)
        return ids, finite


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


Make = Callable[..., tuple[Engine, ToyModel]]


def _maker(*, ahead: bool = False, speculate: int = 0, ready: int = 0) -> Make:
    def make(
        voice: Voice | str | bytes = hashed,
        slots: int = 1,
        prefill_chunk: int = 4,
        max_positions: int | None = None,
        context: int | None = None,
    ) -> tuple[Engine, ToyModel]:
        model = ToyModel(says(voice) if isinstance(voice, str | bytes) else voice, max_positions)
        runner, matcher = Runner(model, slots, prefill_chunk, context), GRAMMARS.matcher
        programs, rows = ToyPrograms(model, slots) if ahead else None, max(1, slots - ready)
        return Engine(runner, ByteDecoder, [EOS], None, programs, matcher, speculate, rows), model

    return make


@pytest.fixture(
    params=[{}, {"ahead": True}, {"ahead": True, "ready": 1}, {"speculate": 4}],
    ids=["lockstep", "ahead", "ready", "looking up"],
)
def make_engine(request: pytest.FixtureRequest) -> Make:
    """An engine over a toy model: by its `voice`, or by the text that it says after a prompt of one token.

    The host and the device go in lockstep, or the device is ahead by a step, without or with slots for those who are to follow,
    or by tokens that were looked up.
    """
    return _maker(**request.param)


@pytest.fixture
def make_ahead() -> Make:
    """The same with the device ahead."""
    return _maker(ahead=True)


@pytest.fixture
def make_ready() -> Callable[[int], Make]:
    """The same with the device ahead, and so many of the slots for those who are to follow."""
    return lambda slots: _maker(ahead=True, ready=slots)


@pytest.fixture
def make_speculating() -> Callable[[int], Make]:
    """The same looking up to so many tokens up."""
    return lambda most: _maker(speculate=most)


@pytest.fixture
def solo() -> Callable[..., list[object]]:
    """Events of a request that has an engine to itself, without times."""

    def run(request: object) -> list[object]:
        return list(_maker()(slots=1, prefill_chunk=1000)[0].generate(request))  # type: ignore[arg-type]

    return run
