"""The one door for the face: a `ModelSpec` goes in, an open model with its engine comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch

from modeling import kernels
from modeling.bench.cases import check, measure_cases
from modeling.bench.ceiling import measure_ceiling, settle
from modeling.bench.reference import Reference
from modeling.bench.states import measure_states
from modeling.bench.subject import Numbers, Subject, clear, weights_read
from modeling.bench.turns import measure_turns
from modeling.checkpoint import placement
from modeling.checkpoint.files import Checkpoint, find, find_config
from modeling.checkpoint.identity import identify, of_text
from modeling.checkpoint.load import load
from modeling.checkpoint.memory import free_host
from modeling.checkpoint.noise import random_model
from modeling.checkpoint.placement import prefill_chunk
from modeling.checkpoint.quantize import carry_out
from modeling.checkpoint.quantize import plan as plan_conversion
from modeling.checkpoint.statefile import read_state, write_state
from modeling.config import load_config
from modeling.conversion import Conversion, QuantizeRequest
from modeling.equipment import (
    affordable_context,
    programs_of,
    prompts_of,
    resident,
    suitable_slots,
    use_physical_cores,
    with_ready,
)
from modeling.errors import ContextExceeded, DeviceUnavailable, InvalidRequest, StateRefused
from modeling.generation.answer import Decoder, Saved
from modeling.generation.defaults import GenerationDefaults, read_defaults
from modeling.generation.engine import Engine
from modeling.generation.runner import Runner
from modeling.generation.session import BUDGET, Session
from modeling.layers.linear import packed_count, quantization_name, weight_count
from modeling.messages import ModelInfo, ModelSpec, ProgressSink, SamplingParams
from modeling.models import LanguageModel
from modeling.quality.baseline import Baseline, keep, require_replaceable
from modeling.quality.divergence import compare
from modeling.quality.perplexity import counted, cut, score
from modeling.roofline import roofline
from modeling.scores import CONTEXT, VERIFY_CONTEXT, ScoreRequest, ScoreResult
from modeling.state import ModelState, Snapshot
from modeling.text.chat import ChatFormat
from modeling.text.grammar import Grammars
from modeling.text.stream import StreamDecoder, bytewise, spell
from modeling.text.tokenizer import Tokenizer
from modeling.timings import Plan, Result


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model ready to answer: what it is, how its checkpoint wants to be sampled, and the engine that runs it."""

    info: ModelInfo
    defaults: SamplingParams
    tokenizer: Tokenizer
    engine: Engine
    folder: Path

    def encode(self, text: str) -> tuple[int, ...]:
        """Text as it stands → ids; special tokens written in it are recognised."""
        return self.tokenizer.encode(text)

    def converse(
        self,
        template: str | None = None,
        *,
        system: str | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        budget: int = BUDGET,
    ) -> Session:
        """A conversation with this model, by the given template (jinja) or else the checkpoint's own.

        It keeps up to `budget` bytes of states to go back to.

        Raises `InvalidRequest` if there is neither.
        """
        format = ChatFormat.of(self.tokenizer, template)
        return Session(self.engine, self.tokenizer, format, system=system, tools=tools, budget=budget)

    def identity(self, session: Session) -> dict[str, str]:
        """What a state of `session` belongs to: hashes of config, weights, tokenizer and template, and the number format."""
        return self._identity(session.template)

    def _identity(self, template: str | None) -> dict[str, str]:
        """The same for a template; None where text is fed without one."""
        info, model = self.info, self.engine.runner.model
        assert isinstance(model, LanguageModel)
        packed = f"{info.quantization}, {packed_count(model)} weights"  # which tells lists of what stays plain apart, too
        quantization = packed if info.quantization else "none"
        named = "none" if template is None else of_text(template)
        return identify(self.folder) | {"template": named, "dtype": info.dtype, "quantization": quantization}

    def save_state(self, session: Session, path: Path) -> int:
        """Write the deepest state of `session` to a file; returns how many tokens it is the record of (0: nothing is written).

        Raises `WriteFailed`.
        """
        state = session.state
        if not isinstance(state, Snapshot):
            return 0
        write_state(path, state.tensors(), session.ids[: state.length], self.identity(session))
        return state.length

    def load_state(self, session: Session, path: Path) -> int:
        """Bring back a state of `session` that `save_state` wrote; returns how many tokens need not be read again.

        Raises `StateRefused` for a file that is missing, damaged, of another model, or the record of other tokens.
        """
        ids, state = self._read(path, self.identity(session))
        own = session.ids[: len(ids)]
        if ids != own:
            same = next((place for place, (a, b) in enumerate(zip(ids, own, strict=False)) if a != b), len(own))
            raise StateRefused(f"the state in {path.name} is of another text from token {same} on", "it is read again instead")
        session.snapshots.add(ids, state)
        return len(ids)

    def save_prompt(self, path: Path, ids: Sequence[int], state: Saved, template: str | None) -> None:
        """Write the state behind the first `state.length` of a prompt's `ids`, which `template` (None: no template) made of the
        user's words. Raises `WriteFailed`."""
        assert isinstance(state, Snapshot)
        write_state(path, state.tensors(), ids[: state.length], self._identity(template))

    def load_prompt(self, path: Path, template: str | None) -> tuple[tuple[int, ...], Saved]:
        """The ids that such a file is the record of, and the state behind them, for `Engine.submit`.

        Raises `StateRefused` for a file that is missing, damaged, or of another model or template.
        """
        try:
            return self._read(path, self._identity(template))
        except StateRefused as error:
            raise StateRefused(str(error), f"make it anew: falcon cache-prompt -f DOCUMENT -o {path}") from None

    def _read(self, path: Path, identity: Mapping[str, str]) -> tuple[tuple[int, ...], Snapshot]:
        memory = self.engine.runner.state
        assert isinstance(memory, ModelState)
        ids, tensors = read_state(path, identity)
        return ids, memory.adopt(tensors, len(ids))

    def spell(self, id: int) -> tuple[str, bytes]:
        """One token as text and as the bytes that it stands for: it may end within a character. A special token is its name."""
        return spell(self.tokenizer, id)

    def decode(self, ids: Iterable[int]) -> str:
        """ids → text without special tokens."""
        return self.tokenizer.decode(ids)


def open_model(
    spec: ModelSpec,
    *,
    slots: int | None = 1,
    context: int | None = None,
    speculate: int = 0,
    progress: ProgressSink | None = None,
) -> OpenModel:
    """Find (or download), check, load and place a model, with memory for `slots` sequences that decode at once; None: as many
    as suit the device and fit the memory that the weights leave free. A GPU has some slots more, for those who are to follow.

    `context` is the room for tokens in each slot of a model whose memory grows; by default its positions, or as many of them as
    fit half of the memory that the weights leave free. FalconMamba's memory does not grow and ignores it. An answer that
    decodes alone is ahead by up to `speculate` tokens that are looked up, on a CPU only. `progress` is told of the download, of
    the load, and later of the reading of each long prompt.

    Raises `ModelUnavailable`, `BadModelFile`, `MemoryExceeded`, `DeviceUnavailable` and `InvalidRequest` as `checkpoint` does.
    """
    checkpoint = find(spec, progress)
    defaults = read_defaults(checkpoint.folder)
    tokenizer = Tokenizer.from_folder(checkpoint.folder)
    model = _load(checkpoint, spec, with_ready(slots or 1, placement.main_device(spec.device)), progress)
    if speculate and (model.device.type != "cpu" or kernels.current().name != "torch"):
        where = f"{model.device.type} with the kernels {kernels.current().name}"
        raise InvalidRequest(f"tokens are looked up by steps in torch on a CPU, not on {where}", "leave out --speculate")
    rows = slots or suitable_slots(model)
    slots = with_ready(rows, model.device)
    runner = Runner(model, slots, prefill_chunk(spec), context or affordable_context(model, slots))
    stop_ids = defaults.stop_ids | tokenizer.end_of_turn_ids
    grammars = Grammars(lambda: bytewise(tokenizer), runner.vocab_size, stop_ids)
    programs, runner.prompts = programs_of(model, runner, rows), prompts_of(model, runner)
    engine = Engine(runner, lambda: StreamDecoder(tokenizer), stop_ids, progress, programs, grammars.matcher, speculate, rows)
    notices = _notices(model, runner, defaults)
    if speculate and not quantization_name(model):
        notices += ("looking tokens up saves no time with plain weights; with packed ones it does: --quantize nf4",)
    info = _describe(checkpoint, model, runner, notices)
    return OpenModel(info, defaults.sampling, tokenizer, engine, checkpoint.folder)


def open_language_model(spec: ModelSpec, *, slots: int = 1, progress: ProgressSink | None = None) -> LanguageModel:
    """The bare model, without tokenizer or engine, for measurements. Raises as `open_model` does."""
    return _load(find(spec, progress), spec, slots, progress)


def random_language_model(
    spec: ModelSpec, *, slots: int = 1, seed: int = 0, progress: ProgressSink | None = None
) -> LanguageModel:
    """The shape of a model from its config.json alone, with random weights made on the device. Raises as `open_model` does."""
    return _random(find_config(spec), spec, slots, progress, seed)


def quantize(
    spec: ModelSpec, request: QuantizeRequest, *, dry_run: bool = False, progress: ProgressSink | None = None
) -> Conversion:
    """Write the checkpoint that `spec` names anew, with packed weights; only tell what that would be if `dry_run`.

    Raises `InvalidRequest`, `ModelUnavailable` and `BadModelFile` before anything is written, `WriteFailed` with the old output
    intact, `DeviceUnavailable` without bitsandbytes or the device.
    """
    checkpoint = find(spec, progress)
    planned = plan_conversion(checkpoint, load_config(checkpoint.folder), request)
    if not dry_run:
        use_physical_cores()
        carry_out(planned, progress)
    return planned.conversion


def perplexity(spec: ModelSpec, request: ScoreRequest, *, progress: ProgressSink | None = None) -> ScoreResult:
    """How well a model predicts a text, and with `request.compare` how far it is from the model that wrote the baseline.

    Raises as `open_model` does, `InvalidRequest` for a baseline of another text or tokenizer, `WriteFailed` for one that cannot
    be written, `ContextExceeded`, `NumericalFailure`.
    """
    base = Baseline(request.baseline) if request.compare and request.baseline is not None else None
    if base is None and request.baseline is not None:
        require_replaceable(request.baseline)
    checkpoint = find(spec, progress)
    tokenizer = Tokenizer.from_folder(checkpoint.folder)
    context = request.context or (base.context if base is not None else CONTEXT)
    pieces = cut(tokenizer.encode(request.text), context, request.chunks, tokenizer.bos_id)
    if base is not None:
        pieces = base.matching(pieces, load_config(checkpoint.folder).vocab_size)
    model = _load(checkpoint, spec, 1, progress)
    count, length = pieces.shape
    if model.max_positions is not None and length > model.max_positions:
        what = f"pieces of {length} tokens are longer than the model's {model.max_positions} positions"
        raise ContextExceeded(what, "use a smaller --ctx-size")
    runner = Runner(model, 1, prefill_chunk(spec), length)
    assert isinstance(runner.state, ModelState)
    began = perf_counter()
    scores = score(model, runner.state, pieces, runner.prefill_chunk, progress)
    if base is not None:
        log, divergence = compare(scores, base)
    else:
        log, divergence = keep(scores, pieces, model.config.vocab_size, request.baseline), None
    seconds = perf_counter() - began
    info = _describe(checkpoint, model, runner, _packing_notices(model) + _reasons())
    return ScoreResult(info, length, count, count * counted(length), seconds, log, divergence)


def require_scorable(spec: ModelSpec, text: str, *, progress: ProgressSink | None = None) -> None:
    """Raises `InvalidRequest` for a text of too few tokens, and as `open_model` does for a model without a tokenizer."""
    tokenizer = Tokenizer.from_folder(find(spec, progress).folder)
    cut(tokenizer.encode(text), VERIFY_CONTEXT, None, tokenizer.bos_id)


def verify(source: ModelSpec, quantized: ModelSpec, text: str, *, progress: ProgressSink | None = None) -> ScoreResult:
    """A quantized checkpoint, read again, beside its source on `text`. One of the two is in memory at a time.

    Raises as `perplexity` does; `require_scorable` is sooner to find a text too short.
    """
    with TemporaryDirectory(prefix="falcon-") as folder:
        request = ScoreRequest(text, VERIFY_CONTEXT, baseline=Path(folder) / "source.logs")
        perplexity(source, request, progress=progress)
        clear()
        return perplexity(quantized, replace(request, compare=True), progress=progress)


def measure(
    spec: ModelSpec,
    plan: Plan,
    *,
    random_weights: bool = False,
    sampling: Mapping[str, Any] | None = None,
    progress: ProgressSink | None = None,
    began: Callable[[str], None] = lambda what: None,
) -> Iterator[Result]:
    """Measure what `plan` says on the path that answers take, and beside it, in this process, the ceiling.

    Tokens are drawn as the checkpoint wants it, but for what `sampling` says of `SamplingParams`; against transformers, greedy.
    `random_weights` measures a shape: config.json is enough. `began` is told of each part as it begins. Raises as `open_model`
    does, and `ContextExceeded` for what is too long for the model; what was measured before an error has been yielded.
    """
    checkpoint = find_config(spec) if random_weights else find(spec, progress)
    config, defaults, chunk = load_config(checkpoint.folder), read_defaults(checkpoint.folder), prefill_chunk(spec)
    check(plan, config.max_position_embeddings, chunk, free_host())
    drawn = SamplingParams(temperature=0.0) if plan.against else replace(defaults.sampling, **(sampling or {}))
    decoder: Callable[[], Decoder] = Numbers
    stop_ids = defaults.stop_ids
    if not random_weights:
        tokenizer = Tokenizer.from_folder(checkpoint.folder)
        decoder, stop_ids = (lambda: StreamDecoder(tokenizer)), stop_ids | tokenizer.end_of_turn_ids
    clear()  # of what was measured before
    started = perf_counter()
    slots = max((case.batch for case in plan.cases), default=2)
    model = (_random if random_weights else _load)(checkpoint, spec, slots, progress)
    settle(model.device)
    loaded = perf_counter() - started

    def engine(slots: int, context: int) -> Engine:
        runner = Runner(model, slots, chunk, context)
        programs, runner.prompts = programs_of(model, runner, slots), prompts_of(model, runner)
        return Engine(runner, decoder, stop_ids, programs=programs)

    def describe(engine: Engine) -> ModelInfo:
        return _describe(checkpoint, model, engine.runner, _reasons())

    weight = next(model.parameters())
    floor = replace(roofline(config, weight.itemsize), weight_bytes=weights_read(model))
    ceiling = measure_ceiling(model.device, weight.dtype)
    subject = Subject(model, checkpoint.folder, engine, describe, floor, ceiling, drawn, loaded, random_weights)
    reference = _reference(model, checkpoint) if plan.against else None
    yield from measure_cases(subject, plan.cases, plan.repetitions, began, progress, reference)
    if plan.conversation is not None:
        yield from measure_turns(subject, plan.conversation, plan.repetitions, began)
    yield from measure_states(subject, plan.states, plan.repetitions, began, progress)


def computes_on(device: str) -> str:
    """What `device` ("auto", "cuda:1", …) comes to here: "cpu", "cuda" or "mps". Raises `DeviceUnavailable`."""
    return placement.main_device(device).type


def _reference(model: LanguageModel, checkpoint: Checkpoint) -> Reference:
    if not resident(model):
        raise InvalidRequest("transformers is compared on one device only", "leave out --device-map")
    try:
        return Reference(model, checkpoint.folder)
    except Exception as error:  # whatever keeps it from being there, it is not there
        first_line, *_ = str(error).splitlines() or [type(error).__name__]
        raise DeviceUnavailable(f"--against transformers: {first_line}", "falcon doctor tells what is installed") from error


def _random(checkpoint: Checkpoint, spec: ModelSpec, slots: int, progress: ProgressSink | None, seed: int = 0) -> LanguageModel:
    use_physical_cores()
    model = random_model(load_config(checkpoint.folder), spec, slots=slots, seed=seed)
    _choose_kernels(model.device, spec, progress)
    return _compiled(model)


def _load(checkpoint: Checkpoint, spec: ModelSpec, slots: int, progress: ProgressSink | None) -> LanguageModel:
    use_physical_cores()
    config = load_config(checkpoint.folder)

    def meanwhile(device: torch.device) -> None:  # to import and try the kernels takes a second
        _choose_kernels(device, spec, progress)

    return _compiled(load(checkpoint, config, spec, progress, slots=slots, meanwhile=meanwhile))


def _compiled(model: LanguageModel) -> LanguageModel:
    """The model as it is, or with compiled steps if those were chosen."""
    if kernels.current().name == "compile":
        from modeling.decode.compiled import compile_steps

        compile_steps(model)
    return model


def _choose_kernels(device: torch.device, spec: ModelSpec, progress: ProgressSink | None) -> None:
    if device.type == "cuda":
        torch.cuda.set_device(device)  # where streams, events and graphs are made
    if kernels.choose(spec.kernels, device).name == "triton" and progress is not None:
        kernels.announce(progress)


def _notices(model: LanguageModel, runner: Runner, defaults: GenerationDefaults) -> tuple[str, ...]:
    """What the user should know before the first token."""
    notices = []
    if defaults.ignored:
        notices.append(f"generation_config.json asks for {', '.join(defaults.ignored)}, which falcon does not follow")
    notices += _packing_notices(model)
    if isinstance(model.placement, placement.Plan) and not model.placement.resident:
        notices.append(f"weights are spread: {model.placement.summary()}; expect it to be slower")
    notices += _reasons()
    if model.max_positions is not None and runner.max_positions != model.max_positions:
        notices.append(f"memory holds {runner.max_positions} of the model's {model.max_positions} positions")
    return tuple(notices)


def _packing_notices(model: LanguageModel) -> tuple[str, ...]:
    """Where packed weights are not multiplied in the number format that their config.json names."""
    packing, own = model.config.quantization, str(model.dtype).removeprefix("torch.")
    if packing is None or packing.type == "int8" or packing.compute_dtype == own:
        return ()
    return (f"the checkpoint would multiply in {packing.compute_dtype}; falcon does in {own}",)


def _reasons() -> tuple[str, ...]:
    """Why fast kernels do not run, where they were to."""
    return tuple(f"the torch kernels run, not the fast ones: {why}" for why in kernels.current().reasons.values())


def _describe(checkpoint: Checkpoint, model: LanguageModel, runner: Runner, notices: tuple[str, ...]) -> ModelInfo:
    return ModelInfo(
        name=checkpoint.name,
        family=model.config.model_type,
        revision=checkpoint.commit,
        dtype=str(model.dtype).removeprefix("torch."),
        device=str(model.device),
        kernels=kernels.current().name,
        quantization=quantization_name(model),
        parameters=weight_count(model),
        weights_bytes=sum(parameter.nbytes for parameter in model.parameters()),
        state_bytes=runner.slots * model.state_bytes(0),
        max_positions=runner.max_positions,
        notices=notices,
        layers=len(model.blocks),
        token_bytes=model.state_bytes(1) - model.state_bytes(0),
    )
