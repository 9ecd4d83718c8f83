"""The DCGAN pair (Radford et al. 2016, figure 1 and section 3), with the widths and 4 x 4 kernels of the released code."""

from collections.abc import Callable
from math import log2

from torch import Tensor, nn

from ganzoo.errors import InputError
from ganzoo.networks.init import normal_002
from ganzoo.networks.norms import NormLayer
from ganzoo.networks.upsampling import TransposedConvolution


def doublings(size: int) -> int:
    """How often 4 pixels are doubled to get ``size``; InputError where they never are."""
    steps = log2(size / 4) if size > 0 else 0.0
    if steps < 1 or steps != int(steps):
        raise InputError(
            f"these networks make images of 8, 16, 32, 64 ... pixels (4 doubled), not {size}: set the data's size"
        )
    return int(steps)


class DCGANGenerator(nn.Module):
    """z -> 4 x 4 -> doubled, by strided transposed convolutions -> tanh. [N, latent] -> [N, channels, size, size].

    Args:
        latent: length of z.
        channels: of an image.
        size: width and height of an image, a power of two from 8.
        width: maps before the last layer; each layer before has twice as many. 64 as released, 128 in the paper.
        double: from numbers of maps, of input and output, to a layer that doubles height and width; the paper's is a
            transposed convolution.
    """

    def __init__(
        self,
        latent: int = 100,
        channels: int = 3,
        size: int = 64,
        width: int = 64,
        double: Callable[[int, int], nn.Module] = TransposedConvolution().layer,
    ) -> None:
        super().__init__()
        maps = width * 2 ** (doublings(size) - 1)
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent, maps, 4, bias=False), nn.BatchNorm2d(maps), nn.ReLU()]
        while maps > width:
            layers += [double(maps, maps // 2), nn.BatchNorm2d(maps // 2), nn.ReLU()]
            maps //= 2
        # no batch norm on the output: section 3, third change
        self.layers = nn.Sequential(*layers, double(maps, channels), nn.Tanh())
        normal_002(self)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z[:, :, None, None])


class DCGANDiscriminator(nn.Module):
    """The mirror image of the generator, with leaky ReLU of slope 0.2. [N, channels, size, size] -> [N, 1] logits.

    Args:
        channels: channels of an image.
        size: width and height of an image, a power of two from 8.
        width: maps of the first layer; each layer after it has twice as many.
        norm: from a number of maps to a norm layer; none on the first layer. The paper has batch norm.
    """

    def __init__(self, channels: int = 3, size: int = 64, width: int = 64, norm: NormLayer = nn.BatchNorm2d) -> None:
        super().__init__()
        maps = width
        bias = not any(True for _ in norm(1).parameters())  # a norm with its own shift makes the convolution's idle
        # no batch norm on the input layer: section 3, third change
        layers: list[nn.Module] = [nn.Conv2d(channels, maps, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for _ in range(doublings(size) - 1):
            layers += [nn.Conv2d(maps, maps * 2, 4, 2, 1, bias=bias), norm(maps * 2), nn.LeakyReLU(0.2)]
            maps *= 2
        self.layers = nn.Sequential(*layers, nn.Conv2d(maps, 1, 4, bias=False), nn.Flatten())
        normal_002(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

    def features(self, x: Tensor) -> list[Tensor]:
        """Activations of the hidden convolutions, [N, maps, H, W] each, from the first (half the image's size) to 4 x 4."""
        found = []
        for layer in self.layers:
            x = layer(x)
            if isinstance(layer, nn.LeakyReLU):
                found.append(x)
        return found
