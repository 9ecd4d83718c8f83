"""Steps that need the whole image before any of its pixels: norms, and dropout that is on. See :mod:`ganzoo.ops.regions`."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ganzoo.ops.regions import Box, Size, Step


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


def _wide(piece: Tensor) -> Tensor:
    return piece if piece.dtype in (torch.float32, torch.float64) else piece.float()
