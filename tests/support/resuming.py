"""Runs that are stopped at every moment, and what of them must be the same afterwards."""

import copy
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from torch import Tensor

from ganzoo.callbacks import Checkpoints
from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import LabelledImages, TwoDomains, Unpaired
from ganzoo.data.sampling import Augmented
from ganzoo.interfaces import Classifier, CycleTranslator, Translator
from support.training import Rows, trainer
from support.zoo import MODELS, SMALL


def jittered(sample: Any, rng: np.random.Generator) -> Any:
    """Augmentation that nobody can guess: every image is rolled by its own random numbers."""
    return type(sample)(*(part.roll(int(rng.integers(8)), -1) if part.dim() == 3 else part for part in sample))


class Few(ImageDataModule):
    """15 made-up images, augmented, for whichever model: 7 batches of 2 in an epoch, and one image is left out."""

    def __init__(
        self,
        model: L.LightningModule,
        num_workers: int = 0,
        batch_size: int = 2,
        seed: int = 3,
        n: int = 15,
        held_out: bool = False,
    ) -> None:
        super().__init__((3, 16, 16), None, batch_size=batch_size, num_workers=num_workers, seed=seed)
        self.model, self.n, self.held_out = model, n, held_out

    def splits(self) -> Splits:
        h, model = self.model.hparams, self.model
        g = torch.Generator().manual_seed(9)

        def random_images(channels: int, *size: int) -> Tensor:
            return torch.randint(0, 256, (self.n, channels, *size), generator=g, dtype=torch.uint8)

        labels = torch.arange(self.n) % 3
        if isinstance(model, CycleTranslator):
            rows = map(Unpaired, random_images(h["channels_x"], 16, 16), random_images(h["channels_y"], 16, 16))
        elif isinstance(model, Translator):
            rows = map(Unpaired, random_images(h["inputs"], 16, 16), random_images(h["outputs"], 16, 16))
        elif isinstance(model, Classifier):
            rows = map(TwoDomains, random_images(*h["shape"]), labels, random_images(*h["shape"]))
        else:
            rows = map(LabelledImages, random_images(*h["shape"]), labels)
        rows = list(rows)
        return Augmented(rows, jittered, self.seed), Rows(rows[:4]) if self.held_out else None, None


def build(name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return MODELS[name](**{**SMALL.get(name, {}), **options})


def run(model: Any, data: Few, folder: Path, ckpt: Path | None = None, callbacks: Any = (), **limits: Any) -> L.Trainer:
    torch.manual_seed(5 if ckpt is None else 77)  # a new process has other random numbers
    limits = limits or {"max_epochs": 2}
    played = trainer(
        folder, callbacks=list(callbacks), enable_checkpointing=bool(callbacks), use_distributed_sampler=False, **limits
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        played.fit(model, datamodule=data, ckpt_path=ckpt, weights_only=True)
    return played


def everything(played: L.Trainer) -> dict[str, Any]:
    """All that a training has: weights, optimizers, schedules, ema_networks, histories, counts."""
    model = played.lightning_module
    state: dict[str, Any] = {"weights": copy.deepcopy(model.state_dict())}
    state["optimizers"] = [copy.deepcopy(optimizer.state_dict()) for optimizer in played.optimizers]
    state["schedules"] = [copy.deepcopy(c.scheduler.state_dict()) for c in played.lr_scheduler_configs]
    state["step"] = played.global_step
    state["x-axis"] = played.fit_loop.epoch_loop._batches_that_stepped
    return state


def same(a: Any, b: Any, where: str = "") -> list[str]:
    """Where two states differ, to the bit."""
    if isinstance(a, Tensor):
        return [] if isinstance(b, Tensor) and a.shape == b.shape and torch.equal(a, b) else [where]
    if isinstance(a, dict):
        if a.keys() != b.keys():
            return [f"{where}: {sorted(map(str, a.keys() ^ b.keys()))}"]
        return [found for key in a for found in same(a[key], b[key], f"{where}.{key}")]
    if isinstance(a, list | tuple):
        return [found for i, (x, y) in enumerate(zip(a, b, strict=True)) for found in same(x, y, f"{where}[{i}]")]
    return [] if a == b else [where]


class EveryMoment(Checkpoints):
    """A checkpoint after every step and at every epoch's end."""

    def __init__(self, folder: Path) -> None:
        super().__init__(dirpath=folder, filename="{epoch}-{step}", every_n_train_steps=1, save_top_k=-1, save_last=False)
        self.folder = folder

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.save_checkpoint(self.folder / f"end-{trainer.current_epoch}.ckpt")


class Validated(L.Callback):
    """At which steps a validation ended; stops as early stopping would, at the third."""

    def __init__(self, before: int = 0) -> None:
        self.at: list[int] = []

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.at.append(trainer.global_step)


class SignalAt(L.Callback):
    """What StopOnSignal does when SIGTERM comes in this step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            trainer._signal_connector.received_sigterm = True
