"""The standard data sets that torchvision downloads: MNIST, Fashion-MNIST, CIFAR-10, STL-10, USPS, SVHN."""

from abc import abstractmethod
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

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
from ganzoo.utils.ranges import Pixels, PositiveFraction

_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


class TorchvisionImages(ImageDataModule):
    """Base class of torchvision's data sets with ten classes, held in memory as uint8. Batches are ``LabelledImages``.

    Args:
        root: folder of the data sets; :meth:`prepare_data` downloads into it what is not there.
        size: height and width of the images in pixels; None for the data set's own. 28 becomes 32 by a border of zeros,
            any other size is resized bilinearly.
        train_share: share of the training images that trains, the first ones of the files, in (0, 1]; to see what little
            data does.
        loading: ``batch_size`` (64), ``num_workers`` (0) and ``seed`` (0) of ``ImageDataModule``.

    Raises:
        InputError: the files can be neither read nor downloaded.
    """

    files: tuple[str, ...]  # that a user without network puts into `folder`
    folder: str  # of the files, below root
    torchvision_root: str = ""  # below root, where torchvision looks for `folder`, or for the files
    own_shape: tuple[int, int, int]  # (C, H, W)
    held_out: int  # one in so many of the training images, from the end, validates
    parts: ClassVar[tuple[dict[str, Any], ...]] = ({"train": True}, {"train": False})
    labels = "targets"

    @property
    @abstractmethod
    def source(self) -> str:
        """Name of the class in ``torchvision.datasets``."""

    def __init__(
        self, root: str = "data", size: Pixels | None = None, train_share: PositiveFraction = 1.0, **loading: Any
    ) -> None:
        channels, _, side = self.own_shape
        self.size = size or side
        super().__init__((channels, self.size, self.size), 10, **loading)
        self.root, self.train_share = root, train_share

    def prepare_data(self) -> None:
        """Downloads the data set unless its files are in place.

        Raises:
            InputError: it cannot be downloaded; the message names the folder and the files to put there by hand.
        """
        for part in self.parts:
            self._open(download=True, **part)

    def splits(self) -> Splits:
        (x, y), test = (self._read(**part) for part in self.parts)
        kept = len(x) - len(x) // self.held_out
        used = max(1, int(kept * self.train_share))
        train, val = LabelledImages(x[:used], y[:used]), LabelledImages(x[kept:], y[kept:])
        return InMemory(train), InMemory(val), InMemory(test)

    def _read(self, **part: Any) -> LabelledImages:
        dataset = self._open(download=False, **part)
        return LabelledImages(self._images(dataset.data), torch.as_tensor(getattr(dataset, self.labels)).long())

    def _open(self, download: bool, **part: Any) -> Any:
        # torchvision takes a second to import
        source = getattr(import_module("torchvision.datasets"), self.source)
        try:
            return source(str(Path(self.root, self.torchvision_root)), download=download, **part)
        except Exception as error:  # by turns RuntimeError, URLError, AssertionError, UnpicklingError and OSError
            raise InputError(
                f"{self.source} can be neither read nor downloaded ({one_line(error)}): "
                f"put {', '.join(self.files)} in the folder {Path(self.root, self.folder)}"
            ) from error

    def _images(self, data: Any) -> Tensor:
        """The images as torchvision holds them, by turns [N, H, W], [N, H, W, C] or [N, C, H, W], as [N, C, size, size]."""
        images = torch.as_tensor(data)
        if images.ndim == 3:
            images = images.unsqueeze(1)
        elif images.shape[1] != self.own_shape[0]:
            images = images.permute(0, 3, 1, 2).contiguous()
        if images.shape[-1] == 28 and self.size == 32:
            return functional.pad(images, (2, 2, 2, 2))
        return resize_in_chunks(images, self.size)


class MNIST(TorchvisionImages):
    """Handwritten digits, grey, 28x28. Batches are ``LabelledImages``.

    Split as in Goodfellow et al. 2014: of the 60,000 training images the first 50,000 train and the last 10,000
    validate; the 10,000 test images test.

    Args:
        root: folder with ``MNIST/raw/train-images-idx3-ubyte`` and its three siblings, which are downloaded
            if they are not there.
        binarise: make each pixel of a digit that is not 0 white.
        options: ``size`` (28) of :class:`TorchvisionImages`, and ``batch_size``, ``num_workers``, ``seed``.
    """

    source, folder, files = "MNIST", "MNIST/raw", _IDX
    own_shape, held_out = (1, 28, 28), 6
    class_names = DIGIT_NAMES

    def __init__(self, root: str = "data", binarise: bool = False, **options: Any) -> None:
        super().__init__(root, **options)
        self.binarise = binarise

    def _images(self, data: Any) -> Tensor:
        return super()._images((torch.as_tensor(data) > 0).to(torch.uint8) * 255 if self.binarise else data)


class FashionMNIST(TorchvisionImages):
    """Articles of clothing, grey, 28x28, in MNIST's form and with MNIST's split. Batches are ``LabelledImages``.

    The files are in ``<root>/FashionMNIST/raw``. Arguments are those of :class:`TorchvisionImages`.
    """

    source, folder, files = "FashionMNIST", "FashionMNIST/raw", _IDX
    own_shape, held_out = (1, 28, 28), 6


class USPS(TorchvisionImages):
    """Handwritten digits of letters' codes, grey, 16x16: 7,291 to train and 2,007 to test. Batches are ``LabelledImages``.

    The last tenth of the training images validates. The files are in ``<root>/USPS``. Arguments are those of
    :class:`TorchvisionImages`.
    """

    source, folder, files, torchvision_root = "USPS", "USPS", ("usps.bz2", "usps.t.bz2"), "USPS"
    own_shape, held_out = (1, 16, 16), 10
    class_names = DIGIT_NAMES


class SVHN(TorchvisionImages):
    """Digits of house numbers, colour, 32x32: 73,257 to train and 26,032 to test. Batches are ``LabelledImages``.

    The last tenth of the training images validates. The files are in ``<root>/SVHN``. Arguments are those of
    :class:`TorchvisionImages`.
    """

    source, folder, files, torchvision_root = "SVHN", "SVHN", ("train_32x32.mat", "test_32x32.mat"), "SVHN"
    own_shape, held_out = (3, 32, 32), 10
    parts, labels = ({"split": "train"}, {"split": "test"}), "labels"
    class_names = DIGIT_NAMES


class TorchvisionPhotographs(TorchvisionImages):
    """Base class of torchvision's data sets of photographs, which may be mirrored.

    Args:
        root: as in :class:`TorchvisionImages`.
        mirror: flip training images left to right half of the time.
        options: ``size`` of :class:`TorchvisionImages`, and ``batch_size``, ``num_workers``, ``seed``.
    """

    def __init__(self, root: str = "data", mirror: bool = False, **options: Any) -> None:
        super().__init__(root, **options)
        self.mirror = mirror

    def splits(self) -> Splits:
        train, val, test = super().splits()
        return self._mirrored(train), val, test

    def _mirrored(self, train: Any) -> Dataset:
        return Augmented(train, random_flip, self.seed) if self.mirror else train


class CIFAR10(TorchvisionPhotographs):
    """Small photographs of ten kinds of thing, colour, 32x32. Batches are ``LabelledImages``.

    Of the 50,000 training images the first 45,000 train and the last 5,000 validate; the 10,000 test images test.
    The files are in ``<root>/cifar-10-batches-py``. Arguments are those of :class:`TorchvisionPhotographs`.
    """

    source, folder = "CIFAR10", "cifar-10-batches-py"
    files = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
    own_shape, held_out = (3, 32, 32), 10


class STL10(TorchvisionPhotographs):
    """Photographs of ten kinds of thing, colour, 96x96. Batches are ``LabelledImages``, or ``Images``.

    Of the 5,000 labelled training images the first 4,500 train and the last 500 validate; the 8,000 test images
    test. With `unlabelled` the set's 100,000 images of these and other things train, all 5,000 validate and the 8,000
    test, each without its label. They take 2.8 GB of memory.

    Args:
        root: folder with ``stl10_binary``, which is downloaded (2.6 GB) if it is not there.
        unlabelled: train on the unlabelled images.
        options: ``size`` (96) and ``mirror`` (False) of :class:`TorchvisionPhotographs`, and ``batch_size``,
            ``num_workers``, ``seed``.
    """

    source, folder = "STL10", "stl10_binary"
    files = ("train_X.bin", "train_y.bin", "unlabeled_X.bin", "test_X.bin", "test_y.bin")
    own_shape, held_out = (3, 96, 96), 10
    parts, labels = ({"split": "train"}, {"split": "test"}), "labels"

    def __init__(self, root: str = "data", unlabelled: bool = False, **options: Any) -> None:
        super().__init__(root, **options)
        self.unlabelled = unlabelled
        self.classes = None if unlabelled else 10

    def prepare_data(self) -> None:
        """Downloads the data set unless its files are in place. Errors are those of the base class."""
        # whichever split is asked for, all files are checked
        self._open(download=True, split="test")

    def splits(self) -> Splits:
        if not self.unlabelled:
            return super().splits()
        train, val, test = (InMemory(Images(self._read(split=split).x)) for split in ("unlabeled", "train", "test"))
        return self._mirrored(train), val, test
