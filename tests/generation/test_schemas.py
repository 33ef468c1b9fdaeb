"""Random schemas and the embedded models: what ends by itself is JSON, and what the schema describes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import falcon_cli.demo
from modeling.api import OpenModel, open_model
from modeling.messages import Constraint, Failed, Finished, ModelSpec, Request, SamplingParams

pytest.importorskip("llguidance")

Fits = Callable[[Any], bool]
Drawn = tuple[Any, Fits]
"""A schema, and the same in Python: a reading of it that owes nothing to the one that makes the answers."""

NAMES = st.text(st.sampled_from('abz_é"\\ \n🦅'), min_size=1, max_size=6)
SCALARS = st.none() | st.booleans() | st.integers(-999, 999) | NAMES


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def whole(bounds: list[int]) -> Drawn:
    low, high = sorted(bounds)
    return {"type": "integer", "minimum": low, "maximum": high}, lambda value: type(value) is int and low <= value <= high


def text(most: int) -> Drawn:
    return {"type": "string", "maxLength": most}, lambda value: isinstance(value, str) and len(value) <= most


def one_of(values: list[Any]) -> Drawn:
    return {"enum": values}, lambda value: any(same(value, each) for each in values)


def array(item: Drawn, counts: list[int]) -> Drawn:
    low, high = sorted(counts)
    schema = {"type": "array", "items": item[0], "minItems": low, "maxItems": high}
    return schema, lambda value: isinstance(value, list) and low <= len(value) <= high and all(map(item[1], value))


def mapping(properties: dict[str, Drawn], optional: set[str]) -> Drawn:
    required = [name for name in properties if name not in optional]
    schema = {
        "type": "object",
        "properties": {name: each for name, (each, _) in properties.items()},
        "required": required,
        "additionalProperties": False,
    }

    def fits(value: Any) -> bool:
        named = isinstance(value, dict) and {*required} <= {*value} <= {*properties}
        return named and all(properties[name][1](each) for name, each in value.items())

    return schema, fits


def any_of(choices: list[Drawn]) -> Drawn:
    return {"anyOf": [schema for schema, _ in choices]}, lambda value: any(fits(value) for _, fits in choices)


LEAVES = st.one_of(
    st.just(({"type": "null"}, lambda value: value is None)),
    st.just(({"type": "boolean"}, lambda value: isinstance(value, bool))),
    st.lists(st.integers(-5000, 5000), min_size=2, max_size=2).map(whole),
    st.integers(0, 8).map(text),
    st.lists(SCALARS, min_size=1, max_size=3, unique_by=json.dumps).map(one_of),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(array, inner, st.lists(st.integers(0, 3), min_size=2, max_size=2))
        | st.builds(mapping, st.dictionaries(NAMES, inner, max_size=3), st.sets(NAMES, max_size=2))
        | st.lists(inner, min_size=1, max_size=3).map(any_of)
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module", params=falcon_cli.demo.FOLDERS)
def demo(request: pytest.FixtureRequest) -> OpenModel:
    folder = Path(falcon_cli.demo.resolve(request.param))
    return open_model(ModelSpec(str(folder), device="cpu"), slots=3)


def said(demo: OpenModel, held: Constraint) -> str:
    *_, end = demo.engine.generate(Request(demo.encode("Say it."), SamplingParams(temperature=0.0, max_tokens=90), held))
    assert end.reason == "stop"
    return demo.tokenizer.decode(end.token_ids)


def test_a_form_without_a_choice_is_said_in_the_tokenizers_own_words(demo: OpenModel) -> None:
    text = "How do I take back the last turn?"
    *_, end = demo.engine.generate(Request(demo.encode("a"), SamplingParams(), Constraint("regex", re.escape(text))))
    assert end.token_ids == tuple(demo.tokenizer.encode_content(text))


def test_the_name_of_a_special_token_is_a_text_like_any_other(demo: OpenModel) -> None:
    text = "a<|im_end|>b<|end_of_text|>"
    assert said(demo, Constraint("regex", re.escape(text))) == text
    assert said(demo, Constraint("json_schema", json.dumps({"const": text}))) == json.dumps(text)


@given(SCHEMAS, st.sampled_from([{}, {"top_p": 0.8}, {"top_k": 40, "temperature": 2.0}, {"repetition_penalty": 1.3}]))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_ends_by_itself_is_json_that_the_schema_describes(demo: OpenModel, drawn: Drawn, sampling: Any) -> None:
    schema, fits = drawn
    held = Constraint("json_schema", json.dumps(schema))
    prompt = demo.encode("Say it in JSON.")
    engine = demo.engine
    ids = [
        engine.submit(Request(prompt, SamplingParams(temperature=0.0, max_tokens=90), held)),
        *engine.submit_samples(Request(prompt, SamplingParams(**sampling, max_tokens=90), held), 2),
    ]
    texts = dict.fromkeys(ids, "")
    for request, event in engine.run():
        assert not isinstance(event, Failed), (schema, event)
        texts[request] += event.text
        if isinstance(event, Finished):
            said = texts.pop(request)
            if event.reason == "stop":
                assert fits(json.loads(said)), (schema, said)
            else:
                assert (event.reason, event.stats.completion_tokens) == ("length", 90)
    assert not texts
