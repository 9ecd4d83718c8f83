"""Draws samples with the training images nearest to them, to see whether a generator copies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor

from ganzoo.callbacks.samples import SampleGrid
from ganzoo.errors import InputError
from ganzoo.inference.neighbours import compared, neighbour_rows, read_images
from ganzoo.interfaces import Sampler
from ganzoo.metrics.extractors.base import Extractor
from ganzoo.utils.image_grid import grid
from ganzoo.utils.images import to_float, to_uint8
from ganzoo.utils.ranges import GridSize, NonNegativeInt, PositiveInt, Seed


class NearestNeighbours(SampleGrid):
    """Writes ``images/neighbours_step_000400.png``: in each row a sample, then its nearest training images.

    As figure 2 of Goodfellow et al. 2014 has it, to show that samples are not copies. Near is meant in Euclidean distance of
    pixels, which finds copies and near copies; a copy that is shifted by some pixels is far. With an extractor it is meant
    in its features. Samples are from noise that is the same each time, of a conditional model one to a class, in turn.
    Drawn at the same moments as a :class:`SampleGrid`, and without changing the training: from a random stream of
    its own, without gradients, in evaluation mode, on the first process only. A module that is no ``Sampler`` is left alone.

    The training images are those of the DataModule's ``train_set``, or else of the training's loader; they are read before
    the first image and stay in memory.

    Args:
        n: samples, which are the rows.
        k: training images in each row.
        most: training images that are compared, evenly chosen; a line says so if there are more.
        extractor: compare its features and not pixels.
        seed: of the noise.
        every_n_epochs: write an image at the end of each n-th epoch, as well as at the first and the last; 0 for no other.
        every_n_steps: also each so many steps within an epoch.
        folder: where the PNG files go. Left out: ``images`` in the run's folder.

    Raises:
        InputError: when a number is out of range; in training, for samples of another shape than the training images.
    """

    def __init__(
        self,
        n: GridSize = 10,
        k: GridSize = 5,
        most: PositiveInt = 10_000,
        extractor: Extractor | None = None,
        seed: Seed = 0,
        every_n_epochs: NonNegativeInt = 1,
        every_n_steps: PositiveInt | None = None,
        folder: str | Path | None = None,
    ) -> None:
        if k > most:
            raise InputError(f"NearestNeighbours needs k from 1 to most, not k={k} and most={most}")
        super().__init__(n, k + 1, seed, every_n_epochs, every_n_steps, folder)
        self.k = k
        self.most = most
        self.extractor = extractor
        self._training: tuple[Tensor, Tensor] | None = None  # images, and what they are compared by

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Finds the folder."""
        super().setup(trainer, pl_module, stage)
        self._training = None  # those of an earlier run

    def take(self, *_: Any) -> None:
        """Keeps nothing of the validation."""

    def _images(self, module: L.LightningModule) -> dict[str, Tensor]:
        if not isinstance(module, Sampler):
            return {}
        if self._training is None:
            dataset = _training_set(module.trainer)
            if dataset is None:
                return {}
            images = read_images(dataset, self.most, "NearestNeighbours")
            self._training = images, compared(images, self.extractor, module.device)
        images, known = self._training
        y = None
        if module.classes:
            y = torch.arange(self.n, device=module.device) % module.classes
        samples = to_uint8(module.sample(self.n, y=y, generator=self._generator())).cpu()
        rows = neighbour_rows(samples, images, known, min(self.k, len(known)), self.extractor, module.device)
        return {"neighbours": grid(to_float(rows.flatten(0, 1)), rows.shape[1])}


def _training_set(trainer: L.Trainer) -> Sequence[Any] | None:
    dataset = getattr(getattr(trainer, "datamodule", None), "train_set", None)
    if dataset is None:
        dataset = getattr(trainer.train_dataloader, "dataset", None)
    if dataset is None and not trainer.training:  # a bare loader is there in the training only
        return None
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise InputError(
            "NearestNeighbours needs the training images by number: a DataModule with train_set, or a loader of such a "
            "dataset; leave it out for data that only flow by"
        )
    return dataset
