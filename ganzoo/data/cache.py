"""Arrays that are slow to make, kept as .npy files and read through the page cache."""

import os
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import numpy as np

from ganzoo.errors import InputError, one_line


def cached(path: Path, shape: tuple[int, ...], make: Callable[[], np.ndarray]) -> np.ndarray:
    """The uint8 array in a file, which is made if it is not there, is damaged, or is of another shape.

    Args:
        path: a .npy file; it appears only when it is whole, and its folder is made if need be.
        shape: of the array.
        make: gives the array; its own errors pass through.

    Returns:
        uint8 of `shape`, memory-mapped, read-only.

    Raises:
        InputError: no room for the file or no right to write it.
    """
    try:
        array = np.load(path, mmap_mode="r")
        if array.shape == shape and array.dtype == np.uint8:
            return array
    except (OSError, ValueError, EOFError):
        pass  # not there yet, or damaged: made below
    _write_whole(path, make())
    return np.load(path, mmap_mode="r")


def _write_whole(path: Path, array: np.ndarray) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # not by mkstemp, whose files only their maker may read
        temporary = path.with_name(f"{path.name}.{uuid4().hex}")
        try:
            with open(temporary, "wb") as file:
                np.save(file, array)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot write {path}, which needs {array.nbytes >> 20} MiB: {one_line(error)}") from error
