"""Steps whose pixels need their neighbours: convolutions, padding, nearest upsampling. See :mod:`ganzoo.ops.regions`."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ganzoo.ops.regions import Box, NotTileableError, Size, Step


class Convolution(Step):
    """``conv2d`` with zero padding."""

    def __init__(
        self,
        input: Step,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(input)
        if isinstance(padding, str):
            raise NotTileableError(f"conv2d with padding={padding!r}")
        self.weight, self.bias, self.groups = weight, bias, groups
        self.stride, self.padding, self.dilation = map(_pair, (stride, padding, dilation))
        self.reach = tuple(self.dilation[axis] * (weight.shape[2 + axis] - 1) for axis in (0, 1))

    def length(self, n: int, axis: int) -> int:
        return (n + 2 * self.padding[axis] - self.reach[axis] - 1) // self.stride[axis] + 1

    def _wanted(self, start: int, stop: int, axis: int) -> tuple[int, int]:
        first = start * self.stride[axis] - self.padding[axis]
        return first, (stop - 1) * self.stride[axis] - self.padding[axis] + self.reach[axis] + 1

    def span(self, start: int, stop: int, n: int, axis: int) -> tuple[int, int]:
        return _within(*self._wanted(start, stop, axis), n)

    def compute(self, box: Box, pieces: Sequence[Tensor], size: Size) -> Tensor:
        (piece,) = pieces
        for axis, (start, stop) in ((0, box[:2]), (1, box[2:])):
            low, _ = self.span(start, stop, size[axis], axis)
            piece = _surrounded(piece, axis, low, self._wanted(start, stop, axis), 0.0)
        return F.conv2d(piece, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def multiplications(self, box: Box) -> float:
        return box.pixels * self.weight.numel()


class TransposedConvolution(Step):
    """``conv_transpose2d``."""

    def __init__(
        self,
        input: Step,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> None:
        super().__init__(input)
        self.weight, self.bias, self.groups = weight, bias, groups
        self.stride, self.padding, self.extra, self.dilation = map(_pair, (stride, padding, output_padding, dilation))
        self.reach = tuple(self.dilation[axis] * (weight.shape[2 + axis] - 1) for axis in (0, 1))
        if any(reach + 1 < stride for reach, stride in zip(self.reach, self.stride, strict=True)):
            raise NotTileableError("conv_transpose2d with a stride larger than its kernel")

    def length(self, n: int, axis: int) -> int:
        return (n - 1) * self.stride[axis] - 2 * self.padding[axis] + self.reach[axis] + self.extra[axis] + 1

    def span(self, start: int, stop: int, n: int, axis: int) -> tuple[int, int]:
        stride, padding = self.stride[axis], self.padding[axis]
        return _within(-(-(start + padding - self.reach[axis]) // stride), (stop - 1 + padding) // stride + 1, n)

    def compute(self, box: Box, pieces: Sequence[Tensor], size: Size) -> Tensor:
        made = F.conv_transpose2d(pieces[0], self.weight, self.bias, self.stride, 0, self.extra, self.groups, self.dilation)
        needed = self.needs(box, size)
        top, left = (
            first * stride - padding
            for first, stride, padding in zip((needed.top, needed.left), self.stride, self.padding, strict=True)
        )
        return box.of(made, Box(top, top + made.shape[2], left, left + made.shape[3]))

    def multiplications(self, box: Box) -> float:
        return box.pixels * self.weight.numel() / (self.stride[0] * self.stride[1])


class Padding(Step):
    """``pad`` of the height and width: with a constant, by reflection or by replication."""

    def __init__(self, input: Step, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> None:
        super().__init__(input)
        left, right, top, bottom, *more = [*pad, 0, 0][: max(4, len(pad))]
        if any(more) or mode not in ("constant", "reflect", "replicate"):
            raise NotTileableError(f"pad {tuple(pad)} with mode={mode!r}")
        self.before, self.after, self.mode, self.value = (top, left), (bottom, right), mode, value

    def length(self, n: int, axis: int) -> int:
        return n + self.before[axis] + self.after[axis]

    def _places(self, start: int, stop: int, n: int, axis: int) -> Tensor:
        """For each pixel of the output that of the input."""
        place = torch.arange(start - self.before[axis], stop - self.before[axis])
        if self.mode == "replicate":
            return place.clamp(0, n - 1)
        place = place.abs()
        return torch.where(place < n, place, 2 * (n - 1) - place)

    def span(self, start: int, stop: int, n: int, axis: int) -> tuple[int, int]:
        first, last = start - self.before[axis], stop - self.before[axis]
        if self.mode == "reflect" and (first < 0 or last > n):
            places = self._places(start, stop, n, axis)
            return int(places.min()), int(places.max()) + 1
        return _within(first, last, n)

    def compute(self, box: Box, pieces: Sequence[Tensor], size: Size) -> Tensor:
        (piece,) = pieces
        for axis, (start, stop) in ((0, box[:2]), (1, box[2:])):
            first, last = start - self.before[axis], stop - self.before[axis]
            low, _ = self.span(start, stop, size[axis], axis)
            if self.mode == "constant":
                piece = _surrounded(piece, axis, low, (first, last), self.value or 0.0)
            elif first < 0 or last > size[axis]:
                places = self._places(start, stop, size[axis], axis) - low
                piece = piece.index_select(2 + axis, places.to(piece.device))
        return piece


class Repetition(Step):
    """``interpolate`` by the nearest pixel: each pixel ``times`` times along both axes."""

    def __init__(self, input: Step, times: int) -> None:
        super().__init__(input)
        self.times = times

    def length(self, n: int, axis: int) -> int:
        return n * self.times

    def span(self, start: int, stop: int, n: int, axis: int) -> tuple[int, int]:
        return start // self.times, (stop - 1) // self.times + 1

    def compute(self, box: Box, pieces: Sequence[Tensor], size: Size) -> Tensor:
        made = pieces[0].repeat_interleave(self.times, 2).repeat_interleave(self.times, 3)
        needed = self.needs(box, size)
        top, left = needed.top * self.times, needed.left * self.times
        return box.of(made, Box(top, top + made.shape[2], left, left + made.shape[3]))


def _pair(value: Any) -> tuple[int, int]:
    first, *rest = value if isinstance(value, list | tuple) else (value,)
    return first, rest[0] if rest else first


def _within(start: int, stop: int, n: int) -> tuple[int, int]:
    """The part of a span that lies within 0 to n, and at least one pixel."""
    low = min(max(start, 0), n - 1)
    return low, max(min(stop, n), low + 1)


def _surrounded(piece: Tensor, axis: int, low: int, wanted: tuple[int, int], value: float) -> Tensor:
    """The pixels wanted[0] to wanted[1] - 1 along an axis of a piece that begins at pixel ``low``; others are ``value``."""
    axis, (first, last) = 2 + axis, wanted
    start, stop = max(first, low), min(last, low + piece.shape[axis])
    if start >= stop:
        return piece.new_full((*piece.shape[:axis], last - first, *piece.shape[axis + 1 :]), value)
    piece = piece.narrow(axis, start - low, stop - start)
    missing = [0, 0, start - first, last - stop] if axis == 2 else [start - first, last - stop]
    return F.pad(piece, missing, value=value) if any(missing) else piece
