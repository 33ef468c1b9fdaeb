"""The forms that an answer is written in: text, one fenced block, a JSON document, JSON lines."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from falcon_cli import console
from falcon_cli.exit import code_of
from falcon_cli.fence import first_block
from falcon_cli.output import Writer
from falcon_cli.report import Completion, Spelling, document
from falcon_cli.thinking import CLOSE, OPEN, Kind, Thinking
from modeling.errors import FalconError
from modeling.messages import Finished, Request, Token


class Text:
    """The text as it is made, or at the end if not `streamed`; it ends with a newline. Thoughts are dim where colours are.

    Also what the other forms have in common: an answer is told with `begin`, `take` for each event, and `end` or `fail`.
    """

    def __init__(self, write: Writer, thinking: Thinking, *, hides: bool, streamed: bool = True) -> None:
        self.write = write
        self._thinking = thinking
        self._hides = hides
        self._streamed = streamed
        self._parts: list[tuple[Kind, str]] = []
        self._hidden = ""
        self._drawn: list[Token] = []

    def begin(self, model: str, request: Request) -> None:
        """The request is about to run."""

    def take(self, event: Token | Finished) -> None:
        """The next event of the engine."""
        if isinstance(event, Token) and event.logprob is not None:
            self._drawn.append(event)
        for kind, text in self._thinking.take(event):
            self._sorted(kind, text)

    def end(self, completion: Completion) -> Completion:
        """All is known; returns the completion with its text."""
        if not self._streamed:
            for kind, text in self._parts:
                self._show(kind, text)
        if not self._parts or not self._parts[-1][1].endswith("\n"):
            self.write("\n")
        return self._completed(completion)

    def fail(self, error: FalconError) -> None:
        """The request went wrong; the error itself is told elsewhere."""

    def _sorted(self, kind: Kind, text: str) -> None:
        if text and not (self._hides and kind == "thought"):
            self._parts.append((kind, text))
            if self._streamed:
                self._show(kind, text)
        elif text:
            self._hidden += text

    def _show(self, kind: Kind, text: str) -> None:
        self.write(text, "dim" if kind == "thought" else None)

    def _completed(self, completion: Completion) -> Completion:
        thought = self._hidden.strip().removeprefix(OPEN).removesuffix(CLOSE).strip()
        text = "".join(text for _, text in self._parts)
        return replace(completion, text=text, thinking=thought if self._hides else None, drawn=tuple(self._drawn))


class Block(Text):
    """The content of the first fenced block, nothing else. An answer without one is shown on stderr, so that it is not lost."""

    def __init__(self, write: Writer, thinking: Thinking, *, hides: bool) -> None:
        super().__init__(write, thinking, hides=hides, streamed=False)

    def end(self, completion: Completion) -> Completion:
        """Raises `FalconError` if there is no block, unless the answer was interrupted."""
        completion = self._completed(completion)
        block = first_block(completion.text)
        if block is None:
            console.note(completion.text)
            if completion.finished.reason == "interrupt":
                return completion
            raise FalconError("the answer has no fenced block", "what the model wrote instead stands above")
        self.write(block if block.endswith("\n") or not block else f"{block}\n")
        return completion


class Document(Text):
    """One JSON document, when all is known; with log-probabilities if there is a way to `spell` tokens."""

    def __init__(
        self, write: Writer, thinking: Thinking, *, hides: bool, with_ids: bool, extracts: bool, spell: Spelling | None
    ) -> None:
        super().__init__(write, thinking, hides=hides, streamed=False)
        self.with_ids = with_ids
        self.extracts = extracts
        self.spell = spell

    def end(self, completion: Completion) -> Completion:
        completion = self._completed(completion)
        self.write(json.dumps(self._document(completion), ensure_ascii=False, indent=2) + "\n")
        return completion

    def _document(self, completion: Completion) -> dict[str, Any]:
        result = document(completion, with_ids=self.with_ids, spell=self.spell)
        return result | {"extracted": first_block(completion.text)} if self.extracts else result


class Lines(Document):
    """One JSON object a line: {"event": "start"}, "text" for each part of it, and "end" with the document, or "error"."""

    def __init__(
        self,
        write: Writer,
        thinking: Thinking,
        *,
        hides: bool,
        with_ids: bool,
        extracts: bool,
        spell: Spelling | None,
        streamed: bool,
    ) -> None:
        super().__init__(write, thinking, hides=hides, with_ids=with_ids, extracts=extracts, spell=spell)
        self._streamed = streamed

    def begin(self, model: str, request: Request) -> None:
        if self._streamed:
            self._line({"event": "start", "model": model, "prompt_tokens": len(request.prompt_ids)})

    def end(self, completion: Completion) -> Completion:
        completion = self._completed(completion)
        self._line({"event": "end", **self._document(completion)})
        return completion

    def fail(self, error: FalconError) -> None:
        self._line({"event": "error", "message": str(error), "hint": error.hint, "exit_code": int(code_of(error))})

    def _show(self, kind: Kind, text: str) -> None:
        self._line({"event": "text", "kind": kind, "text": text})

    def _line(self, content: dict[str, Any]) -> None:
        self.write(json.dumps(content, ensure_ascii=False) + "\n")


class Gathered(Text):
    """A text that is written nowhere yet."""

    def __init__(self, thinking: Thinking, *, hides: bool) -> None:
        super().__init__(lambda text, style=None: None, thinking, hides=hides, streamed=False)
        self._told = 0

    def fresh(self) -> str:
        """What has come since the last call."""
        new = self._parts[self._told :]
        self._told = len(self._parts)
        return "".join(text for _, text in new)
