"""Makes batches of generated and of real images for evaluation, sharded over ranks.

Batch b of a set depends on (seed, b) alone: not on the process that makes it, on what was generated before, or on the
training. So callbacks during a training and ``ganzoo evaluate`` after it evaluate the same images.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from ganzoo.data.images import find_images, read_image, readable_images
from ganzoo.data.splits import refuse_splits
from ganzoo.errors import InputError
from ganzoo.interfaces import (
    Cycled,
    CycleTranslator,
    Generated,
    Sampler,
    Translated,
    Translator,
    doubt_range,
    eval_mode,
    isolated_rng,
)
from ganzoo.interfaces import field_of as field_of
from ganzoo.utils.images import to_float, to_uint8
from ganzoo.utils.log import log_info
from ganzoo.utils.progress import tracked
from ganzoo.utils.rng import step_seed

Context = Callable[[], AbstractContextManager]
MADE_FROM = {"": "x", "to_y": "x", "to_x": "y"}
"""The field of the batches that each kind of image is generated from, where it is generated from images."""
PROBES = 1000  # images by which a set is known again: smaller sets by all of theirs
REPEATED = 32  # of them, asked for twice
BATCH_SIZE = 50
SLACK = 0.01  # an image in [-1, 1] may leave it by so much


class ImageBatch(NamedTuple):
    """Images of one set.

    Attributes:
        name: of the set, "" where a model makes one kind of image.
        indices: int64 [N], the images' numbers in the set.
        images: uint8 [N, C, H, W].
        labels: int64 [N], their classes, on the processor; None where there are none.
        target: uint8 [N, C, H, W], what a translation should have been; None where that is not known.
    """

    name: str
    indices: Tensor
    images: Tensor
    labels: Tensor | None = None
    target: Tensor | None = None


class Shard(NamedTuple):
    """Which batches of a set are this process's: every ``world_size``-th, from number ``rank`` on."""

    rank: int = 0
    world_size: int = 1


ALONE = Shard()


class EvalSplit:
    """The images of one split of a data module, or of a loader, in their own order and whoever asks for them.

    Args:
        loader: the split's loader, map-style; only its dataset and how it collates and loads are used. Of several loaders
            the first is taken.
        name: the split's name, ``val``.
        prepare: called with each batch before a model gets it, as a trainer's hooks are; None for no change.

    Raises:
        InputError: no such images, or a set that can only be read from its beginning to its end.
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
        """How many images the field has: where two kinds go side by side, the shorter list begins anew at its end."""
        return getattr(self.dataset, "sizes", {}).get(field, len(self))

    def subsample(self, n: int, field: str = "x") -> "EvalSplit":
        """n of its images of a field, evenly spread: a set may be sorted by class. All, if there are no more."""
        there = self.count(field)
        if there <= n:
            return self
        found = copy(self)
        found.dataset = Subset(self.dataset, [i * there // n for i in range(n)])
        return found

    def batches(self, batch_size: int, shard: Shard = ALONE, n: int | None = None) -> Iterator[tuple[Tensor, Any]]:
        """Indices and batches of the first n images."""
        parts = _index_batches(len(self) if n is None else min(n, len(self)), batch_size, shard)
        if not parts:
            return
        loader = DataLoader(
            Subset(self.dataset, torch.cat(parts).tolist()),
            batch_sampler=_InTurn([len(part) for part in parts]),
            num_workers=self.loader.num_workers,
            collate_fn=self.loader.collate_fn,
            worker_init_fn=self.loader.worker_init_fn,
            generator=torch.Generator().manual_seed(0),  # or it would draw from the training's stream
        )
        for indices, batch in zip(parts, loader, strict=True):
            yield indices, batch if self.prepare is None else self.prepare(batch)

    def real_batches(self, field: str, batch_size: int, shard: Shard = ALONE, name: str = "") -> Iterator[ImageBatch]:
        """The real images of a field of its batches."""
        count = self.count(field)
        for indices, batch in self.batches(batch_size, shard, count):
            labels = field_of(batch, "y") if field == "x" else None
            whole = isinstance(labels, Tensor) and labels.ndim == 1 and not labels.is_floating_point()
            y = labels.cpu() if whole else None  # type: ignore[union-attr]
            images = field_of(batch, field)
            if indices[0] == 0:
                doubt_range(images, f"the {self.name} data")
            yield ImageBatch(name, indices, as_images(images, f"the {self.name} data"), y)

    def fingerprint(self) -> str | None:
        """Identifies the set by a hash of its length and of a thousand images, evenly spread, or of all if there are fewer.

        Returns:
            Sixteen hexadecimal digits; None if the images change whenever they are read.
        """
        if self._hashed(self._spread(REPEATED)) != self._hashed(self._spread(REPEATED)):
            return None
        return self._hashed(self._spread(PROBES))

    def _spread(self, n: int) -> list[int]:
        return sorted({round(i * (len(self) - 1) / (n - 1)) for i in range(n)}) if len(self) else []

    def _hashed(self, indices: list[int]) -> str:
        found = hashlib.sha256(f"{len(self)};".encode())
        for index in indices:
            item = self.dataset[index]
            _feed(found, item)
            if self.prepare is not None:  # what is done to them belongs to them
                batch = self.prepare(self.loader.collate_fn([item]))
                for field in "xy":
                    value = field_of(batch, field)
                    if isinstance(value, Tensor):
                        # in eight bits, or two devices' rounding would be two output_kinds
                        _feed(found, as_images(value, f"the {self.name} data") if value.ndim == 4 else value)
        return found.hexdigest()[:16]


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


def _index_batches(n: int, batch_size: int, shard: Shard) -> list[Tensor]:
    """The indices of each batch of this shard."""
    return list(torch.arange(n).split(batch_size))[shard.rank :: shard.world_size] if n else []


class ImageFiles:
    """The image files of a folder, in the order of their names; of any sizes.

    Args:
        path: of the folder.
        n: the first n files; all if left out.

    Raises:
        InputError: no images, fewer than n, or a file that is no image.
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
        """A hash of the files' contents in their order, sixteen hexadecimal digits; their names do not matter."""
        found = hashlib.sha256()
        for file in tracked(self.files, f"hashing {self.path}", unit="files", delay=2):
            content = file.read_bytes()
            found.update(f"{len(content)};".encode() + content)
        return found.hexdigest()[:16]

    def batches(self, batch_size: int, shard: Shard = ALONE) -> Iterator[ImageBatch]:
        """Batches of a shard; a batch of several sizes comes in as many parts."""
        for indices in _index_batches(len(self), batch_size, shard):
            images = {index: read_image(self.files[index], 3) for index in indices.tolist()}
            for size in sorted({image.shape for image in images.values()}):
                alike = [index for index, image in images.items() if image.shape == size]
                yield ImageBatch("", torch.tensor(alike), torch.stack([images[index] for index in alike]))


class _InTurn:
    """Batches of given sizes, one after the other."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[list[int]]:
        return (part.tolist() for part in torch.arange(sum(self.sizes)).split(self.sizes))


def as_images(images: Any, whose: str) -> Tensor:
    """Images as uint8 [N, C, H, W], from uint8 or from floats in [-1, 1].

    Args:
        images: images of a batch or of a model.
        whose: whose images they are, for an error message.

    Raises:
        InputError: no images, NaN or infinite values, or floats far from [-1, 1].
    """
    if not isinstance(images, Tensor) or images.ndim != 4:
        raise InputError(f"{whose}: images [N, C, H, W] are wanted, not {getattr(images, 'shape', type(images).__name__)}")
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


def normalizes_by_batch(module: nn.Module) -> bool:
    """Whether a batch norm of the model has no running statistics: it uses each batch's own, also in evaluation mode."""
    return any(isinstance(part, _BatchNorm) and part.running_mean is None for part in module.modules())


def default_batch_size(module: nn.Module, training: int | None) -> int:
    """Images that a model makes at a time, where the user does not say.

    Args:
        module: a model.
        training: the batch size of its training; None where it is not known.

    Returns:
        50 for a model that makes images from noise. The batch size of the training for one that translates, and for any that
        normalizes by each batch's statistics; where it is not known, 50, and 1 with such a normalization.
    """
    by_batch = normalizes_by_batch(module)
    if isinstance(module, Sampler) and not by_batch:
        return BATCH_SIZE
    return training or (1 if by_batch else BATCH_SIZE)


def output_kinds(
    module: nn.Module, split: EvalSplit | None, batch_size: int = 1, context: Context = nullcontext
) -> dict[str, str]:
    """The kinds of image that a module makes, and the field of the batches that has the real ones.

    A ``Sampler`` makes one like x, a ``Translator`` one like y, a ``CycleTranslator`` both, ``to_y`` and ``to_x``. Any other
    module is evaluated by what its ``validation_step`` returns: ``Generated``, ``Translated`` or ``Cycled``.

    Args:
        module: a model.
        split: needed for such another module, which is asked by its first batch.
        batch_size: images in that batch.
        context: about the networks' work, a trainer's precision.

    Raises:
        InputError: a module that makes no images.
    """
    if isinstance(module, Sampler):
        return {"": "x"}
    if isinstance(module, CycleTranslator):
        return {"to_y": "y", "to_x": "x"}
    if isinstance(module, Translator):
        return {"": "y"}
    # its kind is known by asking
    assert split is not None
    _, batch = next(split.batches(batch_size))
    with isolated_rng(0, _device(module)), eval_mode(module), torch.no_grad(), context():
        record = _validated(module, batch, 0)
    kinds: dict[type, dict[str, str]] = {Generated: {"": "x"}, Translated: {"": "y"}, Cycled: {"to_y": "y", "to_x": "x"}}
    if type(record) not in kinds:
        raise InputError(
            f"{type(module).__name__} makes no images that can be evaluated: it is no Sampler or Translator, and its "
            "validation_step returns no Generated, Translated or Cycled (docs: your_own.md)"
        )
    return kinds[type(record)]


def generated_batches(
    module: nn.Module,
    split: EvalSplit | None,
    n: int,
    batch_size: int,
    seed: int = 0,
    shard: Shard = ALONE,
    context: Context = nullcontext,
    targets: Mapping[str, str] | None = None,
) -> Iterator[ImageBatch]:
    """The images that a module makes, in evaluation mode, with its averaged networks if there are any.

    Args:
        module: see :func:`output_kinds`.
        split: what a translator translates; None for a ``Sampler``.
        n: images that a ``Sampler`` makes, and the most that are translated. A conditional one is asked for its classes by
            turns.
        batch_size: images at a time; as the noise is of a part, it belongs to the protocol.
        seed: of the noise, dropout included.
        shard: this process's.
        context: about the networks' work, a trainer's precision.
        targets: the field of the split's batches that has what the images of each set should become; None if that is not
            known. Taken from the same batch: where the data draw at random, reading an index again gives another pair.

    Raises:
        InputError: images that are not finite, or not in [-1, 1].
    """
    device, whose = _device(module), f"{type(module).__name__}'s images"
    if isinstance(module, Sampler):
        work: Any = ((indices, None) for indices in _index_batches(n, batch_size, shard))
    else:
        assert split is not None
        work = split.batches(batch_size, shard, n)
    for indices, batch in work:
        number = int(indices[0]) // batch_size
        noise = step_seed(seed, 0, number)
        with isolated_rng(noise, device), eval_mode(module), torch.no_grad(), context():
            generated = _generated(module, indices, batch, torch.Generator().manual_seed(noise), number)
        for name, images, y in generated:
            found = as_images(images, whose)
            if number == 0:
                doubt_range(images, whose)
            if len(found) != len(indices):
                raise InputError(f"{whose}: of a batch of {len(indices)} it made {len(found)}, and one of each is wanted")
            # beyond its end the shorter list has begun anew
            kept = indices < count_generated(module, split, name, n)
            if kept.any():
                target = None if targets is None else as_images(field_of(batch, targets[name]), "the data")[: kept.sum()]
                yield ImageBatch(name, indices[kept], found[kept.to(found.device)], y, target)


def count_generated(module: nn.Module, split: EvalSplit | None, name: str, n: int) -> int:
    """Images that :func:`generated_batches` gives of a set: n, or all that there are to be translated, if they are fewer."""
    return n if split is None or isinstance(module, Sampler) else min(n, split.count(MADE_FROM[name]))


def _generated(
    module: Any, indices: Tensor, batch: Any, generator: torch.Generator, number: int
) -> list[tuple[str, Tensor, Tensor | None]]:
    """Name of the set, images, classes asked for."""
    if isinstance(module, Sampler):
        y = None if not module.classes else indices % module.classes
        asked = None if y is None else y.to(_device(module))
        return [("", module.sample(len(indices), asked, generator), y)]
    if isinstance(module, CycleTranslator):
        x, y = (_for(module, field_of(batch, field)) for field in ("x", "y"))
        return [("to_y", module.translate(x), None), ("to_x", module.translate_back(y), None)]
    if isinstance(module, Translator):
        return [("", module.translate(_for(module, field_of(batch, "x"))), None)]
    record = _validated(module, batch, number)
    if isinstance(record, Cycled):
        return [("to_y", record.fake_y, None), ("to_x", record.fake_x, None)]
    return [("", record.output if isinstance(record, Translated) else record.fake, None)]


def _for(module: Any, images: Any) -> Tensor:
    as_images(images, "the data")  # refuses what is none
    return _as_taken(module, images)


def _as_taken(module: Any, value: Any) -> Any:
    """uint8 images in [-1, 1], on the module's device, in the precision of its weights; others as they are."""
    if not isinstance(value, Tensor):
        return value
    value = value.to(_device(module))
    value = to_float(value) if value.dtype == torch.uint8 else value
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    return value.to(dtype) if value.is_floating_point() else value


def _validated(module: Any, batch: Any, number: int) -> Any:
    """What its validation step returns of a batch, such as a trainer would give it; what it logs is not heard."""
    batch = module.transfer_batch_to_device(batch, _device(module), 0)
    if isinstance(batch, Tensor):
        batch = _as_taken(module, batch)
    elif isinstance(batch, Mapping):
        batch = {key: _as_taken(module, value) for key, value in batch.items()}
    elif isinstance(batch, tuple | list):
        values = [_as_taken(module, value) for value in batch]
        batch = type(batch)(*values) if hasattr(batch, "_fields") else type(batch)(values)
    module.log = module.log_dict = lambda *_, **__: None
    try:
        return module.validation_step(batch, number)
    finally:
        del module.log, module.log_dict


def _device(module: Any) -> torch.device:
    return next((p.device for p in module.parameters()), torch.device("cpu"))
