"""One flat object for each result: llama-bench's field names, and ours.

All rows have the same fields; null is what a row does not have. Times in ns (llama-bench's) or ms, sizes in bytes, rates by
the second. `n_batch` and `n_ubatch` are tokens of a prompt that are read at once, as there; sequences side by side are
`batch_size`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from typing import Any

from falcon_cli.figures.numbers import count, percent
from modeling.timings import BenchResult, Result, StateResult, TurnResult, mean, median, quantile, spread

PERCENTILES = (50.0, 90.0, 99.0)
Row = dict[str, Any]


def rows(name: str, asked: str, result: Result, percentiles: Sequence[float] = ()) -> list[Row]:
    """Our row, and that of the rival if there is one, for a model that the user calls `name` and for which `asked` kernels were
    asked."""
    shares = [*dict.fromkeys((*PERCENTILES, *percentiles))]
    if isinstance(result, TurnResult):
        return [_common(name, asked, result, shares) | _turn(result)]
    if isinstance(result, StateResult):
        return [_common(name, asked, result, shares) | _state(result)]
    found = [_common(name, asked, result, shares) | _case(result, shares)]
    if (rival := result.rival) is not None and not rival.missing:
        theirs = replace(result, seconds=rival.seconds, first_token=rival.first_token, gaps=rival.gaps, peak_bytes=None)
        theirs = replace(theirs, rival=None)
        other: Row = {"engine": rival.name, "kernels": rival.name, "kernel_notes": [], "load_ms": None, "n_batch": None}
        other |= {"n_ubatch": None, "prefill_chunk": None, "state_bytes": None}
        found.append(_common(name, asked, theirs, shares) | _case(theirs, shares) | other)
    return found


def _common(name: str, asked: str, result: Result, shares: Sequence[float]) -> Row:
    """What rows of all kinds have, and the fields of the others, empty: `shares` are the percentiles that some have."""
    setup = result.setup
    info, ceiling = setup.info, setup.ceiling
    samples = [round(seconds * 1e9) for seconds in result.seconds]
    on_gpu = info.device.startswith("cuda")
    return {
        "build_commit": f"falcon {_version()}",
        "build_number": 0,
        "model_filename": name,
        "model_type": f"{info.family} {count(info.parameters)} {info.dtype}",
        "model_size": info.weights_bytes,
        "model_n_params": info.parameters,
        "n_batch": setup.prefill_chunk,
        "n_ubatch": setup.prefill_chunk,
        "n_threads": setup.threads,
        "n_gpu_layers": info.layers if on_gpu else 0,
        "type_k": info.dtype if info.token_bytes else None,
        "type_v": info.dtype if info.token_bytes else None,
        "n_prompt": 0,
        "n_gen": 0,
        "n_depth": 0,
        "test_time": result.started,
        "avg_ns": round(mean(samples)),
        "stddev_ns": round(spread(samples)),
        "avg_ts": None,
        "stddev_ts": None,
        "samples_ns": samples,
        "samples_ts": None,
        "backends": info.device.partition(":")[0].upper(),
        "cpu_info": setup.cpu,
        "gpu_info": setup.gpu,
        "engine": "falcon",
        "kind": "case",
        "test": result.test,
        "batch_size": 1,
        "median_ns": round(median(samples)),
        "median_ts": None,
        "revision": info.revision,
        "dtype": info.dtype,
        "quantization": info.quantization,
        "device": info.device,
        "kernels": info.kernels,
        "kernels_asked": asked,
        "kernel_notes": list(info.notices),
        "random_weights": setup.random_weights,
        "prefill_chunk": setup.prefill_chunk,
        "temperature": setup.sampling.temperature,
        "top_k": setup.sampling.top_k,
        "top_p": setup.sampling.top_p,
        "load_ms": _ms(setup.load_seconds),
        "ttft_ms": None,
        **{f"itl_p{percent(share)}_ms": None for share in shares},
        "weights_bytes": info.weights_bytes,
        "state_bytes": None,
        "peak_bytes": None,
        "floor_bytes": None,
        "floor_flops": None,
        "floor_ns": None,
        "floor_share": None,
        "bytes_per_second": None,
        "flops_per_second": None,
        "against": None,
        "against_missing": None,
        "ratio": None,
        "same_tokens": None,
        "compared_tokens": None,
        "turn": None,
        "reprefill_ttft_ms": None,
        "reprefill_samples_ns": None,
        "saving": None,
        "ceiling_bytes_per_second": ceiling.read,
        "ceiling_flops_per_second": ceiling.multiply,
        "ceiling_reader": ceiling.reader,
        "void": ceiling.void,
        "versions": setup.versions,
    }


def _case(result: BenchResult, shares: Sequence[float]) -> Row:
    case, rival, gaps = result.case, result.rival, result.gaps
    return {
        "n_prompt": case.n_prompt,
        "n_gen": case.n_gen,
        "n_depth": case.depth,
        "avg_ts": result.mean_rate,
        "stddev_ts": result.spread_rate,
        "samples_ts": list(result.rates),
        "median_ts": median(result.rates),
        "batch_size": case.batch,
        "ttft_ms": _ms(result.first_token),
        **{f"itl_p{percent(share)}_ms": _ms(quantile(gaps, share / 100)) if gaps else None for share in shares},
        "state_bytes": result.state_bytes,
        "peak_bytes": result.peak_bytes,
        "floor_bytes": result.bytes,
        "floor_flops": result.flops,
        "floor_ns": None if result.floor is None else round(result.floor * 1e9),
        "floor_share": result.share,
        "bytes_per_second": result.bytes_per_second,
        "flops_per_second": result.flops_per_second,
        "against": rival and rival.name,
        "against_missing": rival and (rival.missing or None),
        "ratio": result.ratio,
        "same_tokens": rival.same if rival and not rival.missing else None,
        "compared_tokens": rival.compared if rival and not rival.missing else None,
    }


def _turn(result: TurnResult) -> Row:
    rates = [result.reads / seconds for seconds in result.seconds]
    return {
        "kind": "turn",
        "n_prompt": result.reads,
        "n_depth": result.depth,
        "avg_ts": mean(rates),
        "stddev_ts": spread(rates),
        "samples_ts": rates,
        "median_ts": median(rates),
        "ttft_ms": _ms(result.mean_seconds),
        "state_bytes": result.state_bytes,
        "turn": result.turn,
        "reprefill_ttft_ms": _ms(mean(result.again)),
        "reprefill_samples_ns": [round(seconds * 1e9) for seconds in result.again],
        "saving": result.saving,
    }


def _state(result: StateResult) -> Row:
    return {
        "kind": "state",
        "n_depth": result.depth,
        "state_bytes": result.bytes,
        "bytes_per_second": result.bytes_per_second,
    }


def comma_separated(values: Iterable[Any]) -> str:
    """A line of CSV: lists as JSON, nothing for null."""
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerow(
        json.dumps(value) if isinstance(value, list) else "" if value is None else value for value in values
    )
    return out.getvalue()


def as_json(row: Mapping[str, Any] | Sequence[Mapping[str, Any]], indent: int | None = None) -> str:
    return json.dumps(row, ensure_ascii=False, indent=indent) + "\n"


@cache
def _version() -> str:
    try:
        return version("falcon-cli")
    except PackageNotFoundError:
        return "(run from its source)"


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 6)
