"""Downloads files, with resume, checksum and progress bar, and unpacks archives safely into one folder.

Written here because ``pooch.HTTPDownloader``, ``torch.hub.download_url_to_file`` and torchvision's ``download_url`` start a
broken download from its first byte: none of them sends a Range header.
"""

import hashlib
import http.client
import os
import shutil
import stat
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from ganzoo.errors import InputError, one_line

_CHUNK = 1 << 18
_TIMEOUT = 30


def fetch(url: str, path: str | Path, sha256: str | None = None, tries: int = 3, wait: float = 1.0) -> Path:
    """Downloads `url` to `path`, and resumes a download that broke off.

    The target appears only when it is complete. Until then the bytes are in ``<name>.part`` in the same folder, from which
    a later call resumes. A target that exists already is not downloaded again, only checked.

    Args:
        url: address of the file, http or https.
        path: path of the file to write; its folder is made if need be.
        sha256: expected checksum in hexadecimal; None where none is published, and then only the length is checked.
        tries: number of failures in a row, without a byte gained, before it gives up.
        wait: seconds before the second try; doubled before each further one.

    Returns:
        `path`.

    Raises:
        InputError: the address is unreachable or refused, the checksum is wrong, or there is no room for the file. No
            half-written target is left.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {path.parent}: {error.strerror}") from error
        failures = 0
        while True:
            before = part.stat().st_size if part.exists() else 0
            try:
                _fetch_on(url, part)
                break
            except (OSError, http.client.HTTPException) as error:
                final = isinstance(error, urllib.error.HTTPError) and error.code < 500
                gained = part.exists() and part.stat().st_size > before
                failures = 1 if gained else failures + 1
                if final or failures >= tries:
                    raise InputError(
                        f"cannot download {url} ({one_line(error)}): get it by other means and put it at {path}"
                    ) from error
            time.sleep(wait * 2 ** (failures - 1))
    candidate = path if path.exists() else part
    if sha256 is not None and (found := _sha256(candidate)) != sha256.lower():
        part.unlink(missing_ok=True)
        raise InputError(f"{url} at {path} has the sha256 {found}, not {sha256}: delete the file if it is there, and retry")
    if candidate is part:
        os.replace(part, path)
    return path


def _fetch_on(url: str, part: Path) -> None:
    """One try: downloads the bytes that `part` lacks. Raises OSError or HTTPException if the connection breaks."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        reply = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        # nothing after what is here: it is whole, or it belongs to another version of the file
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return
        part.unlink()
        raise ConnectionError("the partial file did not fit what the server has") from error
    with reply:
        # a server that does not know ranges answers 200 and begins anew
        resumed = reply.status == 206
        start = have if resumed else 0
        length = reply.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        bar = tqdm(desc=part.stem, total=total, initial=start, unit="B", unit_scale=True, disable=None, leave=False)
        with bar, _writing(part, "ab" if resumed else "wb") as file:
            while chunk := reply.read(_CHUNK):
                _write(file, chunk, part)
                bar.update(len(chunk))
    if total is not None and part.stat().st_size < total:
        raise ConnectionError(f"the connection ended after {part.stat().st_size} of {total} bytes")


def _writing(part: Path, mode: str) -> IO[bytes]:
    try:
        # unbuffered, so that a full disk shows in the write and not in the close
        return open(part, mode, buffering=0)
    except OSError as error:
        raise InputError(f"cannot write {part}: {error.strerror}") from error


def _write(file: IO[bytes], chunk: bytes, part: Path) -> None:
    try:
        rest = memoryview(chunk)
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"cannot write {part}: {error.strerror}; it was removed again") from error


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(
    archive: str | Path,
    folder: str | Path,
    check: Callable[[Path], None] | None = None,
    wanted: Callable[[PurePosixPath], bool] | None = None,
) -> Path:
    """Unpacks a .zip or (compressed) .tar into `folder`, which appears only when it is complete.

    If everything in the archive is in one top folder, that folder's contents go into `folder`. Owners, permissions and
    links of the archive are ignored.

    Args:
        archive: path of the archive.
        folder: path of the new folder; it must not exist yet.
        check: function that gets the unpacked folder before it is moved into place, and raises InputError to refuse it.
        wanted: function of an entry's name in the archive that says whether to unpack it; None for all entries.

    Returns:
        `folder`.

    Raises:
        InputError: the archive is damaged; an entry would land outside of the folder, or is absolute, a link or a
            device; `folder` exists; there is no room. Nothing is left behind then.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise InputError(f"{folder} already exists: move it away before unpacking {archive}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=folder.name + ".", dir=folder.parent) as temporary:
            inside = Path(temporary, folder.name)
            inside.mkdir()
            for name, source in _entries(archive):
                if wanted is not None and not wanted(name):
                    continue
                target = inside / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with source, open(target, "wb") as file:
                    shutil.copyfileobj(source, file)
            top = list(inside.iterdir())
            if len(top) == 1 and top[0].is_dir():
                inside = top[0]
            if check is not None:
                check(inside)
            os.rename(inside, folder)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{archive} is damaged ({one_line(error)}): delete it and fetch it again") from error
    except OSError as error:
        raise InputError(f"cannot unpack {archive} into {folder}: {one_line(error)}") from error
    return folder


def _entries(archive: Path) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    """Yields name and contents of each regular file; skips folders."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                name = _inside(info.filename, archive)
                if stat.S_ISLNK(info.external_attr >> 16):
                    raise InputError(f"{archive} is refused: its entry {info.filename} is a link")
                if not info.is_dir():
                    yield name, zipped.open(info)
        return
    with tarfile.open(archive) as tarred:
        for member in tarred:
            name = _inside(member.name, archive)
            if not (member.isfile() or member.isdir()):
                raise InputError(f"{archive} is refused: its entry {member.name} is a link or a device")
            if (source := tarred.extractfile(member)) is not None:
                yield name, source


def _inside(name: str, archive: Path) -> PurePosixPath:
    # paths that only Windows would follow out of the folder are refused everywhere
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]):
        raise InputError(f"{archive} is refused: its entry {name} would land outside the folder")
    return path
