"""What an answer may look like: a JSON schema or a regular expression, held token by token through llguidance.

llguidance is asked after each token which ones may follow, as one bit for each id of the vocabulary. It knows tokens by their
bytes, so the text that it admits is the text that comes out, character for character. What a form leaves no choice about is
spelt by the tokens that the tokenizer would take. llguidance is imported by the first constraint, and never calls back: an
exception of ours (Ctrl-C) would be lost in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import lru_cache
from types import ModuleType
from typing import Any

from modeling.errors import InvalidRequest
from modeling.messages import Constraint

SPACES = r" |\n {0,20}"
"""Between the parts of a JSON document: nothing, one space, or a new line and its indentation. Any white space at all, which
JSON allows, is an endless loop that small models fall into."""

_HINTS = {
    "json_schema": "the keywords that can be followed: https://github.com/guidance-ai/llguidance/blob/main/docs/json_schema.md",
    "regex": "the syntax is that of Rust's regex, without look-around: https://docs.rs/regex/latest/regex/#syntax",
}
_BOOLEANS = {"true": "{}", "false": '{"enum": []}'}  # which JSON Schema has, and options cannot be applied to
_NAMES = {"json_schema": "JSON schema", "regex": "regular expression"}


def check(constraint: Constraint) -> None:
    """Raises `InvalidRequest` for a constraint that cannot be followed by any model, and where llguidance is not installed."""
    matcher = _llguidance().LLMatcher
    failed, reasons = matcher.validate_grammar_with_warnings(_grammar(constraint))
    if failed:
        raise _refused(constraint, reasons[0])


class Grammars:
    """Makes the matchers of one model.

    `tokenizer` gives its tokenizer.json, as `modeling.text.stream.bytewise` does; it is asked once, by the first constraint.
    Logits are `size` wide. Ids that the tokenizer does not name or calls special are never drawn, but for `stop_ids`, which end
    the text where it may end.
    """

    def __init__(self, tokenizer: Callable[[], str], size: int, stop_ids: Collection[int]) -> None:
        self._read = tokenizer
        self._size = size
        self._stop_ids = sorted(id for id in stop_ids if id < size)
        self._tokenizer: Any = None
        self._first = lru_cache(maxsize=64)(self._compile)

    def matcher(self, constraint: Constraint) -> Matcher:
        """One for a new answer. Raises `InvalidRequest` as `check` and `bytewise` do."""
        first = self._first(constraint)
        return Matcher(first.deep_copy(), self._size)

    def _compile(self, constraint: Constraint) -> Any:
        llguidance = _llguidance()
        grammar = _grammar(constraint)
        if self._tokenizer is None:
            if not self._stop_ids:
                raise InvalidRequest("this model names no token that ends an answer, so none can be held to a form")
            try:
                self._tokenizer = llguidance.LLTokenizer(self._read(), n_vocab=self._size, eos_token=self._stop_ids)
            except ValueError as error:
                raise InvalidRequest(
                    f"llguidance does not understand the model's tokenizer: {_first_line(str(error))}"
                ) from None
        matcher = llguidance.LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise _refused(constraint, matcher.get_error())
        return matcher


class Matcher:
    """Follows one answer. `failure` says why it cannot be followed any further, "" as long as it can."""

    def __init__(self, matcher: Any, size: int) -> None:
        self._matcher = matcher
        self._all = b"\xff" * (4 * -(-size // 32))
        self.failure = ""

    def take(self, id: int) -> None:
        """The answer goes on with this token."""
        if not self._matcher.consume_token(id):
            self._fail(f"token {id} does not fit")

    def bits(self) -> bytes:
        """Which ids may follow: bit i % 8 of byte i // 8, of which there are a multiple of four. All, if it failed."""
        if not self.failure and not self._matcher.is_error():
            bits: bytes = self._matcher.compute_bitmask()[: len(self._all)]
            if not self._matcher.is_error() and bits.count(0) < len(bits):
                return bits
        self._fail("no token of the vocabulary fits")
        return self._all

    @property
    def complete(self) -> bool:
        """Whether nothing may follow."""
        return not self.failure and bool(self._matcher.is_stopped()) and not self._matcher.is_error()

    def _fail(self, why: str) -> None:
        self.failure = self.failure or _first_line(self._matcher.get_error()) or why


def _llguidance() -> ModuleType:
    try:
        import llguidance
    except ImportError:
        what = "holding an answer to a form needs llguidance, which is not installed"
        raise InvalidRequest(what, "pip install 'falcon-cli[schema]'") from None
    return llguidance


def _grammar(constraint: Constraint) -> str:
    matcher = _llguidance().LLMatcher
    if half := re.search("[\ud800-\udfff]", constraint.source):
        raise _refused(constraint, f"its character {half.start() + 1} is half a character")
    if constraint.kind == "regex":
        return str(matcher.grammar_from_regex(constraint.source))
    source = _BOOLEANS.get(constraint.source.strip(), constraint.source)
    try:
        return str(matcher.grammar_from_json_schema(source, overrides={"whitespace_pattern": SPACES}))
    except ValueError as error:
        raise _refused(constraint, str(error) if source.lstrip().startswith("{") else "it is no JSON object") from None


def _refused(constraint: Constraint, why: str) -> InvalidRequest:
    return InvalidRequest(f"the {_NAMES[constraint.kind]} cannot be followed: {_first_line(why)}", _HINTS[constraint.kind])


def _first_line(why: str) -> str:
    """What is wrong, without the drawing of where."""
    lines = why.splitlines()
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (told or lines or [""])[0][:300]
