"""Writes PNG files that say where they come from: the model, its weights, the seed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ganzoo import __version__
from ganzoo.utils.files import atomic_write
from ganzoo.utils.image_grid import as_image

LEVEL = 3  # of zlib: a photograph takes 5% more bytes than at Pillow's 6, and half the time
KEY = "ganzoo"  # of the text chunk that holds the record, as JSON


def save_png(path: Path, image: Tensor, record: Mapping[str, Any]) -> None:
    """Writes an image as a PNG file with a record of its origin; the file is whole or not there.

    Args:
        path: the file; its folder exists.
        image: uint8 [C, H, W] on the CPU, with 1 or 3 channels; of two, or more than three, the first.
        record: plain values, for the text chunk ``ganzoo``. The chunk ``Software`` names this version of ganzoo.
    """
    text = PngInfo()
    text.add_text("Software", f"ganzoo {__version__}")
    text.add_text(KEY, json.dumps(record))
    with atomic_write(path) as part:
        as_image(image).save(part, "PNG", pnginfo=text, compress_level=LEVEL)


def read_record(path: Path) -> dict[str, Any] | None:
    """The record of a PNG file that :func:`save_png` wrote; None for any other file."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            found = json.loads(image.info.get(KEY, "null"))  # the chunk stands before the pixels, which are not decoded
    except Exception:  # Pillow raises errors of nearly any type
        return None
    return found if isinstance(found, dict) else None
