"""Parzen windows by closed forms."""

from math import log, pi

import pytest
import torch

from ganzoo.metrics.parzen import SIGMAS, log_density, log_likelihood


def test_one_sample_is_one_normal():
    found = log_density(torch.tensor([[1.0, 2.0, 2.0]]), torch.zeros(1, 3), 0.5)
    assert found.item() == pytest.approx(-9 / (2 * 0.25) - 3 * log(0.5 * (2 * pi) ** 0.5))


def test_two_samples_are_their_mean_and_not_their_sum():
    points = torch.tensor([[0.3]])
    one, twice = log_density(points, torch.zeros(1, 1), 1.0), log_density(points, torch.zeros(2, 1), 1.0)
    assert twice.item() == pytest.approx(one.item())
    far = log_density(points, torch.tensor([[0.0], [1e4]]), 1.0)
    assert far.item() == pytest.approx(one.item() - log(2))


def test_many_samples_of_a_normal_give_its_smoothed_density():
    """Samples of N(0, 1) under windows of width s are N(0, 1 + s^2)."""
    g = torch.Generator().manual_seed(0)
    samples, points = torch.randn(20_000, 1, generator=g), torch.linspace(-2, 2, 1201)[:, None]
    variance = 1 + 0.2**2
    truth = -points.double().square().squeeze(1) / (2 * variance) - 0.5 * log(2 * pi * variance)
    assert (log_density(points, samples, 0.2) - truth).abs().mean() < 0.03


def test_the_width_is_chosen_on_validation_and_the_error_is_of_the_mean():
    g = torch.Generator().manual_seed(1)
    samples, validation, test = (torch.randn(n, 4, generator=g) for n in (500, 300, 400))
    sigmas = (0.05, 0.4, 3.0)
    found = log_likelihood(samples, validation, test, sigmas)
    assert found.sigma == 0.4
    each = log_density(test, samples, 0.4)
    assert found.mean == pytest.approx(each.mean().item())
    assert found.error == pytest.approx(each.std().item() / 20)
    assert log_likelihood(samples, validation * 0.001, test, (0.001, 1.0)).sigma == 1.0


def test_the_widths_of_the_released_code():
    assert SIGMAS[0] == pytest.approx(0.1)
    assert SIGMAS[-1] == pytest.approx(1.0)
    assert len(SIGMAS) == 10


def test_collapsed_samples_are_unlikelier_than_spread_ones():
    g = torch.Generator().manual_seed(2)
    test, validation, spread = (torch.rand(300, 8, generator=g) for _ in range(3))
    assert (
        log_likelihood(spread, validation, test).mean > log_likelihood(spread[:1].expand(300, -1), validation, test).mean + 1
    )
