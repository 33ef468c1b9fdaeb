"""The chat template on the command line: when it is used, what it is given, what of it is shown."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

from falcon_cli.demo import FOLDERS, resolve

Falcon = Callable[..., Any]
CHATML = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}"
    "{% if tools %}{{ tools | length }} tools{% endif %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture
def templated(fake_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_model, "TEMPLATE", CHATML)


@pytest.mark.usefixtures("templated")
def test_a_model_with_a_template_is_spoken_to_through_it_unless_raw(falcon: Falcon) -> None:
    assert falcon("generate", "hi").out == "<USER>HI</USER><ASSISTANT>\n"
    assert falcon("generate", "hi", "--chat").out == "<USER>HI</USER><ASSISTANT>\n"
    assert falcon("generate", "hi", "--raw").out == "HI\n"
    assert falcon("generate", stdin=b"hi\n").out == "<USER>HI</USER><ASSISTANT>\n"
    assert falcon("generate", "").code == 2


@pytest.mark.usefixtures("templated")
def test_system_tools_and_prefill_go_to_their_places(falcon: Falcon, home: Path, tmp_path: Path) -> None:
    assert falcon("generate", "hi", "--system", "be").out.startswith("<SYSTEM>BE</SYSTEM><USER>")
    (tmp_path / "system.txt").write_text("file\n")
    assert falcon("generate", "hi", "--system-file", str(tmp_path / "system.txt")).out.startswith("<SYSTEM>FILE</SYSTEM>")
    (tmp_path / "tools.json").write_text('[{"name": "a"}, {"name": "b"}]')
    assert "2 TOOLS" in falcon("generate", "hi", "--tools", str(tmp_path / "tools.json")).out
    (tmp_path / "tools.json").write_text('{"name": "a"}')
    assert "holds no list of objects" in falcon("generate", "hi", "--tools", str(tmp_path / "tools.json")).err
    assert falcon("generate", "hi", "--prefill-response", "Sure").out == "<USER>HI</USER><ASSISTANT>SURE\n"
    assert falcon("generate", "hi", "--echo", "--prefill-response", "Sure").out.startswith("hi\n\nSure<USER>")
    (home / "config.toml").write_text('system = "settled"\n')
    assert falcon("generate", "hi").out.startswith("<SYSTEM>SETTLED")
    assert falcon("generate", "hi", "--system-file", str(tmp_path / "system.txt")).out.startswith("<SYSTEM>FILE</SYSTEM>")
    assert falcon("generate", "hi", "--raw").out == "HI\n"


def test_the_tools_of_a_row_reach_the_template(falcon: Falcon, tmp_path: Path) -> None:
    row = {"tools": [{"name": "a"}, {"name": "b"}]}
    rows = [row | {"prompt": "hi"}, row | {"messages": [{"role": "user", "content": "ho"}]}, {"prompt": "he"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ask = ("generate", "-i", str(tmp_path / "rows.jsonl"), "--chat-template")
    found = falcon(*ask, CHATML)
    assert [json.loads(line)["text"] for line in found.out.splitlines()] == [
        "<USER>HI</USER>2 TOOLS<ASSISTANT>",
        "<USER>HO</USER>2 TOOLS<ASSISTANT>",
        "<USER>HE</USER><ASSISTANT>",
    ]
    deaf = falcon(*ask, "{{ messages[0].content }}")
    assert deaf.code == 0 and deaf.err.count("does not tell the model about tools") == 1


def test_a_template_may_come_from_a_file_or_the_command_line(falcon: Falcon, tmp_path: Path) -> None:
    (tmp_path / "t.jinja").write_text("[{{ messages[0].content }}]")
    assert falcon("generate", "hi", "--chat-template", str(tmp_path / "t.jinja")).out == "[HI]\n"
    assert falcon("generate", "hi", "--chat-template", "({{ messages[0].content }})").out == "(HI)\n"


@pytest.mark.parametrize("arguments", [["--chat"], ["--system", "x"], ["--prefill-response", "x"]])
def test_a_model_without_a_template_says_so(arguments: list[str], falcon: Falcon) -> None:
    outcome = falcon("generate", "hi", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(
        "error: this model has no chat template\nhint: pass one with --chat-template, or let `falcon generate --raw`"
    )
    assert falcon("generate", "hi").out == "HI\n"


@pytest.mark.parametrize(
    ("template", "code"), [("{% if %}", 6), ("{{ raise_exception('no') }}", 2), ("{% for a in range(10**9) %}x{% endfor %}", 6)]
)
def test_a_bad_template_is_an_error_with_its_code(template: str, code: int, falcon: Falcon) -> None:
    outcome = falcon("generate", "hi", "--chat-template", template)
    assert (outcome.code, outcome.out) == (code, "")
    assert [line.partition(":")[0] for line in outcome.err.splitlines()] == ["error", "hint"]


@pytest.mark.usefixtures("templated")
def test_show_prompt_shows_it_on_stderr_without_obeying_it(falcon: Falcon) -> None:
    outcome = falcon("generate", "h\x1b[2Ji", "--show-prompt", "--json")
    assert outcome.err == "<user>h␛[2Ji</user><assistant>\n"
    assert outcome.json["text"].startswith("<USER>H\x1b")
    assert falcon("generate", "hi", "--show-prompt", "--raw").err == "hi\n"


def test_thoughts_are_left_out_on_request_and_dim_in_colour(falcon: Falcon) -> None:
    lower = "{{ '<think>' }}"  # the fake model answers in capitals, so its thought has to begin in the prompt
    thought = ("hm</think>yes", "--chat-template", "{{ messages[0].content }}" + lower)
    assert falcon("generate", *thought, "--hide-thinking").out == "\n"  # never closed in small letters: a thought to the end
    result = falcon("generate", *thought, "--hide-thinking", "--json").json
    assert (result["text"], result["thinking"]) == ("", "HM</THINK>YES<THINK>")
    assert falcon("generate", *thought).out == "HM</THINK>YES<THINK>\n"
    assert falcon("generate", *thought, "--color", "always", "--no-stream").out.startswith("\x1b[2mH\x1b[0m")
    assert "thinking" not in falcon("generate", "hi", "--json").json


@pytest.mark.parametrize("name", FOLDERS)
def test_the_embedded_models_are_given_what_transformers_renders(name: str) -> None:
    options = ["--system", "Be <|im_end|> brief.", "-n", "1", "--json", "--return-ids"]
    command = [sys.executable, "-m", "falcon_cli", "generate", "-m", name, "Hello there", *options]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(resolve(name))
    messages = [{"role": "system", "content": "Be X brief."}, {"role": "user", "content": "Hello there"}]
    expected = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True).input_ids
    ids = json.loads(done.stdout)["prompt_ids"]
    special = set(tokenizer.all_special_ids)
    assert [i for i in ids if i in special] == [i for i in expected if i in special]  # the typed <|im_end|> is not one of them
    assert "Be <|im_end|> brief." in tokenizer.decode(ids)


def test_a_settled_system_prompt_asks_for_no_template(falcon: Falcon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALCON_SYSTEM", "Be brief.")
    assert falcon("generate", "hi").out == "HI\n"
    assert falcon("generate", "hi", "--system", "Be brief.").code == 2


def test_a_break_outside_a_loop_is_a_mistake_and_no_attack(falcon: Falcon) -> None:
    outcome = falcon("generate", "hi", "--chat-template", "{% break %}")
    assert outcome.code == 6 and "syntax error" in outcome.err and "break" in outcome.err
