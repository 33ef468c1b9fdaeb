"""The form that answers are held to, from the options that name it."""

from __future__ import annotations

from falcon_cli import console
from falcon_cli.demand import AnswerOptions, ConstraintOptions
from falcon_cli.options import SamplingOptions
from falcon_cli.prompt import read_file
from modeling.errors import InvalidRequest
from modeling.messages import Constraint


def read_constraint(options: ConstraintOptions, sampling: SamplingOptions, answer: AnswerOptions) -> Constraint | None:
    """The form, None if any will do. Raises `InvalidRequest` for one that cannot be followed or read, for more than one, and
    beside options that contradict it."""
    given = {"--json-schema": options.json_schema, "--json-schema-file": options.json_schema_file, "--regex": options.regex}
    named = [name for name, value in given.items() if value is not None]
    if not named:
        return None
    if len(named) > 1:
        raise InvalidRequest(f"{named[0]} and {named[1]} contradict each other", "give one of the two")
    for option, asked in (("--ignore-eos", sampling.ignore_eos), ("--stop", bool(sampling.stop))):
        if asked:
            raise InvalidRequest(
                f"with {named[0]} the answer ends where its form does, so {option} has no place", "leave it out"
            )
    if answer.extract and options.regex is None:
        raise InvalidRequest(f"with {named[0]} the answer is JSON alone, without a fence to --extract it from", "leave it out")
    schema = read_file(options.json_schema_file) if options.json_schema_file is not None else options.json_schema
    constraint = Constraint("json_schema", schema) if schema is not None else Constraint("regex", options.regex or "")
    from modeling.text.grammar import check  # which imports llguidance

    check(constraint)
    return constraint


def tell_of_cuts(count: int) -> None:
    """A note on stderr if the length ran out before the form of `count` answers was complete."""
    if count:
        which = "an answer has" if count == 1 else f"{count} answers have"
        console.notice(f"{which} only the beginning of the form: the length ran out first, see --max-tokens")
