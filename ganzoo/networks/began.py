"""The networks of BEGAN (Berthelot et al. 2017, section 3.5 and figure 1): an autoencoder, and a generator like its decoder.

3 x 3 convolutions with ELU, in pairs; halved by a stride of 2, doubled by repeating pixels; no norm. A linear layer leads to
the code and another from it, without an activation.
"""

from math import log2

from torch import Tensor, nn

from ganzoo.errors import InputError

BASE = 8  # pixels of the smallest maps


def _scales(size: int) -> int:
    """Counts the scales from 8 pixels to ``size``, both included."""
    steps = log2(size / BASE) if size > 0 else -1.0
    if steps < 0 or steps != int(steps):
        raise InputError(f"a BEGAN image is 8, 16, 32, 64 ... pixels wide (8 doubled), not {size}: set the data's size")
    return int(steps) + 1


def _pair(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.ELU(), nn.Conv2d(outputs, outputs, 3, padding=1), nn.ELU()
    ]  # fmt: skip


class Decoder(nn.Module):
    """A code to an image; the generator too. [N, latent] -> [N, channels, size, size], not bounded.

    Args:
        latent: length of the code, or of z.
        channels: of an image.
        size: width and height of an image, a power of two from 8.
        width: maps of every layer, the paper's n.
    """

    def __init__(self, latent: int = 64, channels: int = 3, size: int = 64, width: int = 128) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(latent, width * BASE * BASE), nn.Unflatten(1, (width, BASE, BASE))]
        for scale in range(_scales(size)):
            layers += [*([nn.Upsample(scale_factor=2)] if scale else []), *_pair(width, width)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, code: Tensor) -> Tensor:
        return self.layers(code)


class Encoder(nn.Module):
    """An image to a code. [N, channels, size, size] -> [N, latent].

    Args:
        latent: length of the code.
        channels: of an image.
        size: width and height of an image, a power of two from 8.
        width: maps at the image's size, the paper's n; each halving adds as many.
    """

    def __init__(self, latent: int = 64, channels: int = 3, size: int = 64, width: int = 128) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.ELU()]
        scales, before = _scales(size), width
        for maps in (width * (scale + 1) for scale in range(scales)):
            layers += _pair(before, maps)
            if maps < width * scales:
                layers += [nn.Conv2d(maps, maps, 3, 2, 1), nn.ELU()]
            before = maps
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * BASE * BASE, latent))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class AutoencoderDiscriminator(nn.Module):
    """Scores images by how well an autoencoder reconstructs them: ``-L(v)``. [N, channels, size, size] -> [N, 1].

    ``L(v)`` is the mean absolute difference between v and its reconstruction (eta = 1, as in the port). Minus, so that a
    higher score means "more like the data", as with every other discriminator.

    Args:
        latent: length of the code, the paper's N_h.
        channels: of an image.
        size: width and height of an image, a power of two from 8.
        width: maps at the image's size, the paper's n.
    """

    def __init__(self, latent: int = 64, channels: int = 3, size: int = 64, width: int = 128) -> None:
        super().__init__()
        self.encoder, self.decoder = (part(latent, channels, size, width) for part in (Encoder, Decoder))

    def reconstruct(self, v: Tensor) -> Tensor:
        """Encodes and decodes images; the paper's D(v). Of the same shape."""
        return self.decoder(self.encoder(v))

    def forward(self, v: Tensor) -> Tensor:
        return -(v - self.reconstruct(v)).abs().flatten(1).mean(1, keepdim=True)
