"""Pix2Pix: its costs by hand, what the discriminator sees, its arguments."""

from math import log

import pytest
import torch
from support.small_models import small
from torch import nn

from ganzoo.models import Pix2Pix


def test_what_pix2pixs_generator_descends():
    y, fake = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.25)
    fake[0, 0, 0, 0] = -0.5  # L1, not a square: |-0.5| counts twice as much as 0.25, not four times
    terms = small(Pix2Pix).generator_losses(torch.zeros(2, 1, 2, 2), fake, y)
    assert terms["gan"].item() == pytest.approx(log(2))
    assert terms["l1"].item() == pytest.approx(100 * (95 * 0.25 + 0.5) / 96)
    assert small(Pix2Pix, lambda_L1=7.0).generator_losses(torch.zeros(1), fake, y)["l1"].item() == pytest.approx(
        7 * (95 * 0.25 + 0.5) / 96
    )


def test_pix2pixs_discriminator_sees_question_and_answer():
    model = small(Pix2Pix)
    x, y = (torch.randn(1, 3, 16, 16, requires_grad=True) for _ in range(2))
    model.discriminate(x, y).sum().backward()
    assert x.grad.abs().max() > 0
    assert y.grad.abs().max() > 0


@pytest.mark.parametrize(("patch", "layers"), [(1, 0), (16, 1), (34, 2), (70, 3), (142, 4), (286, 5)])
def test_patch_chooses_the_discriminator(patch, layers):
    D = small(Pix2Pix, patch=patch).D
    strided = [m for m in D.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    assert len(strided) == layers


def test_skips_can_be_left_out():
    with_skips, without = (sum(p.numel() for p in small(Pix2Pix, skips=s).G.parameters()) for s in (True, False))
    assert without < with_skips
