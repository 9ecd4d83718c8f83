"""CGAN: both players hear the class; dropout is a part of the noise."""

import torch
from support.small_models import small

from ganzoo.interfaces import isolated_rng
from ganzoo.models import CGAN


def test_both_conditional_players_hear_the_class():
    model = small(CGAN, classes=4).eval()
    z, y = model.z(1).expand(4, -1), torch.arange(4)
    images = model(z, y)
    assert len({tuple(image.flatten().tolist()) for image in images}) == 4
    x = torch.zeros(4, 1, 8, 8)
    said = model.D(x, model.one_hot(y, len(y)))
    assert len(set(said.flatten().tolist())) == 4
    assert torch.equal(model.one_hot(y, len(y)), torch.eye(4))


def test_the_conditional_generators_dropout_is_noise():
    """It is drawn when sampling too, from the generator that z is drawn from, and from nowhere else."""
    model = small(CGAN, classes=4).eval()
    with torch.no_grad():
        [p.mul_(20) for p in model.G.parameters() if p.dim() > 1]  # untrained, it is hardly seen
    z, y = model.z(1).expand(8, -1), torch.zeros(8, dtype=torch.int64)
    assert len(model(z, y).unique(dim=0)) == 8
    before = torch.get_rng_state()
    samples = [model.sample(8, y, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(samples[0], samples[1])
    assert not torch.equal(samples[0], samples[2])
    model.sample(8, y)  # of torch's own stream, like z
    assert not torch.equal(torch.get_rng_state(), before)
    still = small(CGAN, classes=4, dropout=0.0).eval()
    assert len(still(z, y).unique(dim=0)) == 1


def test_a_sample_is_one_pass_whose_dropout_has_a_seed_of_the_generator():
    model = small(CGAN, classes=4).eval()
    g = torch.Generator().manual_seed(3)
    seed = int(torch.randint(2**63 - 1, (), generator=g))
    z, y = model.z(5, g), torch.tensor([0, 1, 2, 0, 1])
    with isolated_rng(seed, torch.device("cpu")), torch.no_grad():
        expected = model.G(z, model.one_hot(y, 5))
    assert torch.equal(model.sample(5, y, torch.Generator().manual_seed(3)), expected)
