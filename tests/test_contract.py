"""What every model of the zoo must do, found by looking in ganzoo.models: a new one is tested without being told."""

import inspect
from pathlib import Path

import pytest
import torch
from toys import Labelled, fit, loader

import ganzoo.models as zoo
from ganzoo.adversarial import AdversarialModule
from ganzoo.errors import InputError
from ganzoo.generative import Generated, Sampler, Translated, Translator
from ganzoo.parts import plain

MODELS = {name: cls for name, cls in vars(zoo).items() if isinstance(cls, type) and issubclass(cls, AdversarialModule)}
# sizes at which a model trains in a moment; one that is not named here is built with its defaults
SMALL = {
    "GAN": {"shape": (1, 8, 8), "hidden": 16, "latent": 4},
    "SimultaneousGAN": {"shape": (1, 8, 8), "hidden": 16, "latent": 4},
    "ConvolutionalGAN": {"shape": (1, 32, 32), "hidden": 4, "latent": 4},
    "DCGAN": {"shape": (3, 8, 8), "width": 4, "latent": 4},
    "CGAN": {"shape": (1, 8, 8), "classes": 3, "latent": 4},
    "Pix2Pix": {"inputs": 3, "outputs": 1, "depth": 4, "width": 4, "patch": 16},
}
CHECKOUT = Path(__file__).resolve().parent.parent


def build(name: str) -> AdversarialModule:
    torch.manual_seed(0)
    return MODELS[name](**SMALL.get(name, {}))


def data(model: AdversarialModule, n: int = 8):
    """Batches of two of the kind that the model takes."""
    g = torch.Generator().manual_seed(1)
    if isinstance(model, Translator):
        x = torch.rand(n, model.hparams["inputs"], 16, 16, generator=g) * 2 - 1
        y = torch.rand(n, model.hparams["outputs"], 16, 16, generator=g) * 2 - 1
    else:
        x = torch.rand(n, *model.hparams["shape"], generator=g) * 2 - 1
        y = torch.arange(n) % 3
    return loader(x, y, batch_size=2, kind=Labelled)


every_model = pytest.mark.parametrize("name", MODELS)


def test_the_zoo_is_not_empty():
    assert {"GAN", "CGAN", "Pix2Pix"} <= set(MODELS)
    assert set(SMALL) <= set(MODELS)


@every_model
def test_all_players_move_and_only_in_their_turns(name, tmp_path, monkeypatch):
    model = build(name)
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    moved: dict[str, set[str]] = {}
    ritual = AdversarialModule._step

    def watched(self, seat):
        here = {key: p.detach().clone() for key, p in self.named_parameters()}
        ritual(self, seat)
        changed = {key for key, p in self.named_parameters() if not torch.equal(p, here[key])}
        moved.setdefault(seat.name, set()).update(changed)

    monkeypatch.setattr(AdversarialModule, "_step", watched)
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


@every_model
def test_each_player_logs_its_terms_and_the_discriminators_opinion(name, tmp_path):
    model = build(name)
    shown = fit(model, data(model), tmp_path, max_epochs=1, log_every_n_steps=1).progress_bar_metrics
    assert sum(name.startswith("D(") for name in shown) == 2
    assert {f"{player}/loss" for player in model.players()} <= set(shown)


@every_model
def test_a_checkpoint_gives_the_same_model_back(name, tmp_path):
    model = build(name)
    played = fit(model, data(model), tmp_path, max_epochs=1)
    played.save_checkpoint(tmp_path / "kept.ckpt")
    saved = torch.load(tmp_path / "kept.ckpt", weights_only=True)
    assert plain(saved["hyper_parameters"]) == saved["hyper_parameters"]
    again = MODELS[name].load_from_checkpoint(tmp_path / "kept.ckpt")
    assert dict(again.hparams) == dict(model.hparams)
    for key, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


@every_model
def test_it_can_be_asked_for_pictures(name):
    model = build(name).eval()
    if isinstance(model, Sampler):
        pictures = model.sample(5, generator=torch.Generator().manual_seed(3))
        assert pictures.shape == (5, *model.hparams["shape"])
        assert torch.equal(pictures, model.sample(5, generator=torch.Generator().manual_seed(3)))
        assert not torch.equal(pictures, model.sample(5, generator=torch.Generator().manual_seed(4)))
    else:
        assert isinstance(model, Translator)
        pictures = model.translate(torch.zeros(2, model.hparams["inputs"], 16, 16))
        assert pictures.shape == (2, model.hparams["outputs"], 16, 16)
    assert pictures.dtype == torch.float32
    assert not pictures.requires_grad
    assert pictures.abs().max() <= 1


@every_model
def test_validating_returns_a_record_and_does_not_change_the_training(name, tmp_path):
    alone, watched = build(name), build(name)
    kept = []
    wrapped = watched.validation_step
    watched.validation_step = lambda *args: kept.append(wrapped(*args)) or kept[-1]
    torch.manual_seed(7)
    fit(alone, data(alone), tmp_path, max_epochs=2)
    torch.manual_seed(7)
    from toys import trainer

    trainer(tmp_path, max_epochs=2).fit(watched, data(watched), data(watched, 2))
    assert len(kept) == 2
    for record in kept:
        assert isinstance(record, Generated | Translated)
        assert len({len(images) for images in record}) == 1
        assert all(images.abs().max() <= 1 and images.ndim == 4 for images in record)
    for key, value in alone.state_dict().items():
        assert torch.equal(value, watched.state_dict()[key]), key


@every_model
def test_data_of_another_shape_is_one_clear_line(name, tmp_path):
    model = build(name)
    wrong = loader(torch.zeros(4, 2, 16, 16), torch.zeros(4, 5, 16, 16), batch_size=2, kind=Labelled)
    with pytest.raises(InputError, match=r"model\.(shape|inputs|outputs)") as caught:
        fit(model, wrong, tmp_path, max_epochs=1)
    assert "\n" not in str(caught.value)


def test_labels_that_do_not_match_the_classes_are_one_clear_line(tmp_path):
    model = build("CGAN")
    x, y = torch.zeros(4, 1, 8, 8), torch.tensor([0, 1, 2, 3])
    with pytest.raises(InputError, match=r"label 3, and model\.classes is 3"):
        fit(model, loader(x, y, batch_size=4), tmp_path, max_epochs=1)
    with pytest.raises(InputError, match="no labels"):
        fit(model, loader(x, batch_size=4), tmp_path, max_epochs=1)


@every_model
def test_a_batch_of_bfloat16_trains(name, tmp_path):
    model = build(name)
    played = fit(model, data(model), tmp_path, max_epochs=1, precision="bf16-mixed", log_every_n_steps=1)
    assert all(torch.isfinite(p).all() and p.dtype == torch.float32 for p in model.parameters())
    assert all(torch.isfinite(value) for value in played.callback_metrics.values())


@every_model
def test_every_argument_is_documented_and_every_model_has_a_page_and_a_config(name):
    cls = MODELS[name]
    # a class without an __init__ of its own has its parent's arguments
    doc = inspect.getdoc(next(parent for parent in cls.__mro__ if "__init__" in vars(parent)))
    for argument in inspect.signature(cls).parameters:
        assert f"{argument}:" in doc, f"{name}'s docstring does not explain {argument}"
    home = Path(inspect.getfile(cls)).stem
    assert (CHECKOUT / "docs" / "models" / f"{home}.md").is_file()
    family = {other for other, cls in MODELS.items() if Path(inspect.getfile(cls)).stem == home}
    texts = [path.read_text() for path in (CHECKOUT / "configs").glob("*.yaml")]
    assert any(f"class_path: {member}\n" in text for member in family for text in texts)
    assert "arXiv" in inspect.getmodule(cls).__doc__
