"""Every config of the zoo through the command line, on data of the right form and two batches."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from ganzoo import catalogue
from ganzoo.cli import main

CONFIGS = sorted((Path(__file__).resolve().parent.parent / "configs").glob("*.yaml"))
NAMES = [path.stem for path in CONFIGS]
# two steps of the paper's sizes would take minutes: one step, and nothing else is changed
SMALLER: dict[str, list[str]] = {
    "pix2pix_maps_paper": ["--trainer.max_steps", "1"],
    "pix2pix_folder": ["--trainer.max_steps", "1"],
    "cyclegan_horse2zebra": ["--trainer.max_steps", "1"],
    "lapgan_cifar10": ["--trainer.max_steps", "1"],
}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A folder ``data`` with everything that a config asks for: random pictures, the real rasters of the world."""
    root = tmp_path_factory.mktemp("configs") / "data"
    rng = np.random.default_rng(0)
    for name in ("MNIST", "FashionMNIST"):
        raw = root / name / "raw"
        raw.mkdir(parents=True)
        for split, n in (("train", 600), ("t10k", 100)):
            images = rng.integers(0, 256, (n, 28, 28), np.uint8)
            (raw / f"{split}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, n, 28, 28) + images.tobytes())
            labels = (np.arange(n) % 10).astype(np.uint8)
            (raw / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, n) + labels.tobytes())
    for folder in ("trainA", "trainB", "testA", "testB"):
        (root / "horse2zebra" / folder).mkdir(parents=True)
        for i in range(2):
            pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(root / "horse2zebra" / folder / f"{i}.jpg")
    for folder in ("maps", "pairs"):
        for split in ("train", "val"):
            (root / folder / split).mkdir(parents=True)
            for i in range(2):
                pixels = rng.integers(0, 256, (64, 128, 3), np.uint8)
                Image.fromarray(pixels).save(root / folder / split / f"{i}.png")
    return root.parent


def test_there_are_configs_and_the_command_lists_them_all(capsys):
    assert len(CONFIGS) >= 8
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    for name in NAMES:
        assert f"\n{name} " in listed
    assert len(listed.strip().splitlines()) == len(CONFIGS) + 1


@pytest.mark.parametrize("path", CONFIGS, ids=NAMES)
def test_a_config_says_what_it_is(path):
    entry = next(entry for entry in catalogue.entries() if entry.name == path.stem)
    assert entry.summary
    assert any(character.isdigit() for character in entry.paper)
    assert f"# Command: ganzoo fit --config configs/{path.name}" in path.read_text()
    content = yaml.safe_load(path.read_text())
    assert path.stem.split("_")[0] in ("gan", "cgan", "pix2pix", "cyclegan", "lapgan", "dann")
    assert {"model", "data", "trainer"} == set(content)
    assert "base" not in content  # whole, no inheritance


@pytest.mark.parametrize("name", NAMES)
def test_a_config_trains_draws_and_saves(name, world, monkeypatch, capsys):
    monkeypatch.chdir(world)
    limits = ["--trainer.max_steps", "2", "--trainer.limit_val_batches", "1", "--trainer.accelerator", "cpu"]
    limits += ["--data.num_workers", "0"]
    assert main(["fit", "--config", name, *limits, *SMALLER.get(name, [])]) == 0, capsys.readouterr().err
    run = world / "runs" / name / "version_0"
    assert (run / "config.yaml").is_file()
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == (1 if name in SMALLER else 2)
    pictures = sorted((run / "pictures").glob("*.png"))
    assert len(pictures) >= 2
    assert np.asarray(Image.open(pictures[-1])).std() > 0


def test_the_one_flag_for_the_papers_maps(world, monkeypatch, capsys):
    monkeypatch.chdir(world)
    args = ["fit", "--config", "pix2pix_maps", "--data.edition", "paper", "--data.batch_size", "2"]
    args += ["--trainer.max_steps", "1", "--trainer.limit_val_batches", "1", "--trainer.accelerator", "cpu"]
    assert main(args) == 0, capsys.readouterr().err


def test_both_directions_of_the_maps(world, monkeypatch):
    from ganzoo.data import Maps

    monkeypatch.chdir(world)
    batches = []
    for direction in ("AtoB", "BtoA"):
        data = Maps(direction=direction, size=64, batch_size=2)
        data.prepare_data()
        data.setup("test")
        batches.append(next(iter(data.test_dataloader())))
    assert torch.equal(batches[0].x, batches[1].y)
    assert torch.equal(batches[0].y, batches[1].x)


def test_a_size_that_the_unet_cannot_halve_is_one_line(world, monkeypatch, capsys):
    monkeypatch.chdir(world)
    args = ["fit", "--config", "pix2pix_maps", "--data.size", "100", "--trainer.max_steps", "1"]
    assert main(args) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("ganzoo: error: ")
    assert "multiples of 128, not 100x100" in error[-1]


def test_a_class_count_that_does_not_match_is_one_line(world, monkeypatch, capsys):
    monkeypatch.chdir(world)
    assert main(["fit", "--config", "cgan_mnist", "--model.classes", "5", "--trainer.max_steps", "1"]) == 2
    assert "model.classes is 5" in capsys.readouterr().err.strip().splitlines()[-1]
