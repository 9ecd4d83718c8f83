"""Converts images between uint8 in [0, 255] and float in [-1, 1].

Files and loaders hold uint8, networks take floats. This file is the only place that turns one into the other.
"""

import torch
from torch import Tensor


def to_float(images: Tensor) -> Tensor:
    """uint8 in [0, 255], any shape -> float32 in [-1, 1]; 0 is -1 and 255 is 1 exactly."""
    if images.dtype != torch.uint8:
        raise TypeError(f"to_float takes uint8 images, not {images.dtype}: they may already be in [-1, 1]")
    return images.to(torch.float32).div_(127.5).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """Floats in [-1, 1], any shape -> uint8 in [0, 255], clamped and rounded (a plain cast would wrap 1.005 to 0)."""
    return images.detach().float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
