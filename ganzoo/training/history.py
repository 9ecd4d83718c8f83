"""Historical averaging: a player is pulled towards the mean of its own past parameters."""

from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.training.players import Player

MEAN, STEPS = "historical_mean", "historical_steps"  # in the optimizer's state of each parameter


@torch.no_grad()
def pull_to_history(player: Player, weight: float) -> Tensor:
    """Adds the gradient of ``weight ||theta - mean||^2`` to a player's gradients (Salimans et al. 2016, section 3.3).

    Args:
        player: the player, with its gradients; nothing is added before its first step.
        weight: factor of the term.

    Returns:
        The term, a scalar without a graph.
    """
    parameters = [parameter for parameter in player.parameters if MEAN in _state(player, parameter)]
    total = torch.zeros((), device=player.parameters[0].device)
    for parameter in parameters:
        apart = parameter - _state(player, parameter)[MEAN]
        pull = 2 * weight * apart
        parameter.grad = pull if parameter.grad is None else parameter.grad + pull
        total = total + weight * apart.square().sum()
    return total


@torch.no_grad()
def update_history(player: Player) -> None:
    """Takes a player's parameters, after its step, into their means over all steps so far."""
    for parameter in player.parameters:
        state = _state(player, parameter)
        state[STEPS] = state.get(STEPS, 0) + 1
        if MEAN in state:
            state[MEAN].lerp_(parameter, 1 / state[STEPS])
        else:
            state[MEAN] = parameter.detach().clone()


def _state(player: Player, parameter: nn.Parameter) -> dict[str, Any]:
    return player.optimizer.optimizer.state[parameter]
