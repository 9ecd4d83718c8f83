"""Packs the resized training images of a folder into one file, so that each is decoded once and not in every epoch."""

import errno
import hashlib
import os
import shutil
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import __version__ as pillow
from torch import Tensor

from ganzoo.data.file_index import folder_of, stamps_of
from ganzoo.data.file_reader import FileReader
from ganzoo.errors import InputError, one_line, printable
from ganzoo.utils.files import atomic_write, cache_home, remove_stale
from ganzoo.utils.log import log_info
from ganzoo.utils.progress import ProgressBar

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_MARK = b"ganzoo packed images 1 "
_FULL = (errno.ENOSPC, errno.EDQUOT)
_AHEAD = 4  # files that are decoded before they are written, for each thread


class PackedReader:
    """Reads samples like another reader, from a file that holds their images decoded and resized.

    The file is ``packed/<folder>/<files and settings>.images`` in ``$GANZOO_CACHE``, or in ``~/.cache/ganzoo`` where that is
    not set. It is known by the paths, lengths and times of the image files, by the reader's settings and by the versions of
    Pillow and torch: where one of them differs, another file is written. It holds the images' bytes one after the other and
    a mark at its end, and is mapped into memory, read-only, so that worker processes share one copy of what is read.

    It is an ordinary cache: it may be deleted at any time. Before :meth:`open`, or where nothing can be written, images are
    read by the other reader, with the same pixels.

    Args:
        reader: decodes and resizes the images.
        files: what `reader` reads, at least one, each with the same number of images.
        sizes: (height, width) of the files as they are, by path.
    """

    def __init__(self, reader: FileReader, files: Sequence[Any], sizes: Mapping[Path, tuple[int, int]]) -> None:
        self.reader = reader
        self.files = files
        self.shapes = np.array([reader.shapes(file, sizes) for file in files], np.int32)  # [files, images, 3]
        lengths = self.shapes.astype(np.int64).prod(-1)
        self.ends = lengths.cumsum().reshape(lengths.shape)
        self.length = int(self.ends[-1, -1])
        self.rows = {self._name(file): row for row, file in enumerate(files)}
        names = [os.path.abspath(path) for file in files for path, _ in reader.parts(file)]
        folder = os.path.realpath(folder_of(sorted(names)))
        stamps = stamps_of(names)
        key = hashlib.sha256(_MARK + f"{torch.__version__}\0{pillow}\0{reader.settings}\0{folder}".encode(errors="replace"))
        for part in ("\0".join(names).encode(errors="surrogateescape"), stamps.tobytes(), self.shapes.tobytes()):
            key.update(hashlib.sha256(part).digest())
        where = hashlib.sha256(folder.encode(errors="surrogateescape")).hexdigest()[:16]
        self.path = cache_home() / "packed" / where / f"{key.hexdigest()[:16]}.images"
        self.mark = _MARK + key.hexdigest().encode()
        self.folder = folder
        self.bytes: np.ndarray | None = None

    def __call__(self, file: Any) -> Any:
        return self.reader.sample(file, self.read(file))

    def read(self, file: Any) -> list[Tensor]:
        """The images of a file, each uint8 [C, H, W] and a copy of its own."""
        if self.bytes is None:
            return self.reader.read(file)
        row = self.row(file)
        found = []
        for shape, end in zip(self.shapes[row].tolist(), self.ends[row].tolist(), strict=True):
            start = end - shape[0] * shape[1] * shape[2]
            found.append(torch.from_numpy(self.bytes[start:end].reshape(shape).copy()))
        return found

    def row(self, file: Any) -> int:
        """The row of a file in :meth:`table`."""
        return self.rows[self._name(file)]

    def table(self) -> Any:
        """The samples of all files as one NamedTuple of N rows, over the mapped file; None if images differ in size.

        Images are not to be written to. None as well before :meth:`open`, or where nothing could be packed.
        """
        if self.bytes is None or not (self.shapes[..., 1:] == self.shapes[0, 0, 1:]).all():
            return None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            rows = torch.from_numpy(self.bytes).view(len(self.files), -1)
        shapes = self.shapes[0].tolist()
        parts = rows.split([channels * height * width for channels, height, width in shapes], 1)
        images = [part.view(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]
        return self.reader.table(self.files, images)

    def open(self) -> None:
        """Maps the file; packs the images first if it is not there, or damaged.

        A line says where it is and how large. Another process that packs the same images is waited for. Where the cache
        folder cannot be written to, a line says so, and images are decoded each time.

        Raises:
            InputError: there is no room on the disk; an image cannot be read. Nothing half-written is left.
        """
        if self.bytes is not None:
            return
        if not self._map():
            self._pack()
        if self.bytes is not None:
            log_info(f"training reads packed images: {self.path}, {_size(self.length)}")

    def _pack(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self.path.with_suffix(".lock")):
                if not self._map():  # packed by another process meanwhile
                    self._write()
                    self._map()
        except OSError as error:
            if error.errno in _FULL:
                raise InputError(f"cannot pack {self._what}: {error.strerror}; {self._advice}") from error
            reason = error.strerror or one_line(error)
            log_info(f"cannot write packed images to {self.path.parent} ({reason}): images are decoded in each epoch")

    @property
    def _what(self) -> str:
        return f"the images of {printable(self.folder)} ({_size(self.length)} in {self.path.parent})"

    @property
    def _advice(self) -> str:
        return "make room, set GANZOO_CACHE to a folder on another disk, or give packed: false"

    def _name(self, file: Any) -> str:
        return "\0".join(os.fspath(path) for path, _ in self.reader.parts(file))

    def _map(self) -> bool:
        """Maps the file, if it is there and whole."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.length)
                if file.read(len(self.mark) + 1) != self.mark:
                    return False
            # a plain array: slices of a memmap are slow
            self.bytes = np.asarray(np.memmap(self.path, np.uint8, "r", shape=(self.length,)))
        except OSError:
            return False
        return True

    def _write(self) -> None:
        if self.path.exists():
            log_info(f"the packed images in {self.path} are damaged: they are packed again")
        folder = self.path.parent
        remove_stale([folder])
        missing = self.length + len(self.mark) - shutil.disk_usage(folder).free
        if missing > 0:
            raise InputError(f"there is no room to pack {self._what}: {_size(missing)} are missing; {self._advice}")
        threads = min(8, os.cpu_count() or 1)
        with atomic_write(self.path) as part, part.open("wb") as out, ThreadPoolExecutor(threads) as pool:
            with ProgressBar(len(self.files), "packing images", delay=1.0) as bar:
                for row, images in enumerate(_in_order(pool, self.reader.read, self.files, threads * _AHEAD)):
                    if [list(image.shape) for image in images] != self.shapes[row].tolist():
                        name = printable(self._name(self.files[row]).replace("\0", " and "))
                        raise InputError(f"{name} changed while it was packed: start again")
                    for image in images:
                        out.write(image.contiguous().numpy().data)
                    bar.update()
            out.write(self.mark)
            out.flush()
            os.fsync(out.fileno())  # or a power failure could leave a whole file of zeros
        others = [each.stat().st_size for each in folder.glob("*.images") if each != self.path]
        if others:
            log_info(
                f"{folder} holds {len(others)} more of these images, of other settings or older ({_size(sum(others))}): "
                "delete what no training needs"
            )

    def __getstate__(self) -> dict[str, Any]:
        # a started worker process maps the file itself: the pickle would hold its contents
        return {**vars(self), "bytes": None, "was_open": self.bytes is not None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        was_open = state.pop("was_open")
        vars(self).update(state)
        if was_open:
            self._map()


def _in_order(pool: ThreadPoolExecutor, function: Callable[[Any], Any], items: Iterable[Any], ahead: int) -> Iterator[Any]:
    """The results of a function in the order of the items; at most so many are waited for."""
    waiting: deque[Future[Any]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for each in waiting:
            each.cancel()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Context: one process at a time; the system unlocks when a process ends. Nothing where there are no locks."""
    with path.open("a") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log_info("another process packs the same images: waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:  # a file system without locks: each process packs, and the last one's file stays
                pass
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()


def _size(count: int) -> str:
    """A number of bytes, for people."""
    unit, name = next((each for each in ((2**30, "GiB"), (2**20, "MiB")) if count >= each[0]), (2**10, "KiB"))
    return f"{count / unit:.1f} {name}"
