"""A checkpoint names classes, and nothing that it names is imported unless it is ganzoo's, installed, or the user's word."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support.interrupted_runs import environment
from support.zoo import MODELS, SMALL

from ganzoo.cli import main
from ganzoo.cli.trained import load
from ganzoo.errors import InputError
from ganzoo.utils.trust import check_trusted, look_here_last, plugins

EVIL = "from pathlib import Path\nPath({!r}).touch()\nfrom ganzoo.models import GAN\nfrom ganzoo.losses import Minimax\n"
EVIL += "from torch.optim import SGD\nfrom ganzoo.data import Digits\n\n\nclass MyGAN(GAN):\n    pass\n"


@pytest.fixture
def archive(tmp_path, monkeypatch) -> Path:
    """A folder with a module beside whatever else lies there, and the current one: ``ran`` says whether it was imported."""
    (tmp_path / "evil.py").write_text(EVIL.format(str(tmp_path / "ran")))
    (tmp_path / "folder").mkdir()
    shutil.copy(tmp_path / "evil.py", tmp_path / "folder" / "deep.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] in ("evil", "folder")]:
        del sys.modules[name]


def checkpoint(path: Path, **hyper: Any) -> Path:
    model = MODELS["GAN"](**SMALL["GAN"])
    by_command = {"_instantiator": "lightning.pytorch.cli.instantiate_module"} if "_class_path" in hyper else {}
    plain = {**SMALL["GAN"], **by_command, **hyper}
    version = {"pytorch-lightning_version": "2.6.6", "epoch": 0, "global_step": 0}
    torch.save({**version, "state_dict": model.state_dict(), "hyper_parameters": plain}, path)
    return path


RECIPE = {"class_path": "evil.Minimax", "init_args": {}}
ATTACKS = {
    "model": {"_class_path": "evil.MyGAN"},
    "loss": {"loss": RECIPE},
    "loss as text": {"loss": "evil.Minimax"},
    "loss as YAML": {"loss": "{class_path: evil.Minimax}"},
    "loss in a list": {"loss": [RECIPE]},
    "loss in a loss": {"loss": {"class_path": "ganzoo.losses.LeastSquares", "init_args": {"real_target": RECIPE}}},
    "optimizer": {"optimizers": {"generator": {"class_path": "evil.SGD", "init_args": {"lr": 0.1}}}},
    "schedule": {"schedules": {"generator": [{"class_path": "evil.LinearDecay"}]}},
    "nested folder": {"loss": {"class_path": "folder.deep.Minimax"}},
    "unknown argument": {"whatever": {"class_path": "evil.Minimax"}},
    "Python's own module": {"loss": {"class_path": "os.system", "init_args": {"command": "touch ran"}}},
    "not imported yet": {"loss": {"class_path": "this.Minimax"}},
    "deep": {"loss": eval("{'init_args':" * 150 + "1" + "}" * 150)},
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_checkpoint_names_is_not_imported(attack, archive):
    path = checkpoint(archive / "last.ckpt", **{"_class_path": "ganzoo.models.gan.GAN", **ATTACKS[attack]})
    with pytest.raises(InputError, match=r"was not imported|nested too deep"):
        load(path)
    with pytest.raises(InputError, match=r"was not imported|nested too deep"):
        MODELS["GAN"].load_from_checkpoint(path)
    assert main(["evaluate", str(path), "--data", "Digits", "--n", "4"]) == 2
    assert not (archive / "ran").exists()
    assert "this" not in sys.modules


def test_fitting_on_imports_nothing_for_the_message(archive, capsys):
    path = checkpoint(archive / "last.ckpt", _class_path="evil.GAN")
    assert main(["fit", "--config", "gan_digits", "--ckpt_path", str(path), "--trainer.max_epochs", "1"]) == 2
    assert capsys.readouterr().err.count("\n") <= 3
    assert not (archive / "ran").exists()


def test_the_config_beside_a_checkpoint_is_no_word_of_the_users(archive, capsys):
    run = archive / "version_0"
    (run / "checkpoints").mkdir(parents=True)
    path = checkpoint(run / "checkpoints" / "last.ckpt", _class_path="ganzoo.models.gan.GAN")
    (run / "config.yaml").write_text("data: {class_path: evil.Digits}\nmodel: {class_path: evil.MyGAN}\n")
    assert main(["evaluate", str(path)]) == 2
    assert f"give it yourself: --config {run / 'config.yaml'}" in capsys.readouterr().err
    bare = torch.load(path, weights_only=True)
    bare["hyper_parameters"] = {}
    torch.save(bare, path)
    with pytest.raises(InputError, match=r"names 'evil.MyGAN'.*--config"):
        load(path)
    assert not (archive / "ran").exists()


def test_what_the_user_names_is_imported(archive):
    loss = {"class_path": "evil.Minimax", "init_args": {}}
    path = checkpoint(archive / "last.ckpt", _class_path="evil.MyGAN", loss=loss)
    with pytest.raises(InputError, match=r"give --model evil\.MyGAN, or the run's config: --config"):
        load(path)
    assert type(load(path, model="evil.MyGAN").module).__name__ == "MyGAN"
    assert (archive / "ran").exists()


def test_the_config_that_the_user_gives_is_his_word(archive):
    path = checkpoint(archive / "last.ckpt", _class_path="folder.deep.MyGAN", loss=RECIPE)
    recipes = "{class_path: folder.deep.MyGAN, init_args: {loss: {class_path: evil.Minimax}}}"
    Path("mine.yaml").write_text(f"model: {recipes}\n")
    assert type(load(path, config="mine.yaml").module).__name__ == "MyGAN"


def test_a_module_that_is_imported_already_is_known(archive):
    path = checkpoint(archive / "last.ckpt", loss=RECIPE)
    import evil

    assert type(MODELS["GAN"].load_from_checkpoint(path).loss) is evil.Minimax


@pytest.mark.parametrize("text", ["data/photos.v2", "runs.pt", "a.b", "weights.pth", "1.5", "x: y.z", "", "."])
def test_other_texts_are_left_alone(text, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "runs").mkdir()
    check_trusted({"root": text, text: [text]}, "a file", "")


def test_what_only_looks_installed_is_no_plugin(archive):
    info = archive / "evil-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ganzoo.plugins]\nevil = evil:MyGAN\n")
    assert "evil" not in {each.name for each in plugins()}


def test_the_current_folder_comes_last(archive, monkeypatch):
    monkeypatch.setattr(sys, "path", ["", str(archive), "elsewhere"])
    look_here_last()
    assert sys.path == ["elsewhere", str(archive)]


@pytest.mark.slow
def test_modules_in_the_folder_of_a_checkpoint_are_not_reached_by_the_command(archive):
    """Neither in place of installed packages nor of those that are not installed, nor as a plug-in."""
    path = checkpoint(archive / "last.ckpt", _class_path="evil.MyGAN")
    for name in ("PIL", "yaml", "rich", "litlogger", "tensorboard", "sitecustomize_"):
        shutil.copy("evil.py", f"{name}.py")
    test_what_only_looks_installed_is_no_plugin(archive)
    done = subprocess.run(
        [sys.executable, "-m", "ganzoo", "evaluate", str(path)], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 2, done.stderr
    assert "was not imported" in done.stderr
    assert not (archive / "ran").exists()
