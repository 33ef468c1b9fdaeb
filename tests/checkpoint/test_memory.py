from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from modeling.checkpoint.memory import Need, estimate, free_host, parse_size, require, show
from modeling.errors import InvalidRequest, MemoryExceeded

GIB = 2**30


def test_sizes_are_read_as_written() -> None:
    sizes = {
        "10GiB": 10 * GIB,
        "200MB": 200_000_000,
        "1.5 GiB": 3 * GIB // 2,
        "7": 7,
        "2kb": 2000,
        "1TiB": 2**40,
        "0": 0,
        "5b": 5,
    }
    for text, size in sizes.items():
        assert parse_size(text) == size
    for text in ("", "GiB", "-1GiB", "10 apples", "1e9", "10G", "nan", "1.GiB", "½GiB", "٣GB"):
        with pytest.raises(InvalidRequest, match="no size") as caught:
            parse_size(text)
        assert "10GiB" in caught.value.hint


def test_sizes_are_shown_as_a_person_reads_them() -> None:
    shown = [show(size) for size in (0, 999, 1536, 200 * 2**20, 14_545_000_000, 3 * 2**40)]
    assert shown == ["0 B", "999 B", "1.5 KiB", "200 MiB", "13.5 GiB", "3.0 TiB"]


def test_the_estimate_of_the_7b_is_its_weights_and_little_else() -> None:
    need = estimate(7_272_665_088 * 2, widest=16384, vocabulary=65024, tokens=512, state=36 * 2**20)
    assert need.weights == 2 * 7_272_665_088
    assert need.total - need.weights < 0.03 * need.weights


def test_what_fits_is_let_through_and_what_does_not_is_refused_with_choices() -> None:
    need = Need(weights=4 * GIB, state=GIB, work=GIB)
    require(need, 6 * GIB, "cuda:0", "float32")
    with pytest.raises(MemoryExceeded) as caught:
        require(need, 6 * GIB - 1, "cuda:0", "float32", plain=True)
    for word in ("6.0 GiB", "4.0 GiB weights", "1.0 GiB state", "cuda:0", "free"):
        assert word in str(caught.value)
    for choice in ("--dtype bfloat16", "--quantize nf4", "--device-map auto", "a smaller model"):
        assert choice in caught.value.hint
    with pytest.raises(MemoryExceeded) as caught:
        require(need, 3 * GIB, "cuda:0", "float32", plain=True)  # bfloat16 would not fit either
    assert "--dtype" not in caught.value.hint and "--quantize" not in caught.value.hint
    with pytest.raises(MemoryExceeded) as caught:
        require(need, 5 * GIB, "cuda:0", "bfloat16")
    assert not any(choice in caught.value.hint for choice in ("--dtype", "--quantize", "--batch-size"))
    with pytest.raises(MemoryExceeded) as caught:
        require(Need(weights=GIB, state=8 * GIB), 5 * GIB, "cuda:0", "bfloat16")
    assert "fewer sequences at once (a smaller --batch-size)" in caught.value.hint


def machine(root: Path, membership: str, files: dict[str, str]) -> Path:
    for name, content in {"proc/self/cgroup": membership, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        "0::/\n",
        {
            "sys/fs/cgroup/memory.max": "300000000\n",
            "sys/fs/cgroup/memory.current": "250000000\n",
            "sys/fs/cgroup/memory.stat": "anon 150000000\ninactive_file 60000000\nactive_file 40000000\nfile 130000000\n",
        },
    )
    assert free_host(root) == 300_000_000 - 250_000_000 + 100_000_000  # pages of files are given back when needed


def test_the_tightest_of_nested_groups_counts(tmp_path: Path) -> None:
    slices = {"": "max", "user.slice": "200000000", "user.slice/app.scope": "400000000"}
    files = {f"sys/fs/cgroup/{name}/memory.max": limit for name, limit in slices.items()}
    files |= {f"sys/fs/cgroup/{name}/memory.current": "50000000" for name in slices}
    assert free_host(machine(tmp_path, "0::/user.slice/app.scope\n", files)) == 150_000_000


def test_version_1_groups_count_and_a_path_of_the_host_leads_to_the_mounts_root(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        "5:cpu:/x\n4:memory:/docker/0123\n0::/\n",
        {
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "100000000\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "30000000\n",
            "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 5000000\n",
        },
    )
    assert free_host(root) == 75_000_000


def test_a_group_that_is_over_its_limit_has_nothing_left(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/memory.max": "1000", "sys/fs/cgroup/memory.current": "2000"}
    assert free_host(machine(tmp_path, "0::/\n", files)) == 0


@pytest.mark.parametrize("limit", ["max", "9223372036854771712", "rubbish"])
def test_without_a_limit_the_machine_counts(tmp_path: Path, limit: str) -> None:
    files = {"sys/fs/cgroup/memory.max": limit, "sys/fs/cgroup/memory.current": "1"}
    for root in (machine(tmp_path, "0::/\n", files), tmp_path / "nothing"):
        assert free_host(root) == pytest.approx(psutil.virtual_memory().available, rel=0.2)
