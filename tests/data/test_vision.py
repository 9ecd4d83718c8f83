"""Digits, MNIST, FashionMNIST, CIFAR10, STL10: splits, values, sizes, errors."""

import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from ganzoo.data import CIFAR10, MNIST, STL10, Digits, FashionMNIST
from ganzoo.data.batches import Images, LabelledImages
from ganzoo.errors import InputError

RNG = np.random.default_rng(0)
TRAIN, TEST = RNG.integers(0, 256, (60, 28, 28), np.uint8), RNG.integers(0, 256, (10, 28, 28), np.uint8)


def write_idx(folder: Path) -> None:
    """The four idx files, of 60 and 10 images, labelled by their number modulo 10."""
    folder.mkdir(parents=True)
    for name, images in (("train", TRAIN), ("t10k", TEST)):
        header = struct.pack(">4i", 2051, *images.shape)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        labels = (np.arange(len(images)) % 10).astype(np.uint8)
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, len(labels)) + labels.tobytes())


@pytest.fixture
def unreachable(monkeypatch):
    """torchvision's addresses, changed to a port where nobody listens."""
    for source in (torchvision.datasets.MNIST, torchvision.datasets.FashionMNIST):
        monkeypatch.setattr(source, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar.tar.gz")
    monkeypatch.setattr(torchvision.datasets.STL10, "url", "http://127.0.0.1:9/stl10_binary.tar.gz")


@pytest.mark.parametrize("data_module", [MNIST, FashionMNIST])
def test_mnist_from_files_in_place(tmp_path, unreachable, data_module):
    write_idx(tmp_path / data_module.__name__ / "raw")
    data = data_module(root=str(tmp_path), batch_size=4)
    data.prepare_data()
    data.setup()
    assert (data.shape, data.classes) == ((1, 28, 28), 10)
    # the last sixth of the training images validates: 50,000 and 10,000 of the real 60,000
    for part, wanted, first in (
        (data.train_set, TRAIN[:50], 0),
        (data.val_set, TRAIN[50:], 50),
        (data.test_set, TEST, 0),
    ):
        assert part.samples.x.squeeze(1).tolist() == wanted.tolist()
        assert part.samples.y.tolist() == [(first + i) % 10 for i in range(len(wanted))]
        assert part.samples.y.dtype == torch.int64


def test_a_share_of_the_training_images_trains(tmp_path):
    """The first ones; validation and test keep all of theirs."""
    write_idx(tmp_path / "MNIST" / "raw")
    data = MNIST(root=str(tmp_path), train_share=0.1)
    data.setup()
    assert data.train_set.samples.x.squeeze(1).tolist() == TRAIN[:5].tolist()
    assert (len(data.val_set), len(data.test_set)) == (10, 10)
    for share in (0, 1.5):
        with pytest.raises(InputError, match=r"train_share is .*: give a float in \(0, 1\]"):
            MNIST(train_share=share)


def test_mnist_of_32_has_a_border_and_of_other_sizes_is_resized(tmp_path):
    write_idx(tmp_path / "MNIST" / "raw")
    data = MNIST(root=str(tmp_path), size=32)
    data.setup()
    image = data.train_set[3].x
    assert image[0, 2:30, 2:30].tolist() == TRAIN[3].tolist()
    assert image.sum() == TRAIN[3].sum()
    data = MNIST(root=str(tmp_path), size=14)
    data.setup()
    assert data.train_set[3].x.shape == data.shape == (1, 14, 14)


@pytest.mark.parametrize(
    ("data_module", "folder", "file"),
    [
        (MNIST, "MNIST/raw", "t10k-labels-idx1-ubyte"),
        (FashionMNIST, "FashionMNIST/raw", "train-images-idx3-ubyte"),
        (CIFAR10, "cifar-10-batches-py", "data_batch_5"),
        (STL10, "stl10_binary", "unlabeled_X.bin"),
    ],
)
def test_an_unreachable_download_says_what_to_put_where(tmp_path, unreachable, data_module, folder, file):
    data = data_module(root=str(tmp_path))
    for fails in (data.prepare_data, data.setup):
        with pytest.raises(InputError) as caught:
            fails()
        assert "\n" not in str(caught.value)
        assert f"the folder {tmp_path / folder}" in str(caught.value)
        assert file in str(caught.value)


def test_a_damaged_file_is_refused(tmp_path):
    write_idx(tmp_path / "MNIST" / "raw")
    path = tmp_path / "MNIST/raw/train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="MNIST can be neither read"):
        MNIST(root=str(tmp_path)).setup()


@pytest.fixture
def cifar(tmp_path, monkeypatch) -> tuple[Path, np.ndarray]:
    """Files of CIFAR-10's form with 20 + 4 images, and the images [24, 3, 32, 32]."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    images = RNG.integers(0, 256, (24, 3, 32, 32), np.uint8)
    contents = {f"data_batch_{i + 1}": (images[4 * i : 4 * i + 4], [i] * 4) for i in range(5)}
    contents["test_batch"] = (images[20:], [9, 8, 7, 6])
    sums = {}
    for name, (part, labels) in contents.items():
        (folder / name).write_bytes(pickle.dumps({"data": part.reshape(4, -1), "labels": labels}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    source = torchvision.datasets.CIFAR10
    monkeypatch.setattr(source, "train_list", [(f"data_batch_{i}", sums[f"data_batch_{i}"]) for i in range(1, 6)])
    monkeypatch.setattr(source, "test_list", [("test_batch", sums["test_batch"])])
    monkeypatch.setattr(source, "meta", {**source.meta, "md5": sums["batches.meta"]})
    return tmp_path, images


def test_cifar10(cifar, unreachable):
    root, images = cifar
    data = CIFAR10(root=str(root), batch_size=2)
    data.prepare_data()
    data.setup()
    assert data.train_set.samples.x.tolist() == images[:18].tolist()
    assert data.val_set.samples.x.tolist() == images[18:20].tolist()
    assert data.test_set.samples.x.tolist() == images[20:].tolist()
    assert data.test_set.samples.y.tolist() == [9, 8, 7, 6]
    assert data.shape == data.train_set[0].x.shape == (3, 32, 32)


def test_cifar10_is_mirrored_half_of_the_time_in_training_only(cifar):
    root, images = cifar
    data = CIFAR10(root=str(root), mirror=True)
    data.setup()
    plain = mirrored = 0
    for epoch in range(20):
        for index in range(18):
            sample = data.train_set[epoch, index].x.tolist()
            plain += sample == images[index].tolist()
            mirrored += sample == images[index, :, :, ::-1].tolist()
    assert plain + mirrored == 360
    assert 140 < mirrored < 220
    assert data.val_set[0].x.tolist() == images[18].tolist()


@pytest.fixture
def stl(tmp_path, monkeypatch) -> tuple[Path, dict[str, np.ndarray]]:
    """Files of STL-10's form, columns first and classes from 1, with 20 + 6 + 7 images, and the images."""
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    images = {
        name: RNG.integers(0, 256, (n, 3, 96, 96), np.uint8) for name, n in (("train", 20), ("test", 6), ("unlabeled", 7))
    }
    for name, part in images.items():
        (folder / f"{name}_X.bin").write_bytes(part.swapaxes(2, 3).tobytes())
    for name in ("train", "test"):
        (folder / f"{name}_y.bin").write_bytes(bytes(1 + i % 10 for i in range(len(images[name]))))
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    source = torchvision.datasets.STL10
    for part in ("train_list", "test_list"):
        monkeypatch.setattr(source, part, [[name, sums[name]] for name, _ in getattr(source, part)])
    return tmp_path, images


def test_stl10(stl, unreachable):
    root, images = stl
    data = STL10(root=str(root), batch_size=2)
    data.prepare_data()
    data.setup()
    assert (data.shape, data.classes) == ((3, 96, 96), 10)
    for part, wanted, first in (
        (data.train_set, images["train"][:18], 0),
        (data.val_set, images["train"][18:], 18),
        (data.test_set, images["test"], 0),
    ):
        assert np.array_equal(part.samples.x.numpy(), wanted)
        assert part.samples.y.tolist() == [(first + i) % 10 for i in range(len(wanted))]
    batch = next(iter(data.train_dataloader()))
    assert type(batch) is LabelledImages
    assert (batch.x.dtype, batch.y.dtype) == (torch.uint8, torch.int64)


def test_stl10_unlabelled(stl, unreachable):
    root, images = stl
    data = STL10(root=str(root), unlabelled=True, batch_size=7)
    data.prepare_data()
    data.setup()
    assert (data.shape, data.classes) == ((3, 96, 96), None)
    for part, wanted in ((data.train_set, "unlabeled"), (data.val_set, "train"), (data.test_set, "test")):
        assert np.array_equal(part.samples.x.numpy(), images[wanted])
        assert type(part[0]) is Images
    batch = next(iter(data.train_dataloader()))
    assert type(batch) is Images
    assert batch.x.shape == (7, 3, 96, 96)
    small = STL10(root=str(root), unlabelled=True, size=32, mirror=True)
    small.setup()
    plain = small.train_set.items.samples.x[3]
    assert plain.shape == small.shape == (3, 32, 32)
    views = [small.train_set[epoch, 3].x for epoch in range(40)]
    flipped = sum(torch.equal(view, plain.flip(-1)) for view in views)
    assert 10 < flipped < 30
    assert sum(torch.equal(view, plain) for view in views) == 40 - flipped
    assert small.val_set[0].x.shape == (3, 32, 32)


def test_sizes_must_be_positive():
    for data_module in (Digits, MNIST, FashionMNIST, CIFAR10, STL10):
        with pytest.raises(InputError, match="size is 0"):
            data_module(size=0)
