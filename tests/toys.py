"""Games and data small enough to know the answer."""

import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader, Dataset

from ganzoo.adversarial import AdversarialModule


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


class Number(nn.Module):
    """One parameter."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value, dtype=torch.float64))


class XY(AdversarialModule):
    """``min_x max_y x y``: x descends xy, y descends -xy, by plain gradient steps of size eta."""

    def __init__(self, eta: float = 0.1, **play: Any) -> None:
        super().__init__(**play)
        self.x, self.y, self.eta = Number(1.0), Number(0.0), eta
        self.path: list[tuple[float, float]] = []

    def players(self):
        return {"x": [self.x], "y": [self.y]}

    def player_optimizer(self, player, parameters):
        return SGD(parameters, lr=self.eta)

    def xy(self) -> Tensor:
        return self.x.value * self.y.value

    def training_step(self, batch, batch_idx):
        with self.turn("x") as descend:
            descend({"xy": self.xy()})
        with self.turn("y") as descend:
            descend({"xy": -self.xy()})
        self.path.append((self.x.value.item(), self.y.value.item()))


class SimultaneousXY(XY):
    def training_step(self, batch, batch_idx):
        with self.turn("x", "y") as descend:
            descend(x={"xy": self.xy()}, y={"xy": -self.xy()})
        self.path.append((self.x.value.item(), self.y.value.item()))


class Tug(AdversarialModule):
    """Two linear nets, one batch: enough to watch who moves and when. ``log`` keeps what was seen inside each turn."""

    def __init__(self, k: int = 1, lr: float = 0.1, **play: Any) -> None:
        super().__init__(**play)
        self.k, self.lr = k, lr
        self.G, self.D = nn.Linear(3, 3), nn.Linear(3, 1)
        self.log_of_turns: list[dict[str, Any]] = []

    def players(self):
        return {"discriminator": [self.D], "generator": [self.G]}

    def player_optimizer(self, player, parameters):
        return SGD(parameters, lr=self.lr)

    def losses(self, player: str, x: Tensor) -> dict[str, Tensor]:
        if player == "generator":
            return {"fool": -self.D(self.G(x)).mean(), "stay": (self.G(x) - x).square().mean()}
        return {"tell": self.D(self.G(x)).mean() - self.D(x).mean(), "small": self.D(x).square().mean()}

    def snapshot(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self.named_parameters()}

    def play(self, player: str, x: Tensor) -> None:
        before = self.snapshot()
        with self.turn(player) as descend:
            frozen = [name for name, p in self.named_parameters() if not p.requires_grad]
            descend(self.losses(player, x))
        self.log_of_turns.append(
            {
                "player": player,
                "frozen": frozen,
                "moved": [name for name, p in self.named_parameters() if not torch.equal(p, before[name])],
                "left": [name for name, p in self.named_parameters() if p.grad is not None],
                "step": self.trainer.global_step,
            }
        )

    def training_step(self, batch, batch_idx):
        self.play("discriminator", batch.x)
        if self.every(self.k):
            self.play("generator", batch.x)
