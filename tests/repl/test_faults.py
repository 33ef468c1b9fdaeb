"""The chat in a real terminal when something goes wrong: a load that is stopped, a disk that fails, a change of mind."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from falcon_cli.demo import resolve
from modeling.checkpoint.load import blueprint
from modeling.config import parse_config

Start = Callable[..., Any]
SHORT = ("-n", "2", "--greedy", "--ignore-eos")
TROUBLE = "Traceback|Unhandled|Press ENTER|fault in falcon"
full_disk = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="no way to limit the files of another process")


@pytest.fixture
def heavy(tmp_path: Path) -> Path:
    """A checkpoint that takes seconds to load and no room on the disk: float64 zeros, that is a hole, to become bfloat16."""
    folder = Path(shutil.copytree(resolve("demo-h1"), tmp_path / "heavy"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"num_hidden_layers": 40, "hidden_size": 1024, "intermediate_size": 4096}
    header: dict[str, Any] = {}
    end = 0
    for name, parameter in blueprint(parse_config(config), torch.bfloat16).named_parameters():
        begin, end = end, end + 8 * parameter.numel()
        header[name] = {"dtype": "F64", "shape": list(parameter.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def falcon(home: Path, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Another falcon, without a terminal."""
    command = [sys.executable, "-m", "falcon_cli", *arguments]
    env = os.environ | {"FALCON_HOME": str(home), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=env, input=stdin, capture_output=True, text=True, timeout=60, check=True)


def kept(home: Path, name: str) -> Any:
    """The conversation of that name, as it is on the disk."""
    return json.loads(falcon(home, "sessions", "show", name, "--json").stdout)


def questions(conversation: Any) -> list[str]:
    return [message["content"] for message in conversation["messages"] if message["role"] == "user"]


def effect(chat: Any, line: str) -> str:
    """What the terminal is sent from a line to the prompt behind it, not broken into lines of the screen."""
    before = len(chat.raw)
    chat.says(line)
    chat.asks()
    return str(chat.raw[before:])


def disk(chat: Any, room: int = resource.RLIM_INFINITY) -> None:
    """From now on no file of the chat may grow beyond so many bytes."""
    resource.prlimit(chat.child.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))


def test_ctrl_c_within_a_load_brings_the_old_model_back(start: Start, heavy: Path, tmp_path: Path) -> None:
    chat = start("--session", "talk", *SHORT)
    for turn, keys in ((1, "\x03"), (2, "\x03\x03")):  # the second time with impatient fingers
        chat.says(f"question {turn}")
        chat.asks()
        chat.types(f"/model {heavy}\r")
        chat.shows("loading ")
        chat.types(keys)
        assert not re.search(TROUBLE, chat.asks())
        chat.shows(rf"demo · bfloat16 · talk · turn {turn} ·")
        assert "loading " not in chat.text and "heavy;" not in chat.text  # neither a bar is left, nor was it loaded
    chat.says("question 3")
    chat.asks()
    chat.says("/exit")
    chat.leaves(0)
    conversation = kept(tmp_path, "talk")
    assert questions(conversation) == ["question 1", "question 2", "question 3"] and conversation["model"] == "demo"


def test_sigterm_within_a_load_ends_the_chat_and_gives_the_terminal_back(start: Start, heavy: Path, tmp_path: Path) -> None:
    chat = start("--session", "talk", *SHORT)
    chat.says("first")
    chat.asks()
    chat.types(f"/model {heavy}\r")
    chat.shows("loading ")
    chat.signal(signal.SIGTERM)
    chat.leaves(143)
    assert not re.search(TROUBLE, chat.text) and not chat.screen.cursor.hidden and "\x1b[?25h" in chat.raw[-200:]
    conversation = kept(tmp_path, "talk")
    assert questions(conversation) == ["first"] and conversation["model"] == "demo"


def test_a_home_that_cannot_be_written_costs_the_command_and_not_the_chat(start: Start, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.symlink_to(tmp_path / "a disk" / "that is not there")  # where root cannot write, either
    chat = start(*SHORT, home=home)
    assert re.search(r"sessions\.db cannot be written: .*: this conversation is not saved", chat.raw)
    chat.says("first")
    chat.asks()
    for line, error in [
        ("/export /dev/null/x.md", r"/dev/null/x\.md cannot be written: Not a directory"),
        ("/save mine", r"sessions\.db cannot be written: "),
        ("/load yours", r"sessions\.db cannot be written: "),
        ("/rename mine", r"this conversation is not kept"),
    ]:
        told = effect(chat, line)
        assert len(re.findall("error:", told)) == len(re.findall(error, told)) == 1, f"{line}: {told}"
    assert not re.search(TROUBLE, chat.text) and "[kept as" not in chat.text and "[written" not in chat.text
    chat.says("second")
    chat.asks()
    chat.shows(r"demo · bfloat16 · not saved · turn 2 ·")
    chat.says("/exit")
    chat.leaves(0)


@full_disk
def test_a_full_disk_costs_the_new_name_and_not_the_chat(start: Start, tmp_path: Path) -> None:
    chat = start("--session", "talk", *SHORT)
    chat.says("first")
    chat.asks()
    disk(chat, room=4096)  # enough for the history, too little for the database
    told = effect(chat, "/rename other")
    assert re.search(r"sessions\.db cannot be (read or )?written", told) and "[kept as" not in told
    told = effect(chat, "second")
    assert told.count("this conversation goes on unsaved") <= 1
    chat.shows(r"demo · bfloat16 · not saved · turn 2 ·")
    assert not re.search(TROUBLE, chat.text)
    disk(chat)
    told = effect(chat, "/save other")  # there is room again
    assert "[kept as other]" in told
    chat.says("/exit")
    chat.leaves(0)
    assert questions(kept(tmp_path, "talk")) == ["first"]
    assert questions(kept(tmp_path, "other")) == ["first", "second"]


@full_disk
def test_a_history_that_cannot_be_written_costs_nothing(start: Start) -> None:
    chat = start("--no-save", *SHORT)
    disk(chat, room=0)
    chat.says("first")
    chat.shows(rf"turn 1 ·|{TROUBLE}")
    assert not re.search(TROUBLE, chat.text)
    chat.asks()
    chat.says("second")
    chat.asks()
    chat.shows(r"turn 2 ·")


def test_a_new_system_prompt_on_the_command_line_is_used_and_kept(start: Start, tmp_path: Path) -> None:
    falcon(tmp_path, "chat", "demo", "--session", "talk", "--system", "Speak of rivers.", *SHORT, stdin="first")
    chat = start("--session", "talk", "--system", "Answer briefly.", "--show-prompt", *SHORT)
    chat.says("second")
    assert "Speak of rivers." not in chat.asks()
    chat.shows(r"Answer briefly\.<\|im_end\|>\n<\|im_start\|>user\nfirst<\|im_end\|>")
    chat.says("/exit")
    chat.leaves(0)
    assert "Answer briefly." in falcon(tmp_path, "chat", "--session", "talk", "--stdin-turns", stdin="/show system\n").stderr


def test_another_model_keeps_the_template_of_the_command_line(start: Start, tmp_path: Path) -> None:
    template = tmp_path / "plain.jinja"
    template.write_text("{% for each in messages %}<<{{ each['role'] }}>> {{ each['content'] }}\n{% endfor %}<<answer>>")
    chat = start("--chat-template", str(template), "--show-prompt", *SHORT)
    chat.says("first")
    assert "<<user>> first" in chat.asks()
    chat.says("/model demo-h1")
    chat.asks()
    chat.shows(r"demo-h1 · bfloat16 · .* · turn 1 ·")
    assert "<<{{ each['role'] }}>>" in effect(chat, "/show template")
    told = effect(chat, "second")
    assert re.search(r"<<user>> first\s+<<assistant>> .*\s+<<user>> second\s+<<answer>>", told) and "im_start" not in chat.text


def test_ctrl_c_leaves_an_edit_and_changes_nothing(start: Start) -> None:
    chat = start(*SHORT)
    chat.says("first wish")
    chat.asks()
    for keys in ("es", "\x15"):  # a changed question, and one of which nothing is left
        chat.says("/edit")
        chat.shows("› first wish\n")
        chat.types(keys)
        chat.shows("› first wishes\n" if keys == "es" else "/edit\n›\n")
        chat.types("\x03")
        chat.asks()
        chat.shows(r"turn 1 ·")
    told = effect(chat, "/tree")
    assert "first wish →" in told and "wishes" not in told
    chat.says("second wish")
    chat.asks()
    chat.shows(r"turn 2 ·")  # it follows the first, and does not stand in its place
