"""Parzen windows by closed forms, by a second implementation, and the oracles of the protocol."""

from math import log, pi, sqrt

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics import parzen
from ganzoo.metrics.parzen import SIGMAS, log_density, log_likelihood, protocol


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
    assert found.error == pytest.approx(each.numpy().std() / 20)
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


# -- the protocol of 2014 ----------------------------------------------------------------------------------------------


def released(samples: np.ndarray, validation: np.ndarray, test: np.ndarray) -> tuple[float, float, float]:
    """What the released script computes, written down again with numpy and scipy, one point at a time."""

    def ll(points: np.ndarray, sigma: float) -> np.ndarray:
        d = points.shape[1]
        exponents = [-(((x - samples) / sigma) ** 2).sum(1) / 2 for x in points]
        return np.array([logsumexp(e) - np.log(len(samples)) - d * np.log(sigma * np.sqrt(2 * np.pi)) for e in exponents])

    widths = np.logspace(-1, 0, num=10)
    sigma = widths[np.argmax([ll(validation, width).mean() for width in widths])]
    found = ll(test, sigma)
    return found.mean(), found.std() / np.sqrt(len(found)), sigma


def random_images(n: int, seed: int, d: int = 12) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return (0.5 + 0.2 * torch.randn(n, d, generator=g)).clamp(0, 1)


def test_it_is_the_released_script():
    sets = random_images(300, 0), random_images(70, 1), random_images(530, 2)
    mean, error, sigma = released(*(each.double().numpy() for each in sets))
    found = protocol(*(each.view(len(each), 3, 2, 2) for each in sets), counts=(300, 70, 530))
    assert found == pytest.approx((mean, error, sigma, False))


def test_samples_of_a_normal_have_its_likelihood():
    """Of N(0.5, s^2 I) in three dimensions: the cross-entropy of N(0.5, s^2) and N(0.5, s^2 + sigma^2)."""
    s, d = 0.15, 3
    g = torch.Generator().manual_seed(0)
    samples, validation, test = (0.5 + s * torch.randn(n, d, generator=g) for n in (4_000, 500, 2_500))
    found = log_likelihood(samples, validation, test)
    variance = s**2 + found.sigma**2
    truth = -d / 2 * (log(2 * pi * variance) + s**2 / variance)
    assert found.mean == pytest.approx(truth, abs=0.05)
    # the squared distance over the variance is chi-squared, whose variance is 2 d
    assert found.error == pytest.approx(s**2 / variance / 2 * sqrt(2 * d) / 50, rel=0.05)


def test_real_images_are_likelier_than_anything_else():
    """The oracle: training images in the samples' place, above speckled, blurred, missing and no images at all."""
    from sklearn.datasets import load_digits

    x = torch.tensor(load_digits().data, dtype=torch.float32) / 16
    x = x[torch.randperm(len(x))]
    train, validation, test = x[:1000], x[1000:1300], x[1300:]
    g = torch.Generator().manual_seed(1)
    fakes = {
        "speckled": (train + 0.3 * torch.randn(train.shape, generator=g)).clamp(0, 1),
        "mean": train.mean(0).expand_as(train),
        "few": train[:20].repeat(50, 1),
        "shuffled": train.gather(1, torch.rand(train.shape, generator=g).argsort(1)),
        "noise": torch.rand(train.shape, generator=g),
    }
    real = log_likelihood(train, validation, test)
    for name, fake in fakes.items():
        found = log_likelihood(fake, validation, test)
        assert real.mean > found.mean + 3 * (real.error + found.error), name
    # and the points themselves above those held out, which a copying model would show
    assert log_likelihood(test, validation, test).mean > real.mean + 10


def test_a_width_on_the_edge_is_said():
    points = random_images(200, 0)
    assert log_likelihood(points, points, points).sigma == SIGMAS[0]  # a point's own window: the narrower the better
    assert log_likelihood(points, points, points).edge
    assert log_likelihood(points, random_images(200, 1) * 50, points).sigma == SIGMAS[-1]
    assert log_likelihood(points, random_images(200, 1) * 50, points).edge
    assert not log_likelihood(points, random_images(200, 1), points).edge
    assert not log_likelihood(points, random_images(200, 1), points, [0.3]).edge  # nothing was chosen


def test_parts_do_not_matter(monkeypatch):
    sets = random_images(50, 0), random_images(23, 1), random_images(41, 2)
    whole = log_likelihood(*sets)
    monkeypatch.setattr(parzen, "PART", 7)
    assert log_likelihood(*sets) == pytest.approx(whole)


def test_the_memory_is_that_of_a_part(monkeypatch):
    largest, cdist = [], torch.cdist

    def watched(x, y):
        found = cdist(x, y)
        largest.append(found.shape)
        return found

    monkeypatch.setattr(torch, "cdist", watched)
    log_likelihood(torch.rand(700, 2), torch.rand(1_200, 2), torch.rand(1_001, 2))
    assert set(largest) == {(500, 700), (200, 700), (1, 700)}
    assert len(largest) == 6  # one pass over the validation images serves all widths


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        ((9_999, 1_000, 10_000), "9999 samples: the protocol has 10000"),
        ((10_000, 10_000, 10_000), "10000 validation images: the protocol has 1000"),
        ((10_000, 1_000, 100), "100 test images: the protocol has 10000"),
    ],
)
def test_other_counts_are_another_protocol(counts, line):
    with pytest.raises(InputError, match=line):
        protocol(*(torch.rand(n, 1) for n in counts))


def test_pixels_of_another_range_are_refused():
    sets = [random_images(20, 0), random_images(20, 1), random_images(20, 2)]
    for wrong in (sets[0] * 2 - 1, sets[0] * 255, (sets[0] * 255).to(torch.uint8), sets[0] * torch.nan):
        with pytest.raises(InputError, match=r"pixels are in \[0, 1\]"):
            protocol(wrong, *sets[1:], counts=(20, 20, 20))


@pytest.mark.parametrize(
    ("points", "samples", "sigma", "line"),
    [
        (torch.rand(3, 2), torch.rand(3, 4), 0.1, "points have 2 values and samples 4"),
        (torch.rand(3, 2), torch.rand(0, 2), 0.1, r"samples are \[0, 2\]"),
        (torch.rand(3, 1, 2), torch.rand(3, 2), 0.1, "each image flattened"),
        (torch.rand(3, 2), torch.full((3, 2), torch.nan), 0.1, "samples: 3 of 3 are not finite"),
        (torch.rand(3, 2), torch.rand(3, 2), 0.0, "above 0"),
    ],
)
def test_what_has_no_density(points, samples, sigma, line):
    with pytest.raises(InputError, match=line):
        log_density(points, samples, sigma)
