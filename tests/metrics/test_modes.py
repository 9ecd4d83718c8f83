"""Modes that are found, on samples whose answers are known."""

from math import exp, log

import numpy as np
import pytest
import torch
from support.features import global_streams_untouched
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics.modes import NormalModes, StackedModes, grid, mode_coverage, ring

_untouched = pytest.fixture(autouse=True)(global_streams_untouched)


def mixture(centres: Tensor, sigma: float, n: int, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    which = torch.randint(len(centres), (n,), generator=g)
    return centres[which] + sigma * torch.randn(n, 2, generator=g)


@pytest.mark.parametrize(("centres", "sigma"), [(ring(), 0.01), (grid(), 0.05)])
def test_real_samples_have_all_modes_and_nearly_all_high_quality(centres, sigma):
    """Within three deviations in the plane: 1 - exp(-9/2) = 98.89 %."""
    found = mode_coverage(NormalModes(centres, sigma), mixture(centres, sigma, 2500))
    assert found.modes == len(centres)
    assert found.missing == ()
    assert found.high_quality == pytest.approx(1 - exp(-4.5), abs=0.005)
    assert found.js < 0.002
    # 2 N KL of a sample of the even distribution is chi-square with K - 1 degrees of freedom
    assert 2 * 2500 * found.kl == pytest.approx(len(centres) - 1, abs=4 * np.sqrt(2 * (len(centres) - 1)))
    many = mode_coverage(NormalModes(centres, sigma), mixture(centres, sigma, 200_000))
    assert many.high_quality == pytest.approx(1 - exp(-4.5), abs=0.001)
    two = mode_coverage(NormalModes(centres, sigma, deviations=2), mixture(centres, sigma, 200_000))
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
    """The divergences of one place from K even ones, by hand."""
    found = mode_coverage(NormalModes(grid(), 0.05), grid()[3].expand(100, 2))
    assert found.modes == 1
    assert found.high_quality == 1
    assert found.missing == tuple(i for i in range(25) if i != 3)
    m = [(1 + 1 / 25) / 2] + [1 / 50] * 24
    assert found.js == pytest.approx(0.5 * log(1 / m[0]) + 0.5 * sum(1 / 25 * log(1 / 25 / each) for each in m))
    assert found.kl == pytest.approx(log(25))


def test_uniform_noise_is_even_and_of_low_quality():
    """Of the square [-5, 5]^2 the 25 discs are 25 pi 0.15^2 / 100 = 1.77 %."""
    noise = 10 * torch.rand(400_000, 2, generator=torch.Generator().manual_seed(0)) - 5
    found = mode_coverage(NormalModes(grid(), 0.05), noise)
    assert found.high_quality == pytest.approx(25 * np.pi * 0.15**2 / 100, abs=0.001)
    assert found.js < 0.02


def test_a_mode_without_a_good_sample_is_missing():
    modes = NormalModes(ring(), 0.01)
    seven = mixture(ring()[1:], 0.01, 2000)
    assert mode_coverage(modes, seven).missing == (0,)
    edge = torch.tensor([[1.0299, 0.0]]), torch.tensor([[1.0301, 0.0]])
    assert [mode_coverage(modes, torch.cat([seven, each])).missing for each in edge] == [(), (0,)]


def test_how_samples_spread_is_of_all_of_them_whatever_their_quality():
    """Half of them exactly at mode 0, half a tenth of the way from mode 4: two modes of eight, as often."""
    near = torch.cat([ring()[:1].expand(50, 2), 0.9 * ring()[4:5].expand(50, 2)])
    found = mode_coverage(NormalModes(ring(), 0.01), near)
    assert (found.modes, found.high_quality) == (1, 0.5)
    assert found.kl == pytest.approx(log(4))


def test_modes_that_overlap_are_refused():
    NormalModes(ring(8), 0.12)  # neighbours are 0.765 apart, and 6 sigma are 0.72
    with pytest.raises(InputError, match="two modes overlap"):
        NormalModes(ring(8), 0.13)
    with pytest.raises(InputError, match="above 0"):
        NormalModes(ring(8), 0.0)


@pytest.mark.parametrize("samples", [torch.zeros(0, 2), torch.zeros(5, 3), torch.full((5, 2), torch.nan)])
def test_samples_of_another_form_are_refused(samples):
    with pytest.raises(InputError):
        mode_coverage(NormalModes(ring(), 0.01), samples)


# -- stacked images -------------------------------------------------------------------------------------------------------


def stacked(*codes: tuple[int, int, int]) -> Tensor:
    """Images whose channels are flat: brightness 20 d is read as the digit d."""
    return torch.tensor(codes, dtype=torch.uint8)[:, :, None, None].expand(-1, -1, 4, 4) * 20


def brightness(images: Tensor) -> Tensor:
    assert images.shape[1:] == (1, 4, 4)
    return -(images.float().mean((1, 2, 3))[:, None] - 20 * torch.arange(10)).abs()


def test_the_modes_of_stacked_digits_are_the_digits_of_a_number():
    modes = StackedModes(brightness)
    assert modes.count == 1000
    assert modes.assign(stacked((0, 0, 7), (1, 2, 3), (9, 9, 9), (3, 2, 1))).mode.tolist() == [7, 123, 999, 321]
    found = mode_coverage(modes, stacked((0, 0, 7), (1, 2, 3), (1, 2, 3), (1, 2, 3)))
    assert (found.modes, found.high_quality) == (2, 1)
    assert found.kl == pytest.approx(log(1000) + 0.25 * log(0.25) + 0.75 * log(0.75))
    assert len(found.missing) == 998


def test_stacked_modes_are_of_bytes_in_three_channels():
    for wrong in (stacked((1, 2, 3)).float(), stacked((1, 2, 3))[:, :1], stacked((1, 2, 3))[:0]):
        with pytest.raises(InputError, match="stacked modes"):
            StackedModes(brightness).assign(wrong)
