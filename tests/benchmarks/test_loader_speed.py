"""Images per second of ganzoo's loaders, torchvision's ImageFolder and the published loader of pairs, by turns in one run.

OMP_NUM_THREADS=1 python -m pytest -s -n0 tests/benchmarks/test_loader_speed.py
"""

import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import datasets
from torchvision.transforms import v2

from ganzoo.data import ImageFolder, Paired
from ganzoo.data.base import ImageDataModule

IMAGES, ROUNDS, BATCH = 64, 5, 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """JPEGs of 512x512, and pairs of 2 x 600x600 as those of Maps, with about the bytes of photographs."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name, size in (("photos/all", (512, 512)), ("pairs/train", (1200, 600))):
        (root / name).mkdir(parents=True)
        for i in range(IMAGES):
            coarse = Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
            grain = rng.normal(0, 10, (size[1], size[0], 3))
            Image.fromarray((np.asarray(coarse) + grain).clip(0, 255).astype(np.uint8)).save(
                root / name / f"{i:03d}.jpg", quality=90
            )
    return root


class PublishedPairs(Dataset):
    """The work of pytorch-CycleGAN-and-pix2pix on a pair: halves by Pillow, bicubic to 286, the same crop of 256, flip."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.iterdir())

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        both = Image.open(self.files[index]).convert("RGB")
        middle = both.width // 2
        left, top, flip = random.randint(0, 30), random.randint(0, 30), random.random() > 0.5
        found = {}
        for name, box in (("A", (0, 0, middle, both.height)), ("B", (middle, 0, both.width, both.height))):
            image = both.crop(box).resize((286, 286), Image.Resampling.BICUBIC).crop((left, top, left + 256, top + 256))
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else image
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
            found[name] = pixels.float().div(255).sub(0.5).div(0.5)
        return found


def compare(loaders: dict[str, Callable[[], Iterable[Any]]]) -> None:
    """Prints images per second, and the processor time of an epoch relative to the first loader's: medians over rounds."""
    torch.set_num_threads(1)
    seconds: dict[str, list[float]] = {name: [] for name in loaders}
    for turn in range(ROUNDS + 1):  # the first one warms up
        for name, loader in loaders.items():
            began = time.process_time()
            batches = sum(1 for _ in loader())
            assert batches == IMAGES // BATCH
            if turn:
                seconds[name].append(time.process_time() - began)
    first = next(iter(seconds.values()))
    for name, each in seconds.items():
        shares = sorted(a / b for a, b in zip(each, first, strict=True))
        spread = f"{median(shares):.2f} ({shares[0]:.2f} to {shares[-1]:.2f})"
        print(f"\n{name:32} {IMAGES / median(each):7.0f} images/s   time {spread}", end="")


def batches_of(data: ImageDataModule) -> Callable[[], Iterable[Any]]:
    """An epoch's batches, as floats."""
    data.setup()
    loader = data.train_dataloader()
    return lambda: (data.on_after_batch_transfer(batch, 0) for batch in loader)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> None:
    """Packed images go into a folder of the test's own."""
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path))


def test_a_folder_of_images(folder):
    """The shorter side to 64, a random crop, a flip, [-1, 1]: ganzoo's work in training."""
    crop = [v2.RandomCrop(64), v2.RandomHorizontalFlip(), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    transform = v2.Compose([v2.Resize(64, antialias=True), *crop, v2.Normalize([0.5] * 3, [0.5] * 3)])
    theirs = DataLoader(datasets.ImageFolder(str(folder / "photos"), transform), BATCH, shuffle=True, drop_last=True)

    def ours(**options: bool) -> Callable[[], Iterable[Any]]:
        return batches_of(ImageFolder(str(folder / "photos"), size=64, val_share=0, batch_size=BATCH, **options))

    compare(
        {
            "torchvision's ImageFolder": lambda: theirs,
            "ganzoo, whole images": ours(jpeg_draft=False),
            "ganzoo, drafts": ours(),
            "ganzoo, packed": ours(packed=True),
        }
    )


def test_pairs(folder):
    """Halves of 600 pixels to 286, a crop of 256, a flip, [-1, 1]."""
    theirs = DataLoader(PublishedPairs(folder / "pairs/train"), BATCH, shuffle=True, drop_last=True)
    ours = {
        each: batches_of(Paired(str(folder / "pairs"), batch_size=BATCH, val_share=0, packed=each)) for each in (False, True)
    }
    compare({"the published loader of pairs": lambda: theirs, "ganzoo": ours[False], "ganzoo, packed": ours[True]})
