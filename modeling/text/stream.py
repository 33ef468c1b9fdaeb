"""A decoder for text that arrives one token at a time: whole characters out, nothing lost, nothing changed.

The text of a token depends on its neighbours: a character may be spread over several tokens, the first word has no leading
space, a word-piece joins its predecessor. Decoding everything again for each token is exact, but costs the square of the
length. Here each kind of decoder gets the shortest memory that is still exact.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Protocol

from modeling.errors import InvalidRequest
from modeling.text.tokenizer import Tokenizer, tidy_spaces

REPLACEMENT = "\ufffd"


class StreamDecoder:
    """ids → text, incrementally: the pushes and the flush together are exactly `tokenizer.decode` of all ids.

    No push ends within a character (one code point; a family emoji may arrive in parts, each a character of its own).
    Use one decoder for one completion.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._special_ids = tokenizer.special_ids
        self._pieces = _pieces_of(tokenizer)
        self._tidier = _SpaceTidier() if tokenizer.tidies_spaces else None

    def push(self, id: int) -> str:
        """What this token adds to the text: "" for a special token or while a character is incomplete."""
        if id in self._special_ids:
            return ""
        text = self._pieces.push(id)
        return self._tidier.push(text) if self._tidier else text

    def flush(self) -> str:
        """The rest, at the end of the completion: bytes that never became a character are U+FFFD."""
        text = self._pieces.flush()
        return self._tidier.push(text) + self._tidier.flush() if self._tidier else text


def spell(tokenizer: Tokenizer, id: int) -> tuple[str, bytes]:
    """One token by itself: its text, and the bytes that it stands for, which need not be whole characters. A special token is
    its name; an id outside the vocabulary is nothing."""
    piece = tokenizer.piece(id)
    if piece is None or id in tokenizer.special_ids:
        return piece or "", (piece or "").encode()
    decoder = _pieces_of(tokenizer)
    text = decoder.push(id) + decoder.flush()
    return text, decoder.bytes_of(piece) if isinstance(decoder, _BytePieces) else text.encode()


def bytewise(tokenizer: Tokenizer) -> str:
    """The tokenizer.json of a byte-level vocabulary, for which text becomes bytes and nothing else: names of special tokens
    are spelt like any other word.

    Raises `InvalidRequest` for a tokenizer whose tokens mean one thing here and another there: word pieces, tidied spaces.
    """
    if tokenizer.tidies_spaces or not isinstance(_pieces_of(tokenizer), _BytePieces):
        raise InvalidRequest("an answer can be held to a form only by a byte-level vocabulary, as all Falcon models have")
    fields = json.loads(tokenizer.backend.to_str())
    added, model = fields["added_tokens"], fields["model"]
    hidden = {token["content"]: token["id"] for token in added if token["id"] in tokenizer.special_ids}

    def spelt(name: str) -> str:
        return "\ufdd0" * 8 + str(hidden[name]) if name in hidden else name  # of a character that no text has

    model["vocab"] = {spelt(name): id for name, id in model["vocab"].items()}
    fields["added_tokens"] = [token | {"content": spelt(token["content"])} for token in added]
    return json.dumps(fields | {"post_processor": None})


class _Pieces(Protocol):
    """Ordinary (not special) ids → text."""

    def push(self, token_id: int) -> str: ...

    def flush(self) -> str: ...


def _pieces_of(tokenizer: Tokenizer) -> _Pieces:
    decoder = tokenizer.backend.decoder
    steps = _steps(json.loads(decoder.__getstate__())) if decoder is not None else []
    kinds = [step["type"] for step in steps]
    if kinds == ["ByteLevel"]:
        return _BytePieces(tokenizer)
    return _WordPieces(tokenizer, byte_fallback="ByteFallback" in kinds, partial="ByteLevel" in kinds)


def _steps(decoder: dict[str, object]) -> list[dict[str, object]]:
    """The flat list of a decoder's steps."""
    if decoder.get("type") != "Sequence":
        return [decoder]
    inner = decoder["decoders"]
    assert isinstance(inner, list)
    return [step for entry in inner for step in _steps(entry)]


class _BytePieces:
    """Byte-level vocabularies (all Falcon models): a token is bytes, the text is their UTF-8. Memory: at most three bytes."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._byte_of = byte_alphabet()
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        piece = self._tokenizer.piece(token_id)
        return "" if piece is None else self._utf8.decode(self.bytes_of(piece))

    def flush(self) -> str:
        return self._utf8.decode(b"", final=True)

    def bytes_of(self, piece: str) -> bytes:
        try:
            return bytes(self._byte_of[sign] for sign in piece)
        except KeyError:  # an added token, which is not written in the alphabet of bytes
            return piece.encode()


def byte_alphabet() -> dict[str, int]:
    """The signs that stand for bytes in a byte-level vocabulary: printable Latin-1 for itself, the rest from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(hidden)}


class _WordPieces:
    """Any other decoder (Metaspace, WordPiece, byte fallback, …): decode a short window with and without the new token.

    The window begins with the last token whose text is settled, so that whatever the decoder does to the first token of a
    text happens on both sides of the difference. Memory: that token, and the tokens whose text is not settled yet.
    """

    def __init__(self, tokenizer: Tokenizer, *, byte_fallback: bool, partial: bool) -> None:
        self._tokenizer = tokenizer
        self._byte_fallback = byte_fallback  # <0x..> tokens: a run of them is one string or, if it is invalid, all U+FFFD
        self._partial = partial  # a token may end within a character
        self._window: list[int] = []
        self._shown = ""  # the text of the window's settled part

    def push(self, token_id: int) -> str:
        piece = self._tokenizer.piece(token_id)
        if piece is None:
            return ""
        self._window.append(token_id)
        if self._byte_fallback and re.fullmatch(r"<0x[0-9A-Fa-f]{2}>", piece):
            return ""
        text = self._decode(self._window)
        if not text.startswith(self._shown) or (self._partial and text.endswith(REPLACEMENT)):
            return ""
        new = text[len(self._shown) :]
        self._window = [token_id]
        self._shown = self._decode(self._window)
        return new

    def flush(self) -> str:
        text, shown = self._decode(self._window), self._shown
        self._window, self._shown = [], ""
        return text[len(shown) :]

    def _decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.backend.decode(ids, skip_special_tokens=False)
        return text


class _SpaceTidier:
    """`tidy_spaces` on a stream. Each replacement begins at a space, and only apostrophes let one reach over another space:
    so the text is settled up to the last space that has neither an apostrophe nor a space on either side.
    """

    def __init__(self) -> None:
        self._held = ""

    def push(self, text: str) -> str:
        self._held += text
        cut = max((match.start() + 1 for match in re.finditer(r"[^ '] (?=[^ '])", self._held)), default=0)
        settled, self._held = self._held[:cut], self._held[cut:]
        return tidy_spaces(settled)

    def flush(self) -> str:
        settled, self._held = self._held, ""
        return tidy_spaces(settled)
