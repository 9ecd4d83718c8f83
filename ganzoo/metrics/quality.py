"""All figures of quality from one pass: an extractor looks at each picture once, and they are computed from what it saw."""

from dataclasses import dataclass
from typing import Self

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
from ganzoo.metrics.statistics import Header, Statistics


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
