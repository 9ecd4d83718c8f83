"""The script of the gallery: each kind of model has its sheets, the images are small, the page shows all of them."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo.data.batches import ImagePairs
from ganzoo.errors import InputError
from ganzoo.models import CGAN, GAN, LAPGAN, CycleGAN, Pix2Pix
from ganzoo.utils.png import read_record
from ganzoo.utils.weights import weights_sha256

CHECKOUT = Path(__file__).resolve().parent.parent
MODELS = {
    "gan": lambda: GAN(shape=(1, 8, 8), hidden=8, latent=4),
    "cgan": lambda: CGAN(shape=(1, 8, 8), classes=3, latent=4),
    "lapgan": lambda: LAPGAN(shape=(1, 28, 28), sizes=(7, 14, 28), width=4, hidden_G=8, hidden_D=8),
    "pix2pix": lambda: Pix2Pix(depth=5, width=2, patch=16),
    "cyclegan": lambda: CycleGAN(blocks=1, width=2, patch=16),
}


@pytest.fixture
def gallery() -> Any:
    spec = importlib.util.spec_from_file_location("gallery", CHECKOUT / "docs/gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Places:
    """Pairs of noise in the place of photographs and maps."""

    def __init__(self, size: int, batch_size: int) -> None:
        self.shape = batch_size, 3, size, size

    def prepare_data(self) -> None:
        pass

    def setup(self, stage: str) -> None:
        assert stage == "test"  # held out

    def test_dataloader(self):
        generator = torch.Generator().manual_seed(0)
        return [ImagePairs(*(torch.randint(0, 256, self.shape, dtype=torch.uint8, generator=generator) for _ in "xy"))]


def test_every_kind_has_its_sheets_and_the_page_shows_them(gallery, tmp_path, monkeypatch, capsys):
    def load(source):
        if source not in MODELS:
            raise InputError("there is no such model")
        return MODELS[source]().eval()

    monkeypatch.setattr(ganzoo, "load", load)
    monkeypatch.setattr(gallery, "WorldMaps", Places)
    (tmp_path / "images").mkdir()
    page = gallery.draw({name: name for name in [*MODELS, "gone"]}, tmp_path)
    assert capsys.readouterr().err == "gone is left out: there is no such model\n"
    shown = re.findall(r"!\[.*\]\((images/gallery_(.*)\.png)\)", page)
    assert [name for _, name in shown] == [
        *("gan_samples", "gan_walk", "cgan_classes", "cgan_walk", "lapgan_cascade", "lapgan_samples", "lapgan_walk"),
        *("pix2pix_translations", "cyclegan_there_and_back"),
    ]
    assert {path.name for path in (tmp_path / "images").iterdir()} == {Path(name).name for name, _ in shown}
    for name, _ in shown:
        with Image.open(tmp_path / name) as image:
            assert min(image.size) > 100
        assert (tmp_path / name).stat().st_size <= 250_000  # noise, which cannot be compressed


def tiles(board: torch.Tensor, columns: int, size: int = 32, gap: int = 2) -> list[list[torch.Tensor]]:
    """The tiles of a grid, row by row."""
    rows = (board.shape[1] - gap) // (size + gap)
    return [
        [board[:, gap + r * (size + gap) :, gap + c * (size + gap) :][:, :size, :size] for c in range(columns)]
        for r in range(rows)
    ]


def test_a_walk_begins_and_ends_at_samples(gallery):
    model = MODELS["gan"]().eval()
    ends = model.decode(gallery.noise_of(model, 12))
    rows = tiles(gallery.walk(model), 10)
    drawn = tiles(gallery.grid(ends, 12), 12)[0]
    assert len(rows) == 6
    for i, row in enumerate(rows):
        assert torch.equal(row[0], drawn[2 * i])
        assert torch.equal(row[-1], drawn[2 * i + 1])
        assert not torch.equal(row[5], row[0])


def test_the_columns_of_class_rows_have_the_same_noise(gallery):
    model = MODELS["cgan"]().eval()
    noise = gallery.noise_of(model, 10)
    rows = tiles(gallery.class_rows(model), 10)
    assert len(rows) == 3
    for y, row in enumerate(rows):
        drawn = tiles(gallery.grid(model.decode(noise, torch.full((10,), y)), 10), 10)[0]
        assert all(torch.equal(a, b) for a, b in zip(row, drawn, strict=True))


def test_the_images_of_the_latent_space_are_those_of_the_weights_that_come_with_ganzoo():
    page = (CHECKOUT / "docs/explore.md").read_text()
    shown = set(re.findall(r"\(images/(explore_[^)]*)\)", page))
    files = list((CHECKOUT / "docs/images").glob("explore_*"))
    assert shown == {path.name for path in files}
    weights = {weights_sha256(ganzoo.load(name)) for name in ("gan_mnist", "cgan_digits")}
    for path in files:
        assert path.stat().st_size <= 250_000
        if path.suffix == ".png":
            record = read_record(path)
            assert f"ganzoo explore {record['explore'].replace('inversion', 'invert')} " in page
            # the discriminator is in the checkpoint that the weights were saved from
            assert record["weights_sha256"] in weights or record["explore"] == "opinion"
            if "seeds" in record and record["explore"] != "neighbours":
                assert f"--seeds {record['seeds']} " in page or record["explore"] == "opinion"


def test_the_images_of_the_page_are_there_and_small(gallery):
    page = CHECKOUT / "docs/gallery.md"
    if not page.exists():
        pytest.skip("no weights are here to draw from")
    shown = re.findall(r"\((images/gallery_[^)]*)\)", page.read_text())
    assert shown
    assert {Path(name).name for name in shown} == {path.name for path in (CHECKOUT / "docs/images").glob("gallery_*")}
    assert all((CHECKOUT / "docs" / name).stat().st_size <= gallery.LARGEST for name in shown)
