"""The trained weights that come with ganzoo: their sizes, and how they are found by name."""

import shutil
from pathlib import Path

import pytest
import torch
from support.evaluate import SMALL
from support.small_models import played, small

import ganzoo
from ganzoo.cli import main
from ganzoo.evaluation.protocol import Result
from ganzoo.hub import describe, save, verify
from ganzoo.hub.folder import FILES
from ganzoo.hub.sources import find_model, is_model, weights_folder, weights_names
from ganzoo.models import GAN

LARGEST = 5_100_000
LARGEST_TOGETHER = 20_000_000


def test_the_weights_are_small_enough_for_the_wheel():
    sizes = {name: sum(p.stat().st_size for p in (weights_folder() / name).iterdir()) for name in weights_names()}
    assert all(size <= LARGEST for size in sizes.values()), sizes
    assert sum(sizes.values()) <= LARGEST_TOGETHER, sizes


@pytest.mark.parametrize("name", weights_names())
def test_each_computes_what_it_did_and_says_what_it_is(name):
    folder = weights_folder() / name
    assert {path.name for path in folder.iterdir()} <= set(FILES)
    found = verify(name)
    assert found.difference <= found.tolerance < 0.1
    about = describe(name)
    assert about["name"] == name
    assert about["tasks"]
    assert about["license"]
    assert about["training"]["data"]
    assert about["metrics"]


@pytest.fixture
def weights(tmp_path, monkeypatch, evaluate_folder) -> Path:
    """A folder of weights with a small model in it, ``gan_small``, in place of ganzoo's own."""
    run = Path("runs/gan_digits/version_0")
    played(small(GAN, ema_half_life=8.0), n=3).save_checkpoint(run / "checkpoints" / "last.ckpt")
    (run / "config.yaml").write_text("data: {class_path: ganzoo.data.Digits, init_args: {batch_size: 8}}\n")
    save(run, tmp_path / "weights" / "gan_small", generators_only=True, half=True, license="apache-2.0")
    shutil.rmtree("runs")
    monkeypatch.setattr("ganzoo.hub.sources.weights_folder", lambda: tmp_path / "weights")
    return tmp_path / "weights"


def test_weights_are_loaded_by_their_name(weights, capsys):
    model = ganzoo.load("gan_small")
    assert model.sample(2, generator=torch.Generator().manual_seed(0)).shape == (2, 1, 8, 8)
    assert is_model("gan_small")
    assert main(["verify", "gan_small"]) == 0
    capsys.readouterr()
    assert main(["list", "--weights"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "class", "data", "size", "metric", "licence"]
    assert row.split()[:3] == ["gan_small", "GAN", "Digits"]
    assert row.split()[-1] == "apache-2.0"
    assert main(["describe", "gan_smal"]) == 2
    assert "did you mean 'gan_small'?" in capsys.readouterr().err


def test_weights_are_evaluated_by_their_name_with_the_data_of_their_training(weights):
    assert main(["evaluate", "gan_small", "--extractor", "tiny", *SMALL, "--metrics", "distance", "--n", "60"]) == 0
    result = Result.load(Path("gan_small_tiny.json"))
    assert result.about["data"]["class"] == "ganzoo.data.Digits"
    assert (result.protocol["model_weights"], result.about["step"]) == ("averaged", 3)


def test_a_model_here_wins_over_a_name_and_a_folder_of_images_does_not(weights):
    Path("gan_small").mkdir()
    assert find_model("gan_small").path == weights / "gan_small"
    shutil.copytree(weights / "gan_small", "gan_small", dirs_exist_ok=True)
    assert find_model("gan_small").path == Path("gan_small")
