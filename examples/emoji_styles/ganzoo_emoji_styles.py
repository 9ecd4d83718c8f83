"""Emoji in two companies' designs, to translate one into the other without pairs."""

from typing import Any

import numpy as np

from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import ImagePairs, Images
from ganzoo.data.datasets import InMemory, UnpairedDataset
from ganzoo.data.emoji import GOOGLE_SHA512, NATIVE, EmojiSet, part_of, shuffled_indices, split_group
from ganzoo.data.sampling import identity
from ganzoo.data.splits import is_held_out
from ganzoo.data.transforms import Independent, random_flip, resize_in_chunks
from ganzoo.errors import InputError
from ganzoo.utils.ranges import Pixels, PositiveInt

# as npm publishes it (dist.integrity)
TWITTER_SHA512 = "7F+uCuHH+7Qnrc15P5tnbvKkg9E6tlzi4MnT2uW1RlN4pLYTza6cP/dstIfSDMtpjFLWuZewWg8jBbuL2eyELQ=="


class EmojiStyles(ImageDataModule):
    """Emoji in Google's design (X) and in Twitter's (Y). Training batches are ``Unpaired``, the others ``ImagePairs``.

    No emoji is in X and in Y of the training: a hash of its code deals it to one of them. Held out are the emoji that
    ``ganzoo.data.Emoji`` holds out, each in both designs, so that a translation can be evaluated.

    X is the npm package emoji-datasource-google 16.0.0 (Apache licence 2.0), Y emoji-datasource-twitter 16.0.0 (62 MB,
    CC BY 4.0). npm fetches them, as for ``Emoji``.

    Args:
        root: folder with both packages, each unpacked or as .tgz.
        size: height and width in pixels: any other than 64 is resized bilinearly.
        mirror: flip training images left to right half of the time, x and y independently.
        batch_size: images of each design in a batch of each process, at least 1.
        loading: ``num_workers`` (0) and ``seed`` (0) of ``ImageDataModule``.

    Attributes:
        shape_x: shape (3, size, size) of x; `shape_y` is the same.

    Raises:
        InputError: as for ``Emoji``; or the two packages do not have the same emoji.
    """

    def __init__(
        self,
        root: str = "data",
        size: Pixels = NATIVE,
        mirror: bool = False,
        batch_size: PositiveInt = 1,
        **loading: Any,
    ) -> None:
        self.shape_x = self.shape_y = (3, size, size)
        super().__init__(self.shape_y, None, batch_size=batch_size, **loading)
        self.designs = EmojiSet("google", root, GOOGLE_SHA512), EmojiSet("twitter", root, TWITTER_SHA512)
        self.size = size
        self.mirror = mirror

    def prepare_data(self) -> None:
        """Fetches, checks, unpacks and decodes the images of both designs, unless that is done."""
        for design in self.designs:
            design.prepare()
            design.images()

    def splits(self) -> Splits:
        listed, other = (design.listed() for design in self.designs)
        if listed != other:
            raise InputError(f"{self.designs[0].folder} and {self.designs[1].folder} list different emoji: delete both")
        x, y = (resize_in_chunks(design.images(), self.size) for design in self.designs)
        parts = np.array([part_of(image.code) for image in listed])
        for_y = np.array([is_held_out(f"Y {split_group(image.code)}", 0.5) for image in listed])
        train_x, train_y, val, test = (
            shuffled_indices(where)
            for where in ((parts == "train") & ~for_y, (parts == "train") & for_y, parts == "val", parts == "test")
        )
        flip = random_flip if self.mirror else identity
        items_x, items_y = InMemory(Images(x[train_x])), InMemory(Images(y[train_y]))
        train = UnpairedDataset(items_x, items_y, Independent(flip, flip), self.seed)
        return train, InMemory(ImagePairs(x[val], y[val])), InMemory(ImagePairs(x[test], y[test]))
