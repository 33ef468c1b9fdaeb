"""From the words of a user to the ids that a model reads: through its chat template, or as they stand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from falcon_cli import console
from falcon_cli.options import TemplateOptions
from falcon_cli.prompt import read_file
from falcon_cli.thinking import CLOSE, OPEN
from modeling.errors import InvalidRequest
from modeling.messages import Message

if TYPE_CHECKING:
    from modeling.api import OpenModel

Mode = Literal["auto", "chat", "raw"]


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
    tools: Sequence[Mapping[str, Any]] | None = None
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
        """What the model is given to answer `text`.

        Raises `InvalidRequest` for an empty text, and what `ChatFormat` raises: no template, or one that refuses or fails.
        """
        if not text:
            raise InvalidRequest("the prompt is empty", "give at least one character")
        if self.mode == "raw" or (self.mode == "auto" and opened.tokenizer.chat_template is None and self.template is None):
            return Prompt(opened.encode(text), text)
        return self._rendered(opened, text)

    def _rendered(self, opened: OpenModel, text: str) -> Prompt:
        from modeling.text.chat import ChatFormat, Piece, opens_thinking

        messages = [] if self.system is None else [Message("system", self.system)]
        format = ChatFormat.of(opened.tokenizer, self.template)
        try:
            messages.append(Message("user", text))
            pieces = format.render(messages, tools=self.tools, add_generation_prompt=True)
            if self.tools and pieces == format.render(messages, add_generation_prompt=True):
                console.notice("this chat template does not tell the model about tools, so --tools changes nothing")
        finally:
            format.close()
        inside = bool(pieces) and pieces[-1].kind == "template" and opens_thinking(pieces[-1].text)
        thinking = (inside or self.prefill.lstrip().startswith(OPEN)) and CLOSE not in self.prefill
        if self.prefill:
            pieces.append(Piece("content", self.prefill))
        ids = tuple(token_id for segment in format.encode(pieces) for token_id in segment.ids)
        shown = "".join(piece.text for piece in pieces)
        return Prompt(ids, shown, thinking)


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
