"""Undo, redo, edit, retry, going on, going elsewhere: each equals a fresh reading, and costs nothing twice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from falcon_cli.demo import FOLDERS, resolve
from modeling.api import OpenModel, open_model
from modeling.errors import InvalidRequest
from modeling.generation.session import Session
from modeling.messages import Finished, ModelSpec, Request, SamplingParams
from modeling.turns import Turn


@pytest.fixture(scope="module", params=FOLDERS)
def opened(request: pytest.FixtureRequest) -> OpenModel:
    return open_model(ModelSpec(resolve(request.param), dtype="float32", device="cpu", prefill_chunk=40))


@pytest.fixture(scope="module")
def witness(opened: OpenModel) -> OpenModel:
    return open_model(ModelSpec(opened.info.name, dtype="float32", device="cpu"))


@pytest.fixture
def session(opened: OpenModel) -> Iterator[Session]:
    session = opened.converse(system="You remember every single word of what has been said, and you never hurry to an end.")
    yield session
    session.close()


DRAWN = SamplingParams(temperature=8.0, seed=7, max_tokens=6, ignore_eos=True)


def finish(events: Iterator[Any]) -> tuple[str, Finished]:
    told = list(events)
    return "".join(event.text for event in told), told[-1]


def fresh(witness: OpenModel, prompt: tuple[int, ...], sampling: SamplingParams) -> tuple[int, ...]:
    """What a model that has heard nothing yet answers to these ids."""
    end = list(witness.engine.generate(Request(prompt, sampling)))[-1]
    assert isinstance(end, Finished)
    return end.token_ids


def test_redo_brings_back_what_was_undone(session: Session) -> None:
    for text in ("one", "two", "three"):
        finish(session.ask(text, DRAWN))
    whole, last = session.messages, session.head
    assert session.undo(2) == 2 and len(session.messages) == 2
    assert session.redo() == 1 and session.messages == whole[:4]
    assert session.redo(5) == 1 and session.messages == whole and session.head is last
    assert session.redo() == 0
    session.undo()
    finish(session.ask("instead", DRAWN))
    assert session.redo() == 0  # another way was taken
    assert len(session.turns) == 4


def test_an_edited_question_stands_beside_the_old_one(session: Session, witness: OpenModel) -> None:
    with pytest.raises(InvalidRequest, match="no question"):
        session.edit("x", DRAWN)
    finish(session.ask("one", DRAWN))
    finish(session.ask("two", DRAWN))
    old = session.head
    _, end = finish(session.edit("too", DRAWN))
    assert [message.content for message in session.messages if message.role == "user"] == ["one", "too"]
    assert old is not None and session.head is not None and session.head.parent is old.parent
    assert end.stats.reused_tokens > 0 and session.last_sync.dropped == 0
    assert end.token_ids == fresh(witness, session.ids[: end.stats.prompt_tokens], DRAWN)


def test_a_stopped_answer_goes_on_as_if_it_had_not_been_stopped(session: Session, witness: OpenModel) -> None:
    with pytest.raises(InvalidRequest, match="no answer"):
        session.go_on(DRAWN)
    begun, first = finish(session.ask("tell", DRAWN))
    more, end = finish(session.go_on(DRAWN))
    longer = SamplingParams(temperature=8.0, seed=7, max_tokens=12, ignore_eos=True)
    prompt = session.ids[: first.stats.prompt_tokens]
    assert first.token_ids + end.token_ids == fresh(witness, prompt, longer)
    assert end.stats.prefilled_tokens == 1  # the pending token, and nothing else
    assert session.messages[-1].content == begun + more and len(session.messages) == 2
    _, end = finish(session.ask("and then?", DRAWN))
    assert end.token_ids == fresh(witness, session.ids[: end.stats.prompt_tokens], DRAWN)


def test_an_answer_that_the_model_ended_does_not_go_on(session: Session) -> None:
    for seed in range(200):
        _, end = finish(session.ask("hi", SamplingParams(temperature=1.0, seed=seed, max_tokens=200)))
        if isinstance(end.stop, int):
            break
        session.undo()
    assert isinstance(end.stop, int)
    before = session.head
    with pytest.raises(InvalidRequest, match="had ended"):
        session.go_on(DRAWN)
    assert session.head is before


def test_each_retry_draws_anew_wherever_one_stands(session: Session) -> None:
    texts = {finish(session.ask("one", DRAWN))[0]}
    for _ in range(3):
        texts.add(finish(session.retry(DRAWN))[0])
    session.goto(session.turns[0])
    texts.add(finish(session.retry(DRAWN))[0])
    assert len(texts) == 5
    session.undo()
    assert finish(session.ask("one", DRAWN))[0] == session.turns[0].reply  # the question itself draws as it did


@pytest.mark.promise
def test_a_walk_over_the_tree_is_always_a_fresh_reading(opened: OpenModel, witness: OpenModel) -> None:
    """Random questions, undos, redos, jumps, retries, and few snapshots: every answer is that of a model without a past."""
    session = opened.converse(system="Say something about the weather in a town by the sea where nobody lives.")
    session.snapshots.budget = 5 * opened.info.state_bytes
    draw = random.Random(11)
    reused = 0
    for step in range(40):
        match draw.choice(["ask", "ask", "undo", "redo", "goto", "retry", "edit", "system"]):
            case "undo":
                session.undo(draw.randint(1, 3))
            case "redo":
                session.redo()
            case "goto" if session.turns:
                session.goto(draw.choice([*session.turns, None]))
            case "system":
                session.system = draw.choice([session.system, "Be somebody else."])
            case "retry" if session.head:
                check(session, session.retry(DRAWN), witness)
            case "edit" if session.head:
                check(session, session.edit(f"rather {step}", DRAWN), witness)
            case _:
                reused += check(session, session.ask(f"step {step}", DRAWN), witness)
    session.close()
    assert reused > 0 and session.snapshots.nbytes <= 6 * opened.info.state_bytes  # the pinned one comes on top


def check(session: Session, events: Iterator[Any], witness: OpenModel) -> int:
    _, end = finish(events)
    assert session.head is not None
    sampling = session.head.sampling
    assert end.token_ids == fresh(witness, session.ids[: end.stats.prompt_tokens], sampling)
    return end.stats.reused_tokens


def test_the_state_behind_the_system_prompt_outlives_all_others(session: Session, opened: OpenModel) -> None:
    session.snapshots.budget = opened.info.state_bytes
    _, first = finish(session.ask("one", DRAWN))
    for turn in range(4):
        finish(session.ask(f"turn {turn}", DRAWN))
    session.goto(None)
    _, end = finish(session.ask("another beginning", DRAWN))
    assert first.stats.reused_tokens == 0 < end.stats.reused_tokens
    assert len(session.snapshots) == 2


def test_turns_that_were_kept_elsewhere_are_taken_over(session: Session, opened: OpenModel, witness: OpenModel) -> None:
    for text in ("one", "two", "three"):
        finish(session.ask(text, DRAWN))
    other = opened.converse()
    other.restore(session.turns, session.head)
    assert (other.ids, other.system, other.messages) == (session.ids, session.system, session.messages)
    _, end = finish(other.ask("four", DRAWN))
    assert end.stats.reused_tokens == 0  # its states were not kept
    assert end.token_ids == fresh(witness, other.ids[: end.stats.prompt_tokens], DRAWN)
    state = session.state
    assert state is not None
    again = opened.converse()
    again.restore(session.turns, session.head)
    again.snapshots.add(session.ids, state)
    _, end = finish(again.ask("four", DRAWN))
    assert end.stats.reused_tokens == state.length == len(session.ids) - 1
    for each in (other, again):
        each.close()


def test_a_turn_knows_its_way_and_its_words(session: Session) -> None:
    finish(session.ask("one", DRAWN))
    finish(session.ask("two", DRAWN))
    head = session.head
    assert isinstance(head, Turn) and head.path() == session.turns
    assert [segment.kind for segment in head.segments][-1] == "reply"
    assert head.transcript() == session.transcript and head.reply == session.messages[-1].content


def test_a_lost_state_is_read_again_at_once(session: Session, opened: OpenModel) -> None:
    for text in ("one", "two"):
        finish(session.ask(text, DRAWN))
    other = opened.converse()
    assert other.read_again() == 0
    other.restore(session.turns, session.head)
    assert other.read_again() == len(session.ids) - 1 and other.read_again() == 0
    one, two = finish(session.ask("three", DRAWN))[1], finish(other.ask("three", DRAWN))[1]
    assert one.token_ids == two.token_ids and one.stats.reused_tokens == two.stats.reused_tokens
    other.close()


def test_a_conversation_moves_to_another_template(session: Session, opened: OpenModel, witness: OpenModel) -> None:
    for text in ("one", "two"):
        finish(session.ask(text, DRAWN))
    other = opened.converse("{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}")
    one = session.turns[0].text_only(None)
    other.restore([one, two := session.turns[1].text_only(one)], two)
    assert (other.messages, other.ids) == (session.messages, ())
    _, end = finish(other.ask("three", DRAWN))
    text = opened.decode(other.ids)
    assert all(message.content in text for message in session.messages) and "[user] one\n[assistant]" in text
    assert end.token_ids == fresh(witness, other.ids[: end.stats.prompt_tokens], DRAWN)
    other.close()
