"""Extracts features of images into a table on disk, one row per image: resumable, cached, in any order."""

import hashlib
import json
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ganzoo.errors import InputError, one_line
from ganzoo.evaluation.generate import ImageBatch
from ganzoo.metrics.extractors.base import Extractor
from ganzoo.metrics.paired import Measure
from ganzoo.metrics.reservoir import subsample
from ganzoo.metrics.statistics import SAME_SET, FeatureSpec, Statistics, checked
from ganzoo.utils.files import atomic_folder, atomic_write, remove_stale
from ganzoo.utils.log import log_info

FORMAT = 1
ROWS = 4096  # gathered from a rank at a time
MOMENT_ROWS = 50  # added to moments at a time: a fixed number, so that the last digit depends on neither batches nor ranks
SAVE_EVERY = 30.0  # seconds between two savings of a table
LINE_EVERY = 30.0  # seconds between two lines of progress, where there is no terminal for a bar
DEFAULT_CACHE = "default"
"""Stands for the usual cache folder: ``features`` in ``$GANZOO_CACHE``, or in ``~/.cache/ganzoo`` where that is not set."""


class FeatureSet(NamedTuple):
    """What metrics are computed from: a table reduced to what they need.

    Attributes:
        statistics: moments of all features, and the features that are compared one by one.
        logits: float32 [N, K], one row per image; None where there are none, or nobody needs them.
        classes: the statistics of each class, for metrics per class; else empty.
    """

    statistics: Statistics
    logits: Tensor | None = None
    classes: tuple[Statistics, ...] = ()


class FeatureTable:
    """Columns with one row per image of a set: features, logits, labels, or values of the image itself.

    A row is written once, in any order and by any process. In a folder each column is a file, ``features.npy``, that numpy
    opens; a table that was interrupted is resumed by making a table of the same arguments.

    Args:
        count: images of the set, N.
        spec: what the features are; None for a table without features.
        folder: where the columns are files, made if need be; None for a table in memory.

    Attributes:
        columns: arrays [N, ...] by name; a column is there from its first row on.
        done: bool [N], the rows that are written.

    Raises:
        InputError: the folder cannot be written.
    """

    def __init__(self, count: int, spec: FeatureSpec | None = None, folder: Path | None = None) -> None:
        self.count, self.spec, self.folder = count, spec, folder
        self.columns: dict[str, np.ndarray] = {}
        self.done = np.zeros(count, dtype=bool)
        if folder is not None:
            try:
                self._resume(folder)
            except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
                log_info(f"what an interrupted evaluation left cannot be used, and it starts again ({one_line(error)})")
                self._begin(folder)

    def _resume(self, folder: Path) -> None:
        if not (folder / "done.npy").exists():
            self._begin(folder)
            return
        if json.loads((folder / "about.json").read_text()) != self._about():
            raise ValueError("it is of another set")
        done = np.load(folder / "done.npy")
        columns = {path.stem: np.load(path, mmap_mode="r+") for path in folder.glob("*.npy") if path.stem != "done"}
        if any(len(column) != self.count for column in (done, *columns.values())):
            raise ValueError("a column is of another length")
        self.done, self.columns = done, columns

    def _begin(self, folder: Path) -> None:
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / "about.json").write_text(json.dumps(self._about()))
        except OSError as error:
            raise InputError(f"cannot write into {folder}: {error.strerror}") from error

    def _about(self) -> dict[str, Any]:
        return {"format": FORMAT, "count": self.count, "spec": None if self.spec is None else asdict(self.spec)}

    # -- writing ------------------------------------------------------------------------------------------------------

    def write(self, indices: Tensor, columns: Mapping[str, Tensor]) -> None:
        """Writes rows.

        Args:
            indices: int64 [n], the images' numbers in the set.
            columns: values [n, ...] by name, on any device.

        Raises:
            InputError: the disk is full.
        """
        at = indices.numpy()
        for name, values in columns.items():
            rows = values.detach().cpu().numpy()
            if name not in self.columns:
                self.columns[name] = self._new(name, rows.dtype, rows.shape[1:])
            self.columns[name][at] = rows
        self.done[at] = True

    def _new(self, name: str, dtype: np.dtype, width: tuple[int, ...]) -> np.ndarray:
        shape = (self.count, *width)
        if self.folder is None or not np.prod(shape):
            return np.zeros(shape, dtype)
        path = self.folder / f"{name}.npy"
        try:
            column = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
            _reserve(path)  # or a full disk would kill the process at a write
        except OSError as error:
            raise InputError(f"cannot write into {self.folder}: {error.strerror}") from error
        return column

    def flush(self) -> None:
        """Saves what was written: it outlives the process, and the machine."""
        if self.folder is None:
            return
        for column in self.columns.values():
            if isinstance(column, np.memmap):
                column.flush()
        with atomic_write(self.folder / "done.npy") as part, part.open("wb") as file:
            np.save(file, self.done)  # after the rows, whatever a dying machine writes first

    @property
    def first_missing(self) -> int | None:
        """The lowest index of a row that is not written; None where all are."""
        return None if self.done.all() else int(self.done.argmin())

    # -- reading ------------------------------------------------------------------------------------------------------

    def rows(self, name: str, indices: Any) -> Tensor:
        """Rows of a column, copied to memory; `indices` is what numpy takes: int64 [n], or a slice."""
        return torch.from_numpy(np.array(self.columns[name][indices]))

    @property
    def labels(self) -> Tensor | None:
        """int64 [N], the classes; None where the images have none."""
        return self.rows("labels", slice(None)) if "labels" in self.columns else None

    def labelled(self, c: int) -> np.ndarray:
        """int64 [n], the indices of class c, ascending."""
        return np.flatnonzero(self.columns["labels"] == c)

    def statistics(self, keep: int, seed: int, device: torch.device | str = "cpu") -> Statistics:
        """Moments of all features, and at most `keep` of them one by one.

        Args:
            keep: features kept; of more, each has the same chance.
            seed: of that choice.
            device: where moments are computed; it must know float64.
        """
        assert self.spec is not None
        found = Statistics(self.spec, keep, seed, device)
        for begin in range(0, self.count, MOMENT_ROWS):
            part = slice(begin, min(begin + MOMENT_ROWS, self.count))
            found.update(self.rows("features", part), torch.arange(part.start, part.stop))
        return found

    def statistics_of_class(self, c: int, keep: int, kept: int, seed: int) -> Statistics:
        """The same of class c: of at most `keep` of its images, with at most `kept` of their features one by one."""
        assert self.spec is not None
        found = Statistics(self.spec, kept, seed)
        indices = self.labelled(c)
        indices = indices[subsample(indices, keep, seed)]
        found.update(self.rows("features", indices), torch.from_numpy(indices))
        return found

    def parts(self) -> list[np.ndarray]:
        """The indices of the written rows, some thousands at a time."""
        indices = np.flatnonzero(self.done)
        return [indices[begin : begin + ROWS] for begin in range(0, len(indices), ROWS)]

    # -- the cache ----------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Writes a complete table to a new folder, all of it or nothing; nothing where another process has just done so.

        Raises:
            InputError: the folder cannot be written.
        """
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            remove_stale([folder.parent])
            with atomic_folder(folder) as part:
                for name, column in self.columns.items():
                    np.save(part / f"{name}.npy", column)
                checksums = {path.stem: _checksum(path) for path in part.glob("*.npy")}
                (part / "about.json").write_text(json.dumps(self._about() | {"checksums": checksums}))
        except OSError as error:
            raise InputError(f"cannot write into {folder.parent}: {error.strerror or error}") from error

    @classmethod
    def load(cls, folder: Path, spec: FeatureSpec, count: int) -> Self:
        """Opens what :meth:`save` wrote.

        Args:
            folder: of the table.
            spec: that its features must have.
            count: of the images that it must have.

        Raises:
            InputError: a damaged table, or (it names what differs) one of other features.
        """
        found = cls(count, spec)
        try:
            about = json.loads((folder / "about.json").read_text())
            if about["format"] != FORMAT:
                raise InputError(f"{folder}: format is {about['format']}, and this reads {FORMAT}; remove the folder")
            spec.refuse_unlike(FeatureSpec(**about["spec"]), SAME_SET, str(folder))
            if about["count"] != count:
                raise InputError(f"{folder}: count is {about['count']} there and {count} here; remove the folder")
            for name, checksum in about["checksums"].items():
                if _checksum(folder / f"{name}.npy") != checksum:
                    raise ValueError(f"{name}.npy has changed")
                found.columns[name] = np.load(folder / f"{name}.npy", mmap_mode="r" if count else None)
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{folder}: not a table of features, or a damaged one ({one_line(error)}); remove it"
            ) from error
        found.done[:] = True
        return found


def _reserve(path: Path) -> None:
    with path.open("r+b") as file, suppress(AttributeError):  # not every system can
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)


def _checksum(path: Path) -> int:
    found = 0
    with path.open("rb") as file:
        while part := file.read(2**24):
            found = zlib.crc32(part, found)
    return found


def cache_folder(cache: str | Path | None) -> Path | None:
    """The folder that is meant: :data:`DEFAULT_CACHE`, a path, or None for no cache."""
    if cache is None:
        return None
    if cache == DEFAULT_CACHE:
        home = os.environ.get("GANZOO_CACHE")
        return (Path(home) if home else Path("~/.cache/ganzoo").expanduser()) / "features"
    return Path(cache).expanduser()


def cached_table(cache: Path, spec: FeatureSpec, count: int) -> Path:
    """The folder in the cache of a set's table, whether it is there or not.

    Its name is a hash of all that matters, so that another network, resize, split, set or number of images is another
    folder, and nobody has to remember what a table was made of.
    """
    what = json.dumps({**asdict(spec), "count": count}, sort_keys=True)
    readable = "-".join(filter(None, (spec.extractor, spec.split)))
    return cache / f"{''.join(c if c.isalnum() else '-' for c in readable)}-{hashlib.sha256(what.encode()).hexdigest()[:16]}"


def recall(folder: Path, spec: FeatureSpec, count: int) -> FeatureTable | None:
    """The table in a cache; None where there is none, or a damaged one, which is said and removed."""
    if not folder.exists():
        return None
    try:
        return FeatureTable.load(folder, spec, count)
    except InputError as error:
        log_info(f"{error}: it is made anew")
        shutil.rmtree(folder, ignore_errors=True)
        return None


# -- one pass -----------------------------------------------------------------------------------------------------------


class Progress:
    """Shows how far a pass is: a bar, or a line now and then where there is no terminal.

    Args:
        total: images.
        done: of them, before this pass.
        what: they are.
    """

    def __init__(self, total: int, done: int, what: str) -> None:
        self.total, self.done, self.what = total, done, what
        self.bar = tqdm(total=total, initial=done, desc=what, unit=" images", leave=False, disable=None)
        self._logged = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def update(self, n: int) -> None:
        """n images more."""
        self.done += n
        self.bar.update(n)
        if self.bar.disable and time.monotonic() - self._logged >= LINE_EVERY:
            log_info(f"{self.what}: {self.done} of {self.total} images")
            self._logged = time.monotonic()


class Wanted(NamedTuple):
    """What a pass writes of each image.

    Attributes:
        extractor: of the features; None for none.
        logits: the extractor's class scores.
        classes: how many, where metrics are computed per class, so that images without labels are refused; else 0.
        measures: values of an image and its target, by name.
    """

    extractor: Extractor | None
    logits: bool = False
    classes: int = 0
    measures: Mapping[str, Measure] = {}

    def columns(self, batch: ImageBatch) -> dict[str, Tensor]:
        """Rows of a batch.

        Raises:
            InputError: labels that are missing or out of range, features that are not finite, pairs of unlike sizes.
        """
        images, labels, found = batch.images, batch.labels, dict[str, Tensor]()
        if self.classes:
            check_labels(labels, self.classes)
        if self.extractor is not None:
            features = self.extractor(images)
            checked(features.pool, self.extractor.name, least=0)
            found["features"] = features.pool
            if self.logits and features.logits is not None:
                found["logits"] = features.logits
        if labels is not None:
            found["labels"] = labels
        if batch.target is not None:
            target = batch.target.to(images.device)
            found |= {name: measure(images, target) for name, measure in self.measures.items()}
        grey = torch.full((len(images),), bool((images[:, :1] == images).all()))
        return found | {"size": torch.tensor(images.shape[1:]).expand(len(images), -1), "grey": grey}


def check_labels(labels: Tensor | None, classes: int) -> None:
    """Raises InputError for labels that are missing or outside of the classes."""
    if labels is None:
        raise InputError("metrics per class need labelled images (y: integers, [N]), and these have no labels")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise InputError(f"there are {classes} classes, and the data has labels from {labels.min()} to {labels.max()}")


def conversion(extractor: Extractor | None, grey: bool) -> str:
    """What is done to the channels of images in front of an extractor, in words; "" for nothing.

    Args:
        extractor: None for none.
        grey: the images are grey, in one channel or in equal ones.
    """
    if extractor is None or grey == (extractor.channels == 1):
        return ""
    if grey:
        return f"grey images, their channel repeated for {extractor.name}"
    return f"colour images, turned into grey for {extractor.name}"


def extract(
    tables: Mapping[str, FeatureTable],
    batches: Iterable[ImageBatch],
    wanted: Wanted,
    batch_size: int,
    what: str,
    advance: Callable[[int], object],
    undisturbed: Callable[[], AbstractContextManager] = nullcontext,
    log: Callable[[str], None] = log_info,
) -> None:
    """Fills tables with the rows of batches.

    Args:
        tables: of each set.
        batches: images; several in a row may be of one batch number, ``indices[0] // batch_size``.
        wanted: what is written of each image.
        batch_size: of the batches.
        what: the images are, for messages.
        advance: called with the number of images of each batch, for a progress bar.
        undisturbed: inside this block no signal interrupts, so that a batch is counted whole or not at all.
        log: called with a line about the images, once.

    Raises:
        InputError: images or labels that cannot be used.
    """
    logged: set[str] = set()
    saved = time.monotonic()
    try:
        for _, batch in groupby(batches, lambda each: int(each.indices[0]) // batch_size):
            rows = [(each, wanted.columns(each)) for each in batch]
            with undisturbed():
                for each, columns in rows:
                    tables[each.name].write(each.indices, columns)
                    said = conversion(wanted.extractor, bool(columns["grey"][0]))
                    if said and said not in logged:
                        logged.add(said)
                        log(f"{what}: {said}")
                if time.monotonic() - saved >= SAVE_EVERY:
                    _flush(tables)
                    saved = time.monotonic()
            advance(sum(len(each.indices) for each, _ in rows))
    finally:
        with undisturbed():
            _flush(tables)


def _flush(tables: Mapping[str, FeatureTable]) -> None:
    for table in tables.values():
        table.flush()


def first_batch(tables: Mapping[str, FeatureTable], batch_size: int) -> int | None:
    """The number of the first batch that is not in all tables; None where nothing is missing."""
    missing = [table.first_missing for table in tables.values()]
    return min((first // batch_size for first in missing if first is not None), default=None)


def sizes(tables: Mapping[str, FeatureTable]) -> list[str]:
    """The sizes of the images, ``1x28x28``."""
    found = {
        tuple(row) for table in tables.values() if table.count for row in np.unique(table.columns["size"], axis=0).tolist()
    }
    return sorted("x".join(map(str, size)) for size in found)


def conversions(tables: Mapping[str, FeatureTable], extractor: Extractor | None) -> list[str]:
    """What was done to the channels of the images, in words."""
    greys = {grey for table in tables.values() if table.count for grey in np.unique(table.columns["grey"]).tolist()}
    return sorted(filter(None, (conversion(extractor, grey) for grey in greys)))
