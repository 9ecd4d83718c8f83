"""Digits: values, the split, other sizes."""

import numpy as np
import torch

from ganzoo.data import Digits
from ganzoo.data.batches import LabelledImages


def test_digits_values_and_split():
    from sklearn.datasets import load_digits

    data = Digits()
    data.setup()
    assert (data.shape, data.classes) == ((1, 8, 8), 10)
    assert [len(data.train_set), len(data.val_set), len(data.test_set)] == [1266, 178, 353]
    found = torch.cat([part.samples.x for part in (data.train_set, data.val_set, data.test_set)]).flatten(1)
    published = load_digits().data
    wanted = torch.from_numpy(np.round(published * 255 / 16).astype(np.uint8))
    # the split is a permutation of the whole
    assert sorted(found.tolist()) == sorted(wanted.tolist())
    assert found.max() == 255
    first = data.train_set[0]
    assert first.x.flatten().tolist() == wanted[0].tolist()
    for part, share in ((data.train_set, 0.7), (data.val_set, 0.1), (data.test_set, 0.2)):
        assert (part.samples.y.bincount() / torch.from_numpy(load_digits().target).bincount()).sub(share).abs().max() < 0.02


def test_digits_of_another_size():
    data = Digits(size=16, batch_size=5)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert type(batch) is LabelledImages
    assert batch.x.shape == (5, *data.shape) == (5, 1, 16, 16)
    assert batch.x.dtype == torch.uint8
    assert batch.y.dtype == torch.int64
