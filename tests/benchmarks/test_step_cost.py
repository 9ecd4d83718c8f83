"""What a training step of a DANN and of a very small GAN costs in ganzoo, beside the same step written by hand.

    python -m pytest -s tests/benchmarks/test_step_cost.py

``ganzoo bench`` times the other systems. Prints a table. Each figure is a ratio within this run: every round times the loops
one after the other on the same networks, batches and threads, and the median of the rounds' ratios is printed. Nothing is
asserted of time.
"""

import logging
import platform
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import lightning.pytorch as L
import pytest
import torch
from support.step_cost import WARM_UP, Pair, seconds_a_step
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus
from torch.optim import SGD, Adam

from ganzoo.benchmark.loops.base import freeze, update
from ganzoo.models import DANN, GAN, DomainNormDANN
from ganzoo.networks.dann import NormedFamily
from ganzoo.networks.norms import SOURCE, TARGET, of_domain
from ganzoo.ops.gradient_reversal import reverse

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
Loop = Callable[[int], float]


def ganzoo_loop(model: L.LightningModule, batch: Pair, precision: str, tmp_path, logs: bool = False) -> Loop:
    return lambda n: seconds_a_step(model, batch, n, tmp_path, precision=precision, logs=logs)


def timed(step: Callable[[], object]) -> Loop:
    def run(n: int) -> float:
        for _ in range(WARM_UP):
            step()
        start = time.perf_counter()
        for _ in range(n):
            step()
        return (time.perf_counter() - start) / n

    return run


def small_by_hand(model: GAN, batch: Pair) -> Loop:
    """Algorithm 1 as a careful person writes it: the opponent frozen, nothing fetched from the device."""
    D, G = model.D, model.G
    of_D, of_G = (Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True) for net in (D, G))

    def step() -> None:
        freeze([G])
        update(of_D, discriminator_cost(D, batch, fake(G, model, batch)))
        freeze([G], False)
        freeze([D])
        update(of_G, softplus(-D(fake(G, model, batch))).mean())
        freeze([D], False)

    return timed(step)


def fake(G: nn.Module, model: GAN, batch: Pair) -> Tensor:
    return G(torch.randn(len(batch.x), model.latent))


def discriminator_cost(D: nn.Module, batch: Pair, fake: Tensor) -> Tensor:
    return softplus(-D(batch.x)).mean() + softplus(D(fake)).mean()


def median_of_rounds(loops: dict[str, Loop], n: int, rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(rounds):
        names = list(loops)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            seconds[name].append(loops[name](n))
    return seconds


def ratio(seconds: dict[str, list[float]], over: str, under: str) -> str:
    rounds = sorted(a / b for a, b in zip(seconds[over], seconds[under], strict=True))
    return f"{statistics.median(rounds):6.3f}  (rounds from {rounds[0]:.3f} to {rounds[-1]:.3f})"


def report(name: str, seconds: dict[str, list[float]]) -> None:
    print(f"\n{name}: {torch.get_num_threads()} threads, torch {torch.__version__}, {platform.machine()}")
    for loop, values in seconds.items():
        print(f"  {loop:28}{statistics.median(values) * 1e3:10.2f} ms a step")
    print(f"  ganzoo over the same by hand     {ratio(seconds, 'ganzoo', 'by hand')}")


class Three(NamedTuple):
    x: Tensor
    y: Tensor
    target: Tensor


def dann_by_hand(m: DANN, batch: Three) -> Loop:
    optimizer = SGD([p for net in (m.G_f, m.G_y, m.G_d) for p in net.parameters()], lr=0.01, momentum=0.9, fused=True)

    def step() -> None:
        with of_domain(SOURCE, m.G_f, m.G_d):
            f = m.G_f(batch.x)
            label, d = cross_entropy(m.G_y(f), batch.y), m.G_d(reverse(f, 0.5))
        with of_domain(TARGET, m.G_f, m.G_d):
            d_target = m.G_d(reverse(m.G_f(batch.target), 0.5))
        update(optimizer, label + softplus(d).mean() + softplus(-d_target).mean())

    return timed(step)


def noise_like(*shape: int) -> Tensor:
    return torch.rand(shape) * 2 - 1


@pytest.mark.parametrize(
    ("name", "build", "batch", "hand", "n"),
    [
        (
            "DANN 28 x 28, batch 128 + 128, batch norm",
            lambda: DomainNormDANN(family=NormedFamily()),
            lambda: Three(noise_like(128, 3, 28, 28), torch.arange(128) % 10, noise_like(128, 3, 28, 28)),
            dann_by_hand,
            16,
        ),
        (
            "DANN 28 x 28, batch 64 + 64, the paper's net",
            lambda: DANN(),
            lambda: Three(noise_like(64, 3, 28, 28), torch.arange(64) % 10, noise_like(64, 3, 28, 28)),
            dann_by_hand,
            40,
        ),
    ],
    ids=["normed", "of_the_paper"],
)
def test_domain_adaptation(name, build, batch, hand, n, tmp_path):
    model, data = build(), batch()
    loops = {"ganzoo": ganzoo_loop(model, data, "32-true", tmp_path), "by hand": hand(model, data)}
    seconds = median_of_rounds(loops, n, rounds=7)
    report(name, seconds)
    assert all(value > 0 for values in seconds.values() for value in values)


class Bare(L.LightningModule):
    """Lightning's own manual optimization with nothing of ours: what is left of the difference is the grammar's."""

    def __init__(self, model: GAN) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.G, self.D, self.model = model.G, model.D, [model]  # in a list, or its networks would be here twice

    def configure_optimizers(self):
        return [Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True) for net in (self.D, self.G)]

    def training_step(self, batch, batch_idx):
        d_optimizer, g_optimizer = self.optimizers()
        freeze([self.G])
        loss = discriminator_cost(self.D, batch, fake(self.G, self.model[0], batch))
        d_optimizer.zero_grad()
        self.manual_backward(loss)
        d_optimizer.step()
        freeze([self.G], False)
        freeze([self.D])
        loss = softplus(-self.D(fake(self.G, self.model[0], batch))).mean()
        g_optimizer.zero_grad()
        self.manual_backward(loss)
        g_optimizer.step()
        freeze([self.D], False)


def test_small_networks(tmp_path):
    adam = {
        player: {"class_path": "torch.optim.Adam", "init_args": {"lr": 2e-4, "betas": [0.5, 0.999]}}
        for player in ("discriminator", "generator")
    }
    model = GAN((1, 8, 8), latent=16, hidden=32, optimizers=adam)
    batch = Pair(torch.rand(64, 1, 8, 8) * 2 - 1, torch.zeros(64))
    loops = {
        "ganzoo": ganzoo_loop(model, batch, "32-true", tmp_path),
        "ganzoo with a logger": ganzoo_loop(model, batch, "32-true", tmp_path, logs=True),
        "Lightning alone": ganzoo_loop(Bare(model), batch, "32-true", tmp_path),
        "by hand": small_by_hand(model, batch),
    }
    seconds = median_of_rounds(loops, 300, rounds=7)
    report("GAN 8 x 8, batch 64", seconds)
    for name in ("ganzoo", "ganzoo with a logger", "Lightning alone"):
        added = statistics.median(a - b for a, b in zip(seconds[name], seconds["by hand"], strict=True))
        print(f"  {name:28}{added * 1e6:10.0f} us a step more than by hand")
    assert all(value > 0 for values in seconds.values() for value in values)
