"""scikit-learn's handwritten digits: a data set without a download."""

from typing import Any

import torch

from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import LabelledImages
from ganzoo.data.datasets import InMemory
from ganzoo.data.resizing import resize
from ganzoo.utils.ranges import Pixels

_NATIVE = 8
DIGIT_NAMES = tuple("0123456789")


class Digits(ImageDataModule):
    """Handwritten digits, 1,797 grey images of 8x8, that come with scikit-learn (UCI optdigits, its test part).

    Batches are ``LabelledImages``. The split is fixed and stratified: of every ten images of a class, in the order
    of the file, seven train, one validates and two test, which makes 1,266 / 178 / 353. The same thirteen writers are
    in all three parts. Values 0..16 become 0..255 by round(255 v / 16).

    Args:
        size: height and width in pixels: any other than 8 is resized bilinearly.
        loading: ``batch_size`` (64), ``num_workers`` (0) and ``seed`` (0) of ``ImageDataModule``.
    """

    class_names = DIGIT_NAMES

    def __init__(self, size: Pixels = _NATIVE, **loading: Any) -> None:
        super().__init__((1, size, size), 10, **loading)
        self.size = size

    def splits(self) -> Splits:
        # slow to import, and only these images need it
        from sklearn.datasets import load_digits

        digits = load_digits()
        values = torch.from_numpy(digits.images).unsqueeze(1)
        x = resize(values.mul(255 / 16).round().to(torch.uint8), self.size, self.size)
        y = torch.from_numpy(digits.target).long()
        is_class = y.unsqueeze(1) == torch.arange(10)
        place = (is_class.cumsum(0)[is_class] - 1) % 10  # of an image among those of its class
        train, val, test = (InMemory(LabelledImages(x[where], y[where])) for where in (place < 7, place == 7, place > 7))
        return train, val, test
