"""One pass of an extractor over many pictures, which can be interrupted and goes on exactly."""

import hashlib
import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ganzoo.data.pictures import find_pictures, picture_sizes, read_picture
from ganzoo.data.splits import refuse_splits
from ganzoo.errors import InputError, one_line
from ganzoo.judging import ALONE, Part, Share, Split, as_pictures, field_of
from ganzoo.metrics.extractors.base import Extractor, Features
from ganzoo.metrics.paired import Measure, Paired, Sums
from ganzoo.metrics.quality import ByClass, Seen
from ganzoo.metrics.statistics import Statistics
from ganzoo.utils.log import log_info
from ganzoo.utils.signals import Stops

SAVE_EVERY = 30.0  # seconds between two savings of what has been seen
SAVING_AT_MOST = 0.05  # of the time
PLAIN_EVERY = 30.0  # seconds between two lines, where there is no terminal for a bar


class Judged(NamedTuple):
    """Pictures to look at, and what they should be, uint8 [N, C, H, W], where that is known."""

    part: Part
    truth: Tensor | None = None


class Remembering(Split):
    """A split that knows what the pictures of the batch that it gave last should become.

    Where the data draw at random, a second look at the same place would be another pair.

    Args:
        split: the same.
        fields: by the sets' names, the fields of the truths.

    Attributes:
        truths: by the sets' names, uint8 [N, C, H, W].
    """

    def __init__(self, split: Split, fields: Mapping[str, str]) -> None:
        super().__init__(split.loader, split.name, split.prepare)
        self.fields = fields
        self.truths: dict[str, Tensor] = {}

    def batches(self, batch_size: int, share: Share = ALONE, n: int | None = None) -> Iterator[tuple[Tensor, Any]]:
        """Likewise."""
        for places, batch in super().batches(batch_size, share, n):
            whose = f"the {self.name} data"
            self.truths = {name: as_pictures(field_of(batch, field), whose) for name, field in self.fields.items()}
            yield places, batch


class Folder:
    """The pictures of a folder, in the order of their names; of any sizes.

    Args:
        path: of the folder.
        n: the first so many; all if left out.

    Raises:
        InputError: no pictures, fewer than n, or a file that is none.
    """

    def __init__(self, path: Path, n: int | None = None) -> None:
        if (path / "checkpoints").is_dir() and (path / "config.yaml").is_file():
            raise InputError(f"{path} is a run's folder, and no folder of pictures: give a file in {path / 'checkpoints'}")
        refuse_splits(path)
        self.path, self.files = path, find_pictures(path)
        if n is not None and n > len(self.files):
            raise InputError(f"--n is {n}, and there are {len(self.files)} pictures in {path}")
        self.files = self.files[:n]
        sizes = sorted(set(picture_sizes(self.files)))
        if len(sizes) > 1:
            low, high = ("x".join(map(str, size)) for size in (sizes[0], sizes[-1]))
            log_info(f"the pictures in {path} have {len(sizes)} sizes, {low} to {high}: the extractor resizes each as it is")

    def __len__(self) -> int:
        return len(self.files)

    def fingerprint(self) -> str:
        """Of all that is in the files, in their order; their names are no matter. Sixteen hexadecimal digits."""
        found = hashlib.sha256()
        for file in tqdm(self.files, f"hashing {self.path}", leave=False, disable=None, delay=2):
            content = file.read_bytes()
            found.update(f"{len(content)};".encode() + content)
        return found.hexdigest()[:16]

    def parts(self, batch_size: int, begin: int) -> Iterator[Judged]:
        """Batches from a number on; a batch of several sizes comes in as many parts."""
        for first in range(begin * batch_size, len(self), batch_size):
            places = range(first, min(first + batch_size, len(self)))
            images = {place: read_picture(self.files[place], 3) for place in places}
            for size in sorted({image.shape for image in images.values()}):
                alike = [place for place in places if images[place].shape == size]
                yield Judged(Part("", torch.tensor(alike), torch.stack([images[place] for place in alike]), None))


class Looked:
    """What has been seen of one side, batch by batch; it can be saved, and taken up again exactly.

    Args:
        begin: by the sets' names a ``Seen`` that has seen nothing, and a ``ByClass`` or None.
        measures: of pairs.

    Attributes:
        seen: by the sets' names; empty where only pairs are measured.
        classes: likewise.
        pairs: likewise.
        done: batches.
        pictures: their number.
        sizes: of pictures, ``1x28x28``.
        converted: what was said of their channels.
    """

    def __init__(
        self, begin: Callable[[], dict[str, tuple[Seen, ByClass | None]]], measures: Mapping[str, Measure] | None = None
    ) -> None:
        self.begin, self.measures = begin, dict(measures or {})
        self.forget()

    def forget(self) -> None:
        """Begins anew."""
        begun = self.begin()
        self.seen = {name: seen for name, (seen, _) in begun.items()}
        self.classes = {name: classes for name, (_, classes) in begun.items() if classes is not None}
        self.pairs: dict[str, Paired] = {}
        self.done, self.pictures = 0, 0
        self.sizes: set[str] = set()
        self.converted: set[str] = set()

    def take(self, judged: Judged, found: Features | None) -> None:
        """Adds pictures, with their features if there is an extractor."""
        part = judged.part
        if found is not None:
            if part.name in self.classes:
                self.classes[part.name].update(found, part.places, part.y)
            self.seen[part.name].update(found, part.places)
        if judged.truth is not None:
            truth = judged.truth.to(part.images.device)
            self.pairs.setdefault(part.name, Paired(self.measures)).update(part.images, truth)
        self.pictures += len(part.places)
        self.sizes.add("x".join(map(str, part.images.shape[1:])))

    def save(self, place: Path) -> None:
        """Writes a folder ``<place>-<batches>``, whole or not at all, and removes older ones."""
        target = place.with_name(f"{place.name}-{self.done:08d}")
        part = place.with_name(f".{target.name}.{os.getpid()}.part")
        if target.is_dir():
            return
        part.mkdir()
        try:
            for name, seen in self.seen.items():
                seen.statistics.save(part / f"{name}.npz")
                np.savez(part / f"{name}_logits.npz", rows=seen.logits.rows.numpy(), places=seen.logits.places.numpy())
            for name, classes in self.classes.items():
                classes.save(part / f"{name}_classes.npz")
            about = {
                "done": self.done,
                "pictures": self.pictures,
                "pairs": {name: {kind: asdict(s) for kind, s in each.sums.items()} for name, each in self.pairs.items()},
                "sizes": sorted(self.sizes),
                "converted": sorted(self.converted),
            }
            (part / "about.json").write_text(json.dumps(about))
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        for older in place.parent.glob(f"{place.name}-*"):
            if older != target:
                shutil.rmtree(older, ignore_errors=True)

    def load(self, place: Path) -> None:
        """Takes up what :meth:`save` wrote last. Nothing, if there is nothing, or if it cannot be used, which is said."""
        saved = max(place.parent.glob(f"{place.name}-*"), default=None)
        if saved is None:
            return
        try:
            about = json.loads((saved / "about.json").read_text())
            for name, seen in self.seen.items():
                here = seen.statistics
                seen.statistics = Statistics.load(saved / f"{name}.npz", here.header, device=here.mean.device)
                with np.load(saved / f"{name}_logits.npz") as file:
                    seen.logits.add(torch.from_numpy(file["rows"]), torch.from_numpy(file["places"]))
            for name, classes in self.classes.items():
                at = saved / f"{name}_classes.npz"
                self.classes[name] = ByClass.load(at, classes.header, classes.settings, len(classes.kept))
            for name, sums in about["pairs"].items():
                self.pairs[name] = Paired(self.measures)
                self.pairs[name].merge({kind: Sums(**each) for kind, each in sums.items()})
            self.done, self.pictures = about["done"], about["pictures"]
            self.sizes, self.converted = set(about["sizes"]), set(about["converted"])
        except (InputError, OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            log_info(f"what an interrupted measurement left cannot be used, and it begins anew ({one_line(error)})")
            self.forget()


class Bar:
    """How far a pass is: a bar, or a line now and then where there is no terminal.

    Args:
        total: pictures.
        done: of them.
        what: they are.
    """

    def __init__(self, total: int, done: int, what: str) -> None:
        self.total, self.done, self.what = total, done, what
        self.bar = tqdm(total=total, initial=done, desc=what, unit=" pictures", leave=False, disable=None)
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def update(self, n: int) -> None:
        """n pictures more."""
        self.done += n
        self.bar.update(n)
        if self.bar.disable and time.monotonic() - self._said >= PLAIN_EVERY:
            log_info(f"{self.what}: {self.done} of {self.total} pictures")
            self._said = time.monotonic()


def look(
    looked: Looked,
    parts: Callable[[int], Iterable[Judged]],
    extractor: Extractor | None,
    batch_size: int,
    total: int,
    what: str,
    place: Path,
    stops: Stops,
) -> None:
    """One pass. It goes on where an interrupted one stopped, and saves what it has seen now and then, and if interrupted.

    Args:
        looked: what is filled.
        parts: pictures from a batch's number on.
        extractor: None if there are only pairs to measure.
        batch_size: of the parts.
        total: pictures.
        what: they are.
        place: where what was seen is saved, ``<place>-<batches>``.
        stops: what interrupts it.

    Raises:
        InputError: pictures that cannot be judged.
        KeyboardInterrupt: it was interrupted.
    """
    looked.load(place)
    if looked.done:
        log_info(f"{what}: {looked.pictures} of {total} pictures were seen before")
    saved, spent = time.monotonic(), 0.0
    try:
        with Bar(total, looked.pictures, what) as bar:
            for number, batch in groupby(parts(looked.done), lambda judged: int(judged.part.places[0]) // batch_size):
                seen = [(each, None if extractor is None else extractor(each.part.images)) for each in batch]
                with stops.held():  # a batch is counted whole or not at all
                    for judged, found in seen:
                        _say_conversion(looked, judged.part.images, extractor, what)
                        looked.take(judged, found)
                    looked.done = number + 1
                    before = time.monotonic()
                    if before - saved >= max(SAVE_EVERY, spent / SAVING_AT_MOST):
                        looked.save(place)
                        saved = time.monotonic()
                        spent = saved - before
                bar.update(sum(len(judged.part.places) for judged, _ in seen))
        with stops.held():
            looked.save(place)
    except KeyboardInterrupt:
        if looked.done:
            looked.save(place)
        log_info(f"stopped after {looked.pictures} of {total} pictures ({what}); the same command goes on from here")
        raise


def _say_conversion(looked: Looked, images: Tensor, extractor: Extractor | None, what: str) -> None:
    if extractor is None:
        return
    grey = bool((images[:, :1] == images).all())
    said = ""
    if grey and extractor.channels == 3:
        said = f"grey pictures, their channel repeated for {extractor.name}"
    elif not grey and extractor.channels == 1:
        said = f"colour pictures, turned into grey for {extractor.name}"
    if said and said not in looked.converted:
        looked.converted.add(said)
        log_info(f"{what}: {said}")
