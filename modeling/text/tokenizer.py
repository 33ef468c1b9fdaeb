"""Ids ↔ text, read from a checkpoint's own files through the `tokenizers` library.

transformers' `AutoTokenizer` would do the same work after 1.6 s of imports; `tokenizers` alone takes 0.02 s. What transformers
adds on top of tokenizer.json is little, and is repeated here exactly (a test compares the two):

* tokens that only tokenizer_config.json, special_tokens_map.json or added_tokens.json name are appended to the vocabulary;
* named and extra special tokens are made special, so that `decode` leaves them out;
* `add_bos_token` and `add_eos_token` are without effect beside a tokenizer.json: its own post-processor decides;
* truncation and padding stored in tokenizer.json are switched off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend
from tokenizers.models import BPE

from modeling.documents import read_object
from modeling.errors import BadModelFile, InvalidRequest

NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
LONG = 1 << 18  # characters: some tenths of a second
END_OF_TURN = "<|im_end|>"  # the ChatML end of a message, in every instruct model of both families


class Tokenizer:
    """The tokenizer of one checkpoint. Made by `from_folder`; immutable afterwards.

    `bos_id`, `eos_id`, `pad_id` are None where the checkpoint names no such token. `end_of_turn_ids` are the ids after which an
    instruct model has nothing more to say: the end of the sequence, and <|im_end|> where it is a special token.
    `special_ids` never become text. `named_tokens` are the texts of bos_token, eos_token, … as a chat template sees them;
    `chat_template` is its Jinja source, None for a model without one.
    """

    def __init__(self, backend: Backend, config: Mapping[str, Any], chat_template: str | None = None) -> None:
        self.backend = backend
        self.chat_template = chat_template
        self.named_tokens = _named_tokens(config)
        self.special_ids = frozenset(i for i, token in backend.get_added_tokens_decoder().items() if token.special)
        self._recognising = _recognising(backend)
        self._plain = _without_added_tokens(backend)
        self._forbidden_ids = _control_ids(backend, self.named_tokens.get("unk_token"))
        self.bos_id = self._named_id(config, "bos_token")
        self.eos_id = self._named_id(config, "eos_token")
        self.pad_id = self._named_id(config, "pad_token")
        turn = backend.token_to_id(END_OF_TURN)
        ends = (self.eos_id, turn if turn in self.special_ids else None)
        self.end_of_turn_ids = frozenset(i for i in ends if i is not None)
        # transformers ignores the wish of a BPE tokenizer to have its spaces tidied, because that would eat real ones.
        forced = config.get("clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output", False)
        self.tidies_spaces = bool(config.get("clean_up_tokenization_spaces")) and (
            not isinstance(backend.model, BPE) or bool(forced)
        )

    @classmethod
    def from_folder(cls, folder: Path) -> Tokenizer:
        """The tokenizer whose files lie in `folder`: tokenizer.json, and beside it, all optional, tokenizer_config.json,
        special_tokens_map.json, added_tokens.json and chat_template.jinja.

        Raises `BadModelFile` if there is no tokenizer.json or a file is damaged.
        """
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise BadModelFile(f"{folder} has no tokenizer.json", _hint_without_tokenizer(folder))
        config = read_object(folder / "tokenizer_config.json")
        legacy = "added_tokens_decoder" not in config
        if legacy:
            config |= read_object(folder / "special_tokens_map.json")
        try:
            backend = _read_backend(path)
            _add_tokens(backend, config, read_object(folder / "added_tokens.json") if legacy else {})
            backend.encode_special_tokens = bool(config.get("split_special_tokens"))
            return cls(backend, config, _read_template(folder, config))
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise BadModelFile(f"{folder}: the tokenizer's files do not fit together: {error}", _DAMAGED) from None

    @property
    def size(self) -> int:
        """One more than the greatest id that `encode` can return."""
        return max(self.backend.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def encode(self, text: str) -> tuple[int, ...]:
        """The ids of `text` as `transformers`' `tokenizer(text).input_ids` gives them: special tokens written in the text are
        recognised, and the checkpoint's post-processor adds its own (a bos, for some).
        """
        return tuple(_encoded(self.backend, text, add_special_tokens=True))

    def encode_literal(self, text: str) -> tuple[int, ...]:
        """The ids of text that a chat template wrote: special tokens are recognised, and nothing is added around them."""
        return tuple(_encoded(self._recognising, text))

    def encode_content(self, text: str) -> tuple[int, ...]:
        """The ids of text that somebody typed: no added token is recognised in it, special or not, and none comes out of it.

        Where the vocabulary itself would spell an added token ("assistant" as one whole word, say), its id is replaced by those
        of shorter pieces of the same text. Two kinds of added token are text all the same: the unknown token, and a token that
        is not special and stands for a single character or byte.

        Raises `InvalidRequest` for a character that this vocabulary can only write as a special token.
        """
        ids: list[int] = []
        for token_id in _encoded(self._plain, text):
            ids += [token_id] if token_id not in self._forbidden_ids else self._spelled_out(token_id)
        return tuple(ids)

    def _spelled_out(self, token_id: int) -> list[int]:
        """The ids of the same piece of text cut in two, the left part as long as may be; or else sign by sign."""
        piece = self.piece(token_id) or ""
        halves = [(piece[:cut], piece[cut:]) for cut in range(len(piece) - 1, 0, -1)]
        for parts in (*halves, tuple(piece)):
            ids = [token.id for part in parts for token in self.backend.model.tokenize(part)]
            if self._forbidden_ids.isdisjoint(ids):
                return ids
        raise InvalidRequest(f"this model's tokenizer can only write {piece!r} as a control token", "leave it out of the text")

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids` without special tokens; ids outside the vocabulary stand for nothing."""
        text: str = self.backend.decode(list(ids), skip_special_tokens=True)
        return tidy_spaces(text) if self.tidies_spaces else text

    def piece(self, token_id: int) -> str | None:
        """The vocabulary entry behind an id, in the tokenizer's own alphabet; None outside the vocabulary."""
        piece: str | None = self.backend.id_to_token(token_id)
        return piece

    def _named_id(self, config: Mapping[str, Any], name: str) -> int | None:
        content = _content(config.get(name))
        return None if content is None else self.backend.token_to_id(content)


def tidy_spaces(text: str) -> str:
    """English spacing restored after a word-by-word decoder: the replacements of transformers, in its order."""
    for mark in (".", "?", "!", ","):
        text = text.replace(f" {mark}", mark)
    text = text.replace(" ' ", "'")
    for ending in ("n't", "'m", "'s", "'ve", "'re"):
        text = text.replace(f" {ending}", ending)
    return text


_DAMAGED = "download the model again, or copy the tokenizer files from the original repository"


def _hint_without_tokenizer(folder: Path) -> str:
    if (folder / "tokenizer.model").is_file() or (folder / "vocab.json").is_file():
        return "falcon reads tokenizer.json only: save the tokenizer again with transformers 5, which writes one"
    return "name the folder of a complete Hugging Face checkpoint: weights, config.json and tokenizer.json"


def _read_backend(path: Path) -> Backend:
    try:
        backend = Backend.from_str(path.read_text(encoding="utf-8"))
    except BaseException as error:  # the library raises bare Exception, and its Rust panics derive from BaseException
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise BadModelFile(f"{path} is not a tokenizer that can be read: {_first_line(error)}", _DAMAGED) from None
    backend.no_truncation()
    backend.no_padding()
    return backend


def _read_template(folder: Path, config: Mapping[str, Any]) -> str | None:
    """chat_template.jinja wins over tokenizer_config.json; of several named templates, "default" is taken."""
    try:
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise BadModelFile(f"{folder / 'chat_template.jinja'} cannot be read: {_first_line(error)}", _DAMAGED) from None
    template = config.get("chat_template")
    if isinstance(template, Sequence) and not isinstance(template, str):
        template = {entry["name"]: entry["template"] for entry in template}
    if isinstance(template, Mapping):
        template = template.get("default")
    return template if isinstance(template, str) else None


def _add_tokens(backend: Backend, config: Mapping[str, Any], added: Mapping[str, int]) -> None:
    """Append what the other files name and tokenizer.json lacks, in the order of transformers: the order gives the ids."""
    present = backend.get_added_tokens_decoder()
    declared = {int(i): _token(entry) for i, entry in config.get("added_tokens_decoder", {}).items()}
    special = _special_tokens(config, declared.values() if "added_tokens_decoder" in config else present.values())
    names = {token.content for token in special}
    for content, i in added.items():
        declared[i] = AddedToken(content, normalized=content not in names, special=content in names)
    known = {repr(token) for token in present.values()}
    queue = [token for _, token in sorted(declared.items()) if repr(token) not in known]
    contents = {token.content for token in (*present.values(), *queue)}
    for token in special:
        if token.content not in contents:
            contents.add(token.content)
            queue.append(token)
    backend.add_tokens(queue)
    backend.add_special_tokens(special)  # makes special what is there already


def _special_tokens(config: Mapping[str, Any], declared: Iterable[AddedToken]) -> list[AddedToken]:
    """Every token that the config calls special: bos, eos, …; whatever else is called `…_token`; the extra ones.

    bos, eos, … are often plain strings: their flags (lstrip, normalized, …) are those of the declared token of that text.
    """
    flags = {token.content: token for token in declared}
    named = [_token(config[name]) for name in NAMED if config.get(name) is not None]
    others = [name for name in config if name.endswith("_token") and name not in NAMED and _content(config[name]) is not None]
    extra = config.get("extra_special_tokens") or config.get("additional_special_tokens") or []  # the name in transformers 4
    return [
        *(flags.get(token.content, token) for token in named),
        *(_token(config[name]) for name in others),
        *(_token(entry) for entry in (extra.values() if isinstance(extra, Mapping) else extra)),
    ]


def _named_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """name → text of bos_token, eos_token, …, and of the tokens to which this checkpoint alone gives a name."""
    extra = config.get("extra_special_tokens")
    entries = {name: entry for name, entry in config.items() if name.endswith("_token")}
    entries |= extra if isinstance(extra, Mapping) else {}
    return {name: content for name, entry in entries.items() if (content := _content(entry)) is not None}


def _content(entry: Any) -> str | None:
    """The text of a token that is written as a string or as an object with a `content`."""
    if isinstance(entry, Mapping):
        entry = entry.get("content")
    return entry if isinstance(entry, str) else None


def _token(entry: Any) -> AddedToken:
    if isinstance(entry, str):
        return AddedToken(entry, special=True, normalized=False)
    flags = {name: bool(entry[name]) for name in ("single_word", "lstrip", "rstrip", "normalized", "special") if name in entry}
    return AddedToken(entry["content"], **flags)


def _recognising(backend: Backend) -> Backend:
    """The backend itself, or, if it is set to split special tokens, a copy that is not."""
    return Backend.from_str(backend.to_str()) if backend.encode_special_tokens else backend


def _without_added_tokens(backend: Backend) -> Backend:
    """The same model, shared and not copied, behind the same normalizer and pre-tokenizer, with no added tokens."""
    plain = Backend(backend.model)
    if backend.normalizer is not None:
        plain.normalizer = backend.normalizer
    if backend.pre_tokenizer is not None:
        plain.pre_tokenizer = backend.pre_tokenizer
    return plain


def _control_ids(backend: Backend, unknown: str | None) -> frozenset[int]:
    """The added tokens, but for the unknown token and the plain ones of a single sign: those are text."""
    return frozenset(
        i
        for i, token in backend.get_added_tokens_decoder().items()
        if token.content != unknown and (token.special or len(token.content) > 1)
    )


def _encoded(backend: Backend, text: str, *, add_special_tokens: bool = False) -> list[int]:
    """The ids of text. A long one, which takes seconds, is encoded in a thread: whoever waits here can be interrupted."""
    whole = _whole(text)
    if len(whole) < LONG:
        return list(backend.encode(whole, add_special_tokens=add_special_tokens).ids)
    outcome: Future[list[int]] = Future()

    def encode() -> None:
        try:  # of the two ways to encode, the one for many texts lets other threads of Python run
            outcome.set_result(backend.encode_batch([whole], add_special_tokens=add_special_tokens)[0].ids)
        except BaseException as error:
            outcome.set_exception(error)

    Thread(target=encode, name="encode", daemon=True).start()  # after an interrupt nobody waits for it
    return outcome.result()


def _whole(text: str) -> str:
    """Lone surrogates (undecodable bytes of a command line) have no UTF-8 form: they become U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return text


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
