"""Opening the model that the options name, with progress and notices on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falcon_cli import console, log, signals
from falcon_cli.options import ModelOptions, OutputOptions

if TYPE_CHECKING:
    from modeling.api import OpenModel


def open_model(
    model: ModelOptions, output: OutputOptions, progress: console.ProgressReport, *, slots: int | None = 1, speculate: int = 0
) -> OpenModel:
    """Open the model the options name, for `slots` answers at once (None: as many as suit it), and pass on what it has to say.
    An answer alone looks up to `speculate` tokens up.

    Raises as `modeling.api.open_model`.
    """
    spec = model.spec()
    if model.given is None and not output.quiet:
        console.notice(
            "no model given, so this is the embedded demo, a tiny one; a real one: "
            f"{model.example} tiiuae/Falcon-H1-0.5B-Instruct (1 GB; the 1.5B 3 GB, the 7B 15 GB)"
        )
    console.prepare_libraries(output.debug)
    from modeling import api

    signals.check()
    opened = api.open_model(spec, slots=slots, speculate=speculate, progress=progress)
    info = opened.info
    log.write(f"opened {info.name} ({info.family}, {info.revision or 'local'}): {info.dtype}, {info.device}, {info.kernels}")
    if not output.quiet:
        for notice in opened.info.notices:
            console.notice(notice)
    return opened
