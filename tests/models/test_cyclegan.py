"""CycleGAN: its networks, its costs by hand, its steps against a plain loop, and a bijection that it must find."""

import copy
import warnings

import lightning.pytorch as L
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from support.toy_distributions import stream, trained
from support.training import Labelled, fit, loader, trainer
from support.training_bounds import bounded
from torch import nn
from torch.nn import functional

from ganzoo.errors import InputError
from ganzoo.interfaces import Cycled
from ganzoo.losses import NonSaturating, UnhalvedLeastSquares
from ganzoo.models import CycleGAN
from ganzoo.networks.norms import BatchStatistics, InstanceNorm
from ganzoo.networks.pix2pix import PatchGAN
from ganzoo.networks.resnet import ResNet
from ganzoo.training.recipes import to_plain
from ganzoo.utils.rng import step_seed

TINY = {"blocks": 1, "width": 4, "patch": 16}


def count(*networks: nn.Module) -> int:
    return sum(p.numel() for network in networks for p in network.parameters())


def random_images(n: int = 8, size_x: int = 16, size_y: int = 16, batch_size: int = 2, dtype: torch.dtype = torch.float32):
    g = torch.Generator().manual_seed(1)
    x, y = (torch.rand(n, 3, size, size, generator=g).to(dtype) * 2 - 1 for size in (size_x, size_y))
    return loader(x, y, batch_size=batch_size, kind=Labelled)


def test_instance_norm_of_the_torch_code_has_a_scale_and_a_shift_of_each_map():
    def norms(net):
        return [part for part in net.modules() if isinstance(part, torch.nn.InstanceNorm2d)]

    model = CycleGAN()
    assert not any(list(part.parameters()) for net in (model.G, model.D_Y) for part in norms(net))
    assert sum(2 * part.num_features for part in norms(model.G)) == 10_496
    assert sum(2 * part.num_features for part in norms(model.D_Y)) == 1_792
    # with a shift of its own behind it, a convolution has no bias: one of each map goes, a scale and a shift come
    learned = CycleGAN(norm=InstanceNorm(affine=True)).G
    assert sum(p.numel() for part in norms(learned) for p in part.parameters()) == 10_496
    assert count(learned) == 11_378_179 + 10_496 - 10_496 // 2


def test_the_papers_networks_are_the_defaults():
    model = CycleGAN()
    assert [count(net) for net in (model.G, model.F, model.D_X, model.D_Y)] == [11_378_179] * 2 + [2_764_737] * 2
    for judge in (model.D_X, model.D_Y):
        assert [type(m).__name__ for m in judge.layers[:3]] == ["Conv2d", "LeakyReLU", "Conv2d"]  # none on the first layer
        assert sum(isinstance(m, nn.InstanceNorm2d) for m in judge.modules()) == 3
        assert {m.negative_slope for m in judge.modules() if isinstance(m, nn.LeakyReLU)} == {0.2}
    assert not [m for m in model.modules() if isinstance(m, nn.BatchNorm2d | nn.Dropout)]


@pytest.mark.parametrize(("patch", "layers"), [(1, 0), (16, 1), (34, 2), (70, 3), (142, 4), (286, 5)])
def test_patch_chooses_the_discriminators(patch, layers):
    model = CycleGAN(blocks=0, width=2, patch=patch)
    for judge in (model.D_X, model.D_Y):
        assert sum(isinstance(m, nn.Conv2d) and m.stride == (2, 2) for m in judge.modules()) == layers
    with pytest.raises(InputError, match="patch is 64: give one of 1, 16, 34, 70, 142, 286"):
        CycleGAN(patch=64)


# -- costs by hand ------------------------------------------------------------------------------------


class Times(nn.Module):
    """Multiplies by a number, and counts how often it is asked."""

    def __init__(self, k: float) -> None:
        super().__init__()
        self.k, self.asked = nn.Parameter(torch.tensor(k)), 0

    def forward(self, x):
        self.asked += 1
        return self.k * x


class Scales(CycleGAN):
    """G doubles, F trebles; D_X and D_Y give a logit a pixel, 4 and 2 times its value."""

    def networks(self):
        return Times(2.0), Times(3.0), Times(4.0), Times(2.0)


X, Y = torch.full((2, 3, 4, 4), 0.1), torch.full((2, 3, 4, 4), -0.3)
FAKE_X, FAKE_Y = 3 * Y, 2 * X  # -0.9 and 0.2


def by_value(terms):
    return {name: pytest.approx(term.item(), rel=1e-5) for name, term in terms.items()}


def test_what_the_generator_descends():
    gan_and_cycle = {
        "gan_x": (4 * -0.9 - 1) ** 2,  # D_X on F(y), towards 1, and no factor of one half
        "gan_y": (2 * 0.2 - 1) ** 2,
        "cycle_x": 10 * abs(3 * 0.2 - 0.1),  # F(G(x)) against x
        "cycle_y": 10 * abs(2 * -0.9 + 0.3),
    }
    assert by_value(Scales().generator_losses(X, Y, FAKE_X, FAKE_Y)) == gan_and_cycle
    identity = {"identity_x": 5 * abs(3 * 0.1 - 0.1), "identity_y": 5 * abs(2 * -0.3 + 0.3)}  # F(x) to x, G(y) to y
    with_identity = Scales(lambda_identity=0.5).generator_losses(X, Y, FAKE_X, FAKE_Y)
    assert by_value(with_identity) == {**gan_and_cycle, **identity}
    other = by_value(Scales(lambda_cycle=4.0, lambda_identity=0.25).generator_losses(X, Y, FAKE_X, FAKE_Y))
    assert other["cycle_x"] == 4 * 0.5
    assert other["identity_y"] == 4 * 0.25 * 0.3


def test_the_distance_is_l1_and_a_mean_over_pixels():
    x = torch.zeros(1, 3, 4, 4)
    x[0, 0, 0, 0] = 0.5  # F(G(x)) = 6x: a mean of 48 differences, one of which is 2.5
    terms = Scales().generator_losses(x, torch.zeros_like(x), torch.zeros_like(x), 2 * x)
    assert terms["cycle_x"].item() == pytest.approx(10 * 2.5 / 48)


def test_what_the_discriminator_descends():
    real, fake = (torch.tensor([0.5]), torch.tensor([-2.0, 0.0])), (torch.tensor([0.25]), torch.tensor([3.0]))
    terms = CycleGAN(**TINY).discriminator_losses(real, fake)
    # half of (D - 1)^2 on real ones and D^2 on generated ones
    assert by_value(terms) == {"gan_x": 0.5 * (0.25 + 0.0625), "gan_y": 0.5 * ((9 + 1) / 2 + 9)}


def test_whole_squares_have_no_factor():
    loss = UnhalvedLeastSquares()
    assert loss.discriminator(torch.tensor([3.0]), torch.tensor([2.0])).item() == 4 + 4
    assert loss.generator(torch.tensor([3.0])).item() == 4
    assert loss.activation(torch.tensor([3.0])).item() == 3
    assert CycleGAN(**TINY, loss=to_plain(NonSaturating())).discriminator_losses(*[torch.zeros(2, 1)] * 2)[
        "gan_x"
    ].item() == pytest.approx(0.693147)


def test_identity_networks_have_no_cycle_cost():
    class Same(CycleGAN):
        def networks(self):
            return tuple(Times(1.0) for _ in range(4))

    terms = Same(lambda_identity=0.5).generator_losses(X, Y, Y, X)
    assert [terms[name].item() for name in ("cycle_x", "cycle_y", "identity_x", "identity_y")] == [0, 0, 0, 0]


@pytest.mark.parametrize(("weight", "passes"), [(0.0, 2), (0.5, 3)])
def test_without_a_weight_the_identity_passes_are_not_made(weight, passes, tmp_path):
    model = Scales(lambda_identity=weight)
    played = fit(model, loader(X, Y, batch_size=2, kind=Labelled), tmp_path, max_epochs=1, log_every_n_steps=1)
    assert model.G.asked == model.F.asked == passes
    assert ("generator/identity_x" in played.callback_metrics) == bool(weight)


def test_identity_needs_as_many_channels_on_both_sides():
    with pytest.raises(InputError, match=r"G takes 1 channels where y has 3: set model\.lambda_identity to 0"):
        CycleGAN(channels_x=1, channels_y=3, **TINY, lambda_identity=0.5)
    assert CycleGAN(channels_x=1, channels_y=3, **TINY).translate(torch.zeros(1, 1, 16, 16)).shape == (1, 3, 16, 16)


# -- who sees what ------------------------------------------------------------------------------------


class Marked(nn.Module):
    """A pool that gives something else, and remembers what it was given."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value, self.given = value, []

    def forward(self, images):
        self.given.append(images)
        return torch.full_like(images, self.value).detach()


def test_the_discriminators_see_the_past_without_a_graph(tmp_path):
    model = Scales()
    model.past_x, model.past_y = Marked(0.5), Marked(-0.5)
    seen = {"D_X": [], "D_Y": []}
    for name in seen:
        getattr(model, name).register_forward_hook(lambda _, inputs, __, name=name: seen[name].append(inputs[0]))
    fit(model, loader(X, Y, batch_size=2, kind=Labelled), tmp_path, max_epochs=1)
    for name, fake, real, past in (("D_X", FAKE_X, X, 0.5), ("D_Y", FAKE_Y, Y, -0.5)):
        in_generators_turn, first, second = seen[name]
        assert torch.allclose(in_generators_turn, fake)  # the image of now, and the gradient flows back
        assert in_generators_turn.requires_grad
        assert torch.equal(first, real)
        assert torch.equal(second, torch.full_like(real, past))
        assert not first.requires_grad
        assert not second.requires_grad
    assert torch.allclose(model.past_x.given[0], FAKE_X)
    assert torch.allclose(model.past_y.given[0], FAKE_Y)


def test_the_generators_play_first_and_the_discriminators_judge_what_was_made_before(tmp_path, monkeypatch):
    from ganzoo.adversarial import AdversarialModule

    steps = []
    ritual = AdversarialModule._optimize
    monkeypatch.setattr(AdversarialModule, "_optimize", lambda self, one: (steps.append(one.name), ritual(self, one)))
    fit(CycleGAN(**TINY), random_images(4), tmp_path, max_epochs=1)
    assert steps == ["generator", "discriminator"] * 2


def test_what_is_shown(tmp_path):
    model = Scales()
    played = fit(model, loader(X, Y, batch_size=2, kind=Labelled), tmp_path, max_epochs=1, log_every_n_steps=1)
    shown = played.progress_bar_metrics
    # the generators stepped once, after these images were made
    assert shown["D(real)"] == pytest.approx((4 * 0.1 + 2 * -0.3) / 2, abs=1e-5)
    assert shown["D(fake)"] == pytest.approx((4 * -0.9 + 2 * 0.2) / 2, abs=1e-5)
    assert sum(name.startswith("D(") for name in shown) == 2


def test_both_ways_have_networks_of_their_own():
    model = CycleGAN(**TINY)
    nets = [model.G, model.F, model.D_X, model.D_Y]
    owners = [{id(p) for p in net.parameters()} for net in nets]
    assert len(set.union(*owners)) == sum(map(len, owners))
    assert not torch.equal(model.G.layers[0].weight, model.F.layers[0].weight)
    assert model.past_x is not model.past_y
    x = torch.randn(1, 3, 16, 16).clamp(-1, 1)
    assert torch.equal(model.translate(x), model.G(x))
    assert torch.equal(model.translate_back(x), model.F(x))
    assert torch.equal(model(x), model.G(x))


def test_validation_gives_both_ways_and_back(tmp_path):
    model, records = CycleGAN(**TINY), []
    step = model.validation_step
    model.validation_step = lambda *args: records.append(step(*args)) or records[-1]
    seen = trainer(tmp_path).validate(model, random_images(2), verbose=False)[0]
    (record,) = records
    assert isinstance(record, Cycled)
    x, y = record.x, record.y
    assert torch.equal(x, next(iter(random_images(2))).x)
    for made, wanted in (
        (record.fake_y, model.G(x)),
        (record.back_x, model.F(model.G(x))),
        (record.fake_x, model.F(y)),
        (record.back_y, model.G(model.F(y))),
    ):
        assert torch.equal(made, wanted)
        assert not made.requires_grad
    assert seen["val/cycle_x"] == pytest.approx((record.back_x - x).abs().mean().item(), rel=1e-5)
    assert seen["val/cycle_y"] == pytest.approx((record.back_y - y).abs().mean().item(), rel=1e-5)
    assert set(trainer(tmp_path).test(model, random_images(2), verbose=False)[0]) == {"test/cycle_x", "test/cycle_y"}
    (predicted,) = trainer(tmp_path).predict(model, random_images(2))
    assert torch.allclose(predicted, model.G(x), atol=1e-5)  # one by one


def test_the_two_domains_may_differ_in_size(tmp_path):
    model = CycleGAN(**TINY, pool=2)
    fit(model, random_images(8, 16, 24), tmp_path, max_epochs=1)
    # F(y) is as large as y, and an x that D_X sees may be either
    assert model.past_x.kept.shape == (2, 3, 24, 24)
    assert model.past_y.kept.shape == (2, 3, 16, 16)


@pytest.mark.parametrize(("domain", "channels"), [("x", (1, 3)), ("y", (3, 1))])
def test_channels_that_do_not_fit_are_one_line(domain, channels, tmp_path):
    with pytest.raises(InputError, match=rf"change model\.channels_{domain}"):
        fit(CycleGAN(channels_x=channels[0], channels_y=channels[1], **TINY), random_images(2), tmp_path, max_epochs=1)


# -- steps --------------------------------------------------------------------------------------------


def test_default_optimizers_are_the_papers():
    model = CycleGAN(**TINY)
    optimizers, schedulers = model.configure_optimizers()
    assert list(model.players()) == ["generator", "discriminator"]
    assert len(optimizers) == len(schedulers) == 2
    for optimizer in optimizers:
        assert type(optimizer).__name__ == "Adam"
        assert optimizer.defaults["lr"] == 2e-4
        assert optimizer.defaults["betas"] == (0.5, 0.999)
        assert optimizer.defaults["weight_decay"] == 0
    for entry in schedulers:
        assert (entry["scheduler"].constant, entry["scheduler"].decay) == (100, 100)


def test_the_rate_stays_and_then_falls_to_zero(tmp_path):
    model, rates = CycleGAN(**TINY, constant=2, decay=4), []
    step = model.training_step

    def noted(batch, batch_idx):
        rates.append([optimizer.param_groups[0]["lr"] for optimizer in model.trainer.optimizers])
        step(batch, batch_idx)

    model.training_step = noted
    played = fit(model, random_images(4), tmp_path, max_epochs=6)
    for epoch, share in enumerate([1, 1, 1, 0.75, 0.5, 0.25]):
        for rate in rates[2 * epoch : 2 * epoch + 2]:
            assert rate == [pytest.approx(2e-4 * share)] * 2
    assert [optimizer.param_groups[0]["lr"] for optimizer in played.optimizers] == [0, 0]


class PlainPool:
    """The released pool, a list."""

    def __init__(self, size):
        self.size, self.kept = size, []

    def __call__(self, image):
        swap, place = torch.rand(1) < 0.5, int(torch.randint(self.size, (1,)))
        if len(self.kept) < self.size:
            self.kept.append(image.clone())
        elif swap:
            image, self.kept[place] = self.kept[place], image.clone()
        return image


def test_twelve_steps_are_those_of_a_plain_loop(tmp_path):
    """Independent of the grammar, of ``History`` and of the losses: the paper's algorithm in plain torch."""
    model = CycleGAN(**TINY, lambda_identity=0.5, pool=2, lr=1e-3, constant=1, decay=2).double()
    G, F, D_X, D_Y = nets = [copy.deepcopy(net) for net in (model.G, model.F, model.D_X, model.D_Y)]
    data = random_images(4, batch_size=1, dtype=torch.float64)
    torch.manual_seed(5)
    fit(model, data, tmp_path, max_epochs=3)

    generators = torch.optim.Adam([*G.parameters(), *F.parameters()], lr=1e-3, betas=(0.5, 0.999))
    judges = torch.optim.Adam([*D_X.parameters(), *D_Y.parameters()], lr=1e-3, betas=(0.5, 0.999))
    pool_x, pool_y = PlainPool(2), PlainPool(2)
    for epoch in range(3):
        for group in [*generators.param_groups, *judges.param_groups]:
            group["lr"] = 1e-3 * [1.0, 1.0, 0.5][epoch]
        for i, (x, y) in enumerate(data):
            torch.manual_seed(step_seed(5, 0, 4 * epoch + i))  # the random numbers of this step, for the pools
            fake_x, fake_y = F(y), G(x)
            cost = ((D_Y(fake_y) - 1) ** 2).mean() + ((D_X(fake_x) - 1) ** 2).mean()
            cost = cost + 10 * ((F(fake_y) - x).abs().mean() + (G(fake_x) - y).abs().mean())
            cost = cost + 5 * ((G(y) - y).abs().mean() + (F(x) - x).abs().mean())
            generators.zero_grad()
            cost.backward()
            generators.step()
            past_x, past_y = pool_x(fake_x.detach()), pool_y(fake_y.detach())
            judges.zero_grad()
            (((D_X(x) - 1) ** 2).mean() + (D_X(past_x) ** 2).mean()).div(2).backward()
            (((D_Y(y) - 1) ** 2).mean() + (D_Y(past_y) ** 2).mean()).div(2).backward()
            judges.step()
    for ours, theirs in zip((model.G, model.F, model.D_X, model.D_Y), nets, strict=True):
        for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            # Adam walks the noise of a bias before a norm, whose gradient is zero
            if p.ndim > 1:
                # in double precision, because Adam's step is 1e-3 whatever the gradient, and so is a gradient's rounding;
                # the costs are float32, which leaves 1.5e-9
                assert torch.allclose(p, q, rtol=0, atol=1e-7), name


class SeedEachEpoch(L.Callback):
    """A run that is taken up again begins its epoch with the random numbers of the run that never stopped."""

    def on_train_epoch_start(self, trainer, module):
        torch.manual_seed(trainer.current_epoch)


def test_resuming_goes_on_with_the_same_past(tmp_path):
    def model():
        torch.manual_seed(0)
        return CycleGAN(**TINY, pool=3, lr=1e-2)

    options = {"callbacks": [SeedEachEpoch()]}
    whole = model()
    fit(whole, random_images(), tmp_path, max_epochs=4, **options)
    half = model()
    fit(half, random_images(), tmp_path, max_epochs=2, **options).save_checkpoint(tmp_path / "half.ckpt")
    saved = torch.load(tmp_path / "half.ckpt", weights_only=True)["state_dict"]
    assert saved["past_x._extra_state"].shape == saved["past_y._extra_state"].shape == (3, 3, 16, 16)
    assert torch.equal(saved["past_x._extra_state"], half.past_x.kept)
    again = model()
    resumed = trainer(tmp_path, max_epochs=4, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        resumed.fit(again, random_images(), ckpt_path=tmp_path / "half.ckpt")
    for key, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    loaded = CycleGAN.load_from_checkpoint(tmp_path / "half.ckpt")
    assert torch.equal(loaded.past_y.kept, half.past_y.kept)


# -- a bijection that must be found -------------------------------------------------------------------

GROUND, INK = torch.tensor([0.9, 0.7, -0.3]), torch.tensor([-0.8, -0.5, 0.2])
TRAINING = 1400  # X's digits are the first half of these, Y's the second: no image has its pair


def grey_and_inked() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """X: white digits on black, [1797, 1, 16, 16]. Y: the same, blue on yellow, [1797, 3, 16, 16]. And their classes."""
    digits = load_digits()
    x = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
    x = functional.interpolate(x, size=16, mode="bilinear")
    ink = (x + 1) / 2
    y = INK[:, None, None] * ink + GROUND[:, None, None] * (1 - ink)
    return x, y, torch.tensor(digits.target)


class Small(CycleGAN):
    """The model of the zoo with small networks."""

    def __init__(self, **options) -> None:
        super().__init__(channels_x=1, channels_y=3, lr=1e-3, **options)

    def networks(self):
        judges = (PatchGAN(channels, 1, 16, InstanceNorm().layer) for channels in (1, 3))
        return ResNet(1, 3, 1, width=12), ResNet(3, 1, 1, width=12), *judges


class NoCycle(Small):
    """Broken: both domains are reached, and nothing asks for the way back."""

    def generator_losses(self, *seen):
        return {name: term for name, term in super().generator_losses(*seen).items() if name.startswith("gan")}


class NoAdversary(Small):
    """Broken: the way back is found, and nothing asks for the other domain."""

    def generator_losses(self, *seen):
        return {name: term for name, term in super().generator_losses(*seen).items() if name.startswith("cycle")}


def found(cls, seed, steps):
    """On held-out digits: error against the true pair over that of leaving x as it is, labels kept, share taken for Y."""
    torch.manual_seed(seed)
    x, y, labels = grey_and_inked()
    half = TRAINING // 2

    def draw(n, g):
        return Labelled(x[torch.randint(half, (n,), generator=g)], y[half + torch.randint(half, (n,), generator=g)])

    model = trained(cls(), stream(draw, steps, 8, seed))
    made, truth, known = model.translate(x[TRAINING:]), y[TRAINING:], y[:TRAINING].flatten(1)
    error = (made - truth).abs().mean() / (x[TRAINING:] - truth).abs().mean()
    classifier = LogisticRegression(max_iter=1000).fit(known.numpy(), labels[:TRAINING].numpy())
    assert classifier.score(truth.flatten(1).numpy(), labels[TRAINING:].numpy()) > 0.9
    kept = (classifier.predict(made.flatten(1).numpy()) == labels[TRAINING:].numpy()).mean()
    # an image is taken for one of Y if some known one is as near to it as to 99 % of the held-out true ones
    nearest = torch.cdist(truth.flatten(1), known).amin(1).quantile(0.99)
    taken = (torch.cdist(made.flatten(1), known).amin(1) <= nearest).float().mean()
    return {"error": error, "kept": kept, "taken_for_y": taken}


@bounded(median_of=7, error="< 0.15", kept=">= 0.85", taken_for_y=">= 0.9")
def a_bijection(seed):
    """Some seeds first find another one (strokes for gaps) and leave it after 200 to 400 steps; one in twelve stays."""
    return found(Small, seed, 400)


@bounded(kept="<= 0.5")
def a_bijection_without_the_cycle(seed):
    return {"kept": found(NoCycle, seed, 100)["kept"]}


@bounded(error="> 0.15", taken_for_y="< 0.2")
def a_bijection_without_the_adversary(seed):
    numbers = found(NoAdversary, seed, 100)
    return {name: numbers[name] for name in ("error", "taken_for_y")}


@pytest.mark.slow
def test_a_known_bijection_is_found_without_pairs():
    a_bijection.check()


def test_without_the_cycle_the_content_is_lost():
    a_bijection_without_the_cycle.check()


def test_without_the_adversary_the_other_domain_is_not_reached():
    a_bijection_without_the_adversary.check()


def test_a_translator_with_instance_norm_does_not_see_a_constant():
    """Why maps of one colour need another norm: the law, and that batch norm does not have it."""
    x = torch.rand(2, 3, 16, 16) * 0.2
    shift = torch.tensor([0.5, -0.3, 0.1]).view(3, 1, 1)
    torch.manual_seed(0)
    model = CycleGAN(blocks=1, width=4, patch=16)
    assert (model.translate(x) - model.translate(x + shift)).abs().max() < 1e-5
    torch.manual_seed(0)
    normed = CycleGAN(blocks=1, width=4, patch=16, norm=BatchStatistics())
    one = torch.stack([x[0], x[0]])
    other = torch.stack([x[0], x[0] + shift])
    a, b = normed.translate(other)
    assert (a - b).abs().max() > 1e-3
    assert torch.allclose(*normed.translate(one))
    assert all(not isinstance(part, torch.nn.InstanceNorm2d) for part in normed.modules())
