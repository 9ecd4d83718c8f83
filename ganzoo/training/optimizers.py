"""Checks optimizers and learning-rate schedulers, and applies changed learning rates when a run resumes.

Some values are accepted by torch, and no training survives them: a learning rate of NaN, a momentum of 5, a ``StepLR`` with
step size 0. They are refused in one line. On resume, optimizers and schedulers continue exactly, except for the numbers that
the user has changed.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from math import isfinite
from typing import Any

import torch
from torch import nn
from torch.optim import LBFGS, SGD, Adam, AdamW, Optimizer, SparseAdam
from torch.optim.lr_scheduler import LRScheduler, SequentialLR

from ganzoo.errors import InputError
from ganzoo.schedules import Schedule
from ganzoo.training.recipes import instantiate

Settings = dict[str, Any]
# what a parameter group may hold: the greatest value, and whether it is taken too. The least is 0
_BOUNDS: dict[str, tuple[float, bool]] = {
    "lr": (1000.0, True),
    "momentum": (1.0, False),
    "alpha": (1.0, False),
    "rho": (1.0, True),
    "dampening": (1.0, True),
    "weight_decay": (1000.0, True),
}
_ADVICE = {
    LBFGS: "LBFGS needs a closure that computes the loss several times a step, which a player's turn does not have",
    SparseAdam: "SparseAdam needs sparse gradients, which these networks do not have",
}
_AS_THEY_STAND = {"last_epoch", "_step_count", "_last_lr", "base_lrs", "_get_lr_called_within_step", "T_cur"}
_FLAGS = {"amsgrad", "maximize", "nesterov"}
_KERNELS = {"fused", "foreach"}  # arguments that choose how the same formula is computed
_TRIED = 100  # steps of a scheduler that are tried before a training


def check_optimizer(where: str, optimizer: Optimizer) -> None:
    """Refuses an optimizer that cannot train a player.

    Args:
        where: what the error names, ``optimizers.generator``.
        optimizer: the player's optimizer.

    Raises:
        InputError: its class needs something that a turn does not have (a closure), or one of its numbers is out of range.
    """
    for kind, advice in _ADVICE.items():
        if isinstance(optimizer, kind):
            raise InputError(f"{where}: {advice}: use Adam, SGD or RMSprop")
    for group in optimizer.param_groups:
        for name in _FLAGS & group.keys():
            if not isinstance(group[name], bool):
                raise InputError(f"{where}: {name} of {type(optimizer).__name__} is {group[name]}: give true or false")
        for name, value in group.items():
            for number in value if isinstance(value, tuple | list) else (value,):
                if isinstance(number, torch.Tensor):
                    number = number.item() if number.numel() == 1 else 0.0
                if isinstance(number, bool) or not isinstance(number, int | float):
                    continue
                greatest, taken = (1.0, False) if name == "betas" else _BOUNDS.get(name, (float("inf"), False))
                if not isfinite(number) or (name in ("betas", *_BOUNDS) and not _within(number, greatest, taken)):
                    interval = f"[0, {greatest:g}{']' if taken else ')'}" if name in ("betas", *_BOUNDS) else "(-inf, inf)"
                    raise InputError(
                        f"{where}: {name} of {type(optimizer).__name__} is {number}: give a float in {interval}"
                    )


def fuse(optimizer: Optimizer) -> None:
    """Lets Adam, AdamW and SGD update all their parameters in one kernel (torch's ``fused``): the formula is the same.

    Adam then takes 0.3 of its time on a CPU, and a weight differs by its last digit. Left as they are: other classes and
    devices, and an optimizer for which the user has chosen ``fused``, ``foreach``, ``capturable`` or ``differentiable``.
    """
    if type(optimizer) not in (Adam, AdamW, SGD):
        return
    for group in optimizer.param_groups:
        chosen = group["fused"] is not None or group["foreach"] is not None
        chosen = chosen or group.get("capturable") or group["differentiable"]
        if not chosen and all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in group["params"]):
            group["fused"] = True


def match_layout(optimizer: Optimizer) -> None:
    """Stores the optimizer's tensors in the memory layout of their parameters; no value changes.

    torch's fused kernels take both as they lie in memory, and compute wrong steps where one of them has channels last: of a
    checkpoint that was written in another layout.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter, dtype=value.dtype, device=value.device).copy_(value)


def check_scheduler(where: str, part: Mapping[str, Any], optimizer: Optimizer) -> None:
    """Refuses a scheduler that fails, or leaves the range of a learning rate, in its first 100 steps.

    It is tried on a copy of the optimizer's numbers, without the networks.

    Args:
        where: what the error names, ``schedules of 'generator'``.
        part: the scheduler's recipe.
        optimizer: the optimizer that it is for, before its first step.

    Raises:
        InputError: the scheduler fails or leaves the range.
    """
    trial = SGD([{"params": [nn.Parameter(torch.zeros(1))]} for _ in optimizer.param_groups], lr=0.0)
    trial.defaults = dict(optimizer.defaults)
    for group, its in zip(trial.param_groups, optimizer.param_groups, strict=True):
        group.update({k: deepcopy(v) for k, v in its.items() if k != "params"})
    name = str(part["class_path"])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler = instantiate(part, LRScheduler, trial)
            for n in range(_TRIED):
                check_optimizer(f"{where}: {name} after {n} steps", trial)
                try:
                    scheduler.step()
                except ValueError:  # OneCycleLR, past its end
                    if n == 0:
                        raise
                    break
    except (ArithmeticError, ValueError, TypeError, IndexError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: {name} cannot take a step with these init_args: {error}") from error


def settings(optimizers: Mapping[str, Optimizer], schedulers: Sequence[tuple[str, LRScheduler]]) -> Settings:
    """Returns the initial numbers of optimizers and schedulers, as plain data for a checkpoint."""
    return {
        "groups": {
            player: [
                {k: deepcopy(v) for k, v in group.items() if _is_plain(v) and k not in _KERNELS}
                for group in optimizer.param_groups
            ]
            for player, optimizer in optimizers.items()
        },
        "schedulers": [
            {"player": player, "kind": type(each).__qualname__, "state": _state(each)}
            for player, scheduler in schedulers
            for each in _and_those_inside(scheduler)
        ],
    }


def check_kinds(before: Settings, now: Settings) -> None:
    """Refuses to resume with schedulers of other players or classes, because the saved state would not fit them.

    Raises:
        InputError: the players or classes differ.
    """
    there, here = ([(each["player"], each["kind"]) for each in s["schedulers"]] for s in (before, now))
    if there != here:
        raise InputError(
            f"the checkpoint was trained with schedules {_told(there)}, and this run has {_told(here)}: a resumed run keeps "
            "the kinds of schedules that it began with"
        )


def follow_changes(
    optimizers: Mapping[str, Optimizer], schedulers: Sequence[LRScheduler], before: Settings, now: Settings
) -> list[str]:
    """Applies the numbers that the user has changed to resumed optimizers and schedulers; all others stay as saved.

    A learning rate that a schedule has changed is changed in the same proportion: after half of a decay, a new rate
    continues at half of the new rate.

    Args:
        optimizers: with the checkpoint's state, by player.
        schedulers: with the checkpoint's state.
        before: :func:`settings` of the run that wrote the checkpoint.
        now: :func:`settings` of this one.

    Returns:
        The changes in the optimizers, as messages: ``generator: lr 0.0002 -> 1e-05``.
    """
    changes = []
    flat = [each for scheduler in schedulers for each in _and_those_inside(scheduler)]
    for player, optimizer in optimizers.items():
        # zip: Lightning has refused another number of groups
        groups = zip(optimizer.param_groups, before["groups"][player], now["groups"][player], strict=True)
        for place, (group, old, new) in enumerate(groups):
            for name in new.keys() & old.keys():
                # a schedule has its first rate in initial_lr; lr is where it stood before its first step
                if old[name] == new[name] or (name == "lr" and "initial_lr" in new):
                    continue
                if name == "initial_lr":
                    group["lr"] = new[name] * (float(group["lr"]) / old[name] if old[name] else 1.0)
                group[name] = deepcopy(new[name])
                changes.append(f"{player}: {'lr' if name == 'initial_lr' else name} {old[name]} -> {new[name]}")
                for each in flat:
                    if name == "initial_lr" and each.optimizer is optimizer:
                        each._last_lr[place] = group["lr"]
                        if not isinstance(each, SequentialLR):  # which leaves them to those inside
                            each.base_lrs[place] = new[name]
    for each, old, new in zip(flat, before["schedulers"], now["schedulers"], strict=True):
        vars(each).update(deepcopy({k: v for k, v in new["state"].items() if old["state"].get(k, v) != v}))
        if isinstance(each, Schedule):
            each.get_lr()  # sets the momentum on the way, if it is one of the momentum
    return sorted(changes)


def recorded(optimizer_states: Sequence[Mapping[str, Any]], now: Settings) -> Settings:
    """Reads :func:`settings` off the optimizers' state of a checkpoint without them. Schedules count as unchanged."""
    groups = [
        [{k: v for k, v in {**g, "lr": g.get("initial_lr", g["lr"])}.items() if _is_plain(v)} for g in state["param_groups"]]
        for state in optimizer_states
    ]
    return {"groups": dict(zip(now["groups"], groups, strict=True)), "schedulers": now["schedulers"]}


def _and_those_inside(scheduler: LRScheduler) -> Iterator[LRScheduler]:
    yield scheduler
    if isinstance(scheduler, SequentialLR):
        for each in scheduler._schedulers:
            yield from _and_those_inside(each)


def _state(scheduler: LRScheduler) -> Settings:
    state = vars(scheduler)
    return {k: deepcopy(v) for k, v in state.items() if k not in _AS_THEY_STAND and _is_plain(v)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    return value is None or isinstance(value, bool | int | float | str)


def _within(number: float, greatest: float, taken: bool) -> bool:
    return 0 <= number <= greatest if taken else 0 <= number < greatest


def _told(schedulers: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{kind} ({player})" for player, kind in schedulers) or "none"
