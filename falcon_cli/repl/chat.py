"""One chat: what the user says goes to the session, what the model says to stdout, everything else to stderr."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from falcon_cli import console, signals
from falcon_cli.thinking import Thinking
from modeling.errors import InvalidRequest
from modeling.messages import Finished, SamplingParams, Token

if TYPE_CHECKING:
    from modeling.api import OpenModel
    from modeling.generation.session import Session

SETTABLE = (
    "temperature top_k top_p min_p typical_p repetition_penalty presence_penalty frequency_penalty repeat_last_n seed "
    "max_tokens"
).split()
_ENDINGS = {"length": "stopped at --max-tokens", "interrupt": "stopped"}


@dataclass(slots=True)
class Manner:
    """What is shown beside the answers: a line of figures after each, what the model is given, what it thinks aloud."""

    stats: bool = False
    prompts: bool = False
    thoughts: bool = True


class Chat:
    """A session, how its answers are drawn and how they are shown."""

    def __init__(self, opened: OpenModel, session: Session, sampling: SamplingParams, manner: Manner | None = None) -> None:
        self.opened = opened
        self.session = session
        self.sampling = sampling
        self.manner = manner or Manner()
        self.leaving = False
        self.interrupted = False  # Ctrl-C ended the last answer
        self._last: Finished | None = None

    def ask(self, text: str) -> Finished:
        """Say `text` and stream the answer. Raises what `Session.ask` raises; then nothing was said."""
        return self._stream(self.session.ask(text, self.sampling))

    def retry(self) -> Finished:
        """Draw the last answer anew. Raises `InvalidRequest` if there is none."""
        return self._stream(self.session.retry(self.sampling))

    def set(self, name: str, value: str) -> None:
        """Change a sampling parameter. Raises `InvalidRequest` for an unknown name or a value out of range."""
        field = name.removeprefix("--").replace("-", "_")
        field = {"temp": "temperature", "repeat_penalty": "repetition_penalty"}.get(field, field)
        if field not in SETTABLE:
            from falcon_cli.settings import nearest

            raise InvalidRequest(f"there is no parameter {name!r}{nearest(field, SETTABLE)}", f"/set {' | '.join(SETTABLE)}")
        kind = int if field in ("top_k", "repeat_last_n", "seed", "max_tokens") else float
        try:
            number = kind(value)
        except ValueError:
            what = f"{value!r} is not a {'whole ' if kind is int else ''}number"
            raise InvalidRequest(what, f"for example: /set {field} {getattr(self.sampling, field)}") from None
        changed: Any = {field: None if field == "max_tokens" and number == -1 else number}
        self.sampling = replace(self.sampling, **changed)

    def figures(self) -> str:
        """What the last turn cost: tokens that were there, tokens read, tokens drawn, and how fast."""
        if self._last is None:
            return "no turn yet"
        stats, sync = self._last.stats, self.session.last_sync
        decoded = max(0, stats.completion_tokens - 1)
        parts = [
            f"reused {stats.reused_tokens}",
            f"prefilled {stats.prefilled_tokens} ({_rate(stats.prefilled_tokens, stats.prefill_seconds)})",
            f"generated {stats.completion_tokens} ({_rate(decoded, stats.decode_seconds)})",
        ]
        if stats.completion_tokens:
            parts.append(f"first token {stats.first_token_seconds * 1000:.0f} ms")
        if sync.dropped:
            parts.append(f"{sync.dropped} earlier tokens no longer hold")
        return " · ".join(parts)

    def _stream(self, events: Iterator[Token | Finished]) -> Finished:
        """Write the answer as it comes. The first Ctrl-C ends it within a token and keeps what there is."""
        from modeling.text.chat import opens_thinking

        added = self.session.last_sync.added
        if self.manner.prompts:
            console.note(added)
        thinking = Thinking(opened=opens_thinking(added))
        written = ""
        with signals.first_interrupt(self.opened.engine.cancel):
            for event in events:
                for kind, text in thinking.take(event):
                    if kind == "answer" or self.manner.thoughts:
                        console.write(text, "dim" if kind == "thought" else None)
                        written = text
                if isinstance(event, Finished):
                    self._last, self.interrupted = event, event.reason == "interrupt"
        if not written.endswith("\n"):
            console.write("\n")
        assert self._last is not None
        self._tell(self._last)
        return self._last

    def _tell(self, finished: Finished) -> None:
        """Why an answer ended early, and the figures if they are wanted."""
        if finished.reason == "interrupt" and not finished.token_ids:
            console.note("[cancelled: nothing was said]")
        elif ending := _ENDINGS.get(finished.reason):
            console.note(f"[{ending}]")
        if self.manner.stats:
            console.note(f"[{self.figures()}]")


def _rate(tokens: int, seconds: float) -> str:
    return f"{tokens / seconds:.1f} tok/s" if seconds > 0 and tokens else "–"
