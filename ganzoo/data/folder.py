"""A folder of one's own pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import Images, LabelledImages
from ganzoo.data.checks import at_least, one_of, share
from ganzoo.data.pictures import centre_crop, find_pictures, picture_sizes, read_picture, resize_shorter_side
from ganzoo.data.sampling import Augmented
from ganzoo.data.splits import split_files, split_folders, sub_folders
from ganzoo.errors import InputError


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

    def __init__(self, size: int, channels: int, mirror: bool) -> None:
        self.size = size
        self.channels = channels
        self.mirror = mirror

    def __call__(self, file: PictureFile, rng: np.random.Generator) -> Images | LabelledImages:
        image = resize_shorter_side(read_picture(file.path, self.channels), self.size)
        top, left = (int(rng.integers(side - self.size + 1)) for side in image.shape[-2:])
        image = image[:, top : top + self.size, left : left + self.size]
        return file.sample(image.flip(-1) if self.mirror and rng.random() < 0.5 else image)


class CentreCropped(Dataset):
    """Validation's view of files: shorter side to `size`, the middle square."""

    def __init__(self, files: Sequence[PictureFile], size: int, channels: int) -> None:
        self.files = files
        self.size = size
        self.channels = channels

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Images | LabelledImages:
        file = self.files[index]
        image = resize_shorter_side(read_picture(file.path, self.channels), self.size)
        return file.sample(centre_crop(image, self.size))


class ImageFolder(ImageDataModule):
    """The pictures below a folder, of any size, all turned into squares. Batches are ``Images`` or ``LabelledImages``.

    The shorter side is resized to `size`; training takes a random square of that, validation the middle one. Where
    `root` holds folders ``train`` and ``val`` or ``test``, those are the splits, and one that is missing is the same as
    the other. Otherwise a share of the files validates, chosen by a hash of the file's name, and tests as well.
    See :func:`~ganzoo.data.pictures.read_picture` for alpha, 16-bit pictures, palettes and rotation.

    Args:
        root: the folder.
        size: height and width in pixels that come out.
        channels: 1 for grey, 3 for colour; files of the other kind are converted.
        labelled: the first folder below `root` (or below ``train``, ``val``, ``test``) is the class; classes are
            numbered in the order of their names.
        mirror: mirror training pictures left to right half of the time.
        val_share: in [0, 1), expected share of the files that validates where `root` has no split folders.
        batch_size: pictures in a batch of each process.
        num_workers: processes that load.
        seed: of the training order and of the augmentation.

    Raises:
        InputError: a number out of range; no folder, no pictures, or a file that is not the picture its name says. A
            file whose header is whole but which is cut short is refused when it is read.
    """

    def __init__(
        self,
        root: str,
        size: int = 64,
        channels: int = 3,
        labelled: bool = False,
        mirror: bool = True,
        val_share: float = 0.1,
        batch_size: int = 16,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        at_least("size", size, 1)
        one_of("channels", channels, (1, 3))
        self.root = Path(root)
        self.size = size
        self.channels = channels
        self.mirror = mirror
        self.val_share = share("val_share", val_share)
        self.class_names = self._class_names() if labelled else None
        classes = None if self.class_names is None else len(self.class_names)
        super().__init__((channels, size, size), classes, batch_size=batch_size, num_workers=num_workers, seed=seed)

    def splits(self) -> Splits:
        train, val, test = split_files(self.root, self._files, lambda file: file.name, self.val_share)
        picture_sizes(sorted({file.path for files in (train, val, test) for file in files}))
        draw = CropAndMirror(self.size, self.channels, self.mirror)
        return Augmented(train, draw, self.seed), self._cropped(val), self._cropped(test)

    def _cropped(self, files: list[PictureFile]) -> Dataset | None:
        return CentreCropped(files, self.size, self.channels) if files else None

    def _class_names(self) -> list[str]:
        folder = self.root / "train" if split_folders(self.root) else self.root
        names = sub_folders(folder)
        if not names:
            raise InputError(f"labelled pictures need a folder for each class, and {folder} has none")
        return names

    def _files(self, split: str) -> list[PictureFile]:
        folder = self.root / split
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
