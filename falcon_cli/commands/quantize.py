"""`falcon quantize`: a checkpoint with its weights in 4 or 8 bits, for falcon and for whatever reads bitsandbytes' layout."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from falcon_cli import console, demo, log, signals
from falcon_cli.exit import ExitCode
from falcon_cli.options import ANEW, Group, MannerOptions, with_options
from falcon_cli.sizes import parse_size, shown_size
from modeling.conversion import Change, Conversion, QuantizeRequest
from modeling.errors import InvalidRequest
from modeling.messages import DType, ModelSpec
from modeling.quantization import QuantType


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions(Group):
    """Which checkpoint is read."""

    name: Annotated[str, typer.Argument(metavar="MODEL", help="Hugging Face id, local folder, demo or demo-h1."), ANEW]
    revision: Annotated[str | None, typer.Option(metavar="REV", help="Branch, tag or commit of a Hugging Face id."), ANEW] = (
        None
    )
    offline: Annotated[bool, typer.Option("--offline", help="Use what is on this machine; never the network.")] = False

    def spec(self) -> ModelSpec:
        return ModelSpec(demo.resolve(self.name), revision=self.revision, offline=self.offline)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormOptions(Group):
    """What the weights become."""

    kind: Annotated[QuantType, typer.Option("--type", "-t", help="4 bits (nf4, fp4) or 8 (int8) for each weight."), ANEW] = (
        "nf4"
    )
    double_quant: Annotated[
        bool, typer.Option("--double-quant/--no-double-quant", help="Of 4 bits: pack the scales, too."), ANEW
    ] = True
    block_size: Annotated[int, typer.Option(metavar="N", help="Of 4 bits: weights that share a scale."), ANEW] = 64
    skip_modules: Annotated[
        list[str] | None,
        typer.Option(metavar="PAT", help="Leave layers plain whose name ends so (* and ? as in a shell); may be repeated."),
        ANEW,
    ] = None
    quantize_head: Annotated[bool, typer.Option("--quantize-head", help="Pack lm_head, too."), ANEW] = False
    compute_dtype: Annotated[
        DType, typer.Option(help="Number format in which others shall multiply; auto is that of the weights."), ANEW
    ] = "auto"
    device: Annotated[str, typer.Option(metavar="auto|cuda[:N]|cpu", help="Where to pack."), ANEW] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions(Group):
    """Where it is written, and what is told of it."""

    out: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="The folder to write; it must not be there."), ANEW
    ] = None
    max_shard_size: Annotated[str, typer.Option(metavar="SIZE", help="Of each file, such as 5GB."), ANEW] = "5GB"
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the same command was interrupted or killed."), ANEW] = (
        False
    )
    force: Annotated[bool, typer.Option("--force", help="Replace the checkpoint that is in DIR."), ANEW] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would become of each tensor; write nothing."), ANEW] = (
        False
    )
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON document."), ANEW] = False


@with_options
def quantize(*, model: SourceOptions, form: FormOptions, files: WriteOptions, output: MannerOptions) -> ExitCode:
    """Write a checkpoint with its weights in 4 or 8 bits.

    DIR becomes a Hugging Face folder in the layout of bitsandbytes, with tokenizer, template and generation settings:
    falcon runs it, and transformers loads it. Packing needs bitsandbytes (pip install 'falcon-cli[quant]'); running does not.

    Tensors are read, packed and written one by one, so memory does not grow with the model. DIR appears when it is complete;
    until then, and after a failure, what was there before is untouched. Embedding, head, norms, convolutions, A_log, D and
    FalconMamba's x_proj and dt_proj stay as they are.
    """
    if files.out is None and not files.dry_run:
        raise InvalidRequest("there is no folder to write to", "give one with --output DIR, or look first with --dry-run")
    request = QuantizeRequest(
        files.out or Path("quantized"),
        type=form.kind,
        double=form.double_quant,
        block=form.block_size,
        skip=tuple(form.skip_modules or ()),
        head=form.quantize_head,
        compute_dtype=form.compute_dtype,
        shard_size=parse_size(files.max_shard_size),
        device=f"cuda:{form.device}" if form.device.isdecimal() else form.device,
        resume=files.resume,
        force=files.force,
    )
    spec = model.spec()
    console.prepare_libraries(output.debug)
    from modeling import api

    signals.check()
    progress = console.ProgressReport(shown=not (output.quiet or output.no_progress))
    try:
        conversion = api.quantize(spec, request, dry_run=files.dry_run, progress=progress)
    except KeyboardInterrupt:
        progress.close()
        if not output.quiet:
            console.note("stopped; the same command with --resume goes on from the files that are finished")
        raise
    finally:
        with suppress(Exception):
            progress.close()
    if not files.dry_run:
        log.write(f"quantized {model.name} to {request.form.name} in {conversion.out}")
    if files.as_json:
        console.write(json.dumps(_document(model.name, request, conversion, written=not files.dry_run), indent=2) + "\n")
    elif files.dry_run:
        console.write(_table(conversion) + _summary(request, conversion))
    else:
        console.write(f"{conversion.out}: {_summary(request, conversion)}")
    return ExitCode.OK


def _summary(request: QuantizeRequest, conversion: Conversion) -> str:
    before, after = shown_size(conversion.before), shown_size(conversion.after)
    bits = 8 * conversion.after / conversion.weights
    files = f"{len(conversion.shards)} file" + "s" * (len(conversion.shards) > 1)
    return f"{request.form.name}, {before} → {after} in {files}, {bits:.2f} bits a weight\n"


def _table(conversion: Conversion) -> str:
    """One line for each tensor; its columns are as wide as what stands in them."""
    rows = [("tensor", "type", "before", "after", "bits")]
    for change in conversion.changes:
        bits = f"{change.bits:.2f}"
        rows.append((change.name, change.form, f"{change.before:,}", f"{change.after:,}", bits))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {before:>{widths[2]}}  {after:>{widths[3]}}  {bits:>{widths[4]}}\n"
        for name, kind, before, after, bits in rows
    ]
    return "".join(lines)


def _document(name: str, request: QuantizeRequest, conversion: Conversion, *, written: bool) -> dict[str, Any]:
    def tensor(change: Change) -> dict[str, Any]:
        return {
            "name": change.name,
            "type": change.form,
            "weights": change.weights,
            "bytes_before": change.before,
            "bytes_after": change.after,
            "bits_per_weight": round(change.bits, 4),
        }

    return {
        "model": name,
        "output": str(conversion.out) if written else None,
        "quantization": request.form.name,
        "bytes_before": conversion.before,
        "bytes_after": conversion.after,
        "bits_per_weight": round(8 * conversion.after / conversion.weights, 4),
        "skip_modules": list(conversion.skip),
        "files": dict(conversion.shards),
        "tensors": [tensor(change) for change in conversion.changes],
    }
