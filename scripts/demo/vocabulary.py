"""The tokenizer: a byte-level BPE vocabulary trained on the corpus, with the special tokens of the instruct models.

Digits stand alone, so that sums are done digit by digit. The same seed makes the same file.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from scripts.demo.corpus.conversation import system_prompt, turns
from scripts.demo.shapes import SPECIALS, VOCABULARY


def texts(seed: int, chats: int, family: str = "falcon_mamba") -> Iterator[str]:
    """Messages of so many chats, as the tokenizer is to meet them."""
    for number in range(chats):
        draw = random.Random(f"{seed} vocabulary {number}")
        prompt = system_prompt(draw)
        if prompt is not None:
            yield prompt
        for _, (question, answer) in zip(range(12), turns(draw, family), strict=False):
            yield question
            yield answer


def make_tokenizer(seed: int, chats: int = 6000, size: int = VOCABULARY) -> Tokenizer:
    """A vocabulary of `size` whose first ids are the special tokens and whose next are the 256 bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\d"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(seed, chats), trainer)
    return tokenizer
