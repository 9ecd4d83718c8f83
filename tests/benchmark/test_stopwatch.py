"""The parts of a training step: each sleeps for a known time."""

import time

import lightning.pytorch as L
import pytest
import torch
from support.games import XY
from support.small_systems import ListedOrders
from support.training import trainer
from torch.optim import SGD
from torch.utils.data import DataLoader, Dataset

from ganzoo.benchmark.stopwatch import Stopwatch
from ganzoo.benchmark.worker import Obey, Order

SLEEP = {"data": 0.02, "forward": 0.03, "backward": 0.04, "optimizer": 0.01, "framework": 0.05}  # seconds


class Slow(Dataset):
    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> torch.Tensor:
        time.sleep(SLEEP["data"])
        return torch.zeros(2)


class Sleeper(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        time.sleep(SLEEP["forward"] / 2)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        time.sleep(SLEEP["backward"] / 2)
        return gradient


class SlowSGD(SGD):
    def step(self, closure=None):
        time.sleep(SLEEP["optimizer"] / 2)
        return super().step(closure)


class SlowXY(XY):
    """Each of the two players sleeps for half of each part."""

    def player_optimizer(self, player, parameters):
        return SlowSGD(parameters, lr=0.1)

    def xy(self):
        return Sleeper.apply(super().xy())


class SlowHook(L.Callback):
    def on_train_batch_start(self, *_) -> None:
        time.sleep(SLEEP["framework"])


def test_each_part_has_its_own_time_and_they_add_up(tmp_path):
    stopwatch, orders = Stopwatch("cpu"), ListedOrders(Order(2), Order(4, split=True), Order(1))
    callbacks = [SlowHook(), Obey(orders, "cpu", stopwatch), stopwatch.callback]
    model = SlowXY()
    trainer(tmp_path, callbacks=callbacks, profiler=stopwatch, max_epochs=1).fit(model, DataLoader(Slow()))
    stopwatch.close()
    assert len(model.path) == 7
    first, second, third = orders.answers
    assert first.split is None
    assert third.split is None
    for part, seconds in SLEEP.items():
        assert getattr(second.split, part) > 0.95 * seconds, part
    parts = [getattr(second.split, part) for part in SLEEP]
    assert sum(parts) == pytest.approx(second.seconds)
    assert second.processor < 4 * second.seconds  # it slept


def test_a_closed_stopwatch_hears_of_no_optimizer():
    stopwatch = Stopwatch("cpu")
    parameter = torch.nn.Parameter(torch.ones(1))
    parameter.grad = torch.ones(1)
    stopwatch.run()
    SlowSGD([parameter], lr=0.1).step()
    assert stopwatch.halt(1.0, 1).optimizer > 0
    stopwatch.close()
    stopwatch.run()
    SlowSGD([parameter], lr=0.1).step()
    assert stopwatch.halt(1.0, 1).optimizer == 0
