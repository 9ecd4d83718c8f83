"""A game that records the rate and the momentum of each step, and the same computed by hand."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.training.recipes import instantiate
from support.games import Tug
from support.training import loader, trainer

TORCHS, OURS = "torch.optim.lr_scheduler.", "ganzoo.schedules."


def recipe(path: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": path, "init_args": arguments}


EPOCHS, BATCHES = 5, 3


class Game(Tug):
    """Keeps the rate and the momentum in force at each step of each player."""

    def __init__(self, k: int = 1, **play: Any) -> None:
        super().__init__(k, **play)
        self.save_hyperparameters()
        self.rates: dict[str, list[tuple[float, ...]]] = {"discriminator": [], "generator": []}

    def player_optimizer(self, player, parameters):
        return SGD(parameters, lr=0.1, momentum=0.5)

    def on_before_optimizer_step(self, optimizer):
        super().on_before_optimizer_step(optimizer)
        player = "discriminator" if optimizer.param_groups[0]["params"][0] is self.D.weight else "generator"
        self.rates[player].append(in_force(optimizer))


def in_force(optimizer: Optimizer) -> tuple[float, ...]:
    (group,) = optimizer.param_groups
    return float(group["lr"]), group.get("momentum", 0.0)


def by_hand(schedule: dict[str, Any], interval: str, k: int = 1) -> list[tuple[float, ...]]:
    """The same in a loop of its own, without the grammar."""
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.5)
    stepped: Any = instantiate(schedule, LRScheduler, optimizer)  # type: ignore[type-abstract]
    seen = []
    for batch in range(EPOCHS * BATCHES):
        if (batch + 1) % k == 0:
            seen.append(in_force(optimizer))
            optimizer.step()
            if interval == "step":
                stepped.step()
        if interval == "epoch" and (batch + 1) % BATCHES == 0:
            stepped.step()
    return seen


def data():
    return loader(torch.randn(BATCHES, 3, generator=torch.Generator().manual_seed(1)), batch_size=1)


def play(game, tmp_path, epochs=EPOCHS, **options):
    played = trainer(tmp_path, max_epochs=epochs)
    played.fit(game, data(), **options)
    return played


def same(found, wanted):
    assert len(found) == len(wanted)
    for mine, its in zip(found, wanted, strict=True):
        assert mine == pytest.approx(its, rel=1e-9, abs=1e-12)
