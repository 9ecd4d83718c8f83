"""uint8 and float images, and the other small leaves."""

import numpy as np
import pytest
import torch
from PIL import Image
from support.known_metrics import Tiny

from ganzoo.data.transforms import to_common_format
from ganzoo.errors import InputError
from ganzoo.interfaces import expect_shape, isolated_rng, randn
from ganzoo.utils.images import to_float, to_grey, to_uint8


def test_every_byte_survives_the_round_trip():
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(every)), every)
    assert to_float(every)[[0, 255]].tolist() == [-1, 1]


def test_out_of_range_is_clamped_and_never_wraps():
    assert to_uint8(torch.tensor([-1.5, -1.005, 1.005, 7.0])).tolist() == [0, 0, 255, 255]


def test_rounding_is_to_the_nearest():
    assert to_uint8(torch.tensor([-1 + 0.6 / 127.5, -1 + 0.4 / 127.5])).tolist() == [1, 0]


def test_floats_are_not_converted_twice():
    with pytest.raises(TypeError, match="uint8"):
        to_float(torch.zeros(2))


def test_grey_is_pillows_for_every_image_whoever_asks():
    """Files, digits' domains and extractors get one luma: in floats, rounded, one pixel in 1,600 was another."""
    colour = torch.randint(0, 256, (1100, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    wide = colour.permute(1, 0, 2, 3).reshape(3, -1, 8)
    pillow = torch.from_numpy(np.array(Image.fromarray(wide.permute(1, 2, 0).numpy()).convert("L")))
    assert torch.equal(to_grey(colour).view(-1, 8), pillow)
    assert torch.equal(to_common_format(colour, 1, 8), to_grey(colour))
    assert torch.equal(Tiny().convert(colour), to_grey(colour))


def test_own_noise_leaves_torchs_stream_alone_and_repeats_its_own():
    torch.manual_seed(1)
    wanted = torch.rand(3)
    torch.manual_seed(1)
    seen = []
    for _ in range(2):
        with isolated_rng(5, torch.device("cpu")):
            seen.append(torch.rand(4))
    assert torch.equal(*seen)
    assert torch.equal(torch.rand(3), wanted)


def test_noise_is_standard_normal_and_follows_its_generator():
    z = randn(50_000, 2, torch.zeros(1))
    assert z.mean().abs() < 0.02
    assert z.std().item() == pytest.approx(1, abs=0.02)
    g = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
    a, b, c = (randn(4, 3, torch.zeros(1), each) for each in g)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_images_of_another_shape_are_named():
    expect_shape("shape", (1, 8, 8), torch.zeros(3, 1, 8, 8))
    with pytest.raises(InputError, match=r"3x8x8 .* 1x8x8: change model\.shape"):
        expect_shape("shape", (1, 8, 8), torch.zeros(3, 3, 8, 8))
    with pytest.raises(InputError, match="batches with images"):
        expect_shape("shape", (1, 8, 8), None)
    with pytest.raises(InputError, match=r"in \[-1, 1\]"):
        expect_shape("shape", (1, 8, 8), torch.zeros(3, 1, 8, 8, dtype=torch.uint8))
