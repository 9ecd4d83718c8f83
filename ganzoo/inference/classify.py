"""Classifies image files with a trained classifier: the most probable classes of each, with their probabilities."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ganzoo.data.predicting import cropped, whole
from ganzoo.data.transforms import to_common_format
from ganzoo.errors import InputError
from ganzoo.interfaces import Classifier, eval_mode
from ganzoo.training.recipes import find_class
from ganzoo.utils.images import to_float
from ganzoo.utils.trust import check_trusted


class Label(NamedTuple):
    """What a classifier says of an image file.

    Attributes:
        classes: the most probable classes, the best first.
        probabilities: of these classes.
        error: why the file could not be read; "" where it was classified.
    """

    classes: Sequence[int] = ()
    probabilities: Sequence[float] = ()
    error: str = ""


class TrainingImages(NamedTuple):
    """What is known of the data that a model was trained on.

    Attributes:
        shape: (C, H, W) of an image of the domain that is classified, before it is brought to the model's shape; None
            where it is not known.
        class_names: names of the classes, in the order of the labels; None where there are none.
    """

    shape: Sequence[int] | None = None
    class_names: Sequence[str] | None = None


def classify_files(
    model: nn.Module, files: Iterable[str | Path], top_k: int = 1, batch_size: int = 16, data: TrainingImages | None = None
) -> Iterator[tuple[Path, Label]]:
    """Classifies image files: ``dict(classify_files(ganzoo.load("last.ckpt"), ["a.png", "b.jpg"]))``.

    A file is converted as the images of the training were: shorter side to their size, the middle square, then channels and
    size of the model. A damaged file has an error in its label, and stops nothing.

    Args:
        model: a ``Classifier`` with ``shape`` (C, H, W). It is put into evaluation mode meanwhile.
        files: the files.
        top_k: number of classes for each file; at most all.
        batch_size: images at a time.
        data: the images of the training (:func:`training_images`); of the model's shape if left out.

    Yields:
        Each file with its label, in order.

    Raises:
        InputError: the model classifies no images, or none of files.
    """
    if not isinstance(model, Classifier):
        raise InputError(f"{type(model).__name__} does not classify images: give a DANN, for example")
    shape = _square_shape(model.shape)
    own = _square_shape(data.shape) if data is not None and data.shape is not None else shape
    device = next(model.parameters()).device
    paths = iter(map(Path, files))
    while batch := list(islice(paths, batch_size)):
        read = [_read(path, own, shape) for path in batch]
        images = [image for image in read if isinstance(image, Tensor)]
        with eval_mode(model):
            found = iter(model.classify(to_float(torch.stack(images)).to(device)).cpu() if images else ())
        for path, image in zip(batch, read, strict=True):
            yield path, Label(error=image) if isinstance(image, str) else _label(next(found), top_k)


def _square_shape(shape: Any) -> tuple[int, int]:
    if len(shape) != 3 or shape[0] not in (1, 3) or shape[1] != shape[2]:
        raise InputError(f"images of shape {tuple(shape)} are no files: those have 1 or 3 channels, and are made square")
    return shape[0], shape[1]


def _read(path: Path, own: tuple[int, int], shape: tuple[int, int]) -> Tensor | str:
    """The pixels of a file, uint8 [C, size, size]; or why it cannot be read."""
    item = cropped(whole(path, path.parent, own[0], None), own[1])
    try:
        return to_common_format(item.read()[None], *shape)[0]
    except InputError as error:
        return str(error)


def _label(probabilities: Tensor, top_k: int) -> Label:
    best = probabilities.float().topk(min(top_k, len(probabilities)))
    return Label(best.indices.tolist(), best.values.tolist())


def training_images(data: Mapping[str, Any] | None) -> TrainingImages:
    """Asks the data of a run for their images' shape and their classes' names; no image is read.

    Args:
        data: the class path and init_args of the data, as a run's config has them; None where they are not known.
    """
    if data is None:
        return TrainingImages()
    try:
        check_trusted(data, "the config", "")
        module: Any = build_data(data)
    except Exception:  # of any kind: the data may be elsewhere by now, and nothing depends on them
        return TrainingImages()
    domain = getattr(module, "target", module)
    return TrainingImages(getattr(domain, "shape", None), getattr(module, "class_names", None))


def build_data(recipe: Mapping[str, Any]) -> Any:
    """Builds a DataModule from its class path and init_args, as a run's config has them; trusted recipes only."""
    arguments = recipe.get("init_args") or {}
    nested = {
        key: build_data(value) for key, value in arguments.items() if isinstance(value, Mapping) and "class_path" in value
    }
    return find_class(_dotted(recipe["class_path"]), object)(**{**arguments, **nested})


def _dotted(name: str) -> str:
    """The dotted path of a class that a config may name shortly."""
    return name if "." in name else f"ganzoo.data.{name}"


def class_names(known: TrainingImages, classes: int | None) -> list[str] | None:
    """The names of a model's classes; None where the data had none, or another number of them than the model."""
    names = known.class_names
    return list(names) if names is not None and len(names) == classes else None
