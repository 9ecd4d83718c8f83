"""Mean, covariance and a subsample of the features of a set of images, with a spec of what they were computed on.

Statistics are float64, computed in one pass and merged exactly: parts of a set (batches, ranks, the parts of an interrupted
pass) give the same statistics as the whole. Comparing, merging or loading statistics of different protocols is an error.
"""

import json
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics.reservoir import ALL, Reservoir
from ganzoo.utils.files import atomic_write

FORMAT = 3
PART = 4096  # features that are converted to float64 at a time


def checked(features: Tensor | np.ndarray, name: str, least: int = 1) -> Tensor:
    """Checks features and converts them to float64 [N, d], on their own device.

    Args:
        features: features [N, d] of any type.
        name: names the features in an error message.
        least: the smallest number of features, N.

    Raises:
        InputError: the shape is another one, there are fewer than `least`, or a value is NaN or infinite.
    """
    x = torch.as_tensor(features).detach()
    if x.ndim != 2 or x.shape[1] == 0:
        raise InputError(f"{name}: features have the shape {tuple(x.shape)}; give [N, d], one row an image")
    if len(x) < least:
        raise InputError(f"{name}: at least {least} images are needed here, and there are {len(x)}; give more")
    x = x.double()
    bad = (~x.isfinite().all(1)).sum().item()
    if bad:
        raise InputError(f"{name}: the features of {bad} of {len(x)} images are not finite; look at the images")
    return x


def checked_pair(real: Tensor | np.ndarray, fake: Tensor | np.ndarray, least: int = 1) -> tuple[Tensor, Tensor]:
    """Checks and converts two sets of features (:func:`checked`) that must have the same d.

    Raises:
        InputError: the errors of :func:`checked`, or the two sets differ in d.
    """
    x, y = checked(real, "real", least), checked(fake, "fake", least)
    if x.shape[1] != y.shape[1]:
        raise InputError(f"real features have {x.shape[1]} values and fake ones {y.shape[1]}; take both from one extractor")
    return x, y


@dataclass(frozen=True)
class FeatureSpec:
    """How features were extracted, and from which images.

    Attributes:
        extractor: the extractor's name, ``inception-2015``.
        dimension: number of values d of a feature.
        weights: a hash of the extractor's weights.
        resize: how images are resized, ``bilinear 299 without antialias``.
        preprocessing: how pixels are converted, ``uint8, rounded; (x - 128) / 128``.
        source: the dataset or the model that the images are from.
        split: the dataset's split, ``train``.
    """

    extractor: str
    dimension: int
    weights: str = ""
    resize: str = ""
    preprocessing: str = ""
    source: str = ""
    split: str = ""

    def refuse_unlike(self, other: "FeatureSpec", names: Iterable[str], where: str) -> None:
        """Checks that the named attributes of two specs are equal.

        Args:
            other: the other spec.
            names: names of the attributes.
            where: the start of the error message.

        Raises:
            InputError: an attribute differs; the message has its name and both values.
        """
        for name in names:
            mine, its = getattr(self, name), getattr(other, name)
            if mine != its:
                raise InputError(f"{where}: {name} is {its!r} there and {mine!r} here; measure both in one way")


SAME_FEATURES = ("extractor", "dimension", "weights", "resize", "preprocessing")
"""The attributes that two sets of features must share to be compared; their images may differ."""

SAME_SET = tuple(field.name for field in fields(FeatureSpec))
"""The attributes that two sets must share to be merged as parts of one set."""


class Statistics:
    """Count, mean and centred second moment of features, and the features themselves if wanted.

    Merging is the pairwise update (Chan, Golub and LeVeque 1979): ``M = M_a + M_b + (n_a n_b / n) e e^T`` with
    ``e = mean_b - mean_a``, which loses nothing where means are large, as sums of squares would.

    Args:
        spec: how the features were extracted.
        keep: the number of features to keep, 0, a number, or :data:`ALL`. Of a larger set, each has the same chance to be
            kept.
        seed: seed of that choice, which depends on nothing else. The global random state does not change.
        device: the device of the moments; it must support float64. Kept features are in the CPU's memory.

    Attributes:
        count: number of features so far, n.
        mean: their mean, float64 [d].
        moment: their centred second moment ``sum (x - mean) (x - mean)^T``, float64 [d, d].
    """

    def __init__(self, spec: FeatureSpec, keep: int = 0, seed: int = 0, device: torch.device | str = "cpu") -> None:
        self.spec = spec
        self.keep = keep
        self.count = 0
        self.mean = torch.zeros(spec.dimension, dtype=torch.float64, device=device)
        self.moment = torch.zeros(spec.dimension, spec.dimension, dtype=torch.float64, device=device)
        self._reservoir = Reservoir(keep, spec.dimension, seed)

    @classmethod
    def of(cls, features: Tensor | np.ndarray, spec: FeatureSpec | None = None, keep: int = ALL) -> Self:
        """Computes the statistics of all features at once.

        Args:
            features: features [N, d].
            spec: how they were extracted. Without a spec they can be compared with others of the same d without one.
            keep: the number of features to keep.

        Raises:
            InputError: the shape is another one, or a value is NaN or infinite.
        """
        x = torch.as_tensor(features)
        if x.ndim != 2:
            x = checked(x, "features")  # which says what is wrong
        found = cls(spec or FeatureSpec("features", x.shape[-1]), keep, device=x.device)
        for part in x.split(PART):
            found.update(part)
        return found

    def update(self, features: Tensor, indices: Tensor | None = None) -> None:
        """Adds a batch.

        Args:
            features: features [N, d] of any type and device.
            indices: int64 [N], each image's number in the set, from 0; in parts that will be merged, all different. Left
                out, the numbers continue from ``count``.

        Raises:
            InputError: the shape is another one, or a value is NaN or infinite; nothing of the batch is added.
        """
        x = checked(features, self.spec.extractor, least=0)
        if x.shape[1] != self.spec.dimension:
            raise InputError(f"{self.spec.extractor}: a feature has {x.shape[1]} values, not {self.spec.dimension}")
        if len(x) == 0:
            return
        counted = torch.arange(self.count, self.count + len(x))
        self._reservoir.add(features, counted if indices is None else indices)
        x = x.to(self.mean.device)
        mean = x.mean(0)
        x = x - mean
        self._join(len(x), mean, x.T @ x)

    def merge(self, other: "Statistics") -> None:
        """Adds another part of the same set; the other part does not change.

        Raises:
            InputError: the other part is of another set, has another `keep` or seed, or has an image of the same index.
        """
        self.spec.refuse_unlike(other.spec, SAME_SET, "statistics to be merged")
        self._reservoir.merge(other._reservoir)
        if other.count == 0:
            return
        device = self.mean.device
        self._join(other.count, other.mean.to(device), other.moment.to(device))

    def _join(self, count: int, mean: Tensor, moment: Tensor) -> None:
        total = self.count + count
        shift = mean - self.mean
        self.mean = self.mean + shift * (count / total)
        self.moment = (self.moment + moment).addr_(shift, shift, alpha=self.count * count / total)
        self.count = total

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance, divisor ``n - 1``, float64 [d, d].

        Raises:
            InputError: there are fewer than two features.
        """
        if self.count < 2:
            raise InputError(f"a covariance needs at least 2 images, and there are {self.count} of {self._of_what()}")
        return self.moment / (self.count - 1)

    def _of_what(self) -> str:
        return " ".join(filter(None, (self.spec.source, self.spec.split))) or self.spec.extractor

    @property
    def features(self) -> Tensor:
        """The kept features [min(keep, n), d], in the order of their indices.

        float32 if they came in 32 bits or fewer, else float64.
        """
        return self._reservoir.rows

    @property
    def seed(self) -> int:
        """The seed of the choice of the kept features."""
        return self._reservoir.seed

    @property
    def whole(self) -> bool:
        """Whether all features were kept."""
        return self.count > 0 and self.count <= self.keep

    def save(self, path: Path | str) -> None:
        """Writes all of it to a file, atomically; statistics that :meth:`load` reads can be continued exactly.

        Args:
            path: the file, in a folder that exists; replaced if it is there.
        """
        path = Path(path)
        about = {"format": FORMAT, "spec": asdict(self.spec), "count": self.count, "keep": self.keep}
        about["seed"] = self.seed
        with atomic_write(path) as part, part.open("wb") as file:
            np.savez(
                file,
                about=np.array(json.dumps(about)),
                mean=self.mean.cpu().numpy(),
                moment=self.moment.cpu().numpy(),
                features=self._reservoir.rows.numpy(),
                indices=self._reservoir.indices.numpy(),
            )

    @classmethod
    def load(
        cls,
        path: Path | str,
        expected: FeatureSpec | None = None,
        count: int | None = None,
        device: torch.device | str = "cpu",
    ) -> Self:
        """Reads a file that :meth:`save` wrote.

        Args:
            path: the file.
            expected: the spec that the statistics must have; any if left out.
            count: the number of features that they must have; any if left out.
            device: the device of the moments.

        Raises:
            InputError: the file is missing, damaged or something else, or the spec or the count differs; the message says
                in what.
        """
        path = Path(path)
        try:
            with np.load(path, allow_pickle=False) as file:
                about = json.loads(str(file["about"]))
                if about["format"] != FORMAT:
                    raise InputError(f"{path}: format is {about['format']}, and this reads {FORMAT}; remove the file")
                found = cls(FeatureSpec(**about["spec"]), keep=about["keep"], seed=about["seed"], device=device)
                found.count = about["count"]
                found.mean = torch.from_numpy(file["mean"]).to(device)
                found.moment = torch.from_numpy(file["moment"]).to(device)
                found._reservoir.add(torch.from_numpy(file["features"]), torch.from_numpy(file["indices"]))
        except FileNotFoundError:
            raise InputError(f"{path}: there is no such file of statistics") from None
        except InputError:
            raise
        except (OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{path}: not a file of statistics, or a damaged one ({reason}); remove it") from error
        if expected is not None:
            expected.refuse_unlike(found.spec, SAME_SET, str(path))
        if count is not None and count != found.count:
            raise InputError(f"{path}: count is {found.count} there and {count} here; measure both in one way")
        return found
