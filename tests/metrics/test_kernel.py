"""The kernel distance (KID) against loops, closed forms, torchmetrics and torch-fidelity."""

from math import sqrt

import numpy as np
import pytest
import torch
from support.features import global_streams_untouched, normal
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics.kernel import kernel_distance, squared_mmd

_untouched = pytest.fixture(autouse=True)(global_streams_untouched)


def mmd_by_loops(x: Tensor, y: Tensor) -> float:
    def k(a: Tensor, b: Tensor) -> float:
        return (sum(p * q for p, q in zip(a.tolist(), b.tolist(), strict=True)) / len(a) + 1) ** 3

    def within(z: Tensor) -> float:
        pairs = [k(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j]
        return sum(pairs) / len(pairs)

    across = [k(a, b) for a in x for b in y]
    return within(x) + within(y) - 2 * sum(across) / len(across)


@pytest.mark.parametrize(("n", "m"), [(5, 5), (2, 7), (6, 2)])
def test_squared_mmd_is_that_of_loops(n, m, monkeypatch):
    x, y = normal(n, 3, 0), normal(m, 3, 1, 0.5)
    assert squared_mmd(x, y) == pytest.approx(mmd_by_loops(x, y), rel=1e-12)
    monkeypatch.setattr("ganzoo.metrics.kernel.ROWS", 3)
    assert squared_mmd(x, y) == pytest.approx(mmd_by_loops(x, y), rel=1e-12)


def test_squared_mmd_of_one_distribution_is_nought_on_average():
    """300 pairs of sets of 20, within three standard errors; with the diagonal it would be dozens above."""
    found = np.array([squared_mmd(normal(20, 4, i), normal(25, 4, 1000 + i)) for i in range(300)])
    assert abs(found.mean()) < 3 * found.std() / sqrt(300)
    assert (found < 0).mean() > 0.3


def test_squared_mmd_of_normals_on_a_line_is_known():
    """``3 (m_1 - m_1')^2 + 3 (m_2 - m_2')^2 + (m_3 - m_3')^2`` of the moments: of N(0, 1) and N(1, 1), 3 + 3 + 16."""
    found = [squared_mmd(normal(500, 1, i), normal(500, 1, 1000 + i, 1)) for i in range(100)]
    assert np.mean(found) == pytest.approx(22, abs=3 * np.std(found) / 10)


@pytest.mark.filterwarnings("ignore:Metric `Kernel", "ignore:The ``compute`` method")
def test_kernel_distance_is_that_of_torchmetrics_with_the_same_seed():
    from torchmetrics.image.kid import KernelInceptionDistance

    real, fake = normal(50, 6, 0), normal(40, 6, 1, 0.5)
    theirs = KernelInceptionDistance(feature=torch.nn.Identity(), subsets=5, subset_size=20)
    theirs.real_features, theirs.fake_features = [real], [fake]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        mean, std = theirs.compute()
    ours = kernel_distance(real, fake, 5, 20, seed=7)
    assert ours == pytest.approx((mean.item(), std.item()), rel=1e-9)
    assert ours != kernel_distance(real, fake, 5, 20, seed=8)
    # of whole sets the subsets are all one
    whole = kernel_distance(real[:40], fake, 3, 40)
    assert whole == pytest.approx((squared_mmd(real[:40], fake), 0), abs=1e-10)
    assert whole.std == 0  # and so one of them is enough
    # but not where one of the two sets is larger
    assert kernel_distance(real, fake, 3, 40).std > 1e-6
    assert kernel_distance(fake, real, 3, 40).std > 1e-6


def test_kernel_distance_is_that_of_torch_fidelity():
    fidelity = pytest.importorskip("torch_fidelity.metric_kid", reason="torch-fidelity is not installed")
    real, fake = normal(40, 6, 0), normal(40, 6, 1, 0.5)
    theirs = fidelity.kid_features_to_metric(fake, real, kid_subsets=2, kid_subset_size=40, verbose=False)
    assert kernel_distance(real, fake, 2, 40).mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)


def test_kernel_distances_that_cannot_be():
    x = normal(30, 3, 0)
    for size in (1, 21):
        with pytest.raises(InputError, match=rf"subsets of {size}: .* of 2 to 20 images \(real 30, fake 20\)"):
            kernel_distance(x, x[:20], 5, size)
    with pytest.raises(InputError, match="give 1 subset or more"):
        kernel_distance(x, x, 0, 10)
    with pytest.raises(InputError, match="fake: at least 2 images"):
        squared_mmd(x, x[:1])
    with pytest.raises(InputError, match="real features have 3 values and fake ones 2"):
        squared_mmd(x, x[:, :2])
