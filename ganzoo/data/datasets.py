"""Datasets: samples in memory, samples computed from items, and two datasets without pairs."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from ganzoo.data.batches import Unpaired
from ganzoo.data.sampling import Augmented, image_rng
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
        x, y = self.indices(epoch, index)
        return self.transform((self.x[x], self.y[y]), image_rng(self.seed, epoch, index))

    def indices(self, epoch: int, index: int) -> tuple[int, int]:
        """The indices of x and of y that a sample is drawn from."""
        shorter = min(len(self.x), len(self.y))
        other = int(second_order(self.seed, epoch, shorter)[index % shorter])
        return (index, other) if len(self.x) >= len(self.y) else (other, index)
