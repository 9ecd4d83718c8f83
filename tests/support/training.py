"""Rows of tensors as batches, a quiet trainer, and waiting for another process."""

import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


class Batch(NamedTuple):
    x: Tensor


class Labelled(NamedTuple):
    x: Tensor
    y: Tensor


class Rows(Dataset):
    """A list of samples."""

    def __init__(self, samples: list[Any]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        return self.samples[index]


def loader(*tensors: Tensor, batch_size: int, kind: Any = None, shuffle: bool = False) -> DataLoader:
    """Rows of tensors as NamedTuples."""
    kind = kind or (Batch if len(tensors) == 1 else Labelled)
    rows = Rows([kind(*row) for row in zip(*tensors, strict=True)])
    return DataLoader(rows, batch_size=batch_size, shuffle=shuffle, generator=torch.Generator().manual_seed(0))


def trainer(tmp_path: Any, **options: Any) -> L.Trainer:
    """A trainer that says and writes nothing."""
    quiet = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "default_root_dir": tmp_path,
    }
    return L.Trainer(**{**quiet, **options})


def fit(module: L.LightningModule, data: DataLoader, tmp_path: Any, **options: Any) -> L.Trainer:
    """Trains quietly and returns the trainer."""
    played = trainer(tmp_path, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        played.fit(module, data)
    return played


LIMIT = 600  # seconds for another process: a broken one is ended, and a slow machine with much else to do is not called so


def wait_for(condition: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
    """The first true value of a condition that another process makes true.

    Args:
        condition: asked again and again.
        what: for the error.
        limit: seconds.

    Raises:
        AssertionError: it is still not true after that time.
    """
    give_up = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < give_up, f"{what}: not within {limit} s"
        time.sleep(0.02)
    return found
