"""Ways to double the height and width of feature maps in a generator."""

from abc import ABC, abstractmethod

from torch import nn

from ganzoo.utils.ranges import Checked


class Upsampling(Checked, ABC):
    """A way to double height and width, as an argument of a model. A config can name a subclass by its class path."""

    @abstractmethod
    def layer(self, inputs: int, outputs: int, bias: bool = False) -> nn.Module:
        """Builds the layer: [N, inputs, H, W] -> [N, outputs, 2 H, 2 W].

        Args:
            inputs: number of maps that go in.
            outputs: number of maps that come out.
            bias: whether a learned constant is added to each map.
        """


class TransposedConvolution(Upsampling):
    """A transposed convolution of 4 x 4 at stride 2, as in DCGAN (Radford et al. 2016): "fractionally strided"."""

    def layer(self, inputs: int, outputs: int, bias: bool = False) -> nn.Module:
        return nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=bias)


class PixelShuffleConvolution(Upsampling):
    """A convolution of 3 x 3 to four times the maps, whose values are then put side by side: pixel shuffle.

    Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution ...", eq. 4, with torch's order of the maps; also
    called depth to space.
    """

    def layer(self, inputs: int, outputs: int, bias: bool = False) -> nn.Module:
        return nn.Sequential(nn.Conv2d(inputs, 4 * outputs, 3, padding=1, bias=bias), nn.PixelShuffle(2))


class NearestConvolution(Upsampling):
    """Each value four times, then a convolution of 3 x 3: no checkerboard (Odena et al. 2016, "Deconvolution and ...")."""

    def layer(self, inputs: int, outputs: int, bias: bool = False) -> nn.Module:
        return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias))
