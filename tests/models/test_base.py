"""The generators' recipes, number by number: what their players descend, how they step, what they see.

The contract asks that a model trains; this asks that it trains as its paper says.
"""

from math import log

import lightning.pytorch as L
import pytest
import torch
from support.small_models import played, small
from support.training import Labelled, fit, loader
from torch import nn

from ganzoo.errors import InputError
from ganzoo.interfaces import LabelledData
from ganzoo.models import CGAN, DCGAN, GAN, LSGAN, ConvolutionalGAN, Pix2Pix, SimultaneousGAN
from ganzoo.networks.dropout import NoiseDropout
from ganzoo.networks.families import MLPFamily, MLPGeneratorFamily
from ganzoo.networks.goodfellow import ConvMaxoutDiscriminator, MaxoutDiscriminator
from ganzoo.networks.mlp import MLP
from ganzoo.networks.norms import LayerNorm


@pytest.mark.parametrize("cls", [GAN, SimultaneousGAN, ConvolutionalGAN, CGAN, Pix2Pix, DCGAN])
def test_what_the_discriminator_descends(cls):
    """log 2 at D = 1/2 where the cost is halved, 2 log 2 where it is not."""
    half = 1.0 if cls is DCGAN else 0.5
    even = torch.zeros(4, 1)
    terms = small(cls).discriminator_losses(even, even)
    assert {name: pytest.approx(value.item()) for name, value in terms.items()} == {"gan": half * 2 * log(2)}
    # real first, fake second, and not the other way round
    sure = small(cls).discriminator_losses(torch.full((4, 1), 9.0), torch.full((4, 1), -9.0))["gan"]
    fooled = small(cls).discriminator_losses(torch.full((4, 1), -9.0), torch.full((4, 1), 9.0))["gan"]
    assert sure.item() == pytest.approx(half * 2 * log(1 + 2.718281828**-9), rel=1e-4)
    assert fooled.item() == pytest.approx(half * 2 * 9, rel=1e-3)


@pytest.mark.parametrize("cls", [GAN, SimultaneousGAN, ConvolutionalGAN, CGAN, DCGAN])
def test_what_the_generator_descends(cls):
    terms = small(cls).generator_losses(torch.tensor([[-9.0]]))
    assert {name: pytest.approx(value.item(), rel=1e-3) for name, value in terms.items()} == {"gan": 9.0}


SGD_01 = {"lr": 0.1, "momentum": 0.5}
RECIPES = {
    GAN: SGD_01,
    SimultaneousGAN: SGD_01,
    CGAN: SGD_01,
    ConvolutionalGAN: {"lr": 0.004, "momentum": 0.5},
    DCGAN: {"lr": 2e-4, "betas": (0.5, 0.999)},
    Pix2Pix: {"lr": 2e-4, "betas": (0.5, 0.999)},
}


@pytest.mark.parametrize("cls", RECIPES)
def test_default_optimizers_are_the_papers(cls):
    for optimizer in small(cls).configure_optimizers()[0]:
        assert type(optimizer).__name__ == ("SGD" if "momentum" in RECIPES[cls] else "Adam")
        # a schedule may have set a group already; the defaults are as constructed
        assert {name: optimizer.defaults[name] for name in RECIPES[cls]} == RECIPES[cls]


@pytest.mark.parametrize(("cls", "factor"), [(GAN, 1.000004), (SimultaneousGAN, 1.000004), (CGAN, 1.00004)])
def test_rate_and_momentum_after_some_steps(cls, factor):
    model = small(cls)
    for optimizer in played(model, n=5, epochs=3).optimizers:
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 / factor**15, rel=1e-9)
        assert optimizer.param_groups[0]["momentum"] == pytest.approx(0.5 + 0.2 * 3 / 249)  # the fourth's


@pytest.mark.parametrize("cls", [DCGAN, Pix2Pix])
def test_these_have_no_schedule(cls):
    assert small(cls).configure_optimizers()[1] == []


@pytest.mark.parametrize("cls", [GAN, SimultaneousGAN, CGAN, DCGAN, ConvolutionalGAN])
def test_the_progress_bar_tells_real_from_fake(cls):
    model = small(cls)
    final = [m for m in model.D.modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]
    said = iter([3.0, -3.0] * 100)  # each model judges the real batch first
    final.register_forward_hook(lambda _, __, out: out * 0 + next(said))
    shown = played(model, n=1).progress_bar_metrics
    assert shown["D(x)"] == pytest.approx(0.9526, abs=1e-3)
    assert shown["D(G(z))"] == pytest.approx(0.0474, abs=1e-3)


def test_noise_is_that_of_the_papers():
    z = GAN().z(20_000)
    assert z.shape == (20_000, 100)
    assert z.mean().item() == pytest.approx(0, abs=0.01)
    assert z.std().item() == pytest.approx(1, abs=0.01)
    z = CGAN().z(20_000)
    assert z.min() >= 0
    assert z.max() <= 1
    assert z.mean().item() == pytest.approx(0.5, abs=0.01)
    assert z.std().item() == pytest.approx(12**-0.5, abs=0.01)


def test_the_papers_sizes_are_the_defaults():
    count = {
        cls: tuple(sum(p.numel() for p in net.parameters()) for net in (cls().G, cls().D)) for cls in (GAN, CGAN, DCGAN)
    }
    assert count == {GAN: (2_503_984, 1_231_441), CGAN: (2_413_984, 1_224_351), DCGAN: (3_576_704, 2_765_568)}
    default = Pix2Pix()
    assert sum(p.numel() for p in default.G.parameters()) == 54_413_955
    assert sum(p.numel() for p in default.D.parameters()) == 2_768_705


def test_slopes_and_dropout_rates():
    for model in (small(DCGAN), small(Pix2Pix)):
        slopes = [m.negative_slope for m in model.modules() if isinstance(m, nn.LeakyReLU)]
        assert slopes
        assert set(slopes) == {0.2}
    assert not [m for m in small(DCGAN).G.modules() if isinstance(m, nn.LeakyReLU)]
    assert {m.p for m in Pix2Pix(width=2).G.modules() if isinstance(m, NoiseDropout)} == {0.5}
    assert [m.p for m in MaxoutDiscriminator().modules() if isinstance(m, nn.Dropout)] == [0.2, 0.5, 0.5]
    assert [m.p for m in ConvMaxoutDiscriminator().modules() if isinstance(m, nn.Dropout)] == [0.2, 0.5, 0.5, 0.5, 0.5]
    assert [m.p for m in CGAN().G.modules() if isinstance(m, NoiseDropout)] == [0.5, 0.5, 0.5]
    assert [m.p for m in CGAN().D.modules() if isinstance(m, nn.Dropout)] == [0.2, 0.5, 0.5, 0.5]


def test_the_classes_that_a_data_module_declares_are_compared_with_the_models(tmp_path):
    """By the attribute ``classes`` of any DataModule; data without one declares nothing."""

    class Mine(L.LightningDataModule):
        def train_dataloader(self):
            return loader(torch.zeros(4, 1, 8, 8), torch.arange(4) % 2, batch_size=2, kind=Labelled)

    class Declared(Mine):
        classes = 7

    assert isinstance(Declared(), LabelledData)
    assert not isinstance(Mine(), LabelledData)
    fit(CGAN(**CGAN.small), Mine(), tmp_path, max_epochs=1)
    with pytest.raises(InputError, match=r"the data has 7 classes, and model\.classes is 3"):
        fit(CGAN(**CGAN.small), Declared(), tmp_path, max_epochs=1)


@pytest.mark.parametrize("cls", [GAN, DCGAN])
def test_a_family_replaces_the_papers_networks(cls):
    model = cls((2,), latent=3, family=MLPFamily(hidden=8, layers=1))
    assert isinstance(model.G, MLP)
    assert model.sample(5).shape == (5, 2)
    assert model.hparams["family"] == {
        "class_path": "ganzoo.networks.families.MLPFamily",
        "init_args": {"hidden": 8, "layers": 1},
    }
    demonstration = cls((1, 16, 16), latent=3, family=MLPGeneratorFamily(width=4, hidden=8))
    assert demonstration.sample(5).shape == (5, 1, 16, 16)
    assert any(isinstance(part, nn.Conv2d) for part in demonstration.D.modules())
    assert not any(isinstance(part, nn.ConvTranspose2d) for part in demonstration.G.modules())


@pytest.mark.parametrize("cls", [GAN, DCGAN, LSGAN])
def test_a_model_with_a_family_is_loaded_from_its_checkpoint(cls, tmp_path):
    model = cls((2,), latent=3, family=MLPFamily(hidden=8, layers=1))
    played(model).save_checkpoint(tmp_path / "kept.ckpt")
    again = cls.load_from_checkpoint(tmp_path / "kept.ckpt")
    assert isinstance(again.G, MLP)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DCGAN((2,)), "DCGAN is for square images, not for shape"),
        (lambda: DCGAN((1, 16, 16), width=4, family=MLPFamily()), "a family replaces the networks that width describes"),
        (lambda: DCGAN((1, 16, 16), norm=LayerNorm(), family=MLPFamily()), "the networks that norm describes"),
        (lambda: GAN((2,), hidden=4, family=MLPFamily()), "the networks that hidden describes"),
        (lambda: ConvolutionalGAN(family=MLPFamily()), "ConvolutionalGAN has no argument 'family'"),
    ],
)
def test_a_family_beside_what_it_replaces_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
