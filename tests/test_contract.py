"""The contract of every model of the zoo and of the docs' own examples; a new one is found and tested by itself."""

import inspect
import math
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import torch
from lightning.pytorch import Callback
from support.training import Labelled, fit, loader, trainer
from support.zoo import CLASSES, EXAMPLES, MODELS, SMALL, build, data, every_model, every_model_and_example
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from ganzoo.adversarial import AdversarialModule
from ganzoo.augmentations import Augmentation
from ganzoo.errors import InputError
from ganzoo.interfaces import (
    Adapted,
    CascadeSampler,
    Classifier,
    Cycled,
    CycleTranslator,
    DifferentiableSampler,
    Generated,
    NoiseSampler,
    Sampler,
    Translated,
    Translator,
)
from ganzoo.models.base import GANModel, GeneratorModel
from ganzoo.networks.extra_layers import ComparedSamples, MinibatchDiscrimination
from ganzoo.penalties import gradient_penalty
from ganzoo.regularizers import Regularizer
from ganzoo.training.recipes import to_plain

CHECKOUT = Path(__file__).resolve().parent.parent


def test_the_zoo_is_not_empty():
    assert {"GAN", "CGAN", "Pix2Pix", "CycleGAN", "LAPGAN", "DANN"} <= set(MODELS)
    assert {"MyGAN", "SmallGAN", "DRAGAN"} <= set(EXAMPLES)


@every_model_and_example
def test_all_players_move_and_only_in_their_turns(name, tmp_path, monkeypatch):
    model = build(name)
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    moved: dict[str, set[str]] = {}
    ritual = AdversarialModule._optimize

    def watched(self, player):
        here = {key: p.detach().clone() for key, p in self.named_parameters()}
        ritual(self, player)
        changed = {key for key, p in self.named_parameters() if not torch.equal(p, here[key])}
        moved.setdefault(player.name, set()).update(changed)

    monkeypatch.setattr(AdversarialModule, "_optimize", watched)
    played = fit(model, data(model), tmp_path, max_epochs=1, detect_anomaly=True)
    assert played.global_step == 4
    assert set(moved) == set(model.players())
    for player, networks in model.players().items():
        mine = {id(p) for network in networks for p in network.parameters()}
        names = {key for key, p in model.named_parameters() if id(p) in mine}
        assert moved[player] <= names
        assert len(moved[player]) > 0.5 * len(names), f"most of {player} stands still"
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert all(p.grad is None for p in model.parameters())
    assert any(not torch.equal(p, before[key]) for key, p in model.named_parameters())


@every_model_and_example
def test_gradients_are_computed_for_the_players_of_a_turn_alone(name, tmp_path, monkeypatch):
    """The weight gradients of a frozen opponent would cost time, and nobody uses them."""
    model, playing, computed = build(name), [], {}
    descend = AdversarialModule._descend

    def watched(self, players, *args, **terms):
        playing[:] = [player.name for player in players]
        descend(self, players, *args, **terms)

    monkeypatch.setattr(AdversarialModule, "_descend", watched)
    for player, networks in model.players().items():
        computed[player] = set()
        for parameter in (p for network in networks for p in network.parameters() if p.requires_grad):
            parameter.register_hook(lambda _, player=player: computed[player].add(tuple(playing)))
    fit(model, data(model), tmp_path, max_epochs=1)
    for player, turns in computed.items():
        assert turns, f"no gradient of {player} was seen"
        assert all(player in turn for turn in turns), f"gradients of {player} are computed in the turns {turns}"


class Reads(TorchDispatchMode):
    """Counts operations whose result the program waits for: numbers, truth values, counts of elements."""

    waits = {
        torch.ops.aten._local_scalar_dense.default,
        torch.ops.aten.nonzero.default,
        torch.ops.aten.masked_select.default,
        torch.ops.aten.equal.default,
        torch.ops.aten._unique2.default,
    }

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.uncounted = [], False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in self.waits and not self.uncounted:
            self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


def reads_by_batch(model, tmp_path, monkeypatch, **options) -> list[list[str]]:
    """What each batch of a training reads from the device.

    Not counted: optimizers without a fused kernel read their own counts of steps, which torch keeps in the memory of the
    CPU; and torch's ``one_hot`` looks for the largest class, on a CPU only.
    """
    reads, batches = Reads(), []

    class Collect(Callback):
        def on_train_batch_start(self, *_) -> None:  # Lightning reads what was logged after on_train_batch_end
            batches.append(list(reads.seen))
            reads.seen.clear()

    def unread_one_hot(*args):
        reads.uncounted = True
        found = one_hot(*args)
        reads.uncounted = False
        return found

    monkeypatch.setattr("ganzoo.models.base.conditional.one_hot", unread_one_hot)
    hooks = [
        register_optimizer_step_pre_hook(lambda *_: setattr(reads, "uncounted", True)),
        register_optimizer_step_post_hook(lambda *_: setattr(reads, "uncounted", False)),
    ]
    with reads:
        fit(model, data(model), tmp_path, max_epochs=1, callbacks=[Collect()], **options)
    for hook in hooks:
        hook.remove()
    return [*batches[1:], reads.seen]


@every_model_and_example
def test_a_step_that_is_not_logged_waits_for_nothing_on_the_device(name, tmp_path, monkeypatch):
    first, *others, last = reads_by_batch(build(name), tmp_path, monkeypatch, log_every_n_steps=4)
    assert others == [[], []]
    assert first
    assert last


@every_model_and_example
def test_each_player_logs_its_terms_and_the_discriminators_opinion(name, tmp_path):
    model = build(name)
    shown = fit(model, data(model), tmp_path, max_epochs=1, log_every_n_steps=1).progress_bar_metrics
    assert sum(name.startswith("D(") for name in shown) == 2
    # players of one sum are named together
    told = {player for key in shown if key.endswith("/loss") for player in key.removesuffix("/loss").split("+")}
    assert told == set(model.players())


@every_model_and_example
def test_a_checkpoint_gives_the_same_model_back(name, tmp_path):
    model = build(name)
    played = fit(model, data(model), tmp_path, max_epochs=1)
    played.save_checkpoint(tmp_path / "kept.ckpt")
    saved = torch.load(tmp_path / "kept.ckpt", weights_only=True)
    assert to_plain(saved["hyper_parameters"]) == saved["hyper_parameters"]
    again = CLASSES[name].load_from_checkpoint(tmp_path / "kept.ckpt")
    assert dict(again.hparams) == dict(model.hparams)
    for key, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


def is_a_image_of(images: Tensor, *shape: int) -> None:
    assert images.shape == shape
    assert images.dtype == torch.float32
    assert not images.requires_grad
    assert images.abs().max() <= 1


@every_model
def test_the_noise_of_a_sampler_can_be_chosen(name):
    model = build(name).eval()
    if not isinstance(model, Sampler):
        return
    assert isinstance(model, NoiseSampler)
    noise = model.draw_noise(4, torch.Generator().manual_seed(3))
    assert list(noise) == list(model.distributions())
    assert all(len(each) == 4 for each in noise.values())
    y = torch.tensor([1, 0, 1, 2])
    images = model.decode(noise, y)
    is_a_image_of(images, 4, *model.hparams["shape"])
    assert torch.equal(images, model.sample(4, y, torch.Generator().manual_seed(3)))
    assert torch.equal(images, model.decode(noise, y))  # draws nothing
    turned = model.decode({key: each.flip(0) for key, each in noise.items()}, y.flip(0))
    assert torch.allclose(turned.flip(0), images, atol=1e-5)  # an image has its own row of each tensor
    for key in noise:  # and every tensor matters
        other = model.draw_noise(4, torch.Generator().manual_seed(4))
        assert not torch.equal(images, model.decode({**noise, key: other[key]}, y))
    if isinstance(model, CascadeSampler):
        assert torch.equal(model.decode_levels(noise, y)[-1], images)
    if isinstance(model, DifferentiableSampler):
        wanted = {key: each.clone().requires_grad_(True) for key, each in noise.items()}
        again = model.decode_with_graph(wanted, y)
        assert torch.equal(again.detach(), images)
        assert not images.requires_grad
        for gradient in torch.autograd.grad(again.sum(), list(wanted.values())):
            assert gradient.abs().max() > 0


@every_model_and_example
def test_it_can_be_asked_for_what_it_is_for(name):
    model = build(name).eval()
    h = model.hparams
    if isinstance(model, Sampler):
        made = model.sample(5, generator=torch.Generator().manual_seed(3))
        is_a_image_of(made, 5, *h["shape"])
        assert torch.equal(made, model.sample(5, generator=torch.Generator().manual_seed(3)))
        assert not torch.equal(made, model.sample(5, generator=torch.Generator().manual_seed(4)))
        if isinstance(model, CascadeSampler):
            levels = model.cascade(5, generator=torch.Generator().manual_seed(3))
            assert torch.equal(levels[-1], made)
            assert [level.shape[-1] for level in levels] == sorted(level.shape[-1] for level in levels)
    elif isinstance(model, CycleTranslator):
        is_a_image_of(model.translate(torch.zeros(2, h["channels_x"], 16, 16)), 2, h["channels_y"], 16, 16)
        is_a_image_of(model.translate_back(torch.zeros(2, h["channels_y"], 16, 16)), 2, h["channels_x"], 16, 16)
    elif isinstance(model, Translator):
        is_a_image_of(model.translate(torch.zeros(2, h["inputs"], 16, 16)), 2, h["outputs"], 16, 16)
    else:
        assert isinstance(model, Classifier)
        told = model.classify(torch.zeros(2, *h["shape"]))
        assert told.shape == (2, h["classes"])
        assert not told.requires_grad
        assert torch.allclose(told.sum(1), torch.ones(2))


@every_model_and_example
def test_validating_returns_a_record_and_does_not_change_the_training(name, tmp_path):
    alone, watched = build(name), build(name)
    kept = []
    wrapped = watched.validation_step
    watched.validation_step = lambda *args: kept.append(wrapped(*args)) or kept[-1]
    torch.manual_seed(7)
    fit(alone, data(alone), tmp_path, max_epochs=2)
    torch.manual_seed(7)
    trainer(tmp_path, max_epochs=2).fit(watched, data(watched), data(watched, 2, held_out=True))
    assert len(kept) == (4 if isinstance(watched, Classifier) else 2)
    for record in kept:
        assert isinstance(record, Generated | Translated | Cycled | Adapted)
        assert len({len(part) for part in record}) == 1
        if not isinstance(record, Adapted):
            assert all(images.abs().max() <= 1 and images.ndim == 4 for images in record)
    for key, value in alone.state_dict().items():
        assert torch.equal(value, watched.state_dict()[key]), key


@every_model_and_example
def test_data_of_another_shape_is_one_clear_line(name, tmp_path):
    model = build(name)
    wrong = loader(torch.zeros(4, 2, 16, 16), torch.zeros(4, 5, 16, 16), batch_size=2, kind=Labelled)
    with pytest.raises(InputError, match=r"model\.(shape|inputs|outputs|channels_x|channels_y)") as caught:
        fit(model, wrong, tmp_path, max_epochs=1)
    assert "\n" not in str(caught.value)


def test_labels_that_do_not_match_the_classes_are_one_clear_line(tmp_path):
    model = build("CGAN")
    x, y = torch.zeros(4, 1, 8, 8), torch.tensor([0, 1, 2, 3])
    with pytest.raises(InputError, match=r"label 3, and model\.classes is 3"):
        fit(model, loader(x, y, batch_size=4), tmp_path, max_epochs=1)
    with pytest.raises(InputError, match="no labels"):
        fit(model, loader(x, batch_size=4), tmp_path, max_epochs=1)


GANS = [name for name, cls in CLASSES.items() if issubclass(cls, GANModel)]


class Linear(nn.Module):
    """A critic whose gradient is ``slope`` at each value of its images (and of the input that pix2pix gives with them)."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, images: Tensor, *condition: Tensor) -> Tensor:
        return self.slope * images.flatten(1).sum(1, keepdim=True)


@pytest.mark.parametrize("name", GANS)
def test_a_penalty_on_images_is_descended_by_every_discriminator(name, tmp_path):
    """The gradient penalty of a linear critic is ``(slope sqrt(values of an image) - 1)^2``, whatever the images are."""
    pixels = []

    class Penalised(CLASSES[name]):
        def penalties(self, D, real, fake):
            pixels.append(real[0].numel())
            assert real.shape == fake.shape
            assert not torch.equal(real, fake)
            assert torch.allclose(D(real) - D(fake), 0.1 * (real - fake).flatten(1).sum(1, keepdim=True), atol=1e-4)
            return {"gradient": gradient_penalty(D, real, fake)}

    torch.manual_seed(0)
    model = Penalised(**SMALL[name])
    critics = {player: part for player, part in model.players().items() if player.startswith("discriminator")}
    networks = [network for networks in critics.values() for network in networks]
    for attribute, network in list(model.named_modules()):
        if any(network is critic for critic in networks):
            model.set_submodule(attribute, Linear(0.1))
    logged = fit(model, data(model), tmp_path, max_steps=1, log_every_n_steps=1).logged_metrics
    assert len(pixels) == len(networks)
    names = [
        (player, f"gradient{end}") for player in critics for end in (("_x", "_y") if len(critics[player]) == 2 else ("",))
    ]
    found = [float(logged[f"{player}/{name}"]) for player, name in names]
    assert found == pytest.approx([(0.1 * values**0.5 - 1) ** 2 for values in pixels], rel=1e-4)
    for player in critics:
        terms = [f"{player}/{name}" for of, name in names if of == player]
        terms += [f"{player}/gan{end}" for end in ("", "_x", "_y") if f"{player}/gan{end}" in logged]
        assert float(logged[f"{player}/loss"]) == pytest.approx(sum(float(logged[term]) for term in terms), rel=1e-4)


class Shift(Augmentation):
    """Moves every pixel far out of the range of images."""

    def __call__(self, images: Tensor, progress: Any) -> Tensor:
        return images + 100


IMAGE_GANS = [name for name in GANS if issubclass(CLASSES[name], GeneratorModel)]


def critic_steps(model):
    """How many batches it takes until the generator has its first turn."""
    return model.hparams.get("n_critic", model.hparams.get("k", 1))


@pytest.mark.parametrize("name", IMAGE_GANS)
def test_the_discriminator_sees_augmented_images_only(name, tmp_path):
    """In each player's turn, and in the penalties of both; samples are not augmented."""
    torch.manual_seed(0)
    cls = CLASSES[name]
    if issubclass(cls, CascadeSampler):
        with pytest.raises(InputError, match="takes no augment"):
            cls(**SMALL[name], augment=Shift())
        return
    seen, penalised = [], []

    class Watched(cls):
        def penalties(self, D, real, fake):
            penalised.extend([real, fake])
            return {}

        def generator_penalties(self, D, real, fake):
            penalised.extend([real, fake])
            return {}

    model = Watched(**SMALL[name], augment=Shift())
    model.D.register_forward_pre_hook(lambda part, inputs: seen.append(inputs[0].detach()))
    fit(model, data(model), tmp_path, max_steps=critic_steps(model), max_epochs=-1)  # until G has its first turn
    assert len(seen) >= 2
    assert len(penalised) >= 4, "the hooks penalties and generator_penalties are part of every training step"
    assert all(images.min() > 90 for images in [*seen, *penalised])
    assert model.eval().sample(2).abs().max() <= 1


@pytest.mark.parametrize("name", IMAGE_GANS)
def test_the_networks_get_the_layers_that_are_asked_for(name):
    """Or they are refused in one line; a constructor that forgets them is told so by the first batch."""
    torch.manual_seed(0)
    try:
        model = CLASSES[name](**SMALL[name], layers=[MinibatchDiscrimination(2, 2)])
    except InputError as refused:
        assert "one logit" in str(refused)  # noqa: PT017
        return
    assert [part for part in model.D.modules() if isinstance(part, ComparedSamples)]


class Mean(Regularizer):
    """A term of the generator that any image has."""

    name = "mean"
    player = "generator"

    def __call__(self, D: Any, real: Tensor, fake: Tensor) -> Tensor:
        assert fake.requires_grad
        return fake.float().mean() + 10


@pytest.mark.parametrize("name", GANS)
def test_the_generator_descends_its_regularizers(name, tmp_path):
    torch.manual_seed(0)
    if issubclass(CLASSES[name], CycleTranslator):
        with pytest.raises(InputError, match="takes regularizers of its discriminators"):
            CLASSES[name](**SMALL[name], regularizers=[Mean()])
        return
    model = CLASSES[name](**SMALL[name], regularizers=[*CLASSES[name].default_regularizers, Mean()])
    logged = fit(
        model, data(model), tmp_path, max_steps=critic_steps(model), max_epochs=-1, log_every_n_steps=1
    ).logged_metrics
    found = [float(value) for key, value in logged.items() if key.endswith("/mean")]
    assert len(found) == sum(player.startswith("generator") for player in model.players())
    assert all(9 <= each <= 11 for each in found)


@every_model_and_example
def test_a_batch_of_bfloat16_trains(name, tmp_path):
    model = build(name)
    played = fit(model, data(model), tmp_path, max_epochs=1, precision="bf16-mixed", log_every_n_steps=1)
    assert all(torch.isfinite(p).all() and p.dtype == torch.float32 for p in model.parameters())
    assert all(torch.isfinite(value) for value in played.callback_metrics.values())


@every_model_and_example
def test_every_argument_is_documented(name):
    cls = CLASSES[name]
    # a class without an __init__ of its own has its parent's arguments
    doc = inspect.getdoc(next(parent for parent in cls.__mro__ if "__init__" in vars(parent)))
    for argument in inspect.signature(cls).parameters:
        assert f"{argument}:" in doc, f"{name}'s docstring does not explain {argument}"


@every_model
def test_every_model_has_a_page_and_a_config(name):
    cls = MODELS[name]
    home = Path(inspect.getfile(cls)).stem
    assert (CHECKOUT / "docs" / "models" / f"{home}.md").is_file()
    family = {other for other, cls in MODELS.items() if Path(inspect.getfile(cls)).stem == home}
    texts = [path.read_text() for path in (CHECKOUT / "configs").glob("*.yaml")]
    assert any(f"class_path: {member}\n" in text for member in family for text in texts)
    assert "arXiv" in inspect.getmodule(cls).__doc__


def numbers_of(cls: type) -> dict[str, Any]:
    """The arguments of a constructor, of its parents' too, that take a number or None."""
    return {name: hint for parent in reversed(cls.__mro__) if "__init__" in vars(parent) for name, hint in _hints(parent)}


def _hints(cls: type) -> list[tuple[str, Any]]:
    hints = get_type_hints(cls.__init__)
    return [(name, hint) for name, hint in hints.items() if isinstance(hint, type) and issubclass(hint, int | float)]


@every_model_and_example
def test_no_number_is_taken_from_outside_of_its_range(name):
    """Also null where a number is needed. Of every argument, so that a new one needs a range."""
    taken = build(name)._arguments  # those of the constructors above it too, if they can be given
    numbers = numbers_of(CLASSES[name])
    assert len(numbers) > (4 if name in MODELS else 2)
    for argument, hint in numbers.items():
        if hint is bool or (argument not in taken and argument not in ("accumulate", "ema_ramp")):
            continue
        for wrong in (math.nan, math.inf, -math.inf, -1, None, "1", True):
            with pytest.raises(InputError, match=rf"{name}: {argument} is {wrong!r}: give an? (int|float) in"):
                CLASSES[name](**{**SMALL[name], argument: wrong})
