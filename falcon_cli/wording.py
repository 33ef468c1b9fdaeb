"""From the words of a user to the ids that a model reads: through its chat template, or as they stand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from falcon_cli import console
from falcon_cli.options import TemplateOptions
from falcon_cli.prompt import read_file
from falcon_cli.thinking import CLOSE, OPEN
from modeling.errors import InvalidRequest, StateRefused
from modeling.messages import Message

if TYPE_CHECKING:
    from modeling.api import OpenModel
    from modeling.text.chat import ChatFormat, Piece

Mode = Literal["auto", "chat", "raw"]
Tools = Sequence[Mapping[str, Any]]
_DOCUMENT = "the kept document"  # stands for it where a prompt behind it is made; it goes nowhere


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is given: the ids, the text that they stand for, and whether the answer begins inside a thought."""

    ids: tuple[int, ...]
    text: str
    thinking: bool = False


@dataclass(frozen=True, slots=True)
class Wording:
    """How the words of a user are put to a model; made before the model is opened, so that a mistake shows at once.

    `mode` "auto" takes the template if the model has one. `prefill` is the beginning of the answer.
    """

    mode: Mode = "auto"
    system: str | None = None
    template: str | None = None
    tools: Tools | None = None
    prefill: str = ""

    @classmethod
    def of(cls, options: TemplateOptions, *, mode: Mode = "auto", prefill: str | None = None) -> Wording:
        """Reads the files that the options name. Raises `InvalidRequest` for what cannot be read or goes with no template."""
        given = (*options.given, *(("--prefill-response",) if prefill is not None else ()))
        if mode == "raw" and given:
            raise InvalidRequest(f"--raw feeds the text as it is, so {given[0]} has no place", "leave out one of the two")
        if options.system is not None and options.system_file is not None:
            raise InvalidRequest("the system prompt is given twice, with --system and --system-file", "give one of the two")
        system = options.system
        if options.system_file is not None:
            system = read_file(options.system_file).removesuffix("\n").removesuffix("\r")
        template = None
        if options.chat_template is not None:
            from modeling.text.chat import read_template

            template = read_template(options.chat_template)
        tools = read_tools(options.tools) if options.tools is not None else None
        return cls("chat" if given else mode, system, template, tools, prefill or "")

    def prompt(self, opened: OpenModel, text: str) -> Prompt:
        """What the model is given to answer `text`: `Phrasing.of_text` for a single prompt."""
        with Phrasing(self, opened) as phrasing:
            return phrasing.of_text(text)


class Phrasing:
    """A wording for one open model, for any number of prompts. Holds the template's process: use it in a `with` block.

    A prompt may begin with a document whose state is kept. It is then encoded by itself, so that its ids do not depend on the
    words behind it; `split` tells how many ids that are, and `behind` makes the prompts that go on where it ends.

    All raise `InvalidRequest` for an empty prompt, and what `ChatFormat` raises: no template, or one that refuses or fails.
    """

    def __init__(self, wording: Wording, opened: OpenModel) -> None:
        self._wording = wording
        self._opened = opened
        self._format: ChatFormat | None = None
        self._saw_tools = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._format is not None:
            self._format.close()

    @property
    def raw(self) -> bool:
        """Whether text is fed as it stands."""
        wording = self._wording
        if wording.mode != "auto":
            return wording.mode == "raw"
        return self._opened.tokenizer.chat_template is None and wording.template is None

    @property
    def template(self) -> str | None:
        """The source of the template that is used, None for raw text: part of what a kept state belongs to."""
        return None if self.raw else self._chat().template

    def of_text(self, text: str, tools: Tools | None = None, *, raw: bool = False) -> Prompt:
        """The prompt that asks `text`. `raw` feeds it as it stands, whatever the mode."""
        if not text:
            raise InvalidRequest("the prompt is empty", "give at least one character")
        if raw or self.raw:
            return Prompt(self._opened.encode(text), text)
        return self.of_messages([Message("user", text)], tools)

    def of_messages(self, messages: Sequence[Message], tools: Tools | None = None) -> Prompt:
        """The prompt that answers the last of `messages`, which are put to the model by its template, even in raw mode.

        The system prompt goes before them, unless they bring their own. `tools` take the place of those of the wording.
        """
        return self._joined(self._pieces(messages, tools))

    def split(self, document: str, text: str) -> tuple[Prompt, int]:
        """The prompt that asks `text` about `document`, and how many of its ids are those of all that stands up to its end."""
        said = f"{document}\n\n{text}" if text else document
        if not document:
            raise InvalidRequest("the document is empty", "give at least one character")
        if self.raw:
            ids = self._opened.encode(document)
            rest = self._opened.tokenizer.encode_literal(said[len(document) :]) if text else ()
            return Prompt(ids + rest, said), len(ids)
        pieces = self._pieces([Message("user", said)])
        place = _content(pieces, document)
        piece = pieces[place]
        pieces[place : place + 1] = [replace(piece, text=part) for part in (document, piece.text[len(document) :]) if part]
        return self._joined(pieces), len(self._ids(pieces[: place + 1]))

    def behind(self, ids: tuple[int, ...], asked: str | Sequence[Message], tools: Tools | None = None) -> Prompt:
        """The prompt that asks behind a document whose `ids`, as `split` counts them, are all that is known of it.

        Raises `StateRefused` if what stands before the document is not what is said there now.
        """
        if self.raw:
            if not isinstance(asked, str):
                raise InvalidRequest("the kept state was read without a template, and messages need one", "give a prompt")
            return Prompt(ids + self._opened.tokenizer.encode_literal(f"\n\n{asked}"), asked)
        messages = [Message("user", asked)] if isinstance(asked, str) else list(asked)
        first = next((place for place, message in enumerate(messages) if message.role == "user"), None)
        if first is None:
            raise InvalidRequest("no message is a user's, and the kept document stands in the first of those", "add one")
        messages[first] = replace(messages[first], content=f"{_DOCUMENT}\n\n{messages[first].content}")
        pieces = self._pieces(messages, tools)
        place = _content(pieces, _DOCUMENT)
        head = self._ids(pieces[:place])
        if ids[: len(head)] != head:
            where = next((n for n, (kept, now) in enumerate(zip(ids, head, strict=False)) if kept != now), len(ids))
            raise StateRefused(
                f"what stands before the document differs from the kept state at token {where}",
                "give the system prompt and the tools that it was made with, or make it anew with falcon cache-prompt",
            )
        pieces[place] = replace(pieces[place], text=pieces[place].text[len(_DOCUMENT) :])
        rest = self._joined(pieces[place:])
        return Prompt(ids + rest.ids, rest.text, rest.thinking)

    def _chat(self) -> ChatFormat:
        from modeling.text.chat import ChatFormat

        if self._format is None:
            self._format = ChatFormat.of(self._opened.tokenizer, self._wording.template)
        return self._format

    def _pieces(self, messages: Sequence[Message], tools: Tools | None = None) -> list[Piece]:
        """The template's pieces, and the beginning of the answer."""
        from modeling.text.chat import Piece

        wording, whole = self._wording, list(messages)
        if wording.system is not None and not (whole and whole[0].role == "system"):
            whole.insert(0, Message("system", wording.system))
        tools = wording.tools if tools is None else tools
        pieces = self._chat().render(whole, tools=tools, add_generation_prompt=True)
        if tools and not self._saw_tools:
            self._saw_tools = True  # to look once is enough for a file of prompts
            if pieces == self._chat().render(whole, add_generation_prompt=True):
                console.notice("this chat template does not tell the model about tools, so they change nothing")
        return [*pieces, Piece("content", wording.prefill)] if wording.prefill else pieces

    def _joined(self, pieces: Sequence[Piece]) -> Prompt:
        from modeling.text.chat import opens_thinking

        prefill = self._wording.prefill
        last = pieces[-2] if prefill and len(pieces) > 1 else pieces[-1] if pieces else None
        inside = last is not None and last.kind == "template" and opens_thinking(last.text)
        thinking = (inside or prefill.lstrip().startswith(OPEN)) and CLOSE not in prefill
        return Prompt(self._ids(pieces), "".join(piece.text for piece in pieces), thinking)

    def _ids(self, pieces: Sequence[Piece]) -> tuple[int, ...]:
        return tuple(token_id for segment in self._chat().encode(pieces) for token_id in segment.ids)


def _content(pieces: Sequence[Piece], text: str) -> int:
    """The piece that begins with `text`, which somebody said."""
    for place, piece in enumerate(pieces):
        if piece.kind == "content" and piece.message_index is not None and piece.text.startswith(text):
            return place
    raise InvalidRequest("this chat template rewrites what is said, so a part of it cannot be kept", "use --raw")


def read_tools(path: Path) -> list[dict[str, Any]]:
    """The tools in a file: a JSON list of objects. Raises `InvalidRequest`."""
    try:
        tools = json.loads(read_file(path))
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"--tools {path} is not JSON: {error}", _TOOLS) from None
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise InvalidRequest(f"--tools {path} holds no list of objects", _TOOLS)
    return tools


_TOOLS = 'write a list such as [{"type": "function", "function": {"name": "weather", "parameters": {}}}]'
