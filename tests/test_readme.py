"""The README keeps its word: two set-up commands, and code that runs as it stands."""

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from ganzoo import catalogue
from ganzoo.cli import main

CHECKOUT = Path(__file__).resolve().parent.parent
TEXT = (CHECKOUT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.S)


def test_exactly_two_set_up_commands():
    setups = [line for block in blocks("sh") for line in block.splitlines() if "pip install" in line]
    assert len(setups) == 2
    assert setups[0].endswith("ganzoo fit --config configs/pix2pix_maps.yaml")
    assert setups[1].endswith("-m pytest")


def test_the_variant_of_fifteen_lines_runs(tmp_path, monkeypatch, capsys):
    (code,) = [block for block in blocks("python") if block.startswith("# my_gan.py")]
    lines = [line for line in code.splitlines()[1:] if line.strip()]
    assert len(lines) <= 15
    (tmp_path / "my_gan.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    (command,) = [line for block in blocks("sh") for line in block.splitlines() if "my_gan.MyGAN" in line]
    assert main([*shlex.split(command)[1:], "--trainer.max_steps", "2"]) == 0, capsys.readouterr().err
    assert (tmp_path / "runs/gan_digits/version_0/checkpoints/last.ckpt").is_file()


def test_every_config_and_file_that_it_names_is_there():
    for name in re.findall(r"--config ([\w./]+)", TEXT):
        assert (CHECKOUT / name).is_file() or name in catalogue.names(), name
    for path in [
        *re.findall(r"\]\((?!http)([^)]+)\)", TEXT),
        *re.findall(r"`((?:ganzoo|docs|configs|examples|tests)/[\w./]*)`", TEXT),
    ]:
        assert (CHECKOUT / path).exists(), path


MODELS = ["GAN", "SimultaneousGAN", "ConvolutionalGAN", "DCGAN", "CGAN", "Pix2Pix", "CycleGAN", "LAPGAN", "DANN"]


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_named(model):
    assert f"`{model}`" in TEXT


def test_the_training_step_that_it_shows_is_the_one_in_the_file():
    source = (CHECKOUT / "ganzoo/models/pix2pix.py").read_text()
    (shown,) = [block for block in blocks("python") if block.startswith("fake = self.G(x)")]
    for line in shown.strip().splitlines():
        assert line.strip() in source


def test_the_picture_is_one():
    with Image.open(CHECKOUT / "docs/pictures/pix2pix_maps.png") as picture:
        assert picture.width > 300
        assert (CHECKOUT / "docs/pictures/pix2pix_maps.png").stat().st_size < 1_000_000
