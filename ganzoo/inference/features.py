"""Computes features of images with a trained discriminator, for a classifier on top (Radford et al. 2016, section 5.1)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d

from ganzoo.errors import InputError
from ganzoo.interfaces import as_input, eval_mode
from ganzoo.networks.dcgan import DCGANDiscriminator
from ganzoo.utils.progress import tracked
from ganzoo.utils.ranges import PositiveInt, Size, check_ranges


def discriminator_features(model: nn.Module, images: Tensor, grid: Size = 4, batch_size: PositiveInt = 500) -> Tensor:
    """Computes the features of images in all convolutional layers of a DCGAN's discriminator.

    Each layer's activations are max-pooled to ``grid`` x ``grid`` places and flattened; the layers are concatenated.

    Args:
        model: a ``DCGAN``, or another model whose ``D`` is a ``DCGANDiscriminator`` (LSGAN, WGAN).
        images: images [N, C, H, W], floats in [-1, 1] or uint8.
        grid: places in a row and in a column of each map after pooling; 4 in the paper.
        batch_size: images at a time.

    Returns:
        float32 [N, F] on the CPU. F is ``grid^2`` times the maps of all layers: 16 x (64 + 128 + 256) = 7,168 for 32 x 32
        pixels and the width 64.

    Raises:
        InputError: the model has no such discriminator, the images are of another shape, or a number is out of range.
    """
    check_ranges(discriminator_features, model, images, grid, batch_size)
    D = getattr(model, "D", None)
    if not isinstance(D, DCGANDiscriminator):
        raise InputError(
            f"features are those of a DCGAN's discriminator, and {type(model).__name__} has none: train a DCGAN, or take "
            "D.features of your own network"
        )
    shape = tuple(model.shape)  # type: ignore[arg-type]
    if tuple(images.shape[1:]) != shape:
        raise InputError(f"the model is for images {list(shape)}, and these are {list(images.shape[1:])}: resize them")
    weight = next(D.parameters())
    found = []
    with torch.no_grad(), eval_mode(D):
        for batch in tracked(images.split(batch_size), "features", unit="batches", delay=2.0):
            maps = D.features(as_input(batch.to(weight.device), weight.dtype))
            pooled = [adaptive_max_pool2d(each, grid).flatten(1) for each in maps]
            found.append(torch.cat(pooled, 1).float().cpu())
    return torch.cat(found)
