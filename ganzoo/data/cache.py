"""Caches arrays that are slow to compute as memory-mapped .npy files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ganzoo.errors import InputError, one_line
from ganzoo.utils.files import atomic_write


def cached(path: Path, shape: tuple[int, ...], make: Callable[[], np.ndarray]) -> np.ndarray:
    """Loads a uint8 array from a file; computes and writes it if it is missing, damaged or of another shape.

    Args:
        path: a .npy file. It is written atomically, and its folder is made if need be.
        shape: shape of the array.
        make: function that computes the array; its own errors pass through.

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
    array = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part, open(part, "wb") as file:
            np.save(file, array)
    except OSError as error:
        raise InputError(f"cannot write {path}, which needs {array.nbytes >> 20} MiB: {one_line(error)}") from error
    return np.load(path, mmap_mode="r")
