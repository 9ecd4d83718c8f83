"""Batch types: NamedTuples of images, labelled images, pairs of images and two domains.

Images are uint8 in [0, 255] in the datasets and loaders, and float32 in [-1, 1] once on the device
(:func:`as_float`). One sample is the same NamedTuple without the batch axis.
"""

from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from ganzoo.utils.images import to_float

Batch = TypeVar("Batch", bound=tuple)


class Images(NamedTuple):
    """Images alone.

    Attributes:
        x: [B, C, H, W], uint8 in [0, 255] or float32 in [-1, 1].
    """

    x: Tensor


class LabelledImages(NamedTuple):
    """Images with class labels.

    Attributes:
        x: [B, C, H, W], uint8 in [0, 255] or float32 in [-1, 1].
        y: [B], int64, the class, from 0.
    """

    x: Tensor
    y: Tensor


class Points(NamedTuple):
    """Points in the plane, and the mode that each belongs to.

    Attributes:
        x: [B, 2], float32, about in [-1, 1].
        y: [B], int64, the mode, from 0.
    """

    x: Tensor
    y: Tensor


class ImagePairs(NamedTuple):
    """Images to translate, in the letters of the pix2pix paper: a mapping from x to y.

    Attributes:
        x: [B, C, H, W], the input image, uint8 in [0, 255] or float32 in [-1, 1].
        y: [B, C', H, W], the wanted output, uint8 in [0, 255] or float32 in [-1, 1].
    """

    x: Tensor
    y: Tensor


class Unpaired(NamedTuple):
    """Images of two domains without pairs, in the letters of the CycleGAN paper.

    Attributes:
        x: [B, C, H, W], images of X, uint8 in [0, 255] or float32 in [-1, 1].
        y: [B, C', H', W'], images of Y, uint8 in [0, 255] or float32 in [-1, 1].
    """

    x: Tensor
    y: Tensor


class TwoDomains(NamedTuple):
    """Training batch of a domain adaptation: labelled images of the source, images of the target.

    Attributes:
        x: [B, C, H, W], images of the source, uint8 in [0, 255] or float32 in [-1, 1].
        y: [B], int64, their classes, from 0.
        target: [B, C, H, W], images of the target, uint8 in [0, 255] or float32 in [-1, 1].
    """

    x: Tensor
    y: Tensor
    target: Tensor


def as_float(batch: Batch) -> Batch:
    """Converts the uint8 fields of a batch to [-1, 1]; leaves labels and float images unchanged.

    A trainer calls this through the DataModule. Without a trainer, call it on what a loader gives:
    ``batch = as_float(next(iter(data.train_dataloader())))``.
    """
    return type(batch)(*map(_as_float, batch))


def _as_float(field: Any) -> Any:
    if isinstance(field, list):  # images that differ in size
        return [_as_float(each) for each in field]
    return to_float(field) if torch.is_tensor(field) and field.dtype == torch.uint8 else field
