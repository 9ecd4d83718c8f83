"""Learning rates of parts of a network, as factors on the player's rate: one parameter group per factor."""

from collections.abc import Iterable, Mapping, Sequence
from math import isclose
from typing import Any

from torch import nn
from torch.optim import Optimizer

from ganzoo.errors import InputError


def check_rates(rates: Mapping[str, float], moved: Iterable[str]) -> None:
    """Checks that each name in ``rates`` fits a parameter that a player trains.

    Args:
        rates: a factor above 0 for each name of a network, a layer or a parameter.
        moved: the names of all parameters that players train.

    Raises:
        InputError: no parameter has that name or lies within it.
    """
    moved = list(moved)
    for name in rates:
        if not any(_within(name, parameter) for parameter in moved):
            known = ", ".join(dict.fromkeys(parameter.partition(".")[0] for parameter in moved))
            raise InputError(
                f"rates: no player moves a '{name}': the networks are {known}; a part of one is named as in G.layers.0"
            )


def factor_of(parameter: str, rates: Mapping[str, float]) -> float:
    """Returns a parameter's factor: that of the longest name in ``rates`` that contains it, else 1."""
    fitting = [name for name in rates if _within(name, parameter)]
    return float(rates[max(fitting, key=len)]) if fitting else 1.0


def split_by_rate(optimizer: Optimizer, names: Mapping[nn.Parameter, str], rates: Mapping[str, float]) -> None:
    """Splits an optimizer's groups by factor, and multiplies each group's learning rate by its factor.

    Args:
        optimizer: the optimizer, before its first step.
        names: the names of its parameters.
        rates: see :func:`check_rates`. Groups in which no factor differs stay whole.
    """
    groups: list[dict[str, Any]] = []
    for group in optimizer.param_groups:
        parts: dict[float, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            parts.setdefault(factor_of(names[parameter], rates), []).append(parameter)
        groups += [{**group, "params": part, "lr": group["lr"] * factor} for factor, part in parts.items()]
    optimizer.param_groups[:] = groups


def check_ratio(optimizer: Optimizer, before: Sequence[float], schedule: str) -> None:
    """Checks that a new schedule keeps the ratio of the groups' learning rates.

    Args:
        optimizer: the optimizer that the schedule is for.
        before: the groups' rates before the schedule was built.
        schedule: the schedule's name, for the error.

    Raises:
        InputError: the ratio has changed.
    """
    now = [float(group["lr"]) for group in optimizer.param_groups]
    if any(not isclose(rate * before[0], now[0] * old, rel_tol=1e-6) for rate, old in zip(now, before, strict=True)):
        raise InputError(
            f"{schedule} sets its own rates and drops model.rates: give each of its rates as a list, one for each of "
            f"the {len(now)} groups, or take a schedule that multiplies the rate"
        )


def _within(name: str, parameter: str) -> bool:
    return parameter == name or parameter.startswith(f"{name}.")
