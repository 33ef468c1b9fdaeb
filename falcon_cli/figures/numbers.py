"""How numbers look in tables."""

from __future__ import annotations


def count(parameters: int) -> str:
    return f"{parameters / 1e9:.2f} B" if parameters >= 1e9 else f"{parameters / 1e6:.1f} M"


def short(value: float, like: float | None = None) -> str:
    """Three digits or more: 5,812 · 812.4 · 3.24 · 0.024; as many decimals as `like` another number gets."""
    size = value if like is None else like
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else f"{value:.2g}"


def milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.2f}"


def spread_milliseconds(seconds: float, spread: float) -> str:
    return f"{milliseconds(seconds)} ± {milliseconds(spread)}"


def percent(share: float) -> str:
    """A percentile's name: 50, 99.9."""
    return f"{share:g}"
