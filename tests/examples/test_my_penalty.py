"""The documents' example of a penalty trains, and what it descends is logged."""

import sys
from pathlib import Path

import pytest
import torch
from support.training import fit

from ganzoo.data import Digits

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def penalised(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield __import__("my_penalty").PenalisedGAN
    sys.modules.pop("my_penalty", None)


def test_the_example_descends_its_penalty(penalised, tmp_path):
    torch.manual_seed(0)
    data = Digits()
    model = penalised.for_data(data, latent=8, hidden=16)
    played = fit(model, data, tmp_path, max_epochs=1, limit_train_batches=2, log_every_n_steps=1)
    logged = played.logged_metrics
    critic, penalty = logged["discriminator/wasserstein"], logged["discriminator/penalty"]
    assert logged["discriminator/loss"] == pytest.approx(float(critic + penalty), abs=1e-5)
    assert penalty > 0
    assert logged["discriminator/w1"] == pytest.approx(-float(critic), abs=1e-5)
    assert "discriminator/accuracy_real" not in logged
    assert model.hparams["loss"] == {"class_path": "ganzoo.losses.Wasserstein", "init_args": {}}
