"""A conversation: messages ↔ transcript ↔ state.

    messages ──template──► pieces        the whole conversation as it should stand
                             │ walked along
    transcript             segments      text and the ids that were fed or drawn; the prefix that agrees keeps its ids,
                             │           and only the rest is tokenized
    states                 snapshots     each the record of a prefix of these ids; the deepest that still holds is gone on from
                             │
                           engine

Everything that can happen to a conversation (the next turn, undo, retry, another system prompt) is "make the state equal this
transcript", and nothing else. A lost or outdated snapshot costs a longer prefill, never a wrong answer. A reply keeps its
sampled ids. Its last one is not in the state yet: it is fed with the next turn, behind which the template closes this one.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modeling.errors import InvalidRequest, MemoryExceeded
from modeling.generation.answer import Saved
from modeling.generation.engine import Engine
from modeling.messages import Finished, Message, Request, SamplingParams, Token
from modeling.text.chat import ChatFormat, Piece, Segment
from modeling.text.tokenizer import Tokenizer

Events = Generator[Token | Finished, None, None]


@dataclass(frozen=True, slots=True)
class Sync:
    """What it took to bring the state up to the transcript of a turn, in tokens.

    `kept` of the transcript agreed with what the template now writes, `dropped` did not; the state of `reused` was there.
    `added` is the text that is new, as the template wrote it, up to where the model speaks.
    """

    kept: int = 0
    dropped: int = 0
    reused: int = 0
    added: str = ""


class Session:
    """One conversation on an engine, for one thread.

    `messages` is the truth; everything else follows from it. `last_sync` tells what the latest turn cost, and why.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        format: ChatFormat,
        *,
        system: str | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        snapshots: int = 32,
    ) -> None:
        """Keeps the states after the latest `snapshots` turns."""
        self.messages: list[Message] = []
        self.system = system
        self.last_sync = Sync()
        self._engine = engine
        self._tokenizer = tokenizer
        self._format = format
        self._tools = tools
        self._transcript: list[Segment] = []
        self._states: list[Saved] = []  # records of prefixes of the transcript's ids, the shortest first
        self._most_states = snapshots
        self._attempts = 0  # how often the last answer has been drawn anew

    # ---- what the user does ----

    def ask(self, text: str, sampling: SamplingParams) -> Events:
        """Say `text`; yields the answer as it is drawn. Nothing was said if it fails, or is stopped before its first token.

        Raises what `ChatFormat.render` and `Engine.generate` raise.
        """
        return self._turn([*self.messages, Message("user", text)], sampling, attempts=0)

    def retry(self, sampling: SamplingParams) -> Events:
        """Draw the last answer anew, with other random numbers. The old one stays if this fails.

        Raises `InvalidRequest` if there is none.
        """
        if not self.messages:
            raise InvalidRequest("there is no answer to draw again", "say something first")
        attempts = self._attempts + 1
        return self._turn(self.messages[:-1], replace(sampling, sample_index=attempts), attempts)

    def undo(self, turns: int = 1) -> int:
        """Take back the last `turns` turns; returns how many there were to take back."""
        taken = min(turns, len(self.messages) // 2)
        del self.messages[len(self.messages) - 2 * taken :]
        self._attempts = 0
        return taken

    @property
    def template(self) -> str:
        """The source of the chat template."""
        return self._format.template

    def close(self) -> None:
        """End the template's process. The session can go on: another is started when it is needed."""
        self._format.close()

    @property
    def ids(self) -> tuple[int, ...]:
        """All ids of the transcript, as they were fed or drawn."""
        return _ids(self._transcript)

    @property
    def state_tokens(self) -> int:
        """How many tokens the latest state is the record of."""
        return self._states[-1].length if self._states else 0

    # ---- a turn ----

    def _turn(self, messages: list[Message], sampling: SamplingParams, attempts: int) -> Events:
        """Bring the state up to `messages`, and let the model speak."""
        target = self._synchronize(messages)
        return self._answer(messages, target, sampling, attempts)

    def _synchronize(self, messages: Sequence[Message]) -> list[Segment]:
        """The transcript of `messages` up to where the model speaks; of the old one, what agrees keeps its ids."""
        whole = messages if self.system is None else [Message("system", self.system), *messages]
        pieces = self._format.render(whole, tools=self._tools, add_generation_prompt=True)
        kept, rest = agree(self._transcript, pieces)
        length = len(_ids(kept))
        self.last_sync = Sync(length, len(self.ids) - length, added="".join(piece.text for piece in rest))
        return kept + self._format.encode(rest)

    def _answer(self, messages: list[Message], target: list[Segment], sampling: SamplingParams, attempts: int) -> Events:
        ids = _ids(target)
        states = [state for state in self._states if state.length <= self.last_sync.kept]
        usable = [state for state in states if state.length < len(ids)]
        start = usable[-1] if usable else None
        self.last_sync = replace(self.last_sync, reused=start.length if start else 0)
        saved: list[Saved] = []
        shown: list[str] = []
        for event in self._events(Request(ids, sampling), start, saved):
            shown.append(event.text)
            if isinstance(event, Finished) and event.token_ids:
                drawn = event.token_ids[:-1] if isinstance(event.stop, int) else event.token_ids
                reply, whole = self._reply("".join(shown), drawn)
                self.messages = [*messages, Message("assistant", reply.text)]
                self._transcript = [*target, reply]
                self._attempts = attempts
                self._remember(states, [state for state in saved if state.length <= len(ids) + whole])
            yield event

    def _events(self, request: Request, start: Saved | None, saved: list[Saved]) -> Events:
        """The engine's events. If memory runs out before the first, the states of other turns make room."""
        begun = False
        try:
            for event in self._engine.generate(request, start=start, keep=saved.append):
                begun = True
                yield event
        except MemoryExceeded:
            if begun or not self._states or self._states == [start]:
                raise
            self._states = [] if start is None else [start]
            saved.clear()
            yield from self._engine.generate(request, start=start, keep=saved.append)

    def _reply(self, text: str, drawn: tuple[int, ...]) -> tuple[Segment, int]:
        """The reply as a segment, and how many of its ids are the drawn ones: all, unless a stop string cut the text."""
        whole = len(drawn)
        while not text.startswith(before := self._tokenizer.decode(drawn[:whole])):
            whole -= 1
        rest = self._tokenizer.encode_content(text[len(before) :]) if len(text) > len(before) else ()
        return Segment("reply", text, drawn[:whole] + rest), whole

    def _remember(self, states: list[Saved], latest: list[Saved]) -> None:
        """Keep the newest states, and the oldest: it is behind the system prompt and the first question."""
        self._states = states + latest
        if len(self._states) > self._most_states:
            self._states = self._states[:1] + self._states[len(self._states) - self._most_states + 1 :]


def agree(transcript: Sequence[Segment], pieces: Sequence[Piece]) -> tuple[list[Segment], list[Piece]]:
    """The segments that the pieces begin with, and what of the pieces is left.

    Contents agree as a whole or not at all: their ids were made from all of their text. The template's text may have been cut
    at other places.
    """
    kept: list[Segment] = []
    rest = list(pieces)
    silent: list[Segment] = []  # replies without text: they agree if what follows them does
    for segment in transcript:
        if not segment.text:
            silent.append(segment)
            continue
        if not rest or not _begins(rest[0], segment):
            break
        kept += [*silent, segment]
        silent.clear()
        piece = rest.pop(0)
        if left := piece.text[len(segment.text) :]:
            rest.insert(0, replace(piece, text=left))
    return kept, rest


def _begins(piece: Piece, segment: Segment) -> bool:
    if segment.kind == "template":
        return piece.kind == "template" and piece.text.startswith(segment.text)
    return piece.kind == "content" and piece.text == segment.text


def _ids(segments: Sequence[Segment]) -> tuple[int, ...]:
    return tuple(token_id for segment in segments for token_id in segment.ids)
