"""A model is described without torch, from what its files say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.evaluate import saved
from support.small_models import played, small
from support.zoo import MODELS, build

import ganzoo
from ganzoo.cli import main
from ganzoo.evaluation.protocol import MetricValue, Result
from ganzoo.hub import describe, save
from ganzoo.hub.describing import TASKS, tasks_of
from ganzoo.hub.facts import sha256
from ganzoo.models import GAN


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def checkpoint() -> Path:
    """A checkpoint with averaged weights and a result of an evaluation beside it."""
    path = Path("runs/gan_digits/version_0/checkpoints/last.ckpt").absolute()
    played(small(GAN, ema_half_life=8.0), n=3).save_checkpoint(path)
    (path.parent.parent / "config.yaml").write_text(
        "data: {class_path: ganzoo.data.Digits, init_args: {batch_size: 2, root: /home/somebody}}\n"
    )
    about = {"sha256": sha256(path), "data": {"class": "ganzoo.data.Digits"}}
    protocol = {"n_fake": 50, "n_real": 60, "extractor": "tiny", "split": "test"}
    Result(protocol, about, {"fd_tiny": MetricValue(12.5, 0.25, "subsets")}).save(path.with_name("last_tiny.json"))
    return path


def test_a_checkpoint_and_its_folder_say_the_same(checkpoint):
    folder = save(checkpoint, "my_gan", license="cc-by-4.0")
    of_run, of_folder = describe("runs/gan_digits/version_0"), describe(folder)
    assert of_run["model"]["class_path"] == of_folder["model"]["class_path"] == "ganzoo.models.gan.GAN"
    assert of_run["tasks"] == of_folder["tasks"] == ["generate"]
    assert of_run["input"] == of_folder["input"] == {"noise": 5}
    assert of_run["output"] == of_folder["output"] == {"shape": [1, 8, 8]}
    assert of_run["classes"] is of_folder["classes"] is None
    assert of_run["metrics"] == of_folder["metrics"]
    assert of_run["training"] == of_folder["training"]
    assert of_run["training"]["data"] == {"class_path": "ganzoo.data.Digits", "init_args": {"batch_size": 2}}
    assert (of_run["training"]["step"], of_run["training"]["config"]) == (3, "gan_digits")
    model = ganzoo.load(checkpoint)
    parameters = sum(p.numel() for part in (model.G, model.D) for p in part.parameters())
    assert of_run["weights"]["parameters"] == parameters
    assert of_run["weights"]["kinds"] == of_folder["weights"]["kinds"] == ["averaged", "raw"]
    assert (of_run["license"], of_folder["license"]) == (None, "cc-by-4.0")


@pytest.mark.parametrize("name", MODELS)
def test_what_a_class_can_be_asked_is_what_it_implements(name):
    from ganzoo import interfaces

    cls = MODELS[name]
    known = [task for task, interface in TASKS.items() if issubclass(cls, getattr(interfaces, interface))]
    assert tasks_of(f"{cls.__module__}.{cls.__qualname__}") == known != []
    assert tasks_of(f"somebody.{name}") is None
    assert tasks_of("ganzoo.models.gan.Nothing") is None


@pytest.mark.parametrize(
    ("name", "given", "made", "classes"),
    [
        ("Pix2Pix", {"channels": 3}, {"channels": 1, "size": "as the input"}, None),
        ("CycleGAN", {"channels": 3}, {"channels": 1, "size": "as the input"}, None),
        ("CGAN", {"noise": 4}, {"shape": [1, 8, 8]}, 3),
        ("DANN", {"shape": [3, 16, 16]}, None, 3),
    ],
)
def test_input_and_output_of_each_kind(name, given, made, classes):
    about = describe(saved(build(name)))
    assert (about["input"], about["output"], about["classes"]) == (given, made, classes)


def test_the_command_answers_without_torch(checkpoint):
    folder = save(checkpoint, "my_gan")
    code = "import sys; from ganzoo.cli import main\n"
    code += f"for source in ({str(checkpoint)!r}, 'runs/gan_digits/version_0', {str(folder)!r}):\n"
    code += "    assert main(['describe', source]) == 0\n"
    code += "assert main(['list', '--weights']) == 0\n"
    code += "for command in ('describe', 'save', 'verify', 'push', 'pull'):\n"
    code += "    try: main([command, '--help'])\n"
    code += "    except SystemExit as left: assert left.code == 0\n"
    code += "assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split(None, 1) for line in done.stdout.splitlines()]
    assert ["class", "ganzoo.models.gan.GAN"] in lines
    assert ["fd_tiny", "12.5 +- 0.25  (50 generated, 60 real images, tiny, test)"] in lines
    assert ["steps", "3"] in lines
    assert "--generators_only" in done.stdout


def test_json_is_what_the_function_gives(checkpoint, capsys):
    assert main(["describe", str(checkpoint), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(describe(checkpoint)))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["describe", "gan_mnits"], "did you mean 'gan_mnist'?"),
        (["describe", "x.ckpt"], "x.ckpt is damaged, or is no checkpoint"),
        (["describe"], "source"),
        (["describe", "x.ckpt", "--jsn"], "jsn"),
        (["save", "x.ckpt", "out"], "x.ckpt is damaged, or is no checkpoint"),
        (["save", "nowhere", "out"], "nowhere: there is no such checkpoint or folder"),
        (["verify", "x.ckpt"], "has no test output: save it first"),
        (["list", "--wheights"], "takes no arguments but --weights"),
    ],
)
def test_bad_input_is_one_line(args, said, capsys):
    Path("x.ckpt").write_bytes(b"nothing")
    assert main(args) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert not Path("out").exists()


def test_save_and_verify_by_command(checkpoint, capsys):
    assert main(["save", "runs/gan_digits/version_0", "my_gan", "--half", "true", "--license", "mit"]) == 0
    assert "written to my_gan (" in capsys.readouterr().out
    assert main(["verify", "my_gan"]) == 0
    assert "my_gan computes what it did when it was saved: off by 0, " in capsys.readouterr().out
    assert describe("my_gan")["weights"]["precision"] == "float16"
    assert torch.equal(
        *(ganzoo.load("my_gan").sample(2, generator=torch.Generator().manual_seed(0)) for _ in range(2)),
    )
