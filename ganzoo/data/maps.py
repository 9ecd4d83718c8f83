"""The aerial photographs and street maps of the pix2pix paper."""

from pathlib import Path
from typing import Any

from ganzoo.data.base import Splits
from ganzoo.data.datasets import UnpairedDataset
from ganzoo.data.image_files import find_images
from ganzoo.data.paired import Paired
from ganzoo.data.transforms import Independent
from ganzoo.errors import InputError
from ganzoo.utils.download import fetch, unpack

URL = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/maps.tar.gz"
TRAINING_PAIRS = 1096


class Maps(Paired):
    """New York from the air (A) and its street map (B): the set of the pix2pix paper. Batches are ``ImagePairs``.

    The pairs are read as by ``Paired`` from ``<root>/maps/train`` and ``val``. Without those folders prepare_data
    downloads the archive. Nobody has published its checksum, so what is checked is its length and that it has the paper's
    1,096 training pairs.

    ``unpaired=True`` trains without pairs: batches are ``Unpaired``. A is of the first, third, fifth ... training pair in
    the order of their names, B of the others; an epoch has as many samples as A. Validation and test remain ``ImagePairs``,
    so that a translation can be evaluated.

    Args:
        root: folder of ``maps``, and of ``maps.tar.gz`` where it is downloaded.
        unpaired: train on x and y of different places.
        options: ``direction`` ("AtoB"), ``size`` (256), ``load_size`` (286), ``mirror`` (True), ``damaged`` ("refuse"),
            ``jpeg_draft`` (True), ``packed`` (False), ``predict_squares`` (False) and ``batch_size`` (1) of ``Paired``, and
            ``num_workers``, ``seed``.

    Raises:
        InputError: a number is out of range; the archive is unreachable, damaged or not the known one; there is no room on
            the disk.
    """

    def __init__(self, root: str = "data", unpaired: bool = False, **options: Any) -> None:
        super().__init__(
            str(Path(root, "maps")),
            None,
            None,
            channels_x=3,
            channels_y=3,
            splits=True,
            val_share=0.0,
            max_value=None,
            **options,
        )
        self.unpaired = unpaired

    def prepare_data(self) -> None:
        """Downloads and unpacks the archive, unless that is done."""
        if not (self.root / "train").is_dir():
            archive = fetch(URL, self.root.with_name("maps.tar.gz"))
            unpack(archive, self.root, check=_check_training_pairs)

    def splits(self) -> Splits:
        train, val, test = super().splits()
        if not self.unpaired:
            return train, val, test
        files, transform = train.items, train.transform  # type: ignore[union-attr]
        x, y = (files[0::2], files[1::2]) if self.direction == "AtoB" else (files[1::2], files[0::2])
        return UnpairedDataset(x, y, Independent(transform, transform), self.seed), val, test


def _check_training_pairs(folder: Path) -> None:
    found = len(find_images(folder / "train"))
    if found != TRAINING_PAIRS:
        raise InputError(
            f"the pix2pix archive of maps has {TRAINING_PAIRS} training pairs, and this one {found}: "
            "delete maps.tar.gz and fetch it again"
        )
