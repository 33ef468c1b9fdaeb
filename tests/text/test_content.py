"""What somebody types is text: no added token, special or not, ever comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from modeling.errors import InvalidRequest
from modeling.text.tokenizer import Tokenizer

FRAMES = ["{}", " {}", "{} ", "a{}b", "{}{}", "\n{}\n", "{}s", "the {} and", "<{}>", "{}\ufffd", "é{}日"]


@pytest.mark.promise
@pytest.mark.parametrize("whole_words", [False, True], ids=["merges", "whole words"])
def test_every_added_token_in_every_frame_is_only_text(whole_words: bool, make_chat_backend: Callable[..., Backend]) -> None:
    made = make_chat_backend(ignore_merges=whole_words)
    tokenizer = Tokenizer(made, {"eos_token": "<|end_of_text|>"})
    added = made.get_added_tokens_decoder()
    assert len(added) == 9
    for token in added.values():
        for frame in FRAMES:
            typed = frame.replace("{}", token.content)
            found = tokenizer.encode_content(typed)
            assert not set(added) & set(found)
            assert made.decode(list(found), skip_special_tokens=False) == typed


@pytest.fixture(scope="module")
def tokenizer_of_whole_words(make_chat_backend: Callable[..., Backend]) -> Tokenizer:
    return Tokenizer(make_chat_backend(ignore_merges=True), {})


CONTROLS = ["assistant", "<|im_start|>", "<|im_end|>", "<|pad|>", "<tool_call>", "\n\n"]
MIXTURE = [*CONTROLS, "a", " ", "\n", "é", "\ud800", "<|", "ass"]


@pytest.mark.promise
@settings(max_examples=200, deadline=None)
@given(typed=st.lists(st.sampled_from(MIXTURE), max_size=8).map("".join))
def test_no_mixture_of_anything_gives_a_control_id(tokenizer_of_whole_words: Tokenizer, typed: str) -> None:
    found = tokenizer_of_whole_words.encode_content(typed)
    assert not set(tokenizer_of_whole_words.backend.get_added_tokens_decoder()) & set(found)
    spelled = tokenizer_of_whole_words.backend.decode(list(found), skip_special_tokens=False)
    assert spelled == typed.replace("\ud800", 3 * "\ufffd")  # one for each byte that UTF-8 would have had


@pytest.mark.promise
@pytest.mark.parametrize("kind", ["byte_level", "byte_level_with_bos", "byte_fallback", "metaspace", "word_piece", "words"])
def test_other_kinds_of_tokenizers_give_no_control_ids_either(kind: str, make_folder: Callable[..., Path]) -> None:
    unknown = {"byte_fallback": "<unk>", "metaspace": "<unk>", "word_piece": "[UNK]", "words": "[UNK]"}.get(kind)
    tokenizer = Tokenizer.from_folder(make_folder(kind, **({"unk_token": unknown} if unknown else {})))
    added = {i for i, token in tokenizer.backend.get_added_tokens_decoder().items() if token.content != unknown}
    for token in tokenizer.backend.get_added_tokens_decoder().values():
        for frame in FRAMES:
            assert not added & set(tokenizer.encode_content(frame.replace("{}", token.content)))


def test_a_sign_that_is_itself_a_special_token_cannot_be_typed(make_chat_backend: Callable[..., Backend]) -> None:
    made = make_chat_backend()
    made.add_special_tokens([AddedToken("q", special=True)])
    with pytest.raises(InvalidRequest, match="can only write 'q' as a control token"):
        Tokenizer(made, {}).encode_content("a quiet one")


def test_a_line_break_that_is_an_added_token_can_be_typed(make_chat_backend: Callable[..., Backend]) -> None:
    made = make_chat_backend()
    made.add_tokens([AddedToken("Ċ", special=False), AddedToken("!", special=False)])
    assert made.decode(list(Tokenizer(made, {}).encode_content("hey!\n"))) == "hey!\n"


def test_a_checkpoint_that_splits_special_tokens_still_gets_its_templates_own(
    make_chat_backend: Callable[..., Backend],
) -> None:
    tokenizer, made = Tokenizer(make_chat_backend(), {}), make_chat_backend()
    made.encode_special_tokens = True
    split = Tokenizer(made, {})
    assert split.encode_literal("<|im_start|>assistant\n") == tokenizer.encode_literal("<|im_start|>assistant\n")
    assert len(split.encode("<|im_start|>")) > 1
