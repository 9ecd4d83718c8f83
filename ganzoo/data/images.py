"""Reads image files as uint8 tensors, finds and checks them, and resizes images. Nothing else in `data` opens an image."""

import os
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional

from ganzoo.data.file_index import FileIndex
from ganzoo.errors import InputError, one_line, printable
from ganzoo.utils.log import log_info
from ganzoo.utils.progress import ProgressBar

Fit = Callable[[int, int], tuple[int, int]]
"""Function of an image's (height, width) that gives the (height, width) to resize it to."""
Damaged = Literal["refuse", "skip"]
"""What to do about damaged files before training: stop with their names, or train without them."""

EXTENSIONS = {
    *(".apng", ".avif", ".bmp", ".dib", ".gif", ".icb", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf"),
    *(".jpg", ".jpx", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".sgi", ".tga", ".tif", ".tiff", ".vda"),
    *(".vst", ".webp"),
}

# files that are common in image folders, and need no line in the log
_NOTES = {
    *(".cfg", ".csv", ".db", ".html", ".ini", ".json", ".jsonl", ".log", ".md", ".parquet", ".pdf", ".py", ".sh", ".tsv"),
    *(".txt", ".toml", ".xml", ".yaml", ".yml"),
}
# formats whose 32-bit mode "I" holds 16-bit values, by Pillow's own scaling
_SIXTEEN_BITS_IN_I = {"PNG", "PPM"}
_ORIENTATION = 0x0112
_MANY = 2000
_STRIP = 4_000_000  # pixels that are converted at a time
_EXAMPLES = 3
_LOOKED_AT = 8  # images whose range of values is checked
_DARK, _FLAT = 32, 4  # of 255
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
    deep = _is_deep(image)
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


def _is_deep(image: Image.Image) -> bool:
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


def image_size(path: str | Path) -> tuple[int, int]:
    """Reads (height, width) of an image as :func:`read_image` gives it, without decoding it.

    Raises:
        InputError: the file is no image, or its header is damaged.
    """
    return _size(path, None, check_end=False)


def _size(path: str | Path, max_value: float | None, check_end: bool) -> tuple[int, int]:
    """(height, width); with `check_end`, of a file that :func:`read_image` can read but for damage in its middle."""
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


def readable_images(
    paths: Iterable[Path], damaged: Damaged = "refuse", max_value: float | None = None
) -> dict[Path, tuple[int, int]]:
    """Finds the files that can be read, with their (height, width), so that a damaged one is known before training.

    Of 2,000 files or more it remembers the result (:class:`~ganzoo.data.file_index.FileIndex`), and another time it checks
    only those that are new or have changed.

    Args:
        paths: paths of the files; one that is there twice is checked once.
        damaged: "refuse" checks each file's header and its end, a fraction of a millisecond each; a file that is damaged in
            its middle is found when it is read. "skip" decodes each file once, in threads, and logs the number of damaged
            ones.
        max_value: value of white in deep grey files, as for :func:`read_image`.

    Raises:
        InputError: with "refuse", some files are no images or are cut short; with "skip", none is left.
    """
    files = sorted(set(paths), key=os.fspath)
    look = partial(_size_or_error, max_value=max_value, decode=damaged == "skip")
    index = FileIndex(files, f"{damaged} {max_value}") if len(files) >= _MANY else None
    known = {} if index is None else index.recall()
    unknown = [file for file in files if file not in known]
    with ThreadPoolExecutor(1 if damaged == "refuse" else min(8, os.cpu_count() or 1)) as pool:
        checked: dict[Path, tuple[int, int] | InputError] = {}
        with ProgressBar(len(unknown), "checking images", shown=len(unknown) >= _MANY) as bar:
            for file, size in zip(unknown, pool.map(look, unknown), strict=True):
                checked[file] = size
                bar.update()
    found = {file: known[file] if file in known else checked[file] for file in files}
    errors = [str(error) for error in found.values() if isinstance(error, InputError)]
    whole = {path: size for path, size in found.items() if not isinstance(size, InputError)}
    if index is not None and unknown:
        index.remember(whole)
    if errors and (damaged == "refuse" or not whole):
        others = f" ({len(errors) - 1} more of {len(files)} cannot be read)" if len(errors) > 1 else ""
        skip = ", or give damaged: skip to do without" if damaged == "refuse" else ""
        raise InputError(f"{errors[0]}{skip}{others}")
    if errors:
        more = f", and {len(errors) - _EXAMPLES} more" if len(errors) > _EXAMPLES else ""
        names = [printable(path) for path, size in found.items() if isinstance(size, InputError)]
        log_info(f"{len(errors)} of {len(files)} images are damaged and skipped: {', '.join(names[:_EXAMPLES])}{more}")
    return whole


def _size_or_error(path: Path, max_value: float | None, decode: bool) -> tuple[int, int] | InputError:
    try:
        if decode:
            _, height, width = read_image(path, 1, max_value).shape
            return height, width
        return _size(path, max_value, check_end=True)
    except InputError as error:
        return error


def warn_if_dark(paths: Sequence[Path], max_value: float | None = None) -> None:
    """Logs a warning if images are all nearly black, or all of one value, as 12 bits in a 16-bit file are.

    Up to eight are read, and only the first if its values are as they should be.
    """
    if not paths:
        return
    low, high, step = 255, 0, -(-len(paths) // _LOOKED_AT)
    for path in paths[::step]:
        values = read_image(path, 1, max_value)
        low, high = min(low, int(values.min())), max(high, int(values.max()))
        if high >= _DARK and high - low >= _FLAT:
            return
    what = "nearly black" if high < _DARK else "all of nearly one value"
    line = f"the images in {paths[0].parent} are {what}, {low} to {high} of 255"
    with Image.open(paths[0]) as image:
        deep = _is_deep(image)
    if deep and 0 < high < _DARK:
        bits = int((high - 0.5) * (max_value or 65535) / 255).bit_length()
        line += f": if their files hold {bits} bits, give max_value: {2**bits - 1}"
    log_info(line)


@lru_cache(maxsize=1)
def _readable() -> frozenset[str]:
    """The extensions that this build of Pillow reads; AVIF, for example, is not in every build."""
    Image.init()
    known = Image.registered_extensions()
    return frozenset(extension for extension in EXTENSIONS if known.get(extension) in Image.OPEN)


def find_images(folder: str | Path) -> list[Path]:
    """Finds all image files below a folder, by extension, sorted by name; skips hidden files and folders.

    Links are followed, and each folder is visited once: a link to a folder that is found already, or that contains the link,
    adds nothing. Logs how many files of other kinds there are, except for notes (.txt, .json and the like).

    Raises:
        InputError: there is no such folder, it cannot be read, or it has no images.
    """
    folder = Path(folder)
    found: list[Path] = []
    others: Counter[str] = Counter()
    for entry in _files_below(folder):
        extension = os.path.splitext(entry.name)[1].lower()
        # a link to nothing is found when it is read; a pipe would be read for ever
        if extension in _readable() and (os.path.isfile(entry.path) or not os.path.exists(entry.path)):
            found.append(Path(entry.path))
        elif extension not in _NOTES:
            others[extension or "without extension"] += 1
    counts = ", ".join(f"{count} {extension}" for extension, count in others.most_common(6))
    if not found:
        there = f"; there are {counts}" if counts else ""
        raise InputError(f"there are no images in {printable(folder)} (looked for {' '.join(sorted(_readable()))}){there}")
    if counts:
        log_info(f"{folder}: {len(found)} images; files of other kinds are skipped: {counts}")
    start = len(os.path.join(folder, ""))
    return sorted(found, key=lambda path: os.fspath(path)[start:].replace(os.sep, "/"))


def has_images(folder: Path) -> bool:
    """Whether there is an image file below a folder."""
    return any(os.path.splitext(entry.name)[1].lower() in _readable() for entry in _files_below(folder))


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is skipped."""
    return name.startswith((".", "__MACOSX"))


def _files_below(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yields the files below a folder; visits each folder once, whatever links lead to it."""
    if not os.path.isdir(folder):
        raise InputError(f"there is no folder {printable(folder)}")
    seen: set[str] = set()
    # a class folder is often a link to elsewhere; links come last, so that a folder is found under its own name
    folders, links = [str(folder)], list[str]()
    while folders or links:
        linked = not folders
        here = folders.pop() if folders else links.pop(0)
        real = os.path.realpath(here)
        if real in seen or (linked and any(_is_within(inner, real) for inner in (os.path.dirname(here), folder))):
            continue
        seen.add(real)
        try:
            with os.scandir(here) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise InputError(f"cannot list the folder {error.filename}: {error.strerror}") from error
        for entry in listed:
            if is_hidden(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif os.path.isdir(entry.path):
                links.append(entry.path)
            else:
                yield entry


def _is_within(folder: str | Path, other: str) -> bool:
    return os.path.commonpath([os.path.realpath(folder), other]) == other


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Resizes uint8 [..., C, H, W] to [..., C, height, width], bilinear, with anti-aliasing when it shrinks."""
    if images.shape[-2:] == (height, width):
        return images
    batch = images.view(-1, *images.shape[-3:])
    resized = functional.interpolate(batch, (height, width), mode="bilinear", antialias=True)
    return resized.view(*images.shape[:-2], height, width)


def resize_shorter_side(image: Tensor, size: int) -> Tensor:
    """Resizes uint8 [C, H, W] so that the shorter side has `size` pixels; keeps the proportions."""
    height, width = image.shape[-2:]
    return resize(image, *fit_shorter_side(height, width, size))


def fit_shorter_side(height: int, width: int, size: int) -> tuple[int, int]:
    """The (height, width) of an image whose shorter side is resized to `size` pixels."""
    shorter = min(height, width)
    return max(size, round(height * size / shorter)), max(size, round(width * size / shorter))


def fit_square(height: int, width: int, size: int) -> tuple[int, int]:
    """The (height, width) of an image that is resized to a square of `size` pixels."""
    return size, size


def centre_crop(image: Tensor, size: int) -> Tensor:
    """Crops the middle [C, size, size] of [C, H, W], whose sides are at least `size`."""
    top, left = (image.shape[-2] - size) // 2, (image.shape[-1] - size) // 2
    return image[:, top : top + size, left : left + size]
