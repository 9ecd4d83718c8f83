"""Pairs of pictures on disk, in the two forms that pix2pix made usual."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import ImagePairs
from ganzoo.data.checks import at_least, one_of, share
from ganzoo.data.pictures import find_pictures, picture_sizes, read_picture, resize
from ganzoo.data.sampling import Augmented
from ganzoo.data.splits import split_files
from ganzoo.errors import InputError

Direction = Literal["AtoB", "BtoA"]


class PairFile(NamedTuple):
    """Where a pair is: two files, or one that holds A in its left half and B in its right one (then `b` is None).

    `name` is the pair's, below the split's folder and without extension.
    """

    name: str
    a: Path
    b: Path | None

    def read(self, channels_a: int, channels_b: int) -> tuple[Tensor, Tensor]:
        """uint8 [channels_a, H, W] and [channels_b, H', W'].

        Raises:
            InputError: a file cannot be read.
        """
        left = read_picture(self.a, channels_a)
        if self.b is not None:
            return left, read_picture(self.b, channels_b)
        both = left if channels_b == channels_a else read_picture(self.a, channels_b)
        half = left.shape[-1] // 2
        return left[..., :half].contiguous(), both[..., half:].contiguous()


class PairReader:
    """Reads a pair as (x, y) in the wanted direction, both resized to a square of `size` pixels."""

    def __init__(self, direction: Direction, channels_x: int, channels_y: int) -> None:
        self.flipped = direction == "BtoA"
        self.channels = (channels_y, channels_x) if self.flipped else (channels_x, channels_y)

    def __call__(self, file: PairFile, size: int) -> ImagePairs:
        a, b = (resize(image, size, size) for image in file.read(*self.channels))
        return ImagePairs(b, a) if self.flipped else ImagePairs(a, b)


class Jitter:
    """The paper's augmentation: resize to `load_size`, crop `size` at random, mirror; the same for both pictures."""

    def __init__(self, read: PairReader, load_size: int, size: int, mirror: bool) -> None:
        self.read = read
        self.load_size = load_size
        self.size = size
        self.mirror = mirror

    def __call__(self, file: PairFile, rng: np.random.Generator) -> ImagePairs:
        top, left = (int(place) for place in rng.integers(self.load_size - self.size + 1, size=2))
        mirrored = self.mirror and rng.random() < 0.5
        crops = (image[:, top : top + self.size, left : left + self.size] for image in self.read(file, self.load_size))
        return ImagePairs(*(crop.flip(-1) if mirrored else crop for crop in crops))


class Resized(Dataset):
    """Pairs as they are, resized to a square of `size`."""

    def __init__(self, files: Sequence[PairFile], read: PairReader, size: int) -> None:
        self.files = files
        self.read = read
        self.size = size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> ImagePairs:
        return self.read(self.files[index], self.size)


def side_by_side(folder: Path) -> list[PairFile]:
    """The pairs of a folder whose files are twice as wide as high, A left and B right.

    Raises:
        InputError: a file of another form, or none.
    """
    paths = find_pictures(folder)
    for path, (height, width) in zip(paths, picture_sizes(paths), strict=True):
        if width != 2 * height:
            raise InputError(
                f"{path} is {width} wide and {height} high: two square pictures side by side are twice as wide as high"
            )
    return [PairFile(path.relative_to(folder).with_suffix("").as_posix(), path, None) for path in paths]


def joined(folder_a: Path, folder_b: Path) -> list[PairFile]:
    """The pairs of two folders, joined by the files' relative names without extension.

    Raises:
        InputError: a file without its fellow, two of the same name, or two of different proportions.
    """
    a, b = _by_stem(folder_a), _by_stem(folder_b)
    for these, those, folder in ((a, b, folder_b), (b, a, folder_a)):
        alone = [path for stem, path in these.items() if stem not in those]
        if alone:
            examples = ", ".join(str(path) for path in alone[:3])
            raise InputError(
                f"{len(alone)} of {len(these)} pictures have no fellow of the same name in {folder}: {examples}"
            )
    pairs = [PairFile(stem, a[stem], b[stem]) for stem in sorted(a)]
    sizes_a = picture_sizes([pair.a for pair in pairs])
    sizes_b = picture_sizes([b[pair.name] for pair in pairs])
    for pair, (height_a, width_a), (height_b, width_b) in zip(pairs, sizes_a, sizes_b, strict=True):
        if height_a * width_b != height_b * width_a:
            raise InputError(
                f"{pair.a} ({width_a}x{height_a}) and {pair.b} ({width_b}x{height_b}) differ in proportions: "
                "the pictures of a pair must show the same frame"
            )
    return pairs


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in find_pictures(folder):
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in found:
            raise InputError(f"{found[stem]} and {path} have the same name: which one is the pair's?")
        found[stem] = path
    return found


class Paired(ImageDataModule):
    """Pairs of pictures. Batches are ``ImagePairs``: x is to be turned into y.

    Three forms are known by their folders: with `root_b`, A is in `root` and B in `root_b` under the same names;
    with folders ``A`` and ``B`` in `root`, likewise in those; otherwise every file of `root` holds A and B side by
    side, as pix2pix publishes them. In each, folders ``train`` and ``val`` or ``test`` are the splits, and one that is
    missing is the same as the other; without them a share of the pairs validates, chosen by a hash of the name, and
    tests as well.

    Training has the paper's jitter (section 6.2 of its appendix): both pictures are resized to `load_size`, cropped to
    `size` at one random place, and mirrored together half of the time. Validation and test only resize to `size`.
    Pictures that are not square become square.

    Args:
        root: folder of the pairs, or of A.
        root_b: folder of B; None where A and B are both in `root`.
        direction: "AtoB" makes A the input x and B the output y, "BtoA" the reverse.
        size: height and width in pixels that come out.
        load_size: height and width before the random crop, at least `size`; equal to it for no jitter.
        mirror: mirror training pairs left to right half of the time.
        channels_x: of the input, 1 or 3.
        channels_y: of the output, 1 or 3.
        val_share: in [0, 1), expected share of the pairs that validates where there are no split folders.
        batch_size: pairs in a batch of each process.
        num_workers: processes that load.
        seed: of the training order and of the augmentation.

    Attributes:
        shape_x: (C, H, W) of the input.
        shape_y: (C, H, W) of the output; `shape` is the same.

    Raises:
        InputError: a number out of range; no folder, no pictures, a file that is no pair, a picture without its fellow.
    """

    def __init__(
        self,
        root: str,
        root_b: str | None = None,
        direction: Direction = "AtoB",
        size: int = 256,
        load_size: int = 286,
        mirror: bool = True,
        channels_x: int = 3,
        channels_y: int = 3,
        val_share: float = 0.1,
        batch_size: int = 1,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        at_least("size", size, 1)
        at_least("load_size", load_size, size)
        one_of("direction", direction, ("AtoB", "BtoA"))
        one_of("channels_x", channels_x, (1, 3))
        one_of("channels_y", channels_y, (1, 3))
        self.root = Path(root)
        self.root_b = None if root_b is None else Path(root_b)
        self.direction: Direction = direction
        self.size = size
        self.load_size = load_size
        self.mirror = mirror
        self.val_share = share("val_share", val_share)
        self.shape_x = (channels_x, size, size)
        self.shape_y = (channels_y, size, size)
        super().__init__(self.shape_y, None, batch_size=batch_size, num_workers=num_workers, seed=seed)

    def splits(self) -> Splits:
        folder_a, folder_b = self._folders()

        def files_of(split: str) -> list[PairFile]:
            return side_by_side(folder_a / split) if folder_b is None else joined(folder_a / split, folder_b / split)

        train, val, test = split_files(folder_a, files_of, lambda file: file.name, self.val_share)
        read = PairReader(self.direction, self.shape_x[0], self.shape_y[0])
        jitter = Jitter(read, self.load_size, self.size, self.mirror)
        return Augmented(train, jitter, self.seed), self._resized(val, read), self._resized(test, read)

    def _resized(self, files: list[PairFile], read: PairReader) -> Dataset | None:
        return Resized(files, read, self.size) if files else None

    def _folders(self) -> tuple[Path, Path | None]:
        if self.root_b is not None:
            return self.root, self.root_b
        a, b = self.root / "A", self.root / "B"
        if a.is_dir() != b.is_dir():
            there, missing = (a, b) if a.is_dir() else (b, a)
            raise InputError(f"there is a folder {there} but no {missing}")
        return (a, b) if a.is_dir() else (self.root, None)
