"""Stacked MNIST: three digits in the red, green and blue channel of one image, which makes 1,000 modes.

Metz et al. 2017, "Unrolled Generative Adversarial Networks", section 3.3; Srivastava et al. 2017, "VEEGAN"; Lin et al. 2018,
"PacGAN". A generator's modes are the triples of digits that a classifier of MNIST reads in its samples.
"""

from functools import partial
from typing import Any

import numpy as np
import torch

from ganzoo.data.base import Splits
from ganzoo.data.batches import LabelledImages
from ganzoo.data.datasets import InMemory, Mapped
from ganzoo.data.sampling import Augmented, image_rng
from ganzoo.data.vision import MNIST
from ganzoo.errors import InputError
from ganzoo.metrics.extractors.classifier import SmallClassifier
from ganzoo.metrics.modes import StackedModes
from ganzoo.utils.ranges import SampleCount

VALIDATION, TEST = 1000, 26_000  # 26,000 samples are usual for counting the modes: 26 of each
_SEED = 2017  # the same held-out images for everybody


class StackedMNIST(MNIST):
    """Three MNIST digits in the colour channels of an image, 1,000 modes, 28x28. Batches are ``LabelledImages``.

    Each training image is three random training digits, drawn anew in every epoch from the seed, the epoch and its index.
    1,000 images of validation digits validate and 26,000 of test digits test; they are the same for every seed. The label
    of digits (a, b, c) is ``100 a + 10 b + c``.

    Args:
        root: as in :class:`~ganzoo.data.MNIST`.
        images: number of training images in an epoch.
        classifier: file of a classifier of MNIST's digits, which counts the modes of samples:
            ``ganzoo classifier --data MNIST --out mnist.pt``. It is not needed for training alone.
        options: ``binarise`` and ``size`` of ``MNIST``, and ``batch_size``, ``num_workers``, ``seed``.

    Raises:
        InputError: MNIST can be neither read nor downloaded.
    """

    class_names = tuple(f"{triple:03d}" for triple in range(1000))

    def __init__(
        self, root: str = "data", images: SampleCount = 128_000, classifier: str | None = None, **options: Any
    ) -> None:
        super().__init__(root, **options)
        self.images, self.classifier = images, classifier
        self.shape, self.classes = (3, self.size, self.size), 1000

    def splits(self) -> Splits:
        digits: Any = super().splits()
        train, val, test = (partial(stack, part) for part in digits)

        def held_out(draw: Any, number: int) -> Any:
            return lambda index: draw(index, image_rng(_SEED, number, index))

        return (
            Augmented(range(self.images), train, self.seed),
            Mapped(range(VALIDATION), held_out(val, 0)),
            Mapped(range(TEST), held_out(test, 1)),
        )

    def modes(self) -> StackedModes:
        """The 1,000 triples of digits, as the classifier reads them.

        Raises:
            InputError: no classifier is given, or it is none of ten digits in grey images.
        """
        if self.classifier is None:
            raise InputError(
                "StackedMNIST counts modes by a classifier of digits: ganzoo classifier --data MNIST --out mnist.pt, "
                "then --data.classifier mnist.pt"
            )
        reader = SmallClassifier.load(self.classifier)
        if (reader.channels, reader.classes) != (1, 10):
            raise InputError(
                f"{self.classifier} tells {reader.classes} classes of images with {reader.channels} channels apart, and "
                "StackedMNIST needs one of MNIST's ten digits: ganzoo classifier --data MNIST --out mnist.pt"
            )
        return StackedModes(lambda images: reader(images).logits, words=f"{reader.name} {reader.weights}")


def stack(digits: InMemory, index: int, rng: np.random.Generator) -> LabelledImages:
    """Draws three digits into the channels of one image.

    Args:
        digits: ``LabelledImages`` with one channel.
        index: number of the image; the generator alone decides which digits.
        rng: source of the three numbers.
    """
    x, y = digits.samples
    chosen = torch.from_numpy(rng.integers(len(y), size=3))
    return LabelledImages(x[chosen].squeeze(1), (y[chosen] * torch.tensor([100, 10, 1])).sum())
