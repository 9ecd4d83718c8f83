"""The seconds that a training step takes."""

import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import lightning.pytorch as L
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

WARM_UP = 3


class Pair(NamedTuple):
    x: Tensor
    y: Tensor


class Same(IterableDataset):
    """One batch, again and again."""

    def __init__(self, batch: Pair, n: int) -> None:
        self.batch, self.n = batch, n

    def __iter__(self):
        return iter([self.batch] * self.n)

    def __len__(self) -> int:
        return self.n


class Clock(L.Callback):
    """Time from the end of the warm-up to the last batch: on the wall, or whatever ``now`` tells."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.now = now

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if batch_idx == WARM_UP - 1:
            self.start = self.now()
        self.stop = self.now()


def seconds_a_step(model, batch, n, tmp_path, *callbacks, now=time.perf_counter, precision="32-true", logs=False) -> float:
    clock = Clock(now)
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", logger=logs, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[clock, *callbacks], precision=precision, default_root_dir=tmp_path,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(model, DataLoader(Same(batch, n + WARM_UP), batch_size=None))
    return (clock.stop - clock.start) / n
