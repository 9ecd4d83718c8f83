"""Remembers the sizes of image files between runs, so that a folder of very many is checked once."""

import hashlib
import os
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import __version__ as pillow

from ganzoo.utils.files import atomic_write, cache_home

Size = tuple[int, int]


class FileIndex:
    """The (height, width) of image files that were found readable, in a file of the cache folder.

    A file is known by its path, its length and the time of its last change; one that differs in any of them is unknown. The
    index is ``images/<hash>.npz`` in ``$GANZOO_CACHE``, or in ``~/.cache/ganzoo`` where that is not set: 30 bytes and the
    name for each file. It is an ordinary cache: it may be deleted at any time, and what cannot be read or written is passed
    over.

    Args:
        files: paths of the files, sorted.
        check: what else the check depends on; another text is another index.
    """

    def __init__(self, files: Sequence[Path], check: str) -> None:
        self.files = files
        self.names = [os.fspath(file) for file in files]
        folder = folder_of(self.names)
        self.skipped = len(os.path.join(folder, ""))
        what = "\0".join((os.path.realpath(folder), check, pillow))
        key = hashlib.sha256(what.encode(errors="surrogateescape")).hexdigest()[:16]
        self.path = cache_home() / "images" / f"{key}.npz"
        self.stamps = stamps_of(self.names)

    def recall(self) -> dict[Path, Size]:
        """The files that are known, and have not changed since."""
        try:
            with np.load(self.path, allow_pickle=False) as file:
                names, stamps, sizes = (file[key] for key in ("names", "stamps", "sizes"))
            rows = {name: row for row, name in enumerate(os.fsdecode(names.tobytes()).split("\0"))}
            if not len(rows) == len(stamps) == len(sizes):
                return {}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return {}  # not there yet, or damaged
        places = np.array([rows.get(name[self.skipped :], -1) for name in self.names])
        same = (places >= 0) & (stamps[places] == self.stamps).all(1)
        height, width = sizes[places].T.tolist()
        return {self.files[i]: (height[i], width[i]) for i in np.flatnonzero(same).tolist()}

    def remember(self, sizes: Mapping[Path, Size]) -> None:
        """Writes the index anew: these files, of those it was built for."""
        kept = [i for i, file in enumerate(self.files) if file in sizes]
        names = os.fsencode("\0".join(self.names[i][self.skipped :] for i in kept))
        values = np.array([sizes[self.files[i]] for i in kept], np.int32).reshape(-1, 2)
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.path) as part, open(part, "wb") as file:
                np.savez(file, names=np.frombuffer(names, np.uint8), stamps=self.stamps[kept], sizes=values)


def folder_of(names: Sequence[str]) -> str:
    """The folder that files have in common; their paths are sorted."""
    # of sorted paths, the first and the last have the least in common
    return os.path.commonpath([os.path.dirname(name) for name in (names[0], names[-1])])


def stamps_of(names: Sequence[str]) -> np.ndarray:
    """The :func:`stamp` of each file, int64 [N, 2]."""
    found = np.empty((len(names), 2), np.int64)  # not a list first, which takes ten times the memory
    for row, name in enumerate(names):
        found[row] = stamp(name)
    return found


def stamp(name: str) -> tuple[int, int]:
    """Length and time of the last change, of the file that a link leads to; -1 where there is none."""
    try:
        found = os.stat(name)
    except OSError:  # told when it is read
        return -1, -1
    return found.st_size, found.st_mtime_ns
