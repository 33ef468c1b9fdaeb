"""The chat without a terminal: slash commands, parameters, figures, and turns from a pipe."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from falcon_cli.demo import resolve
from falcon_cli.exit import ExitCode
from falcon_cli.repl import slash
from falcon_cli.repl.chat import Chat
from falcon_cli.repl.loop import converse
from falcon_cli.repl.prompt import candidates
from modeling.api import OpenModel, open_model
from modeling.errors import InvalidRequest
from modeling.messages import ModelSpec, SamplingParams


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of whoever runs the tests."""
    monkeypatch.setenv("FALCON_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def opened() -> OpenModel:
    return open_model(ModelSpec(resolve("demo-h1"), dtype="float32", device="cpu"))


@pytest.fixture
def chat(opened: OpenModel) -> Iterator[Chat]:
    session = opened.converse()
    yield Chat(opened, session, SamplingParams(temperature=1.0, seed=3, max_tokens=6, ignore_eos=True))
    session.close()


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_every_command_is_in_the_help(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    slash.dispatch(chat, "/help")
    out, err = said(capsys)
    assert out == "" and all(name in err and command.help in err for name, command in slash.COMMANDS.items())
    slash.dispatch(chat, "/help undo")
    assert "/undo" in said(capsys)[1]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("/udno", "/undo"),
        ("/exit now", "no argument"),
        ("/undo", "no turn"),
        ("/undo many", "number of turns"),
        ("/undo 0", "number of turns"),
        ("/retry", "no answer"),
        ("/set", "parameter and a value"),
        ("/set temprature 1", "temperature"),
        ("/set temperature hot", "not a number"),
        ("/set temperature 1e9", "outside"),
        ("/set top_k 1.5", "whole number"),
        ("/show weights", "no 'weights'"),
        ("/stats maybe", "on or off"),
        ("/help nothing", "no command"),
    ],
)
def test_what_cannot_be_done_says_so(chat: Chat, line: str, what: str) -> None:
    before = chat.sampling
    with pytest.raises(InvalidRequest, match=what):
        slash.dispatch(chat, line)
    assert chat.sampling == before


def test_undo_retry_and_clear(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    chat.ask("one")
    first = said(capsys)[0]
    slash.dispatch(chat, "/retry")
    assert said(capsys)[0] != first  # other random numbers
    slash.dispatch(chat, "/undo")
    chat.ask("one")
    assert said(capsys)[0] == first  # the same random numbers
    chat.ask("two")
    slash.dispatch(chat, "/undo 5")
    assert "2 turns taken back, 0 left" in said(capsys)[1]
    chat.ask("three")
    slash.dispatch(chat, "/clear")
    assert chat.session.messages == []


def test_parameters_take_effect(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    slash.dispatch(chat, "/set temp 0")
    slash.dispatch(chat, "/set max-tokens 3")
    assert chat.sampling.temperature == 0 and chat.ask("hi").stats.completion_tokens == 3
    slash.dispatch(chat, "/set max_tokens -1")
    assert chat.sampling.max_tokens is None
    said(capsys)
    slash.dispatch(chat, "/show parameters")
    assert "temperature 0.0" in said(capsys)[1]


def test_figures_show_that_the_state_was_carried(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    slash.dispatch(chat, "/stats on")
    chat.ask("one two three four five six")
    assert "reused 0" in said(capsys)[1]
    finished = chat.ask("seven")
    _, err = said(capsys)
    assert f"reused {finished.stats.reused_tokens} · prefilled {finished.stats.prefilled_tokens} " in err
    assert finished.stats.reused_tokens > finished.stats.prefilled_tokens / 2 > 0
    slash.dispatch(chat, "/show state")
    assert f"{len(chat.session.ids) - 1} tokens" in said(capsys)[1]


def test_the_system_prompt_can_be_changed(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    slash.dispatch(chat, "/system You are a clock.")
    chat.ask("what time is it?")
    assert "You are a clock." in chat.opened.decode(chat.session.ids)
    said(capsys)
    slash.dispatch(chat, "/show system")
    assert said(capsys)[1] == "You are a clock.\n"
    slash.dispatch(chat, "/system")
    assert chat.session.system is None


def test_an_error_costs_the_turn_and_not_the_chat(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    lines = iter(["hi", "/nonsense", "word " * 9000, "", "   ", "there", "/exit", "never read"])
    assert converse(chat, lambda: next(lines)) == ExitCode.OK
    _, err = said(capsys)
    assert len(chat.session.messages) == 4
    assert err.count("error: ") == 2 and "positions" in err


def test_ctrl_c_twice_on_an_empty_line_leaves(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    keys = iter([KeyboardInterrupt, "hi", KeyboardInterrupt, KeyboardInterrupt])

    def read() -> str:
        key = next(keys)
        if isinstance(key, str):
            return key
        raise key

    assert converse(chat, read) == ExitCode.INTERRUPTED
    assert said(capsys)[1].count("Ctrl-C again leaves") == 2


def test_completion_offers_commands_and_choices() -> None:
    assert [text for text, *_ in candidates("/s")] == ["/set", "/show", "/system", "/stats"]
    assert [text for text, *_ in candidates("/set top")] == ["top_k", "top_p"]
    assert ("temperature", -4, "") in list(candidates("/set temp"))
    assert list(candidates("hello /s")) == list(candidates("/set top_k 4")) == []


def falcon_chat(*arguments: str, stdin: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "falcon_cli", "chat", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)


def test_a_pipe_is_one_message_or_a_turn_a_line() -> None:
    one = falcon_chat("demo", "-n", "4", "--stats", "--greedy", stdin="two\nlines\n")
    assert (one.returncode, one.stderr.count("reused")) == (0, 1)
    turns = falcon_chat("demo", "-n", "4", "--stats", "--greedy", "--stdin-turns", stdin="one\n/undo\ntwo\nthree\n")
    assert turns.returncode == 0 and turns.stderr.count("reused") == 3
    assert "\x1b" not in turns.stdout + turns.stderr
    empty = falcon_chat("demo", stdin="\n")
    assert (empty.returncode, empty.stdout) == (2, "") and "message is empty" in empty.stderr


def test_wrong_turns_end_a_script_with_their_code() -> None:
    done = falcon_chat("demo", "--stdin-turns", "-n", "2", stdin="/nonsense\nhi\n")
    assert (done.returncode, done.stdout) == (2, "") and "no command" in done.stderr
    both = falcon_chat("demo", "--system", "a", "--system-file", "b", stdin="hi")
    assert both.returncode == 2 and "twice" in both.stderr
    template = falcon_chat("demo", "--chat-template", "{% nonsense %}", stdin="hi")
    assert template.returncode == 6 and "template" in template.stderr


def test_a_message_from_a_pipe_may_begin_with_a_slash() -> None:
    done = falcon_chat("demo", "-n", "2", "--greedy", "--show-prompt", stdin="/etc/hosts is a file\n")
    assert done.returncode == 0 and "<|im_start|>user\n/etc/hosts is a file<|im_end|>" in done.stderr


def test_each_turn_shows_what_the_model_is_given_anew() -> None:
    done = falcon_chat("demo", "-n", "2", "--greedy", "--show-prompt", "--stdin-turns", stdin="one\r\ntwo\n")
    assert done.returncode == 0
    assert done.stderr.count("<|im_start|>user\none<|im_end|>") == done.stderr.count("<|im_start|>user\ntwo<|im_end|>") == 1


THOUGHTFUL = (
    "{% if tools %}TOOLS {{ tools | tojson }}\n{% endif %}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: <think>\n{% endif %}"
)


def test_a_thought_can_be_hidden_and_tools_are_told(tmp_path: Path) -> None:
    tools = tmp_path / "tools.json"
    tools.write_text('[{"name": "weather"}]')
    options = ("demo", "-n", "4", "--greedy", "--ignore-eos", "--chat-template", THOUGHTFUL)
    shown = falcon_chat(*options, "--tools", str(tools), "--show-prompt", stdin="hi")
    assert shown.returncode == 0 and shown.stdout.strip()
    assert 'TOOLS [{"name": "weather"}]' in shown.stderr
    hidden = falcon_chat(*options, "--hide-thinking", stdin="hi")
    assert (hidden.returncode, hidden.stdout) == (0, "\n")
    wrong = falcon_chat("demo", "--tools", str(tmp_path), stdin="hi")
    assert wrong.returncode == 2 and "cannot be read" in wrong.stderr


def test_turns_that_are_no_text_are_refused() -> None:
    command = [sys.executable, "-m", "falcon_cli", "chat", "demo", "--stdin-turns", "-n", "2"]
    done = subprocess.run(command, input=b"fine\n\xff\xfe\n", capture_output=True, timeout=60, check=False)
    assert done.returncode == 2 and b"not UTF-8" in done.stderr and done.stdout
