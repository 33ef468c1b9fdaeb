"""How well a model predicts a text, and how far it is from another: as llama-perplexity prints it, and as JSON."""

from __future__ import annotations

from typing import Any

from modeling.scores import PERCENTILES, Divergence, Estimate, ScoreResult, Spread


def shown(result: ScoreResult) -> str:
    """The last line of a plain run, or the three tables of a comparison."""
    if result.divergence is None:
        found = result.perplexity
        return f"Final estimate: PPL = {found.value:.4f} +/- {found.error:.5f}\n"
    return "\n".join((_perplexities(result, result.divergence), _divergences(result.divergence), _chances(result.divergence)))


def document(result: ScoreResult) -> dict[str, Any]:
    """The same numbers, under names."""
    info, divergence = result.info, result.divergence
    found: dict[str, Any] = {
        "model": info.name,
        "dtype": info.dtype,
        "quantization": info.quantization,
        "kernels": info.kernels,
        "device": info.device,
        "ctx_size": result.context,
        "chunks": result.pieces,
        "tokens": result.tokens,
        "seconds": round(result.seconds, 3),
        "ppl": _pair(result.perplexity),
    }
    if divergence is not None:
        found |= {
            "ppl_base": _pair(divergence.base),
            "ppl_ratio": _pair(divergence.ratio),
            "ppl_difference": _pair(divergence.difference(result.log)),
            "ln_ppl_ratio": _pair(divergence.log_ratio),
            "ln_ppl_correlation": divergence.correlation,
            "kld": _spread(divergence.kld),
            "delta_p": _spread(divergence.dp) | {"rms": divergence.rms_dp},
            "same_top_p": _pair(divergence.same_top),
        }
    return found


def _perplexities(result: ScoreResult, divergence: Divergence) -> str:
    rows = {
        "Mean PPL(Q)": result.perplexity,
        "Mean PPL(base)": divergence.base,
        "Mean ln(PPL(Q)/PPL(base))": divergence.log_ratio,
        "Mean PPL(Q)/PPL(base)": divergence.ratio,
        "Mean PPL(Q)-PPL(base)": divergence.difference(result.log),
    }
    lines = [f"{name:<30}: {found.value:>10.6f} ± {found.error:>10.6f}\n" for name, found in rows.items()]
    lines.insert(2, f"{'Cor(ln(PPL(Q)), ln(PPL(base)))':<30}: {divergence.correlation:>7.2%}\n")
    return "====== Perplexity statistics ======\n" + "".join(lines)


def _divergences(divergence: Divergence) -> str:
    mean = divergence.kld.mean
    lines = [f"Mean    KLD: {mean.value:>10.6f} ± {mean.error:>10.6f}\n"]
    lines += [f"{name:<7} KLD: {value:>10.6f}\n" for name, value in _places(divergence.kld)]
    return "====== KL divergence statistics ======\n" + "".join(lines)


def _chances(divergence: Divergence) -> str:
    mean, same = divergence.dp.mean, divergence.same_top
    lines = [f"Mean    Δp: {100 * mean.value:>7.3f} ± {100 * mean.error:.3f} %\n"]
    lines += [f"{name:<7} Δp: {100 * value:>7.3f} %\n" for name, value in _places(divergence.dp)]
    lines.append(f"RMS Δp    : {100 * divergence.rms_dp:>7.3f} %\n")
    lines.append(f"Same top p: {100 * same.value:>7.3f} ± {100 * same.error:.3f} %\n")
    return "====== Token probability statistics ======\n" + "".join(lines)


def _places(spread: Spread) -> list[tuple[str, float]]:
    """Extremes and percentiles, from the largest down."""
    names = ["Median" if share == 50 else f"{share:4.1f}%" for share in PERCENTILES]
    return [("Maximum", spread.maximum), *zip(names, spread.percentiles, strict=True), ("Minimum", spread.minimum)]


def _pair(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "error": estimate.error}


def _spread(spread: Spread) -> dict[str, Any]:
    percentiles = {f"{share:g}": value for share, value in zip(PERCENTILES, spread.percentiles, strict=True)}
    return {"mean": _pair(spread.mean), "maximum": spread.maximum, "percentiles": percentiles, "minimum": spread.minimum}
