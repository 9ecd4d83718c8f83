"""Crops, flips and the common format."""

import numpy as np
import torch
from PIL import Image

from ganzoo.data.batches import ImagePairs, LabelledImages, Unpaired
from ganzoo.data.transforms import CenterCrop, Independent, RandomCropFlip, random_flip, to_common_format

RNG = np.random.default_rng(0)


def test_grey_is_repeated_and_colour_becomes_its_luma():
    colour = torch.from_numpy(RNG.integers(0, 256, (5, 3, 40, 40), np.uint8))
    luma = [np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L")) for image in colour]
    assert to_common_format(colour, 1, 40).squeeze(1).tolist() == np.stack(luma).tolist()
    grey = colour[:, :1]
    assert torch.equal(to_common_format(grey, 3, 40), grey.repeat(1, 3, 1, 1))
    assert torch.equal(to_common_format(to_common_format(grey, 3, 40), 1, 40), grey)
    assert to_common_format(grey, 3, 28).shape == (5, 3, 28, 28)


def pairs(n: int = 1, height: int = 9, width: int = 12) -> list[ImagePairs]:
    """Pairs whose y is the negative of x."""
    x = torch.from_numpy(RNG.integers(0, 256, (n, 3, height, width), np.uint8))
    return [ImagePairs(image, 255 - image) for image in x]


def test_a_random_crop_is_the_same_of_both_images_and_from_everywhere():
    (pair,) = pairs()
    transform, rng = RandomCropFlip(lambda item: item, 8, flip=True), np.random.default_rng(0)
    windows = {
        (top, left, flip): window.flip(-1) if flip else window
        for top in (0, 1)
        for left in range(5)
        for flip in (False, True)
        for window in [pair.x[:, top : top + 8, left : left + 8]]
    }
    seen = set()
    for _ in range(400):
        x, y = transform(pair, rng)
        assert torch.equal(y, 255 - x)
        seen.add(next(key for key, window in windows.items() if torch.equal(x, window)))
    assert seen == set(windows)
    unflipped = RandomCropFlip(lambda item: item, 8, flip=False)
    for _ in range(50):
        x = unflipped(pair, rng).x
        assert any(torch.equal(x, window) for (_, _, flip), window in windows.items() if not flip)


def test_the_centre_and_a_label_is_left_alone():
    image = torch.from_numpy(RNG.integers(0, 256, (3, 8, 12), np.uint8))
    x, y = CenterCrop(lambda item: item, 8)(LabelledImages(image, torch.tensor(4)))
    assert torch.equal(x, image[:, :, 2:10])
    assert y == 4


def test_x_and_y_are_drawn_independently():
    (first, second) = pairs(2)
    rng, apart = np.random.default_rng(0), Independent(random_flip, random_flip)
    found = [apart((first, second), rng) for _ in range(100)]
    assert {type(sample) for sample in found} == {Unpaired}
    # x is the first's input, y the second's output
    kinds = [(torch.equal(s.x, first.x), torch.equal(s.y, second.y)) for s in found]
    assert set(kinds) == {(a, b) for a in (False, True) for b in (False, True)}
    for sample, (plain_x, plain_y) in zip(found, kinds, strict=True):
        assert torch.equal(sample.x, first.x if plain_x else first.x.flip(-1))
        assert torch.equal(sample.y, second.y if plain_y else second.y.flip(-1))
