"""Pairs of images on disk: side by side in one file, or in two folders with the same names."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ganzoo.data.base import Splits
from ganzoo.data.batches import ImagePairs
from ganzoo.data.datasets import Mapped
from ganzoo.data.file_reader import FileReader
from ganzoo.data.folder_base import Direction, TwoSidedFolders
from ganzoo.data.image_files import find_images
from ganzoo.data.images import image_size
from ganzoo.data.predicting import InputImage, half
from ganzoo.data.resizing import fit_square
from ganzoo.data.sampling import Augmented
from ganzoo.data.splits import Layout, described, split_files, split_folders
from ganzoo.data.transforms import RandomCropFlip
from ganzoo.errors import InputError
from ganzoo.utils.log import log_info

Sizes = Mapping[Path, tuple[int, int]]
"""(height, width) of the images that can be read."""


class PairFile(NamedTuple):
    """The files of a pair: two, or one with A in its left half and B in its right one (then `b` is None).

    `name` is the pair's name, below the split's folder and without extension.
    """

    name: str
    a: Path
    b: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its files."""
        return (self.a,) if self.b is None else (self.a, self.b)


class PairReader(FileReader):
    """Reads a pair as (x, y), both resized to a square.

    Args:
        direction: "AtoB" makes A the input x and B the output y, "BtoA" the reverse.
        channels_x: channels of x, 1 or 3.
        channels_y: channels of y, 1 or 3.
        size: height and width in pixels of the images that come out.
        max_value: value of white in deep grey files, as for :func:`~ganzoo.data.images.read_image`.
        draft: decode large JPEGs at a fraction of their size, as :func:`~ganzoo.data.images.read_resized` does.
    """

    def __init__(
        self,
        direction: Direction,
        channels_x: int,
        channels_y: int,
        size: int,
        max_value: float | None = None,
        draft: bool = False,
    ) -> None:
        super().__init__(fit_square, size, max_value, draft)
        self.reversed = direction == "BtoA"
        self.channels = (channels_y, channels_x) if self.reversed else (channels_x, channels_y)

    def parts(self, file: PairFile) -> list[tuple[Path, Sequence[int]]]:
        # a file for each channel count, or one file for both
        return [(file.a, self.channels)] if file.b is None else [(file.a, self.channels[:1]), (file.b, self.channels[1:])]

    def sample(self, file: PairFile, images: Sequence[Tensor]) -> ImagePairs:
        a, b = images
        return ImagePairs(b, a) if self.reversed else ImagePairs(a, b)


def side_by_side(folder: Path) -> list[PairFile]:
    """Finds the pairs of a folder whose files hold A in the left half and B in the right one."""
    return [PairFile(path.relative_to(folder).with_suffix("").as_posix(), path, None) for path in find_images(folder)]


def joined(folder_a: Path, folder_b: Path) -> list[PairFile]:
    """Finds the pairs of two folders, joined by the files' relative names without extension.

    Raises:
        InputError: a file has no partner, or two have the same name.
    """
    a, b = _by_stem(folder_a), _by_stem(folder_b)
    for these, those, folder in ((a, b, folder_b), (b, a, folder_a)):
        alone = [path for stem, path in these.items() if stem not in those]
        if alone:
            examples = ", ".join(str(path) for path in alone[:3])
            raise InputError(f"{len(alone)} of {len(these)} images have no partner of the same name in {folder}: {examples}")
    return [PairFile(stem, a[stem], b[stem]) for stem in sorted(a)]


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in find_images(folder):
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in found:
            raise InputError(f"{found[stem]} and {path} have the same name: which one is the pair's?")
        found[stem] = path
    return found


def check_halves(files: Sequence[PairFile], sizes: Sizes) -> None:
    """Checks that files can be cut in the middle; logs it if the halves are not square.

    Raises:
        InputError: a file is not wider than high, or cannot be halved.
    """
    halves = []
    for file in files:
        height, width = sizes[file.a]
        if width <= height or width % 2:
            raise InputError(
                f"{file.a} is {width} wide and {height} high: a file of two images side by side is wider than high, and "
                "of an even width; or put the images into two folders A and B"
            )
        if width != 2 * height:
            halves.append((file, f"{width // 2}x{height}"))
    if halves:
        file, half = halves[0]
        others = f", and {len(halves) - 1} more" if len(halves) > 1 else ""
        log_info(f"{file.a} is cut in the middle into two images of {half}{others}; they become square")


def check_frames(files: Sequence[PairFile], sizes: Sizes) -> None:
    """Refuses pairs of different proportions; logs those that differ a little.

    Sides that were rounded to whole pixels, or lost one at the edge, count as equal.

    Raises:
        InputError: the proportions of some pairs differ by more than a tenth: how many, and one of them.
    """
    wrong: list[str] = []
    near: list[str] = []
    for file in files:
        (low_a, high_a), (low_b, high_b) = (_proportions(*sizes[path]) for path in file.paths)
        if low_a > high_b or low_b > high_a:
            apart = max(low_a / high_b, low_b / high_a)
            shapes = (f"{path} ({sizes[path][1]}x{sizes[path][0]})" for path in file.paths)
            (wrong if apart > 1.1 else near).append(" and ".join(shapes))
    if wrong:
        others = f", and so do {len(wrong) - 1} more pairs" if len(wrong) > 1 else ""
        raise InputError(f"{wrong[0]} differ in proportions{others}: the images of a pair must show the same frame")
    if near:
        log_info(f"{len(near)} of {len(files)} pairs differ a little in proportions, and are stretched to one: {near[0]}")


def _proportions(height: int, width: int) -> tuple[float, float]:
    """The least and the largest width / height of an image whose sides may be a pixel off."""
    return (width - 1) / (height + 1), (width + 1) / max(height - 1, 0.5)


class Paired(TwoSidedFolders):
    """Pairs of images. Batches are ``ImagePairs``: x is to be translated into y.

    The form is found from the folders. With `root_b`, A is in `root` and B in `root_b` under the same names. With folders
    ``A`` and ``B`` in `root`, or ``trainA``, ``trainB``, ``testA`` and so on, or ``A`` and ``B`` in each of its splits, the
    images are in those. Otherwise every file of `root` holds A and B side by side, as pix2pix publishes them, and is cut in
    the middle. In each form, folders of splits are found as by :class:`~ganzoo.data.ImageFolder`. Without them a share of
    the pairs validates and tests, chosen by a hash of the name. Prediction needs the input's side alone: it uses the test
    folder, or else all files; a `root` of single images is a folder of inputs.

    Training has the paper's jitter (section 6.2 of its appendix): both images are resized to `load_size`, cropped to
    `size` at one random place, and mirrored together half of the time. Validation and test only resize to `size`.
    Images that are not square become square. Pairs of unlike proportions are refused; a difference of a few pixels is
    logged.

    Args:
        root: folder of the pairs, or of A.
        root_b: folder of B; None if A and B are both in `root`.
        predict_halves: predict from the input's half of each file of `root`, or with False from whole files. None: from
            halves if all files are exactly twice as wide as high, or if `root` has folders of splits and all of its files
            can be pairs.
        options: ``direction`` ("AtoB"), ``size`` (256), ``load_size`` (286), ``channels_x`` (3), ``channels_y`` (3) and
            ``batch_size`` (1) of ``TwoSidedFolders``, and the options of ``FolderDataModule``.

    Raises:
        InputError: a number is out of range; there is no such folder, it has no images, a file is no pair, or an image has
            no partner.
    """

    def __init__(self, root: str, root_b: str | None = None, predict_halves: bool | None = None, **options: Any) -> None:
        super().__init__(root, root_b, **options)
        self.predict_halves = predict_halves

    def splits(self) -> Splits:
        a, b = self._sides()
        self.origin = described(self.root, a)

        def files_of(split: str) -> list[PairFile]:
            return side_by_side(a[split]) if b is None else joined(a[split], b[split])

        parts = split_files(a, files_of, lambda file: file.name, self.val_share, self.has_splits)
        every = dict.fromkeys(file for files in parts for file in files)
        sizes = self._sizes(path for file in every for path in file.paths)
        check = check_halves if b is None else check_frames
        check([file for file in every if set(file.paths) <= sizes.keys()], sizes)
        train, val, test = self._readable(parts, sizes, lambda file: file.paths)
        read, larger = (
            PairReader(self.direction, self.shape_x[0], self.shape_y[0], size, self.max_value, draft)
            for size, draft in ((self.size, False), (self.load_size, self.jpeg_draft))
        )
        val_set, test_set = (Mapped(files, read) if files else None for files in (val, test))
        load = self._packed(larger, train, sizes)
        return Augmented(train, RandomCropFlip(load, self.size, self.mirror), self.seed), val_set, test_set

    def _inputs_without_sides(self, items: list[InputImage], files: Sequence[Path], have_splits: bool) -> list[InputImage]:
        if not self._are_pairs(files, have_splits):
            return items
        right = self.direction == "BtoA"
        log_info(f"each file is a pair side by side, of which the {'right' if right else 'left'} half is the input")
        return [half(item, right) for item in items]

    def _are_pairs(self, files: Sequence[Path], have_splits: bool) -> bool:
        if self.predict_halves is not None:
            return self.predict_halves
        sizes = []
        for file in files:
            with suppress(InputError):  # reported when it is read
                sizes.append(image_size(file))
        if have_splits:
            return bool(sizes) and all(width > height and width % 2 == 0 for height, width in sizes)
        return bool(sizes) and all(width == 2 * height for height, width in sizes)

    def _sides(self) -> tuple[Layout, Layout | None]:
        sides = self._two_sides()
        if sides is None:
            return split_folders(self.root, self.has_splits), None
        a, b = sides
        if set(a) != set(b):
            raise InputError(
                f"A and B need the same splits: A has {', '.join(filter(None, a)) or 'none'} and B "
                f"{', '.join(filter(None, b)) or 'none'} ({', '.join(map(str, (*a.values(), *b.values())))})"
            )
        return a, b
