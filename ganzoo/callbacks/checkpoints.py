"""Saves checkpoints while training: ModelCheckpoint for modules with manual optimization."""

import os
import re
import shutil
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from ganzoo.errors import InputError
from ganzoo.utils.files import atomic_write
from ganzoo.utils.log import log_info


class Checkpoints(ModelCheckpoint):
    """Saves ``epoch=3-step=1200.ckpt`` at each epoch's end (or as asked) and ``last.ckpt`` with it.

    A step is a batch, however many players stepped in it. A training that ends, or is stopped between two steps (by
    Ctrl-C or SIGTERM, see ``StopOnSignal``), saves its last state in ``last.ckpt``. After an error ``last.ckpt`` is the
    last one saved.

    Args:
        dirpath: the folder. Default: ``checkpoints`` in the run's folder.
        filename: name of the checkpoints, with fields ``{epoch}``, ``{step}`` and any logged value.
        monitor: the logged value that decides which checkpoints to keep. Default: keep the newest.
        mode: whether the ``min`` or the ``max`` of the monitored value is best.
        save_top_k: number of checkpoints to keep besides ``last.ckpt``; -1 keeps all.
        save_last: whether to write ``last.ckpt``. Without a monitor it is a hard link to the newest file and needs no extra
            space. It is written at every save, also if the monitored value is not better.
        every_n_train_steps: save every n steps, instead of at the end of epochs. With a monitor, a save at the end of an
            epoch waits for its validation.
        every_n_epochs: save every n epochs.
        train_time_interval: save at this interval of time. With a monitor, it waits as above.
        save_on_train_epoch_end: save at the end of each epoch (the default without a monitor) or of each validation. Without
            meaning where steps or a time decide.
        save_weights_only: leave out everything that only resuming needs.
    """

    def __init__(
        self,
        dirpath: str | Path | None = None,
        filename: str | None = "{epoch}-{step}",
        monitor: str | None = None,
        mode: Literal["min", "max"] = "min",
        save_top_k: int = 1,
        save_last: bool = True,
        every_n_train_steps: int | None = None,
        every_n_epochs: int | None = None,
        train_time_interval: timedelta | None = None,
        save_on_train_epoch_end: bool | None = None,
        save_weights_only: bool = False,
    ) -> None:
        if monitor == "":
            raise InputError("Checkpoints: monitor is empty: give the name of a logged value, or null for the newest")
        newest = monitor is None and save_top_k != 0
        by_epochs = not every_n_train_steps and train_time_interval is None
        if save_on_train_epoch_end is None and monitor is None and by_epochs:
            save_on_train_epoch_end = True  # Lightning would wait for the epoch that validates
        if monitor is not None and not by_epochs:
            save_on_train_epoch_end = False  # or Lightning forgets a save that waits for the validation at an epoch's end
        super().__init__(
            dirpath=dirpath,
            filename=filename,
            monitor=monitor,
            mode=mode,
            save_top_k=save_top_k,
            save_last=("link" if newest else True) if save_last else False,
            every_n_train_steps=every_n_train_steps,
            every_n_epochs=every_n_epochs,
            train_time_interval=train_time_interval,
            save_on_train_epoch_end=save_on_train_epoch_end,
            save_weights_only=save_weights_only,
            save_on_exception=True,
        )

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves if ``every_n_train_steps`` or ``train_time_interval`` is due."""
        self._validated = False
        # For manual optimization Lightning has another branch, without time intervals and with a warning of twenty
        # lines. All that it asks of the module is this attribute.
        automatic: Any = SimpleNamespace(automatic_optimization=True)
        super().on_train_batch_end(trainer, automatic, outputs, batch, batch_idx)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Determines the folder."""
        super().setup(trainer, pl_module, stage)
        self._saved_at = (-1, -1)
        self._saved_batches = 0
        self._validated = self._epoch_ended = False

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Saves after a validation, if that is configured."""
        self._validated = True
        # a metric of a whole epoch of training is there from the first epoch's end on
        waits = self._defer_save_until_validation and not self._epoch_ended
        if not (waits and self.monitor not in self._monitor_candidates(trainer)):
            super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Saves at the end of an epoch, if that is configured."""
        self._epoch_ended = True
        super().on_train_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Saves the last state at the end of the training.

        Also if that step is saved already: a checkpoint from before its validation, or before the end of its epoch, would
        do these again on resume.
        """
        if trainer.fast_dev_run or not self.save_last or self._saved_at == _place(trainer):  # type: ignore[attr-defined]
            return
        values = self._monitor_candidates(trainer)
        values["epoch"] = values["epoch"] - 1  # Lightning has begun to count the next
        if self.save_last == "link":
            self._save_topk_checkpoint(trainer, values)
        self._save_last_checkpoint(trainer, values)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Saves the last state if the training was stopped between two steps.

        It does not save after an error, nor if Ctrl-C came between two players' steps: the last checkpoint is better. Nor
        after Ctrl-C in one of several processes, which would wait for each other.
        """
        step = trainer.fit_loop.epoch_loop.batch_progress.current
        whole = step.ready == step.processed and trainer.world_size == 1  # type: ignore[attr-defined]
        if isinstance(exception, SIGTERMException) or (isinstance(exception, KeyboardInterrupt) and whole):
            if self._saved_batches != _batches(trainer):
                # Lightning asks by the step, and within an accumulation window that is the one before
                self._last_global_step_saved = -1
            if trainer.validating and not self._validated:  # which is to be made up for
                left: Any = trainer.fit_loop.epoch_loop.val_loop.batch_progress
                left.current.ready, left.is_last_batch = max(left.current.ready, 1), False
            super().on_exception(trainer, pl_module, exception)

    def _monitor_candidates(self, trainer: L.Trainer) -> dict[str, Any]:
        # the logged "step" is a logger's x-axis, and may be that of an earlier round
        return {**super()._monitor_candidates(trainer), "step": torch.tensor(trainer.global_step)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the scores and paths of the best checkpoints, which stay in the folder of the earlier run.

        Lightning drops the scores if the folder has changed, and each run has its own folder.

        Raises:
            InputError: the saved state has wrong types.
        """
        scores, best = state_dict.get("best_k_models", {}), state_dict.get("best_model_path", "")
        if not isinstance(scores, dict) or not isinstance(best, str):
            raise InputError("the checkpoint is damaged inside: what it says of the best checkpoints is of another kind")
        if self.dirpath == state_dict.get("dirpath"):
            super().load_state_dict(state_dict)
            return
        found = {path: score for path, score in scores.items() if isinstance(score, torch.Tensor) and os.path.exists(path)}
        gone = [path for path in scores if path not in found]
        if gone:
            log_info(f"the best checkpoint so far is gone, and no longer counts: {', '.join(map(str, gone))}")
        ranked = sorted(found, key=lambda path: float(found[path]), reverse=self.mode == "max")
        if self.save_top_k >= 0:
            ranked = ranked[: self.save_top_k]
        self.best_k_models = {path: found[path] for path in ranked}
        if ranked:
            self.best_model_path, self.best_model_score = ranked[0], found[ranked[0]]
            self.kth_best_model_path, self.kth_value = ranked[-1], found[ranked[-1]]
        elif self.monitor is None:
            self.best_model_path = best  # the newest

    def _save_topk_checkpoint(self, trainer: L.Trainer, monitor_candidates: dict[str, Any]) -> None:
        super()._save_topk_checkpoint(trainer, monitor_candidates)
        if self.save_last:
            # Lightning 2.6 writes last.ckpt where this says that the step was saved, so only with a new best: a run that is
            # killed would lose everything since its best epoch
            self._last_global_step_saved = trainer.global_step

    def _save_checkpoint(self, trainer: L.Trainer, filepath: str) -> None:
        super()._save_checkpoint(trainer, filepath)
        self._saved_at, self._saved_batches = _place(trainer), _batches(trainer)

    def _format_checkpoint_name(
        self,
        filename: str | None,
        metrics: dict[str, Any],
        prefix: str | None = None,
        auto_insert_metric_name: bool = True,
    ) -> str:
        # the name of a metric may hold a slash (val/l1), which would make a folder of it
        if filename and auto_insert_metric_name:
            filename = re.sub(r"\{([^{}:]*)", lambda found: f"{found[1].replace('/', '_')}={found[0]}", filename)
        return super()._format_checkpoint_name(filename, metrics, prefix, auto_insert_metric_name=not filename)

    @staticmethod
    def _link_checkpoint(trainer: L.Trainer, filepath: str, linkpath: str) -> None:
        # Lightning's symbolic link dangles for a moment at each save, and always in a copy of last.ckpt alone
        if trainer.is_global_zero and not (os.path.exists(linkpath) and os.path.samefile(filepath, linkpath)):
            with atomic_write(Path(linkpath)) as part:
                try:
                    os.link(filepath, part)
                except OSError:  # a file system without hard links
                    shutil.copy(filepath, part)
        trainer.strategy.barrier()


def _place(trainer: L.Trainer) -> tuple[int, int]:
    """Returns the step and the number of finished epochs, which differ before and after the end of the last epoch."""
    return trainer.global_step, trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]


def _batches(trainer: L.Trainer) -> int:
    """The number of batches trained on in the whole run."""
    return trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]
