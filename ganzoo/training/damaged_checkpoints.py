"""Refuses damaged checkpoints: progress, metadata and optimizer states of other types or shapes than the run's."""

import math
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.optim import Optimizer

from ganzoo.errors import InputError
from ganzoo.training.resume import DAMAGED, FORMAT

RECORD: dict[str, Any] = {
    "format": FORMAT,
    "seed": 0,
    "processes": 1,
    "data": None,
    "within_epoch": False,
    "accumulate": 1,
    "optimizers": {},
    "own": [],
}
"""What a checkpoint's record holds, by example."""
COUNTS = {
    "ready",
    "started",
    "processed",
    "completed",
    "_batches_that_stepped",
    "format",
    "processes",
    "accumulate",
    "last_epoch",
}
ELEMENTWISE = {"SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "ASGD", "Rprop"}
"""Optimizers whose state of a weight has the weight's shape."""


def check_inside(checkpoint: Mapping[str, Any], trainer: L.Trainer | None) -> None:
    """Refuses a checkpoint whose progress or metadata has wrong types, before anything uses it.

    Raises:
        InputError: something is wrong; the message names the first such entry.
    """
    wrong = None
    fn = None if trainer is None else trainer.state.fn
    if trainer is not None and fn is not None and "loops" in checkpoint:
        loops, name = checkpoint["loops"], f"{fn.value}_loop"
        of: dict[str, Any] = {"fit": trainer.fit_loop, "validate": trainer.validate_loop, "test": trainer.test_loop}
        if not isinstance(loops, Mapping) or name not in loops:
            wrong = f"loops has no {name}"
        elif fn.value in of:
            usual = of[fn.value].state_dict()
            if isinstance(loops[name], Mapping) and loops[name].get("state_dict") == {}:  # of a run that has no loader yet
                usual["state_dict"] = {}
            wrong = _unlike(usual, loops[name], f"loops.{name}")
    remembered = checkpoint.get("ganzoo", {})
    if wrong is None and "ganzoo" in checkpoint:
        wrong = _unlike(
            RECORD if isinstance(remembered, Mapping) and "seed" in remembered else {"format": 1}, remembered, "ganzoo"
        )
    for n, own in enumerate(remembered["own"] if wrong is None and "seed" in remembered else []):
        wrong = wrong or _unlike({"image_pools": {}, "gradients": {}}, own, f"ganzoo.own[{n}]")
    if wrong is not None:
        raise InputError(f"{DAMAGED}: {wrong}")


def check_optimizers(
    states: Sequence[Any], schedules: Sequence[Any], fresh: Sequence[Optimizer], kept: Sequence[Any]
) -> None:
    """Refuses optimizer and scheduler states that do not fit; torch would fail in the middle of a step, or never.

    Args:
        states: ``checkpoint["optimizer_states"]``.
        schedules: ``checkpoint["lr_schedulers"]``.
        fresh: the run's optimizers.
        kept: the states of the run's schedules.

    Raises:
        InputError: another number of optimizers, parameters of other shapes, or values of other types.
    """
    wrong = _unlike([], states, "optimizer_states") or _unlike([], schedules, "lr_schedulers")
    if wrong is not None:
        raise InputError(f"{DAMAGED}: {wrong}")
    wrong = None if len(states) == len(fresh) else f"it holds {len(states)} optimizers, and the model has {len(fresh)}"
    for n, (state, optimizer) in enumerate(zip(states, fresh, strict=False)):
        wrong = wrong or _optimizer_unlike(state, optimizer, f"optimizer_states[{n}]")
    for n, (state, usual) in enumerate(zip(schedules, kept, strict=False)):
        if not isinstance(state, Mapping):
            wrong = wrong or f"lr_schedulers[{n}] is of type {type(state).__name__}"
            continue
        shared = {name: value for name, value in usual.items() if name in state}
        wrong = wrong or _unlike(shared, state, f"lr_schedulers[{n}]")
    if wrong is not None:
        raise InputError(f"the checkpoint does not fit, or is damaged inside: {wrong}")


def _optimizer_unlike(state: Any, optimizer: Optimizer, where: str) -> str | None:
    usual = optimizer.state_dict()
    wrong = _unlike({"state": {}, "param_groups": []}, state, where)
    if wrong or len(state["param_groups"]) != len(usual["param_groups"]):
        return wrong or f"{where} has {len(state['param_groups'])} groups, and not {len(usual['param_groups'])}"
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for n, (group, mine) in enumerate(zip(state["param_groups"], usual["param_groups"], strict=True)):
        here = f"{where}.param_groups[{n}]"
        if not isinstance(group, Mapping):
            return f"{here} is of type {type(group).__name__}"
        if wrong := _unlike(
            {name: value for name, value in mine.items() if name in ("lr", "params") or name in group}, group, here
        ):
            return wrong
        for name, value in group.items():
            if isinstance(value, str) or (isinstance(value, float) and not math.isfinite(value)):
                return f"{here}.{name} is {value!r:.40}"
        if len(group["params"]) != len(mine["params"]):
            return f"{here} has {len(group['params'])} parameters, and the player {len(mine['params'])}"
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    of = dict(zip(numbers, parameters, strict=True))
    for number, values in state["state"].items():
        if number not in of or not isinstance(values, Mapping):
            return f"{where}.state[{number!r:.20}] is of no parameter"
        for name, value in values.items():
            if isinstance(value, Tensor) and (value.is_meta or value.layout is not torch.strided):
                return f"{where}.state[{number}].{name} is a tensor without values, or of another layout"
            like = type(optimizer).__name__ in ELEMENTWISE and name != "step"
            if like and isinstance(value, Tensor) and value.shape != of[number].shape:
                return f"{where}.state[{number}].{name} is {tuple(value.shape)}, and its weight {tuple(of[number].shape)}"
            if not isinstance(value, Tensor | int | float | bool | NoneType):
                return f"{where}.state[{number}].{name} is of type {type(value).__name__}"
            if name == "step" and not (isinstance(value, Tensor | int | float) and 0 <= float(value) < float("inf")):
                return f"{where}.state[{number}].step is {value!r:.40}"
    return None


def _unlike(usual: Any, found: Any, where: str) -> str | None:
    """Names the first entry of ``found`` whose type differs from ``usual``; None if all agree. ``None`` matches anything."""
    if usual is None:
        return None
    if isinstance(usual, Mapping):
        if not isinstance(found, Mapping):
            return f"{where} is of type {type(found).__name__}"
        for name, value in usual.items():
            if name not in found:
                return f"{where} has no {name}"
            if wrong := _unlike(value, found[name], f"{where}.{name}"):
                return wrong
        return None
    if isinstance(usual, list | tuple):
        if not isinstance(found, list | tuple):
            return f"{where} is of type {type(found).__name__}"
        if usual and isinstance(usual[0], bool | int | float):
            return next(filter(None, (_unlike(usual[0], each, where) for each in found)), None)
        return None
    if isinstance(usual, bool):
        return None if isinstance(found, bool) or found is None else f"{where} is {found!r:.40}"
    if isinstance(usual, int | float | Tensor):
        if isinstance(found, Tensor) and found.numel() == 1 and not found.is_meta:
            found = found.item()
        number = isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)
        whole = (
            not isinstance(usual, int) or where.rpartition(".")[2] not in COUNTS or (isinstance(found, int) and found >= 0)
        )
        return None if number and whole else f"{where} is {found!r:.40}"
    return None if isinstance(found, type(usual)) else f"{where} is of type {type(found).__name__}"
