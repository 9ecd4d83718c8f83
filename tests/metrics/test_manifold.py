"""Precision, recall, density and coverage against loops, by hand and against torch-fidelity."""

from math import sqrt

import numpy as np
import pytest
import torch
from support.features import global_streams_untouched, normal
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics import manifold as manifolds
from ganzoo.metrics.manifold import Manifold, manifold

_untouched = pytest.fixture(autouse=True)(global_streams_untouched)


def manifold_by_loops(real: Tensor, fake: Tensor, k: int, k_density: int) -> Manifold:
    x, y = real.tolist(), fake.tolist()

    def distance(a: list[float], b: list[float]) -> float:
        return sqrt(sum((p - q) ** 2 for p, q in zip(a, b, strict=True)))

    def radius(z: list[list[float]], i: int, k: int) -> float:
        return sorted(distance(z[i], z[j]) for j in range(len(z)) if j != i)[k - 1]

    n, m = len(x), len(y)
    in_real = [[distance(y[j], x[i]) <= radius(x, i, k) for i in range(n)] for j in range(m)]
    in_fake = [[distance(x[i], y[j]) <= radius(y, j, k) for j in range(m)] for i in range(n)]
    dense = [[distance(y[j], x[i]) <= radius(x, i, k_density) for i in range(n)] for j in range(m)]
    return Manifold(
        sum(map(any, in_real)) / m,
        sum(map(any, in_fake)) / n,
        sum(map(sum, dense)) / (k_density * m),
        sum(map(any, zip(*dense, strict=True))) / n,
    )


@pytest.mark.parametrize(("n", "m"), [(20, 20), (24, 9)])
def test_manifold_is_that_of_loops(n, m):
    for seed in range(4):
        real, fake = normal(n, 2, seed), 0.7 * normal(m, 2, 100 + seed) + 0.8
        found = manifold(real, fake, 3, 5)
        assert found == pytest.approx(manifold_by_loops(real, fake, 3, 5), abs=1e-12)
        # nothing is lost between blocks, nor far from the origin
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(manifolds, "VALUES", 70)
            assert manifold(real + 1e4, fake + 1e4, 3, 5) == found


def test_manifold_on_a_line_by_hand():
    """Real 0, 1, 3, 7 and k 1: radii 1, 1, 2, 4, so balls [-1, 1], [0, 2], [1, 5], [3, 11]."""
    real = torch.tensor([[0.0], [1], [3], [7]])
    fake = torch.tensor(
        [[1.5], [2.5], [5], [12], [20]]
    )  # radii 1, 1, 2.5, 7, 8: [.5, 2.5], [1.5, 3.5], [2.5, 7.5], [5, 19], [12, 28]
    assert manifold(real, fake, 1, 1) == pytest.approx((3 / 5, 3 / 4, (2 + 1 + 2) / 5, 3 / 4))
    # k 2: radii 3, 2, 3, 6, balls [-3, 3], [-1, 3], [0, 6], [1, 13] hold 2, 2, 3 and 4 of the fakes
    found = manifold(real, fake, 1, 2)
    assert (found.density, found.coverage) == pytest.approx((11 / 10, 1))


def test_a_collapsed_generator_is_precise_and_covers_little():
    real = normal(200, 4, 0)
    found = manifold(real, real[:1].expand(200, 4))
    assert found.precision == 1
    assert found.recall == 1 / 200
    assert found.coverage < 0.15
    far = manifold(real, real + 100)
    assert far == (0, 0, 0, 0)


def test_copies_are_in_their_own_balls():
    """Each on the edge of another's, too: density (k + 1) / k, whatever the rounding."""
    real = normal(150, 20, 0, 50.0).float()
    found = manifold(real, real.flip(0), 3, 5)
    assert found == pytest.approx((1, 1, 6 / 5, 1))


def test_of_one_distribution_density_is_one_and_coverage_known():
    """No sample is nearer than the k-th real: ``(N-1)...(N-k) / (N+M-1)...(N+M-k)``, all orders being as likely."""
    n, m, k = 30, 20, 3
    found = np.array([manifold(normal(n, 3, i), normal(m, 3, 5000 + i), 1, k)[2:] for i in range(600)])
    missed = np.prod([(n - i) / (n + m - i) for i in range(1, k + 1)])
    error = found.std(0) / sqrt(600)
    assert abs(found[:, 0].mean() - 1) < 3 * error[0]
    assert abs(found[:, 1].mean() - (1 - missed)) < 3 * error[1]
    assert error.max() < 0.02


def test_precision_and_recall_are_those_of_torch_fidelity():
    fidelity = pytest.importorskip("torch_fidelity.metric_prc", reason="torch-fidelity is not installed")
    real, fake = normal(80, 3, 0), normal(60, 3, 1, 0.7)
    theirs = fidelity.prc_features_to_metric(fake, real, prc_neighborhood=3, verbose=False)
    assert manifold(real, fake)[:2] == pytest.approx((theirs["precision"], theirs["recall"]), abs=1e-6)


def test_manifolds_that_cannot_be():
    x = normal(10, 3, 0)
    for k in (0, 5):
        with pytest.raises(InputError, match=r"give 1 to 4 \(real images 10, fake 5\)"):
            manifold(x, x[:5], k, 2)
        with pytest.raises(InputError, match="give 1 to 4"):
            manifold(x, x[:5], 2, k)
    with pytest.raises(InputError, match="not finite"):
        manifold(x, x / 0)
