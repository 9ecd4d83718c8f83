"""`ganzoo evaluate` in a folder of its own: models and images whose metrics are known."""

import os
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor, nn

import ganzoo.cli.outputs
import ganzoo.evaluation.evaluator
import ganzoo.evaluation.features
import ganzoo.evaluation.selection
from ganzoo.cli import main
from ganzoo.data.base import ImageDataModule
from ganzoo.data.batches import ImagePairs
from ganzoo.evaluation.protocol import Result
from ganzoo.interfaces import Sampler, Translator
from ganzoo.metrics.extractors.base import Extractor, Features

SMALL = ["--subset_size", "50", "--subsets", "5"]


class Tiny(Extractor):
    """A fixed random projection of 8 x 8 grey images, and class scores from it."""

    name, dimension, channels = "tiny", 6, 1
    resize, preprocessing, weights, known, has_logits = "mean of blocks, 8 x 8", "x / 255", "0123456789abcdef", True, True
    calls = 0
    interrupt_at: int | None = None
    by: Any = KeyboardInterrupt

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.project = nn.Parameter(torch.randn(64, 6, generator=generator))
        self.score = nn.Parameter(torch.randn(6, 4, generator=generator))

    def features(self, images: Tensor) -> Features:
        Tiny.calls += 1
        if Tiny.calls == Tiny.interrupt_at:
            if isinstance(Tiny.by, int):
                os.kill(os.getpid(), Tiny.by)
            else:
                raise Tiny.by
        x = nn.functional.adaptive_avg_pool2d(images.float() / 255, 8).flatten(1)
        return Features(x @ self.project, x @ self.project @ self.score)


class Colourful(Tiny):
    name, channels, has_logits = "colourful", 3, False

    def features(self, images: Tensor) -> Features:
        return Features(super().features(images[:, 1:2]).pool, None)


class Seven(L.LightningModule, Sampler):
    """Images of one grey each, drawn from the generator."""

    grey = 0.7

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(self.grey))

    def training_step(self, batch, batch_idx):
        return self.weight.square()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)

    @torch.no_grad()
    def sample(self, n, y=None, generator=None):
        return torch.rand(n, 1, 1, 1, generator=generator).expand(n, 1, 8, 8) * self.weight


class Brighter(L.LightningModule, Translator):
    def __init__(self) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(20 / 127.5))

    def training_step(self, batch, batch_idx):
        return self.by.square()

    configure_optimizers = Seven.configure_optimizers

    @torch.no_grad()
    def translate(self, x):
        return (x + self.by).clamp(-1, 1)


class Rows(torch.utils.data.Dataset):
    def __init__(self, kind: type, *values: Tensor, sizes: dict[str, int] | None = None) -> None:
        self.kind, self.values = kind, values
        self.sizes = sizes or {}

    def __len__(self):
        return max(map(len, self.values))

    def __getitem__(self, index):
        return self.kind(*(value[index % len(value)] for value in self.values))


def greys(n: int, seed: int, size: int = 12) -> Tensor:
    """uint8 [n, 1, size, size] in 40..200."""
    return torch.randint(40, 200, (n, 1, size, size), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


class Pairs(ImageDataModule):
    """y is x, brighter by 26 of 255."""

    def __init__(self, n: int = 40) -> None:
        super().__init__((1, 12, 12), None, batch_size=4, num_workers=0, seed=0)
        self.n = n

    def splits(self):
        x = greys(self.n, 1)
        return (Rows(ImagePairs, x, x + 26),) * 3


@pytest.fixture
def evaluate_folder(tmp_path, monkeypatch):
    """A folder to stand in, a cache of its own, and the tiny extractor by its name."""
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr("ganzoo.evaluation.evaluator.commit", lambda: "c" * 40)  # asking git takes longer than measuring
    found = ganzoo.evaluation.selection.find
    own = {"tiny": Tiny, "colourful": Colourful}
    monkeypatch.setattr(
        "ganzoo.evaluation.selection.find", lambda name, weights: own[name]() if name in own else found(name, weights)
    )
    Tiny.calls, Tiny.interrupt_at, Tiny.by = 0, None, KeyboardInterrupt
    Tiny.weights, Tiny.resize = "0123456789abcdef", "mean of blocks, 8 x 8"


def saved(model: L.LightningModule, name: str = "model.ckpt", **more: Any) -> str:
    """A checkpoint as a script of one's own leaves it."""
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, max_epochs=0)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(name)
    torch.save({**torch.load(name, weights_only=True), **more}, name)
    return name


def evaluate(*args: str, metrics: str | None = "distance") -> Result:
    """The result that the command writes."""
    chosen = ["--metrics", metrics] if metrics else []
    assert main(["evaluate", *map(str, args), "--extractor", "tiny", "--out", "out.json", *SMALL, *chosen]) == 0
    result = Result.load(Path("out.json"))
    Path("out.json").unlink()
    return result


def error(capsys, *args: str) -> str:
    """The one line that a refused command writes."""
    capsys.readouterr()
    assert main([*map(str, args)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if "error" in line]) == 1
    assert lines[-1].startswith("ganzoo: error: ")
    return lines[-1].removeprefix("ganzoo: error: ")


def folder(name: str | Path, images: Tensor) -> str:
    """Images uint8 [N, 1 or 3, H, W] as files."""
    Path(name).mkdir(exist_ok=True)
    for i, image in enumerate(images):
        values = image[0].numpy() if len(image) == 1 else image.permute(1, 2, 0).numpy()
        Image.fromarray(values).save(f"{name}/{i:04d}.png")
    return str(name)


def digits(split: str = "test") -> Tensor:
    """From scikit-learn, without ganzoo."""
    images, y = load_digits().images, load_digits().target
    place = np.array([(y[:i] == y[i]).sum() % 10 for i in range(len(y))])
    chosen = images[place > 7] if split == "test" else images[place < 7]
    return torch.from_numpy(np.round(chosen * 255 / 16).astype(np.uint8))[:, None]
