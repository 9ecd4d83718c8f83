"""The residual translators of CycleGAN (Zhu et al. 2017, appendix 7.2), after Johnson et al. 2016."""

from torch import Tensor, nn

from ganzoo.errors import InputError
from ganzoo.networks.init import normal_002
from ganzoo.networks.norms import InstanceNorm, NormLayer


class Residual(nn.Module):
    """Rk: x plus two 3 x 3 convolutions of it. [N, maps, H, W] -> the same; H and W are at least 2."""

    def __init__(self, maps: int, norm: NormLayer = InstanceNorm().layer, bias: bool = True) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(maps, maps, 3, padding=1, padding_mode="reflect", bias=bias),
            norm(maps),
            nn.ReLU(),
            nn.Conv2d(maps, maps, 3, padding=1, padding_mode="reflect", bias=bias),
            norm(maps),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ResNet(nn.Module):
    """Two halvings, residual blocks, two doublings. [N, inputs, H, W] -> [N, outputs, H, W] in [-1, 1].

    c7s1-64, d128, d256, R256 times ``blocks``, u128, u64, c7s1-3, with reflection padding where the stride is 1 and no norm
    on the last layer.

    Args:
        inputs: channels of the input image.
        outputs: channels of the output image.
        blocks: residual blocks; the paper has 9 from 256 pixels on, 6 for 128.
        width: maps of the first layer.
        norm: from a number of maps to a norm layer.
    """

    def __init__(
        self, inputs: int = 3, outputs: int = 3, blocks: int = 9, width: int = 64, norm: NormLayer = InstanceNorm().layer
    ) -> None:
        super().__init__()
        if blocks < 0 or width < 1:
            raise InputError(f"a ResNet has at least 0 blocks and 1 map, not {blocks} and {width}")
        bias = not any(True for _ in norm(1).parameters())  # a norm with its own shift makes the convolution's idle
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, width, 7, padding=3, padding_mode="reflect", bias=bias), norm(width), nn.ReLU()
        ]  # fmt: skip
        for maps in (width, 2 * width):
            layers += [nn.Conv2d(maps, 2 * maps, 3, 2, 1, bias=bias), norm(2 * maps), nn.ReLU()]
        layers += [Residual(4 * width, norm, bias) for _ in range(blocks)]
        for maps in (4 * width, 2 * width):
            up = nn.ConvTranspose2d(maps, maps // 2, 3, 2, 1, output_padding=1, bias=bias)
            layers += [up, norm(maps // 2), nn.ReLU()]
        layers += [nn.Conv2d(width, outputs, 7, padding=3, padding_mode="reflect"), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        normal_002(self)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        # at 4 pixels the middle would be a single one, which can be neither reflected nor normed
        if height % 4 or width % 4 or min(height, width) < 8:
            raise InputError(
                "a ResNet translator halves its image twice: height and width must be multiples of 4, at least 8, not "
                f"{height}x{width}; set data.size"
            )
        return self.layers(x)
