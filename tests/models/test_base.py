"""Each model's recipe, number by number: what its players descend, how they step, what they see.

The contract asks that a model trains; this asks that it trains as its paper says.
"""

from math import log

import pytest
import torch
from support.training import Labelled, fit, loader
from torch import nn

from ganzoo.adversarial import AdversarialModule
from ganzoo.models import CGAN, DCGAN, GAN, ConvolutionalGAN, Pix2Pix, SimultaneousGAN
from ganzoo.networks.dropout import NoiseDropout
from ganzoo.networks.goodfellow import ConvMaxoutDiscriminator, DeconvGenerator, MaxoutDiscriminator, MLPGenerator

TINY = {"shape": (1, 8, 8), "latent": 5}


def small(cls, **options):
    if cls is Pix2Pix:
        return Pix2Pix(**{"depth": 3, "width": 4, "patch": 16, **options})
    if cls is ConvolutionalGAN:
        return ConvolutionalGAN(**{"shape": (1, 32, 32), "hidden": 2, **options})
    return cls(**{**TINY, **({"hidden": 8} if issubclass(cls, GAN) and cls is not DCGAN else {}), **options})


# -- costs --------------------------------------------------------------------------------------------


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


def test_what_pix2pixs_generator_descends():
    y, fake = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.25)
    fake[0, 0, 0, 0] = -0.5  # L1, not a square: |-0.5| counts twice as much as 0.25, not four times
    terms = small(Pix2Pix).generator_losses(torch.zeros(2, 1, 2, 2), fake, y)
    assert terms["gan"].item() == pytest.approx(log(2))
    assert terms["l1"].item() == pytest.approx(100 * (95 * 0.25 + 0.5) / 96)
    assert small(Pix2Pix, lambda_L1=7.0).generator_losses(torch.zeros(1), fake, y)["l1"].item() == pytest.approx(
        7 * (95 * 0.25 + 0.5) / 96
    )


# -- steps --------------------------------------------------------------------------------------------

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


def played(model, n=6, epochs=1, batch_size=2, **options):
    x = torch.rand(n * batch_size, *model.hparams["shape"], generator=torch.Generator().manual_seed(0)) * 2 - 1
    y = torch.arange(len(x)) % 3
    return fit(model, loader(x, y, batch_size=batch_size, kind=Labelled), "/tmp", max_epochs=epochs, **options)


@pytest.mark.parametrize(("cls", "factor"), [(GAN, 1.000004), (SimultaneousGAN, 1.000004), (CGAN, 1.00004)])
def test_rate_and_momentum_after_some_steps(cls, factor):
    model = small(cls)
    for optimizer in played(model, n=5, epochs=3).optimizers:
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 / factor**15, rel=1e-9)
        assert optimizer.param_groups[0]["momentum"] == pytest.approx(0.5 + 0.2 * 3 / 249)  # the fourth's


@pytest.mark.parametrize("cls", [DCGAN, Pix2Pix])
def test_these_have_no_schedule(cls):
    assert small(cls).configure_optimizers()[1] == []


@pytest.mark.parametrize("cls", [GAN, DCGAN])
@pytest.mark.parametrize("k", [1, 3])
def test_algorithm_1_gives_the_discriminator_k_steps(cls, k, monkeypatch):
    steps = []
    ritual = AdversarialModule._optimize
    monkeypatch.setattr(AdversarialModule, "_optimize", lambda self, one: (steps.append(one.name), ritual(self, one)))
    played(small(cls, k=k), n=6)
    assert steps == (["discriminator"] * k + ["generator"]) * (6 // k)


def test_each_player_of_algorithm_1_draws_fresh_noise(monkeypatch):
    drawn = []
    z = GAN.z
    monkeypatch.setattr(GAN, "z", lambda self, n, generator=None: drawn.append(z(self, n, generator)) or drawn[-1])
    played(small(GAN), n=3)
    assert len(drawn) == 6
    assert len({tuple(each.flatten().tolist()) for each in drawn}) == 6
    drawn.clear()
    played(small(SimultaneousGAN), n=3)
    assert len(drawn) == 3  # one pass serves both


@pytest.mark.parametrize("cls", [GAN, SimultaneousGAN, CGAN, DCGAN, ConvolutionalGAN])
def test_the_progress_bar_tells_real_from_fake(cls):
    model = small(cls)
    final = [m for m in model.D.modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]
    said = iter([3.0, -3.0] * 100)  # each model judges the real batch first
    final.register_forward_hook(lambda _, __, out: out * 0 + next(said))
    shown = played(model, n=1).progress_bar_metrics
    assert shown["D(x)"] == pytest.approx(0.9526, abs=1e-3)
    assert shown["D(G(z))"] == pytest.approx(0.0474, abs=1e-3)


# -- what goes in -------------------------------------------------------------------------------------


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


def test_pix2pixs_discriminator_sees_question_and_answer():
    model = small(Pix2Pix)
    x, y = (torch.randn(1, 3, 16, 16, requires_grad=True) for _ in range(2))
    model.discriminate(x, y).sum().backward()
    assert x.grad.abs().max() > 0
    assert y.grad.abs().max() > 0


@pytest.mark.parametrize(("patch", "layers"), [(1, 0), (16, 1), (34, 2), (70, 3), (142, 4), (286, 5)])
def test_patch_chooses_the_discriminator(patch, layers):
    D = small(Pix2Pix, patch=patch).D
    strided = [m for m in D.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    assert len(strided) == layers


def test_skips_can_be_left_out():
    with_skips, without = (sum(p.numel() for p in small(Pix2Pix, skips=s).G.parameters()) for s in (True, False))
    assert without < with_skips


def test_the_papers_sizes_are_the_defaults():
    count = {
        cls: tuple(sum(p.numel() for p in net.parameters()) for net in (cls().G, cls().D)) for cls in (GAN, CGAN, DCGAN)
    }
    assert count == {GAN: (2_503_984, 1_231_441), CGAN: (2_413_984, 1_224_351), DCGAN: (3_576_704, 2_765_568)}
    default = Pix2Pix()
    assert sum(p.numel() for p in default.G.parameters()) == 54_413_955
    assert sum(p.numel() for p in default.D.parameters()) == 2_768_705


# -- the networks' nonlinearities ---------------------------------------------------------------------


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


def test_the_unets_decoder_is_relu_and_its_encoder_leaky():
    G = small(Pix2Pix).G
    level = G.block
    while level is not None:
        assert type(level.up[0]) is nn.ReLU
        assert level is G.block or type(level.down[0]) is nn.LeakyReLU
        level = level.inside


def test_the_2014_generators_by_hand():
    z = torch.randn(3, 4)
    G = MLPGenerator(4, (1, 2, 2), hidden=5)
    first, second = G.hidden[0], G.hidden[2]
    by_hand = 2 * G.pixels(second(first(z).clamp(min=0)).clamp(min=0)).sigmoid() - 1
    assert torch.allclose(G(z), by_hand.view(3, 1, 2, 2), atol=1e-6)
    C = DeconvGenerator(4, 3, hidden=6)
    first, second = C.hidden[0], C.hidden[2]
    maps = second(first(z).clamp(min=0)).sigmoid().view(3, 80, 10, 10)
    assert torch.allclose(C(z), C.deconv(maps), atol=1e-6)
