"""SNGAN: who steps when, how many images G makes, the schedule; what spectral normalization is for."""

import pytest
import torch
from support.small_models import played, small
from support.toy_distributions import stream, trained
from support.training import Batch, Labelled, fit, loader
from support.training_bounds import bounded
from torch import nn
from torch.nn.functional import avg_pool2d

from ganzoo.adversarial import AdversarialModule
from ganzoo.errors import InputError
from ganzoo.losses import Wasserstein
from ganzoo.models import SNGAN, SNGANProjection
from ganzoo.networks.families import MLPFamily, SNGANFamily, StandardCNNFamily

TINY = {"width_G": 4, "width_D": 4}
MODELS = {
    "residual": lambda **options: small(SNGAN, family=SNGANFamily(**TINY), **options),
    "standard": lambda **options: small(SNGAN, family=StandardCNNFamily(2), **options),
    "projection": lambda **options: small(SNGANProjection, **TINY, **options),
}


@pytest.mark.parametrize("kind", MODELS)
def test_five_steps_of_the_discriminator_then_one_of_the_generator_on_twice_the_images(kind, monkeypatch):
    steps, drawn = [], []
    model = MODELS[kind]()
    ritual, cls = AdversarialModule._optimize, type(model)
    z = cls.z
    monkeypatch.setattr(AdversarialModule, "_optimize", lambda self, one: (steps.append(one.name), ritual(self, one)))
    monkeypatch.setattr(cls, "z", lambda self, n, generator=None: drawn.append(n) or z(self, n, generator))
    played(model, n=10, batch_size=3)
    assert steps == (["discriminator"] * 5 + ["generator"]) * 2
    assert drawn == ([3] * 5 + [6]) * 2


@pytest.mark.parametrize("kind", ["residual", "projection"])
def test_the_rates_fall_linearly_to_zero_over_the_training(kind, monkeypatch):
    rates = {"discriminator": [], "generator": []}
    ritual = AdversarialModule._optimize

    def watched(self, one):
        group = one.optimizer.param_groups[0]
        rates[one.name].append(group["lr"])
        assert group["betas"] == (0.0, 0.9)
        ritual(self, one)

    monkeypatch.setattr(AdversarialModule, "_optimize", watched)
    played(MODELS[kind](n_critic=2, lr=0.1), n=6, epochs=2)
    assert rates["discriminator"] == pytest.approx([0.1 * (1 - n / 12) for n in range(12)])
    assert rates["generator"] == pytest.approx([0.1 * (1 - n / 6) for n in range(6)])


def test_the_vectors_of_the_power_iteration_are_in_the_checkpoint(tmp_path):
    """Two forward passes of D in each batch move them, and G's turn moves them too."""
    model = MODELS["residual"](n_critic=2)
    before = {name: each.clone() for name, each in model.state_dict().items() if name.endswith("._u")}
    assert len(before) == 11
    played(model).save_checkpoint(tmp_path / "kept.ckpt")
    saved = torch.load(tmp_path / "kept.ckpt", weights_only=True)["state_dict"]
    again = SNGAN.load_from_checkpoint(tmp_path / "kept.ckpt")
    for name, first in before.items():
        assert first.numel() == 1 or not torch.equal(saved[name], first), name
        assert torch.equal(saved[name], model.state_dict()[name]), name
        assert torch.equal(again.state_dict()[name], saved[name]), name
    assert all(torch.equal(a, b) for a, b in zip(model.D.buffers(), again.D.buffers(), strict=True))


def test_generating_does_not_move_the_vectors():
    model = MODELS["residual"]()
    before = [each.clone() for each in model.D.buffers()]
    model.eval().sample(2)
    model.D(torch.zeros(2, *model.shape))
    assert all(torch.equal(a, b) for a, b in zip(before, model.D.buffers(), strict=True))


# -- learning -------------------------------------------------------------------------------------

MEAN = torch.tensor([3.0, 4.0])


class Distance(SNGAN):
    """A critic alone, between N(0, I) and N(MEAN, I): the Wasserstein-1 distance is |MEAN| = 5."""

    def __init__(self):
        family = MLPFamily(hidden=32, layers=2)
        super().__init__((2,), latent=2, family=family, n_critic=10**6, lr=0.01, loss=Wasserstein())

    def networks(self):
        return Unmoved(), super().networks()[1]

    def check_batch(self, batch):
        pass  # points of the plane, and no images


class Unmoved(nn.Module):
    """G(z) = z, with a parameter, as a player needs one."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2))

    def forward(self, z):
        return z + self.shift


class Unbounded(Distance):
    """Broken: no spectral normalization."""

    def networks(self):
        return Unmoved(), self.family.networks(self.shape, self.latent)[1]


def measured_distance(cls, seed):
    torch.manual_seed(seed)
    data = stream(lambda n, g: Batch(MEAN + torch.randn(n, 2, generator=g)), 300, 256, seed)
    critic = trained(cls(), data)
    z = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(9))
    return {"distance": (critic.D(z + MEAN) - critic.D(z)).mean().item()}


@bounded(distance="> 4.9", too_far="< 0.05")
def a_spectrally_normalized_distance(seed):
    """A 1-Lipschitz critic finds the distance, and never more: of pairs a shift apart the mean is at most the shift."""
    found = measured_distance(Distance, seed)
    return {**found, "too_far": found["distance"] - 5}


@bounded(distance="> 100")
def a_distance_without_spectral_norm(seed):
    return measured_distance(Unbounded, seed)


@pytest.mark.parametrize(
    "training", [a_spectrally_normalized_distance, a_distance_without_spectral_norm], ids=lambda t: t.name
)
def test_a_critic_finds_the_wasserstein_distance_and_without_the_norm_any_number(training):
    training.check()


def quadrants(n, g):
    """Images 8 x 8 whose class is their bright quadrant, 0.8, among dark ones, -0.8."""
    y = torch.randint(4, (n,), generator=g)
    x = torch.full((n, 4), -0.8).scatter(1, y[:, None], 0.8).view(n, 1, 2, 2)
    x = x.repeat_interleave(4, 2).repeat_interleave(4, 3) + 0.1 * torch.randn(n, 1, 8, 8, generator=g)
    return Labelled(x.clamp(-1, 1), y)


class Unprojected(SNGANProjection):
    """Broken: the discriminator does not project its features on the class."""

    def networks(self):
        G, D = super().networks()
        D.V.register_forward_hook(lambda layer, given, out: 0 * out)
        return G, D


def in_their_quadrant(cls, seed):
    """The share of samples whose brightest quadrant is that of the class that was asked for."""
    torch.manual_seed(seed)
    model = cls((1, 8, 8), classes=4, latent=4, width_G=8, width_D=8, n_critic=1, generator_batch=1, lr=0.01)
    trained(model, stream(quadrants, 400, 32, seed))
    y = torch.arange(400) % 4
    samples = model.sample(400, y, torch.Generator().manual_seed(1))
    return {"right": (avg_pool2d(samples, 4).flatten(1).argmax(1) == y).float().mean()}


@bounded(right=">= 0.7")
def a_quadrant_by_projection(seed):
    return in_their_quadrant(SNGANProjection, seed)


@bounded(right="<= 0.5")
def a_quadrant_without_projection(seed):
    return in_their_quadrant(Unprojected, seed)


@pytest.mark.slow
@pytest.mark.parametrize("training", [a_quadrant_by_projection, a_quadrant_without_projection], ids=lambda t: t.name)
def test_the_class_reaches_the_generator_through_the_projection(training):
    training.check()


def test_data_without_classes_are_refused_in_one_line(tmp_path):
    model = MODELS["projection"](classes=3)
    with pytest.raises(InputError, match="needs labelled images") as caught:
        fit(model, loader(torch.zeros(4, 1, 8, 8), batch_size=2), tmp_path, max_epochs=1)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="classes is None: give"):
        MODELS["projection"](classes=None)
