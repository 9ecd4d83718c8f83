"""Images from shards: files of many images each, local or in a bucket, for data larger than a machine.

The shards are litdata's, which reads the i-th image of a set wherever it lies. So the order is ganzoo's own, as for all
other data: a function of seed and epoch, which knows nothing of workers and needs no state to be resumed.
"""

import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten
from typing import Any, Literal, Protocol
from uuid import uuid4

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import ImagePairs, Images, LabelledImages
from ganzoo.data.datasets import Mapped
from ganzoo.data.folder import ImageFile
from ganzoo.data.images import read_image
from ganzoo.data.resizing import resize_shorter_side
from ganzoo.data.sampling import Augmented, EpochSampler, ResumableLoader, order_rng
from ganzoo.data.transforms import CenterCrop, RandomCropFlip
from ganzoo.errors import InputError, one_line
from ganzoo.utils.ranges import Pixels, PositiveFloat, PositiveInt, Seed, Workers

# litdata fetches a name of this ending without threads, which must not be there when a loader forks its workers
ABOUT = "ganzoo-index.json"
INDEX = "index.json"
KINDS: dict[str, type] = {kind.__name__: kind for kind in (Images, LabelledImages, ImagePairs)}
# litdata's addresses; "local:/folder" is a folder treated like a bucket
REMOTE = ("s3://", "gs://", "azure://", "r2://", "local:")

_FORMAT = 1
_IN_USE = 60.0  # seconds since a shard was last read


def _litdata() -> Any:
    try:
        # a second to import, and only shards need it
        import litdata.streaming
        import litdata.streaming.downloader
    except ModuleNotFoundError as error:
        raise InputError(
            f'shards are written and read by litdata ({one_line(error)}): pip install "litdata>=0.2.76,<0.3"'
        ) from None
    return litdata


# -- order ----------------------------------------------------------------------------------------------------------------


class ShardOrder(EpochSampler):
    """A new order of the shards and of their images for each epoch, in which few shards are open at a time.

    The shards come in a random order, one at each tick, and each image follows its shard by a random time of less than
    `mix` ticks: at any time the images of `mix` shards are mixed. A process has a run of neighbouring shards, as many
    images as any other; what is left over when the set does not divide by the number of processes, the last images of
    the last shard, is left out of that epoch.

    Args:
        sizes: images in each shard.
        seed: at least 0.
        mix: shards whose images are mixed, at least 1.
        num_replicas: processes that share the training set.
        rank: which of them this is, from 0.
    """

    def __init__(self, sizes: Sequence[int], seed: int, mix: int, num_replicas: int = 1, rank: int = 0) -> None:
        super().__init__(sum(sizes), seed, num_replicas, rank)
        self.sizes = sizes
        self.first = np.cumsum([0, *sizes])
        self.mix = mix

    def __iter__(self) -> Iterator[tuple[int, int]]:
        left_out = self.begun[1] if self.epoch == self.begun[0] else 0
        for images in self._in_order():
            yield from ((self.epoch, index) for index in images[left_out:].tolist())
            left_out = max(left_out - len(images), 0)

    def _in_order(self) -> Iterator[np.ndarray]:
        """This process's images, in parts of about one shard."""
        begin, end = self.rank * self.num_samples, (self.rank + 1) * self.num_samples
        place = 0
        when, waiting = np.empty(0), np.empty(0, np.int64)
        for tick, shard in enumerate(order_rng(self.seed, self.epoch).permutation(len(self.sizes)).tolist()):
            size = self.sizes[shard]
            low, high = max(begin - place, 0), min(end - place, size)
            place += size
            if low >= high:
                continue
            # places 0 and 1 + index are taken, by the order of the whole and by each image's augmentation
            rng = np.random.default_rng((self.seed, self.epoch, 0, 1 + shard))
            waiting = np.concatenate([waiting, self.first[shard] + rng.permutation(size)[low:high]])
            when = np.concatenate([when, tick + self.mix * rng.random(size)[low:high]])
            due = when < tick + 1
            yield waiting[due][when[due].argsort()]
            when, waiting = when[~due], waiting[~due]
        yield waiting[when.argsort()]


# -- where the shards are -------------------------------------------------------------------------------------------------


class Place(Protocol):
    """Where shards are, and how one comes to be a file of this machine."""

    name: str
    folder: Path

    def bring(self, shard: str, size: int) -> None:
        """Makes sure that a shard of `size` bytes is in `folder`, or raises InputError."""


class Local:
    """A folder of this machine, read in place."""

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self.folder = folder

    def bring(self, shard: str, size: int) -> None:
        try:
            found = os.path.getsize(self.folder / shard)
        except OSError as error:
            raise InputError(f"the shard {self.folder / shard} cannot be read: {error.strerror}") from None
        if found < size:
            raise InputError(f"the shard {self.folder / shard} is cut short: it has {found} bytes of {size}")


class Remote:
    """A folder of a bucket, whose shards are fetched when they are needed and kept up to a limit.

    Args:
        url: of the folder.
        cache: folder of this machine that all processes of it share; what it holds may be deleted between runs.
        limit: bytes; beyond them the shards that have not been read for longest are deleted, but none of those in use.
        options: litdata's ``storage_options``.
    """

    def __init__(self, url: str, cache: Path, limit: float, options: dict[str, Any] | None) -> None:
        self.name = url
        self.limit = limit
        self.options = options
        index = _fetched_text(url, INDEX, options)
        # other shards of the same address are other files
        self.folder = cache / sha256(f"{url}\n{index}".encode()).hexdigest()[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        _write_whole(self.folder / INDEX, index)

    def bring(self, shard: str, size: int) -> None:
        path = self.folder / shard
        if _touched(path):
            return
        from filelock import FileLock

        with FileLock(f"{path}.fetching"):  # by one process; the others wait
            if not _touched(path):
                self._make_room(size)
                _fetch(self.name, shard, self.folder, self.options)
                Local(self.folder).bring(shard, size)

    def _make_room(self, wanted: int) -> None:
        kept = []
        for path in self.folder.glob("*.bin"):
            try:
                kept.append((path.stat().st_mtime, path.stat().st_size, path))
            except FileNotFoundError:  # another process has made room
                continue
        total = wanted + sum(size for _, size, _ in kept)
        for read, size, path in sorted(kept):
            if total <= self.limit or time.time() - read < _IN_USE:
                return
            path.unlink(missing_ok=True)
            total -= size


def _touched(path: Path) -> bool:
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _fetch(url: str, name: str, folder: Path, options: dict[str, Any] | None) -> None:
    get_downloader = _litdata().streaming.downloader.get_downloader
    try:
        downloader = get_downloader(url, str(folder), [], options)
        downloader.download_file(f"{url}/{name}", str(folder / name))
    except Exception as error:  # each of litdata's clients has its own errors
        reason = shorten(one_line(error), 200)  # some say all they know
        raise InputError(f"cannot fetch {url}/{name}: {reason}") from error
    if not (folder / name).is_file():
        raise InputError(f"cannot fetch {url}/{name}")


def _fetched_text(url: str, name: str, options: dict[str, Any] | None) -> str:
    with TemporaryDirectory() as folder:
        _fetch(url, name, Path(folder), options)
        return Path(folder, name).read_text()


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{uuid4().hex}")
    temporary.write_text(text)
    os.replace(temporary, path)


# -- reading --------------------------------------------------------------------------------------------------------------


class Shards(Dataset):
    """The images of a set of shards, still encoded: ``shards[i]`` is the i-th, a value for each field of its sample.

    Args:
        place: where they are.
        mix: shards to keep open.

    Attributes:
        sizes: images in each shard.
        making: tells these shards from others of the same address.

    Raises:
        InputError: its index is damaged; of shards in a local folder, one is missing or cut short. Others are found
            when they are read.
    """

    def __init__(self, place: Place, mix: int) -> None:
        self.place = place
        self.mix = mix
        path, name = place.folder / INDEX, f"{place.name}/{INDEX}"
        index = _parsed(path.read_text, name)
        # litdata writes the time of the making into it
        self.making = sha256(path.read_bytes()).hexdigest()[:8]
        try:
            self.chunks = [(chunk["filename"], chunk["chunk_bytes"]) for chunk in index["chunks"]]
            self.sizes = [chunk["chunk_size"] for chunk in index["chunks"]]
        except (KeyError, TypeError):
            raise InputError(f"{name} is not an index of shards") from None
        self.first = np.cumsum([0, *self.sizes])
        if isinstance(place, Local):
            for shard in self.chunks:
                place.bring(*shard)
        self._reader: Any = None
        self._process = -1

    def __len__(self) -> int:
        return int(self.first[-1])

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        shard = self.shard_of(index)
        self.place.bring(*self.chunks[shard])
        try:
            return tuple(self._open()[index].values())
        except Exception as error:  # whatever litdata meets in a damaged file
            raise InputError(f"the shard {self.name_of(index)} is damaged: {one_line(error)}") from error

    def shard_of(self, index: int) -> int:
        """Which shard the i-th image is in."""
        return int(self.first.searchsorted(index, "right")) - 1

    def name_of(self, index: int) -> str:
        """Its address."""
        return f"{self.place.name}/{self.chunks[self.shard_of(index)][0]}"

    def _open(self) -> Any:
        if self._process != os.getpid():  # a reader holds open files, which are not a worker's to share
            # batch_decode=0: one image at a time, and not all of its neighbours
            self._reader = _litdata().streaming.StreamingDataset(
                str(self.place.folder), max_pre_download=self.mix + 1, batch_decode=0
            )
            self._process = os.getpid()
        return self._reader

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reader": None, "_process": -1}


def _parsed(read: Callable[[], str], name: str) -> Any:
    try:
        return json.loads(read())
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{name} is damaged: {one_line(error)}") from None


class Decode:
    """A stored sample -> the sample, with shorter sides of `size` pixels."""

    def __init__(self, shards: Shards, kind: type, size: int, channels: Mapping[str, int]) -> None:
        self.shards = shards
        self.kind = kind
        self.size = size
        self.channels = channels

    def __call__(self, index: int) -> Any:
        stored = zip(self.kind._fields, self.shards[index], strict=True)  # type: ignore[attr-defined]
        return self.kind(
            *(
                self._image(index, value, self.channels[name]) if name in self.channels else torch.tensor(value)
                for name, value in stored
            )
        )

    def _image(self, index: int, encoded: bytes, channels: int) -> Tensor:
        try:
            image = read_image(io.BytesIO(encoded), channels)  # type: ignore[arg-type]
        except InputError as error:
            reason = one_line(error.__cause__ or error)
            raise InputError(f"image {index}, in the shard {self.shards.name_of(index)}, is damaged: {reason}") from error
        return resize_shorter_side(image, self.size)


class Streaming(ImageDataModule):
    """Images from shards that :func:`write_shards` has written. Batches are ``Images``, ``LabelledImages`` or
    ``ImagePairs``, as the shards have them.

    A local folder is read in place. The shards of a bucket
    are fetched whole when an image of theirs is needed, into `cache`, where all processes of a machine share them.

    The shards come in a new order each epoch, and the images of `mix` of them are mixed at any time: a function of seed,
    epoch and the number of processes, whatever `num_workers` is. Each process has its own shards, but for the two at the
    ends of its share, and equally many batches. A run that is resumed within an epoch reads nothing of what it has seen.

    The shorter side is resized to `size`; training takes a random square of that, the same of both images of a pair,
    validation the middle one. Images of that size already are left as they are.

    Args:
        root: folder or address: ``shards``, ``s3://bucket/shards``; also gs, azure and r2.
        size: height and width in pixels that come out; that of the stored images if left out.
        channels: 1 for grey, 3 for colour; as stored if left out.
        mirror: mirror training images left to right half of the time.
        mix: shards whose images are mixed. Each process has so many open.
        cache: folder for the shards of a bucket.
        cache_gb: gigabytes of them to keep, for each of the splits.
        storage_options: litdata's own, for a bucket: credentials, a server's address.
        batch_size: images in a batch of each process.
        num_workers: processes that load.
        seed: of the training order and of the augmentation.

    Raises:
        InputError: a number out of range; `root` holds no shards, or shards of which some are missing or cut short; no
            `size` is given and the images are of several. A damaged image is refused when it is read.
    """

    def __init__(
        self,
        root: str,
        size: Pixels | None = None,
        channels: Literal[1, 3] | None = None,
        mirror: bool = False,
        mix: PositiveInt = 8,
        cache: str = "data/streaming",
        cache_gb: PositiveFloat = 50.0,
        storage_options: dict[str, Any] | None = None,
        batch_size: PositiveInt = 64,
        num_workers: Workers = 0,
        seed: Seed = 0,
    ) -> None:
        _litdata()
        self.root = root.rstrip("/")
        self.mix = mix
        self.mirror = mirror
        self.cache = Path(cache)
        self.cache_gb = cache_gb
        self.storage_options = storage_options
        about = self._about()
        self.kind, self.splits_there = KINDS[about["batch"]], about["splits"]
        self.shards: Shards | None = None  # of the training set, after setup
        self.class_names: list[str] | None = about["class_names"]
        stored: dict[str, list[int | None]] = about["images"]
        self.size = self._size(size, stored)
        self.channels = {name: channels or int(shape[0] or 3) for name, shape in stored.items()}
        shapes = {name: (depth, self.size, self.size) for name, depth in self.channels.items()}
        self.shape_x = shapes["x"]
        self.shape_y = shapes.get("y", self.shape_x)
        super().__init__(self.shape_y, about["classes"], batch_size=batch_size, num_workers=num_workers, seed=seed)

    def splits(self) -> Splits:
        train, val, test = (self._decoded(split) for split in ("train", "val", "test"))
        if train is None:
            return None, val, test
        decode = train.transform.load
        self.shards = decode.shards
        return Augmented(train.items, RandomCropFlip(decode, self.size, self.mirror), self.seed), val, test

    def train_dataloader(self) -> DataLoader:
        """uint8 batches in the order of (seed, epoch), all of `batch_size`; equally many in each process.

        Raises:
            InputError: no training images, or fewer than one batch for each process.
        """
        loader = super().train_dataloader()
        plain: Any = loader.sampler
        assert self.shards is not None  # or there would be no loader
        sampler = ShardOrder(self.shards.sizes, self.seed, self.mix, plain.num_replicas, plain.rank)
        sampler.begin_at(*plain.begun)
        return self._loader(loader.dataset, ResumableLoader, sampler=sampler, drop_last=True)

    def _order(self) -> dict[str, Any]:
        return {**super()._order(), "mix": self.mix, "shards": None if self.shards is None else self.shards.making}

    def _decoded(self, split: str) -> Any:
        if split not in self.splits_there:
            return None
        shards = Shards(self._place(split), self.mix)
        if len(shards) != self.splits_there[split]:
            raise InputError(
                f"{shards.place.name}/{INDEX} has {len(shards)} images and {self.root}/{ABOUT} says "
                f"{self.splits_there[split]}: these are not shards of one making"
            )
        return Mapped(range(len(shards)), CenterCrop(Decode(shards, self.kind, self.size, self.channels), self.size))

    def _place(self, split: str) -> Place:
        address = f"{self.root}/{split}"
        if self.root.startswith(REMOTE):
            return Remote(address, self.cache, self.cache_gb * 1e9, self.storage_options)
        return Local(Path(address))

    def _about(self) -> dict[str, Any]:
        name = f"{self.root}/{ABOUT}"
        if self.root.startswith(REMOTE):
            text = _fetched_text(self.root, ABOUT, self.storage_options)
        elif "://" in self.root:
            raise InputError(f"{self.root}: shards are read from a folder or from {', '.join(REMOTE[:-1])}")
        elif not Path(self.root).is_dir():
            raise InputError(f"there is no folder {self.root}")
        elif not Path(name).is_file():
            raise InputError(f"{self.root} holds no shards, or not all of them: there is no {ABOUT} (see write_shards)")
        else:
            text = Path(name).read_text(errors="replace")
        about = _parsed(lambda: text, name)
        if not isinstance(about, dict) or about.get("format") != _FORMAT or about.get("batch") not in KINDS:
            raise InputError(
                f"{name} is not what this ganzoo writes beside shards: make them again, or install the newer one"
            )
        return about

    def _size(self, size: int | None, stored: Mapping[str, Sequence[int | None]]) -> int:
        if size is not None:
            return size
        sides = {side for shape in stored.values() for side in shape[1:]}
        if len(sides) > 1 or None in sides:
            raise InputError(f"the images in {self.root} are of several sizes, or not square: give size")
        return int(sides.pop() or 0)


# -- writing --------------------------------------------------------------------------------------------------------------


def write_shards(
    data: ImageDataModule,
    root: str | Path,
    shard_mb: float = 64.0,
    seed: int = 0,
    tick: Callable[[int, int], None] | None = None,
) -> None:
    """Writes a DataModule's images as shards that :class:`Streaming` reads.

    Of an ``ImageFolder`` the files go in as they are. The images of all other data are written as PNG, without loss:
    as they are before augmentation where the DataModule has them so, otherwise as they are drawn in epoch 0. The
    training images are shuffled, so that a shard is a fair sample of them. `root` appears when all is written.

    Args:
        data: set up already.
        root: folder to be made; there must be nothing of that name, or an empty folder.
        shard_mb: megabytes in a shard.
        seed: of the shuffling.
        tick: called as ``tick(done, of)`` after each image, for a progress bar.

    Raises:
        InputError: `root` already exists, it cannot be written, or the samples are of a kind that shards do not have.
    """
    root = Path(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise InputError(f"{root} already exists: give another folder, or delete it")
    sets = {"train": _stored_set(data.train_set), "val": _stored_set(data.val_set), "test": _stored_set(data.test_set)}
    there = {split: samples for split, samples in sets.items() if samples is not None and len(samples)}
    total = sum(len(samples) for samples in there.values())
    making = root.with_name(f"{root.name}.{uuid4().hex}")
    stored = _About()
    done = 0
    try:
        for split, samples in there.items():
            order = order_rng(seed, 0).permutation(len(samples)) if split == "train" else np.arange(len(samples))
            making.joinpath(split).mkdir(parents=True)
            shards = _litdata().streaming.Cache(str(making / split), chunk_bytes=max(int(shard_mb * 1e6), 1))
            for place, index in enumerate(order.tolist()):
                shards[place] = stored.add(samples[index])
                done += 1
                if tick is not None:
                    tick(done, total)
            shards.done()
            shards.merge()
        about = stored.described(data, {split: len(samples) for split, samples in there.items()})
        making.joinpath(ABOUT).write_text(json.dumps(about, indent=1))
        os.replace(making, root)
    except OSError as error:
        raise InputError(f"cannot write {root}: {one_line(error)}") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)


class _About:
    """What the samples written so far have in common."""

    def __init__(self) -> None:
        self.kind: type | None = None
        self.shapes: dict[str, list[int | None]] = {}

    def add(self, sample: Any) -> dict[str, Any]:
        """The sample as it is stored."""
        values: dict[str, Any] = {}
        if isinstance(sample, ImageFile):
            values = {"x": sample.path.read_bytes()}
            shapes: dict[str, list[int | None]] = {"x": [None, None, None]}
            kind: type = Images
            if sample.label is not None:
                values["y"], kind = sample.label, LabelledImages
        else:
            kind, shapes = type(sample), {}
            for name, value in sample._asdict().items():
                image = value.dtype == torch.uint8
                values[name] = _png(value) if image else int(value)
                if image:
                    shapes[name] = list(value.shape)
        if self.kind not in (None, kind):
            raise InputError(f"samples are of two kinds, {self.kind} and {kind}: shards hold one")
        self.kind = kind
        self.shapes = _common(self.shapes, shapes) if self.shapes else shapes
        return values

    def described(self, data: ImageDataModule, splits: dict[str, int]) -> dict[str, Any]:
        """The file beside the shards."""
        if self.kind is None:
            raise InputError(f"{type(data).__name__} has no images, or is not set up")
        shapes = {name: [shape[0] or data.shape[0], *shape[1:]] for name, shape in self.shapes.items()}
        return {
            "format": _FORMAT,
            "batch": self.kind.__name__,
            "images": shapes,
            "classes": data.classes,
            "class_names": getattr(data, "class_names", None),
            "splits": splits,
        }


def _common(a: dict[str, list[int | None]], b: dict[str, list[int | None]]) -> dict[str, list[int | None]]:
    return {name: [p if p == q else None for p, q in zip(a[name], b[name], strict=True)] for name in a}


def _png(image: Tensor) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy()).save(file, "PNG")
    return file.getvalue()


def _stored_set(dataset: Any) -> Any:
    """A dataset's samples before augmentation, where it has them so."""
    if dataset is None:
        return None
    known = (ImageFile, *KINDS.values())
    if isinstance(dataset, Mapped) and len(dataset) and isinstance(dataset.items[0], known):  # type: ignore[index]
        dataset = dataset.items
    if isinstance(dataset, Augmented) and len(dataset) and isinstance(dataset.items[0], known):
        dataset = dataset.items
    if len(dataset) and not isinstance(dataset[0], known):
        raise InputError(f"shards hold {', '.join(KINDS)}, not {type(dataset[0]).__name__}")
    return dataset
