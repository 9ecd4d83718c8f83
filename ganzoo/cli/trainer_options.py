"""Options of Lightning's Trainer: the ranges of its numbers, and ganzoo's default callbacks and plugins."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.plugins import CheckpointIO, ClusterEnvironment
from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.callbacks import BasePredictionWriter, ModelCheckpoint, ModelSummary, ProgressBar

from ganzoo.callbacks import Checkpoints, Compile, Dashboard, PredictionWriter, Progress
from ganzoo.callbacks.summary import Summary
from ganzoo.training.checkpoint_io import AtomicCheckpointIO
from ganzoo.utils.ranges import IntOrUnlimited, NonNegativeInt, PositiveInt, check_ranges

# what barebones, which is for timing, switches off
OFF_IN_BAREBONES = (
    "logger",
    "enable_checkpointing",
    "enable_progress_bar",
    "enable_model_summary",
    "log_every_n_steps",
    "num_sanity_val_steps",
)


def trainer(
    num_nodes: PositiveInt = 1,
    max_epochs: IntOrUnlimited | None = None,
    min_epochs: NonNegativeInt | None = None,
    max_steps: IntOrUnlimited = -1,
    min_steps: NonNegativeInt | None = None,
    check_val_every_n_epoch: PositiveInt | None = 1,
    num_sanity_val_steps: IntOrUnlimited | None = None,
    log_every_n_steps: NonNegativeInt | None = None,
    reload_dataloaders_every_n_epochs: NonNegativeInt = 0,
) -> None:
    """The whole numbers of a Trainer and their ranges."""


def check_trainer(options: Mapping[str, Any]) -> None:
    """Checks a trainer's options before it is built.

    Raises:
        InputError: a number that no training can use.
    """
    names = trainer.__annotations__.keys() - {"return"}
    check_ranges(trainer, **{name: value for name, value in options.items() if name in names})


def with_default_callbacks(callbacks: list[Any], options: Any, folder: Path, compiles: bool, predicts: bool) -> list[Any]:
    """A trainer's callbacks, and ganzoo's own where the user chose none of a kind.

    Args:
        callbacks: what the user chose.
        options: the trainer's options.
        folder: folder of the run; checkpoints go into ``checkpoints`` there, whichever the logger.
        compiles: whether the networks are compiled.
        predicts: whether the command is ``predict``.
    """
    if options.barebones:
        callbacks = [each for each in callbacks if not isinstance(each, ModelCheckpoint | ProgressBar | ModelSummary)]
    wanted = [
        (compiles, Compile, Compile),
        (predicts, BasePredictionWriter, PredictionWriter),
    ]
    if not options.barebones:
        wanted += [
            (options.enable_checkpointing is not False, ModelCheckpoint, Checkpoints),
            (options.enable_progress_bar is not False, ProgressBar, Progress),
            (options.enable_model_summary is not False, ModelSummary, Summary),
            (options.logger is not False, Dashboard, Dashboard),
        ]
    own = [default() for is_wanted, kind, default in wanted if is_wanted and not has_kind(callbacks, kind)]
    for callback in (*callbacks, *own):
        if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
            callback.dirpath = str(folder / "checkpoints")
    return [*callbacks, *own]


def with_default_plugins(plugins: list[Any]) -> list[Any]:
    """A trainer's plugins, and ganzoo's own where the user chose none of a kind: atomic checkpoints, no requeueing."""
    plugins = list(plugins)
    if not has_kind(plugins, CheckpointIO):
        plugins.append(AtomicCheckpointIO())
    # what Lightning would find, but without its way of requeueing jobs: that saves wherever a signal finds the training,
    # and in this run's folder, where the job's next run does not look
    if not has_kind(plugins, ClusterEnvironment) and not TorchElasticEnvironment.detect() and SLURMEnvironment.detect():
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return plugins


def has_kind(objects: list[Any], kind: type) -> bool:
    """Whether one of the objects is an instance of a class."""
    return any(isinstance(each, kind) for each in objects)


def as_list(value: Any) -> list[Any]:
    """None, one object or several, as a list."""
    return [] if value is None else value if isinstance(value, list) else [value]
