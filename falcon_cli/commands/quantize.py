"""`falcon quantize`: a checkpoint with its weights in 4 or 8 bits, for falcon and for whatever reads bitsandbytes' layout."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from falcon_cli import console, demo, log, signals, statistics
from falcon_cli.exit import ExitCode
from falcon_cli.options import ANEW, Group, MannerOptions, with_options
from falcon_cli.prompt import STDIN, read_file, read_stdin
from falcon_cli.sizes import parse_size, shown_size
from modeling.conversion import Change, Conversion, QuantizeRequest
from modeling.errors import FalconError, InvalidRequest
from modeling.messages import DType, ModelSpec
from modeling.quantization import QuantType
from modeling.scores import ScoreResult


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions(Group):
    """Which checkpoint is read."""

    name: Annotated[str, typer.Argument(metavar="MODEL", help="Hugging Face id, local folder, demo or demo-h1."), ANEW]
    revision: Annotated[str | None, typer.Option(metavar="REV", help="Branch, tag or commit of a Hugging Face id."), ANEW] = (
        None
    )
    offline: Annotated[bool, typer.Option("--offline", help="Use what is on this machine; never the network.")] = False

    def spec(self, device: str) -> ModelSpec:
        return ModelSpec(demo.resolve(self.name), revision=self.revision, offline=self.offline, device=device)


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
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Read DIR again and tell how far it is from MODEL on a text that comes along."),
        ANEW,
    ] = False
    verify_text: Annotated[Path | None, typer.Option(metavar="FILE", help="Verify on this text (-: standard input)."), ANEW] = (
        None
    )
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON document."), ANEW] = False

    def text(self) -> str | None:
        """What to verify on; None: nothing is verified. Raises `InvalidRequest`."""
        if self.dry_run and (self.verify or self.verify_text):
            raise InvalidRequest("--dry-run writes nothing that could be verified", "leave out one of the two")
        if self.verify_text == STDIN:
            return read_stdin(wanted=True) or ""
        if self.verify_text is not None:
            return read_file(self.verify_text)
        return (files("falcon_cli") / "passage.txt").read_text("utf-8") if self.verify else None


@with_options
def quantize(*, model: SourceOptions, form: FormOptions, write: WriteOptions, output: MannerOptions) -> ExitCode:
    """Write a checkpoint with its weights in 4 or 8 bits.

    DIR becomes a Hugging Face folder in the layout of bitsandbytes, with tokenizer, template and generation settings:
    falcon runs it, and transformers loads it. Packing needs bitsandbytes (pip install 'falcon-cli[quant]'); running does not.

    Tensors are read, packed and written one by one, so memory does not grow with the model. DIR appears when it is complete;
    until then, and after a failure, what was there before is untouched. Embedding, head, norms, convolutions, A_log, D and
    FalconMamba's x_proj and dt_proj stay as they are.
    """
    if write.out is None and not write.dry_run:
        raise InvalidRequest("there is no folder to write to", "give one with --output DIR, or look first with --dry-run")
    request = _request(form, write)
    text = write.text()
    spec = model.spec(request.device)
    console.prepare_libraries(output.debug)
    from modeling import api

    signals.check()
    progress = console.ProgressReport(shown=not (output.quiet or output.no_progress))
    try:
        if text is not None:
            api.require_scorable(spec, text, progress=progress)
        conversion = api.quantize(spec, request, dry_run=write.dry_run, progress=progress)
    except KeyboardInterrupt:
        progress.close()
        if not output.quiet:
            console.note("stopped; the same command with --resume goes on from the files that are finished")
        raise
    finally:
        with suppress(Exception):
            progress.close()
    if not write.dry_run:
        log.write(f"quantized {model.name} to {request.form.name} in {conversion.out}")
    verified = None if text is None else _verified(spec, conversion.out, text, progress, told=not output.quiet)
    if write.as_json:
        document = _document(model.name, request, conversion, written=not write.dry_run)
        document |= {} if verified is None else {"verify": statistics.document(verified) | {"model": str(conversion.out)}}
        console.write(json.dumps(document, indent=2) + "\n")
        return ExitCode.OK
    if write.dry_run:
        console.write(_table(conversion) + _summary(request, conversion))
    else:
        console.write(f"{conversion.out}: {_summary(request, conversion)}")
    if verified is not None:
        console.write("\n" + statistics.shown(verified))
    return ExitCode.OK


def _request(form: FormOptions, write: WriteOptions) -> QuantizeRequest:
    """Raises `InvalidRequest` for values that make no sense."""
    return QuantizeRequest(
        write.out or Path("quantized"),
        type=form.kind,
        double=form.double_quant,
        block=form.block_size,
        skip=tuple(form.skip_modules or ()),
        head=form.quantize_head,
        compute_dtype=form.compute_dtype,
        shard_size=parse_size(write.max_shard_size),
        device=f"cuda:{form.device}" if form.device.isdecimal() else form.device,
        resume=write.resume,
        force=write.force,
    )


def _verified(spec: ModelSpec, out: Path, text: str, progress: console.ProgressReport, *, told: bool) -> ScoreResult:
    """What has been written, read again and held against its source. It stays, whatever becomes of this."""
    from modeling import api

    if told:
        console.note(f"{out} is written; reading it again, beside its source")
    try:
        return api.verify(spec, ModelSpec(str(out), device=spec.device), text, progress=progress)
    except (FalconError, KeyboardInterrupt):
        progress.close()
        if told:
            console.note(f"{out} is whole, but has not been verified")
        raise
    finally:
        with suppress(Exception):
            progress.close()


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
