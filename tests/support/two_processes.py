"""What two processes do, in a module of its own so that they can import it. Results are written to files, one per rank."""

import os
import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from support.games import Noted, OnePass, Penalised, SimultaneousTug, Together, Tug
from support.resuming import EveryMoment, Few, build, everything
from support.torchrun import spawn_two
from support.training import LIMIT, Batch, fit, trainer, wait_for
from support.zoo import MODELS, SMALL

# norm-free networks, whose gradients of a batch are means over its images; without dropout, which is noise
EXACT: dict[str, dict[str, Any]] = {
    "GAN": {},
    "SimultaneousGAN": {},
    "CGAN": {"dropout": 0.0},
    "CycleGAN": {"pool": 0},
    "LAPGAN": {},
    "DANN": {},
}


# of steps: a ReLU that tips over in one of two roundings makes more of a difference later
FEW = 3


# games, with how many small batches make one effective batch
PLAYS = [
    (Tug, 1),
    (Penalised, 1),
    (SimultaneousTug, 1),
    (OnePass, 1),
    (Together, 1),
    (SimultaneousTug, 2),
    (OnePass, 2),
    (Together, 2),
]


class Numbered(Dataset):
    """Eight rows made where they are asked for, so that no tensor has to travel between processes."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Batch:
        return Batch(torch.randn(3, generator=torch.Generator().manual_seed(index)))


class Seen(L.Callback):
    """Writes down what was drawn in each step, what was shown, and which values were logged."""

    def __init__(self) -> None:
        self.drawn: list[float] = []
        self.logged: list[dict[str, float]] = []

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        self.batch = batch

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *rest: Any) -> None:
        self.drawn.append(torch.rand(()).item())  # goes on in the step's own stream
        self.logged.append({k: float(v) for k, v in trainer.callback_metrics.items()})


def exact(name: str) -> Any:
    """The model with plain gradient steps, no dropout, and noise that is read off the images."""
    kind = MODELS[name]

    class Exact(kind):
        def on_train_batch_start(self, batch, batch_idx):
            super().on_train_batch_start(batch, batch_idx)
            self.rows = batch.x.flatten(1)

        def z(self, *where, **how):
            if name != "LAPGAN":
                return self.rows[:, : self.latent]
            k, size = where[0], self.sizes[where[0]]
            return self.rows[:, : size * size].unflatten(1, (1, size, size)) if k else self.rows[:, : self.latent]

    torch.manual_seed(0)
    options = {**SMALL.get(name, {}), **EXACT[name]}
    model = Exact(**options, optimizers={}, ema_half_life=16.0)
    sgd = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.01}}
    model._recipes.optimizers = dict.fromkeys(model.players(), sgd)
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return model


def fitted(model: Any, folder: Path, batch_size: int, ckpt: Path | None = None, **options: Any) -> tuple[L.Trainer, Seen]:
    seen = Seen()
    options = {"max_epochs": 2, "log_every_n_steps": 1, **options}
    callbacks = [seen, *options.pop("callbacks", [])]
    played = trainer(folder, callbacks=callbacks, enable_checkpointing=True, **options)
    torch.manual_seed(5)  # what seed_everything does: the same on every rank
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        played.fit(model, datamodule=Few(model, batch_size=batch_size, n=16), ckpt_path=ckpt, weights_only=True)
    return played, seen


def result(played: L.Trainer, seen: Seen) -> dict[str, Any]:
    return {**everything(played), "drawn": seen.drawn, "logged": seen.logged, "rank": played.global_rank}


def work(rank: int, folder: str) -> None:
    """What each of two processes does."""
    root = Path(folder)
    two: dict[str, Any] = {"strategy": "ddp", "devices": 2}
    for play, accumulate in PLAYS:
        torch.manual_seed(0)
        model = play(accumulate=accumulate)
        # Lightning deals the 8 rows out in some order: together the processes see all of them in each effective batch
        fit(model, DataLoader(Numbered(), batch_size=4 // accumulate), root, max_epochs=4, **two)
        torch.save(model.state_dict(), root / f"played_{play.__name__}_{accumulate}_{rank}.pt")
    torch.manual_seed(0)
    fit(Noted(folder), DataLoader(Numbered(), batch_size=4), root, max_epochs=4, **two)
    for name in EXACT:
        torch.save(result(*fitted(exact(name), root, 2, max_steps=FEW, **two)), root / f"exact_{name}_{rank}.pt")
    for name in MODELS:
        if name == "ConvolutionalGAN":
            continue
        options = {"ema_half_life": 10.0, **({"accumulate": 2} if name == "Pix2Pix" else {})}
        moments = EveryMoment(root / f"kept_{name}")
        played, seen = fitted(build(name, **options), root, 2, callbacks=[moments], **two)
        played.strategy.barrier()
        torch.save(result(played, seen), root / f"straight_{name}_{rank}.pt")
        for moment in ("epoch=0-step=1", "end-0"):
            path = root / f"kept_{name}" / f"{moment}.ckpt"
            again = result(*fitted(build(name, **options), root, 2, path, **two))
            torch.save(again, root / f"{moment}_{name}_{rank}.pt")


def results(new_folder: Callable[[str], Path], shared: Path) -> Path:
    """The folder of both processes' results. Of pytest-xdist's workers one runs them, and the others wait for it.

    Args:
        new_folder: makes an empty folder of this name.
        shared: a folder that all workers of this run of the tests have.
    """
    run_id = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    folder = new_folder("two") if run_id is None else shared / f"two_{run_id}"
    done = folder / "done"
    if run_id is not None:
        try:
            folder.mkdir()
        except FileExistsError:
            wait_for(done.exists, "the results of two processes in another worker", 3 * LIMIT)
            return folder
    try:
        run(folder)
    finally:
        done.touch()
    return folder


def run(folder: Path) -> None:
    """Both processes, to their end."""
    spawn_two(work, folder)


def bind_the_port(rank: int, folder: str) -> None:
    """Writes down whether the port where the processes will meet is free before they do."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", int(os.environ["MASTER_PORT"])))
            found = "free"
        except OSError:
            found = "taken"
    Path(folder, str(rank)).write_text(found)
