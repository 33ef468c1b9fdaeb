"""Options that several commands share, each declared once.

A group is a dataclass whose fields are the options; a command asks for a whole group:

    @with_options
    def generate(prompt: …, model: ModelOptions, sampling: SamplingOptions) -> ExitCode: …

and `falcon generate --help` lists every field of both. Each field is a setting, too (see `falcon_cli.settings`), unless it is
marked as something to say `ANEW` with each call.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_type_hints

import typer
from typer.models import OptionInfo

from falcon_cli import console, demo, log
from falcon_cli.color import Color
from falcon_cli.settings import Setting, resolve
from modeling.errors import InvalidRequest
from modeling.messages import DType, Kernels, ModelSpec, Quantize, SamplingParams

Result = TypeVar("Result")
DEFAULT_MAX_TOKENS = 1024
ANEW = "anew"  # marks an option that cannot be settled once for all calls
TYPED = {"typed": True}  # marks a field that is no option: the names of those that stand on the command line
MaxTokens = Annotated[
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
]


class Group:
    """What every group of options has beside its fields."""

    __slots__ = ()
    # option → options that overrule it: its settled value counts only if none of these stands on the command line
    yields: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    @classmethod
    def check(cls, name: str, value: Any) -> None:
        """Raises `InvalidRequest` for a settled value that is out of range."""

    def take_effect(self) -> None:
        """Called once the whole command line is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions(Group):
    """Which model to run, and how. `example` is a command line that wants nothing but the name of a model."""

    example: ClassVar[str] = "falcon generate -m"
    yields: ClassVar[Mapping[str, tuple[str, ...]]] = {"revision": ("model",)}

    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            "--model-name-or-path",
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
    prefill_chunk: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Prompt tokens read at once (default: 512, on a GPU 4096).")
    ] = None
    quantize: Annotated[
        Quantize, typer.Option(help="Pack the weights while they are loaded (falcon quantize writes them packed).")
    ] = "none"
    double_quant: Annotated[bool, typer.Option("--double-quant/--no-double-quant", help="Of 4 bits: pack the scales, too.")] = (
        True
    )
    compute_dtype: Annotated[
        DType, typer.Option(help="Number format of products with packed weights; auto is that of the model.")
    ] = "auto"

    @classmethod
    def check(cls, name: str, value: Any) -> None:
        if name == "max_memory":
            parse_max_memory(value)

    @property
    def given(self) -> str | None:
        """The name the user gave, here or in the settings."""
        return self.model

    @property
    def chosen(self) -> str:
        """The name the user gave, or the embedded demo."""
        return "demo" if self.given is None else self.given  # an empty name is a mistake, not a wish for the demo

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
            quantize=self.quantize,
            double_quant=self.double_quant,
            compute_dtype=self.compute_dtype,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModelOptions(ModelOptions):
    """The same for commands whose argument is a model: `falcon chat MODEL` is `falcon chat -m MODEL`."""

    example: ClassVar[str] = "falcon chat"
    yields: ClassVar[Mapping[str, tuple[str, ...]]] = {"revision": ("model", "name"), "model": ("name",)}

    name: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="The same as --model."), ANEW] = None

    @property
    def given(self) -> str | None:
        """Raises `InvalidRequest` if there are two names."""
        if self.name is not None and self.model is not None:
            raise InvalidRequest(f"the model is given twice, {self.name} and --model {self.model}", "give one of the two")
        return self.name if self.model is None else self.model


def parse_max_memory(text: str) -> Mapping[str, str]:
    """ "cpu=2GiB,0=10GiB" → {"cpu": "2GiB", "0": "10GiB"}. Raises `InvalidRequest`."""
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
class SamplingOptions(Group):
    """How the answer is drawn. What is not given comes from the checkpoint's generation_config.json."""

    yields: ClassVar[Mapping[str, tuple[str, ...]]] = {"temperature": ("greedy",)}

    max_tokens: MaxTokens = DEFAULT_MAX_TOKENS
    temperature: Annotated[
        float | None, typer.Option("--temperature", "--temp", metavar="T", help="0 takes the most likely token; more is freer.")
    ] = None
    greedy: Annotated[bool, typer.Option("--greedy", help="The same as --temperature 0."), ANEW] = False
    top_k: Annotated[int | None, typer.Option(metavar="K", help="Keep the K most likely tokens (0: all).")] = None
    top_p: Annotated[float | None, typer.Option(metavar="P", help="Keep the most likely tokens that sum to P (1: all).")] = None
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

    @classmethod
    def check(cls, name: str, value: Any) -> None:
        if name == "stop":
            SamplingParams(stop=tuple(value))
        elif name != "max_tokens":
            SamplingParams(**{name: value})

    def over(self, defaults: SamplingParams, room: int | None = None) -> SamplingParams:
        """These options over the checkpoint's `defaults`. Asking for any filter turns sampling on where the default is greedy.

        `room` is how many tokens the model has positions for behind the prompt (None: any number). The default length is a
        custom, not a demand: it yields to less room, where another number would be refused.

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
            max_tokens=None if self.max_tokens == -1 else self._length(room),
            stop=tuple(self.stop or ()),
            ignore_eos=self.ignore_eos,
        )
        if self.seed is not None:
            return replace(params, seed=self.seed)
        return replace(params, seed=secrets.randbelow(2**31) if params.temperature > 0 else 0)

    def _length(self, room: int | None) -> int:
        if room is None or room < 1 or self.max_tokens != DEFAULT_MAX_TOKENS:
            return self.max_tokens
        return min(self.max_tokens, room)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSamplingOptions(SamplingOptions):
    """The same for conversations, where an answer ends when the model ends it."""

    max_tokens: MaxTokens = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateOptions(Group):
    """What the chat template is given beside the messages, and which template it is."""

    # whoever asks for --raw does not want what is settled for conversations
    yields: ClassVar[Mapping[str, tuple[str, ...]]] = {"system": ("system_file", "raw"), "chat_template": ("raw",)}

    system: Annotated[str | None, typer.Option(metavar="TEXT", help="The system prompt.")] = None
    system_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Read the system prompt from a file."), ANEW] = None
    chat_template: Annotated[
        str | None, typer.Option(metavar="FILE|STR", help="A chat template (jinja) in place of the model's own.")
    ] = None
    tools: Annotated[Path | None, typer.Option(metavar="FILE", help="Tools for the template: a JSON list."), ANEW] = None
    show_prompt: Annotated[
        bool, typer.Option("--show-prompt", help="Show on stderr what the model is given, special tokens included."), ANEW
    ] = False
    hide_thinking: Annotated[
        bool, typer.Option("--hide-thinking", help="Leave out what a model writes between <think> and </think>.")
    ] = False

    typed: frozenset[str] = field(default=frozenset(), metadata=TYPED)

    @property
    def given(self) -> tuple[str, ...]:
        """The options of this call that make sense with a template only, as they are written. What is settled asks for none."""
        names = ("system", "system_file", "chat_template", "tools")
        return tuple("--" + name.replace("_", "-") for name in names if name in self.typed)


@dataclass(frozen=True, slots=True, kw_only=True)
class MannerOptions(Group):
    """What is told besides the result, and how it looks."""

    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notices and no progress.")] = False
    no_progress: Annotated[bool, typer.Option("--no-progress", help="No progress on stderr.")] = False
    color: Annotated[Color, typer.Option(help="Colours; auto: on a terminal, unless NO_COLOR is set.")] = "auto"
    log_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Add what happens, with times, to a file.")] = None
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error, and what libraries have to say.")] = (
        False
    )

    def take_effect(self) -> None:
        """Raises `WriteFailed` for a log file that cannot be written."""
        console.manner.color = self.color
        console.manner.debug = self.debug
        if self.log_file is not None:
            log.start(self.log_file, everything=self.debug)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions(MannerOptions):
    """The same for commands that answer."""

    stats: Annotated[bool, typer.Option("--stats", help="Show counts and speeds on stderr at the end.")] = False


GROUPS: tuple[type[Group], ...] = (ModelOptions, SamplingOptions, TemplateOptions, OutputOptions)


def settings(groups: Iterable[type[Group]] = GROUPS) -> dict[str, Setting]:
    """Field → setting, for every option of the groups that can be settled."""
    found = {}
    for group in groups:
        hints = get_type_hints(group, include_extras=True)
        for each in _options(group):
            kind, option, *marks = get_args(hints[each.name])
            if ANEW not in marks:
                # Typer keeps the first name of an annotated option where others keep its default
                names = [str(name).partition("/")[0] for name in (option.default, *(option.param_decls or ()))]
                long = [name[2:] for name in names if name.startswith("--")]
                key, *aliases = long or [each.name.replace("_", "-")]
                check = partial(_check, group, each.name, option)
                found[each.name] = Setting(key, kind, each.default, tuple(aliases), check)
    return found


def _check(group: type[Group], name: str, option: OptionInfo, value: Any) -> None:
    if option.min is not None and value < option.min:
        raise InvalidRequest(f"{value} is less than {option.min}")
    group.check(name, value)


def with_options(command: Callable[..., Result]) -> Callable[..., Result]:
    """Give Typer a flat list of parameters in place of the groups that `command` asks for, and `command` its groups.

    An option that is not on the command line takes its settled value.
    """
    groups: dict[str, type[Group]] = {}
    parameters = [_keyword("context", MISSING, typer.Context)]
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        kind = hints[name]
        if isinstance(kind, type) and issubclass(kind, Group):
            groups[name] = kind
            options = get_type_hints(kind, include_extras=True)
            flat = [(field.name, field.default, options[field.name]) for field in _options(kind)]
        else:
            flat = [(name, MISSING if parameter.default is parameter.empty else parameter.default, kind)]
        parameters += [_keyword(*entry) for entry in flat]

    def flat_command(context: typer.Context, **values: Any) -> Result:
        given = {name for name in values if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"}
        made = {name: _make(kind, values, given) for name, kind in groups.items()}
        for group in made.values():
            group.take_effect()
        return command(**values, **made)

    flat_command.__name__, flat_command.__doc__ = command.__name__, command.__doc__
    flat_command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    flat_command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return flat_command


def _make(kind: type[Group], values: dict[str, Any], given: set[str]) -> Group:
    """One group, its values taken out of `values`. Raises `InvalidRequest` for a setting that cannot be used."""
    options = {field.name: values.pop(field.name) for field in _options(kind)}
    settled = resolve(settings((*GROUPS, kind)).values())
    for name, setting in settings([kind]).items():
        if name not in given and not given & {*kind.yields.get(name, ())}:
            options[name] = settled[setting.key].value
    if len(_options(kind)) < len(fields(kind)):  # type: ignore[arg-type]
        options["typed"] = frozenset(given)
    return kind(**options)


def _options(group: type[Group]) -> list[Field[Any]]:
    return [each for each in fields(group) if each.metadata != TYPED]  # type: ignore[arg-type]


def _keyword(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    value = inspect.Parameter.empty if default is MISSING else default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=annotation)
