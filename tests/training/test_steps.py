"""Where a step stands in its accumulation window, and how many steps a training has."""

import csv
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from support.training import fit, loader

from ganzoo.errors import InputError
from ganzoo.models import GAN
from ganzoo.training.steps import Step, total_steps


def at(batch: int, batches: int = 5, log_every: int = 2, epoch: int = 0) -> SimpleNamespace:
    """What a trainer says at a batch of an epoch of so many."""
    loop = SimpleNamespace(batch_idx=batch, total_batch_idx=epoch * batches + batch)
    return SimpleNamespace(
        fit_loop=loop,
        log_every_n_steps=log_every,
        num_training_batches=batches,
        is_last_batch=batch == batches - 1,
        global_step=batch,
    )


def test_every_batch_is_a_step_of_its_own():
    for batch in range(5):
        step = Step.now(at(batch), accumulate=1)
        assert (step.is_first, step.is_last, step.share) == (True, True, 1.0)
        assert (step.counted, step.descended) == (False, set())


def test_a_window_ends_with_the_epoch_and_its_shares_sum_to_one():
    steps = [Step.now(at(batch), accumulate=2) for batch in range(5)]
    assert [step.is_first for step in steps] == [True, False, True, False, True]
    assert [step.is_last for step in steps] == [False, True, False, True, True]
    assert [step.share for step in steps] == [0.5, 0.5, 0.5, 0.5, 1.0]


def test_the_first_step_is_logged_and_then_every_nth_over_all_epochs():
    steps = [Step.now(at(batch, log_every=2, epoch=epoch), 1) for epoch in (0, 1) for batch in range(5)]
    assert [step.batch for step in steps if step.log_now] == [0, 1, 3, 5, 7, 9]
    assert [Step.now(at(batch, log_every=0), 1).log_now for batch in range(3)] == [True, False, False]


@pytest.mark.parametrize(
    ("epochs", "steps", "accumulate", "expected"),
    [(3, -1, 1, 15), (3, -1, 2, 9), (3, 7, 1, 7), (None, 7, 1, 7), (-1, 7, 2, 7), (3, 100, 2, 9), (3, 0, 1, 1)],
)
def test_the_length_is_what_ends_the_training_first(epochs, steps, accumulate, expected):
    trainer = SimpleNamespace(estimated_stepping_batches=1, max_steps=steps, max_epochs=epochs, num_training_batches=5)
    assert total_steps(trainer, accumulate, "DANN") == expected


@pytest.mark.parametrize(("epochs", "batches"), [(None, 5), (-1, 5), (3, float("inf"))])
def test_a_training_without_an_end_is_refused_in_one_line(epochs, batches):
    trainer = SimpleNamespace(
        estimated_stepping_batches=float("inf"), max_steps=-1, max_epochs=epochs, num_training_batches=batches
    )
    with pytest.raises(InputError, match=r"^DANN follows the share .* give trainer\.max_epochs or trainer\.max_steps$"):
        total_steps(trainer, 1, "DANN")


def test_a_step_logs_its_own_values_and_the_bar_keeps_earlier_ones(tmp_path):
    model = GAN(**GAN.small, k=2)
    logger = CSVLogger(tmp_path, name="", version="")
    played = fit(
        model, loader(torch.rand(10, 1, 8, 8), batch_size=2), tmp_path, max_epochs=1, logger=logger, log_every_n_steps=1
    )
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["discriminator/loss"]) for row in rows] == [True] * 5
    assert [bool(row["generator/loss"]) for row in rows] == [False, True, False, True, False]
    assert played.progress_bar_metrics["generator/loss"] == pytest.approx(float(rows[3]["generator/loss"]))
    assert played.callback_metrics["generator/loss"] == pytest.approx(float(rows[3]["generator/loss"]))
