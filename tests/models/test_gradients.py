"""Without a state a model is a function like any other: it can be trained, before and after it has answered."""

from __future__ import annotations

import copy
import gc
import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modeling.layers.state_space import StateSpace
from modeling.models import LanguageModel


def pair(cases: Any, case: Any) -> tuple[LanguageModel, Any]:
    """Copies of the case's two models: those of the table are everybody's."""
    return copy.deepcopy(cases.model(case)), copy.deepcopy(cases.reference(case))


def gradients(model: nn.Module, logits: Tensor, ids: Tensor) -> dict[str, Tensor]:
    """Of the mean cost of each next token, with respect to every parameter."""
    F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(gradient is not None for gradient in found.values()), [name for name in found if found[name] is None]
    return {name: gradient.clone() for name, gradient in found.items() if gradient is not None}


def tokens(length: int = 37) -> Tensor:
    return torch.randint(97, (2, length), generator=torch.Generator().manual_seed(5))


def answer(model: LanguageModel, ids: Tensor) -> Tensor:
    """As the generation room does it."""
    with torch.inference_mode():
        state = model.make_state(1, tokens=64)
        model.prefill(ids[:-1], state, 0)
        return model.step(ids[-1:], state)[0]


def test_every_gradient(sample: Any, cases: Any) -> None:
    ours, theirs = (model.requires_grad_(True) for model in pair(cases, sample))
    ids = tokens()
    expected = gradients(theirs, theirs(ids, use_cache=False).logits, ids)
    got = gradients(ours, ours(ids), ids)
    assert got.keys() == expected.keys()
    for name, gradient in got.items():
        assert gradient.isfinite().all(), name
        assert (gradient - expected[name]).abs().max() <= 1e-4 * expected[name].abs().max(), name


def test_training_after_answering(quirky: Any, cases: Any) -> None:
    """What is kept for fast answers is neither an inference tensor in the graph nor a constant where a weight should be."""
    ours, _ = pair(cases, quirky)
    ids = tokens()
    answer(ours, ids[0])
    ours.requires_grad_(True)
    got = gradients(ours, ours(ids), ids)
    fresh, _ = pair(cases, quirky)
    expected = gradients(fresh.requires_grad_(True), fresh(ids), ids)
    assert all(torch.equal(got[name], expected[name]) for name in expected)


def test_answers_follow_trained_weights(quirky: Any, cases: Any) -> None:
    """Decay rates are worked out again when A_log changed: by an optimizer, in place, or by another tensor in its place."""
    ours, theirs = pair(cases, quirky)
    ids = tokens()
    answer(ours, ids[0])

    ours.requires_grad_(True)
    gradients(ours, ours(ids), ids)
    torch.optim.SGD(ours.parameters(), lr=1.0).step()
    ours.requires_grad_(False)
    _same_answer(ours, theirs, ids)

    for mixer in (module for module in ours.modules() if isinstance(module, StateSpace)):
        mixer.A_log.add_(1.0)
    _same_answer(ours, theirs, ids)

    for mixer in (module for module in ours.modules() if isinstance(module, StateSpace)):
        mixer.A_log = nn.Parameter(mixer.A_log.flip(0).clone(), requires_grad=False)
    _same_answer(ours, theirs, ids)

    ours.load_state_dict({name: 0.9 * value for name, value in ours.state_dict().items()})
    _same_answer(ours, theirs, ids)


def _same_answer(ours: LanguageModel, theirs: Any, ids: Tensor) -> None:
    before = theirs(ids[:1], use_cache=False).logits[0, -1]
    theirs.load_state_dict(ours.state_dict())
    expected = theirs(ids[:1], use_cache=False).logits[0, -1]
    assert (expected - before).abs().max() > 1e-4 * expected.abs().max()  # the change shows
    assert (answer(ours, ids[0]) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_weights_made_in_inference_mode(quirky: Any, cases: Any) -> None:
    """Such tensors do not count their changes, and still every answer is that of the weights as they are."""
    with torch.inference_mode():
        ours, theirs = pair(cases, quirky)
        assert ours.lm_head.weight.is_inference()
        ids = tokens()
        answer(ours, ids[0])
        for mixer in (module for module in ours.modules() if isinstance(module, StateSpace)):
            mixer.A_log.add_(1.0)
        _same_answer(ours, theirs, ids)


def test_visiting_weights_can_leave(quirky: Any, cases: Any) -> None:
    """A block's weights arrive in one piece of memory; what is kept of A_log must not hold on to all of it."""
    ours, _ = pair(cases, quirky)
    mixer = next(module for module in ours.modules() if isinstance(module, StateSpace))
    stays = mixer.A_log
    flat = torch.zeros(10_000)
    visitor = nn.Parameter(flat[: stays.numel()].view(stays.shape), requires_grad=False)
    alive = weakref.ref(visitor)
    mixer.A_log = visitor
    assert torch.equal(mixer.A, -torch.ones(stays.shape))
    mixer.A_log = stays
    del visitor
    gc.collect()
    assert alive() is None


def test_answers_follow_conversions(quirky: Any, cases: Any) -> None:
    """`Module.to` puts other numbers under the same parameters without counting it as a change."""
    (model, _), (fresh, _) = pair(cases, quirky), pair(cases, quirky)
    ids = tokens()[0]
    answer(model, ids)
    assert torch.equal(answer(model.to(torch.bfloat16), ids), answer(fresh.to(torch.bfloat16), ids))
