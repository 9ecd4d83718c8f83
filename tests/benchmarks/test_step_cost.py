"""What a training step costs in ganzoo, beside the same step written by hand and beside the usual tutorial's.

    python -m pytest -s tests/benchmarks

Prints a table. Each figure is a ratio within this run: every round times the three loops one after the other on the same
networks, batches and threads, and the median of the rounds' ratios is printed. Nothing is asserted of time.
"""

import logging
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple

import lightning.pytorch as L
import pytest
import torch
from support.step_cost import WARM_UP, Pair, seconds_a_step
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, l1_loss, softplus
from torch.optim import SGD, Adam

from ganzoo.models import DANN, DCGAN, GAN, LAPGAN, CycleGAN, DomainNormDANN, Pix2Pix
from ganzoo.networks.dann import NormedFamily
from ganzoo.networks.norms import SOURCE, TARGET, of_domain
from ganzoo.ops.gradient_reversal import reverse
from ganzoo.ops.image_pool import ImagePool

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


def freeze(network: nn.Module, frozen: bool) -> None:
    for p in network.parameters():
        p.requires_grad_(not frozen)


def by_hand(model, batch: Pair, cost: Callable, context: Callable, fresh: bool, lr=2e-4) -> Loop:
    """The same step as a careful person writes it: opponent frozen, nothing fetched from the device."""
    D, G = model.D, model.G
    d_optimizer, g_optimizer = (Adam(net.parameters(), lr=lr, betas=(0.5, 0.999)) for net in (D, G))

    def step() -> None:
        with context():
            with torch.set_grad_enabled(not fresh):
                fake = cost.fake(G, batch)
            loss = cost.discriminator(D, batch, fake.detach())
        d_optimizer.zero_grad()
        loss.backward()
        d_optimizer.step()
        freeze(D, True)
        with context():
            if fresh:
                fake = cost.fake(G, batch)
            loss = cost.generator(D, batch, fake)
        g_optimizer.zero_grad()
        loss.backward()
        g_optimizer.step()
        freeze(D, False)

    return timed(step)


def tutorial(model, batch: Pair, cost: Callable, lr=2e-4) -> Loop:
    """The usual loop: the discriminator is not frozen, real and fake go backward apart, losses are fetched each step."""
    D, G = model.D, model.G
    d_optimizer, g_optimizer = (Adam(net.parameters(), lr=lr, betas=(0.5, 0.999)) for net in (D, G))

    def step() -> float:
        d_optimizer.zero_grad()
        real = cost.real(D, batch)
        real.backward()
        fake = cost.fake(G, batch)
        false = cost.false(D, batch, fake.detach())
        false.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        loss = cost.generator(D, batch, fake)
        loss.backward()
        g_optimizer.step()
        return real.item() + false.item() + loss.item() + fake.mean().item()

    return timed(step)


class NoiseCost:
    def __init__(self, latent: int) -> None:
        self.latent = latent

    def fake(self, G, batch):
        return G(torch.randn(len(batch.x), self.latent))

    def real(self, D, batch):
        return softplus(-D(batch.x).float()).mean()

    def false(self, D, batch, fake):
        return softplus(D(fake).float()).mean()

    def discriminator(self, D, batch, fake):
        return self.real(D, batch) + self.false(D, batch, fake)

    def generator(self, D, batch, fake):
        return softplus(-D(fake).float()).mean()


class PairCost:
    def fake(self, G, batch):
        return G(batch.x)

    def real(self, D, batch):
        return 0.5 * softplus(-D(torch.cat([batch.x, batch.y], 1)).float()).mean()

    def false(self, D, batch, fake):
        return 0.5 * softplus(D(torch.cat([batch.x, fake], 1)).float()).mean()

    def discriminator(self, D, batch, fake):
        return self.real(D, batch) + self.false(D, batch, fake)

    def generator(self, D, batch, fake):
        gan = softplus(-D(torch.cat([batch.x, fake], 1)).float()).mean()
        return gan + 100 * (fake.float() - batch.y).abs().mean()


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


@pytest.mark.parametrize(
    ("name", "build", "shape", "cost", "n"),
    [
        ("DCGAN 64 x 64, batch 64", lambda: DCGAN(), (64, 3, 64, 64), NoiseCost(100), 8),
        ("pix2pix 128 x 128, batch 8, width 32", lambda: Pix2Pix(depth=7, width=32), (8, 3, 128, 128), PairCost(), 8),
    ],
    ids=["dcgan", "pix2pix"],
)
def test_large_networks(name, build, shape, cost, n, tmp_path):
    model = build()
    batch = Pair(torch.rand(shape) * 2 - 1, torch.rand(shape) * 2 - 1)
    loops = {
        "ganzoo": ganzoo_loop(model, batch, "32-true", tmp_path),
        "by hand": by_hand(model, batch, cost, nullcontext, fresh=False),
        "tutorial": tutorial(model, batch, cost),
        "ganzoo in bf16-mixed": ganzoo_loop(model, batch, "bf16-mixed", tmp_path),
        "by hand in bf16-mixed": by_hand(model, batch, cost, lambda: torch.autocast("cpu", torch.bfloat16), fresh=False),
    }
    seconds = median_of_rounds(loops, n, rounds=7)
    report(name, seconds)
    print(f"  tutorial over ganzoo             {ratio(seconds, 'tutorial', 'ganzoo')}")
    print(f"  tutorial over ganzoo in bf16     {ratio(seconds, 'tutorial', 'ganzoo in bf16-mixed')}")
    assert all(value > 0 for values in seconds.values() for value in values)


class Three(NamedTuple):
    x: Tensor
    y: Tensor
    target: Tensor


def cyclegan_by_hand(m: CycleGAN, batch: Pair) -> Loop:
    (G, F, D_X, D_Y), (x, y) = (m.G, m.F, m.D_X, m.D_Y), batch
    g_optimizer = Adam([*G.parameters(), *F.parameters()], lr=2e-4, betas=(0.5, 0.999))
    d_optimizer = Adam([*D_X.parameters(), *D_Y.parameters()], lr=2e-4, betas=(0.5, 0.999))
    past_x, past_y = ImagePool(50), ImagePool(50)

    def step() -> None:
        for D in (D_X, D_Y):
            freeze(D, True)
        fake_x, fake_y = F(y), G(x)
        gan = (D_X(fake_x) - 1).square().mean() + (D_Y(fake_y) - 1).square().mean()
        loss = gan + 10 * l1_loss(F(fake_y), x) + 10 * l1_loss(G(fake_x), y)
        g_optimizer.zero_grad()
        loss.backward()
        g_optimizer.step()
        for D in (D_X, D_Y):
            freeze(D, False)
        old_x, old_y = past_x(fake_x), past_y(fake_y)
        of_x = (D_X(x) - 1).square().mean() + D_X(old_x).square().mean()
        of_y = (D_Y(y) - 1).square().mean() + D_Y(old_y).square().mean()
        d_optimizer.zero_grad()
        (0.5 * (of_x + of_y)).backward()
        d_optimizer.step()

    return timed(step)


def lapgan_by_hand(m: LAPGAN, batch: Pair) -> Loop:
    d_optimizers, g_optimizers = ([SGD(n.parameters(), lr=0.02, momentum=0.5) for n in nets] for nets in (m.D, m.G))
    y = torch.zeros(len(batch.x), 0)

    def step() -> None:
        images, lows = m.low_pass(batch.x)
        for k, (D, G) in enumerate(zip(m.D, m.G, strict=True)):
            low = lows[k]
            freeze(G, True)
            real, fake = D(images[k] - low, low, y), D(G(m.z(k, len(low)), low, y), low, y)
            d_optimizers[k].zero_grad()
            (0.5 * (softplus(-real).mean() + softplus(fake).mean())).backward()
            d_optimizers[k].step()
            freeze(G, False)
            freeze(D, True)
            loss = softplus(-D(G(m.z(k, len(low)), low, y), low, y)).mean()
            g_optimizers[k].zero_grad()
            loss.backward()
            g_optimizers[k].step()
            freeze(D, False)

    return timed(step)


def dann_by_hand(m: DANN, batch: Three) -> Loop:
    optimizer = SGD([p for net in (m.G_f, m.G_y, m.G_d) for p in net.parameters()], lr=0.01, momentum=0.9)

    def step() -> None:
        with of_domain(SOURCE, m.G_f, m.G_d):
            f = m.G_f(batch.x)
            label, d = cross_entropy(m.G_y(f), batch.y), m.G_d(reverse(f, 0.5))
        with of_domain(TARGET, m.G_f, m.G_d):
            d_target = m.G_d(reverse(m.G_f(batch.target), 0.5))
        optimizer.zero_grad()
        (label + softplus(d).mean() + softplus(-d_target).mean()).backward()
        optimizer.step()

    return timed(step)


def noise_like(*shape: int) -> Tensor:
    return torch.rand(shape) * 2 - 1


@pytest.mark.parametrize(
    ("name", "build", "batch", "hand", "n"),
    [
        (
            "CycleGAN 64 x 64, batch 4, width 32, 4 blocks",
            lambda: CycleGAN(blocks=4, width=32, patch=34),
            lambda: Pair(noise_like(4, 3, 64, 64), noise_like(4, 3, 64, 64)),
            cyclegan_by_hand,
            8,
        ),
        (
            "LAPGAN 7-14-28, batch 64, width 16",
            lambda: LAPGAN((1, 28, 28), (7, 14, 28), width=16),
            lambda: Pair(noise_like(64, 1, 28, 28), torch.zeros(64, dtype=torch.int64)),
            lapgan_by_hand,
            16,
        ),
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
    ids=["cyclegan", "lapgan", "dann_normed", "dann"],
)
def test_translation_pyramid_and_adaptation(name, build, batch, hand, n, tmp_path):
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
        self.G, self.D, self.cost = model.G, model.D, NoiseCost(model.latent)

    def configure_optimizers(self):
        return [Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (self.D, self.G)]

    def training_step(self, batch, batch_idx):
        d_optimizer, g_optimizer = self.optimizers()
        freeze(self.G, True)
        loss = self.cost.discriminator(self.D, batch, self.cost.fake(self.G, batch))
        d_optimizer.zero_grad()
        self.manual_backward(loss)
        d_optimizer.step()
        freeze(self.G, False)
        freeze(self.D, True)
        loss = self.cost.generator(self.D, batch, self.cost.fake(self.G, batch))
        g_optimizer.zero_grad()
        self.manual_backward(loss)
        g_optimizer.step()
        freeze(self.D, False)


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
        "by hand": by_hand(model, batch, NoiseCost(16), nullcontext, fresh=True),
    }
    seconds = median_of_rounds(loops, 300, rounds=7)
    report("GAN 8 x 8, batch 64", seconds)
    for name in ("ganzoo", "ganzoo with a logger", "Lightning alone"):
        added = statistics.median(a - b for a, b in zip(seconds[name], seconds["by hand"], strict=True))
        print(f"  {name:28}{added * 1e6:10.0f} us a step more than by hand")
    assert all(value > 0 for values in seconds.values() for value in values)
