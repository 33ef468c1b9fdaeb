"""Renders a chat template in a process of its own, and ends that process when it takes too long or too much.

The process is started when the renderer is made (60 ms, beside the loading of a model) and kept: a render takes about a
millisecond. It knows no environment variable and imports from three folders only; `sandbox` says what else it gives up.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NoReturn

import psutil

from modeling.errors import BadModelFile, FalconError, InvalidRequest

SOURCE_CHARACTERS = 256 * 1024  # of a template; the longest in use have 20,000
OUTPUT_CHARACTERS = 2**20  # that a render may add to twice the size of what it is given
RENDER_SECONDS = 1.25  # for compiling and rendering: with the end of the process, a bad template costs less than 2
START_SECONDS = 30.0  # for an interpreter to start on a busy machine
RESIDENT_BYTES = 280 * 2**20  # watched from outside where the system has no limit of its own
HINT = "pass another template with --chat-template, or no template with --raw"

_FOLDERS = ("modeling", "jinja2", "markupsafe")  # what the process imports, besides the standard library
_PROGRAM = "import sys, json; sys.path += json.loads(sys.argv[1]); from modeling.text.sandbox import serve; serve()"
_FORBIDDEN = 77  # `sandbox.FORBIDDEN`, which only the process itself may import
_WORDS = {
    "syntax": "has a syntax error",
    "failed": "failed",
    "memory": "needs too much memory",
    "length": "writes far more than the conversation holds",
}


class Renderer:
    """One chat template, compiled in a process of its own. `close` ends the process, as does garbage collection.

    `source` is jinja; `now` an ISO date and time, the template's clock. Raises `BadModelFile` if the source is too long.
    """

    def __init__(self, source: str, now: str) -> None:
        if len(source) > SOURCE_CHARACTERS:
            raise BadModelFile(f"the chat template has {len(source):,} characters, more than {SOURCE_CHARACTERS:,}", HINT)
        self._first = {"source": source, "now": now}
        self._process: _Process | None = _Process()
        self._compiled = False

    def render(self, conversation: Mapping[str, Any]) -> list[tuple[str, int]]:
        """What the template makes of a conversation (JSON data), as (text, source) pairs: see `provenance`.

        Raises `InvalidRequest` with the template's own words if it refuses the conversation, or if that is not JSON;
        `BadModelFile` if the template has an error, or asks for more time, memory, output or rights than it gets.
        """
        try:
            size = len(json.dumps(conversation))
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(f"the conversation or its tools cannot be written as JSON: {error}") from None
        try:
            answer = self._ask({**conversation, "limit": 2 * size + OUTPUT_CHARACTERS})
        except InvalidRequest:  # a refusal leaves the process whole
            raise
        except BaseException:  # an interrupt, too, would leave an answer in the pipe
            self.close()
            raise
        return [(text, source) for text, source in answer["pieces"]]

    def close(self) -> None:
        """End the process. A later render starts another."""
        if self._process is not None:
            self._process.end()
        self._process, self._compiled = None, False

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if self._process is None:
            self._process = _Process()
        if not self._compiled:
            self._process.answer(time.monotonic() + START_SECONDS)  # that it is ready
        deadline = time.monotonic() + RENDER_SECONDS
        if not self._compiled:
            self._process.ask(self._first, deadline)
            self._compiled = True
        return self._process.ask(request, deadline)


class _Process:
    """The process, and the thread that reads its answers: pipes have no deadline on every system, queues have."""

    def __init__(self) -> None:
        options: dict[str, Any] = {"start_new_session": True}  # the terminal's Ctrl-C is for the parent
        if os.name == "nt":
            options = {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-c", _PROGRAM, json.dumps(_folders())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(sys.executable).anchor,
            env={name: value for name, value in os.environ.items() if name.upper() == "SYSTEMROOT"},  # Windows needs it
            **options,
        )
        self._answers: SimpleQueue[bytes] = SimpleQueue()
        reader = Thread(target=_read, args=(self._child.stdout, self._answers), daemon=True, name="chat template")
        reader.start()
        self.end = weakref.finalize(self, _end, self._child, reader)

    def ask(self, request: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """Send one line and wait for the answer. The caller ends the process after any error but `InvalidRequest`."""
        with contextlib.suppress(OSError):  # a process that is gone says so by an empty answer
            assert self._child.stdin is not None
            self._child.stdin.write(json.dumps(request).encode("ascii") + b"\n")
            self._child.stdin.flush()
        answer = self.answer(deadline)
        if "failure" in answer:
            _refuse(answer)
        return answer

    def answer(self, deadline: float) -> dict[str, Any]:
        """The next line that the process writes before `deadline`, on the monotonic clock."""
        while True:
            with contextlib.suppress(Empty):
                return self._decode(self._answers.get(timeout=0.02))
            if time.monotonic() > deadline:
                raise BadModelFile("the chat template runs for too long", HINT)
            if _resident(self._child.pid) > RESIDENT_BYTES:
                raise BadModelFile("the chat template needs too much memory", HINT)

    def _decode(self, line: bytes) -> dict[str, Any]:
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        if self._child.wait() == _FORBIDDEN:
            raise BadModelFile("the chat template reaches for files, modules or processes", HINT)
        raise BadModelFile("the chat template brought its interpreter down", HINT)


def _read(stream: Any, answers: SimpleQueue[bytes]) -> None:
    for line in iter(stream.readline, b""):
        answers.put(line)
    answers.put(b"")


def _end(child: subprocess.Popen[bytes], reader: Thread) -> None:
    child.kill()
    child.wait()
    reader.join()
    for stream in (child.stdin, child.stdout):
        with contextlib.suppress(OSError):  # what was not sent is lost on purpose
            if stream is not None:
                stream.close()


def _resident(pid: int) -> int:
    try:
        size: int = psutil.Process(pid).memory_info().rss
    except psutil.Error:  # gone: its last answer is on the way
        return 0
    return size


def _folders() -> list[str]:
    origins = (spec.origin for name in _FOLDERS if (spec := find_spec(name)) is not None)
    return [str(Path(origin).resolve().parents[1]) for origin in origins if origin is not None]


def _refuse(answer: Mapping[str, Any]) -> NoReturn:
    """The error that a failure of the process stands for."""
    kind, words, line = answer["failure"], printable(answer["words"]), answer["line"]
    if kind == "refused":
        raise InvalidRequest(f"the chat template refuses this conversation: {words}", HINT)
    where = "" if line is None else f" in line {int(line)}"
    detail = f": {words}" if kind in ("syntax", "failed") else ""
    error: FalconError = BadModelFile(f"the chat template {_WORDS[kind]}{where}{detail}", HINT)
    raise error


def printable(words: object) -> str:
    """Foreign words for a message of ours: one line of at most 200 printable characters."""
    line = "".join(sign if sign.isprintable() else " " for sign in str(words))
    return " ".join(line.split())[:200]
