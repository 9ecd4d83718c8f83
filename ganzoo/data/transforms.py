"""Transforms of samples: crops, flips, sizes and channels. Random ones draw from a given generator, so they can be repeated.

A sample is a NamedTuple of :mod:`ganzoo.data.batches`; its images are its uint8 tensors [C, H, W].
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.batches import Unpaired
from ganzoo.data.resizing import centre_crop, resize
from ganzoo.utils.images import to_grey

Sample = TypeVar("Sample", bound=tuple)
CHUNK = 1000  # images that are converted at a time, to keep the scratch memory small


def map_images(change: Callable[[Tensor], Tensor], sample: Sample) -> Sample:
    """Applies a function to every image of a sample; leaves its labels unchanged."""
    return type(sample)(*(change(value) if value.dtype == torch.uint8 else value for value in sample))


class RandomCropFlip:
    """Crops a random square and flips it left to right half of the time; all images of a sample alike.

    Args:
        load: function that loads the sample of an item; the sides of its images are at least `size`.
        size: height and width of the crop in pixels.
        flip: whether to flip half of the samples.
    """

    def __init__(self, load: Callable[[Any], Any], size: int, flip: bool) -> None:
        self.load = load
        self.size = size
        self.flip = flip

    def __call__(self, item: Any, rng: np.random.Generator) -> Any:
        sample = self.load(item)
        height, width = sample.x.shape[-2:]
        top, left, flipped = self.place(height, width, rng)

        def crop(image: Tensor) -> Tensor:
            image = image[:, top : top + self.size, left : left + self.size]
            return image.flip(-1) if flipped else image

        return map_images(crop, sample)

    def place(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, bool]:
        """Draws the crop of an image of this height and width: its top and left, and whether it is flipped."""
        top, left = (int(rng.integers(side - self.size + 1)) for side in (height, width))
        return top, left, self.flip and rng.random() < 0.5


class CenterCrop:
    """Crops the middle square of all images of a sample.

    Args:
        load: function that loads the sample of an item; the sides of its images are at least `size`.
        size: height and width of the crop in pixels.
    """

    def __init__(self, load: Callable[[Any], Any], size: int) -> None:
        self.load = load
        self.size = size

    def __call__(self, item: Any) -> Any:
        return map_images(lambda image: centre_crop(image, self.size), self.load(item))


def random_flip(sample: Sample, rng: np.random.Generator) -> Sample:
    """Flips all images of a sample left to right half of the time."""
    return map_images(lambda image: image.flip(-1), sample) if rng.random() < 0.5 else sample


class Independent:
    """Draws x from one item and y from another, each with its own transform: for training without pairs.

    Args:
        transform_x: function of (item of x, numpy Generator) that gives a sample whose first field is the image x.
        transform_y: function of (item of y, numpy Generator) that gives a sample whose last field is the image y.
    """

    def __init__(
        self, transform_x: Callable[[Any, np.random.Generator], Any], transform_y: Callable[[Any, np.random.Generator], Any]
    ) -> None:
        self.transform_x = transform_x
        self.transform_y = transform_y

    def __call__(self, items: tuple[Any, Any], rng: np.random.Generator) -> Unpaired:
        x, y = items
        return Unpaired(self.transform_x(x, rng)[0], self.transform_y(y, rng)[-1])


def to_common_format(images: Tensor, channels: int, size: int) -> Tensor:
    """Converts images to a number of channels and a size, so that two data sets differ in their contents only.

    Colour becomes grey (``ganzoo.utils.images.to_grey``), grey becomes colour by repeating it (without
    using more memory), and every other size is resized bilinearly.

    Args:
        images: uint8 [N, 1 or 3, H, W].
        channels: number of channels that come out, 1 or 3.
        size: height and width in pixels that come out.

    Returns:
        uint8 [N, channels, size, size].
    """
    if images.shape[1] > channels:
        images = to_grey(images)
    return resize_in_chunks(images, size).expand(-1, channels, -1, -1)


def resize_in_chunks(images: Tensor, size: int) -> Tensor:
    """Resizes uint8 [N, C, H, W] to [N, C, size, size], bilinear, with scratch memory for a thousand images."""
    if images.shape[-2:] == (size, size):
        return images
    return torch.cat([resize(part, size, size) for part in images.split(CHUNK)])
