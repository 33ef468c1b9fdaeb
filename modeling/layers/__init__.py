"""The rooms of a block: readable, unfused, each receiving its weights from the checkpoint and its state from the caller."""
