"""Draws image grids: tiles in rows and columns."""

import math
from collections.abc import Sequence

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


def beside(boards: Sequence[Tensor]) -> Tensor:
    """Puts boards beside each other, aligned at the bottom, on white.

    Args:
        boards: uint8 [C, H, W] each, of one C; the heights may differ.
    """
    height = max(board.shape[1] for board in boards)
    return torch.cat([F.pad(board, (0, 0, height - board.shape[1], 0), value=255) for board in boards], 2)


def sign(symbol: str, size: int, channels: int = 1) -> Tensor:
    """Draws +, - or = in black on a white square, uint8 [channels, size, size]; white alone for any other symbol."""
    board = torch.full((channels, size, size), 255, dtype=torch.uint8)
    low, high, middle, thick = size // 4, size - size // 4, size // 2, max(1, size // 16)
    if symbol in ("+", "-"):
        board[:, middle - thick : middle + thick, low:high] = 0
    if symbol == "+":
        board[:, low:high, middle - thick : middle + thick] = 0
    if symbol == "=":
        board[:, middle - 3 * thick : middle - thick, low:high] = 0
        board[:, middle + thick : middle + 3 * thick, low:high] = 0
    return board
