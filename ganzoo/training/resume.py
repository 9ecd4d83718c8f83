"""Exact resume: the position of a run, the metadata in its checkpoints, and what may differ on resume."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as L
from torch import Tensor

from ganzoo import __version__
from ganzoo.errors import InputError
from ganzoo.utils.checkout import commit
from ganzoo.utils.log import log_info

FORMAT = 1  # of what ganzoo adds to a checkpoint
DAMAGED = "the checkpoint is damaged inside, or was written by another program"


@dataclass(slots=True)
class Resumed:
    """State of a checkpoint that is kept until the optimizers exist, because Lightning loads it before it builds them.

    Attributes:
        loaded: whether ``on_load_checkpoint`` has run.
        optimizer_kinds: the class name of each player's optimizer.
        settings: initial numbers of optimizers and schedulers (``ganzoo.training.optimizers.settings``); None if not saved.
        states: the checkpoint's states of optimizers and of schedulers; None if no run is resumed.
        changed: whether hyperparameters differ from the checkpoint's.
        total_steps: steps of the whole training, if anything in it depended on that.
        gradients: gradients of an open accumulation window, by parameter name.
    """

    loaded: bool = False
    optimizer_kinds: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] | None = None
    states: tuple[Any, Any] | None = None
    changed: bool = False
    total_steps: int | None = None
    gradients: dict[str, Tensor] = field(default_factory=dict)


def position(trainer: L.Trainer) -> tuple[int, int]:
    """Returns the current epoch and the number of its batches that are done, both from 0, of a running or resumed run.

    Between two epochs it is the beginning of the next one.
    """
    epochs: Any = trainer.fit_loop.epoch_progress.current
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress
    if epochs.started <= epochs.processed:
        # a run that is stopped by its number of steps counts the epoch that it was in
        cut = batches.current.processed if not batches.is_last_batch else 0
        return (epochs.processed - 1, cut) if cut else (epochs.processed, 0)
    # a checkpoint that was written as the last batch ended continues in the next epoch
    if batches.is_last_batch and batches.current.completed < batches.current.processed:
        return epochs.processed + 1, 0
    return epochs.processed, batches.current.processed


def within_epoch(trainer: L.Trainer) -> bool:
    """Whether the run is within an epoch: some of its batches are done and others are not."""
    return position(trainer)[1] > 0 and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch


def format_metadata() -> dict[str, Any]:
    """Returns the version of ganzoo and of the checkpoint format."""
    return {"format": FORMAT, "version": __version__}


def run_metadata(module: L.LightningModule, seed: int) -> dict[str, Any]:
    """Returns what a checkpoint says of its run besides weights and progress, as plain data: commit, seed, data ..."""
    trainer = module.trainer
    data = getattr(trainer, "datamodule", None)
    return {
        **format_metadata(),
        "commit": commit(),
        "seed": seed,
        "processes": trainer.world_size,
        "data": None if data is None else type(data).__qualname__,
        "direction": getattr(data, "direction", None),
        "within_epoch": within_epoch(trainer),
        "validation_due": validation_due(trainer),
        "validation_done": validation_done(trainer),
    }


def check_version(remembered: Mapping[str, Any]) -> None:
    """Refuses a checkpoint in a newer format.

    Raises:
        InputError: a newer ganzoo wrote it.
    """
    if remembered.get("format", FORMAT) > FORMAT:
        raise InputError(
            f"the checkpoint was written by ganzoo {remembered.get('version')}, which writes more than this ganzoo "
            f"{__version__} can read: install the newer one"
        )


def report_changes(what: str, before: Mapping[str, Any], now: Mapping[str, Any], within: bool, order: bool = True) -> None:
    """Logs the values that differ from those in the checkpoint.

    Args:
        what: the name of their section, for the message: ``data``.
        before: the checkpoint's values, by name; those that are not in ``now`` are ignored.
        now: this run's values.
        within: whether the checkpoint is from within an epoch.
        order: whether another value changes the order of the data.

    Raises:
        InputError: the order of the data changes within an epoch.
    """
    changed = [
        f"{what}.{k} was {before[k]} and is {v}" for k, v in now.items() if k in before and _tuples(before[k]) != _tuples(v)
    ]
    if not changed:
        return
    if order and within:
        raise InputError(
            f"the checkpoint is from within an epoch, and {', '.join(changed)}: the rest of the epoch would differ. "
            "Resume with the same settings, or from a checkpoint at the end of an epoch"
        )
    log_info(f"changed since the checkpoint: {', '.join(changed)}")


def report_length(before: int | None, now: int) -> None:
    """Logs that the training has another length than when the checkpoint was written.

    Args:
        before: steps of the whole training then; None if nothing depended on the length.
        now: steps of the whole training now.
    """
    if before is not None and before != now:
        log_info(
            f"the training had {before} steps in all and now has {now}: what depends on the progress (learning rates, loss "
            f"weights) jumps here, and the result is not that of a run of {now} steps"
        )


def report_zero_rates(rates: Mapping[str, Sequence[float]], epoch: int) -> bool:
    """Logs which players have learning rate 0, and returns whether any has.

    Args:
        rates: the rates of each player's parameter groups.
        epoch: the epoch that begins.
    """
    still = [name for name, each in rates.items() if each and max(each) <= 0]
    if still:
        nothing = "nothing" if len(still) == len(rates) else "by these players nothing"
        log_info(
            f"epoch {epoch}: the learning rate of {' and '.join(still)} is 0, because its schedule has ended, and "
            f"{nothing} will be learned: give a longer schedule, or end the training earlier"
        )
    return bool(still)


def resume_position(trainer: L.Trainer) -> tuple[int, int]:
    """Returns the epoch and batch at which a new training loader begins: :func:`position` on resume, else batch 0."""
    if trainer.fit_loop.restarting:
        return position(trainer)
    return trainer.fit_loop.epoch_progress.current.processed, 0  # type: ignore[attr-defined]


def validation_due(trainer: L.Trainer) -> bool:
    """Whether a validation follows the current batch, asked when a checkpoint is written at the end of a step."""
    loop: Any = trainer.fit_loop.epoch_loop
    done, fetcher = loop.batch_progress.current, trainer.fit_loop._data_fetcher
    ending = done.ready == done.processed == done.completed + 1
    return bool(ending and fetcher is not None and trainer.training and loop._should_check_val_fx(fetcher))


def validation_done(trainer: L.Trainer) -> bool:
    """Whether the current batch and the validation after it are done, and Lightning has counted both."""
    loop: Any = trainer.fit_loop.epoch_loop
    done, fetcher = loop.batch_progress, trainer.fit_loop._data_fetcher
    counted = done.current.ready == done.current.completed > 0 and loop._batches_that_stepped == done.total.completed
    return bool(counted and fetcher is not None and loop._should_check_val_fx(fetcher))


def fix_loop_state(loops: dict[str, Any], trainer: L.Trainer, due: bool, done: bool = False) -> None:
    """Corrects saved loop counters where Lightning 2.6 would not resume exactly.

    What Lightning would do, and what is corrected:

    - It skips an epoch that was announced and had not begun: the epoch is announced again.
    - It counts an epoch as done in which the run was stopped by ``max_steps`` or ``max_time``: the rest of it follows.
    - With ``max_steps`` it takes one batch too many after the end of an epoch: the counters are set to the last batch.
    - It skips a validation that was interrupted or about to begin: the validation starts again.

    Args:
        loops: ``checkpoint["loops"]``; changed in place.
        trainer: the trainer that resumes.
        due: whether a validation was due (:func:`validation_due`).
        done: whether a validation was done (:func:`validation_done`); otherwise Lightning counts the batch again.
    """
    fit = loops.get("fit_loop", {})
    epochs, batches = fit.get("epoch_progress"), fit.get("epoch_loop.batch_progress")
    validation = fit.get("epoch_loop.val_loop.batch_progress")
    if not epochs or not batches or not validation:
        return
    now, steps = epochs["current"], fit.get("epoch_loop.state_dict", {})
    if now["started"] == now["processed"] < now["ready"] and now["processed"]:
        for count in ("current", "total"):
            epochs[count]["ready"] = epochs[count]["started"]
            epochs[count]["completed"] = epochs[count]["processed"] - 1
    if now["started"] == now["processed"]:
        if batches["current"]["processed"] and not batches["is_last_batch"]:
            for count in ("current", "total"):
                epochs[count]["completed"] -= epochs[count]["completed"] == epochs[count]["processed"]
                epochs[count]["processed"] -= 1
        elif trainer.max_steps != -1 and now["completed"] == now["processed"] - 1 and batches["is_last_batch"]:
            for count in ("current", "total"):
                epochs[count]["processed"] -= 1
                batches[count]["completed"] -= 1
            steps["_batches_that_stepped"] = steps.get("_batches_that_stepped", 1) - 1
            return
    left = validation["current"]["ready"] and not validation["is_last_batch"]
    if due and batches["current"]["completed"] == batches["current"]["processed"] - 1:
        for count in ("current", "total"):
            batches[count]["completed"] += 1
        left = True
    elif done and now["started"] > now["processed"] and not left:
        steps["_batches_that_stepped"] = steps.get("_batches_that_stepped", 1) - 1
    if left:
        for count in ("current", "total"):
            validation[count].update(ready=1, started=1, processed=0, completed=0)
        validation["is_last_batch"] = False


def _tuples(value: Any) -> Any:
    # a config has lists where Python has tuples
    if isinstance(value, Mapping):
        return {key: _tuples(each) for key, each in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
