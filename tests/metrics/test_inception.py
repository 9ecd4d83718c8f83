"""The Inception score at its ends, by hand, and against torchmetrics and torch-fidelity."""

from math import exp, log, sqrt

import pytest
import torch
from support.features import global_streams_untouched, normal
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics.inception import inception_score

_untouched = pytest.fixture(autouse=True)(global_streams_untouched)


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
