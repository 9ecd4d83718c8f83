"""The command in a folder of its own: a small model and data, things that fail, and what a run wrote."""

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
import yaml
from torch import nn

import ganzoo
from ganzoo.adversarial import AdversarialModule
from ganzoo.cli import main
from ganzoo.errors import InputError
from ganzoo.interfaces import Generated, Sampler
from ganzoo.utils import configs as config_files
from support.training import LIMIT, loader

PACKAGE_PARENT = str(Path(ganzoo.__file__).parent.parent)
PLAY = {
    "optimizers": None,
    "rates": None,
    "schedules": None,
    "clip_norm": None,
    "historical_averaging": None,
    "accumulate": 1,
    "ema_half_life": None,
    "ema_ramp": 0.05,
}
BATCHES = 3  # in an epoch of ToyData


class Toy(AdversarialModule, Sampler):
    def __init__(self, width: int = 2, weight_l1: float = 1.0, **play: Any) -> None:
        super().__init__(**play)
        self.save_hyperparameters()
        if width < 1:
            raise InputError(f"width is at least 1, not {width}")
        self.width, self.weight_l1 = width, weight_l1
        self.G, self.D = nn.Linear(width, 16), nn.Linear(16, 1)

    def players(self):
        return {"discriminator": [self.D], "generator": [self.G]}

    def training_step(self, batch, batch_idx):
        fake = self.G(torch.randn(len(batch.x), self.width))
        with self.turn("discriminator") as descend:
            descend({"gan": (self.D(fake.detach()) - self.D(batch.x)).mean()})
        with self.turn("generator") as descend:
            descend({"gan": -self.D(fake).mean()})

    @torch.no_grad()
    def sample(self, n, y=None, generator=None):
        return self.G(torch.randn(n, self.width, generator=generator)).tanh().view(n, 1, 4, 4)

    def validation_step(self, batch, batch_idx):
        self.log("weight_l1", self.weight_l1)
        return Generated(batch.x.view(-1, 1, 4, 4), self.sample(len(batch.x)))

    test_step = validation_step

    def predict_step(self, batch, batch_idx):
        return self.sample(len(batch.x))


class OtherToy(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.extra = nn.Linear(1, 1).requires_grad_(False)


class PlainModule(L.LightningModule):
    """Nothing of ganzoo's: one optimizer, Lightning's own loop."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(16, 1)

    def training_step(self, batch, batch_idx):
        return self.net(batch.x).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class ToyData(L.LightningDataModule):
    def __init__(self, batch_size: int = 4) -> None:
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self):
        x = torch.rand(BATCHES * self.batch_size, 16, generator=torch.Generator().manual_seed(3))
        return loader(x, batch_size=self.batch_size)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


class BrokenRows(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        raise InputError("photo_7.jpg is no image: delete it")


class BrokenData(ToyData):
    def train_dataloader(self):
        return torch.utils.data.DataLoader(BrokenRows(), num_workers=1)


class FullDisk(L.Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "metrics.csv")


def fill_the_disk():
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


class FullFromHere(L.Callback):
    now = True

    def on_train_start(self, trainer, pl_module):
        if self.now:
            fill_the_disk()


class TermInValidation(L.Callback):
    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        if trainer.global_step == BATCHES and batch_idx == 1:
            os.kill(os.getpid(), signal.SIGTERM)


class ShowsSlurm(L.Callback):
    def setup(self, trainer, pl_module, stage):
        environment = trainer._accelerator_connector.cluster_environment
        print(type(environment).__name__, getattr(environment, "auto_requeue", None))


class Interrupt(L.Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 2:
            raise KeyboardInterrupt


class Bug(L.Callback):
    def on_train_start(self, trainer, pl_module):
        raise ZeroDivisionError("ours")


BROKEN = ["--data", "support.command.BrokenData"]
UNSAVED = ["--trainer.logger", "false", "--trainer.enable_checkpointing", "false"]
TOY = """\
# Two linear players on noise.
# Paper: Nobody et al. 2014, Adversarial Nothing, table 3
model: {class_path: support.command.Toy, init_args: {width: "${data.init_args.batch_size}"}}
data: {class_path: support.command.ToyData, init_args: {batch_size: 4}}
trainer: {max_epochs: 1, enable_model_summary: false, accelerator: cpu}
"""


@pytest.fixture
def toy_folder(tmp_path, monkeypatch):
    """A folder to stand in, with a folder of configs elsewhere."""
    (tmp_path / "packaged").mkdir()
    (tmp_path / "packaged" / "toy_noise.yaml").write_text(TOY)
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setattr(config_files, "configs_folder", lambda: tmp_path / "packaged")
    monkeypatch.setattr(sys, "path", list(sys.path))


def fit(*args: str, config: str = "toy_noise") -> int:
    return main(["fit", "--config", config, *args])


def error(capsys, *args: str) -> str:
    """The one line that a refused command writes."""
    capsys.readouterr()
    assert main(list(args)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if "error" in line]) == 1
    assert lines[-1].startswith("ganzoo: error: ")
    return lines[-1].removeprefix("ganzoo: error: ")


def saved(run: str = "runs/toy_noise/version_0") -> dict:
    return yaml.safe_load(Path(run, "config.yaml").read_text())


def checkpoint(run: str = "runs/toy_noise/version_0") -> dict:
    return torch.load(Path(run, "checkpoints", "last.ckpt"), weights_only=True)


def ganzoo_process(*args: str, code: str | None = None) -> subprocess.CompletedProcess:
    paths = os.pathsep.join([PACKAGE_PARENT, str(Path(__file__).parent.parent)])
    command = [sys.executable, *(["-c", code] if code else ["-m", "ganzoo", *args])]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=LIMIT)
