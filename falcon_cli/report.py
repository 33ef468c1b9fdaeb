"""One finished completion, as a JSON document for programs or as a block of statistics for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from modeling.messages import Finished, ModelInfo, SamplingParams, Stats, Token
from modeling.peak import peak_bytes

Spelling = Callable[[int], tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Completion:
    """Everything known when a completion has ended. `load_seconds` covers imports and weights; `drawn` are its tokens, where
    log-probabilities were asked for."""

    model: str
    info: ModelInfo
    sampling: SamplingParams
    prompt_ids: tuple[int, ...]
    text: str
    finished: Finished
    load_seconds: float
    total_seconds: float
    thinking: str | None = None  # what --hide-thinking left out of `text`
    drawn: tuple[Token, ...] = ()


def mean_logprob(drawn: Sequence[Token]) -> float | None:
    """The mean log-probability of the tokens drawn, by which samples are compared."""
    found = [token.logprob for token in drawn if token.logprob is not None]
    return round(sum(found) / len(found), 6) if found else None


def best_of(means: Sequence[float | None]) -> int:
    """The sample with the highest mean log-probability; the first of equals."""
    return max(range(len(means)), key=lambda place: float("-inf") if (mean := means[place]) is None else mean)


def logprobs(drawn: Sequence[Token], spell: Spelling) -> dict[str, Any]:
    """The log-probabilities of tokens and of their alternatives, in the shape that OpenAI's chat completions have; with ids."""

    def entry(id: int, logprob: float | None) -> dict[str, Any]:
        text, raw = spell(id)
        return {"id": id, "token": text, "logprob": logprob and round(logprob, 6), "bytes": list(raw)}

    return {
        "content": [
            entry(token.id, token.logprob) | {"top_logprobs": [entry(*other) for other in token.alternatives]}
            for token in drawn
        ]
    }


def sample(completion: Completion, *, with_ids: bool = False, spell: Spelling | None = None) -> dict[str, Any]:
    """What differs between the samples of a prompt; with log-probabilities if there is a way to `spell` tokens."""
    finished = completion.finished
    result: dict[str, Any] = {
        "text": completion.text,
        "finish_reason": finished.reason,
        "stop": finished.stop,
        "completion_tokens": finished.stats.completion_tokens,
    }
    if completion.thinking is not None:
        result["thinking"] = completion.thinking
    if (mean := mean_logprob(completion.drawn)) is not None:
        result["mean_logprob"] = mean
    if spell is not None:
        result["logprobs"] = logprobs(completion.drawn, spell)
    if with_ids:
        result["completion_ids"] = list(finished.token_ids)
    return result


def document(completion: Completion, *, with_ids: bool = False, spell: Spelling | None = None) -> dict[str, Any]:
    """The JSON document of `falcon generate --json`. Timings in milliseconds and tokens per second (names of llama-server);
    memory in bytes; `seed` is null where nothing is drawn. `completion_ids` are all sampled ids, a stop id included.
    """
    info, sampling, finished = completion.info, completion.sampling, completion.finished
    stats = finished.stats
    drafted = {"draft_n": stats.looked_up_tokens, "draft_n_accepted": stats.accepted_tokens} if stats.looked_up_tokens else {}
    result: dict[str, Any] = {
        "model": completion.model,
        "revision": info.revision,
        "kernels": info.kernels,
        "device": info.device,
        "dtype": info.dtype,
        "quantization": info.quantization,
        "prompt_tokens": stats.prompt_tokens,
        "reused_tokens": stats.reused_tokens,
        **sample(completion, with_ids=with_ids, spell=spell),
        "seed": sampling.seed if sampling.temperature > 0 else None,
        "sampling": {name: value for name, value in asdict(sampling).items() if name not in ("seed", "sample_index")},
        "timings": {
            "load_ms": _milliseconds(completion.load_seconds),
            "ttft_ms": _milliseconds(stats.first_token_seconds) if stats.completion_tokens else None,
            "prompt_ms": _milliseconds(stats.prefill_seconds),
            "prompt_per_second": _rate(stats.prefilled_tokens, stats.prefill_seconds),
            "predicted_ms": _milliseconds(stats.decode_seconds),
            "predicted_per_second": _decode_rate(stats),
            **drafted,
        },
        "memory": {
            "weights_bytes": info.weights_bytes,
            "state_bytes": info.state_bytes,
            "peak_bytes": peak_bytes(info.device),
        },
    }
    return result | {"prompt_ids": list(completion.prompt_ids)} if with_ids else result


def statistics(completion: Completion) -> str:
    """The block of --stats: ollama's names first, then what a recurrent state adds."""
    info, finished = completion.info, completion.finished
    stats = finished.stats
    peak = peak_bytes(info.device)
    looked_up = [("looked-up tokens", f"{stats.looked_up_tokens}, {stats.accepted_tokens} of them accepted")]
    if not stats.looked_up_tokens:
        looked_up.clear()
    rows = [
        ("total duration", _duration(completion.total_seconds)),
        ("load duration", _duration(completion.load_seconds)),
        ("prompt eval count", f"{stats.prefilled_tokens} token(s)"),
        ("prompt eval duration", _duration(stats.prefill_seconds)),
        ("prompt eval rate", f"{_rate(stats.prefilled_tokens, stats.prefill_seconds):.2f} tokens/s"),
        ("eval count", f"{stats.completion_tokens} token(s)"),
        ("eval duration", _duration(stats.decode_seconds)),
        ("eval rate", f"{_decode_rate(stats):.2f} tokens/s"),
        ("time to first token", _duration(stats.first_token_seconds) if stats.completion_tokens else "no token"),
        ("reused tokens", str(stats.reused_tokens)),
        *looked_up,
        ("state size", _size(info.state_bytes)),
        ("peak memory", _size(peak) if peak is not None else "unknown"),
        ("finish reason", finished.reason),
    ]
    return "\n".join(f"{name + ':':<21} {value}" for name, value in rows)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _rate(tokens: int, seconds: float) -> float:
    return round(tokens / seconds, 2) if seconds > 0 else 0.0


def _decode_rate(stats: Stats) -> float:
    """The first token comes out of the prefill: the decode time is that of the tokens after it."""
    return _rate(max(stats.completion_tokens - 1, 0), stats.decode_seconds)


def _duration(seconds: float) -> str:
    return f"{seconds:.2f}s" if seconds >= 1 else f"{seconds * 1000:.1f}ms"


def _size(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
