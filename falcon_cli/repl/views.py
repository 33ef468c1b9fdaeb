"""What /show and /stats show."""

from __future__ import annotations

from collections.abc import Callable

from falcon_cli import console
from falcon_cli.demo import name_of
from falcon_cli.repl.chat import SETTABLE, Chat
from falcon_cli.settings import nearest
from modeling.errors import InvalidRequest


def show(chat: Chat, what: str) -> None:
    view = VIEWS.get(what or "info")
    if view is None:
        raise InvalidRequest(f"there is no {what!r} to show{nearest(what, VIEWS)}", f"/show {' | '.join(VIEWS)}")
    console.note(view(chat))


def stats(chat: Chat, switch: str) -> None:
    if switch not in ("", "on", "off"):
        raise InvalidRequest(f"/stats takes on or off, not {switch!r}")
    if switch:
        chat.manner.stats = switch == "on"
    else:
        console.note(chat.figures())


def info(chat: Chat) -> str:
    """The model, in a line."""
    model = chat.opened.info
    return (
        f"{name_of(model.name)}: {model.family}, {model.parameters / 1e6:.1f} M parameters, {model.dtype} on {model.device}, "
        f"{model.kernels} kernels"
    )


def parameters(chat: Chat) -> str:
    return "\n".join(f"{name} {_shown(getattr(chat.sampling, name))}" for name in SETTABLE)


def system(chat: Chat) -> str:
    return chat.session.system if chat.session.system is not None else "no system prompt"


def template(chat: Chat) -> str:
    return chat.session.template


def state(chat: Chat) -> str:
    """How much the model remembers, in how many bytes, and what is kept for going back."""
    state, model, shelf = chat.session.state, chat.opened.info, chat.session.snapshots
    tokens = state.length if state is not None else 0
    limit = "any number of tokens" if model.max_positions is None else f"at most {model.max_positions} tokens"
    growing = "" if not model.token_bytes else f" and {tokens * model.token_bytes / 2**20:.1f} MiB of keys and values"
    return (
        f"{tokens} tokens in a state of {model.state_bytes / 2**20:.1f} MiB{growing}, in {model.layers} layers; {limit}\n"
        f"{_count(len(shelf))} for going back, {shelf.nbytes / 2**20:.1f} of at most {shelf.budget / 2**20:.0f} MiB"
    )


def _count(snapshots: int) -> str:
    return f"{snapshots} snapshot{'s' if snapshots != 1 else ''}"


def _shown(value: object) -> str:
    return "-1 (until the model ends)" if value is None else str(value)


VIEWS: dict[str, Callable[[Chat], str]] = {
    "info": info,
    "parameters": parameters,
    "system": system,
    "template": template,
    "state": state,
}
