"""The judge of the held-out questions."""

from __future__ import annotations

import pytest

from scripts.demo.evaluate import Question, Result, holds, read_questions, table


@pytest.mark.parametrize(
    ("answer", "key", "found"),
    [
        ("Type `/UNDO`.", "/undo", True),
        ("7 + 65 = 72.", "72", True),
        ("172 or 725", "72", False),
        ("7 + 2 = 9.", "7", True),
        ("k7-x2", "k7-x2", True),
        ("k7-x25", "k7-x2", False),
        ("nothing", "a", False),
    ],
)
def test_keys(answer: str, key: str, found: bool) -> None:
    assert holds(answer, key) is found


def test_all_groups_and_no_forbidden() -> None:
    row = {
        "id": "x",
        "topic": "memory",
        "model": "both",
        "turns": ["a", "b", "c"],
        "keys": [["one", "two"], ["3"]],
        "not": ["4"],
    }
    question = Question.of(row)
    assert question.distance == 2
    assert question.judge("Two and 3.") and not question.judge("Two.") and not question.judge("one, 3, 4")
    result = Result("demo", 1, [(question, "", True), (question, "", False)], [0.1, 0.2, 0.3])
    assert (result.right, result.latency, result.by_distance()) == (0.5, 0.2, {"2": (1, 2)})
    assert "| memory | 1 of 2 (50 %) |" in table([result])


def test_the_questions() -> None:
    questions = read_questions()
    assert len(questions) >= 200
    assert len({question.id for question in questions}) == len(questions)
    assert all(question.keys and question.model in ("both", "demo", "demo-h1") for question in questions)
    assert sum(question.topic == "memory" and question.distance >= 5 for question in questions) >= 20
