"""Prompts, decoding, depths and batches: each case as often as asked, in turn with transformers if it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from modeling.bench.reference import Reference
from modeling.bench.subject import Subject, clear, now
from modeling.bench.track import Sample, Track
from modeling.checkpoint.memory import show
from modeling.errors import ContextExceeded, InvalidRequest, MemoryExceeded
from modeling.messages import ProgressSink
from modeling.peak import forget_peak, peak_bytes
from modeling.roofline import Work
from modeling.timings import BenchCase, BenchResult, Plan, Rival, mean

ID_BYTES = 64
"""That a random id takes on the host, in the tuples and tensors that it goes through."""


def check(plan: Plan, positions: int | None, prefill_chunk: int, host: int) -> None:
    """Raise `ContextExceeded`, `InvalidRequest` or `MemoryExceeded` for the first part of a plan that cannot be measured with
    so many positions and `host` free bytes of host memory, before anything is loaded."""
    wanted = [(case.test, case.positions) for case in plan.cases]
    wanted += [(f"a state of {tokens} tokens", tokens + 2) for tokens in plan.states]
    if (talk := plan.conversation) is not None:
        wanted.append((f"a conversation of {talk.turns} turns", talk.positions))
    for what, needed in wanted:
        if positions is not None and needed > positions:
            raise ContextExceeded(f"{what} needs {needed} positions, and the model has {positions}", "choose smaller numbers")
        if needed * ID_BYTES > host:
            what = f"the ids of {needed} tokens alone, for {what}, need {show(needed * ID_BYTES)}, and {show(host)} are free"
            raise MemoryExceeded(what, "choose smaller numbers")
    for case in plan.cases:
        if case.n_gen and case.batch > prefill_chunk:
            raise InvalidRequest(
                f"a batch of {case.batch} does not begin together with {prefill_chunk} prompt tokens at once",
                f"use --prefill-chunk {case.batch} or more",
            )


def measure_cases(
    subject: Subject,
    cases: Sequence[BenchCase],
    repetitions: int,
    began: Callable[[str], None],
    progress: ProgressSink | None = None,
    reference: Reference | None = None,
) -> Iterator[BenchResult]:
    """Measure case after case; `began` is told of each. Cases of the same batch and depth that stand together share an engine.

    Raises what the engine raises, `MemoryExceeded` above all.
    """
    for (batch, depth), group in groupby(cases, lambda case: (case.batch, case.depth)):
        together = list(group)
        clear()
        began(together[0].label)
        track = Track(subject, batch, depth, max(case.positions for case in together), progress)
        for case in together:
            if case is not together[0]:
                began(case.label)
            yield _measured(subject, track, case, repetitions, reference)
        del track


def _measured(subject: Subject, track: Track, case: BenchCase, repetitions: int, reference: Reference | None) -> BenchResult:
    started = now()
    device, peaks = str(subject.model.device), list[int | None]()

    def ours() -> Sample:
        forget_peak(device)
        sample = track.time(case)
        peaks.append(peak_bytes(device))
        return sample

    forget_peak(device)
    track.warm(case)
    peaks.append(peak_bytes(device))
    if reference is None:
        samples, rival = [ours() for _ in range(repetitions)], None
    else:
        samples, rival = _in_turn(ours, reference, case, track.ids, repetitions)
    waits = [wait for sample in samples for wait in sample.waits]
    reading = subject.roofline.prefill(case.batch, case.n_prompt, case.depth) if case.n_prompt else Work(0, 0, 0)
    writing = subject.roofline.decode(case.batch, case.n_gen, case.before)
    cached = case.n_gen > 0 and writing.cached(subject.ceiling)
    return BenchResult(
        setup=subject.setup(track.engine),
        started=started,
        seconds=tuple(sample.seconds for sample in samples),
        case=case,
        first_token=mean(waits) if waits else None,
        gaps=tuple(sorted(gap for sample in samples for gap in sample.gaps)),
        state_bytes=case.batch * subject.model.state_bytes(case.before + case.n_gen),
        peak_bytes=max((peak for peak in peaks if peak is not None), default=None),
        bytes=reading.bytes + writing.bytes,
        flops=reading.flops + writing.flops,
        floor=None if cached else reading.seconds(subject.ceiling) + writing.seconds(subject.ceiling),
        rival=rival,
    )


def _in_turn(
    ours: Callable[[], Sample], reference: Reference, case: BenchCase, ids: Sequence[int], repetitions: int
) -> tuple[list[Sample], Rival]:
    """Runs of both engines in turn, so that whatever else happens on the machine happens to both; who begins alternates."""
    samples, theirs, same = [ours()], list[Sample](), 0
    chosen = samples[0].ids[: case.n_gen + 1]  # of what is drawn beyond that nothing is timed
    missing = reference.refusal(case)
    try:
        if not missing:
            reference.warm(case, ids, chosen)
            sample, same = reference.time(case, ids, chosen)
            theirs.append(sample)
    except Exception as error:  # its failures are a row of the result, not the end of it
        missing = reference.told(error)
    for number in range(1, repetitions):
        begins = number % 2 == 0
        if begins:
            samples.append(ours())
        if not missing:
            try:
                theirs.append(reference.time(case, ids, chosen)[0])
            except Exception as error:
                missing = reference.told(error)
        if not begins:
            samples.append(ours())
    reference.forget()
    if missing:
        return samples, Rival(reference.name, missing=missing)
    waits = [wait for sample in theirs for wait in sample.waits]
    return samples, Rival(
        name=reference.name,
        seconds=tuple(sample.seconds for sample in theirs),
        first_token=mean(waits) if waits else None,
        gaps=tuple(sorted(gap for sample in theirs for gap in sample.gaps)),
        same=same,
        compared=len(chosen),
    )
