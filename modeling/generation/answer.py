"""One request on its way: the host's record of what was asked, what was drawn, and how it ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from time import perf_counter
from typing import Protocol

from torch import Tensor

from modeling.generation.sampling import Draw
from modeling.generation.stopping import StopMatcher
from modeling.messages import Finished, FinishReason, Request, Stats, Token


class Decoder(Protocol):
    """Turns ids into text as they come. `push` returns what is certain: whole characters only; `flush` the rest, at the end."""

    def push(self, id: int) -> str: ...

    def flush(self) -> str: ...


class Matcher(Protocol):
    """Holds an answer to its form. `modeling.text.grammar.Matcher` is one, and says more."""

    failure: str

    def take(self, id: int) -> None: ...

    def bits(self) -> bytes: ...

    @property
    def complete(self) -> bool: ...


class Saved(Protocol):
    """A slot's memory, put aside: the record of its first `length` tokens. `modeling.state.Snapshot` is one."""

    length: int

    @property
    def nbytes(self) -> int:
        """Bytes that forgetting it sets free."""


class Reading:
    """A prompt that is read once for several samples: the first of them reads it, the others begin where that ends.

    `siblings` are those that have not begun. `logits` (v) fp32 and `state` are what stands behind the prompt, for those of them
    that have to wait for a slot; None before it was read.
    """

    def __init__(self) -> None:
        self.siblings: deque[Answer] = deque()
        self.logits: Tensor | None = None
        self.state: Saved | None = None


class Answer:
    """What the engine knows of one request.

    `reading` is what it shares with other samples of the same prompt. `budget` is the most tokens the answer may have, None
    without a limit. `slot` is where its state is, −1 while it waits. `fed` counts the prompt tokens in the state; `reused` of
    them were there before, as those of `start` were. `marks` are numbers of prompt tokens at which the state is kept on the
    way. `looked_up` counts the tokens that were guessed, `accepted` those of them that were drawn and gone on from. `matcher`
    holds it to its form, None if it may be anything. `ended` is the finish reason as soon as a token (or a budget of 0) has
    decided it.
    """

    def __init__(
        self,
        id: int,
        request: Request,
        decoder: Decoder,
        stop_ids: Collection[int],
        budget: int | None,
        start: Saved | None = None,
        keep: Callable[[Saved], None] | None = None,
        marks: Collection[int] = (),
        reading: Reading | None = None,
        matcher: Matcher | None = None,
    ) -> None:
        self.id = id
        self.matcher = matcher
        self.request = request
        self.reading = reading
        self.start = start
        self.keep = keep
        self.marks = marks
        self.budget = budget
        self.apart = False
        self.slot = -1
        self.reused = self.fed = 0 if start is None else start.length
        self.token_ids: list[int] = []
        self.ended: FinishReason | None = "length" if budget == 0 else None
        self.prefill_seconds = 0.0
        self.looked_up = self.accepted = 0
        self._stop: str | int | None = None
        self._decoder = decoder
        self._stops = StopMatcher(request.sampling.stop)
        self._stop_ids = () if request.sampling.ignore_eos else stop_ids
        self._submitted = perf_counter()
        self._first = self._last = self._submitted

    @property
    def position(self) -> int:
        """Index of the token to be drawn next, in the sequence of prompt and answer."""
        return len(self.request.prompt_ids) + len(self.token_ids)

    @property
    def left(self) -> int:
        """Prompt tokens that are not in the state yet."""
        return len(self.request.prompt_ids) - self.fed

    @property
    def alone(self) -> bool:
        """Whether its prompt is not to be read beside others: its state is wanted on the way, or by its siblings, or they had
        no room together."""
        return self.reading is not None or self.apart or bool(self.marks)

    def reach(self, size: int) -> int:
        """How many of the next prompt tokens to feed: at most `size`, and none beyond the next mark, whoever else is there."""
        return min([size, self.left, *(mark - self.fed for mark in self.marks if mark > self.fed)])

    def begin(self) -> None:
        """It goes on from what is there: the prompt that a sibling has read, what `start` holds, or nothing."""
        if self.reading is not None and self.reading.state is not None:
            self.start = self.reading.state
        self.reused = self.fed = 0 if self.start is None else self.start.length

    def take(self, draw: Draw) -> Token:
        """Append a drawn token. The token that ends the answer is told by `ended`; the text of a stop id is never shown."""
        self._last = perf_counter()
        if not self.token_ids:
            self._first = self._last
        self.token_ids.append(draw.id)
        text = ""
        if draw.id in self._stop_ids:
            self.ended, self._stop = "stop", draw.id
        else:
            text = self._show(self._decoder.push(draw.id))
            if self.matcher is not None:
                self.matcher.take(draw.id)
                if self.ended is None and self.matcher.complete:
                    self.ended = "stop"
        if self.ended is None and len(self.token_ids) == self.budget:
            self.ended = "length"
        return Token(draw.id, text, draw.logprob, draw.alternatives)

    def finish(self, reason: FinishReason) -> Finished:
        """The last event. What was held back is shown now, unless it completes a stop string after all."""
        text = "" if self._cut else self._show(self._decoder.flush())
        if not self._cut:
            text += self._stops.flush()
        if reason == "interrupt":
            return Finished(reason, self._stats(), text, None, tuple(self.token_ids))
        return Finished("stop" if self._cut else reason, self._stats(), text, self._stop, tuple(self.token_ids))

    @property
    def frozen(self) -> bool:
        """Whether a stop id ended it: the device has seen that, too, and not fed it."""
        return isinstance(self._stop, int)

    @property
    def _cut(self) -> bool:
        """Whether a stop string was completed: nothing that follows is shown."""
        return isinstance(self._stop, str)

    def _show(self, text: str) -> str:
        """Pass decoded text through the stop strings."""
        shown, stop = self._stops.push(text)
        if stop is not None:
            self.ended, self._stop = "stop", stop
        return shown

    def _stats(self) -> Stats:
        started = bool(self.token_ids)
        return Stats(
            prompt_tokens=len(self.request.prompt_ids),
            reused_tokens=self.reused,
            prefilled_tokens=self.fed - self.reused,
            completion_tokens=len(self.token_ids),
            prefill_seconds=self.prefill_seconds,
            decode_seconds=self._last - self._first,
            first_token_seconds=self._first - self._submitted if started else 0.0,
            looked_up_tokens=self.looked_up,
            accepted_tokens=self.accepted,
        )
