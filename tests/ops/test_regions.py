"""Regions of a network's output, each from the region of the input that it needs, are those of the whole output."""

import pytest
import torch
from torch import nn

from ganzoo.ops.recording import _Recorder
from ganzoo.ops.region_norms import WholeNorm
from ganzoo.ops.regions import Box


def region_of_step(step: nn.Module, x: torch.Tensor, box: Box) -> torch.Tensor:
    """A region of one step's output, computed from the region of the input that the step asks for."""
    _, last = record_any(step, x)
    size = (x.shape[2], x.shape[3])
    needs = last.needs(box, size)
    assert 0 <= needs.top < needs.bottom <= size[0]
    assert 0 <= needs.left < needs.right <= size[1]
    return last.compute(box, [needs.of(x, Box.whole(size))], size)


def record_any(step, x):
    """The two steps of a function of one step, whatever the size of its output."""
    recorder = _Recorder(x)
    with recorder, torch.no_grad():
        step(x)
    first, last = recorder.steps
    return first, last


CONVOLUTIONS = [
    nn.Conv2d(2, 3, 3, padding=1),
    nn.Conv2d(2, 3, 4, stride=2, padding=1),
    nn.Conv2d(2, 3, (5, 2), stride=(1, 3), padding=(2, 0), dilation=(1, 2), bias=False),
    nn.Conv2d(2, 4, 1, groups=2),
    nn.Conv2d(2, 2, 2, padding=3, stride=2),  # whole windows in the padding
    nn.ConvTranspose2d(2, 3, 4, 2, 1),
    nn.ConvTranspose2d(2, 3, 3, 2, 1, output_padding=1),
    nn.ConvTranspose2d(2, 3, (5, 2), stride=(3, 2), padding=(0, 1), output_padding=(2, 1), dilation=(1, 2)),
    nn.ConvTranspose2d(2, 2, 3, padding=1, groups=2),
]
PADDINGS = [
    nn.ReflectionPad2d(3),
    nn.ReflectionPad2d((0, 5, 2, 1)),
    nn.ReplicationPad2d((2, 1, 0, 4)),
    nn.ZeroPad2d((1, 2, 3, 0)),
    nn.ConstantPad2d((1, -2, -1, 3), 0.5),
]

DOUBLINGS = [nn.Upsample(scale_factor=2), nn.Upsample(scale_factor=3.0)]


@pytest.mark.parametrize("layer", [*CONVOLUTIONS, *PADDINGS, *DOUBLINGS], ids=str)
def test_every_region_is_that_of_the_whole(layer):
    x = torch.randn(1, 2, 9, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = layer(x)
        _, last = record_any(layer, x)
        height, width = whole.shape[2:]
        assert last.size((9, 12)) == (height, width)
        boxes = [Box(0, height, 0, width), Box(0, 1, 0, 1), Box(height - 1, height, width - 1, width), Box(1, 3, 0, 2)]
        boxes += [Box(top, min(top + 2, height), left, min(left + 3, width))
                  for top in range(0, height, 2) for left in range(0, width, 3)]  # fmt: skip
        for box in boxes:
            assert torch.allclose(region_of_step(layer, x, box), box.of(whole, Box.whole((height, width))), atol=1e-5)


def test_a_region_needs_no_more_than_it_must():
    x = torch.zeros(1, 2, 100, 100)
    for layer, box, needed in (
        (nn.Conv2d(2, 1, 3, padding=1), Box(10, 20, 30, 31), Box(9, 21, 29, 32)),
        (nn.Conv2d(2, 1, 4, 2, 1), Box(5, 6, 0, 2), Box(9, 13, 0, 5)),
        (nn.ConvTranspose2d(2, 1, 4, 2, 1), Box(10, 12, 11, 12), Box(4, 7, 5, 7)),
        (nn.ReflectionPad2d(3), Box(0, 2, 10, 12), Box(2, 4, 7, 9)),
        (nn.Upsample(scale_factor=2), Box(10, 12, 11, 12), Box(5, 6, 5, 6)),
        (nn.ReLU(), Box(1, 2, 3, 4), Box(1, 2, 3, 4)),
    ):
        _, last = record_any(layer, x)
        assert last.needs(box, (100, 100)) == needed


@pytest.mark.parametrize(
    "layer",
    [
        nn.InstanceNorm2d(6),
        nn.InstanceNorm2d(6, affine=True),
        nn.BatchNorm2d(6, track_running_stats=False),
        nn.GroupNorm(1, 6),
        nn.GroupNorm(3, 6, eps=0.1),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_statistics_of_pieces_are_those_of_the_whole(layer, kind):
    layer = layer.to(kind)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter))
        x = torch.randn(1, 6, 11, 8, dtype=kind) * 3 + torch.arange(6.0).view(1, 6, 1, 1) * 50
        _, norm = record_any(layer, x)
        assert isinstance(norm, WholeNorm)
        for _ in range(2):  # a second image begins anew
            norm.begin()
            for rows in x.split((1, 7, 3), 2):
                for piece in rows.split((5, 3), 3):
                    norm.add(piece)
            norm.finish(x)
        made = torch.cat([norm.compute(Box(0, 0, 0, 0), [rows], (11, 8)) for rows in x.split(4, 2)], 2)
        assert torch.allclose(made, layer(x), atol=2e-5)
