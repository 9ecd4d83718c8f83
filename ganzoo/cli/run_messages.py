"""What a run logs when it ends: how far it trained, its metrics, where the results are, how to resume it."""

import shlex
import signal
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import EarlyStopping

from ganzoo.cli.runs import newest_checkpoint
from ganzoo.cli.trainer_options import as_list
from ganzoo.utils.log import log_info

RESULTS = ("checkpoints/last.ckpt", "images", "predictions", "predictions.csv", "metrics.csv")


def log_training(trainer: L.Trainer, folder: Path) -> None:
    """Logs how far a training came, and where its results are."""
    last = "" if trainer.max_epochs in (None, -1) else f" of {trainer.max_epochs}"
    line = f"trained to epoch {trainer.current_epoch}{last}, step {trainer.global_step}"
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EarlyStopping) and callback.stopping_reason_message:
            line += f"; stopped early: {callback.stopping_reason_message}"
    _log_with_results(trainer, folder, line)


def log_metrics(trainer: L.Trainer, folder: Path, split: str, batches: Any) -> None:
    """Logs the metrics of a validation or a test, and where its results are.

    Args:
        trainer: the trainer that has run.
        folder: folder of the run.
        split: "validation" or "test".
        batches: number of batches of each loader.
    """
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    found = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    n = sum(int(each) for each in as_list(batches))
    nothing = "no metric is logged: `ganzoo evaluate CHECKPOINT` measures the images"
    _log_with_results(trainer, folder, f"{split} of {n} batch{'es' * (n != 1)}: {found or nothing}")


def log_stop(signum: int, trainer: L.Trainer | None = None, folder: Path | None = None) -> None:
    """Logs which signal stopped a run; of a training, after which step, and the command that resumes it.

    Args:
        signum: number of the signal.
        trainer: the trainer of a training; None for another command.
        folder: folder of a training's run.
    """
    line = f"stopped by {signal.Signals(signum).name}"
    if trainer is not None and folder is not None:
        line += f" after step {trainer.global_step}"
        newest = newest_checkpoint(folder / "checkpoints")
        if newest is not None:
            again = shlex.join(["ganzoo", "fit", "--config", str(folder / "config.yaml"), "--ckpt_path", str(newest)])
            line += f"; to resume from its last checkpoint: {again}"
    log_info(line)


def _log_with_results(trainer: L.Trainer, folder: Path, line: str) -> None:
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        log_info(f"{line}; fast_dev_run writes nothing")
        return
    found = [str(folder / name) for name in RESULTS if (folder / name).exists()]
    log_info(f"{line}; results: {', '.join(found) or folder}")
