"""Settings: who wins, what `falcon config` shows, and what a wrong one is met with."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from falcon_cli import places
from falcon_cli.options import NamedModelOptions, settings, with_options

Falcon = Callable[..., Any]


def spec(fake_model: Any) -> Any:
    return fake_model.OPENED[-1].spec


def sampling(fake_model: Any) -> Any:
    return fake_model.OPENED[-1].engine.request.sampling


def test_a_flag_wins_over_a_variable_over_the_file_over_the_default(
    falcon: Falcon, fake_model: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert falcon("generate", "abc").code == 0
    assert sampling(fake_model).max_tokens == 1024
    (home / "config.toml").write_text('\ufeffmax-tokens = 3\ndtype = "float32"  # settled\n', encoding="utf-8")
    assert falcon("generate", "abcdefg").out == "ABC\n"
    monkeypatch.setenv("FALCON_MAX_TOKENS", "2")
    assert falcon("generate", "abcdefg").out == "AB\n"
    assert falcon("generate", "abcdefg", "-n", "1").out == "A\n"
    assert spec(fake_model).dtype == "float32"
    assert falcon("generate", "abc", "--max-tokens", "1024", "--dtype", "auto").out == "ABC\n"  # a default, but asked for
    assert spec(fake_model).dtype == "auto"
    monkeypatch.setenv("FALCON_MAX_TOKENS", "")
    assert falcon("generate", "abcdefg").out == "ABC\n"


def test_every_kind_of_value_can_be_settled(
    falcon: Falcon, fake_model: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "config.toml").write_text(
        'temperature = 1\nstop = ["X", "Y"]\nignore-eos = true\ntop-k = 7\nmax-memory = "cpu=2GiB"\nlog-file = "log.txt"\n'
    )
    monkeypatch.chdir(home)
    assert falcon("generate", "a").code == 0
    assert (sampling(fake_model).temperature, sampling(fake_model).top_k) == (1.0, 7)
    assert (sampling(fake_model).stop, sampling(fake_model).ignore_eos) == (("X", "Y"), True)
    assert spec(fake_model).max_memory == {"cpu": "2GiB"}
    assert (home / "log.txt").is_file()
    (home / "config.toml").unlink()
    for name, text in {"TEMPERATURE": "0.5", "STOP": "a b", "IGNORE_EOS": "yes", "OFFLINE": "0", "TOP_K": "9"}.items():
        monkeypatch.setenv(f"FALCON_{name}", text)
    assert falcon("generate", "a").code == 0
    assert (sampling(fake_model).temperature, sampling(fake_model).top_k) == (0.5, 9)
    assert (sampling(fake_model).stop, sampling(fake_model).ignore_eos) == (("a b",), True)
    assert spec(fake_model).offline is False


def test_what_is_settled_yields_to_what_is_asked(
    falcon: Falcon, fake_model: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FALCON_MODEL")
    (home / "config.toml").write_text('temperature = 0.7\nmodel = "some/model"\nrevision = "v2"\n')
    assert falcon("generate", "a", "--greedy").code == 0
    assert sampling(fake_model).temperature == 0
    assert (spec(fake_model).name, spec(fake_model).revision) == ("some/model", "v2")
    assert falcon("generate", "a", "-m", "another").code == 0
    assert (spec(fake_model).name, spec(fake_model).revision) == ("another", None)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("temprature = 1", "there is no setting 'temprature'. Did you mean 'temperature'?"),
        ("max_tokens = 1", "there is no setting 'max_tokens'. Did you mean 'max-tokens'?"),
        ("n-predict = 1", "there is no setting 'n-predict'. Did you mean 'max-tokens'?"),
        ("json = true", "there is no setting 'json'"),
        ("[sampling]\ntop-k = 1", "there is a table [sampling]"),
        ('top-p = "high"', "top-p must be a number, not 'high'"),
        ("top-p = 1.5", "top-p: top_p is 1.5, outside 0 … 1"),
        ("top-k = 1.0", "top-k must be a whole number, not 1.0"),
        ("top-k = true", "top-k must be a whole number, not true"),
        ("offline = 1", "offline must be true or false, not 1"),
        ("device = 0", "device must be text in quotes, not 0"),
        ("stop = [1]", "stop must be a list of texts, not [1]"),
        ("log-file = 1", "log-file must be a path in quotes, not 1"),
        ('dtype = "flaot32"', "dtype must be one of auto, bfloat16, float16, float32, not 'flaot32'. Did you mean 'float32'?"),
        ("dtype = 32", "dtype must be one of auto, bfloat16, float16, float32, not 32"),
        ("max-tokens = -2", "max-tokens: -2 is less than -1"),
        ('max-memory = "2GiB"', "'2GiB' is not DEVICE=SIZE"),
        ("top-k", "is not valid TOML"),
        ("top-k = 1\ntop-k = 2", "is not valid TOML"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_file_and_key(content: str, what: str, falcon: Falcon, home: Path) -> None:
    (home / "config.toml").write_text(content)
    for command in (["generate", "a"], ["config", "show"]):
        outcome = falcon(*command)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith(f"error: {home / 'config.toml'}")
        assert what in outcome.err.splitlines()[0]
        assert outcome.err.splitlines()[1].startswith("hint: ")
    assert falcon("--help").code == falcon("generate", "--help").code == falcon("config", "path").code == 0


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("FALCON_TOP_P", "high", "FALCON_TOP_P must be a number, not 'high'"),
        ("FALCON_TOP_P", "2", "FALCON_TOP_P: top_p is 2.0, outside 0 … 1"),
        ("FALCON_OFFLINE", "maybe", "FALCON_OFFLINE must be 1 (yes) or 0 (no), not 'maybe'"),
        (
            "FALCON_KERNELS",
            "tritno",
            "FALCON_KERNELS must be one of auto, triton, torch, compile, mamba-ssm, not 'tritno'. Did",
        ),
    ],
)
def test_a_wrong_variable_is_an_error_that_names_it(
    name: str, text: str, what: str, falcon: Falcon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, text)
    outcome = falcon("generate", "a")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {what}")


def test_a_file_that_cannot_be_read_is_an_error(falcon: Falcon, home: Path) -> None:
    (home / "config.toml").mkdir()
    assert "cannot be read" in falcon("config", "show").err
    (home / "config.toml").rmdir()
    (home / "config.toml").write_bytes(b"model = '\xff'")
    outcome = falcon("config", "show")
    assert (outcome.code, "not UTF-8" in outcome.err) == (2, True)


def test_config_show_tells_value_and_origin_of_everything(falcon: Falcon, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "config.toml").write_text('top-k = 7\nstop = "\\u001b[2J"\n')
    monkeypatch.setenv("FALCON_TOP_P", "0.9")
    result = falcon("config", "show", "--json").json
    assert result["file"] == str(home / "config.toml")
    assert result["settings"].keys() == {setting.key for setting in settings().values()}
    assert result["settings"]["top-k"] == {"value": 7, "origin": "file", "source": str(home / "config.toml")}
    assert result["settings"]["top-p"] == {"value": 0.9, "origin": "variable", "source": "FALCON_TOP_P"}
    assert result["settings"]["min-p"] == {"value": None, "origin": "default", "source": None}
    rows = {line.split()[0]: line.split()[1:] for line in falcon("config", "show").out.splitlines()}
    assert rows["model"] == ['"fake"', "FALCON_MODEL"]
    assert rows["top-k"] == ["7", str(home / "config.toml")]
    assert rows["max-tokens"] == ["1024", "default"]
    assert rows["stop"][0] == '["\\u001b[2J"]'


def test_the_place_of_the_file(falcon: Falcon, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert falcon("config", "path").out == f"{home / 'config.toml'}\n"
    assert places.data_folder() == home
    monkeypatch.setenv("FALCON_HOME", "~/elsewhere")
    assert places.config_file() == Path.home() / "elsewhere" / "config.toml"
    monkeypatch.delenv("FALCON_HOME")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CONFIG_HOME", os.fspath(home / "xdg"))
        assert places.config_file() == home / "xdg" / "falcon" / "config.toml"
        assert places.data_folder().parts[-1] == "falcon"


def test_config_alone_shows_its_help(falcon: Falcon) -> None:
    outcome = falcon("config")
    assert (outcome.code, outcome.err) == (0, "")
    assert "show" in outcome.out
    assert falcon("config", "shwo").err.startswith("error: no such command 'shwo'. Did you mean 'show'?\n")


def test_a_positional_model_wins_over_a_settled_one_and_contradicts_a_flag(home: Path) -> None:
    seen = []

    @with_options
    def command(*, model: NamedModelOptions) -> None:
        seen.append(model.chosen)

    app = typer.Typer()
    app.command()(command)
    for arguments in ([], ["a/model"], ["-m", "b/model"]):
        assert CliRunner().invoke(app, arguments).exit_code == 0
    (home / "config.toml").write_text('model = "settled"')
    for arguments in ([], ["a/model"], ["-m", "b/model"]):
        assert CliRunner().invoke(app, arguments).exit_code == 0
    assert seen == ["demo", "a/model", "b/model", "settled", "a/model", "b/model"]
    failed = CliRunner().invoke(app, ["a/model", "-m", "b/model"]).exception
    assert "the model is given twice" in str(failed)
