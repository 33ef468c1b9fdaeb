"""Several answers to one prompt: texts one below the other, or one JSON document with all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from falcon_cli.exit import code_of
from falcon_cli.fence import first_block
from falcon_cli.forms import Gathered
from falcon_cli.output import Writer
from falcon_cli.report import Completion, Spelling, best_of, document, mean_logprob, sample
from falcon_cli.thinking import Thinking
from modeling.errors import FalconError
from modeling.messages import Finished, Request, Token

RULE = "---\n"


class Samples:
    """The texts of all samples when they have ended, in order, with a line of three dashes between them.

    Also what the other forms have in common.
    """

    def __init__(self, write: Writer, thinking: Sequence[Thinking], *, hides: bool) -> None:
        self.write = write
        self._texts = [Gathered(each, hides=hides) for each in thinking]

    def begin(self, model: str, request: Request) -> None:
        """The request is about to run."""

    def take(self, event: Token | Finished, place: int) -> None:
        """The next event of one of the samples."""
        self._texts[place].take(event)

    def end(self, completions: Sequence[Completion]) -> None:
        """All is known."""
        texts = [text.end(completion).text for text, completion in zip(self._texts, completions, strict=True)]
        self.write(RULE.join(text if text.endswith("\n") else f"{text}\n" for text in texts))

    def fail(self, error: FalconError) -> None:
        """The request went wrong; the error itself is told elsewhere."""


class SampleDocument(Samples):
    """One JSON document: that of the best sample, with all `samples` and which of them is the `best`."""

    def __init__(
        self,
        write: Writer,
        thinking: Sequence[Thinking],
        *,
        hides: bool,
        with_ids: bool,
        extracts: bool,
        spell: Spelling | None,
    ) -> None:
        super().__init__(write, thinking, hides=hides)
        self.with_ids = with_ids
        self.extracts = extracts
        self.spell = spell

    def end(self, completions: Sequence[Completion]) -> None:
        self.write(json.dumps(self._document(completions), ensure_ascii=False, indent=2) + "\n")

    def _document(self, completions: Sequence[Completion]) -> dict[str, Any]:
        done = [text.end(completion) for text, completion in zip(self._texts, completions, strict=True)]
        best = best_of([mean_logprob(each.drawn) for each in done])
        samples = [self._sample(place, each) for place, each in enumerate(done)]
        result = document(done[best], with_ids=self.with_ids, spell=self.spell)
        return (
            result | ({"extracted": samples[best]["extracted"]} if self.extracts else {}) | {"best": best, "samples": samples}
        )

    def _sample(self, place: int, completion: Completion) -> dict[str, Any]:
        found = {"index": place, **sample(completion, with_ids=self.with_ids, spell=self.spell)}
        return found | {"extracted": first_block(completion.text)} if self.extracts else found


class SampleLines(SampleDocument):
    """One JSON object a line: "start", "text" for each part of a `sample`, and "end" with the document, or "error"."""

    streamed = True

    def begin(self, model: str, request: Request) -> None:
        if self.streamed:
            self._line(
                {"event": "start", "model": model, "prompt_tokens": len(request.prompt_ids), "samples": len(self._texts)}
            )

    def take(self, event: Token | Finished, place: int) -> None:
        super().take(event, place)
        if self.streamed and (text := self._texts[place].fresh()):
            self._line({"event": "text", "sample": place, "text": text})

    def end(self, completions: Sequence[Completion]) -> None:
        self._line({"event": "end", **self._document(completions)})

    def fail(self, error: FalconError) -> None:
        self._line({"event": "error", "message": str(error), "hint": error.hint, "exit_code": int(code_of(error))})

    def _line(self, content: dict[str, Any]) -> None:
        self.write(json.dumps(content, ensure_ascii=False) + "\n")
