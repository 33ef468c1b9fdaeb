"""Writes the results of `falcon bench` as they come, in one form."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from shutil import get_terminal_size
from textwrap import fill
from typing import Literal

from falcon_cli.figures.rows import as_json, comma_separated, rows
from falcon_cli.figures.tables import SPEED, machine, sheets
from falcon_cli.figures.verdicts import NO_VERDICT, Earlier, Verdict
from falcon_cli.output import Writer
from modeling.timings import Result

Form = Literal["md", "csv", "json", "jsonl", "table"]
TABLE_PERCENTILES = (50.0, 99.0)


class Figures:
    """Writes results in one form: line by line where the form allows it, else when all are there."""

    def __init__(
        self, form: Form, write: Writer, percentiles: Sequence[float] = TABLE_PERCENTILES, earlier: Earlier | None = None
    ) -> None:
        self._form = form
        self._write = write
        self._percentiles = percentiles
        self._earlier = earlier
        self._begun = False
        self._rows: list[dict[str, object]] = []
        self.results: list[tuple[str, Result]] = []
        self.verdicts: list[Verdict | None] = []

    def add(self, name: str, asked: str, result: Result) -> None:
        """One more result, of the model that the user calls `name`, for which `asked` kernels were asked."""
        self.results.append((name, result))
        for row in rows(name, asked, result, self._percentiles):
            if self._earlier is not None:
                verdict = self._earlier.verdict(row)
                self.verdicts.append(verdict)
                row |= verdict.fields if verdict is not None else NO_VERDICT
            self._rows.append(row)
            if self._form == "jsonl":
                self._write(as_json(row))
            elif self._form == "csv":
                if not self._begun:
                    self._write(comma_separated(row))
                self._write(comma_separated(row.values()))
            self._begun = True

    def end(self) -> None:
        """There will be no more."""
        if self._form == "json":
            self._write(as_json(self._rows, indent=2))
        elif self._form in ("md", "table") and self.results:
            found = sheets(self.results, self._percentiles, self.verdicts)
            width = get_terminal_size().columns
            for sheet in found:
                title = f"{sheet.title}\n\n" if sheet.title != SPEED else ""
                self._write(title + (sheet.markdown() if self._form == "md" else sheet.terminal(width)) + "\n")
            lines = [*machine(self.results)]
            self._write("".join(f"{fill(line, width) if self._form == 'table' else line}\n" for line in lines))


def default_form(ending: str, *, to_file: bool) -> Form:
    """The form of a file by its ending (".json"), a table on a terminal, Markdown elsewhere."""
    if to_file:
        forms: dict[str, Form] = {".csv": "csv", ".json": "json", ".jsonl": "jsonl"}
        return forms.get(ending.lower(), "md")
    return "table" if sys.stdout is not None and sys.stdout.isatty() else "md"
