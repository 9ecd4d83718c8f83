"""The standard sets that torchvision fetches: MNIST, Fashion-MNIST, CIFAR-10, STL-10."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from ganzoo.data.base import ImageDataModule, InMemory, Splits
from ganzoo.data.batches import Images, LabelledImages
from ganzoo.data.pictures import resize
from ganzoo.data.sampling import Augmented
from ganzoo.errors import InputError, one_line
from ganzoo.utils.ranges import Pixels, PositiveInt, Seed, Workers

_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def _sized(images: Tensor, size: int) -> Tensor:
    """uint8 [N, C, H, H] -> [N, C, size, size]: 28 to 32 by a border of zeros, otherwise by bilinear resizing."""
    if images.shape[-1] == 28 and size == 32:
        return functional.pad(images, (2, 2, 2, 2))
    if images.shape[-1] == size:
        return images
    # in parts, to keep the resizing's scratch memory small
    return torch.cat([resize(part, size, size) for part in images.split(1000)])


def mirrored_at_random(sample: LabelledImages, rng: np.random.Generator) -> LabelledImages:
    """The sample, mirrored left to right half of the time."""
    return sample._replace(x=sample.x.flip(-1)) if rng.random() < 0.5 else sample


class _Torchvision(ImageDataModule):
    """One of torchvision's sets, ten classes, held in memory as uint8.

    Args:
        root: folder that holds the sets of this kind; :meth:`prepare_data` downloads into it what is not there.
        size: height and width in pixels.
        batch_size: pictures in a batch of each process.
        num_workers: processes that load.
        seed: of the training order.
    """

    source: str
    folder: str
    files: tuple[str, ...]
    channels: int
    # one in so many of the published training pictures, from the end, validates
    held_out: int

    def __init__(self, root: str, size: Pixels, batch_size: PositiveInt, num_workers: Workers, seed: Seed) -> None:
        shape = (self.channels, size, size)
        super().__init__(shape, 10, batch_size=batch_size, num_workers=num_workers, seed=seed)
        self.root = root
        self.size = size

    def prepare_data(self) -> None:
        """Downloads the set unless its files are in place.

        Raises:
            InputError: it cannot be downloaded; the message names the folder and the files to put there by hand.
        """
        for train in (True, False):
            self._open(download=True, train=train)

    def splits(self) -> Splits:
        x, y = self._labelled(train=True)
        test = InMemory(*self._labelled(train=False))
        kept = len(x) - len(x) // self.held_out
        return InMemory(x[:kept], y[:kept]), InMemory(x[kept:], y[kept:]), test

    def _labelled(self, **part: Any) -> tuple[Tensor, Tensor]:
        dataset = self._open(download=False, **part)
        return self._pictures(dataset.data), torch.as_tensor(dataset.targets).long()

    def _open(self, download: bool, **part: Any) -> Any:
        # torchvision takes a second to import
        source = getattr(import_module("torchvision.datasets"), self.source)
        try:
            return source(self.root, download=download, **part)
        except Exception as error:  # by turns RuntimeError, URLError, AssertionError, UnpicklingError and OSError
            raise InputError(
                f"{self.source} can be neither read nor downloaded ({one_line(error)}): "
                f"put {', '.join(self.files)} in the folder {Path(self.root, self.folder)}"
            ) from error

    def _pictures(self, data: Any) -> Tensor:
        images = torch.as_tensor(data)
        images = images.unsqueeze(1) if self.channels == 1 else images.permute(0, 3, 1, 2).contiguous()
        return _sized(images, self.size)


class MNIST(_Torchvision):
    """Handwritten digits, grey, 28x28. Batches are ``LabelledImages``.

    Split as in Goodfellow et al. 2014: of the 60,000 training pictures the first 50,000 train and the last 10,000
    validate; the 10,000 test pictures test.

    Args:
        root: folder with ``MNIST/raw/train-images-idx3-ubyte`` and its three siblings, which are downloaded
            if they are not there.
        size: height and width in pixels: 32 is a border of zeros round the 28, any other size is resized bilinearly.
        batch_size: pictures in a batch of each process.
        num_workers: processes that load.
        seed: of the training order.

    Raises:
        InputError: the files can be neither read nor downloaded.
    """

    source, folder, files = "MNIST", "MNIST/raw", _IDX
    channels, held_out = 1, 6

    def __init__(
        self, root: str = "data", size: Pixels = 28, batch_size: PositiveInt = 64, num_workers: Workers = 0, seed: Seed = 0
    ) -> None:
        super().__init__(root, size, batch_size, num_workers, seed)


class FashionMNIST(_Torchvision):
    """Articles of clothing, grey, 28x28, in MNIST's form and with MNIST's split. Batches are ``LabelledImages``.

    Args:
        root: folder with ``FashionMNIST/raw/train-images-idx3-ubyte`` and its three siblings, which are downloaded
            if they are not there.
        size: height and width in pixels: 32 is a border of zeros round the 28, any other size is resized bilinearly.
        batch_size: pictures in a batch of each process.
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

    Of the 50,000 training pictures the first 45,000 train and the last 5,000 validate; the 10,000 test pictures test.

    Args:
        root: folder with ``cifar-10-batches-py``, which is downloaded if it is not there.
        size: height and width in pixels: any other than 32 is resized bilinearly.
        mirror: mirror training pictures left to right half of the time.
        batch_size: pictures in a batch of each process.
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
            train = Augmented(train, mirrored_at_random, self.seed)
        return train, val, test


class Unlabelled(Dataset):
    """Pictures that fit in memory, without labels. `x` is uint8 [N, C, H, W]."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Images:
        return Images(self.x[index])


class STL10(_Torchvision):
    """Photographs of ten kinds of thing, colour, 96x96. Batches are ``LabelledImages``, or ``Images``.

    Of the 5,000 labelled training pictures the first 4,500 train and the last 500 validate; the 8,000 test pictures
    test. With `unlabelled` the set's 100,000 pictures of these and other things train, all 5,000 validate and the 8,000
    test, each without its label. They take 2.8 GB of memory.

    Args:
        root: folder with ``stl10_binary``, which is downloaded (2.6 GB) if it is not there.
        unlabelled: train on the unlabelled pictures.
        size: height and width in pixels: any other than 96 is resized bilinearly.
        mirror: mirror training pictures left to right half of the time.
        batch_size: pictures in a batch of each process.
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
            alone = (Unlabelled(self._labelled(split=split)[0]) for split in ("unlabeled", "train", "test"))
            return self._mirrored(*alone)
        x, y = self._labelled(split="train")
        kept = len(x) - len(x) // self.held_out
        test = InMemory(*self._labelled(split="test"))
        return self._mirrored(InMemory(x[:kept], y[:kept]), InMemory(x[kept:], y[kept:]), test)

    def _mirrored(self, train: Dataset, val: Dataset, test: Dataset) -> Splits:
        return Augmented(train, mirrored_at_random, self.seed) if self.mirror else train, val, test

    def _labelled(self, **part: Any) -> tuple[Tensor, Tensor]:
        dataset = self._open(download=False, **part)
        return _sized(torch.as_tensor(dataset.data), self.size), torch.as_tensor(dataset.labels).long()
