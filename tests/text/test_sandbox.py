"""What a hostile template can do: nothing. Sixty-odd attacks, each of which must end soon, small, and in one clean error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from modeling.errors import BadModelFile, InvalidRequest
from modeling.text import renderer, sandbox
from modeling.text.renderer import HINT, OUTPUT_CHARACTERS, SOURCE_CHARACTERS, Renderer, printable

NOW = datetime(2026, 3, 1, 12, 30).isoformat()
TIME, MEMORY, LENGTH, RIGHTS = "runs for too long", "too much memory", "writes far more", "reaches for files"


def conversation(*texts: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": text} for text in texts or ("Hello",)]
    return {"messages": messages, "tools": None, "tokens": {}, "options": {}, "add_generation_prompt": True}


ATTRIBUTES = {
    "class": "{{ ''.__class__.__mro__ }}",
    "class of content": "{{ messages[0].content.__class__.__mro__ }}",
    "class of list": "{{ messages.__class__.__base__.__subclasses__() }}",
    "class by item": "{{ ''['__class__']['__mro__'] }}",
    "class by attr filter": "{{ (''|attr('__class__')).mro() }}",
    "class by joined name": "{{ ''|attr(['__cl', 'ass__']|join)|attr('mro') }}",
    "class by escaped name": "{{ ''['\\x5f\\x5fclass\\x5f\\x5f'].mro() }}",
    "class by map": "{{ ['']|map(attribute='__class__')|map('string')|first|length + x.y }}",
    "notes of a string": "{{ messages[0].content._runs[0] }}",
    "notes changed": "{% set messages[0].content._runs = () %}",
    "globals of cycler": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "globals of joiner": "{{ joiner.__globals__['sys'].modules['os'].system('id') }}",
    "globals of namespace": "{{ namespace.__init__.__globals__['__builtins__'].open('/etc/passwd').read() }}",
    "globals of a method": "{{ messages[0].content.strip.__globals__.os }}",
    "function of a method": "{{ messages[0].content.split.__func__.__code__ }}",
    "globals of strftime_now": "{{ strftime_now.__closure__[0].cell_contents }}",
    "globals of raise_exception": "{{ raise_exception.__globals__.os }}",
    "code of a macro": "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "frame of a generator": "{{ (messages|map('string')).gi_frame.f_globals.values() }}",
    "the environment": "{{ self._TemplateReference__context.environment.globals }}",
    "the context": "{{ self.__init__.__globals__ }}",
    "loop's depths": "{% for m in messages %}{{ loop.__class__.__init__.__globals__ }}{% endfor %}",
    "undefined's depths": "{{ nothing.__class__.__init__.__globals__ }}",
    "undefined's depths by item": "{{ nothing['__init__']['__globals__'] }}",
    "dict's depths": "{{ dict.__class__.__call__.__globals__ }}",
    "dict as type": "{{ dict.mro() }}",
    "namespace's private name": "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "namespace's class": "{% set ns = namespace(__class__=dict) %}",
    "namespace from pairs": "{% set ns = namespace([('__init__', 1)]) %}",
    "messages changed": "{{ messages.append(messages[0]) }}",
    "message changed": "{{ messages[0].update({'role': 'system'}) }}",
    "message emptied": "{{ messages[0].clear() }}",
    "lipsum": "{{ lipsum.__globals__ }}",
    "groupby attribute": "{{ messages|groupby('content.__class__.__mro__') }}",
    "sort attribute": "{{ messages|sort(attribute='content.__class__.__name__') }}",
    "sum attribute": "{{ messages|sum(attribute='content.__class__', start='') }}",
}
FORMATS = {
    "format class": "{{ '{0.__class__.__mro__}'.format('') }}",
    "format class by item": "{{ '{0[__class__][__mro__]}'.format(messages[0].content) }}",
    "format field": "{{ '{m.__init__.__globals__}'.format(m=cycler) }}",
    "format map": "{{ '{m.__class__.__mro__}'.format_map({'m': 1}) }}",
    "format by attr": "{{ ('{0.__class__.__mro__}'|attr('format'))('') }}",
    "format of content": "{{ (messages[0].content ~ '{0.__class__.__mro__}').format(1) }}",
    "format of markup": "{{ ('{0.__class__.__mro__}'|safe).format(1) }}",
    "format kept for later": "{% set f = '{0.__class__.__mro__}'.format %}{{ f(1) }}",
    "percent by name": "{{ '%(a)s' % messages[0].content }}",
}
FILES = {
    "include": "{% include '/etc/passwd' %}",
    "include missing, ignored, then import": "{% include ['a', 'b'] ignore missing %}{% import 'os' as os %}",
    "import": "{% import 'os' as os %}{{ os.system('id') }}",
    "from import": "{% from 'os' import system %}",
    "extends": "{% extends '/etc/passwd' %}",
    "python's import": "{{ __import__('os').system('id') }}",
    "a codec's module": "{{ 'a'.encode('idna') }}",
    "do": "{% do messages.clear() %}",
    "debug": "{% debug %}",
}
BOMBS = {
    "huge string": ("{{ 'a' * 10**10 }}", MEMORY),
    "huge string at run time": ("{% set n = 10 ** 10 %}{{ messages[0].content * n }}", MEMORY),
    "huge list": ("{% set x = [1] * 10**9 %}", MEMORY),
    "huge tuple by repetition": ("{% set x = (messages * 10**9) %}", MEMORY),
    "doubling string": (
        "{% set ns = namespace(a='aaaaaaaa') %}{% for i in range(60) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}",
        MEMORY,
    ),
    "doubling list": (
        "{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = ns.a + ns.a %}{% endfor %}",
        MEMORY,
    ),
    "width of format": ("{{ '{:10000000000}'.format(1) }}", ""),
    "width of percent": ("{{ '%10000000000d' % 1 }}", ""),
    "width of center": ("{{ messages[0].content|center(10**10) }}", MEMORY),
    "width of ljust": ("{{ 'a'.ljust(10**10) }}", MEMORY),
    "width of zfill": ("{{ 'a'.zfill(10**10) }}", MEMORY),
    "replace": ("{{ ('a' * 10**6)|replace('a', 'b' * 10**6) }}", MEMORY),
    "join": ("{{ ('a' * 10**5).join(range(99999)|map('string')) }}", ""),
    "indent": ("{{ ('a\\n' * 10**5)|indent(10**6) }}", ""),
    "expandtabs": ("{{ ('\\t' * 10**5).expandtabs(10**6) }}", MEMORY),
    "tojson indent": ("{{ range(99999)|list|tojson(indent=10**6) }}", MEMORY),
    "batch": ("{{ messages|batch(10**10, 'a')|list }}", MEMORY),
    "slice": ("{{ messages|slice(10**10)|list }}", ""),
    "long output": ("{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}", LENGTH),
    "range": ("{{ range(10**9)|list }}", "too big"),
    "power": ("{{ 9999 ** 9999 ** 9999 }}", TIME),
    "digits": ("{{ 10 ** 4500 }}", "digits"),
    "nested loops": ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", TIME),
    "sums in loops": ("{% for i in range(99999) %}{{ range(99999)|sum * 0 }}{% endfor %}", TIME),
    "sorting in loops": ("{% for i in range(99999) %}{% if range(99999)|sort(reverse=true) %}{% endif %}{% endfor %}", TIME),
    "searching": ("{% for i in range(9999) %}{% if ('a' * 9999 ~ 'b') * 999 in 'a' * 10**7 %}{% endif %}{% endfor %}", TIME),
    "exponential macro": ("{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}", TIME),
    "wordwrap": ("{% for i in range(999) %}{{ (messages[0].content * 99999)|wordwrap(1)|length * 0 }}{% endfor %}", TIME),
    "urlize": ("{{ ('a@' * 10**6)|urlize }}", ""),
    "endless macro": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nests too deeply"),
    "recursive loop": ("{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}", "nests too deeply"),
    "endless call": (
        "{% macro f() %}{{ caller is defined }}{% call f() %}{% endcall %}{% endmacro %}{{ f() }}",
        "nests too deeply",
    ),
    "deep parentheses": ("{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}", ""),
    "deep lists": ("{{ " + "[" * 3_000 + "]" * 3_000 + " }}", ""),
    "deep blocks": ("{% if 1 %}" * 5_000 + "{% endif %}" * 5_000, ""),
    "deep minus": ("{{ " + "- " * 50_000 + "1 }}", ""),
    "long sum": ("{{ " + "1 + " * 50_000 + "x.y }}", ""),
    "long filter chain": ("{{ 1" + "|abs" * 50_000 + " }}", ""),
    "huge source": ("a" * (SOURCE_CHARACTERS + 1), "more than"),
}
ATTACKS = {**{name: (source, "") for name, source in {**ATTRIBUTES, **FORMATS, **FILES}.items()}, **BOMBS}

ALL_AT_ONCE = """
import json, resource, sys, time
from concurrent.futures import ThreadPoolExecutor
from modeling.errors import FalconError
from modeling.text import renderer, sandbox
from modeling.text.renderer import Renderer

def attack(source):
    began = time.monotonic()
    try:
        renderer = Renderer(source, request["now"])
        try:
            verdict = ["rendered", "".join(text for text, _ in renderer.render(request["conversation"]))[:200], ""]
        finally:
            renderer.close()
    except FalconError as error:
        verdict = [type(error).__name__, str(error), error.hint]
    return [*verdict, time.monotonic() - began]

request = json.load(sys.stdin)
with ThreadPoolExecutor(2) as pool:
    results = list(pool.map(attack, request["attacks"]))
print(json.dumps([results, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""


@pytest.fixture(scope="module")
def outcome() -> tuple[dict[str, list[Any]], int]:
    """Every attack's [error, words, hint, seconds], and the most KiB that any of their processes had."""
    request = {"attacks": [source for source, _ in ATTACKS.values()], "now": NOW, "conversation": conversation()}
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", ALL_AT_ONCE]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=True, env=environment)
    results, most = json.loads(done.stdout)
    return dict(zip(ATTACKS, results, strict=True)), most


@pytest.mark.promise
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_in_one_clean_error(name: str, outcome: tuple[dict[str, list[Any]], int]) -> None:
    kind, words, hint, seconds = outcome[0][name]
    assert kind == "BadModelFile", words
    assert ATTACKS[name][1] in words
    assert hint == HINT
    assert words.isprintable() and len(words) < 300
    assert seconds < 2


@pytest.mark.promise
def test_no_attack_gets_much_memory(outcome: tuple[dict[str, list[Any]], int]) -> None:
    assert len(outcome[0]) >= 60
    assert outcome[1] < 300 * 1024


# ── the walls behind the sandbox: what if somebody did get out of it ─────────────────────────────────────────────────────────


@pytest.mark.promise
@pytest.mark.parametrize(
    "deed",
    [
        "open('/etc/passwd')",
        "open('left_behind', 'w')",
        "__import__('socket')",
        "__import__('os').system('true')",
        "__import__('os').fork()",
        "__import__('os').listdir('/')",
        "__import__('os').kill(1, 0)",
        "__import__('os').execv('/bin/true', ['true'])",
        "__import__('sys').modules['os'].remove('left_behind')",
        "__import__('ctypes')",
        "__import__('resource').setrlimit(7, (99, 99))",
    ],
)
def test_the_process_itself_ends_at_the_first_forbidden_deed(deed: str) -> None:
    program = f"from modeling.text import sandbox; import resource; sandbox._lock_down()\ntry: {deed}\nfinally: print('free')"
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root)
    assert (done.returncode, done.stdout) == (sandbox.FORBIDDEN, "")
    assert renderer._FORBIDDEN == sandbox.FORBIDDEN


def test_the_process_knows_no_environment_and_starts_where_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hf_secret")
    renderer = Renderer("{{ messages[0].content }}", NOW)
    renderer.render(conversation())
    living = [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]
    (child,) = [p for p in living if any("modeling.text.sandbox" in word for word in p.cmdline())]
    assert "SECRET_TOKEN" not in child.environ()
    assert child.cwd() == "/"
    renderer.close()
    assert not child.is_running()


# ── faults of honest templates ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_syntax_error_names_its_line() -> None:
    with pytest.raises(BadModelFile, match=r"has a syntax error in line 3: .*end of print statement"):
        Renderer("{% if a %}\n{% endif %}\n{{ b c }}", NOW).render(conversation())


def test_an_error_while_rendering_names_its_line() -> None:
    template = "{% macro m(x) %}\n{{ x.a.b }}\n{% endmacro %}\n{{ m(messages) }}"
    with pytest.raises(BadModelFile, match="failed in line 2: 'list object' has no attribute 'a'"):
        Renderer(template, NOW).render(conversation())


def test_a_refusal_is_the_requests_fault_in_the_templates_words_made_printable() -> None:
    words = "'No \x1b[31mred\n\x9b roles' ~ 'x' * 999"
    template = "{% if messages[0].content == 'no' %}{{ raise_exception(" + words + ") }}{% endif %}ok"
    renderer = Renderer(template, NOW)
    assert renderer.render(conversation("yes")) == [("ok", -2)]
    with pytest.raises(InvalidRequest, match=r"refuses this conversation: No \[31mred roles?x") as caught:
        renderer.render(conversation("no"))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300
    assert renderer.render(conversation("yes")) == [("ok", -2)]


def test_a_renderer_works_again_after_every_kind_of_failure() -> None:
    bomb = "{% if messages|length > 1 %}{{ messages[0].content * 10**10 }}{% endif %}"
    renderer = Renderer(bomb + "{{ messages[0].content }}", NOW)
    for _ in range(2):
        with pytest.raises(BadModelFile, match="memory"):
            renderer.render(conversation("a", "b"))
        assert renderer.render(conversation("fine")) == [("fine", 0)]


def test_a_killed_process_is_one_error_and_then_replaced() -> None:
    renderer = Renderer("{{ messages[0].content }}", NOW)
    renderer.render(conversation())
    assert renderer._process is not None
    renderer._process._child.kill()
    with pytest.raises(BadModelFile, match="interpreter down"):
        renderer.render(conversation())
    assert renderer.render(conversation("again")) == [("again", 0)]


def test_an_interrupt_leaves_no_stale_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = Renderer("{{ messages[0].content }}", NOW)
    renderer.render(conversation())
    assert renderer._process is not None

    def interrupt(deadline: float) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(renderer._process, "answer", interrupt)
    with pytest.raises(KeyboardInterrupt):
        renderer.render(conversation("first"))
    assert renderer.render(conversation("second")) == [("second", 0)]


def test_nothing_is_left_running_when_a_renderer_goes() -> None:
    before = threading.active_count()
    renderer = Renderer("{{ messages[0].content }}", NOW)
    renderer.render(conversation())
    child = renderer._process._child if renderer._process else None
    assert child is not None and threading.active_count() == before + 1
    del renderer
    assert child.returncode is not None
    assert threading.active_count() == before


def test_a_long_conversation_is_no_attack() -> None:
    text = "Many words, für jeden. " * 50_000
    renderer = Renderer("{% for m in messages %}<s>{{ m.content|trim }}</s>{% endfor %}", NOW)
    began = time.monotonic()
    pieces = renderer.render(conversation(text, text))
    assert pieces == [("<s>", -2), (text.strip(), 0), ("</s><s>", -2), (text.strip(), 1), ("</s>", -2)]
    assert time.monotonic() - began < 2


def test_the_output_limit_grows_with_the_conversation() -> None:
    text = "a" * OUTPUT_CHARACTERS
    assert Renderer("{{ messages[0].content }}" * 2, NOW).render(conversation(text)) == [(text * 2, 0)]


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="JSON"):
        Renderer("x", NOW).render({**conversation(), "tools": [{"f": object()}]})


def test_words_of_others_become_one_short_printable_line() -> None:
    assert printable("a\x1b]0;title\x07\n\n b\u202e" + "c" * 999) == "a ]0;title b " + "c" * 187
