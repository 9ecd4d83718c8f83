"""Palettes, confusion matrices by hand, and a segmenter of coloured shapes that tells good translations from bad ones."""

import importlib
import sys
from math import nan
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ganzoo.errors import InputError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
segmentation = importlib.import_module("segmentation")
SmallSegmenter = segmentation.SmallSegmenter
classes_of = segmentation.classes_of
confusion = segmentation.confusion
figures = segmentation.figures
palette = segmentation.palette
segmentation_agreement = segmentation.segmentation_agreement
train_segmenter = segmentation.train_segmenter

COLOURS = torch.tensor([[128, 64, 128], [0, 0, 142], [107, 142, 35]], dtype=torch.uint8)
# what each label looks like on a photograph; the third has stripes, so that its colour alone is not enough
GREY, BRIGHT = 90.0, 160.0


def maps(n: int, side: int = 24, seed: int = 0) -> Tensor:
    """Label maps: a background, a square and a disc at random places."""
    g = torch.Generator().manual_seed(seed)
    rows, columns = torch.arange(side)[:, None], torch.arange(side)[None]
    found = torch.zeros(n, side, side, dtype=torch.int64)
    for one in found:
        top, left, y, x = torch.randint(2, side - 10, (4,), generator=g).tolist()
        one[top : top + 9, left : left + 9] = 1
        one[(rows - y - 4) ** 2 + (columns - x - 4) ** 2 <= 20] = 2
    return found


def drawn(labels: Tensor) -> Tensor:
    """The label images of maps."""
    return COLOURS[labels].permute(0, 3, 1, 2).contiguous()


def photographs(labels: Tensor, seed: int = 0) -> Tensor:
    """Grey ground, a bright thing, and stripes, with noise."""
    g = torch.Generator().manual_seed(seed)
    stripes = torch.where(torch.arange(labels.shape[-1]) % 2 == 0, GREY, BRIGHT).expand_as(labels)
    levels = torch.where(labels == 2, stripes, torch.where(labels == 1, BRIGHT, GREY))
    noise = 8 * torch.randn(len(labels), 3, *labels.shape[1:], generator=g)
    return (levels[:, None] + noise).round().clamp(0, 255).to(torch.uint8)


# -- labels and their colours ------------------------------------------------------------------------------------------


def test_a_palette_is_found_the_most_frequent_colour_first():
    labels = maps(20)
    found = palette(drawn(labels))
    order = labels.flatten().bincount().argsort(descending=True)
    assert torch.equal(found, COLOURS[order])


def test_what_a_jpeg_smears_is_no_label():
    images = drawn(maps(20)).float()
    smeared = torch.nn.functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    noisy = (0.8 * images + 0.2 * smeared + 3 * torch.randn(images.shape)).round().clamp(0, 255).to(torch.uint8)
    found = palette(noisy, most=3)
    assert (torch.cdist(found.float(), COLOURS.float()).min(0).values < 12).all()
    assert len(palette(noisy, most=2)) == 2


def test_a_rare_colour_is_no_label():
    images = drawn(maps(20))
    images[0, :, 0, :5] = 255
    assert len(palette(images)) == 3
    assert len(palette(images, least=0)) == 4


def test_colours_that_are_near_are_one():
    images = drawn(maps(20))
    images[images == 142] = 150
    both = torch.cat([images, drawn(maps(20))])
    assert len(palette(both)) == 3
    assert len(palette(both, apart=4)) == 5


def test_grey_labels():
    labels = (maps(4)[:, None] * 100).to(torch.uint8)
    assert sorted(palette(labels).flatten().tolist()) == [0, 100, 200]
    assert torch.equal(classes_of(labels, torch.tensor([[0], [100], [200]], dtype=torch.uint8)), maps(4))


def test_classes_are_those_of_the_nearest_colour():
    labels = maps(40)
    noisy = (drawn(labels) + 20 * torch.randn(40, 3, 24, 24)).clamp(0, 255).round().to(torch.uint8)
    found = classes_of(noisy, COLOURS)
    squares = (noisy[:, None].float() - COLOURS[None, :, :, None, None].float()).square().sum(2)
    assert torch.equal(found, squares.argmin(1))
    assert (found == labels).double().mean() > 0.95
    far = classes_of(noisy, COLOURS, within=25)
    assert torch.equal(far, torch.where(squares.amin(1) < 25**2, squares.argmin(1), -1))
    assert -1 in far


def test_images_without_labels():
    with pytest.raises(InputError, match="2 label images have 1 colours"):
        palette(torch.full((2, 3, 4, 4), 7, dtype=torch.uint8))
    with pytest.raises(InputError, match=r"labels are torch\.float32.*to_uint8"):
        palette(torch.zeros(2, 3, 4, 4))
    with pytest.raises(InputError, match=r"is \[K, 3\], not \[3, 1\]"):
        classes_of(drawn(maps(2)), COLOURS[:, :1])


# -- the figures -------------------------------------------------------------------------------------------------------


def test_figures_by_hand():
    truth = torch.tensor([0, 0, 0, 0, 1, 1, -1, 2])
    found = torch.tensor([0, 0, 0, 1, 1, 0, 2, 3])
    counts = confusion(truth, found, 5)
    assert counts.tolist() == [[3, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 1, 0], [0] * 5, [0] * 5]
    result = figures(counts)
    assert result.pixels == pytest.approx(4 / 7)
    assert result.classes == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)
    # 3 of 4 + 4 - 3, 1 of 2 + 2 - 1, 0 of 1 + 0 - 0
    assert result.iou == pytest.approx((3 / 5 + 1 / 3 + 0) / 3)
    # class 3 was found and is not there, class 4 neither: both are left out
    assert result.iou_of_class == pytest.approx((3 / 5, 1 / 3, 0, nan, nan), nan_ok=True)
    assert result.confusion[0] == (3, 1, 0, 0, 0)


def test_the_same_maps_agree():
    labels = maps(4)
    result = figures(confusion(labels, labels, 3))
    assert result[:3] == (1, 1, 1)


def test_one_class_for_all():
    """Of three classes of equal size: a third of the pixels, a third of the classes, a ninth of the union."""
    truth = torch.arange(3).repeat(10)
    result = figures(confusion(truth, torch.zeros_like(truth), 3))
    assert result[:3] == pytest.approx((1 / 3, 1 / 3, 1 / 9))


def test_no_known_pixel():
    with pytest.raises(InputError, match="no pixel"):
        figures(confusion(torch.tensor([-1]), torch.tensor([0]), 2))


def test_agreement_is_that_of_all_parts():
    """35 images in parts, with a segmenter that reads the class off the first channel."""
    labels = maps(35)
    images = torch.stack([labels, labels * 0, labels * 0], 1).to(torch.uint8)
    images[:5, 0] = 0

    def reads(images):
        return torch.nn.functional.one_hot(images[:, 0].long(), 3).permute(0, 3, 1, 2).float()

    expected = figures(confusion(labels, images[:, 0].long(), 3))
    assert segmentation_agreement(reads, images, labels) == expected
    assert 0.9 < expected.pixels < 1


# -- a small segmenter -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def segmenter() -> SmallSegmenter:
    labels = maps(60, seed=1)
    # the worst of eight seeds has an iou of 0.969 and 0.992 of the pixels; with 120 steps of width 8 it was 0.65 and 0.80
    return train_segmenter(photographs(labels, 1), labels, 3, steps=240, width=16, progress=False)


def test_right_translations_agree_and_others_do_not(segmenter):
    labels = maps(30, seed=2)
    real = segmentation_agreement(segmenter, photographs(labels, 2), labels)
    assert real.pixels > 0.95
    assert real.iou > 0.85
    again = segmentation_agreement(segmenter, photographs(labels, 3), labels)
    assert again.iou == pytest.approx(real.iou, abs=0.03)

    # one photograph for all maps: no better than the largest class everywhere
    share = labels.flatten().bincount().max().item() / labels.numel()
    constant = photographs(labels[:1] * 0).expand(30, -1, -1, -1)
    result = segmentation_agreement(segmenter, constant, labels)
    assert result.pixels == pytest.approx(share, abs=0.03)
    assert result.classes == pytest.approx(1 / 3, abs=0.03)
    assert result.iou < 0.35

    # a fine photograph of another map, and a right one that was shifted
    other = segmentation_agreement(segmenter, photographs(labels.roll(1, 0), 2), labels)
    assert other.iou < 0.45
    shifted = segmentation_agreement(segmenter, photographs(labels.roll(3, 2), 2), labels)
    assert other.iou < shifted.iou < real.iou - 0.2


def test_a_wrong_class_shows_where_it_is(segmenter):
    labels = maps(30, seed=2)
    swapped = photographs(torch.where(labels == 2, 1, labels), 2)  # discs drawn as the bright thing
    result = segmentation_agreement(segmenter, swapped, labels)
    real = segmentation_agreement(segmenter, photographs(labels, 2), labels)
    assert result.iou_of_class[2] < 0.15
    assert real.iou_of_class[2] > 0.8
    assert result.confusion[2][1] > 0.8 * sum(result.confusion[2])


def test_training_follows_its_seed_and_leaves_the_streams_alone():
    labels = maps(8)
    x = photographs(labels)
    before = torch.get_rng_state()
    with torch.no_grad():  # as a callback would call it
        nets = [train_segmenter(x, labels, 3, seed=seed, steps=3, width=4, progress=False) for seed in (0, 0, 1)]
    assert torch.equal(before, torch.get_rng_state())
    a, b, c = (next(net.parameters()) for net in nets)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert not a.requires_grad
    assert not nets[0].training


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (3, 33, 50), (3, 5, 7)])
def test_any_size(channels, height, width):
    net = SmallSegmenter(channels, 4, 4).eval()
    assert net(torch.zeros(2, channels, height, width, dtype=torch.uint8)).shape == (2, 4, height, width)


def test_pixels_without_a_class_teach_nothing():
    """One pixel in three has a class. Eight seeds: 0.973 to 0.994 right, and 0.13 to 0.40 where the others count as class 0.

    With one in five, 20 maps and 100 steps it was 0.72 to 0.94, and 0.13 to 0.84.
    """
    x = photographs(maps(60))
    labels = (maps(60) + 1) % 3  # so that the first class is a rare one
    few = torch.where(torch.rand(labels.shape) < 0.35, labels, -1)
    nets = [train_segmenter(x, given, 3, steps=240, width=16, progress=False) for given in (few, few.clamp(0))]
    right, misled = (segmentation_agreement(net, x, labels).pixels for net in nets)
    assert right > 0.9
    assert misled < 0.6


def test_what_cannot_be_segmented():
    labels, x = maps(4), photographs(maps(4))
    with pytest.raises(InputError, match="maps of the same number, height and width"):
        train_segmenter(x, labels[:, 1:], 3)
    with pytest.raises(InputError, match="class 2, and there are 2"):
        train_segmenter(x, labels, 2)
    with pytest.raises(InputError, match=r"photographs are torch\.float32"):
        train_segmenter(x / 255, labels, 3)
    with pytest.raises(InputError, match="maps of the same number"):
        segmentation_agreement(SmallSegmenter(3, 3), x, labels.float())
