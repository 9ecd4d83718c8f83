"""The networks of LAPGAN: the layers of the authors' released CIFAR-10 scripts in the paper's sizes.

All levels are trained alike, so each network takes three things: noise z or a residual h, the low-pass image ``low`` (the
paper's l; zeros at the coarsest level) and the class y as one-hot floats ([N, 0] where there are no classes).
Weights start as PyTorch has them, which for these layers is also the default of Torch, that the scripts leave in place.
"""

from math import prod

import torch
from torch import Tensor, nn


class BaseGenerator(nn.Module):
    """z and y -> ReLU -> ReLU -> image, linear. z [N, latent], y [N, classes] -> [N, C, H, W].

    Args:
        shape: (C, H, W) of the coarsest level.
        latent: length of z.
        classes: length of y.
        hidden: units of each of the two hidden layers.
    """

    def __init__(self, shape: tuple[int, int, int], latent: int = 100, classes: int = 0, hidden: int = 1200) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(latent + classes, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, prod(shape)),
            nn.Unflatten(1, tuple(shape)),
        )

    def forward(self, z: Tensor, low: Tensor, y: Tensor) -> Tensor:
        return self.layers(torch.cat([z, y], 1))


class BaseDiscriminator(nn.Module):
    """Image and y -> ReLU -> ReLU -> one logit, with dropout after each hidden layer. [N, C, H, W] -> [N, 1]."""

    def __init__(self, shape: tuple[int, int, int], classes: int = 0, hidden: int = 600, dropout: float = 0.5) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(prod(shape) + classes, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, 1),
        )

    def forward(self, h: Tensor, low: Tensor, y: Tensor) -> Tensor:
        return self.layers(torch.cat([(h + low).flatten(1), y], 1))


class ClassPlane(nn.Module):
    """A class as one more colour plane: linear, ReLU, reshaped. [N, classes] -> [N, 1, size, size]."""

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(classes, size * size), nn.ReLU(), nn.Unflatten(1, (1, size, size)))

    def forward(self, y: Tensor) -> Tensor:
        return self.layers(y)


class NoPlane(nn.Module):
    """The class plane of a model without classes, which is empty: [N, 0] -> [N, 0, size, size]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, y: Tensor) -> Tensor:
        return y[:, :, None, None].expand(-1, -1, self.size, self.size)


def _class_plane(classes: int, size: int) -> nn.Module:
    return ClassPlane(classes, size) if classes else NoPlane(size)


class ResidualGenerator(nn.Module):
    """Noise as one more colour plane of the low-pass image, three convolutions, the residual h, linear.

    z [N, 1, size, size], low [N, channels, size, size], y [N, classes] -> h [N, channels, size, size].

    Args:
        channels: of an image.
        size: its height and width; only the class plane depends on it.
        width: maps of the two hidden layers.
        classes: length of y.
    """

    def __init__(self, channels: int = 3, size: int = 28, width: int = 64, classes: int = 0) -> None:
        super().__init__()
        self.plane = _class_plane(classes, size)
        self.layers = nn.Sequential(
            nn.Conv2d(1 + bool(classes) + channels, width, 7, padding=3),
            nn.ReLU(),
            nn.Conv2d(width, width, 7, padding=3),
            nn.ReLU(),
            nn.Conv2d(width, channels, 5, padding=2),
        )

    def forward(self, z: Tensor, low: Tensor, y: Tensor) -> Tensor:
        return self.layers(torch.cat([z, self.plane(y), low], 1))


class ResidualDiscriminator(nn.Module):
    """The discriminator of h plus the low-pass image: two convolutions, dropout, one logit.

    h and low [N, channels, size, size], y [N, classes] -> [N, 1].

    The convolutions are not padded, except below 9 pixels, where no pixel would be left.

    Args:
        channels: of an image.
        size: its height and width.
        width: maps of the two hidden layers.
        classes: length of y.
        dropout: share of the last maps dropped while training.
    """

    def __init__(self, channels: int = 3, size: int = 28, width: int = 64, classes: int = 0, dropout: float = 0.5) -> None:
        super().__init__()
        self.plane = _class_plane(classes, size)
        pad = 2 if size < 9 else 0
        left = (size + 4 * pad - 9) // 2 + 1
        self.layers = nn.Sequential(
            nn.Conv2d(channels + bool(classes), width, 5, padding=pad),
            nn.ReLU(),
            nn.Conv2d(width, width, 5, stride=2, padding=pad),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(width * left * left, 1),
        )

    def forward(self, h: Tensor, low: Tensor, y: Tensor) -> Tensor:
        return self.layers(torch.cat([h + low, self.plane(y)], 1))
