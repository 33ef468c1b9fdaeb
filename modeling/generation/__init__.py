"""From prompt ids to an answer: one loop for one sequence or hundreds, chat or batch, both families.

engine          requests join, decode together and leave; the caller pulls events
├── answer      one request's progress: budget, text, stop ids, statistics
│   └── stopping    stop strings across token boundaries
├── runner      a model and the memory of its slots: prefill in chunks, decode in step
└── sampling    parameters by slot, and what a batch of rows needs
    ├── filters     logits → penalties → temperature → top-k, top-p, min-p, typical-p → one token
    ├── history     token counts in a window, for the penalties
    └── randomness  one uniform number from (seed, sample index, position)
defaults        what the checkpoint's generation_config.json recommends
"""
