"""config.json of each published shape, so that `falcon bench --random-weights` can measure it without its weights.

    python benchmarks/gpu/shapes.py FOLDER
    falcon bench FOLDER/falcon-mamba-7b FOLDER/falcon-h1-7b --random-weights -p 512,2048 -n 128 -d 0,2048

Sizes are those of the published models; the multipliers of Falcon-H1 follow its rule of scale, and cost what the published ones
cost.
"""

from __future__ import annotations

import json
import sys
from math import sqrt
from pathlib import Path
from typing import Any


def mamba(d: int, layers: int, e: int, rank: int, tied: bool = False) -> dict[str, Any]:
    return {
        "model_type": "falcon_mamba", "vocab_size": 65024, "hidden_size": d, "num_hidden_layers": layers,
        "intermediate_size": e, "state_size": 16, "conv_kernel": 4, "time_step_rank": rank, "tie_word_embeddings": tied,
    }  # fmt: skip


def h1(
    d: int, mlp: int, layers: int, heads: tuple[int, int, int], mamba: tuple[int, int, int, int], v: int, positions: int,
    norm: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """`heads`: of queries, of keys, their width. `mamba`: heads, their width, states, groups."""
    (queries, keys, p), (mamba_heads, mamba_p, n, groups) = heads, mamba
    e = mamba_heads * mamba_p
    return {
        "model_type": "falcon_h1", "vocab_size": v, "hidden_size": d, "intermediate_size": mlp, "num_hidden_layers": layers,
        "num_attention_heads": queries, "num_key_value_heads": keys, "head_dim": p, "mamba_d_ssm": e,
        "mamba_n_heads": mamba_heads, "mamba_d_head": mamba_p, "mamba_d_state": n, "mamba_n_groups": groups,
        "mamba_d_conv": 4, "mamba_rms_norm": norm, "mamba_norm_before_gate": False, "max_position_embeddings": positions,
        "rope_theta": 1e11, "tie_word_embeddings": False, "embedding_multiplier": 4 * sqrt(2), "lm_head_multiplier": 40 / d,
        "key_multiplier": 3276800 / (d**2 * sqrt(p)), "attention_out_multiplier": 491520 / (d * queries * p),
        "ssm_in_multiplier": 1280 / d, "ssm_out_multiplier": 256 * sqrt(2) / e,
        "mlp_multipliers": [640 * sqrt(2) / d, 1228800 / (d * mlp)],
        "ssm_multipliers": [sqrt(2) / 4, 0.25, 32 * sqrt(2) / n, 0.5, sqrt(2) / 4],
    }  # fmt: skip


SHAPES: dict[str, dict[str, Any]] = {
    "falcon-mamba-7b": mamba(4096, 64, 8192, 256),
    "falcon-mamba-0.4b": mamba(1024, 48, 2048, 64, tied=True),  # the 7B's layers at a CPU's size: there is no such release
    "falcon-h1-0.5b": h1(1024, 2048, 36, (8, 2, 64), (24, 64, 128, 1), 32784, 16384, norm=False),
    "falcon-h1-1.5b": h1(2048, 4608, 24, (8, 2, 128), (48, 64, 256, 1), 65537, 131072),
    "falcon-h1-1.5b-deep": h1(1280, 3072, 66, (6, 2, 128), (24, 64, 256, 1), 65537, 131072),
    "falcon-h1-3b": h1(2560, 6144, 32, (10, 2, 128), (32, 128, 256, 1), 65537, 131072),
    "falcon-h1-7b": h1(3072, 12288, 44, (12, 2, 128), (24, 128, 256, 1), 130049, 262144),
    "falcon-h1-34b": h1(5120, 21504, 72, (20, 4, 128), (32, 128, 256, 2), 261120, 262144),
}


def write(folder: Path) -> None:
    """A folder for each shape, with nothing but its config.json."""
    for name, fields in SHAPES.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "config.json").write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
