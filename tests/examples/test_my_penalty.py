"""The documents' example of a penalty: DRAGAN as a subclass of three lines."""

import pytest
import torch
from support.training import fit
from support.zoo import example
from torch.nn.functional import softplus

from ganzoo.cli import main
from ganzoo.data import Digits
from ganzoo.errors import InputError
from ganzoo.models import DCGAN
from ganzoo.networks.norms import LayerNorm

DRAGAN = example("my_penalty").DRAGAN
SMALL = {"latent": 4, "width": 4}


class WrittenOut(DCGAN):
    """Kodali et al. 2017, section 2.3, as a training step of its own."""

    default_norm = LayerNorm()

    def training_step(self, batch, batch_idx):
        x = self.field(batch, "x")
        fake = self.G(self.z(len(x)))
        with self.turn("discriminator") as descend:
            cost = softplus(-self.D(x)).mean() + softplus(self.D(fake.detach())).mean()
            near = x + 0.5 * x.std() * torch.rand_like(x)
            e = torch.rand(len(x), 1, 1, 1)
            points = (e * x + (1 - e) * near).requires_grad_()
            (slopes,) = torch.autograd.grad(self.D(points).sum(), points, create_graph=True)
            descend({"cost": cost, "penalty": 10 * (slopes.flatten(1).norm(dim=1) - 1).square().mean()})
        if self.every(self.k):
            with self.turn("generator") as descend:
                descend({"cost": softplus(-self.D(fake)).mean()})


def trained(kind, tmp_path, **options):
    torch.manual_seed(0)
    model, data = kind(shape=(1, 16, 16), **SMALL, **options), Digits(size=16)
    played = fit(model, data, tmp_path, max_epochs=1, limit_train_batches=3, log_every_n_steps=1)
    return model, played.logged_metrics


def test_the_penalty_is_a_term_of_the_critic(tmp_path):
    model, logged = trained(DRAGAN, tmp_path)
    cost, penalty = logged["discriminator/gan"], logged["discriminator/penalty"]
    assert penalty > 0
    assert logged["discriminator/loss"] == pytest.approx(float(cost + penalty), abs=1e-5)
    assert model.hparams["norm"] == {"class_path": "ganzoo.networks.norms.LayerNorm", "init_args": {}}


def test_it_trains_like_the_algorithm_written_out(tmp_path):
    """The same weights up to rounding, as the terms are summed in another order."""
    short, _ = trained(DRAGAN, tmp_path, k=2)
    long, _ = trained(WrittenOut, tmp_path, k=2)
    for key, value in short.state_dict().items():
        assert torch.allclose(value, long.state_dict()[key], atol=1e-6), key


def test_a_gradient_penalty_beside_batch_norm_is_one_clear_line(tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match=r"batch norm mixes the samples.*model\.norm LayerNorm"):
        trained(DRAGAN, tmp_path, norm={"class_path": "ganzoo.networks.norms.BatchNorm"})
    monkeypatch.chdir(tmp_path)
    short = ["--data", "Digits", "--data.size", "16", "--trainer.max_steps", "1", "--trainer.accelerator", "cpu"]
    args = ["fit", "--model", "my_penalty.DRAGAN", "--model.shape", "[1,16,16]", "--model.width", "4", *short]
    assert main([*args, "--model.norm", "BatchNorm"]) == 2
    assert "batch norm mixes the samples" in capsys.readouterr().err.strip().splitlines()[-1]
    assert main([*args, "--model.norm", "NoNorm"]) == 0
