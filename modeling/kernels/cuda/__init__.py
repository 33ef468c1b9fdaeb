"""Kernels in CUDA C++ that are compiled when they are first needed, by the compiler that torch brings along (NVRTC).

Only what Triton cannot express lives here; every one of these kernels has a twin in `kernels.triton` that does the same where
this cannot be had.
"""
