"""What ``ganzoo predict`` leaves behind: a PNG file for each picture."""

from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from ganzoo.callbacks.samples import as_image
from ganzoo.images import to_uint8


class PredictionWriter(BasePredictionWriter):
    """Writes each predicted picture to ``predictions/000000.png`` in the run's folder, in the order of the data.

    A prediction is what ``predict_step`` returns: images in [-1, 1], [N, C, H, W]. Others are left alone.

    Args:
        folder: where the files go. Left out: ``predictions`` in the run's folder.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        super().__init__(write_interval="batch")
        self.folder = folder

    def write_on_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        prediction: Any,
        batch_indices: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Writes one batch."""
        if not isinstance(prediction, Tensor) or prediction.ndim != 4:
            return
        folder = Path(self.folder) if self.folder is not None else Path(trainer.default_root_dir) / "predictions"
        folder.mkdir(parents=True, exist_ok=True)
        # Lightning knows the pictures' numbers, also where several processes share them
        numbers = batch_indices or range(batch_idx * len(prediction), (batch_idx + 1) * len(prediction))
        for number, picture in zip(numbers, to_uint8(prediction).cpu(), strict=True):
            as_image(picture).save(folder / f"{number:06d}.png")
