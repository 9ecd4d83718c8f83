"""LSGAN: both choices of targets, and a gradient where a cross-entropy has none left."""

from functools import cache

import pytest
import torch
from support.toy_distributions import against_a_shift, stream, trained
from support.training import Batch
from support.training_bounds import bounded

from ganzoo.losses import LeastSquares, Minimax, PearsonLeastSquares
from ganzoo.models import DCGAN, LSGAN
from ganzoo.networks.families import MLPFamily


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
    assert targets(LSGAN(shape=(1, 8, 8), width=4, loss=PearsonLeastSquares())) == (-1, 1, 0)
    model = LSGAN(shape=(1, 8, 8), width=4)
    real, fake = torch.tensor([3.0]), torch.tensor([1.0, -2.0])
    assert model.discriminator_losses(real, fake)["gan"].item() == pytest.approx(0.5 * 4 + 0.5 * 2.5)
    assert model.generator_losses(fake)["gan"].item() == pytest.approx(0.5 * 4.5)
    pearson = LSGAN(shape=(1, 8, 8), width=4, loss={"class_path": "ganzoo.losses.PearsonLeastSquares"})
    assert pearson.discriminator_losses(real, fake)["gan"].item() == pytest.approx(0.5 * 4 + 0.5 * 2.5)
    assert pearson.generator_losses(fake)["gan"].item() == pytest.approx(0.5 * 2.5)


# -- far from the data --------------------------------------------------------------------------------

FAR = [20.0, 0.0]


def narrow(n, d=2, generator=None):
    return 0.2 * torch.randn(n, d, generator=generator)


@cache
def pull(seed, kind, *targets):
    """The mean length of the generator's gradient at samples far from the data, that a linear D can tell apart."""
    torch.manual_seed(seed)
    model = against_a_shift(LSGAN, FAR, narrow, loss=kind(*targets), lr=0.1, family=MLPFamily(layers=0))
    trained(model, stream(lambda n, g: Batch(narrow(n, generator=g)), 200, 64, seed))
    samples = model.G(narrow(2000, generator=torch.Generator().manual_seed(9))).detach().requires_grad_()
    cost = model.generator_losses(model.D(samples))["gan"]
    return 2000 * torch.autograd.grad(cost, samples)[0].norm(dim=1).mean()


@bounded(times="> 100")
def a_gradient_far_away(seed):
    return {"times": pull(seed, LeastSquares) / pull(seed, Minimax)}


@bounded(share="< 0.1")
def a_gradient_far_away_with_swapped_targets(seed):
    """Broken: a and b swapped. Then D's target on samples is what the generator wants already: it is pulled nowhere."""
    return {"share": pull(seed, LeastSquares, 1.0, 0.0, 1.0) / pull(seed, LeastSquares)}


@pytest.mark.parametrize("task", [a_gradient_far_away, a_gradient_far_away_with_swapped_targets], ids=lambda task: task.name)
def test_the_generator_is_pulled_from_far_away(task):
    task.check()
