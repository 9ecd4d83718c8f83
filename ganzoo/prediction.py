"""Prediction: images with their names, each translated by itself and at its own size."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import lightning.pytorch as L
import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.interfaces import DirectedData, Translator, expect_shape, field_of, isolated_rng


class Inputs(NamedTuple):
    """A batch to predict from.

    Attributes:
        x: images [B, C, H, W]; a list of B images [C, H, W] where they differ in size. uint8 in [0, 255] in the loader,
            float32 in [-1, 1] in the model.
        y: int64 classes [B]; None where there are none.
        number: each image's number in the dataset, from 0.
        name: each image's path below the folder of the images; "" where the data has no files.
        output: the path of each image's prediction, without extension; no two of a dataset are the same.
        direction: "AtoB" where x are images of A, "BtoA" where they are of B; None where the data has one side only.
        damaged: the files of this batch that could not be read, as (number in the dataset, name, reason).
    """

    x: Tensor | list[Tensor]
    y: Tensor | None = None
    number: Sequence[int] = ()
    name: Sequence[str] = ()
    output: Sequence[str] = ()
    direction: str | None = None
    damaged: Sequence[tuple[int, str, str]] = ()


def as_inputs(batch: Any, batch_idx: int, trainer: L.Trainer | None) -> Inputs:
    """Converts any batch with images as `x` to :class:`Inputs`; images without a number get that of the dataset.

    Args:
        batch: a batch of :mod:`ganzoo.data`, or of a user's loader.
        batch_idx: its number in the loader.
        trainer: the trainer that predicts; None without one, and then images count from ``batch_idx`` times the length.
    """
    if isinstance(batch, Inputs):
        return batch
    x, y = field_of(batch, "x"), field_of(batch, "y")
    if not isinstance(x, Tensor) or x.ndim != 4:
        raise InputError("predicting needs batches with images as x, [B, C, H, W], and this data gives others: docs, Data")
    labels = y if isinstance(y, Tensor) and y.ndim == 1 and y.dtype == torch.int64 else None
    return numbered(x, labels, batch_idx, trainer)


def numbered(x: Any, y: Tensor | None, batch_idx: int, trainer: L.Trainer | None, loader_idx: int = 0) -> Inputs:
    """Converts images without names to :class:`Inputs`, with their numbers from Lightning's sampler.

    Args:
        x: the images, or anything of the same length.
        y: their classes, if known.
        batch_idx: the batch's number in the loader.
        trainer: as in :func:`as_inputs`.
        loader_idx: the loader's number, where there are several.
    """
    loaders: Any = None if trainer is None else trainer.predict_dataloaders
    loader = loaders[loader_idx] if isinstance(loaders, list | tuple) else loaders
    seen = getattr(getattr(loader, "batch_sampler", None), "seen_batch_indices", [])
    first = batch_idx * len(x)
    numbers = list(seen[batch_idx]) if batch_idx < len(seen) else list(range(first, first + len(x)))
    return Inputs(x, y, numbers, [""] * len(x), [number_name(n) for n in numbers])


def number_name(index: int) -> str:
    """The file name of a prediction without a name: ``000012``."""
    return f"{index:06d}"


def noise_seed(name: str) -> int:
    """The seed of the noise that belongs to an image of this name, in [0, 2^63)."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big") >> 1


def trained_direction(checkpoint: Mapping[str, Any]) -> str | None:
    """Reads from a checkpoint the direction of its training data: "AtoB" or "BtoA"; None where the data had none."""
    remembered = checkpoint.get("ganzoo", {})
    data = checkpoint.get(remembered.get("data") or "", {})
    return remembered.get("direction") or (data.get("direction") if isinstance(data, Mapping) else None)


class Directed(L.LightningModule):
    """A model that keeps the direction of its training data. List it before ``AdversarialModule`` among the bases.

    Attributes:
        direction: "AtoB" or "BtoA"; None where the data had none, or nothing was trained.
    """

    direction: str | None = None

    def on_train_start(self) -> None:
        """Takes the direction of the trainer's data."""
        super().on_train_start()
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        self.direction = data.direction if isinstance(data, DirectedData) else None

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the direction that the checkpoint was trained on."""
        super().on_load_checkpoint(checkpoint)
        self.direction = trained_direction(checkpoint)


def each(inputs: Inputs, translate: Callable[[Tensor], Tensor], model: Translator, argument: str, channels: int) -> Any:
    """Translates each image by itself, at its own size, with the noise that belongs to its name.

    So an image's translation depends on nothing but the image and its name: not on the batch size, and not on the other
    images, whose statistics a norm by the batch's own would mix in. A size that the network does not take is padded by
    reflection, on all sides, and cut off again.

    Args:
        inputs: the images, floats in [-1, 1].
        translate: the model's ``translate`` or ``translate_back``: [1, C, H, W] -> [1, C', H, W].
        model: the model, for its ``size_multiple`` and ``least_size``.
        argument: the name of the model's argument that sets the channels.
        channels: the number of channels that it takes.

    Returns:
        Images in [-1, 1], [B, C', H, W]; a list of images [C', H, W] where they differ in size.

    Raises:
        InputError: other channels, or images that are not floats.
    """
    outputs = []
    network: Any = model
    weights = next(network.parameters(), torch.zeros(()))  # of another type under precision bf16-true and 64-true
    for image, name, output in zip(inputs.x, inputs.name, inputs.output, strict=True):
        expect_shape(argument, (channels, *image.shape[1:]), image[None])
        padded, rows, columns = padded_to(image[None], model.size_multiple, model.least_size)
        with isolated_rng(noise_seed(name or output), image.device):
            outputs.append(translate(padded.to(weights.dtype))[0, :, rows, columns])
    if len({image.shape for image in outputs}) == 1:
        return torch.stack(outputs)
    return outputs


def padded_to(images: Tensor, multiple: int, least: int = 1) -> tuple[Tensor, slice, slice]:
    """Pads images by reflection to a height and width that are multiples of a number.

    Args:
        images: [N, C, H, W].
        multiple: height and width become multiples of this number of pixels.
        least: the least height and width.

    Returns:
        [N, C, H', W'], and the rows and columns at which the images lie in it.
    """
    slices = []
    for axis in (2, 3):
        side = images.shape[axis]
        total = -(-max(side, least) // multiple) * multiple
        before = (total - side) // 2
        slices.append(slice(before, before + side))
        if total != side:
            # torch's own padding reflects less than the image's side only, and a small image may need more
            period = max(2 * (side - 1), 1)
            place = (torch.arange(total, device=images.device) - before) % period
            images = images.index_select(axis, torch.where(place < side, place, period - place))
    return images, slices[0], slices[1]


def each_sample(inputs: Inputs, sample: Callable[[int, torch.Generator], Tensor]) -> Any:
    """Samples one image for each image of the batch, with noise that its number in the dataset decides.

    So sample 12 is the same whatever the batch size and however many processes share the work.

    Args:
        inputs: the batch; only its numbers are used.
        sample: from a place in the batch and a generator on the CPU to an image [1, C, H, W].

    Returns:
        Images in [-1, 1], [B, C, H, W]; an empty list for an empty batch.
    """
    images = [sample(place, torch.Generator().manual_seed(n)) for place, n in enumerate(inputs.number)]
    return torch.cat(images) if images else images


def expect_inputs(argument: str, shape: Sequence[int], inputs: Inputs) -> None:
    """Checks each image of a batch against what a model was built for.

    Args:
        argument: the name of the model's argument that sets the shape.
        shape: (C, H, W) that the model takes.
        inputs: the batch.

    Raises:
        InputError: an image of another shape.
    """
    for image in inputs.x:
        expect_shape(argument, shape, image[None])
