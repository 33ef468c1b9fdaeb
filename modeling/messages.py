"""What crosses between the engine room and the face: frozen dataclasses of the standard library, no tensors.

CLI ── ModelSpec ──► open_model          which checkpoint, on which device, in which dtype
CLI ── Message … ──► ChatFormat          what was said so far, and by whom
CLI ── Request ────► Engine              prompt ids + SamplingParams
CLI ◄─ Token … Finished(reason, Stats)   what the engine yields, in order (or Failed, to a batch)
CLI ◄─ Progress                          how far a long stage is
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from modeling.errors import FalconError, InvalidRequest

DType = Literal["auto", "bfloat16", "float16", "float32"]
Kernels = Literal["auto", "triton", "torch", "compile", "mamba-ssm"]
Quantize = Literal["none", "nf4", "fp4", "int8"]
Form = Literal["json_schema", "regex"]
FinishReason = Literal["stop", "length", "interrupt"]
Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Which model to open and how.

    `name` is a Hugging Face id or a local folder. `device` is "auto", "cpu", "mps", "cuda" or "cuda:N".
    `device_map` "auto" lets accelerate spread blocks over devices, host memory and disk within `max_memory`, a map from device
    ("0", "cpu", …) to a size such as "10GiB". `prefill_chunk` is the number of prompt tokens fed at once; None: what suits the
    device. `quantize` packs plain weights while they are loaded, for 4 bits with their scales in 8 bits if `double_quant`.
    `compute_dtype` is that of the products with packed weights; "auto": that of the model.
    """

    name: str
    revision: str | None = None
    offline: bool = False
    dtype: DType = "auto"
    device: str = "auto"
    device_map: Literal["auto"] | None = None
    max_memory: Mapping[str, str] | None = None
    kernels: Kernels = "auto"
    prefill_chunk: int | None = None
    quantize: Quantize = "none"
    double_quant: bool = True
    compute_dtype: DType = "auto"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation. The optional fields go to the template as they are; most templates look at none of them.

    `tool_calls` are the calls that an assistant's message makes, as JSON objects; `tool_call_id` is the one that a tool's
    message answers; `name` is the name of the tool. Raises `InvalidRequest` for a role that no template knows: a role is the
    one part of a message that becomes structure.
    """

    role: Role
    content: str
    name: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    tool_call_id: str | None = None

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise InvalidRequest(f"a message has the role {self.role!r}", f"roles are {', '.join(get_args(Role))}")


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one completion is drawn. The defaults sample from the model's own distribution, unchanged.

    Filters apply in the order of transformers: penalties → temperature → top-k → top-p → min-p → typical-p.
    `temperature` 0 is exactly argmax. `repeat_last_n` is the window, in tokens of prompt and answer, over which the three
    penalties count (-1: everything). Each draw is a function of (`seed`, `sample_index`, position) alone.
    `max_tokens` None: until the model ends. `logprobs` K: report the K most likely alternatives of each token (0: none).

    Raises `InvalidRequest` for a value outside its range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repeat_last_n: int = -1
    seed: int = 0
    sample_index: int = 0
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    logprobs: int | None = None

    def __post_init__(self) -> None:
        inf = float("inf")
        ranges: tuple[tuple[str, float, float, float], ...] = (
            ("temperature", self.temperature, 0.0, 100.0),
            ("top_k", self.top_k, 0, inf),
            ("top_p", self.top_p, 0.0, 1.0),
            ("min_p", self.min_p, 0.0, 1.0),
            ("typical_p", self.typical_p, 0.0, 1.0),
            ("repetition_penalty", self.repetition_penalty, 1e-6, 1e6),
            ("presence_penalty", self.presence_penalty, -1e3, 1e3),
            ("frequency_penalty", self.frequency_penalty, -1e3, 1e3),
            ("repeat_last_n", self.repeat_last_n, -1, inf),
            ("seed", self.seed, 0, 2**63 - 1),
            ("sample_index", self.sample_index, 0, 2**31 - 1),
            ("max_tokens", 0 if self.max_tokens is None else self.max_tokens, 0, inf),
            ("logprobs", 0 if self.logprobs is None else self.logprobs, 0, 100),
        )
        for name, value, low, high in ranges:
            if not low <= value <= high:  # also catches NaN
                raise InvalidRequest(f"{name} is {value}, outside {low:g} … {high:g}")
        if any(not text for text in self.stop):
            raise InvalidRequest("a stop string is empty", "give each --stop at least one character")

    @property
    def penalized(self) -> bool:
        """Whether any penalty is in force."""
        return self.repetition_penalty != 1.0 or self.presence_penalty != 0.0 or self.frequency_penalty != 0.0


@dataclass(frozen=True, slots=True)
class Constraint:
    """The form that an answer is held to: `source` is a JSON schema as JSON text, or a regular expression that matches all of
    the answer."""

    kind: Form
    source: str


@dataclass(frozen=True, slots=True)
class Request:
    """One completion to make: the prompt as token ids (at least one), how to draw, and the form of the answer, if it is to
    have one.

    A constrained answer that ends with "stop" has its form; one that ends with "length" or "interrupt" is the beginning of such
    a one. Raises `InvalidRequest` for a constraint beside stop strings or `ignore_eos`: neither leaves the form whole.
    """

    prompt_ids: tuple[int, ...]
    sampling: SamplingParams = SamplingParams()
    constraint: Constraint | None = None

    def __post_init__(self) -> None:
        if self.constraint is not None:
            for name, given in (("ignore_eos", self.sampling.ignore_eos), ("stop", bool(self.sampling.stop))):
                if given:
                    what = f"an answer that is held to a form ends where that ends, so {name} has no place"
                    raise InvalidRequest(what, f"leave out {name}, or the form")


@dataclass(frozen=True, slots=True)
class Token:
    """One sampled token. `text` is what it adds to the answer: "" while a character or a possible stop string is incomplete.

    `logprob` is the natural logarithm of the token's probability under the model's own distribution (temperature 1, no filter);
    `alternatives` are (id, logprob) pairs, the most likely first. Both only when asked for.
    """

    id: int
    text: str
    logprob: float | None = None
    alternatives: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Stats:
    """What one completion cost. Times in seconds; `first_token` runs from submission to the first sampled token.

    Of the tokens that were looked up (none without speculation) those are accepted that were drawn and gone on from.
    """

    prompt_tokens: int
    reused_tokens: int
    prefilled_tokens: int
    completion_tokens: int
    prefill_seconds: float
    decode_seconds: float
    first_token_seconds: float
    looked_up_tokens: int = 0
    accepted_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of a request. `text` is what was still held back when it ended (often "").

    `stop` names what ended it: the stop string, or the stop id as an int; None for "length" and "interrupt".
    `token_ids` are all sampled ids, the stop id included, in order.
    """

    reason: FinishReason
    stats: Stats
    text: str = ""
    stop: str | int | None = None
    token_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The last event of a request that went wrong, in place of `Finished`: the others of its batch go on."""

    error: FalconError


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long stage is: bytes for "download", "load" and "quantize", tokens for "prefill" and "score".

    "compile" is told once, when the first kernel that no cache has was compiled: nobody knows how many will follow.
    """

    stage: Literal["download", "load", "quantize", "prefill", "score", "compile"]
    done: int
    total: int


ProgressSink = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the face may know of an open model. `state_bytes` are those of an empty memory; it grows by `token_bytes` with each
    token of each slot."""

    name: str
    family: str
    revision: str | None
    dtype: str
    device: str
    kernels: str
    quantization: str | None
    parameters: int
    weights_bytes: int
    state_bytes: int
    max_positions: int | None
    notices: tuple[str, ...] = ()
    layers: int = 0
    token_bytes: int = 0
