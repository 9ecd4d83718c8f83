"""Stacked MNIST: which digits are stacked, that they are drawn anew, and who counts them."""

import struct

import numpy as np
import pytest
import torch

from ganzoo.data import StackedMNIST
from ganzoo.data.batches import LabelledImages
from ganzoo.data.datasets import InMemory
from ganzoo.data.stacked import stack
from ganzoo.errors import InputError
from ganzoo.metrics.extractors.classifier import SmallClassifier
from ganzoo.metrics.modes import ModeData, mode_coverage


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """MNIST's files: an image of digit d is flat, of brightness 20 d; 1 more to validate, 2 more to test."""
    folder = tmp_path_factory.mktemp("mnist")
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split, n, more in (("train", 600, 0), ("t10k", 100, 2)):
        labels = (np.arange(n) % 10).astype(np.uint8)
        grey = labels * 20 + more + (np.arange(n) >= 500)
        pixels = np.broadcast_to(grey.astype(np.uint8)[:, None, None], (n, 28, 28))
        (raw / f"{split}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, n, 28, 28) + pixels.tobytes())
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, n) + labels.tobytes())
    return str(folder)


def test_each_channel_is_the_digit_of_its_place_in_the_label(root):
    data = StackedMNIST(root, images=200)
    data.setup()
    assert (data.shape, data.classes, data.class_names[7]) == ((3, 28, 28), 1000, "007")
    for part, more in ((data.train_set, 0), (data.val_set, 1), (data.test_set, 2)):
        for index in range(50):
            x, y = part[index]
            assert x.shape == (3, 28, 28)
            assert x.dtype == torch.uint8
            digits = (x[:, 0, 0] - more) // 20  # of this split's digits alone
            assert torch.equal(x, (digits * 20 + more)[:, None, None].expand(-1, 28, 28))
            assert int(y) == int("".join(map(str, digits.tolist())))
    assert [len(part) for part in (data.train_set, data.val_set, data.test_set)] == [200, 1000, 26_000]


def test_all_thousand_modes_are_drawn_and_as_often():
    digits = InMemory(LabelledImages(torch.zeros(30, 1, 2, 2, dtype=torch.uint8), torch.arange(30) % 10))
    rng = np.random.default_rng(0)
    counts = torch.tensor([int(stack(digits, i, rng).y) for i in range(26_000)]).bincount(minlength=1000)
    assert counts.min() > 0
    chi_square = ((counts - 26).square() / 26).sum()
    assert abs(chi_square - 999) < 5 * (2 * 999) ** 0.5


def test_training_images_are_new_in_each_epoch_and_held_out_ones_never(root):
    def labels(part, epoch=None):
        return [int(part[index if epoch is None else (epoch, index)].y) for index in range(40)]

    first, again, other = (StackedMNIST(root, images=40, seed=seed, batch_size=40) for seed in (1, 1, 2))
    for data in (first, again, other):
        data.setup()
    assert labels(first.train_set, 0) == labels(again.train_set, 0)
    assert labels(first.train_set, 0) != labels(first.train_set, 1)
    assert labels(first.train_set, 0) != labels(other.train_set, 0)
    assert labels(first.val_set) == labels(other.val_set)
    assert labels(first.test_set) == labels(other.test_set) != labels(first.val_set)
    batch = next(iter(first.train_dataloader()))
    assert batch.x.shape == (40, 3, 28, 28)
    assert batch.y.dtype == torch.int64


def test_modes_are_counted_by_a_classifier_of_digits(root, tmp_path):
    data = StackedMNIST(root)
    assert isinstance(data, ModeData)
    with pytest.raises(InputError, match=r"ganzoo classifier --data MNIST --out mnist\.pt"):
        data.modes()
    colour = tmp_path / "colour.pt"
    SmallClassifier((3, 28, 28), 10, "Colours").save(colour)
    with pytest.raises(InputError, match="10 classes of images with 3 channels"):
        StackedMNIST(root, classifier=str(colour)).modes()
    fives = tmp_path / "fives.pt"
    SmallClassifier((1, 28, 28), 5, "Fives").save(fives)
    with pytest.raises(InputError, match="5 classes of images with 1 channels"):
        StackedMNIST(root, classifier=str(fives)).modes()
    digits = tmp_path / "mnist.pt"
    SmallClassifier((1, 28, 28), 10, "MNIST").save(digits)
    modes = StackedMNIST(root, classifier=str(digits)).modes()
    assert modes.count == 1000
    assert modes.words.startswith("1000 combinations of 10 classes in 3 channels, by classifier-mnist ")
    found = mode_coverage(modes, torch.randint(256, (30, 3, 28, 28), dtype=torch.uint8))
    assert 1 <= found.modes <= 30
