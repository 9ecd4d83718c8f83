"""The current training step, its position in the accumulation window, and the number of steps of a run."""

import math
from dataclasses import dataclass, field
from typing import Self

import lightning.pytorch as L

from ganzoo.errors import InputError


@dataclass(slots=True)
class Step:
    """One training batch. With ``accumulate=n``, n batches make one step, and the optimizers step in the last of them.

    Attributes:
        batch: training batches before this one, over all epochs.
        number: steps completed before this one (``trainer.global_step``).
        is_first: whether it is the first batch of its accumulation window, in which gradients begin at zero.
        is_last: whether it is the last batch of the window, in which the optimizers step.
        share: the weight of this batch's loss in the window's, 1 / (batches of the window).
        log_now: whether values of this step go to the logger and the progress bar.
        counted: whether an optimizer has stepped, and ``trainer.global_step`` with it.
        descended: the names of the players that have descended.
    """

    batch: int = -1
    number: int = 0
    is_first: bool = True
    is_last: bool = True
    share: float = 1.0
    log_now: bool = False
    counted: bool = False
    descended: set[str] = field(default_factory=set)

    @classmethod
    def now(cls, trainer: L.Trainer, accumulate: int) -> Self:
        """Reads the current step from the trainer."""
        loop = trainer.fit_loop
        place = loop.batch_idx % accumulate
        log_every = trainer.log_every_n_steps or math.inf  # type: ignore[attr-defined]
        # the last window of an epoch may be a short one
        window = min(accumulate, trainer.num_training_batches - (loop.batch_idx - place))
        return cls(
            batch=loop.total_batch_idx,
            number=trainer.global_step,
            is_first=place == 0,
            is_last=place == accumulate - 1 or trainer.is_last_batch,
            share=1 / window,
            # the first batch too, so that the progress bar has something to say
            log_now=loop.total_batch_idx == 0 or (loop.total_batch_idx + 1) % log_every == 0,
        )


def forget_logged(trainer: L.Trainer) -> None:
    """Lets Lightning forget what an earlier step logged. Loggers, callbacks and the progress bar keep what they were given.

    Otherwise Lightning reads the progress bar's values from the device after every step, which waits for the device, and
    gives loggers old values again in steps that have none of their own.
    """
    for item in trainer._results.values():  # type: ignore[union-attr]
        if item.meta.fx == "training_step" and not item.meta.on_epoch and not item.has_reset:
            item.reset()


def total_steps(trainer: L.Trainer, accumulate: int, model: str) -> int:
    """Computes how many steps the whole training has, from ``max_epochs`` and ``max_steps``.

    Args:
        trainer: the trainer of the run.
        accumulate: number of batches in one step.
        model: name of the model's class, for the error.

    Raises:
        InputError: the trainer has neither, or only ``max_time``.
    """
    batches = trainer.estimated_stepping_batches  # which loads the data, if that has not been done
    limits = [] if trainer.max_steps == -1 else [trainer.max_steps]
    if trainer.max_epochs not in (None, -1) and trainer.num_training_batches != float("inf"):
        limits.append(math.ceil(trainer.num_training_batches / accumulate) * trainer.max_epochs)
    if not limits or batches == float("inf"):
        raise InputError(
            f"{model} follows the share of the training that is done, and this one has no known end: give "
            "trainer.max_epochs or trainer.max_steps"
        )
    return max(min(limits), 1)
