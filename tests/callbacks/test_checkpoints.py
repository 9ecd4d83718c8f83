"""Checkpoints count batches: names, triggers, and what is saved at the end and after an error."""

import os
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from support.games import Tug
from support.training import fit, loader, trainer

from ganzoo.callbacks import Checkpoints
from ganzoo.training.checkpoint_io import AtomicCheckpointIO

BATCHES = 4  # in an epoch


def train(tmp_path, *callbacks, **options):
    data = loader(torch.rand(2 * BATCHES, 3), batch_size=2)
    options = {"max_epochs": 2, "enable_checkpointing": True, **options}
    return fit(Tug(), data, tmp_path, callbacks=list(callbacks), plugins=[AtomicCheckpointIO()], **options)


def names(tmp_path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "checkpoints").iterdir())


def steps(tmp_path) -> list[int]:
    return sorted(
        torch.load(tmp_path / "checkpoints" / name)["global_step"] for name in names(tmp_path) if name != "last.ckpt"
    )


def test_each_epoch_s_end_by_default_and_the_newest_is_last(tmp_path):
    trainer = train(tmp_path, Checkpoints())
    assert trainer.global_step == 2 * BATCHES  # of two players
    assert names(tmp_path) == ["epoch=1-step=8.ckpt", "last.ckpt"]
    newest, last = (tmp_path / "checkpoints" / name for name in names(tmp_path))
    assert os.path.samefile(newest, last)
    assert not last.is_symlink()


def test_a_step_is_a_batch_of_two_players(tmp_path):
    train(tmp_path, Checkpoints(every_n_train_steps=3, save_top_k=-1), max_epochs=1, limit_train_batches=4)
    # the third, and the end: by optimizer steps they would be the batches 2 and 3 at "steps" 6 and 12
    assert names(tmp_path) == ["epoch=0-step=3.ckpt", "epoch=0-step=4.ckpt", "last.ckpt"]
    assert steps(tmp_path) == [3, 4]


def test_max_steps_counts_batches(tmp_path):
    train(tmp_path, Checkpoints(), max_epochs=-1, max_steps=6)
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt")["global_step"] == 6


def test_a_time_interval_saves(tmp_path):
    train(tmp_path, Checkpoints(train_time_interval=timedelta(0), save_top_k=-1))
    assert steps(tmp_path) == list(range(1, 2 * BATCHES + 1))


def test_without_lightning_s_advice_on_manual_optimization(tmp_path):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*pre-optimization.*")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(warnings, "simplefilter", lambda *_: None)  # the toys' fit is quiet
            train(tmp_path, Checkpoints(every_n_train_steps=1))


class Worse(Tug):
    """Its monitored value falls from epoch to epoch; it notes the step of last.ckpt as each epoch begins."""

    def __init__(self, last: Path) -> None:
        super().__init__()
        self.last, self.found = last, []

    def on_train_epoch_start(self) -> None:
        if self.last.is_file():
            self.found.append(torch.load(self.last)["global_step"])

    def validation_step(self, batch, batch_idx):
        self.log("val/score", -float(self.current_epoch))


@pytest.mark.parametrize("when", [{}, {"save_top_k": 0}, {"save_on_train_epoch_end": True}])
def test_last_is_written_also_where_the_best_is_not_beaten(when, tmp_path):
    """A run that is killed would go back to its best epoch."""
    model = Worse(tmp_path / "checkpoints" / "last.ckpt")
    data = loader(torch.rand(2 * BATCHES, 3), batch_size=2)
    callback = Checkpoints(monitor="val/score", mode="max", **when)
    played = trainer(tmp_path, callbacks=[callback], enable_checkpointing=True, max_epochs=4)
    played.fit(model, data, data)
    assert model.found == [BATCHES, 2 * BATCHES, 3 * BATCHES]
    assert torch.load(model.last)["global_step"] == 4 * BATCHES
    if when.get("save_top_k") != 0:
        assert steps(tmp_path) == [BATCHES]  # the best, its first


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("when", [{"every_n_train_steps": BATCHES}, {"train_time_interval": timedelta(0)}])
def test_a_save_that_waits_for_the_epoch_s_validation_is_made_with_its_value(mode, when, tmp_path):
    """Lightning passes over the first one, and takes an epoch's checkpoint by the value of the epoch before."""
    data = loader(torch.rand(2 * BATCHES, 3), batch_size=2)
    callback = Checkpoints(monitor="val/score", mode=mode, save_top_k=-1, **when)
    played = trainer(tmp_path, callbacks=[callback], enable_checkpointing=True, max_epochs=3)
    played.fit(Worse(tmp_path / "last.ckpt"), data, data)
    found = {int(path.rpartition("step=")[2].split(".")[0]): float(value) for path, value in callback.best_k_models.items()}
    ends = {BATCHES: 0.0, 2 * BATCHES: -1.0, 3 * BATCHES: -2.0}
    assert {step: value for step, value in found.items() if step in ends} == ends
    assert "every_n_train_steps" not in when or found == ends


class EpochMean(Tug):
    """It logs a value of each whole epoch of training, which is there at the epoch's end."""

    def on_train_epoch_end(self) -> None:
        self.log("train/score", float(self.current_epoch))

    def validation_step(self, batch, batch_idx):
        pass


def test_a_value_of_a_whole_epoch_may_be_monitored_by_steps(tmp_path):
    data = loader(torch.rand(2 * BATCHES, 3), batch_size=2)
    callback = Checkpoints(monitor="train/score", every_n_train_steps=2, save_top_k=-1)
    played = trainer(tmp_path, callbacks=[callback], enable_checkpointing=True, max_epochs=3)
    played.fit(EpochMean(), data, data)
    assert steps(tmp_path) == [6, 8, 10, 12]


def test_a_value_that_nobody_logs_is_refused(tmp_path):
    data = loader(torch.rand(2 * BATCHES, 3), batch_size=2)
    callback = Checkpoints(monitor="val/scroe", every_n_train_steps=2)
    played = trainer(tmp_path, callbacks=[callback], enable_checkpointing=True, max_epochs=3)
    with pytest.raises(MisconfigurationException, match="val/scroe"):
        played.fit(Worse(tmp_path / "last.ckpt"), data, data)


def test_last_is_the_last_state_when_the_best_is_monitored(tmp_path):
    train(tmp_path, Checkpoints(monitor="discriminator/loss", save_top_k=1), log_every_n_steps=1)
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt")["global_step"] == 2 * BATCHES


def test_only_last(tmp_path):
    train(tmp_path, Checkpoints(save_top_k=0))
    assert names(tmp_path) == ["last.ckpt"]
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt")["global_step"] == 2 * BATCHES


def test_an_error_leaves_the_last_good_checkpoint(tmp_path):
    class Fails(Tug):
        def training_step(self, batch, batch_idx):
            if self.trainer.global_step == 6:
                raise ZeroDivisionError
            super().training_step(batch, batch_idx)

    data = loader(torch.rand(2 * BATCHES, 3), batch_size=2)
    with pytest.raises(ZeroDivisionError):
        fit(Fails(), data, tmp_path, callbacks=[Checkpoints()], enable_checkpointing=True, max_epochs=2)
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt")["global_step"] == BATCHES
