"""Reads image files as uint8 tensors, whole or resized. Nothing else in `data` decodes an image."""

import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ganzoo.data.resizing import resize
from ganzoo.errors import InputError, one_line, printable

Fit = Callable[[int, int], tuple[int, int]]
"""Function of an image's (height, width) that gives the (height, width) to resize it to."""


# formats whose 32-bit mode "I" holds 16-bit values, by Pillow's own scaling
_SIXTEEN_BITS_IN_I = {"PNG", "PPM"}
_ORIENTATION = 0x0112
_STRIP = 4_000_000  # pixels that are converted at a time
_DRAFTS = (8, 4, 2)  # what a JPEG decoder divides an image's sides by
_DRAFT_MARGIN = 2  # a draft's sides are at least so many times the wanted ones


def read_image(path: str | Path, channels: int, max_value: float | None = None) -> Tensor:
    """Reads an image file of any usual kind as uint8 [channels, H, W].

    Alpha is composited on white, EXIF rotation is applied, palettes and CMYK become RGB, 16-bit grey becomes 8-bit by
    round(v / 257). Colour read with one channel is its luma (ITU-R 601); grey read with three is repeated. Of an
    animation it is the first frame.

    Args:
        path: path of the file.
        channels: number of channels that come out, 1 or 3.
        max_value: value of white in grey files of more than 8 bits, whose values become round(255 v / max_value),
            clipped to [0, 255]: 4095 for 12 bits in a 16-bit file. None for 65535. It has no effect on colour files of 16
            bits, which Pillow reads as 8.

    Raises:
        InputError: the file is no image, is damaged or cut short, or has 32 bits and there is no `max_value`.
    """
    try:
        with Image.open(path) as image:
            return _pixels(_upright(image, max_value), channels).contiguous()
    except Exception as error:  # Pillow's decoders raise errors of nearly any type on a damaged file
        raise _unreadable(path, error) from error


def read_resized(
    path: str | Path, channels: Sequence[int], fit: Fit, max_value: float | None = None, draft: bool = False
) -> list[Tensor]:
    """Reads an image file as by :func:`read_image` and resizes it, or the parts that lie side by side in it.

    With `draft` a JPEG that is large enough is decoded at an eighth, a quarter or half of its size, which saves time: at the
    smallest of these whose sides are at least twice the wanted ones. The pixels then differ a little from those of the
    whole image, resized (docs/data.md says how much). Width and height that come out are the same.

    Args:
        path: path of the file.
        channels: number of channels of each part, 1 or 3; one number if the image has no parts.
        fit: function of a part's (height, width) that gives the (height, width) to resize it to.
        max_value: value of white in deep grey files, as for :func:`read_image`.
        draft: decode a large JPEG at a fraction of its size.

    Returns:
        For each part uint8 [channels, height, width].

    Raises:
        InputError: as for :func:`read_image`.
    """
    try:
        with Image.open(path) as image:
            if draft and image.format == "JPEG" and (found := _read_draft(image, channels, fit)):
                return found
            upright = _upright(image, max_value)
            pixels = {each: _pixels(upright, each) for each in set(channels)}
    except Exception as error:  # as in read_image
        raise _unreadable(path, error) from error
    height, width = upright.height, upright.width // len(channels)
    parts = (pixels[each][..., i * width : (i + 1) * width] for i, each in enumerate(channels))
    return [resize(part, *fit(height, width)).contiguous() for part in parts]


def _read_draft(image: Image.Image, channels: Sequence[int], fit: Fit) -> list[Tensor] | None:
    """The resized parts of a JPEG decoded at a fraction of its size; None if it is too small for that."""
    orientation, parts = image.getexif().get(_ORIENTATION, 1), len(channels)
    width, height = image.width // parts, image.height
    high, wide = fit(width, height)[::-1] if orientation in (5, 6, 7, 8) else fit(height, width)
    most = min(width // wide, height // high) // _DRAFT_MARGIN
    # parts are cut between two pixels of the draft, and before it is turned
    fractions = [each for each in _DRAFTS if each <= most and (parts == 1 or (width % each == 0 and orientation == 1))]
    if not fractions or image.draft(None, (image.width // fractions[0], height // fractions[0])) is None:
        return None
    image.load()
    across, down = width / fractions[0], height / fractions[0]  # without what the draft's last pixels have too much
    found = []
    for i, each in enumerate(channels):
        part = image if parts == 1 else image.crop((int(i * across), 0, int((i + 1) * across), image.height))
        part = part.convert("L" if each == 1 else "RGB")
        part = part.resize((wide, high), Image.Resampling.BILINEAR, (0, 0, across, down))
        found.append(_pixels(ImageOps.exif_transpose(part), each).contiguous())
    return found


def _upright(image: Image.Image, max_value: float | None) -> Image.Image:
    """An image that was opened, decoded, turned as it was taken, on white, with 8 bits."""
    image.load()
    deep = is_deep(image)
    _refuse_unknown_range(image, max_value)
    ImageOps.exif_transpose(image, in_place=True)
    return _eight_bit_grey(image, max_value) if deep else _on_white(image)


def _pixels(image: Image.Image, channels: int) -> Tensor:
    """The pixels of an image, uint8 [channels, H, W], with the channels last in memory unless it is large.

    A large one is converted strip by strip, so that it is in memory only twice.
    """
    kind, rows = "L" if channels == 1 else "RGB", max(1, _STRIP // max(image.width, 1))
    if rows >= image.height:
        # a view: to sort 512x512 pixels by channels takes longer than to resize them to 64x64, and the copy is not needed
        values = np.array(image.convert(kind) if image.mode != kind else image)
        return torch.from_numpy(values).view(image.height, image.width, channels).permute(2, 0, 1)
    found = torch.empty(channels, image.height, image.width, dtype=torch.uint8)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        values = np.array(image.crop((0, top, image.width, bottom)).convert(kind))
        found[:, top:bottom] = torch.from_numpy(values).view(bottom - top, image.width, channels).permute(2, 0, 1)
    return found


def read_strokes(path: str | Path, channels: int) -> tuple[Tensor, Tensor]:
    """Reads a painting on a transparent ground: its colours, and where they are.

    Args:
        path: path of the file.
        channels: number of channels of the colours, 1 or 3; colour becomes its luma, grey is repeated.

    Returns:
        Colours, uint8 [channels, H, W], and alpha, uint8 [1, H, W]: 0 where nothing was painted.

    Raises:
        InputError: the file is no image, is damaged, or has no transparent pixel.
    """
    try:
        with Image.open(path) as image:
            image.load()
            painted = ImageOps.exif_transpose(image).convert("RGBA")
        colours = np.array(painted.convert("RGB").convert("L" if channels == 1 else "RGB"))
        alpha = np.array(painted.getchannel("A"))
    except Exception as error:  # as in read_image
        raise _unreadable(path, error) from error
    if alpha.min() > 0:
        raise InputError(f"{printable(path)} has no transparent pixel: paint the strokes on a transparent ground")
    pixels = torch.from_numpy(colours).view(*alpha.shape, channels).permute(2, 0, 1).contiguous()
    return pixels, torch.from_numpy(alpha)[None]


def _unreadable(path: str | Path, error: Exception) -> InputError:
    reason = one_line(error)
    if isinstance(error, UnidentifiedImageError):
        empty = isinstance(path, str | Path) and os.path.getsize(path) == 0
        reason = "it is empty" if empty else "it is of no kind of image that Pillow knows"
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    return InputError(f"cannot read the image {printable(path)}: {reason}; repair or delete it")


def is_deep(image: Image.Image) -> bool:
    """Whether an image is grey with more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _refuse_unknown_range(image: Image.Image, max_value: float | None) -> None:
    unknown = image.mode == "F" or (image.mode == "I" and image.format not in _SIXTEEN_BITS_IN_I)
    if unknown and max_value is None:
        raise ValueError("32-bit images have no known range of values: give max_value, or save it with 8 or 16 bits")


def _eight_bit_grey(image: Image.Image, max_value: float | None) -> Image.Image:
    values = np.array(image)
    if max_value is None:
        return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))
    scaled = np.nan_to_num(values.astype(np.float64) * (255 / max_value))
    return Image.fromarray(scaled.round().clip(0, 255).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def image_size(path: str | Path, max_value: float | None = None, check_end: bool = False) -> tuple[int, int]:
    """Reads (height, width) of an image as :func:`read_image` gives it, without decoding it.

    Args:
        path: path of the file.
        max_value: value of white in deep grey files, as for :func:`read_image`; without it, one of unknown range is refused.
        check_end: refuse a file that is cut short. Then :func:`read_image` can read it but for damage in its middle.

    Raises:
        InputError: the file is no image, its header is damaged, or it is refused for its range or its end.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            _refuse_unknown_range(image, max_value)
            ends, turned = _png_end(path) if image.format == "PNG" else (None, False)
            # a PNG's own getexif decodes the whole image to look for a chunk behind its pixels
            exif = Image.Image.getexif(image) if image.format == "PNG" and not turned else image.getexif()
            if check_end and not (_ends(path, image) if ends is None else ends):
                image.load()  # decides: what stands at the end may be another program's
    except Exception as error:  # as in read_image
        raise _unreadable(path, error) from error
    return (width, height) if exif.get(_ORIENTATION, 1) in (5, 6, 7, 8) else (height, width)


def _png_end(path: str | Path) -> tuple[bool, bool]:
    """Whether a PNG has its last chunk, and whether a chunk behind the pixels could turn it."""
    pixels = turned = False
    with open(path, "rb", buffering=0) as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"IEND":
                return True, turned
            if pixels and kind in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
                text = file.read(min(length, 24))
                turned |= kind == b"eXIf" or text.startswith((b"Raw profile type exif", b"XML:com.adobe.xmp"))
                length -= len(text)
            pixels |= kind == b"IDAT"
            file.seek(length + 4, os.SEEK_CUR)
    return False, turned


def _ends(path: str | Path, image: Image.Image) -> bool:
    """Whether a file ends as a whole file of its kind; False if only decoding can show that."""
    length = os.path.getsize(path)
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        starts, sizes = (tags.get(a, tags.get(b, ())) for a, b in ((273, 324), (279, 325)))
        return bool(starts) and all(start + size <= length for start, size in zip(starts, sizes, strict=False))
    with open(path, "rb", buffering=0) as file:
        if image.format == "WEBP":
            return int.from_bytes(file.read(8)[4:], "little") + 8 <= length
        file.seek(max(length - 64, 0))
        tail = file.read(64).rstrip(b"\0\r\n ")
    ends = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "GIF": b";"}
    return image.format in ends and tail.endswith(ends[image.format])
