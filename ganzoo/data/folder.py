"""Images below one folder, with or without classes: ``ImageFolder`` and ``DomainFolder``."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ganzoo.data.base import Splits
from ganzoo.data.batches import Images, LabelledImages
from ganzoo.data.datasets import Mapped
from ganzoo.data.file_reader import FileReader
from ganzoo.data.folder_base import FolderDataModule
from ganzoo.data.image_files import find_images
from ganzoo.data.predicting import cropped, folder_to_predict, whole
from ganzoo.data.resizing import fit_shorter_side
from ganzoo.data.sampling import Augmented
from ganzoo.data.split_cache import CachedFiles, FileNames, cached_path
from ganzoo.data.splits import class_folders, described, split_files, split_folders, sub_folders
from ganzoo.data.transforms import CenterCrop, RandomCropFlip
from ganzoo.errors import InputError
from ganzoo.utils.ranges import Pixels


class ImageFile(NamedTuple):
    """An image on disk, its name below the split's folder, and its class, None without labels."""

    path: Path
    name: str
    label: int | None

    def sample(self, x: Tensor) -> Images | LabelledImages:
        """The sample of this file whose pixels are `x`."""
        return Images(x) if self.label is None else LabelledImages(x, torch.tensor(self.label))


def names_of(files: Sequence[ImageFile]) -> FileNames:
    """The folder, names and labels of a split's files, as a cache keeps them."""
    if not files:
        return FileNames("", [])
    first = files[0]
    labels = None if first.label is None else [file.label for file in files if file.label is not None]
    return FileNames(os.fspath(first.path)[: -len(first.name) - 1], [file.name for file in files], labels)


def cached_image_file(folder: str, name: str, label: int) -> ImageFile:
    """The file that :func:`names_of` was given."""
    return ImageFile(cached_path(folder, name), name, None if label < 0 else label)


class ReadFile(FileReader):
    """Reads an :class:`ImageFile` as a sample whose shorter side has `size` pixels.

    Args:
        size: length of the shorter side in pixels.
        channels: number of channels, 1 or 3.
        max_value: value of white in deep grey files, as for :func:`~ganzoo.data.images.read_image`.
        draft: decode a large JPEG at a fraction of its size, as :func:`~ganzoo.data.images.read_resized` does.
    """

    def __init__(self, size: int, channels: int, max_value: float | None = None, draft: bool = False) -> None:
        super().__init__(fit_shorter_side, size, max_value, draft)
        self.channels = channels

    def parts(self, file: ImageFile) -> list[tuple[Path, Sequence[int]]]:
        return [(file.path, [self.channels])]

    def sample(self, file: ImageFile, images: Sequence[Tensor]) -> Images | LabelledImages:
        (x,) = images
        return file.sample(x)

    def table(self, files: Sequence[ImageFile], images: Sequence[Tensor]) -> Images | LabelledImages:
        (x,) = images
        labels = [file.label for file in files if file.label is not None]
        return LabelledImages(x, torch.tensor(labels)) if labels else Images(x)


class ImageFolder(FolderDataModule):
    """The images below a folder, of any size, cropped to squares. Batches are ``Images`` or ``LabelledImages``.

    The shorter side is resized to `size`. Training takes a random square of that, validation the middle one. Where
    `root` holds folders of splits (``train``, ``val``, ``test``, ``Training``, ``valid`` and others: see
    :func:`~ganzoo.data.splits.split_of`), those are the splits. If one of ``val`` and ``test`` is missing, it is the same
    as the other. Without ``train`` there is no training. Where `root` has no splits, or only ``train``, a share of the
    files validates and tests, chosen by a hash of the file's name. Prediction uses the test folder, or else all files.
    See :func:`~ganzoo.data.images.read_image` for alpha, 16-bit images, palettes and rotation.

    Args:
        root: the folder.
        size: height and width in pixels of the images that come out.
        channels: 1 for grey, 3 for colour; files of the other kind are converted.
        labelled: take the first folder below `root` (or below ``train``, ``val``, ``test``) as the class. Classes are
            numbered in the order of their names. Folders without images are no classes.
        options: ``mirror`` (True), ``val_share`` (0.1), ``splits`` (True), ``damaged`` ("refuse"), ``max_value`` (None),
            ``jpeg_draft`` (True), ``packed`` (False), ``predict_squares`` (False) and ``batch_size`` (16) of
            ``FolderDataModule``, and ``num_workers``, ``seed``.
    """

    or_else = ", or give labelled=False"  # what an error advises where an image is in no class folder

    def __init__(
        self, root: str, size: Pixels = 64, channels: Literal[1, 3] = 3, labelled: bool = False, **options: Any
    ) -> None:
        super().__init__(root, (channels, size, size), **options)
        self.channels = channels
        self.labelled = labelled
        if labelled:
            self._find_classes()

    @property
    def title(self) -> str:
        return str(self.root)

    def without_labels(self, items: Any) -> Any:
        return items.without_labels() if isinstance(items, CachedFiles) else [file._replace(label=None) for file in items]

    def splits(self) -> Splits:
        (train, val, test), sizes = self._train_val_test()
        read, read_train = (ReadFile(self.size, self.channels, self.max_value, each) for each in (False, self.jpeg_draft))
        val_set, test_set = (
            Mapped(files, CenterCrop(read, self.size)) if files else None for files in self._held_out(train, val, test)
        )
        load = self._packed(read_train, train, sizes)
        return Augmented(train, RandomCropFlip(load, self.size, self.mirror), self.seed), val_set, test_set

    def _train_val_test(self) -> tuple[Sequence[Sequence[ImageFile]], Mapping[Path, tuple[int, int]]]:
        """The files to train on, to validate on and to test on, and the sizes of those that were looked at."""
        cache = self._split_cache([self.root], labelled=self.labelled)
        known = self._recalled(cache, cached_image_file)
        if known is not None:
            return known, {}
        layout = split_folders(self.root, self.has_splits, self.labelled)
        self.origin = described(self.root, layout)
        parts = split_files(
            layout, lambda split: self._files(layout[split]), lambda file: file.name, self.val_share, self.has_splits
        )
        sizes = self._sizes(file.path for files in parts for file in files)
        found = self._readable(parts, sizes, lambda file: (file.path,))
        return self._remembered(cache, found, names_of, cached_image_file), sizes

    def inputs(self) -> Dataset:
        folder = folder_to_predict(split_folders(self.root, self.has_splits, self.labelled))
        items = [whole(file.path, folder, self.channels, self.max_value, file.label) for file in self._files(folder)]
        if self.predict_squares or not self._keeps_sizes():
            items = [cropped(item, self.size) for item in items]
        return self._from_files(items, folder)

    def _held_out(self, train: Any, val: Any, test: Any) -> tuple[Any, Any]:
        """The files to validate on and to test on."""
        return val, test

    def _find_classes(self) -> None:
        layout = split_folders(self.root, self.has_splits, self.labelled)
        folder = next(iter(layout.values()))
        self.class_names = class_folders(folder)
        if not self.class_names:
            raise InputError(f"labelled images need a folder for each class, and {folder} has none with images")
        self.classes = len(self.class_names)

    def _files(self, folder: Path) -> list[ImageFile]:
        start = len(os.path.join(folder, ""))
        names = [(path, os.fspath(path)[start:].replace(os.sep, "/")) for path in find_images(folder)]
        labelled = self._has_labels([name for _, name in names])
        return [ImageFile(path, name, self._label(folder, name) if labelled else None) for path, name in names]

    def _has_labels(self, names: Sequence[str]) -> bool:
        """Whether the files of a split, of these names below its folder, have labels."""
        return self.labelled

    def _label(self, folder: Path, name: str) -> int:
        classes = list(self.class_names or ())
        first, inside, _ = name.partition("/")
        if not inside:
            raise InputError(f"{folder / name} is in no class folder: move it into one{self.or_else}")
        if first not in classes:
            raise InputError(f"{folder / first} is not one of the classes {', '.join(classes)}")
        return classes.index(first)


class DomainFolder(ImageFolder):
    """A folder of one domain for :class:`~ganzoo.data.Domains`: a folder for each class, or the images themselves.

    Labels are optional: a split whose images lie directly in its folder has none, so a target may have labels in its test
    folder only. With ``val_share=0`` all images train, and the same images are evaluated (as in Office's transductive
    protocol). Validation and test are shuffled in a fixed order, so that the first batches show every class. Everything else
    is as in :class:`ImageFolder`.

    Args:
        root: the folder, with or without folders of splits in it.
        size: height and width in pixels of the images that come out.
        channels: 1 for grey, 3 for colour; files of the other kind are converted.
        options: the other arguments of ``ImageFolder``, except ``labelled`` and ``predict_squares``.

    Raises:
        InputError: as for ``ImageFolder``, when it is built; or there are images beside class folders.
    """

    or_else = ", as others are"

    def __init__(self, root: str, size: Pixels = 224, channels: Literal[1, 3] = 3, **options: Any) -> None:
        super().__init__(root, size, channels, labelled=True, predict_squares=True, **options)

    def inputs(self) -> Dataset:
        # whatever labels the target has: they are not for the model
        folder = folder_to_predict(split_folders(self.root, self.has_splits, labelled=True))
        items = [whole(file, folder, self.channels, self.max_value) for file in find_images(folder)]
        return self._from_files([cropped(item, self.size) for item in items], folder)

    def _held_out(self, train: Any, val: Any, test: Any) -> tuple[Any, Any]:
        # folders come class by class, and the first few batches are what a sanity check and an image grid see
        shuffled = np.random.default_rng(0)
        orders = ((files, shuffled.permutation(len(files))) for files in (val or train, test or train))
        val, test = (
            files.take(order) if isinstance(files, CachedFiles) else [files[i] for i in order] for files, order in orders
        )
        return val, test

    def _find_classes(self) -> None:
        layout = split_folders(self.root, self.has_splits, labelled=True)
        self.origin = described(self.root, layout)
        # labels may be in the test folder only
        folder = next((folder for folder in layout.values() if sub_folders(folder)), self.root)
        names = class_folders(folder) if folder != self.root or "" in layout else []
        self.class_names = names or None
        self.empty_classes = sorted(set(sub_folders(folder)) - set(names))
        self.classes = len(names) or None

    def _has_labels(self, names: Sequence[str]) -> bool:
        return any("/" in name for name in names)
