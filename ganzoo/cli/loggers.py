"""Points loggers to a run's folder, and continues the W&B run of a checkpoint."""

import os
import re
from importlib.util import find_spec
from pathlib import Path

from jsonargparse import Namespace
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

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
        InputError: the logger's package is not installed.
    """
    cls, args = find_class(logger.class_path, Logger), logger.init_args  # type: ignore[type-abstract]
    if "save_dir" in args:
        if args.save_dir not in (None, "."):
            log_info(
                f"{cls.__name__} writes into the run's folder, and not into {args.save_dir}: "
                "--trainer.default_root_dir or --run_dir says where runs are"
            )
        args.save_dir = str(folder)
    if issubclass(cls, TensorBoardLogger) and not (find_spec("tensorboard") or find_spec("tensorboardX")):
        raise InputError('TensorBoardLogger needs tensorboard: pip install "lightning-ganzoo[tensorboard]" (or tensorboard)')
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
