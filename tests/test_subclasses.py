"""Subclasses with a constructor of their own: built, trained and loaded with what the constructor was called with."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support.training import fit
from support.zoo import MODELS, SMALL, build, data

from ganzoo.adversarial import AdversarialModule
from ganzoo.cli import main
from ganzoo.data import Digits
from ganzoo.errors import InputError
from ganzoo.losses import LeastSquares
from ganzoo.models import CGAN, DCGAN, GAN, SimultaneousGAN
from ganzoo.utils.ranges import Size

CHANGED = ("width", "hidden", "latent", "classes")  # the first that a model has is changed
SOURCE = """
import lightning.pytorch as L
import ganzoo.models as zoo
from support.zoo import build, data

class Fixed(zoo.{name}):
    def __init__(self):
        super().__init__(**{small})

class Changed(zoo.{name}):
    def __init__(self, {argument}: int = 0, **rest):
        super().__init__({argument}={argument} // 2, **rest)

class Data(L.LightningDataModule):
    def train_dataloader(self):
        return data(build("{name}"))
"""


def argument_of(name: str) -> str:
    return next(argument for argument in CHANGED if argument in SMALL[name])


@pytest.fixture(params=MODELS)
def mine(request, tmp_path, monkeypatch):
    """A module with two subclasses of a model, and the model's name."""
    name = request.param
    monkeypatch.chdir(tmp_path)
    text = SOURCE.format(name=name, small=SMALL[name], argument=argument_of(name))
    Path(f"mine_{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield name, importlib.import_module(f"mine_{name}")
    del sys.modules[f"mine_{name}"]


def changed_arguments(name: str) -> dict[str, Any]:
    argument = argument_of(name)
    return {**SMALL[name], argument: 2 * SMALL[name][argument]}


def shapes(weights: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value.shape) for key, value in weights.items() if not key.endswith("_extra_state")}


def same_as(wanted: AdversarialModule, kind: type, path: str | Path, arguments: dict[str, Any]) -> None:
    """The checkpoint holds the subclass's own arguments, and gives it back with the networks that it was trained with."""
    saved = torch.load(path, weights_only=True)
    assert shapes(saved["state_dict"]) == shapes(wanted.state_dict())
    recorded = {key: value for key, value in saved.get("hyper_parameters", {}).items() if key[0] != "_"}
    again = kind.load_from_checkpoint(path)
    assert type(again) is kind
    assert {key: value for key, value in again.hparams.items() if key[0] != "_"} == recorded
    for key, value in saved["state_dict"].items():
        assert torch.equal(value, again.state_dict()[key]), key
    assert (not arguments and not recorded) or recorded.items() >= arguments.items()
    # and its class makes the same model of them, without a checkpoint
    assert shapes(kind(**recorded).state_dict()) == shapes(wanted.state_dict())


def test_by_python(mine):
    name, module = mine
    for kind, arguments in ((module.Fixed, {}), (module.Changed, changed_arguments(name))):
        model = kind(**arguments)
        assert shapes(model.state_dict()) == shapes(build(name).state_dict())
        fit(model, data(build(name)), Path(), max_epochs=1).save_checkpoint(f"{kind.__name__}.ckpt")
        same_as(build(name), kind, f"{kind.__name__}.ckpt", arguments)


def test_by_the_command(mine):
    name, module = mine
    quiet = ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    quiet += [f"--data=mine_{name}.Data", "--trainer.enable_model_summary=false"]
    for kind, arguments in ((module.Fixed, {}), (module.Changed, changed_arguments(name))):
        options = [f"--model.{key}={json.dumps(value)}" for key, value in arguments.items()]
        model = f"--model=mine_{name}.{kind.__name__}"
        assert main(["fit", model, *options, *quiet, f"--run_dir={kind.__name__}"]) == 0
        arguments = {k: list(v) if isinstance(v, tuple) else v for k, v in arguments.items()}
        saved = torch.load(f"{kind.__name__}/checkpoints/last.ckpt", weights_only=True)["hyper_parameters"]
        found = {k: list(v) if isinstance(v, tuple) else v for k, v in saved.items() if k in arguments}
        assert found == arguments
        same_as(build(name), kind, f"{kind.__name__}/checkpoints/last.ckpt", {})


class ByPlace(GAN):
    def __init__(self, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)


class Twice(CGAN):
    def __init__(self, side: Size = 4, **rest: Any) -> None:
        super().__init__(shape=(1, 2 * side, 2 * side), **rest)


class Thrice(Twice):
    def __init__(self, third: Size = 3, latent: Size = 2, **rest: Any) -> None:
        rest.setdefault("classes", 2)
        super().__init__(side=third, latent=3 * latent, **rest)


def test_what_a_chain_of_constructors_can_be_called_with_again():
    for model in (ByPlace((1, 8, 8), 5, latent=3), Twice(3, dropout=0.1), Thrice(2, 1, lr=0.3), Thrice(classes=4)):
        again = type(model)(**model.hparams)
        assert dict(again.hparams) == dict(model.hparams)
        assert shapes(again.state_dict()) == shapes(model.state_dict())
        assert (again.lr, again.latent) == (model.lr, model.latent)
    assert "shape" not in Twice().hparams
    assert {"side", "classes", "shape"}.isdisjoint(Thrice().hparams)
    assert (Thrice().hparams["third"], Thrice().hparams["latent"], Thrice().latent) == (3, 2, 6)


class Shown(GAN):
    """Writes two of its arguments down, one of which a subclass fixes."""

    def __init__(self, hidden: Size = 4, **rest: Any) -> None:
        super().__init__(hidden=hidden, **rest)
        self.save_hyperparameters("hidden", "latent")


def test_names_of_arguments_that_are_to_be_written_down():
    class Fixed(Shown):
        def __init__(self) -> None:
            super().__init__(hidden=8)

    assert dict(Shown(latent=2).hparams) == {"hidden": 4, "latent": 2}
    assert dict(Fixed().hparams) == {}


@pytest.mark.parametrize(("kind", "argument"), [(DCGAN, "hidden"), (DCGAN, "momentum"), (SimultaneousGAN, "k")])
def test_what_a_model_has_no_use_for_it_does_not_take(kind, argument, capsys):
    with pytest.raises(InputError, match=f"{kind.__name__} has no argument '{argument}'"):
        kind(**{argument: 1})
    assert main(["fit", f"--model={kind.__name__}", f"--model.{argument}=1", "--data=Digits"]) == 2
    assert f"no option '{argument}'" in capsys.readouterr().err
    assert argument not in kind(shape=(1, 8, 8)).hparams


def test_a_checkpoint_records_what_a_subclass_chose(tmp_path):
    """Also where its constructor does not take it, so that the hyperparameters, which build it again, cannot hold it."""

    class LSGAN(DCGAN):
        def __init__(self, **rest: Any) -> None:
            super().__init__(shape=(1, 8, 8), width=2, loss=LeastSquares(real_target=0.9), **rest)

    fit(LSGAN(latent=3), Digits(), tmp_path, max_steps=1).save_checkpoint(tmp_path / "a.ckpt")
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert {"loss", "width", "shape"}.isdisjoint(saved["hyper_parameters"])
    used = saved["ganzoo"]["arguments"]
    assert used["loss"]["class_path"] == "ganzoo.losses.LeastSquares"
    assert used["loss"]["init_args"]["real_target"] == 0.9
    assert used["noise"]["class_path"] == "ganzoo.noises.Normal"
    assert (used["width"], used["latent"], used["lr"], tuple(used["shape"])) == (2, 3, 2e-4, (1, 8, 8))
    assert saved["ganzoo"]["networks"]["D"] == "ganzoo.networks.dcgan.DCGANDiscriminator"
