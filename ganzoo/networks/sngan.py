"""Spectral normalization, and the networks of SNGAN (Miyato et al. 2018) and of projection (Miyato and Koyama 2018).

Every weight of a discriminator is divided by its largest singular value, which one step of the power iteration estimates in
each forward pass of training. The two vectors of the iteration are buffers, so a checkpoint has them.
"""

from math import sqrt
from typing import TypeVar

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganzoo.networks.dcgan import doublings
from ganzoo.networks.init import glorot_uniform
from ganzoo.networks.norms import ConditionalBatchNorm
from ganzoo.networks.wgan_gp import ResidualCritic

Network = TypeVar("Network", bound=nn.Module)


def spectral_normed(network: Network) -> Network:
    """Divides the weight of every convolution and linear layer by its largest singular value; in place, and returned.

    A kernel [outputs, inputs, h, w] counts as the matrix [outputs, inputs h w] (Miyato et al. 2018, Algorithm 1).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            spectral_norm(module, n_power_iterations=1)
    return network


class SNGANDiscriminator(nn.Module):
    """``psi(phi(x))``: residual blocks, ReLU, the sum over pixels; linear. [N, channels, H, W] -> [N, 1].

    The blocks are those of WGAN-GP's critic.

    Args:
        channels: of an image.
        width: maps of every block.
    """

    def __init__(self, channels: int = 3, width: int = 128) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*ResidualCritic(channels, width).layers[:5])  # up to the ReLU before its mean
        self.psi = glorot_uniform(nn.Linear(width, 1, bias=False))

    def phi(self, x: Tensor) -> Tensor:
        """Computes the features [N, width]."""
        return self.blocks(x).sum((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.psi(self.phi(x))


class ProjectionDiscriminator(SNGANDiscriminator):
    """``psi(phi(x)) + y^T V phi(x)`` (Miyato and Koyama 2018, section 3). [N, channels, H, W], [N, classes] -> [N, 1].

    Args:
        channels: of an image.
        classes: length of the one-hot codes y.
        width: maps of every block.
    """

    def __init__(self, channels: int = 3, classes: int = 10, width: int = 128) -> None:
        super().__init__(channels, width)
        self.V = glorot_uniform(nn.Linear(classes, width, bias=False))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        phi = self.phi(x)
        return self.psi(phi) + (self.V(y) * phi).sum(1, keepdim=True)


class ConditionalUpBlock(nn.Module):
    """Norm, ReLU, double, convolve, norm, ReLU, convolve; plus the doubled and convolved input. H and W are doubled.

    Args:
        maps: maps of the input and of the output.
        classes: length of the one-hot codes, which scale and shift the norms.
    """

    def __init__(self, maps: int, classes: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = ConditionalBatchNorm(maps, classes), ConditionalBatchNorm(maps, classes)
        self.conv1, self.conv2 = (glorot_uniform(nn.Conv2d(maps, maps, 3, padding=1), sqrt(2)) for _ in range(2))
        self.shortcut = glorot_uniform(nn.Conv2d(maps, maps, 1))
        self.up, self.relu = nn.Upsample(scale_factor=2), nn.ReLU()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h = self.conv1(self.up(self.relu(self.norm1(x, y))))
        return self.conv2(self.relu(self.norm2(h, y))) + self.shortcut(self.up(x))


class ConditionalResidualGenerator(nn.Module):
    """WGAN-GP's residual generator whose blocks know the class. [N, latent], [N, classes] -> [N, channels, size, size].

    The batch norm before the image is an ordinary one, as released.

    Args:
        latent: length of z.
        channels: of an image.
        classes: length of the one-hot codes.
        size: width and height of an image, a power of two from 8.
        width: maps of every block.
    """

    def __init__(self, latent: int = 128, channels: int = 3, classes: int = 10, size: int = 32, width: int = 256) -> None:
        super().__init__()
        self.start = nn.Sequential(glorot_uniform(nn.Linear(latent, width * 4 * 4)), nn.Unflatten(1, (width, 4, 4)))
        self.blocks = nn.ModuleList(ConditionalUpBlock(width, classes) for _ in range(doublings(size)))
        image = glorot_uniform(nn.Conv2d(width, channels, 3, padding=1))
        self.image = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), image, nn.Tanh())

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        h = self.start(z)
        for block in self.blocks:
            h = block(h, y)
        return self.image(h)


class StandardCNNGenerator(nn.Module):
    """z -> 4 x 4 -> doubled by transposed convolutions -> tanh. [N, latent] -> [N, channels, size, size].

    Args:
        latent: length of z.
        channels: of an image.
        size: width and height of an image, a power of two from 8.
        width: maps at the image's size; each halving has twice as many.
    """

    def __init__(self, latent: int = 128, channels: int = 3, size: int = 32, width: int = 64) -> None:
        super().__init__()
        maps = width * 2 ** doublings(size)
        layers: list[nn.Module] = [nn.Linear(latent, maps * 4 * 4), nn.Unflatten(1, (maps, 4, 4))]
        layers += [nn.BatchNorm2d(maps), nn.ReLU()]
        while maps > width:
            layers += [nn.ConvTranspose2d(maps, maps // 2, 4, 2, 1), nn.BatchNorm2d(maps // 2), nn.ReLU()]
            maps //= 2
        self.layers = _normal(nn.Sequential(*layers, nn.Conv2d(width, channels, 3, padding=1), nn.Tanh()))

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


class StandardCNNDiscriminator(nn.Module):
    """3 x 3 convolutions and 4 x 4 ones of stride 2 in turn, to 4 x 4; linear. [N, channels, size, size] -> [N, 1].

    Args:
        channels: of an image.
        size: width and height of an image, a power of two from 8.
        width: maps of the first layer; each stride of 2 doubles them.
    """

    def __init__(self, channels: int = 3, size: int = 32, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.1)]
        last = width * 2 ** doublings(size)
        while width < last:
            layers += [nn.Conv2d(width, 2 * width, 4, 2, 1), nn.LeakyReLU(0.1)]
            layers += [nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.LeakyReLU(0.1)]
            width *= 2
        self.layers = _normal(nn.Sequential(*layers, nn.Flatten(), nn.Linear(last * 4 * 4, 1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def _normal(network: Network) -> Network:
    """N(0, 0.02) for the weights of convolutions and linear layers, 0 for biases, as released; in place, and returned."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
