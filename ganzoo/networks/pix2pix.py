"""The U-Net and the patch discriminators of pix2pix (Isola et al. 2017, section 6.1, "Network architectures")."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError
from ganzoo.networks.dropout import NoiseDropout
from ganzoo.networks.init import normal_002
from ganzoo.networks.norms import BatchStatistics, NormLayer
from ganzoo.networks.upsampling import TransposedConvolution

STRIDED = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}  # patch in pixels -> PatchGAN's layers at stride 2


def largest_patch(size: int) -> int:
    """The largest of the paper's patches, 70, 34, 16 or 1 pixels, that images of this height and width have room for."""
    return next(patch for patch in (70, 34, 16, 1) if patch == 1 or size >= 3 * 2 ** STRIDED[patch])


class Level(nn.Module):
    """One level of the U: down, whatever lies inside, up, and the skip around it.

    [N, outer, H, W] -> [N, up, H, W] and, with a skip, its own input beside it: [N, outer + up, H, W].
    """

    def __init__(self, down: nn.Module, inside: nn.Module | None, up: nn.Module, skip: bool) -> None:
        super().__init__()
        self.down, self.inside, self.up, self.skip = down, inside, up, skip

    def forward(self, x: Tensor) -> Tensor:
        deep = self.down(x)
        if self.inside is not None:
            deep = self.inside(deep)
        up = self.up(deep)
        return torch.cat([x, up], 1) if self.skip else up


class UNet(nn.Module):
    """Encoder-decoder with skips from layer i to layer n - i. [N, inputs, H, W] -> [N, outputs, H, W] in [-1, 1].

    Encoder C64-C128-C256-C512-...-C512, decoder CD512-CD512-CD512-C512-C256-C128-C64, convolutions 4 x 4 at stride 2. No
    norm on the first layer, nor on the bottleneck (the authors' erratum: at one pixel batch norm zeroes it).

    Args:
        inputs: channels of the input image.
        outputs: channels of the output image.
        depth: times that the image is halved; 8 takes 256 pixels to one.
        width: maps of the first layer.
        skips: False for the paper's plain encoder-decoder (figure 3).
        dropout: in the first three layers of the decoder, as the paper writes it.
        norm: from a number of maps to a norm layer.
        double: from numbers of maps, of input and output, and whether there is a bias, to a layer that doubles height and
            width; the paper's is a transposed convolution.
    """

    def __init__(
        self,
        inputs: int = 3,
        outputs: int = 3,
        depth: int = 8,
        width: int = 64,
        skips: bool = True,
        dropout: float = 0.5,
        norm: NormLayer = BatchStatistics().layer,
        double: Callable[[int, int, bool], nn.Module] = TransposedConvolution().layer,
    ) -> None:
        super().__init__()
        if depth < 2:
            raise InputError(f"a U-Net halves its image at least twice: depth {depth} is too small")
        self.depth = depth
        maps = [min(width * 2**level, width * 8) for level in range(depth)]
        bias = not any(True for _ in norm(1).parameters())  # a norm with its own shift makes the convolution's idle
        block: Level | None = None
        for level in reversed(range(depth)):
            outer = maps[level - 1] if level else inputs
            inner = maps[level] * (2 if skips and block is not None else 1)
            first, last = level == 0, block is None
            # the slope acts on what came from outside; the image itself is taken as it is
            down: list[nn.Module] = [] if first else [nn.LeakyReLU(0.2)]
            down += [nn.Conv2d(outer, maps[level], 4, 2, 1, bias=bias)]
            if not first and not last:
                down += [norm(maps[level])]
            up: list[nn.Module] = [nn.ReLU()]
            if first:
                up += [double(inner, outputs, True), nn.Tanh()]
            else:
                up += [double(inner, outer, bias), norm(outer)]
                if level >= depth - 3 and dropout:  # the decoder's first three layers, counted from the bottleneck
                    up += [NoiseDropout(dropout)]  # the only noise (sections 3.1 and 3.3)
            block = Level(nn.Sequential(*down), block, nn.Sequential(*up), skip=skips and not first)
        self.block: nn.Module = block  # type: ignore[assignment]
        normal_002(self)

    def forward(self, x: Tensor) -> Tensor:
        step = 2**self.depth
        height, width = x.shape[-2:]
        if height % step or width % step:
            raise InputError(
                f"a U-Net of depth {self.depth} halves its image {self.depth} times: height and width must be multiples "
                f"of {step}, not {height}x{width}; set data.size, or a smaller model.depth"
            )
        return self.block(x)


class PatchGAN(nn.Module):
    """The patch discriminator: one logit for each patch. [N, channels, H, W] -> [N, 1, h, w].

    Args:
        channels: channels of all its inputs together (input and output image: 6).
        layers: convolutions at stride 2: 1, 2, 3, 4, 5 see 16, 34, 70, 142, 286 pixels; 0 is the 1 x 1 PixelGAN.
        width: maps of the first layer.
        norm: from a number of maps to a norm layer; none on the first layer.
    """

    def __init__(
        self, channels: int = 6, layers: int = 3, width: int = 64, norm: NormLayer = BatchStatistics().layer
    ) -> None:
        super().__init__()
        bias = not any(True for _ in norm(1).parameters())
        self.strided = layers
        if layers == 0:
            self.layers = nn.Sequential(
                nn.Conv2d(channels, width, 1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width, width * 2, 1, bias=bias),
                norm(width * 2),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width * 2, 1, 1, bias=bias),
            )
        else:
            maps = width
            stack: list[nn.Module] = [nn.Conv2d(channels, maps, 4, 2, 1), nn.LeakyReLU(0.2)]
            for layer in range(1, layers + 1):
                wider = min(maps * 2, width * 8)
                # the text has stride 2 throughout, but 70 pixels (and the released code) need the last two at stride 1
                stride = 2 if layer < layers else 1
                stack += [nn.Conv2d(maps, wider, 4, stride, 1, bias=bias), norm(wider), nn.LeakyReLU(0.2)]
                maps = wider
            self.layers = nn.Sequential(*stack, nn.Conv2d(maps, 1, 4, 1, 1))
        normal_002(self)

    def forward(self, x: Tensor) -> Tensor:
        least = 3 * 2**self.strided if self.strided else 1
        if min(x.shape[-2:]) < least:
            raise InputError(
                f"a patch discriminator with {self.strided} layers at stride 2 needs images of at least {least} pixels, "
                f"not {x.shape[-2]}x{x.shape[-1]}: set a larger data.size, or a smaller model.patch"
            )
        return self.layers(x)
