"""Images of two domains without pairs."""

from functools import partial
from pathlib import Path
from typing import Literal

from torch.utils.data import Dataset

from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import Images
from ganzoo.data.checks import at_least, one_of
from ganzoo.data.datasets import Mapped, UnpairedDataset, Zipped
from ganzoo.data.images import Damaged, find_images, read_image, readable_images, resize, warn_if_dark
from ganzoo.data.paired import Direction
from ganzoo.data.predicting import folder_to_predict, squared, whole
from ganzoo.data.splits import Layout, described, one_side, refuse_shared, split_files, split_folders, two_sides
from ganzoo.data.transforms import Independent, RandomCropFlip
from ganzoo.errors import InputError
from ganzoo.utils.download import fetch, unpack
from ganzoo.utils.ranges import HalfOpenUnitInterval, Pixels, PositiveFloat, PositiveInt, Seed, Workers

ARCHIVES_URL = "http://efrosgans.eecs.berkeley.edu/cyclegan/datasets"
ARCHIVES = (
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
)
# of the archive itself: its authors' documentation names smaller numbers
COUNTS = {"horse2zebra": {"trainA": 1067, "trainB": 1334, "testA": 120, "testB": 140}}

Files = tuple[list[Path], list[Path], list[Path]]


class SquareReader:
    """Reads a file as ``Images``, resized to a square.

    Args:
        channels: 1 or 3.
        size: height and width in pixels.
        max_value: as for :func:`~ganzoo.data.images.read_image`.
    """

    def __init__(self, channels: int, size: int, max_value: float | None = None) -> None:
        self.channels = channels
        self.size = size
        self.max_value = max_value

    def __call__(self, file: Path) -> Images:
        return Images(resize(read_image(file, self.channels, self.max_value), self.size, self.size))


class UnpairedFolders(ImageDataModule):
    """Two folders of images that have nothing to do with each other. Batches are ``Unpaired``.

    The forms are known by their folders: with `root_b`, A is in `root` and B in `root_b`; with folders ``trainA`` and
    ``trainB`` in `root`, as CycleGAN's authors publish them, those are the training images, and ``valA``, ``testA`` and
    so on the others; with folders ``A`` and ``B`` in `root`, or in each of its splits, A and B are in those. Folders of
    splits are known as by :class:`~ganzoo.data.ImageFolder`: of ``val`` and ``test`` one that is missing is the same as the
    other; without both, a share of the images validates, chosen by a hash of the file's name, and tests as well; without
    ``train`` there is no training. Predicting needs x alone: A, or B in the direction "BtoA". It is from that side's test
    folder, or else from all its files; a `root` with none of these folders is one of inputs.

    An epoch of training has as many samples as the larger of A and B has images. Each of them serves once and those
    of the other equally often, give or take one; A and B are in new orders each epoch, which are independent of each
    other. Training has the jitter of the authors' code: x and y are resized to `load_size`, cropped to `size` and
    mirrored, each at random on its own. Validation and test only resize to `size`, and go through both in the order of
    their names, the shorter one from the beginning again. Images that are not square become square.

    With `archive`, prepare_data downloads that set of the paper's authors unless `root` has ``trainA``: the .zip
    stands beside `root` and is unpacked into it. Nobody has published checksums; what is checked is the length,
    for horse2zebra the number of images in each folder, and `sha256` if you have one.

    Source: the code and the archives that go with Zhu et al. 2017.

    Args:
        root: folder of both, or of A.
        root_b: folder of B; None where both are in `root`.
        archive: None, or a name of :data:`ARCHIVES`; `root` is then where it is unpacked, ``data/horse2zebra``, say.
        sha256: of the archive, in hexadecimal; None to check no sum.
        direction: "AtoB" makes A the images x and B the images y, "BtoA" the reverse.
        size: height and width in pixels that come out.
        load_size: height and width before the random crop, at least `size`; equal to it for no jitter.
        mirror: mirror training images left to right half of the time.
        channels_x: of x, 1 or 3.
        channels_y: of y, 1 or 3.
        val_share: in [0, 1), expected share of the images that validates where neither ``val`` nor ``test`` is there.
        splits: False says that no folder is a split, whatever it is called.
        damaged: "refuse" ends with the damaged files' names before training; "skip" decodes every file once, and goes on
            without them.
        max_value: the value that is white in grey files of more than 8 bits, 4095 for 12 bits; None for 65535.
        batch_size: images of each domain in a batch of each process.
        num_workers: processes that load.
        seed: of the training orders and of the augmentation.
        predict_squares: predict from squares of `size`, as in training; otherwise a translator keeps each image's own size.

    Attributes:
        shape_x: (C, H, W) of x.
        shape_y: (C, H, W) of y; `shape` is the same.

    Raises:
        InputError: a number out of range; no folder, no images, a file that is not the image its name says; an
            archive that is unreachable, damaged or not the known one.
    """

    def __init__(
        self,
        root: str,
        root_b: str | None = None,
        archive: str | None = None,
        sha256: str | None = None,
        direction: Direction = "AtoB",
        size: Pixels = 256,
        load_size: Pixels = 286,
        mirror: bool = True,
        channels_x: Literal[1, 3] = 3,
        channels_y: Literal[1, 3] = 3,
        val_share: HalfOpenUnitInterval = 0.1,
        splits: bool = True,
        damaged: Damaged = "refuse",
        max_value: PositiveFloat | None = None,
        batch_size: PositiveInt = 1,
        num_workers: Workers = 0,
        seed: Seed = 0,
        predict_squares: bool = False,
    ) -> None:
        at_least("load_size", load_size, size)
        if archive is not None:
            one_of("archive", archive, ARCHIVES)
        if archive is not None and root_b is not None:
            raise InputError(f"archive is {archive} and root_b is {root_b}: an archive holds both, so leave root_b out")
        if archive is None and sha256 is not None:
            raise InputError("sha256 is given and no archive: it is the sum of an archive to download")
        self.predict_squares = predict_squares
        self.root = Path(root)
        self.root_b = None if root_b is None else Path(root_b)
        self.archive = archive
        self.sha256 = sha256
        self.direction: Direction = direction
        self.size = size
        self.load_size = load_size
        self.mirror = mirror
        self.val_share = val_share
        self.has_splits = splits
        self.damaged: Damaged = damaged
        self.max_value = max_value
        self.shape_x = (channels_x, size, size)
        self.shape_y = (channels_y, size, size)
        super().__init__(self.shape_y, None, batch_size=batch_size, num_workers=num_workers, seed=seed)

    def prepare_data(self) -> None:
        """Downloads and unpacks the archive, if one is wanted and not there."""
        predicting = self.trainer is not None and self.trainer.predicting and self.root.is_dir()
        if self.archive is not None and not (self.root / "trainA").is_dir() and not predicting:
            path = self.root.parent / f"{self.archive}.zip"
            fetch(f"{ARCHIVES_URL}/{path.name}", path, self.sha256)
            unpack(path, self.root, check=partial(_check_folders, archive=path))

    def splits(self) -> Splits:
        layouts = self._sides()
        self.origin = " and ".join(dict.fromkeys(described(self.root, layout) for layout in layouts))
        sides = [self._files(layout) for layout in layouts]
        whole = readable_images((file for parts in sides for files in parts for file in files), self.damaged, self.max_value)
        a, b = (tuple([file for file in files if file in whole] for files in parts) for parts in sides)
        for train, val, test in (a, b):
            refuse_shared(((file,) for file in train), ((file,) for file in (*val, *test)))
            warn_if_dark(train or test, self.max_value)
        x, y = (a, b) if self.direction == "AtoB" else (b, a)
        channels = self.shape_x[0], self.shape_y[0]
        read, larger = ([SquareReader(c, size, self.max_value) for c in channels] for size in (self.size, self.load_size))
        jitter = Independent(*(RandomCropFlip(each, self.size, self.mirror) for each in larger))
        train_set = UnpairedDataset(x[0], y[0], jitter, self.seed) if x[0] or y[0] else None
        val_set, test_set = (Zipped(Mapped(x[i], read[0]), Mapped(y[i], read[1])) if x[i] and y[i] else None for i in (1, 2))
        return train_set, val_set, test_set

    def inputs(self) -> Dataset:
        side = "B" if self.direction == "BtoA" else "A"
        layout = one_side(self.root, side, self.has_splits) if self.root_b is None else None
        if layout is None:
            layout = split_folders(self.root_b if self.root_b and side == "B" else self.root, self.has_splits)
        folder = folder_to_predict(layout)
        items = [whole(file, folder, self.shape_x[0], self.max_value) for file in find_images(folder)]
        if self.predict_squares or not self._keeps_sizes():
            items = [squared(item, self.size) for item in items]
        return self._from_files(items, folder, self.direction)

    def _files(self, layout: Layout) -> Files:
        def name_of(file: Path) -> str:
            folder = next(folder for folder in layout.values() if folder in file.parents)
            return file.relative_to(folder).as_posix()

        return split_files(layout, lambda split: find_images(layout[split]), name_of, self.val_share, self.has_splits)

    def _sides(self) -> tuple[Layout, Layout]:
        if self.root_b is not None:
            return split_folders(self.root, self.has_splits), split_folders(self.root_b, self.has_splits)
        found = two_sides(self.root, self.has_splits)
        if found is None:
            raise InputError(f"there are no folders trainA and trainB in {self.root}, nor A and B: or give root_b")
        return found


def _check_folders(folder: Path, archive: Path) -> None:
    again = f"delete {archive} and fetch it again"
    for name in ("trainA", "trainB"):
        if not (folder / name).is_dir():
            raise InputError(f"{archive} has no folder {name} at its top: {again}")
    for name, count in COUNTS.get(archive.stem, {}).items():
        found = len(find_images(folder / name)) if (folder / name).is_dir() else 0
        if found != count:
            raise InputError(f"the published {archive.name} has {count} images in {name}, and {archive} {found}: {again}")
