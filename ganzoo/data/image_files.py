"""Finds image files below folders, and checks before a training that they can be read."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

from PIL import Image

from ganzoo.data.file_index import FileIndex
from ganzoo.data.images import image_size, is_deep, read_image
from ganzoo.errors import InputError, printable
from ganzoo.utils.log import log_info
from ganzoo.utils.progress import ProgressBar

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
_MANY = 2000
_EXAMPLES = 3
_AT_ONCE = 10_000  # files that wait to be checked
_LOOKED_AT = 8  # images whose range of values is checked
_DARK, _FLAT = 32, 4  # of 255


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
    whole = {} if index is None else index.recall()
    unknown = [file for file in files if file not in whole]
    errors: dict[Path, str] = {}
    alike: dict[tuple[int, int], tuple[int, int]] = {}  # of very many files most have one size: it is kept once
    threads = 1 if damaged == "refuse" else min(8, os.cpu_count() or 1)
    shown = len(unknown) >= _MANY
    with ThreadPoolExecutor(threads) as pool, ProgressBar(len(unknown), "checking images", shown=shown) as bar:
        for start in range(0, len(unknown), _AT_ONCE):  # a pool keeps a kilobyte for each file that waits
            part = unknown[start : start + _AT_ONCE]
            for file, size in zip(part, pool.map(look, part), strict=True):
                if isinstance(size, InputError):
                    errors[file] = str(size)
                else:
                    whole[file] = alike.setdefault(size, size)
                bar.update()
    if unknown and len(unknown) < len(files):
        whole = {file: whole[file] for file in files if file in whole}  # in the order of the files
    if index is not None and unknown:
        index.remember(whole)
    if errors and (damaged == "refuse" or not whole):
        others = f" ({len(errors) - 1} more of {len(files)} cannot be read)" if len(errors) > 1 else ""
        skip = ", or give damaged: skip to do without" if damaged == "refuse" else ""
        raise InputError(f"{next(iter(errors.values()))}{skip}{others}")
    if errors:
        more = f", and {len(errors) - _EXAMPLES} more" if len(errors) > _EXAMPLES else ""
        names = map(printable, list(errors)[:_EXAMPLES])
        log_info(f"{len(errors)} of {len(files)} images are damaged and skipped: {', '.join(names)}{more}")
    return whole


def _size_or_error(path: Path, max_value: float | None, decode: bool) -> tuple[int, int] | InputError:
    try:
        if decode:
            _, height, width = read_image(path, 1, max_value).shape
            return height, width
        return image_size(path, max_value, check_end=True)
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
        deep = is_deep(image)
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
    with suppress(OSError), os.scandir(folder) as entries:  # most often it is one of the first, of however many
        if any(_is_image(entry) and not entry.is_dir() for entry in entries):
            return True
    return any(_is_image(entry) for entry in _files_below(folder))


def _is_image(entry: os.DirEntry[str]) -> bool:
    return not is_hidden(entry.name) and os.path.splitext(entry.name)[1].lower() in _readable()


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is skipped."""
    return name.startswith((".", "__MACOSX"))


def folders_below(folder: str | Path) -> list[str]:
    """A folder and all folders below it that :func:`find_images` lists; each is visited once, whatever links lead to it."""
    return [path for path, _ in _walk(folder)]


def _files_below(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """Yields the files below a folder."""
    for _, files in _walk(folder):
        yield from files


def _walk(folder: str | Path) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Yields the folders below a folder, each with its files; visits each folder once, whatever links lead to it."""
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
        files = []
        for entry in listed:
            if is_hidden(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif os.path.isdir(entry.path):
                links.append(entry.path)
            else:
                files.append(entry)
        yield here, files


def _is_within(folder: str | Path, other: str) -> bool:
    return os.path.commonpath([os.path.realpath(folder), other]) == other
