"""The chat without a terminal: slash commands, parameters, figures, and turns from a pipe."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from falcon_cli import places
from falcon_cli.demo import resolve
from falcon_cli.exit import ExitCode
from falcon_cli.render import PlainReply
from falcon_cli.repl import keeper, slash
from falcon_cli.repl.chat import Chat
from falcon_cli.repl.keeper import Keeper
from falcon_cli.repl.loop import converse
from falcon_cli.repl.prompt import candidates
from falcon_cli.store import Store
from modeling.api import OpenModel, open_model
from modeling.errors import FalconError, InvalidRequest, ModelUnavailable, StateRefused, WriteFailed
from modeling.messages import Finished, ModelSpec, SamplingParams
from modeling.text.tokenizer import Tokenizer


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of whoever runs the tests."""
    monkeypatch.setenv("FALCON_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def opened() -> OpenModel:
    return open_model(ModelSpec(resolve("demo-h1"), dtype="float32", device="cpu"))


@pytest.fixture
def chat(opened: OpenModel) -> Iterator[Chat]:
    talk = Chat(
        opened,
        opened.converse(),
        SamplingParams(temperature=8.0, seed=3, max_tokens=6, ignore_eos=True),
        Keeper(None),
        reply=PlainReply,
        open=lambda name: open_model(ModelSpec(resolve(name), dtype="float32", device="cpu")),
    )
    yield talk
    talk.close()


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    return captured.out, captured.err


def ask(chat: Chat, text: str) -> Finished:
    chat.ask(text)
    assert chat.last is not None
    return chat.last


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
        ("/redo", "nothing to bring back"),
        ("/edit", "no question"),
        ("/edit something", "no question"),
        ("/continue", "no answer"),
        ("/branch", "no turn"),
        ("/tree", "nothing was said"),
        ("/goto", "takes a turn"),
        ("/goto 1", "no turn 1"),
        ("/goto nowhere", "no turn nowhere"),
        ("/save", "nothing was said"),
        ("/load", "takes the name"),
        ("/load nothing", "no session"),
        ("/sessions", "no conversation"),
        ("/rename", "takes a name"),
        ("/rename talk", "not kept"),
        ("/export", "takes a file"),
        ("/export talk.doc", "names no format"),
        ("/copy", "no answer"),
        ("/copy code", "no block of code"),
        ("/copy everything", "does not understand"),
        ("/read", "takes a file"),
        ("/read /nowhere/at-all", "cannot be read"),
        ('/read "unclosed', "not closed"),
    ],
)
def test_what_cannot_be_done_says_so(chat: Chat, line: str, what: str) -> None:
    before = chat.sampling
    with pytest.raises(FalconError, match=what):
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
    assert chat.sampling.temperature == 0 and ask(chat, "hi").stats.completion_tokens == 3
    slash.dispatch(chat, "/set max_tokens -1")
    assert chat.sampling.max_tokens is None
    said(capsys)
    slash.dispatch(chat, "/show parameters")
    assert "temperature 0.0" in said(capsys)[1]


def test_figures_show_that_the_state_was_carried(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    slash.dispatch(chat, "/stats on")
    chat.ask("one two three four five six")
    assert "reused 0" in said(capsys)[1]
    finished = ask(chat, "seven")
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
    slash.dispatch(chat, "/system -")
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


def test_completion_offers_commands_and_choices(chat: Chat) -> None:
    assert {"/set", "/show", "/system", "/stats", "/save"} <= {text for text, *_ in candidates(chat, "/s")}
    assert [text for text, *_ in candidates(chat, "/set top")] == ["top_k", "top_p"]
    assert ("temperature", -4, "") in list(candidates(chat, "/set temp"))
    assert list(candidates(chat, "hello /s")) == list(candidates(chat, "/set top_k 4")) == []
    chat.ask("one")
    slash.dispatch(chat, "/branch here")
    assert [text for text, *_ in candidates(chat, "/goto h")] == ["here"]


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


def test_a_walk_through_the_tree(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("one", "two"):
        chat.ask(text)
    slash.dispatch(chat, "/branch before-three")
    chat.ask("three")
    slash.dispatch(chat, "/goto before-three")
    slash.dispatch(chat, "/edit zwei")
    slash.dispatch(chat, "/continue")
    said(capsys)
    slash.dispatch(chat, "/tree")
    lines = said(capsys)[1].splitlines()
    assert [line[:1] for line in lines] == [" ", " ", " ", " ", "▶"]
    assert [line.split()[:2] for line in (line[1:] for line in lines)] == [
        ["1", "one"],
        ["2", "two"],
        ["3", "three"],
        ["4", "zwei"],
        ["5", "zwei"],
    ]
    assert "(before-three)" in lines[1]
    slash.dispatch(chat, "/goto 0")
    assert chat.session.head is None
    slash.dispatch(chat, "/goto 3")
    assert chat.session.messages[-2].content == "three"


def test_a_file_can_be_read_and_the_talk_written(chat: Chat, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = tmp_path / "my notes.txt"
    notes.write_text("eggs\nmilk\n")
    slash.dispatch(chat, f'/read "{notes}" What is missing?')
    assert chat.session.messages[0].content == "eggs\nmilk\n\nWhat is missing?"
    slash.dispatch(chat, f"/export {tmp_path / 'talk.jsonl'}")
    rows = [json.loads(line) for line in (tmp_path / "talk.jsonl").read_text().splitlines()]
    assert [row["role"] for row in rows] == ["user", "assistant"] and rows[0]["content"].startswith("eggs")
    with pytest.raises(InvalidRequest, match="no terminal"):
        slash.dispatch(chat, "/copy")


def test_another_model_goes_on_with_what_was_said(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    chat.ask("one")
    slash.dispatch(chat, "/branch first")
    before = chat.session.messages
    slash.dispatch(chat, "/model demo")
    assert chat.opened.info.family == "falcon_mamba" and chat.session.messages == before
    slash.dispatch(chat, "/goto first")
    assert ask(chat, "two").stats.reused_tokens == 0
    with pytest.raises(ModelUnavailable):
        slash.dispatch(chat, "/model nowhere-at-all")
    assert chat.opened.info.family == "falcon_mamba" and len(chat.session.messages) == 4
    assert ask(chat, "three").stats.prompt_tokens > 0


def test_conversations_are_kept_left_and_resumed(opened: OpenModel, capsys: pytest.CaptureFixture[str]) -> None:
    def start(keeper: Keeper) -> Chat:
        sampling = SamplingParams(temperature=8.0, seed=3, max_tokens=6, ignore_eos=True)
        talk = Chat(opened, opened.converse(), sampling, keeper, reply=PlainReply)
        talk.resume()
        return talk

    first = start(Keeper.open("first"))
    first.ask("one")
    first.ask("two")
    slash.dispatch(first, "/branch here")
    slash.dispatch(first, "/undo")
    slash.dispatch(first, "/system Be brief.")
    slash.dispatch(first, "/new second")
    assert first.session.messages == [] and first.keeper.name is None
    first.ask("other")
    assert first.keeper.name == "second"
    slash.dispatch(first, "/sessions")
    listed = [line[2:].split()[0] for line in said(capsys)[1].splitlines() if " tokens " in line]
    assert sorted(listed) == ["first", "second"]
    with pytest.raises(InvalidRequest, match="already"):
        slash.dispatch(first, "/new first")
    slash.dispatch(first, "/load first")
    err = said(capsys)[1]
    assert "state restored, 0 tokens recomputed" in err
    assert first.session.messages[0].content == "one" and len(first.session.messages) == 2
    assert first.session.system == "Be brief." and list(first.keeper.branches) == ["here"]
    slash.dispatch(first, "/goto here")
    slash.dispatch(first, "/rename third")
    first.close()
    again = start(Keeper.open(last=True))
    assert again.keeper.model == "demo-h1"  # wherever falcon is installed next time
    assert again.keeper.name == "third" and "state restored" in said(capsys)[1]
    finished = ask(again, "three")
    assert finished.stats.reused_tokens > finished.stats.prefilled_tokens
    for state in places.data_folder().rglob("*.safetensors"):
        state.write_bytes(b"damaged")
    again.keeper.leave(again.opened, again.session)
    for state in places.data_folder().rglob("*.safetensors"):
        state.write_bytes(b"damaged")
    once_more = start(Keeper.open("third"))
    err = said(capsys)[1]
    assert f"state rebuilt: {len(again.session.ids) - 1} tokens, because" in err
    assert once_more.session.ids == again.session.ids
    with pytest.raises(StateRefused):
        Keeper.open("third").other("nobody")


def test_a_conversation_that_was_not_kept_can_be_saved(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("one", "two"):
        chat.ask(text)
    slash.dispatch(chat, "/undo")
    slash.dispatch(chat, "/save late")
    assert chat.keeper.name == "late"
    chat.ask("zwei")
    other = chat.opened.converse()
    Keeper.open("late").resume(chat.opened, other)
    assert [turn.user for turn in other.turns] == ["one", "two", "zwei"] and other.messages == chat.session.messages
    other.close()


def test_a_disk_that_fails_costs_a_warning_and_not_the_talk(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chat.keeper = Keeper.open("talk")
    chat.ask("one")

    def full(*_: object) -> None:
        raise WriteFailed("the disk is full", "make room")

    monkeypatch.setattr(Store, "add", full)
    chat.ask("two")
    chat.ask("three")
    assert said(capsys)[1].count("goes on unsaved") == 1 and len(chat.session.messages) == 6
    assert chat.keeper.name is None


def test_a_disk_that_fails_at_the_first_turn_leaves_no_empty_conversation(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise WriteFailed("the disk is full", "make room")

    chat.keeper = Keeper.open("talk")
    with monkeypatch.context() as patched:
        patched.setattr(Store, "add", full)
        chat.ask("one")
    out, err = said(capsys)
    assert out.endswith("\n") and "goes on unsaved" in err  # behind the answer's line, not in it
    with Store.open(places.data_folder()) as store:
        assert store.names() == []


def test_whoever_is_killed_need_not_read_everything_again(
    opened: OpenModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A state is on the disk while the chat still runs, once enough is new since the last one."""
    monkeypatch.setattr(keeper, "FRESH", 40)
    sampling = SamplingParams(temperature=8.0, seed=3, max_tokens=10, ignore_eos=True)
    talk = Chat(opened, opened.converse(), sampling, Keeper.open("talk"), reply=PlainReply)
    written: list[int] = []
    while len(written) < 3:
        talk.ask("and then?")
        states = {path.name for path in places.data_folder().rglob("*.safetensors")}
        if len(states) > len(written):
            written.append(len(talk.session.ids))
    assert all(40 <= later - earlier < 120 for earlier, later in pairwise([0, *written]))
    killed = Chat(opened, opened.converse(), sampling, Keeper.open("talk"), reply=PlainReply)
    killed.resume()
    assert "state restored, 0 tokens recomputed" in said(capsys)[1]


def test_ctrl_c_while_a_text_becomes_tokens_says_nothing(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chat.ask("one")
    before = chat.session.ids

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Tokenizer, "encode_content", interrupted)
        chat.ask("two")
    assert "[cancelled: nothing was said]" in said(capsys)[1] and chat.session.ids == before
    assert ask(chat, "two").stats.reused_tokens > 0


def test_an_answer_of_no_tokens_cannot_go_on(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    slash.dispatch(chat, "/set\tmax_tokens  0")  # any white space ends a word
    chat.ask("one")
    err = said(capsys)[1]
    assert "[max_tokens is 0: nothing was said]" in err and "/continue" not in err


def test_an_unsaved_conversation_is_not_left_without_a_word(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    chat.ask("one")
    said(capsys)
    slash.dispatch(chat, "/new")
    assert "[the conversation before was not kept]" in said(capsys)[1]
    slash.dispatch(chat, "/new")
    assert "not kept" not in said(capsys)[1]  # nothing was said in it
