"""Steps of a convolutional network, and which region of its input each of them needs for a region of its output.

So a network can be evaluated region by region, exactly as on the whole image (:mod:`ganzoo.ops.tiles`). The steps are
convolutions, padding, norms, dropout, and functions of each pixel alone; :mod:`ganzoo.ops.recording` finds them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

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


class WholeNorm(Step):
    """A norm by the mean and variance of the whole image, which are collected before :meth:`compute` is called.

    Args:
        groups: of channels that share a mean and variance; None for each channel by itself.
        weight: learned scale [C], or None.
        bias: learned shift [C], or None.
        eps: is added to the variance.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, input: Step, groups: int | None, weight: Tensor | None, bias: Tensor | None, eps: float) -> None:
        super().__init__(input)
        self.groups, self.weight, self.bias, self.eps = groups, weight, bias, eps
        self.begin()

    def begin(self) -> None:
        """Forgets all pixels."""
        self.count = 0
        self._mean, self._squares = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)

    def add(self, piece: Tensor) -> None:
        """Adds the pixels of a piece [1, C, h, w] of the input; each pixel counts once."""
        n = piece[0, 0].numel()
        var, mean = (each.double().cpu() for each in torch.var_mean(_wide(piece), (0, 2, 3), correction=0))
        # Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances"
        total, gap = self.count + n, mean - self._mean
        self._squares = self._squares + var * n + gap.square() * (self.count * n / total)
        self._mean = self._mean + gap * (n / total)
        self.count = total

    def finish(self, like: Tensor) -> None:
        """Computes mean and variance of the pixels that were added, for pieces of this device and type."""
        mean, var = self._mean, self._squares / self.count
        if self.groups is not None:
            each = mean.view(self.groups, -1)
            shared = each.mean(1, keepdim=True)
            var = (var.view(self.groups, -1) + (each - shared).square()).mean(1, keepdim=True).expand_as(each).flatten()
            mean = shared.expand_as(each).flatten()
        wide = _wide(like)
        self.mean, self.var = mean.to(wide), var.to(wide)

    def compute(self, box: Box, pieces: Sequence[Tensor], size: Size) -> Tensor:
        (piece,) = pieces
        wide = _wide(piece)
        weight, bias = (None if each is None else each.to(wide) for each in (self.weight, self.bias))
        return F.batch_norm(wide, self.mean, self.var, weight, bias, False, 0.0, self.eps).to(piece.dtype)


class Noise(Step):
    """Dropout that is on. Its mask is drawn for the whole image at once, as the network itself draws it."""

    mask: Tensor

    def __init__(self, input: Step, p: float) -> None:
        super().__init__(input)
        self.p = p

    def draw(self, size: Size, device: torch.device) -> None:
        """Draws the mask from torch's own generator, and keeps a byte for each value."""
        shape = (1, self.channels, *size)
        if device.type == "cpu":  # the numbers that dropout draws there, without its floats
            self.mask = torch.empty(shape, dtype=torch.bool).bernoulli_(1 - self.p)
        else:
            ones = torch.ones(shape, dtype=self.dtype, device=device)
            self.mask = F.dropout(ones, self.p, True, inplace=True) != 0

    def compute(self, box: Box, pieces: Sequence[Tensor], size: Size) -> Tensor:
        kept = box.of(self.mask, Box.whole((self.mask.shape[2], self.mask.shape[3])))
        return pieces[0] * kept.to(pieces[0].dtype).div_(1 - self.p)


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


def _wide(piece: Tensor) -> Tensor:
    return piece if piece.dtype in (torch.float32, torch.float64) else piece.float()
