"""A model that needs no torch: `modeling.api` in a few lines, for tests of the face.

It repeats the prompt in capitals, one character per token, then ends. Some prompts make it misbehave:
"slow …" waits before each token, "forever …" never ends, "forever told …" also says on stderr when it is under way,
"fail:NAME …" fails with the error of that name while it answers, "raise:NAME …" is a fault in the program itself. The model
"error:NAME" fails to open.
As a program, `python fake_model.py ARGUMENTS` is `falcon ARGUMENTS` with this model.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import modeling
from modeling import errors
from modeling.messages import (
    Failed,
    Finished,
    ModelInfo,
    ModelSpec,
    Progress,
    ProgressSink,
    Request,
    SamplingParams,
    Stats,
    Token,
)

STOP_ID = 0


class Engine:
    """Answers all that was submitted in turns, a token each; `slots` at once. Sample n says the prompt n + 1 times."""

    def __init__(self, slots: int) -> None:
        self.runner = SimpleNamespace(slots=slots)
        self.request: Request | None = None
        self.most = 0  # live at once
        self._live: dict[int, Iterator[Token | Finished | Failed]] = {}
        self._cancelled: set[int] = set()
        self._next = 7

    def submit_samples(
        self,
        request: Request,
        count: int,
        *,
        start: Any = None,
        keep: Callable[[Any], None] | None = None,
        marks: tuple[int, ...] = (),
    ) -> tuple[int, ...]:
        self.request = request
        positions = POSITIONS
        if positions is not None and len(request.prompt_ids) >= positions:
            raise errors.ContextExceeded(f"{len(request.prompt_ids)} tokens exceed the {positions} positions", "shorten it")
        if keep is not None:
            for mark in marks:
                keep(SimpleNamespace(length=mark))
        ids = tuple(range(self._next, self._next + count))
        self._next += count
        for index, request_id in enumerate(ids):
            reused = 0 if start is None else start.length
            self._live[request_id] = self._answer(request, request_id, index, reused)
        self.most = max(self.most, len(self._live))
        return ids

    def submit(self, request: Request, *, keep: Callable[[Any], None] | None = None) -> int:
        (request_id,) = self.submit_samples(request, 1)
        if keep is not None:
            keep(SimpleNamespace(length=len(request.prompt_ids)))
        return request_id

    def cancel(self, request_id: int | None = None) -> None:
        self._cancelled.update([*self._live] if request_id is None else [request_id])

    def run(self) -> Iterator[tuple[int, Token | Finished | Failed]]:
        while self._live:
            for request_id in [*self._live][: self.runner.slots]:
                event = next(self._live[request_id])
                if not isinstance(event, Token):
                    del self._live[request_id]
                yield request_id, event

    def _answer(self, request: Request, request_id: int, index: int, reused: int) -> Iterator[Token | Finished | Failed]:
        prompt = "".join(map(chr, request.prompt_ids))
        if prompt.startswith("fail:"):
            yield Failed(getattr(errors, prompt[5:].split()[0])("it failed", "try again"))
            return
        if prompt.startswith("raise:"):
            raise getattr(builtins, prompt[6:].split()[0])("a fault")
        done: list[int] = []
        answer = prompt.upper() * (1 + index) + (request.sampling.stop[0] if request.sampling.stop else "")
        reason, stop = "stop", STOP_ID
        for sign in self._endless(answer) if prompt.startswith("forever") else answer:
            if prompt.startswith(("slow", "forever")):
                time.sleep(0.02)
            if request_id in self._cancelled:
                reason, stop = "interrupt", None
                break
            if request.sampling.max_tokens is not None and len(done) >= request.sampling.max_tokens:
                reason, stop = "length", None
                break
            done.append(ord(sign))
            if prompt.startswith("forever told") and len(done) == 20:
                print("answering", file=sys.stderr, flush=True)
            logprob = None if request.sampling.logprobs is None else -1.0 / (1 + index)
            yield Token(ord(sign), sign, logprob, ((ord("x"), -3.0),) * (request.sampling.logprobs or 0))
        ids = (*done, STOP_ID) if reason == "stop" else tuple(done)
        stats = Stats(len(prompt), reused, len(prompt) - reused, len(ids), 0.5, 0.25, 0.5)
        yield Finished(reason, stats, "", stop, ids)  # type: ignore[arg-type]

    @staticmethod
    def _endless(text: str) -> Iterator[str]:
        while True:
            yield from text


class Tokenizer:
    """A character is its code point; so is a special token."""

    named_tokens: ClassVar[dict[str, str]] = {}

    @property
    def chat_template(self) -> str | None:
        return TEMPLATE

    def encode_literal(self, text: str) -> tuple[int, ...]:
        return tuple(map(ord, text))

    encode_content = encode_literal


class OpenModel:
    def __init__(self, spec: ModelSpec, slots: int | None) -> None:
        self.tokenizer = Tokenizer()
        self.spec = spec
        self.info = ModelInfo(spec.name, "fake", None, "float32", "cpu", "torch", None, 10, 4096, 1024, None, NOTICES)
        self.defaults = DEFAULTS
        self.engine = Engine(slots or 4)

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(map(ord, text))

    def spell(self, id: int) -> tuple[str, bytes]:
        return chr(id), chr(id).encode()

    def save_prompt(self, path: Path, ids: tuple[int, ...], state: Any, template: str | None) -> None:
        path.write_text(json.dumps([self.info.name, template, ids[: state.length]]))

    def load_prompt(self, path: Path, template: str | None) -> tuple[tuple[int, ...], Any]:
        name, made, ids = json.loads(path.read_text())
        if (name, made) != (self.info.name, template):
            raise errors.StateRefused("the state was made by another model", "make it anew")
        return tuple(ids), SimpleNamespace(length=len(ids))


TEMPLATE: str | None = None
POSITIONS: int | None = None
NOTICES: tuple[str, ...] = ()
DEFAULTS = SamplingParams(temperature=0.0, top_k=50)
OPENED: list[OpenModel] = []


def open_model(
    spec: ModelSpec, *, slots: int | None = 1, speculate: int = 0, progress: ProgressSink | None = None
) -> OpenModel:
    if spec.name.startswith("error:"):
        raise getattr(errors, spec.name[6:])("it cannot be opened", "try another")
    if spec.name.startswith("loading"):
        print("loading", file=sys.stderr, flush=True)
        time.sleep(30)
    if spec.name == "swallowing":  # as importing torch does now and then
        with contextlib.suppress(BaseException):
            print("loading", file=sys.stderr, flush=True)
            time.sleep(30)
    if progress is not None:
        progress(Progress("load", 0, 4096))
        progress(Progress("load", 4096, 4096))
    OPENED.append(OpenModel(spec, slots))
    return OPENED[-1]


def install() -> ModuleType:
    """Put this in the place of `modeling.api`."""
    api: Any = ModuleType("modeling.api")
    api.open_model = open_model
    sys.modules["modeling.api"] = modeling.api = api  # type: ignore[attr-defined]
    return api


if __name__ == "__main__":
    install()
    from falcon_cli.app import main

    os.environ.setdefault("FALCON_MODEL", "fake")
    main()
