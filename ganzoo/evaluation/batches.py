"""Batches of the images that an evaluation reads, sharded over ranks: of a split of the data, or of a folder of files.

Batch b depends on the set and on b alone: not on the rank that reads it, or on what was read before.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from ganzoo.data.image_files import find_images, readable_images
from ganzoo.data.images import read_image
from ganzoo.data.splits import refuse_splits
from ganzoo.errors import InputError
from ganzoo.interfaces import field_of
from ganzoo.utils.image_range import RangeDoubt
from ganzoo.utils.images import to_uint8
from ganzoo.utils.log import log_info
from ganzoo.utils.progress import tracked

FINGERPRINT_IMAGES = 1000  # hashed to identify a set; of a smaller set, all
REPEATED = 32  # of them, read twice
SLACK = 0.01  # an image in [-1, 1] may leave it by so much


class ImageBatch(NamedTuple):
    """A batch of images of one set.

    Attributes:
        name: name of the set: ``to_y`` or ``to_x`` for a translator in both directions, else "".
        indices: int64 [N], the images' numbers in the set.
        images: uint8 [N, C, H, W]; vectors are float [N, d].
        labels: int64 [N], the images' classes, on the CPU; None without classes.
        target: uint8 [N, C, H, W], the targets of translations; None where they are not known.
    """

    name: str
    indices: Tensor
    images: Tensor
    labels: Tensor | None = None
    target: Tensor | None = None


class Shard(NamedTuple):
    """Which batches of a set this rank reads: every ``world_size``-th, from number ``rank`` on."""

    rank: int = 0
    world_size: int = 1


ALONE = Shard()


class EvalSplit:
    """The images of one split of a DataModule, or of a loader, always in the dataset's order.

    Args:
        loader: the split's loader. Its dataset, collate function and workers are used, its sampler is not. Of several
            loaders the first is used.
        name: the split's name: ``train``, ``val`` or ``test``.
        prepare: called with each batch before a model gets it, as a trainer calls the data's hooks; None for no change.

    Raises:
        InputError: there are no such images, or the dataset is not map-style.
    """

    def __init__(self, loader: Any, name: str, prepare: Callable[[Any], Any] | None = None) -> None:
        while isinstance(loader, Sequence | Mapping) and len(loader):
            loader = next(iter(loader.values())) if isinstance(loader, Mapping) else loader[0]
        # without a batch sampler the set's items are whole batches, and have no indices of their own
        stream = not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset)
        if stream or loader.batch_sampler is None:
            raise InputError(
                f"there are no {name} images to compare with, or not as a map-style data set in a DataLoader: choose "
                "another split"
            )
        self.name = name
        self.loader = loader
        self.dataset: Dataset = loader.dataset
        self.prepare = prepare

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def count(self, field: str) -> int:
        """Counts the images of a field: of unpaired data, the shorter side begins again at its end."""
        return getattr(self.dataset, "sizes", {}).get(field, len(self))

    def subsample(self, n: int, field: str = "x") -> "EvalSplit":
        """Returns a split of n images of a field, evenly spread, as a set may be sorted by class; at most all."""
        there = self.count(field)
        if there <= n:
            return self
        found = copy(self)
        found.dataset = Subset(self.dataset, [i * there // n for i in range(n)])
        return found

    def batches(self, batch_size: int, shard: Shard = ALONE, n: int | None = None) -> Iterator[tuple[Tensor, Any]]:
        """Yields the indices and the batches of the first n images; of all if left out."""
        parts = index_batches(len(self) if n is None else min(n, len(self)), batch_size, shard)
        if not parts:
            return
        loader = DataLoader(
            Subset(self.dataset, torch.cat(parts).tolist()),
            batch_sampler=_FixedBatches([len(part) for part in parts]),
            num_workers=self.loader.num_workers,
            collate_fn=self.loader.collate_fn,
            worker_init_fn=self.loader.worker_init_fn,
            generator=torch.Generator().manual_seed(0),  # or it would draw from the training's stream
        )
        for indices, batch in zip(parts, loader, strict=True):
            yield indices, batch if self.prepare is None else self.prepare(batch)

    def real_batches(self, field: str, batch_size: int, shard: Shard = ALONE, name: str = "") -> Iterator[ImageBatch]:
        """Yields the images of a field of the split's batches."""
        count, doubt = self.count(field), RangeDoubt(f"the {self.name} data")
        for indices, batch in self.batches(batch_size, shard, count):
            labels = field_of(batch, "y") if field == "x" else None
            whole = isinstance(labels, Tensor) and labels.ndim == 1 and not labels.is_floating_point()
            y = labels.cpu() if whole else None  # type: ignore[union-attr]
            images = field_of(batch, field)
            if shard.rank == 0:
                doubt.look(images)
            yield ImageBatch(name, indices, as_images(images, f"the {self.name} data"), y)

    def fingerprint(self) -> str | None:
        """Hashes the number of images, and a thousand of them, evenly spread; all of a smaller set.

        Returns:
            16 hexadecimal digits; None if an image differs each time it is read.
        """
        if self._hashed(self._spread(REPEATED)) != self._hashed(self._spread(REPEATED)):
            return None
        return self._hashed(self._spread(FINGERPRINT_IMAGES))

    def _spread(self, n: int) -> list[int]:
        return sorted({round(i * (len(self) - 1) / (n - 1)) for i in range(n)}) if len(self) else []

    def _hashed(self, indices: list[int]) -> str:
        found = hashlib.sha256(f"{len(self)};".encode())
        for index in indices:
            item = self.dataset[index]
            _feed(found, item)
            if self.prepare is not None:  # the hooks decide which images are evaluated
                batch = self.prepare(self.loader.collate_fn([item]))
                for field in "xy":
                    value = field_of(batch, field)
                    if isinstance(value, Tensor):
                        # as uint8, or the rounding of another device would give another hash
                        _feed(found, as_images(value, f"the {self.name} data") if value.ndim == 4 else value)
        return found.hexdigest()[:16]


class ImageFiles:
    """The image files of a folder, sorted by name, of any sizes.

    Args:
        path: the folder.
        n: number of files, the first by name; all if left out.

    Raises:
        InputError: the folder has no images or fewer than n, or a file cannot be read as an image.
    """

    def __init__(self, path: Path, n: int | None = None) -> None:
        if (path / "checkpoints").is_dir() and (path / "config.yaml").is_file():
            raise InputError(f"{path} is a run's folder, and no folder of images: give a file in {path / 'checkpoints'}")
        refuse_splits(path)
        self.path, self.files = path, find_images(path)
        if n is not None and n > len(self.files):
            raise InputError(f"--n is {n}, and there are {len(self.files)} images in {path}")
        self.files = self.files[:n]
        sizes = sorted(set(readable_images(self.files).values()))
        if len(sizes) > 1:
            low, high = ("x".join(map(str, size)) for size in (sizes[0], sizes[-1]))
            log_info(f"the images in {path} have {len(sizes)} sizes, {low} to {high}: the extractor resizes each as it is")

    def __len__(self) -> int:
        return len(self.files)

    def fingerprint(self) -> str:
        """Hashes the contents of the files in their order, without their names: 16 hexadecimal digits."""
        found = hashlib.sha256()
        for file in tracked(self.files, f"hashing {self.path}", unit="files", delay=2):
            content = file.read_bytes()
            found.update(f"{len(content)};".encode() + content)
        return found.hexdigest()[:16]

    def batches(self, batch_size: int, shard: Shard = ALONE) -> Iterator[ImageBatch]:
        """Yields the batches of a shard; a batch with images of several sizes is split by size."""
        for indices in index_batches(len(self), batch_size, shard):
            images = {index: read_image(self.files[index], 3) for index in indices.tolist()}
            for size in sorted({image.shape for image in images.values()}):
                alike = [index for index, image in images.items() if image.shape == size]
                yield ImageBatch("", torch.tensor(alike), torch.stack([images[index] for index in alike]))


def as_images(images: Any, whose: str) -> Tensor:
    """Converts images to uint8 [N, C, H, W], from uint8 or from floats in [-1, 1]. Vectors, floats [N, d], stay as they are.

    Args:
        images: images or vectors of a batch or of a model.
        whose: names the images in an error message.

    Raises:
        InputError: they are neither, have NaN or infinite values, or images leave [-1, 1] by more than ``SLACK``.
    """
    if isinstance(images, Tensor) and images.ndim == 2 and images.is_floating_point():
        if not images.isfinite().all():
            bad = int((~images.isfinite().all(1)).sum())
            raise InputError(f"{whose}: {bad} of {len(images)} vectors have NaN or infinite values, and cannot be evaluated")
        return images
    if not isinstance(images, Tensor) or images.ndim != 4:
        raise InputError(f"{whose}: images are a tensor [N, C, H, W], not {getattr(images, 'shape', type(images).__name__)}")
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise InputError(f"{whose}: images are uint8, or floats in [-1, 1], not {images.dtype}")
    if not images.isfinite().all():
        bad = int((~images.flatten(1).isfinite().all(1)).sum())
        raise InputError(f"{whose}: {bad} of {len(images)} images have NaN or infinite pixels, and cannot be evaluated")
    if images.numel() and images.abs().max() > 1 + SLACK:
        low, high = images.min().item(), images.max().item()
        raise InputError(f"{whose}: float images are in [-1, 1], and these go from {low:.3g} to {high:.3g}")
    return to_uint8(images)


def index_batches(n: int, batch_size: int, shard: Shard) -> list[Tensor]:
    """Returns the indices of each batch of a shard of n images."""
    return list(torch.arange(n).split(batch_size))[shard.rank :: shard.world_size] if n else []


class _FixedBatches:
    """A batch sampler with given batch sizes, in the dataset's order."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[list[int]]:
        return (part.tolist() for part in torch.arange(sum(self.sizes)).split(self.sizes))


def _feed(found: Any, value: Any) -> None:
    if isinstance(value, Mapping):
        value = list(value.items())
    if isinstance(value, tuple | list):
        found.update(f"{len(value)}(".encode())
        for each in value:
            _feed(found, each)
    elif isinstance(value, Tensor):
        found.update(f"{value.dtype} {list(value.shape)};".encode())
        found.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, np.ndarray):
        found.update(f"{value.dtype} {value.shape};".encode())
        found.update(value.tobytes())
    else:
        found.update(f"{value!r};".encode())
