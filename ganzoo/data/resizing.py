"""Resizes and crops uint8 images."""

from torch import Tensor
from torch.nn import functional


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Resizes uint8 [..., C, H, W] to [..., C, height, width], bilinear, with anti-aliasing when it shrinks."""
    if images.shape[-2:] == (height, width):
        return images
    batch = images.view(-1, *images.shape[-3:])
    resized = functional.interpolate(batch, (height, width), mode="bilinear", antialias=True)
    return resized.view(*images.shape[:-2], height, width)


def resize_shorter_side(image: Tensor, size: int) -> Tensor:
    """Resizes uint8 [C, H, W] so that the shorter side has `size` pixels; keeps the proportions."""
    height, width = image.shape[-2:]
    return resize(image, *fit_shorter_side(height, width, size))


def fit_shorter_side(height: int, width: int, size: int) -> tuple[int, int]:
    """The (height, width) of an image whose shorter side is resized to `size` pixels."""
    shorter = min(height, width)
    return max(size, round(height * size / shorter)), max(size, round(width * size / shorter))


def fit_square(height: int, width: int, size: int) -> tuple[int, int]:
    """The (height, width) of an image that is resized to a square of `size` pixels."""
    return size, size


def centre_crop(image: Tensor, size: int) -> Tensor:
    """Crops the middle [C, size, size] of [C, H, W], whose sides are at least `size`."""
    top, left = (image.shape[-2] - size) // 2, (image.shape[-1] - size) // 2
    return image[:, top : top + size, left : left + size]
