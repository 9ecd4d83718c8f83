"""MNIST-M: the difference by hand, and where its patches come from."""

import numpy as np
import torch
from support.two_domains import rows

from ganzoo.data import mnistm

RNG = np.random.default_rng(0)


def test_mnist_m_is_the_difference_by_hand():
    digits = torch.from_numpy(RNG.integers(0, 256, (50, 1, 28, 28), np.uint8))
    backgrounds = torch.from_numpy(RNG.integers(0, 256, (50, 3, 28, 28), np.uint8))
    wanted = np.abs(backgrounds.numpy().astype(int) - digits.numpy().astype(int))
    assert mnistm.blend(digits, backgrounds).tolist() == wanted.tolist()


def test_patches_are_cut_from_everywhere_in_every_photograph():
    # the red value is the row, the green one the column, the blue one the photograph
    photos = []
    for number, (height, width) in enumerate([(40, 60), (90, 33), (28, 28)]):
        row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        photos.append(torch.stack([row, column, torch.full_like(row, number)]).to(torch.uint8))
    cut = mnistm.patches(photos, 6000, stream=0)
    corner = cut[:, :, 0, 0].long()
    ramp = torch.arange(28)
    assert torch.equal(cut[:, 0].long(), (corner[:, 0, None] + ramp)[:, :, None].expand(-1, -1, 28))
    assert torch.equal(cut[:, 1].long(), (corner[:, 1, None] + ramp)[:, None].expand(-1, 28, -1))
    for number, (rows_, columns) in enumerate([(13, 33), (63, 6), (1, 1)]):
        mine = corner[corner[:, 2] == number]
        assert 1850 < len(mine) < 2150
        assert mine[:, 0].unique().tolist() == list(range(rows_))
        assert mine[:, 1].unique().tolist() == list(range(columns))
        assert len(mine[:, :2].unique(dim=0)) > min(0.9 * rows_ * columns, 300)  # row and column do not move together


def test_patches_are_the_same_each_time_and_for_any_number_of_them():
    photos = mnistm.photographs()
    assert [tuple(photo.shape) for photo in photos] == [(3, 321, 481), (3, 321, 481)]
    first = mnistm.patches(photos, 100, stream=0)
    assert torch.equal(first, mnistm.patches(photos, 300, stream=0)[:100])
    assert len({*rows(first), *rows(mnistm.patches(photos, 100, stream=1))}) == 200
