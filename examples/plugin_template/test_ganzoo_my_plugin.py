"""Tests of the plug-in: ``pip install . pytest`` and ``pytest`` in this folder."""

from math import log

import pytest
import torch
from ganzoo_my_plugin import Smoothed, SmoothedGAN


def test_the_cost_is_log_4_where_the_discriminator_is_undecided():
    assert Smoothed(0.1).discriminator(torch.zeros(3), torch.zeros(2)).item() == pytest.approx(log(4))


def test_the_best_answer_to_equal_images_is_less_than_one_half():
    """(1 - s) / 2, where plain costs give 1/2."""
    logit = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([logit], lr=0.5, max_iter=50)

    def cost():
        optimizer.zero_grad()
        value = Smoothed(0.2).discriminator(logit, logit)
        value.backward()
        return value

    optimizer.step(cost)
    assert logit.sigmoid().item() == pytest.approx(0.4, abs=1e-4)


def test_it_generates_images():
    model = SmoothedGAN(shape=(1, 8, 8), latent=4, hidden=8)
    assert model.loss.smoothing == 0.1
    assert model.eval().sample(3).shape == (3, 1, 8, 8)
