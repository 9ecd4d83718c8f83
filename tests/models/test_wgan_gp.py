"""WGAN-GP: the penalty in the critic's loss, what cannot be combined with it, and the distance that its critic measures."""

from functools import cache

import pytest
import torch
from support.toy_distributions import against_a_shift, stream, trained
from support.training import Batch, fit, loader
from support.training_bounds import bounded
from torch import nn
from torch.optim import Adam

from ganzoo.errors import InputError
from ganzoo.models import WGANGP
from ganzoo.networks.families import DCGANFamily, LayerNormDCGANFamily, MLPFamily, ResidualFamily, SmallFamily
from ganzoo.penalties import gradient_penalty
from ganzoo.regularizers import GradientPenalty


def test_the_defaults_are_the_papers():
    """Algorithm 1: lambda = 10, 5 critic steps, Adam at 1e-4 with betas 0 and 0.9."""
    model = WGANGP()
    assert [vars(each) for each in model.regularizers] == [{"weight": 10.0}]
    assert (model.n_critic, model.latent) == (5, 128)
    optimizer = model.player_optimizer("generator", model.G.parameters())
    assert type(optimizer) is Adam
    assert (optimizer.defaults["lr"], optimizer.defaults["betas"]) == (1e-4, (0.0, 0.9))
    assert not any(isinstance(part, nn.BatchNorm2d) for part in model.D.modules())
    assert any(isinstance(part, nn.BatchNorm2d) for part in model.G.modules())


@pytest.mark.parametrize(
    ("family", "shape"),
    [(LayerNormDCGANFamily(4), (1, 16, 16)), (ResidualFamily(4), (3, 8, 8)), (SmallFamily(4), (1, 28, 28))],
    ids=lambda value: type(value).__name__,
)
def test_every_family_without_batch_norm_trains(family, shape, tmp_path):
    torch.manual_seed(0)
    model = WGANGP(shape=shape, latent=4, family=family, n_critic=1)
    before = [p.detach().clone() for p in model.parameters()]
    played = fit(model, loader(torch.rand(4, *shape) * 2 - 1, batch_size=2), tmp_path, max_epochs=1, log_every_n_steps=1)
    logged = played.logged_metrics
    assert logged["discriminator/gradient_penalty"] > 0
    total = logged["discriminator/gan"] + logged["discriminator/gradient_penalty"]
    assert logged["discriminator/loss"].item() == pytest.approx(total.item(), rel=1e-5)
    moved = sum(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert moved > 0.8 * len(before)


def test_nothing_is_clipped(tmp_path):
    model = WGANGP(shape=(1, 8, 8), latent=4, family=MLPFamily(8), n_critic=1)
    fit(model, loader(torch.rand(4, 1, 8, 8), batch_size=2), tmp_path, max_epochs=1)
    assert max(p.abs().max() for p in model.D.parameters()) > 0.1
    with pytest.raises(InputError, match="WGANGP has no argument 'clip'"):
        WGANGP(clip=0.1)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"family": DCGANFamily(4)}, "cannot have batch norm, which mixes the samples whose gradients are penalised"),
        ({"regularizers": []}, "without clip the critic needs a regularizer"),
        ({"family": SmallFamily(4)}, "28 x 28 pixels, not 16 x 16"),
    ],
)
def test_what_cannot_be_penalised_is_refused_before_training(options, reason):
    with pytest.raises(InputError, match=reason) as caught:
        WGANGP(shape=(3, 16, 16), **options)
    assert "\n" not in str(caught.value)


# -- the distance between two normals -----------------------------------------------------------------


class WithoutGraph(GradientPenalty):
    """Broken: the penalty has no graph, as without ``create_graph``."""

    def __call__(self, D, real, fake):
        return super().__call__(D, real, fake).detach()


class OnSamplesAlone(GradientPenalty):
    """Broken: no point lies between real and generated samples."""

    def __call__(self, D, real, fake):
        return self.weight * gradient_penalty(D, fake, fake)


def normal(n, g):
    return Batch(torch.randn(n, 2, generator=g))


@cache
def measured(seed, by, penalty=GradientPenalty, steps=300):
    """A critic's estimate of the distance |by| of N(0, I) and N(by, I), as a share of it, and its mean gradient norm."""
    torch.manual_seed(seed)
    model = against_a_shift(WGANGP, list(by), family=MLPFamily(64, 2), lr=1e-3, beta1=0.5, regularizers=[penalty()])
    trained(model, stream(normal, steps, 256, seed))
    g = torch.Generator().manual_seed(9)
    real, fake, e = normal(20_000, g).x, model.G(model.z(20_000, g)).detach(), torch.rand(20_000, 1, generator=g)
    between = (e * real + (1 - e) * fake).requires_grad_()
    (gradients,) = torch.autograd.grad(model.D(between).sum(), between)
    with torch.no_grad():
        estimate = model.D(real).mean() - model.D(fake).mean()
    return (estimate / torch.tensor(by).norm()).item(), gradients.norm(dim=1).mean().item()


def test_a_linear_critics_best_slope_is_above_one():
    """``s W - lambda (s - 1)^2`` has its maximum at s = 1 + W / (2 lambda): the estimate is too large by this share."""
    for distance in (1.0, 3.0):
        w = torch.tensor([[0.5, 0.0]], requires_grad=True)
        x = torch.randn(64, 2)
        fake = x + torch.tensor([-distance, 0.0])
        for _ in range(200):
            cost = (fake @ w.T).mean() - (x @ w.T).mean() + GradientPenalty()(lambda v, w=w: v @ w.T, x, fake)
            (slope,) = torch.autograd.grad(cost, w)
            w = (w - 0.02 * slope).detach().requires_grad_()
        assert w[0, 0].item() == pytest.approx(1 + distance / 20, abs=1e-3)


@bounded(median_of=5, error="< 0.1", norm_error="< 0.1")
def a_distance_of_two_normals(seed):
    estimate, norm = measured(seed, (0.8, -0.6))
    return {"error": abs(estimate - 1), "norm_error": abs(norm - 1)}


@bounded(estimate="> 10")
def a_distance_without_the_penaltys_graph(seed):
    return {"estimate": measured(seed, (0.8, -0.6), WithoutGraph, 100)[0]}


@bounded(right="< 1.5", on_samples_alone="> 1.8")
def a_distance_with_a_penalty_on_samples_alone(seed):
    """At a distance of 3, where most points between the two are near neither."""
    return {
        "right": measured(seed, (2.4, -1.8), GradientPenalty, 150)[0],
        "on_samples_alone": measured(seed, (2.4, -1.8), OnSamplesAlone, 150)[0],
    }


@pytest.mark.parametrize(
    "task",
    [
        a_distance_of_two_normals,
        a_distance_without_the_penaltys_graph,
        a_distance_with_a_penalty_on_samples_alone,
    ],
    ids=lambda task: task.name,
)
def test_the_critic_measures_the_distance(task):
    task.check()
