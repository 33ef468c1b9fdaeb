"""Answers that are held to a form: whatever the model would say, what comes out has it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import torch

from modeling.errors import InvalidRequest
from modeling.messages import Constraint, Failed, Finished, Request, SamplingParams, Token

pytest.importorskip("llguidance")

EOS = 0
SCHEMAS: dict[str, Any] = {
    "object": {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 9}, "age": {"type": "integer"}, "ok": {"type": "boolean"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    },
    "enum": {"enum": ["red", "blü", 3, None, ["x"]]},
    "const": {"const": {"a": [1, 2]}},
    "one of": {"oneOf": [{"type": "null"}, {"type": "array", "items": {"type": "boolean"}, "maxItems": 3}]},
    "numbers": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 99}, "minItems": 2, "maxItems": 4},
    "anything": True,
}
REGEXES = [r"(ab|cde){2,5}", r"[0-9]{4}-[0-9]{2}-[0-9]{2}", r"é+ü?", r"(foo)?", r"[^\x00-\x1f]{40}", r"[a-f]+\.[a-f]*"]


def fits(schema: Any, value: Any) -> bool:
    """The few keywords above, checked by hand: another reading of the schema than the one that made the answer."""
    if schema is True:
        return True
    if "enum" in schema:
        return value in schema["enum"]
    if "const" in schema:
        return bool(value == schema["const"])
    if "oneOf" in schema:
        return sum(fits(each, value) for each in schema["oneOf"]) == 1
    kind = schema["type"]
    if kind == "object":
        properties = schema["properties"]
        return {*schema["required"]} <= {*value} <= {*properties} and all(fits(properties[k], v) for k, v in value.items())
    if kind == "array":
        inside = isinstance(value, list) and schema.get("minItems", 0) <= len(value) <= schema["maxItems"]
        return inside and all(fits(schema["items"], each) for each in value)
    if kind in ("number", "integer"):
        whole = kind != "integer" or isinstance(value, int)
        bounded = schema.get("minimum", value) <= value <= schema.get("maximum", value)
        return not isinstance(value, bool) and whole and bounded
    types: dict[str, type] = {"string": str, "boolean": bool}
    return value is None if kind == "null" else isinstance(value, types[kind]) and len(str(value)) <= schema.get("maxLength", 9)


def request(constraint: Constraint | None, *, prompt: tuple[int, ...] = (7, 8), **sampling: Any) -> Request:
    return Request(prompt, SamplingParams(**{"max_tokens": 400} | sampling), constraint)


def schema_of(schema: Any) -> Constraint:
    return Constraint("json_schema", json.dumps(schema))


def outcome(engine: Any, *requests: Request) -> list[tuple[str, Finished]]:
    """Text and end of each, all decoded together."""
    ids = [engine.submit(each) for each in requests]
    texts, ends = dict.fromkeys(ids, ""), {}
    for id, event in engine.run():
        assert not isinstance(event, Failed), event
        texts[id] += event.text
        if isinstance(event, Finished):
            ends[id] = event
    return [(texts[id], ends[id]) for id in ids]


@pytest.mark.parametrize("temperature", [0.0, 1.0, 8.0])
@pytest.mark.parametrize("name", SCHEMAS)
def test_an_answer_that_ends_by_itself_is_json_that_the_schema_describes(make_engine, name, temperature) -> None:
    engine, _ = make_engine(slots=3)
    ended = 0
    for seed in range(0, 6, 3):
        asked = [request(schema_of(SCHEMAS[name]), temperature=temperature, seed=seed + n) for n in range(3)]
        for text, end in outcome(engine, *asked):
            if end.reason == "stop":
                assert fits(SCHEMAS[name], json.loads(text)), text
                ended += 1
            else:
                assert (end.reason, end.stats.completion_tokens) == ("length", 400)
    assert ended or name in ("object", "numbers", "anything")


@pytest.mark.parametrize("source", REGEXES)
def test_an_answer_that_ends_by_itself_matches_the_regular_expression(make_engine, source) -> None:
    engine, _ = make_engine(slots=4)
    asked = [request(Constraint("regex", source), temperature=t, seed=s) for t in (0.0, 1.0, 8.0) for s in (1, 2)]
    for text, end in outcome(engine, *asked):
        if end.reason == "stop":
            assert re.fullmatch(source, text), text
        else:
            assert end.reason == "length"


@pytest.mark.parametrize(
    "filters",
    [
        {"top_k": 3},
        {"top_p": 0.4},
        {"min_p": 0.2},
        {"typical_p": 0.3},
        {"repetition_penalty": 1.8, "frequency_penalty": 1.5, "presence_penalty": -2.0},
        {"temperature": 100.0, "top_k": 40, "top_p": 0.99},
        {"temperature": 1e-9},
    ],
    ids=str,
)
def test_filters_and_penalties_work_within_the_mask(make_engine, filters) -> None:
    engine, _ = make_engine(slots=2)
    for text, _end in outcome(engine, *(request(Constraint("regex", "[a-f]{30}"), seed=s, **filters) for s in range(4))):
        assert re.fullmatch("[a-f]{30}", text)


def test_greedy_takes_the_best_of_what_is_allowed(make_engine) -> None:
    engine, model = make_engine()
    ((text, _),) = outcome(engine, request(Constraint("regex", "[a-f]{12}"), temperature=0.0))
    tokens = [7, 8]
    for sign in text.encode():
        allowed = model.voice(tokens)[ord("a") : ord("g")]
        assert sign == ord("a") + int(allowed.argmax())
        tokens.append(sign)


def test_the_text_may_not_end_before_it_is_complete_and_ends_when_nothing_may_follow(make_engine) -> None:
    engine, _ = make_engine(lambda tokens: torch.eye(256)[EOS] * 50.0)  # wants to end at once
    ((text, end),) = outcome(engine, request(Constraint("regex", "[x]{3}|[x]{5}"), temperature=0.0))
    assert (text, end.reason, end.stop) == ("xxx", "stop", EOS)
    ((text, end),) = outcome(engine, request(Constraint("regex", "yes"), temperature=0.0))
    assert (text, end.reason, end.token_ids) == ("yes", "stop", tuple(b"yes"))


def test_a_length_that_is_just_enough_is_no_cut_and_one_less_is(make_engine) -> None:
    engine, _ = make_engine()
    asked = [request(Constraint("regex", "abc"), max_tokens=n, temperature=0.0) for n in (2, 3)]
    assert [(text, end.reason) for text, end in outcome(engine, *asked)] == [("ab", "length"), ("abc", "stop")]


def test_special_tokens_are_never_drawn_inside_the_text(make_engine) -> None:
    engine, _ = make_engine(lambda tokens: torch.eye(256)[1] * 50.0)  # wants its special token
    ((_, end),) = outcome(engine, request(Constraint("regex", "(?s:.){20}"), temperature=0.0))
    assert end.reason == "stop" and not {0, 1} & {*end.token_ids[:-1]} and end.token_ids[-1] != 1


def test_free_neighbours_draw_what_they_draw_alone(make_engine, solo) -> None:
    engine, _ = make_engine(slots=3)
    free = [request(None, prompt=(9, n), seed=n, max_tokens=25) for n in range(4)]
    alone = [[event.id for event in solo(each) if isinstance(event, Token)] for each in free]
    held = request(Constraint("regex", "[a-f]{9}"), seed=5)
    answers = outcome(engine, free[0], held, free[1], held, free[2], free[3])
    assert [list(end.token_ids) for _, end in (answers[n] for n in (0, 2, 4, 5))] == alone
    assert answers[1][0] == answers[3][0]


def test_log_probabilities_are_those_of_the_model_not_of_the_mask(make_engine) -> None:
    engine, model = make_engine()
    engine.submit(request(Constraint("regex", "[ab]"), logprobs=1, temperature=0.0))
    token = next(event for _, event in engine.run() if isinstance(event, Token))
    expected = model.voice([7, 8]).log_softmax(-1)
    assert token.logprob == pytest.approx(float(expected[token.id]), abs=1e-5)
    assert token.alternatives[0][0] == int(expected.argmax())


def test_samples_of_one_prompt_are_each_held_to_the_form(make_engine) -> None:
    engine, _ = make_engine(slots=2)
    ids = engine.submit_samples(request(Constraint("regex", "[a-f]{8}"), temperature=2.0), 3)
    texts = dict.fromkeys(ids, "")
    for id, event in engine.run():
        texts[id] += event.text
    assert all(re.fullmatch("[a-f]{8}", text) for text in texts.values()) and len({*texts.values()}) == 3


@pytest.mark.parametrize(
    ("constraint", "why"),
    [
        (Constraint("regex", "[0-"), "unclosed character class"),
        (Constraint("regex", "a(?=b)"), "look-around"),
        (Constraint("regex", "a\udcff"), "character 2 is half a character"),
        (Constraint("json_schema", "{oops"), "JSON schema cannot be followed"),
        (Constraint("json_schema", '["type"]'), "no JSON object"),
        (Constraint("json_schema", '{"items":' * 9999 + "{}" + "}" * 9999), "recursion"),
        (Constraint("json_schema", '{"type": "zork"}'), "Invalid type: zork"),
        (Constraint("json_schema", '{"type": "array", "uniqueItems": true}'), "uniqueItems"),
        (Constraint("json_schema", "false"), "Unsatisfiable"),
    ],
    ids=lambda value: ascii(getattr(value, "source", ""))[:20],
)
def test_a_form_that_cannot_be_followed_is_refused_in_one_line(make_engine, constraint, why) -> None:
    engine, _ = make_engine()
    for ask in (engine.submit, engine.generate):
        with pytest.raises(InvalidRequest, match=why) as caught:
            ask(request(constraint))
        assert "\n" not in str(caught.value) and caught.value.hint


@pytest.mark.parametrize("sampling", [{"ignore_eos": True}, {"stop": ("a",)}], ids=str)
def test_what_would_not_leave_the_form_whole_contradicts_it(sampling) -> None:
    with pytest.raises(InvalidRequest, match=next(iter(sampling))):
        request(Constraint("regex", "a"), **sampling)


def test_an_answer_whose_form_is_lost_fails_alone(make_engine, monkeypatch) -> None:
    from modeling.text.grammar import Matcher

    engine, _ = make_engine(slots=2)
    bits = Matcher.bits

    def fail(self: Matcher) -> bytes:
        self._fail("too complex") if next(calls) == 3 else None
        return bits(self)

    calls = iter(range(100))
    monkeypatch.setattr(Matcher, "bits", fail)
    held = engine.submit(request(Constraint("regex", "[a-f]{9}")))
    free = engine.submit(request(None, max_tokens=12))
    ends = {id: event for id, event in engine.run() if isinstance(event, Failed | Finished)}
    assert isinstance(ends[held], Failed) and "too complex" in str(ends[held].error)
    assert isinstance(ends[free], Finished)
