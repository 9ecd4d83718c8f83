"""Train, validation and test among files: by folders called so, or by a hash of the files' names."""

import hashlib
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ganzoo.errors import InputError

File = TypeVar("File")
_SPLITS = ("train", "val", "test")


def is_held_out(name: str, val_share: float) -> bool:
    """Whether a file of this name validates: by a hash of the name, so that adding or removing files moves no other.

    Args:
        name: path relative to the data's folder, with forward slashes.
        val_share: in [0, 1), the expected share that validates.
    """
    # macOS spells an accented name differently from the rest
    digest = hashlib.sha256(unicodedata.normalize("NFC", name).encode()).digest()
    return int.from_bytes(digest[:8], "big") < val_share * 2**64


def sub_folders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, hidden ones left out.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__MACOSX")))


def split_folders(folder: Path) -> list[str]:
    """Which of train, val and test are folders in `folder`; none where it is one unsplit folder.

    Raises:
        InputError: no such folder, or ``train`` stands beside folders that are no split.
    """
    names = sub_folders(folder)
    if "train" not in names:
        return []
    others = [name for name in names if name not in _SPLITS]
    if others:
        raise InputError(
            f"{folder} has a folder train beside {', '.join(others[:3])}: splits are called train, val and test; "
            "rename or move the others"
        )
    return [name for name in _SPLITS if name in names]


def split_files(
    folder: Path, files_of: Callable[[str], list[File]], name_of: Callable[[File], str], val_share: float
) -> tuple[list[File], list[File], list[File]]:
    """The files to train on, to validate on and to test on.

    With folders ``train`` and ``val`` or ``test`` those are the splits, and a missing one is the same as the other.
    Without them, :func:`is_held_out` chooses what validates (and tests) of ``train``, or of the whole folder.

    Args:
        folder: where the split folders are looked for.
        files_of: the files of a split, by its folder's name; "" stands for `folder` itself.
        name_of: the name of a file that is hashed.
        val_share: in [0, 1).
    """
    found = split_folders(folder)
    parts = {split: files_of(split) for split in found or [""]}
    if "val" in parts or "test" in parts:
        return parts["train"], parts.get("val", parts.get("test", [])), parts.get("test", parts.get("val", []))
    (files,) = parts.values()
    train = [file for file in files if not is_held_out(name_of(file), val_share)]
    held_out = [file for file in files if is_held_out(name_of(file), val_share)]
    return train, held_out, held_out
