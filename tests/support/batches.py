"""Comparing batches, the order of an epoch, and the batches that a trainer gives."""

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch

from ganzoo.data.sampling import EpochSampler


def same(a, b) -> bool:
    return all(torch.equal(left, right) for left, right in zip(a, b, strict=True))


def epoch_order(sampler: EpochSampler, epoch: int) -> list[tuple[int, int]]:
    sampler.set_epoch(epoch)
    return list(sampler)


class Seen(L.LightningModule):
    """Writes down the training batches."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch, batch_idx):
        self.seen.append(batch)
        return self.weight * 0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def seen_batches(data: L.LightningDataModule, folder: Path, path: Path | None = None, **options: Any) -> list[Any]:
    """The batches that a trainer of these options gives; with `path` of a resumed run."""
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    keep = {} if "callbacks" in options else {"enable_checkpointing": False}
    module = Seen()
    trainer = L.Trainer(default_root_dir=folder, limit_val_batches=0, **quiet, **keep, **options)
    trainer.fit(module, data, ckpt_path=path, weights_only=True)
    return module.seen
