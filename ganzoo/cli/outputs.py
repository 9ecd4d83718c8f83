"""The output files of ``ganzoo evaluate``, and the work folder from which an interrupted evaluation is resumed."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ganzoo.cli.options import refuse_unwritable
from ganzoo.errors import InputError
from ganzoo.evaluation.protocol import Result, key_of

try:
    import fcntl
except ImportError:  # not every system has it
    fcntl = None  # type: ignore[assignment]


class UnsavedError(InputError):
    """All metrics are computed, and the result cannot be written."""


def output_paths(given: str | None, usual: Path, result: Result, grid: bool, judged: Path | None) -> tuple[Path, Path]:
    """Chooses the result's file and its image's file; never overwrites those of another evaluation.

    Args:
        given: the file that the user named (``--out``); None if left out.
        usual: the file where the user named none; a number is added if another evaluation's result is there.
        result: the result that will be written.
        grid: whether an image is written too.
        judged: the folder whose images are evaluated; None where a model is evaluated.

    Raises:
        InputError: another file is there, the folder cannot be written, or the image would be in the evaluated folder.
    """
    out = usual if given is None else Path(given)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write into {out.parent}: {error.strerror}; give another --out") from error
    refuse_unwritable(out, "--out")
    refuse_unwritable(_grid(out), "--out")
    number = 1
    while given is None and _taken(out, result, grid):
        number += 1
        out = usual.with_name(f"{usual.stem}_{number}{usual.suffix}")
    if taken := _taken(out, result, grid):
        raise InputError(f"--out {taken} is there, and no earlier result of this evaluation: give another, or remove it")
    if grid and judged is not None and judged.resolve() in _grid(out).resolve().parents:
        raise InputError(f"--out: {_grid(out)} would be among the images of {judged}: give a name outside of it")
    return out, _grid(out)


def _grid(out: Path) -> Path:
    return out.with_name(f"{out.name.removesuffix('.json')}_neighbours.png")


def _taken(out: Path, result: Result, grid: bool) -> Path | None:
    """Returns the file that must not be overwritten; None if there is none."""
    if out.is_dir() or (out.exists() and _key(out) != result.key):
        return out
    alone = _grid(out).is_dir() or (_grid(out).exists() and not out.exists())
    return _grid(out) if grid and alone else None


def _key(path: Path) -> str | None:
    with suppress(InputError):
        return key_of(path)
    return None


@contextmanager
def work_dir(folder: Path) -> Iterator[Path]:
    """Context: a locked folder for the state of an evaluation; kept only where the evaluation can be resumed from it.

    Raises:
        InputError: another process is running this evaluation.
    """
    with _locked(folder) as lock:
        try:
            yield folder
        except BaseException as error:
            if isinstance(error, InputError) and not isinstance(error, UnsavedError):
                shutil.rmtree(folder, ignore_errors=True)
            else:
                with suppress(OSError):
                    lock.unlink()
                    folder.rmdir()  # unless something is in it
            raise
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """Context: creates the folder and locks a file in it; the file may be removed only inside the block."""
    path = folder / "lock"
    try:
        file = _lock(folder, path)
        while file is None:  # its owner has just removed it
            file = _lock(folder, path)
    except OSError as error:
        raise InputError(f"cannot write into {folder.parent}: {error.strerror}; give another --out") from error
    with file:
        yield path


def _lock(folder: Path, path: Path) -> IO[str] | None:
    """Opens and locks a file; the system unlocks it when the process ends. None if the file was removed meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        file = path.open("a+", encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        if fcntl is not None:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        owner = file.read() or "another"
        file.close()
        raise InputError(f"it is being evaluated by process {owner}: wait for that one's result") from None
    except OSError:  # a file system without locks
        pass
    try:
        here = os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        here = False
    if not here:
        file.close()
        return None
    file.truncate(0)
    print(f"{os.getpid()} of {socket.gethostname()}", end="", file=file, flush=True)
    return file
