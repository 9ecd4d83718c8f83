"""A trained model is loaded with its class, its averaged weights and in evaluation mode."""

import pickle
from pathlib import Path

import pytest
import torch
from support.evaluate import saved
from support.small_models import played, small

import ganzoo
from ganzoo.errors import InputError
from ganzoo.models import GAN, Pix2Pix


@pytest.fixture
def averaged(tmp_path, monkeypatch) -> tuple[Path, GAN]:
    """A checkpoint with averaged weights, in the folder of its run, and its model."""
    monkeypatch.chdir(tmp_path)
    model = small(GAN, ema_half_life=8.0, ema_ramp=0.0)
    trainer = played(model, n=3)
    path = tmp_path / "version_0" / "checkpoints" / "last.ckpt"
    trainer.save_checkpoint(path)
    return path, model


def seeded(model, n: int = 3) -> torch.Tensor:
    return model.sample(n, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("folder", [0, 1, 2])
def test_a_run_or_its_checkpoint_gives_the_averaged_weights(folder, averaged, capsys):
    path, model = averaged
    loaded = ganzoo.load([path, path.parent, path.parent.parent][folder])
    assert type(loaded) is GAN
    assert not loaded.training
    assert torch.equal(seeded(loaded), seeded(model.eval()))
    assert ("loads last.ckpt, its last checkpoint" in capsys.readouterr().err) == (folder > 0)


def test_raw_gives_the_weights_of_the_last_step(averaged):
    path, model = averaged
    raw = ganzoo.load(path, raw=True)
    assert not torch.equal(seeded(raw), seeded(model.eval()))
    model.ema = None
    assert torch.equal(seeded(raw), seeded(model))


def test_dropout_stays_on_where_the_paper_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = ganzoo.load(saved(Pix2Pix(depth=3, width=4, patch=16)))
    x = torch.rand(1, 3, 16, 16) * 2 - 1
    assert not torch.equal(loaded.translate(x), loaded.translate(x))


def test_a_class_that_only_the_record_names_is_found(averaged):
    path, _ = averaged
    found = torch.load(path, weights_only=True)
    assert "_class_path" not in found["hyper_parameters"]
    del found["ganzoo"]["class"]
    torch.save(found, path)
    with pytest.raises(InputError, match="does not say which class it is of"):
        ganzoo.load(path)
    assert type(ganzoo.load(path, model="GAN")) is GAN


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "GANN"}, "there is no class 'GANN': did you mean 'GAN'?"),
        ({"model": "Pix2Pix"}, "is of ganzoo.models.gan.GAN, and the model is Pix2Pix"),
        ({"device": "cudda"}, "device 'cudda' cannot be used"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options, said, averaged):
    with pytest.raises(InputError) as refused:
        ganzoo.load(averaged[0], **options)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_pickle_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    path = tmp_path / "model.ckpt"
    path.write_bytes(pickle.dumps({"state_dict": {}, "evil": Evil()}))
    with pytest.raises(InputError, match=r"model.ckpt .*(could run code|is no checkpoint)"):
        ganzoo.load(path)
    torch.save({"state_dict": {}, "evil": Evil()}, path)
    with pytest.raises(InputError, match=r"model.ckpt .*(could run code|is no checkpoint)"):
        ganzoo.load(path)
    assert not (tmp_path / "ran").exists()


def test_a_model_of_lightnings_alone_needs_its_class(tmp_path, monkeypatch):
    from support.evaluate import Brighter

    monkeypatch.chdir(tmp_path)
    path = saved(Brighter())
    with pytest.raises(InputError, match="does not say which class it is of"):
        ganzoo.load(path)
    assert ganzoo.load(path, model="Brighter").translate(torch.zeros(1, 1, 2, 2)).mean() > 0
