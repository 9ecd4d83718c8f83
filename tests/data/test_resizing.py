"""Sizes and crops of uint8 images."""

import torch

from ganzoo.data.resizing import centre_crop, resize, resize_shorter_side


def test_resizing_keeps_proportions_range_and_type():
    image = torch.full((3, 20, 30), 255, dtype=torch.uint8)
    image[:, :, :15] = 0
    resized = resize_shorter_side(image, 10)
    assert resized.shape == (3, 10, 15)
    assert resized.dtype == torch.uint8
    assert resized[..., :6].max() == 0
    assert resized[..., 9:].min() == 255
    assert resize_shorter_side(torch.zeros(1, 7, 3, dtype=torch.uint8), 5).shape == (1, 12, 5)
    assert resize(image, 20, 30) is image
    # of lines one pixel wide and eight apart an eighth of the light is left; without anti-aliasing it would be a half
    lines = (torch.arange(64) % 8 == 4).mul(255).to(torch.uint8).expand(1, 64, 64)
    assert resize(lines, 8, 8)[0, 2:-2, 2:-2].int().sub(32).abs().max() <= 2


def test_the_centre_is_the_centre():
    image = torch.arange(35).view(1, 5, 7)
    assert centre_crop(image, 3).tolist() == [[[9, 10, 11], [16, 17, 18], [23, 24, 25]]]
