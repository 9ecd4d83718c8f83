"""What a callback needs that looks at a model in its training: all processes together, and the training left as it was."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import lightning.pytorch as L
import torch
import torch.distributed
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.trainer.states import RunningStage
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.seed import isolate_rng
from tqdm import tqdm

from ganzoo.errors import InputError
from ganzoo.metrics.extractors.base import Extractor

PATIENCE = 2.0  # seconds without a bar
Mine = TypeVar("Mine")
Found = TypeVar("Found")


# -- processes ----------------------------------------------------------------------------------------------------------


def together(trainer: L.Trainer, look: Callable[[], Mine], combine: Callable[[list[Mine]], Found]) -> Found | None:
    """Every process looks, and the first combines what they have seen: its result there, None on the others.

    What one of them finds wrong, all of them raise: none waits for another that has given up.
    """
    mine = _tried(look)
    everyones: list[Any] = [mine]
    if trainer.world_size > 1:
        everyones = [None] * trainer.world_size
        torch.distributed.gather_object(mine, everyones if trainer.is_global_zero else None)
    found: Any = None
    if trainer.is_global_zero:
        wrong = next((each for each in everyones if isinstance(each, InputError)), None)
        found = wrong or _tried(lambda: combine(everyones))
    wrong = trainer.strategy.broadcast(found if isinstance(found, InputError) else None)
    if wrong is not None:
        raise wrong
    return found


def told(trainer: L.Trainer, found: Found | None) -> Found:
    """What the first process has found, on all."""
    return trainer.strategy.broadcast(found)  # type: ignore[return-value]


def _tried(work: Callable[[], Any]) -> Any:
    try:
        found = work()
    except InputError as error:
        return error
    return found


# -- the trainer --------------------------------------------------------------------------------------------------------


def is_rehearsal(trainer: L.Trainer) -> bool:
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]  # set behind the checker's back


def validates(trainer: L.Trainer) -> bool:
    # a data module that holds nothing out has an empty list; and None is what will only be asked in a later epoch
    return trainer.enable_validation and trainer.val_dataloaders != []


def is_last(trainer: L.Trainer) -> bool:
    """Whether no epoch that is validated comes after this one, as far as the trainer's limits tell."""
    epochs = trainer.check_val_every_n_epoch or 1
    by_epochs = trainer.max_epochs not in (None, -1) and trainer.current_epoch + epochs >= trainer.max_epochs
    between = trainer.val_check_batch  # None where it goes by the clock, inf where an epoch's end is not known
    steps = int(between) * epochs if between is not None and math.isfinite(between) else 1
    by_steps = trainer.max_steps != -1 and trainer.global_step + steps > trainer.max_steps
    return bool(trainer.should_stop or by_epochs or by_steps)


def at_hand(trainer: L.Trainer, split: str) -> Any:
    """The loader of a split that the trainer has."""
    return {"train": trainer.train_dataloader, "val": trainer.val_dataloaders, "test": trainer.test_dataloaders}[split]


def asked_for(trainer: L.Trainer, module: L.LightningModule, split: str) -> Any:
    """The loader of a split that the trainer has no use for; None if nobody has one."""
    data = getattr(trainer, "datamodule", None)
    stage = {"train": "fit", "val": "validate", "test": "test"}[split]
    # what is set up for fitting has its validation set, and another one might be split off the training set anew
    if data is not None and stage != trainer.state.fn and not (stage == "validate" and trainer.state.fn == "fit"):
        data.setup(stage)
    try:
        return getattr(data or module, "train_dataloader" if split == "train" else f"{split}_dataloader")()
    except MisconfigurationException:  # what Lightning's own raises, where nobody has written one
        return None


def tell_loggers(trainer: L.Trainer, values: dict[str, float]) -> None:
    step = trainer.fit_loop.epoch_loop._batches_that_stepped  # the x-axis of everything else
    for logger in trainer.loggers:
        logger.log_metrics({**values, "epoch": trainer.current_epoch}, step)
        logger.save()


def for_moments(device: torch.device) -> torch.device:
    """Moments are in float64, which not every device knows."""
    return device if device.type == "cuda" else torch.device("cpu")


@contextmanager
def apart(trainer: L.Trainer) -> Iterator[None]:
    """Inside the block nothing has a graph, and the common random streams, which a data set may draw from, are borrowed.

    The trainer validates or tests, for hooks that ask it whether to augment.
    """
    stage = trainer.state.stage
    trainer.state.stage = RunningStage.TESTING if trainer.state.fn == "test" else RunningStage.VALIDATING
    try:
        # Lightning validates in inference mode, whose tensors would be of no use in training mode
        with isolate_rng(), torch.inference_mode(False), torch.no_grad():
            yield
    finally:
        trainer.state.stage = stage


@contextmanager
def buffers_of_the_first(trainer: L.Trainer, module: L.LightningModule) -> Iterator[None]:
    """Inside the block every process has the first one's running averages: a checkpoint has them, and they are measured."""
    if trainer.world_size == 1:
        yield
        return
    own = {name: buffer.clone() for name, buffer in module.named_buffers()}
    given = trainer.strategy.broadcast({name: buffer.cpu() for name, buffer in own.items()})
    for name, buffer in module.named_buffers():
        if name in given and given[name].shape == buffer.shape:
            buffer.copy_(given[name])
    try:
        yield
    finally:
        for name, buffer in module.named_buffers():
            buffer.copy_(own[name])


@contextmanager
def at_work(extractor: Extractor, device: torch.device) -> Iterator[None]:
    """Inside the block the extractor is on the device; afterwards its room there is the training's again."""
    extractor.to(device)
    try:
        yield
    finally:
        extractor.to("cpu")


@contextmanager
def bar(trainer: L.Trainer, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar among the trainer's own, if it has any, for what takes longer than a moment; yields how it is moved."""
    own = trainer.progress_bar_callback
    shown = own is not None and trainer.is_global_zero and not getattr(own, "is_disabled", False)
    if isinstance(own, RichProgressBar) and shown:
        with _rich_bar(own, what, total) as advance:
            yield advance
        return
    delay: dict[str, Any] = {"delay": PATIENCE, "leave": False, "disable": None if shown else True}
    with tqdm(desc=what, total=total, unit="picture", **delay) as bar:

        def advance(n: int) -> None:
            bar.update(min(n, total - bar.n))

        yield advance


@contextmanager
def _rich_bar(own: RichProgressBar, what: str, total: int) -> Iterator[Callable[[int], None]]:
    # another display would overwrite this one. A task is never removed, as the trainer's own are found by their place
    bars = own.progress
    if bars is None:
        yield lambda n: None
        return
    task, begun = bars.add_task(what, total=total, visible=False), time.monotonic()

    def advance(n: int) -> None:
        bars.update(task, advance=n, visible=time.monotonic() - begun > PATIENCE)
        own.refresh()

    try:
        yield advance
    finally:
        bars.update(task, visible=False)
        own.refresh()
