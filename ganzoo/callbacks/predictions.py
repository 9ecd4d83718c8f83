"""What ``ganzoo predict`` leaves behind: a PNG file for each picture that was made, a line for each that was classified."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from ganzoo.images import to_uint8
from ganzoo.sheets import as_image


class PredictionWriter(BasePredictionWriter):
    """Writes what is predicted into the run's folder, in the order of the data.

    A prediction is what ``predict_step`` returns. Images in [-1, 1], [N, C, H, W], become ``predictions/000000.png`` and
    so on. Probabilities of classes, [N, classes], become ``predictions.csv``: for each picture its number, the most
    probable class and that class's probability (of several processes, the second writes ``predictions_1.csv``, and so
    on). Others are left alone.

    Args:
        folder: where the files go. Left out: the run's folder, and in it ``predictions`` for pictures.
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
        if not isinstance(prediction, Tensor) or prediction.ndim not in (2, 4):
            return
        # Lightning knows the pictures' numbers, also where several processes share them
        numbers = batch_indices or range(batch_idx * len(prediction), (batch_idx + 1) * len(prediction))
        home = Path(trainer.default_root_dir)
        if prediction.ndim == 4:
            self._write_pictures(Path(self.folder or home / "predictions"), numbers, prediction)
        else:
            rank = trainer.global_rank
            path = Path(self.folder or home) / (f"predictions_{rank}.csv" if rank else "predictions.csv")
            self._write_classes(path, numbers, prediction, first=batch_idx == 0 and dataloader_idx == 0)

    def _write_pictures(self, folder: Path, numbers: Sequence[int], prediction: Tensor) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for number, picture in zip(numbers, to_uint8(prediction).cpu(), strict=True):
            as_image(picture).save(folder / f"{number:06d}.png")

    def _write_classes(self, path: Path, numbers: Sequence[int], prediction: Tensor, first: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        best = prediction.float().cpu().max(1)
        with open(path, "w" if first else "a", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            if first:
                rows.writerow(("number", "class", "probability"))
            for number, y, p in zip(numbers, best.indices.tolist(), best.values.tolist(), strict=True):
                rows.writerow((number, y, f"{p:.6f}"))
