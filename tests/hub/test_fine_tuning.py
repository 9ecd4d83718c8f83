"""A training begins at the weights of a trained model."""

from pathlib import Path

import pytest
import torch
from support.evaluate import saved
from support.small_models import played, small
from support.zoo import build

from ganzoo.errors import InputError
from ganzoo.hub import save
from ganzoo.hub.fine_tuning import begin_at
from ganzoo.models import GAN


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def source() -> GAN:
    """A trained GAN with averaged weights that differ from the others, saved as last.ckpt."""
    model = small(GAN, ema_half_life=8.0, ema_ramp=0.0)
    played(model, n=3).save_checkpoint("last.ckpt")
    return model


def equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("kind", ["checkpoint", "folder"])
def test_all_players_begin_at_the_weights_of_the_last_step(kind, source, capsys):
    torch.manual_seed(5)
    model = small(GAN, ema_half_life=8.0)
    begin_at(model, "last.ckpt" if kind == "checkpoint" else save("last.ckpt", "folder"))
    assert equal(model.G, source.G)
    assert equal(model.D, source.D)
    assert not equal(model.G, source.ema["G"])
    assert model.ema is None  # it starts anew
    assert "optimizers, schedules and counts start anew" in capsys.readouterr().err


def test_a_part_alone_begins_at_its_averaged_weights(source):
    torch.manual_seed(5)
    model = small(GAN)
    before = {name: tensor.clone() for name, tensor in model.D.state_dict().items()}
    begin_at(model, "last.ckpt", part="G")
    assert equal(model.G, source.ema["G"])
    assert all(torch.equal(model.D.state_dict()[name], tensor) for name, tensor in before.items())
    begin_at(model, "last.ckpt", part="D")
    assert equal(model.D, source.D)


def test_a_folder_of_generators_gives_its_generator(source):
    folder = save("last.ckpt", "small", generators_only=True)
    with pytest.raises(InputError, match=r"D\.layers.* is not there, and .*--init_partial true"):
        begin_at(small(GAN), folder)
    model = small(GAN)
    begin_at(model, folder, part="G")
    assert equal(model.G, source.ema["G"])
    model = small(GAN)
    begin_at(model, folder, partial=True)
    assert equal(model.G, source.ema["G"])


def test_what_does_not_fit_is_named_or_skipped(source, capsys):
    model = small(GAN, latent=7)
    with pytest.raises(InputError) as refused:
        begin_at(model, "last.ckpt")
    assert "G.hidden.0.weight is (8, 5), and (8, 7) in this GAN: give the same model options" in str(refused.value)
    assert "\n" not in str(refused.value)
    begin_at(model, "last.ckpt", partial=True)
    assert "skipped weights: G.hidden.0.weight\n" in capsys.readouterr().err
    assert equal(model.D, source.D)
    assert torch.equal(model.G.pixels.weight, source.G.pixels.weight)
    with pytest.raises(InputError, match="none of its weights fits"):
        begin_at(build("DANN"), "last.ckpt", partial=True)


def test_a_part_that_is_not_there_is_refused(source):
    with pytest.raises(InputError, match="--init_part g: GAN has no network of this name: did you mean 'G'"):
        begin_at(small(GAN), "last.ckpt", part="g")
    with pytest.raises(InputError, match="GAN has no network of this name: it has G, D"):
        begin_at(small(GAN), "last.ckpt", part="encoder")
    with pytest.raises(InputError, match=r"--init_part F: last\.ckpt has no network of this name"):
        begin_at(build("CycleGAN"), "last.ckpt", part="F")


def test_the_origin_is_in_the_checkpoint_and_stays_there(source, tmp_path):
    model = small(GAN)
    begin_at(model, "last.ckpt", part="G")
    trainer = played(model, n=1)
    trainer.save_checkpoint("tuned.ckpt")
    recorded = torch.load("tuned.ckpt", weights_only=True)["ganzoo"]["init_from"]
    assert (recorded["source"], recorded["part"], len(recorded["sha256"])) == ("last.ckpt", "G", 64)
    again = GAN.load_from_checkpoint("tuned.ckpt")
    assert again.init_from == recorded
    assert "init_from" not in torch.load("last.ckpt", weights_only=True)["ganzoo"]


def test_pretrained_features_do_not_replace_the_weights(monkeypatch):
    """A family that begins G_f at pretrained weights leaves those of the source alone."""
    path = saved(build("DANN"))
    torch.manual_seed(5)
    model = build("DANN")
    monkeypatch.setattr(type(model.family), "begin", lambda self, network: [p.data.zero_() for p in network.parameters()])
    begin_at(model, path)
    trained = {name: tensor.clone() for name, tensor in model.G_f.state_dict().items()}
    model.on_fit_start()
    assert all(torch.equal(model.G_f.state_dict()[name], tensor) for name, tensor in trained.items())
