"""The forms of a bench's results, byte for byte as programs and pages have them: tests/cli/golden/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from falcon_cli.figures import rows

GOLDEN = Path(__file__).parent / "golden"
ARGUMENTS = (
    "bench", "org/model", "-p", "30", "-n", "60", "-d", "0,7", "--turns", "2", "--state", "--against", "transformers", "-q",
)  # fmt: skip


@pytest.mark.parametrize("form", ["md", "csv", "json", "jsonl"])
def test_a_form_stays_what_it_is(
    form: str, falcon: Callable[..., Any], measured: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a change is meant, the new output goes into the file."""
    monkeypatch.setattr(rows, "_version", lambda: "1.2.3")
    assert falcon(*ARGUMENTS, "-o", form).out == (GOLDEN / f"bench.{form}").read_text(encoding="utf-8")
