"""The pictures that a model is judged by, and the real ones beside them, in parts that many processes can share out.

What part b of a set is depends on (seed, b) alone: not on the process that makes it, on what was made before, or on the
training. Callbacks during a training and ``ganzoo evaluate`` after it so judge the same pictures.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from ganzoo.errors import InputError
from ganzoo.generative import Cycled, CycleTranslator, Generated, Sampler, Translated, Translator, looking_at, own_noise
from ganzoo.images import to_float, to_uint8
from ganzoo.noise import step_seed

Context = Callable[[], AbstractContextManager]
PROBES = 32  # pictures by which a set is known again
SLACK = 0.01  # a picture in [-1, 1] may leave it by so much


class Part(NamedTuple):
    """Pictures of one set.

    Attributes:
        name: of the set, "" where a model makes one kind of picture.
        places: int64 [N], the pictures' numbers in the set.
        images: uint8 [N, C, H, W].
        y: int64 [N], their classes, on the processor; None where there are none.
    """

    name: str
    places: Tensor
    images: Tensor
    y: Tensor | None


class Share(NamedTuple):
    """Which parts of a set are this process's: every ``of``-th from ``process``."""

    process: int = 0
    of: int = 1


ALONE = Share()


class Split:
    """The pictures of one split of a data module, or of a loader, in their own order and whoever asks for them.

    Args:
        loader: of the split, map-style; only its dataset and how it collates and loads are used. Of several the first.
        name: of the split, ``val``.

    Raises:
        InputError: no such pictures, or a set that can only be read from its beginning to its end.
    """

    def __init__(self, loader: Any, name: str) -> None:
        while isinstance(loader, Sequence) and len(loader):
            loader = loader[0]
        if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
            raise InputError(f"there are no {name} pictures to compare with, or not as a map-style data set in a DataLoader")
        self.name = name
        self.loader = loader
        self.dataset: Dataset = loader.dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def count(self, field: str) -> int:
        """How many pictures the field has: where two kinds go side by side, the shorter list begins anew at its end."""
        return getattr(self.dataset, "sizes", {}).get(field, len(self))

    def batches(self, batch_size: int, share: Share = ALONE, n: int | None = None) -> Iterator[tuple[Tensor, Any]]:
        """Places and batches, of the first n pictures."""
        parts = list(torch.arange(len(self) if n is None else min(n, len(self))).split(batch_size))[
            share.process :: share.of
        ]
        loader = DataLoader(
            Subset(self.dataset, torch.cat(parts).tolist() if parts else []),
            batch_sampler=_InTurn([len(part) for part in parts]),
            num_workers=self.loader.num_workers,
            collate_fn=self.loader.collate_fn,
            generator=torch.Generator().manual_seed(0),  # or it would draw from the training's stream
        )
        yield from zip(parts, loader, strict=True)

    def real(self, field: str, batch_size: int, share: Share = ALONE, name: str = "") -> Iterator[Part]:
        """The real pictures of a field of its batches."""
        count = self.count(field)
        for places, batch in self.batches(batch_size, share, count):
            labels = getattr(batch, "y", None) if field == "x" else None
            y = labels if isinstance(labels, Tensor) and labels.ndim == 1 and not labels.is_floating_point() else None
            yield Part(name, places, as_pictures(field_of(batch, field), f"the {self.name} data"), y)

    def fingerprint(self) -> str | None:
        """By what the set is known again: its length and some pictures, evenly spread. None if they change when asked twice.

        Sixteen hexadecimal digits.
        """
        places = sorted({round(i * (len(self) - 1) / (PROBES - 1)) for i in range(PROBES)}) if len(self) else []
        found = [self._hashed(places) for _ in range(2)]
        return found[0] if found[0] == found[1] else None

    def _hashed(self, places: list[int]) -> str:
        found = hashlib.sha256(f"{len(self)};".encode())
        for place in places:
            item = self.dataset[place]
            for value in item if isinstance(item, tuple | list) else [item]:
                if not isinstance(value, Tensor):
                    found.update(f"{value!r};".encode())
                    continue
                found.update(f"{value.dtype} {list(value.shape)};".encode())
                found.update(value.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return found.hexdigest()[:16]


class _InTurn:
    """Batches of given sizes, one after the other."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[list[int]]:
        return (part.tolist() for part in torch.arange(sum(self.sizes)).split(self.sizes or 1))


def field_of(batch: Any, field: str) -> Any:
    """x or y of a batch: by that name, or, of a plain tuple, by its place; a tensor alone is x."""
    if isinstance(batch, Tensor):
        return batch
    if isinstance(batch, Mapping):
        return batch.get(field)
    if isinstance(batch, Sequence) and not hasattr(batch, "_fields"):
        place = "xy".index(field)
        return batch[place] if place < len(batch) else None
    return getattr(batch, field, None)


def as_pictures(images: Any, whose: str) -> Tensor:
    """Pictures as uint8 [N, C, H, W], from uint8 or from floats in [-1, 1].

    Args:
        images: of a batch, or of a model.
        whose: in an error.

    Raises:
        InputError: no pictures, NaN or infinite values, or floats far from [-1, 1].
    """
    if not isinstance(images, Tensor) or images.ndim != 4:
        raise InputError(f"{whose}: pictures [N, C, H, W] are wanted, not {getattr(images, 'shape', type(images).__name__)}")
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise InputError(f"{whose}: pictures are uint8, or floats in [-1, 1], not {images.dtype}")
    if not images.isfinite().all():
        bad = int((~images.flatten(1).isfinite().all(1)).sum())
        raise InputError(f"{whose}: {bad} of {len(images)} pictures have NaN or infinite pixels, and cannot be judged")
    if images.numel() and images.abs().max() > 1 + SLACK:
        low, high = images.min().item(), images.max().item()
        raise InputError(f"{whose}: float pictures are in [-1, 1], and these go from {low:.3g} to {high:.3g}")
    return to_uint8(images)


def sets(module: nn.Module, split: Split, batch_size: int = 1) -> dict[str, str]:
    """The kinds of picture that a module makes, and the field of the batches that has the real ones.

    A ``Sampler`` makes one like x, a ``Translator`` one like y, a ``CycleTranslator`` both, ``to_y`` and ``to_x``. Any other
    module is judged by what its ``validation_step`` returns: ``Generated``, ``Translated`` or ``Cycled``.

    Raises:
        InputError: a module that makes no pictures.
    """
    if isinstance(module, Sampler):
        return {"": "x"}
    if isinstance(module, CycleTranslator):
        return {"to_y": "y", "to_x": "x"}
    if isinstance(module, Translator):
        return {"": "y"}
    # its kind is known by asking
    _, batch = next(split.batches(batch_size))
    with own_noise(0, _device(module)), looking_at(module), torch.no_grad():
        record = _validated(module, batch, 0)
    kinds: dict[type, dict[str, str]] = {Generated: {"": "x"}, Translated: {"": "y"}, Cycled: {"to_y": "y", "to_x": "x"}}
    if type(record) not in kinds:
        raise InputError(
            f"{type(module).__name__} makes no pictures that can be judged: it is no Sampler or Translator, and its "
            "validation_step returns no Generated, Translated or Cycled (docs: your_own.md)"
        )
    return kinds[type(record)]


def fakes(
    module: nn.Module,
    split: Split | None,
    n: int,
    batch_size: int,
    seed: int = 0,
    share: Share = ALONE,
    context: Context = nullcontext,
) -> Iterator[Part]:
    """The pictures that a module makes, in evaluation mode, with its averaged networks if there are any.

    Args:
        module: see :func:`sets`.
        split: what a translator translates; None for a ``Sampler``.
        n: pictures that a ``Sampler`` makes, and the most that are translated. A conditional one is asked for its classes by
            turns.
        batch_size: pictures at a time; as the noise is of a part, it belongs to the protocol.
        seed: of the noise, dropout included.
        share: this process's.
        context: about the networks' work, a trainer's precision.

    Raises:
        InputError: pictures that are not finite, or not in [-1, 1].
    """
    device, whose = _device(module), f"{type(module).__name__}'s pictures"
    if isinstance(module, Sampler):
        work: Any = list(torch.arange(n).split(batch_size))[share.process :: share.of]
        work = ((places, None) for places in work)
    else:
        assert split is not None
        work = split.batches(batch_size, share, n)
    for places, batch in work:
        number = int(places[0]) // batch_size
        noise = step_seed(seed, 0, number)
        with own_noise(noise, device), looking_at(module), torch.no_grad(), context():
            made = _made(module, places, batch, torch.Generator().manual_seed(noise), number)
        for name, field, images, y in made:
            room = n if split is None or isinstance(module, Sampler) else split.count(field)
            kept = places < room  # beyond that the list has begun anew
            if kept.any():
                yield Part(name, places[kept], as_pictures(images, whose)[kept.to(images.device)], y)


def _made(
    module: Any, places: Tensor, batch: Any, generator: torch.Generator, number: int
) -> list[tuple[str, str, Tensor, Tensor | None]]:
    """Name of the set, field that they are made from, pictures, classes asked for."""
    device = _device(module)
    if isinstance(module, Sampler):
        y = None if not module.classes else places % module.classes
        asked = None if y is None else y.to(device)
        return [("", "x", module.sample(len(places), asked, generator), y)]
    if isinstance(module, CycleTranslator):
        x, y = (_on_device(field_of(batch, field), module) for field in ("x", "y"))
        return [("to_y", "x", module.translate(x), None), ("to_x", "y", module.translate_back(y), None)]
    if isinstance(module, Translator):
        return [("", "x", module.translate(_on_device(field_of(batch, "x"), module)), None)]
    record = _validated(module, batch, number)
    if isinstance(record, Cycled):
        return [("to_y", "x", record.fake_y, None), ("to_x", "y", record.fake_x, None)]
    if isinstance(record, Translated):
        return [("", "x", record.output, None)]
    return [("", "x", record.fake, None)]


def _on_device(images: Any, module: Any) -> Tensor:
    as_pictures(images, "the data")  # refuses what is none
    return _float(images.to(_device(module)))


def _float(value: Any) -> Any:
    return to_float(value) if isinstance(value, Tensor) and value.dtype == torch.uint8 else value


def _validated(module: Any, batch: Any, number: int) -> Any:
    """What its validation step returns of a batch, such as a trainer would give it; what it logs is not heard."""
    batch = module.transfer_batch_to_device(batch, _device(module), 0)
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        batch = type(batch)(*map(_float, batch))
    module.log = module.log_dict = lambda *_, **__: None
    try:
        return module.validation_step(batch, number)
    finally:
        del module.log, module.log_dict


def _device(module: nn.Module) -> torch.device:
    return next((p.device for p in module.parameters()), torch.device("cpu"))
