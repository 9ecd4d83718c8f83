"""Printed digits show their label, vary, and are the same each time."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from support.two_domains import rows
from torch import Tensor

from ganzoo.data import PrintedDigits
from ganzoo.data.printed import glyphs, printed
from ganzoo.errors import InputError


def inked(x: Tensor) -> Tensor:
    """Where the ink is, in [0, 1], whatever the greys: uint8 [N, 1, 28, 28] -> [N, 28, 28]."""
    far = (x.float() - x[:, :, :1, :1].float()).abs().squeeze(1)
    return far / far.amax((1, 2), keepdim=True)


def test_printed_digits_show_their_label():
    from sklearn.neighbors import KNeighborsClassifier

    train, val, test = PrintedDigits().splits()
    assert (len(train), len(val), len(test)) == (20_000, 2_000, 2_000)
    train, val = train.samples, val.samples
    x, held_out = inked(train.x[:6000]).flatten(1), inked(val.x[:500]).flatten(1)
    neighbour = KNeighborsClassifier(1).fit(x, train.y[:6000])
    told = neighbour.predict(held_out)
    assert (told == val.y[:500].numpy()).mean() > 0.8  # 0.876: nearest neighbours do not see through turns and shifts
    # and the labels are the digits' own: written here once more, upright and in the middle
    upright = []
    for digit in "0123456789":
        page = Image.new("L", (28, 28))
        ImageDraw.Draw(page).text((14, 14), digit, 255, ImageFont.load_default(26), anchor="mm", stroke_width=1)
        upright.append(np.asarray(page).flatten() / 255)
    assert (neighbour.predict(np.stack(upright)) == range(10)).sum() >= 9


def glyphs_of_pillow() -> list[list[Image.Image]]:
    return glyphs([ImageFont.load_default(64)])


def test_a_glyph_is_whole_and_in_the_middle():
    for masks in glyphs_of_pillow():
        ink = [np.asarray(mask).sum() for mask in masks]
        assert ink == sorted(ink)  # a thicker stroke each
        for mask in masks:
            left, top, right, bottom = mask.getbbox()
            assert min(left, top) > 0
            assert abs(left + right - 96) <= 2
            assert abs(top + bottom - 96) <= 2


def test_printed_digits_are_the_same_each_time_varied_and_within_the_image():
    masks = glyphs_of_pillow()
    x, y = printed(masks, 400, stream=0)
    again, _ = printed(masks, 500, stream=0)
    assert torch.equal(x, again[:400])
    assert not torch.equal(x, printed(masks, 400, stream=1)[0])
    assert y.tolist() == [i % 10 for i in range(400)]
    assert len(set(rows(x))) == 400
    contrast = x.flatten(1).amax(1).int() - x.flatten(1).amin(1).int()
    assert contrast.min() > 80
    dark_on_light = (x[:, 0, 0, 0] >= 128).float().mean()
    assert 0.4 < dark_on_light < 0.6
    ink = inked(x)
    border = torch.cat([ink[:, 0], ink[:, -1], ink[:, :, 0], ink[:, :, -1]], 1).amax(1)
    assert (border > 0.5).float().mean() < 0.05  # hardly a digit is cut
    centre = (ink * torch.arange(28.0)).sum((1, 2)) / ink.sum((1, 2))
    assert centre.std() > 1  # they do not all stand in one place


def test_fonts_of_a_folder(tmp_path):
    with pytest.raises(InputError, match=r"no fonts in .*\.ttf"):
        PrintedDigits(str(tmp_path)).setup()
    (tmp_path / "a.ttf").write_bytes(b"no font")
    with pytest.raises(InputError, match="cannot read a font"):
        PrintedDigits(str(tmp_path)).setup()
