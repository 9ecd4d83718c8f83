"""Distances and scores of domains against closed forms."""

from math import erf, log, sqrt

import numpy as np
import pytest
import torch

from ganzoo.errors import InputError
from ganzoo.metrics.domains import (
    entropies,
    gated,
    information_maximisation,
    mean_entropy,
    proxy_a_distance,
    share_covered,
)


def normal(n: int, features: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    x = torch.randn(n, features, generator=torch.Generator().manual_seed(seed))
    x[:, 0] += shift
    return x


# -- proxy A-distance --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("features", [2, 100, 768])
def test_two_halves_of_one_domain_are_near_nought(features):
    assert abs(proxy_a_distance(normal(800, features, 0), normal(800, features, 1))) <= 0.2


def test_the_same_images_are_nought_and_not_less():
    """With the images of one domain in other halves than those of the other, they would be told wrongly each time."""
    x = normal(100, 400, 0)
    assert abs(proxy_a_distance(x, x.clone())) < 0.1


def test_separable_domains_are_two():
    assert proxy_a_distance(normal(300, 20, 0), normal(300, 20, 1, shift=20)) == 2
    assert proxy_a_distance(normal(300, 20, 1, shift=20), normal(300, 20, 0)) == 2


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_two_normals_have_the_distance_of_the_best_classifier(shift):
    """Of N(0, 1) and N(d, 1) the best boundary errs with probability Phi(-d / 2)."""
    epsilon = 0.5 * (1 - erf(shift / 2 / sqrt(2)))
    wanted = 2 * (1 - 2 * epsilon)
    found = np.mean([proxy_a_distance(normal(2000, 3, s), normal(2000, 3, 100 + s, shift)) for s in range(4)])
    assert found == pytest.approx(wanted, abs=0.07)


def test_it_is_not_flattered_by_the_choice_of_c():
    """The best of six C on the test half itself would see a distance of about 0.2 between two halves of one domain."""
    found = [proxy_a_distance(normal(100, 50, s), normal(100, 50, 100 + s), seed=s) for s in range(40)]
    assert abs(np.mean(found)) < 0.1


def test_neither_the_features_scale_nor_unequal_numbers_matter():
    a, b = normal(600, 5, 0), normal(600, 5, 1, shift=1.5)
    plain = proxy_a_distance(a, b)
    scale = torch.tensor([1e-3, 1e4, 1.0, 0.0, 1e2])
    assert proxy_a_distance(a * scale + 3, b * scale + 3) == pytest.approx(plain, abs=0.1)
    few = normal(60, 5, 2)  # guessing "the larger one" would err in one of eleven
    assert abs(np.mean([proxy_a_distance(few, normal(600, 5, 3 + s), seed=s) for s in range(10)])) < 0.3


def test_it_follows_its_seed_and_leaves_the_global_streams_alone():
    a, b = normal(200, 10, 0), normal(200, 10, 1, shift=0.7)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    found = [proxy_a_distance(a, b, seed) for seed in (0, 0, 1, 2)]
    assert found[0] == found[1]
    assert len(set(found)) > 1
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


def test_features_that_cannot_be_used():
    with pytest.raises(InputError, match="at least 12"):
        proxy_a_distance(normal(11, 3, 0), normal(50, 3, 1))
    bad = normal(50, 3, 0)
    bad[3, 1] = torch.nan
    with pytest.raises(InputError, match="finite"):
        proxy_a_distance(bad, normal(50, 3, 1))


# -- scores without labels ---------------------------------------------------------------------------------------------


def certain(classes: list[int], k: int) -> torch.Tensor:
    """Logits whose probabilities are one and noughts."""
    return 1e4 * torch.nn.functional.one_hot(torch.tensor(classes), k).float()


@pytest.mark.parametrize("k", [2, 10])
def test_entropy_and_information_at_their_ends(k):
    undecided = torch.zeros(3 * k, k)
    even, collapsed = certain([*range(k)] * 3, k), certain([1] * 3 * k, k)
    assert mean_entropy(undecided) == pytest.approx(log(k))
    assert mean_entropy(even) == mean_entropy(collapsed) == 0
    assert information_maximisation(even) == pytest.approx(log(k))
    assert information_maximisation(collapsed) == 0
    assert information_maximisation(undecided) == pytest.approx(0, abs=1e-12)


def test_entropy_and_information_by_hand():
    p = torch.tensor([[0.9, 0.1], [0.4, 0.6]])
    h = [-(a * log(a) + b * log(b)) for a, b in p.tolist()]
    mean = [0.65, 0.35]
    logits = p.log() + torch.tensor([[5.0], [-3.0]])  # a softmax does not see what is added to all
    assert mean_entropy(logits) == pytest.approx((h[0] + h[1]) / 2)
    assert information_maximisation(logits) == pytest.approx(-sum(q * log(q) for q in mean) - (h[0] + h[1]) / 2)
    assert entropies(p).tolist() == pytest.approx(h)


def test_information_is_never_below_nought():
    for seed in range(50):
        same = torch.randn(1, 7, generator=torch.Generator().manual_seed(seed)).expand(30, -1)
        assert 0 <= information_maximisation(same) < 1e-12


def test_a_gate_opens_at_its_accuracy():
    assert gated(0.3, 2.3, source_accuracy=0.9, least=0.9) == 0.3
    assert gated(0.3, 2.3, source_accuracy=0.8999, least=0.9) == 2.3
    assert gated(0.3, 2.3, source_accuracy=float("nan"), least=0.0) == 2.3


@pytest.mark.parametrize(
    ("accuracy", "bounds", "printed"),
    [(0.9109, (0.8674, 0.9220), 0.797), (0.7385, (0.5490, 0.9942), 0.426), (0.8865, (0.7900, 0.9980), 0.464)],
)
def test_the_share_of_the_gap_is_that_of_the_papers_table(accuracy, bounds, printed):
    assert share_covered(accuracy, *bounds) == pytest.approx(printed, abs=5e-4)


def test_a_gap_that_is_none_has_no_share():
    with pytest.raises(InputError, match="better than on the source only"):
        share_covered(0.9, 0.8, 0.8)
