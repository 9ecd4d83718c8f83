"""Where ``ganzoo evaluate`` writes, and the folder of what an interrupted evaluation leaves."""

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
    """All is computed, and cannot be written."""


def output_paths(given: str | None, usual: Path, result: Result, grid: bool, judged: Path | None) -> tuple[Path, Path]:
    """The file to write, and that of its image: never one that holds something of another evaluation.

    Args:
        given: the user's name for it.
        usual: another, to which a number is added where it is taken.
        result: to be written.
        grid: whether there is an image.
        judged: the folder whose images are evaluated.

    Raises:
        InputError: it is taken, or cannot be written; the image would be one of those that are evaluated.
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
    """What is in the way."""
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
    """A folder for what an interrupted evaluation leaves; it is removed when there is nothing to go on with.

    Raises:
        InputError: another process makes this evaluation.
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
    """Makes a folder and a file in it that is this process's. Whoever removes the file does so inside the block."""
    path = folder / "lock"
    try:
        file = _lock(folder, path)
        while file is None:  # whoever had it has just removed it
            file = _lock(folder, path)
    except OSError as error:
        raise InputError(f"cannot write into {folder.parent}: {error.strerror}; give another --out") from error
    with file:
        yield path


def _lock(folder: Path, path: Path) -> IO[str] | None:
    """An open file whose lock the system takes back when the process ends, however it ends; None if the file is gone."""
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
