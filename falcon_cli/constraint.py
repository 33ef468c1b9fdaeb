"""The form that answers are held to, from the options that name it."""

from __future__ import annotations

from falcon_cli.demand import ConstraintOptions
from falcon_cli.prompt import read_file
from modeling.errors import InvalidRequest
from modeling.messages import Constraint


def read_constraint(options: ConstraintOptions) -> Constraint | None:
    """The form, None if any will do. Raises `InvalidRequest` for one that cannot be followed or read, and for more than one."""
    given = {"--json-schema": options.json_schema, "--json-schema-file": options.json_schema_file, "--regex": options.regex}
    named = [name for name, value in given.items() if value is not None]
    if not named:
        return None
    if len(named) > 1:
        raise InvalidRequest(f"{named[0]} and {named[1]} contradict each other", "give one of the two")
    schema = read_file(options.json_schema_file) if options.json_schema_file is not None else options.json_schema
    constraint = Constraint("json_schema", schema) if schema is not None else Constraint("regex", options.regex or "")
    from modeling.text.grammar import check  # which imports llguidance

    check(constraint)
    return constraint
