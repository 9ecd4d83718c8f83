"""Emoji: real colour images in an npm package."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import LabelledImages
from ganzoo.data.cache import cached
from ganzoo.data.datasets import InMemory
from ganzoo.data.images import read_image
from ganzoo.data.sampling import Augmented
from ganzoo.data.splits import is_held_out
from ganzoo.data.transforms import random_flip, resize_in_chunks
from ganzoo.errors import InputError, one_line
from ganzoo.utils.download import unpack
from ganzoo.utils.ranges import Pixels

VERSION = "16.0.0"
NATIVE = 64
CLASSES = (
    "Smileys & Emotion",
    "People & Body",
    "Animals & Nature",
    "Food & Drink",
    "Travel & Places",
    "Activities",
    "Objects",
    "Symbols",
    "Flags",
)
"""Unicode's own categories, in its order. The tenth, Component, has only five swatches of skin and is left out."""

# as npm publishes it (dist.integrity)
GOOGLE_SHA512 = "ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8DlPhfQ3A=="
_SKINS = ("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff")

# one and the same figure as a man, a woman and a person, a boy, a girl and a child, to the left and to the right
_SAME_PART = {"1F468": "1F9D1", "1F469": "1F9D1", "1F466": "1F9D2", "1F467": "1F9D2"}
_ENDINGS = ("-200D-2640", "-200D-2642", "-200D-27A1")
# and the flags that territories share with their states, the family drawn twice
_SAME_IMAGE = {
    "1F1ED-1F1F2": "1F1E6-1F1FA",  # HM, AU
    "1F1E7-1F1FB": "1F1F3-1F1F4",  # BV, NO
    "1F1F8-1F1EF": "1F1F3-1F1F4",  # SJ, NO
    "1F1E8-1F1F5": "1F1EB-1F1F7",  # CP, FR
    "1F1F2-1F1EB": "1F1EB-1F1F7",  # MF, FR
    "1F1E8-1F1F6": "1F1F8-1F1E6",  # CQ, which the one design draws as SA
    "1F1E9-1F1EC": "1F1EE-1F1F4",  # DG, IO
    "1F1EA-1F1E6": "1F1EA-1F1F8",  # EA, ES
    "1F1FA-1F1F2": "1F1FA-1F1F8",  # UM, US
    "1F46A": "1F9D1-200D-1F9D1-200D-1F9D2",
}


class EmojiImage(NamedTuple):
    """An emoji: its code points such as ``1F468-200D-1F692``, its class, and the name of its file."""

    code: str
    label: int
    file: str


def split_group(code: str) -> str:
    """The group of an emoji: emoji that look nearly alike have one group, so that they are in the same split.

    Args:
        code: hexadecimal code points joined by hyphens.

    Returns:
        The code without sex, age group, direction and presentation; one code for all flags that are the same.
    """
    code = "-".join(_SAME_PART.get(part, part) for part in code.split("-") if part != "FE0F")
    for ending in _ENDINGS:
        code = code.replace(ending, "")
    return _SAME_IMAGE.get(code, code)


def part_of(code: str) -> str:
    """The split of an emoji, by a hash of its :func:`split_group`: "val" and "test" a tenth each, "train" the rest."""
    name = split_group(code)
    return "val" if is_held_out(name, 0.1) else "test" if is_held_out(name, 0.2) else "train"


class EmojiSet:
    """One company's drawings of all emoji, from the npm package ``emoji-datasource-<name>`` 16.0.0.

    Args:
        name: the company, such as "google".
        root: folder that holds the package, unpacked or as npm's .tgz.
        sha512: checksum of the .tgz, base64, as npm publishes it.
    """

    def __init__(self, name: str, root: str | Path, sha512: str) -> None:
        self.name = name
        self.sha512 = sha512
        self.package = f"emoji-datasource-{name}"
        self.folder = Path(root, f"{self.package}-{VERSION}")
        self.archive = Path(root, f"{self.package}-{VERSION}.tgz")

    def prepare(self) -> None:
        """Unpacks the 64-pixel images, after fetching the package if need be, unless their folder is there.

        Raises:
            InputError: no package and no way to get it, or not the known one; no room.
        """
        if self.folder.is_dir():
            return
        if not self.archive.exists():
            self._npm_pack()
        with open(self.archive, "rb") as file:
            found = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
        if found != self.sha512:
            raise InputError(f"{self.archive} has the sha512 {found}, not {self.sha512}: delete it and fetch it again")
        unpack(self.archive, self.folder, wanted=self._wanted)

    def listed(self) -> list[EmojiImage]:
        """All emoji of :data:`CLASSES` without variants of skin, in Unicode's order.

        Raises:
            InputError: the folder is not what :meth:`prepare` makes.
        """
        try:
            entries = json.loads((self.folder / "emoji.json").read_text(encoding="utf-8"))
            entries = sorted((entry for entry in entries if entry["category"] in CLASSES), key=lambda e: e["sort_order"])
            return [EmojiImage(e["unified"], CLASSES.index(e["category"]), e["image"]) for e in entries]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.folder} is not the unpacked {self.package} {VERSION} ({one_line(error)}): "
                "delete it, and prepare_data makes it anew"
            ) from error

    def images(self) -> Tensor:
        """The drawings of :meth:`listed`, on white; decoded once and kept in the folder as ``images.npy`` (23 MB).

        Returns:
            uint8 [N, 3, 64, 64].

        Raises:
            InputError: an image is missing or damaged; no room.
        """
        files = [self.folder / "img" / self.name / "64" / image.file for image in self.listed()]

        def make() -> np.ndarray:
            return np.stack([read_image(file, 3).numpy() for file in files])

        return torch.from_numpy(np.array(cached(self.folder / "images.npy", (len(files), 3, NATIVE, NATIVE), make)))

    def _wanted(self, name: PurePosixPath) -> bool:
        inside = name.parts[1:]
        if inside[:-1] == ("img", self.name, "64"):
            return not any(skin in name.stem.split("-") for skin in _SKINS)
        return inside in (("emoji.json",), ("README.md",), ("LICENSE",))

    def _npm_pack(self) -> None:
        """Has npm fetch the package, by the index and the proxy that it is set up for; npm checks what comes."""
        command = f"npm pack {self.package}@{VERSION}"
        by_hand = f"get it with `{command}` and put {self.archive.name} in the folder {self.archive.parent}"
        npm = shutil.which("npm")
        if npm is None:
            raise InputError(f"the emoji are in a package of npm, which is not installed: {by_hand}")
        try:
            self.archive.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=self.archive.name + ".", dir=self.archive.parent) as temporary:
                arguments = [npm, *command.split()[1:], "--ignore-scripts", "--pack-destination", "."]
                done = subprocess.run(arguments, cwd=temporary, capture_output=True, text=True, check=False)
                packed = Path(temporary, self.archive.name)
                if done.returncode or not packed.exists():
                    raise InputError(f"`{command}` fails ({_said(done.stderr)}): {by_hand}")
                os.replace(packed, self.archive)
        except OSError as error:
            raise InputError(f"cannot run `{command}` in {self.archive.parent} ({one_line(error)}): {by_hand}") from error


def _said(stderr: str) -> str:
    """The errors in what npm writes, without its warnings, on one line."""
    lines = [line.split(maxsplit=2)[-1] for line in stderr.splitlines() if line.startswith(("npm error", "npm ERR!"))]
    return one_line(RuntimeError("; ".join(lines[:2]) or stderr or "without a word"))[:300]


def shuffled_indices(where: np.ndarray) -> Tensor:
    """Indices of the true entries, in a fixed random order."""
    # in Unicode's order, the first that an image grid shows would all be faces
    return torch.from_numpy(np.random.default_rng(0).permutation(np.flatnonzero(where)))


class Emoji(ImageDataModule):
    """1,906 emoji in colour, 64x64 on white, in Google's design (Noto). Batches are ``LabelledImages``.

    The class is Unicode's category, in the order of :data:`CLASSES`. There is one image per emoji, without variants
    of skin. About a tenth validates and a tenth tests, chosen by a hash of the emoji's code without sex, age group and
    direction (:func:`split_group`): man, woman and person of one kind are in the same split.

    The images are in the npm package emoji-datasource-google 16.0.0 (74 MB; art under the Apache licence 2.0).
    prepare_data has npm fetch it into `root` if neither its folder nor its .tgz is there, checks it against the sha512
    that npm publishes, and unpacks what it needs (8 MB).

    Args:
        root: folder with ``emoji-datasource-google-16.0.0`` or ``emoji-datasource-google-16.0.0.tgz``.
        size: height and width in pixels: any other than 64 is resized bilinearly.
        mirror: flip training images left to right half of the time, letters and flags as well.
        loading: ``batch_size`` (64), ``num_workers`` (0) and ``seed`` (0) of ``ImageDataModule``.

    Attributes:
        class_names: the nine categories, in the order of their numbers.

    Raises:
        InputError: a number is out of range; the package is not there and npm cannot fetch it, or it is not the known one.
    """

    class_names = CLASSES

    def __init__(self, root: str = "data", size: Pixels = NATIVE, mirror: bool = False, **loading: Any) -> None:
        super().__init__((3, size, size), len(CLASSES), **loading)
        self.design = EmojiSet("google", root, GOOGLE_SHA512)
        self.size = size
        self.mirror = mirror

    def prepare_data(self) -> None:
        """Fetches, checks, unpacks and decodes the images, unless that is done."""
        self.design.prepare()
        self.design.images()

    def splits(self) -> Splits:
        listed = self.design.listed()
        x = resize_in_chunks(self.design.images(), self.size)
        y = torch.tensor([image.label for image in listed])
        parts = np.array([part_of(image.code) for image in listed])
        train, val, test = (
            InMemory(LabelledImages(x[where], y[where]))
            for where in map(shuffled_indices, (parts == "train", parts == "val", parts == "test"))
        )
        return Augmented(train, random_flip, self.seed) if self.mirror else train, val, test
