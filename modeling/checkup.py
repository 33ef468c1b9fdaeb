"""What this machine has and lacks, for `falcon doctor`: probes that each look at one thing and cannot hurt the others.

Whatever a broken installation raises, wherever it does, is a finding like any other. So nothing but the standard library is
imported at the top: torch itself may be what is broken.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import platform
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from importlib import import_module, metadata
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from modeling.errors import FalconError
from modeling.messages import ModelSpec

if TYPE_CHECKING:
    from packaging.requirements import Requirement

Level = Literal["ok", "note", "fault"]
_REINSTALL = "pip install --force-reinstall falcon-cli"
LEAST_ROOM = 1 << 30  # bytes on a disk below which it is worth a word


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found. "note": something is missing that falcon can do without; "fault": what was asked for cannot work."""

    section: str
    name: str
    value: str
    level: Level = "ok"
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: `spec` says on which device and with which kernels. Its model is looked at if `named`; `folders` are those
    that falcon writes to, by what they are for; `home` is the folder that this package must be in."""

    spec: ModelSpec
    named: bool
    folders: Mapping[str, Path]
    home: Path


Probe = Callable[[Question], Iterator[Finding]]


def examine(question: Question) -> Iterator[Finding]:
    """All findings, section by section, as they are made. Never raises but for an interrupt."""
    told = set[str]()
    for section, probes in PROBES.items():
        for probe in probes:
            for finding in _guarded(section, probe, question):
                if finding.level != "fault" or finding.value not in told:  # one broken package breaks many probes
                    yield finding
                told.add(finding.value)


def _guarded(section: str, probe: Probe, question: Question) -> Iterator[Finding]:
    """The findings of a probe; its failure as one more. What libraries have to say meanwhile is not for the user."""
    findings: list[Finding] = []
    try:
        with _silence():
            findings += probe(question)  # what was found before a failure stays
    except KeyboardInterrupt:
        raise
    except FalconError as error:
        findings.append(Finding(section, _named(probe), str(error), "fault", error.hint))
    except BaseException as error:  # SystemExit, too: a package may leave at import
        findings.append(Finding(section, _named(probe), _first_line(error), "fault", _REINSTALL))
    yield from findings


def _named(probe: Probe) -> str:
    return probe.__name__.strip("_").replace("_", " ")


def _first_line(error: BaseException) -> str:
    first, *_ = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


@contextmanager
def _silence() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


# ---- this program ----


def _versions(question: Question) -> Iterator[Finding]:
    with suppress(metadata.PackageNotFoundError):
        yield Finding("falcon", "version", metadata.version("falcon-cli"))
    yield Finding("falcon", "python", f"{platform.python_version()} at {sys.executable}")
    yield Finding("falcon", "system", platform.platform())


def _modeling(question: Question) -> Iterator[Finding]:
    """`modeling` is a name that others use, too: a folder of that name nearer on the path would be imported in its place."""
    here = Path(__file__).resolve().parent
    level: Level = "ok" if here.parent == question.home.resolve() else "fault"
    hint = "" if level == "ok" else f"falcon's own is in {question.home}: change PYTHONPATH, or the folder you are in"
    yield Finding("falcon", "modeling", str(here), level, hint)
    for entry in dict.fromkeys(sys.path):
        for other in (Path(entry or ".") / "modeling", Path(entry or ".") / "modeling.py"):
            found = (other / "__init__.py").is_file() if other.suffix == "" else other.is_file()
            if found and other.resolve() != here:
                yield Finding("falcon", "modeling", f"{other.resolve()} has the same name, and is hidden by falcon's", "note")


# ---- packages ----


def _packages(question: Question) -> Iterator[Finding]:
    """What pyproject.toml asks for: required packages must be there, whole and in a version that fits, optional ones may."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires("falcon-cli") or []
    except metadata.PackageNotFoundError:
        yield Finding("packages", "falcon-cli", "not installed, run from its source", "note", "pip install -e .")
        return
    for requirement in sorted(map(Requirement, lines), key=lambda asked: asked.name in _BUILT_ON_THE_OTHERS):
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", str(requirement.marker or ""))
        if extra and (extra[1] in ("test", "all") or requirement.name in _ELSEWHERE):
            continue
        if requirement.marker and not extra and not requirement.marker.evaluate():
            continue
        yield _package(requirement, extra[1] if extra else "")


def _package(requirement: Requirement, extra: str) -> Finding:
    """A package that falcon needs, or that only `extra` asks for."""
    name = requirement.name
    level: Level = "note" if extra else "fault"
    try:
        version = metadata.version(name)
        import_module(name.replace("-", "_"))
    except metadata.PackageNotFoundError:
        hint = f"pip install 'falcon-cli[{extra}]'" if extra else _REINSTALL
        return Finding("packages", name, "not installed", level, hint)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # half installed, made for another torch, …
        return Finding("packages", name, _first_line(error), level, f"pip install --force-reinstall {name}")
    if not version:  # there is a folder for its metadata, and nothing in it
        return Finding("packages", name, "its metadata is damaged", "note", f"pip install --force-reinstall {name}")
    if requirement.specifier.contains(version, prereleases=True):
        return Finding("packages", name, version)
    value = f"{version}, and falcon wants {requirement.specifier}"
    return Finding("packages", name, value, "note", f"pip install '{name}{requirement.specifier}'")


_ELSEWHERE = ("bitsandbytes", "mamba-ssm", "causal-conv1d")  # have findings of their own
_BUILT_ON_THE_OTHERS = ("accelerate", "transformers")  # so that the blame falls on what is broken


# ---- devices ----


def _torch(question: Question) -> Iterator[Finding]:
    import torch

    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    yield Finding("device", "torch", f"{torch.__version__}, built with {built}")
    gpu = Path("/proc/driver/nvidia/version")
    driver = re.search(r"Kernel Module.*?\s(\d+\.\d+[\d.]*)", gpu.read_text()) if gpu.exists() else None
    if driver:
        yield Finding("device", "driver", f"NVIDIA {driver[1]}")
    if driver and not torch.version.cuda:
        yield Finding("device", "CUDA", "this torch is built without it", "note", "install torch for CUDA: see pytorch.org")
    elif torch.version.cuda and not torch.cuda.is_available():
        yield Finding("device", "CUDA", _why_no_cuda(), "note", "" if driver else "there is no NVIDIA driver")


def _why_no_cuda() -> str:
    import torch

    try:
        torch.cuda.init()
    except Exception as error:
        return _first_line(error)
    return "no device"


def _processor(question: Question) -> Iterator[Finding]:
    import psutil
    import torch

    from modeling.bench.ceiling import cpu_name

    cores = f"{psutil.cpu_count(logical=False)} cores, {psutil.cpu_count()} threads, torch uses {torch.get_num_threads()}"
    yield Finding("device", "cpu", f"{cpu_name()}: {cores}")


def _memory(question: Question) -> Iterator[Finding]:
    import psutil

    from modeling.checkpoint.memory import free_host, show

    yield Finding("device", "memory", f"{show(free_host())} free of {show(int(psutil.virtual_memory().total))}")


def _gpus(question: Question) -> Iterator[Finding]:
    import torch

    from modeling.checkpoint.memory import show
    from modeling.checkpoint.placement import available_devices

    for device in available_devices():
        if device.type == "cuda":
            facts = torch.cuda.get_device_properties(device)
            free, total = torch.cuda.mem_get_info(device)
            capability = f"compute capability {facts.major}.{facts.minor}"
            yield Finding("device", str(device), f"{facts.name}, {capability}, {show(free)} free of {show(total)}")
        elif device.type == "mps":
            yield Finding("device", "mps", f"{show(torch.mps.recommended_max_memory())} for this process at most")


def _chosen_device(question: Question) -> Iterator[Finding]:
    from modeling.checkpoint.placement import main_device

    yield Finding("device", "models run on", str(main_device(question.spec.device)))


# ---- kernels ----


def _operations(question: Question) -> Iterator[Finding]:
    """Which twin of each operation runs, and why not the fast one. Nothing is compiled: a first use may fail yet."""
    from modeling import kernels
    from modeling.checkpoint.placement import main_device
    from modeling.kernels.choice import ROOMS, lacking

    device = main_device(question.spec.device)
    choice = kernels.choose(question.spec.kernels, device)
    asked = question.spec.kernels
    why = choice.reasons.get("*") or (lacking("triton", device) if choice.name == "torch" and asked == "auto" else "")
    for operation in ROOMS["triton"]:
        fast = choice.twin(operation) is not None
        reason = "" if fast else why or choice.reasons.get(operation, "") or f"--kernels {asked}"
        expected = fast or device.type != "cuda" or asked not in ("auto", "triton")
        value = choice.name if fast else f"torch ({reason})"
        yield Finding("kernels", operation, value, "ok" if expected else "note")
    if choice.name == "compile":
        yield Finding("kernels", "decode step", "torch.compile of the readable blocks")
    else:
        step = "one CUDA graph of Triton kernels" if choice.name == "triton" else "operation by operation"
        yield Finding("kernels", "decode step", step)


def _compiler(question: Question) -> Iterator[Finding]:
    """Triton builds its launchers with a C compiler."""
    found = shutil.which(os.environ.get("CC") or "cc") or shutil.which("gcc") or shutil.which("clang")
    if found:
        yield Finding("kernels", "C compiler", found)
    else:
        yield Finding("kernels", "C compiler", "none", "note", "Triton needs one on a GPU: install gcc")


def _mamba_ssm(question: Question) -> Iterator[Finding]:
    from modeling.checkpoint.placement import main_device
    from modeling.kernels.choice import lacking

    why = lacking("mamba-ssm", main_device(question.spec.device))
    yield Finding("kernels", "mamba-ssm", f"not usable: {why}" if why else "usable: --kernels mamba-ssm")


def _bitsandbytes(question: Question) -> Iterator[Finding]:
    """Weights in four bits, there and back, where models run. A fault only if it is asked for."""
    lack: Level = "note" if question.spec.quantize == "none" else "fault"
    if importlib.util.find_spec("bitsandbytes") is None:
        yield Finding("kernels", "bitsandbytes", "not installed", lack, "pip install 'falcon-cli[quant]'")
        return
    from modeling.checkpoint.placement import main_device

    device = main_device(question.spec.device)
    try:
        import bitsandbytes
        import torch

        weight = torch.randn(64, 64, dtype=torch.bfloat16).to(device)
        packed, state = bitsandbytes.functional.quantize_4bit(weight, quant_type="nf4")
        error = (bitsandbytes.functional.dequantize_4bit(packed, state) - weight).float().norm() / weight.float().norm()
        fits = bool(error < 0.2)  # 0.09 for normal weights
        value = f"{bitsandbytes.__version__}, nf4 on {weight.device} {'works' if fits else 'gives wrong numbers'}"
        yield Finding("kernels", "bitsandbytes", value, "ok" if fits else lack)
    except Exception as error:
        hint = "only --quantize and falcon quantize need it" if lack == "note" else "pip install --force-reinstall bitsandbytes"
        yield Finding("kernels", "bitsandbytes", _first_line(error), lack, hint)


# ---- the model ----


def _model(question: Question) -> Iterator[Finding]:
    """Whether the model is here, is one that runs, and fits. No weights are read."""
    if not question.named:
        return
    from dataclasses import replace

    from modeling.checkpoint import memory, placement
    from modeling.checkpoint.files import find, find_config
    from modeling.checkpoint.load import blueprint, choose_dtype, estimate
    from modeling.config import load_config
    from modeling.errors import MemoryExceeded, ModelUnavailable

    spec = question.spec
    try:
        folder = find(replace(spec, offline=True)).folder
        yield Finding("model", "files", str(folder))
    except ModelUnavailable as error:
        folder = find_config(spec).folder  # raises for a model that is not to be had either
        yield Finding("model", "files", f"not on this machine: {error}", "note", _GET[spec.offline])
    config = load_config(folder)
    auto = spec.dtype == "auto" and config.dtype is None
    dtype = choose_dtype("bfloat16" if auto else spec.dtype, config, {})
    model = blueprint(config, dtype)
    device = placement.main_device(spec.device)
    need = estimate(model, config, placement.prefill_chunk(spec), 1)
    free = placement.free_memory(device)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    yield Finding("model", "shape", f"{config.model_type}, {parameters / 1e6:,.1f} M parameters")
    try:
        memory.require(need, free, str(device), str(dtype).removeprefix("torch."))
        yield Finding("model", "memory", f"{memory.show(need.total)} of the {memory.show(free)} free on {device}")
    except MemoryExceeded as error:
        level: Level = "fault" if spec.device_map is None else "note"
        yield Finding("model", "memory", str(error), level, error.hint)


_GET = {False: "they are downloaded at the first use", True: "leave out --offline to download them"}


# ---- places ----


def _places(question: Question) -> Iterator[Finding]:
    from huggingface_hub import constants

    folders = {"model cache": Path(constants.HF_HUB_CACHE), **question.folders}
    if importlib.util.find_spec("triton") is not None:
        own = os.environ.get("TRITON_CACHE_DIR")
        folders["kernel cache"] = Path(own) if own else Path(os.environ.get("TRITON_HOME") or Path.home()) / ".triton" / "cache"
    for name, folder in folders.items():
        yield _place(name, folder.expanduser())


def _place(name: str, folder: Path) -> Finding:
    """Whether a folder can be written, and how much; where there is none yet, that in which it would be made."""
    from modeling.checkpoint.memory import show

    there = next((parent for parent in (folder, *folder.parents) if os.path.lexists(parent)), Path("/"))
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding("places", name, f"{folder}: {error.strerror}", "note", "change its permissions, or move it")
    value = f"{folder}{'' if there == folder else ' (not made yet)'}, {show(free)} free"
    if not there.is_dir():
        return Finding("places", name, f"{folder}: {there} is not a folder", "note", "move it, or name another place")
    if not os.access(there, os.W_OK):
        return Finding("places", name, f"{value}; it cannot be written", "note", "change its permissions, or move it")
    return Finding("places", name, value, "ok" if free >= LEAST_ROOM else "note", "" if free >= LEAST_ROOM else "make room")


PROBES: Mapping[str, Sequence[Probe]] = {
    "falcon": (_versions, _modeling),
    "packages": (_packages,),
    "device": (_torch, _processor, _memory, _gpus, _chosen_device),
    "kernels": (_operations, _compiler, _mamba_ssm, _bitsandbytes),
    "model": (_model,),
    "places": (_places,),
}
"""Section → what is looked at there, in order."""
