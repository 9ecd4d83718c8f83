"""The standard data sets that torchvision downloads: MNIST, Fashion-MNIST, CIFAR-10, STL-10, USPS, SVHN."""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import Images, LabelledImages
from ganzoo.data.datasets import InMemory
from ganzoo.data.digits import DIGIT_NAMES
from ganzoo.data.sampling import Augmented
from ganzoo.data.transforms import random_flip, resize_in_chunks
from ganzoo.errors import InputError, one_line
from ganzoo.utils.ranges import Pixels, PositiveInt, Seed, Workers

_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def _sized(images: Tensor, size: int) -> Tensor:
    """uint8 [N, C, H, H] -> [N, C, size, size]: 28 to 32 by a border of zeros, otherwise by bilinear resizing."""
    if images.shape[-1] == 28 and size == 32:
        return functional.pad(images, (2, 2, 2, 2))
    return resize_in_chunks(images, size)


class _Torchvision(ImageDataModule):
    """One of torchvision's sets, ten classes, held in memory as uint8.

    Args:
        root: folder that holds the sets of this kind; :meth:`prepare_data` downloads into it what is not there.
        size: height and width in pixels.
        batch_size: images in a batch of each process.
        num_workers: processes that load.
        seed: of the training order.
    """

    source: str
    folder: str
    files: tuple[str, ...]
    channels: int
    # one in so many of the published training images, from the end, validates
    held_out: int

    def __init__(self, root: str, size: Pixels, batch_size: PositiveInt, num_workers: Workers, seed: Seed) -> None:
        shape = (self.channels, size, size)
        super().__init__(shape, 10, batch_size=batch_size, num_workers=num_workers, seed=seed)
        self.root = root
        self.size = size

    @property
    def _where(self) -> Path:
        """The folder that torchvision is told."""
        return Path(self.root)

    def prepare_data(self) -> None:
        """Downloads the set unless its files are in place.

        Raises:
            InputError: it cannot be downloaded; the message names the folder and the files to put there by hand.
        """
        for train in (True, False):
            self._open(download=True, train=train)

    def splits(self) -> Splits:
        x, y = self._labelled(train=True)
        test = InMemory(self._labelled(train=False))
        kept = len(x) - len(x) // self.held_out
        return InMemory(LabelledImages(x[:kept], y[:kept])), InMemory(LabelledImages(x[kept:], y[kept:])), test

    def _labelled(self, **part: Any) -> LabelledImages:
        dataset = self._open(download=False, **part)
        return LabelledImages(self._images(dataset.data), torch.as_tensor(dataset.targets).long())

    def _open(self, download: bool, **part: Any) -> Any:
        # torchvision takes a second to import
        source = getattr(import_module("torchvision.datasets"), self.source)
        try:
            return source(str(self._where), download=download, **part)
        except Exception as error:  # by turns RuntimeError, URLError, AssertionError, UnpicklingError and OSError
            raise InputError(
                f"{self.source} can be neither read nor downloaded ({one_line(error)}): "
                f"put {', '.join(self.files)} in the folder {Path(self.root, self.folder)}"
            ) from error

    def _images(self, data: Any) -> Tensor:
        images = torch.as_tensor(data)
        images = images.unsqueeze(1) if self.channels == 1 else images.permute(0, 3, 1, 2).contiguous()
        return _sized(images, self.size)


class MNIST(_Torchvision):
    """Handwritten digits, grey, 28x28. Batches are ``LabelledImages``.

    Split as in Goodfellow et al. 2014: of the 60,000 training images the first 50,000 train and the last 10,000
    validate; the 10,000 test images test.

    Args:
        root: folder with ``MNIST/raw/train-images-idx3-ubyte`` and its three siblings, which are downloaded
            if they are not there.
        size: height and width in pixels: 32 is a border of zeros round the 28, any other size is resized bilinearly.
        batch_size: images in a batch of each process.
        num_workers: processes that load.
        seed: of the training order.
        binarise: make each pixel of a digit that is not 0 white.

    Raises:
        InputError: the files can be neither read nor downloaded.
    """

    source, folder, files = "MNIST", "MNIST/raw", _IDX
    channels, held_out = 1, 6

    class_names = DIGIT_NAMES

    def __init__(
        self,
        root: str = "data",
        size: Pixels = 28,
        batch_size: PositiveInt = 64,
        num_workers: Workers = 0,
        seed: Seed = 0,
        binarise: bool = False,
    ) -> None:
        super().__init__(root, size, batch_size, num_workers, seed)
        self.binarise = binarise

    def _images(self, data: Any) -> Tensor:
        return super()._images((torch.as_tensor(data) > 0).to(torch.uint8) * 255 if self.binarise else data)


class FashionMNIST(_Torchvision):
    """Articles of clothing, grey, 28x28, in MNIST's form and with MNIST's split. Batches are ``LabelledImages``.

    Args:
        root: folder with ``FashionMNIST/raw/train-images-idx3-ubyte`` and its three siblings, which are downloaded
            if they are not there.
        size: height and width in pixels: 32 is a border of zeros round the 28, any other size is resized bilinearly.
        batch_size: images in a batch of each process.
        num_workers: processes that load.
        seed: of the training order.

    Raises:
        InputError: the files can be neither read nor downloaded.
    """

    source, folder, files = "FashionMNIST", "FashionMNIST/raw", _IDX
    channels, held_out = 1, 6

    def __init__(
        self, root: str = "data", size: Pixels = 28, batch_size: PositiveInt = 64, num_workers: Workers = 0, seed: Seed = 0
    ) -> None:
        super().__init__(root, size, batch_size, num_workers, seed)


class CIFAR10(_Torchvision):
    """Small photographs of ten kinds of thing, colour, 32x32. Batches are ``LabelledImages``.

    Of the 50,000 training images the first 45,000 train and the last 5,000 validate; the 10,000 test images test.

    Args:
        root: folder with ``cifar-10-batches-py``, which is downloaded if it is not there.
        size: height and width in pixels: any other than 32 is resized bilinearly.
        mirror: mirror training images left to right half of the time.
        batch_size: images in a batch of each process.
        num_workers: processes that load.
        seed: of the training order and of the mirroring.

    Raises:
        InputError: the files can be neither read nor downloaded.
    """

    source, folder = "CIFAR10", "cifar-10-batches-py"
    files = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
    channels, held_out = 3, 10

    def __init__(
        self,
        root: str = "data",
        size: Pixels = 32,
        mirror: bool = False,
        batch_size: PositiveInt = 64,
        num_workers: Workers = 0,
        seed: Seed = 0,
    ) -> None:
        super().__init__(root, size, batch_size, num_workers, seed)
        self.mirror = mirror

    def splits(self) -> Splits:
        train, val, test = super().splits()
        if self.mirror and train is not None:
            train = Augmented(train, random_flip, self.seed)
        return train, val, test


class STL10(_Torchvision):
    """Photographs of ten kinds of thing, colour, 96x96. Batches are ``LabelledImages``, or ``Images``.

    Of the 5,000 labelled training images the first 4,500 train and the last 500 validate; the 8,000 test images
    test. With `unlabelled` the set's 100,000 images of these and other things train, all 5,000 validate and the 8,000
    test, each without its label. They take 2.8 GB of memory.

    Args:
        root: folder with ``stl10_binary``, which is downloaded (2.6 GB) if it is not there.
        unlabelled: train on the unlabelled images.
        size: height and width in pixels: any other than 96 is resized bilinearly.
        mirror: mirror training images left to right half of the time.
        batch_size: images in a batch of each process.
        num_workers: processes that load.
        seed: of the training order and of the mirroring.

    Raises:
        InputError: the files can be neither read nor downloaded.
    """

    source, folder = "STL10", "stl10_binary"
    files = ("train_X.bin", "train_y.bin", "unlabeled_X.bin", "test_X.bin", "test_y.bin")
    channels, held_out = 3, 10

    def __init__(
        self,
        root: str = "data",
        unlabelled: bool = False,
        size: Pixels = 96,
        mirror: bool = False,
        batch_size: PositiveInt = 64,
        num_workers: Workers = 0,
        seed: Seed = 0,
    ) -> None:
        super().__init__(root, size, batch_size, num_workers, seed)
        self.unlabelled = unlabelled
        self.classes = None if unlabelled else 10
        self.mirror = mirror

    def prepare_data(self) -> None:
        """Downloads the set unless its files are in place.

        Raises:
            InputError: it cannot be downloaded; the message names the folder and the files to put there by hand.
        """
        # whichever split is asked for, all files are checked
        self._open(download=True, split="test")

    def splits(self) -> Splits:
        if self.unlabelled:
            alone = (InMemory(Images(self._labelled(split=split).x)) for split in ("unlabeled", "train", "test"))
            return self._flipped(*alone)
        x, y = self._labelled(split="train")
        kept = len(x) - len(x) // self.held_out
        test = InMemory(self._labelled(split="test"))
        train, val = InMemory(LabelledImages(x[:kept], y[:kept])), InMemory(LabelledImages(x[kept:], y[kept:]))
        return self._flipped(train, val, test)

    def _flipped(self, train: Dataset, val: Dataset, test: Dataset) -> Splits:
        return Augmented(train, random_flip, self.seed) if self.mirror else train, val, test

    def _labelled(self, **part: Any) -> LabelledImages:
        dataset = self._open(download=False, **part)
        return LabelledImages(_sized(torch.as_tensor(dataset.data), self.size), torch.as_tensor(dataset.labels).long())


class USPS(_Torchvision):
    """Handwritten digits of letters' codes, grey, 16x16: 7,291 to train and 2,007 to test. Batches are ``LabelledImages``.

    The last tenth of the training images validates.

    Args:
        root: the files are in ``<root>/USPS``, and are downloaded if they are not there.
        size: height and width in pixels: any other than 16 is resized bilinearly.
        batch_size: images in a batch of each process.
        num_workers: processes that load.
        seed: of the training order.

    Raises:
        InputError: the files can be neither read nor downloaded.
    """

    source, folder, files = "USPS", "USPS", ("usps.bz2", "usps.t.bz2")
    channels, held_out = 1, 10
    class_names = DIGIT_NAMES

    def __init__(
        self, root: str = "data", size: Pixels = 16, batch_size: PositiveInt = 64, num_workers: Workers = 0, seed: Seed = 0
    ) -> None:
        super().__init__(root, size, batch_size, num_workers, seed)

    @property
    def _where(self) -> Path:
        return Path(self.root, self.folder)


class SVHN(_Torchvision):
    """Digits of house numbers, colour, 32x32: 73,257 to train and 26,032 to test. Batches are ``LabelledImages``.

    The last tenth of the training images validates.

    Args:
        root: the files are in ``<root>/SVHN``, and are downloaded if they are not there.
        size: height and width in pixels: any other than 32 is resized bilinearly.
        batch_size: images in a batch of each process.
        num_workers: processes that load.
        seed: of the training order.

    Raises:
        InputError: the files can be neither read nor downloaded.
    """

    source, folder, files = "SVHN", "SVHN", ("train_32x32.mat", "test_32x32.mat")
    channels, held_out = 3, 10
    class_names = DIGIT_NAMES

    def __init__(
        self, root: str = "data", size: Pixels = 32, batch_size: PositiveInt = 64, num_workers: Workers = 0, seed: Seed = 0
    ) -> None:
        super().__init__(root, size, batch_size, num_workers, seed)

    @property
    def _where(self) -> Path:
        return Path(self.root, self.folder)

    def _open(self, download: bool, **part: Any) -> Any:
        return super()._open(download, split="train" if part["train"] else "test")

    def _labelled(self, **part: Any) -> LabelledImages:
        dataset = self._open(download=False, **part)
        return LabelledImages(_sized(torch.as_tensor(dataset.data), self.size), torch.as_tensor(dataset.labels).long())
