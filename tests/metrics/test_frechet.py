"""The Frechet distance against closed forms, sqrtm, forty digits, torchmetrics and torch-fidelity."""

from dataclasses import replace
from math import sqrt

import mpmath
import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from support.features import SPEC, gathered, global_streams_untouched, normal
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics.frechet import frechet_distance, frechet_of_statistics
from ganzoo.metrics.statistics import ALL, Statistics

_untouched = pytest.fixture(autouse=True)(global_streams_untouched)


def by_sqrtm(a: Tensor, b: Tensor) -> float:
    """As everybody else computes it."""
    x, y = a.double().numpy(), b.double().numpy()
    A, B = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(A + B - 2 * sqrtm(A @ B).real)


def by_forty_digits(a: Tensor, b: Tensor) -> float:
    """By the singular values of ``F_a^T F_b``, C = F F^T; F the centred features, or of Cholesky where there are many."""
    with mpmath.workdps(40):
        means, factors, traces = [], [], []
        for x in (a, b):
            X = mpmath.matrix(x.tolist())
            n, d = X.rows, X.cols
            means.append(mpmath.matrix([mpmath.fsum(X[i, j] for i in range(n)) / n for j in range(d)]))
            F = mpmath.matrix(d, n)
            for i in range(n):
                for j in range(d):
                    F[j, i] = (X[i, j] - means[-1][j]) / mpmath.sqrt(n - 1)
            traces.append(mpmath.fsum(value**2 for value in F))
            factors.append(F if n < d else mpmath.cholesky(F * F.T))
        nuclear = mpmath.fsum(mpmath.svd_r(factors[0].T * factors[1], compute_uv=False))
        return float(mpmath.norm(means[0] - means[1]) ** 2 + sum(traces) - 2 * nuclear)


def ways(a: Tensor, b: Tensor) -> list[float]:
    """With the features kept of both, of one, and of none."""
    kept, moments = ([gathered(x, [len(x)], keep=keep) for x in (a, b)] for keep in (ALL, 0))
    pairs = [(p, q) for p in (kept[0], moments[0]) for q in (kept[1], moments[1])]
    return [frechet_distance(a, b), *(frechet_of_statistics(p, q) for p, q in pairs)]


def with_moments(n: int, mean: Tensor, variances: Tensor, basis: Tensor, seed: int) -> Tensor:
    """Features of exactly that mean, and of covariance ``basis diag(variances) basis^T``."""
    x = normal(n, len(mean), seed)
    x = x - x.mean(0)
    white = torch.linalg.qr(x).Q * (n - 1) ** 0.5
    return white * variances.sqrt() @ basis.T + mean


def test_of_normals_with_one_basis_it_is_known():
    """Commuting covariances: ``|m_a - m_b|^2 + sum (sigma_a - sigma_b)^2``."""
    basis = torch.linalg.qr(normal(6, 6, 0)).Q
    mean = torch.tensor([1.0, 0, 0, 2, 0, 0], dtype=torch.float64)
    variances = torch.tensor([[4.0, 1, 9, 1, 1, 0.25], [1.0, 1, 1, 4, 1, 2.25]], dtype=torch.float64)
    a = with_moments(40, mean, variances[0], basis, 1)
    b = with_moments(90, 0 * mean, variances[1], basis, 2)
    assert ways(a, b) == pytest.approx([5 + 1 + 4 + 1 + 1] * 5, rel=1e-12)


@pytest.mark.filterwarnings("ignore:Matrix is singular")
@pytest.mark.parametrize(("n", "m"), [(500, 400), (10, 400), (400, 10), (10, 12), (2, 12), (31, 30), (30, 29)])
def test_it_is_sqrtms_for_any_rank_and_by_any_way(n, m):
    mix = normal(30, 30, 2)
    a, b = normal(n, 30, 0) @ mix, normal(m, 30, 1, 0.3)
    found = ways(a, b)
    assert found == pytest.approx([by_sqrtm(a, b)] * 5, rel=1e-6)
    assert found == pytest.approx([found[0]] * 5, rel=1e-10)
    assert ways(b, a) == pytest.approx(found, rel=1e-10)


@pytest.mark.parametrize("n", [300, 12])
@pytest.mark.parametrize("far", [1e-1, 1e-3, 1e-4])
def test_of_nearly_equal_sets_it_is_still_right(n, far):
    """All features lengthened by e: ``e^2 (|m|^2 + Tr C)``."""
    a = normal(n, 30, 0, 0.1)
    known = far**2 * (a.mean(0).square().sum() + a.var(0).sum()).item()
    assert ways(a, a * (1 + far)) == pytest.approx([known] * 5, rel=1e-6)


@pytest.mark.parametrize("far", [1e-2, 1e-3])
def test_features_that_never_change_or_come_twice_do_no_harm(far):
    """Nor images that come twice. The root of what rounding leaves of an eigenvalue of 0 is 1e-8, and there are many."""
    a = normal(300, 30, 0, 0.1)
    a[:, :10] = 0
    a[:, 10:15] = a[:, 15:20]
    known = far**2 * (a.mean(0).square().sum() + a.var(0).sum()).item()
    assert ways(a, a * (1 + far)) == pytest.approx([known] * 5, rel=1e-6)
    # of six images, twice and ten times: one scatter S, C = S / 11 and 5 S / 59
    few = normal(6, 30, 0).repeat(2, 1)
    known = (few - few.mean(0)).square().sum().item() * (sqrt(1 / 11) - sqrt(5 / 59)) ** 2
    assert ways(few, few.repeat(5, 1)) == pytest.approx([known] * 5, rel=1e-9)


@pytest.mark.parametrize(("n", "d"), [(40, 6), (8, 30)])
@pytest.mark.parametrize("far", [1e-1, 1e-3])
def test_of_nearly_equal_sets_it_is_that_of_forty_digits(n, d, far):
    """sqrtm of a singular matrix is wrong here in the second digit, and below nought for far = 1e-4."""
    a, b = normal(n, d, 0, 0.1), normal(n, d, 0, 0.1) + far * normal(n, d, 1)
    assert ways(a, b) == pytest.approx([by_forty_digits(a, b)] * 5, rel=1e-6)


def test_it_is_never_negative_and_never_nan():
    """Not of one set with itself, of constants, of copies, nor of one direction."""
    line = torch.arange(40, dtype=torch.float64)[:, None] * torch.ones(1, 30)
    for a in (
        normal(300, 30, 0),
        normal(10, 30, 0, 100),
        normal(1, 30, 0).expand(40, 30),
        line,
        normal(2, 30, 0).repeat(20, 1),
    ):
        for found in ways(a, a):
            assert 0 <= found <= 1e-11 * (1 + a.var(0).sum().item())
        assert ways(a, a + 2) == pytest.approx([120] * 5)
    for seed in range(30):
        a, b = normal(3 + seed, 20, seed), normal(30, 20, 100 + seed)
        assert min(ways(a.repeat(2, 1), b)) > 0


def test_the_smallest_sets():
    assert frechet_distance(np.array([[0.0], [2.0]]), np.array([[5.0], [5.0], [5.0]])) == pytest.approx(16 + 2)
    assert frechet_distance(torch.tensor([[0, 0], [2, 0]]), torch.tensor([[0, 0], [0, 2]])) == pytest.approx(2 + 2 + 2)
    with pytest.raises(InputError, match="at least 2 images"):
        frechet_distance(normal(1, 3, 0), normal(5, 3, 0))
    with pytest.raises(InputError, match="not finite"):
        frechet_distance(normal(5, 3, 0), normal(5, 3, 0) * torch.nan)
    with pytest.raises(InputError, match="dimension is 4 there and 3 here"):
        frechet_distance(normal(5, 3, 0), normal(5, 4, 0))
    with pytest.raises(InputError, match=r"shape \(5,\)"):
        frechet_distance(normal(5, 3, 0)[:, 0], normal(5, 4, 0))


@pytest.mark.parametrize("name", ["extractor", "weights", "resize", "preprocessing"])
def test_unlike_features_are_not_compared(name):
    a, b = Statistics.of(normal(9, 5, 0), SPEC), Statistics.of(normal(9, 5, 1), replace(SPEC, **{name: "else"}))
    with pytest.raises(InputError, match=f"{name} is 'else' there"):
        frechet_of_statistics(a, b)
    of_a_model = Statistics.of(normal(9, 5, 1), replace(SPEC, source="GAN", split=""))
    assert frechet_of_statistics(a, of_a_model) > 0


def test_it_is_that_of_torchmetrics():
    from torchmetrics.image.fid import _compute_fid

    for n, m in ((60, 70), (10, 70)):
        a, b = normal(n, 20, 0, 0.5), normal(m, 20, 1)
        theirs = _compute_fid(a.mean(0), a.T.cov(), b.mean(0), b.T.cov()).item()
        assert frechet_distance(a, b) == pytest.approx(theirs, rel=1e-6)


def test_it_is_that_of_torch_fidelity():
    fidelity = pytest.importorskip("torch_fidelity.metric_fid", reason="torch-fidelity is not installed")
    a, b = normal(60, 20, 0, 0.5), normal(70, 20, 1)
    stats = [fidelity.fid_features_to_statistics(x) for x in (a, b)]
    theirs = fidelity.fid_statistics_to_metric(*stats, False)["frechet_inception_distance"]
    assert frechet_distance(a, b) == pytest.approx(theirs, rel=1e-6)
