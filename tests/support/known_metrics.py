"""Extractors, data and models with which metrics of quality are known, in a module that another process can import."""

import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as L
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ganzoo.adversarial import AdversarialModule
from ganzoo.interfaces import Cycled, CycleTranslator, Generated, Sampler, Translated, Translator
from ganzoo.metrics.extractors.base import Extractor, Features
from support.torchrun import spawn_two
from support.training import trainer

SIDE = 4  # of an image


class Tiny(Extractor):
    """Pixels averaged in 2 x 2 places, turned by a fixed matrix; a dropout that shows who forgets evaluation mode."""

    name, dimension, channels, has_logits = "tiny", 4, 1, True
    resize, preprocessing, weights, known = "2 x 2 means", "none", "0123456789abcdef", True

    def __init__(self) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.turn = nn.Parameter(torch.randn(4, 4, generator=g))
        self.drop = nn.Dropout(0.5)
        self.looks: list[int] = []  # images of each call

    def features(self, images: Tensor) -> Features:
        self.looks.append(len(images))
        pool = self.drop(F.adaptive_avg_pool2d(images.float(), 2).flatten(1)) @ self.turn
        return Features(pool, pool[:, :3] / 50)


class Pixels(Extractor):
    """The images themselves, 1 x 2 x 2."""

    name, dimension, channels = "pixels", 4, 1
    resize, preprocessing, weights, known = "none", "none", "fedcba9876543210", True

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(()))

    def features(self, images: Tensor) -> Features:
        return Features(images.flatten(1).float(), None)


class OneImage(NamedTuple):
    x: Tensor


class Labelled(NamedTuple):
    x: Tensor
    y: Tensor


class Pair(NamedTuple):
    x: Tensor
    y: Tensor


def noise(n: int, seed: int, channels: int = 1, side: int = SIDE) -> Tensor:
    """uint8 images."""
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, side, side), generator=g, dtype=torch.uint8)


class ImagesOf(Dataset):
    """Rows of tensors as NamedTuples."""

    def __init__(self, kind: Any, *tensors: Tensor) -> None:
        self.kind, self.tensors = kind, tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: int) -> Any:
        return self.kind(*(tensor[index] for tensor in self.tensors))


class Careless(ImagesOf):
    """Real images that draw from all common streams whenever they are read, and stay as they are."""

    def __getitem__(self, index: int) -> Any:
        torch.rand(1)
        np.random.rand()
        return super().__getitem__(index)


class Jittered(ImagesOf):
    """Real images that are another each time."""

    def __getitem__(self, index: int) -> Any:
        item = super().__getitem__(index)
        return item._replace(x=(item.x.float() * (0.5 + 0.5 * torch.rand(1))).to(torch.uint8))


class Data(L.LightningDataModule):
    """Train, val and test sets, as uint8 in the loaders and in [-1, 1] in the model, as ganzoo's have it."""

    def __init__(self, train: Dataset, val: Dataset | None = None, test: Dataset | None = None, batch_size: int = 4) -> None:
        super().__init__()
        self.train_set, self.val_set, self.test_set, self.batch_size = train, val, test, batch_size

    def train_dataloader(self):
        return DataLoader(self.train_set, self.batch_size)

    def val_dataloader(self):
        return [] if self.val_set is None else DataLoader(self.val_set, self.batch_size, generator=torch.Generator())

    def test_dataloader(self):
        return [] if self.test_set is None else DataLoader(self.test_set, self.batch_size)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return type(batch)(*(v / 127.5 - 1 if v.dtype == torch.uint8 else v for v in batch))


class Play(AdversarialModule):
    """Two players with everything that looking could disturb: noise, dropout, running statistics."""

    def __init__(self, **play: Any) -> None:
        super().__init__(**play)
        self.G = nn.Sequential(nn.Linear(3, SIDE * SIDE), nn.BatchNorm1d(SIDE * SIDE), nn.Dropout(0.5))
        self.D = nn.Linear(SIDE * SIDE, 1)
        self.modes: list[bool] = []

    def players(self):
        return {"discriminator": [self.D], "generator": [self.G]}

    def training_step(self, batch, batch_idx):
        x = batch.x.flatten(1)[:, : SIDE * SIDE]
        fake = self.G(torch.randn(len(x), 3))
        with self.turn("discriminator") as descend:
            descend({"gan": self.D(fake.detach()).mean() - self.D(x).mean()})
        with self.turn("generator") as descend:
            descend({"gan": -self.D(fake).mean()})


class Samples(Play, Sampler):
    """Noise through the generator. ``classes`` make a class brighter."""

    def __init__(self, classes: int | None = None, **play: Any) -> None:
        super().__init__(**play)
        self.classes = classes

    def sample(self, n, y=None, generator=None):
        self.modes.append(self.training)
        torch.rand(1)  # a careless model draws from the common stream too
        made = self.G(torch.randn(n, 3, generator=generator)).tanh().view(n, 1, SIDE, SIDE) / 4
        return made if y is None else made + (y / self.classes - 0.5).view(-1, 1, 1, 1)

    def validation_step(self, batch, batch_idx):
        return Generated(batch.x, batch.x)

    def test_step(self, batch, batch_idx):
        return None


class Improves(Samples):
    """Samples that are off by what the epoch says, as a buffer: the best are those of the third epoch."""

    OFF = (0.6, 0.4, 0.1, 0.3)

    def __init__(self, **play: Any) -> None:
        super().__init__(**play)
        self.register_buffer("off", torch.tensor(0.9))

    def on_train_batch_start(self, batch, batch_idx):
        super().on_train_batch_start(batch, batch_idx)
        self.off.fill_(self.OFF[self.current_epoch])

    def sample(self, n, y=None, generator=None):
        plain = torch.rand(n, 1, SIDE, SIDE, generator=generator) * 2 - 1
        return (plain * 0.4 + self.off).clamp(-1, 1)


class Same(Play, Translator):
    """y of x, which is x."""

    def translate(self, x):
        self.modes.append(self.training)
        torch.rand(1)
        return x

    def validation_step(self, batch, batch_idx):
        return Translated(batch.x, self.translate(batch.x), batch.y)


class Turns(Play, CycleTranslator):
    """There and back is the negative."""

    def translate(self, x):
        return -x

    def translate_back(self, y):
        return -y

    def validation_step(self, batch, batch_idx):
        return None


class OnlyRecords(L.LightningModule):
    """A user's own: no base of ganzoo's, and validation steps that return a record and log."""

    def __init__(self, record: str = "Generated") -> None:
        super().__init__()
        self.weight, self.record = nn.Parameter(torch.ones(())), record
        self.modes: list[bool] = []

    def training_step(self, batch, batch_idx):
        return self.weight.square()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)

    def validation_step(self, batch, batch_idx):
        self.modes.append(self.training)
        x = batch[0]
        self.log("val/own", x.mean(), sync_dist=True)
        if self.record == "Generated":
            return Generated(x, -x + 0 * torch.rand_like(x))
        if self.record == "Translated":
            return Translated(x, -x, batch[1])
        if self.record == "Cycled":
            return Cycled(x, -x, x, batch[1], -batch[1], batch[1])
        return {"loss": x.mean()}


def run(module: L.LightningModule, data: Any, tmp_path: Any, *callbacks: Any, seed: int = 1, **options: Any) -> L.Trainer:
    """Trains quietly, two epochs unless told otherwise, and returns the trainer."""
    torch.manual_seed(seed)
    how = {"max_epochs": 2, "callbacks": list(callbacks), **options}
    ckpt = how.pop("ckpt_path", None)
    played = trainer(tmp_path, **how)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        played.fit(module, datamodule=data, ckpt_path=ckpt, weights_only=True)
    return played


# -- two processes ------------------------------------------------------------------------------------------------------

EVERYTHING = {"subset_size": 5, "subsets": 3, "splits": 2, "n": 23, "batch_size": 5}  # five parts: three and two


class Alongside(ImagesOf):
    """Ten of x beside twenty-three of y, where x begins anew."""

    sizes = {"x": 10, "y": 23}


class HalfBroken(Samples):
    """NaN in the second process's part alone."""

    def sample(self, n, y=None, generator=None):
        made = super().sample(n, y, generator)
        return made * torch.nan if self.global_rank else made


def cases() -> dict[str, tuple[L.LightningModule, Data, dict[str, Any]]]:
    """Module, data and options of Quality."""
    x, y, labels = noise(23, 0), noise(23, 1), torch.arange(23) % 3
    torch.manual_seed(0)
    return {
        "samples": (Samples(), Data(ImagesOf(OneImage, noise(8, 1)), ImagesOf(OneImage, x), batch_size=2), {}),
        "classes": (
            Samples(3),
            Data(ImagesOf(Labelled, noise(8, 1), labels), ImagesOf(Labelled, x, labels), batch_size=2),
            {"per_class": True, "metrics": ["distance", "score", "manifold"]},
        ),
        "turns": (
            Turns(),
            Data(ImagesOf(Pair, x[:8], y[:8]), Alongside(Pair, x[:10].repeat(3, 1, 1, 1)[:23], y), batch_size=2),
            {},
        ),
        "one part": (
            Samples(),
            Data(ImagesOf(OneImage, noise(8, 1)), ImagesOf(OneImage, x), batch_size=2),
            {"batch_size": 100, "every_n_steps": 1},
        ),
        "moments": (
            Samples(),
            Data(ImagesOf(OneImage, noise(8, 1)), ImagesOf(OneImage, x), batch_size=2),
            {"moments": True, "cache": None, "keep": 12},
        ),
        "own": (OnlyRecords(), Data(ImagesOf(Pair, x[:8], y[:8]), ImagesOf(Pair, x, y), batch_size=2), {"cache": None}),
    }


def stand_still(module: L.LightningModule, rank: int = 0) -> None:
    """Its weights stay as they are, so that one process and two have the same; and each has running averages of its own."""

    def training_step(batch, batch_idx):
        for average in averages(module):
            average.fill_(rank)

    if isinstance(module, Play):
        module.training_step = training_step


def averages(module: L.LightningModule) -> list[Tensor]:
    """Of its batch norms."""
    return [part.running_mean for part in module.modules() if isinstance(part, nn.BatchNorm1d)]


def measured(module: L.LightningModule, held: Data, options: dict[str, Any], folder: Path, **how: Any) -> Any:
    """The trainer, and the callback, which has measured a short training."""
    from ganzoo.callbacks.quality import Quality

    callback = Quality("tiny", **{**EVERYTHING, **options})
    return run(module, held, folder, callback, **{"max_epochs": 1, **how}), callback


def work(rank: int, folder: str) -> None:
    """What each of two processes does."""
    import ganzoo.callbacks.quality as quality

    os.environ["GANZOO_CACHE"] = folder
    tinies: list[Tiny] = []
    quality.find = lambda name, weights=None: tinies.append(Tiny()) or tinies[-1]
    found: dict[str, Any] = {}
    two = {"strategy": "ddp", "devices": 2}
    for again in ("", " again"):
        for name, (module, held, options) in cases().items():
            stand_still(module, rank)
            played, callback = measured(module, held, options, Path(folder), **two)
            found[name + again] = {
                "metrics": callback.metrics,
                "logged": {k: float(v) for k, v in played.callback_metrics.items()},
                "looks": sum(tinies[-1].looks),
                "averages": [average.clone() for average in averages(module)],
            }
    try:
        _, held, _ = cases()["samples"]
        measured(HalfBroken(), held, {}, Path(folder), **two)
    except ValueError as error:
        found["broken"] = str(error)
    torch.save(found, Path(folder) / f"found_{rank}.pt")


def two_processes(folder: Path) -> list[dict[str, Any]]:
    """What both have found."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spawn_two(work, folder)
    return [torch.load(folder / f"found_{rank}.pt", weights_only=False) for rank in (0, 1)]
