"""Where a training stands, what a checkpoint remembers of how it was trained, and what may be different when it goes on."""

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as L

from ganzoo import __version__
from ganzoo.errors import InputError
from ganzoo.say import say

FORMAT = 1  # of what ganzoo adds to a checkpoint


def place(trainer: L.Trainer) -> tuple[int, int]:
    """The epoch in hand and how many of its batches are done, both from 0, of a running or a resumed training.

    A place between two epochs is the beginning of the next one.
    """
    epochs: Any = trainer.fit_loop.epoch_progress.current
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress
    if epochs.started <= epochs.processed:
        # a run that is stopped by its number of steps counts the epoch that it was in
        cut = batches.current.processed if not batches.is_last_batch else 0
        return (epochs.processed - 1, cut) if cut else (epochs.processed, 0)
    # of a checkpoint that was written as the last batch ended, Lightning goes on in the next epoch
    if batches.is_last_batch and batches.current.completed < batches.current.processed:
        return epochs.processed + 1, 0
    return epochs.processed, batches.current.processed


def within_epoch(trainer: L.Trainer) -> bool:
    """Whether batches of the epoch in hand are done and others are not."""
    return place(trainer)[1] > 0 and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch


def written() -> dict[str, Any]:
    """Who wrote a checkpoint, and in which form."""
    return {"format": FORMAT, "version": __version__}


def record(module: L.LightningModule, seed: int) -> dict[str, Any]:
    """What a checkpoint remembers beside weights and progress: plain data."""
    trainer = module.trainer
    data = getattr(trainer, "datamodule", None)
    return {
        **written(),
        "seed": seed,
        "processes": trainer.world_size,
        "data": None if data is None else type(data).__qualname__,
        "direction": getattr(data, "direction", None),
        "within_epoch": within_epoch(trainer),
        "validation_due": validation_due(trainer),
    }


def check_version(remembered: Mapping[str, Any]) -> None:
    """Refuses what a newer ganzoo has written in another way.

    Raises:
        InputError: its format is not known here.
    """
    if remembered.get("format", FORMAT) > FORMAT:
        raise InputError(
            f"the checkpoint was written by ganzoo {remembered.get('version')}, which writes more than this ganzoo "
            f"{__version__} can read: install the newer one"
        )


def check_changes(what: str, before: Mapping[str, Any], now: Mapping[str, Any], within: bool, order: bool = True) -> None:
    """Says what is not as it was when the checkpoint was written.

    Args:
        what: whose values these are, as the user names it: ``data``.
        before: values as they were, by name; those that are not in ``now`` are passed over.
        now: values as they are.
        within: whether the checkpoint is from within an epoch.
        order: whether another value means another order of the data, which has no meaning within an epoch.

    Raises:
        InputError: within an epoch, where the data's order is another one.
    """
    changed = [
        f"{what}.{k} was {before[k]} and is {v}" for k, v in now.items() if k in before and _tuples(before[k]) != _tuples(v)
    ]
    if not changed:
        return
    if order and within:
        raise InputError(
            f"the checkpoint is from within an epoch, and {', '.join(changed)}: the rest of the epoch is another one. "
            "Go on as before, or from a checkpoint of an epoch's end"
        )
    say(f"not as in the checkpoint: {', '.join(changed)}")


def beginning(trainer: L.Trainer) -> tuple[int, int]:
    """Where a training loader that is made now begins: at :func:`place` where a run is taken up, else with the epoch."""
    if trainer.fit_loop.restarting:
        return place(trainer)
    return trainer.fit_loop.epoch_progress.current.processed, 0  # type: ignore[attr-defined]


def validation_due(trainer: L.Trainer) -> bool:
    """Whether a validation follows the batch in hand, which has not quite ended: the moment of a step's checkpoint."""
    loop: Any = trainer.fit_loop.epoch_loop
    done, fetcher = loop.batch_progress.current, trainer.fit_loop._data_fetcher
    ending = done.ready == done.processed == done.completed + 1
    return bool(ending and fetcher is not None and trainer.training and loop._should_check_val_fx(fetcher))


def mend(loops: dict[str, Any], trainer: L.Trainer, due: bool) -> None:
    """Tells Lightning 2.6 of some moments as of others, from which it goes on exactly.

    - An epoch that had been announced and not begun is announced again.
    - A run that was stopped within an epoch, by its number of steps or by its time, counts that epoch as done.
    - Where a training is limited by steps, one batch too many follows an epoch's end. None does after the last batch of
      that epoch, a moment earlier.
    - A validation that was left in its middle counts as done, as does one that was about to begin: both begin anew.

    Args:
        loops: ``checkpoint["loops"]``; changed in place.
        trainer: that goes on.
        due: whether a validation was to follow (:func:`validation_due`).
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
    if left:
        for count in ("current", "total"):
            validation[count].update(ready=1, started=1, processed=0, completed=0)
        validation["is_last_batch"] = False


def _tuples(value: Any) -> Any:
    # a config has lists where Python has tuples
    if isinstance(value, Mapping):
        return {key: _tuples(each) for key, each in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
