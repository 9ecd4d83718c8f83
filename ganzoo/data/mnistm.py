"""Builds MNIST-M, the digits of MNIST over patches of photographs (Ganin et al. 2016, section 5.2).

``|I1 - I2|`` in each channel, I1 a patch of a photograph and I2 the digit with its greys, as the paper writes it. The
builder that most others copy (create_mnistm.py of pumpikano/tf-dann) first makes every pixel of a digit that is not 0
white, which thickens the strokes. Training and test digits lie over the same photographs, there and here: what the
photographs show is the domain, and stripes held out of two of them were another, easier one.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import LabelledImages
from ganzoo.data.datasets import InMemory
from ganzoo.data.digits import DIGIT_NAMES, Digits
from ganzoo.data.image_files import find_images
from ganzoo.data.images import read_image
from ganzoo.data.resizing import resize_shorter_side
from ganzoo.data.transforms import resize_in_chunks, to_common_format
from ganzoo.data.vision import MNIST
from ganzoo.errors import InputError
from ganzoo.utils.ranges import Pixels

SIDE = 28
SHORTER = 321
"""Of the photographs of BSDS500, which the paper takes patches of; a larger one is reduced to it, or its patches would be
flat."""
_SEED = 2016  # the same images for everybody


def photographs(folder: str | Path | None = None) -> list[Tensor]:
    """Reads the photographs to cut patches from.

    Args:
        folder: folder of the photographs, read in the order of their names; None for the two of scikit-learn.

    Returns:
        uint8 [3, H, W] each, the shorter side at most 321.

    Raises:
        InputError: there is no such folder, it has no images, or an image is too small to cut a patch from.
    """
    if folder is None:
        # slow to import, and only these images need it
        from sklearn.datasets import load_sample_images

        return [_reduced(torch.from_numpy(image.copy()).permute(2, 0, 1)) for image in load_sample_images().images]
    found = []
    for path in find_images(folder):
        photo = read_image(path, 3)
        if min(photo.shape[1:]) < SIDE:
            raise InputError(f"{path} is too small to cut a background of {SIDE}x{SIDE} from: leave it out")
        found.append(_reduced(photo))
    return found


def _reduced(photo: Tensor) -> Tensor:
    photo = photo.contiguous()
    return resize_shorter_side(photo, SHORTER) if min(photo.shape[1:]) > SHORTER else photo


def patches(photos: list[Tensor], n: int, stream: int) -> Tensor:
    """Cuts patches at random places of random photographs; the i-th is the same for any `n`.

    Args:
        photos: photographs, uint8 [3, H, W], both sides at least 28.
        n: number of patches.
        stream: number of the stream of random numbers, at least 0.

    Returns:
        uint8 [n, 3, 28, 28].
    """
    draws = np.random.default_rng((_SEED, stream)).random((n, 3))
    which = (draws[:, 0] * len(photos)).astype(int)
    cut = np.empty((n, 3, SIDE, SIDE), np.uint8)
    for number, photo in enumerate(photos):
        mine = which == number
        windows = sliding_window_view(photo.numpy(), (SIDE, SIDE), (1, 2))  # [3, rows, columns, 28, 28]
        row, column = (draws[mine, 1:] * windows.shape[1:3]).astype(int).T
        cut[mine] = windows[:, row, column].swapaxes(0, 1)
    return torch.from_numpy(cut)


def blend(digits: Tensor, backgrounds: Tensor) -> Tensor:
    """``|I1 - I2|``: patches uint8 [N, 3, 28, 28] and digits uint8 [N, 1, 28, 28] -> uint8 [N, 3, 28, 28]."""
    # uint8 would wrap below 0
    return torch.maximum(backgrounds, digits) - torch.minimum(backgrounds, digits)


def over_photographs(splits: Splits, folder: str | None, size: int) -> Splits:
    """Blends digits with patches of photographs; keeps the labels.

    Args:
        splits: three ``InMemory`` sets of ``LabelledImages`` with one channel; other sizes than 28 are resized.
        folder: folder of the photographs; None for the two of scikit-learn.
        size: height and width in pixels that come out; digits and patches are blended at 28.
    """
    photos = photographs(folder)

    def blended(part: Any, stream: int) -> InMemory:
        x, y = part.samples
        x = blend(to_common_format(x, 1, SIDE), patches(photos, len(part), stream))
        return InMemory(LabelledImages(resize_in_chunks(x, size), y))

    train, val, test = (blended(part, stream) for stream, part in enumerate(splits))
    return train, val, test


class MNISTM(MNIST):
    """MNIST-M: the digits of :class:`~ganzoo.data.MNIST`, in its splits, over patches of photographs; colour, 28x28.

    Ganin et al. 2016, section 5.2. It is built when it is first needed. Batches are ``LabelledImages``.

    Args:
        root: folder with MNIST's files, which are downloaded if they are not there.
        photographs: folder whose images lie behind the digits (the paper's are BSDS500's); None for the two that come with
            scikit-learn.
        options: ``binarise`` (False, as the paper; True as the port tf-dann) and ``size`` (28) of ``MNIST``, and
            ``batch_size``, ``num_workers``, ``seed``. The patches do not depend on the seed.

    Raises:
        InputError: MNIST can be neither read nor downloaded; there are no photographs, or one is too small.
    """

    def __init__(self, root: str = "data", photographs: str | None = None, **options: Any) -> None:
        super().__init__(root, **options)
        self.photographs = photographs
        self.shape = (3, self.size, self.size)

    def splits(self) -> Splits:
        digits = MNIST(self.root, binarise=self.binarise).splits()
        return over_photographs(digits, self.photographs, self.size)


class DigitsM(ImageDataModule):
    """scikit-learn's digits, split as in :class:`~ganzoo.data.Digits`, over patches of photographs; colour, 28x28.

    MNIST-M's small sister, without a download. Batches are ``LabelledImages``.

    Args:
        photographs: folder whose images lie behind the digits; None for the two that come with scikit-learn.
        size: height and width in pixels: any other than 28 is resized bilinearly.
        loading: ``batch_size`` (64), ``num_workers`` (0) and ``seed`` (0). The patches do not depend on the seed.

    Raises:
        InputError: there are no photographs, or one is too small.
    """

    class_names = DIGIT_NAMES

    def __init__(self, photographs: str | None = None, size: Pixels = SIDE, **loading: Any) -> None:
        super().__init__((3, size, size), 10, **loading)
        self.photographs = photographs
        self.size = size

    def splits(self) -> Splits:
        return over_photographs(Digits().splits(), self.photographs, self.size)
