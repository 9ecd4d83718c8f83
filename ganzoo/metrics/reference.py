"""Statistics of real pictures, kept on disk under what they were measured with and of what.

The name of a file is a hash of all that matters, so that another network, resize, split, set or number of pictures is
another file, and nobody has to remember what a file was made of.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ganzoo.errors import InputError
from ganzoo.metrics.quality import ByClass, Seen, Settings
from ganzoo.metrics.statistics import Header, Statistics
from ganzoo.utils.files import remove_stale

USUAL = "default"
"""Stands for the usual folder: ``statistics`` in ``$GANZOO_CACHE``, or in ``~/.cache/ganzoo`` where that is not set."""


def folder_of(cache: str | Path | None) -> Path | None:
    """The folder that is meant: :data:`USUAL`, a path, or None for none."""
    if cache is None:
        return None
    if cache == USUAL:
        home = os.environ.get("GANZOO_CACHE")
        return (Path(home) if home else Path("~/.cache/ganzoo").expanduser()) / "statistics"
    return Path(cache).expanduser()


@dataclass(frozen=True)
class Reference:
    """What a folder keeps of one set of real pictures.

    Attributes:
        folder: it is made when something is written.
        header: of the features; ``source`` and ``split`` say which pictures, so that a changed set has another.
        count: pictures in the set.
        settings: how many features are kept, and which.
    """

    folder: Path
    header: Header
    count: int
    settings: Settings

    def path(self, classes: int = 0) -> Path:
        """The file: of the whole set, or of its features class by class."""
        keep = self.settings.keep if classes else self.settings.kept(self.header.dimension)
        what = {**asdict(self.header), "count": self.count, "keep": keep, "seed": self.settings.seed, "classes": classes}
        key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
        readable = "-".join(filter(None, (self.header.extractor, self.header.split, "classes" if classes else "")))
        return self.folder / f"{''.join(c if c.isalnum() else '-' for c in readable)}-{key}.npz"

    def load(self, device: torch.device | str = "cpu") -> Seen | None:
        """What :meth:`save` has written, None if nothing.

        Args:
            device: where moments go.

        Raises:
            InputError: a damaged file.
        """
        path = self.path()
        if not path.exists():
            return None
        found = Seen(self.header, self.settings)
        found.statistics = Statistics.load(path, self.header, self.count, device)
        return found

    def load_by_class(self, classes: int) -> ByClass | None:
        """What :meth:`save` has written of the classes, None if nothing.

        Raises:
            InputError: a damaged file.
        """
        path = self.path(classes)
        return ByClass.load(path, self.header, self.settings, classes) if path.exists() else None

    def save(self, seen: Seen | ByClass) -> None:
        """Writes a file, whole or not at all; two processes may do so at once, and the later one stays.

        Raises:
            InputError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_stale([self.folder])
            if isinstance(seen, Seen):
                seen.statistics.save(self.path())
            else:
                seen.save(self.path(len(seen.kept)))
        except OSError as error:
            raise InputError(f"cannot write into {self.folder}: {error.strerror or error}") from error
