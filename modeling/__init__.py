"""`modeling`: FalconMamba and Falcon-H1 in plain PyTorch. The engine room of `falcon`; it knows nothing of terminals.

Map, from the door down (each floor imports only the floors below it):

    api                     the one door: open_model()
    checkup                 what this machine has and lacks, looked at by probes that cannot fail
    bench/                  engines under the clock, beside the machine's ceiling, the model's `roofline` and transformers
    quality/                how well a text is predicted: perplexity → baseline → divergence
    generation/             session → engine (the one loop) → steps (in lockstep, or ahead) → runner (prefill, decode), sampling
    decode/                 a step as one program of few kernels (programs → falcon_mamba, falcon_h1), for CUDA graphs (graph)
    models/                 falcon_mamba, falcon_h1: each reads like its paper
    layers/                 mamba1, mamba2, attention, mlp → linear, norm
    checkpoint/             files (find, download, validate), names, placement, load; quantize
    text/                   tokenizer: ids ↔ text; chat: messages → template text and contents, kept apart
    kernels/                table of operations → choice → reference (plain torch, the law) or its fast twins (triton/, cuda/)
    state                   what a model remembers, by slot; walk, padded: passes of other kinds; memory: the tensors
    config, messages, errors    words of the standard library (fields, documents: how JSON files are read)

Letters on shape comments, the same everywhere:

    b  batch rows (slots)     d  model width                 h  heads
    l  sequence length        e  inner width of a mixer      p  width of one head
    v  vocabulary             n  state size                  g  groups of heads that share B and C (Mamba-2), or K and V
    k  taps of the convolution                               r  rank of Δ (Mamba-1)

Nothing heavy is imported here: `import modeling` must stay free of torch.
"""
