"""Picture files in, uint8 tensors out: the one place of `data` that opens a picture."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from ganzoo.errors import InputError, one_line

EXTENSIONS = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}

# formats whose 32-bit mode "I" holds 16-bit values, by Pillow's own scaling
_SIXTEEN_BITS_IN_I = {"PNG", "PPM"}
_ORIENTATION = 0x0112
_MANY = 2000


def read_picture(path: str | Path, channels: int) -> Tensor:
    """A picture file of any usual kind -> uint8 [channels, H, W].

    Alpha is composited on white, EXIF rotation is applied, palettes and CMYK become RGB, 16-bit grey becomes 8-bit by
    round(v / 257). Colour read with one channel is its luma (ITU-R 601); grey read with three is repeated. Of an
    animation it is the first frame.

    Args:
        path: the file.
        channels: 1 or 3.

    Raises:
        InputError: not a picture, damaged, cut short, or of a kind without a known range (32-bit).
    """
    try:
        with Image.open(path) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
            grey16 = image.mode.startswith("I;16") or (image.mode == "I" and image.format in _SIXTEEN_BITS_IN_I)
            if image.mode in ("I", "F") and not grey16:
                raise ValueError("32-bit pictures have no known range of values: save it with 8 or 16 bits")
        upright = _eight_bit_grey(upright) if grey16 else _on_white(upright)
        values = np.array(upright.convert("L" if channels == 1 else "RGB"))
    except Exception as error:  # Pillow's decoders raise errors of nearly any type on a damaged file
        raise InputError(f"cannot read the picture {path}: {one_line(error)}") from error
    return torch.from_numpy(values).view(*values.shape[:2], channels).permute(2, 0, 1).contiguous()


def _eight_bit_grey(image: Image.Image) -> Image.Image:
    values = np.array(image).astype(np.uint32)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def picture_size(path: str | Path) -> tuple[int, int]:
    """(height, width) as :func:`read_picture` gives them, from the file's header alone.

    Raises:
        InputError: not a picture, or its header is damaged.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    except Exception as error:  # as in read_picture
        raise InputError(f"cannot read the picture {path}: {one_line(error)}") from error
    return (width, height) if turned else (height, width)


def picture_sizes(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """:func:`picture_size` of each file, so that a bad one is found before training; with a progress bar when many.

    Raises:
        InputError: the first file that is not a picture.
    """
    return [picture_size(path) for path in tqdm(paths, "checking pictures", disable=len(paths) < _MANY, leave=False)]


def find_pictures(folder: str | Path) -> list[Path]:
    """All picture files below a folder, by extension, sorted by name; hidden files and folders are passed over.

    Raises:
        InputError: the folder is not there, cannot be read, or has no pictures.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")

    def refuse(error: OSError) -> None:
        raise InputError(f"cannot list the folder {error.filename}: {error.strerror}") from error

    found = []
    # a class folder is often a link to elsewhere
    for parent, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        found += [
            Path(parent, name)
            for name in names
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in EXTENSIONS
        ]
    if not found:
        raise InputError(f"there are no pictures in {folder} (looked for {' '.join(sorted(EXTENSIONS))})")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """uint8 [..., C, H, W] -> uint8 [..., C, height, width], bilinear, with anti-aliasing when it shrinks."""
    if images.shape[-2:] == (height, width):
        return images
    batch = images.view(-1, *images.shape[-3:])
    resized = functional.interpolate(batch, (height, width), mode="bilinear", antialias=True)
    return resized.view(*images.shape[:-2], height, width)


def resize_shorter_side(image: Tensor, size: int) -> Tensor:
    """uint8 [C, H, W] -> uint8 with the shorter side of `size` pixels and the proportions kept."""
    height, width = image.shape[-2:]
    shorter = min(height, width)
    return resize(image, max(size, round(height * size / shorter)), max(size, round(width * size / shorter)))


def centre_crop(image: Tensor, size: int) -> Tensor:
    """[C, H, W] with both sides at least `size` -> [C, size, size] from the middle."""
    top, left = (image.shape[-2] - size) // 2, (image.shape[-1] - size) // 2
    return image[:, top : top + size, left : left + size]
