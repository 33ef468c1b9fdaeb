"""Passes of a model as programs on fixed addresses, so that a CUDA graph can hold them.

A decode step is a program of few kernels; its law is `model.step()`: the same state before, the same state and logits after, up
to rounding. A short prompt is a pass of the model itself over padded rows (`prompts`); its law is `model.prefill()`.
"""
