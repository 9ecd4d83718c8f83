"""Pairs of images on disk, in the two forms that pix2pix made usual."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from torch import Tensor
from torch.utils.data import Dataset

from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import ImagePairs
from ganzoo.data.checks import at_least
from ganzoo.data.datasets import Mapped
from ganzoo.data.images import Damaged, find_images, image_size, read_image, readable_images, resize, warn_if_dark
from ganzoo.data.predicting import folder_to_predict, half, squared, whole
from ganzoo.data.sampling import Augmented
from ganzoo.data.splits import Layout, described, one_side, refuse_shared, split_files, split_folders, two_sides
from ganzoo.data.transforms import RandomCropFlip
from ganzoo.errors import InputError
from ganzoo.utils.log import log_info
from ganzoo.utils.ranges import HalfOpenUnitInterval, Pixels, PositiveFloat, PositiveInt, Seed, Workers

Sizes = Mapping[Path, tuple[int, int]]
"""(height, width) of the images that can be read."""
Direction = Literal["AtoB", "BtoA"]


class PairFile(NamedTuple):
    """Where a pair is: two files, or one that holds A in its left half and B in its right one (then `b` is None).

    `name` is the pair's, below the split's folder and without extension.
    """

    name: str
    a: Path
    b: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its files."""
        return (self.a,) if self.b is None else (self.a, self.b)

    def read(self, channels_a: int, channels_b: int, max_value: float | None = None) -> tuple[Tensor, Tensor]:
        """uint8 [channels_a, H, W] and [channels_b, H', W'].

        Raises:
            InputError: a file cannot be read.
        """
        left = read_image(self.a, channels_a, max_value)
        if self.b is not None:
            return left, read_image(self.b, channels_b, max_value)
        both = left if channels_b == channels_a else read_image(self.a, channels_b, max_value)
        half = left.shape[-1] // 2
        return left[..., :half].contiguous(), both[..., half:].contiguous()


class PairReader:
    """Reads a pair as (x, y), both resized to a square.

    Args:
        direction: "AtoB" makes A the input x and B the output y, "BtoA" the reverse.
        channels_x: 1 or 3.
        channels_y: 1 or 3.
        size: height and width in pixels.
        max_value: as for :func:`~ganzoo.data.images.read_image`.
    """

    def __init__(
        self, direction: Direction, channels_x: int, channels_y: int, size: int, max_value: float | None = None
    ) -> None:
        self.size = size
        self.max_value = max_value
        self.reversed = direction == "BtoA"
        self.channels = (channels_y, channels_x) if self.reversed else (channels_x, channels_y)

    def __call__(self, file: PairFile) -> ImagePairs:
        a, b = (resize(image, self.size, self.size) for image in file.read(*self.channels, self.max_value))
        return ImagePairs(b, a) if self.reversed else ImagePairs(a, b)


def side_by_side(folder: Path) -> list[PairFile]:
    """The pairs of a folder whose files are A and B in one image, A its left half and B its right one."""
    return [PairFile(path.relative_to(folder).with_suffix("").as_posix(), path, None) for path in find_images(folder)]


def joined(folder_a: Path, folder_b: Path) -> list[PairFile]:
    """The pairs of two folders, joined by the files' relative names without extension.

    Raises:
        InputError: a file without its fellow, or two of the same name.
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
    """Says how files are cut in the middle where the halves are not square.

    Raises:
        InputError: a file that is not wider than high, or cannot be halved.
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
        others = f", and {len(halves) - 1} more likewise" if len(halves) > 1 else ""
        log_info(f"{file.a} is cut in the middle into two images of {half}{others}; they become square")


def check_frames(files: Sequence[PairFile], sizes: Sizes) -> None:
    """Refuses pairs of unlike proportions, and says where they are only nearly alike.

    Sides that were rounded to whole pixels, or lost one at the edge, are alike.

    Raises:
        InputError: pairs whose proportions are more than a tenth apart: how many, and one of them.
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


class Paired(ImageDataModule):
    """Pairs of images. Batches are ``ImagePairs``: x is to be turned into y.

    The forms are known by their folders: with `root_b`, A is in `root` and B in `root_b` under the same names; with folders
    ``A`` and ``B`` in `root`, or ``trainA``, ``trainB``, ``testA`` and so on, or ``A`` and ``B`` in each of its splits, in
    those; otherwise every file of `root` holds A and B side by side, as pix2pix publishes them, and is cut in the middle.
    In each, folders of splits are known as by :class:`~ganzoo.data.ImageFolder`, and without them a share of the pairs
    validates, chosen by a hash of the name, and tests as well. Predicting needs the input's side alone: it is from the
    test folder, or else from all files; a `root` of single images is one of inputs.

    Training has the paper's jitter (section 6.2 of its appendix): both images are resized to `load_size`, cropped to
    `size` at one random place, and mirrored together half of the time. Validation and test only resize to `size`.
    Images that are not square become square. Pairs of unlike proportions are refused; a few pixels' difference is said.

    Args:
        root: folder of the pairs, or of A.
        root_b: folder of B; None where A and B are both in `root`.
        direction: "AtoB" makes A the input x and B the output y, "BtoA" the reverse.
        size: height and width in pixels that come out.
        load_size: height and width before the random crop, at least `size`; equal to it for no jitter.
        mirror: mirror training pairs left to right half of the time.
        channels_x: of the input, 1 or 3.
        channels_y: of the output, 1 or 3.
        val_share: in [0, 1), expected share of the pairs that validates where neither ``val`` nor ``test`` is there.
        splits: False says that no folder is a split, whatever it is called.
        damaged: "refuse" ends with the damaged files' names before training; "skip" decodes every file once, and goes on
            without their pairs.
        max_value: the value that is white in grey files of more than 8 bits, 4095 for 12 bits; None for 65535.
        batch_size: pairs in a batch of each process.
        num_workers: processes that load.
        seed: of the training order and of the augmentation.
        predict_squares: predict from squares of `size`, as in training; otherwise a translator keeps each image's own size.
        predict_halves: predict from the input's half of each file of `root`, or with False from whole files. Left out: from
            halves where all files are exactly twice as wide as high, or `root` has folders of splits and all of them can
            be pairs.

    Attributes:
        shape_x: (C, H, W) of the input.
        shape_y: (C, H, W) of the output; `shape` is the same.

    Raises:
        InputError: a number out of range; no folder, no images, a file that is no pair, an image without its fellow.
    """

    def __init__(
        self,
        root: str,
        root_b: str | None = None,
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
        predict_halves: bool | None = None,
    ) -> None:
        at_least("load_size", load_size, size)
        self.predict_squares = predict_squares
        self.predict_halves = predict_halves
        self.root = Path(root)
        self.root_b = None if root_b is None else Path(root_b)
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

    def splits(self) -> Splits:
        a, b = self._sides()
        self.origin = described(self.root, a)

        def files_of(split: str) -> list[PairFile]:
            return side_by_side(a[split]) if b is None else joined(a[split], b[split])

        parts = split_files(a, files_of, lambda file: file.name, self.val_share, self.has_splits)
        every = dict.fromkeys(file for files in parts for file in files)
        sizes = readable_images((path for file in every for path in file.paths), self.damaged, self.max_value)
        train, val, test = ([file for file in files if set(file.paths) <= sizes.keys()] for files in parts)
        check = check_halves if b is None else check_frames
        check([file for file in every if set(file.paths) <= sizes.keys()], sizes)
        refuse_shared((file.paths for file in train), (file.paths for file in (*val, *test)))
        for which in range(1 if b is None else 2):
            warn_if_dark([file.paths[which] for file in train or test], self.max_value)
        read, larger = (
            PairReader(self.direction, self.shape_x[0], self.shape_y[0], size, self.max_value)
            for size in (self.size, self.load_size)
        )
        val_set, test_set = (Mapped(files, read) if files else None for files in (val, test))
        return Augmented(train, RandomCropFlip(larger, self.size, self.mirror), self.seed), val_set, test_set

    def inputs(self) -> Dataset:
        side = "B" if self.direction == "BtoA" else "A"
        layout = one_side(self.root, side, self.has_splits) if self.root_b is None else None
        single = layout is not None or self.root_b is not None
        if layout is None:
            layout = split_folders(self.root_b if self.root_b and side == "B" else self.root, self.has_splits)
        folder = folder_to_predict(layout)
        files = find_images(folder)
        items = [whole(file, folder, self.shape_x[0], self.max_value) for file in files]
        if not single and self._are_pairs(files, "" not in layout):
            items = [half(item, side == "B") for item in items]
            log_info(
                f"each file is a pair side by side, of which the {'right' if side == 'B' else 'left'} half is the input"
            )
        if self.predict_squares or not self._keeps_sizes():
            items = [squared(item, self.size) for item in items]
        return self._from_files(items, folder, self.direction)

    def _are_pairs(self, files: Sequence[Path], have_splits: bool) -> bool:
        if self.predict_halves is not None:
            return self.predict_halves
        sizes = []
        for file in files:
            with suppress(InputError):  # told of when it is read
                sizes.append(image_size(file))
        if have_splits:
            return bool(sizes) and all(width > height and width % 2 == 0 for height, width in sizes)
        return bool(sizes) and all(width == 2 * height for height, width in sizes)

    def _sides(self) -> tuple[Layout, Layout | None]:
        if self.root_b is not None:
            sides = split_folders(self.root, self.has_splits), split_folders(self.root_b, self.has_splits)
        else:
            found = two_sides(self.root, self.has_splits)
            if found is None:
                return split_folders(self.root, self.has_splits), None
            sides = found
        a, b = sides
        if set(a) != set(b):
            raise InputError(
                f"A and B need the same splits: A has {', '.join(filter(None, a)) or 'none'} and B "
                f"{', '.join(filter(None, b)) or 'none'} ({', '.join(map(str, (*a.values(), *b.values())))})"
            )
        return sides
