"""A table of features: one row per image of a set, in memory or in files, resumable and in any order."""

import json
import mmap
import os
import shutil
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from ganzoo.errors import InputError, one_line
from ganzoo.metrics.reservoir import subsample
from ganzoo.metrics.statistics import SAME_SET, FeatureSpec, Statistics
from ganzoo.utils.files import atomic_folder, atomic_write, remove_stale
from ganzoo.utils.log import log_info

FORMAT = 1
ROWS = 4096  # gathered from a rank at a time
MOMENT_ROWS = 50  # added to moments at a time: a fixed number, so that the last digit depends on neither batches nor ranks
MAPPED_BYTES = 2**26  # of the files that may be in the process's memory at a time


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
        self._clear()
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

    def _clear(self) -> None:
        self.columns = {}
        self.done = np.zeros(self.count, dtype=bool)
        self._mapped = 0  # bytes that were read or written since the last release

    def _begin(self, folder: Path) -> None:
        self._clear()
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
            self._release(rows.nbytes)
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

    def _release(self, touched: int) -> None:
        """Hands pages of the files back to the system, which would else count as this process's memory."""
        self._mapped += touched
        if self._mapped >= MAPPED_BYTES:
            self._mapped = 0
            for column in self.columns.values():
                if isinstance(column, np.memmap):
                    with suppress(AttributeError):  # not every system can
                        column._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]

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
        found = np.array(self.columns[name][indices])
        self._release(found.nbytes)
        return torch.from_numpy(found)

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

    # -- between ranks ------------------------------------------------------------------------------------------------

    def pieces(self) -> list[Callable[[], Any]]:
        """The written rows, some thousands at a time: each call gives what :meth:`take` takes."""
        indices = torch.from_numpy(np.flatnonzero(self.done))

        def rows_of(part: Tensor) -> Any:
            return part, {name: self.rows(name, part.numpy()) for name in self.columns}

        return [partial(rows_of, part) for part in indices.split(ROWS)] if len(indices) else []

    def take(self, piece: Any) -> None:
        """Writes the rows that another rank's table has given."""
        self.write(*piece)

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

    def recall(self, folder: Path) -> bool:
        """Reads into this empty table what a table of its kind keeps beside the folder; False where there is nothing."""
        return False

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


class MomentTable(FeatureTable):
    """A table without a column of features: it has their moments, and at most `keep` of them one by one.

    It takes about 8 d^2 bytes instead of 4 N d (d values of a feature, N images), and answers no questions about classes.
    Moments are added in the order in which the rows come, so that the last digits are not those of a table.

    Args:
        count: images of the set, N.
        spec: what the features are.
        folder: where it is kept, made if need be; None for memory.
        keep: features that are kept one by one.
        seed: of the choice of these.
        device: where moments are computed; it must know float64.

    Raises:
        InputError: the folder cannot be written.
    """

    def __init__(
        self,
        count: int,
        spec: FeatureSpec,
        folder: Path | None = None,
        keep: int = 0,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self._empty = lambda: Statistics(spec, keep, seed, device)
        self.device = device
        super().__init__(count, spec, folder)

    def _clear(self) -> None:
        super()._clear()
        self.moments = self._empty()

    def _about(self) -> dict[str, Any]:
        return super()._about() | {"keep": self.moments.keep, "seed": self.moments.seed}

    def _resume(self, folder: Path) -> None:
        super()._resume(folder)
        if self.done.any():
            self.moments = Statistics.load(self._file(folder), self.spec, int(self.done.sum()), self.device)

    def _file(self, folder: Path) -> Path:
        return folder / f"moments_{self.done.sum()}.npz"  # done.npy, which is written after it, says which one counts

    def write(self, indices: Tensor, columns: Mapping[str, Tensor]) -> None:
        """Adds the features of rows that are not written yet, and writes the other columns."""
        new = torch.from_numpy(~self.done[indices.numpy()])
        others = dict(columns)
        features = others.pop("features", None)
        if features is not None and new.any():
            self.moments.update(features[new.to(features.device)], indices[new])
        super().write(indices, others)

    def flush(self) -> None:
        """Saves what was written."""
        if self.folder is None:
            return
        try:
            self.moments.save(self._file(self.folder))
        except OSError as error:
            raise InputError(f"cannot write into {self.folder}: {error.strerror}") from error
        super().flush()
        for path in self.folder.glob("moments_*.npz"):
            if path != self._file(self.folder):
                path.unlink()

    def statistics(self, keep: int, seed: int, device: torch.device | str = "cpu") -> Statistics:
        """The moments, with the features that were kept; `keep` and `seed` are those of the table."""
        assert (keep, seed) == (self.moments.keep, self.moments.seed)
        return self.moments

    def pieces(self) -> list[Callable[[], Any]]:
        """The moments, and then the rows of the other columns."""
        return [lambda: self.moments, *super().pieces()]

    def take(self, piece: Any) -> None:
        """Merges another rank's moments, or writes its rows."""
        if isinstance(piece, Statistics):
            self.moments.merge(piece)
        else:
            FeatureTable.write(self, *piece)

    def _cached(self, folder: Path) -> Path:
        return folder.with_name(f"{folder.name}-moments-{self.moments.keep}-{self.moments.seed}.npz")

    def save(self, folder: Path) -> None:
        """Writes the moments beside the folder that a table would have.

        Raises:
            InputError: the folder cannot be written.
        """
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            self.moments.save(self._cached(folder))
        except OSError as error:
            raise InputError(f"cannot write into {folder.parent}: {error.strerror or error}") from error

    def recall(self, folder: Path) -> bool:
        """Reads what :meth:`save` wrote into this empty table; False for nothing, or a damaged file (removed)."""
        path = self._cached(folder)
        if not path.exists():
            return False
        try:
            self.moments = Statistics.load(path, self.spec, self.count, self.device)
        except InputError as error:
            log_info(f"{error}: it is made anew")
            path.unlink(missing_ok=True)
            return False
        self.done[:] = True
        return True


def _reserve(path: Path) -> None:
    with path.open("r+b") as file, suppress(AttributeError):  # not every system can
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)


def _checksum(path: Path) -> int:
    found = 0
    with path.open("rb") as file:
        while part := file.read(2**24):
            found = zlib.crc32(part, found)
    return found
