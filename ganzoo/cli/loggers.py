"""Points loggers to a run's folder, continues the W&B run of a checkpoint, and says which checkpoints went to W&B."""

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from jsonargparse import Namespace
from lightning.pytorch.loggers import CometLogger, CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from ganzoo.errors import InputError
from ganzoo.training.recipes import find_class
from ganzoo.utils.log import log_info


def configure_logger(logger: Namespace, folder: Path, name: str, checkpoint: str | None) -> None:
    """Makes a logger of the config write into the run's folder.

    Args:
        logger: the logger's ``class_path`` and ``init_args``, which are changed in place.
        folder: folder of the run.
        name: name of the runs, such as ``gan_mnist``.
        checkpoint: path of the checkpoint that a training resumes from, whose W&B run it continues; None for a new one.

    Raises:
        InputError: the logger's package is not installed, or it needs an argument.
    """
    cls, args = find_class(logger.class_path, Logger), logger.init_args  # type: ignore[type-abstract]
    _check_installed(cls)
    if "save_dir" in args:
        if args.save_dir not in (None, "."):
            log_info(
                f"{cls.__name__} writes into the run's folder, and not into {args.save_dir}: "
                "--trainer.default_root_dir or --run_dir says where runs are"
            )
        args.save_dir = str(folder)
    if issubclass(cls, CSVLogger | TensorBoardLogger):
        args.name, args.version = "", ""
    elif issubclass(cls, WandbLogger):
        before = None if args.id or args.version else wandb_run(checkpoint)
        if before is not None:
            args.id, called = before
            args.resume = args.resume or "allow"
            args.name = args.name or f"{name}/{called}"
            log_info(f"continues the W&B run {args.id}; --trainer.logger.id gives another")
        args.name = args.name or f"{name}/{folder.name}"
        args.project = args.project or os.environ.get("WANDB_PROJECT", "ganzoo")
        # its service is a process of its own, whose current folder is that of the first run in this process
        args.save_dir = str(folder.absolute())
        if args.offline:
            # W&B keeps an offline run's artifacts for `wandb sync`, which Lightning's own option refuses; and the
            # environment variable that it sets is not read by a second run in this process
            args.offline = False
            _give(logger, mode="offline")
    elif issubclass(cls, MLFlowLogger):
        if not args.tracking_uri:  # MLflow itself refuses Lightning's default, a folder
            raise InputError(
                "MLFlowLogger needs a store for its runs: give --trainer.logger.tracking_uri sqlite:///mlflow.db, or the "
                "address of a server (or set MLFLOW_TRACKING_URI)"
            )
        if args.experiment_name == "lightning_logs":
            args.experiment_name = name
        args.run_name = args.run_name or folder.name
    elif issubclass(cls, CometLogger):
        args.project = args.project or os.environ.get("COMET_PROJECT_NAME", "ganzoo")
        _give(logger, offline_directory=str(folder), name=f"{name}/{folder.name}")


def _give(logger: Namespace, **values: Any) -> None:
    """Gives a logger arguments, those that its signature does not name as well, where the user gave none."""
    extra = dict(logger.get("dict_kwargs") or {})
    for name, value in values.items():
        if name in logger.init_args:
            logger.init_args[name] = logger.init_args[name] or value
        else:
            extra.setdefault(name, value)
    if extra:
        logger.dict_kwargs = extra


def _check_installed(cls: type[Logger]) -> None:
    for kind, modules, how in (
        (TensorBoardLogger, ("tensorboard", "tensorboardX"), '"lightning-ganzoo[tensorboard]" (or tensorboard)'),
        (MLFlowLogger, ("mlflow",), "mlflow (or mlflow-skinny)"),
        (CometLogger, ("comet_ml",), "comet_ml"),
    ):
        if issubclass(cls, kind) and not any(find_spec(module) for module in modules):
            raise InputError(f"{kind.__name__} needs {modules[0]}: pip install {how}")


def log_artifacts(trainer: L.Trainer) -> None:
    """Logs which checkpoints a finished training has given to W&B as artifacts, and how large they are."""
    for logger in trainer.loggers:
        if not isinstance(logger, WandbLogger) or not trainer.is_global_zero:
            continue
        given = [Path(path) for path in logger._logged_model_time]
        if given:
            sizes = ", ".join(f"{path.name} ({path.stat().st_size / 1e6:.1f} MB)" for path in given if path.exists())
            log_info(f"W&B artifact {logger._checkpoint_name}: {sizes}")


def wandb_run(checkpoint: str | None) -> tuple[str, str] | None:
    """The W&B run that a checkpoint's run was logged to: its id, and the name of the run's folder; None for none.

    W&B names its folders after it: ``wandb/run-20260102_030405-<id>`` and ``wandb/offline-run-...``.
    """
    if checkpoint is None:
        return None
    folder = Path(checkpoint).absolute().parent.parent
    found = [path for path in folder.glob("wandb/*run-*") if re.fullmatch(r"(?:offline-)?run-\d+_\d+-\w+", path.name)]
    newest = max(found, key=lambda path: path.name.removeprefix("offline-"), default=None)
    return None if newest is None else (newest.name.rpartition("-")[2], folder.name)
