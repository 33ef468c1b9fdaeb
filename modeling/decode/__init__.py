"""A decode step as one program of few kernels, on fixed addresses, so that a CUDA graph can hold it.

Its law is `model.step()`: the same state before, the same state and logits after, up to rounding.
"""
