"""A checkpoint knows its class: another's is refused, whichever way it is loaded."""

from pathlib import Path

import pytest
import torch
from support.training import fit, trainer

from ganzoo.cli import main
from ganzoo.data import Digits
from ganzoo.errors import InputError
from ganzoo.models import DCGAN, GAN, SimultaneousGAN
from ganzoo.training.hyperparameters import check_class

SMALL = {"shape": (1, 8, 8), "hidden": 4, "latent": 2}
QUIET = ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
MODEL = ["--model.shape=[1,8,8]", "--model.hidden=4", "--model.latent=2", "--data=Digits"]


class Mine(GAN):
    """The same networks as its parent."""


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Checkpoints of a class and of its subclass, whose weights fit each other."""
    monkeypatch.chdir(tmp_path)
    for kind in (GAN, Mine, SimultaneousGAN):
        fit(kind(**SMALL), Digits(), tmp_path, max_epochs=1).save_checkpoint(f"{kind.__name__}.ckpt")


@pytest.mark.parametrize(("of", "into"), [(Mine, GAN), (GAN, Mine), (SimultaneousGAN, GAN), (GAN, SimultaneousGAN)])
def test_in_python(saved, of, into, tmp_path):
    path, line = f"{of.__name__}.ckpt", rf"is of .*\.{of.__name__}, and the model is {into.__name__}: give --model"
    with pytest.raises(InputError, match=line):
        into.load_from_checkpoint(path)
    for stage in ("fit", "validate", "test", "predict"):
        with pytest.raises(InputError, match=line) as caught:
            getattr(trainer(tmp_path, max_epochs=2), stage)(into(**SMALL), Digits(), ckpt_path=path, weights_only=True)
        assert "\n" not in str(caught.value)
    assert type(of.load_from_checkpoint(path)) is of


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
def test_by_the_command(saved, stage, capsys):
    for given, path in (("GAN", "Mine.ckpt"), ("training.test_checkpoint_class.Mine", "GAN.ckpt")):
        assert main([stage, f"--model={given}", *MODEL, *QUIET, f"--ckpt_path={path}"]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith(f"ganzoo: error: {path} is of ")
    assert main([stage, "--model=GAN", *MODEL, *QUIET, "--ckpt_path=GAN.ckpt"]) == 0


def test_the_newest_run_of_a_config_is_of_another_class(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    few = [*QUIET, "--trainer.limit_train_batches=1"]
    assert main(["fit", "--config", "gan_digits", "--model", "training.test_checkpoint_class.Mine", *few]) == 0
    assert main(["fit", "--config", "gan_digits", "--ckpt_path", "last", *few]) == 2
    assert "is of training.test_checkpoint_class.Mine, and the model is GAN" in capsys.readouterr().err


def test_a_checkpoint_that_does_not_say_is_taken_and_a_moved_class_is_said(saved, capsys):
    found = torch.load("Mine.ckpt", weights_only=True)
    check_class({**found, "ganzoo": {**found["ganzoo"], "class": "elsewhere.Mine"}}, Mine)
    assert "taken for the same class" in capsys.readouterr().err
    for name in ("ganzoo.models.GAN", "ganzoo.models.gan.GAN", "ganzoo.elsewhere.GAN", "__main__.GAN"):
        check_class({"ganzoo": {"class": name}}, GAN)
    assert not capsys.readouterr().err
    with pytest.raises(InputError, match=r"is of my_gan\.GAN, and the model is GAN"):
        check_class({"ganzoo": {"class": "my_gan.GAN"}}, GAN)
    del found["ganzoo"]["class"]
    torch.save(found, "old.ckpt")
    assert type(GAN.load_from_checkpoint("old.ckpt")) is GAN


def test_arguments_of_an_older_ganzoo_are_dropped(tmp_path):
    """DCGAN took hidden and momentum, and had no use for them."""
    model = DCGAN(shape=(1, 8, 8), width=2, latent=3)
    path = tmp_path / "old.ckpt"
    fit(model, Digits(), tmp_path, max_epochs=1).save_checkpoint(path)
    found = torch.load(path, weights_only=True)
    del found["ganzoo"]["class"]
    found["hyper_parameters"].update(hidden=1200, momentum=0.5)
    torch.save(found, path)
    again = DCGAN.load_from_checkpoint(path)
    assert (again.latent, again.width) == (3, 2)
    for key, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
    assert Path(path).is_file()
