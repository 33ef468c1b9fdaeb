"""Engines under the clock.

    cases       prompts, decoding, depths and batches; `reference` is transformers with the same weights, in turn with us
    loan        4-bit weights of ours in its layers, which are those of bitsandbytes
    turns       the wait for the first token of each turn of a chat
    states      what it takes to put a state aside and bring it back
    track       timed prefill and decode through the engine's own path: runner, engine, sampler, detokenizing
    subject     what is measured, and what is told of it
    ceiling     what the machine does at best

Prompts are random ids, the end of a sequence is ignored, each shape is warmed up first. The clock is read on the host after the
device has done its work: a token has arrived, or the device was waited for.
"""
