"""`falcon doctor`: what this machine has and lacks."""

from __future__ import annotations

import json as json_format
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from falcon_cli import console, places
from falcon_cli.exit import ExitCode
from falcon_cli.options import MannerOptions, NamedModelOptions, with_options

if TYPE_CHECKING:
    from modeling.checkup import Finding

_MARKS = {"ok": " ", "note": "!", "fault": "✗"}


@with_options
def doctor(
    *,
    model: NamedModelOptions,
    output: MannerOptions,
    json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> ExitCode:
    """Look at this machine: versions, devices, which kernels run and why not the others, memory, disks.

    With MODEL, also whether it is here, is one that runs, and fits the memory; no weights are read. "!" marks what falcon can
    do without, "✗" what cannot work: what was asked for and is not there (--device, --kernels, --quantize), a model that does
    not fit, a package that is broken. Then the exit code is 1.
    """
    spec, named = model.spec(), model.given is not None
    console.prepare_libraries(output.debug)
    from modeling.checkup import Question, examine

    home = Path(__file__).resolve().parents[2]
    folders = {"conversations": places.data_folder(), "settings": places.config_file().parent}
    findings = []
    section = ""
    for finding in examine(Question(spec, named, folders, home)):
        findings.append(finding)
        if not json:
            console.write("" if finding.section == section else f"{'' if not section else chr(10)}{finding.section}\n")
            _tell(finding)
            section = finding.section
    faults = sum(finding.level == "fault" for finding in findings)
    if json:
        document = {"ok": not faults, "findings": [asdict(finding) for finding in findings]}
        console.write(json_format.dumps(document, ensure_ascii=False, indent=2) + "\n")
    return ExitCode.FAILURE if faults else ExitCode.OK


def _tell(finding: Finding) -> None:
    """One line, and one more for what to do."""
    line = f"{_MARKS[finding.level]} {finding.name:<18} {finding.value}"
    console.write(line.rstrip(), {"ok": None, "note": "note", "fault": "error"}[finding.level])
    console.write("\n")
    if finding.hint:
        console.write(f"{'':<21}{finding.hint}\n", "hint")
