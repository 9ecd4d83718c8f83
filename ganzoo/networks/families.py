"""Families of networks: a generator and a discriminator that a config names together.

A family is a small object; ``networks(shape, latent)`` builds the generator, [N, latent] -> ``[N, *shape]``, and the
discriminator, ``[N, *shape]`` -> [N, 1]. A model that takes one has the argument ``family``::

    model:
      class_path: WGANGP
      init_args: {shape: [3, 32, 32], family: ResidualFamily}
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from typing import ClassVar

from torch import nn

from ganzoo.errors import InputError
from ganzoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from ganzoo.networks.mlp import MLP
from ganzoo.networks.norms import BatchNorm, LayerNorm, NoNorm, Norm
from ganzoo.networks.sngan import SNGANDiscriminator, StandardCNNDiscriminator, StandardCNNGenerator
from ganzoo.networks.wgan_gp import ResidualCritic, ResidualGenerator, SmallCritic, SmallGenerator
from ganzoo.utils.ranges import Checked, Depth, Size

Pair = tuple[nn.Module, nn.Module]


class NetworkFamily(Checked, ABC):
    """A generator and a discriminator that belong together. To override: ``networks``."""

    @abstractmethod
    def networks(self, shape: Sequence[int], latent: int) -> Pair:
        """Builds the generator and the discriminator.

        Args:
            shape: (C, H, W) of an image; (n,) of a vector, where the family can make vectors.
            latent: length of z.

        Raises:
            InputError: the family has no networks for this shape.
        """


class DCGANFamily(NetworkFamily):
    """The networks of DCGAN, with batch norm in both.

    Args:
        width: maps of the layers nearest the image.
    """

    norm: ClassVar[Norm] = BatchNorm()  # of the discriminator

    def __init__(self, width: Size = 64) -> None:
        self.width = width

    def networks(self, shape: Sequence[int], latent: int) -> Pair:
        channels, size, _ = image(type(self).__name__, shape)
        G = DCGANGenerator(latent, channels, size, self.width)
        return G, DCGANDiscriminator(channels, size, self.width, self.norm.layer)


class NoNormDCGANFamily(DCGANFamily):
    """The networks of DCGAN without a norm in the discriminator; the generator keeps its batch norm."""

    norm = NoNorm()


class LayerNormDCGANFamily(DCGANFamily):
    """The networks of DCGAN with layer norm in the discriminator; the generator keeps its batch norm."""

    norm = LayerNorm()


class MLPGeneratorFamily(DCGANFamily):
    """A fully connected generator beside DCGAN's discriminator (Arjovsky et al. 2017, figure 3; ``mlp.py``).

    Args:
        width: maps of the discriminator's layer nearest the image.
        hidden: units of each of the generator's three hidden layers.
    """

    def __init__(self, width: Size = 64, hidden: Size = 512) -> None:
        super().__init__(width)
        self.hidden = hidden

    def networks(self, shape: Sequence[int], latent: int) -> Pair:
        _, D = super().networks(shape, latent)
        return nn.Sequential(MLP(latent, shape, self.hidden), nn.Tanh()), D


class MLPFamily(NetworkFamily):
    """Two fully connected networks with ReLU, for vectors or small images (``gan_toy.py`` of Gulrajani et al. 2017).

    The generator's output is linear for a vector, and ends in tanh for an image.

    Args:
        hidden: units of each hidden layer.
        layers: hidden layers of each network.
    """

    def __init__(self, hidden: Size = 512, layers: Depth = 3) -> None:
        self.hidden, self.layers = hidden, layers

    def networks(self, shape: Sequence[int], latent: int) -> Pair:
        G: nn.Module = MLP(latent, shape, self.hidden, self.layers)
        D = MLP(prod(shape), (1,), self.hidden, self.layers)
        return (G if len(shape) == 1 else nn.Sequential(G, nn.Tanh())), D


class ResidualFamily(NetworkFamily):
    """The residual networks of Gulrajani et al. 2017 for CIFAR-10; no norm in the critic.

    Args:
        width: maps of every layer.
    """

    def __init__(self, width: Size = 128) -> None:
        self.width = width

    def networks(self, shape: Sequence[int], latent: int) -> Pair:
        channels, size, _ = image(type(self).__name__, shape)
        return ResidualGenerator(latent, channels, size, self.width), ResidualCritic(channels, self.width)


class SNGANFamily(NetworkFamily):
    """The residual networks of Miyato et al. 2018 for CIFAR-10 (table 4); no norm in the discriminator.

    Args:
        width_G: maps of the generator.
        width_D: maps of the discriminator.
    """

    def __init__(self, width_G: Size = 256, width_D: Size = 128) -> None:
        self.width_G, self.width_D = width_G, width_D

    def networks(self, shape: Sequence[int], latent: int) -> Pair:
        channels, size, _ = image(type(self).__name__, shape)
        return ResidualGenerator(latent, channels, size, self.width_G), SNGANDiscriminator(channels, self.width_D)


class StandardCNNFamily(NetworkFamily):
    """The "standard CNN" of Miyato et al. 2018 (table 3); no norm in the discriminator. Its widths are as released.

    Args:
        width: maps of the layers nearest the image.
    """

    def __init__(self, width: Size = 64) -> None:
        self.width = width

    def networks(self, shape: Sequence[int], latent: int) -> Pair:
        channels, size, _ = image(type(self).__name__, shape)
        G = StandardCNNGenerator(latent, channels, size, self.width)
        return G, StandardCNNDiscriminator(channels, size, self.width)


class SmallFamily(NetworkFamily):
    """The convolutional networks of Gulrajani et al. 2017 for MNIST, 28 x 28 pixels; no norm in either.

    Args:
        width: maps of the layers nearest the image.
    """

    def __init__(self, width: Size = 64) -> None:
        self.width = width

    def networks(self, shape: Sequence[int], latent: int) -> Pair:
        channels, size, _ = image(type(self).__name__, shape)
        if size != 28:
            raise InputError(
                f"SmallFamily is for images of 28 x 28 pixels, not {size} x {size}: set data.size, or another family"
            )
        return SmallGenerator(latent, channels, self.width), SmallCritic(channels, self.width)


def image(owner: str, shape: Sequence[int]) -> tuple[int, int, int]:
    """The shape (C, H, W) of a square image; ``owner`` is the class that needs one.

    Raises:
        InputError: it is another shape.
    """
    if len(shape) != 3 or shape[1] != shape[2]:
        raise InputError(f"{owner} is for square images, not for shape {tuple(shape)}: MLPFamily takes any shape")
    return shape[0], shape[1], shape[2]
