"""States on disk: they come back bit by bit, and only to the model, tokenizer, template and text that they belong to."""

from __future__ import annotations

import random
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from falcon_cli.demo import FOLDERS, resolve
from modeling.api import OpenModel, open_model
from modeling.checkpoint.identity import identify
from modeling.checkpoint.statefile import read_state, write_state
from modeling.errors import MemoryExceeded, StateRefused, WriteFailed
from modeling.generation.session import Session
from modeling.messages import Finished, ModelSpec, SamplingParams
from modeling.models import LanguageModel

DRAWN = SamplingParams(temperature=8.0, seed=3, max_tokens=5, ignore_eos=True)
IDENTITY = {"config": "c", "weights": "w", "tokenizer": "t", "template": "p", "dtype": "float32", "quantization": "none"}
IDS = (4, 5, 6)
TENSORS = {"0.conv": torch.randn(6, 4), "0.ssm": torch.randn(6, 3)}


@pytest.fixture(scope="module", params=FOLDERS)
def opened(request: pytest.FixtureRequest) -> OpenModel:
    return open_model(ModelSpec(resolve(request.param), dtype="float32", device="cpu"))


@pytest.fixture
def session(opened: OpenModel) -> Iterator[Session]:
    session = opened.converse()
    finish(session.ask("some words " * 300, DRAWN))  # more than two pages of keys and values
    finish(session.ask("two", DRAWN))
    yield session
    session.close()


def finish(events: Iterator[Any]) -> Finished:
    end = list(events)[-1]
    assert isinstance(end, Finished)
    return end


def resumed(opened: OpenModel, session: Session) -> Session:
    other = opened.converse()
    other.restore(session.turns, session.head)
    return other


def test_a_conversation_goes_on_from_the_disk_as_if_it_had_never_stopped(
    opened: OpenModel, session: Session, tmp_path: Path
) -> None:
    path = tmp_path / "state"
    assert opened.save_state(session, path) == len(session.ids) - 1
    assert path.stat().st_mode & 0o077 == 0
    other = resumed(opened, session)
    assert opened.load_state(other, path) == len(session.ids) - 1
    state, again = session.state, other.state
    assert state is not None and again is not None
    assert all(torch.equal(tensor, again.tensors()[name]) for name, tensor in state.tensors().items())  # type: ignore[attr-defined]
    one, two = finish(session.ask("three", DRAWN)), finish(other.ask("three", DRAWN))
    assert one.token_ids == two.token_ids and one.stats.reused_tokens == two.stats.reused_tokens > 256
    other.close()


def test_a_state_of_another_text_is_refused(opened: OpenModel, session: Session, tmp_path: Path) -> None:
    opened.save_state(session, path := tmp_path / "state")
    other = resumed(opened, session)
    other.undo()
    with pytest.raises(StateRefused, match="another text from token"):
        opened.load_state(other, path)
    assert other.state is None
    other.close()
    templated = opened.converse("{{ messages[0].content }}")
    with pytest.raises(StateRefused, match="another chat template"):
        opened.load_state(templated, path)
    templated.close()


def test_a_state_of_another_model_is_refused(session: Session, opened: OpenModel, tmp_path: Path) -> None:
    (name,) = [name for name in FOLDERS if resolve(name) != opened.info.name]
    other = open_model(ModelSpec(resolve(name), dtype="float32", device="cpu"))
    opened.save_state(session, path := tmp_path / "state")
    conversation = other.converse()
    conversation.restore(session.turns, session.head)
    with pytest.raises(StateRefused, match="another model"):
        other.load_state(conversation, path)
    narrow = open_model(ModelSpec(opened.info.name, dtype="bfloat16", device="cpu"))
    conversation = narrow.converse()
    with pytest.raises(StateRefused, match="another number format"):
        narrow.load_state(conversation, path)


def test_a_state_of_another_shape_never_gets_in(opened: OpenModel, session: Session) -> None:
    state: Any = session.state
    memory: Any = opened.engine.runner.state
    tensors = state.tensors()
    for name in tensors:
        for wrong in ({**tensors, name: tensors[name][:-1]}, {**tensors, name: tensors[name].double()}):
            with pytest.raises(StateRefused, match="another shape"):
                memory.adopt(wrong, state.length)
    with pytest.raises(StateRefused):
        memory.adopt({}, state.length)


def test_pages_of_a_state_that_does_not_fit_are_given_back(opened: OpenModel, session: Session) -> None:
    memory: Any = opened.engine.runner.state
    if memory.pool is None:
        pytest.skip("FalconMamba has no pages")
    model: LanguageModel = opened.engine.runner.model  # type: ignore[assignment]
    small: Any = model.make_state(1, 64)
    state: Any = session.state
    free = len(small.pool.free)
    with pytest.raises(MemoryExceeded):
        small.adopt(state.tensors(), state.length)
    assert len(small.pool.free) == free
    free = len(memory.pool.free)
    snapshot = memory.adopt(state.tensors(), state.length)
    assert len(memory.pool.free) == free - len(snapshot.pages)
    del snapshot
    assert len(memory.pool.free) == free


@pytest.mark.promise
@pytest.mark.parametrize("field", IDENTITY)
def test_each_fact_of_the_identity_counts(tmp_path: Path, field: str) -> None:
    write_state(path := tmp_path / "state", TENSORS, IDS, IDENTITY)
    ids, tensors = read_state(path, IDENTITY)
    assert ids == IDS and all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    with pytest.raises(StateRefused) as caught:
        read_state(path, {**IDENTITY, field: "other"})
    assert "\n" not in str(caught.value) and caught.value.hint
    write_state(path, TENSORS, IDS, {key: value for key, value in IDENTITY.items() if key != field})
    with pytest.raises(StateRefused):
        read_state(path, IDENTITY)


@pytest.mark.promise
def test_a_thousand_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_state(path, TENSORS, IDS, IDENTITY)
    whole, draw = path.read_bytes(), random.Random(5)
    for case in range(1000):
        data = bytearray(whole)
        match case % 4:
            case 0:
                del data[draw.randrange(len(data)) :]
            case 1:
                data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
            case 2:
                data += draw.randbytes(draw.randint(1, 50))
            case 3:
                place = draw.randrange(len(data))
                data[place : place + 20] = draw.randbytes(20)
        path.write_bytes(data)
        try:
            ids, tensors = read_state(path, IDENTITY)
        except StateRefused:
            continue
        # a bit of the header that means nothing, such as the case of an escape: then everything else must be as it was
        assert ids == IDS and all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_what_is_no_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    for content in (b"", b"{}", b"\0" * 99, b"<html>"):
        path.write_bytes(content)
        with pytest.raises(StateRefused):
            read_state(path, IDENTITY)
    for missing in (tmp_path / "nothing", tmp_path):
        with pytest.raises(StateRefused):
            read_state(missing, IDENTITY)


@pytest.mark.promise
def test_a_full_disk_leaves_the_old_state_as_it_was(tmp_path: Path) -> None:
    write_state(path := tmp_path / "state", TENSORS, IDS, IDENTITY)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(WriteFailed):
            write_state(path, {"0.conv": torch.zeros(1000, 1000)}, IDS, IDENTITY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    with pytest.raises(WriteFailed):
        write_state(tmp_path / "no folder" / "state", TENSORS, IDS, IDENTITY)


def test_two_trainings_of_one_shape_are_told_apart(tmp_path: Path) -> None:
    source = Path(resolve("demo"))
    for file in source.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    same = identify(tmp_path)
    assert same == identify(source)
    weights = tmp_path / "model.safetensors"
    data = bytearray(weights.read_bytes())
    for place in range(1000, len(data), 4000):
        data[place] ^= 1
    weights.write_bytes(data)
    other = identify(tmp_path)
    assert {name for name in same if same[name] != other[name]} == {"weights"}
