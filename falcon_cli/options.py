"""Options that several commands share, each declared once.

A group is a dataclass whose fields are the options; a command asks for a whole group:

    @with_options
    def generate(prompt: …, model: ModelOptions, sampling: SamplingOptions) -> ExitCode: …

and `falcon generate --help` lists every field of both.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import typer

from falcon_cli import demo
from modeling.errors import InvalidRequest
from modeling.messages import DType, Kernels, ModelSpec, SamplingParams

Result = TypeVar("Result")
DEFAULT_MAX_TOKENS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Which model to run, and how."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            "--model-name-or-path",
            envvar="FALCON_MODEL",
            metavar="MODEL",
            help="Hugging Face id, local folder, demo or demo-h1.",
        ),
    ] = None
    revision: Annotated[str | None, typer.Option(metavar="REV", help="Branch, tag or commit of a Hugging Face id.")] = None
    offline: Annotated[bool, typer.Option("--offline", help="Use what is on this machine; never the network.")] = False
    dtype: Annotated[
        DType, typer.Option("--dtype", "--torch-dtype", help="Number format of the weights; auto is the checkpoint's own.")
    ] = "auto"
    device: Annotated[str, typer.Option(metavar="auto|cuda[:N]|cpu|mps", help="Where to run.")] = "auto"
    device_map: Annotated[
        Literal["auto"] | None, typer.Option(help="Spread a large model over devices, host memory and disk.")
    ] = None
    max_memory: Annotated[
        str | None, typer.Option(metavar="DEV=SIZE,…", help="Limits for --device-map, such as cpu=2GiB,0=10GiB.")
    ] = None
    kernels: Annotated[Kernels, typer.Option(help="Which implementation of the fast operations to use.")] = "auto"
    prefill_chunk: Annotated[int, typer.Option(min=1, metavar="N", help="Prompt tokens read at once.")] = 512

    @property
    def chosen(self) -> str:
        """The name the user gave, or the embedded demo."""
        return self.model or "demo"

    def spec(self) -> ModelSpec:
        """Raises `InvalidRequest` for a --max-memory that cannot be read."""
        return ModelSpec(
            name=demo.resolve(self.chosen),
            revision=self.revision,
            offline=self.offline,
            dtype=self.dtype,
            device=f"cuda:{self.device}" if self.device.isdecimal() else self.device,  # as `transformers chat` has it
            device_map=self.device_map,
            max_memory=parse_max_memory(self.max_memory) if self.max_memory is not None else None,
            kernels=self.kernels,
            prefill_chunk=self.prefill_chunk,
        )


def parse_max_memory(text: str) -> Mapping[str, str]:
    """"cpu=2GiB,0=10GiB" → {"cpu": "2GiB", "0": "10GiB"}. Raises `InvalidRequest`."""
    limits = {}
    for part in text.split(","):
        device, equals, size = (piece.strip() for piece in part.partition("="))
        if not (device and equals and size):
            raise InvalidRequest(f"--max-memory {text}: {part.strip()!r} is not DEVICE=SIZE", "for example cpu=2GiB,0=10GiB")
        if device in limits:
            raise InvalidRequest(f"--max-memory {text} names {device} twice", "give each device one limit")
        limits[device] = size
    return limits


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingOptions:
    """How the answer is drawn. What is not given comes from the checkpoint's generation_config.json."""

    max_tokens: Annotated[
        int,
        typer.Option(
            "--max-tokens",
            "-n",
            "--max-new-tokens",
            "--n-predict",
            min=-1,
            metavar="N",
            help="Longest answer in tokens; -1: until the model ends.",
        ),
    ] = DEFAULT_MAX_TOKENS
    temperature: Annotated[
        float | None, typer.Option("--temperature", "--temp", metavar="T", help="0 takes the most likely token; more is freer.")
    ] = None
    greedy: Annotated[bool, typer.Option("--greedy", help="The same as --temperature 0.")] = False
    top_k: Annotated[int | None, typer.Option(metavar="K", help="Keep the K most likely tokens (0: all).")] = None
    top_p: Annotated[
        float | None, typer.Option(metavar="P", help="Keep the most likely tokens that sum to P (1: all).")
    ] = None
    min_p: Annotated[
        float | None, typer.Option(metavar="P", help="Keep tokens at least P times as likely as the best (0: all).")
    ] = None
    typical_p: Annotated[
        float | None, typer.Option(metavar="P", help="Keep the most typical tokens that sum to P (1: all).")
    ] = None
    repetition_penalty: Annotated[
        float | None,
        typer.Option(
            "--repeat-penalty", "--repetition-penalty", metavar="X", help="Make repeated tokens less likely (1: off)."
        ),
    ] = None
    repeat_last_n: Annotated[
        int | None, typer.Option(metavar="N", help="How many tokens back the penalties look (-1: everything).")
    ] = None
    presence_penalty: Annotated[
        float | None, typer.Option(metavar="X", help="Subtracted once from tokens that have occurred (0: off).")
    ] = None
    frequency_penalty: Annotated[
        float | None, typer.Option(metavar="X", help="Subtracted for each time a token has occurred (0: off).")
    ] = None
    seed: Annotated[
        int | None, typer.Option("--seed", "-s", metavar="N", help="Makes a sampled answer repeatable; random if not given.")
    ] = None
    stop: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="End the answer before this text; may be repeated.")
    ] = None
    ignore_eos: Annotated[bool, typer.Option("--ignore-eos", help="Go on when the model wants to end.")] = False

    def over(self, defaults: SamplingParams) -> SamplingParams:
        """These options over the checkpoint's `defaults`. Asking for any filter turns sampling on where the default is greedy.

        Raises `InvalidRequest` for a value out of range or for --greedy together with a temperature.
        """
        filters = ("temperature", "top_k", "top_p", "min_p", "typical_p")
        penalties = ("repetition_penalty", "repeat_last_n", "presence_penalty", "frequency_penalty")
        given = {name: getattr(self, name) for name in (*filters, *penalties) if getattr(self, name) is not None}
        if self.greedy:
            if given.get("temperature", 0) > 0:
                raise InvalidRequest(f"--greedy and --temperature {given['temperature']} contradict each other", "give one")
            given["temperature"] = 0.0
        elif defaults.temperature == 0 and "temperature" not in given and any(name in given for name in filters):
            given["temperature"] = 1.0
        params = replace(
            defaults,
            **given,
            max_tokens=None if self.max_tokens == -1 else self.max_tokens,
            stop=tuple(self.stop or ()),
            ignore_eos=self.ignore_eos,
        )
        if self.seed is not None:
            return replace(params, seed=self.seed)
        return replace(params, seed=secrets.randbelow(2**31) if params.temperature > 0 else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """What is told besides the answer."""

    json: Annotated[bool, typer.Option("--json", help="Write one JSON document instead of the text.")] = False
    stats: Annotated[bool, typer.Option("--stats", help="Show counts and speeds on stderr at the end.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notices and no progress.")] = False
    no_progress: Annotated[bool, typer.Option("--no-progress", help="No progress on stderr.")] = False
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error, and what libraries have to say.")
    ] = False


def with_options(command: Callable[..., Result]) -> Callable[..., Result]:
    """Give Typer a flat list of parameters in place of the groups that `command` asks for, and `command` its groups."""
    groups: dict[str, tuple[type[Any], list[str]]] = {}
    parameters: list[inspect.Parameter] = []
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        kind = hints[name]
        if is_dataclass(kind) and isinstance(kind, type):
            options = get_type_hints(kind, include_extras=True)
            groups[name] = kind, list(options)
            flat = [(field.name, field.default, options[field.name]) for field in fields(kind)]
        else:
            flat = [(name, MISSING if parameter.default is parameter.empty else parameter.default, kind)]
        for option, default, annotation in flat:
            value = inspect.Parameter.empty if default is MISSING else default
            parameters.append(
                inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=annotation)
            )

    def flat_command(**values: Any) -> Result:
        made = {name: kind(**{option: values.pop(option) for option in options}) for name, (kind, options) in groups.items()}
        return command(**values, **made)

    flat_command.__name__, flat_command.__doc__ = command.__name__, command.__doc__
    flat_command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    flat_command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return flat_command
