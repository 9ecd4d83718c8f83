"""L1, PSNR, SSIM and LPIPS between an image and its target, one value per image.

All are of images as they are stored, uint8 in [0, 255], so that a model and a folder of its PNG files have the same
metrics. Floats are refused: in the wrong range they would give a number that looks right. Colour counts by channel.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from ganzoo.errors import InputError
from ganzoo.utils.download import fetch

Measure = Callable[[Tensor, Tensor], Tensor]
"""Of outputs and truths, both uint8 [N, C, H, W]: float64 [N]."""

PEAK = 255.0
WINDOW = 11  # pixels across
SIGMA = 1.5  # of the window's normal, in pixels
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
SMALLEST = 32  # pixels that the backbones of LPIPS need

# -- a number for each image -----------------------------------------------------------------------------------------


def l1(output: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference over pixels and channels, in [-1, 1] units: from 0 to 2, black against white.

    Args:
        output: uint8 [N, C, H, W].
        truth: uint8, of the same shape.

    Returns:
        float64 [N].

    Raises:
        InputError: floats, or images of two shapes.
    """
    x, y = _checked(output, truth)
    return (x - y).abs().mean((1, 2, 3)) * (2 / PEAK)


def psnr(output: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio, ``10 log10(255^2 / mean squared error)``, in decibels; infinite where both are equal.

    Of a set it is the mean over the images, not the ratio of the mean error, which is lower.

    Args:
        output: uint8 [N, C, H, W].
        truth: uint8, of the same shape.

    Returns:
        float64 [N].

    Raises:
        InputError: floats, or images of two shapes.
    """
    x, y = _checked(output, truth)
    return peak_signal_noise_ratio(x, y, data_range=PEAK, reduction="none", dim=(1, 2, 3)).double()


def ssim(output: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity (Wang, Bovik, Sheikh and Simoncelli 2004, equation 13): 1 where both are equal.

    As there: a window of 11 pixels, a normal of 1.5 pixels; K1 0.01 and K2 0.03 of the range 255; the mean over all windows
    that lie wholly in the image. In float64: torchmetrics' in float32 gives two equal white images 0.998, because it
    takes a small variance from the difference of two large squares; and it counts windows over the edges, too.

    Args:
        output: uint8 [N, C, H, W], at least 11 pixels high and wide.
        truth: uint8, of the same shape.

    Returns:
        float64 [N]; of colour images the mean of the channels'.

    Raises:
        InputError: floats, images of two shapes, or smaller ones than the window.
    """
    x, y = _checked(output, truth)
    if min(x.shape[-2:]) < WINDOW:
        raise InputError(f"SSIM needs images of at least {WINDOW} x {WINDOW} pixels, not {_size(x)}: leave it out")
    rows, columns = (_windows(n, x.device) for n in x.shape[-2:])
    means = (rows @ each @ columns.T for each in (x, y, x * x, y * y, x * y))
    mx, my, xx, yy, xy = means
    luminance = (2 * mx * my + C1) / (mx * mx + my * my + C1)
    structure = (2 * (xy - mx * my) + C2) / ((xx - mx * mx) + (yy - my * my) + C2)
    return (luminance * structure).mean((1, 2, 3))


def _windows(n: int, device: torch.device) -> Tensor:
    """A row for each place of the window along n pixels, with its weights: float64 [n - 10, n]."""
    weights = torch.exp(-torch.arange(WINDOW, dtype=torch.float64).sub(WINDOW // 2).square() / (2 * SIGMA**2))
    found = torch.zeros(n - WINDOW + 1, n, dtype=torch.float64)
    for place, weight in enumerate(weights / weights.sum()):
        found.diagonal(place).fill_(weight)
    return found.to(device)


MEASURES: Mapping[str, Measure] = {"l1": l1, "psnr": psnr, "ssim": ssim}
"""Those that need no weights, by name."""


def _checked(output: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Both as float64 in [0, 255]."""
    for name, images in (("outputs", output), ("truths", truth)):
        if images.ndim != 4 or images.dtype != torch.uint8:
            raise InputError(
                f"{name} are {images.dtype} {list(images.shape)}, not uint8 images [N, C, H, W]: turn images in [-1, 1] "
                "into them with ganzoo.utils.images.to_uint8"
            )
    if output.shape != truth.shape:
        raise InputError(f"outputs are {list(output.shape)} and truths {list(truth.shape)}: pairs have one shape")
    # which knows no float64
    device = torch.device("cpu") if output.device.type == "mps" else output.device
    return output.to(device).double(), truth.to(device).double()


def _size(images: Tensor) -> str:
    return " x ".join(map(str, images.shape[-2:]))


# -- LPIPS -------------------------------------------------------------------------------------------------------------

_WEIGHTS = {"alex": "AlexNet_Weights", "vgg": "VGG16_Weights", "squeeze": "SqueezeNet1_1_Weights"}


class LPIPS:
    """Learned perceptual distance (Zhang et al. 2018), version 0.1, as torchmetrics has it: 0 where both are equal.

    Its linear weights come with torchmetrics. The backbone is torchvision's, trained on ImageNet, from the folder of torch's
    hub; what is not there is downloaded, and checked against the hash in its name. Without it there is no LPIPS: a backbone
    that was not trained would give numbers that mean nothing. Grey images are repeated in three channels.

    Args:
        net: the backbone: "alex" is usual for metrics, "vgg" is the one that losses take.

    Attributes:
        weights: the first digits of the SHA-256 of the backbone's file.

    Raises:
        InputError: the file is not there and cannot be had (the line says where to put it), or it is another one.
    """

    def __init__(self, net: Literal["alex", "vgg", "squeeze"] = "alex") -> None:
        # slow to import, and only LPIPS needs them
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
        from torchvision.models import get_weight

        if net not in _WEIGHTS:
            raise InputError(f"LPIPS is by one of {', '.join(_WEIGHTS)}, not {net}")
        url = get_weight(f"{_WEIGHTS[net]}.IMAGENET1K_V1").url
        path = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
        self.weights = path.stem.rpartition("-")[2]
        try:
            fetch(url, path)
        except InputError as error:
            raise InputError(f"LPIPS needs the weights of {path.stem.partition('-')[0]}: {error}") from error
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if not found.startswith(self.weights):
            raise InputError(f"{path}: its SHA-256 begins with {found[:8]}, not {self.weights}; delete the file and retry")
        # the network is drawn at random before the weights are read
        with torch.random.fork_rng(devices=[]):
            self.net = LearnedPerceptualImagePatchSimilarity(net_type=net).net.eval()

    @torch.no_grad()
    def __call__(self, output: Tensor, truth: Tensor) -> Tensor:
        """The distance of each pair.

        Args:
            output: uint8 [N, 1 or 3, H, W], at least 32 pixels high and wide.
            truth: uint8, of the same shape.

        Returns:
            float64 [N].

        Raises:
            InputError: floats, images of two shapes, too small, or of other channels.
        """
        x, y = (images.float().div(PEAK / 2).sub(1) for images in _checked(output, truth))
        if x.shape[1] not in (1, 3) or min(x.shape[-2:]) < SMALLEST:
            raise InputError(
                f"LPIPS needs grey or colour images of at least {SMALLEST} x {SMALLEST} pixels, not {x.shape[1]} channels "
                f"of {_size(x)}: leave it out"
            )
        net = self.net.to(x.device)
        with torch.autocast(x.device.type, enabled=False):
            return net(x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1)).flatten().double()


# -- of a set ----------------------------------------------------------------------------------------------------------


class Score(NamedTuple):
    """Of a set of images.

    Attributes:
        mean: over the images; infinite for PSNR if any image is its truth.
        error: standard error of the mean, NaN of fewer than two images or where the mean is infinite.
        n: images.
    """

    mean: float
    error: float
    n: int


@dataclass
class Sums:
    """What a mean and its error are made of, in float64; sums of parts are the whole's."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, values: Tensor) -> None:
        """Takes values [N]."""
        x = values.double()
        self.merge(Sums(len(x), x.sum().item(), x.square().sum().item()))

    def merge(self, other: "Sums") -> None:
        """Takes another part."""
        self.count += other.count
        self.total += other.total
        self.squares += other.squares

    def score(self) -> Score:
        """Mean and standard error of all that was taken; NaN of nothing."""
        if not self.count:
            return Score(math.nan, math.nan, 0)
        mean = self.total / self.count
        if self.count < 2 or not math.isfinite(self.squares):
            return Score(mean, math.nan, self.count)
        variance = max(0.0, self.squares / self.count - mean**2) * self.count / (self.count - 1)
        return Score(mean, math.sqrt(variance / self.count), self.count)


class Paired:
    """Measures over pairs that come in batches, in any number of parts.

    Args:
        measures: by name; add ``{"lpips": LPIPS()}`` to the usual three.

    Attributes:
        sums: of each measure.
    """

    def __init__(self, measures: Mapping[str, Measure] = MEASURES) -> None:
        self.measures = dict(measures)
        self.sums = {name: Sums() for name in self.measures}

    def update(self, output: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """Takes a batch.

        Args:
            output: uint8 [N, C, H, W].
            truth: uint8, of the same shape.

        Returns:
            Of each measure the images' values, float64 [N].

        Raises:
            InputError: what cannot be measured; nothing of the batch is then counted.
        """
        found = {name: measure(output, truth) for name, measure in self.measures.items()}
        for name, values in found.items():
            self.sums[name].add(values)
        return found

    def merge(self, sums: Mapping[str, Sums]) -> None:
        """Takes another part's ``sums``."""
        for name, part in sums.items():
            self.sums.setdefault(name, Sums()).merge(part)

    def scores(self) -> dict[str, Score]:
        """Of each measure."""
        return {name: sums.score() for name, sums in self.sums.items()}
