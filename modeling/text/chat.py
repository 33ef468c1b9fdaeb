"""A conversation as the model was trained to read it: the checkpoint's chat template, cut into pieces of known origin.

    messages ── render ──► Piece, Piece, …        what the template wrote, what people wrote
             ── encode ──► Segment, Segment, …    the same with ids

The template's pieces are encoded with special tokens recognised, contents by themselves with all added tokens off: nothing that
anybody types becomes structure. The ids equal those of transformers' `apply_chat_template(tokenize=True)`, which encodes the
whole text at once, wherever no token would reach over the border of a content. At a border with a special token (ChatML's
`<|im_end|>`) none can. Elsewhere it depends on the pre-tokenizer: after `<|im_start|>user` and a line break, a byte-level one
without prefix space begins a new word at the content's first letter, but merges that line break with further white space at the
content's edge; and a template that writes "[INST] " with a space before a content keeps the space for itself, where
transformers would have made it part of the first word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from modeling.errors import InvalidRequest
from modeling.messages import Message
from modeling.text.provenance import TEMPLATE
from modeling.text.renderer import Renderer
from modeling.text.tokenizer import Tokenizer
from modeling.turns import Segment


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of rendered text of one origin.

    `message_index` is the message that a content comes from; None for the template's own text, and for content of no single
    message (the descriptions of tools, numbers that the template computes).
    """

    kind: Literal["template", "content"]
    text: str
    message_index: int | None = None


class ChatFormat:
    """A tokenizer and a chat template. Holds a small process for the template (see `renderer`): `close` it when done.

    The template's clock stands still at `now` (default: when the format is made): a date in a system prompt that moved on
    would change the beginning of the conversation, and with it everything that the model has already read.

    Raises `BadModelFile` for a template that is too long; its other faults show at the first `render`.
    """

    def __init__(self, tokenizer: Tokenizer, template: str, *, now: datetime | None = None) -> None:
        self.template = template
        self._tokenizer = tokenizer
        self._renderer = Renderer(template, (now or datetime.now()).isoformat())

    @classmethod
    def of(cls, tokenizer: Tokenizer, template: str | None = None, *, now: datetime | None = None) -> ChatFormat:
        """The format with the given template, or else the checkpoint's own. Raises `InvalidRequest` if there is neither."""
        source = template if template is not None else tokenizer.chat_template
        if source is None:
            hint = "pass one with --chat-template, or let `falcon generate --raw` continue plain text"
            raise InvalidRequest("this model has no chat template", hint)
        return cls(tokenizer, source, now=now)

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool,
        options: Mapping[str, Any] | None = None,
    ) -> list[Piece]:
        """The whole conversation, in pieces: their texts, joined, are what transformers' `apply_chat_template` renders.

        `tools` are JSON objects for the template; `options` further variables (`enable_thinking`, …). Texts in both count as
        content, except that a template may compare them and choose its own words.

        Raises `InvalidRequest` for an empty conversation, one that the template refuses, or tools that are not JSON;
        `BadModelFile` for a template with an error, or one that asks for more time, memory, output or rights than it gets.
        """
        if not messages:
            raise InvalidRequest("the conversation has no message", "begin with a message of the user")
        conversation = {
            "messages": [_fields(message) for message in messages],
            "tools": list(tools) if tools is not None else None,
            "tokens": self._tokenizer.named_tokens,
            "options": dict(options or {}),
            "add_generation_prompt": add_generation_prompt,
        }
        return [_piece(text, source) for text, source in self._renderer.render(conversation)]

    def encode(self, pieces: Sequence[Piece]) -> list[Segment]:
        """Each piece with its ids, which depend on nothing but that piece."""
        return [self.encode_piece(piece) for piece in pieces]

    def encode_piece(self, piece: Piece) -> Segment:
        """The template's text with special tokens recognised, content without. Raises as `Tokenizer.encode_content`."""
        encode = self._tokenizer.encode_literal if piece.kind == "template" else self._tokenizer.encode_content
        return Segment(piece.kind, piece.text, encode(piece.text))

    def close(self) -> None:
        """End the template's process. A later render starts another."""
        self._renderer.close()


def read_template(argument: str) -> str:
    """The template that `--chat-template` names: a file, or the source itself.

    Raises `InvalidRequest` for a file that is not there or cannot be read.
    """
    if "{{" in argument or "{%" in argument:
        return argument
    try:
        return Path(argument).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        hint = "name a file, or write the template itself: it holds {{ … }} or {% … %}"
        raise InvalidRequest(f"the chat template {argument[:200]!r} cannot be read: {reason}", hint) from None


_THINK_AT_END = re.compile(r"<think>\s*\Z")


def opens_thinking(generation_prompt: str) -> bool:
    """Whether a reply to this generation prompt begins inside a thought."""
    return _THINK_AT_END.search(generation_prompt) is not None


def _fields(message: Message) -> dict[str, Any]:
    """The message as templates know it, without what it lacks."""
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.name is not None:
        fields["name"] = message.name
    if message.tool_calls:
        fields["tool_calls"] = [dict(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    return fields


def _piece(text: str, source: int) -> Piece:
    if source == TEMPLATE:
        return Piece("template", text)
    return Piece("content", text, source if source >= 0 else None)
