"""The Laplacian pyramid (Burt and Adelson 1983), exact for any pair of operators.

With ``d`` to shrink and ``u`` to enlarge, an image I is split into smaller images and what each loses to the next::

    I_fine,  I_next = d(I_fine),  ...,  I_coarse        the Gaussian pyramid
    h = I - u(I_next)                                   the Laplacian one; the coarsest level keeps its image

``h + u(I_next)`` is I again for any d and u, because the same ``u(I_next)`` was subtracted. So the two operators are one
object: build and collapse with the same one.

Every list here runs from coarse to fine, which is the order of generation. The papers count the other way: their level 0
is the finest.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.utils.ranges import Checked

Weights = Callable[[int, int], list[list[float]]]


class Operators(Checked, ABC):
    """Shrinks and enlarges images [N, C, H, H]. The two need not be linear, nor invert each other."""

    @abstractmethod
    def down(self, x: Tensor, size: int) -> Tensor:
        """Blurs and decimates: [N, C, H, H] -> [N, C, size, size] with size <= H."""

    @abstractmethod
    def up(self, x: Tensor, size: int) -> Tensor:
        """Enlarges and smooths: [N, C, H, H] -> [N, C, size, size] with size >= H."""


class Resize(Operators):
    """Resizes between any two sizes: means over areas to shrink, linear interpolation to enlarge.

    The released LAPGAN code resizes so (Torch's bilinear ``image.scale``): a smaller pixel is the mean of the area that it
    covers, fractions of pixels included, and enlarging keeps the corner pixels where they are.
    """

    def down(self, x: Tensor, size: int) -> Tensor:
        return _separable(_areas, x, size)

    def up(self, x: Tensor, size: int) -> Tensor:
        return _separable(_lines, x, size)


class BurtAdelson(Operators):
    """Halves and doubles images with the filter 1 4 6 4 1 (Burt and Adelson 1983, a = 3/8), mirrored at the border.

    Raises:
        InputError: the size is not half (rounded up), or twice (or one less), the image's.
    """

    def down(self, x: Tensor, size: int) -> Tensor:
        if size != (x.shape[-1] + 1) // 2:
            raise InputError(f"BurtAdelson halves: {x.shape[-1]} pixels become {(x.shape[-1] + 1) // 2}, not {size}")
        return _separable(_five_taps, x, size)

    def up(self, x: Tensor, size: int) -> Tensor:
        if x.shape[-1] != (size + 1) // 2:
            raise InputError(f"BurtAdelson doubles: {x.shape[-1]} pixels become {2 * x.shape[-1]}, not {size}")
        return _separable(_five_taps_between, x, size)


def gaussian(images: Tensor, sizes: Sequence[int], operators: Operators) -> list[Tensor]:
    """Computes the Gaussian pyramid: each level's image is shrunk from the next finer one.

    Args:
        images: [N, C, H, H].
        sizes: pixels of each level, ascending; the last is H.
        operators: how to shrink.

    Returns:
        The images [N, C, size, size], coarsest first; the last are ``images`` themselves.

    Raises:
        InputError: the images are not square, or not of the last size.
    """
    if tuple(images.shape[-2:]) != (sizes[-1], sizes[-1]):
        found = "x".join(map(str, images.shape[-2:]))
        raise InputError(f"a pyramid of {', '.join(map(str, sizes))} pixels needs images of {sizes[-1]}, not {found}")
    levels = [images]
    for size in reversed(sizes[:-1]):
        levels.insert(0, operators.down(levels[0], size))
    return levels


def build(images: Tensor, sizes: Sequence[int], operators: Operators) -> list[Tensor]:
    """Computes the Laplacian pyramid h; its first entry is the coarsest image. Arguments, errors: :func:`gaussian`."""
    levels = gaussian(images, sizes, operators)
    finer = zip(levels[1:], levels, sizes[1:], strict=False)
    return [levels[0], *(level - operators.up(coarse, size) for level, coarse, size in finer)]


def collapse(coefficients: Sequence[Tensor], operators: Operators) -> Tensor:
    """Reconstructs the images [N, C, H, H] from :func:`build`'s coefficients and the same operators."""
    images = coefficients[0]
    for h in coefficients[1:]:
        images = operators.up(images, h.shape[-1]) + h
    return images


def _separable(weights: Weights, x: Tensor, size: int) -> Tensor:
    if x.shape[-1] == size:
        return x
    matrix = _matrix(weights, x.shape[-1], size, x.dtype, x.device)
    with torch.autocast(x.device.type, enabled=False):  # half precision would be seen in the image
        return matrix @ x @ matrix.mT


@lru_cache(maxsize=64)
def _matrix(weights: Weights, before: int, after: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    # cached: if it is first computed in validation, training uses it too
    with torch.inference_mode(False):
        return torch.tensor(weights(before, after), dtype=torch.float64).to(device, dtype)


def _areas(before: int, after: int) -> list[list[float]]:
    """Row i: how much of each old pixel the new pixel i covers, in shares that sum to 1."""
    step = before / after
    cover = [[max(0.0, min(j + 1, (i + 1) * step) - max(j, i * step)) for j in range(before)] for i in range(after)]
    return [[share / sum(row) for share in row] for row in cover]


def _lines(before: int, after: int) -> list[list[float]]:
    """Row i: the two old pixels between which the new pixel i lies, first on first and last on last."""
    step = (before - 1) / (after - 1)
    return [[max(0.0, 1 - abs(i * step - j)) for j in range(before)] for i in range(after)]


def _five_taps(before: int, after: int) -> list[list[float]]:
    rows = [[0.0] * before for _ in range(after)]
    for i in range(after):
        for tap, weight in zip(range(-2, 3), (1, 4, 6, 4, 1), strict=True):
            rows[i][_mirrored(2 * i + tap, before)] += weight / 16
    return rows


def _five_taps_between(before: int, after: int) -> list[list[float]]:
    """The same taps over pixels with zeros between them; an old pixel beyond the border is mirrored there."""
    rows = [[0.0] * before for _ in range(after)]
    for i in range(after):
        for j in range(-1, before + 1):
            if abs(i - 2 * j) <= 2:
                rows[i][_mirrored(j, before)] += (6, 4, 1)[abs(i - 2 * j)] / 8
    return rows


def _mirrored(i: int, n: int) -> int:
    i = abs(i) if n > 1 else 0
    return i if i < n else max(2 * (n - 1) - i, 0)
