"""Stop strings in streamed text: found across any token boundary, and nothing shown that might still become one."""

from __future__ import annotations

from collections.abc import Sequence


class _Pattern:
    """One stop string and how much of its front the text's end matches (Knuth, Morris & Pratt 1977)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.matched = 0
        self._fallback = [0] * len(text)  # [i]: length of the longest border of text[: i + 1]
        border = 0
        for i in range(1, len(text)):
            while border and text[i] != text[border]:
                border = self._fallback[border - 1]
            border += text[i] == text[border]
            self._fallback[i] = border

    def advance(self, character: str) -> bool:
        """Read one character; whether it completes the pattern."""
        while self.matched and character != self.text[self.matched]:
            self.matched = self._fallback[self.matched - 1]
        self.matched += character == self.text[self.matched]
        return self.matched == len(self.text)


class StopMatcher:
    """Lets text through until a stop string is complete; holds back what may be the beginning of one.

    The stop string that is complete first wins; of several that end at the same character, the longest. So the outcome does
    not depend on how the text is cut into pieces. Each character costs one comparison for each stop string, amortised.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._patterns = [_Pattern(stop) for stop in sorted(set(stops), key=len, reverse=True)]
        self._held = ""

    def push(self, text: str) -> tuple[str, str | None]:
        """Read more text. Returns what may be shown now, and the stop string if one is complete (then call no more)."""
        if not self._patterns:
            return text, None
        seen = self._held + text
        for end, character in enumerate(text, len(self._held) + 1):
            complete = [pattern.text for pattern in self._patterns if pattern.advance(character)]
            if complete:
                self._held = ""
                return seen[: end - len(complete[0])], complete[0]
        shown = len(seen) - max(pattern.matched for pattern in self._patterns)
        self._held = seen[shown:]
        return seen[:shown], None

    def flush(self) -> str:
        """What was held back: the text has ended, so it can no longer become a stop string."""
        held, self._held = self._held, ""
        return held
