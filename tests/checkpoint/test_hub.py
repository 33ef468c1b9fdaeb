from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modeling.checkpoint import hub as hub_module
from modeling.checkpoint.files import find
from modeling.errors import BadModelFile, DownloadFailed, FalconError, ModelGated, ModelNotFound, WriteFailed
from modeling.messages import ModelSpec, Progress

Files = dict[str, bytes]
NAME = "org/falcon"
WANTED = {
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("chat_template.jinja", "model.safetensors.index.json"),
    *(f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)),
}
LAST = "model-00003-of-00003.safetensors"


def fails(kind: type[FalconError], says: str, **spec: Any) -> FalconError:
    with pytest.raises(kind, match=says) as caught:
        find(ModelSpec(NAME, **spec))
    assert type(caught.value).__mro__.index(kind) <= 1
    assert caught.value.hint
    return caught.value


def test_only_the_files_that_are_needed_come(hub: Any, checkpoint_files: Files, capfd: pytest.CaptureFixture[str]) -> None:
    repository = hub.add(NAME, checkpoint_files)
    seen: list[Progress] = []
    checkpoint = find(ModelSpec(NAME), seen.append)
    assert {path.name for path in checkpoint.folder.iterdir()} == WANTED
    for name in WANTED:
        assert (checkpoint.folder / name).read_bytes() == checkpoint_files[name]
    assert checkpoint.commit == repository.branches["main"]
    assert set(hub.delivered()) == WANTED
    assert len(hub.delivered()) == len(WANTED)
    assert capfd.readouterr() == ("", "")

    total = sum(len(checkpoint_files[name]) for name in WANTED - {"model.safetensors.index.json"})
    assert {p.total for p in seen} == {total}
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert seen[-1] == Progress("download", total, total)


def test_weights_come_last_so_that_they_vouch_for_the_rest(hub: Any, checkpoint_files: Files) -> None:
    hub.add(NAME, checkpoint_files)
    find(ModelSpec(NAME))
    assert all(name.startswith("model-0000") for name in hub.delivered()[-3:])


def test_a_second_time_nothing_is_downloaded(hub: Any, checkpoint_files: Files) -> None:
    hub.add(NAME, checkpoint_files)
    first = find(ModelSpec(NAME))
    hub.asked.clear()
    seen: list[Progress] = []
    assert find(ModelSpec(NAME), seen.append) == first
    assert hub.delivered() == []
    assert seen[-1].done == seen[-1].total


def test_a_single_file_is_taken_and_its_neighbours_are_not(
    hub: Any, checkpoint_files: Files, pack: Callable[..., bytes]
) -> None:
    hub.add(NAME, checkpoint_files | {"model.safetensors": pack({"a": ("F32", [4])})})
    folder = find(ModelSpec(NAME)).folder
    assert [path.name for path in folder.glob("*.safetensors")] == ["model.safetensors"]


def test_revisions_are_kept_apart(hub: Any, checkpoint_files: Files) -> None:
    repository = hub.add(NAME, checkpoint_files)
    old = repository.branches["v1.0"] = repository.branches["main"]
    new = repository.move()
    assert find(ModelSpec(NAME)).commit == new
    assert find(ModelSpec(NAME, revision="v1.0")).commit == old
    assert find(ModelSpec(NAME, revision=old)).commit == old
    assert find(ModelSpec(NAME, revision="v1.0", offline=True)).commit == old
    assert find(ModelSpec(NAME, offline=True)).commit == new


def test_a_push_in_the_middle_gives_one_commit_not_a_mixture(hub: Any, checkpoint_files: Files) -> None:
    repository = hub.add(NAME, checkpoint_files)
    listing = hub_module._Download.listing
    moved: list[str] = []

    def push_after_the_first(self: Any, revision: str) -> Any:
        answer = listing(self, revision)
        if not moved:
            moved.append(repository.move())
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_module._Download, "listing", push_after_the_first)
        checkpoint = find(ModelSpec(NAME))
    assert checkpoint.commit == moved[0]
    assert {path.name for path in checkpoint.folder.iterdir()} == WANTED


def test_a_cut_connection_is_taken_up_where_it_broke(
    hub: Any, checkpoint_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)  # what the library writes at a time, and so what it resumes by
    repository = hub.add(NAME, checkpoint_files)
    repository.cut[LAST] = 1
    seen: list[Progress] = []
    checkpoint = find(ModelSpec(NAME), seen.append)
    assert (checkpoint.folder / LAST).read_bytes() == checkpoint_files[LAST]
    ranges = [asked.range for asked in hub.asked if asked.path.endswith(LAST) and asked.method == "GET"]
    assert ranges[0] is None
    assert ranges[1] == f"bytes={len(checkpoint_files[LAST]) // 2 // 1024 * 1024}-"
    assert seen[-1].done == seen[-1].total


def test_a_connection_that_is_always_cut_is_an_error_and_a_later_run_succeeds(hub: Any, checkpoint_files: Files) -> None:
    repository = hub.add(NAME, checkpoint_files)
    repository.cut[LAST] = 10**6
    error = fails(DownloadFailed, "broke off")
    assert "again" in error.hint
    assert fails(DownloadFailed, "incomplete", offline=True).args[0].count(LAST) == 1
    repository.cut.clear()
    assert (find(ModelSpec(NAME)).folder / LAST).read_bytes() == checkpoint_files[LAST]


def test_a_file_of_the_wrong_size_is_refused_and_not_kept(hub: Any, checkpoint_files: Files) -> None:
    repository = hub.add(NAME, checkpoint_files)
    repository.short.add(LAST)
    fails(DownloadFailed, "size|broke off")
    repository.short.clear()
    repository.listed[LAST] = 99  # what the server sends is whole, but not what it lists
    fails(DownloadFailed, "instead of 99")
    repository.listed.clear()
    assert (find(ModelSpec(NAME)).folder / LAST).read_bytes() == checkpoint_files[LAST]


def test_a_repository_that_is_not_there(hub: Any, checkpoint_files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(ModelNotFound, "no model org/falcon, or it is private")
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    fails(ModelNotFound, "no model org/falcon")
    with pytest.raises(ModelNotFound) as caught:
        find(ModelSpec("tiiuae/falcon-h1-7b-instuct"))
    assert caught.value.hint == "did you mean tiiuae/Falcon-H1-7B-Instruct?"


def test_a_revision_that_is_not_there(hub: Any, checkpoint_files: Files) -> None:
    hub.add(NAME, checkpoint_files)
    fails(ModelNotFound, "no revision 'v9'", revision="v9")
    fails(ModelNotFound, "no revision", revision="f" * 40)


@pytest.mark.parametrize("token", [None, "hf_right"])
def test_a_gated_repository(hub: Any, checkpoint_files: Files, token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(NAME, checkpoint_files).gated = True
    if token is None:
        error = fails(ModelGated, "is gated")
        assert "accept the terms" in error.hint
        assert "HF_TOKEN" in error.hint
    else:
        monkeypatch.setenv("HF_TOKEN", token)
        assert {path.name for path in find(ModelSpec(NAME)).folder.iterdir()} == WANTED
        assert all(asked.authorized for asked in hub.asked)


def test_a_wrong_token(hub: Any, checkpoint_files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(NAME, checkpoint_files)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "token" in fails(ModelGated, "401").hint


@pytest.mark.parametrize(
    ("status", "kind"), [(403, ModelGated), (500, DownloadFailed), (503, DownloadFailed), (429, DownloadFailed)]
)
def test_a_hub_that_refuses(hub: Any, checkpoint_files: Files, status: int, kind: type[FalconError]) -> None:
    hub.add(NAME, checkpoint_files).closed = status
    fails(kind, str(status))


def test_a_listed_file_that_is_not_delivered(hub: Any, checkpoint_files: Files) -> None:
    hub.add(NAME, checkpoint_files).absent.add("tokenizer.json")
    fails(DownloadFailed, "404")


def test_a_repository_of_something_else(hub: Any, checkpoint_files: Files) -> None:
    hub.add(NAME, {"README.md": b"data"})
    fails(ModelNotFound, r"no config\.json")
    hub.add(NAME, {"config.json": b"{}", "pytorch_model.bin": b"x"})
    fails(BadModelFile, "pickle")
    hub.add(NAME, {"config.json": b"{}", "falcon.Q4.gguf": b"x"})
    fails(BadModelFile, "GGUF")
    assert hub.delivered() == []


def test_an_index_that_names_a_file_outside(hub: Any, checkpoint_files: Files, tmp_path: Path) -> None:
    evil = json.dumps({"weight_map": {"w": "../../../../evil.safetensors"}}).encode()
    hub.add(NAME, checkpoint_files | {"model.safetensors.index.json": evil})
    fails(BadModelFile, "no plain")
    assert not list(tmp_path.rglob("*evil*"))


def test_an_index_that_names_a_file_the_repository_lacks(hub: Any, checkpoint_files: Files) -> None:
    del checkpoint_files[LAST]
    hub.add(NAME, checkpoint_files)
    fails(BadModelFile, LAST)


def test_offline_with_an_empty_cache(hub: Any, checkpoint_files: Files) -> None:
    hub.add(NAME, checkpoint_files)
    assert "without --offline" in fails(ModelNotFound, "not in the local cache", offline=True).hint
    assert hub.asked == []


def test_offline_with_all_of_it(hub: Any, checkpoint_files: Files) -> None:
    hub.add(NAME, checkpoint_files)
    online = find(ModelSpec(NAME))
    hub.asked.clear()
    assert find(ModelSpec(NAME, offline=True)) == online
    assert hub.asked == []


def test_offline_with_a_part_says_which_part_is_missing(hub: Any, checkpoint_files: Files) -> None:
    hub.add(NAME, checkpoint_files)
    folder = find(ModelSpec(NAME)).folder
    (folder / LAST).resolve().unlink()  # the link stays, and leads nowhere
    fails(DownloadFailed, LAST, offline=True)
    (folder / LAST).unlink()
    fails(DownloadFailed, LAST, offline=True)


def test_a_hub_that_is_down(hub: Any, checkpoint_files: Files) -> None:
    hub.add(NAME, checkpoint_files)
    hub.stop()
    assert "network" in fails(DownloadFailed, "cannot be reached").hint


def test_a_hub_that_is_down_is_not_missed_where_the_cache_has_it_all(hub: Any, checkpoint_files: Files) -> None:
    repository = hub.add(NAME, checkpoint_files)
    online = find(ModelSpec(NAME))
    repository.closed = 503
    assert find(ModelSpec(NAME)) == online
    hub.stop()
    assert find(ModelSpec(NAME)) == online


def test_a_full_disk_is_told_before_the_download(hub: Any, checkpoint_files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(NAME, checkpoint_files)
    monkeypatch.setattr(hub_module.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    fails(WriteFailed, "more on disk")
    assert LAST not in hub.delivered()


def test_a_disk_that_fills_up_in_the_middle(hub: Any, checkpoint_files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    hub.add(NAME, checkpoint_files)

    def full(*arguments: Any, **options: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    fails(WriteFailed, "No space left")


PROGRAM = """
import sys
from modeling.checkpoint.files import find
from modeling.errors import FalconError
from modeling.messages import ModelSpec
try:
    print(find(ModelSpec(sys.argv[1])).folder)
except FalconError as error:
    print(type(error).__name__, error, sep=": ")
"""


def test_the_hubs_own_settings_are_honoured(hub: Any, checkpoint_files: Files, tmp_path: Path) -> None:
    hub.add(NAME, checkpoint_files).gated = True

    def run(**settings: str) -> str:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")} | settings
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, NAME], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        return done.stdout.strip()

    home = tmp_path / "home"
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home)}
    assert run(**settings).startswith("ModelGated")
    folder = Path(run(**settings, HF_TOKEN="hf_right"))
    assert folder.is_relative_to(home / "hub")
    hub.asked.clear()
    assert run(**settings, HF_HUB_OFFLINE="1") == str(folder)
    assert hub.asked == []
    assert run(**settings | {"HF_HOME": str(tmp_path / "other")}, HF_HUB_OFFLINE="1").startswith("ModelNotFound")
