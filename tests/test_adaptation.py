"""A small adaptation that must be learned: digits, to the same digits half hidden in photographs, without their labels.

Source alone, adapted, the reversal's sign flipped, and trained on the target: the same module, one value apart.
"""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.optim import Adam
from toys import fit
from worlds import stream

from ganzoo.data.digits import Digits
from ganzoo.models import DANN
from ganzoo.networks.dann import NormedFamily
from ganzoo.networks.norms import SOURCE, TARGET, of_domain

SIZE, STEPS = 20, 300
SEEDS = [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]


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


@pytest.fixture(scope="module")
def parts() -> tuple[Part, Part]:
    data = Digits(size=SIZE)
    data.setup()
    return part(data.train_set, 0), part(data.test_set, 1)


class Quick(DANN):
    def player_optimizer(self, player, parameters):
        return Adam(parameters, lr=1e-3)

    def player_schedules(self, player, optimizer):
        return []


def accuracies(train: Part, test: Part, tmp_path, seed: int, lambda_max: float, on_target: bool = False) -> dict[str, float]:
    labelled = train.target if on_target else train.source

    def draw(n, g):
        i, j = (torch.randint(len(train.y), (n,), generator=g) for _ in range(2))
        return Two(labelled[i], train.y[i], train.target[j])

    torch.manual_seed(seed)
    model = Quick((3, SIZE, SIZE), 10, NormedFamily((16, 32), 64, dropout=0.0), lambda_max=lambda_max)
    fit(model, stream(draw, STEPS, 64, seed), tmp_path, max_epochs=1)
    model.eval()
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


@pytest.mark.parametrize("seed", SEEDS)
def test_adapting_beats_source_only_by_far_and_a_flipped_sign_does_not(parts, tmp_path, seed):
    torch.set_num_threads(1)
    alone, adapted, flipped = (accuracies(*parts, tmp_path, seed, strength) for strength in (0.0, 1.0, -1.0))
    assert adapted["target"] > alone["target"] + 0.15
    assert adapted["target"] > 0.8
    assert adapted["source"] > 0.95 * alone["source"]
    assert adapted["domain"] < 0.7 < 0.9 < alone["domain"]
    assert flipped["target"] < adapted["target"] - 0.15
    assert flipped["domain"] > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_training_on_the_target_is_the_upper_bound(parts, tmp_path, seed):
    torch.set_num_threads(1)
    adapted = accuracies(*parts, tmp_path, seed, 1.0)
    bound = accuracies(*parts, tmp_path, seed, 0.0, on_target=True)
    assert bound["target"] > adapted["target"] - 0.01
    assert bound["target"] > 0.93
