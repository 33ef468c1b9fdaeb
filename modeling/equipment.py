"""What a model on its device is equipped with: slots and room for tokens, programs of kernels, threads."""

from __future__ import annotations

import os

import psutil
import torch

from modeling import kernels
from modeling.checkpoint import placement
from modeling.checkpoint.placement import free_memory
from modeling.decode.programs import StepPrograms, programs_for
from modeling.decode.prompts import Prompts, prompts_for
from modeling.generation.runner import Runner
from modeling.models import LanguageModel
from modeling.state import ModelState

_KV_SHARE = 0.5  # of the memory that the weights leave free, for the keys and values of all slots
_SLOTS = {"cuda": 128, "cpu": 8}  # sequences at once: a GPU's programs have 128 rows, a CPU is busy with 8 (benchmarks/cpu.md)
_TOKENS = 4096  # of each, at the least
_READY = 4  # with so many rows, one more has read its prompt and waits (benchmarks/gpu/throughput.py)


def affordable_context(model: LanguageModel, slots: int) -> int | None:
    """How many tokens each of `slots` sequences may have: all positions of the model, or what half of the free memory holds.

    None for a model without a limit.
    """
    if model.max_positions is None:
        return None
    per_token = model.state_bytes(1) - model.state_bytes(0)
    holds = int(free_memory(model.device) * _KV_SHARE) // (per_token * slots)
    return max(1, min(model.max_positions, holds))


def suitable_slots(model: LanguageModel) -> int:
    """How many sequences to decode at once where nobody says: as many as make good use of the device, if half of the memory
    that the weights leave free holds them with some thousand tokens each."""
    most = _SLOTS.get(model.device.type, 1)
    each = model.state_bytes(min(model.max_positions or 0, _TOKENS)) * with_ready(most, model.device) // most
    return max(1, min(most, int(free_memory(model.device) * _KV_SHARE) // each))


def with_ready(rows: int, device: torch.device) -> int:
    """So many slots for as many rows: where the device runs ahead, a quarter more for those who are to follow."""
    return rows + rows // _READY if device.type == "cuda" else rows


def programs_of(model: LanguageModel, runner: Runner, rows: int) -> StepPrograms | None:
    """Decode steps of up to `rows` slots for a model that is wholly on one device with fast kernels."""
    if kernels.current().name != "triton" or not resident(model):
        return None
    assert isinstance(runner.state, ModelState)
    try:
        programs = programs_for(model, runner.state, rows, runner.max_positions)
        if programs is not None:
            for count in {1, rows}:
                programs.run(count)  # nobody takes part: what cannot run here shows before there is a state to lose
    except Exception as error:  # whatever it is, there is a slower way
        kernels.current().give_up("decode", error)
        return None
    return programs


def resident(model: LanguageModel) -> bool:
    """Whether it is wholly on one device."""
    return isinstance(model.placement, placement.Plan) and model.placement.resident


def prompts_of(model: LanguageModel, runner: Runner) -> Prompts | None:
    """Short prompts in one launch, for such a model. It comes after `programs_of`, which may move weights."""
    if not resident(model):
        return None
    assert isinstance(runner.state, ModelState)
    return prompts_for(model, runner.state)


def use_physical_cores() -> None:
    """Let torch's operators use one thread for each physical core that this process may run on.

    A second thread on a core only gets in the way of the first: matrix-vector products wait for the slower of the two.
    `OMP_NUM_THREADS` wins.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        logical = psutil.cpu_count() or 1
        allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
        torch.set_num_threads(max(1, min(allowed, psutil.cpu_count(logical=False) or logical)))
