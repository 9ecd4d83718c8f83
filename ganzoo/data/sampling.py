"""Training order as a function of (seed, epoch) and augmentation as a function of (seed, epoch, index).

Nothing here remembers anything but the epoch's number, so any number of workers gives the same images, and a run
that is taken up again needs no saved random state.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset, DistributedSampler


def order_rng(seed: int, epoch: int) -> np.random.Generator:
    """The random numbers that order one epoch."""
    return np.random.default_rng((seed, epoch, 0))


def image_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random numbers that augment one image in one epoch."""
    # from 1, because place 0 orders the epoch
    return np.random.default_rng((seed, epoch, 1 + index))


class EpochSampler(DistributedSampler):
    """A new order of the training set for each epoch, dealt out to the processes without overlap.

    It yields ``(epoch, index)``, which is what :class:`Augmented` takes. A DistributedSampler, because Lightning
    wraps any other sampler in one that shuffles again. The images left over when the set does not divide by the
    number of processes are left out of that epoch.

    Args:
        length: images in the training set.
        seed: at least 0.
        num_replicas: processes that share the training set.
        rank: which of them this is, from 0.
    """

    def __init__(self, length: int, seed: int, num_replicas: int = 1, rank: int = 0) -> None:
        places: Any = range(length)
        super().__init__(places, num_replicas=num_replicas, rank=rank, seed=seed, drop_last=True)
        self.length = length
        self.begun = (0, 0)

    def begin_at(self, epoch: int, done: int) -> None:
        """Leaves out the first ``done`` images of this process in this epoch, which a resumed run has seen."""
        self.set_epoch(epoch)
        self.begun = (epoch, done)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = order_rng(self.seed, self.epoch).permutation(self.length)
        mine = order[self.rank : self.total_size : self.num_replicas].tolist()
        for index in mine[self.begun[1] if self.epoch == self.begun[0] else 0 :]:
            yield self.epoch, index


def identity(item: Any, rng: np.random.Generator) -> Any:
    """The transform of a training set that is not augmented."""
    return item


class Augmented(Dataset):
    """A training set whose samples are drawn with their own random numbers.

    ``dataset[epoch, index]`` is ``transform(items[index], rng)`` with an `rng` that depends on seed, epoch and index only;
    ``dataset[index]`` is epoch 0 (which is also what Lightning's overfit_batches asks for).

    Args:
        items: what `transform` starts from: samples, or file names, or only ``range(n)``.
        transform: (item, numpy Generator) -> a sample. Shared by all workers: it must not keep state.
        seed: at least 0.
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
    """A loader that a resumed run finds where it stood: with no state of its own, as the sampler is told where to begin.

    Lightning asks for these two methods, or it warns.
    """

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the place is in the trainer's own progress."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes nothing."""
