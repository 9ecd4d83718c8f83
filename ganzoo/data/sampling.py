"""Training order as a function of (seed, epoch) and augmentation as a function of (seed, epoch, index).

Nothing here keeps state but the epoch's number. So any number of workers gives the same images, and a resumed run needs no
saved random state.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset, DistributedSampler

_CHUNK = 10_000  # indices that become numbers of Python at a time


def order_rng(seed: int, epoch: int) -> np.random.Generator:
    """The random number generator of the order of one epoch."""
    return np.random.default_rng((seed, epoch, 0))


def image_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random number generator that augments one image in one epoch."""
    # from 1, because place 0 orders the epoch
    return np.random.default_rng((seed, epoch, 1 + index))


class EpochSampler(DistributedSampler):
    """Sampler with a new order of the training set for each epoch, split over the processes without overlap.

    It yields ``(epoch, index)``, which is what :class:`Augmented` takes. A DistributedSampler, because Lightning
    wraps any other sampler in one that shuffles again. The images left over when the set does not divide by the
    number of processes are left out of that epoch.

    Args:
        length: number of images in the training set.
        seed: seed of the order, at least 0.
        num_replicas: number of processes that share the training set.
        rank: index of this process, from 0.
    """

    def __init__(self, length: int, seed: int, num_replicas: int = 1, rank: int = 0) -> None:
        places: Any = range(length)
        super().__init__(places, num_replicas=num_replicas, rank=rank, seed=seed, drop_last=True)
        self.length = length
        self.begun = (0, 0)

    def begin_at(self, epoch: int, done: int) -> None:
        """Skips the first ``done`` images of this process in this epoch, which a resumed run has seen."""
        self.set_epoch(epoch)
        self.begun = (epoch, done)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = order_rng(self.seed, self.epoch).permutation(self.length)
        mine = order[self.rank : self.total_size : self.num_replicas]
        done = self.begun[1] if self.epoch == self.begun[0] else 0
        for start in range(done, len(mine), _CHUNK):  # a number of Python takes four times the memory
            for index in mine[start : start + _CHUNK].tolist():
                yield self.epoch, index


def identity(item: Any, rng: np.random.Generator) -> Any:
    """The transform of a training set that is not augmented."""
    return item


class Augmented(Dataset):
    """A training set with random augmentation that depends on seed, epoch and index only.

    ``dataset[epoch, index]`` is ``transform(items[index], rng)``. ``dataset[index]`` is epoch 0; Lightning's
    overfit_batches asks for it.

    Args:
        items: what `transform` starts from: samples, file names, or only ``range(n)``.
        transform: function of (item, numpy Generator) that gives a sample. All workers share it, so it must not keep state.
        seed: seed of the augmentation, at least 0.
    """

    def __init__(
        self, items: Sequence[Any] | Dataset, transform: Callable[[Any, np.random.Generator], Any], seed: int
    ) -> None:
        self.items = items
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.items)  # type: ignore[arg-type]

    def __getitem__(self, key: int | tuple[int, int]) -> Any:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if self.transform is identity:  # to begin random numbers costs more than to fetch the image
            return self.items[index]
        return self.transform(self.items[index], image_rng(self.seed, epoch, index))


class ResumableLoader(DataLoader):
    """A loader that a resumed run continues within an epoch. It has no state: the sampler knows where to begin.

    Lightning warns about loaders without these two methods.
    """

    def state_dict(self) -> dict[str, Any]:
        """Empty: the position is in the trainer's own progress."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Does nothing."""
