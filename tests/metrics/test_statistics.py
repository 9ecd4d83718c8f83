"""Metrics of features against closed forms, naive loops and other people's implementations."""

import json
import zipfile
from dataclasses import replace
from math import exp, log, sqrt

import mpmath
import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics import manifold as manifolds
from ganzoo.metrics import statistics as statistics_file
from ganzoo.metrics.frechet import frechet_distance, frechet_of_statistics
from ganzoo.metrics.inception import inception_score
from ganzoo.metrics.kernel import kernel_distance, squared_mmd
from ganzoo.metrics.manifold import Manifold, manifold
from ganzoo.metrics.modes import (
    grid,
    jensen_shannon,
    modes,
    nearest,
    ring,
)
from ganzoo.metrics.statistics import ALL, SAME_SET, FeatureSpec, Statistics

SPEC = FeatureSpec("tiny", 5, "sha256:abc", "bilinear 8", "none", "numbers", "train")


def normal(n: int, d: int, seed: int, mean: float = 0.0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + mean


def gathered(x: Tensor, sizes: list[int], keep: int = 0, seed: int = 0, indices: Tensor | None = None) -> Statistics:
    found = Statistics(replace(SPEC, dimension=x.shape[1]), keep, seed)
    for part, where in zip(x.split(sizes), [None] * len(sizes) if indices is None else indices.split(sizes), strict=True):
        found.update(part, where)
    return found


def near(found: Tensor, wanted: np.ndarray, relative: float) -> bool:
    return np.abs(found.numpy() - wanted).max() <= relative * np.abs(wanted).max()


@pytest.fixture(autouse=True)
def _global_streams_untouched(_one_stream):
    """No metric draws from them."""
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    yield
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


# -- statistics --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[1000], [1] * 1000, [1, 0, 499, 500], [7] * 142 + [6]])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_one_pass_is_numpy_on_the_whole(sizes, offset):
    """With a mean of 10,000 deviations the difference of sums of squares would be wrong from the eighth digit."""
    x = normal(1000, 5, 0, offset) @ torch.diag(torch.tensor([1, 2, 3, 1e-1, 1.0], dtype=torch.float64))
    found = gathered(x, sizes)
    assert found.count == 1000
    assert near(found.mean, x.numpy().mean(0), 1e-12)
    assert near(found.covariance, np.cov(x.numpy(), rowvar=False), 1e-12)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)])
def test_parts_merged_in_any_order_are_the_whole(order):
    x = normal(300, 5, 0) + torch.arange(300)[:, None] / 50  # each part has a mean of its own
    parts = [gathered(part, [len(part)]) for part in x.split([1, 99, 0, 200])]
    whole = gathered(x[:0], [0])
    for i in order:
        whole.merge(parts[i])
    assert whole.count == 300
    assert near(whole.mean, x.numpy().mean(0), 1e-12)
    assert near(whole.covariance, np.cov(x.numpy(), rowvar=False), 1e-12)
    assert parts[1].count == 99  # as it was


def test_kept_features_are_all_or_none_or_so_many():
    x = normal(90, 5, 0).float()
    everything = gathered(x, [40, 50], keep=ALL)
    assert everything.whole
    assert torch.equal(everything.features, x)
    assert everything.features.dtype == torch.float32
    assert torch.equal(gathered(x, [40, 50], keep=90).features, x)
    none = gathered(x, [40, 50])
    assert none.features.shape == (0, 5)
    assert not none.whole
    some = gathered(x, [40, 50], keep=20)
    assert some.features.shape == (20, 5)
    assert not some.whole
    # of the set, no two alike, in their order, and others with another seed
    place = (some.features[:, None] == x).all(2).nonzero()[:, 1]
    assert (place.diff() > 0).all()
    assert not torch.equal(gathered(x, [40, 50], keep=20, seed=1).features, some.features)


def test_what_is_kept_does_not_depend_on_batches():
    x = normal(90, 5, 0)
    wanted = gathered(x, [90], keep=7).features
    for sizes in ([1] * 90, [50, 40], [3] * 30):
        assert torch.equal(gathered(x, sizes, keep=7).features, wanted)


@pytest.mark.parametrize("parts", [[30], [20, 10], [2, 27, 1]])
def test_each_feature_has_the_same_chance_to_be_kept(parts):
    """10 of 30, whichever part it came with: of 3,000 draws each is kept in a third, within four deviations."""
    x = torch.arange(30, dtype=torch.float64)[:, None]
    kept = torch.zeros(30)
    for draw in range(3000):
        # the features are their own places; the last part comes first
        whole, *others = (gathered(part, [len(part)], 10, draw, part[:, 0]) for part in reversed(x.split(parts)))
        for other in others:
            whole.merge(other)
        kept[whole.features[:, 0].long()] += 1
    assert kept.sum() == 30_000
    assert (kept - 1000).abs().max() < 4 * sqrt(3000 / 3 * 2 / 3)


def test_a_caller_may_use_its_buffer_again():
    x = normal(4, 5, 0).float()
    found = gathered(x, [4], keep=ALL)
    x.zero_()
    assert found.features.abs().min() > 0


@pytest.mark.parametrize("name", SAME_SET)
def test_parts_of_unlike_sets_are_refused_by_name(name):
    other = replace(SPEC, **{name: 6 if name == "dimension" else "else"})
    with pytest.raises(InputError, match=f"merged: {name} is (6|'else') there and"):
        Statistics(SPEC).merge(Statistics(other))


@pytest.mark.parametrize("keep", [1, 20, 59, 60, ALL])
def test_what_parts_keep_is_what_one_pass_keeps(keep):
    """Two processes take batches by turns; the file of one of them is read back in between."""
    x, indices = normal(60, 5, 0), torch.arange(60)
    mine, its = (gathered(x[i::2], [10, 20], keep, 3, indices[i::2]) for i in range(2))
    mine.merge(its)
    assert torch.equal(mine.features, gathered(x, [60], keep, 3).features)
    assert mine.whole == (keep >= 60)


def test_parts_of_the_same_images_or_of_another_choice_are_refused():
    a, b = (gathered(normal(10, 5, i), [10], keep=ALL, indices=torch.arange(10) + 9 * i) for i in range(2))
    with pytest.raises(InputError, match="both have an image 9"):
        a.merge(b)
    with pytest.raises(InputError, match=r"keep is 3 of seed 0 there and \d+ of seed 0 here"):
        a.merge(gathered(normal(10, 5, 1), [10], keep=3))
    with pytest.raises(InputError, match="keep is 4 of seed 1 there and 4 of seed 0 here"):
        gathered(normal(10, 5, 1), [10], keep=4).merge(gathered(normal(10, 5, 1), [10], keep=4, seed=1))


def test_features_that_cannot_be_used_count_for_nothing():
    found = gathered(normal(10, 5, 0), [10], keep=ALL)
    bad = normal(4, 5, 1)
    bad[1, 2], bad[3, 0] = torch.nan, torch.inf
    with pytest.raises(InputError, match="tiny: the features of 2 of 4 images are not finite"):
        found.update(bad)
    with pytest.raises(InputError, match="6 values, not 5"):
        found.update(normal(4, 6, 1))
    with pytest.raises(InputError, match="shape"):
        found.update(normal(4, 5, 1)[0])
    assert found.count == len(found.features) == 10
    with pytest.raises(InputError, match="at least 2 images, and there are 1 of numbers train"):
        _ = gathered(normal(1, 5, 0), [1]).covariance


@pytest.mark.parametrize("keep", [0, 20, ALL])
def test_a_file_gives_it_all_back_and_goes_on_exactly(tmp_path, keep):
    x = normal(90, 5, 0)
    path = tmp_path / "real.npz"
    gathered(x[:50], [50], keep=keep).save(path)
    found = Statistics.load(path, SPEC, 50)
    assert found.spec == SPEC
    found.update(x[50:])
    whole = gathered(x, [50, 40], keep=keep)
    assert torch.equal(found.mean, whole.mean)
    assert torch.equal(found.moment, whole.moment)
    assert torch.equal(found.features, whole.features)
    assert [each.name for each in tmp_path.iterdir()] == ["real.npz"]


@pytest.mark.parametrize("name", SAME_SET)
def test_a_file_of_another_protocol_is_refused_by_name(tmp_path, name):
    path = tmp_path / "real.npz"
    gathered(normal(3, 5, 0), [3]).save(path)
    other = replace(SPEC, **{name: 6 if name == "dimension" else "else"})
    with pytest.raises(InputError, match=f"real.npz: {name} is .* there and (6|'else') here"):
        Statistics.load(path, other, 3)
    with pytest.raises(InputError, match="count is 3 there and 4 here"):
        Statistics.load(path, SPEC, 4)


def test_a_broken_file_is_one_clear_line(tmp_path):
    path = tmp_path / "real.npz"
    with pytest.raises(InputError, match="no such file"):
        Statistics.load(path)
    gathered(normal(300, 5, 0), [300], keep=ALL).save(path)
    good = path.read_bytes()
    middle = len(good) // 2
    flipped = good[:middle] + bytes([good[middle] ^ 255]) + good[middle + 1 :]
    for broken in (b"", b"not a zip", good[:middle], flipped):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"real.npz: not a file of statistics, or a damaged one \(.+\); remove it"):
            Statistics.load(path)
    np.savez(path, about=np.array(json.dumps({"format": 1})))
    with pytest.raises(InputError, match="format is 1"):
        Statistics.load(path)
    with zipfile.ZipFile(path, "w"):
        pass
    with pytest.raises(InputError, match="not a file"):
        Statistics.load(path)


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "real.npz"
    gathered(normal(3, 5, 0), [3]).save(path)
    old = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(statistics_file.np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        gathered(normal(4, 5, 0), [4]).save(path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


# -- Frechet distance --------------------------------------------------------------------------------------------------


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


# -- Inception score ---------------------------------------------------------------------------------------------------


def one_hot(classes: list[int], k: int) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor(classes), k).double()


@pytest.mark.parametrize("k", [2, 7])
def test_inception_score_at_its_ends(k):
    certain = one_hot([*range(k)] * 3, k)
    for logits in (certain.clamp_min(1e-300).log(), 1e4 * certain):
        assert inception_score(logits, 1) == pytest.approx((k, 0))
    collapsed, undecided = one_hot([1] * 20, k), torch.full((20, k), 1 / k)
    assert inception_score(collapsed.clamp_min(1e-300).log(), 5) == pytest.approx((1, 0))
    assert inception_score(undecided.clamp_min(1e-300).log(), 5) == pytest.approx((1, 0))
    # two splits in their order, of one class and of two
    halves = one_hot([0, 0, 0, 1], k)
    assert inception_score(halves.clamp_min(1e-300).log(), 2, seed=None) == pytest.approx((1.5, 0.5))


def test_inception_score_by_hand():
    p = torch.tensor([[0.9, 0.1], [0.3, 0.7]])
    kl = [a * log(a / 0.6) + b * log(b / 0.4) for a, b in p.tolist()]
    assert inception_score(p.clamp_min(1e-300).log(), 1).mean == pytest.approx(exp(sum(kl) / 2), rel=1e-6)
    shifted = p.log() + torch.tensor([[5.0], [-3.0]])  # a softmax does not see what is added to all
    assert inception_score(shifted, 1).mean == pytest.approx(exp(sum(kl) / 2), rel=1e-6)


@pytest.mark.filterwarnings("ignore:Metric `InceptionScore`", "ignore:std")
@pytest.mark.parametrize("splits", [1, 4])
def test_inception_score_is_that_of_torchmetrics_with_the_same_seed(splits):
    """On 64-bit logits; its deviation is with splits - 1."""
    from torchmetrics.image.inception import InceptionScore

    logits = 3 * normal(60, 5, 0)
    theirs = InceptionScore(feature=torch.nn.Identity(), splits=splits)
    theirs.update(logits)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        mean, std = theirs.compute()
    ours = inception_score(logits, splits, seed=7)
    assert ours.mean == pytest.approx(mean.item(), rel=1e-10)
    if splits > 1:
        assert ours.std == pytest.approx(std.item() * sqrt((splits - 1) / splits), rel=1e-10)
        assert inception_score(logits, splits, seed=8).mean != ours.mean
    else:
        assert ours.std == 0


@pytest.mark.parametrize("n", [60, 67])
def test_inception_score_is_that_of_torch_fidelity(n):
    fidelity = pytest.importorskip("torch_fidelity.metric_isc", reason="torch-fidelity is not installed")
    logits = 3 * normal(n, 5, 0)
    theirs = fidelity.isc_features_to_metric(logits, splits=10, shuffle=False)
    assert inception_score(logits, seed=None) == pytest.approx(tuple(theirs.values()), rel=1e-10)


def test_no_image_is_lost_between_the_splits():
    """Seven images in three splits: 2, 2 and 3."""
    classes = one_hot([0, 1, 0, 1, 0, 1, 2], 3)
    assert inception_score(classes.clamp_min(1e-300).log(), 3, seed=None).mean == pytest.approx((2 + 2 + 3) / 3)


def test_inception_scores_that_cannot_be():
    for splits in (0, 11):
        with pytest.raises(InputError, match=f"of {splits} splits needs as many images, and there are 10"):
            inception_score(normal(10, 3, 0), splits)
    with pytest.raises(InputError, match="logits: the features of 10 of 10 images are not finite"):
        inception_score(normal(10, 3, 0) / 0)


# -- kernel distance ---------------------------------------------------------------------------------------------------


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


# -- precision, recall, density, coverage ------------------------------------------------------------------------------


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


# -- modes -------------------------------------------------------------------------------------------------------------


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


# -- nearest neighbours ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("values", [2**24, 60])
def test_nearest_are_those_of_the_whole_table(k, values, monkeypatch):
    monkeypatch.setattr(manifolds, "VALUES", values)
    samples, training = normal(11, 12, 0).view(11, 3, 2, 2), normal(50, 12, 1).view(50, 3, 2, 2)
    table = (samples.flatten(1)[:, None] - training.flatten(1)).square().sum(2).sqrt()
    wanted = table.sort(1)
    found = nearest(samples, training, k)
    assert torch.equal(found.indices, wanted.indices[:, :k])
    assert torch.allclose(found.distances, wanted.values[:, :k], rtol=1e-12)


def test_a_copy_is_at_nought():
    images = torch.randint(0, 256, (300, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    found = nearest(images[40:50], images)
    assert found.indices[:, 0].tolist() == list(range(40, 50))
    assert (found.distances == 0).all()
    floats = normal(50, 7, 0, 1e3).float()
    assert (nearest(floats[:5], floats).distances == 0).all()


def test_neighbours_that_cannot_be():
    x = normal(10, 3, 0)
    for k in (0, 11):
        with pytest.raises(InputError, match=f"{k} nearest neighbours in a training set of 10: give 1 to 10"):
            nearest(x, x, k)
    with pytest.raises(InputError, match="resize one"):
        nearest(x, x[:, :2])
    with pytest.raises(InputError, match=r"samples: .* not finite"):
        nearest(x / 0, x)
    with pytest.raises(InputError, match=r"training set: .* not finite"):
        nearest(x, x / 0)
