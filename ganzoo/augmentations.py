"""Augmentations of what the discriminator sees: DiffAugment, input noise.

A model takes one as its argument ``augment``: an object from Python, ``{class_path: DiffAugment}`` from YAML. Its checkpoint
keeps it in the second form. Real and generated images pass through the same augmentation before the discriminator, in every
player's turn, and the generator's gradient passes through it too. Samples are not augmented.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from ganzoo.errors import InputError
from ganzoo.utils.ranges import Checked, HalfOpenUnitInterval, PositiveFloat, PositiveFraction

Progress = Callable[[], float]


class Augmentation(Checked, ABC):
    """A random change of images. A config can name a subclass that keeps each argument under its own name."""

    @abstractmethod
    def __call__(self, images: Tensor, progress: Progress) -> Tensor:
        """Augments images, with random numbers of torch's own generator of their device.

        Args:
            images: images [N, C, H, W] in [-1, 1].
            progress: returns the fraction of the training done, in [0, 1].

        Returns:
            Images of the same shape, differentiable by ``images``.
        """


class DiffAugment(Augmentation):
    """Differentiable augmentation for training with little data (Zhao et al. 2020, arXiv 2006.10738).

    Each image has its own random numbers. Strengths and order are those of the authors' released code.

    Args:
        color: changes brightness by -0.5 to 0.5, saturation by a factor of 0 to 2, and contrast by a factor of 0.5 to 1.5.
        translation: largest shift, as a share of height and width; what comes in is 0, a middle grey. 0 for none.
        cutout: side of the square that is set to 0, as a share of height and width; 0 for none.

    Raises:
        InputError: all three are off; in training, the batch is not one of images.
    """

    def __init__(
        self, color: bool = True, translation: HalfOpenUnitInterval = 0.125, cutout: HalfOpenUnitInterval = 0.5
    ) -> None:
        if not (color or translation or cutout):
            raise InputError("DiffAugment with color false, translation 0 and cutout 0 changes nothing: leave it out")
        self.color, self.translation, self.cutout = color, translation, cutout

    def __call__(self, images: Tensor, progress: Progress) -> Tensor:
        if images.ndim != 4:
            raise InputError(f"DiffAugment is for images [N, C, H, W], and these have the shape {list(images.shape)}")
        if self.color:
            images = change_contrast(change_saturation(images + _uniform(images) - 0.5))
        if self.translation:
            images = translate(images, self.translation)
        return cut_out(images, self.cutout) if self.cutout else images


def change_saturation(images: Tensor) -> Tensor:
    """Scales each pixel's distance from its mean over the channels, by a factor uniform in [0, 2] of each image."""
    mean = images.mean(1, keepdim=True)
    return mean + (images - mean) * (2 * _uniform(images))


def change_contrast(images: Tensor) -> Tensor:
    """Scales each value's distance from the image's mean, by a factor uniform in [0.5, 1.5] of each image."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (_uniform(images) + 0.5)


def translate(images: Tensor, share: float) -> Tensor:
    """Shifts each image by a whole number of pixels, uniform up to a share of its size (rounded); what comes in is 0."""
    rows, columns = (_shifted(images, dim, _pixels(images, dim, share)) for dim in (2, 3))
    n = torch.arange(len(images), device=images.device)
    # a border of one pixel of 0, to which all places outside lead
    bordered = pad(images, (1, 1, 1, 1)).movedim(1, -1)
    return bordered[n[:, None, None], rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def cut_out(images: Tensor, share: float) -> Tensor:
    """Sets a rectangle of each image to 0, a share of its height by a share of its width, centred anywhere."""
    rows, columns = (_cut(images, dim, _pixels(images, dim, share)) for dim in (2, 3))
    return images * ~(rows[:, None, :, None] & columns[:, None, None, :])


class InputNoise(Augmentation):
    """Normal noise on the discriminator's input, which decays to 0 (Sonderby et al. 2017, "instance noise").

    Its standard deviation falls linearly: ``sigma (1 - progress / until)``, and is 0 from ``until`` on.

    Args:
        sigma: the standard deviation at the start; pixels are in [-1, 1].
        until: the fraction of the training after which there is no noise, in (0, 1].
    """

    def __init__(self, sigma: PositiveFloat = 0.1, until: PositiveFraction = 1.0) -> None:
        self.sigma, self.until = sigma, until

    def __call__(self, images: Tensor, progress: Progress) -> Tensor:
        sigma = self.sigma * max(0.0, 1 - progress() / self.until)
        return images + sigma * torch.randn_like(images) if sigma else images


def _pixels(images: Tensor, dim: int, share: float) -> int:
    return int(images.shape[dim] * share + 0.5)  # a half goes up, as in the released code


def _uniform(images: Tensor) -> Tensor:
    return torch.rand(len(images), 1, 1, 1, device=images.device, dtype=images.dtype)


def _shifted(images: Tensor, dim: int, most: int) -> Tensor:
    """Where each place of the shifted images comes from in the bordered ones, [N, size]."""
    size = images.shape[dim]
    shift = torch.randint(-most, most + 1, (len(images), 1), device=images.device)
    return (torch.arange(1, size + 1, device=images.device) + shift).clamp(0, size + 1)


def _cut(images: Tensor, dim: int, length: int) -> Tensor:
    """Which places of a dimension are cut, bool [N, size]: ``length`` of them around a centre, fewer at an edge."""
    size = images.shape[dim]
    first = torch.randint(0, size + 1 - length % 2, (len(images), 1), device=images.device) - length // 2
    places = torch.arange(size, device=images.device)
    return (places >= first) & (places < first + length)
