"""Images of two domains without pairs."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from ganzoo.data.base import Splits
from ganzoo.data.batches import Images
from ganzoo.data.datasets import Mapped, UnpairedDataset, Zipped
from ganzoo.data.file_reader import FileReader
from ganzoo.data.folder_base import TwoSidedFolders
from ganzoo.data.image_files import find_images
from ganzoo.data.resizing import fit_square
from ganzoo.data.split_cache import FileNames, cached_path
from ganzoo.data.splits import Layout, described, split_files
from ganzoo.data.transforms import Independent, RandomCropFlip
from ganzoo.errors import InputError
from ganzoo.utils.download import fetch, unpack

ARCHIVES_URL = "http://efrosgans.eecs.berkeley.edu/cyclegan/datasets"
Archive = Literal[
    "apple2orange",
    "cezanne2photo",
    "facades",
    "horse2zebra",
    "iphone2dslr_flower",
    "maps",
    "monet2photo",
    "summer2winter_yosemite",
    "ukiyoe2photo",
    "vangogh2photo",
]
# of the archive itself: its authors' documentation names smaller numbers
COUNTS = {"horse2zebra": {"trainA": 1067, "trainB": 1334, "testA": 120, "testB": 140}}


class SquareReader(FileReader):
    """Reads a file as ``Images``, resized to a square.

    Args:
        channels: number of channels, 1 or 3.
        size: height and width in pixels of the images that come out.
        max_value: value of white in deep grey files, as for :func:`~ganzoo.data.images.read_image`.
        draft: decode a large JPEG at a fraction of its size, as :func:`~ganzoo.data.images.read_resized` does.
    """

    def __init__(self, channels: int, size: int, max_value: float | None = None, draft: bool = False) -> None:
        super().__init__(fit_square, size, max_value, draft)
        self.channels = channels

    def parts(self, file: Path) -> list[tuple[Path, Sequence[int]]]:
        return [(file, [self.channels])]

    def sample(self, file: Path, images: Sequence[Tensor]) -> Images:
        return Images(*images)


class UnpairedFolders(TwoSidedFolders):
    """Two folders of images without pairs. Batches are ``Unpaired``.

    The form is found from the folders. With `root_b`, A is in `root` and B in `root_b`. With folders ``trainA`` and
    ``trainB`` in `root`, as CycleGAN's authors publish them, those are the training images, and ``valA``, ``testA`` and
    so on the others. With folders ``A`` and ``B`` in `root`, or in each of its splits, A and B are in those. Folders of
    splits are found as by :class:`~ganzoo.data.ImageFolder`: if one of ``val`` and ``test`` is missing, it is the same as
    the other; without both, a share of the images validates and tests, chosen by a hash of the file's name; without
    ``train`` there is no training. Prediction needs x alone: A, or B in the direction "BtoA". It uses that side's test
    folder, or else all its files; a `root` with none of these folders is a folder of inputs.

    An epoch of training has as many samples as the larger of A and B has images. Each of those serves once, and those
    of the other equally often, give or take one. A and B are in new orders each epoch, independent of each other.
    Training has the jitter of the authors' code: x and y are resized to `load_size`, cropped to `size` and
    mirrored, each at random on its own. Validation and test only resize to `size`, and go through both in the order of
    their names; the shorter one starts again. Images that are not square become square.

    With `archive`, prepare_data downloads that set of the paper's authors unless `root` has ``trainA``. The .zip is saved in
    the parent folder of `root` and unpacked into `root`. Its authors publish no checksums. What is checked is the length,
    for horse2zebra the number of images in each folder, and `sha256` if you have one.

    Source: the code and the archives that go with Zhu et al. 2017.

    Args:
        root: folder of both sides, or of A.
        root_b: folder of B; None if both sides are in `root`.
        archive: name of a set of the paper's authors, which is downloaded and unpacked into `root` (``data/horse2zebra``,
            for example); None for images of your own.
        sha256: checksum of the archive, in hexadecimal; None to check none.
        options: ``direction`` ("AtoB"), ``size`` (256), ``load_size`` (286), ``channels_x`` (3), ``channels_y`` (3) and
            ``batch_size`` (1) of ``TwoSidedFolders``, and the options of ``FolderDataModule``.

    Raises:
        InputError: a number is out of range; there is no such folder, it has no images, or a file is not the image its
            name says; the archive is unreachable, damaged or not the known one.
    """

    def __init__(
        self, root: str, root_b: str | None = None, archive: Archive | None = None, sha256: str | None = None, **options: Any
    ) -> None:
        if archive is not None and root_b is not None:
            raise InputError(f"archive is {archive} and root_b is {root_b}: an archive holds both, so leave root_b out")
        if archive is None and sha256 is not None:
            raise InputError("sha256 is given and no archive: it is the sum of an archive to download")
        super().__init__(root, root_b, **options)
        self.archive = archive
        self.sha256 = sha256

    def prepare_data(self) -> None:
        """Downloads and unpacks the archive, if one is wanted and not there."""
        predicting = self.trainer is not None and self.trainer.predicting and self.root.is_dir()
        if self.archive is not None and not (self.root / "trainA").is_dir() and not predicting:
            path = self.root.parent / f"{self.archive}.zip"
            fetch(f"{ARCHIVES_URL}/{path.name}", path, self.sha256)
            unpack(path, self.root, check=partial(_check_folders, archive=path))

    def splits(self) -> Splits:
        roots = [self.root] if self.root_b is None else [self.root, self.root_b]
        cache = self._split_cache(roots)
        sizes: dict[Path, tuple[int, int]] = {}
        known = self._recalled(cache, cached_path)
        if known is None:
            found, sizes = self._listed()
            known = list(self._remembered(cache, found, partial(_names_of, roots), cached_path))
        a, b = known[:3], known[3:]
        x, y = (a, b) if self.direction == "AtoB" else (b, a)
        channels = self.shape_x[0], self.shape_y[0]
        read = [SquareReader(c, self.size, self.max_value) for c in channels]
        larger = [SquareReader(c, self.load_size, self.max_value, self.jpeg_draft) for c in channels]
        loads = (self._packed(reader, files[0], sizes) for reader, files in zip(larger, (x, y), strict=True))
        jitter = Independent(*(RandomCropFlip(load, self.size, self.mirror) for load in loads))
        train_set = UnpairedDataset(x[0], y[0], jitter, self.seed) if x[0] or y[0] else None
        val_set, test_set = (Zipped(Mapped(x[i], read[0]), Mapped(y[i], read[1])) if x[i] and y[i] else None for i in (1, 2))
        return train_set, val_set, test_set

    def _listed(self) -> tuple[list[list[Path]], dict[Path, tuple[int, int]]]:
        """The files of A to train on, to validate on and to test on, then those of B; and their sizes."""
        layouts = self._two_sides()
        if layouts is None:
            raise InputError(f"there are no folders trainA and trainB in {self.root}, nor A and B: or give root_b")
        self.origin = " and ".join(dict.fromkeys(described(self.root, layout) for layout in layouts))
        sides = [self._files(layout) for layout in layouts]
        sizes = self._sizes(file for parts in sides for files in parts for file in files)
        return [files for parts in sides for files in self._readable(parts, sizes, lambda file: (file,))], sizes

    def _files(self, layout: Layout) -> tuple[list[Path], list[Path], list[Path]]:
        def name_of(file: Path) -> str:
            folder = next(folder for folder in layout.values() if folder in file.parents)
            return file.relative_to(folder).as_posix()

        return split_files(layout, lambda split: find_images(layout[split]), name_of, self.val_share, self.has_splits)


def _names_of(roots: Sequence[Path], files: Sequence[Path]) -> FileNames:
    """The names of files below the one of these folders that they are in."""
    root = next((root for root in roots if files and root in files[0].parents), roots[0])
    start = len(os.path.join(root, ""))
    return FileNames(os.fspath(root), [os.fspath(file)[start:].replace(os.sep, "/") for file in files])


def _check_folders(folder: Path, archive: Path) -> None:
    again = f"delete {archive} and fetch it again"
    for name in ("trainA", "trainB"):
        if not (folder / name).is_dir():
            raise InputError(f"{archive} has no folder {name} at its top: {again}")
    for name, count in COUNTS.get(archive.stem, {}).items():
        found = len(find_images(folder / name)) if (folder / name).is_dir() else 0
        if found != count:
            raise InputError(f"the published {archive.name} has {count} images in {name}, and {archive} {found}: {again}")
