"""--json-schema, --json-schema-file and --regex: what is asked of the engine, what is refused, and what is said of a cut."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from falcon_cli.batch.rows import BadRow, Row, parse
from modeling.messages import Constraint

pytest.importorskip("llguidance")

Falcon = Callable[..., Any]
SCHEMA = '{"type": "object", "properties": {"größe": {"type": "integer"}}}'


def test_the_engine_is_asked_for_the_form(falcon: Falcon, fake_model: Any, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text(SCHEMA, encoding="utf-8")
    for arguments, form in (
        (["--json-schema", SCHEMA], Constraint("json_schema", SCHEMA)),
        (["--json-schema-file", str(file)], Constraint("json_schema", SCHEMA)),
        (["--regex", "[A-Z]+", "--extract", "--json"], Constraint("regex", "[A-Z]+")),
        ([], None),
    ):
        outcome = falcon("generate", "a", *arguments)
        assert (outcome.code, outcome.err) == (0, "")
        assert fake_model.OPENED[-1].engine.request.constraint == form


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--regex", "[a-"], "the regular expression cannot be followed: unclosed character class"),
        (["--regex", "a(?=b)"], "look-around"),
        (["--json-schema", "{"], "the JSON schema cannot be followed"),
        (["--json-schema", "[]"], "no JSON object"),
        (["--json-schema", '{"type": "zork"}'], "zork"),
        (["--json-schema-file", "/does/not/exist"], "/does/not/exist cannot be read"),
        (["--regex", "a", "--json-schema", "{}"], "--json-schema and --regex contradict"),
        (["--regex", "a", "--ignore-eos"], "--ignore-eos has no place"),
        (["--json-schema", "{}", "--stop", "x"], "--stop has no place"),
        (["--json-schema", "{}", "-x"], "--extract"),
    ],
)
def test_a_wrong_call_is_told_before_the_model_is_opened(
    arguments: list[str], what: str, falcon: Falcon, fake_model: Any
) -> None:
    outcome = falcon("generate", "a", *arguments)
    error, hint = outcome.err.splitlines()
    assert (outcome.code, outcome.out, fake_model.OPENED) == (2, "", [])
    assert error.startswith("error: ") and what in error and hint.startswith("hint: ")


def test_without_llguidance_its_name_is_told(falcon: Falcon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    outcome = falcon("generate", "a", "--regex", "a")
    assert outcome.code == 2 and "needs llguidance" in outcome.err and "hint: pip install 'falcon-cli[schema]'" in outcome.err


@pytest.mark.parametrize("form", [[], ["--json"], ["--jsonl"]])
def test_a_cut_is_noted_where_there_is_a_form(form: list[str], falcon: Falcon) -> None:
    called = ["generate", "abc", "-n", "2", *form]
    outcome = falcon(*called, "--regex", "[A-Z]+")
    assert outcome.code == 0 and "only the beginning" in outcome.err and "--max-tokens" in outcome.err
    assert falcon(*called).err == falcon(*called, "--regex", "[A-Z]+", "-q").err == ""
    assert "2 answers have" in falcon(*called, "--regex", "[A-Z]+", "--num-samples", "2").err


# ---- rows ----


def row_of(**fields: Any) -> Row | BadRow:
    return parse(json.dumps({"prompt": "a"} | fields).encode(), 1, plain=False)


@pytest.mark.parametrize(
    ("fields", "form"),
    [
        ({"regex": "a+"}, Constraint("regex", "a+")),
        ({"json_schema": {"type": "null"}}, Constraint("json_schema", '{"type": "null"}')),
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, Constraint("json_schema", '{"type": "object"}')),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": {"enum": [1]}}}},
            Constraint("json_schema", '{"enum": [1]}'),
        ),
    ],
)
def test_a_row_names_its_form(fields: dict[str, Any], form: Constraint | None) -> None:
    for row in (row_of(**fields), row_of(custom_id="c", body={"prompt": "a"} | fields)):
        assert isinstance(row, Row) and row.constraint == form


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"regex": 3}, "regex is no text"),
        ({"json_schema": SCHEMA}, "no object"),
        ({"response_format": {"type": "xml"}}, "does not follow this response_format"),
        ({"response_format": {"type": "json_schema"}}, "does not follow this response_format"),
        ({"response_format": "json"}, "does not follow this response_format"),
        ({"regex": "a", "json_schema": {}}, "contradict"),
    ],
)
def test_a_row_whose_form_makes_no_sense_says_why(fields: dict[str, Any], what: str) -> None:
    row = row_of(**fields)
    assert isinstance(row, BadRow) and what in str(row.error) and row.error.hint


def test_a_rows_form_goes_before_that_of_all_rows(falcon: Falcon, fake_model: Any, tmp_path: Path) -> None:
    source, asked = tmp_path / "rows.jsonl", []
    rows = [{"prompt": "ab"}, {"prompt": "ab", "regex": "[A-B]+"}, {"prompt": "ab", "regex": "x", "stop": "x"}]
    source.write_text("\n".join(map(json.dumps, rows)))
    submit = fake_model.Engine.submit_samples

    def noted(engine: Any, request: Any, count: int, **options: Any) -> Any:
        asked.append(request.constraint)
        return submit(engine, request, count, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_model.Engine, "submit_samples", noted)
        outcome = falcon("generate", "-i", str(source), "--regex", "[A-Z]+", "-n", "1", "--no-progress")
    assert asked == [Constraint("regex", "[A-Z]+"), Constraint("regex", "[A-B]+")]
    *cut, refused = map(json.loads, outcome.out.splitlines())
    assert [row["finish_reason"] for row in cut] == ["length"] * 2 and "stop has no place" in refused["error"]["message"]
    assert outcome.code == 1 and "2 answers have only the beginning" in outcome.err
