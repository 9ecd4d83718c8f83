"""Samples beside their nearest training images: rows, features in the place of pixels, images that are left out."""

import pytest
import torch

from ganzoo.errors import InputError
from ganzoo.inference.neighbours import compared, neighbour_rows, read_images
from ganzoo.metrics.extractors.classifier import SmallClassifier


def images(n, seed=0):
    return torch.randint(0, 256, (n, 1, 8, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def test_a_copy_stands_first_in_its_row():
    training = images(40)
    samples = training[[7, 31]].clone()
    samples[0, 0, 0, 0] ^= 1
    rows = neighbour_rows(samples, training, training, 3)
    assert rows.shape == (2, 4, 1, 8, 8)
    assert torch.equal(rows[:, 0], samples)
    assert torch.equal(rows[:, 1], training[[7, 31]])
    distances = (rows[:, 1:].double() - samples[:, None].double()).square().flatten(2).sum(2)
    assert (distances.diff(dim=1) >= 0).all()
    every = (training.double() - samples[:1].double()).square().flatten(1).sum(1).sort().values
    torch.testing.assert_close(distances[0], every[:3])


def test_features_are_compared_in_the_place_of_pixels():
    network, training, samples = SmallClassifier((1, 8, 8), 3, ""), images(30), images(2, 1)
    known = compared(training, network, "cpu")
    assert known.shape == (30, network.dimension)
    assert torch.equal(compared(training, None, "cpu"), training)
    rows = neighbour_rows(samples, training, known, 1, network)
    wanted = torch.cdist(network(samples).pool.double(), known.double()).argmin(1)
    assert torch.equal(rows[:, 1], training[wanted])


def test_images_are_chosen_evenly_and_a_line_says_so(capsys):
    dataset = [(image, 0) for image in images(10)]
    assert torch.equal(read_images(dataset, 20, "it"), images(10))
    assert "it compares" not in capsys.readouterr().err
    assert torch.equal(read_images(dataset, 3, "it"), images(10)[[0, 3, 6]])
    assert "it compares with 3 of 10 training images, evenly chosen" in capsys.readouterr().err
    floats = [image.float() / 127.5 - 1 for image in images(4)]
    assert torch.equal(read_images(floats, 4, "it"), images(4))


def test_images_of_another_shape_are_refused():
    with pytest.raises(InputError, match="the training set"):
        neighbour_rows(images(2)[..., :4], images(3), images(3), 1)
