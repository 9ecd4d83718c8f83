"""A run of the command in a process of its own, to be interrupted and killed."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import ganzoo
from ganzoo.adversarial import AdversarialModule
from support.training import Batch


class Filled(AdversarialModule):
    """Two players of one weight, and a large buffer that says at which step it was written."""

    def __init__(self, size: int = 1_000_000, pause: float = 0.0, term_after: int = 0, **play: Any) -> None:
        super().__init__(**play)
        self.save_hyperparameters()
        self.pause, self.term_after = pause, term_after
        self.G, self.D = nn.Linear(1, 1), nn.Linear(1, 1)
        self.register_buffer("filled", torch.zeros(size))

    def players(self):
        return {"discriminator": [self.D], "generator": [self.G]}

    def training_step(self, batch, batch_idx):
        step = self.trainer.global_step + 1
        with self.turn("discriminator") as descend:
            descend({"gan": self.D(batch.x).mean()})
        with open("steps.txt", "a") as file:
            file.write(f"{self.trainer.global_rank} {step}\n")
        time.sleep(self.pause)  # here most signals arrive: between the two players' steps
        with self.turn("generator") as descend:
            descend({"gan": self.D(self.G(batch.x)).mean()})
        self.filled.fill_(step)

    def on_train_batch_end(self, outputs, batch, batch_idx):
        super().on_train_batch_end(outputs, batch, batch_idx)
        if self.trainer.global_rank == 1 and self.trainer.global_step == self.term_after:
            os.kill(os.getpid(), signal.SIGTERM)  # after the processes have agreed to go on


class Row(Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Batch:
        return Batch(torch.full((1,), float(index)))


class Rows(L.LightningDataModule):
    def __init__(self, num_workers: int = 0) -> None:
        super().__init__()
        self.num_workers = num_workers

    def train_dataloader(self):
        return DataLoader(Row(), batch_size=2, num_workers=self.num_workers)


class Unreadable(Exception):
    """A file at a checkpoint's path that is not a checkpoint."""


def whole(path: Path) -> int:
    """The step of a checkpoint, which must be readable and complete."""
    try:
        checkpoint = torch.load(path, weights_only=True)
    except Exception as reason:  # what torch raises depends on where the file was cut off: Runtime-, EOF-, OSError ...
        raise Unreadable(path) from reason
    step = checkpoint["global_step"]
    assert (checkpoint["state_dict"]["filled"] == step).all()
    moments = [state["state"][0]["step"].item() for state in checkpoint["optimizer_states"]]
    assert moments == [step, step]  # both players have taken all of their steps
    assert "fit_loop" in checkpoint["loops"]
    return step


SMALL = ["--model", "support.interrupted_runs.Filled", "--model.size", "50000", "--data", "support.interrupted_runs.Rows"]


def environment(**more: str) -> dict[str, str]:
    paths = os.pathsep.join([str(Path(ganzoo.__file__).parent.parent), str(Path(__file__).parent.parent)])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **more}
