"""LSGAN: both choices of targets, and a gradient where a cross-entropy has none left."""

import pytest
import torch
from support.toy_distributions import against_a_shift, stream, trained
from support.training import Batch

from ganzoo.losses import LeastSquares, Minimax, PearsonLeastSquares
from ganzoo.models import DCGAN, LSGAN
from ganzoo.networks.families import MLPFamily


def small(**options):
    return LSGAN(shape=(1, 8, 8), width=4, **options)


def targets(model):
    return model.loss.fake_target, model.loss.real_target, model.loss.generator_target


def test_it_is_a_dcgan_with_the_papers_loss_and_rate():
    torch.manual_seed(0)
    model = LSGAN(shape=(1, 16, 16), width=4)
    torch.manual_seed(0)
    other = DCGAN(shape=(1, 16, 16), width=4)
    assert (targets(model), model.lr, model.beta1) == ((0, 1, 1), 1e-3, 0.5)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_both_choices_of_the_paper():
    """Section 3.2.3; the second needs b - c = 1 and b - a = 2."""
    assert targets(small(loss=PearsonLeastSquares())) == (-1, 1, 0)
    real, fake = torch.tensor([3.0]), torch.tensor([1.0, -2.0])
    assert small().discriminator_losses(real, fake)["gan"].item() == pytest.approx(0.5 * 4 + 0.5 * 2.5)
    assert small().generator_losses(fake)["gan"].item() == pytest.approx(0.5 * 4.5)
    pearson = small(loss={"class_path": "ganzoo.losses.PearsonLeastSquares"})
    assert pearson.discriminator_losses(real, fake)["gan"].item() == pytest.approx(0.5 * 4 + 0.5 * 2.5)
    assert pearson.generator_losses(fake)["gan"].item() == pytest.approx(0.5 * 2.5)


def pull(model, output):
    """The size of the generator's gradient where D's output on every sample is ``output``."""
    outputs = torch.full((4, 1), output, requires_grad=True)
    (gradient,) = torch.autograd.grad(model.generator_losses(outputs)["gan"], outputs)
    return gradient.abs().sum().item()


def test_the_generator_is_pulled_from_far_away():
    """Where D is sure of a sample: at its target a, or, of a cross-entropy, at a logit of -10."""
    for loss in (LeastSquares(), PearsonLeastSquares()):
        assert pull(small(loss=loss), loss.fake_target) > 100 * pull(small(loss=Minimax()), -10.0)
    swapped = LeastSquares(fake_target=1.0, real_target=0.0)  # broken: D gives a sample what G wants already
    assert pull(small(loss=swapped), swapped.fake_target) == 0


def test_the_generator_moves_towards_the_data():
    """Its samples are 2 too large at the start, and after 60 steps 1.40 to 1.53 with eight seeds."""
    model = against_a_shift(LSGAN, [2.0], k=1, lr=1e-2, family=MLPFamily(8, 1))
    trained(model, stream(lambda n, g: Batch(torch.randn(n, 1, generator=g)), 60, 64))
    assert 1.2 < model.G.by.item() < 1.75
