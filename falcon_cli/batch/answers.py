"""The answer to a row as a line: in falcon's own shape, or in that of OpenAI's batches for rows that came in theirs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from falcon_cli.batch.rows import BadRow, Row
from falcon_cli.fence import first_block
from falcon_cli.report import Completion, Spelling, best_of, logprobs, mean_logprob, sample
from modeling.errors import FalconError
from modeling.messages import Token

_HALF = re.compile("[\ud800-\udfff]")


def answer(
    row: Row, completions: Sequence[Completion], *, with_ids: bool, extracts: bool, spell: Spelling | None
) -> dict[str, Any]:
    """What a row's samples came to. `spell` is there if log-probabilities were asked for."""
    if row.shape != "row":
        return _openai(row, completions, spell)
    means = [mean_logprob(completion.drawn) for completion in completions]
    best = best_of(means) if len(completions) > 1 else 0
    samples = [_sample(completion, with_ids=with_ids, extracts=extracts, spell=spell) for completion in completions]
    first = completions[0]
    stats = first.finished.stats
    result = {
        "id": row.id,
        **samples[best],
        "prompt_tokens": stats.prompt_tokens,
        "reused_tokens": stats.reused_tokens,
        "seed": first.sampling.seed if first.sampling.temperature > 0 else None,
    }
    if with_ids:
        result["prompt_ids"] = list(first.prompt_ids)
    if len(completions) > 1:
        result |= {"best": best, "samples": [{"index": place, **each} for place, each in enumerate(samples)]}
    return result


def refusal(row: Row | BadRow, error: FalconError) -> dict[str, Any]:
    """Why a row has no answer."""
    told = {"code": type(error).__name__, "message": str(error), "hint": error.hint}
    if row.shape == "row":
        return {"id": row.id, "error": told}
    return {"id": _request_id(row), "custom_id": row.id, "response": None, "error": told}


def line(fields: dict[str, Any]) -> str:
    """Fields as one line. Half a character, as JSON's escapes can write it, is no UTF-8: it stays an escape, or the id of a row
    could not be found again."""
    text = json.dumps(fields, ensure_ascii=False)
    return json.dumps(fields) if _HALF.search(text) else text


def _sample(completion: Completion, *, with_ids: bool, extracts: bool, spell: Spelling | None) -> dict[str, Any]:
    found = sample(completion, with_ids=with_ids, spell=spell)
    return found | {"extracted": first_block(completion.text)} if extracts else found


def _openai(row: Row, completions: Sequence[Completion], spell: Spelling | None) -> dict[str, Any]:
    """A line of the output file of an OpenAI batch."""
    first = completions[0]
    request, stats = _request_id(row), first.finished.stats
    written = sum(completion.finished.stats.completion_tokens for completion in completions)
    body = {
        "id": f"{'chatcmpl' if row.shape == 'chat.completion' else 'cmpl'}-{request.rpartition('_')[2]}",
        "object": row.shape,
        "created": int(time.time()),
        "model": first.model,
        "choices": [_choice(row, place, completion, spell) for place, completion in enumerate(completions)],
        "usage": {
            "prompt_tokens": stats.prompt_tokens,
            "completion_tokens": written,
            "total_tokens": stats.prompt_tokens + written,
            "prompt_tokens_details": {"cached_tokens": stats.reused_tokens},
        },
    }
    response = {"status_code": 200, "request_id": request, "body": body}
    return {"id": request, "custom_id": row.id, "response": response, "error": None}


def _choice(row: Row, place: int, completion: Completion, spell: Spelling | None) -> dict[str, Any]:
    finished = completion.finished
    drawn = completion.drawn[:-1] if isinstance(finished.stop, int) else completion.drawn  # the end is no content there
    found: dict[str, Any] = {"index": place, "finish_reason": finished.reason}
    if row.shape == "chat.completion":
        message: dict[str, Any] = {"role": "assistant", "content": completion.text}
        if completion.thinking is not None:
            message["reasoning_content"] = completion.thinking
        return found | {"message": message, "logprobs": None if spell is None else logprobs(drawn, spell)}
    return found | {"text": completion.text, "logprobs": None if spell is None else _completion_logprobs(drawn, spell)}


def _completion_logprobs(drawn: Sequence[Token], spell: Spelling) -> dict[str, Any]:
    """As completions have them: columns."""
    return {
        "tokens": [spell(token.id)[0] for token in drawn],
        "token_logprobs": [token.logprob for token in drawn],
        "top_logprobs": [{spell(id)[0]: logprob for id, logprob in token.alternatives} for token in drawn],
    }


def _request_id(row: Row | BadRow) -> str:
    """The same for the same row."""
    return "batch_req_" + blake2b(json.dumps(row.id).encode(), digest_size=12).hexdigest()
