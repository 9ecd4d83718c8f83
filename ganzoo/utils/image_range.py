"""Checks that images are in [-1, 1], and doubts those that look like [0, 1]."""

from typing import Any

from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.utils.log import log_info

SLACK = 0.1  # floats may leave [-1, 1] by so much: an augmentation may
ENOUGH = 8  # images in which some pixel is darker than grey: one map or one drawing may have none
IN_UNIT_RANGE = "no pixel of the first {} images is below 0; are they in [0, 1] and not in [-1, 1]? Then give images * 2 - 1"


def expect_range(images: Tensor, whose: str) -> None:
    """Raises InputError for images outside of [-1, 1] (by more than ``SLACK``) and for NaN; ``whose`` names them."""
    if not images.numel():
        return
    low, high = float(images.min()), float(images.max())
    if low >= -1 - SLACK and high <= 1 + SLACK:
        return
    advice = "give images / 127.5 - 1, if they are in [0, 255]" if low >= 0 else "rescale them"
    raise InputError(f"{whose} go from {low:.3g} to {high:.3g}, and a model needs [-1, 1]: {advice}")


class RangeDoubt:
    """Logs a line where no pixel of the first eight images is below 0: they are probably in [0, 1] instead of [-1, 1].

    Args:
        whose: names the images in the line.
    """

    def __init__(self, whose: str) -> None:
        self.whose = whose
        self.seen = 0
        self.is_settled = False

    def look(self, images: Any) -> None:
        """Looks at a batch [N, C, H, W], until it has seen enough; anything but floats of images settles the doubt."""
        if self.is_settled:
            return
        has_pixels = isinstance(images, Tensor) and images.ndim != 2 and images.is_floating_point()
        if not has_pixels or (images.numel() and images.min() < 0):
            self.is_settled = True
            return
        self.seen += len(images)
        if self.seen >= ENOUGH:
            log_info(f"{self.whose}: {IN_UNIT_RANGE.format(self.seen)}")
            self.is_settled = True
