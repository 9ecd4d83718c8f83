"""A small adaptation that must be learned: digits, to the same digits half hidden in photographs, without their labels.

Source alone, adapted, the reversal's sign flipped, and trained on the target: the same module, one value apart.
"""

import csv
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import torch
from support.toy_distributions import stream, trained
from support.training_bounds import bounded
from torch import Tensor
from torch.optim import Adam

from ganzoo.cli import main
from ganzoo.data.digits import Digits
from ganzoo.models import DANN, DomainNormDANN
from ganzoo.networks.dann import NormedFamily
from ganzoo.networks.norms import SOURCE, TARGET, of_domain

SIZE, STEPS = 20, 300


class Two(NamedTuple):
    x: Tensor
    y: Tensor
    target: Tensor


class Part(NamedTuple):
    source: Tensor
    target: Tensor
    y: Tensor


def photographs(n: int, seed: int) -> Tensor:
    from sklearn.datasets import load_sample_images

    images, rng = load_sample_images().images, np.random.default_rng(seed)
    cuts = []
    for _ in range(n):
        image = images[rng.integers(2)]
        top, left = rng.integers(image.shape[0] - SIZE), rng.integers(image.shape[1] - SIZE)
        cuts.append(image[top : top + SIZE, left : left + SIZE])
    return torch.from_numpy(np.stack(cuts)).permute(0, 3, 1, 2)


def part(digits, seed: int) -> Part:
    x = digits.x.expand(-1, 3, -1, -1).float()
    hidden = 0.5 * x + 0.5 * photographs(len(x), seed)
    return Part(x / 127.5 - 1, hidden / 127.5 - 1, digits.y)


@cache
def parts() -> tuple[Part, Part]:
    data = Digits(size=SIZE)
    data.setup()
    return part(data.train_set.samples, 0), part(data.test_set.samples, 1)


class Quick(DomainNormDANN):
    def player_optimizer(self, player, parameters):
        return Adam(parameters, lr=1e-3)

    def player_schedules(self, player, optimizer):
        return []


class Flipped(Quick):
    """Broken: the gradient is not reversed."""

    def strength(self) -> float:
        return -super().strength()


def accuracies(seed: int, lambda_max: float, on_target: bool = False, kind: type[DANN] = Quick) -> dict[str, float]:
    train, test = parts()
    labelled = train.target if on_target else train.source

    def draw(n, g):
        i, j = (torch.randint(len(train.y), (n,), generator=g) for _ in range(2))
        return Two(labelled[i], train.y[i], train.target[j])

    torch.manual_seed(seed)
    model = kind((3, SIZE, SIZE), classes=10, family=NormedFamily((16, 32), 64, dropout=0.0), lambda_max=lambda_max)
    trained(model, stream(draw, STEPS, 64, seed))
    with torch.no_grad():
        told = []
        for domain, x in ((SOURCE, test.source), (TARGET, test.target)):
            with of_domain(domain, model):
                told.append(((model.G_d(model.G_f(x)) > 0) == bool(domain)).float().mean().item())
    return {
        "source": (model.classify(test.source, SOURCE).argmax(1) == test.y).float().mean().item(),
        "target": (model.classify(test.target).argmax(1) == test.y).float().mean().item(),
        "domain": sum(told) / 2,
    }


@bounded(
    target="> 0.8",
    won="> 0.1",
    source_kept="> 0.95",
    domain="< 0.7",
    domain_alone="> 0.8",
    lost_when_flipped="> 0.15",
    domain_when_flipped="> 0.99",
)
def an_adaptation(seed):
    """Adapted, the source alone, and the reversal's sign flipped."""
    alone, adapted, flipped = accuracies(seed, 0.0), accuracies(seed, 1.0), accuracies(seed, 1.0, kind=Flipped)
    return {
        "target": adapted["target"],
        "won": adapted["target"] - alone["target"],
        "source_kept": adapted["source"] / alone["source"],
        "domain": adapted["domain"],
        "domain_alone": alone["domain"],
        "lost_when_flipped": adapted["target"] - flipped["target"],
        "domain_when_flipped": flipped["domain"],
    }


def test_adapting_beats_source_only_by_far_and_a_flipped_sign_does_not():
    an_adaptation.check()


@bounded(median_of=3, target="> 0.93", above_adapted="> -0.01")
def an_adaptation_with_the_targets_labels(seed):
    bound = accuracies(seed, 0.0, on_target=True)["target"]
    return {"target": bound, "above_adapted": bound - accuracies(seed, 1.0)["target"]}


@pytest.mark.slow
def test_training_on_the_target_is_the_upper_bound():
    an_adaptation_with_the_targets_labels.check()


@pytest.mark.slow
def test_the_config_without_a_download_adapts(tmp_path):
    """dann_digits, from printed digits to handwritten ones, beside its own lower bound: the median of three seeds."""

    def accuracy(seed: int, name: str, *options: str) -> float:
        args = ["fit", "--config", "dann_digits", "--seed_everything", str(seed), "--data.seed", str(seed)]
        folder = tmp_path / f"{name}{seed}"
        assert main([*args, "--run_dir", str(folder), "--trainer.accelerator", "cpu", *options]) == 0
        rows = list(csv.DictReader((folder / "metrics.csv").open()))
        return [float(row["val/oracle_target_accuracy"]) for row in rows if row.get("val/oracle_target_accuracy")][-1]

    gains = []
    for seed in (0, 1, 2):
        gains.append(accuracy(seed, "adapted") - accuracy(seed, "alone", "--model.lambda_max", "0"))
        if sum(gain > 0.05 for gain in gains) == 2:
            return  # two of three decide
    raise AssertionError(gains)
