"""Arranges what a training logs in panels."""

from typing import Any

import lightning.pytorch as L

from ganzoo.callbacks.loggers import log_panels, panels


class Dashboard(L.Callback):
    """Arranges a run's values in panels: losses of all players, each player's terms, health, metrics.

    TensorBoard shows them under Custom Scalars. ``ganzoo`` adds this callback to every training.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the panels into each logger."""
        if not trainer.is_global_zero or trainer.fast_dev_run:  # type: ignore[attr-defined]  # set behind the checker's back
            return
        players: dict[str, Any] = getattr(pl_module, "players", dict)()
        for logger in trainer.loggers:
            log_panels(logger, panels(players))
