"""Batches: NamedTuples, whose images become floats."""

import pytest
import torch
from support.batches import same

from ganzoo.data.batches import ImagePairs, Images, LabelledImages, as_float


def test_as_float_turns_images_only_and_keeps_the_type():
    x = torch.tensor([0, 51, 255], dtype=torch.uint8)
    labelled = as_float(LabelledImages(x, torch.tensor([0, 255])))
    assert type(labelled) is LabelledImages
    assert labelled.x.tolist() == pytest.approx([-1, -0.6, 1])
    assert labelled.y.tolist() == [0, 255]
    assert labelled.y.dtype == torch.int64
    pair = as_float(ImagePairs(x, x))
    assert pair.x.dtype == pair.y.dtype == torch.float32
    assert same(as_float(pair), pair)  # twice is as good as once
    assert type(as_float(Images(x))) is Images
