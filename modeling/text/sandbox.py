"""The process in which chat templates run: jinja2's immutable sandbox, within walls of the operating system.

A template is a program from a checkpoint. Nothing in jinja2 stops `{{ 'a' * 10**10 }}` or a million nested loops, and much of
it is C code that no deadline within a process can interrupt. So templates run in a process that the caller can end
(`renderer`), and which, before it reads the first of them, gives up what a template never needs:

* new files, sockets and processes (limits of the kernel), memory beyond `MEMORY_BYTES`;
* every audited action of the interpreter except compiling and running a template: an import or `open` ends the process;
* the parent's environment variables, which it never had.

The environment is that of transformers' `apply_chat_template`, whose rendered text it reproduces exactly. The difference is
that template literals are marked (`provenance.literal`), so that the result can be cut into what the template wrote and what
people wrote.

Only the child process imports this module, and with it jinja2.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import wraps
from importlib import import_module
from types import TracebackType
from typing import Any

from jinja2 import Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Joiner, Namespace
from markupsafe import Markup

from modeling.text.provenance import DATA, Traced, braced, content, glue, literal, smear

MEMORY_BYTES = 256 * 2**20  # address space of the process; Python and jinja2 take 25 MB of it
ORPHAN_SECONDS = 10  # the parent ends a render long before; this is for a parent that has died
FORBIDDEN = 77  # exit status after an action that no template needs

# What jinja2 imports only when it needs it: to compile strings, for the filters pprint, wordwrap and striptags, for errors.
_LATE_CODEC, _LATE_MODULES = "unicode_escape", ("pprint", "textwrap", "html", "jinja2.debug")
_ALLOWED_EVENTS = frozenset({"compile", "exec", "object.__getattr__", "code.__new__", "sys._getframe", "builtins.id"})


class Refusal(TemplateError):
    """The template itself called `raise_exception`."""


class _TooLong(Exception):
    """The rendered text passes its limit."""


# ── the process ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def serve() -> None:
    """Answer one line of JSON with another until stdin ends. The first is {"source", "now"}, the others conversations."""
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    _lock_down()

    def reply(answer: Mapping[str, Any]) -> None:
        replies.write(json.dumps(answer).encode("ascii") + b"\n")
        replies.flush()

    reply({"ready": True})
    template: Template | None = None
    for line in requests:
        _alarm(ORPHAN_SECONDS)
        try:
            request = json.loads(line)
            if template is None:
                template = compile_template(request["source"], datetime.fromisoformat(request["now"]))
                answer: dict[str, Any] = {"pieces": []}
            else:
                answer = {"pieces": render(template, request).pieces()}
        except Exception as error:
            answer = _failure(error)
        reply(answer)
        _alarm(0)


def _lock_down() -> None:
    """Give up files, processes, memory and all audited actions. Never undone."""
    codecs.lookup(_LATE_CODEC)
    for module in _LATE_MODULES:
        import_module(module)
    try:
        import resource
    except ImportError:  # Windows: the parent watches memory and time there
        pass
    else:
        walls = {"AS": MEMORY_BYTES, "NOFILE": 3, "NPROC": 0, "FSIZE": 0, "CORE": 0}
        for name, limit in walls.items():
            with contextlib.suppress(AttributeError, ValueError, OSError):  # not every system has, or lets one lower, each
                resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))
    leave, allowed = os._exit, _ALLOWED_EVENTS

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and arguments[0] == "<template>":  # Python looks for the line that it has a syntax error to tell of
            raise OSError
        if event not in allowed:
            leave(FORBIDDEN)

    sys.addaudithook(audit)


def _alarm(seconds: int) -> None:
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)  # SIGALRM ends the process, even inside C code


def _failure(error: Exception) -> dict[str, Any]:
    """What the parent is told: {"failure": kind, "words": of the error, "line": in the template or None}."""
    kind, words = "failed", f"{type(error).__name__}: {error}"[:500]
    line = _line_of(error.__traceback__)
    if isinstance(error, TemplateSyntaxError):
        kind, words, line = "syntax", str(error.message)[:500], error.lineno
    elif isinstance(error, Refusal):
        kind, words = "refused", str(error)[:500]
    elif isinstance(error, MemoryError):
        kind = "memory"
    elif isinstance(error, _TooLong):
        kind = "length"
    elif isinstance(error, RecursionError):
        words = "it nests too deeply"
    elif isinstance(error, TemplateError):
        words = str(error)[:500]
    words = words.replace("'Traced' object", "'str' object")  # the name that a template's author knows
    return {"failure": kind, "words": words, "line": line}


def _line_of(trace: TracebackType | None) -> int | None:
    """The deepest line of the template on a traceback."""
    found = None
    while trace is not None:
        environment = trace.tb_frame.f_globals.get("environment")
        if isinstance(environment, SandboxEnvironment) and trace.tb_frame.f_code.co_filename == "<template>":
            found = environment.line_of(trace.tb_lineno) or found
        trace = trace.tb_next
    return found


# ── the environment ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _MarkingGenerator(CodeGenerator):
    """Compiles a template so that its own text is marked as such, and `~` keeps marks."""

    def visit_Const(self, node: nodes.Const, frame: Frame) -> None:
        value = node.as_const(frame.eval_ctx)
        if isinstance(value, str):
            self.write(f"environment.literal({str.__repr__(value)})")
        else:
            super().visit_Const(node, frame)

    def visit_TemplateData(self, node: nodes.TemplateData, frame: Frame) -> None:
        if frame.eval_ctx.volatile or frame.eval_ctx.autoescape:
            super().visit_TemplateData(node, frame)
        else:
            self.write(f"environment.literal({node.data!r})")

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        if frame.eval_ctx.volatile or frame.eval_ctx.autoescape:
            super().visit_Concat(node, frame)
            return
        self.write("environment.concat(map(str, (")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write(")))")

    def _output_const_repr(self, group: Iterable[Any]) -> str:
        return f"environment.literal({''.join(map(str, group))!r})"


class _Generation(Extension):
    """`{% generation %}…{% endgeneration %}`, which marks replies for training: a scope of its own and nothing else."""

    tags = {"generation"}  # noqa: RUF012  as jinja2 declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("body_of"), [], [], body).set_lineno(line)

    def body_of(self, caller: Macro) -> str:
        text: str = caller()
        return text


class SandboxEnvironment(ImmutableSandboxedEnvironment):
    """transformers' environment for chat templates, with marked literals and a given clock."""

    code_generator_class = _MarkingGenerator
    concat = staticmethod(glue)
    literal = staticmethod(literal)

    def __init__(self, now: datetime) -> None:
        # Without the optimizer: it would compute with literals before they are marked.
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols], optimized=False)
        for name, function in self.filters.items():
            self.filters[name] = _smearing(function)
        self.filters["join"] = _joining(self.filters["join"])
        self.filters["tojson"] = _smearing(_to_json)
        del self.globals["lipsum"]
        self.globals |= {
            "raise_exception": _raise_exception,
            "strftime_now": lambda form: smear(now.strftime(form), form),
            "dict": _Dict(),
            "namespace": _Namespace,
            "joiner": lambda sep="": Joiner(sep or literal(", ")),
        }
        self.template: Template | None = None

    def line_of(self, python_line: int) -> int | None:
        return None if self.template is None else self.template.get_corresponding_lineno(python_line)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        formatted = super().wrap_str_format(value)
        if formatted is None or isinstance(value.__self__, Markup):
            return formatted

        def traced_format(*args: Any, **fields: Any) -> str:
            text = str.__str__(formatted(*args, **fields))
            if value.__name__ == "format_map":
                return braced(text, value.__self__, (), *args)
            return braced(text, value.__self__, args, fields)

        return traced_format


def _smearing(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose text, if it comes out without marks, gets them from the filter's own arguments."""
    first = 1 if hasattr(function, "jinja_pass_arg") else 0  # the environment or the context comes before the value

    @wraps(function)
    def smearing(*args: Any, **options: Any) -> Any:
        result = function(*args, **options)
        if type(result) is not str:
            return result
        texts = [value for value in (*args[first + 1 :], *options.values()) if isinstance(value, (str, list, tuple, Mapping))]
        return smear(result, *args[first : first + 1], *texts)

    return smearing


def _joining(join: Callable[..., Any]) -> Callable[..., Any]:
    """jinja's join, whose default separator is the template's."""

    @wraps(join)
    def joining(context: Any, value: Any, d: str = "", attribute: str | int | None = None) -> Any:
        return join(context, value, d or literal(""), attribute)

    return joining


def _to_json(
    x: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: object) -> None:
    raise Refusal(str.__str__(str(message)))


class _Dict:
    """`dict` for templates, which shall not get hold of the type."""

    def __call__(self, *args: Any, **fields: Any) -> dict[Any, Any]:
        return dict(*args, **fields)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _Namespace(Namespace):
    """`namespace` for templates: no attributes with a leading underscore."""

    def __init__(self, /, *args: Any, **fields: Any) -> None:
        values = dict(*args, **fields)
        for name in values:
            _check_name(name)
        Namespace.__init__(self, values)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace takes no attribute with a leading underscore: {name}")


# ── a template ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def compile_template(source: str, now: datetime) -> Template:
    """The template, ready to be rendered. Raises `TemplateSyntaxError`."""
    environment = SandboxEnvironment(now)
    try:
        environment.template = environment.from_string(source)
    except SyntaxError as error:  # of the Python that jinja made of it: {% break %} outside a loop
        raise TemplateSyntaxError(error.msg, 1) from None
    return environment.template


def render(template: Template, request: Mapping[str, Any]) -> Traced:
    """The conversation of `request` as text with provenance. Raises whatever the template raises."""
    messages = [_message(index, fields) for index, fields in enumerate(request["messages"])]
    variables = {
        **{name: literal(text) for name, text in request["tokens"].items()},
        **{name: _marked(value, DATA) for name, value in request["options"].items()},
        "messages": messages,
        "tools": _marked(request["tools"], DATA),
        "documents": None,
        "add_generation_prompt": request["add_generation_prompt"],
    }
    parts, room = [], request["limit"]
    for part in template.root_render_func(template.new_context(variables)):
        room -= len(part)
        if room < 0:
            raise _TooLong
        parts.append(part)
    return glue(parts)


def _message(index: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """All that a message says is content, except its role: one of the four words of `modeling.messages`."""
    return {name: literal(value) if name == "role" else _marked(value, index) for name, value in fields.items()}


def _marked(value: Any, source: int) -> Any:
    """JSON data with every text in it, keys too, marked as content of `source`."""
    if isinstance(value, str):
        return content(value, source)
    if isinstance(value, dict):
        return {content(key, source): _marked(entry, source) for key, entry in value.items()}
    return [_marked(entry, source) for entry in value] if isinstance(value, list) else value
