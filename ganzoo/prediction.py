"""Prediction: images with their names, each translated by itself and at its own size."""

import hashlib
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import lightning.pytorch as L
import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.interfaces import DirectedData, OneWay, Translator, expect_shape, field_of, isolated_rng
from ganzoo.ops.recording import record
from ganzoo.ops.regions import Box, NotTileableError, Step
from ganzoo.ops.tiles import Tiling
from ganzoo.utils.images import to_float, to_uint8
from ganzoo.utils.log import log_info
from ganzoo.utils.progress import ProgressBar


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


def each(inputs: Inputs, model: Translator) -> Any:
    """Translates each image of a batch by itself (:func:`translate_image`), with the noise that belongs to its name.

    Args:
        inputs: the images, floats in [-1, 1] or uint8 in [0, 255].
        model: the model.

    Returns:
        Images of the same type as the inputs, [B, C', H, W]; a list of images [C', H, W] where they differ in size.

    Raises:
        InputError: other channels than the model's, or a direction that it does not go.
    """
    way = model.one_way(inputs.direction)
    names = zip(inputs.name, inputs.output, strict=True)
    seeds = [noise_seed(name or output) for name, output in names]
    outputs = [translate_image(image, model, way, seed) for image, seed in zip(inputs.x, seeds, strict=True)]
    if len({image.shape for image in outputs}) == 1:
        return torch.stack(outputs)
    return outputs


def translate_image(image: Tensor, model: Translator, way: OneWay, seed: int) -> Tensor:
    """Translates one image at its own size, in tiles if it is larger than the model's ``tile_size``.

    The translation depends on nothing but the image and the seed: not on other images, whose statistics a norm by the
    batch's own would mix in. A size that the network does not take is padded by reflection, on all sides, and cut off again.

    Args:
        image: [C, H, W], floats in [-1, 1] or uint8 in [0, 255], on any device.
        model: the model, for the device and type of its weights, ``size_multiple`` and ``least_size``.
        way: one of its directions.
        seed: of the model's noise (dropout).

    Returns:
        [C', H, W]: floats on the model's device for floats, uint8 on the CPU for uint8.

    Raises:
        InputError: other channels than the model's, or values that are neither.
    """
    network: Any = model
    weights = next(network.parameters(), torch.zeros(()))  # of another type under precision bf16-true and 64-true
    is_bytes = image.dtype == torch.uint8
    if not is_bytes or image.shape[0] != way.channels:  # bytes are in range
        floats = torch.zeros(()).expand(image.shape) if is_bytes else image
        expect_shape(way.argument, (way.channels, *image.shape[1:]), floats[None])
    with isolated_rng(seed, weights.device):
        if model.tile_size and image[0].numel() > model.tile_size**2:
            in_tiles = _translate_in_tiles(image, model, way, weights)
            if in_tiles is not None:
                return in_tiles
        floats = to_float(image.to(weights.device)) if is_bytes else image
        padded, rows, columns = padded_to(floats[None], model.size_multiple, model.least_size)
        with warnings.catch_warnings():
            if is_bytes:  # in [-1, 1] for certain, also where no pixel is dark
                warnings.filterwarnings("ignore", "the images: no pixel of the first")
            output = way.translate(padded.to(weights.dtype))[0, :, rows, columns]
    return to_uint8(output).cpu() if is_bytes else output


def _translate_in_tiles(image: Tensor, model: Translator, way: OneWay, weights: Tensor) -> Tensor | None:
    """The same as :func:`translate_image` does at once, to rounding; None if the network cannot be evaluated in tiles."""
    height, width = image.shape[1:]
    try:
        steps = _tileable(model, way, weights)
    except NotTileableError as error:
        _log_once(model, f"an image of {height} x {width} pixels is translated at once: {type(model).__name__} has {error}")
        return None
    down, rows = _reflected(height, model.size_multiple, model.least_size)
    across, columns = _reflected(width, model.size_multiple, model.least_size)
    tiling = Tiling(steps, (len(down), len(across)), model.tile_size, Path(tempfile.gettempdir()), model.size_multiple)
    plan = tiling.plan
    _log_once(
        model,
        f"an image of {height} x {width} pixels is translated in {plan.tiles} tiles, with {plan.work:.1f} times the "
        "multiplications of the whole",
    )
    is_bytes = image.dtype == torch.uint8
    output = torch.empty(steps[-1].channels, height, width, dtype=image.dtype, device="cpu" if is_bytes else weights.device)
    place = Box(rows.start, rows.stop, columns.start, columns.stop)

    def read(box: Box) -> Tensor:
        piece = image.index_select(1, down[box.top : box.bottom].to(image.device))
        piece = piece.index_select(2, across[box.left : box.right].to(image.device)).to(weights.device)
        return (to_float(piece) if is_bytes else piece)[None].to(weights.dtype)

    def write(box: Box, piece: Tensor) -> None:
        box.of(output, place).copy_(to_uint8(piece[0]) if is_bytes else piece[0])

    with ProgressBar(plan.tiles, "one large image", unit="tiles", delay=2.0) as bar:
        tiling.run(read, write, place, bar.update)
    return output


# lines of each model, as the images of a folder are often of one size
_LOGGED: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


def _log_once(model: Any, line: str) -> None:
    if line not in _LOGGED.setdefault(model, set()):
        _LOGGED[model].add(line)
        log_info(line)


def _tileable(model: Translator, way: OneWay, weights: Tensor) -> list[Step]:
    """The steps of a translation, after a trial on a small image.

    Raises:
        NotTileableError: a step is of an unknown kind, or the tiles of the small image differ from the whole.
    """
    side = -(-max(model.least_size, 16) // model.size_multiple) * model.size_multiple
    rng = torch.Generator().manual_seed(0)
    example = (torch.rand(1, way.channels, side, side, generator=rng) * 2 - 1).to(weights)
    wanted: list[Tensor] = []

    def translate(images: Tensor) -> Tensor:
        wanted.append(way.translate(images))
        return wanted[-1]

    with isolated_rng(0, weights.device):
        steps = record(translate, example)
    found = torch.empty_like(wanted[0])
    whole = Box.whole((side, side))

    def write(box: Box, piece: Tensor) -> None:
        box.of(found, whole).copy_(piece)

    with isolated_rng(0, weights.device):
        Tiling(steps, (side, side), side).run(lambda box: box.of(example, whole), write, whole)
    if not torch.allclose(found, wanted[0], atol=0.01):
        raise NotTileableError("steps that depend on more than is known")
    return steps


def origin(model: L.LightningModule, weights: str, name: str, output: str, direction: str | None) -> dict[str, Any]:
    """The record of a translation that is written into its file: what is needed to make it again.

    Args:
        model: the model.
        weights: its :func:`~ganzoo.utils.weights.weights_sha256`.
        name: of the image, and ``output`` the name of its translation, as in :class:`Inputs`.
        output: see ``name``.
        direction: as in :class:`Inputs`.
    """
    known = {"model": type(model).__name__, "weights_sha256": weights, "seed": noise_seed(name or output), "input": name}
    return known if direction is None else {**known, "direction": direction}


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
        places, where = _reflected(images.shape[axis], multiple, least)
        slices.append(where)
        if len(places) != images.shape[axis]:
            images = images.index_select(axis, places.to(images.device))
    return images, slices[0], slices[1]


def _reflected(side: int, multiple: int, least: int) -> tuple[Tensor, slice]:
    """For each pixel of a padded side that of the image, int64 [side'], and where the image lies in it."""
    total = -(-max(side, least) // multiple) * multiple
    before = (total - side) // 2
    # torch's own padding reflects less than the image's side only, and a small image may need more
    period = max(2 * (side - 1), 1)
    places = (torch.arange(total) - before) % period
    return torch.where(places < side, places, period - places), slice(before, before + side)


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
