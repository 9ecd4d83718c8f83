"""A folder of one's own pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import Images, LabelledImages
from ganzoo.data.pictures import (
    Damaged,
    centre_crop,
    find_pictures,
    read_picture,
    resize_shorter_side,
    say_if_dark,
    whole_pictures,
)
from ganzoo.data.predicting import cropped, folder_to_predict, whole
from ganzoo.data.sampling import Augmented
from ganzoo.data.splits import class_folders, described, refuse_shared, split_files, split_folders
from ganzoo.errors import InputError
from ganzoo.utils.ranges import HalfOpenUnitInterval, Pixels, PositiveFloat, PositiveInt, Seed, Workers


class PictureFile(NamedTuple):
    """A picture on disk, its name below the split's folder, and its class, None without labels."""

    path: Path
    name: str
    label: int | None

    def sample(self, x: Tensor) -> Images | LabelledImages:
        """The sample of this file whose pixels are `x`."""
        return Images(x) if self.label is None else LabelledImages(x, torch.tensor(self.label))


class CropAndMirror:
    """Training's view of a file: shorter side to `size`, a random square of it, mirrored half of the time if wanted."""

    def __init__(self, size: int, channels: int, mirror: bool, max_value: float | None = None) -> None:
        self.size = size
        self.channels = channels
        self.mirror = mirror
        self.max_value = max_value

    def __call__(self, file: PictureFile, rng: np.random.Generator) -> Images | LabelledImages:
        image = resize_shorter_side(read_picture(file.path, self.channels, self.max_value), self.size)
        top, left = (int(rng.integers(side - self.size + 1)) for side in image.shape[-2:])
        image = image[:, top : top + self.size, left : left + self.size]
        return file.sample(image.flip(-1) if self.mirror and rng.random() < 0.5 else image)


class CentreCropped(Dataset):
    """Validation's view of files: shorter side to `size`, the middle square."""

    def __init__(self, files: Sequence[PictureFile], size: int, channels: int, max_value: float | None = None) -> None:
        self.files = files
        self.size = size
        self.channels = channels
        self.max_value = max_value

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Images | LabelledImages:
        file = self.files[index]
        image = resize_shorter_side(read_picture(file.path, self.channels, self.max_value), self.size)
        return file.sample(centre_crop(image, self.size))


class ImageFolder(ImageDataModule):
    """The pictures below a folder, of any size, all turned into squares. Batches are ``Images`` or ``LabelledImages``.

    The shorter side is resized to `size`; training takes a random square of that, validation the middle one. Where
    `root` holds folders of splits (``train``, ``val``, ``test``, ``Training``, ``valid`` and the like: see
    :func:`~ganzoo.data.splits.split_of`), those are the splits; of ``val`` and ``test`` one that is missing is the same as
    the other, and without ``train`` there is no training. Where `root` has none, or only ``train``, a share of the files
    validates, chosen by a hash of the file's name, and tests as well. Predicting is from the test folder, or else from
    all files. See :func:`~ganzoo.data.pictures.read_picture` for alpha, 16-bit pictures, palettes and rotation.

    Args:
        root: the folder.
        size: height and width in pixels that come out.
        channels: 1 for grey, 3 for colour; files of the other kind are converted.
        labelled: the first folder below `root` (or below ``train``, ``val``, ``test``) is the class; classes are
            numbered in the order of their names. Folders without pictures are no classes.
        mirror: mirror training pictures left to right half of the time.
        val_share: in [0, 1), expected share of the files that validates where neither ``val`` nor ``test`` is there.
        splits: False says that no folder is a split, whatever it is called.
        damaged: "refuse" ends with the damaged files' names before training; "skip" decodes every file once, and goes on
            without them.
        max_value: the value that is white in grey files of more than 8 bits, 4095 for 12 bits; None for 65535.
        batch_size: pictures in a batch of each process.
        num_workers: processes that load.
        seed: of the training order and of the augmentation.
        predict_squares: predict from squares of `size`, as in training; otherwise a translator keeps each image's own size.

    Raises:
        InputError: a number out of range; no folder, no pictures, or a file that is not the picture its name says; folders
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

    def splits(self) -> Splits:
        layout = split_folders(self.root, self.has_splits, self.labelled)
        self.origin = described(self.root, layout)
        parts = split_files(
            layout, lambda split: self._files(layout[split]), lambda file: file.name, self.val_share, self.has_splits
        )
        whole = whole_pictures((file.path for files in parts for file in files), self.damaged, self.max_value)
        train, val, test = ([file for file in files if file.path in whole] for files in parts)
        refuse_shared(((file.path,) for file in train), ((file.path,) for file in (*val, *test)))
        say_if_dark([file.path for file in train or test], self.max_value)
        draw = CropAndMirror(self.size, self.channels, self.mirror, self.max_value)
        return Augmented(train, draw, self.seed), self._cropped(val), self._cropped(test)

    def inputs(self) -> Dataset:
        folder = folder_to_predict(split_folders(self.root, self.has_splits, self.labelled))
        files = self._files(folder)
        items = [whole(file.path, folder, self.channels, self.max_value, file.label) for file in files]
        if self.predict_squares or not self._keeps_sizes():
            items = [cropped(item, self.size) for item in items]
        return self._from_files(items, folder)

    def _cropped(self, files: list[PictureFile]) -> Dataset | None:
        return CentreCropped(files, self.size, self.channels, self.max_value) if files else None

    def _class_names(self) -> list[str]:
        layout = split_folders(self.root, self.has_splits, self.labelled)
        folder = next(iter(layout.values()))
        names = class_folders(folder)
        if not names:
            raise InputError(f"labelled pictures need a folder for each class, and {folder} has none with pictures")
        return names

    def _files(self, folder: Path) -> list[PictureFile]:
        names = [(path, path.relative_to(folder)) for path in find_pictures(folder)]
        return [PictureFile(path, name.as_posix(), self._label(folder, name)) for path, name in names]

    def _label(self, folder: Path, name: Path) -> int | None:
        if self.class_names is None:
            return None
        if len(name.parts) < 2:
            raise InputError(f"{folder / name} is in no class folder: move it into one, or give labelled=False")
        if name.parts[0] not in self.class_names:
            raise InputError(f"{folder / name.parts[0]} is not one of the classes {', '.join(self.class_names)}")
        return self.class_names.index(name.parts[0])
