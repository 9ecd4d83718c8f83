"""The inference network: from an image back to the noise that it was generated from."""

from torch import Tensor, nn

SMALLEST = 4  # pixels of a side below which maps are no longer halved


class InferenceNetwork(nn.Module):
    """Strided convolutions with batch norm and leaky ReLU, then two linear layers. [N, C, H, W] -> [N, outputs].

    Args:
        shape: (C, H, W) of an image.
        outputs: length of the output.
        width: maps of the first convolution; each next one has twice as many, at most eight times as many.
        hidden: units of the linear layer between the maps and the output.
    """

    def __init__(self, shape: tuple[int, int, int], outputs: int, width: int = 32, hidden: int = 512) -> None:
        super().__init__()
        channels, height, frame_width = shape
        layers: list[nn.Module] = []
        maps, wanted, sides = channels, width, [height, frame_width]
        while min(sides) > SMALLEST:
            layers += [nn.Conv2d(maps, wanted, 5, stride=2, padding=2), nn.BatchNorm2d(wanted), nn.LeakyReLU(0.2)]
            maps, wanted, sides = wanted, min(2 * wanted, 8 * width), [(side + 1) // 2 for side in sides]
        units = maps * sides[0] * sides[1]
        layers += [nn.Flatten(), nn.Linear(units, hidden), nn.BatchNorm1d(hidden), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
