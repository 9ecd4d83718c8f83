"""All figures of quality from one pass: an extractor looks at each picture once, and they are computed from what it saw."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics.extractors import figure_name
from ganzoo.metrics.extractors.base import Extractor, Features
from ganzoo.metrics.frechet import frechet_of_statistics
from ganzoo.metrics.inception import inception_score
from ganzoo.metrics.kept import ALL, Kept
from ganzoo.metrics.kernel import kernel_distance
from ganzoo.metrics.manifold import manifold
from ganzoo.metrics.statistics import SAME_SET, Header, Statistics
from ganzoo.utils.files import atomic_write


@dataclass(frozen=True)
class Settings:
    """How figures are computed from features; all of it belongs to their protocol.

    Attributes:
        distance: the Frechet distance, of all pictures.
        kernel: the kernel distance, of those kept.
        score: the Inception score, of all pictures.
        manifold: precision, recall, density and coverage, of those kept.
        keep: pictures of each set whose features are kept.
        subsets: of the kernel distance.
        subset_size: pictures in each of them.
        splits: of the Inception score.
        k: neighbours of precision and recall.
        k_density: of density and coverage.
        seed: of what is drawn: the kept, subsets, splits.

    Raises:
        InputError: a number out of range.
    """

    distance: bool = True
    kernel: bool = False
    score: bool = False
    manifold: bool = False
    keep: int = 10_000
    subsets: int = 100
    subset_size: int = 1000
    splits: int = 10
    k: int = 3
    k_density: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"keep": 2, "subsets": 1, "subset_size": 2, "splits": 1, "k": 1, "k_density": 1, "seed": 0}
        for name, number in least.items():
            if getattr(self, name) < number:
                raise InputError(f"{name} is at least {number}, not {getattr(self, name)}")

    @property
    def needs_real(self) -> bool:
        """Whether anything is compared with real pictures."""
        return self.distance or self.kernel or self.manifold

    def kept(self, dimension: int) -> int:
        """How many features of a set are kept in memory."""
        if self.kernel or self.manifold:
            return self.keep
        # with fewer pictures than dimensions, the distance is quicker of the features than of their covariance
        return min(self.keep, dimension) if self.distance else 0

    def check(self, real: int, fake: int, has_logits: bool, extractor: str) -> None:
        """Refuses what these numbers of pictures cannot bear, before any is looked at.

        Raises:
            InputError: which figure, how many pictures there are, and what it needs.
        """
        few = min(real, fake)
        kept = min(few, self.keep)
        if self.score and not has_logits:
            raise InputError(f"{extractor} has no classifier at its end, so no Inception score: choose another extractor")
        if self.score and fake < self.splits:
            raise InputError(f"an Inception score of {self.splits} splits needs as many pictures, not {fake}")
        if self.distance and few < 2:
            raise InputError(f"a Frechet distance needs 2 pictures of each kind, and there are {real} real and {fake} fake")
        if self.kernel and kept < self.subset_size:
            raise InputError(
                f"a kernel distance of subsets of {self.subset_size} needs as many of each kind, and there are {real} real "
                f"and {fake} fake, of which at most {self.keep} are kept: a smaller subset_size, or more pictures"
            )
        if self.manifold and kept <= max(self.k, self.k_density):
            raise InputError(
                f"neighbours k {self.k} and {self.k_density} need more pictures than that of each kind, and there are "
                f"{real} real and {fake} fake"
            )


class Seen:
    """What an extractor has seen of one set of pictures.

    Parts (batches, processes, the two halves of an interrupted pass) are merged to what one pass would have given.

    Args:
        header: of the features.
        settings: what is wanted of them.
        logits: whether they come with logits that are wanted, K of them; 0 for none.
        device: where moments are gathered.
    """

    def __init__(self, header: Header, settings: Settings, logits: int = 0, device: torch.device | str = "cpu") -> None:
        self.statistics = Statistics(header, settings.kept(header.dimension), settings.seed, device)
        self.logits = Kept(ALL if logits else 0, logits, settings.seed)

    @property
    def count(self) -> int:
        """Pictures seen."""
        return self.statistics.count

    def update(self, features: Features, places: Tensor) -> None:
        """Takes a batch.

        Args:
            features: of N pictures.
            places: int64 [N], their numbers in the set.

        Raises:
            InputError: features that are not finite.
        """
        self.statistics.update(features.pool, places)
        if features.logits is not None:
            self.logits.add(features.logits, places)

    def merge(self, other: Self) -> None:
        """Takes another part of the same set, which stays as it is.

        Raises:
            InputError: it is no such part.
        """
        self.statistics.merge(other.statistics)
        self.logits.join(other.logits)

    def to_cpu(self) -> Self:
        """Itself, moved to the processor's memory, to be sent to another process."""
        self.statistics.mean, self.statistics.moment = self.statistics.mean.cpu(), self.statistics.moment.cpu()
        return self


class ByClass:
    """Features of each class, at most ``settings.keep`` of each, for figures class by class.

    A class has fewer pictures than a feature has values, as a rule: moments would be the larger thing to keep.

    Args:
        header: of the features.
        settings: what is wanted of them.
        classes: how many.
    """

    FORMAT = 1

    def __init__(self, header: Header, settings: Settings, classes: int) -> None:
        self.header, self.settings = header, settings
        self.kept = [Kept(settings.keep, header.dimension, settings.seed) for _ in range(classes)]

    @property
    def counts(self) -> list[int]:
        """Features of each class."""
        return [len(kept.places) for kept in self.kept]

    def update(self, features: Features, places: Tensor, y: Tensor | None) -> None:
        """Takes a batch.

        Args:
            features: of N pictures.
            places: int64 [N], their numbers in the set.
            y: int64 [N], their classes.

        Raises:
            InputError: no classes, or others than these.
        """
        if y is None:
            raise InputError("figures class by class need labelled pictures (y: integers, [N]), and these have no labels")
        if len(y) and not 0 <= y.min() <= y.max() < len(self.kept):
            raise InputError(f"there are {len(self.kept)} classes, and the data has labels from {y.min()} to {y.max()}")
        for c in y.unique().tolist():
            mine = y == c
            self.kept[c].add(features.pool[mine.to(features.pool.device)], places[mine])

    def merge(self, other: Self) -> None:
        """Takes another part of the same set, which stays as it is.

        Raises:
            InputError: it is no such part.
        """
        self.header.refuse_unlike(other.header, SAME_SET, "features to be merged")
        for mine, its in zip(self.kept, other.kept, strict=True):
            mine.join(its)

    def seen(self, c: int) -> Seen:
        """Of one class alone."""
        found = Seen(self.header, self.settings)
        found.update(Features(self.kept[c].rows, None), self.kept[c].places)
        return found

    def save(self, path: Path) -> None:
        """Writes a file, whole or not at all."""
        settings = self.settings
        about = {"format": self.FORMAT, "header": asdict(self.header), "keep": settings.keep, "seed": settings.seed}
        with atomic_write(path) as part, part.open("wb") as file:
            np.savez(
                file,
                about=np.array(json.dumps(about)),
                counts=np.array(self.counts),
                places=torch.cat([kept.places for kept in self.kept]).numpy(),
                rows=torch.cat([kept.rows for kept in self.kept]).numpy(),
            )

    @classmethod
    def load(cls, path: Path, header: Header, settings: Settings, classes: int) -> Self:
        """Reads what :meth:`save` wrote.

        Raises:
            InputError: a damaged file, or one of something else.
        """
        expected = {"format": cls.FORMAT, "header": asdict(header), "keep": settings.keep, "seed": settings.seed}
        found = cls(header, settings, classes)
        try:
            with np.load(path, allow_pickle=False) as file:
                if json.loads(str(file["about"])) != expected or len(file["counts"]) != classes:
                    raise InputError(f"{path}: features of another protocol; remove it")
                counts = file["counts"].tolist()
                rows, places = (torch.from_numpy(file[name]).split(counts) for name in ("rows", "places"))
                for kept, its_rows, its_places in zip(found.kept, rows, places, strict=True):
                    kept.add(its_rows, its_places)
        except InputError:
            raise
        except (OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{path}: not a file of features, or a damaged one ({reason}); remove it") from error
        return found


def figures(extractor: Extractor, settings: Settings, real: Seen | None, fake: Seen) -> dict[str, float]:
    """The wanted figures by their names; beside means over parts stand their deviations, as ``..._std``.

    Args:
        extractor: that has seen both.
        settings: of all.
        real: None if nothing is compared.
        fake: the samples.

    Raises:
        InputError: too few pictures, or sets of two protocols.
    """
    settings.check(fake.count if real is None else real.count, fake.count, extractor.has_logits, extractor.name)

    def name(kind: str) -> str:
        return figure_name(kind, extractor)

    found: dict[str, float] = {}
    if settings.score:
        score = inception_score(fake.logits.rows, settings.splits, settings.seed)
        found |= {name("score"): score.mean, name("score") + "_std": score.std}
    if real is None:
        return found
    if settings.distance:
        found[name("fd")] = frechet_of_statistics(real.statistics, fake.statistics)
    both = real.statistics.features, fake.statistics.features
    if settings.kernel:
        kernel = kernel_distance(*both, settings.subsets, settings.subset_size, settings.seed)
        found |= {name("kd"): kernel.mean, name("kd") + "_std": kernel.std}
    if settings.manifold:
        shares = manifold(*both, settings.k, settings.k_density)
        found |= {name(kind): value for kind, value in shares._asdict().items()}
    return found


def figures_by_class(extractor: Extractor, settings: Settings, real: ByClass, fake: ByClass) -> dict[str, float]:
    """The figures of each class, ``fd_..._class_3``, and their means over the classes, ``intra_fd_...``.

    The Inception score is left out, as its formula compares classes, and so are deviations.

    Args:
        extractor: that has seen both.
        settings: of all; what they need, each class needs.
        real: of the data.
        fake: of the samples.

    Raises:
        InputError: too few pictures of a class.
    """
    wanted = replace(settings, score=False)
    found: list[Mapping[str, float]] = []
    for c, (reals, fakes) in enumerate(zip(real.counts, fake.counts, strict=True)):
        try:
            wanted.check(reals, fakes, False, extractor.name)
        except InputError as error:
            raise InputError(f"class {c}: {error}") from None
        of_class = figures(extractor, wanted, real.seen(c), fake.seen(c))
        found.append({name: value for name, value in of_class.items() if not name.endswith("_std")})
    each = {f"{name}_class_{c}": value for c, of_class in enumerate(found) for name, value in of_class.items()}
    return each | {f"intra_{name}": sum(of_class[name] for of_class in found) / len(found) for name in found[0]}
