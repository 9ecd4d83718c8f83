"""Generates batches of images with a model for evaluation, sharded over ranks.

Batch b depends on (seed, b) alone: not on the rank that generates it, on what was generated before, or on the training. So
callbacks during a training and ``ganzoo evaluate`` after it evaluate the same images.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganzoo.errors import InputError
from ganzoo.evaluation.batches import ALONE, EvalSplit, ImageBatch, Shard, as_images, index_batches
from ganzoo.interfaces import (
    Cycled,
    CycleTranslator,
    Generated,
    Sampler,
    Translated,
    Translator,
    eval_mode,
    field_of,
    isolated_rng,
)
from ganzoo.utils.image_range import RangeDoubt
from ganzoo.utils.images import to_float
from ganzoo.utils.rng import step_seed

Context = Callable[[], AbstractContextManager]
INPUT_FIELDS = {"": "x", "to_y": "x", "to_x": "y"}
"""The field of the batches that each kind of image is generated from, where it is generated from images."""
BATCH_SIZE = 50


def normalizes_by_batch(module: nn.Module) -> bool:
    """Whether the model has a batch norm without running statistics, which uses the batch's own in evaluation mode too."""
    return any(isinstance(part, _BatchNorm) and part.running_mean is None for part in module.modules())


def default_batch_size(module: nn.Module, training: int | None) -> int:
    """Chooses the batch size of an evaluation where the user gives none.

    Args:
        module: a model.
        training: the batch size of its training; None where it is not known.

    Returns:
        50 for a model that generates from noise. The batch size of the training for a translator, and for any model that
        normalizes by each batch's statistics; where it is not known, 50, or 1 with such a normalization.
    """
    by_batch = normalizes_by_batch(module)
    if isinstance(module, Sampler) and not by_batch:
        return BATCH_SIZE
    return training or (1 if by_batch else BATCH_SIZE)


def output_kinds(
    module: nn.Module, split: EvalSplit | None, batch_size: int = 1, context: Context = nullcontext
) -> dict[str, str]:
    """Maps each kind of image that a module generates to the field of the batches with the real images.

    A ``Sampler`` generates images like x, a ``Translator`` images like y, a ``CycleTranslator`` both, named ``to_y`` and
    ``to_x``. Of any other module, the record that its ``validation_step`` returns decides: ``Generated``, ``Translated`` or
    ``Cycled``.

    Args:
        module: a model.
        split: data for the ``validation_step`` of another module; one batch is used.
        batch_size: number of images in that batch.
        context: context in which the networks run (a trainer's precision).

    Raises:
        InputError: the module generates no images.
    """
    if isinstance(module, Sampler):
        return {"": "x"}
    if isinstance(module, CycleTranslator):
        return {"to_y": "y", "to_x": "x"}
    if isinstance(module, Translator):
        return {"": "y"}
    assert split is not None
    _, batch = next(split.batches(batch_size))
    with isolated_rng(0, _device(module)), eval_mode(module), torch.no_grad(), context():
        record = _validated(module, batch, 0)
    kinds: dict[type, dict[str, str]] = {Generated: {"": "x"}, Translated: {"": "y"}, Cycled: {"to_y": "y", "to_x": "x"}}
    if type(record) not in kinds:
        raise InputError(
            f"{type(module).__name__} generates no images that can be evaluated: it is no Sampler or Translator, and its "
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
    """Generates batches of images in evaluation mode, with the EMA weights if there are any.

    Args:
        module: a module that :func:`output_kinds` accepts.
        split: the images that a translator translates; None for a ``Sampler``.
        n: number of images that a ``Sampler`` generates, each class in turn if it is conditional; the largest number of
            images that are translated.
        batch_size: images in a batch; part of the protocol, because each batch has its own noise.
        seed: seed of the noise and of dropout.
        shard: the batches of this rank.
        context: context in which the networks run (a trainer's precision).
        targets: by set, the field of the split's batches with the targets; None where they are not known. They are from the
            batch that was translated: where the data draws pairs at random, a second reading would give other ones.

    Raises:
        InputError: an image is not finite, or not in [-1, 1].
    """
    device, whose = _device(module), f"{type(module).__name__}'s images"
    doubts: dict[str, RangeDoubt] = {}
    if isinstance(module, Sampler):
        work: Any = ((indices, None) for indices in index_batches(n, batch_size, shard))
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
            if shard.rank == 0:
                doubts.setdefault(name, RangeDoubt(whose)).look(images)
            if len(found) != len(indices):
                raise InputError(f"{whose}: {len(found)} for a batch of {len(indices)}, and there must be one for each")
            # past its end the shorter side of unpaired data has begun again
            kept = indices < count_generated(module, split, name, n)
            if kept.any():
                target = None if targets is None else as_images(field_of(batch, targets[name]), "the data")[: kept.sum()]
                yield ImageBatch(name, indices[kept], found[kept.to(found.device)], y, target)


def count_generated(module: nn.Module, split: EvalSplit | None, name: str, n: int) -> int:
    """Counts the images of a set that :func:`generated_batches` yields: n, or the inputs of a translator, if fewer."""
    return n if split is None or isinstance(module, Sampler) else min(n, split.count(INPUT_FIELDS[name]))


def _generated(
    module: Any, indices: Tensor, batch: Any, generator: torch.Generator, number: int
) -> list[tuple[str, Tensor, Tensor | None]]:
    """Generates a batch: the name of each set, its images, and the classes that were asked for."""
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
    as_images(images, "the data")  # refuses what is not an image
    return _as_taken(module, images)


def _as_taken(module: Any, value: Any) -> Any:
    """Converts a tensor to the module's device and precision, uint8 to [-1, 1]; returns other values as they are."""
    if not isinstance(value, Tensor):
        return value
    value = value.to(_device(module))
    value = to_float(value) if value.dtype == torch.uint8 else value
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    return value.to(dtype) if value.is_floating_point() else value


def _validated(module: Any, batch: Any, number: int) -> Any:
    """Calls ``validation_step`` with a batch as a trainer would, and drops what it logs."""
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
