"""Every config of the zoo through the command line, on data of the right form and two batches."""

import hashlib
import json
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
import yaml
from PIL import Image

import ganzoo.models as zoo
from ganzoo.cli import main
from ganzoo.utils.configs import config_entries

CONFIGS = sorted((Path(__file__).resolve().parent.parent / "configs").glob("*.yaml"))
NAMES = [path.stem for path in CONFIGS]
# two steps of the paper's sizes would take minutes: one step, of fewer images
SMALLER: dict[str, list[str]] = {
    # its network at its size, 54 million weights, is that of pix2pix_folder
    "pix2pix_maps_paper": ["--trainer.max_steps", "1", "--model.width", "8"],
    "pix2pix_folder": ["--trainer.max_steps", "1"],
    "cyclegan_horse2zebra": ["--trainer.max_steps", "1"],
    "lapgan_cifar10": ["--trainer.max_steps", "1"],
    "began_cifar10": ["--trainer.max_steps", "1", "--data.batch_size", "4"],
    "dcgan_cifar10": ["--trainer.max_steps", "1", "--data.batch_size", "4"],
    "wgan_cifar10": ["--trainer.max_steps", "1", "--data.batch_size", "4"],
    "wgan_gp_cifar10": ["--trainer.max_steps", "1", "--data.batch_size", "4"],
    "sngan_cifar10": ["--trainer.max_steps", "1", "--data.batch_size", "4"],
    "sngan_projection_cifar10": ["--trainer.max_steps", "1", "--data.batch_size", "4"],
}
# two steps and a validation of 64 and 128 pixels: of one image, not of four
ONE_IMAGE = {"cyclegan_maps": ["--data.batch_size", "1"], "pix2pix_maps": ["--data.batch_size", "1"]}
# an embedding is drawn when a validation ends, which two steps do not reach; and the folders have two classes
OTHERWISE: dict[str, list[str]] = {
    "dann_mnistm": ["--trainer.val_check_interval", "1", "--trainer.check_val_every_n_epoch", "1"],
    "dann_digits": ["--trainer.val_check_interval", "1", "--trainer.check_val_every_n_epoch", "1"],
    "domain_norm_dann_mnistm": ["--trainer.val_check_interval", "1"],
    "dann_folders": [
        *("--trainer.val_check_interval", "1", "--model.classes", "2", "--data.batch_size", "4", "--data.size", "64"),
        *("--model.shape", "[3, 64, 64]", "--config", "offline.yaml"),
    ],
}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[Path]:
    """A folder ``data`` with everything that a config asks for: random images, the real rasters of the world."""
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
    for domain in ("amazon", "webcam"):
        for kind in ("mug", "pen"):
            (root / "office" / domain / kind).mkdir(parents=True)
            for i in range(12):
                pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
                Image.fromarray(pixels).save(root / "office" / domain / kind / f"{i}.jpg")
    family = {"init_args": {"name": "resnet18", "weights": None}}
    (root.parent / "offline.yaml").write_text(yaml.safe_dump({"model": {"init_args": {"family": family}}}))
    small_emoji(root / "emoji-datasource-google-16.0.0", rng)
    with pytest.MonkeyPatch.context() as patch:
        small_cifar(root / "cifar-10-batches-py", rng, patch)
        yield root.parent


def small_emoji(folder: Path, rng: np.random.Generator) -> None:
    (folder / "img" / "google" / "64").mkdir(parents=True)
    codes = [f"{0x1F400 + i:X}" for i in range(80)]
    listed = [
        {"unified": code, "image": f"{code.lower()}.png", "category": "Animals & Nature", "sort_order": i}
        for i, code in enumerate(codes)
    ]
    (folder / "emoji.json").write_text(json.dumps(listed))
    for code in codes:
        pixels = rng.integers(0, 256, (64, 64, 4), np.uint8)
        Image.fromarray(pixels).save(folder / "img" / "google" / "64" / f"{code.lower()}.png")


def small_cifar(folder: Path, rng: np.random.Generator, patch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for name in names:
        images = rng.integers(0, 256, (40, 3 * 32 * 32), np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": images, "labels": [i % 10 for i in range(40)]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    source = torchvision.datasets.CIFAR10
    patch.setattr(source, "train_list", [(name, sums[name]) for name in names[:5]])
    patch.setattr(source, "test_list", [(names[5], sums[names[5]])])
    patch.setattr(source, "meta", {**source.meta, "md5": sums["batches.meta"]})


def test_there_are_configs_and_the_command_lists_them_all(capsys):
    assert len(CONFIGS) >= 8
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    for name in NAMES:
        assert f"\n{name} " in listed
    assert len(listed.strip().splitlines()) == len(CONFIGS) + 1


@pytest.mark.parametrize("path", CONFIGS, ids=NAMES)
def test_a_config_says_what_it_is(path):
    entry = next(entry for entry in config_entries() if entry.name == path.stem)
    assert entry.summary
    assert any(character.isdigit() for character in entry.paper)
    assert f"# Command: ganzoo fit --config configs/{path.name}" in path.read_text()
    content = yaml.safe_load(path.read_text())
    # <model>_<data>, with the name of the model's file or of a parent's
    parents = getattr(zoo, content["model"]["class_path"]).__mro__
    homes = {cls.__module__.rpartition(".")[2] for cls in parents if cls.__module__.startswith("ganzoo.models.")}
    assert any(path.stem.startswith(f"{home}_") for home in homes), f"the name begins with {sorted(homes)}"
    assert {"model", "data", "trainer"} == set(content)
    assert "base" not in content  # whole, no inheritance


# of the paper's size: half a minute of convolutions
LARGE = ("cyclegan_horse2zebra", "pix2pix_folder", "began_cifar10", "sngan_cifar10", "sngan_projection_cifar10")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in NAMES])
def test_a_config_trains_draws_and_saves(name, world, monkeypatch, capsys):
    monkeypatch.chdir(world)
    limits = ["--trainer.max_steps", "2", "--trainer.limit_val_batches", "1", "--trainer.accelerator", "cpu"]
    limits += ["--data.num_workers", "0", *ONE_IMAGE.get(name, [])]
    assert main(["fit", "--config", name, *limits, *SMALLER.get(name, []), *OTHERWISE.get(name, [])]) == 0, (
        capsys.readouterr().err
    )
    run = world / "runs" / name / "version_0"
    assert (run / "config.yaml").is_file()
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == (1 if name in SMALLER else 2)
    images = sorted((run / "images").glob("*.png"))
    assert len(images) >= 2
    assert np.asarray(Image.open(images[-1])).std() > 0


@pytest.mark.parametrize("name", ["cyclegan_maps", "domain_norm_dann_mnistm", "lapgan_fashion", "pix2pix_maps"])
def test_a_checkpoint_serves_every_command(name, world, monkeypatch, capsys):
    """fit, go on, validate, test, predict: what a user does with a run."""
    monkeypatch.chdir(world)
    root = world / "runs" / "served" / name
    limits = ["--config", name, "--trainer.accelerator", "cpu", "--data.num_workers", "0", *ONE_IMAGE.get(name, [])]
    few = ["--trainer.limit_val_batches", "1", "--trainer.limit_test_batches", "1", "--trainer.limit_predict_batches", "1"]

    def run(command: str, *more: str) -> None:
        folder = ["--run_dir", str(root / command)]
        assert main([command, *limits, *few, *folder, *more]) == 0, capsys.readouterr().err

    run("fit", "--trainer.max_steps", "1")
    last = ["--ckpt_path", str(root / "fit" / "checkpoints" / "last.ckpt")]
    assert main(["fit", *limits, *few, "--run_dir", str(root / "again"), "--trainer.max_steps", "2", *last]) == 0
    saved = torch.load(root / "again" / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 2
    for command in ("validate", "test", "predict"):
        run(command, *last)
    written = list((root / "predict").rglob("predictions/*.png")) + list((root / "predict").rglob("predictions.csv"))
    assert written


def test_the_papers_maps_take_the_place_of_the_world(world, monkeypatch, capsys):
    monkeypatch.chdir(world)
    args = ["fit", "--config", "pix2pix_maps", "--data", "Maps", "--data.load_size", "143", "--data.batch_size", "2"]
    args += ["--trainer.max_steps", "1", "--trainer.limit_val_batches", "1", "--trainer.accelerator", "cpu"]
    assert main(args) == 0, capsys.readouterr().err


def test_both_directions_of_the_maps(world, monkeypatch):
    from ganzoo.data import WorldMaps

    monkeypatch.chdir(world)
    batches = []
    for direction in ("AtoB", "BtoA"):
        data = WorldMaps(direction=direction, size=64, batch_size=2)
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
    assert "multiples of 32, not 100x100" in error[-1]


def test_a_class_count_that_does_not_match_is_one_line(world, monkeypatch, capsys):
    monkeypatch.chdir(world)
    assert main(["fit", "--config", "cgan_mnist", "--model.classes", "5", "--trainer.max_steps", "1"]) == 2
    assert "model.classes is 5" in capsys.readouterr().err.strip().splitlines()[-1]
