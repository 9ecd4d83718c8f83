"""Detects vanishing gradients, oscillation, mode collapse and NaN during training."""

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzoo.errors import InputError
from ganzoo.interfaces import CascadeSampler, Sampler, eval_mode, field_of, isolated_rng
from ganzoo.metrics.health import Diagnosis, Observation, centre_and_spread, diversity, overfitting
from ganzoo.utils.log import log_info
from ganzoo.utils.ranges import Checked, PositiveInt, SampleCount, Seed

MOST_LOSSES = 256  # that wait to be checked
OF_A_CLASS = 8  # samples, where the model has classes


class Health(Checked, L.Callback):
    """Reports once if the discriminator wins, the players oscillate, the generator collapses or a value is NaN.

    It measures in the steps that the trainer logs (every ``log_every_n_steps`` batches), at most every
    ``every_n_steps``, and logs

    ===========================  ========================================================================================
    health/gradient_<player>     norm of the player's gradient, after unscaling and before clipping
    health/accuracy              the discriminator's, mean over real and generated; 1/2 if it is undecided
    health/r_t                   ``E sign D(x)`` on real images: 0 if it is undecided, towards 1 where it overfits
    health/diversity             of generated images, always from the same noise, relative to real images' diversity
    health/well                  the step if there is no sign of a failure, else 0: a monitor for checkpoints
    ===========================  ========================================================================================

    The model itself logs its discriminator's statistics (``discriminator/accuracy_real``, ``accuracy_fake``,
    ``gradient_ratio``, ``js``). What a module does not have is left out: diversity and oscillation need a ``Sampler``, a
    vanishing gradient needs players whose names begin with ``discriminator`` and ``generator``. Measurements and reports are
    saved in the checkpoint.

    The training is not changed: samples come from a separate random state, without gradients, in evaluation mode. All
    processes see the same values and decide alike.

    Args:
        every_n_steps: least number of batches between two measurements.
        patience: number of steps that a failure must last before it is reported.
        n: number of samples for the diversity.
        seed: seed of their noise.
        stop: whether to end the training, after the current step, when a failure is reported.
        stop_on_nan: whether to end it with an ``InputError`` if a loss, a gradient or a weight is not finite. On one CPU
            that is in the same step; on other devices, and with several processes, at the next measurement or
            checkpoint.

    Raises:
        InputError: a number is out of range; in training, a value is not finite.
    """

    def __init__(
        self,
        every_n_steps: PositiveInt = 50,
        patience: PositiveInt = 500,
        n: SampleCount = 64,
        seed: Seed = 0,
        stop: bool = False,
        stop_on_nan: bool = True,
    ) -> None:
        self.every_n_steps = every_n_steps
        self.patience = patience
        self.n = n
        self.seed = seed
        self.stop = stop
        self.stop_on_nan = stop_on_nan
        self._forget()

    def _forget(self) -> None:
        self.diagnosis = Diagnosis(self.patience)
        self._logged: dict[str, float] = {}
        self._logged_here = False  # in this run: a checkpoint's monitor must be there from the first batch on
        self._step = 0
        self._samples = False
        self._at_once = False
        self._players: dict[str, tuple[Optimizer, list[nn.Parameter]]] = {}
        self._wanted: set[str] = set()  # players whose gradient is to be measured at their next step
        self._norms: dict[str, tuple[int, Tensor]] = {}  # the newest, and its step
        self._losses: list[tuple[int, str, Tensor]] = []

    # -- when ---------------------------------------------------------------------------------------------------------

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Resets the state of an earlier fit; a resumed run loads its own from the checkpoint."""
        if stage == "fit":
            self._forget()

    def state_dict(self) -> dict[str, Any]:
        """Returns measurements and reports, for the checkpoint."""
        return {"diagnosis": self.diagnosis.state_dict(), "logged": dict(self._logged)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads measurements and reports from the checkpoint."""
        self.diagnosis.load_state_dict(state_dict["diagnosis"])
        self._logged = dict(state_dict["logged"])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Finds the players and what can be measured of them."""
        players = getattr(pl_module, "players", lambda: [f"optimizer_{i}" for i in range(len(trainer.optimizers))])
        for name, optimizer in zip(players(), trainer.optimizers, strict=True):
            self._players[name] = optimizer, [p for group in optimizer.param_groups for p in group["params"]]
        self._at_once = self._waits_for_nothing(trainer, pl_module)
        self._samples = isinstance(pl_module, Sampler)
        if isinstance(pl_module, CascadeSampler):
            # samples mean nothing while some levels are not trained
            levels = len(self._drawn(trainer, pl_module, lambda generator: pl_module.cascade(1, generator=generator)))
            self._samples = levels == sum(player.startswith("generator") for player in self._players)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        """Starts a measurement, if one is due."""
        self._step = trainer.global_step + 1
        if self._due(trainer):
            self._wanted = set(self._players)

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Stores the loss; on one CPU it is checked at once."""
        if not self.stop_on_nan or (self._at_once and math.isfinite(loss.item())):
            return
        playing = [name for name, (_, mine) in self._players.items() if mine[0].requires_grad]
        self._losses.append((self._step, " and ".join(playing), loss.detach()))
        if self._at_once or len(self._losses) >= MOST_LOSSES:
            self._check_losses(trainer, pl_module)

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer) -> None:
        """Measures the gradient norm of a player that is due: in this batch, or at its next step."""
        if self._wanted:
            for player, (mine, parameters) in self._players.items():
                if player in self._wanted and mine is optimizer:
                    self._wanted.discard(player)
                    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
                    self._norms[player] = self._step, torch.nn.utils.get_total_norm(gradients)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measures and checks for failures, if due."""
        if self._due(trainer):
            self._judge(trainer, pl_module, self._look(trainer, pl_module, batch))
        elif not self._logged_here and self._logged:
            self._log(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Checks the losses that were not checked yet."""
        self._check_losses(trainer, pl_module)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Prevents a checkpoint with weights that are not finite."""
        if self.stop_on_nan and trainer.state.fn == "fit":
            self._check_losses(trainer, pl_module)
            broken = self._broken()
            if broken:
                self._refuse(trainer, f"the weights of {broken} are not finite after step {trainer.global_step}")

    # -- a look -------------------------------------------------------------------------------------------------------

    def _due(self, trainer: L.Trainer) -> bool:
        # where the model shows its values, and the loggers take them
        often = trainer.log_every_n_steps  # type: ignore[attr-defined]
        batch = trainer.fit_loop.total_batch_idx
        return batch == 0 or (often and (batch + 1) % (often * math.ceil(self.every_n_steps / often)) == 0)

    def _look(self, trainer: L.Trainer, module: L.LightningModule, batch: Any) -> dict[str, Tensor]:
        shown: Mapping[str, Tensor] = trainer.callback_metrics
        found: dict[str, Tensor] = {}
        found.update({f"gradient_{player}": norm for player, (_, norm) in self._norms.items()})
        for player in self._players:
            if player.startswith("discriminator"):
                for value in ("accuracy_real", "accuracy_fake", "gradient_ratio"):
                    if f"{player}/{value}" in shown:
                        found[f"{value}{player.removeprefix('discriminator')}"] = shown[f"{player}/{value}"]
        real = field_of(batch, "x")
        if self._samples and isinstance(module, Sampler) and isinstance(real, Tensor):
            real, y, y_of_real = real[: self.n], None, None
            if module.classes is not None:
                y = torch.arange(self.n, device=real.device) % min(module.classes, max(1, self.n // OF_A_CLASS))
                y_of_real = field_of(batch, "y")[: self.n]
            samples = self._drawn(trainer, module, lambda generator: module.sample(self.n, y, generator))
            found["diversity"], found["of_real"] = diversity(samples, y), diversity(real, y_of_real)
            found["centre"], _ = centre_and_spread(samples)
            _, found["spread"] = centre_and_spread(real)
        return {name: value.detach().float() for name, value in found.items()}

    def _drawn(self, trainer: L.Trainer, module: L.LightningModule, draw: Callable[[torch.Generator], Any]) -> Any:
        precision = trainer.precision_plugin.forward_context()
        with isolated_rng(self.seed, module.device), eval_mode(module), torch.no_grad(), precision:
            return draw(torch.Generator().manual_seed(self.seed))

    def _judge(self, trainer: L.Trainer, module: L.LightningModule, found: dict[str, Tensor]) -> None:
        self._check_losses(trainer, module)
        # all at once: one wait for the device, one exchange between processes
        sizes = [value.numel() for value in found.values()]
        together = torch.cat([value.flatten().to(module.device) for value in found.values()])
        numbers = trainer.strategy.reduce(together, reduce_op="mean").split(sizes)
        values = {name: value.tolist() for name, value in zip(found, numbers, strict=True)}
        self._check_gradients(trainer, {player: values[f"gradient_{player}"][0] for player in self._norms})
        centre = values.pop("centre", [])
        centre = centre if all(math.isfinite(value) for value in centre) else []
        one = {name: value[0] for name, value in values.items() if math.isfinite(value[0])}
        seen = Observation(
            accuracy_real=_named(one, "accuracy_real"),
            accuracy_fake=_named(one, "accuracy_fake"),
            gradient_ratio=_named(one, "gradient_ratio"),
            gradient=_named(one, "gradient_generator"),
            diversity=one.get("diversity"),
            of_real=one.get("of_real"),
            centre=centre,
            spread=one.get("spread"),
        )
        step = trainer.global_step
        failures = self.diagnosis.observe(step, seen)
        accuracies = [*seen.accuracy_real.values(), *seen.accuracy_fake.values()]
        self._logged = {f"health/{name}": one[name] for p in self._norms if (name := f"gradient_{p}") in one}
        if accuracies:
            self._logged["health/accuracy"] = sum(accuracies) / len(accuracies)
            self._logged["health/r_t"] = overfitting(list(seen.accuracy_real.values()))
        if seen.diversity is not None and seen.of_real:
            self._logged["health/diversity"] = seen.diversity / seen.of_real
        self._logged["health/well"] = 0.0 if self.diagnosis.signs else float(step)
        self._log(trainer, module)
        for failure in failures:
            log_info(f"step {step}: {failure.words} (docs: Health)")
        if failures and self.stop:
            log_info(f"the training stops at step {step}, as Health's stop asks")
            trainer.should_stop = True

    def _log(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        # every process has the same numbers; synced all the same, as Lightning wants of what a checkpoint watches
        module.log_dict(self._logged, sync_dist=trainer.world_size > 1)
        self._logged_here = True

    # -- numbers that are none ----------------------------------------------------------------------------------------

    def _waits_for_nothing(self, trainer: L.Trainer, module: L.LightningModule) -> bool:
        # reading a number from another device, and agreeing with other processes, would hold up every step
        return module.device.type == "cpu" and trainer.world_size == 1

    def _check_losses(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not self._losses:
            return
        losses, self._losses = self._losses, []
        values = torch.stack([loss.float().reshape(()) for _, _, loss in losses]).tolist()
        first = next((i for i, value in enumerate(values) if not math.isfinite(value)), len(values))
        if trainer.world_size > 1:
            # the processes play the same turns, so that the places in their lists are the same
            first = int(trainer.strategy.reduce(torch.tensor(first, device=module.device), reduce_op="min"))  # type: ignore
        if first == len(values):
            return
        step, player, _ = losses[first]
        value = f"is {values[first]}" if not math.isfinite(values[first]) else "of another process is not finite"
        # a gradient that is not finite breaks its player's weights, and the opponent is the first to notice
        broken = self._broken() if self._at_once else ""
        before = f"the weights of {broken} are not finite after step {step - 1}, and " if broken else ""
        self._refuse(trainer, f"{before}the loss of {player} {value} in step {step}")

    def _check_gradients(self, trainer: L.Trainer, norms: Mapping[str, float]) -> None:
        # under a loss scaler gradients that are not finite are normal: it skips the step and scales down
        if self.stop_on_nan and getattr(trainer.precision_plugin, "scaler", None) is None:
            for player, norm in norms.items():
                if not math.isfinite(norm):
                    self._refuse(trainer, f"the gradient of {player} is {norm} in step {self._norms[player][0]}")

    def _broken(self) -> str:
        finite = {
            player: torch.stack([parameter.detach().isfinite().all() for parameter in mine]).all()
            for player, (_, mine) in self._players.items()
        }
        return " and ".join(player for player, is_finite in finite.items() if not is_finite)

    def _refuse(self, trainer: L.Trainer, what: str) -> None:
        good = _newest(trainer)
        ahead = f"the last good checkpoint is {good}" if good else "there is no checkpoint from before"
        raise InputError(
            f"{what}, and nothing can be learned from there; {ahead}. Resume from it with a lower learning rate, or with "
            "clip_norm (callback Health: stop_on_nan: false lets it run)"
        )


def _newest(trainer: L.Trainer) -> Path | None:
    paths: set[str] = set()
    for keeper in trainer.checkpoint_callbacks:
        paths |= {getattr(keeper, "best_model_path", ""), getattr(keeper, "last_model_path", "")}
        paths |= set(getattr(keeper, "best_k_models", ()))
    there = [path for path in paths if path and os.path.exists(path)]
    # last.ckpt may be a link to it: take its own name
    return max(map(Path, there), key=lambda path: (path.stat().st_mtime, path.name != "last.ckpt"), default=None)


def _named(values: Mapping[str, float], kind: str) -> dict[str, float]:
    return {name.removeprefix(kind): value for name, value in values.items() if name.startswith(kind)}
