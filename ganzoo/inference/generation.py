"""Generates images with a trained model; each image is decided by its own seed and class.

Image k has the noise of a random number generator with seed k, on the CPU. So it does not depend on how many images are
generated, on which others, or on the device, except for rounding.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError, one_line
from ganzoo.interfaces import CascadeSampler, Classifier, NoiseSampler, Sampler, Translator, eval_mode, isolated_rng
from ganzoo.utils.images import to_uint8

SEEDS = 2**32  # the CPU generator of torch takes the lower 32 bits of a seed only


class Wanted(NamedTuple):
    """An image to generate.

    Attributes:
        seed: seed of its noise, in [0, 2^32).
        label: its class; None for a model without classes.
    """

    seed: int
    label: int | None = None


def generate(
    model: nn.Module,
    seeds: Iterable[int],
    classes: int | Sequence[int] | None = None,
    *,
    batch_size: int = 1,
    truncation: float = 1.0,
) -> Tensor:
    """Generates images: ``generate(ganzoo.load("last.ckpt"), range(16))``.

    Args:
        model: a ``Sampler`` (``ganzoo.interfaces``). It is put into evaluation mode meanwhile.
        seeds: seed of each image, in [0, 2^32).
        classes: class of each image, or one for all; None for the class ``seed % model.classes``.
        batch_size: images at a time. At 1 an image is the same to the bit whatever the others are; in larger batches, which
            may be faster, the last bit of a pixel can differ.
        truncation: factor of the distance of normal noise to its mean; below 1 images become more typical and less diverse.

    Returns:
        uint8 [n, C, H, W] on the CPU.

    Raises:
        InputError: the model does not generate images, has no such class, or its noise cannot be truncated.
    """
    wanted = requests(model, list(seeds), classes)
    return torch.stack([levels[-1] for levels in generate_each(model, wanted, batch_size, truncation)])


def generate_levels(
    model: nn.Module,
    seeds: Iterable[int],
    classes: int | Sequence[int] | None = None,
    *,
    batch_size: int = 1,
    truncation: float = 1.0,
) -> list[Tensor]:
    """Generates the images of every level of a ``CascadeSampler`` such as LAPGAN, coarsest first.

    Arguments and errors are those of :func:`generate`. Level k's images are uint8 [n, C, H_k, W_k] on the CPU.
    """
    wanted = requests(model, list(seeds), classes)
    made = list(generate_each(model, wanted, batch_size, truncation, levels=True))
    return [torch.stack(level) for level in zip(*made, strict=True)]


def requests(model: nn.Module, seeds: Sequence[int], classes: int | Sequence[int] | None = None) -> list[Wanted]:
    """Pairs seeds with classes and checks both; arguments and errors are those of :func:`generate`."""
    sampler = sampler_of(model)
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < SEEDS:
            raise InputError(f"a seed is a whole number from 0 to 2^32 - 1, not {seed!r:.40}")
    if not seeds:
        raise InputError("no seed was given: give at least one")
    if sampler.classes is None:
        if classes is not None:
            raise InputError(f"{type(model).__name__} was trained without classes: leave the class out")
        return [Wanted(seed) for seed in seeds]
    if classes is None:
        return [Wanted(seed, seed % sampler.classes) for seed in seeds]
    labels = [classes] * len(seeds) if isinstance(classes, int) else list(classes)
    if len(labels) != len(seeds):
        raise InputError(f"give a class for each seed: there are {len(seeds)} seeds and {len(labels)} classes")
    for label in labels:
        if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < sampler.classes:
            raise InputError(f"the model has no class {label!r:.40}: its classes are 0 to {sampler.classes - 1}")
    return [Wanted(seed, label) for seed, label in zip(seeds, labels, strict=True)]


def sampler_of(model: nn.Module) -> Sampler:
    """The model as a sampler.

    Raises:
        InputError: it does not generate images from noise.
    """
    if isinstance(model, Sampler):
        return model
    advice = "does not generate images from noise"
    if isinstance(model, Translator):
        advice = "translates images and generates none from noise: use `ganzoo translate`"
    elif isinstance(model, Classifier):
        advice = "classifies images and generates none: use `ganzoo classify`"
    raise InputError(f"{type(model).__name__} {advice}")


def noise_sampler_of(model: nn.Module) -> NoiseSampler:
    """The model as a sampler whose noise can be chosen.

    Raises:
        InputError: it generates no images, or its noise cannot be chosen.
    """
    sampler = sampler_of(model)
    if not isinstance(sampler, NoiseSampler):
        raise InputError(
            f"{type(model).__name__} has only `sample`, and this needs noise that can be chosen: give it draw_noise and "
            "decode (ganzoo.interfaces.NoiseSampler)"
        )
    return sampler


def generate_each(
    model: nn.Module, wanted: Iterable[Wanted], batch_size: int = 1, truncation: float = 1.0, levels: bool = False
) -> Iterator[list[Tensor]]:
    """Generates images one after the other.

    Args:
        model: as in :func:`generate`.
        wanted: the images, of :func:`requests`.
        batch_size: as in :func:`generate`.
        truncation: as in :func:`generate`.
        levels: every level of a cascade, not the finest only.

    Yields:
        For each image its levels, coarsest first, uint8 [C, H, W] on the CPU; one where ``levels`` is false.

    Raises:
        InputError: as in :func:`generate`; the model is no cascade; or there is not enough memory.
    """
    sampler = sampler_of(model)
    if levels and not isinstance(sampler, CascadeSampler):
        raise InputError(f"{type(model).__name__} has no levels: those are of a cascade such as LAPGAN")
    if truncation != 1 and not isinstance(sampler, NoiseSampler):
        raise InputError(f"{type(model).__name__} has no draw_noise and decode, so its noise cannot be truncated")
    images = iter(wanted)
    while batch := list(islice(images, batch_size)):
        with explained_errors(batch_size), eval_mode(model):
            if isinstance(sampler, NoiseSampler):
                noise = truncated(sampler, join([noise_of(sampler, each.seed) for each in batch]), truncation)
                y = labels_of(batch)
                made = sampler.decode_levels(noise, y) if levels else [sampler.decode(noise, y)]  # type: ignore[attr-defined]
            else:
                made = [torch.cat([_sample(sampler, each) for each in batch])]
            pixels = [to_uint8(level).cpu() for level in made]
        for place in range(len(batch)):
            yield [level[place] for level in pixels]


def decode_each(
    sampler: NoiseSampler, noise: Mapping[str, Tensor], y: Tensor | None, batch_size: int = 1
) -> Iterator[Tensor]:
    """Generates the images of given noise one after the other, uint8 [C, H, W] on the CPU.

    Args:
        sampler: a ``NoiseSampler``.
        noise: tensors [n, ...] by name.
        y: classes [n], or their weights [n, classes]; None for a model without classes.
        batch_size: as in :func:`generate`.

    Raises:
        InputError: there is not enough memory.
    """
    count = len(next(iter(noise.values())))
    for first in range(0, count, batch_size):
        part = slice(first, first + batch_size)
        with explained_errors(batch_size), eval_mode(sampler):  # type: ignore[arg-type]
            images = sampler.decode({name: each[part] for name, each in noise.items()}, None if y is None else y[part])
        yield from to_uint8(images).cpu()


def noise_of(sampler: NoiseSampler, seed: int) -> dict[str, Tensor]:
    """The noise that belongs to a seed, each tensor [1, ...]."""
    return sampler.draw_noise(1, torch.Generator().manual_seed(seed))


def join(noises: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Concatenates the noise of several images."""
    return {name: torch.cat([noise[name] for noise in noises]) for name in noises[0]}


def truncated(sampler: NoiseSampler, noise: Mapping[str, Tensor], truncation: float) -> dict[str, Tensor]:
    """Shrinks normal noise towards its mean by a factor.

    Raises:
        InputError: the factor is not 1, and the noise is not normal.
    """
    if truncation == 1:
        return dict(noise)
    distributions = sampler.distributions()
    return {name: distributions[name].truncate(each, truncation) for name, each in noise.items()}


def labels_of(batch: Sequence[Wanted]) -> Tensor | None:
    """The classes of a batch, int64 [n]; None for a model without classes."""
    labels = [each.label for each in batch]
    return None if None in labels else torch.tensor(labels)


def _sample(sampler: Any, wanted: Wanted) -> Tensor:
    # a module of the user's may draw from torch's own generator too
    with isolated_rng(wanted.seed, torch.device(getattr(sampler, "device", "cpu"))), torch.no_grad():
        return sampler.sample(1, labels_of([wanted]), torch.Generator().manual_seed(wanted.seed))


@contextmanager
def explained_errors(batch_size: int) -> Iterator[None]:
    """Context: errors of torch that another batch size mends are InputErrors that say so.

    Raises:
        InputError: there is not enough memory, or a norm needs several images at a time.
    """
    try:
        yield
    except (RuntimeError, MemoryError, ValueError) as error:
        text = one_line(error)
        if "more than 1 value per channel" in text:
            raise InputError(
                "a norm of this model takes the statistics of the batch, and one image has none: give a batch size, such as "
                "that of the training; images then depend on those beside them"
            ) from error
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "can't allocate memory" not in text:
            raise
        advice = f"give a smaller batch size than {batch_size}" if batch_size > 1 else "use a machine or a device with more"
        raise InputError(f"there is not enough memory for {batch_size} images at a time: {advice}") from error
