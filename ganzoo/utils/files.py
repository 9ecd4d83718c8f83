"""Writes files atomically: a reader finds the old file or the new one, never a part."""

import os
import re
import shutil
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def cache_home() -> Path:
    """The folder of ganzoo's caches: ``$GANZOO_CACHE``, or ``~/.cache/ganzoo`` where that is not set."""
    home = os.environ.get("GANZOO_CACHE")
    return Path(home) if home else Path("~/.cache/ganzoo").expanduser()


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Yields a temporary path in the folder of ``target``; renames it to ``target`` at the end, removes it after an error.

    A reader finds the old file or the new one, never a part. The temporary file's name has the machine and the process that
    writes it, for :func:`remove_stale`.
    """
    # a part of a long name would be too long
    part = target.with_name(f".{target.name[:40]}{_owner(os.getpid())}")
    part.unlink(missing_ok=True)  # a container's processes may all have one name; what it left may be a link to another file
    try:
        yield part
        os.replace(part, target)
    finally:
        with suppress(OSError):
            part.unlink()


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yields a temporary folder. It is renamed to ``target`` when the block ends, or removed if the block fails.

    If another process has made ``target`` meanwhile, that one stays.
    """
    part = target.with_name(f".{target.name[:40]}{_owner(os.getpid())}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        try:
            os.rename(part, target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def remove_stale(folders: Iterable[Path]) -> None:
    """Removes temporary files that killed processes of this machine left in the folders.

    Those of another machine stay (a folder may be shared): they may still be written.
    """
    for folder in folders:
        for part in folder.glob(".*.part"):
            found = re.search(r"\.(\d+)\.part$", part.name)
            if found and part.name.endswith(_owner(int(found[1]))) and not _lives(int(found[1])):
                with suppress(OSError):
                    shutil.rmtree(part) if part.is_dir() else part.unlink()


def _owner(pid: int) -> str:
    return f".{socket.gethostname()}.{pid}.part"


def _lives(pid: int) -> bool:
    if pid == os.getpid():  # which writes nothing meanwhile
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
