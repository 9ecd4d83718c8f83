"""Datasets: samples in memory, samples computed from items, and two datasets without pairs."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, default_collate

from ganzoo.data.batches import Unpaired
from ganzoo.data.sampling import Augmented, identity, image_rng
from ganzoo.data.transforms import map_images, random_flip
from ganzoo.errors import InputError


class InMemory(Dataset):
    """Samples that fit in memory: ``InMemory(LabelledImages(x, y))`` with x [N, C, H, W] and y [N].

    Args:
        samples: a NamedTuple of :mod:`ganzoo.data.batches` whose fields have N rows each.
    """

    def __init__(self, samples: Any) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples[0])

    def __getitem__(self, index: int) -> Any:
        return type(self.samples)(*(field[index] for field in self.samples))


class Gathered(Augmented):
    """A training set in memory whose batches are gathered with one index operation, not sample by sample.

    Samples are those of the set that it is made of. So are batches, to the bit, in a DataLoader with
    ``collate_fn=collate_gathered``.

    Args:
        dataset: training set that :meth:`can_gather` accepts.
    """

    def __init__(self, dataset: Augmented) -> None:
        super().__init__(dataset.items, dataset.transform, dataset.seed)

    @staticmethod
    def can_gather(dataset: Dataset) -> bool:
        """Whether a training set is in memory, and its augmentation nothing but a flip."""
        plain = type(dataset) is Augmented and isinstance(dataset.items, InMemory)
        return plain and dataset.transform in (identity, random_flip)  # type: ignore[attr-defined]

    def __getitems__(self, keys: Sequence[int | tuple[int, int]]) -> Any:
        """The whole batch of these keys; a DataLoader calls this where it is defined."""
        places = [key if isinstance(key, tuple) else (0, key) for key in keys]
        indices = torch.tensor([index for _, index in places])
        samples: Any = self.items.samples  # type: ignore[union-attr]
        batch = type(samples)(*(field[indices].contiguous() for field in samples))
        if self.transform is identity:
            return batch
        flipped = torch.tensor([image_rng(self.seed, *place).random() < 0.5 for place in places])
        return map_images(lambda x: torch.where(flipped.view(-1, 1, 1, 1), x.flip(-1), x), batch)


def collate_gathered(batch: Any) -> Any:
    """Returns a batch that is gathered already; collates a list of samples."""
    return default_collate(batch) if isinstance(batch, list) else batch


class Mapped(Dataset):
    """The samples ``transform(item)`` of a list of items, or of another dataset, in its order.

    Args:
        items: what a sample is computed from: file names, corners, other samples.
        transform: function that computes the sample of an item.
    """

    def __init__(self, items: Sequence[Any] | Dataset, transform: Callable[[Any], Any]) -> None:
        self.items = items
        self.transform = transform

    def __len__(self) -> int:
        return len(self.items)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.items[index])


class Zipped(Dataset):
    """``Unpaired`` samples of two datasets, zipped; the shorter one starts again at its end.

    Args:
        x: dataset of x, whose samples have the image in their first field.
        y: dataset of y, whose samples have the image in their first field.

    Attributes:
        sizes: number of samples of each dataset, by "x" and "y".
    """

    def __init__(self, x: Any, y: Any) -> None:
        self.x = x
        self.y = y
        self.sizes = {"x": len(self.x), "y": len(self.y)}

    def __len__(self) -> int:
        return max(self.sizes.values())

    def __getitem__(self, index: int) -> Unpaired:
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} samples, and number {index} is asked for")
        return Unpaired(self.x[index % len(self.x)][0], self.y[index % len(self.y)][0])


@lru_cache(maxsize=2)
def second_order(seed: int, epoch: int, length: int) -> np.ndarray:
    """The order in which one epoch goes through the shorter of two sets. int64 [length]."""
    # three numbers order the longer set and augment; numpy fills up with zeros, so the fourth must not be 0
    return np.random.default_rng((seed, epoch, 0, 1)).permutation(length)


class UnpairedDataset(Augmented):
    """A training set of samples without pairs, drawn from two sets that are shuffled independently in every epoch.

    It is as long as the longer set. ``dataset[epoch, index]`` takes the item of this index from the longer set, and from the
    shorter one the item at the same place of an order that depends on seed and epoch only. In an epoch each item of the
    shorter set serves as often as any other, give or take one, and the pairs are random.

    Args:
        x: items that x is drawn from, file names for example.
        y: items that y is drawn from; any number.
        transform: function of ((item of x, item of y), numpy Generator) that gives a sample. All workers share it, so it
            must not keep state.
        seed: seed of the orders and of the transform, at least 0.

    Raises:
        InputError: one of the two sets is empty.
    """

    def __init__(
        self,
        x: Sequence[Any] | InMemory,
        y: Sequence[Any] | InMemory,
        transform: Callable[[Any, np.random.Generator], Any],
        seed: int,
    ) -> None:
        if not len(x) or not len(y):
            raise InputError(f"training needs images of both domains, and there are {len(x)} of x and {len(y)} of y")
        self.x = x
        self.y = y
        self.sizes = {"x": len(x), "y": len(y)}  # in its first so many places each image is there once
        super().__init__(range(max(len(x), len(y))), transform, seed)

    def __getitem__(self, key: int | tuple[int, int]) -> Any:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        shorter = min(len(self.x), len(self.y))
        other = int(second_order(self.seed, epoch, shorter)[index % shorter])
        pair = (self.x[index], self.y[other]) if len(self.x) >= len(self.y) else (self.x[other], self.y[index])
        return self.transform(pair, image_rng(self.seed, epoch, index))
