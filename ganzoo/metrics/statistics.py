"""Means, covariances and kept features of a set of pictures, and a header that says what they were measured on.

Statistics are float64, gathered in one pass and merged exactly, so that parts of a set (batches, processes, the halves of an
interrupted pass) give what the whole would. Whoever compares, merges or loads statistics of unlike protocols is told so.
"""

import json
import os
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor

from ganzoo.errors import InputError

ALL = sys.maxsize
"""Keeps every feature."""

FORMAT = 1
PART = 4096  # features that become float64 at a time


def checked(features: Tensor | np.ndarray, name: str, least: int = 1) -> Tensor:
    """Features as float64 [N, d], on their own device.

    Args:
        features: [N, d].
        name: of them, in an error.
        least: the fewest that will do.

    Raises:
        InputError: another shape, fewer than `least`, NaN or infinite values.
    """
    x = torch.as_tensor(features).detach()
    if x.ndim != 2 or x.shape[1] == 0:
        raise InputError(f"{name}: features have the shape {tuple(x.shape)}; give [N, d], one row a picture")
    if len(x) < least:
        raise InputError(f"{name}: at least {least} pictures are needed here, and there are {len(x)}; give more")
    x = x.double()
    bad = (~x.isfinite().all(1)).sum().item()
    if bad:
        raise InputError(f"{name}: the features of {bad} of {len(x)} pictures are not finite; look at the pictures")
    return x


def checked_pair(real: Tensor | np.ndarray, fake: Tensor | np.ndarray, least: int = 1) -> tuple[Tensor, Tensor]:
    """Both as :func:`checked`, and of one width.

    Raises:
        InputError: as there, or features of two widths.
    """
    x, y = checked(real, "real", least), checked(fake, "fake", least)
    if x.shape[1] != y.shape[1]:
        raise InputError(f"real features have {x.shape[1]} values and fake ones {y.shape[1]}; take both from one extractor")
    return x, y


@dataclass(frozen=True)
class Header:
    """What features were measured with, and of what.

    Attributes:
        extractor: its name, ``inception-2015``.
        dimension: values d of a feature.
        weights: a hash of the extractor's weights.
        resize: how pictures get their size, ``bilinear 299 without antialias``.
        preprocessing: what else is done to them, ``uint8, rounded; (x - 128) / 128``.
        source: the data set, or the model.
        split: of the data set, ``train``.
    """

    extractor: str
    dimension: int
    weights: str = ""
    resize: str = ""
    preprocessing: str = ""
    source: str = ""
    split: str = ""

    def refuse_unlike(self, other: "Header", names: Iterable[str], where: str) -> None:
        """Nothing, if the named attributes of both are equal.

        Args:
            other: a header.
            names: attributes.
            where: how the error begins.

        Raises:
            InputError: it names the first attribute that differs, and both values.
        """
        for name in names:
            mine, its = getattr(self, name), getattr(other, name)
            if mine != its:
                raise InputError(f"{where}: {name} is {its!r} there and {mine!r} here; measure both in one way")


SAME_FEATURES = ("extractor", "dimension", "weights", "resize", "preprocessing")
"""What must be equal for two sets of features to be compared; what they are features of may differ."""

SAME_SET = tuple(field.name for field in fields(Header))
"""What must be equal for two sets to be parts of one."""


class Statistics:
    """Count, mean and centred second moment of features, and the features themselves if wanted.

    Merging is the pairwise update (Chan, Golub and LeVeque 1979): ``M = M_a + M_b + (n_a n_b / n) e e^T`` with
    ``e = mean_b - mean_a``, which loses nothing where means are large, as sums of squares would.

    Args:
        header: what the features are.
        keep: how many features to keep: none, a number, or :data:`ALL`. Of more than that number, each has the same chance
            to be among the kept.
        seed: of that choice. Parts that will be merged each need their own, or they would choose alike. The global random
            stream is left alone.
        device: where moments are gathered; it must know float64. Kept features are in the processor's memory.

    Attributes:
        count: features seen, n.
        mean: float64 [d].
        moment: float64 [d, d], ``sum (x - mean) (x - mean)^T``.
    """

    def __init__(self, header: Header, keep: int = 0, seed: int = 0, device: torch.device | str = "cpu") -> None:
        self.header = header
        self.keep = keep
        self.count = 0
        self.mean = torch.zeros(header.dimension, dtype=torch.float64, device=device)
        self.moment = torch.zeros(header.dimension, header.dimension, dtype=torch.float64, device=device)
        self._rows: list[Tensor] = []
        # a random number each: the kept are those with the smallest, in any number of parts and in any order
        self._keys: list[Tensor] = []
        self._generator = torch.Generator().manual_seed(seed)

    @classmethod
    def of(cls, features: Tensor | np.ndarray, header: Header | None = None, keep: int = ALL) -> Self:
        """Of all features at once.

        Args:
            features: [N, d].
            header: without one they can be compared with others that have none, and the same d.
            keep: how many to keep.

        Raises:
            InputError: another shape, NaN or infinite values.
        """
        x = torch.as_tensor(features)
        if x.ndim != 2:
            x = checked(x, "features")  # which says what is wrong
        found = cls(header or Header("features", x.shape[-1]), keep, device=x.device)
        for part in x.split(PART):
            found.update(part)
        return found

    def update(self, features: Tensor) -> None:
        """Takes a batch.

        Args:
            features: [N, d] of any type and device.

        Raises:
            InputError: another shape, NaN or infinite values; nothing of the batch is then counted.
        """
        x = checked(features, self.header.extractor, least=0)
        if x.shape[1] != self.header.dimension:
            raise InputError(f"{self.header.extractor}: a feature has {x.shape[1]} values, not {self.header.dimension}")
        if len(x) == 0:
            return
        if self.keep:
            narrow = features.dtype in (torch.float16, torch.bfloat16, torch.float32)
            self._rows.append(features.detach().to("cpu", torch.float32 if narrow else torch.float64, copy=True))
            self._keys.append(torch.rand(len(x), dtype=torch.float64, generator=self._generator))
            if sum(map(len, self._rows)) > 2 * self.keep:
                self._thin()
        x = x.to(self.mean.device)
        mean = x.mean(0)
        x = x - mean
        self._join(len(x), mean, x.T @ x)

    def merge(self, other: "Statistics") -> None:
        """Takes another part of the same set, which stays as it is.

        Raises:
            InputError: a part of another set, or one that keeps another number, or that chose with the same seed.
        """
        self.header.refuse_unlike(other.header, SAME_SET, "statistics to be merged")
        if self.keep != other.keep:
            raise InputError(f"statistics to be merged: keep is {other.keep} there and {self.keep} here; give both the same")
        if 0 < self.keep < ALL and torch.isin(_cat(self._keys), _cat(other._keys)).any():
            raise InputError("statistics to be merged: both chose what to keep with one seed; give each part its own")
        if other.count == 0:
            return
        self._rows += other._rows
        self._keys += other._keys
        self._thin()
        device = self.mean.device
        self._join(other.count, other.mean.to(device), other.moment.to(device))

    def _join(self, count: int, mean: Tensor, moment: Tensor) -> None:
        total = self.count + count
        shift = mean - self.mean
        self.mean = self.mean + shift * (count / total)
        self.moment = (self.moment + moment).addr_(shift, shift, alpha=self.count * count / total)
        self.count = total

    def _thin(self) -> None:
        if sum(map(len, self._rows)) > self.keep:
            keys = _cat(self._keys)
            chosen = keys.topk(self.keep, largest=False).indices.sort().values
            self._rows, self._keys = [torch.cat(self._rows)[chosen]], [keys[chosen]]

    @property
    def covariance(self) -> Tensor:
        """float64 [d, d], with ``n - 1``.

        Raises:
            InputError: fewer than two features.
        """
        if self.count < 2:
            raise InputError(f"a covariance needs at least 2 pictures, and there are {self.count} of {self._of_what()}")
        return self.moment / (self.count - 1)

    def _of_what(self) -> str:
        return " ".join(filter(None, (self.header.source, self.header.split))) or self.header.extractor

    @property
    def features(self) -> Tensor:
        """The kept features [min(keep, n), d], in the order in which they came.

        float32 if they came in 32 bits or fewer, else float64.
        """
        self._thin()
        return torch.cat(self._rows) if self._rows else torch.zeros(0, self.header.dimension)

    @property
    def whole(self) -> bool:
        """Whether all features were kept."""
        return self.count > 0 and self.count <= self.keep

    def save(self, path: Path | str) -> None:
        """Writes a file, whole or not at all, from which :meth:`load` goes on exactly.

        Args:
            path: its folder must exist; a file of that name is replaced.
        """
        path = Path(path)
        about = {"format": FORMAT, "header": asdict(self.header), "count": self.count, "keep": self.keep}
        part = path.with_name(f".{path.name}.{uuid4().hex}.part")
        try:
            with part.open("xb") as file:
                np.savez(
                    file,
                    about=np.array(json.dumps(about)),
                    mean=self.mean.cpu().numpy(),
                    moment=self.moment.cpu().numpy(),
                    features=self.features.numpy(),
                    keys=_cat(self._keys).numpy(),
                    generator=self._generator.get_state().numpy(),
                )
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    @classmethod
    def load(
        cls,
        path: Path | str,
        expected: Header | None = None,
        count: int | None = None,
        device: torch.device | str = "cpu",
    ) -> Self:
        """Reads what :meth:`save` wrote.

        Args:
            path: of the file.
            expected: the header that it must have.
            count: of the features that it must be of.
            device: for what is still to come.

        Raises:
            InputError: no such file, no statistics, a damaged file, or (naming what differs) those of another protocol.
        """
        path = Path(path)
        try:
            with np.load(path, allow_pickle=False) as file:
                about = json.loads(str(file["about"]))
                if about["format"] != FORMAT:
                    raise InputError(f"{path}: format is {about['format']}, and this reads {FORMAT}; remove the file")
                found = cls(Header(**about["header"]), keep=about["keep"], device=device)
                found.count = about["count"]
                found.mean = torch.from_numpy(file["mean"]).to(device)
                found.moment = torch.from_numpy(file["moment"]).to(device)
                if len(file["features"]):
                    found._rows, found._keys = [torch.from_numpy(file["features"])], [torch.from_numpy(file["keys"])]
                found._generator.set_state(torch.from_numpy(file["generator"]))
        except FileNotFoundError:
            raise InputError(f"{path}: there is no such file of statistics") from None
        except InputError:
            raise
        except (OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{path}: not a file of statistics, or a damaged one ({reason}); remove it") from error
        if expected is not None:
            expected.refuse_unlike(found.header, SAME_SET, str(path))
        if count is not None and count != found.count:
            raise InputError(f"{path}: count is {found.count} there and {count} here; measure both in one way")
        return found


def _cat(keys: list[Tensor]) -> Tensor:
    return torch.cat(keys) if keys else torch.zeros(0, dtype=torch.float64)
