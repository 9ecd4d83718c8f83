"""Steps of a convolutional network, and which region of its input each of them needs for a region of its output.

So a network can be evaluated region by region, exactly as on the whole image (:mod:`ganzoo.ops.tiles`). Here are the base
class and functions of each pixel alone. Steps that need a pixel's neighbours are in :mod:`ganzoo.ops.region_convolutions`,
those that need the whole image in :mod:`ganzoo.ops.region_norms`. :mod:`ganzoo.ops.recording` finds the steps of a network.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

Size = tuple[int, int]  # height and width


class NotTileableError(ValueError):
    """The network has a step of another kind, or its output is not of its input's size. The message names it."""


class Box(NamedTuple):
    """A region of an image: rows top to bottom - 1, columns left to right - 1."""

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def whole(cls, size: Size) -> "Box":
        return cls(0, size[0], 0, size[1])

    @property
    def pixels(self) -> int:
        return (self.bottom - self.top) * (self.right - self.left)

    def union(self, other: "Box") -> "Box":
        """The smallest box that holds both."""
        return Box(
            min(self.top, other.top),
            max(self.bottom, other.bottom),
            min(self.left, other.left),
            max(self.right, other.right),
        )

    def of(self, piece: Tensor, place: "Box") -> Tensor:
        """Cuts this region out of a piece that lies at another box."""
        rows = slice(self.top - place.top, self.bottom - place.top)
        return piece[..., rows, self.left - place.left : self.right - place.left]


class Step(ABC):
    """A step of a network: from one or several maps [1, C, H, W] to one.

    Attributes:
        inputs: the steps whose outputs it takes.
        channels: of its output.
        dtype: of its output.
    """

    channels: int
    dtype: torch.dtype

    def __init__(self, *inputs: "Step") -> None:
        self.inputs = inputs

    def length(self, n: int, axis: int) -> int:
        """Pixels along an axis (0 for the height) of the output, for n of the input."""
        return n

    def span(self, start: int, stop: int, n: int, axis: int) -> tuple[int, int]:
        """The pixels of the input, of n along this axis, that the output's pixels start to stop - 1 need; at least one."""
        return start, stop

    @abstractmethod
    def compute(self, box: Box, pieces: Sequence[Tensor], size: Size) -> Tensor:
        """Computes a region of the output.

        Args:
            box: the region.
            pieces: of each input the region that :meth:`needs` names.
            size: of the whole input.
        """

    def multiplications(self, box: Box) -> float:
        """Multiplications for a region of the output."""
        return box.pixels * self.channels

    def size(self, size: Size) -> Size:
        """The output's size, for the input's."""
        return self.length(size[0], 0), self.length(size[1], 1)

    def needs(self, box: Box, size: Size) -> Box:
        """The region of each input, of the given whole size, that a region of the output needs."""
        return Box(*self.span(box.top, box.bottom, size[0], 0), *self.span(box.left, box.right, size[1], 1))

    @property
    def pixel_bytes(self) -> int:
        return self.channels * self.dtype.itemsize


class Source(Step):
    """The image."""

    def compute(self, box: Box, pieces: Sequence[Tensor], size: Size) -> Tensor:
        raise AssertionError("the image is read, not computed")


class Unknown(Step):
    """A step whose regions are not known."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def compute(self, box: Box, pieces: Sequence[Tensor], size: Size) -> Tensor:
        raise NotTileableError(self.name)


class Pixelwise(Step):
    """A function of each pixel alone, of one or several maps.

    Args:
        function: of torch.
        args: its arguments, with steps for the maps; maps may stand in a list.
        options: its keyword arguments.
    """

    def __init__(self, function: Callable[..., Tensor], args: Sequence[Any], options: dict[str, Any]) -> None:
        super().__init__(*steps_among(args))
        self.function, self.args, self.options = function, args, options

    def compute(self, box: Box, pieces: Sequence[Tensor], size: Size) -> Tensor:
        return self.function(*_filled(self.args, iter(pieces)), **self.options)


def leaves(value: Any) -> Iterator[Any]:
    """The arguments of a function, also those within lists and dictionaries."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def steps_among(args: Sequence[Any]) -> list[Step]:
    """Those arguments that are steps."""
    return [each for each in leaves(args) if isinstance(each, Step)]


def _filled(args: Any, pieces: Iterator[Tensor]) -> Any:
    """The arguments with pieces in place of their steps."""
    if isinstance(args, Step):
        return next(pieces)
    return [_filled(each, pieces) for each in args] if isinstance(args, list | tuple) else args
