"""LAPGAN number by number: networks, pyramid in play, isolation of the levels, schedules, cascade, joining."""

import runpy
from functools import cache
from math import exp, log
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from support.toy_distributions import stream, trained
from support.training import Batch, Labelled, fit, loader, trainer
from support.training_bounds import bounded
from torch import nn
from torch.nn.functional import avg_pool2d
from torch.optim import SGD, Adam
from torch.utils.flop_counter import FlopCounterMode

from ganzoo.errors import InputError
from ganzoo.interfaces import Generated
from ganzoo.metrics.frechet import frechet_distance as frechet
from ganzoo.models.lapgan import LAPGAN
from ganzoo.ops.laplacian_pyramid import BurtAdelson, Operators, Resize, collapse
from ganzoo.schedules import MomentumClimb
from ganzoo.training.ema import swap_weights

TINY = {"shape": (2, 12, 12), "sizes": (3, 6, 12), "width": 4, "latent": 5, "hidden_G": 8, "hidden_D": 8}


def tiny(**options) -> LAPGAN:
    torch.manual_seed(0)
    return LAPGAN(**{**TINY, **options})


def random_images(n=6, model=TINY):
    return torch.rand(n, *model["shape"], generator=torch.Generator().manual_seed(1)) * 2 - 1


def data(n=6, **options):
    return loader(random_images(n), torch.arange(n) % 3, batch_size=2, kind=Labelled, **options)


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def silent(model):
    """All generators give zero, but the base its bias."""
    for k, G in enumerate(model.G):
        for p in G.parameters():
            p.data.zero_()
        if k == 0:
            [m for m in G.modules() if isinstance(m, nn.Linear)][-1].bias.data.uniform_(-1, 1)
    return model


def test_the_defaults_are_the_papers_cifar_model():
    model = LAPGAN()
    assert (model.sizes, model.hparams["shape"], model.latent) == ((8, 14, 28), (3, 28, 28), 100)
    count = [[sum(p.numel() for p in net.parameters()) for net in nets] for nets in (model.G, model.D)]
    assert count == [[1_792_992, 218_179, 218_179], [477_001, 107_905, 113_729]]


def test_the_noise_is_one_more_colour_plane_and_matters():
    model = tiny().eval()
    low, y = torch.zeros(1, 2, 12, 12), torch.zeros(1, 0)
    assert model.z(2, 7).shape == (7, 1, 12, 12)
    assert model.z(0, 7).shape == (7, 5)
    assert model.G[2].layers[0].in_channels == 1 + 2
    with torch.no_grad():
        assert not torch.allclose(model(2, low, y), model(2, low, y))
        assert not torch.allclose(model(0, low, y), model(0, low, y))


@pytest.mark.parametrize("k", [0, 1, 2])
def test_noise_is_uniform_between_minus_one_and_one(k):
    z = tiny().z(k, 20_000)
    assert -1 <= z.min() < -0.999
    assert 0.999 < z.max() <= 1
    assert z.mean().item() == pytest.approx(0, abs=0.01)
    assert z.std().item() == pytest.approx(3**-0.5, abs=0.01)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_the_discriminator_sees_h_plus_l(k):
    model = tiny(classes=3).eval()
    size = model.sizes[k]
    h, low, move = (torch.randn(2, 2, size, size) for _ in range(3))
    y = model.one_hot(torch.tensor([0, 2]), 2)
    there = model.D[k](h, low, y)
    assert torch.allclose(model.D[k](h + move, low - move, y), there, atol=1e-5)
    assert not torch.allclose(model.D[k](h + move, low, y), there, atol=1e-4)


@pytest.mark.parametrize("k", [1, 2])
def test_the_generator_sees_the_low_pass_and_gives_the_residual_alone(k):
    model = tiny().eval()
    size = model.sizes[k]
    z, y = model.z(k, 1), torch.zeros(1, 0)
    low = torch.randn(1, 2, size, size)
    assert not torch.allclose(model.G[k](z, low, y), model.G[k](z, 2 * low, y))
    silent(model)
    assert torch.equal(model.G[k](z, low, y), torch.zeros(1, 2, size, size))


@pytest.mark.parametrize("k", [0, 1, 2])
def test_both_players_of_a_level_hear_the_class(k):
    model = tiny(classes=3).eval()
    size = model.sizes[k]
    low, y, z = torch.zeros(3, 2, size, size), torch.eye(3), model.z(k, 1)
    made = model.G[k](z.expand(3, *z.shape[1:]), low, y)
    said = model.D[k](torch.ones(3, 2, size, size), low, y)
    assert len({tuple(image.flatten().tolist()) for image in made}) == 3
    assert len(set(said.flatten().tolist())) == 3


# -- the pyramid in play ------------------------------------------------------------------------------


class Watched(LAPGAN):
    """Notes what each discriminator is shown, in order."""

    def __init__(self, **options):
        super().__init__(**options)
        self.seen = [[] for _ in self.D]
        for k, D in enumerate(self.D):
            D.register_forward_pre_hook(lambda _, given, k=k: self.seen[k].append([part.detach() for part in given]))


@pytest.mark.parametrize("operators", [Resize(), BurtAdelson()])
def test_what_the_discriminators_are_shown(operators, tmp_path):
    torch.manual_seed(0)
    model = Watched(**TINY, operators=operators)
    x = random_images(2)
    fit(model, loader(x, batch_size=2, kind=Batch), tmp_path, max_epochs=1)
    images = [operators.down(operators.down(x, 6), 3), operators.down(x, 6), x]
    lows = [torch.zeros(2, 2, 3, 3), operators.up(images[0], 6), operators.up(images[1], 12)]
    coefficients = []
    for seen, image, low in zip(model.seen, images, lows, strict=True):
        (h, given, _), *fakes = seen
        # real: h is what the low-pass lacks, and the sum is the real image of this level
        assert torch.allclose(h, image - low, atol=1e-6)
        assert torch.allclose(h + given, image, atol=1e-6)
        # generated, in its own turn and in the generator's: the same low-pass of the real image, other noise
        assert len(fakes) == 2
        assert all(torch.allclose(given, low, atol=1e-6) for _, given, _ in fakes)
        assert not torch.allclose(fakes[0][0], fakes[1][0])
        coefficients.append(h)
    assert torch.allclose(collapse(coefficients, operators), x, atol=1e-6)


@pytest.mark.parametrize("operators", [Resize(), BurtAdelson()])
def test_the_cascade_is_the_pyramids_own_collapse(operators):
    """What a level adds is its residual, once, to the enlarged level below: the operators are those of the training."""
    model = tiny(operators=operators).eval()
    given = []
    for G in model.G:
        G.register_forward_hook(lambda _, given_, out: given.append((given_[1], out)))
    levels = model.cascade(4, generator=torch.Generator().manual_seed(0))
    assert [level.shape[-1] for level in levels] == [3, 6, 12]
    residuals = [out for _, out in given]
    for k in range(3):
        assert torch.allclose(levels[k], collapse(residuals[: k + 1], operators).clamp(-1, 1), atol=1e-6)
        low = torch.zeros_like(residuals[0]) if k == 0 else operators.up(collapse(residuals[:k], operators), model.sizes[k])
        assert torch.allclose(given[k][0], low, atol=1e-6)


@pytest.mark.parametrize("operators", [Resize(), BurtAdelson()])
def test_silent_generators_leave_the_base_enlarged(operators):
    model = silent(tiny(operators=operators)).eval()
    base, _, top = model.cascade(2)
    assert base.abs().max() > 0.1
    assert torch.equal(top, operators.up(operators.up(base, 6), 12))


def test_levels_are_clamped_for_viewing_and_not_on_the_way():
    model = silent(tiny()).eval()
    bias = [m for m in model.G[0].modules() if isinstance(m, nn.Linear)][-1].bias
    bias.data.fill_(3.0)
    model.G[2].layers[-1].bias.data.fill_(-2.5)
    base, middle, top = model.cascade(1)
    assert torch.equal(base, torch.ones_like(base))
    assert torch.equal(middle, torch.ones_like(middle))
    assert torch.allclose(top, torch.full_like(top, 0.5))  # 3 - 2.5; clamped on the way it would be 1 - 2.5


def test_sampling():
    model = tiny(classes=3).eval()
    seed = torch.Generator().manual_seed
    first = model.sample(4, generator=seed(3))
    assert first.shape == (4, 2, 12, 12)
    assert not first.requires_grad
    assert torch.equal(first, model.cascade(4, generator=seed(3))[-1])
    assert torch.equal(first, model.sample(4, y=torch.tensor([0, 1, 2, 0]), generator=seed(3)))
    assert not torch.equal(first, model.sample(4, y=torch.tensor([1, 1, 2, 0]), generator=seed(3)))
    # the same noise in each place
    twice = model.sample(4, y=torch.tensor([1, 1, 1, 1]), generator=seed(3))
    assert torch.equal(first[1], twice[1])


# -- levels on their own ------------------------------------------------------------------------------


def test_a_levels_costs_move_no_other_level():
    model = tiny()
    images, lows = model.low_pass(random_images())
    y = model.one_hot(None, 6)
    for k in range(3):
        model.zero_grad()
        fake = model(k, lows[k], y)
        real, fake = model.D[k](images[k] - lows[k], lows[k], y), model.D[k](fake, lows[k], y)
        (model.discriminator_losses(real, fake)["gan"] + model.generator_losses(fake)["gan"]).backward()
        moved = {name.split(".")[1] for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
        assert moved == {str(k)}


def test_a_level_learns_the_same_whatever_the_others_are(tmp_path):
    """Levels are conditioned on real images: wrecking the generators below and above changes nothing at a level."""

    class Seeded(LAPGAN):
        def z(self, k, n, generator=None):
            return super().z(k, n, generator or torch.Generator().manual_seed(100 + k))

    ends = []
    for wrecked in (None, 0, 2):
        torch.manual_seed(0)
        model = Seeded(**TINY)
        for D in model.modules():
            if isinstance(D, nn.Dropout):
                D.p = 0.0
        if wrecked is not None:
            for p in model.G[wrecked].parameters():
                p.data.mul_(5)
        fit(model, data(), tmp_path, max_epochs=2)
        ends.append({name: p for name, p in weights(model).items() if name.split(".")[1] == "1"})
    assert len(ends[0]) == 12
    for other in ends[1:]:
        assert all(torch.equal(ends[0][name], other[name]) for name in other)


@pytest.mark.parametrize("only", [0, 2])
def test_one_level_alone(only, tmp_path):
    model = tiny(train_level=only)
    before = weights(model)
    assert set(model.players()) == {f"discriminator_{only}", f"generator_{only}"}
    played = fit(model, data(), tmp_path, max_epochs=1, log_every_n_steps=1)
    moved = {name.split(".")[1] for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {str(only)}
    assert {"D(x)", "D(G(z))", f"generator_{only}/gan"} <= set(played.logged_metrics)
    # validation is of this level, from real images
    record = model.eval().validation_step(Labelled(random_images(2), torch.tensor([0, 1])), 0)
    assert isinstance(record, Generated)
    assert record.real.shape == record.fake.shape == (2, 2, model.sizes[only], model.sizes[only])
    if only:
        low = model.low_pass(random_images(2))[1][only]
        silent(model)
        fake = model.validation_step(Batch(random_images(2)), 0).fake
        assert torch.allclose(fake, low, atol=1e-6)


def test_validating_samples_the_whole_cascade():
    model = tiny().eval()
    record = model.validation_step(Batch(random_images(4)), 5)
    assert torch.equal(record.real, random_images(4))
    assert torch.allclose(record.fake, model.sample(4, generator=torch.Generator().manual_seed(5)))
    assert model.predict_step(Batch(random_images(4)), 5).shape == record.fake.shape
    assert model.test_step(Batch(random_images(4)), 0).fake.shape == (4, 2, 12, 12)


def test_dropout_is_for_training_alone():
    model = tiny()
    h, low, y = torch.randn(2, 2, 12, 12), torch.zeros(2, 2, 12, 12), torch.zeros(2, 0)
    assert not torch.equal(model.D[2](h, low, y), model.D[2](h, low, y))
    model.eval()
    assert torch.equal(model.D[2](h, low, y), model.D[2](h, low, y))


# -- costs and steps ----------------------------------------------------------------------------------


def test_costs():
    even, sure = torch.zeros(4, 1), torch.full((4, 1), 9.0)
    assert tiny().discriminator_losses(even, even)["gan"].item() == pytest.approx(log(2))
    assert tiny().discriminator_losses(sure, -sure)["gan"].item() < 1e-3
    assert tiny().generator_losses(-sure)["gan"].item() == pytest.approx(9.0, rel=1e-3)


def test_turns(tmp_path, monkeypatch):
    """The discriminator first, at each level by itself, one step each."""
    steps = []
    ritual = LAPGAN._optimize
    monkeypatch.setattr(LAPGAN, "_optimize", lambda self, seat: (steps.append(seat.name), ritual(self, seat)))
    played = fit(tiny(), data(2), tmp_path, max_epochs=1)
    assert steps == [f"{role}_{k}" for k in range(3) for role in ("discriminator", "generator")]
    assert played.global_step == 1


def test_the_progress_bar_tells_real_from_fake(tmp_path):
    model = tiny()
    for k, D in enumerate(model.D):
        said = iter([3.0 + k, -3.0 - k, 0.0] * 10)  # real, generated, and once more in the generator's turn
        D.layers[-1].register_forward_hook(lambda _, __, out, said=said: out * 0 + next(said))
    shown = fit(model, data(2), tmp_path, max_epochs=1).progress_bar_metrics
    mean = torch.tensor([3.0, 4.0, 5.0]).sigmoid().mean().item()
    assert shown["D(x)"] == pytest.approx(mean, abs=1e-4)
    assert shown["D(G(z))"] == pytest.approx(1 - mean, abs=1e-4)
    assert sum(name.startswith("D(") for name in shown) == 2
    for k in range(3):  # and each descends the cost of telling them so, the generator that of having been found out
        assert shown[f"discriminator_{k}/loss"] == pytest.approx(log(1 + exp(-3 - k)), abs=1e-4)
        assert shown[f"generator_{k}/loss"] == pytest.approx(log(2), abs=1e-4)


def test_rate_and_momentum_epoch_by_epoch(tmp_path):
    played = fit(tiny(), data(4), tmp_path, max_epochs=3)
    assert len(played.optimizers) == 6
    for optimizer in played.optimizers:
        assert type(optimizer) is SGD
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.02 / 1.00004**3, rel=1e-12)
        assert optimizer.param_groups[0]["momentum"] == pytest.approx(0.5 + 0.0008 * 3, rel=1e-12)


def climb(epochs, momentum=0.5, **options):
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=0.1, momentum=momentum)
    schedule = MomentumClimb(optimizer, **options)
    for _ in range(epochs):
        optimizer.step()
        schedule.step()
    return schedule


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("epochs", [0, 1, 374, 375, 376, 2000])
def test_momentum_climbs_to_its_ceiling(momentum, epochs):
    group = climb(epochs, momentum).optimizer.param_groups[0]
    assert group["momentum"] == pytest.approx(min(momentum + 0.0008 * epochs, 0.8), rel=1e-12)
    assert group["lr"] == 0.1
    released = climb(epochs, momentum, ceiling=0.7).optimizer.param_groups[0]
    assert released["momentum"] == pytest.approx(min(momentum + 0.0008 * epochs, 0.7), rel=1e-12)


def test_a_resumed_climb_goes_on():
    first, second = climb(40), climb(0)
    second.load_state_dict(first.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    for schedule in (first, second):
        schedule.optimizer.step()
        schedule.step()
    momenta = [schedule.optimizer.param_groups[0]["momentum"] for schedule in (first, second)]
    assert momenta[0] == momenta[1] == pytest.approx(0.5 + 41 * 0.0008)


def test_climbs_that_cannot_be():
    with pytest.raises(InputError, match="Adam has none"):
        MomentumClimb(Adam([nn.Parameter(torch.zeros(1))]))
    with pytest.raises(InputError, match="ceiling"):
        climb(0, ceiling=1.0)


# -- arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sizes": (3, 6)}, "sizes rise"),
        ({"sizes": (6, 3, 12)}, "sizes rise"),
        ({"sizes": (6, 6, 12)}, "sizes rise"),
        ({"sizes": ()}, "sizes rise"),
        ({"shape": (2, 12, 10)}, "sizes rise"),
        ({"train_level": 3}, "train_level is a level"),
        ({"train_level": -1}, "train_level is -1: give an int"),
        ({"latent": 0}, "latent is 0: give an int"),
        ({"classes": 0}, "classes is 0: give an int .* or null"),
    ],
)
def test_arguments_that_cannot_be(options, says):
    with pytest.raises(InputError, match=says) as caught:
        tiny(**options)
    assert "\n" not in str(caught.value)


def test_what_is_said_of_other_levels_is_passed_over(tmp_path):
    """So that one config serves all levels and each; a player that no level has is still refused."""
    adam = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.1}}
    everyone = {f"{role}_{k}": adam for role in ("discriminator", "generator") for k in range(3)}
    model = tiny(train_level=1, optimizers=everyone)
    assert [type(optimizer) for optimizer in fit(model, data(), tmp_path, max_epochs=1).optimizers] == [Adam, Adam]
    assert model.hparams["optimizers"] == everyone
    with pytest.raises(InputError, match="generator_3"):
        fit(tiny(train_level=1, optimizers={"generator_3": adam}), data(), tmp_path, max_epochs=1)


@pytest.mark.parametrize(
    ("labels", "says"),
    [(None, "no labels"), (torch.tensor([0, 1, 2, 3]), r"label 3, and model\.classes is 3"), (torch.rand(4), "no labels")],
)
def test_labels_that_do_not_fit(labels, says, tmp_path):
    given = loader(random_images(4), batch_size=4) if labels is None else loader(random_images(4), labels, batch_size=4)
    with pytest.raises(InputError, match=says):
        fit(tiny(classes=3), given, tmp_path, max_epochs=1)


# -- joining ------------------------------------------------------------------------------------------


def join(paths):
    """``examples/join_levels.py``'s."""
    example = Path(__file__).resolve().parents[2] / "examples" / "join_levels.py"
    return runpy.run_path(str(example))["join"](paths)


def saved(tmp_path, name, **options):
    model = tiny(**options)
    played = fit(model, data(), tmp_path, max_epochs=1)
    played.save_checkpoint(tmp_path / name)
    return model, tmp_path / name


def test_levels_trained_alone_make_one_model(tmp_path):
    alone, paths = zip(*(saved(tmp_path, f"{k}.ckpt", train_level=k, lr=0.01 * (1 + k)) for k in (2, 0, 1)), strict=True)
    whole = join(paths)
    assert whole.hparams["train_level"] is None
    assert all(p.requires_grad for p in whole.parameters())
    for model in alone:
        k = model.hparams["train_level"]
        for mine, theirs in ((whole.G[k], model.G[k]), (whole.D[k], model.D[k])):
            assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), theirs.parameters(), strict=True))
    # and it can be written, read, sampled and trained on
    keeper = trainer(tmp_path)
    keeper.strategy.connect(whole)
    keeper.save_checkpoint(tmp_path / "whole.ckpt")
    again = LAPGAN.load_from_checkpoint(tmp_path / "whole.ckpt")
    seed = torch.Generator().manual_seed
    assert torch.equal(again.eval().sample(3, generator=seed(0)), whole.eval().sample(3, generator=seed(0)))
    fit(again, data(), tmp_path, max_epochs=1)


def test_levels_that_do_not_fit_are_one_clear_line(tmp_path):
    base, middle, top = (saved(tmp_path, f"{k}.ckpt", train_level=k)[1] for k in range(3))
    wide = saved(tmp_path, "wide.ckpt", train_level=2, width=5)[1]
    other = saved(tmp_path, "other.ckpt", train_level=2, operators=BurtAdelson())[1]
    whole = saved(tmp_path, "whole.ckpt")[1]
    for paths, says in (
        ([base, middle], r"\[0, 1, 2\], and not \[0, 1\]"),
        ([base, middle, middle], r"not \[0, 1, 1\]"),
        ([base, middle, top, top], r"not \[0, 1, 2, 2\]"),
        ([base, middle, whole], r"not \[0, 1, None\]"),
        ([], "one checkpoint of each level"),
        ([base, middle, wide], "agree in width, and not 4 and 5"),
        ([base, middle, other], "agree in operators"),
    ):
        with pytest.raises(InputError, match=says) as caught:
            join(paths)
        assert "\n" not in str(caught.value)


def test_operators_go_through_a_checkpoint(tmp_path):
    _, path = saved(tmp_path, "burt.ckpt", operators=BurtAdelson())
    assert type(LAPGAN.load_from_checkpoint(path).operators) is BurtAdelson
    assert type(tiny().operators) is Resize
    assert isinstance(tiny().operators, Operators)


# -- the measures -------------------------------------------------------------------------------------


def test_frechet_distance_of_normals():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(20_000, 3)) @ rng.normal(size=(3, 3))
    b = rng.normal(size=(20_000, 3)) @ rng.normal(size=(3, 3)) + 1
    A, B = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    known = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(A + B - 2 * sqrtm(A @ B).real)
    assert frechet(a, b) == pytest.approx(known, rel=1e-6)
    assert frechet(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet(a, a + 2) == pytest.approx(12, rel=1e-6)


# -- learning -----------------------------------------------------------------------------------------

SMALL = {"shape": (1, 8, 8), "sizes": (4, 8), "width": 12, "latent": 32, "hidden_G": 256, "hidden_D": 256}


class Digits:
    """scikit-learn's digits in [-1, 1], 1,200 to train on, and a classifier of them with its 32 features."""

    def __init__(self):
        from sklearn.datasets import load_digits
        from sklearn.neural_network import MLPClassifier

        bunch = load_digits()
        x = torch.tensor(bunch.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
        y = torch.tensor(bunch.target)
        self.x, self.y, self.held_out, self.truth = x[:1200], y[:1200], x[1200:], y[1200:]
        self.net = MLPClassifier((32,), max_iter=400, random_state=0).fit(self.x.flatten(1).numpy(), self.y.numpy())
        assert self.net.score(self.held_out.flatten(1).numpy(), self.truth.numpy()) > 0.9

    def draw(self, n, g):
        chosen = torch.randint(len(self.x), (n,), generator=g)
        return Labelled(self.x[chosen], self.y[chosen])

    def features(self, x):
        return np.maximum(x.flatten(1).double().numpy() @ self.net.coefs_[0] + self.net.intercepts_[0], 0)

    def distance(self, x):
        """Frechet distance of the features to those of the held-out digits."""
        return frechet(self.features(x), self.features(self.held_out))

    def agreement(self, model):
        wanted = torch.arange(1000) % 10
        samples = model.sample(1000, wanted, torch.Generator().manual_seed(5))
        return (self.net.predict(samples.flatten(1).numpy()) == wanted.numpy()).mean()


@cache
def digits():
    return Digits()


class OnImages(LAPGAN):
    """Broken: the discriminator's real example is the image, to which the low-pass is then added again."""

    def low_pass(self, x):
        images, lows = super().low_pass(x)
        return [image + low for image, low in zip(images, lows, strict=True)] if self.training else images, lows


class Twice(LAPGAN):
    """Broken: a sample gets its residual twice."""

    def generate_levels(self, levels, low, y, noise):
        last = super().generate_levels(levels, low, y, noise)
        return [*last[:-1], last[-1] + (last[-1] - low)]


def finer(model):
    """The distance of samples from held-out digits' true coarse images, over that of those images enlarged."""
    low, y = model.low_pass(digits().held_out)[1][1], model.one_hot(digits().truth, len(digits().truth))
    with torch.no_grad(), swap_weights(model, model.ema):
        noise = {"z_1": model.z(1, len(low), torch.Generator().manual_seed(0))}
        sample = model.generate_levels([1], low, y, noise)[0]  # a clamp would hide a doubled image
    return {"left": digits().distance(sample) / digits().distance(low)}


def learned(cls, source, steps, seed=0, lr=1e-3, batch=64, **options):
    torch.manual_seed(seed)
    options = {**SMALL, **options}
    adam = {"class_path": "torch.optim.Adam", "init_args": {"lr": lr, "betas": (0.5, 0.999)}}
    everyone = {f"{role}_{k}": adam for role in ("discriminator", "generator") for k in range(len(options["sizes"]))}
    model = cls(**options, optimizers=everyone)
    return trained(model, stream(source.draw, steps, batch, seed))


@bounded(left="< 0.5")
def a_level(seed):
    """By the averaged generator, half-life 62 steps. The last weights leave 0.23 to 1.07, for a GAN has bad moments."""
    return finer(learned(LAPGAN, digits(), 800, seed, train_level=1, ema_half_life=4000.0))


def test_a_level_beats_enlarging_on_held_out_images():
    a_level.check()


@bounded(left="> 0.8")
def a_level_of_whole_images(seed):
    return finer(learned(OnImages, digits(), 800, seed, train_level=1, ema_half_life=4000.0))


@bounded(left="> 0.6")
def a_level_added_twice(seed):
    return finer(learned(Twice, digits(), 800, seed, train_level=1, ema_half_life=4000.0))


@pytest.mark.slow
@pytest.mark.parametrize("broken", [a_level_of_whole_images, a_level_added_twice], ids=lambda training: training.name)
def test_broken_levels_do_not(broken):
    broken.check()


@bounded(median_of=3, right=">= 0.6")
def classes_of_a_pyramid(seed):
    """Five trainings had 0.74 to 0.98; without the class it is 0.1."""
    return {"right": digits().agreement(learned(LAPGAN, digits(), 1200, seed, 5e-4, classes=10))}


@pytest.mark.slow
def test_a_pyramid_paints_the_class_that_it_is_asked_for():
    classes_of_a_pyramid.check()


class Deaf(LAPGAN):
    """Broken: the class never reaches any network."""

    def one_hot(self, y, n):
        return 0 * super().one_hot(y, n)


@pytest.mark.parametrize(("cls", "hears"), [(LAPGAN, True), (Deaf, False)])
def test_every_level_of_a_pyramid_hears_the_class(cls, hears):
    """Of the same noise: a model whose networks do not get the class gives all classes the same images, at every level."""
    torch.manual_seed(0)
    model = cls(**LAPGAN.small).eval()
    zero, one = (model.cascade(8, torch.full((8,), k), torch.Generator().manual_seed(5)) for k in (0, 1))
    for images, others in zip(zero, one, strict=True):
        assert torch.equal(images, others) != hears


@bounded(right="<= 0.25")
def classes_that_no_level_hears(seed):
    """Whatever it draws, each of ten classes is asked for as often: right are 0.1, and of 1,000 samples at most ± 0.01."""
    return {"right": digits().agreement(learned(Deaf, digits(), 200, seed, 5e-4, classes=10))}


@pytest.mark.slow
def test_a_pyramid_that_cannot_hear_the_class_is_at_chance():
    classes_that_no_level_hears.check()


# -- beside one scale ---------------------------------------------------------------------------------

ISLES = {"shape": (3, 24, 24), "sizes": (6, 12, 24), "width": 8, "latent": 32, "hidden_G": 400, "hidden_D": 400}
STEPS = 1500, 450, 400  # of each level, trained alone


class Isles:
    """Sharp-edged isles of one colour in a sea of another, and a small network that reads the mean colours of 16 fields."""

    def __init__(self):
        torch.manual_seed(0)
        g = torch.Generator().manual_seed(7)
        self.net = nn.Sequential(
            *(nn.Conv2d(3, 16, 5, 2, 2), nn.ReLU(), nn.Conv2d(16, 32, 5, 2, 2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(32 * 6 * 6, 64), nn.ReLU()),
        )
        head = nn.Linear(64, 3 * 16)
        adam = Adam([*self.net.parameters(), *head.parameters()], 1e-3)
        for _ in range(600):
            x = self.draw(64, g).x
            loss = (head(self.net(x)) - avg_pool2d(x, 6).flatten(1)).square().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        assert loss < 0.01  # the colours' variance is 0.2
        self.held_out = self.draw(1000, g).x

    def draw(self, n, g):
        waves = torch.fft.rfft2(torch.randn(n, 1, 24, 24, generator=g))
        across, down = torch.arange(13.0), torch.arange(24.0).sub(12).roll(12)[:, None]
        heights = torch.fft.irfft2(waves * torch.exp(-(across**2 + down**2) / 1.6**2) * (across + down).ne(0))
        land = (4 * heights / heights.std()).clamp(-1, 1) / 2 + 0.5
        isle, sea = (torch.rand(2, n, 3, 1, 1, generator=g) * 2 - 1) * 0.9
        return Batch(land * isle + (1 - land) * sea)

    @torch.no_grad()
    def distance(self, x):
        """Frechet distance of the 64 features to those of held-out images."""
        return frechet(self.net(x), self.net(self.held_out))

    def of(self, model):
        return self.distance(model.sample(1000, generator=torch.Generator().manual_seed(5)))


@cache
def isles():
    return Isles()


def pyramid(cls, seed):
    """Levels trained one by one, and put together."""
    whole = cls(**ISLES)
    for k, steps in enumerate(STEPS):
        part = learned(cls, isles(), steps, seed, batch=16, train_level=k, **ISLES)
        whole.G[k], whole.D[k] = part.G[k], part.D[k]
    return whole.eval()


def operations(**options):
    """Floating-point operations of one step of training."""
    source = isles()  # its network is trained here the first time, and not within the count
    with FlopCounterMode(display=False) as counter:
        learned(LAPGAN, source, 1, batch=16, **options)
    return counter.get_total_flops()


@bounded(median_of=3, of_one_scale="< 0.9", of_one_scale_broken="> 0.9")
def a_pyramid_beside_one_scale(seed):
    """Distances over that of one scale of the same budget, which is 50; real images have 0.4, enlarged ones 2.9.

    It is of this rate and budget: at 2e-3 one scale came to 16, and the pyramid to 18 and, once, 421. The base alone,
    enlarged, has 23: what is won is won by learning the layout in small images.
    """
    single = {**ISLES, "sizes": ISLES["sizes"][-1:]}
    budget = sum(n * operations(train_level=k, **ISLES) for k, n in enumerate(STEPS))
    one = isles().of(learned(LAPGAN, isles(), budget // operations(**single), seed, batch=16, **single))
    return {
        "of_one_scale": isles().of(pyramid(LAPGAN, seed)) / one,
        "of_one_scale_broken": isles().of(pyramid(OnImages, seed)) / one,
    }


@pytest.mark.slow
def test_a_pyramid_beats_one_scale_of_the_same_budget():
    a_pyramid_beside_one_scale.check()
