"""The held-out questions, put to a model as the shipped chat does: greedily, on a CPU, one conversation each.

A row of questions.jsonl is {"id", "topic", "model", "turns", "keys", "not"}: the answer to the last turn must hold at least one
alternative of every group of `keys` and none of `not`. Case does not count, and a key that is a number counts as a whole number
only. The questions were written from syllabus.md, apart from the corpus.
"""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from modeling.api import OpenModel, open_model
from modeling.messages import ModelSpec, SamplingParams

QUESTIONS = Path(__file__).with_name("questions.jsonl")
LONGEST = 120  # tokens of an answer


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation of the user's turns, and what the answer to the last one must hold."""

    id: str
    topic: str
    model: str
    turns: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...]
    forbidden: tuple[str, ...] = ()

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Question:
        keys = tuple(tuple(group) for group in row["keys"])
        return cls(row["id"], row["topic"], row["model"], tuple(row["turns"]), keys, tuple(row.get("not", ())))

    @property
    def distance(self) -> int:
        """Turns between the first one, where a memory question tells, and the last, which asks."""
        return len(self.turns) - 1

    def judge(self, answer: str) -> bool:
        """Whether this answer is right."""
        return all(any(holds(answer, key) for key in group) for group in self.keys) and not any(
            holds(answer, key) for key in self.forbidden
        )


@dataclass
class Result:
    """What a model answered, and how long its first tokens took."""

    name: str
    parameters: int
    answers: list[tuple[Question, str, bool]] = field(default_factory=list)
    first_token: list[float] = field(default_factory=list)

    @property
    def right(self) -> float:
        """The share of right answers."""
        return sum(good for _, _, good in self.answers) / max(1, len(self.answers))

    def by_topic(self) -> dict[str, tuple[int, int]]:
        """Topic → (right, asked)."""
        return _counted((question.topic, good) for question, _, good in self.answers)

    def by_distance(self) -> dict[str, tuple[int, int]]:
        """Turns between telling and asking → (right, asked), for questions of memory."""
        memory = ((question.distance, good) for question, _, good in self.answers if question.topic == "memory")
        return {str(key): value for key, value in sorted(_counted(memory).items())}

    @property
    def latency(self) -> float:
        """The median of seconds to the first token of a first turn."""
        return median(self.first_token)


def _counted(pairs: Iterable[tuple[Any, bool]]) -> dict[Any, tuple[int, int]]:
    counts: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
    for key, good in pairs:
        counts[key][0] += good
        counts[key][1] += 1
    return {key: (right, asked) for key, (right, asked) in counts.items()}


def holds(answer: str, key: str) -> bool:
    """Whether `key` stands in `answer`: "7" is not in "72"."""
    before = r"(?<!\d)" if key[:1].isdigit() else ""
    after = r"(?!\d)" if key[-1:].isdigit() else ""
    return re.search(before + re.escape(key.casefold()) + after, answer.casefold()) is not None


def read_questions(path: Path = QUESTIONS) -> list[Question]:
    """The rows of a file of questions."""
    return [Question.of(json.loads(line)) for line in path.read_text("utf-8").splitlines() if line.strip()]


def answers(model: OpenModel, turns: Iterable[str]) -> Iterator[tuple[str, float]]:
    """One conversation: each answer, and the seconds to its first token."""
    session = model.converse()
    try:
        for turn in turns:
            start, first, shown = time.perf_counter(), 0.0, []
            for event in session.ask(turn, SamplingParams(temperature=0.0, max_tokens=LONGEST)):
                first = first or time.perf_counter() - start
                shown.append(event.text)
            yield "".join(shown), first
    finally:
        session.close()


def evaluate(folder: Path, name: str, questions: Iterable[Question]) -> Result:
    """Put all questions for the model `name` ("demo", "demo-h1") to the checkpoint in `folder`."""
    model = open_model(ModelSpec(str(folder), device="cpu"))
    result = Result(name, model.info.parameters)
    for question in questions:
        if question.model in ("both", name):
            given = list(answers(model, question.turns))
            result.answers.append((question, given[-1][0], question.judge(given[-1][0])))
            result.first_token.append(given[0][1])
    return result


def table(results: Iterable[Result]) -> str:
    """The shares of right answers by topic, and by distance for memory, as a Markdown table."""
    results = list(results)
    lines = ["| topic | " + " | ".join(result.name for result in results) + " |", "| --- |" + " ---: |" * len(results)]
    topics = dict.fromkeys(topic for result in results for topic in result.by_topic())
    lines += [_line(topic, [result.by_topic().get(topic) for result in results]) for topic in topics]
    distances = sorted({distance for result in results for distance in result.by_distance()}, key=int)
    lines += [_line(f"memory, {n} turns later", [result.by_distance().get(n) for result in results]) for n in distances]
    total = [(sum(good for _, _, good in result.answers), len(result.answers)) for result in results]
    lines.append(_line("**all**", total))
    return "\n".join(lines)


def _line(name: str, counts: Iterable[tuple[int, int] | None]) -> str:
    cells = ["–" if count is None else f"{count[0]} of {count[1]} ({100 * count[0] / count[1]:.0f} %)" for count in counts]
    return f"| {name} | " + " | ".join(cells) + " |"
