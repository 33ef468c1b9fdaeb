"""Which results make a curve: speed over depth, speed over batch with the roofline, the first token's wait over turns."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path
from typing import Literal

from modeling.timings import BenchCase, BenchResult, Plan, Result, TurnResult, mean, spread

Named = tuple[str, Result]
Kind = Literal["ours", "other", "roofline"]


@dataclass(frozen=True, slots=True)
class Line:
    """A curve: `errors` are standard deviations (() if there are none). Curves of one `group` belong together: ours, what it is
    measured against, and what is possible."""

    label: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    errors: tuple[float, ...] = ()
    kind: Kind = "ours"
    group: int = 0


@dataclass(frozen=True, slots=True)
class Panel:
    """A diagram. `ticks` are the measured places: where they are drawn, and what is written there. `logarithmic`: upwards."""

    title: str
    across: str
    up: str
    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]
    logarithmic: bool = False

    @property
    def top(self) -> float:
        """The highest point of all curves, error bars included."""
        return max(
            y + error for line in self.lines for y, error in zip(line.ys, line.errors or [0.0] * len(line.ys), strict=True)
        )


def drawable(plan: Plan) -> bool:
    """Whether what is planned will make a curve."""
    lists = (
        {case.depth for case in plan.cases if not (case.n_prompt and case.n_gen)},
        {case.batch for case in plan.cases if not case.n_prompt},
        set(range(plan.conversation.turns if plan.conversation else 0)),
    )
    return any(len(places) > 1 for places in lists)


def panels(results: Sequence[Named]) -> list[Panel]:
    """All diagrams that the results are enough for."""
    cases = [(name, result) for name, result in results if isinstance(result, BenchResult)]
    writing = [(name, result) for name, result in cases if not result.case.n_prompt]
    reading = [(name, result) for name, result in cases if not result.case.n_gen]
    turns = [(name, result) for name, result in results if isinstance(result, TurnResult)]
    found = [
        _over_depth("Decode speed over depth", writing),
        _over_depth("Prompt speed over depth", reading),
        _over_batch(writing),
        _over_turns(turns),
    ]
    return [panel for panel in found if panel is not None and panel.lines]


def _over_depth(title: str, results: Sequence[tuple[str, BenchResult]]) -> Panel | None:
    depths = sorted({result.case.depth for _, result in results})
    if len(depths) < 2:
        return None
    first = log2(depths[0] or depths[1])
    step = max(1.0, (log2(depths[-1]) - first) / 6)
    place = {depth: log2(depth) if depth else first - step for depth in depths}  # nothing stands a step before the first
    lines: list[Line] = []
    groups = _groups(
        results, lambda case: (BenchCase(case.n_prompt, case.n_gen).test, case.batch > 1 and f"batch {case.batch}")
    )
    for group, (label, members) in enumerate(groups.items()):
        lines += _curves(label, [(place[result.case.depth], result) for result in members], group)
    ticks = tuple((place[depth], text) for depth, text in _tokens(depths).items())
    return Panel(title, "tokens in the state before", "tokens a second", tuple(lines), ticks)


def _over_batch(results: Sequence[tuple[str, BenchResult]]) -> Panel | None:
    batches = sorted({result.case.batch for _, result in results})
    if len(batches) < 2:
        return None
    lines: list[Line] = []
    depths = _tokens(result.case.depth for _, result in results)
    groups = _groups(results, lambda case: (f"tg{case.n_gen}", case.depth and f"depth {depths[case.depth]}"))
    for group, (label, members) in enumerate(groups.items()):
        lines += _curves(label, [(log2(result.case.batch), result) for result in members], group)
        if roof := _roofline(members):
            lines.append(Line(f"{label}: roofline", *roof, kind="roofline", group=group))
    ticks = tuple((log2(batch), str(batch)) for batch in batches)
    return Panel("Decode speed over batch", "sequences at once", "tokens a second", tuple(lines), ticks, True)


def _over_turns(results: Sequence[tuple[str, TurnResult]]) -> Panel | None:
    turns = sorted({result.turn for _, result in results})
    if len(turns) < 2:
        return None
    groups: dict[str, list[TurnResult]] = defaultdict(list)
    for (_, result), label in zip(results, _numbered(_labels(results), [result.turn for _, result in results]), strict=True):
        groups[label].append(result)
    lines = []
    for group, (label, members) in enumerate(groups.items()):
        xs = tuple(float(result.turn) for result in members)
        ways: tuple[tuple[str, Kind, list[tuple[float, ...]]], ...] = (
            ("state carried", "ours", [result.seconds for result in members]),
            ("all read anew", "other", [result.again for result in members]),
        )
        for way, kind, samples in ways:
            ys, errors = (tuple(1e3 * of(seconds) for seconds in samples) for of in (mean, spread))
            lines.append(Line(f"{label}: {way}", xs, ys, errors, kind, group))
    step = max(1, round(len(turns) / 8))
    shown = [turn for turn in turns if turn == 1 or turn % step == 0]
    return Panel("Wait for the first token", "turn", "ms", tuple(lines), tuple((float(turn), str(turn)) for turn in shown))


def _roofline(group: Sequence[BenchResult]) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Tokens a second at the ceiling, over the logarithm of the batch: bytes and operations of a step are linear in it, so that
    two measured batches tell them for all between. None where the machine's memory is no floor."""
    least, most = (pick(group, key=lambda result: result.case.batch) for pick in (min, max))
    if least.case.batch == most.case.batch or least.floor is None:
        return None
    ceiling, steps = least.setup.ceiling, least.case.n_gen
    per_row = (most.bytes - least.bytes) / (most.case.batch - least.case.batch)
    first, last = log2(least.case.batch), log2(most.case.batch)
    places = [first + (last - first) * number / 32 for number in range(33)]
    rates = []
    for place in places:
        batch = 2**place
        moved = least.bytes + (batch - least.case.batch) * per_row
        seconds = max(moved / ceiling.read, least.flops / least.case.batch * batch / ceiling.multiply)
        rates.append(batch * steps / seconds)
    return tuple(places), tuple(rates)


def _curves(label: str, points: Iterable[tuple[float, BenchResult]], group: int) -> Iterator[Line]:
    """Our curve, and the rival's; each if it has two points."""
    ordered = sorted(points, key=lambda point: point[0])
    if len(ordered) > 1:
        xs, ours = tuple(place for place, _ in ordered), [result for _, result in ordered]
        yield Line(label, xs, tuple(r.mean_rate for r in ours), tuple(r.spread_rate for r in ours), "ours", group)
    theirs = [(place, r.case.tokens, r.rival) for place, r in ordered if r.rival and not r.rival.missing]
    if len(theirs) > 1:
        rates = [[tokens / seconds for seconds in rival.seconds] for _, tokens, rival in theirs]
        xs, ys, errors = tuple(place for place, *_ in theirs), tuple(map(mean, rates)), tuple(map(spread, rates))
        yield Line(f"{label}: {theirs[0][2].name}", xs, ys, errors, "other", group)


def _groups(
    results: Sequence[tuple[str, BenchResult]], facts: Callable[[BenchCase], tuple[str | int, ...]]
) -> dict[str, list[BenchResult]]:
    """Results that differ in nothing but what goes across, by what tells them from the others (a fact that is
    nothing is the usual thing)."""
    all_facts = [facts(result.case) for _, result in results]
    telling = [place for place in range(len(all_facts[0])) if len({fact[place] for fact in all_facts}) > 1]
    told = [
        " · ".join([label, *(str(fact[place]) for place in telling if fact[place])])
        for label, fact in zip(_labels(results), all_facts, strict=True)
    ]
    found: dict[str, list[BenchResult]] = defaultdict(list)
    for (_, result), label in zip(results, _numbered(told, [result.case for _, result in results]), strict=True):
        found[label].append(result)
    return found


def _numbered(labels: Sequence[str], places: Sequence[Hashable]) -> list[str]:
    """What was measured again at the same place under the same label is another curve: the "(2)" of that label."""
    times = Counter[tuple[str, Hashable]]()
    found = []
    for label, place in zip(labels, places, strict=True):
        times[label, place] += 1
        found.append(label if times[label, place] == 1 else f"{label} ({times[label, place]})")
    return found


def _labels(results: Sequence[Named]) -> list[str]:
    """What of model, number format and kernels tells each result from the others; the model if nothing does.

    A model goes by the last part of its name, or by all of it where several end alike.
    """
    last = {name: Path(name).name or name for name, _ in results}
    ends = Counter(last.values())
    facts = [
        (
            last[name] if ends[last[name]] == 1 else name,
            result.setup.info.quantization or result.setup.info.dtype,
            result.setup.info.kernels,
        )
        for name, result in results
    ]
    telling = [place for place in range(3) if len({fact[place] for fact in facts}) > 1]
    return [" · ".join(fact[place] for place in telling or [0]) for fact in facts]


def _tokens(numbers: Iterable[int]) -> dict[int, str]:
    """Each number in short, but where two would look alike."""
    short = {number: _short(number) for number in numbers}
    alike = Counter(short.values())
    return {number: text if alike[text] == 1 else str(number) for number, text in short.items()}


def _short(number: int) -> str:
    """4096 → 4k, 1048576 → 1M; what is no round number as it is."""
    for unit, size in (("M", 2**20), ("M", 10**6), ("k", 2**10), ("k", 1000)):
        if number and number % size == 0:
            return f"{number // size}{unit}"
    return str(number)
