"""The laws of the games and pictures in examples/theory, each against its closed form."""

import importlib
import subprocess
import sys
from cmath import phase
from math import log, pi, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ganzoo.metrics.divergences import jensen_shannon, kullback_leibler

THEORY = Path(__file__).resolve().parents[2] / "examples" / "theory"
sys.path.insert(0, str(THEORY))
games, dirac_gan, divergences, generator_costs, one_dimension = (
    importlib.import_module(name) for name in ("games", "dirac_gan", "divergences", "generator_costs", "one_dimension")
)

THIRDS = np.full(3, 1 / 3)


# -- games ----------------------------------------------------------------------------------------------------------------


def test_the_picture_of_xy_has_the_paths_of_the_laws():
    """The grammar's own play is held to the same laws in tests/test_games.py."""
    outward, around = (games.xy_game(1000, 0.1, simultaneous) for simultaneous in (True, False))
    assert np.hypot(*outward.T) == pytest.approx(1.01 ** (np.arange(1001) / 2))
    x, y = around.T
    assert x**2 + y**2 - 0.1 * x * y == pytest.approx(np.ones(1001), abs=1e-12)


def test_thirds_are_the_only_equilibrium_of_rock_paper_scissors_and_its_value_is_0():
    payoff = games.ROCK_PAPER_SCISSORS
    assert THIRDS @ payoff @ THIRDS == 0
    assert games.exploitability(payoff, THIRDS, THIRDS) == pytest.approx(0, abs=1e-15)
    rng = np.random.default_rng(0)
    for row, column in rng.dirichlet(np.ones(3), (200, 2)):
        assert games.exploitability(payoff, row, column) > 0
        # the minimax theorem: no strategy is sure to win more than the value, or to lose less
        assert (row @ payoff).min() <= 0 <= (payoff @ row).max()
    rock, paper, scissors = np.eye(3)
    # rock against paper: each could win with certainty; scissors against themselves: rock wins twice
    assert games.exploitability(payoff, rock, paper) == games.exploitability(payoff, scissors, scissors) == 2
    # against thirds nothing is won, and the answer to rock is paper
    assert games.exploitability(payoff, THIRDS, rock) == games.exploitability(payoff, rock, THIRDS) == 1
    assert [paper @ payoff @ rock, scissors @ payoff @ paper, rock @ payoff @ scissors] == [1, 1, 1]  # each beats the next


@pytest.mark.parametrize("eta", [0.02, 0.05, 0.2])
def test_the_average_of_multiplicative_weights_finds_the_equilibrium_and_the_weights_do_not(eta):
    payoff, rounds, start = games.ROCK_PAPER_SCISSORS, 4000, np.array([0.5, 0.3, 0.2])
    played = games.multiplicative_weights(payoff, rounds, eta, start, start[[1, 2, 0]])
    average = [each.mean(0) for each in played]
    assert np.abs(np.array(average) - 1 / 3).max() < 0.02
    assert games.exploitability(payoff, *average) <= games.regret_bound(3, rounds, eta)
    assert len(played.row) == len(played.column) == rounds
    # away from the equilibrium, in every round (Bailey and Piliouras 2018)
    away = sum(-(np.log(each) @ THIRDS) for each in played)
    assert (np.diff(away) >= -1e-12).all()
    assert away[-1] > away[0] + 0.05


def test_the_bound_of_the_regret_is_least_at_the_best_learning_rate():
    """Two players' ``log(n) / (eta T) + eta / 2``: at ``eta = sqrt(2 log(n) / T)`` each has eta."""
    best = sqrt(2 * log(3) / 4000)
    assert games.regret_bound(3, 4000, best) == pytest.approx(2 * best)
    for other in (2 * best, best / 2):
        assert games.regret_bound(3, 4000, other) == pytest.approx(2.5 * best)


# -- the Dirac-GAN --------------------------------------------------------------------------------------------------------


def test_without_a_penalty_the_dirac_gan_moves_away_in_every_step():
    """``r^2`` grows by the factor ``1 + h^2 f'^2``, f' = sigmoid(psi theta)."""
    path = dirac_gan.play(dirac_gan.DiracGAN(lr=0.1), 200)
    squares, slope = path.square().sum(1), path.prod(1).sigmoid()
    assert (squares[1:] / squares[:-1]).tolist() == pytest.approx((1 + 0.01 * slope[:-1].square()).tolist(), rel=1e-6)
    assert squares[-1] > 1.5


@pytest.mark.parametrize(("gamma", "turns"), [(0.2, True), (0.6, True), (1.5, False)])
def test_with_r1_it_converges_at_the_rate_of_the_eigenvalues(gamma, turns):
    """Around the equilibrium while gamma is below ``2 f'(0)``, which is 1, and straight above it."""
    path = dirac_gan.play(dirac_gan.DiracGAN(gamma, lr=0.1), 620)
    factor = max((1 + 0.1 * each for each in dirac_gan.eigenvalues(gamma)), key=abs)
    assert bool(factor.imag) == turns
    assert ((path[:-1] * path[1:]).min() < 0).item() == turns
    distance, steps = path.norm(dim=1), round(4 * pi / abs(phase(factor))) if turns else 300  # two whole turns
    assert (distance[300 + steps] / distance[300]) ** (1 / steps) == pytest.approx(abs(factor), abs=1e-4)


# -- divergences ----------------------------------------------------------------------------------------------------------


def test_the_curves_of_kl_are_those_of_the_closed_form():
    p = divergences.normal(0, 1)
    for mean, sigma in ((0, 0.4), (0, 2.0), (1.5, 0.8)):
        q = divergences.normal(mean, sigma)
        assert kullback_leibler(p, q) == pytest.approx(divergences.kl_of_normals(0, 1, mean, sigma), rel=1e-6)
        assert divergences.reverse(p, q) == pytest.approx(divergences.kl_of_normals(mean, sigma, 0, 1), rel=1e-6)
    # the picture's point: the two directions differ, JS has one
    assert kullback_leibler(p, q) != pytest.approx(divergences.reverse(p, q), rel=0.1)
    assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(q, p))


def test_forward_kl_covers_both_modes_and_reverse_kl_sits_on_one():
    modes = divergences.two_modes()
    mean, sigma = divergences.fit(modes, kullback_leibler)
    assert (mean, sigma) == pytest.approx((0, sqrt(0.6**2 + 4)), abs=0.01)  # the moments of the mixture
    mean, sigma = divergences.fit(modes, divergences.reverse)
    assert (mean, sigma) == pytest.approx((2, 0.6), abs=0.05)


# -- costs of the generator -----------------------------------------------------------------------------------------------


def test_the_slopes_in_the_picture():
    logits = torch.linspace(-7, 4, 12)
    minimax, non_saturating, likelihood = (generator_costs.slopes(cost, logits) for cost in generator_costs.COSTS.values())
    assert torch.allclose(minimax, -logits.sigmoid())
    assert torch.allclose(non_saturating, logits.sigmoid() - 1)
    assert torch.allclose(likelihood, -logits.exp())


def test_a_gradient_vanishes_while_d_learns_where_the_cost_saturates():
    sizes = generator_costs.gradients_while_d_learns(100, 50)
    minimax, non_saturating, likelihood, wasserstein = (each[-1] for each in sizes.values())
    assert max(minimax, likelihood) < 0.1
    assert non_saturating > 10 * minimax
    assert wasserstein == pytest.approx(1, abs=0.5)  # the penalty holds the critic's slope at 1


# -- one dimension --------------------------------------------------------------------------------------------------------


def test_the_density_of_samples_is_that_of_the_generator():
    found = one_dimension.density_of_samples(nn.Identity())
    known = torch.exp(-0.5 * one_dimension.X**2 / (1 + 0.05**2)) / (2 * torch.pi * (1 + 0.05**2)) ** 0.5
    assert (found - known).abs().max() < 1e-3


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_only_the_players_that_have_turns_move_and_their_cost_falls(player):
    """By 0.17 to 1.54 in D's turns and by 0.05 to 0.52 in G's, with eight seeds."""
    torch.manual_seed(0)
    game = one_dimension.OneDimensionalGAN((player,))
    x, z = one_dimension.MEAN + one_dimension.SIGMA * torch.randn(2000, 1), game.z(2000)

    def cost() -> float:
        real, fake = game.D(x), game.D(game.G(z))
        return float(game.loss.discriminator(real, fake) if player == "discriminator" else game.loss.generator(fake))

    before, first = {name: p.detach().clone() for name, p in game.named_parameters()}, cost()
    one_dimension.train(game, 30)
    moved = {name[0] for name, p in game.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"discriminator": {"D"}, "generator": {"G"}}[player]
    assert cost() < first - 0.01


@pytest.mark.slow
def test_the_four_moments_of_the_figure():
    early, optimum, moved, end = one_dimension.moments()
    p = one_dimension.density_of_data(one_dimension.X)

    def mean(values, weights):
        return float((values * weights).sum() / weights.sum())

    assert torch.equal(early.q, optimum.q)  # G was held
    wanted = p / (p + optimum.q)
    assert mean((optimum.D - wanted).abs(), p + optimum.q) < 0.05
    assert mean((early.D - wanted).abs(), p + optimum.q) > 2 * mean((optimum.D - wanted).abs(), p + optimum.q)
    assert torch.equal(optimum.D, moved.D)  # D was held
    assert mean(one_dimension.X, moved.q) < mean(one_dimension.X, optimum.q) - 0.1  # towards the data, which are on the left
    assert mean((end.D - 0.5).abs(), p) < 0.1
    assert mean(one_dimension.X, end.q) == pytest.approx(one_dimension.MEAN, abs=0.2)


@pytest.mark.parametrize(
    "script", ["games", *(pytest.param(name, marks=pytest.mark.slow) for name in ("divergences", "dirac_gan"))]
)
def test_a_script_draws_its_picture(script, tmp_path):
    pytest.importorskip("matplotlib")
    file = tmp_path / "picture.png"
    subprocess.run([sys.executable, THEORY / f"{script}.py", "--out", file], check=True, capture_output=True)
    assert file.stat().st_size > 20_000
