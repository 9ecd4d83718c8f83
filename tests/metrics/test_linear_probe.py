"""The linear probe on features whose answer is known."""

import pytest
import torch

from ganzoo.errors import InputError
from ganzoo.metrics.linear_probe import balanced_subset, linear_probe


def three_clouds(n, g):
    """Normals round three corners, 6 deviations apart, in 5 dimensions of very different sizes; one never changes."""
    y = torch.arange(n) % 3
    x = torch.zeros(n, 5)
    x[:, :3] = 6 * torch.eye(3)[y] + torch.randn(n, 3, generator=g)
    x[:, 3] = torch.randn(n, generator=g)
    return x * torch.tensor([1e-3, 1.0, 1e3, 1e3, 1.0]), y


def test_separable_classes_are_named_and_labels_at_random_are_not():
    g = torch.Generator().manual_seed(0)
    (x, y), (x_test, y_test) = three_clouds(150, g), three_clouds(300, g)
    state = torch.get_rng_state()
    found = linear_probe(x, y, x_test, y_test)
    assert found.accuracy > 0.99
    assert found.held_out > 0.99
    assert torch.equal(torch.get_rng_state(), state)
    assert linear_probe(x, y, x_test, y_test.flip(0)).accuracy == pytest.approx(1 / 3, abs=0.02)
    shuffled = y[torch.randperm(150, generator=g)]
    assert linear_probe(x, shuffled, x_test, y_test).held_out < 0.6


def test_c_is_chosen_on_held_out_features():
    """Of 10 labels among 300 useless features a small C errs less; the C of the best training error would be the largest."""
    g = torch.Generator().manual_seed(1)
    x, y = torch.randn(100, 300, generator=g), torch.arange(100) % 2
    x[:, 0] += 4 * y
    found = linear_probe(x, y, x, y, cs=(1e-5, 1.0))
    assert found.held_out < 1
    tried = [linear_probe(x, y, x, y, cs=(C,)).held_out for C in (1e-5, 1.0)]
    assert found.held_out == max(tried)
    best = (1e-5, 1.0)[tried.index(max(tried))]
    assert best == found.C


def test_a_balanced_subset_has_as_many_of_each_class():
    labels = torch.tensor([0] * 5 + [1] * 50 + [2] * 7)
    chosen = balanced_subset(labels, 5, seed=3)
    assert labels[chosen].bincount().tolist() == [5, 5, 5]
    assert len(chosen.unique()) == 15
    assert not torch.equal(chosen, balanced_subset(labels, 5, seed=4))
    with pytest.raises(InputError, match="class 0 has 5 images, and 6 are asked for"):
        balanced_subset(labels, 6)


def test_what_cannot_be_measured_is_one_clear_line():
    x, y = torch.randn(20, 3), torch.arange(20) % 2
    for args, message in (
        ((x, y[:-1], x, y), "a label for each feature"),
        ((x, y, x[:, :2], y), "features of one length"),
        ((x, 0 * y, x, y), "two classes"),
        ((x[:5], y[:5], x, y), "at least 10 images"),
        ((x / 0, y, x, y), "not finite"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            linear_probe(*args)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="above 0"):
        linear_probe(x, y, x, y, cs=())
