"""Checkpoints: from a name to a model in memory. Nothing in them is trusted, and nothing in them is run.

    files       a name → a folder on this disk, complete (hub: downloads, catalogue: the names people mean)
    shards      a folder → its tensors by name, every byte accounted for (header: one safetensors file)
    names       tensors ↔ parameters: each filled exactly once, or an error that says which
    memory      what a load needs, what a device has
    placement   accelerate's plan: which block lives where (offload: blocks whose weights visit for a forward pass)
    statefile   a conversation's state ↔ a file (identity: whose it is)
    load        meta model → plan → tensors streamed to their device (reader: from file bytes to a tensor)

Only `placement`, `offload`, `reader`, `statefile` and `load` import torch.
"""
