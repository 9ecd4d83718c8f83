"""Finds dataset splits, sides and classes in folders by their names, and decides which files are held out."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ganzoo.data.image_files import EXTENSIONS, has_images, is_hidden
from ganzoo.errors import InputError, printable
from ganzoo.utils.log import log_info

File = TypeVar("File")
Layout = Mapping[str, Path]
"""The folder of each split, by "train", "val" and "test"; or {"": folder} where all files are in one."""

WORDS = {
    "train": ("train", "training", "trainval"),
    "val": ("val", "valid", "validation", "validate", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
# train2017, val_256, Training Set, test-images
_NAMES = {
    split: re.compile(rf"({'|'.join(words)})(?:[-_ ]?(?:set|data|images|imgs))?[-_ ]?\d*", re.IGNORECASE)
    for split, words in WORDS.items()
}
_ADVICE = "or give splits: false if there are no splits and all images train"


def split_of(name: str) -> str | None:
    """The split of a folder with this name, "train", "val" or "test"; None if it is no split's name.

    Upper and lower case are the same. A number, or "set", "data" or "images", may follow: ``Train``, ``valid``,
    ``test2017`` and ``Training Set`` are splits.
    """
    return next((split for split, names in _NAMES.items() if names.fullmatch(name)), None)


def side_of(name: str, side: str) -> str | None:
    """The split of a folder whose name has split and side, ``trainA`` or ``test_b``; None if it is not of this side."""
    return split_of(name[:-1].rstrip("-_ ")) if name[-1:].upper() == side else None


def is_held_out(name: str, val_share: float) -> bool:
    """Whether a file of this name validates: by a hash of the name, so that adding or removing files moves no other.

    Args:
        name: path relative to the data's folder, with forward slashes; bytes that are not UTF-8 as Python's os has them.
        val_share: expected share of the files that validates, in [0, 1).
    """
    # macOS spells an accented name differently from the rest
    digest = hashlib.sha256(unicodedata.normalize("NFC", name).encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") < val_share * 2**64


def sub_folders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, without hidden ones.

    Raises:
        InputError: there is no such folder, or it cannot be listed.
    """
    if not os.path.isdir(folder):
        raise InputError(f"there is no folder {printable(folder)}")
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name))
    except OSError as error:
        raise InputError(f"cannot list the folder {folder}: {error.strerror}") from error


def class_folders(folder: Path) -> list[str]:
    """The classes of a folder: the names of its folders that have images, sorted. Logs those that have none."""
    names = sub_folders(folder)
    classes = [name for name in names if has_images(folder / name)]
    _say_empty(folder, [name for name in names if name not in classes])
    return classes


def split_folders(folder: Path, splits: bool = True, labelled: bool = False) -> Layout:
    """The folders of a folder's splits, or {"": folder} where it has none.

    A folder without images is no split. If images have classes, a ``train`` without folders inside is a class when it is the
    only split's name among other folders: its images would have no class if it were a split.

    Args:
        folder: the folder that may hold splits.
        splits: False if there are none, whatever the folders' names are.
        labelled: whether the images have classes.

    Raises:
        InputError: there is no such folder; two folders have one split's name; there are folders of images that are no split
            as well as splits; folders are called ``trainA`` and the like.
    """
    names = sub_folders(folder)
    if not splits:
        return {"": folder}
    known = [name for name in names if split_of(name) is not None]
    named = [name for name in known if has_images(folder / name)]
    sided = [name for name in names if side_of(name, "A") or side_of(name, "B")]
    if sided:
        raise InputError(
            f"{folder} has {_listed(sided)}, splits of the two sides A and B: give one of these folders, {_ADVICE}"
        )
    if not named:
        return {"": folder}
    others = [name for name in names if name not in known and has_images(folder / name)]
    if others and labelled and [split_of(name) for name in named] == ["train"] and not sub_folders(folder / named[0]):
        return {"": folder}
    _say_empty(folder, [name for name in known if name not in named])
    layout: dict[str, Path] = {}
    for name in sorted(named, key=lambda name: list(WORDS).index(split_of(name) or "")):
        split = split_of(name) or ""
        if split in layout:
            raise InputError(f"{folder} has {layout[split].name} and {name}, both to {_TO[split]}: keep one, {_ADVICE}")
        layout[split] = folder / name
    beside = [*others, "images"] if "train" not in layout and _has_loose(folder) else others
    if beside:
        raise InputError(
            f"{folder} has {_listed(named)} beside {_listed(beside)}: splits are called train, val and test; rename or move "
            f"the others, {_ADVICE}"
        )
    if _has_loose(folder):
        log_info(f"{folder}: the images beside {_listed(named)} are skipped")
    return layout


_TO = {"train": "train on", "val": "validate on", "test": "test on"}


def described(folder: Path, layout: Layout) -> str:
    """A folder, and why it has no training images, for an error message."""
    if "" in layout or "train" in layout:
        return f"{printable(folder)}: all of them are held out, so give a smaller val_share"
    return f"{printable(folder)} (its splits: {', '.join(printable(path.name) for path in layout.values())})"


def refuse_splits(folder: Path) -> None:
    """Refuses a folder with splits where one folder of images is wanted.

    Raises:
        InputError: the folder has splits.
    """
    found = [name for name in sub_folders(folder) if split_of(name) and has_images(folder / name)]
    if {split_of(name) for name in found} - {"train"}:
        raise InputError(f"{folder} has the splits {_listed(found)}: give one of them, {folder / found[-1]}")


def find_side(folder: Path, side: str) -> Path | None:
    """The folder called `side`, "A" or "B", in upper or lower case; None if there is none."""
    found = [name for name in sub_folders(folder) if name.upper() == side]
    if len(found) > 1:
        raise InputError(f"{folder} has {_listed(found)}: which one is {side}?")
    return folder / found[0] if found else None


def two_sides(folder: Path, splits: bool = True) -> tuple[Layout, Layout] | None:
    """The splits of the two sides A and B of a folder; None if it has no such sides.

    There are three forms: ``trainA``, ``trainB``, ``testA`` and so on; ``A`` and ``B``, with or without splits in them;
    splits with ``A`` and ``B`` in each.

    Raises:
        InputError: there is one side only, or :func:`split_folders` refuses the folder.
    """
    if splits and (found := _both_named_by_side(folder)):
        return found
    a, b = find_side(folder, "A"), find_side(folder, "B")
    if a or b:
        if not (a and b):
            raise InputError(f"there is a folder {a or b} but no {folder / ('B' if a else 'A')}")
        return split_folders(a, splits), split_folders(b, splits)
    layout = split_folders(folder, splits)
    if "" in layout:
        return None
    sides = {split: (find_side(path, "A"), find_side(path, "B")) for split, path in layout.items()}
    if not any(a or b for a, b in sides.values()):
        return None
    for split, (a, b) in sides.items():
        if not (a and b):
            raise InputError(f"there is no folder {layout[split] / ('A' if not a else 'B')}, though other splits have one")
    return {split: a for split, (a, _) in sides.items() if a}, {split: b for split, (_, b) in sides.items() if b}


def one_side(folder: Path, side: str, splits: bool = True) -> Layout | None:
    """The splits of side A or B of a folder, whatever there is of the other side; None if the folder has no sides.

    The forms are those of :func:`two_sides`.

    Args:
        folder: the folder that may hold sides.
        side: "A" or "B".
        splits: False if no folder is a split.

    Raises:
        InputError: there is the other side only, or :func:`split_folders` refuses the folder.
    """
    other = "B" if side == "A" else "A"
    if splits and (mine := _named_by_side(folder, side)):
        return mine
    if splits and (others := _named_by_side(folder, other)):
        raise InputError(f"there is a folder {next(iter(others.values()))} but none of the other side, {side}")
    if found := find_side(folder, side):
        return split_folders(found, splits)
    if found := find_side(folder, other):
        raise InputError(f"there is a folder {found} but no {folder / side}")
    layout = dict(split_folders(folder, splits))
    inside = {split: path for split, each in layout.items() if (path := find_side(each, side))}
    if not inside and any(find_side(each, other) for each in layout.values()):
        raise InputError(f"there is no folder {side} in {folder}, though there is a {other}")
    return inside or None


def _named_by_side(folder: Path, side: str) -> dict[str, Path]:
    """The folders called by split and this side, ``trainA`` or ``test_a``, by their splits."""
    layout: dict[str, Path] = {}
    for name in sub_folders(folder):
        split = side_of(name, side)
        if split is not None and split in layout:
            raise InputError(f"{folder} has {layout[split].name} and {name}, both to {_TO[split]}: keep one")
        if split is not None:
            layout[split] = folder / name
    return layout


def _both_named_by_side(folder: Path) -> tuple[Layout, Layout] | None:
    a, b = _named_by_side(folder, "A"), _named_by_side(folder, "B")
    if not a and not b:
        return None
    for these, those, side in ((a, b, "B"), (b, a, "A")):
        if "train" in these and "train" not in those:
            raise InputError(f"there is a folder {these['train']} but no {folder / f'train{side}'}")
    if not a or not b:
        there = next(iter((a or b).values()))
        raise InputError(f"there is a folder {there} but none of the other side, {'B' if a else 'A'}")
    return a, b


def split_files(
    layout: Layout, files_of: Callable[[str], list[File]], name_of: Callable[[File], str], val_share: float, splits: bool
) -> tuple[list[File], list[File], list[File]]:
    """The files to train on, to validate on and to test on.

    If one of ``val`` and ``test`` is missing, it is the same as the other. Without both, :func:`is_held_out` chooses which
    files of ``train``, or of the whole folder, validate and test. Without ``train`` there is nothing to train on.

    Args:
        layout: folder of each split, from :func:`split_folders`.
        files_of: function that lists the files of a split.
        name_of: function that gives the name of a file below its split's folder, which is hashed.
        val_share: expected share of the files that validates, in [0, 1).
        splits: False if no folder is a split, whatever its name is.

    Raises:
        InputError: a folder deeper down has the name of a held-out split: its images would be trained on.
    """
    parts = {split: files_of(split) for split in layout}
    if splits:
        for split, files in parts.items():
            _refuse_deeper_splits(layout[split], split, {os.path.dirname(name_of(file)) for file in files})
    if "val" in parts or "test" in parts:
        return parts.get("train", []), parts.get("val", parts.get("test", [])), parts.get("test", parts.get("val", []))
    (files,) = parts.values()
    train: list[File] = []
    held_out: list[File] = []
    for file in files:
        (held_out if is_held_out(name_of(file), val_share) else train).append(file)
    return train, held_out, held_out


def _refuse_deeper_splits(folder: Path, split: str, below: set[str]) -> None:
    for path in sorted(below):
        names = path.split("/")
        for depth, name in enumerate(names):
            if split in ("", "train") and split_of(name) in ("val", "test"):
                inner = folder.joinpath(*names[: depth + 1])
                raise InputError(
                    f"{inner} is called like a split, and its images would train: move it to {folder / name}, "
                    f"or give {inner.parent} if that is the data's folder, {_ADVICE}"
                )


def refuse_shared(train: Iterable[tuple[Path, ...]], held_out: Iterable[tuple[Path, ...]]) -> None:
    """Refuses a held-out sample that is also trained on, by a link to the same file.

    Args:
        train: files of each training sample.
        held_out: files of each held-out sample.

    Raises:
        InputError: a sample is in both; the line names it.
    """
    real = _RealPaths()
    held_by_key: dict[tuple[str, ...], list[tuple[int, tuple[Path, ...]]]] = {}
    for place, files in enumerate(held_out):  # most often far fewer than train
        held_by_key.setdefault(tuple(map(real, files)), []).append((place, files))
    shared: dict[int, tuple[tuple[Path, ...], tuple[Path, ...]]] = {}
    for files in train if held_by_key else ():
        for place, held in held_by_key.get(tuple(map(real, files)), ()):
            shared[place] = held, files
    if shared:
        held, trained = shared[min(shared)]
        raise InputError(
            f"{held[0]} is held out and {trained[0]} trains, and both are one file"
            + (f" (and {len(shared) - 1} more)" if len(shared) > 1 else "")
            + ": remove one of the two, or the link"
        )


class _RealPaths:
    """Resolves paths; a folder's links are followed once for all its files."""

    def __init__(self) -> None:
        self.folders: dict[str, str] = {}

    def __call__(self, path: Path) -> str:
        if os.path.islink(path):
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder not in self.folders:
            self.folders[folder] = os.path.realpath(folder)
        return f"{self.folders[folder]}/{name}"


def _say_empty(folder: Path, names: list[str]) -> None:
    if names:
        log_info(f"{folder}: there are no images in {_listed(names)}")


def _has_loose(folder: Path) -> bool:
    return any(path.suffix.lower() in EXTENSIONS for path in folder.iterdir() if not is_hidden(path.name) and path.is_file())


def _listed(names: Sequence[str]) -> str:
    return printable(", ".join(names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
