"""Two domains, brought to one form by the same code, for domain adaptation."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from ganzoo.data import mnistm
from ganzoo.data.base import ImageDataModule, InMemory, Splits
from ganzoo.data.batches import Images, TwoDomains
from ganzoo.data.checks import one_of
from ganzoo.data.digits import Digits
from ganzoo.data.folder import CentreCropped, CropAndMirror, PictureFile
from ganzoo.data.pictures import Damaged, find_pictures, resize, say_if_dark, whole_pictures
from ganzoo.data.predicting import FromFiles, Numbered, cropped, folder_to_predict, whole
from ganzoo.data.sampling import Augmented, picture_rng, unchanged
from ganzoo.data.splits import class_folders, described, refuse_shared, split_files, split_folders, sub_folders
from ganzoo.data.vision import MNIST
from ganzoo.errors import InputError, one_line
from ganzoo.utils.images import to_grey
from ganzoo.utils.ranges import HalfOpenUnitInterval, Pixels, PositiveFloat, PositiveInt, Seed, Workers

UNKNOWN = -1
"""The label of a picture that has none."""
Parts = tuple[InMemory, InMemory, InMemory]


class Places(NamedTuple):
    """Where the sets of digits find what they are made of; as in :class:`Domains`."""

    root: str
    photographs: str | None = None
    fonts: str | None = None
    binarise: bool = False


class JustPictures(Dataset):
    """Pictures that fit in memory and whose labels are nowhere. x: [N, C, H, W] uint8."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Images:
        return Images(self.x[index])


class Domain(ABC):
    """One domain.

    Attributes:
        channels: that its pictures come with.
        class_names: in the order of the labels; empty where nothing is labelled.
        empty: names of class folders without pictures.
        origin: where there should be training pictures, and why there are none.
    """

    channels: int
    class_names: Sequence[str]
    empty: Sequence[str] = ()
    origin: str = ""

    def prepare(self) -> None:
        """Fetches what is not there."""
        return None

    @abstractmethod
    def training_set(self, channels: int, size: int, labelled: bool) -> Augmented:
        """Pictures uint8 [channels, size, size]: ``LabelledImages``, or ``Images`` and no label held."""

    @abstractmethod
    def held_out(self, channels: int, size: int) -> tuple[Dataset, Dataset]:
        """To validate and to test on: ``LabelledImages``, with y = -1 where there is no label."""

    def to_predict(self, channels: int, size: int) -> Dataset:
        """To predict from, of :class:`~ganzoo.prediction.Inputs`: the test set."""
        return Numbered(self.held_out(channels, size)[1])


def alike(x: Tensor, channels: int, size: int) -> Tensor:
    """Pictures of any domain in the common form: the one place where the digits' domains get it.

    Colour becomes grey (``ganzoo.utils.images.to_grey``), grey becomes colour by repeating it (without
    using more memory), and every other size is resized bilinearly.

    Args:
        x: uint8 [N, 1 or 3, H, W].
        channels: 1 or 3.
        size: height and width in pixels.

    Returns:
        uint8 [N, channels, size, size].
    """
    if x.shape[1] > channels:
        x = to_grey(x)
    if x.shape[-2:] != (size, size):
        # in parts, to keep the resizing's scratch memory small
        x = torch.cat([resize(part, size, size) for part in x.split(1000)])
    return x.expand(-1, channels, -1, -1)


class DigitDomain(Domain):
    """The ten digits, in memory. A subclass gives :meth:`parts`, once, in its own size and channels."""

    class_names = tuple("0123456789")

    def __init__(self, places: Places) -> None:
        self.places = places
        self._parts: Parts | None = None

    @abstractmethod
    def parts(self) -> Parts:
        """To train, to validate and to test on: uint8 [N, channels, H, W] and int64 [N]."""

    def training_set(self, channels: int, size: int, labelled: bool) -> Augmented:
        x, y = self._part(0, channels, size)
        return Augmented(InMemory(x, y) if labelled else JustPictures(x), unchanged, 0)

    def held_out(self, channels: int, size: int) -> tuple[Dataset, Dataset]:
        return InMemory(*self._part(1, channels, size)), InMemory(*self._part(2, channels, size))

    def _part(self, number: int, channels: int, size: int) -> tuple[Tensor, Tensor]:
        self._parts = self._parts or self.parts()
        part = self._parts[number]
        return alike(part.x, channels, size), part.y


class Mnist(DigitDomain):
    """MNIST, split 50,000 / 10,000 / 10,000 as in :class:`~ganzoo.data.MNIST`."""

    channels = 1

    def prepare(self) -> None:
        MNIST(self.places.root).prepare_data()

    def parts(self) -> Parts:
        parts = MNIST(self.places.root).splits()
        if self.places.binarise:
            parts = tuple(InMemory((part.x > 0).to(torch.uint8) * 255, part.y) for part in parts)  # type: ignore
        return parts  # type: ignore[return-value]


def over_photographs(parts: Parts, folder: str | None) -> Parts:
    """The same digits over patches of photographs (:mod:`ganzoo.data.mnistm`): uint8 [N, 3, 28, 28], labels as they are.

    Args:
        parts: uint8 [N, 1, H, W] in each part; other sizes than 28 are resized.
        folder: of the photographs; None for the two of scikit-learn.
    """
    photos = mnistm.photographs(folder)
    train, val, test = (
        InMemory(mnistm.blend(alike(part.x, 1, mnistm.SIDE), mnistm.patches(photos, len(part), stream)), part.y)
        for stream, part in enumerate(parts)
    )
    return train, val, test


class MnistM(Mnist):
    """The digits of MNIST, in its split, over patches of photographs."""

    channels = 3

    def parts(self) -> Parts:
        return over_photographs(super().parts(), self.places.photographs)


class OptDigits(DigitDomain):
    """scikit-learn's digits, split as in :class:`~ganzoo.data.Digits`: 1,266 / 178 / 353 pictures of 8x8. Not USPS."""

    channels = 1

    def parts(self) -> Parts:
        train, val, test = Digits().splits()
        return train, val, test  # type: ignore[return-value]


class OptDigitsM(OptDigits):
    """scikit-learn's digits, in the same split, over patches of photographs: MNIST-M's small sister, without a download."""

    channels = 3

    def parts(self) -> Parts:
        return over_photographs(super().parts(), self.places.photographs)


class _Fetched(DigitDomain):
    """A set of torchvision's in its own folder; the last tenth of its training pictures validates."""

    source: str
    files: tuple[str, ...]

    @abstractmethod
    def opened(self, train: bool, download: bool) -> tuple[np.ndarray, Any]:
        """Pictures and labels as torchvision has them."""

    def prepare(self) -> None:
        for train in (True, False):
            self._open(train, download=True)

    def parts(self) -> Parts:
        (x, y), test = self._open(train=True, download=False), self._open(train=False, download=False)
        kept = len(x) - len(x) // 10
        return InMemory(x[:kept], y[:kept]), InMemory(x[kept:], y[kept:]), InMemory(*test)

    def _open(self, train: bool, download: bool) -> tuple[Tensor, Tensor]:
        try:
            x, y = self.opened(train, download)
        except Exception as error:  # by turns RuntimeError, URLError, OSError and the decoders' own
            raise InputError(
                f"{self.source} can be neither read nor downloaded ({one_line(error)}): "
                f"put {', '.join(self.files)} in the folder {self._folder}"
            ) from error
        images = torch.as_tensor(x)
        return images.view(len(images), self.channels, *images.shape[-2:]), torch.as_tensor(y).long()

    @property
    def _folder(self) -> Path:
        return Path(self.places.root, self.source)

    def _dataset(self) -> Any:
        # torchvision takes a second to import
        return getattr(import_module("torchvision.datasets"), self.source)


class Usps(_Fetched):
    """USPS, 7,291 / 2,007 grey pictures of 16x16, in ``<root>/USPS``."""

    channels, source, files = 1, "USPS", ("usps.bz2", "usps.t.bz2")

    def opened(self, train: bool, download: bool) -> tuple[np.ndarray, Any]:
        dataset = self._dataset()(self._folder, train=train, download=download)
        return dataset.data, dataset.targets


class Svhn(_Fetched):
    """SVHN, 73,257 / 26,032 colour pictures of 32x32, in ``<root>/SVHN``."""

    channels, source, files = 3, "SVHN", ("train_32x32.mat", "test_32x32.mat")

    def opened(self, train: bool, download: bool) -> tuple[np.ndarray, Any]:
        dataset = self._dataset()(str(self._folder), split="train" if train else "test", download=download)
        return dataset.data, dataset.labels


class Fonts(DigitDomain):
    """Printed digits, in the spirit of the paper's SynNum but grey: 20,000 / 2,000 / 2,000 pictures of 28x28.

    Each is turned by up to 25 degrees, slanted, stretched, moved, and drawn with a stroke and greys of its own, dark on
    light or light on dark. The font is the one inside Pillow (Aileron), or all of a folder's: the same pictures for
    everybody who has the same fonts.
    """

    channels = 1

    def parts(self) -> Parts:
        masks = glyphs(_fonts(self.places.fonts))
        train, val, test = (printed(masks, n, stream) for stream, n in enumerate((20_000, 2_000, 2_000)))
        return InMemory(*train), InMemory(*val), InMemory(*test)


_GLYPH = 96  # canvas of a glyph, whose digit is 64 high at most
_STROKES = (0, 1, 2, 3, 4)  # pixels by which an outline of the 64 is thickened


def _fonts(folder: str | None) -> list[Any]:
    if folder is None:
        font = ImageFont.load_default(64)
        if not isinstance(font, ImageFont.FreeTypeFont):
            raise InputError(
                "this Pillow was built without FreeType and draws no digits: pip install --force-reinstall pillow"
            )
        return [font]
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".ttf", ".otf"))
    if not paths:
        raise InputError(f"there are no fonts in {folder} (looked for .ttf .otf)")
    try:
        return [ImageFont.truetype(path, 64) for path in paths]
    except OSError as error:
        raise InputError(f"cannot read a font in {folder}: {one_line(error)}") from error


def glyphs(fonts: Sequence[Any]) -> list[list[Image.Image]]:
    """For each digit its masks (grey, 96x96, 255 is ink) in every font and stroke, in the middle of the canvas."""
    masks: list[list[Image.Image]] = []
    for digit in "0123456789":
        masks.append([])
        for font in fonts:
            for stroke in _STROKES:
                left, top, right, bottom = font.getbbox(digit, stroke_width=stroke)
                mask = Image.new("L", (_GLYPH, _GLYPH))
                corner = (_GLYPH - left - right) / 2, (_GLYPH - top - bottom) / 2
                ImageDraw.Draw(mask).text(corner, digit, 255, font, stroke_width=stroke)
                masks[-1].append(mask)
    return masks


def printed(masks: list[list[Image.Image]], n: int, stream: int) -> tuple[Tensor, Tensor]:
    """Digits in varied print, the i-th the same for every `n` above i: uint8 [n, 1, 28, 28] and int64 [n], i modulo 10.

    Args:
        masks: as :func:`glyphs` gives them.
        n: how many.
        stream: which random numbers, at least 0.
    """
    draws = np.random.default_rng((2016, stream)).random((n, 9))
    ink = np.empty((n, 28, 28), np.uint8)
    for i, (which, turn, slant, height, width, x, y, *_) in enumerate(draws):
        angle, slant = np.radians(50 * turn - 25), 0.4 * slant - 0.2
        tall, wide = 50 / (14 + 8 * height), 0.8 + 0.45 * width
        # from a pixel of 56 to one of the glyph, both counted from the middle: turn, slant, then stretch
        cos, sin = np.cos(angle) * tall / 2, np.sin(angle) * tall / 2
        a, b, d, e = (cos - slant * sin) / wide, (-sin - slant * cos) / wide, sin, cos
        u, v = 28 + 10 * x - 5, 28 + 10 * y - 5
        c, f = _GLYPH / 2 - a * u - b * v, _GLYPH / 2 - d * u - e * v
        mask = masks[i % 10][int(which * len(masks[i % 10]))]
        # drawn twice as large and halved by the mean of each 2x2 block, against jagged edges
        drawn = mask.transform((56, 56), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR)
        ink[i] = np.asarray(drawn.reduce(2))
    paper, step = (256 * draws[:, 7]).astype(int), (96 + 160 * draws[:, 8]).astype(int)
    # the stroke is at least 96 of 255 away, towards the side where there is room
    stroke = np.where(paper < 128, np.minimum(paper + step, 255), np.maximum(paper - step, 0))
    paper, stroke = paper[:, None, None], stroke[:, None, None]
    x = (paper * (255 - ink.astype(int)) + stroke * ink + 127) // 255
    return torch.from_numpy(x.astype(np.uint8)).unsqueeze(1), torch.arange(n) % 10


DIGITS: dict[str, type[DigitDomain]] = {
    "mnist": Mnist,
    "mnist_m": MnistM,
    "usps": Usps,
    "svhn": Svhn,
    "optdigits": OptDigits,
    "optdigits_m": OptDigitsM,
    "fonts": Fonts,
}


class FolderOptions(NamedTuple):
    """How a folder of a domain is read.

    Attributes:
        mirror: mirror training pictures half of the time.
        val_share: in [0, 1), share of the files that is held out where neither ``val`` nor ``test`` is there; with 0 the
            training pictures are the ones to validate and to test on.
        splits: False says that no folder is a split, whatever it is called.
        damaged: what is done about damaged files.
        max_value: the value that is white in grey files of more than 8 bits; None for 65535.
    """

    mirror: bool = True
    val_share: float = 0.1
    splits: bool = True
    damaged: Damaged = "refuse"
    max_value: float | None = None


class FolderDomain(Domain):
    """A folder with a folder for each class, or, as a target, with the pictures themselves; read when asked for.

    Args:
        root: the folder, with or without folders of splits in it.
        options: how it is read.
    """

    channels = 3

    def __init__(self, root: str, options: FolderOptions) -> None:
        self.root = Path(root)
        self.options = options
        self.layout = split_folders(self.root, options.splits, labelled=True)
        self.origin = described(self.root, self.layout)
        # a target may have labels in its test folder only
        where = next((folder for folder in self.layout.values() if sub_folders(folder)), self.root)
        self.class_names = class_folders(where) if where != self.root or "" in self.layout else []
        self.empty = sorted(set(sub_folders(where)) - set(self.class_names))
        self._parts: tuple[list[PictureFile], list[PictureFile], list[PictureFile]] | None = None

    def training_set(self, channels: int, size: int, labelled: bool) -> Augmented:
        files, *_ = self._splits()
        if labelled and files and files[0].label is None:
            raise InputError(f"labelled pictures need a folder for each class, and {files[0].path.parent} has none")
        say_if_dark([file.path for file in files], self.options.max_value)
        files = files if labelled else [file._replace(label=None) for file in files]
        return Augmented(files, CropAndMirror(size, channels, self.options.mirror, self.options.max_value), 0)

    def held_out(self, channels: int, size: int) -> tuple[Dataset, Dataset]:
        train, *held_out = self._splits()
        known = [[f._replace(label=UNKNOWN) if f.label is None else f for f in files or train] for files in held_out]
        # folders come class by class, and the first few batches are what a sanity check and a picture see
        mixed = np.random.default_rng(0)
        known = [[files[i] for i in mixed.permutation(len(files))] for files in known]
        val, test = (CentreCropped(files, size, channels, self.options.max_value) for files in known)
        return val, test

    def to_predict(self, channels: int, size: int) -> Dataset:
        """The files of the test folder, or else all."""
        folder = folder_to_predict(self.layout)
        items = [whole(file, folder, channels, self.options.max_value) for file in find_pictures(folder)]
        return FromFiles([cropped(item, size) for item in items])

    def _splits(self) -> tuple[list[PictureFile], list[PictureFile], list[PictureFile]]:
        if self._parts is None:
            options = self.options
            parts = split_files(self.layout, self._files, lambda file: file.name, options.val_share, options.splits)
            whole = whole_pictures((file.path for files in parts for file in files), options.damaged, options.max_value)
            train, val, test = ([file for file in files if file.path in whole] for files in parts)
            refuse_shared(((file.path,) for file in train), ((file.path,) for file in (*val, *test)))
            self._parts = train, val, test
        return self._parts

    def _files(self, split: str) -> list[PictureFile]:
        folder = self.layout[split]
        names = [(path, path.relative_to(folder)) for path in find_pictures(folder)]
        labelled = any(len(name.parts) > 1 for _, name in names)
        return [PictureFile(path, name.as_posix(), self._label(folder, name) if labelled else None) for path, name in names]

    def _label(self, folder: Path, name: Path) -> int:
        if len(name.parts) < 2:
            raise InputError(f"{folder / name} is in no class folder, though others are: move it into one")
        if name.parts[0] not in self.class_names:
            raise InputError(f"{folder / name.parts[0]} is not one of the classes {', '.join(self.class_names)}")
        return self.class_names.index(name.parts[0])


@lru_cache(maxsize=8)
def domain_order(seed: int, epoch: int, domain: int, pictures: int, length: int) -> np.ndarray:
    """Which picture of a domain stands at each place of an epoch: whole passes over the domain, each in a new order.

    Args:
        seed: at least 0.
        epoch: from 0.
        domain: 0 for the source, 1 for the target, whose orders have nothing to do with each other.
        pictures: in the domain.
        length: places in the epoch.

    Returns:
        int64 [length].
    """
    rng = np.random.default_rng((seed, epoch, 0, 1 + domain))  # three numbers long are those of data.sampling
    return np.concatenate([rng.permutation(pictures) for _ in range(-(-length // pictures))])[:length]


class BothDomains(Augmented):
    """The training set: at each place of an epoch a labelled picture of the source and a picture of the target.

    Args:
        source: of ``LabelledImages``.
        target: of ``Images``; None for the very picture that is the source's.
        length: places in an epoch.
        seed: of the two orders and of the augmentation.
    """

    def __init__(self, source: Augmented, target: Augmented | None, length: int, seed: int) -> None:
        super().__init__(range(length), unchanged, seed)
        self.source = source
        self.target = target

    def __getitem__(self, key: int | tuple[int, int]) -> TwoDomains:
        epoch, place = key if isinstance(key, tuple) else (0, key)
        rng = picture_rng(self.seed, epoch, place)
        x, y = self._draw(self.source, 0, epoch, place, rng)
        target = x if self.target is None else self._draw(self.target, 1, epoch, place, rng).x
        return TwoDomains(x, y, target)

    def _draw(self, domain: Augmented, number: int, epoch: int, place: int, rng: np.random.Generator) -> Any:
        index = domain_order(self.seed, epoch, number, len(domain), len(self))[place]
        return domain.draw(domain.items[int(index)], rng)


class Domains(ImageDataModule):
    """A labelled source and an unlabelled target, for domain adaptation. Training batches are ``TwoDomains``.

    Both domains get the same channels, the same size and the same [-1, 1] here, so that nothing but the pictures tells
    them apart. A training batch has `batch_size` pictures of each, in orders that are independent of each other and new in
    each epoch; an epoch passes once over the larger domain, and the smaller begins again as often as it must. The target's
    labels are in no training batch and not in the training set.

    Validation and test are two loaders of ``LabelledImages``, the source and then the target, with y = -1 where a picture
    has no label. Predicting uses the target's test pictures.

    ===========  ========================================================================================================
    mnist        MNIST, grey 28x28, in ``<root>/MNIST``
    mnist_m      MNIST over patches of photographs, colour 28x28, built when asked for (:mod:`ganzoo.data.mnistm`)
    usps         USPS, grey 16x16, in ``<root>/USPS``
    svhn         SVHN, colour 32x32, in ``<root>/SVHN``
    optdigits    scikit-learn's digits, grey 8x8, nothing to download; they are not USPS
    optdigits_m  the same over patches of photographs, colour 28x28, built when asked for, nothing to download
    fonts        printed digits, grey 28x28, drawn when asked for
    folder       one's own pictures, colour: ``source_root/<class>/*.jpg``; ``target_root`` likewise with the same classes,
                 or with unlabelled pictures directly in it
    ===========  ========================================================================================================

    Args:
        source: one of the above, whose labels are learned.
        target: one of the above, whose pictures are adapted to.
        root: folder of the downloaded sets.
        source_root: of the source "folder".
        target_root: of the target "folder".
        photographs: folder whose pictures lie behind the digits of "mnist_m" and "optdigits_m" (the paper's are BSDS500's);
            None for the two that come with scikit-learn.
        fonts: folder with .ttf or .otf files to print "fonts" with; None for the font inside Pillow.
        size: height and width in pixels. Digits are resized; a folder's pictures are resized by their shorter side and
            cropped, at random for training.
        channels: 1 or 3; None for 3 where one of the domains has colour, otherwise 1.
        train_on_target: the upper bound: the labelled pictures are the target's own training set, and the target's are the
            very same, which leaves the domain classifier nothing to find. An epoch stays as long.
        epoch_length: pictures of each domain in an epoch; None for the larger domain's.
        mirror: mirror a folder's training pictures left to right half of the time.
        val_share: in [0, 1), expected share of a folder's files that validates and tests where neither ``val`` nor ``test``
            is there; with 0 all train, and the same are evaluated (as in Office's transductive protocol).
        splits: False says that no folder is a split, whatever it is called.
        damaged: "refuse" ends with the names of a folder's damaged files before training; "skip" decodes every file once,
            and goes on without them.
        max_value: the value that is white in a folder's grey files of more than 8 bits, 4095 for 12 bits; None for 65535.
        batch_size: pictures of each domain in a batch of each process.
        num_workers: processes that load.
        seed: of the training orders and of the augmentation.
        binarise: makes each pixel of MNIST's digits that is not 0 white, before MNIST-M is built of them too, as tf-dann.

    Attributes:
        shape: (C, H, W) of both domains.
        classes: number of classes.
        class_names: in the order of the labels.

    Raises:
        InputError: a number out of range; a folder missing or not asked for; classes that differ; pictures that can be
            neither read nor downloaded.
    """

    def __init__(
        self,
        source: str = "mnist",
        target: str = "mnist_m",
        root: str = "data",
        source_root: str | None = None,
        target_root: str | None = None,
        photographs: str | None = None,
        fonts: str | None = None,
        size: Pixels = 28,
        channels: Literal[1, 3] | None = None,
        train_on_target: bool = False,
        epoch_length: PositiveInt | None = None,
        mirror: bool = True,
        val_share: HalfOpenUnitInterval = 0.1,
        splits: bool = True,
        damaged: Damaged = "refuse",
        max_value: PositiveFloat | None = None,
        batch_size: PositiveInt = 64,
        num_workers: Workers = 0,
        seed: Seed = 0,
        binarise: bool = False,
    ) -> None:
        self.size = size
        self.epoch_length = epoch_length
        self.train_on_target = train_on_target
        places = Places(root, photographs, fonts, binarise)
        options = FolderOptions(mirror, val_share, splits, damaged, max_value)
        self.source = _domain("source", source, source_root, places, options)
        self.target = _domain("target", target, target_root, places, options)
        self.class_names = self._class_names(source_root or source, target_root or target)
        shape = (channels or max(self.source.channels, self.target.channels), size, size)
        super().__init__(shape, len(self.class_names), batch_size=batch_size, num_workers=num_workers, seed=seed)

    def prepare_data(self) -> None:
        """Downloads what is not in place.

        Raises:
            InputError: it cannot be downloaded; the message names the folder and the files to put there by hand.
        """
        self.source.prepare()
        self.target.prepare()

    def splits(self) -> Splits:
        channels, size, _ = self.shape
        source = self.source.training_set(channels, size, labelled=True)
        target = self.target.training_set(channels, size, labelled=self.train_on_target)
        length = self.epoch_length or max(len(source), len(target))
        without = [domain.origin for domain, pictures in ((self.source, source), (self.target, target)) if not len(pictures)]
        self.origin = " and ".join(without)
        if without:
            train = None
        elif self.train_on_target:
            train = BothDomains(target, None, length, self.seed)
        else:
            train = BothDomains(source, target, length, self.seed)
        held_out = zip(self.source.held_out(channels, size), self.target.held_out(channels, size), strict=True)
        val, test = (ConcatDataset[Any](pair) for pair in held_out)
        return train, val, test

    def val_dataloader(self) -> list[DataLoader]:
        """The source's loader and the target's, uint8 batches in a fixed order."""
        return self._loaders(self.val_set, "validation")

    def test_dataloader(self) -> list[DataLoader]:  # type: ignore[override]
        """The source's loader and the target's, uint8 batches in a fixed order."""
        return self._loaders(self.test_set, "test")

    def inputs(self) -> Dataset:
        """The target's test images; all of a target folder that has no test folder."""
        channels, size, _ = self.shape
        return self.target.to_predict(channels, size)

    def _loaders(self, both: Dataset | None, split: str) -> list[DataLoader]:
        checked: Any = self._checked(both, split)
        return [self._loader(dataset) for dataset in checked.datasets]

    def _class_names(self, source: str, target: str) -> Sequence[str]:
        ours, theirs = self.source.class_names, self.target.class_names
        if not ours:
            raise InputError(f"the source's pictures need a folder for each class, and {source} has none")
        if self.train_on_target and not theirs:
            raise InputError(f"train_on_target needs the target's labels, and {target} has no folder for each class")
        if theirs and set(ours) != {*theirs, *(name for name in self.target.empty if name in ours)}:
            alone = "; ".join(
                f"only {where} has {', '.join(sorted(names)[:3])}"
                for where, names in ((source, set(ours) - set(theirs)), (target, set(theirs) - set(ours)))
                if names
            )
            raise InputError(
                f"the two domains need the same classes: {alone} (unlabelled pictures lie directly in the target's folder)"
            )
        if theirs:  # labels count by the source's names
            self.target.class_names = ours
        return ours


def _domain(which: str, name: str, folder: str | None, places: Places, options: FolderOptions) -> Domain:
    one_of(which, name, (*DIGITS, "folder"))
    if (name == "folder") != (folder is not None):
        raise InputError(
            f"{which}: folder needs {which}_root, the folder of its pictures"
            if folder is None
            else f"{which}_root is for {which}: folder, and {which} is {name}"
        )
    return DIGITS[name](places) if folder is None else FolderDomain(folder, options)
