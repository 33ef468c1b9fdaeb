"""A conversation: turns ↔ transcript ↔ state.

    turns ──────template──► pieces        the whole conversation as it should stand
                             │ walked along
    transcript             segments      text and the ids that were fed or drawn; the prefix that agrees keeps its ids,
                             │           and only the rest is tokenized
    snapshots              states        each the record of some ids; the deepest that is a prefix of these is gone on from
                             │
                           engine

Everything that can happen to a conversation (the next turn, undo, retry, another branch, another system prompt) is "make the
state equal this transcript", and nothing else. A lost snapshot costs a longer prefill, never a wrong answer. A reply keeps its
sampled ids. Its last one is not in the state yet: it is fed with the next turn, behind which the template closes this one.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modeling.errors import InvalidRequest, MemoryExceeded
from modeling.generation.answer import Saved
from modeling.generation.engine import Engine
from modeling.generation.snapshots import Snapshots
from modeling.messages import Finished, Message, Request, SamplingParams, Token
from modeling.text.chat import ChatFormat, Piece
from modeling.text.tokenizer import Tokenizer
from modeling.turns import Segment, Turn

Events = Generator[Token | Finished, None, None]
BUDGET = 1 << 30  # bytes of snapshots
_NOTHING = Segment("reply", "", ())
PREFACE = 32  # tokens of system prompt from which on its state is worth keeping


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


@dataclass(frozen=True, slots=True)
class _Draft:
    """A turn before its answer: the transcript up to where the model speaks, of which `kept` segments are the parent's.

    `preface` tokens of it stand before anything the user said. `begun` is the part of the reply that was there before.
    """

    parent: Turn | None
    system: str | None
    user: str
    kept: int
    target: list[Segment]
    preface: int = 0
    begun: Segment = _NOTHING

    @property
    def length(self) -> int:
        return sum(len(segment.ids) for segment in self.target)

    @property
    def ids(self) -> tuple[int, ...]:
        return _ids([*self.target, self.begun])


class Session:
    """One conversation on an engine, for one thread.

    It is a tree of `turns`, in the order in which they came about, and stands at `head` (None: at the beginning). `system` is
    the system prompt of the turns to come. `last_sync` tells what the latest turn cost, and why.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        format: ChatFormat,
        *,
        system: str | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        budget: int = BUDGET,
    ) -> None:
        """Keeps up to `budget` bytes of states behind turns, and the one behind the system prompt."""
        self.system = system
        self.turns: list[Turn] = []
        self.head: Turn | None = None
        self.last_sync = Sync()
        self.snapshots = Snapshots(budget)
        self._undone: list[Turn] = []
        self._engine = engine
        self._tokenizer = tokenizer
        self._format = format
        self.tools = tools

    # ---- what the user does ----

    def ask(self, text: str, sampling: SamplingParams) -> Events:
        """Say `text`; yields the answer as it is drawn. Nothing was said if it fails, or is stopped before its first token.

        Raises what `ChatFormat.render` and `Engine.generate` raise.
        """
        return self._answer(self._draft(self.head, text), sampling)

    def retry(self, sampling: SamplingParams) -> Events:
        """Draw the last answer anew, with other random numbers. Raises `InvalidRequest` if there is none."""
        last = self._last("there is no answer to draw again")
        tried = [turn.sampling.sample_index for turn in self.turns if (turn.parent, turn.user) == (last.parent, last.user)]
        return self._answer(self._draft(last.parent, last.user), replace(sampling, sample_index=max(tried) + 1))

    def edit(self, text: str, sampling: SamplingParams) -> Events:
        """Say `text` in place of the last question. Raises `InvalidRequest` if there is none."""
        return self._answer(self._draft(self._last("there is no question to change").parent, text), sampling)

    def go_on(self, sampling: SamplingParams) -> Events:
        """Let the last answer go on where it was stopped.

        Raises `InvalidRequest` if there is none, or the model itself had ended it.
        """
        last = self._last("there is no answer to continue")
        if isinstance(last.stop, int):
            raise InvalidRequest("the model had ended its answer", "ask it to go on, or draw the answer anew with /retry")
        *target, begun = last.transcript()
        self.last_sync = Sync(kept=len(_ids(target)) + len(begun.ids))
        return self._answer(_Draft(last.parent, last.system, last.user, last.kept, target, begun=begun), sampling)

    def undo(self, turns: int = 1) -> int:
        """Go back by `turns` turns; returns how many there were to take back."""
        taken = 0
        while taken < turns and self.head is not None:
            self._undone.append(self.head)
            self.head = self.head.parent
            taken += 1
        return taken

    def redo(self, turns: int = 1) -> int:
        """Bring back what was undone since the last answer; returns how many turns that were."""
        brought = 0
        while brought < turns and self._undone:
            self.head = self._undone.pop()
            brought += 1
        return brought

    def goto(self, turn: Turn | None) -> None:
        """Stand behind another turn of the tree (None: at the beginning), under the system prompt that it had."""
        self.head = turn
        self._undone.clear()
        if turn is not None:
            self.system = turn.system

    def restore(self, turns: Sequence[Turn], head: Turn | None) -> None:
        """Take over a conversation that was kept elsewhere: its turns in their order, and where it stood."""
        self.turns = list(turns)
        self.goto(head)

    def read_again(self) -> int:
        """Bring the state up to where the conversation stands, but for its last token; returns how many tokens were fed.

        Raises what `Engine.generate` raises.
        """
        prompt, saved = self.ids[:-1], list[Saved]()
        state = self.state
        if not prompt or (state is not None and state.length >= len(prompt)):
            return 0
        start = self.snapshots.deepest(prompt)
        fed = 0
        for event in self._events(Request(prompt, SamplingParams(max_tokens=0)), start, saved, 0):
            if isinstance(event, Finished):
                fed = event.stats.prefilled_tokens
        for state in saved:
            if state.length:
                self.snapshots.add(prompt, state)
        return fed

    @property
    def messages(self) -> list[Message]:
        """What was said up to where the conversation stands, without the system prompt."""
        return self.head.messages() if self.head is not None else []

    @property
    def transcript(self) -> list[Segment]:
        """All segments up to where the conversation stands."""
        return self.head.transcript() if self.head is not None else []

    @property
    def ids(self) -> tuple[int, ...]:
        """All ids of the transcript, as they were fed or drawn."""
        return _ids(self.transcript)

    @property
    def state(self) -> Saved | None:
        """The deepest state there is of this transcript: of all of it but the last id, or, after an interrupt, of all."""
        return self.snapshots.deepest(self.ids, left=0)

    @property
    def template(self) -> str:
        """The source of the chat template."""
        return self._format.template

    def close(self) -> None:
        """End the template's process. The session can go on: another is started when it is needed."""
        self._format.close()

    # ---- a turn ----

    def _last(self, what: str) -> Turn:
        if self.head is None:
            raise InvalidRequest(what, "say something first")
        return self.head

    def _draft(self, parent: Turn | None, user: str) -> _Draft:
        """The transcript up to where the model answers `user`; of the parent's, what agrees with the template keeps its ids."""
        said = [*(parent.messages() if parent is not None else []), Message("user", user)]
        whole = said if self.system is None else [Message("system", self.system), *said]
        pieces = self._format.render(whole, tools=self.tools, add_generation_prompt=True)
        before = parent.transcript() if parent is not None else []
        kept, rest = agree(before, pieces)
        target = kept + self._format.encode(rest)
        preface = 0
        if not kept:
            first = next((place for place, piece in enumerate(pieces) if piece.message_index == len(whole) - len(said)), 0)
            preface = len(_ids(target[:first]))
        length = len(_ids(kept))
        self.last_sync = Sync(length, len(_ids(before)) - length, added="".join(piece.text for piece in rest))
        return _Draft(parent, self.system, user, len(kept), target, preface)

    def _answer(self, draft: _Draft, sampling: SamplingParams) -> Events:
        """Bring the state up to the draft, and let the model speak. Its turn is the new head as soon as it has ended."""
        ids = draft.ids
        start = self.snapshots.deepest(ids)
        self.last_sync = replace(self.last_sync, reused=start.length if start is not None else 0)
        saved: list[Saved] = []
        shown = [draft.begun.text]
        for event in self._events(Request(ids, sampling), start, saved, draft.preface):
            shown.append(event.text)
            if isinstance(event, Finished):
                self._keep(draft, sampling, event, "".join(shown), saved)
            yield event

    def _events(self, request: Request, start: Saved | None, saved: list[Saved], preface: int) -> Events:
        """The engine's events. If memory runs out before the first, the states of other turns make room: they share pages."""
        marks = (preface,) if preface >= PREFACE and (start is None or start.length < preface) else ()
        begun = ended = False
        while not ended:
            try:
                for event in self._engine.generate(request, start=start, keep=saved.append, marks=marks):
                    begun = True
                    yield event
                ended = True
            except MemoryExceeded:
                if begun or not self.snapshots.forget_half(start):
                    raise
                saved.clear()

    def _keep(self, draft: _Draft, sampling: SamplingParams, end: Finished, text: str, saved: Sequence[Saved]) -> None:
        """Remember the turn, if anything was said, and the states that still are records of its transcript."""
        if end.token_ids:
            drawn = end.token_ids[:-1] if isinstance(end.stop, int) else end.token_ids
            reply, whole = self._reply(text, draft.begun.ids + drawn)
            segments = (*draft.target[draft.kept :], reply)
            place = (draft.parent, draft.system, draft.user, reply.text, draft.kept, segments)
            self.head = Turn(*place, end.reason, end.stop, sampling, end.stats, time.time())
            self.turns.append(self.head)
            self._undone.clear()
            ids, valid = _ids([*draft.target, reply]), draft.length + whole
        else:
            ids, valid = draft.ids, len(draft.ids)
        for state in saved:
            if 0 < state.length <= valid:
                self.snapshots.add(ids, state, pinned=state.length == draft.preface)

    def _reply(self, text: str, drawn: tuple[int, ...]) -> tuple[Segment, int]:
        """The reply as a segment, and how many of its ids are the drawn ones: all, unless a stop string cut the text."""
        whole = len(drawn)
        while not text.startswith(before := self._tokenizer.decode(drawn[:whole])):
            whole -= 1
        rest = self._tokenizer.encode_content(text[len(before) :]) if len(text) > len(before) else ()
        return Segment("reply", text, drawn[:whole] + rest), whole


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
    else:
        if rest:  # the last reply said nothing: the template goes on behind it
            kept += silent
    return kept, rest


def _begins(piece: Piece, segment: Segment) -> bool:
    if segment.kind == "template":
        return piece.kind == "template" and piece.text.startswith(segment.text)
    return piece.kind == "content" and piece.text == segment.text


def _ids(segments: Sequence[Segment]) -> tuple[int, ...]:
    return tuple(token_id for segment in segments for token_id in segment.ids)
