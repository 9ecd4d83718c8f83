"""Draws image grids: tiles in rows and columns."""

import math

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ganzoo.utils.images import to_uint8

SMALLEST_TILE = 32  # pixels; smaller images are enlarged by a whole factor
GAP = 2  # pixels between tiles


def as_image(image: Tensor) -> Image.Image:
    """uint8 [1 or 3, H, W] on the CPU -> a grey or colour image; of two, or more than three channels, the first."""
    return Image.fromarray(image.permute(1, 2, 0).numpy() if len(image) == 3 else image[0].numpy())


def grid(images: Tensor, columns: int) -> Tensor:
    """Tiles images, row by row, with white between them; small ones are enlarged to at least 32 pixels.

    Args:
        images: float images in [-1, 1], [N, C, H, W]; of two, or more than three channels, the first is shown in grey.
        columns: number of tiles in a row.

    Returns:
        uint8 [1 or 3, H', W'] on the CPU.
    """
    tiles = to_uint8(images).cpu()
    if tiles.shape[1] != 3:
        tiles = tiles[:, :1]
    factor = max(1, math.ceil(SMALLEST_TILE / min(tiles.shape[-2:])))
    tiles = tiles.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    n, channels, height, width = tiles.shape
    columns = min(columns, n)
    rows = math.ceil(n / columns)
    blank = tiles.new_full((rows * columns - n, channels, height, width), 255)
    tiles = F.pad(torch.cat([tiles, blank]), (GAP, 0, GAP, 0), value=255)
    board = tiles.unflatten(0, (rows, columns)).permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)
    return F.pad(board, (0, GAP, 0, GAP), value=255)
