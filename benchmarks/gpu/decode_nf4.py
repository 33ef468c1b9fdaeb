"""Products with 4-bit weights on a GPU: right or wrong, block sizes side by side, and the whole step of both 7B models.

    python benchmarks/gpu/decode_nf4.py [seconds]

Random codes at the published shapes. Each product is timed in a CUDA graph over copies of the matrix, more than the L2 cache
holds; beside it the plain bf16 kernel, and bitsandbytes' kernel where that can be imported. × is the best of ours. Of a whole
step, all its 4-bit products are timed in one graph by our kernels and in another by bitsandbytes'; a prefill is that of packed
weights made plain once, beside that of plain ones.

With TRITON_INTERPRET=1 it checks what it can on a CPU, at small shapes, and measures nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from typing import Any

import torch
import triton
from torch import Tensor, nn

from modeling import kernels
from modeling.checkpoint.quantized import replace
from modeling.checkpoint.quantizer import layers_to_pack
from modeling.config import parse_config
from modeling.decode import falcon_h1, falcon_mamba
from modeling.decode.inputs import StepInputs
from modeling.kernels.cuda import packed4
from modeling.kernels.packed import Packed4, Packed8, Scales8
from modeling.kernels.triton import dequantize, nf4, packed, projection
from modeling.kernels.triton.int8 import Matrix8
from modeling.kernels.triton.nf4 import Matrix4
from modeling.kernels.triton.packed import PackedBlocks
from modeling.layers.linear import PackedLinear, tensors
from modeling.memory import PAGE
from modeling.models import build
from modeling.quantization import Form

START = time.perf_counter()
LIMIT = float(sys.argv[1]) if len(sys.argv) > 1 else 85.0
TINY = bool(triton.knobs.runtime.interpret)
DEVICE = torch.device("cpu" if TINY else "cuda")
NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
MAMBA_SHAPES = {"in": (16384, 4096), "out": (4096, 8192)}
H1_SHAPES = {"inputs": (10008, 3072), "gate_up": (24576, 3072), "down": (3072, 12288)}
MAMBA: dict[str, Any] = {
    "model_type": "falcon_mamba", "vocab_size": 65024, "hidden_size": 4096, "state_size": 16, "num_hidden_layers": 64,
    "intermediate_size": 8192, "expand": 2, "time_step_rank": 256, "conv_kernel": 4, "use_bias": False, "use_conv_bias":
    True, "tie_word_embeddings": False, "residual_in_fp32": True, "layer_norm_epsilon": 1e-5, "mixer_rms_eps": 1e-6,
    "bos_token_id": 0, "eos_token_id": None, "pad_token_id": 0,
}  # fmt: skip
H1: dict[str, Any] = {
    "model_type": "falcon_h1", "vocab_size": 130048, "hidden_size": 3072, "intermediate_size": 12288,
    "num_hidden_layers": 44, "num_attention_heads": 12, "num_key_value_heads": 2, "head_dim": 128, "mamba_d_ssm": 3072,
    "mamba_n_heads": 24, "mamba_d_head": 128, "mamba_n_groups": 1, "mamba_d_state": 256, "mamba_d_conv": 4,
    "mamba_norm_before_gate": False, "mamba_rms_norm": False, "max_position_embeddings": 4096,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e11}, "tie_word_embeddings": False, "bos_token_id": 1,
    "eos_token_id": None, "pad_token_id": 0,
}  # fmt: skip
EXACT = (256, 2048)
if TINY:
    LIMIT, EXACT = 1e9, (32, 256)
    MAMBA_SHAPES, H1_SHAPES = {"in": (128, 256), "out": (64, 512)}, {"down": (48, 384)}
    MAMBA |= {"vocab_size": 96, "hidden_size": 128, "intermediate_size": 256, "time_step_rank": 8}
    H1 |= {
        "vocab_size": 96, "hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 16, "mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 16,
    }  # fmt: skip


def left() -> float:
    return LIMIT - (time.perf_counter() - START)


def attempt(name: str, run: Callable[[], str], least: float = 0.0) -> None:
    """Print what `run` says, or the last line of what went wrong; nothing when less than `least` seconds are left."""
    if left() < least:
        return
    try:
        print(f"{name:30s} {run()}", flush=True)
    except Exception as error:
        print(f"{name:30s} FAILED {type(error).__name__} {(str(error).strip().splitlines() or [''])[-1][:150]}", flush=True)


def replay(run: Callable[[], None]) -> Callable[[], None]:
    run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def seconds(run: Callable[[], None], repeats: int = 7) -> float:
    """The median time of a call."""
    run()
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeats)]
    for before, after in events:
        before.record()
        run()
        after.record()
    torch.cuda.synchronize()
    return sorted(before.elapsed_time(after) for before, after in events)[repeats // 2] / 1e3


def random_packed(o: int, d: int, doubled: bool = True) -> Packed4:
    blocks = o * d // 64
    codes = torch.randint(0, 256, (o * d // 2,), dtype=torch.uint8, device=DEVICE)
    scales: Tensor | Scales8 = torch.rand(blocks, device=DEVICE) * d**-0.5
    if doubled:
        eight = torch.randint(0, 256, (blocks,), dtype=torch.uint8, device=DEVICE)
        values = torch.linspace(-1, 1, 256, device=DEVICE)
        absmax = torch.rand(-(-blocks // 256), device=DEVICE) * d**-0.5
        scales = Scales8(eight, values, absmax, torch.tensor(d**-0.5, device=DEVICE))
    return Packed4(codes, scales, torch.tensor(NF4, device=DEVICE), (o, d))


def read(weight: Packed4) -> Matrix4:
    """As a program for bf16 reads it: `kernels.cuda` where that runs."""
    matrix = Matrix4.of(weight)
    return replace_fields(matrix, rows=packed4.most_rows(matrix, torch.bfloat16))


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


# Right or wrong


def check_exact() -> str:
    """Weights one by one, through activations of one 1, and the plain copies: those that differ from the law; one row's are not
    rounded."""
    wrong = []
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        for doubled in (True, False):
            weight = random_packed(*EXACT, doubled)
            law, matrix = weight.dequantized(dtype), Matrix4.of(weight)
            wrong.append(f"{int((dequantize.dequantized(weight, dtype) != law).sum())}")
            for rows, count in ((1, 64), (16, 256)):
                ones = torch.eye(EXACT[1], dtype=dtype, device=DEVICE)
                expected = weight.dequantized(torch.float32) if rows == 1 else law
                for comb in (False, True):
                    found = torch.full((count, EXACT[0]), torch.nan, device=DEVICE)
                    for i in range(0, count, rows):
                        x = nf4.combed(ones[i : i + rows]) if comb else ones[i : i + rows]
                        packed.project(x, matrix, found[i : i + rows], combed=comb)
                    wanted = expected[:, :count].float()
                    wrong.append(f"{int((wanted != found.T).sum())}")
    return "weights that differ: " + " ".join(wrong)


def check_products(o: int, d: int, rows: int) -> str:
    """Errors against fp64; those of torch in bf16 in brackets; int8; sums of parts."""
    weight = random_packed(o, d)
    x = torch.randn(rows, d, device=DEVICE).bfloat16()
    plain = weight.dequantized(torch.bfloat16)
    law = x.double() @ plain.double().T
    out, parts = torch.full((rows, o), torch.nan, device=DEVICE), torch.full((2, rows, o), torch.nan, device=DEVICE)
    packed.project(nf4.combed(x), Matrix4.of(weight), out, combed=True)
    packed.project_parts(x, Matrix4.of(weight), parts)
    said = f"{error(out, law):.1e} ({error(x @ plain.T, law):.1e}) parts {error(parts.sum(0), law):.1e}"
    eight = Packed8(torch.randint(-127, 128, (o, d), dtype=torch.int8, device=DEVICE), torch.rand(o, device=DEVICE))
    packed.project(x, Matrix8.of(eight), out)
    return f"{said} int8 {error(out, x.double() @ eight.dequantized(torch.float32).double().T):.1e}"


# Single products


@dataclass
class Bench:
    """Copies of one matrix, 200 MB and more, so that none is in the cache when its turn comes."""

    o: int
    d: int
    rows: int

    def __post_init__(self) -> None:
        self.weight = random_packed(self.o, self.d)
        self.bytes = self.weight.nbytes
        self.matrices = [Matrix4.of(random_packed(self.o, self.d)) for _ in range(200 * 2**20 // self.bytes + 1)]
        self.x = torch.randn(self.rows, self.d, device=DEVICE).bfloat16()
        self.out = torch.empty(self.rows, self.o, device=DEVICE)

    def of(self, blocks: PackedBlocks | None, combed: bool = True, splits: int = 1) -> float:
        parts = torch.empty(splits, self.rows, self.o, device=DEVICE)

        def run() -> None:
            for matrix in self.matrices:
                if splits > 1:
                    packed.project_parts(self.x, matrix, parts, combed=combed, blocks=blocks)
                else:
                    packed.project(self.x, matrix, self.out, combed=combed, blocks=blocks)

        return seconds(replay(run)) / len(self.matrices)

    def tensor_cores(self) -> float:
        """By `kernels.cuda`; infinite where that has no kernel."""
        matrices = [replace_fields(m, rows=packed4.most_rows(m, torch.bfloat16)) for m in self.matrices]
        if matrices[0].rows < self.rows:
            return float("inf")

        def run() -> None:
            for matrix in matrices:
                packed.project(self.x, matrix, self.out)

        return seconds(replay(run)) / len(matrices)

    def plain(self) -> float:
        count = 400 * 2**20 // (2 * self.o * self.d) + 1
        weights = [torch.randn(self.o, self.d, device=DEVICE).bfloat16() for _ in range(count)]

        def run() -> None:
            for weight in weights:
                projection.project(self.x, weight, self.out)

        return seconds(replay(run)) / count

    def bitsandbytes(self) -> float:
        from bitsandbytes import functional

        weights = [torch.randn(self.o, self.d, device=DEVICE).bfloat16() for _ in range(6)]
        quantized = [functional.quantize_4bit(w, quant_type="nf4", compress_statistics=False) for w in weights]

        def run() -> None:
            for codes, state in quantized:
                functional.gemv_4bit(self.x[:1, None], codes.t(), state=state)

        return seconds(replay(run)) / len(quantized)


def row_variants(d: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Outputs, words at a time, warps, stages, splits, for one row."""
    for words, warps in ((128, 1), (128, 4), (256, 2), (512, 4), (1024, 8)):
        for outputs in (2, 4, 8, 16):
            if d // 8 % words == 0 and 8 <= outputs * words // (32 * warps) <= 32:
                yield outputs, words, warps, 1, 1


def variants_of(o: int, d: int, rows: int) -> Iterator[tuple[int, int, int, int, int]]:
    """The same for more rows; words are those of a warp."""
    for outputs, warps in ((64, 4), (32, 8), (32, 4), (16, 8)):
        for words, stages in ((16, 3), (32, 3)):
            for splits in (1,) if o > 8192 else (1, 2, 4):
                if d // 8 % (splits * warps * words) == 0:
                    yield outputs, words, warps, stages, splits


def sweep(o: int, d: int, rows: int) -> str:
    bench, found = Bench(o, d, rows), {}
    for variant in row_variants(d) if rows == 1 else variants_of(o, d, rows):
        if left() < 4:
            break
        outputs, words, warps, stages, splits = variant
        try:
            found[variant] = bench.of(PackedBlocks(outputs, words, warps, stages), splits=splits)
        except Exception as problem:
            print(f"   {variant} {str(problem).strip().splitlines()[-1][:80]}")
    best = sorted(found, key=lambda variant: found[variant])[:4]
    top = "  ".join(f"{'×'.join(map(str, v))} {found[v] * 1e6:.1f}" for v in best)
    t, chosen, natural, plain = found[best[0]], bench.of(None), bench.of(None, combed=False), bench.plain()
    packed.AHEAD = False
    late = bench.of(None)
    packed.AHEAD = True
    try:
        other = f"bnb {bench.bitsandbytes() * 1e6:.1f} " if rows == 1 else ""
    except Exception as problem:
        other = f"bnb: {str(problem).strip().splitlines()[-1][:40]}"
    ours = bench.tensor_cores()
    return (
        f"tensor cores {ours * 1e6:.1f} µs {bench.bytes / ours / 1e12:.2f} TB/s, {plain / ours:.2f}× bf16 ({plain * 1e6:.1f}) "
        f"{other} | × {t * 1e6:.1f}, chosen {chosen * 1e6:.1f}, not combed {natural * 1e6:.1f}, not ahead {late * 1e6:.1f}\n"
        f"     {top}"
    )


def plain_copy(o: int, d: int) -> str:
    """Dequantizing, by size of a program; then with the product of many rows against fused and plain."""
    weight, found = random_packed(o, d), []
    for size, warps in ((2048, 4), (4096, 4), (4096, 8), (8192, 8)):
        t = seconds(lambda size=size, warps=warps: dequantize.dequantized(weight, torch.bfloat16, size, warps))  # type: ignore[misc]
        found.append(f"{size}/{warps} {t * 1e6:.0f} µs {(weight.nbytes + 2 * o * d) / t / 1e12:.2f} TB/s")
    for rows in (32, 64, 2048):
        x, w = torch.randn(rows, d, device=DEVICE).bfloat16(), weight.dequantized(torch.bfloat16)
        both, mm = seconds(lambda x=x: dequantize.packed_linear(x, weight)), seconds(lambda x=x, w=w: x @ w.T)  # type: ignore[misc]
        said = f"rows {rows}: {both * 1e6:.0f}, plain mm {mm * 1e6:.0f}"
        if rows <= 64:
            out, matrix = torch.empty(rows, o, device=DEVICE), Matrix4.of(weight)

            def fused(x: Tensor = x, matrix: Matrix4 = matrix, out: Tensor = out) -> None:
                packed.project(x, matrix, out, combed=True)

            said += f", fused {seconds(fused) * 1e6:.0f}"
        found.append(said)
    return " | ".join(found)


# Whole steps


@torch.no_grad()
@torch.inference_mode(False)
def model_of(fields: dict[str, Any], layers: int, four: bool) -> Any:
    """A model with random weights, packed where `falcon quantize` packs."""
    with torch.device("meta"):
        model = build(parse_config(fields | {"num_hidden_layers": layers}))
        for name in layers_to_pack(model) if four else ():
            replace(model, name, Form("nf4", double=True), None)
    plain = {id(p) for m in model.modules() if not isinstance(m, PackedLinear) for p in m._parameters.values()}
    for parameter in model.parameters():
        if id(parameter) in plain:
            parameter.data = parameter.data.to(torch.bfloat16)
    model = model.to_empty(device=DEVICE).eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, PackedLinear):
            for name, value in tensors(random_packed(*module.shape)).items():
                module._parameters[name] = nn.Parameter(value, requires_grad=False)
            if module.bias is not None:
                module.bias = nn.Parameter(torch.full((module.shape[0],), -3.0, device=DEVICE).bfloat16(), requires_grad=False)
            continue
        for name, weight in module.named_parameters(recurse=False):
            if name == "A_log":
                weight.fill_(0.5)
            elif weight.dim() == 1:
                weight.fill_(1.0 if "norm" in type(module).__name__.lower() or name == "D" else -1.0)
            else:
                weight.normal_(0.0, weight[0].numel() ** -0.5)
    return model


def step_of(model: Any, rows: int) -> tuple[Any, Any, StepInputs]:
    state = model.make_state(rows, 2 * PAGE)
    inputs = StepInputs.zeros(rows, 4, DEVICE)
    inputs.active.fill_(1)
    inputs.ids.random_(0, model.config.vocab_size)
    if state.pool is None:
        return falcon_mamba.FalconMambaStep(model, state, inputs, rows), state, inputs
    state.reserve(0, rows, 1)
    for slot in range(rows):
        inputs.pages[slot, : len(state.pages[slot])] = torch.tensor(state.pages[slot], dtype=torch.int32)
    return falcon_h1.FalconH1Step(model, state, inputs, rows), state, inputs


def check_model(fields: dict[str, Any], rows: int) -> str:
    model = model_of(fields, 2, True)
    step, _, inputs = step_of(model, rows)
    law = model.make_state(rows, 2 * PAGE)
    step()
    return f"logits of 2 layers {error(step.logits, model.step(inputs.ids, law)):.1e}"


def kernels_of(run: Callable[[], None], layers: int) -> str:
    """Where the time of a step goes, by kernel: µs and launches a layer. Kernels that overlap count twice."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        run()
        torch.cuda.synchronize()
    times = sorted(profile.key_averages(), key=lambda event: -event.device_time_total)[:8]
    return "  ".join(f"{e.key[:20]} {e.device_time_total / layers:.1f} ({e.count / layers:.1f})" for e in times)


def whole(fields: dict[str, Any], layers: int) -> str:
    found = []
    for four in (True, False):
        model = model_of(fields, layers, four)
        for rows in (1, 2, 8, 16) if four else (1,):
            step, _, _ = step_of(model, rows)
            again = replay(step)
            t = seconds(again)
            found.append(f"{'nf4' if four else 'bf16'} b={rows} {t * 1e3:.3f} ms {rows / t:.0f} tok/s")
            if rows in (1, 8):
                print(f"   {found[-1]}: {kernels_of(again, layers)}", flush=True)
        del model
        torch.cuda.empty_cache()
    return " | ".join(found)


def products(fields: dict[str, Any], layers: int) -> str:
    """All 4-bit products of a step for one row, in one graph: ours, bitsandbytes', and what the step would take with its."""
    from bitsandbytes import functional

    model = model_of(fields, layers, True)
    step, _, _ = step_of(model, 1)
    whole_step = seconds(replay(step))
    ours, theirs = [], []
    for module in model.modules():
        if isinstance(module, PackedLinear):
            weight = module.packed
            assert isinstance(weight, Packed4) and isinstance(weight.scales, Scales8)
            o, d = weight.shape
            x, out = torch.randn(1, d, device=DEVICE).bfloat16(), torch.empty(1, o, device=DEVICE)
            ours.append((x, read(weight), out))
            state = functional.QuantState(
                absmax=weight.scales.dequantized(),  # not doubled: its faster form
                shape=torch.Size((o, d)),
                code=weight.values,
                blocksize=weight.block,
                quant_type="nf4",
                dtype=torch.bfloat16,
            )
            theirs.append((x[:, None], weight.codes.view(-1, 1).t(), state))

    def run_ours() -> None:
        for x, matrix, out in ours:
            packed.project(x, matrix, out, combed=matrix.rows == 0)

    def run_theirs() -> None:
        for x, codes, state in theirs:
            functional.gemv_4bit(x, codes, state=state)

    t, bnb = seconds(replay(run_ours)), seconds(replay(run_theirs))
    with_theirs = whole_step - t + bnb
    alone = f"{len(ours)} products {t * 1e3:.3f} ms, bitsandbytes {bnb * 1e3:.3f} ms ({bnb / t:.2f}×)"
    return f"{alone}; step {whole_step * 1e3:.3f} ms, with theirs {with_theirs * 1e3:.3f} ms ({with_theirs / whole_step:.2f}×)"


def prefill(fields: dict[str, Any], layers: int, length: int = 2048) -> str:
    """A prompt through packed weights, each made plain once, and through plain ones; memory that packed ones take beside."""
    found = {}
    for four in (True, False):
        model = model_of(fields, layers, four)
        kernels.choose("triton", DEVICE)
        ids, state = torch.randint(fields["vocab_size"], (length,), device=DEVICE), model.make_state(1, length)

        def run(model: Any = model, ids: Tensor = ids, state: Any = state) -> None:
            state.reset(0)
            model.prefill(ids, state, 0)

        run()
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        t = seconds(run, 5)
        found[four] = t, (torch.cuda.max_memory_allocated() - before) / 1e9, before / 1e9
        del model, state, run
        torch.cuda.empty_cache()
    said = []
    for four, (t, peak, held) in found.items():
        said.append(f"{'nf4' if four else 'bf16'} {length / t:.0f} tok/s, {held:.2f} GB + {peak:.2f} GB")
    return f"{' | '.join(said)} | nf4 has {found[False][0] / found[True][0]:.1%} of bf16's speed"


@torch.inference_mode()
def main() -> None:
    print("interpreted" if TINY else torch.cuda.get_device_name(), torch.__version__, triton.__version__)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.manual_seed(0)
    attempt("exact", check_exact)
    for rows in (1, 8, 16, 64):
        attempt(f"products in {rows}", lambda rows=rows: check_products(*MAMBA_SHAPES["in"], rows))  # type: ignore[misc]
        attempt(f"products down {rows}", lambda rows=rows: check_products(*H1_SHAPES["down"], rows))  # type: ignore[misc]
    for family, fields in (("mamba", MAMBA), ("h1", H1)):
        for rows in (1, 3):
            attempt(f"{family} {rows}", lambda fields=fields, rows=rows: check_model(fields, rows))  # type: ignore[misc]
    if TINY:
        return
    print(f"{left():.0f} s left; a variant is outputs×words×warps×stages×splits µs", flush=True)
    for name, fields, layers in (("FalconMamba-7B", MAMBA, 64), ("Falcon-H1-7B", H1, 44)):
        attempt(name, lambda fields=fields, layers=layers: whole(fields, layers))  # type: ignore[misc]
        attempt("its products", lambda fields=fields, layers=layers: products(fields, layers), 6)  # type: ignore[misc]
        attempt("its prefill", lambda fields=fields, layers=layers: prefill(fields, layers), 6)  # type: ignore[misc]
    attempt("dequantize", lambda: plain_copy(*MAMBA_SHAPES["in"]))
    for rows in (1, 8, 2, 16):
        for name, (o, d) in (MAMBA_SHAPES | H1_SHAPES).items():
            attempt(f"{name} {o}×{d} b={rows}", lambda o=o, d=d, rows=rows: sweep(o, d, rows), 6)  # type: ignore[misc]
    print(f"{left():.0f} s left")


if __name__ == "__main__":
    main()
