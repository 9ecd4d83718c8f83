"""Subsamples rows of a set at random, the same rows whatever the batches, ranks and interruptions were."""

import sys

import numpy as np
import torch
from torch import Tensor

from ganzoo.errors import InputError

ALL = sys.maxsize
"""Keeps every row."""


def subsample(indices: np.ndarray, keep: int, seed: int = 0) -> np.ndarray:
    """Chooses rows as a :class:`Reservoir` does.

    Args:
        indices: int64 [n], the rows' numbers in the set, ascending.
        keep: at most so many.
        seed: of the choice.

    Returns:
        int64 [min(n, keep)], positions in `indices`, ascending.
    """
    if len(indices) <= keep:
        return np.arange(len(indices))
    return np.sort(np.argsort(_shuffled(indices, seed), kind="stable")[:keep])


class Reservoir:
    """At most so many rows of a set, each with its index.

    Of more, those stay whose indices come first in a random order that (seed, index) alone decides. So each row has the same
    chance, and parts of a set that are gathered anywhere and in any order keep together what one pass would.

    Args:
        limit: none, a number, or :data:`ALL`.
        width: values of a row.
        seed: of the choice.
    """

    def __init__(self, limit: int, width: int, seed: int = 0) -> None:
        self.limit, self.width, self.seed = limit, width, seed
        self._rows: list[Tensor] = []
        self._indices: list[Tensor] = []
        self._waiting = 0

    def add(self, rows: Tensor, indices: Tensor) -> None:
        """Takes rows [N, width] of any float type and device, and their indices, int64 [N], at least 0 and all unalike.

        They are in the processor's memory, in float32 if they come in 32 bits or fewer, else in float64.
        """
        if self.limit == 0 or len(rows) == 0:
            return
        narrow = rows.dtype in (torch.float16, torch.bfloat16, torch.float32)
        self._rows.append(rows.detach().to("cpu", torch.float32 if narrow else torch.float64, copy=True))
        self._indices.append(indices.detach().to("cpu", torch.int64, copy=True))
        self._waiting += len(rows)
        if self._waiting > 2 * self.limit:
            self._thin()

    def merge(self, other: "Reservoir") -> None:
        """Takes another part's rows, and leaves it as it is.

        Raises:
            InputError: a part that keeps another number or chose by another seed, or one with the same indices.
        """
        if (self.limit, self.seed) != (other.limit, other.seed):
            raise InputError(
                f"statistics to be merged: keep is {other.limit} of seed {other.seed} there and {self.limit} of seed "
                f"{self.seed} here; give both the same"
            )
        both = torch.isin(self.indices, other.indices)
        if both.any():
            raise InputError(
                f"statistics to be merged: both have an image {int(self.indices[both][0])}; give each part its own images"
            )
        self._rows += other._rows
        self._indices += other._indices
        self._thin()

    @property
    def rows(self) -> Tensor:
        """[n, width], in the order of their indices."""
        self._thin()
        return self._rows[0] if self._rows else torch.zeros(0, self.width)

    @property
    def indices(self) -> Tensor:
        """int64 [n], rising."""
        self._thin()
        return self._indices[0] if self._indices else torch.zeros(0, dtype=torch.int64)

    def _thin(self) -> None:
        if len(self._rows) == 0:
            return
        rows, indices = torch.cat(self._rows), torch.cat(self._indices)
        if len(rows) > self.limit:
            chosen = np.argsort(_shuffled(indices.numpy(), self.seed), kind="stable")[: self.limit]
            rows, indices = rows[chosen], indices[chosen]
        order = indices.argsort()
        if not torch.equal(order, torch.arange(len(order))):
            rows, indices = rows[order], indices[order]
        self._rows, self._indices, self._waiting = [rows], [indices], len(rows)


def _shuffled(indices: np.ndarray, seed: int) -> np.ndarray:
    """A uint64 for each index that looks random: the mixing function of SplitMix64 (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        x = indices.astype(np.uint64) + np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(0x9E3779B97F4A7C15)
        x = x * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
