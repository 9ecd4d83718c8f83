"""Divergences of histograms, against values by hand."""

from math import inf, log

import pytest
import torch

from ganzoo.errors import InputError
from ganzoo.metrics.divergences import jensen_shannon, kullback_leibler

P, Q = torch.tensor([1, 3, 0]), torch.tensor([2, 0, 2])


def test_jensen_shannon():
    m = [(1 / 4 + 1 / 2) / 2, 3 / 8, 1 / 4]
    known = 0.5 * (0.25 * log(0.25 / m[0]) + 0.75 * log(0.75 / m[1])) + 0.5 * (0.5 * log(0.5 / m[0]) + 0.5 * log(0.5 / m[2]))
    assert jensen_shannon(P, Q) == pytest.approx(known)
    assert jensen_shannon(Q, P) == pytest.approx(known)
    assert jensen_shannon(P, 5 * P) == 0
    assert jensen_shannon(torch.tensor([1, 0]), torch.tensor([0, 1])) == pytest.approx(log(2))


def test_kullback_leibler_is_not_symmetric():
    p, q = torch.tensor([1.0, 3.0]), torch.tensor([2.0, 2.0])
    assert kullback_leibler(p, q) == pytest.approx(0.25 * log(0.5) + 0.75 * log(1.5))
    assert kullback_leibler(q, p) == pytest.approx(0.5 * log(2) + 0.5 * log(2 / 3))
    assert kullback_leibler(p, 4 * p) == 0
    assert kullback_leibler(P, Q) == inf  # P has a value where Q has none
    assert kullback_leibler(torch.tensor([0, 1]), torch.ones(2)) == pytest.approx(log(2))  # 0 log 0 is 0


@pytest.mark.parametrize("divergence", [jensen_shannon, kullback_leibler])
def test_what_is_no_histogram_is_refused(divergence):
    for wrong in (torch.zeros(3), torch.tensor([1, -1, 3]), torch.ones(2)):
        with pytest.raises(InputError, match="histograms"):
            divergence(P, wrong)
