"""Modes that are found, on samples whose answers are known."""

import importlib
import sys
from math import exp, log
from pathlib import Path

import numpy as np
import pytest
import torch
from support.features import global_streams_untouched
from torch import Tensor

from ganzoo.errors import InputError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
example = importlib.import_module("modes")
grid, jensen_shannon, modes, ring = example.grid, example.jensen_shannon, example.modes, example.ring

_untouched = pytest.fixture(autouse=True)(global_streams_untouched)


def mixture(centres: Tensor, sigma: float, n: int, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    which = torch.randint(len(centres), (n,), generator=g)
    return centres[which] + sigma * torch.randn(n, 2, generator=g)


@pytest.mark.parametrize(("centres", "sigma"), [(ring(), 0.01), (grid(), 0.05)])
def test_real_samples_have_all_modes_and_nearly_all_high_quality(centres, sigma):
    """Within three deviations in the plane: 1 - exp(-9/2)."""
    found = modes(mixture(centres, sigma, 2500), centres, sigma)
    assert found.found == len(centres)
    assert found.missing == ()
    assert found.high_quality == pytest.approx(1 - exp(-4.5), abs=0.005)
    assert found.divergence < 0.002
    many = modes(mixture(centres, sigma, 200_000), centres, sigma)
    assert many.high_quality == pytest.approx(1 - exp(-4.5), abs=0.001)
    two = modes(mixture(centres, sigma, 200_000), centres, sigma, deviations=2)
    assert two.high_quality == pytest.approx(1 - exp(-2), abs=0.003)


def test_rings_and_grids_are_where_they_should_be():
    assert len(ring()) == 8
    assert torch.cdist(ring(), ring()).fill_diagonal_(9).min() == pytest.approx(2 * np.sin(np.pi / 8))  # none twice
    assert ring(4, 2.0).flatten().tolist() == pytest.approx([2, 0, 0, 2, -2, 0, 0, -2], abs=1e-12)
    assert len(grid()) == 25
    assert grid().min() == -4
    assert grid().max() == 4
    assert torch.cdist(grid(), grid()).fill_diagonal_(9).min() == 2
    assert sorted(grid(2, 3.0).tolist()) == [[-1.5, -1.5], [-1.5, 1.5], [1.5, -1.5], [1.5, 1.5]]


def test_of_a_collapsed_generator_one_mode_is_found():
    """Divergence of one place from K even ones, by hand."""
    found = modes(grid()[3].expand(100, 2), grid(), 0.05)
    assert found.found == 1
    assert found.high_quality == 1
    assert found.missing == tuple(i for i in range(25) if i != 3)
    m = [(1 + 1 / 25) / 2] + [1 / 50] * 24
    known = 0.5 * log(1 / m[0]) + 0.5 * sum(1 / 25 * log(1 / 25 / each) for each in m)
    assert found.divergence == pytest.approx(known)


def test_uniform_noise_is_even_and_of_low_quality():
    """Of the square [-5, 5]^2 the 25 discs are 25 pi 0.15^2 / 100 = 1.77 %."""
    noise = 10 * torch.rand(400_000, 2, generator=torch.Generator().manual_seed(0)) - 5
    found = modes(noise, grid(), 0.05)
    assert found.high_quality == pytest.approx(25 * np.pi * 0.15**2 / 100, abs=0.001)
    assert found.divergence < 0.02


def test_a_mode_without_a_good_sample_is_missing():
    centres = ring()
    seven = mixture(centres[1:], 0.01, 2000)
    assert modes(seven, centres, 0.01).missing == (0,)
    edge = torch.tensor([[1.0299, 0.0]]), torch.tensor([[1.0301, 0.0]])
    assert [modes(torch.cat([seven, each]), centres, 0.01).missing for each in edge] == [(), (0,)]


def test_jensen_shannon():
    p, q = torch.tensor([1, 3, 0]), torch.tensor([2, 0, 2])
    m = [(1 / 4 + 1 / 2) / 2, 3 / 8, 1 / 4]
    known = 0.5 * (0.25 * log(0.25 / m[0]) + 0.75 * log(0.75 / m[1])) + 0.5 * (0.5 * log(0.5 / m[0]) + 0.5 * log(0.5 / m[2]))
    assert jensen_shannon(p, q) == pytest.approx(known)
    assert jensen_shannon(q, p) == pytest.approx(known)
    assert jensen_shannon(p, 5 * p) == 0
    assert jensen_shannon(torch.tensor([1, 0]), torch.tensor([0, 1])) == pytest.approx(log(2))
    for wrong in (torch.zeros(3), torch.tensor([1, -1, 3]), torch.ones(2)):
        with pytest.raises(InputError, match="histograms"):
            jensen_shannon(p, wrong)
