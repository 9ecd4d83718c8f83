"""Nearest training images, on samples whose answers are known."""

import pytest
import torch
from support.features import global_streams_untouched, normal

from ganzoo.errors import InputError
from ganzoo.metrics import manifold as manifolds
from ganzoo.metrics.neighbours import nearest

_untouched = pytest.fixture(autouse=True)(global_streams_untouched)


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
