from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling.text.stream import StreamDecoder, byte_alphabet
from modeling.text.tokenizer import Tokenizer, tidy_spaces


def stream(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    decoder = StreamDecoder(tokenizer)
    return [*(decoder.push(i) for i in ids), decoder.flush()]


def test_the_parts_are_the_whole_for_random_ids(folder: Path) -> None:
    tokenizer = Tokenizer.from_folder(folder)
    draw = random.Random(3)
    for length in [*range(1, 9)] * 60 + [40] * 60:
        ids = [draw.randrange(tokenizer.size + 3) for _ in range(length)]
        assert "".join(stream(tokenizer, ids)) == tokenizer.decode(ids), ids


def test_the_parts_are_the_whole_for_written_text(folder: Path) -> None:
    tokenizer = Tokenizer.from_folder(folder)
    for text in ["the cat, a dog", "日本語 🙂 👩‍👩‍👧 naïve \ufffd\ufffd!", " a b  ab ", "it 's ' a ' . n't ?", "<|im_end|> b"]:
        ids = tokenizer.encode(text)
        assert "".join(stream(tokenizer, ids)) == tokenizer.decode(ids), text


@pytest.fixture(scope="module")
def bytewise(make_folder: Callable[..., Path]) -> tuple[Tokenizer, list[int]]:
    """A byte-level tokenizer and the id of each byte."""
    tokenizer = Tokenizer.from_folder(make_folder("byte_level"))
    ids = {byte: tokenizer.backend.token_to_id(sign) for sign, byte in byte_alphabet().items()}
    return tokenizer, [ids[byte] for byte in range(256)]


@settings(max_examples=300, deadline=None)
@given(data=st.one_of(st.text(max_size=12).map(str.encode), st.binary(max_size=24)))
def test_bytes_become_characters_as_soon_as_they_are_whole(bytewise: tuple[Tokenizer, list[int]], data: bytes) -> None:
    tokenizer, ids = bytewise
    parts = stream(tokenizer, [ids[byte] for byte in data])
    assert "".join(parts) == data.decode(errors="replace") == tokenizer.decode([ids[byte] for byte in data])
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    assert [part for part in parts if part] == list(text)  # each character with its last byte, none before, none later
    assert parts[-1] == ""


def test_a_broken_character_at_the_end_is_flushed_once(bytewise: tuple[Tokenizer, list[int]]) -> None:
    tokenizer, ids = bytewise
    assert stream(tokenizer, [ids[byte] for byte in "é🙂".encode()[:-1]]) == ["", "é", "", "", "", "\ufffd"]


def test_specials_between_the_bytes_of_a_character_do_not_break_it(bytewise: tuple[Tokenizer, list[int]]) -> None:
    tokenizer, ids = bytewise
    first, second = (ids[byte] for byte in "é".encode())
    assert stream(tokenizer, [first, *tokenizer.encode("<|im_end|>"), second]) == ["", "", "é", ""]


def test_spaces_arrive_with_the_word_they_belong_to(make_folder: Callable[..., Path]) -> None:
    tokenizer = Tokenizer.from_folder(make_folder("byte_fallback"))
    vocabulary = tokenizer.backend.get_vocab()
    pieces = ["▁a", "▁b", "<0xE6>", "<0x97>", "<0xA5>", "▁ab", "<s>", "▁▁", "b"]
    parts = stream(tokenizer, [vocabulary[piece] for piece in pieces])
    assert parts == ["a", " b", "", "", "", "日 ab", "", "  ", "b", ""]


@given(st.lists(st.sampled_from([" ", "'", ".", "n't", "'s", "a", "re", ",", "ve"]), max_size=14).map("".join), st.randoms())
@settings(deadline=None)
def test_tidied_spaces_do_not_depend_on_the_cut(bytewise: tuple[Tokenizer, list[int]], text: str, draw: random.Random) -> None:
    from modeling.text.stream import _SpaceTidier

    tidier, cuts = _SpaceTidier(), sorted(draw.randrange(len(text) + 1) for _ in range(4))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert "".join(map(tidier.push, parts)) + tidier.flush() == tidy_spaces(text)


@pytest.mark.parametrize("kind", ["byte_level", "metaspace", "byte_fallback"])
def test_cost_is_linear(kind: str, make_folder: Callable[..., Path]) -> None:
    tokenizer = Tokenizer.from_folder(make_folder(kind))
    word = tokenizer.encode("the 日本 ab")

    def seconds(repeats: int) -> float:
        started = time.perf_counter()
        stream(tokenizer, word * repeats)
        return time.perf_counter() - started

    seconds(50)
    assert seconds(4000) < 40 * min(seconds(400) for _ in range(3))  # 10 if linear, 100 if quadratic
