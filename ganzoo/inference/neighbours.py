"""Puts samples beside the training images nearest to them, to see whether a generator copies."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganzoo.metrics.extractors.base import Extractor
from ganzoo.metrics.neighbours import nearest
from ganzoo.utils.images import to_uint8
from ganzoo.utils.log import log_info
from ganzoo.utils.progress import tracked

PART = 100  # images that an extractor is given at a time


def neighbour_rows(
    samples: Tensor,
    training: Tensor,
    known: Tensor,
    k: int,
    extractor: Extractor | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Rows of a sample and its nearest training images, as in figure 2 of Goodfellow et al. 2014.

    Args:
        samples: uint8 [N, C, H, W] on the CPU.
        training: uint8 [M, C, H, W] on the CPU.
        known: what the training images are compared by, of :func:`compared`.
        k: training images in a row, 1 to M.
        extractor: compare its features and not pixels.
        device: where the extractor works.

    Returns:
        uint8 [N, 1 + k, C, H, W] on the CPU: the sample, then the nearest first.

    Raises:
        InputError: samples and training images have different shapes.
    """
    found = nearest(compared(samples, extractor, device), known, k).indices
    return torch.cat([samples[:, None], training[found]], 1)


def compared(images: Tensor, extractor: Extractor | None, device: torch.device | str) -> Tensor:
    """What uint8 images [N, C, H, W] are compared by: the features of an extractor [N, d], or they themselves."""
    if extractor is None:
        return images
    extractor = extractor.to(device)
    return torch.cat([extractor(part).pool.cpu() for part in images.split(PART)])


def read_images(dataset: Sequence[Any], most: int, who: str) -> Tensor:
    """Reads the images of a dataset, uint8 [M, C, H, W]; if there are more than ``most``, evenly chosen ones.

    Args:
        dataset: of samples by number: an image each, or with the image as x or as the first field.
        most: at most so many images are read.
        who: compares them, for the line that says that some are left out.
    """
    there = len(dataset)
    chosen = torch.arange(min(most, there)) * there // min(most, there)
    if len(chosen) < there:
        log_info(f"{who} compares with {len(chosen)} of {there} training images, evenly chosen (see most)")
    return torch.stack([_image(dataset[i]) for i in tracked(chosen.tolist(), "training images")])


def _image(sample: Any) -> Tensor:
    """The uint8 image of a dataset's sample: its x, its first field, or itself."""
    image: Tensor = sample[0] if isinstance(sample, tuple | list) else sample
    image = getattr(sample, "x", image)
    return image if image.dtype == torch.uint8 else to_uint8(image)
