"""Gradient reversal by finite differences, and its strength over the training."""

import math

import pytest
import torch
from torch import Tensor

from ganzoo.ops.gradient_reversal import lambda_p, reverse


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0, -1.0])
def test_reversal_is_the_identity_whose_gradient_comes_back_reversed(strength):
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.equal(reverse(x, strength), x)

    def head(value: Tensor) -> Tensor:
        return (value.sin() * torch.arange(15.0, dtype=torch.float64).view(5, 3)).sum()

    head(reverse(x, strength)).backward()
    h = 1e-6
    for place in ((0, 0), (2, 1), (4, 2)):
        step = torch.zeros_like(x)
        step[place] = h
        slope = (head(x.detach() + step) - head(x.detach() - step)) / (2 * h)
        assert x.grad[place].item() == pytest.approx(-strength * slope.item(), abs=1e-6)


@pytest.mark.parametrize(
    ("p", "expected"), [(0.0, 0.0), (0.1, 0.462117), (0.25, 0.848284), (0.5, 0.986614), (1.0, 0.999909)]
)
def test_lambda_p(p, expected):
    assert lambda_p(p) == pytest.approx(expected, abs=1e-6)
    assert lambda_p(p) == pytest.approx(math.tanh(5 * p), abs=1e-12)  # the same function in other words
