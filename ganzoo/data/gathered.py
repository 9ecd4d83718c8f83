"""Gathers whole training batches of sets in memory or packed, on the processor or on the model's device."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from ganzoo.data.batches import Unpaired
from ganzoo.data.datasets import InMemory, UnpairedDataset
from ganzoo.data.packed import PackedReader
from ganzoo.data.sampling import Augmented, identity, image_rng
from ganzoo.data.transforms import Independent, RandomCropFlip, random_flip

Place = Callable[[np.random.Generator], tuple[int, int, bool]]
"""Function that draws top, left and whether an image is flipped."""


class Drawn(NamedTuple):
    """How a training set draws its samples, for :data:`KINDS`.

    Attributes:
        sides: the items and the transform of each image of a sample.
        indices: function of (epoch, index) that gives the index of an item for each side.
        join: function that makes a batch of the sides' batches.
    """

    sides: Sequence[tuple[Any, Any]]
    indices: Callable[[int, int], tuple[int, ...]]
    join: Callable[..., Any]


def _augmented(dataset: Any) -> Drawn:
    return Drawn([(dataset.items, dataset.transform)], lambda epoch, index: (index,), lambda batch: batch)


def _unpaired(dataset: Any) -> Drawn | None:
    if type(dataset.transform) is not Independent:
        return None
    both = dataset.transform
    sides = [(dataset.x, both.transform_x), (dataset.y, both.transform_y)]
    return Drawn(sides, dataset.indices, lambda x, y: Unpaired(x[0], y[-1]))


KINDS: dict[type, Callable[[Any], Drawn | None]] = {Augmented: _augmented, UnpairedDataset: _unpaired}
"""The classes of training sets that may be gathered. A subclass may draw otherwise, so it needs an entry of its own."""


class _Side:
    """A table of samples, and which rows and places of it a batch takes.

    Args:
        samples: NamedTuple of N rows each.
        rows: the row of each item; None where they are the same.
        place: draws the place of a crop; None if samples are taken as they are.
        size: height and width of the crop; None for no crop.
    """

    def __init__(self, samples: Any, rows: np.ndarray | None, place: Place | None, size: int | None) -> None:
        self.samples = samples
        self.rows = rows
        self.place = place
        self.size = size

    def numbers(self, index: int, rng: np.random.Generator | None) -> tuple[int, ...]:
        """What is drawn of a sample: its row, and top, left and flipped if there is a place to draw."""
        row = index if self.rows is None else int(self.rows[index])
        return (row,) if self.place is None or rng is None else (row, *self.place(rng))

    def gather(self, samples: Any, numbers: Tensor) -> Any:
        """The batch of these numbers, int64 [B, 1 or 4], of samples on the same device."""
        rows = numbers[:, 0]
        return type(samples)(
            *(self._images(field, numbers) if field.dtype == torch.uint8 else field[rows].contiguous() for field in samples)
        )

    def _images(self, x: Tensor, numbers: Tensor) -> Tensor:
        if self.place is None:
            return x[numbers[:, 0]].contiguous()
        rows, top, left, flipped = (column[:, None, None, None] for column in numbers.unbind(1))
        if self.size is None:
            x = x[rows.flatten()]
            return torch.where(flipped > 0, x.flip(-1), x)
        steps = torch.arange(self.size, device=x.device)
        across = torch.where(flipped > 0, self.size - 1 - steps, steps) + left
        channels = torch.arange(x.shape[1], device=x.device)[:, None, None]
        return x[rows, channels, top + steps[:, None], across]


def _side(items: Any, transform: Any, packed: bool, tables: dict[int, Any]) -> _Side | None:
    """None if the items are not in memory or packed in one size, or the transform is not one of those known here.

    `tables` holds those of readers that were met before: two sides may share one.
    """
    if isinstance(items, InMemory) and transform is identity:
        return _Side(items.samples, None, None, None)
    if isinstance(items, InMemory) and transform is random_flip:
        return _Side(items.samples, None, lambda rng: (0, 0, rng.random() < 0.5), None)
    if packed and type(transform) is RandomCropFlip and type(transform.load) is PackedReader:
        if id(transform.load) not in tables:
            tables[id(transform.load)] = transform.load.table()
        table = tables[id(transform.load)]
        if table is not None:
            height, width = table[0].shape[-2:]
            rows = np.fromiter(map(transform.load.row, items), np.int64, len(items))
            return _Side(table, rows, lambda rng: transform.place(height, width, rng), transform.size)
    return None


class Gathered(Dataset):
    """A training set whose batches are gathered with one index operation, not sample by sample.

    Samples are those of the set that it is made of. So are batches, to the bit, in a DataLoader with
    ``collate_fn=collate_gathered``. What is random is drawn on the processor in either case; :meth:`move` puts the images on
    a device, and batches are then gathered, cropped and flipped there.

    Args:
        dataset: the training set.
        drawn: how it draws its samples.
        sides: the tables that they come from.

    Attributes:
        sizes: number of samples of each side of a set without pairs, by "x" and "y"; empty otherwise.
    """

    def __init__(self, dataset: Augmented, drawn: Drawn, sides: Sequence[_Side]) -> None:
        self.dataset = dataset
        self.sizes: dict[str, int] = dataset.sizes if isinstance(dataset, UnpairedDataset) else {}
        self.drawn = drawn
        self.sides = sides
        self.device: torch.device | None = None
        self._samples = [side.samples for side in sides]
        self._draws = any(side.place is not None for side in sides)

    @classmethod
    def of(cls, dataset: Any, packed: bool = True) -> "Gathered | None":
        """The set to gather; None if it is neither in memory nor packed in one size, or is augmented otherwise.

        Args:
            dataset: the training set.
            packed: False for a set in memory only: the table of a packed one takes time and memory for each file.
        """
        drawn = KINDS[type(dataset)](dataset) if type(dataset) in KINDS else None
        tables: dict[int, Any] = {}
        sides = [] if drawn is None else [_side(*each, packed, tables) for each in drawn.sides]
        known = [side for side in sides if side is not None]
        return cls(dataset, drawn, known) if drawn is not None and len(known) == len(sides) else None

    @property
    def transform(self) -> Any:
        """The augmentation of the set that it is made of."""
        return self.dataset.transform

    @property
    def in_memory(self) -> bool:
        """Whether nothing is cropped, so that a batch is gathered faster on a processor too."""
        return all(side.size is None for side in self.sides)

    @property
    def bytes(self) -> int:
        """The memory that the set takes on a device."""
        fields = {id(field): field for side in self.sides for field in side.samples}
        return sum(field.numel() * field.element_size() for field in fields.values())

    def move(self, device: torch.device) -> None:
        """Copies the set to a device, once. Batches come from there until :meth:`release`."""
        fields = {id(field): field for side in self.sides for field in side.samples}
        moved = {key: field.to(device) for key, field in fields.items()}
        self._samples = [type(side.samples)(*(moved[id(field)] for field in side.samples)) for side in self.sides]
        self.device = device

    def release(self) -> None:
        """Gives the device's memory back. Batches come from the processor's memory again."""
        self._samples = [side.samples for side in self.sides]
        self.device = None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: int | tuple[int, int]) -> Any:
        return self.dataset[key]

    def __getitems__(self, keys: Sequence[int | tuple[int, int]]) -> Any:
        """The whole batch of these keys; a DataLoader calls this where it is defined."""
        rows = []
        for key in keys:
            epoch, index = key if isinstance(key, tuple) else (0, key)
            # to begin random numbers costs more than to fetch an image
            rng = image_rng(self.dataset.seed, epoch, index) if self._draws else None
            taken = zip(self.sides, self.drawn.indices(epoch, index), strict=True)
            rows.append([number for side, each in taken for number in side.numbers(each, rng)])
        numbers = torch.tensor(rows)
        if self.device is not None:
            numbers = numbers.to(self.device, non_blocking=True)
        widths = [1 if side.place is None else 4 for side in self.sides]
        parts = zip(self.sides, self._samples, numbers.split(widths, 1), strict=True)
        return self.drawn.join(*(side.gather(samples, part) for side, samples, part in parts))


def collate_gathered(batch: Any) -> Any:
    """Returns a batch that is gathered already; collates a list of samples."""
    return default_collate(batch) if isinstance(batch, list) else batch
