"""What a line of a file of prompts asks for: plain text, falcon's own JSON row, or OpenAI's batch row."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

from falcon_cli.demand import MOST_SAMPLES
from modeling.errors import FalconError, InvalidRequest
from modeling.messages import Constraint, Message

Shape = Literal["row", "chat.completion", "text_completion"]
RowId = str | int

_WHOLE = {name: name for name in ("top_k", "repeat_last_n", "seed", "max_tokens")}
_WHOLE |= dict.fromkeys(("max_new_tokens", "max_completion_tokens", "n_predict"), "max_tokens")
_REAL = {
    name: name for name in "temperature top_p min_p typical_p presence_penalty frequency_penalty repetition_penalty".split()
}
_REAL |= {"repeat_penalty": "repetition_penalty"}
_MOST = sys.float_info.max
LONGEST = 64 << 20  # bytes of a line
_COUNT = {"n": "n", "num_samples": "n"}
_KNOWN = (*_WHOLE, *_REAL, *_COUNT, "stop", "ignore_eos", "logprobs", "top_logprobs", "tools", "messages", "prompt", "id")
_KNOWN += ("response_format", "json_schema", "regex")
_UNFOLLOWED = (
    "logit_bias",
    "tool_choice",
    "functions",
    "function_call",
    "audio",
    "best_of",
    "suffix",
    "echo",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt: `asked` is a text or a conversation; `raw` feeds the text as it stands. `options` are fields of
    `SamplingOptions` that the row sets for itself, `samples`, `logprobs` and `constraint` what it wants of answers (None: as
    for all)."""

    number: int
    id: RowId
    shape: Shape = "row"
    asked: str | tuple[Message, ...] = ""
    raw: bool = False
    tools: tuple[Mapping[str, Any], ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    samples: int | None = None
    logprobs: int | None = None
    constraint: Constraint | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be answered, and why."""

    number: int
    id: RowId
    shape: Shape
    error: FalconError


def parse(line: bytes, number: int, *, plain: bool) -> Row | BadRow:
    """The row in line `number` (from 1), whose number is its id if it has none of its own."""
    row_id: RowId = number
    shape: Shape = "row"
    try:
        if len(line) > LONGEST:
            raise InvalidRequest(f"the line is longer than {LONGEST >> 20} MiB", "write a row in each line")
        text = _text(line)
        if plain:
            return Row(number, number, asked=text)
        fields = _object(text)
        if "custom_id" in fields or "body" in fields:
            body = fields.get("body")
            shape = "text_completion" if isinstance(body, dict) and "messages" not in body else "chat.completion"
            row_id = _id(fields.get("custom_id", number))
            if not isinstance(body, dict):
                raise InvalidRequest("the row has no body", 'write {"custom_id": …, "body": {"messages": […]}}')
            return _row(body, number, row_id, shape)
        row_id = _id(fields.get("id", number))
        return _row(fields, number, row_id, shape)
    except FalconError as error:
        return BadRow(number, row_id, shape, error)


def row_id_of(fields: Mapping[str, Any]) -> RowId | None:
    """The id in a row of the output; None if it is no such row, but one of the input, for example."""
    answered = "error" in fields or "text" in fields
    found = fields.get("custom_id", fields.get("id"))
    return found if answered and isinstance(found, str | int) else None


def _row(fields: Mapping[str, Any], number: int, row_id: RowId, shape: Shape) -> Row:
    _refuse(fields, shape)
    if ("prompt" in fields) == ("messages" in fields):
        raise InvalidRequest("the row has not one of prompt and messages", 'write {"id": …, "prompt": "…"}')
    options: dict[str, Any] = {}
    for names, convert in ((_WHOLE, _whole), (_REAL, _real)):
        options |= {names[name]: convert(name, fields[name]) for name in names if fields.get(name) is not None}
    if fields.get("stop") is not None:
        options["stop"] = _stop(fields["stop"])
    if fields.get("ignore_eos") is not None:
        options["ignore_eos"] = _flag("ignore_eos", fields["ignore_eos"])
    if "temperature" in options:
        options["greedy"] = False
    counts = [_whole(name, fields[name]) for name in _COUNT if fields.get(name) is not None]
    if any(not 1 <= count <= MOST_SAMPLES for count in counts):
        raise InvalidRequest(f"n is outside 1 … {MOST_SAMPLES}")
    asked: str | tuple[Message, ...]
    if "messages" in fields:
        asked = _messages(fields["messages"])
    elif isinstance(fields["prompt"], str):
        asked = fields["prompt"]
    else:
        raise InvalidRequest("the prompt is no text", "write a prompt as a string, and several in a row each")
    raw = shape == "text_completion"
    count = counts[0] if counts else None
    return Row(number, row_id, shape, asked, raw, _tools(fields), options, count, _logprobs(fields), _constraint(fields))


def _refuse(fields: Mapping[str, Any], shape: Shape) -> None:
    """Raises `InvalidRequest` for fields that are misspelt, or would change the answer and are not followed."""
    for name, value in fields.items():
        if name in _KNOWN:
            continue
        idle = value in (None, False, {}, [], "", "auto", "none") or (name == "best_of" and value == (fields.get("n") or 1))
        if shape != "row" and name in _UNFOLLOWED and not idle:
            raise InvalidRequest(f"falcon does not follow {name}", "leave it out")
        if near := get_close_matches(name, _KNOWN, n=1, cutoff=0.85):
            raise InvalidRequest(f"the row has a field {name!r}", f"did you mean {near[0]!r}?")
    if fields.get("stream"):
        raise InvalidRequest("the row asks for a stream", "leave stream out: rows are written when they have ended")


def _text(line: bytes) -> str:
    try:
        return line.decode().removeprefix("\ufeff").rstrip("\r\n")
    except UnicodeDecodeError as error:
        what = f"the line is not UTF-8 text: byte 0x{line[error.start]:02x} at offset {error.start}"
        raise InvalidRequest(what, "convert it first, for example: iconv -f latin1 -t utf-8") from None


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except RecursionError:
        raise InvalidRequest("the line is nested too deeply") from None
    except ValueError as error:
        raise InvalidRequest(f"the line is not JSON: {error}", 'write {"id": …, "prompt": "…"}') from None
    if not isinstance(found, dict):
        raise InvalidRequest("the line is no JSON object", 'write {"id": …, "prompt": "…"}')
    return found


def _id(value: Any) -> RowId:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidRequest("the id is neither a text nor a whole number")
    return value


def _whole(name: str, value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest(f"{name} is {json.dumps(value)[:40]}, not a whole number")
    return value


def _real(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_MOST <= value <= _MOST:
        raise InvalidRequest(f"{name} is {json.dumps(value)[:40]}, not a number")
    return float(value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name} is {json.dumps(value)[:40]}, neither true nor false")
    return value


def _stop(value: Any) -> list[str]:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise InvalidRequest("stop is neither a text nor a list of texts")
    return stops


def _logprobs(fields: Mapping[str, Any]) -> int | None:
    """As completions ask for them (a number), or as chats do (a flag, and `top_logprobs` beside it)."""
    wanted = fields.get("logprobs")
    if wanted is None or wanted is False:
        if fields.get("top_logprobs"):
            raise InvalidRequest("top_logprobs has no place without logprobs", 'add "logprobs": true')
        return None
    if wanted is True:
        return _whole("top_logprobs", fields.get("top_logprobs") or 0)
    return _whole("logprobs", wanted)


def _constraint(fields: Mapping[str, Any]) -> Constraint | None:
    """The form of the answer: as OpenAI has it, in `response_format`, or a `json_schema` or `regex` of the row's own."""
    named = [name for name in ("response_format", "json_schema", "regex") if fields.get(name) is not None]
    if not named:
        return None
    if len(named) > 1:
        raise InvalidRequest(f"{named[0]} and {named[1]} contradict each other", "give one of the two")
    value = fields[named[0]]
    if named[0] == "regex":
        if not isinstance(value, str):
            raise InvalidRequest("regex is no text", 'write {"regex": "…"}')
        return Constraint("regex", value)
    if named[0] == "json_schema":
        return _schema(value)
    return _response_format(value)


def _response_format(value: Any) -> Constraint | None:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return Constraint("json_schema", '{"type": "object"}')
    outer = value.get("json_schema") if kind == "json_schema" else None
    if not isinstance(outer, dict) or "schema" not in outer:
        raise InvalidRequest(
            "falcon does not follow this response_format",
            'write {"type": "json_schema", "json_schema": {"name": "…", "schema": {…}}} or {"type": "json_object"}',
        )
    return _schema(outer["schema"])


def _schema(value: Any) -> Constraint:
    if not isinstance(value, dict | bool):
        raise InvalidRequest("the JSON schema is no object", 'write it as it is, without quotes around it: {"type": …}')
    return Constraint("json_schema", json.dumps(value))


def _tools(fields: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...] | None:
    tools = fields.get("tools")
    if tools is None:
        return None
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise InvalidRequest("tools is no list of objects")
    return tuple(tools)


def _messages(value: Any) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(message, dict) for message in value):
        raise InvalidRequest("messages is no list of messages", 'write [{"role": "user", "content": "…"}]')
    return tuple(_message(message) for message in value)


def _message(fields: Mapping[str, Any]) -> Message:
    content = fields.get("content")
    if isinstance(content, list):  # parts, as OpenAI has them
        if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
            raise InvalidRequest("a message has parts that are no text", "falcon reads text only")
        content = "".join(part["text"] for part in content)
    if content is None and fields.get("tool_calls"):
        content = ""
    if not isinstance(content, str):
        raise InvalidRequest("a message has no content", 'write {"role": "user", "content": "…"}')
    role = "system" if fields.get("role") == "developer" else fields.get("role")
    name, calls, answered = fields.get("name"), fields.get("tool_calls") or [], fields.get("tool_call_id")
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise InvalidRequest("tool_calls is no list of objects")
    return Message(role, content, name if isinstance(name, str) else None, tuple(calls), answered)  # type: ignore[arg-type]
