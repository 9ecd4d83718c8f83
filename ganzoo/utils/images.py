"""Converts images between uint8 in [0, 255] and float in [-1, 1], and colour to grey.

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


LUMA = (19595, 38470, 7471)  # of 2**16: ITU-R 601 in Pillow's arithmetic
AT_A_TIME = 1000  # images whose products are in memory


def to_grey(images: Tensor) -> Tensor:
    """uint8 colour [N, 3, H, W] -> uint8 grey [N, 1, H, W]: the luma, equal to that of Pillow's ``convert("L")``."""
    weights = torch.tensor(LUMA, device=images.device).view(3, 1, 1)
    parts = [(part * weights).sum(1, keepdim=True).add(1 << 15) >> 16 for part in images.split(AT_A_TIME)]
    return torch.cat(parts).to(torch.uint8)
