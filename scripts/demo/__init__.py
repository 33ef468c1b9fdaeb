"""The two embedded demo models: what they are taught, how they are trained, and how well they answer.

    corpus/      conversations in our own words, drawn from a seed
    vocabulary   a byte-level BPE tokenizer trained on them
    shapes       the two configs, quirks included; initial: weights before training
    rows         conversations → rows of ids, with a weight for each
    training     the loop; twins: the house's scans and attention, arranged for training on a GPU
    folder       the files of a checkpoint
    evaluate     the held-out questions; card: the figures, for falcon_cli/demo/CARD.md

`python -m scripts.demo --help` is the entry.
"""
