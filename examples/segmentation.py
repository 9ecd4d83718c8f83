"""Segmentation agreement: whether a photograph made from a label map shows what the map says.

Isola et al. 2017 (table 1) have a network for Cityscapes read labels from generated photographs, the "FCN-score". That
network is a Caffe model of one data set. This is not it, and its metrics are not comparable with that table: here a small
network is trained on the real training pairs at hand. What is alike is the idea, and the three metrics, which are those of
Long, Shelhamer and Darrell 2015. They stand beside those of the same network on real photographs: as high as those is as
good as it gets, and higher says that the generated ones are plainer than the world is.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate
from tqdm import tqdm

from ganzoo.errors import InputError

Segmenter = Callable[[Tensor], Tensor]
"""uint8 photographs [N, C, H, W] -> logits [N, K, H, W]."""

BINS = 16  # grey levels that count as one when colours are counted
PART = 16  # images at a time

# -- labels and their colours ------------------------------------------------------------------------------------------


def palette(labels: Tensor, most: int = 32, apart: float = 48.0, least: float = 0.002) -> Tensor:
    """The colours of label images, found from them.

    Colours are counted coarsely, in cubes of 16 grey levels. The mean colour of the most frequent cube is taken, those
    within `apart` of it are laid aside, and so on; so the smear that JPEG leaves between two labels is no label.

    Args:
        labels: uint8 [N, 3, H, W]; with grey labels, [N, 1, H, W].
        most: colours to find.
        apart: Euclidean distance of two colours, of 255 a channel, below which they are one.
        least: share of all pixels that a cube must have.

    Returns:
        uint8 [K, C], the most frequent first.

    Raises:
        InputError: not label images; or a single colour.
    """
    _checked("labels", labels)
    pixels = labels.movedim(1, -1).flatten(0, -2)
    coarse = (pixels // BINS).long()
    base = 256 // BINS
    number = (coarse * base ** torch.arange(pixels.shape[1], device=pixels.device)).sum(1)
    cubes, where, counts = number.unique(return_inverse=True, return_counts=True)
    sums = torch.zeros(len(cubes), pixels.shape[1], dtype=torch.float64, device=pixels.device)
    means = sums.index_add_(0, where, pixels.double()) / counts[:, None]
    left = counts >= least * len(pixels)
    found: list[Tensor] = []
    while left.any() and len(found) < most:
        chosen = means[torch.where(left, counts, -1).argmax()]
        found.append(chosen)
        left &= (means - chosen).square().sum(1).sqrt() >= apart
    if len(found) < 2:
        raise InputError(
            f"{len(labels)} label images have {len(found)} colours that are {apart:g} apart and have {least:.1%} of the "
            "pixels: are they label maps? Give a palette, or other numbers"
        )
    return torch.stack(found).round().to(torch.uint8)


def classes_of(labels: Tensor, colours: Tensor, within: float = math.inf) -> Tensor:
    """The class of each pixel: the nearest colour's place in the palette.

    Args:
        labels: uint8 [N, C, H, W].
        colours: uint8 [K, C].
        within: Euclidean distance, of 255 a channel, beyond which a pixel belongs to no class.

    Returns:
        int64 [N, H, W]; -1 for no class.

    Raises:
        InputError: not label images, or a palette of other channels.
    """
    _checked("labels", labels)
    if colours.ndim != 2 or colours.shape[1] != labels.shape[1]:
        channels = labels.shape[1]
        raise InputError(f"a palette of label images with {channels} channels is [K, {channels}], not {list(colours.shape)}")
    found = []
    for part in labels.split(PART):
        nearest = torch.full_like(part[:, 0], -1, dtype=torch.int64)
        best = torch.full_like(nearest, within**2, dtype=torch.float32)
        for k, colour in enumerate(colours.to(part.device).float()):
            squares = (part.float() - colour[:, None, None]).square().sum(1)
            closer = squares < best
            best, nearest = torch.where(closer, squares, best), torch.where(closer, k, nearest)
        found.append(nearest)
    return torch.cat(found)


# -- the metrics -------------------------------------------------------------------------------------------------------


class Segmentation(NamedTuple):
    """Agreement of two label maps (Long et al. 2015, section 5), from 0 to 1.

    Attributes:
        pixels: share of the pixels whose class is right.
        classes: the mean over classes of the share of their pixels that is right.
        iou: the mean over classes of intersection over union.
        iou_of_class: of each; NaN for a class that is not in the truth. The two means leave it out.
        confusion: pixels, of each true class (rows) and each found one (columns).
    """

    pixels: float
    classes: float
    iou: float
    iou_of_class: tuple[float, ...]
    confusion: tuple[tuple[int, ...], ...]


def confusion(truth: Tensor, found: Tensor, classes: int) -> Tensor:
    """How many pixels of each true class were found to be what.

    Args:
        truth: int64, any shape; pixels with -1 are passed over.
        found: int64, of the same shape, 0 to classes - 1.
        classes: K.

    Returns:
        int64 [K, K] on the CPU, true classes in rows.
    """
    known = truth >= 0
    pairs = truth[known] * classes + found[known]
    return pairs.bincount(minlength=classes**2).view(classes, classes).cpu()


def figures(counts: Tensor) -> Segmentation:
    """The three metrics of a confusion matrix.

    Args:
        counts: int64 [K, K], true classes in rows.

    Raises:
        InputError: no pixel.
    """
    n = counts.double()
    right, true, said = n.diagonal(), n.sum(1), n.sum(0)
    if not true.sum() > 0:
        raise InputError("no pixel has a known class: is the palette that of these label images?")
    there = true > 0
    iou = right / (true + said - right)
    return Segmentation(
        pixels=(right.sum() / true.sum()).item(),
        classes=(right / true)[there].mean().item(),
        iou=iou[there].mean().item(),
        iou_of_class=tuple(torch.where(there, iou, torch.nan).tolist()),
        confusion=tuple(tuple(int(count) for count in row) for row in counts.tolist()),
    )


@torch.no_grad()
def segmentation_agreement(segmenter: Segmenter, photographs: Tensor, truth: Tensor) -> Segmentation:
    """What a segmenter reads from photographs, beside their label maps.

    Args:
        segmenter: trained on real pairs, for K classes.
        photographs: uint8 [N, C, H, W], generated, or the real ones for comparison.
        truth: int64 [N, H, W], the classes of the maps (:func:`classes_of`), -1 where there is none.

    Raises:
        InputError: not photographs, maps of another size, or no pixel of a known class.
    """
    _checked("photographs", photographs)
    _check_maps(photographs, truth)
    counts = torch.zeros(0)
    for images, maps in zip(photographs.split(PART), truth.split(PART), strict=True):
        logits = segmenter(images)
        part = confusion(maps.to(logits.device), logits.argmax(1), logits.shape[1])
        counts = part + counts if counts.numel() else part
    return figures(counts)


# -- a small segmenter -------------------------------------------------------------------------------------------------


class SmallSegmenter(nn.Module):
    """A U-Net of three halvings, for images of any size.

    Args:
        channels: of the photographs.
        classes: K.
        width: maps of its first layer.
    """

    def __init__(self, channels: int, classes: int, width: int = 16) -> None:
        super().__init__()
        sizes = [width, 2 * width, 4 * width, 4 * width]
        self.first = _layers(channels, width, stride=1)
        self.down = nn.ModuleList(_layers(a, b, stride=2) for a, b in pairwise(sizes))
        self.up = nn.ModuleList(_layers(a + b, b, stride=1) for a, b in zip(sizes[:0:-1], sizes[-2::-1], strict=True))
        self.last = nn.Conv2d(width, classes, 1)

    def forward(self, photographs: Tensor) -> Tensor:
        """uint8 [N, C, H, W] -> logits [N, K, H, W]."""
        maps = [self.first(photographs.to(self.last.weight.device).float() / 127.5 - 1)]
        for down in self.down:
            maps.append(down(maps[-1]))
        x = maps.pop()
        for up in self.up:
            skip = maps.pop()
            x = up(torch.cat([interpolate(x, skip.shape[-2:]), skip], 1))
        return self.last(x)


def _layers(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
    )  # fmt: skip


def train_segmenter(
    photographs: Tensor,
    truth: Tensor,
    classes: int,
    seed: int = 0,
    steps: int = 1000,
    batch_size: int = 8,
    width: int = 16,
    progress: bool = True,
    device: torch.device | str = "cpu",
) -> SmallSegmenter:
    """Trains a small segmenter on real pairs: Adam at 1e-3, which falls to zero along a cosine; no augmentation.

    The global random streams are left alone.

    Args:
        photographs: uint8 [N, C, H, W], all in memory.
        truth: int64 [N, H, W] (:func:`classes_of`); -1 counts for nothing.
        classes: K.
        seed: of its weights and of the order.
        steps: of training.
        batch_size: images a step.
        width: maps of its first layer.
        progress: show a bar.
        device: where.

    Returns:
        On that device, in evaluation mode.

    Raises:
        InputError: not photographs, maps of another size, or classes that there are not.
    """
    _checked("photographs", photographs)
    _check_maps(photographs, truth)
    if int(truth.max()) >= classes:
        raise InputError(f"a map has the class {int(truth.max())}, and there are {classes}: they count from 0")
    device = torch.device(device)
    own = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=own), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(seed)
        net = SmallSegmenter(photographs.shape[1], classes, width).to(device)
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        g = torch.Generator().manual_seed(seed)
        for _ in tqdm(range(steps), desc="segmenter", leave=False, disable=None if progress else True):
            chosen = torch.randint(len(photographs), (batch_size,), generator=g)
            x, y = (tensor[chosen.to(tensor.device)].to(device) for tensor in (photographs, truth))
            optimizer.zero_grad()
            cross_entropy(net(x), y, ignore_index=-1).backward()
            optimizer.step()
            schedule.step()
    return net.requires_grad_(False).eval()


def _checked(name: str, images: Tensor) -> None:
    if images.ndim != 4 or images.dtype != torch.uint8 or not len(images):
        raise InputError(
            f"{name} are {images.dtype} {list(images.shape)}, not uint8 images [N, C, H, W]: turn images in [-1, 1] "
            "into them with ganzoo.utils.images.to_uint8"
        )


def _check_maps(photographs: Tensor, truth: Tensor) -> None:
    if truth.dtype != torch.int64 or truth.shape != (len(photographs), *photographs.shape[2:]):
        raise InputError(
            f"photographs {list(photographs.shape)} need int64 maps of the same number, height and width, not {truth.dtype} "
            f"{list(truth.shape)}"
        )
