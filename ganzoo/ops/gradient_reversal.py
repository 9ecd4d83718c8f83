"""Gradient reversal (Ganin and Lempitsky 2015; Ganin et al. 2016, section 4.2, eq. 16 and 17).

``R(x) = x`` and ``dR/dx = -lambda I``: what follows the layer descends its loss at full strength, what comes before it
ascends the same loss at strength lambda. The strength is an argument, so nothing is counted or remembered here.
"""

import math
from typing import Any

import torch
from torch import Tensor


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return -ctx.strength * gradient, None


def reverse(x: Tensor, strength: float) -> Tensor:
    """Returns ``x`` unchanged; its gradient is multiplied by ``-strength``. Any shape and floating dtype."""
    return _Reversal.apply(x, strength)


def lambda_p(progress: float, gamma: float = 10.0) -> float:
    """Computes DANN's lambda, ``2 / (1 + exp(-gamma p)) - 1`` (Ganin et al. 2016, section 5.2.2): from 0 to nearly 1.

    Args:
        progress: p, the share of the training that is done, in [0, 1].
        gamma: how soon it rises; the paper's is 10.
    """
    return 2.0 / (1.0 + math.exp(-gamma * progress)) - 1.0
