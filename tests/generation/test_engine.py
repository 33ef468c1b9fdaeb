"""The one loop: what comes out for each request, whoever else is there."""

from __future__ import annotations

import gc
import itertools
import random
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import pairwise
from types import FrameType, ModuleType
from typing import Any, Self

import pytest
import torch

import modeling.generation.engine
import modeling.generation.masks
import modeling.generation.speculation
import modeling.generation.steps
import modeling.text.grammar
from modeling.errors import ContextExceeded, FalconError, InvalidRequest, MemoryExceeded, NumericalFailure
from modeling.messages import Constraint, Failed, Finished, Request, SamplingParams, Token

EOS = 0
LOOP = (
    modeling.generation.engine,
    modeling.generation.speculation,
    modeling.generation.steps,
    modeling.generation.masks,
    modeling.text.grammar,
)
GREEDY = {"temperature": 0.0}
MakeEngine = Callable[..., Any]


def ask(*prompt: int, **sampling: Any) -> Request:
    return Request(prompt or (65,), SamplingParams(**{**GREEDY, **sampling}))


def text_of(events: list[Any]) -> str:
    return "".join(event.text for event in events)


def outcome(events: list[Any]) -> tuple[Any, ...]:
    """What must not depend on company: tokens, texts, how it ended."""
    *tokens, end = events
    assert all(isinstance(token, Token) for token in tokens) and isinstance(end, Finished)
    assert tuple(token.id for token in tokens) == end.token_ids
    return tuple(tokens), end.reason, end.stop, end.text


def collect(events: Iterator[tuple[int, Any]]) -> dict[int, list[Any]]:
    by_request: dict[int, list[Any]] = {}
    for request_id, event in events:
        by_request.setdefault(request_id, []).append(event)
    return by_request


class InterruptedAtLine:
    """Ctrl-C as the n-th line of some modules is about to run; `where` that was, None if there was no such line."""

    def __init__(self, n: int, *modules: ModuleType) -> None:
        self.left = n
        self.where: str | None = None
        self._files = {module.__file__ for module in modules}

    def __enter__(self) -> Self:
        sys.settrace(self._trace)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        sys.settrace(None)
        return kind is KeyboardInterrupt

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in self._files:
            return None
        if event == "line" and self.where is None:
            self.left -= 1
            if self.left == 0:
                self.where = f"{frame.f_code.co_name}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self._trace


# ---- one request ----


def test_greedy_is_the_chain_of_argmaxes(make_engine: MakeEngine) -> None:
    engine, model = make_engine()
    *_, end = engine.generate(ask(1, 2, 3, 4, 5, 6, 7, max_tokens=20, ignore_eos=True))
    tokens = [1, 2, 3, 4, 5, 6, 7]
    for _ in range(20):
        tokens.append(int(model.voice(tokens).argmax()))
    assert end.token_ids == tuple(tokens[7:])


def test_text_comes_as_it_is_drawn_and_the_stop_id_says_nothing(make_engine: MakeEngine) -> None:
    engine, _ = make_engine("Grüße 🦅!")
    events = list(engine.generate(ask()))
    assert text_of(events) == "Grüße 🦅!"
    assert [event.text for event in events[:5]] == ["G", "r", "", "ü", ""]
    assert events[-2] == Token(EOS, "") and (events[-1].reason, events[-1].stop) == ("stop", EOS)
    assert events[-1].token_ids == (*"Grüße 🦅!".encode(), EOS)


def test_ignore_eos_goes_on_to_the_length(make_engine: MakeEngine) -> None:
    engine, _ = make_engine("ab")
    events = list(engine.generate(ask(max_tokens=5, ignore_eos=True)))
    assert text_of(events) == "ab\0\0\0" and (events[-1].reason, events[-1].stop) == ("length", None)


def test_a_character_cut_off_by_the_length_is_flushed(make_engine: MakeEngine) -> None:
    engine, _ = make_engine("x🦅")
    events = list(engine.generate(ask(max_tokens=3)))
    assert [event.text for event in events] == ["x", "", "", "\ufffd"] and events[-1].reason == "length"


@pytest.mark.parametrize(
    "said, stops, shown, stop",
    [
        ("one STOP two", ("STOP",), "one ", "STOP"),
        ("abcabd!", ("abd", "zz"), "abc", "abd"),
        ("user: hi\nuser: ho", ("\nuser:",), "user: hi", "\nuser:"),
        ("aaab", ("b", "aab"), "a", "aab"),
        ("tail STO", ("STOP",), "tail STO", EOS),
        (b"ok \xf0\x9f", ("\ufffd",), "ok ", "\ufffd"),  # completed by the decoder's flush
    ],
)
def test_stop_strings(make_engine: MakeEngine, said: str, stops: tuple[str, ...], shown: str, stop: str | int) -> None:
    engine, _ = make_engine(said)
    events = list(engine.generate(ask(stop=stops)))
    assert text_of(events) == shown and (events[-1].reason, events[-1].stop) == ("stop", stop)


def test_text_is_held_back_only_while_it_may_become_a_stop_string(make_engine: MakeEngine) -> None:
    engine, _ = make_engine("a<b<end")
    texts = [event.text for event in engine.generate(ask(stop=("<end>",)))]
    assert texts == ["a", "", "<b", "", "", "", "", "", "<end"]


def test_max_tokens_zero_reads_the_prompt_and_draws_nothing(make_engine: MakeEngine) -> None:
    engine, model = make_engine(prefill_chunk=4)
    (end,) = engine.generate(ask(*range(1, 11), max_tokens=0))
    assert (end.reason, end.token_ids, end.text) == ("length", (), "")
    assert end.stats.prefilled_tokens == 10 and model.calls == [("prefill", 4), ("prefill", 4), ("prefill", 2)]


def test_stats(make_engine: MakeEngine) -> None:
    engine, _ = make_engine("four")
    *_, end = engine.generate(ask())
    stats = end.stats
    assert (stats.prompt_tokens, stats.reused_tokens, stats.prefilled_tokens, stats.completion_tokens) == (1, 0, 1, 5)
    assert 0 < stats.prefill_seconds <= stats.first_token_seconds and stats.decode_seconds > 0


def test_logprobs_reach_the_tokens(make_engine: MakeEngine) -> None:
    engine, model = make_engine()
    first, *_ = engine.generate(ask(5, max_tokens=2, logprobs=2))
    expected = model.voice([5]).log_softmax(-1)
    assert first.logprob == pytest.approx(expected.max().item(), abs=1e-5)
    assert first.alternatives[0] == (first.id, first.logprob) and len(first.alternatives) == 2


# ---- limits ----


@pytest.mark.parametrize(
    "prompt, error, words",
    [((), InvalidRequest, "no tokens"), ((5, 256), InvalidRequest, "256 .* vocabulary"), ((5, -1), InvalidRequest, "-1 ")],
)
def test_a_prompt_that_cannot_work_is_refused_at_the_call(
    make_engine: MakeEngine, prompt: tuple[int, ...], error: type[FalconError], words: str
) -> None:
    engine, model = make_engine()
    for call in (engine.submit, engine.generate):
        with pytest.raises(error, match=words) as caught:
            call(Request(prompt))
        assert caught.value.hint
    assert list(engine.run()) == [] and model.calls == []


def test_the_context_limit_is_told_with_its_counts(make_engine: MakeEngine) -> None:
    engine, _ = make_engine(max_positions=20)
    with pytest.raises(ContextExceeded, match=r"12 .* 9 .* 20 ") as caught:
        engine.submit(ask(*[1] * 12, max_tokens=9))
    assert "8 tokens" in caught.value.hint
    for most in (None, 1):
        with pytest.raises(ContextExceeded, match=r"20 .* 20 "):
            engine.submit(ask(*[1] * 20, max_tokens=most))
    *_, end = engine.generate(ask(*[1] * 12, max_tokens=8, ignore_eos=True))
    assert end.stats.completion_tokens == 8
    assert [event.reason for event in engine.generate(ask(*[1] * 20, max_tokens=0))] == ["length"]


def test_without_max_tokens_the_limit_ends_the_answer(make_engine: MakeEngine) -> None:
    engine, _ = make_engine(max_positions=20)
    *_, end = engine.generate(ask(*[1] * 12, ignore_eos=True))
    assert (end.reason, end.stats.completion_tokens) == ("length", 8)


# ---- many requests ----


def random_request(rng: random.Random) -> Request:
    prompt = tuple(rng.randrange(1, 256) for _ in range(rng.choice([1, 2, 3, 5, 8, 13, 30])))
    sampling: dict[str, Any] = {"max_tokens": rng.choice([0, 1, 2, 7, 25]), "seed": rng.randrange(100)}
    if rng.random() < 0.3:
        sampling["temperature"] = 0.0
    if rng.random() < 0.3:
        sampling |= {"top_k": 20, "top_p": 0.9}
    if rng.random() < 0.3:
        sampling |= {"repetition_penalty": 1.3, "repeat_last_n": rng.choice([-1, 4])}
    if rng.random() < 0.3:
        sampling["stop"] = tuple(chr(rng.randrange(32, 127)) for _ in range(20))
    if rng.random() < 0.3:
        sampling["ignore_eos"] = True
    return Request(prompt, SamplingParams(**sampling))


@pytest.mark.promise
@pytest.mark.parametrize("seed", range(12))
def test_any_schedule_gives_each_request_what_it_gets_alone(make_engine: MakeEngine, solo: Any, seed: int) -> None:
    """Random slots, chunks, arrivals and cancellations: the finished equal their solo run, the cancelled its beginning."""
    rng = random.Random(seed)
    engine, model = make_engine(slots=rng.choice([1, 2, 3, 5, 8]), prefill_chunk=rng.choice([1, 2, 3, 7, 64]))
    todo = [random_request(rng) for _ in range(25)]
    requests: dict[int, Request] = {}
    events: dict[int, list[Any]] = {}
    cancelled = set()
    while todo or len([end for end in events.values() if isinstance(end[-1], Finished)]) < len(requests):
        for _ in range(rng.randrange(1, 4)):
            if todo:
                request = todo.pop()
                requests[engine.submit(request)] = request
        stream = engine.run()
        for request_id, event in stream:
            events.setdefault(request_id, []).append(event)
            if rng.random() < 0.02:
                cancelled.add(victim := rng.choice(list(requests)))
                engine.cancel(victim)
            if rng.random() < 0.1:
                break  # and go on with another run()
    assert set(events) == set(requests) and len(requests) == 25
    interrupted = 0
    for request_id, request in requests.items():
        alone, got = outcome(solo(request)), outcome(events[request_id])
        if got[1] == "interrupt":
            assert request_id in cancelled
            assert got[0] == alone[0][: len(got[0])]
            interrupted += 1
        else:
            assert got == alone
    assert interrupted < 20
    assert len({events[-1].token_ids for events in events.values()}) > 12, "a toy that always says the same proves nothing"
    assert model.state.tokens == [[]] * engine.runner.slots


def test_more_requests_than_slots_queue_in_order(make_engine: MakeEngine) -> None:
    engine, model = make_engine(slots=2)
    ids = [engine.submit(ask(1 + n, max_tokens=3, ignore_eos=True)) for n in range(7)]
    started = list(dict.fromkeys(request_id for request_id, _ in engine.run()))
    assert started == ids
    assert max(size for call, size in model.calls if call == "step") == engine.rows


def test_slots_stay_full_while_there_is_work(make_engine: MakeEngine) -> None:
    engine, model = make_engine(slots=4, prefill_chunk=8)
    for n in range(8):
        engine.submit(ask(1 + n, max_tokens=2 + 5 * (n % 2), ignore_eos=True))
    assert len(collect(engine.run())) == 8
    assert sum(size for call, size in model.calls if call == "step") == 4 * 1 + 4 * 6, "a token of every answer but its first"
    assert len([call for call in model.calls if call[0] == "step"]) <= 13


def test_a_long_prompt_stalls_nobody_for_more_than_a_chunk(make_engine: MakeEngine) -> None:
    engine, model = make_engine(slots=3, prefill_chunk=4)
    engine.submit(ask(1, max_tokens=40, ignore_eos=True))
    engine.submit(ask(2, max_tokens=40, ignore_eos=True))
    run = engine.run()
    for _ in range(6):
        next(run)
    del model.calls[:]
    engine.submit(ask(*[3] * 41, max_tokens=1))
    for _ in run:
        pass
    joining = model.calls[: model.calls.index(("prefill", 1)) + 1]
    prefills = [place for place, (call, _) in enumerate(joining) if call == "prefill"]
    assert [joining[place][1] for place in prefills] == [4] * 10 + [1]
    assert all(later - earlier == 2 for earlier, later in pairwise(prefills))
    assert all(call == ("step", 2) for call in joining[prefills[0] + 1 :: 2])


def test_short_prompts_share_a_chunk(make_engine: MakeEngine) -> None:
    """Eight prompts of one token join within two chunks of four, not one by one between eight steps."""
    engine, model = make_engine(slots=9, prefill_chunk=4)
    engine.submit(ask(9, max_tokens=30, ignore_eos=True))
    run = engine.run()
    next(run)
    for n in range(8):
        engine.submit(ask(1 + n, max_tokens=30, ignore_eos=True))
    collect(run)
    steps = [size for call, size in model.calls if call == "step"]
    assert [size for size in steps if size > 1][:2] == [5, engine.rows]


def test_the_first_token_does_not_wait_for_the_others_step(make_engine: MakeEngine) -> None:
    engine, model = make_engine(slots=2)
    engine.submit(ask(1, max_tokens=20, ignore_eos=True))
    run = engine.run()
    next(run)
    second = engine.submit(ask(2, max_tokens=3))
    for request_id, _ in run:
        if request_id == second:
            break
    assert model.calls[-1] == ("prefill", 1)


def test_no_row_is_idle_while_somebody_is_ready(make_ready: Callable[[int], MakeEngine], solo: Any) -> None:
    """Two rows, and two slots for those who are to follow: prompts are read by twos, and whoever waited longest goes on."""
    engine, model = make_ready(2)(slots=4, prefill_chunk=4)
    requests = [ask(1 + n, max_tokens=tokens, ignore_eos=True) for n, tokens in enumerate((9, 3, 4, 5, 2, 6, 3, 7))]
    ids = [engine.submit(request) for request in requests]
    events = list(engine.run())
    found = collect(iter(events))
    assert [outcome(found[id]) for id in ids] == [outcome(solo(request)) for request in requests]
    steps = [size for call, size in model.calls if call == "step"]
    assert steps == sorted(steps, reverse=True) and max(steps) == 2, "only the last answer goes on alone"
    assert [size for call, size in model.calls if call == "prefill"] == [4, 2, 2]
    told = [id for id, event in events if isinstance(event, Token)]
    going_on = [id for place, id in enumerate(told) if told[:place].count(id) == 1]  # two share a step
    assert all(abs(going_on.index(id) - place) <= 1 for place, id in enumerate(ids))


def test_streams_read_in_turn_decode_together(make_engine: MakeEngine, solo: Any) -> None:
    engine, model = make_engine(slots=3, prefill_chunk=8)
    requests = [ask(n, max_tokens=10, ignore_eos=True) for n in (1, 2, 3)]
    shared = engine.submit(ask(9, max_tokens=4, ignore_eos=True))
    rows = list(zip(*(engine.generate(request) for request in requests), strict=True))
    for request, events in zip(requests, zip(*rows, strict=True), strict=True):
        assert outcome(list(events)) == outcome(solo(request))
    assert ("step", engine.rows) in model.calls
    assert collect(engine.run())[shared][-1].reason == "length"
    assert list(engine.run()) == []


# ---- cancellation ----


@pytest.mark.parametrize("where", ["waiting", "joining", "decoding"])
def test_cancelled_at_any_stage(make_engine: MakeEngine, solo: Any, where: str) -> None:
    engine, model = make_engine(slots=2 if where != "waiting" else 1, prefill_chunk=2)
    other_request = ask(1, max_tokens=15, ignore_eos=True)
    other = engine.submit(other_request)
    victim = engine.submit(ask(*[2] * 20, max_tokens=9, ignore_eos=True))
    got: dict[int, list[Any]] = {other: [], victim: []}
    for request_id, event in engine.run():
        got[request_id].append(event)
        reached = {"waiting": True, "joining": len(got[other]) == 4, "decoding": len(got[victim]) == 3}
        if reached[where]:
            engine.cancel(victim)
    end = got[victim][-1]
    assert (end.reason, end.stop) == ("interrupt", None)
    assert end.stats.prefilled_tokens == {"waiting": 0, "decoding": 20}.get(where, end.stats.prefilled_tokens)
    assert where != "joining" or 0 < end.stats.prefilled_tokens < 20
    assert len(end.token_ids) == (3 if where == "decoding" else 0)
    assert outcome(got[other]) == outcome(solo(other_request))
    assert model.state.tokens == [[]] * engine.runner.slots


def test_cancelled_in_the_queue_is_never_computed(make_engine: MakeEngine) -> None:
    engine, model = make_engine(prefill_chunk=8)
    ids = [engine.submit(ask(*[1] * size, max_tokens=2, ignore_eos=True)) for size in (1, 2, 3)]
    engine.cancel(ids[1])
    assert [event.reason for event in collect(engine.run())[ids[1]]] == ["interrupt"]
    assert [size for call, size in model.calls if call == "prefill"] == [1, 3]


@pytest.mark.promise
@pytest.mark.parametrize("call", range(1, 8))
def test_cancelled_from_within_a_step_as_a_signal_would(make_engine: MakeEngine, call: int) -> None:
    """The note is taken in the middle of the model's work; nothing but Finished comes after it."""
    engine, model = make_engine(prefill_chunk=2)
    request_id = engine.submit(ask(*[2] * 5, max_tokens=50, ignore_eos=True))
    noted: list[int] = []

    def signal() -> None:
        if len(model.calls) == call - 1:
            noted.append(len(got))
            engine.cancel()

    got: list[Any] = []
    model.before_call = signal
    for _, event in engine.run():
        got.append(event)
    assert got[-1].reason == "interrupt"
    assert len(got) - noted[0] in (1, 2)  # what the device reads already is taken, too
    assert len(model.calls) in (call, call + 1)  # the device may be a step ahead
    engine.cancel(request_id)  # it has ended: ignored
    assert list(engine.run()) == []


def test_an_interrupt_shows_what_was_held_back(make_engine: MakeEngine) -> None:
    engine, _ = make_engine("<en and so on")
    events = []
    for event in engine.generate(ask(stop=("<end>",))):
        events.append(event)
        if len(events) == 3:
            engine.cancel()
    assert [event.text for event in events] == ["", "", "", "<en"] and events[-1].reason == "interrupt"


@pytest.mark.parametrize("events", [0, 1, 5])
def test_closing_a_stream_frees_its_slot_at_once(make_engine: MakeEngine, events: int) -> None:
    engine, model = make_engine()
    with closing(engine.generate(ask(1, 2, 3, max_tokens=50, ignore_eos=True))) as stream:
        for _ in range(events):
            next(stream)
    assert model.state.tokens == [[]]
    assert list(engine.run()) == []
    assert list(engine.generate(ask(4, max_tokens=1, ignore_eos=True)))[-1].reason == "length"


# ---- failure ----


@pytest.mark.promise
@pytest.mark.parametrize("place", [3, 4, 9])
def test_a_number_that_is_none_ends_its_own_request_only(make_engine: MakeEngine, solo: Any, place: int) -> None:
    """Request 2 meets NaN at a position of its sequence: in its prefill's logits (3) or in a step."""

    def voice(tokens: list[int]) -> torch.Tensor:
        from_hash: torch.Tensor = model_voice(tokens)
        return (
            from_hash.clone().index_fill(0, torch.tensor([7]), float("nan"))
            if tokens[0] == 2 and len(tokens) == place
            else from_hash
        )

    model_voice = make_engine()[1].voice
    engine, model = make_engine(voice=voice, slots=3)
    healthy = [ask(first, 5, 6, max_tokens=12, ignore_eos=True) for first in (1, 3)]
    one = engine.submit(healthy[0])
    sick = engine.submit(ask(2, 5, 6, max_tokens=12, ignore_eos=True))
    three = engine.submit(healthy[1])
    got = collect(engine.run())
    failure = got[sick].pop()
    assert isinstance(failure, Failed) and isinstance(failure.error, NumericalFailure)
    assert str(failure.error).endswith(f"token {place}") and failure.error.hint
    assert len(got[sick]) == place - 3
    assert [outcome(got[one]), outcome(got[three])] == [outcome(solo(request)) for request in healthy]
    with pytest.raises(NumericalFailure):
        list(engine.generate(ask(2, 5, 6, max_tokens=12, ignore_eos=True)))
    assert model.state.tokens == [[]] * 3


@pytest.mark.parametrize("work", ["prefill", "step"])
def test_memory_that_runs_out_ends_only_the_requests_at_work(make_engine: MakeEngine, solo: Any, work: str) -> None:
    engine, model = make_engine(slots=2, prefill_chunk=2)
    first_request, last_request = (ask(n, max_tokens=6, ignore_eos=True) for n in (1, 3))
    first = engine.submit(first_request)
    second = engine.submit(ask(*[2] * 9, max_tokens=6, ignore_eos=True))
    last = engine.submit(last_request)

    def fail() -> None:
        if model.calls and model.calls[-1][0] != work and len(model.calls) > 3 and doomed in engine._live:
            raise MemoryExceeded("no page left")

    doomed = second if work == "prefill" else first
    model.before_call = fail
    got = collect(engine.run())
    ends = {request_id: events[-1] for request_id, events in got.items()}
    assert isinstance(ends[doomed], Failed)
    assert outcome(got[last]) == outcome(solo(last_request))
    if work == "prefill":
        assert outcome(got[first]) == outcome(solo(first_request))
    assert model.state.tokens == [[]] * 2


@pytest.mark.promise
def test_a_foreign_exception_reaches_the_caller_and_leaves_the_engine_clean(make_engine: MakeEngine, solo: Any) -> None:
    """KeyboardInterrupt in the middle of a step: its requests end as interrupted with what they have, the queue is intact."""
    engine, model = make_engine(slots=2)
    first = engine.submit(ask(1, max_tokens=9, ignore_eos=True))
    waiting_request = ask(3, max_tokens=4, ignore_eos=True)

    def strike() -> None:
        if len(model.calls) == 4:
            model.before_call = lambda: None
            raise KeyboardInterrupt

    model.before_call = strike
    got = []
    with pytest.raises(KeyboardInterrupt):
        for _, event in engine.run():
            got.append(event)
    waiting = engine.submit(waiting_request)
    rest = collect(engine.run())
    assert rest[first][-1].reason == "interrupt" and rest[first][-1].token_ids == tuple(event.id for event in got)
    assert outcome(rest[waiting]) == outcome(solo(waiting_request))
    assert model.state.tokens == [[]] * 2


@pytest.mark.promise
def test_an_interrupt_at_any_line_leaves_an_engine_that_answers(make_engine: MakeEngine, solo: Any) -> None:
    """Two requests in turn, and KeyboardInterrupt at the n-th line of the loop's own code, for every n."""
    after, expected = ask(5, 6, 5, max_tokens=4), outcome(solo(ask(5, 6, 5, max_tokens=4)))
    struck = 0
    for n in itertools.count(1):
        engine, model = make_engine(slots=2, prefill_chunk=3)
        one = engine.generate(ask(1, 2, 3, 4, max_tokens=4, ignore_eos=True))
        other = engine.generate(ask(3, max_tokens=3, ignore_eos=True))
        with InterruptedAtLine(n, *LOOP) as interrupted:
            for _ in itertools.zip_longest(one, other):
                pass
        one.close()
        other.close()
        assert outcome(list(engine.generate(after))) == expected, interrupted.where
        assert model.state.tokens == [[]] * 2, interrupted.where
        if interrupted.where is None:
            break
        struck += 1
    assert struck > 300


def submit_samples_of_a_kept_prompt(engine: Any, kept: Any) -> list[int]:
    """More than there are slots: some begin beside the first, the others when there is room."""
    return list(engine.submit_samples(ask(1, 2, 3, 4, 5, 6, temperature=1.0, max_tokens=2), 4, start=kept))


def submit_prompts_read_together(engine: Any, kept: Any) -> list[int]:
    """One of them behind a kept prompt, one too many, one whose state is kept."""
    ids = [engine.submit(ask(*range(1, 7), max_tokens=1), start=kept), engine.submit(ask(7, max_tokens=3, ignore_eos=True))]
    return [*ids, engine.submit(ask(8, 9, max_tokens=2), keep=[].append), engine.submit(ask(9, max_tokens=1))]


def submit_answers_held_to_a_form(engine: Any, kept: Any) -> list[int]:
    """Beside one that is free: two samples whose length runs out, and one that ends as soon as nothing may follow."""
    sampling = SamplingParams(max_tokens=2)
    ids = engine.submit_samples(Request((1, 2, 3, 4, 5), sampling, Constraint("regex", "[a-f]{9}")), 2, start=kept)
    return [*ids, engine.submit(ask(8, 9, max_tokens=3)), engine.submit(Request((7,), sampling, Constraint("regex", "x")))]


@pytest.mark.promise
@pytest.mark.parametrize(
    "submit", [submit_samples_of_a_kept_prompt, submit_prompts_read_together, submit_answers_held_to_a_form]
)
def test_an_interrupt_at_any_line_ends_each_sample_and_each_row_once(make_engine: MakeEngine, solo: Any, submit: Any) -> None:
    """Kept prompts, forks, prompts that are read together and forms, and KeyboardInterrupt at the n-th line, for every n."""
    if submit is submit_answers_held_to_a_form:
        pytest.importorskip("llguidance")
        submit(make_engine()[0], None)  # so that each run finds its grammars made
    after, expected = ask(5, 6, 5, max_tokens=4), outcome(solo(ask(5, 6, 5, max_tokens=4)))
    struck = 0
    for n in itertools.count(1):
        engine, model = make_engine(slots=3, prefill_chunk=8)
        kept: list[Any] = []
        list(engine.generate(ask(1, 2, 3, 4, max_tokens=0), keep=kept.append))
        ids, ends = list[int](), list[int]()
        with InterruptedAtLine(n, *LOOP) as interrupted:
            ids += submit(engine, kept[0])
            for request, event in engine.run():
                ends += [request] if isinstance(event, Finished) else []
        ends += [request for request, event in engine.run() if isinstance(event, Finished)]
        assert len(ends) == len(set(ends)) and set(ids) <= set(ends), interrupted.where
        assert model.state.tokens == [[]] * 3, interrupted.where
        last = engine.submit_samples(after, 2)
        assert outcome(collect(engine.run())[last[0]]) == expected, interrupted.where
        assert model.state.tokens == [[]] * 3, interrupted.where
        if interrupted.where is None:
            break
        struck += 1
    assert struck > 300


def test_progress_is_told_of_long_prompts_only(make_engine: MakeEngine) -> None:
    engine, _ = make_engine(prefill_chunk=4)
    told: list[tuple[int, int]] = []
    engine.progress = lambda progress: told.append((progress.done, progress.total))
    list(engine.generate(ask(*range(1, 5), max_tokens=2)))
    assert told == []
    list(engine.generate(ask(*range(1, 11), max_tokens=2)))
    assert told == [(0, 10), (4, 10), (8, 10), (10, 10)]


# ---- the device runs ahead ----


def test_the_device_is_a_step_ahead_and_never_further(make_ahead: MakeEngine) -> None:
    engine, model = make_ahead(slots=2)
    seen: list[int] = []
    for event in engine.generate(ask(1, 2, max_tokens=9, ignore_eos=True)):
        if isinstance(event, Token):
            seen.append(sum(call == "step" for call, _ in model.calls))
    assert seen == [0, 2, 3, 4, 5, 6, 7, 8, 8]  # the budget ends with the eighth step: nothing is computed in vain


def test_a_stop_string_is_waited_for_only_where_the_state_is_kept(make_ahead: MakeEngine) -> None:
    for keep, steps in ((None, 4), ([].append, 3)):
        engine, model = make_ahead("abcdefgh")
        assert text_of(list(engine.generate(ask(stop=("d",)), keep=keep))) == "abc"
        assert sum(call == "step" for call, _ in model.calls) == steps


def test_a_page_that_only_running_ahead_needs_is_no_failure(make_ahead: MakeEngine, solo: Any) -> None:
    engine, model = make_ahead(slots=2)
    reserve = model.state.reserve

    def scarce(start: int, stop: int, length: int) -> None:
        if length > 1:
            raise MemoryExceeded("no page left")
        reserve(start, stop, length)

    model.state.reserve = scarce
    request = ask(1, 2, 3, max_tokens=9, ignore_eos=True)
    assert outcome(list(engine.generate(request))) == outcome(solo(request))


def test_a_cancelled_row_has_read_its_last_token(make_ahead: MakeEngine) -> None:
    engine, _ = make_ahead(slots=2)
    kept: list[Any] = []
    stream = engine.generate(ask(1, 2, max_tokens=50, ignore_eos=True), keep=kept.append)
    drawn = [next(stream).id for _ in range(5)]
    engine.cancel()
    *_, end = stream
    assert end.token_ids == tuple(drawn) and kept[0].tokens == (1, 2, *drawn)


@pytest.mark.promise
@pytest.mark.parametrize("call", range(3, 9))
def test_cancelled_while_a_step_is_waited_for_the_state_is_the_record_of_what_was_told(
    make_engine: MakeEngine, call: int
) -> None:
    """The usual moment of a Ctrl-C: the host waits for a token, and the device may be reading it already."""
    engine, model = make_engine(slots=2, prefill_chunk=8)
    kept: list[Any] = []
    stream = engine.generate(ask(1, 2, max_tokens=50, ignore_eos=True), keep=kept.append)

    def signal() -> None:
        if len(model.calls) == call:
            engine.cancel()

    model.before_call = signal
    events = list(stream)
    assert events[-1].reason == "interrupt"
    assert tuple(event.id for event in events[:-1]) == events[-1].token_ids
    (state,) = kept
    whole = (1, 2, *events[-1].token_ids)
    assert state.tokens in (whole, whole[:-1])


def test_a_stop_id_that_comes_with_the_cancellation_is_not_fed(make_ahead: MakeEngine) -> None:
    engine, model = make_ahead("abc", slots=2)
    kept: list[Any] = []

    def signal() -> None:
        if model.state.tokens[0][-1:] == [ord("c")]:  # the step that draws the stop id is done, the next one is sent
            engine.cancel()

    model.before_call = signal
    *_, end = engine.generate(ask(), keep=kept.append)
    assert kept[0].tokens == (65, *b"abc") and end.token_ids == (*b"abc", EOS)


def test_memory_that_runs_out_ahead_is_told_as_such(make_ahead: MakeEngine) -> None:
    engine, model = make_ahead(slots=2)

    def fail() -> None:
        if any(call == "step" for call, _ in model.calls):
            raise torch.OutOfMemoryError("CUDA out of memory")

    model.before_call = fail
    with pytest.raises(MemoryExceeded):
        list(engine.generate(ask(1, 2, max_tokens=9, ignore_eos=True)))


def test_what_fails_keeps_nothing_alive(make_ahead: MakeEngine) -> None:
    """States hold pages: they must not wait for the collector because an error and its frames know each other."""
    engine, model = make_ahead(slots=1)
    kept: list[Any] = []
    list(engine.generate(ask(1, 2, max_tokens=1), keep=kept.append))

    def fail() -> None:
        raise MemoryExceeded("all positions are in use")

    model.before_call = fail
    gc.collect()
    gc.disable()
    try:
        start = kept.pop()
        state = weakref.ref(start)
        with suppress(MemoryExceeded):
            list(engine.generate(ask(1, 2, 3), start=start))
        del start
        assert state() is None
    finally:
        gc.enable()
