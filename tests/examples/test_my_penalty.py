"""The documents' example of a penalty: WGAN-GP as a subclass of three lines."""

import pytest
import torch
from support.training import fit
from support.zoo import example

from ganzoo.cli import main
from ganzoo.data import Digits
from ganzoo.errors import InputError
from ganzoo.losses import Wasserstein
from ganzoo.models import DCGAN
from ganzoo.networks.norms import LayerNorm
from ganzoo.penalties import gradient_penalty

WGANGP = example("my_penalty").WGANGP
SMALL = {"latent": 4, "width": 4}


class WrittenOut(DCGAN):
    """Gulrajani et al. 2017, Algorithm 1, as a training step of its own."""

    default_loss = Wasserstein()
    default_norm = LayerNorm()

    def training_step(self, batch, batch_idx):
        x = self.field(batch, "x")
        fake = self.G(self.z(len(x)))
        with self.turn("discriminator") as descend:
            critic = self.D(fake.detach()).mean() - self.D(x).mean()
            descend({"critic": critic, "penalty": 10 * gradient_penalty(self.D, x, fake)})
        if self.every(self.k):
            with self.turn("generator") as descend:
                descend({"critic": -self.D(fake).mean()})


def trained(kind, tmp_path, **options):
    torch.manual_seed(0)
    model, data = kind(shape=(1, 16, 16), **SMALL, **options), Digits(size=16)
    played = fit(model, data, tmp_path, max_epochs=1, limit_train_batches=3, log_every_n_steps=1)
    return model, played.logged_metrics


def test_the_penalty_is_a_term_of_the_critic(tmp_path):
    model, logged = trained(WGANGP, tmp_path)
    critic, penalty = logged["discriminator/gan"], logged["discriminator/penalty"]
    assert penalty > 0
    assert logged["discriminator/loss"] == pytest.approx(float(critic + penalty), abs=1e-5)
    assert logged["discriminator/w1"] == pytest.approx(-float(critic), abs=1e-5)
    assert "discriminator/accuracy_real" not in logged
    assert model.hparams["loss"] == {"class_path": "ganzoo.losses.Wasserstein", "init_args": {}}
    assert model.hparams["norm"] == {"class_path": "ganzoo.networks.norms.LayerNorm", "init_args": {}}


def test_it_trains_like_the_algorithm_written_out(tmp_path):
    """The same weights up to rounding, as the terms are summed in another order."""
    short, _ = trained(WGANGP, tmp_path, k=2)
    long, _ = trained(WrittenOut, tmp_path, k=2)
    for key, value in short.state_dict().items():
        assert torch.allclose(value, long.state_dict()[key], atol=1e-6), key


def test_a_gradient_penalty_beside_batch_norm_is_one_clear_line(tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match=r"batch norm mixes the samples.*model\.norm LayerNorm"):
        trained(WGANGP, tmp_path, norm={"class_path": "ganzoo.networks.norms.BatchNorm"})
    monkeypatch.chdir(tmp_path)
    short = ["--data", "Digits", "--data.size", "16", "--trainer.max_steps", "1", "--trainer.accelerator", "cpu"]
    args = ["fit", "--model", "my_penalty.WGANGP", "--model.shape", "[1,16,16]", "--model.width", "4", *short]
    assert main([*args, "--model.norm", "BatchNorm"]) == 2
    assert "batch norm mixes the samples" in capsys.readouterr().err.strip().splitlines()[-1]
    assert main([*args, "--model.norm", "NoNorm"]) == 0
