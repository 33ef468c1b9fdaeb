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
import os
import sys
import time
from collections.abc import Iterator
from types import ModuleType
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
    def __init__(self) -> None:
        self.request: Request | None = None
        self.cancelled = False

    def submit(self, request: Request) -> int:
        self.request = request
        return 7

    def cancel(self, request_id: int) -> None:
        assert request_id == 7
        self.cancelled = True

    def run(self) -> Iterator[tuple[int, Token | Finished | Failed]]:
        assert self.request is not None
        request, prompt = self.request, "".join(map(chr, self.request.prompt_ids))
        if prompt.startswith("fail:"):
            yield 7, Failed(getattr(errors, prompt[5:].split()[0])("it failed", "try again"))
            return
        if prompt.startswith("raise:"):
            raise getattr(builtins, prompt[6:].split()[0])("a fault")
        done: list[int] = []
        answer = prompt.upper() + (request.sampling.stop[0] if request.sampling.stop else "")
        reason, stop = "stop", STOP_ID
        for sign in self._endless(answer) if prompt.startswith("forever") else answer:
            if prompt.startswith(("slow", "forever")):
                time.sleep(0.02)
            if self.cancelled:
                reason, stop = "interrupt", None
                break
            if request.sampling.max_tokens is not None and len(done) >= request.sampling.max_tokens:
                reason, stop = "length", None
                break
            done.append(ord(sign))
            if prompt.startswith("forever told") and len(done) == 20:
                print("answering", file=sys.stderr, flush=True)
            yield 7, Token(ord(sign), sign)
        ids = (*done, STOP_ID) if reason == "stop" else tuple(done)
        stats = Stats(len(prompt), 0, len(prompt), len(ids), 0.5, 0.25, 0.5)
        yield 7, Finished(reason, stats, "", stop, ids)  # type: ignore[arg-type]

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
    def __init__(self, spec: ModelSpec) -> None:
        self.tokenizer = Tokenizer()
        self.spec = spec
        self.info = ModelInfo(spec.name, "fake", None, "float32", "cpu", "torch", None, 10, 4096, 1024, None, NOTICES)
        self.defaults = DEFAULTS
        self.engine = Engine()

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(map(ord, text))


TEMPLATE: str | None = None
NOTICES: tuple[str, ...] = ()
DEFAULTS = SamplingParams(temperature=0.0, top_k=50)
OPENED: list[OpenModel] = []


def open_model(spec: ModelSpec, *, progress: ProgressSink | None = None) -> OpenModel:
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
    OPENED.append(OpenModel(spec))
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
