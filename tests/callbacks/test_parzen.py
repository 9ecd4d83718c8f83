"""ParzenLikelihood: its metric by hand, when it is measured, the epoch that it chooses; measuring changes nothing."""

from math import log, pi, sqrt

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from support.known_metrics import Data, ImagesOf, Improves, OneImage, Same, Samples, noise, run

from ganzoo.callbacks import Checkpoints, ParzenLikelihood
from ganzoo.errors import InputError
from ganzoo.evaluation.generate import generated_batches
from ganzoo.metrics.parzen import SIGMAS
from ganzoo.models import GAN


def data(n=30, side=4, channels=1):
    shape = {"channels": channels, "side": side}
    return Data(ImagesOf(OneImage, noise(8, 1, **shape)), ImagesOf(OneImage, noise(n, 0, **shape)))


def by_hand(samples, points):
    """From uint8 images, in numpy: the best of ten widths."""
    s, x = (each.flatten(1).numpy().astype(np.float64) / 255 for each in (samples, points))
    squares = ((x[:, None] - s[None]) ** 2).sum(2)
    each = [logsumexp(-squares / (2 * w**2), axis=1) - log(len(s)) - x.shape[1] * log(w * sqrt(2 * pi)) for w in SIGMAS]
    return max(found.mean() for found in each)


class Noted(ParzenLikelihood):
    """Keeps each metric and its epoch."""

    def __init__(self, **options):
        super().__init__(**options)
        self.noted = {}

    def _likelihood(self, trainer, module):
        self.noted[trainer.current_epoch] = super()._likelihood(trainer, module)
        return self.noted[trainer.current_epoch]


def test_the_figure_is_the_log_likelihood_of_the_first_validation_images(tmp_path):
    module, callback = Samples(), ParzenLikelihood(n=40, points=20)
    played = run(module, data(), tmp_path, callback)
    samples = torch.cat([part.images for part in generated_batches(module, None, 40, 500)])
    wanted = by_hand(samples, noise(30, 0)[:20])
    assert callback.metrics["val/parzen"] == pytest.approx(wanted, rel=1e-6)
    assert played.callback_metrics["val/parzen"].item() == pytest.approx(wanted, rel=1e-5)
    assert wanted != pytest.approx(by_hand(samples, noise(30, 0)[10:]), rel=1e-3)  # the choice of images is seen


def test_the_averaged_networks_are_measured(tmp_path):
    adam = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.05}}
    module = GAN((1, 4, 4), latent=3, hidden=8, ema_half_life=50.0, optimizers={"discriminator": adam, "generator": adam})
    callback = ParzenLikelihood(n=40, points=20)
    run(module, data(), tmp_path, callback, max_epochs=3)
    metrics = {}
    for name, average in (("averaged", module.ema), ("last", None)):
        module.ema = average
        metrics[name] = by_hand(
            torch.cat([part.images for part in generated_batches(module, None, 40, 500)]), noise(30, 0)[:20]
        )
    assert callback.metrics["val/parzen"] == pytest.approx(metrics["averaged"], rel=1e-6)
    assert metrics["averaged"] != pytest.approx(metrics["last"], rel=1e-6)


def test_the_best_epoch_is_kept_and_is_not_the_last(tmp_path):
    callback = Noted(n=60, points=30)
    best = Checkpoints(dirpath=tmp_path / "kept", monitor="val/parzen", mode="max")
    run(Improves(), data(), tmp_path, callback, best, max_epochs=4, enable_checkpointing=True)
    assert max(callback.noted, key=callback.noted.get) == 2
    assert best.best_model_path.endswith("epoch=2-step=6.ckpt")
    assert best.best_model_score.item() == pytest.approx(callback.noted[2], rel=1e-5)


@pytest.mark.parametrize(
    ("every", "epochs", "wanted"), [(1, 3, [0, 1, 2]), (2, 6, [0, 1, 3, 5]), (3, 5, [0, 2, 4]), (0, 4, [0, 3])]
)
def test_it_is_measured_each_nth_epoch_and_at_the_first_and_the_last(tmp_path, every, epochs, wanted):
    callback = Noted(n=5, points=5, every_n_epochs=every)
    run(Samples(), data(), tmp_path, callback, max_epochs=epochs)
    assert list(callback.noted) == wanted


def test_without_validations_it_is_measured_at_the_ends_of_epochs(tmp_path):
    callback = Noted(n=5, points=5)
    run(Samples(), data(), tmp_path, callback, max_epochs=2, limit_val_batches=0)
    assert list(callback.noted) == [0, 1]


def test_measuring_changes_nothing(tmp_path):
    with_it, without = Samples(ema_half_life=20.0), Samples(ema_half_life=20.0)
    without.load_state_dict(with_it.state_dict())
    run(with_it, data(), tmp_path, ParzenLikelihood(n=40, points=20), max_epochs=3)
    run(without, data(), tmp_path, max_epochs=3)
    state = without.state_dict()
    for name, value in with_it.state_dict().items():
        assert not torch.is_tensor(value) or torch.equal(value, state[name]), name
    assert with_it.training


def test_a_dry_run_measures_nothing(tmp_path):
    callback = ParzenLikelihood()
    run(Samples(), data(), tmp_path, callback, fast_dev_run=True)
    assert callback.metrics == {}


def test_what_cannot_be_measured_is_refused_before_the_training(tmp_path):
    with pytest.raises(InputError, match="Same does not"):
        run(Same(), data(), tmp_path, ParzenLikelihood())
    with pytest.raises(InputError, match="no val images"):
        run(Samples(), Data(ImagesOf(OneImage, noise(8, 1))), tmp_path, ParzenLikelihood())
    with pytest.raises(InputError, match="16 values and validation images 64"):
        run(Samples(), data(side=8), tmp_path, ParzenLikelihood(n=4))


@pytest.mark.parametrize("wrong", [{"n": 0}, {"points": 0}, {"every_n_epochs": -1}, {"seed": -1}, {"n": 1.5}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        ParzenLikelihood(**wrong)
