"""Inputs for prediction: all images of a folder, or those of its test split, with their names."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ganzoo.data.images import read_image
from ganzoo.data.resizing import centre_crop, resize, resize_shorter_side
from ganzoo.data.splits import Layout
from ganzoo.errors import InputError
from ganzoo.prediction import Inputs, number_name


class InputImage(NamedTuple):
    """An image to predict from.

    Attributes:
        name: its path below the folder of the images, with forward slashes.
        read: function that reads its pixels, uint8 [C, H, W], and raises InputError for a damaged file.
        label: its class; None if it has none.
    """

    name: str
    read: Callable[[], Tensor]
    label: int | None = None


class FromFiles(Dataset):
    """Dataset of image files for prediction. A file that cannot be read is reported and stops nothing.

    Samples are ``Inputs`` of one image, for :func:`collate`.

    Args:
        items: the images, in the order of their names.
        direction: "AtoB" if they are of A, "BtoA" if they are of B; None for data with one side.
    """

    def __init__(self, items: Sequence[InputImage], direction: str | None = None) -> None:
        self.items = items
        self.direction = direction
        self.outputs = output_names([item.name for item in items])

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Inputs:
        item = self.items[index]
        try:
            x = item.read()
        except InputError as error:
            return Inputs([], None, direction=self.direction, damaged=[(index, item.name, str(error))])
        y = None if item.label is None else torch.tensor([item.label])
        return Inputs([x], y, [index], [item.name], [self.outputs[index]], self.direction)


class Numbered(Dataset):
    """Adds its index to each image of a dataset, for prediction. Samples are ``Inputs`` of one image.

    Args:
        dataset: dataset of NamedTuples with the image x, and y if it is the class.
        direction: "AtoB" or "BtoA", as in :class:`FromFiles`; None for data with one side.
    """

    def __init__(self, dataset: Dataset, direction: str | None = None) -> None:
        self.dataset = dataset
        self.direction = direction

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Inputs:
        sample: Any = self.dataset[index]
        y = getattr(sample, "y", None)
        label = y.view(1) if isinstance(y, Tensor) and y.ndim == 0 else None
        return Inputs([sample.x], label, [index], [""], [number_name(index)], self.direction)


def collate(samples: Sequence[Inputs]) -> Inputs:
    """Collates ``Inputs`` of one image each to a batch; x is a tensor if all images have one size, otherwise a list."""
    images = [image for sample in samples for image in sample.x]
    labels = [sample.y for sample in samples if sample.y is not None]
    alike = len({image.shape for image in images}) == 1
    return Inputs(
        torch.stack(images) if alike else images,
        torch.cat(labels) if labels and len(labels) == len(images) else None,
        [n for sample in samples for n in sample.number],
        [name for sample in samples for name in sample.name],
        [name for sample in samples for name in sample.output],
        samples[0].direction,
        [each for sample in samples for each in sample.damaged],
    )


def output_names(names: Sequence[str]) -> list[str]:
    """Names of the predictions: the inputs' names without extension, or with it where two would be the same.

    ``a.jpg`` and ``a.png`` become ``a.jpg`` and ``a.png``, to which the writer adds its own extension.
    """
    stems = [name.rpartition(".")[0] or name for name in names]
    found = Counter(map(_spelling, stems))
    folders = {_spelling(str(folder)) for name in names for folder in PurePosixPath(name).parents}
    outputs = [
        stem if found[_spelling(stem)] == 1 and f"{_spelling(stem)}.png" not in folders else name
        for stem, name in zip(stems, names, strict=True)
    ]
    return outputs if len(set(map(_spelling, outputs))) == len(names) else list(names)


def _spelling(name: str) -> str:
    # a disk may not tell A from a, nor the two spellings of an accent
    return unicodedata.normalize("NFC", name).casefold()


def folder_to_predict(layout: Layout) -> Path:
    """The folder of a layout to predict from: the test split's, or else that of val, or of train, or the only one."""
    return next(layout[split] for split in ("test", "val", "train", "") if split in layout)


def whole(file: Path, folder: Path, channels: int, max_value: float | None, label: int | None = None) -> InputImage:
    """A file below a folder as an input, at its own size. `channels` and `max_value` are those of ``read_image``."""
    return InputImage(file.relative_to(folder).as_posix(), partial(read_image, file, channels, max_value), label)


def changed(item: InputImage, change: Callable[[Tensor], Tensor]) -> InputImage:
    """The same input, with a function applied to its image after it is read."""
    return item._replace(read=partial(_read_changed, item.read, change))


def half(item: InputImage, right: bool) -> InputImage:
    """The left or the right half of an input."""
    return changed(item, partial(_half, right=right))


def squared(item: InputImage, size: int) -> InputImage:
    """The same input, resized to a square of `size` pixels."""
    return changed(item, partial(resize, height=size, width=size))


def cropped(item: InputImage, size: int) -> InputImage:
    """The same input: shorter side to `size` pixels, the middle square."""
    return changed(item, partial(_cropped, size=size))


def _read_changed(read: Callable[[], Tensor], change: Callable[[Tensor], Tensor]) -> Tensor:
    return change(read())


def _half(image: Tensor, right: bool) -> Tensor:
    middle = image.shape[-1] // 2
    return (image[..., middle:] if right else image[..., :middle]).contiguous()


def _cropped(image: Tensor, size: int) -> Tensor:
    return centre_crop(resize_shorter_side(image, size), size).contiguous()
