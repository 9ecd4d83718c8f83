"""Each trick of the script trains, and is what it says; the distance of known images."""

import importlib
import sys
from pathlib import Path

import pytest
import torch
from support.training import fit, loader

from ganzoo.metrics.frechet import frechet_distance
from ganzoo.models import DCGAN
from ganzoo.training.recipes import to_plain

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
tricks = importlib.import_module("tricks")


@pytest.mark.parametrize("name", tricks.TRICKS)
def test_each_trick_trains_and_differs_from_the_baseline(name, tmp_path):
    images = torch.rand(192, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    ended = []
    for trick in (name, "baseline"):
        torch.manual_seed(0)
        model = DCGAN(shape=(1, 16, 16), width=2, latent=8, **tricks.TRICKS[trick])
        fit(model, loader(images, batch_size=64), tmp_path, max_epochs=1)
        assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
        ended.append((to_plain(dict(model.hparams)), model.eval().sample(4, generator=torch.Generator().manual_seed(0))))
    assert (ended[0][0] == ended[1][0]) == (name == "baseline")
    assert torch.equal(ended[0][1], ended[1][1]) == (name == "baseline")


def test_features_are_pixels_averaged_to_8_by_8():
    images = torch.randn(100, 1, 16, 16)
    found = tricks.features(images)
    assert torch.allclose(found[:, 9], images[:, 0, 2:4, 2:4].mean((1, 2)).double(), atol=1e-6)  # second row, second column
    shifted = tricks.features(images + 0.5)
    assert frechet_distance(found, shifted) == pytest.approx(64 * 0.25, rel=1e-4)
