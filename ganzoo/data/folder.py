"""A folder of one's own images."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import Images, LabelledImages
from ganzoo.data.datasets import Mapped
from ganzoo.data.images import (
    Damaged,
    find_images,
    read_image,
    readable_images,
    resize_shorter_side,
    warn_if_dark,
)
from ganzoo.data.predicting import FromFiles, cropped, folder_to_predict, whole
from ganzoo.data.sampling import Augmented
from ganzoo.data.splits import class_folders, described, refuse_shared, split_files, split_folders, sub_folders
from ganzoo.data.transforms import CenterCrop, RandomCropFlip
from ganzoo.errors import InputError
from ganzoo.utils.ranges import HalfOpenUnitInterval, Pixels, PositiveFloat, PositiveInt, Seed, Workers


class ImageFile(NamedTuple):
    """An image on disk, its name below the split's folder, and its class, None without labels."""

    path: Path
    name: str
    label: int | None

    def sample(self, x: Tensor) -> Images | LabelledImages:
        """The sample of this file whose pixels are `x`."""
        return Images(x) if self.label is None else LabelledImages(x, torch.tensor(self.label))


class ReadFile:
    """Reads an :class:`ImageFile` as a sample whose shorter side has `size` pixels.

    Args:
        size: of the shorter side in pixels.
        channels: 1 or 3.
        max_value: as for :func:`~ganzoo.data.images.read_image`.
    """

    def __init__(self, size: int, channels: int, max_value: float | None = None) -> None:
        self.size = size
        self.channels = channels
        self.max_value = max_value

    def __call__(self, file: ImageFile) -> Images | LabelledImages:
        return file.sample(resize_shorter_side(read_image(file.path, self.channels, self.max_value), self.size))


class ImageFolder(ImageDataModule):
    """The images below a folder, of any size, all turned into squares. Batches are ``Images`` or ``LabelledImages``.

    The shorter side is resized to `size`; training takes a random square of that, validation the middle one. Where
    `root` holds folders of splits (``train``, ``val``, ``test``, ``Training``, ``valid`` and the like: see
    :func:`~ganzoo.data.splits.split_of`), those are the splits; of ``val`` and ``test`` one that is missing is the same as
    the other, and without ``train`` there is no training. Where `root` has none, or only ``train``, a share of the files
    validates, chosen by a hash of the file's name, and tests as well. Predicting is from the test folder, or else from
    all files. See :func:`~ganzoo.data.images.read_image` for alpha, 16-bit images, palettes and rotation.

    Args:
        root: the folder.
        size: height and width in pixels that come out.
        channels: 1 for grey, 3 for colour; files of the other kind are converted.
        labelled: the first folder below `root` (or below ``train``, ``val``, ``test``) is the class; classes are
            numbered in the order of their names. Folders without images are no classes.
        mirror: mirror training images left to right half of the time.
        val_share: in [0, 1), expected share of the files that validates where neither ``val`` nor ``test`` is there.
        splits: False says that no folder is a split, whatever it is called.
        damaged: "refuse" ends with the damaged files' names before training; "skip" decodes every file once, and goes on
            without them.
        max_value: the value that is white in grey files of more than 8 bits, 4095 for 12 bits; None for 65535.
        batch_size: images in a batch of each process.
        num_workers: processes that load.
        seed: of the training order and of the augmentation.
        predict_squares: predict from squares of `size`, as in training; otherwise a translator keeps each image's own size.

    Raises:
        InputError: a number out of range; no folder, no images, or a file that is not the image its name says; folders
            of which it is not clear whether they are splits. A file that is damaged in its middle is refused when it is
            read.
    """

    def __init__(
        self,
        root: str,
        size: Pixels = 64,
        channels: Literal[1, 3] = 3,
        labelled: bool = False,
        mirror: bool = True,
        val_share: HalfOpenUnitInterval = 0.1,
        splits: bool = True,
        damaged: Damaged = "refuse",
        max_value: PositiveFloat | None = None,
        batch_size: PositiveInt = 16,
        num_workers: Workers = 0,
        seed: Seed = 0,
        predict_squares: bool = False,
    ) -> None:
        self.predict_squares = predict_squares
        self.root = Path(root)
        self.size = size
        self.channels = channels
        self.mirror = mirror
        self.val_share = val_share
        self.has_splits = splits
        self.damaged: Damaged = damaged
        self.max_value = max_value
        self.labelled = labelled
        self.class_names = self._class_names() if labelled else None
        classes = None if self.class_names is None else len(self.class_names)
        super().__init__((channels, size, size), classes, batch_size=batch_size, num_workers=num_workers, seed=seed)

    @property
    def title(self) -> str:
        return str(self.root)

    def without_labels(self, items: Any) -> Any:
        return [file._replace(label=None) for file in items]

    def splits(self) -> Splits:
        layout = split_folders(self.root, self.has_splits, self.labelled)
        self.origin = described(self.root, layout)
        parts = split_files(
            layout, lambda split: self._files(layout[split]), lambda file: file.name, self.val_share, self.has_splits
        )
        whole = readable_images((file.path for files in parts for file in files), self.damaged, self.max_value)
        train, val, test = ([file for file in files if file.path in whole] for files in parts)
        refuse_shared(((file.path,) for file in train), ((file.path,) for file in (*val, *test)))
        warn_if_dark([file.path for file in train or test], self.max_value)
        read = ReadFile(self.size, self.channels, self.max_value)
        val_set, test_set = (Mapped(files, CenterCrop(read, self.size)) if files else None for files in (val, test))
        return Augmented(train, RandomCropFlip(read, self.size, self.mirror), self.seed), val_set, test_set

    def inputs(self) -> Dataset:
        folder = folder_to_predict(split_folders(self.root, self.has_splits, self.labelled))
        files = self._files(folder)
        items = [whole(file.path, folder, self.channels, self.max_value, file.label) for file in files]
        if self.predict_squares or not self._keeps_sizes():
            items = [cropped(item, self.size) for item in items]
        return self._from_files(items, folder)

    def _class_names(self) -> list[str]:
        layout = split_folders(self.root, self.has_splits, self.labelled)
        folder = next(iter(layout.values()))
        names = class_folders(folder)
        if not names:
            raise InputError(f"labelled images need a folder for each class, and {folder} has none with images")
        return names

    def _files(self, folder: Path) -> list[ImageFile]:
        names = [(path, path.relative_to(folder)) for path in find_images(folder)]
        return [ImageFile(path, name.as_posix(), self._label(folder, name)) for path, name in names]

    def _label(self, folder: Path, name: Path) -> int | None:
        if self.class_names is None:
            return None
        if len(name.parts) < 2:
            raise InputError(f"{folder / name} is in no class folder: move it into one, or give labelled=False")
        if name.parts[0] not in self.class_names:
            raise InputError(f"{folder / name.parts[0]} is not one of the classes {', '.join(self.class_names)}")
        return self.class_names.index(name.parts[0])


class DomainFolder(ImageDataModule):
    """A folder of one domain for :class:`~ganzoo.data.Domains`: a folder for each class, or the images themselves.

    Labels are optional: a split whose images lie directly in its folder has none, so a target may have labels in its test
    folder only. Images are turned into squares, and splits are found, as by :class:`ImageFolder`. With ``val_share=0`` all
    images train, and the same are evaluated (as in Office's transductive protocol). Validation and test are mixed in a fixed
    order, so that the first batches show every class.

    Args:
        root: the folder, with or without folders of splits in it.
        size: height and width in pixels that come out.
        channels: 1 for grey, 3 for colour; files of the other kind are converted.
        mirror: mirror training images left to right half of the time.
        val_share: in [0, 1), expected share of the files that validates and tests where neither ``val`` nor ``test`` is
            there.
        splits: False says that no folder is a split, whatever it is called.
        damaged: "refuse" ends with the damaged files' names before training; "skip" decodes every file once, and goes on
            without them.
        max_value: the value that is white in grey files of more than 8 bits, 4095 for 12 bits; None for 65535.
        batch_size: images in a batch of each process.
        num_workers: processes that load.
        seed: of the training order and of the augmentation.

    Raises:
        InputError: a number out of range; no folder, no images; images beside class folders.
    """

    def __init__(
        self,
        root: str,
        size: Pixels = 224,
        channels: Literal[1, 3] = 3,
        mirror: bool = True,
        val_share: HalfOpenUnitInterval = 0.1,
        splits: bool = True,
        damaged: Damaged = "refuse",
        max_value: PositiveFloat | None = None,
        batch_size: PositiveInt = 16,
        num_workers: Workers = 0,
        seed: Seed = 0,
    ) -> None:
        self.root = Path(root)
        self.size = size
        self.channels = channels
        self.mirror = mirror
        self.val_share = val_share
        self.has_splits = splits
        self.damaged: Damaged = damaged
        self.max_value = max_value
        self.layout = split_folders(self.root, splits, labelled=True)
        # labels may be in the test folder only
        where = next((folder for folder in self.layout.values() if sub_folders(folder)), self.root)
        self.class_names = (class_folders(where) if where != self.root or "" in self.layout else []) or None
        self.empty_classes = sorted(set(sub_folders(where)) - set(self.class_names or ()))
        classes = None if self.class_names is None else len(self.class_names)
        super().__init__((channels, size, size), classes, batch_size=batch_size, num_workers=num_workers, seed=seed)
        self.origin = described(self.root, self.layout)

    @property
    def title(self) -> str:
        return str(self.root)

    def without_labels(self, items: Any) -> Any:
        return [file._replace(label=None) for file in items]

    def splits(self) -> Splits:
        parts = split_files(self.layout, self._files, lambda file: file.name, self.val_share, self.has_splits)
        whole = readable_images((file.path for files in parts for file in files), self.damaged, self.max_value)
        train, val, test = ([file for file in files if file.path in whole] for files in parts)
        refuse_shared(((file.path,) for file in train), ((file.path,) for file in (*val, *test)))
        warn_if_dark([file.path for file in train], self.max_value)
        read = ReadFile(self.size, self.channels, self.max_value)
        # folders come class by class, and the first few batches are what a sanity check and an image grid see
        mixed = np.random.default_rng(0)
        val_set, test_set = (
            Mapped([files[i] for i in mixed.permutation(len(files))], CenterCrop(read, self.size))
            for files in (val or train, test or train)
        )
        return Augmented(train, RandomCropFlip(read, self.size, self.mirror), self.seed), val_set, test_set

    def inputs(self) -> Dataset:
        folder = folder_to_predict(self.layout)
        items = [whole(file, folder, self.channels, self.max_value) for file in find_images(folder)]
        return FromFiles([cropped(item, self.size) for item in items])

    def _files(self, split: str) -> list[ImageFile]:
        folder = self.layout[split]
        names = [(path, path.relative_to(folder)) for path in find_images(folder)]
        labelled = any(len(name.parts) > 1 for _, name in names)
        return [ImageFile(path, name.as_posix(), self._label(folder, name) if labelled else None) for path, name in names]

    def _label(self, folder: Path, name: Path) -> int:
        if len(name.parts) < 2:
            raise InputError(f"{folder / name} is in no class folder, though others are: move it into one")
        if self.class_names is None or name.parts[0] not in self.class_names:
            raise InputError(f"{folder / name.parts[0]} is not one of the classes {', '.join(self.class_names or ())}")
        return list(self.class_names).index(name.parts[0])
