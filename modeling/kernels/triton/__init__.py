"""The fast twins, in Triton: one family of kernels a file. Imported on first use, on a device that runs them.

Each is an opinion about speed; the law is `modeling.kernels.reference` (prefill) and `model.step()` (decode). Addresses are
worked out in int64 wherever a tensor may pass 2³¹ elements, and nothing is tuned at run time: block sizes stand in the code.
"""
