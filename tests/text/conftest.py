"""Small tokenizers of every kind that a checkpoint may bring, each in a folder of its own as the Hub would hold it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "the cat sat on the mat, and the dog did not like that.",
    "what is a state? it's what a model remembers: numbers, not words.",
    "für Ärger sorgt 日本語 の テキスト です 🙂 👩‍👩‍👧 don't we've you're",
    "  two spaces, \ttabs\n and lines\n\n",
]
SPECIALS = ["<|pad|>", "<|begin_of_text|>", "<|im_start|>", "<|im_end|>", "<|end_of_text|>"]
CONFIG: dict[str, Any] = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<|begin_of_text|>",
    "eos_token": "<|end_of_text|>",
    "pad_token": "<|pad|>",
}


def byte_level() -> Tokenizer:
    """As all Falcon models: bytes in, bytes out."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=330, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False)
    )
    return backend


def byte_level_with_bos() -> Tokenizer:
    backend = byte_level()
    bos = backend.token_to_id("<|begin_of_text|>")
    template = processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", bos)])
    backend.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return backend


def byte_fallback() -> Tokenizer:
    """As Llama's: ▁ for spaces, <0x..> for what the vocabulary lacks, one leading space stripped."""
    letters = ["▁", "a", "b", "▁a", "▁b", "ab", "▁ab", "\ufffd", "▁▁"]
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    merges = [("▁", "a"), ("▁", "b"), ("a", "b"), ("▁", "ab"), ("▁", "▁")]
    backend = Tokenizer(
        models.BPE({word: i for i, word in enumerate(words)}, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    strip = decoders.Strip(" ", 1, 0)
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), strip])
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in ("<unk>", "<s>", "</s>")])
    return backend


def metaspace() -> Tokenizer:
    """As sentencepiece Unigram models."""
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    specials = ["<unk>", *SPECIALS]
    backend.train_from_iterator(
        CORPUS, trainers.UnigramTrainer(vocab_size=120, special_tokens=specials, unk_token="<unk>", show_progress=False)
    )
    return backend


def word_piece() -> Tokenizer:
    """As BERT: words and ## endings; the config below asks for tidied spaces."""
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(cleanup=False)
    backend.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=150, special_tokens=["[UNK]", *SPECIALS], show_progress=False)
    )
    return backend


def words() -> Tokenizer:
    """No decoder at all: pieces are joined by spaces, then tidied."""
    vocabulary = {word: i for i, word in enumerate([*SPECIALS, "[UNK]", *"' . , ! ? n't 's 've 're 'm it do".split()])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens([AddedToken(token, special=True) for token in SPECIALS])
    return backend


KINDS: dict[str, tuple[Callable[[], Tokenizer], dict[str, Any]]] = {
    "byte_level": (byte_level, {}),
    "byte_level_with_bos": (byte_level_with_bos, {}),
    "byte_fallback": (byte_fallback, {"bos_token": "<s>", "eos_token": "</s>", "pad_token": None}),
    "metaspace": (metaspace, {}),
    "word_piece": (word_piece, {"clean_up_tokenization_spaces": True}),
    "words": (words, {"clean_up_tokenization_spaces": True}),
}
FLAGS = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
EXTRAS: dict[str, dict[str, Any]] = {
    "wants_bos_and_eos": {"add_bos_token": True, "add_eos_token": True},
    "bpe_wants_tidied_spaces": {"clean_up_tokenization_spaces": True},
    "bpe_insists_on_tidied_spaces": {
        "clean_up_tokenization_spaces": True,
        "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output": True,
    },
    "new_eos": {"eos_token": "<|new_end|>"},
    "new_mask_and_bos": {"mask_token": "<|mask|>", "bos_token": "<|new_start|>"},
    "extra_special": {"extra_special_tokens": ["<|tool|>", "the"]},
    "additional_special": {"additional_special_tokens": ["<|tool|>", "<|pad|>"]},
    "named_extra": {"extra_special_tokens": {"image_token": "<|image|>"}, "audio_token": "<|audio|>"},
    "declared": {
        "added_tokens_decoder": {
            "0": {"content": "<|pad|>", **FLAGS, "special": True},
            "400": {"content": "<|late|>", **FLAGS, "lstrip": True, "rstrip": True, "special": True},
            "330": {"content": "ordinary", **FLAGS, "normalized": True, "single_word": True, "special": False},
        }
    },
    "object_token": {"eos_token": {"__type": "AddedToken", "content": "<|end|>", **FLAGS, "lstrip": True}},
    "splits_specials": {"split_special_tokens": True},
}

CHAT_CORPUS = [
    "the assistant answers the user and the system remembers",
    "what is a state? a matrix, not more.",
    "für jeden 日本語 🙂",
    *["assistant assistant\nassistant", "<tool_call>"] * 20,
]
CHAT_SPECIALS = ["<|pad|>", "<|begin_of_text|>", "assistant", "<|im_start|>", "<|im_end|>", "<|end_of_text|>"]
CHAT_ADDED = ["<tool_call>", "</tool_call>", "\n\n"]


def chat_backend(*, ignore_merges: bool = False) -> Tokenizer:
    """Bytes in, bytes out; as in falcon-mamba-instruct, "assistant" is a special token, and here merges would spell it, too."""
    backend = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, special_tokens=["<|pad|>"], show_progress=False)
    backend.train_from_iterator(CHAT_CORPUS, trainer)
    assert backend.encode("assistant").tokens == ["assistant"]
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CHAT_SPECIALS])
    backend.add_tokens([AddedToken(token, special=False, normalized=False) for token in CHAT_ADDED])
    return backend


MakeFolder = Callable[..., Path]


@pytest.fixture(scope="session")
def make_chat_backend() -> Callable[..., Tokenizer]:
    """make_chat_backend(ignore_merges=False) → a byte-level tokenizer whose control tokens are also words of its vocabulary."""
    return chat_backend


@pytest.fixture(scope="session")
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> MakeFolder:
    """make_folder(kind, **config) → a folder with tokenizer.json, tokenizer_config.json and the least of a config.json."""
    backends: dict[str, Tokenizer] = {}

    def make(kind: str, **config: Any) -> Path:
        maker, own = KINDS[kind]
        if kind not in backends:
            backends[kind] = maker()
        folder = tmp_path_factory.mktemp(kind)
        backends[kind].save(str(folder / "tokenizer.json"))
        fields = {name: value for name, value in (CONFIG | own | config).items() if value is not None}
        (folder / "tokenizer_config.json").write_text(json.dumps(fields), encoding="utf-8")
        (folder / "config.json").write_text(json.dumps({"model_type": "falcon_h1"}), encoding="utf-8")
        return folder

    return make


CASES = {
    **{kind: (kind, {}) for kind in KINDS},
    **{f"byte_level-{name}": ("byte_level", config) for name, config in EXTRAS.items()},
    "metaspace-new_eos": ("metaspace", EXTRAS["new_eos"]),
    "byte_level_with_bos-wants_eos": ("byte_level_with_bos", {"add_eos_token": True, "add_bos_token": False}),
}


@pytest.fixture(scope="session", params=CASES)
def folder(request: pytest.FixtureRequest, make_folder: MakeFolder) -> Path:
    """Every kind of tokenizer, and the byte-level one with every special wish a config may hold."""
    kind, config = CASES[request.param]
    return make_folder(kind, **config)
