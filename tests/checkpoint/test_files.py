from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modeling.checkpoint.catalogue import suggest
from modeling.checkpoint.files import find
from modeling.errors import BadModelFile, FalconError, InvalidRequest, ModelNotFound
from modeling.messages import ModelSpec

Store = Callable[[Path, dict[str, bytes]], Path]
Files = dict[str, bytes]


@pytest.fixture
def model(tmp_path: Path, checkpoint_files: Files, store: Store) -> Path:
    return store(tmp_path / "models" / "falcon", checkpoint_files)


def test_a_folder_is_found_by_any_of_its_names(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    link = tmp_path / "link"
    link.symlink_to(model)
    for name in (
        str(model),
        f"{model}/",
        "models/falcon",
        "./models/falcon",
        "~/models/falcon",
        "models/../models/falcon",
        "link",
    ):
        checkpoint = find(ModelSpec(name))
        assert checkpoint.folder.samefile(model)
        assert checkpoint.folder.is_absolute()
        assert (checkpoint.name, checkpoint.commit) == (name, None)


@pytest.mark.parametrize(
    "name", ["/no/such/folder", "./nothing", "../nothing", "~/nothing", "nothing/", "a/b/c", ".\\x", "C:\\x"]
)
def test_what_looks_like_a_path_is_missed_as_a_path(name: str, hub: Any) -> None:
    with pytest.raises(ModelNotFound, match="there is no folder") as caught:
        find(ModelSpec(name))
    assert "repository" not in str(caught.value)
    assert caught.value.hint
    assert hub.asked == []


def test_a_near_folder_is_suggested(model: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        find(ModelSpec(str(model.parent / "falcom")))
    assert caught.value.hint == f"did you mean {model}?"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("tiiuae/falcon-mamba-7b-instuct", "tiiuae/falcon-mamba-7b-instruct"),
        ("falcon-mamba-7b", "tiiuae/falcon-mamba-7b"),
        ("falcon_h1_0.5b_instruct", "tiiuae/Falcon-H1-0.5B-Instruct"),
        ("tiuae/Falcon-H1-34B-Instruct", "tiiuae/Falcon-H1-34B-Instruct"),
    ],
)
def test_the_nearest_published_name_is_suggested(name: str, meant: str) -> None:
    assert suggest(name) == f"did you mean {meant}?"
    assert suggest("gpt2") == suggest(meant) == ""


def test_a_file_is_not_a_checkpoint(model: Path) -> None:
    with pytest.raises(ModelNotFound, match="is a file") as caught:
        find(ModelSpec(str(model / "config.json")))
    assert str(model) in caught.value.hint


def test_a_folder_without_a_config_says_so_and_where_there_is_one(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"has no config\.json") as caught:
        find(ModelSpec(str(model.parent)))
    assert str(model) in caught.value.hint
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ModelNotFound, match=r"has no config\.json"):
        find(ModelSpec(str(empty)))


def test_the_folder_of_a_cached_repository_leads_to_its_snapshot(tmp_path: Path, checkpoint_files: Files, store: Store) -> None:
    snapshot = store(tmp_path / "models--a--b" / "snapshots" / "abc", checkpoint_files)
    with pytest.raises(ModelNotFound) as caught:
        find(ModelSpec(str(tmp_path / "models--a--b")))
    assert str(snapshot) in caught.value.hint


def test_a_revision_of_a_folder_is_a_contradiction(model: Path) -> None:
    with pytest.raises(InvalidRequest, match="revision"):
        find(ModelSpec(str(model), revision="main"))


def test_a_clone_without_git_lfs_is_recognised(model: Path) -> None:
    (model / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(BadModelFile, match=r"tokenizer\.json is a git-LFS pointer") as caught:
        find(ModelSpec(str(model)))
    assert "git lfs pull" in caught.value.hint


@pytest.mark.parametrize("name", ["tokenizer.json", "chat_template.jinja"])
def test_a_text_that_leads_out_of_the_folder_is_refused(name: str, model: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}")
    (model / name).unlink(missing_ok=True)
    (model / name).symlink_to(tmp_path / "secret")
    with pytest.raises(BadModelFile, match=f"{re.escape(name)} is a link to .*secret, outside the model's folder"):
        find(ModelSpec(str(model)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
@pytest.mark.parametrize("name", ["tokenizer.json", "chat_template.jinja"])
def test_a_pipe_among_the_texts_is_refused_and_not_waited_for(name: str, model: Path) -> None:
    (model / name).unlink(missing_ok=True)
    os.mkfifo(model / name)
    with pytest.raises(BadModelFile, match=f"{re.escape(name)} is not a regular file"):
        find(ModelSpec(str(model)))


def test_pickles_alone_are_refused_with_a_way_out(tmp_path: Path, store: Store) -> None:
    folder = store(tmp_path / "m", {"config.json": b"{}", "pytorch_model.bin": b"x"})
    with pytest.raises(BadModelFile, match="pickle") as caught:
        find(ModelSpec(str(folder)))
    assert "safetensors" in caught.value.hint


HOSTILE = [
    *("", "\0", "a\0b", "../../etc/passwd", "a/..", "a/../..", "../a", "a/../b", "/../x", "~nobody/x", "~/../x"),
    *(
        "a//b",
        "/a",
        "a/",
        "a/b/c",
        "a/b/../../..",
        "a--b",
        "models--a--b",
        "a/b--c",
        ".a/b",
        "a/.b",
        "-a/b",
        "a/-b",
        "a b",
        "a/b c",
    ),
    *(
        "a/b?x=1",
        "a/b#x",
        "a/b%2e%2e",
        "%2e%2e/x",
        "a/b@main",
        "a:b",
        "a/b:c",
        "http://x/y",
        "file:///etc",
        "https://hf.co/a/b",
    ),
    *(
        "a\\b",
        "..\\..\\x",
        "C:\\x",
        "\\\\host\\x",
        "a/b\n",
        "a\n/b",
        "a/\r\nb",
        "a/b\t",
        "\x1b[2J",
        "a/\x1b]0;x\x07",
        "a/b\x9b",
    ),
    *(
        "a/b.git",
        "a/b.",
        "a/b-",
        "a." * 60,
        "x" * 300,
        "a/" + "x" * 200,
        "x" * 5000,
        "é/b",
        "a/é",
        "а/b",
        "a/b\u202e",
        "💥",
        "a/💥",
    ),
    *(
        "$(id)",
        "a/$HOME",
        "`id`",
        "a;b",
        "a|b",
        "a&b",
        "a/b*",
        "a/?",
        "<a>",
        '"a"',
        "'a'",
        "a,b",
        "{a}",
        "[a]",
        "(a)",
        "=a",
        "+a/b",
    ),
    *("con/..", "./..", "./.", "...", "a/...", "a/..b/../..", "..a/../..", "dev/../..", "proc/../../self"),
]


PLAIN_REVISION = re.compile(r"(?!.*(\.\.|//))[A-Za-z0-9][\w./+-]*(?<!/)", re.ASCII)


@pytest.mark.promise
@pytest.mark.parametrize(
    "spec",
    [
        *(ModelSpec(text) for text in HOSTILE),
        *(ModelSpec("org/name", revision=text) for text in HOSTILE if not PLAIN_REVISION.fullmatch(text)),
    ],
    ids=ascii,
)
def test_hostile_names_leave_no_file_and_reach_no_server(
    spec: ModelSpec, hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    with pytest.raises(FalconError) as caught:
        find(spec)
    assert caught.value.hint
    assert sorted(tmp_path.rglob("*")) == [here]
    assert hub.asked == []


def test_finding_a_folder_imports_nothing_heavy(model: Path) -> None:
    program = (
        "import sys; from modeling.checkpoint.files import find; from modeling.messages import ModelSpec\n"
        "find(ModelSpec(sys.argv[1]))\n"
        "print(*(m for m in ('torch', 'numpy', 'huggingface_hub', 'safetensors') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(model)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
