"""Remembers which files of a very large folder train, validate and test, so that a start neither lists nor checks them."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import __version__ as pillow

from ganzoo.data.file_index import stamp
from ganzoo.data.image_files import folders_below
from ganzoo.errors import printable
from ganzoo.utils.files import atomic_folder, cache_home
from ganzoo.utils.log import log_info

LEAST = 100_000  # files: fewer are listed and looked at in a second or two
_FORMAT = 1
_LOOKED_AT = 1000  # files whose length and time are compared at a start
_SETTLED = 2.0  # seconds: a folder that changed later than that before it was listed may have changed again unseen

Make = Callable[[str, str, int], Any]
"""Function of (folder, name below it with forward slashes, label or -1) that makes the item of a file."""


class FileNames(NamedTuple):
    """The files of a split, all below one folder.

    Attributes:
        folder: the folder.
        names: their names below it, with forward slashes.
        labels: their classes; None if they have none.
    """

    folder: str
    names: Sequence[str]
    labels: Sequence[int] | None = None


class CachedFiles(Sequence[Any]):
    """The items of a split's files, each made when it is asked for, from files that are mapped into memory.

    It takes no memory of its own: worker processes share the pages that they read, and a pickle holds the path alone.

    Args:
        stem: path of the files ``<stem>.names.npy``, ``.ends.npy`` and, of files with classes, ``.labels.npy``.
        folder: that the names are below.
        make: makes an item; a function of a module, for started workers.
        rows: which files, in which order; all of them if left out.
        labelled: False for items without labels, whether they have any or not.
    """

    def __init__(self, stem: str, folder: str, make: Make, rows: np.ndarray | None = None, labelled: bool = True) -> None:
        self.stem, self.folder, self.make, self.rows, self.labelled = stem, folder, make, rows, labelled
        self._map()

    def _map(self) -> None:
        self.names, self.ends = (_mapped(f"{self.stem}.{part}.npy") for part in ("names", "ends"))
        has_labels = self.labelled and os.path.exists(f"{self.stem}.labels.npy")
        self.labels = _mapped(f"{self.stem}.labels.npy") if has_labels else None

    def __len__(self) -> int:
        return len(self.ends) if self.rows is None else len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"there are {len(self)} files, and number {index} is asked for")
        row = int(index) % len(self) if self.rows is None else int(self.rows[index])
        start = int(self.ends[row - 1]) if row else 0
        name = os.fsdecode(self.names[start : int(self.ends[row])].tobytes())
        return self.make(self.folder, name, -1 if self.labels is None else int(self.labels[row]))

    def take(self, rows: np.ndarray) -> "CachedFiles":
        """The files of these numbers, in this order."""
        rows = rows if self.rows is None else self.rows[rows]
        return CachedFiles(self.stem, self.folder, self.make, rows, self.labelled)

    def without_labels(self) -> "CachedFiles":
        """The same files as items without labels."""
        return CachedFiles(self.stem, self.folder, self.make, self.rows, labelled=False)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("names", "ends", "labels")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._map()


class SplitCache:
    """The splits of folders of 100,000 files or more, in the cache folder, and whether they are still true.

    They are in ``splits/<hash>/`` of ``$GANZOO_CACHE``, or of ``~/.cache/ganzoo`` where that is not set: the length of its
    name and 8 to 12 bytes for each file. They are taken as they are if no folder below the roots has changed since, which a
    new, deleted or renamed file does to its folder, and a thousand of the files, evenly spread, have the same length and
    time. So a start costs a look at each folder, whatever the number of files. What goes unnoticed is a file that was
    overwritten in place. It is an ordinary cache, that may be deleted at any time.

    Args:
        roots: the folders of the data.
        settings: what else decides which files are in which split.
    """

    def __init__(self, roots: Sequence[Path], settings: Mapping[str, Any]) -> None:
        self.began = time.time()  # before any folder is listed
        self.roots = [os.path.realpath(root) for root in roots]
        what = json.dumps([_FORMAT, pillow, list(map(os.fspath, roots)), self.roots, settings], sort_keys=True, default=str)
        self.path = cache_home() / "splits" / hashlib.sha256(what.encode(errors="surrogateescape")).hexdigest()[:16]

    def recall(self, make: Make) -> tuple[dict[str, Sequence[Any]], Any] | None:
        """The files of each split by its name, and what was remembered with them; None if that is not known any more."""
        try:
            content = json.loads((self.path / "splits.json").read_text())
            if any(folder_stamp(path) != tuple(known) for path, known in content["folders"]):
                return None
            found, other = self.load(make)
            if any(_fingerprint(found[name]) != known for name, known in content["looked_at"].items()):
                return None
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            return None  # not there, or damaged
        count = sum(len(found[name]) for name in content["looked_at"])
        where = " and ".join(map(printable, self.roots))
        log_info(f"{where}: {count} files are known from {self.path}; if some were overwritten in place, delete that folder")
        return found, other

    def load(self, make: Make) -> tuple[dict[str, Sequence[Any]], Any]:
        """What :meth:`remember` has written, without a look at whether it is still true."""
        content = json.loads((self.path / "splits.json").read_text())
        found: dict[str, Sequence[Any]] = {}
        for split, (stored, folder) in content["splits"].items():
            found[split] = [] if stored is None else CachedFiles(os.fspath(self.path / stored), folder, make)
        return found, content["other"]

    def remember(self, splits: Mapping[str, FileNames], other: Any) -> bool:
        """Writes the splits, if no folder has changed since shortly before they were listed.

        Args:
            splits: the files of each split; two splits may be one object.
            other: plain values to remember with them.

        Returns:
            Whether it did. Where the cache folder cannot be written to, it does not.
        """
        stored = {split: next(name for name, each in splits.items() if each is files) for split, files in splits.items()}
        folders = [(path, folder_stamp(path)) for root in self.roots for path in folders_below(root)]
        if max(time_of for _, (time_of, *_) in folders) > (self.began - _SETTLED) * 1e9:
            return False
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.path, ignore_errors=True)
            with atomic_folder(self.path) as part:
                looked_at = {name: _write(part / name, splits[name]) for name in set(stored.values()) if splits[name].names}
                named = {split: (stored[split] if files.names else None, files.folder) for split, files in splits.items()}
                content = {"folders": folders, "splits": named, "looked_at": looked_at, "other": other}
                (part / "splits.json").write_text(json.dumps(content))
            return True
        return False


def folder_stamp(path: str) -> tuple[int, int, int]:
    """Time of the last change of a folder, which of its file system it is, and of which; -1 where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return -1, -1, -1
    return found.st_mtime_ns, found.st_ino, found.st_dev


def _write(stem: Path, files: FileNames) -> str:
    """Writes the names and labels of a split's files; returns their fingerprint."""
    encoded = [os.fsencode(name) for name in files.names]
    np.save(f"{stem}.names.npy", np.frombuffer(b"".join(encoded), np.uint8))
    np.save(f"{stem}.ends.npy", np.fromiter(map(len, encoded), np.int64, len(encoded)).cumsum())
    if files.labels is not None:
        np.save(f"{stem}.labels.npy", np.asarray(files.labels, np.int32))
    return _fingerprint(CachedFiles(os.fspath(stem), files.folder, cached_path))


def _fingerprint(files: Sequence[Any]) -> str:
    """A hash of the length and time of a thousand of the files, evenly spread; of fewer, all."""
    count = len(files)
    rows = np.linspace(0, count - 1, min(count, _LOOKED_AT)).astype(np.int64)
    taken = CachedFiles(files.stem, files.folder, cached_path, rows)  # type: ignore[attr-defined]
    return hashlib.sha256(repr([stamp(os.fspath(path)) for path in taken]).encode()).hexdigest()[:16]


def cached_path(folder: str, name: str, label: int = -1) -> Path:
    """The path of a file."""
    return Path(os.path.join(folder, *name.split("/")))


def _mapped(path: str) -> np.ndarray:
    return np.asarray(np.load(path, mmap_mode="r"))  # a plain array: slices of a memmap are slow
