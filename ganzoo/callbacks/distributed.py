"""Helpers for callbacks that evaluate a model during training: run on all ranks and leave the training unchanged."""

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

from ganzoo.errors import InputError
from ganzoo.evaluation.batches import EvalSplit, Shard
from ganzoo.evaluation.sources import Splits
from ganzoo.evaluation.table import FeatureTable
from ganzoo.evaluation.worker import Worker
from ganzoo.utils.progress import ProgressBar

PATIENCE = 2.0  # seconds without a bar
Found = TypeVar("Found")


# -- ranks --------------------------------------------------------------------------------------------------------------


def on_all_ranks(trainer: L.Trainer, work: Callable[[], object]) -> None:
    """Every rank works. What one of them finds wrong, all of them raise: none waits for another that has given up."""
    wrong = _error_of(work)
    first = next((each for each in gather(trainer, wrong) if each is not None), None)
    if first is not None:
        raise first


def on_rank_zero(trainer: L.Trainer, work: Callable[[], Found]) -> Found:
    """Rank 0 works, and all ranks have its result, or raise what it finds wrong."""
    result: Any = None
    if trainer.is_global_zero:
        try:
            result = work()
        except InputError as error:
            result = error
    result = trainer.strategy.broadcast(result)
    if isinstance(result, InputError):
        raise result
    return result  # type: ignore[no-any-return]


def gather(trainer: L.Trainer, mine: Found) -> list[Found]:
    """What every rank has, in the order of the ranks, on all of them; objects of any kind and size."""
    if trainer.world_size == 1:
        return [mine]
    found: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(found, mine)
    return found


def _error_of(work: Callable[[], object]) -> InputError | None:
    try:
        work()
    except InputError as error:
        return error
    return None


# -- the trainer --------------------------------------------------------------------------------------------------------


def is_fast_dev_run(trainer: L.Trainer) -> bool:
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


def loader_of(trainer: L.Trainer, split: str) -> Any:
    """The loader of a split that the trainer has."""
    return {"train": trainer.train_dataloader, "val": trainer.val_dataloaders, "test": trainer.test_dataloaders}[split]


def load_split(trainer: L.Trainer, module: L.LightningModule, split: str) -> Any:
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


def log_to_loggers(trainer: L.Trainer, values: dict[str, float]) -> None:
    step = trainer.fit_loop.epoch_loop._batches_that_stepped  # the x-axis of everything else
    for logger in trainer.loggers:
        logger.log_metrics({**values, "epoch": trainer.current_epoch}, step)
        logger.save()


@contextmanager
def isolated(trainer: L.Trainer) -> Iterator[None]:
    """Disables autograd inside the block, and restores the global random states afterwards.

    A data set may draw from them. The trainer validates or tests, for hooks that ask it whether to augment.
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
def rank_zero_buffers(trainer: L.Trainer, module: L.LightningModule) -> Iterator[None]:
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
def progress_bar(trainer: L.Trainer, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar among the trainer's own, if it has any, for what takes longer than a moment; yields how it is moved."""
    own = trainer.progress_bar_callback
    shown = own is not None and trainer.is_global_zero and not getattr(own, "is_disabled", False)
    if isinstance(own, RichProgressBar) and shown:
        with _rich_bar(own, what, total) as advance:
            yield advance
        return
    with ProgressBar(total, what, delay=PATIENCE, shown=shown) as bar:
        yield bar.update


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


# -- an evaluation during a training ------------------------------------------------------------------------------------


class TrainerWorker(Worker):
    """Shares an evaluation out to all ranks of a trainer, in memory, with a bar among the trainer's own.

    Args:
        trainer: whose ranks work.
        title: in front of what the progress bar shows.
        log: is called with what is to be said of the images.
    """

    def __init__(self, trainer: L.Trainer, title: str, log: Callable[[str], None]) -> None:
        self.trainer, self.title, self._log = trainer, title, log
        self.shard = Shard(trainer.global_rank, trainer.world_size)

    def on_rank_zero(self, work: Callable[[], Found]) -> Found:
        """Rank 0 works; all ranks have its result, or raise its InputError."""
        return on_rank_zero(self.trainer, work)

    def on_all_ranks(self, work: Callable[[], object]) -> None:
        """Every rank works; if one raises an InputError, all do."""
        on_all_ranks(self.trainer, work)

    def gather(self, table: FeatureTable) -> None:
        """Gives rank 0 the rows that other ranks have written, some thousands at a time."""
        if self.trainer.world_size == 1:
            return
        pieces = [] if self.trainer.is_global_zero else table.pieces()
        for number in range(max(gather(self.trainer, len(pieces)))):
            mine = pieces[number]() if number < len(pieces) else None
            everyones: list[Any] = [None] * self.trainer.world_size
            torch.distributed.gather_object(mine, everyones if self.trainer.is_global_zero else None)
            for piece in everyones:
                if piece is not None:
                    table.take(piece)

    @contextmanager
    def progress(self, what: str, total: int, done: int) -> Iterator[Callable[[int], object]]:
        """Shows how many of `total` images all ranks have done."""
        with progress_bar(self.trainer, f"{self.title}: {what}", total) as advance:
            yield lambda n: advance(n * self.trainer.world_size)

    def log(self, what: str, line: str) -> None:
        """Logs a line about the images; whose they are is left out, so that it is said once."""
        self._log(line)


class TrainerSplit(Splits):
    """The split that a callback evaluates.

    Args:
        split: its images.
        source: the data module, or the module that has the loaders.
    """

    def __init__(self, split: EvalSplit, source: object) -> None:
        self.name, self.arguments = type(source).__name__, {}
        self._split = split

    def split(self, name: str) -> EvalSplit:
        """That split."""
        return self._split
