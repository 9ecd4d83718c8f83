"""The averaged generator: what it is, when it moves, which methods use it."""

import copy
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from support.training import Batch, fit, loader, trainer
from support.zoo import MODELS, SMALL
from support.zoo import data as data_for
from torch import nn
from torch.optim import SGD

from ganzoo.adversarial import AdversarialModule
from ganzoo.errors import InputError
from ganzoo.interfaces import Classifier, CycleTranslator, Sampler, Translator
from ganzoo.models import DomainNormDANN
from ganzoo.training.ema import EMA, decay


def test_an_old_weight_counts_half_after_the_half_life():
    assert decay(1000, 1000, 0, 10**9) == 0.5
    assert decay(3000, 1000, 0, 10**9) == 0.125
    # however the images are cut into batches
    assert math.prod(decay(10, 1000, 0, 1) for _ in range(100)) == pytest.approx(0.5)
    assert math.prod(decay(50, 1000, 0, 1) for _ in range(20)) == pytest.approx(0.5)
    # early: 5 % of what was seen; the first images of all leave nothing of the untrained weights
    assert decay(10, 1000, 0.05, 200) == 0.5
    assert decay(10, 1000, 0.05, 10**9) == decay(10, 1000, 0, 10**9)
    assert decay(8, 1000, 0.05, 0) == 0.0


class Walk(AdversarialModule):
    """G walks, D walks; G has a buffer, and writes down where it has been."""

    def __init__(self, k: int = 1, **play):
        super().__init__(**play)
        self.save_hyperparameters()
        self.k = k
        self.G, self.D = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), nn.Linear(3, 1)
        self.path: list[tuple[int, dict]] = []
        self.shown = 0

    def players(self):
        return {"discriminator": [self.D], "generator": [self.G]}

    def player_optimizer(self, player, parameters):
        return SGD(parameters, lr=0.1)

    def training_step(self, batch, batch_idx):
        self.shown += len(batch.x)
        with self.turn("discriminator") as descend:
            descend({"d": self.D(self.G(batch.x)).square().mean()})
        if self.every(self.k):
            with self.turn("generator") as descend:
                descend({"g": (self.D(self.G(batch.x)) - batch.x[:, :1]).square().mean()})
        self.path.append((self.shown, copy.deepcopy(self.G.state_dict())))


def walked(tmp_path, batch_size=4, epochs=2, **options):
    torch.manual_seed(0)
    model = Walk(**options)
    first = copy.deepcopy(model.G.state_dict())
    fit(model, loader(torch.randn(16, 3), batch_size=batch_size, kind=Batch), tmp_path, max_epochs=epochs)
    return model, first


@pytest.mark.parametrize("ramp", [0.0, 0.05, 1.0])
@pytest.mark.parametrize(("k", "accumulate"), [(1, 1), (3, 1), (1, 2), (2, 2)])
def test_the_average_is_the_recursion_by_hand(k, accumulate, ramp, tmp_path):
    model, first = walked(tmp_path, k=k, accumulate=accumulate, ema_half_life=20.0, ema_ramp=ramp)
    average = {name: value.double() for name, value in first.items()}
    last, before = 0, first
    for seen, now in model.path:
        if not torch.equal(now["0.weight"], before["0.weight"]):  # the generator has stepped
            left = 0.5 ** ((seen - last) / (min(20.0, ramp * seen) if ramp else 20.0))
            for name in ("0.weight", "0.bias", "1.weight", "1.bias"):
                average[name] = left * average[name] + (1 - left) * now[name].double()
            copied, last, before = now, seen, now
    for name, value in model.ema["G"].state_dict().items():
        expected = average[name] if "running" not in name and "num" not in name else copied[name].double()
        assert torch.allclose(value.double(), expected, atol=1e-6), name
    assert not any(p.requires_grad for p in model.ema.parameters())
    assert list(model.ema) == ["G"]


def test_the_half_life_is_in_images_whatever_the_batch(tmp_path, monkeypatch):
    """Weights that jump once and stand still are averaged alike by many small batches and by few large ones."""

    def left(batch_size):
        live = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(live.weight)
        average = EMA({"G": live}, half_life=64, ramp=0)
        nn.init.ones_(live.weight)
        for _ in range(128 // batch_size):
            average.seen += batch_size
            average.update_parameters("generator", {"G": live}, {id(live.weight)})
        return average["G"].weight.item()

    assert left(1) == pytest.approx(0.75)
    assert left(32) == pytest.approx(0.75)
    # one that counts its steps would say otherwise
    monkeypatch.setattr("ganzoo.training.ema.decay", lambda images, half_life, ramp, seen: 0.5 ** (1 / half_life))
    assert left(1) != pytest.approx(left(32), rel=0.1)


def test_without_it_nothing_is_there(tmp_path):
    model, _ = walked(tmp_path)
    assert model.ema is None
    assert not any(name.startswith("ema") for name in model.state_dict())


# -- which methods use it -----------------------------------------------------------------------------------------------


def asked(model):
    """What a user asks a model for."""
    h, g = model.hparams, torch.Generator().manual_seed(3)
    x = torch.rand(2, *h["shape"], generator=g) * 2 - 1 if "shape" in h else None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if isinstance(model, CycleTranslator):
            images = [torch.rand(2, h[c], 16, 16, generator=g) for c in ("channels_x", "channels_y")]
            return torch.cat([model.translate(images[0]).flatten(), model.translate_back(images[1]).flatten()])
        if isinstance(model, Translator):
            return model.translate(torch.rand(2, h["inputs"], 16, 16, generator=g))
        if isinstance(model, Classifier):
            return model.classify(x)
        assert isinstance(model, Sampler)
        return model.sample(4, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", [name for name in MODELS if name != "ConvolutionalGAN"])
def test_every_model_serves_its_average(name, tmp_path):
    torch.manual_seed(0)
    model = MODELS[name](**SMALL.get(name, {}), ema_half_life=1e9, ema_ramp=0.0)  # so slow that it stands at the start
    untrained = copy.deepcopy(model).eval()
    played = fit(model, data_for(model), tmp_path, max_epochs=1)
    played.save_checkpoint(tmp_path / "a.ckpt")
    live = {name: copy.deepcopy(getattr(model, name)).eval() for name in model.ema_networks}
    model.eval()
    assert set(model.ema) == set(model.ema_networks)
    with_ema = asked(model)
    # buffers are the live ones', so the untrained model gets them before it is compared
    for network in model.ema_networks:
        getattr(untrained, network).load_state_dict(dict(model.ema[network].state_dict()))
    if isinstance(model, DomainNormDANN):
        untrained.adapts.copy_(model.adapts)
    assert torch.allclose(with_ema, asked(untrained), atol=1e-6)
    for network, mine in live.items():
        assert not torch.equal(*(next(n.parameters()) for n in (mine, model.ema[network])))
        assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), getattr(model, network).parameters(), strict=True))
    again = MODELS[name].load_from_checkpoint(tmp_path / "a.ckpt").eval()
    assert torch.equal(with_ema, asked(again))
    again.ema = None
    assert not torch.equal(with_ema, asked(again))


def test_validation_looks_at_the_average_and_training_does_not(tmp_path):
    torch.manual_seed(0)
    model = MODELS["GAN"](**SMALL["GAN"], ema_half_life=1e9, ema_ramp=0.0)
    batches = data_for(model)
    fit(model, batches, tmp_path, max_epochs=1)
    batch = next(iter(batches))
    model.eval()
    from_average = model.validation_step(batch, 0).fake
    assert torch.equal(from_average, model.ema["G"](model.z(2, torch.Generator().manual_seed(0))))
    assert not torch.equal(from_average, model.G(model.z(2, torch.Generator().manual_seed(0))))
    plain = MODELS["GAN"](**SMALL["GAN"])
    torch.manual_seed(0)
    plain = MODELS["GAN"](**SMALL["GAN"])
    fit(plain, batches, tmp_path, max_epochs=1)
    assert all(torch.equal(p, model.get_parameter(name)) for name, p in plain.named_parameters())


def test_an_error_inside_gives_the_live_networks_back(tmp_path):
    model, _ = walked(tmp_path, ema_half_life=10.0)
    live = model.G
    from ganzoo.training.ema import with_ema

    class Breaks(Exception):
        pass

    @with_ema
    def look(module):
        assert module.G is module.ema["G"]
        raise Breaks

    with pytest.raises(Breaks):
        look(model)
    assert model.G is live


def saved(model: AdversarialModule, tmp_path: Path, **options) -> Path:
    played = trainer(tmp_path, max_epochs=1, **options)
    played.fit(model, loader(torch.randn(16, 3), batch_size=4, kind=Batch))
    played.save_checkpoint(tmp_path / "walk.ckpt")
    return tmp_path / "walk.ckpt"


def test_a_run_may_go_on_without_its_average_or_begin_one(tmp_path, capsys):
    with_it = saved(Walk(ema_half_life=10.0), tmp_path)
    without = Walk()
    played = trainer(tmp_path, max_epochs=2)
    played.fit(without, loader(torch.randn(16, 3), batch_size=4, kind=Batch), ckpt_path=with_it, weights_only=True)
    assert "model.ema_half_life is not given: the run continues without" in capsys.readouterr().err
    assert without.ema is None
    path = saved(Walk(), tmp_path)
    weights = torch.load(path, weights_only=True)["state_dict"]
    begins = Walk(ema_half_life=1e9, ema_ramp=0.0)
    played = trainer(tmp_path, max_epochs=2)
    played.fit(begins, loader(torch.randn(16, 3), batch_size=4, kind=Batch), ckpt_path=path, weights_only=True)
    assert "the average begins at the checkpoint's" in capsys.readouterr().err
    assert torch.allclose(begins.ema["G"][0].weight, weights["G.0.weight"], atol=1e-6)
    assert not torch.allclose(begins.G[0].weight, weights["G.0.weight"], atol=1e-3)


@pytest.mark.parametrize(("half_life", "ramp"), [(0.0, 0.05), (-1.0, 0.05), (10.0, -0.1)])
def test_numbers_out_of_range(half_life, ramp):
    with pytest.raises(InputError, match=r"Walk: ema_(half_life|ramp) is .*: give a float in"):
        Walk(ema_half_life=half_life, ema_ramp=ramp)


def test_a_module_without_such_a_network_is_told(tmp_path):
    class Other(Walk):
        ema_networks = ("generator",)

    with pytest.raises(InputError, match=r"Other has no network 'generator' to average: name those .* in `ema_networks`"):
        fit(Other(ema_half_life=10.0), loader(torch.randn(16, 3), batch_size=4, kind=Batch), tmp_path, max_epochs=1)


@dataclass
class Record:
    x: torch.Tensor


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda x: {"path": ["a.png", "b.png"], "x": x},
        lambda x: {"step": torch.tensor(3), "mean": torch.zeros(3), "x": x},
        lambda x: (["a", "b"], x),
        Record,
    ],
)
def test_images_are_counted_in_batches_of_any_kind(wrapped):
    assert Walk(ema_half_life=10.0).image_count(wrapped(torch.zeros(8, 3))) == 8
    with pytest.raises(InputError, match=r"counts images, and a batch of .* has none: override image_count\(\)"):
        Walk(ema_half_life=10.0).image_count(wrapped(torch.tensor(1.0)))


def test_weights_that_come_when_the_fit_starts_are_in_the_average(tmp_path):
    class Pretrained(Walk):
        def on_fit_start(self):
            super().on_fit_start()
            nn.init.ones_(self.G[0].bias)

    model = Pretrained(ema_half_life=1e9, ema_ramp=0.0)
    model.G[0].requires_grad_(False)
    fit(model, loader(torch.randn(16, 3), batch_size=4, kind=Batch), tmp_path, max_epochs=1)
    assert torch.equal(model.ema["G"][0].bias, torch.ones(3))


def test_half_precision_weights_are_refused(tmp_path):
    with pytest.raises(InputError, match="needs weights in float32"):
        fit(
            Walk(ema_half_life=10.0),
            loader(torch.randn(16, 3), batch_size=4, kind=Batch),
            tmp_path,
            max_epochs=1,
            precision="bf16-true",
        )


def test_weights_computed_by_a_hook_are_refused_with_advice(tmp_path):
    model = Walk(ema_half_life=10.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.nn.utils.weight_norm(model.G[0])
    with pytest.raises(InputError, match=r"cannot be copied .*torch\.nn\.utils\.parametrizations"):
        fit(model, loader(torch.randn(16, 3), batch_size=4, kind=Batch), tmp_path, max_epochs=1)


def test_thawing_a_model_leaves_its_average_frozen_and_another_fit_may_do_without(tmp_path):
    model, _ = walked(tmp_path, ema_half_life=10.0)
    model.freeze()
    model.unfreeze()
    batches = loader(torch.randn(16, 3), batch_size=4, kind=Batch)
    fit(model, batches, tmp_path, max_epochs=1)
    assert not any(p.requires_grad for p in model.ema.parameters())
    model.ema_half_life = None
    fit(model, batches, tmp_path, max_epochs=1)
    assert model.ema is None
