"""The whole chain in seconds: corpus → tokenizer → training → files → a model that opens. What it says has no meaning."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from modeling.api import open_model
from modeling.messages import ModelSpec
from scripts.demo.evaluate import answers
from scripts.demo.folder import weights_of, write
from scripts.demo.initial import fresh_model
from scripts.demo.rows import ASSISTANT, IGNORED, USER, Maker, Order
from scripts.demo.shapes import BOS, IM_END, PAD, SMOKE
from scripts.demo.training import SMOKE_PLAN, Plan, train
from scripts.demo.vocabulary import make_tokenizer


@pytest.mark.parametrize("name", SMOKE)
def test_the_chain(name: str, tmp_path: Path) -> None:
    fields = SMOKE[name]
    tokenizer = make_tokenizer(1, 30, fields["vocab_size"])
    model = fresh_model(fields, 1)
    losses = train(
        model, Maker(tokenizer, fields["model_type"], 1), SMOKE_PLAN, torch.device("cpu"), steps=24, report=lambda _: None
    )
    assert sum(losses[-4:]) < 0.93 * sum(losses[:4])
    write(tmp_path, fields, weights_of(model), tokenizer)
    opened = open_model(ModelSpec(str(tmp_path), device="cpu"))
    assert len(list(answers(opened, ["hello", "who are you?"]))) == 2


def test_rows_are_what_the_chat_feeds() -> None:
    """The ids of a row are those that a session gives the model, and only answers and their ends count in full."""
    fields = SMOKE["demo"]
    tokenizer = make_tokenizer(1, 30, fields["vocab_size"])
    block = Maker(tokenizer, "falcon_mamba", 1).block(Order(0, 4, 128))
    assert (block.ids[:, 0] == BOS).all()
    for ids, kinds in zip(block.ids.tolist(), block.kinds.tolist(), strict=True):
        assert {kind for i, kind in zip(ids, kinds, strict=True) if i == PAD} <= {IGNORED}
        assert {ASSISTANT, USER} <= set(kinds)
        ends = [kind for i, kind in zip(ids, kinds, strict=True) if i == IM_END]
        assert ends.count(ASSISTANT) * 2 in (len(ends), len(ends) - 1)  # of each turn's two, and perhaps a system prompt
        text = tokenizer.decode([i for i in ids if i != PAD], skip_special_tokens=False)
        assert text.startswith("<|begin_of_text|><|im_start|>") and text.endswith("<|im_end|>\n")


def test_the_plan() -> None:
    plan = Plan()
    orders = list(plan.orders(1000, 1))
    assert orders == list(plan.orders(1000, 1))
    assert {order.rows * order.length for order in orders} == {plan.tokens}
    assert max(order.length for order in orders[:300]) < max(order.length for order in orders[-200:])
    rates = [plan.rate_at(i / 1000) for i in range(1, 1000)]
    assert max(rates) <= plan.rate and rates[-1] < rates[500] < rates[30]
