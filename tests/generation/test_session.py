"""Twenty turns on each template: answers as after a fresh reading of the same ids, and nothing read twice without need."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from falcon_cli.demo import FOLDERS, resolve
from modeling.api import OpenModel, open_model
from modeling.errors import ContextExceeded, InvalidRequest
from modeling.generation.session import Session, agree
from modeling.memory import MambaState
from modeling.messages import Finished, ModelSpec, Request, SamplingParams
from modeling.text.chat import ChatFormat, Piece
from modeling.turns import Segment

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEMPLATES = {
    "chatml": CHATML,
    "bos and default system": "{{ '<|begin_of_text|>' }}{% if messages[0].role != 'system' %}"
    "{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}" + CHATML,
    "date": "{{ '<|im_start|>system\nToday is ' + strftime_now('%d %B %Y') + '<|im_end|>\n' }}" + CHATML,
    "trims": CHATML.replace("m['content']", "m['content'] | trim"),
    "drops earlier thinking": CHATML.replace(
        "m['content']", "(m['content'].split('e')[-1] if m['role'] == 'assistant' else m['content'])"
    ),
    "generation prompt of its own": CHATML.replace("<|im_start|>assistant\n", "<|im_start|>assistant\n<think>\n"),
    "inst": "{{ '<|begin_of_text|>' }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
    "{% else %}{{ m.content + '<|end_of_text|>' }}{% endif %}{% endfor %}",
}
REWRITES = {"trims", "drops earlier thinking", "generation prompt of its own"}


@pytest.fixture(scope="module", params=FOLDERS)
def opened(request: pytest.FixtureRequest) -> OpenModel:
    return open_model(ModelSpec(resolve(request.param), dtype="float32", device="cpu", prefill_chunk=50))


@pytest.fixture
def start(opened: OpenModel) -> Iterator[Any]:
    formats: list[ChatFormat] = []

    def make(template: str = CHATML, **options: Any) -> Session:
        formats.append(ChatFormat(opened.tokenizer, template, now=datetime(2026, 3, 14)))
        return Session(opened.engine, opened.tokenizer, formats[-1], **options)

    yield make
    for format in formats:
        format.close()


@pytest.fixture(scope="module")
def witness(opened: OpenModel) -> OpenModel:
    """The same model without any memory of the conversation."""
    return open_model(ModelSpec(opened.info.name, dtype="float32", device="cpu"))


def greedy(count: int = 6, **more: Any) -> SamplingParams:
    return SamplingParams(**{"temperature": 0.0, "max_tokens": count, **more})


def finish(events: Iterator[Any]) -> tuple[str, Finished]:
    told = list(events)
    return "".join(event.text for event in told), told[-1]


def fresh(witness: OpenModel, session: Session, end: Finished, sampling: SamplingParams) -> tuple[int, ...]:
    """What a model that has heard nothing yet answers to the very same ids, all in one piece."""
    prompt = session.ids[: end.stats.prompt_tokens]
    told = list(witness.engine.generate(Request(prompt, sampling)))
    assert isinstance(told[-1], Finished) and told[-1].stats.reused_tokens == 0
    return told[-1].token_ids


@pytest.mark.promise
@pytest.mark.parametrize("name", TEMPLATES)
def test_twenty_turns_equal_a_fresh_reading(witness: OpenModel, start: Any, name: str) -> None:
    session = start(TEMPLATES[name], system=None if name in ("inst", "date") else "You are terse.")
    read = 0
    for turn in range(20):
        sampling = greedy(3 + turn % 5) if turn % 2 else greedy(5, temperature=1.0, seed=turn)
        question = f" Question {turn}: what is {turn} + <|im_end|>?\n" if turn % 3 else f"And {turn}?"
        text, end = finish(session.ask(question, sampling))
        assert end.token_ids == fresh(witness, session, end, sampling)
        assert session.messages[-1].content == text
        stats, sync = end.stats, session.last_sync
        assert stats.prompt_tokens == stats.reused_tokens + stats.prefilled_tokens
        if name not in REWRITES:
            assert sync.dropped == 0 and sync.reused >= sync.kept - 1  # only the pending token was not in the state
            read += stats.prefilled_tokens + len(end.token_ids) - 1
            assert read <= len(session.ids)  # everything was read once
    assert len(session.messages) == 40


def test_the_next_turn_finds_its_state_where_it_was_left(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is copied back, unless something else has happened in between."""
    session, copies, copy = start(), list[int](), MambaState.copy_
    monkeypatch.setattr(MambaState, "copy_", lambda self, other: copies.append(1) or copy(self, other))
    for text in ("one", "two", "three"):
        finish(session.ask(text, greedy()))
    assert not copies
    session.undo()
    finish(session.ask("four", greedy()))
    assert copies


def test_a_template_that_rewrites_costs_that_part_only(opened: OpenModel, start: Any) -> None:
    session = start(TEMPLATES["drops earlier thinking"])
    for turn in range(4):
        _, end = finish(session.ask("abcdef" * 20, greedy(8, ignore_eos=True)))
        if turn:
            assert end.stats.reused_tokens >= session.last_sync.kept - 10 or session.last_sync.dropped
    assert session.last_sync.dropped > 0


def test_undo_and_the_same_again(start: Any) -> None:
    session = start()
    sampling = greedy(8, temperature=1.0, seed=5, ignore_eos=True)
    finish(session.ask("one", sampling))
    first, end = finish(session.ask("two", sampling))
    ids, reused = session.ids, end.stats.reused_tokens
    assert session.undo() == 1 and len(session.messages) == 2
    again, end = finish(session.ask("two", sampling))
    assert (again, session.ids) == (first, ids)
    assert end.stats.reused_tokens == reused > 0  # the first turn was not read again
    assert session.undo(9) == 2 and session.messages == [] and session.undo() == 0


def test_retry_draws_anew_and_keeps_the_question(witness: OpenModel, start: Any) -> None:
    session = start()
    with pytest.raises(InvalidRequest, match="no answer"):
        session.retry(greedy())
    sampling = greedy(8, temperature=3.0, seed=5, ignore_eos=True)  # hot: the demo is sure of what it says
    texts = {finish(session.ask("one", sampling))[0]}
    for _ in range(3):
        text, end = finish(session.retry(sampling))
        texts.add(text)
        assert end.token_ids != fresh(witness, session, end, sampling)  # other random numbers
    assert len(texts) == 4 and len(session.messages) == 2
    finish(session.ask("two", sampling))
    assert len(session.messages) == 4


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_stop_string_leaves_exactly_the_kept_tokens(witness: OpenModel, opened: OpenModel, start: Any, length: int) -> None:
    probe = start()
    answer, _ = finish(probe.ask("tell me", greedy(24, ignore_eos=True)))
    stop = answer[9 : 9 + length]
    session = start()
    text, end = finish(session.ask("tell me", greedy(24, ignore_eos=True, stop=(stop,))))
    assert end.stop == stop and text == answer[: answer.index(stop)] == session.messages[-1].content
    assert opened.decode(session.ids).endswith(text)
    _, end = finish(session.ask("go on", greedy()))
    assert end.token_ids == fresh(witness, session, end, greedy())


def test_an_answer_stopped_half_way_stays_and_goes_on(witness: OpenModel, opened: OpenModel, start: Any) -> None:
    session = start()
    events = session.ask("tell me", greedy(40, ignore_eos=True))
    shown = [next(events).text for _ in range(5)]
    opened.engine.cancel()
    rest, end = finish(events)
    assert end.reason == "interrupt" and session.messages[-1].content == "".join(shown) + rest
    _, end = finish(session.ask("go on", greedy()))
    assert end.token_ids == fresh(witness, session, end, greedy())
    assert end.stats.reused_tokens >= session.last_sync.kept - 1


def test_a_turn_stopped_before_its_first_token_was_never_said(witness: OpenModel, opened: OpenModel, start: Any) -> None:
    session = start()
    finish(session.ask("one", greedy()))
    before = (list(session.messages), session.ids)
    events = session.ask("long " * 60, greedy())
    cancel = opened.engine.cancel
    original = opened.engine.runner.prefill
    opened.engine.runner.prefill = lambda *chunk: (cancel(), original(*chunk))[1]  # type: ignore[method-assign,func-returns-value]
    try:
        _, end = finish(events)
    finally:
        opened.engine.runner.prefill = original  # type: ignore[method-assign]
    assert end.reason == "interrupt" and end.token_ids == ()
    assert (session.messages, session.ids) == before
    _, end = finish(session.ask("two", greedy()))
    assert end.token_ids == fresh(witness, session, end, greedy())


def test_a_turn_stopped_within_a_chunk_waits_for_a_layer_and_not_for_the_chunk(
    witness: OpenModel, opened: OpenModel, start: Any
) -> None:
    session = start()
    finish(session.ask("one", greedy()))
    passed: list[int] = []
    blocks = opened.engine.runner.model.blocks  # type: ignore[attr-defined]

    def note(block: Any, *_: Any) -> None:
        passed.append(1)
        opened.engine.cancel()

    hooks = [block.register_forward_pre_hook(note) for block in blocks]
    try:
        _, end = finish(session.ask("two", greedy()))
    finally:
        for hook in hooks:
            hook.remove()
    assert (end.reason, end.token_ids, len(passed)) == ("interrupt", (), 1) and len(blocks) > 1
    _, end = finish(session.ask("three", greedy()))
    assert end.token_ids == fresh(witness, session, end, greedy())


def test_another_system_prompt_is_read_with_all_that_follows(witness: OpenModel, start: Any) -> None:
    session = start(system="Be brief.")
    finish(session.ask("one", greedy()))
    session.system = "Be wordy."
    _, end = finish(session.ask("two", greedy()))
    assert end.stats.reused_tokens == 0 and session.last_sync.dropped > 0
    assert end.token_ids == fresh(witness, session, end, greedy())


def test_nothing_is_lost_when_a_turn_is_refused(opened: OpenModel, start: Any) -> None:
    if opened.info.max_positions is None:
        pytest.skip("FalconMamba has no limit")
    session = start()
    finish(session.ask("one", greedy()))
    before = (list(session.messages), session.ids)
    with pytest.raises(ContextExceeded):
        finish(session.ask("word " * 9000, greedy()))
    assert (session.messages, session.ids) == before


def test_few_snapshots_cost_time_and_change_nothing(witness: OpenModel, opened: OpenModel, start: Any) -> None:
    session = start(budget=2 * opened.info.state_bytes, system="Remember well what this is about. " * 4)
    for turn in range(6):
        finish(session.ask(f"turn {turn}", greedy()))
    session.undo(3)
    _, end = finish(session.ask("again", greedy()))
    assert end.token_ids == fresh(witness, session, end, greedy())
    assert 0 < end.stats.reused_tokens < session.last_sync.kept


def test_agreement_is_by_whole_contents_and_by_the_templates_text() -> None:
    transcript = [
        Segment("template", "<u>", (1,)),
        Segment("content", "hi", (2,)),
        Segment("template", "</u><a>", (3, 4)),
        Segment("reply", "", (9,)),
        Segment("template", "</a>", (5,)),
    ]
    same = [Piece("template", "<u>"), Piece("content", "hi", 0), Piece("template", "</u><a></a><u>")]
    kept, rest = agree(transcript, same)
    assert kept == transcript and rest == [Piece("template", "<u>")]
    kept, rest = agree(transcript, [*same[:2], Piece("template", "</u><a>")])
    assert kept == transcript[:3] and rest == []  # an empty reply is not kept where it is to be drawn again
    kept, _ = agree(transcript, [same[0], Piece("content", "hi there", 0)])
    assert kept == transcript[:1]
    kept, _ = agree(transcript, [Piece("content", "<u>", 0)])
    assert kept == []  # what a user types is not what the template wrote
