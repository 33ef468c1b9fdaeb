"""One chat: what the user says goes to the session, what the model says to the reply, everything else to stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from signal import Signals
from typing import TYPE_CHECKING, Any

from falcon_cli import console, signals
from falcon_cli.demo import name_of
from falcon_cli.render import Reply
from falcon_cli.repl.keeper import Keeper
from falcon_cli.settings import nearest
from falcon_cli.thinking import Thinking
from modeling.errors import InvalidRequest, WriteFailed
from modeling.messages import Finished, SamplingParams, Token
from modeling.turns import Turn

if TYPE_CHECKING:
    from modeling.api import OpenModel
    from modeling.generation.session import Session

SETTABLE = (
    "temperature top_k top_p min_p typical_p repetition_penalty presence_penalty frequency_penalty repeat_last_n seed "
    "max_tokens"
).split()
_NOTHING_SAID = "[cancelled: nothing was said]"
_ENDINGS = {"length": "stopped at --max-tokens; /continue goes on", "interrupt": "stopped; /continue goes on"}


@dataclass(slots=True)
class Manner:
    """What is shown beside the answers: a line of figures after each, what the model is given, what it thinks aloud.

    `vi` and `multiline` are manners of typing: the keys of vi, and Enter for a new line.
    """

    stats: bool = False
    prompts: bool = False
    thoughts: bool = True
    vi: bool = False
    multiline: bool = False


class Chat:
    """A session, how its answers are drawn and shown, and who keeps it.

    `reply` makes what an answer is written with. `open` opens another model by its name, which goes on with the `template` that
    the user gave. `settle` takes away what tells of the progress of a turn. `draft` is a question that waits to be changed in
    the prompt.
    """

    def __init__(
        self,
        opened: OpenModel,
        session: Session,
        sampling: SamplingParams,
        keeper: Keeper,
        *,
        reply: Callable[[], Reply],
        open: Callable[[str], OpenModel] | None = None,
        template: str | None = None,
        settle: Callable[[], None] = lambda: None,
        manner: Manner | None = None,
    ) -> None:
        self.opened = opened
        self.session = session
        self.sampling = sampling
        self.keeper = keeper
        self.manner = manner or Manner()
        self.leaving = False
        self.interrupted = False  # Ctrl-C ended the last answer
        self.draft: str | None = None
        self.last: Finished | None = None
        self._reply = reply
        self._open = open
        self._template = template
        self._settle = settle

    # ---- answers ----

    def ask(self, text: str) -> None:
        """Say `text` and stream the answer. Raises what `Session.ask` raises; then nothing was said."""
        self._turn(lambda: self.session.ask(text, self.sampling))

    def retry(self) -> None:
        """Draw the last answer anew. Raises `InvalidRequest` if there is none."""
        self._turn(lambda: self.session.retry(self.sampling))

    def edit(self, text: str) -> None:
        """Say `text` in place of the last question. Raises `InvalidRequest` if there is none."""
        self._turn(lambda: self.session.edit(text, self.sampling))

    def go_on(self) -> None:
        """Let the last answer go on. Raises `InvalidRequest` if there is none, or the model had ended it."""
        self._turn(lambda: self.session.go_on(self.sampling))

    def _turn(self, begin: Callable[[], Iterator[Token | Finished]]) -> None:
        """A turn from its tokens to its place on the disk. Ctrl-C while a long text becomes tokens: nothing was said."""
        try:
            events = begin()
        except KeyboardInterrupt:
            signals.forget()
            self.interrupted = True
            console.note(_NOTHING_SAID)
            return
        self._stream(events)
        self.keeper.rested(self.opened, self.session)

    def _stream(self, events: Iterator[Token | Finished]) -> None:
        """Write the answer as it comes, and keep it. The first Ctrl-C ends it within a token and keeps what there is."""
        from modeling.text.chat import opens_thinking

        added = self.session.last_sync.added
        if self.manner.prompts:
            console.note(added)
        thinking, reply = Thinking(opened=opens_thinking(added)), self._reply()
        with signals.first_interrupt(self.opened.engine.cancel, *signals.ENDING, patience=1.0) as ending:
            try:
                for event in events:
                    if isinstance(event, Finished):
                        self.last, self.interrupted = event, event.reason == "interrupt"
                        self.keeper.answered(self.opened, self.session)
                    with _unseen(ending):
                        for kind, text in thinking.take(event):
                            if kind == "answer" or self.manner.thoughts:
                                reply.take(kind, text)
            finally:
                self._settle()
                with _unseen(ending):
                    reply.end()
        assert self.last is not None
        self._tell(self.last)

    def _tell(self, finished: Finished) -> None:
        """Why an answer ended early, and the figures if they are wanted."""
        if finished.reason == "interrupt" and not finished.token_ids:
            console.note(_NOTHING_SAID)
        elif not finished.token_ids:
            console.note("[max_tokens is 0: nothing was said]")
        elif ending := _ENDINGS.get(finished.reason):
            console.note(f"[{ending}]")
        if self.manner.stats:
            console.note(f"[{self.figures()}]")

    # ---- moves ----

    def moved(self) -> None:
        """The conversation stands elsewhere: whoever keeps it is told."""
        self.keeper.stands_at(self.session)

    def turn(self, number: str) -> Turn | None:
        """The turn of that number, or the branch of that name; None for 0, the beginning. Raises `InvalidRequest`."""
        turns = self.session.turns
        if number in self.keeper.branches:
            return self.keeper.branches[number]
        if number.isdecimal() and int(number) <= len(turns):
            return turns[int(number) - 1] if int(number) else None
        what = f"there is no turn {number}{nearest(number, self.keeper.branches)}"
        raise InvalidRequest(what, f"/tree shows the {len(turns)} turns there are" if turns else "nothing was said yet")

    def use(self, name: str) -> None:
        """Go on with another model. If it cannot be opened, the one that was there is opened again, and the error goes on.

        Ctrl-C brings the old one back, too: it costs the command and not the chat.
        """
        assert self._open is not None
        old, session = name_of(self.opened.info.name), self.session
        session.close()
        del self.opened, self.session  # two models at once may be more than memory holds
        try:
            self.opened = self._open(name)
        except signals.Terminated:
            raise
        except BaseException as error:  # Ctrl-C, too: a chat without a model is none
            signals.forget()
            with signals.ignored():
                self.opened = self._open(old)
            if not isinstance(error, KeyboardInterrupt):
                raise
            self.interrupted = True
            console.note("[stopped]")
        finally:
            if hasattr(self, "opened"):
                with signals.ignored():  # half a conversation would be worse than a Ctrl-C that is not heard
                    self._take_over(session)

    def _take_over(self, old: Session) -> None:
        """Let a session of the model at hand stand where the old one stood, by its texts."""
        self.session = self.opened.converse(self._template, tools=old.tools, budget=old.snapshots.budget)
        twins: dict[Turn, Turn] = {}
        for turn in old.turns:
            twins[turn] = turn.text_only(twins[turn.parent] if turn.parent is not None else None)
        self.session.restore(list(twins.values()), twins[old.head] if old.head is not None else None)
        self.session.system = old.system
        self.keeper.speaks_as(self.opened, self.session, twins)

    # ---- coming and leaving ----

    def resume(self) -> None:
        """Stand where the kept conversation stands, if there is one."""
        try:
            with signals.first_interrupt(self.opened.engine.cancel):
                how = self.keeper.resume(self.opened, self.session)
        finally:
            self._settle()
        if how is not None:
            console.note(f"[{how}]")

    def switch(self, keeper: Keeper) -> None:
        """Leave this conversation for the one that `keeper` keeps."""
        self.keeper.leave(self.opened, self.session)
        if self.keeper.name is None and self.session.turns:
            console.note("[the conversation before was not kept]")
        self.keeper = keeper
        self.session.restore([], None)
        if keeper.name is not None:
            self.session.system = None  # it has its own
        self.resume()

    def close(self) -> None:
        """Leave for good."""
        if not hasattr(self, "opened"):
            return  # a model was being exchanged for another, and neither could be had
        self.keeper.leave(self.opened, self.session)
        self.session.close()

    # ---- parameters and figures ----

    def set(self, name: str, value: str) -> None:
        """Change a sampling parameter. Raises `InvalidRequest` for an unknown name or a value out of range."""
        field = name.removeprefix("--").replace("-", "_")
        field = {"temp": "temperature", "repeat_penalty": "repetition_penalty"}.get(field, field)
        if field not in SETTABLE:
            raise InvalidRequest(f"there is no parameter {name!r}{nearest(field, SETTABLE)}", f"/set {' | '.join(SETTABLE)}")
        kind = int if field in ("top_k", "repeat_last_n", "seed", "max_tokens") else float
        try:
            number = kind(value)
        except ValueError:
            what = f"{value!r} is not a {'whole ' if kind is int else ''}number"
            value = getattr(self.sampling, field)
            raise InvalidRequest(what, f"for example: /set {field} {-1 if value is None else value}") from None
        changed: Any = {field: None if field == "max_tokens" and number == -1 else number}
        self.sampling = replace(self.sampling, **changed)

    def figures(self) -> str:
        """What the last turn cost: tokens that were there, tokens read, tokens drawn, and how fast."""
        if self.last is None:
            return "no turn yet"
        stats, sync = self.last.stats, self.session.last_sync
        parts = [
            f"reused {stats.reused_tokens}",
            f"prefilled {stats.prefilled_tokens} ({_rate(stats.prefilled_tokens, stats.prefill_seconds)})",
            f"generated {stats.completion_tokens} ({self.speed()})",
        ]
        if stats.completion_tokens:
            parts.append(f"first token {stats.first_token_seconds * 1000:.0f} ms")
        if sync.dropped:
            parts.append(f"{sync.dropped} earlier tokens no longer hold")
        return " · ".join(parts)

    def speed(self) -> str:
        """How fast the last answer was drawn. The first token comes out of the prefill."""
        if self.last is None:
            return "–"
        return _rate(max(0, self.last.stats.completion_tokens - 1), self.last.stats.decode_seconds)


def _unseen(ending: list[Signals]) -> AbstractContextManager[None]:
    """Who is told to end because the terminal has gone can show nothing more, but keeps what the model had said."""
    return suppress(WriteFailed) if ending else nullcontext()


def _rate(tokens: int, seconds: float) -> str:
    return f"{tokens / seconds:.1f} tok/s" if seconds > 0 and tokens else "–"
