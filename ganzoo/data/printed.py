"""Printed digits, drawn with fonts: labelled data without a download."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import LabelledImages
from ganzoo.data.datasets import InMemory
from ganzoo.data.digits import DIGIT_NAMES
from ganzoo.data.transforms import resize_in_chunks
from ganzoo.errors import InputError, one_line
from ganzoo.utils.ranges import Pixels

COUNTS = (20_000, 2_000, 2_000)
"""Images to train, to validate and to test on."""

_GLYPH = 96  # canvas of a glyph, whose digit is 64 high at most
_STROKES = (0, 1, 2, 3, 4)  # pixels by which an outline of the 64 is thickened


def find_fonts(folder: str | None) -> list[Any]:
    """Loads the fonts of a folder, or the one inside Pillow. Raises InputError if none can be read."""
    if folder is None:
        font = ImageFont.load_default(64)
        if not isinstance(font, ImageFont.FreeTypeFont):
            raise InputError(
                "this Pillow was built without FreeType and draws no digits: pip install --force-reinstall pillow"
            )
        return [font]
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".ttf", ".otf"))
    if not paths:
        raise InputError(f"there are no fonts in {folder} (looked for .ttf .otf)")
    try:
        return [ImageFont.truetype(path, 64) for path in paths]
    except OSError as error:
        raise InputError(f"cannot read a font in {folder}: {one_line(error)}") from error


def glyphs(fonts: Sequence[Any]) -> list[list[Image.Image]]:
    """For each digit its masks (grey, 96x96, 255 is ink) in every font and stroke, in the middle of the canvas."""
    masks: list[list[Image.Image]] = []
    for digit in "0123456789":
        masks.append([])
        for font in fonts:
            for stroke in _STROKES:
                left, top, right, bottom = font.getbbox(digit, stroke_width=stroke)
                mask = Image.new("L", (_GLYPH, _GLYPH))
                corner = (_GLYPH - left - right) / 2, (_GLYPH - top - bottom) / 2
                ImageDraw.Draw(mask).text(corner, digit, 255, font, stroke_width=stroke)
                masks[-1].append(mask)
    return masks


def printed(masks: list[list[Image.Image]], n: int, stream: int) -> tuple[Tensor, Tensor]:
    """Draws digits in varied print, uint8 [n, 1, 28, 28], with labels i modulo 10, int64 [n]; the same for any n.

    Args:
        masks: masks of each digit, from :func:`glyphs`.
        n: number of digits.
        stream: number of the stream of random numbers, at least 0.
    """
    draws = np.random.default_rng((2016, stream)).random((n, 9))
    ink = np.empty((n, 28, 28), np.uint8)
    for i, (which, turn, slant, height, width, x, y, *_) in enumerate(draws):
        angle, slant = np.radians(50 * turn - 25), 0.4 * slant - 0.2
        tall, wide = 50 / (14 + 8 * height), 0.8 + 0.45 * width
        # from a pixel of 56 to one of the glyph, both counted from the middle: turn, slant, then stretch
        cos, sin = np.cos(angle) * tall / 2, np.sin(angle) * tall / 2
        a, b, d, e = (cos - slant * sin) / wide, (-sin - slant * cos) / wide, sin, cos
        u, v = 28 + 10 * x - 5, 28 + 10 * y - 5
        c, f = _GLYPH / 2 - a * u - b * v, _GLYPH / 2 - d * u - e * v
        mask = masks[i % 10][int(which * len(masks[i % 10]))]
        # drawn twice as large and halved by the mean of each 2x2 block, against jagged edges
        drawn = mask.transform((56, 56), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR)
        ink[i] = np.asarray(drawn.reduce(2))
    paper, step = (256 * draws[:, 7]).astype(int), (96 + 160 * draws[:, 8]).astype(int)
    # the stroke is at least 96 of 255 away, towards the side where there is room
    stroke = np.where(paper < 128, np.minimum(paper + step, 255), np.maximum(paper - step, 0))
    paper, stroke = paper[:, None, None], stroke[:, None, None]
    x = (paper * (255 - ink.astype(int)) + stroke * ink + 127) // 255
    return torch.from_numpy(x.astype(np.uint8)).unsqueeze(1), torch.arange(n) % 10


class PrintedDigits(ImageDataModule):
    """Printed digits, grey, in the spirit of Ganin et al.'s SynNum: 20,000 / 2,000 / 2,000 images of 28x28.

    Each is turned by up to 25 degrees, slanted, stretched, moved, and drawn with a stroke and greys of its own, dark on
    light or light on dark. They are drawn when they are first needed: the same images for everybody who has the same fonts.
    Batches are ``LabelledImages``.

    Args:
        fonts: folder with .ttf or .otf files, all of which are used; None for the font inside Pillow (Aileron).
        size: height and width in pixels: any other than 28 is resized bilinearly.
        loading: ``batch_size`` (64), ``num_workers`` (0) and ``seed`` (0). The images do not depend on the seed.

    Raises:
        InputError: the folder has no fonts, or one that cannot be read; Pillow draws no text.
    """

    class_names = DIGIT_NAMES

    def __init__(self, fonts: str | None = None, size: Pixels = 28, **loading: Any) -> None:
        super().__init__((1, size, size), 10, **loading)
        self.fonts = fonts
        self.size = size

    def splits(self) -> Splits:
        masks = glyphs(find_fonts(self.fonts))
        drawn = (printed(masks, n, stream) for stream, n in enumerate(COUNTS))
        train, val, test = (InMemory(LabelledImages(resize_in_chunks(x, self.size), y)) for x, y in drawn)
        return train, val, test
