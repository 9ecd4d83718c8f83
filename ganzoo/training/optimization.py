"""Builds, steps, clips, schedules and resumes the optimizers of the players."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning.pytorch.strategies import ParallelStrategy
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.errors import InputError
from ganzoo.training.damaged_checkpoints import check_optimizers
from ganzoo.training.history import pull_to_history, update_history
from ganzoo.training.module import ResumableModule
from ganzoo.training.optimizers import Settings, check_kinds, follow_changes, match_layout, recorded, settings
from ganzoo.training.players import Player, Recipes, class_paths, trainable, without_step_order_warning
from ganzoo.training.resume import report_length, report_zero_rates
from ganzoo.training.steps import Step, total_steps
from ganzoo.utils.log import log_info
from ganzoo.utils.ranges import PositiveFloat, PositiveInt


class PlayersModule(ResumableModule):
    """A module with several players, each with its own optimizer.

    One batch is one step, however many optimizers step in it: only the first optimizer's step of a batch advances
    ``trainer.global_step``.

    Args:
        optimizers: replaces a player's optimizer and drops the paper's schedules for it: ``{player: {"class_path":
            "torch.optim.RMSprop", "init_args": {...}}}``.
        schedules: replaces a player's schedules: ``{player: [{"class_path": ..., "init_args": {...}, "interval":
            "step" or "epoch"}]}``; the default interval is "epoch".
        rates: factors above 0 on the learning rate of parts of a player's networks, by their names in ``named_parameters``:
            ``{"G_f.1": 0.1}`` for a pretrained backbone. The longest name that fits counts; other parts have 1. The ratio
            is the same with any optimizer and schedule.
        clip_norm: the largest norm of a player's whole gradient, ``{player: 1.0}``; applied after unscaling.
        historical_averaging: weight w of a player's term ``w ||theta - mean of theta after each step so far||^2``,
            ``{player: 0.01}`` (Salimans et al. 2016, section 3.3). The mean is in the checkpoint, in the optimizer's state.
        accumulate: number of small batches in one effective batch, whose loss is the mean of theirs. In simultaneous play
            this equals one large batch. In alternating play it does not for the second player: in all but the last small
            batch its gradient is computed before the first player's step.
        training: ``ema_half_life``, ``ema_ramp`` of ``ResumableModule``.

    Attributes:
        optimizer_arguments: names of constructor arguments that only ``player_optimizer`` uses. They are refused where
            ``optimizers`` replaces every player's optimizer, because nothing would use them.
        schedule_arguments: names of constructor arguments that only ``player_schedules`` uses.

    Raises:
        InputError: a name is not in ``players()``, or a number is out of range.
    """

    optimizer_arguments: tuple[str, ...] = ("lr", "beta1", "momentum")
    schedule_arguments: tuple[str, ...] = ()

    _playing: dict[str, Player]
    _optimizers_of: list[Optimizer]
    _intervals: dict[LRScheduler, str]
    _step: Step

    def __init__(
        self,
        *,
        optimizers: dict[str, dict[str, Any]] | None = None,
        schedules: dict[str, list[dict[str, Any]]] | None = None,
        rates: dict[str, PositiveFloat] | None = None,
        clip_norm: dict[str, PositiveFloat] | None = None,
        historical_averaging: dict[str, PositiveFloat] | None = None,
        accumulate: PositiveInt = 1,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        self.accumulate = accumulate
        self._recipes = Recipes(
            optimizers or {},
            schedules or {},  # type: ignore[arg-type]
            rates or {},
            clip_norm or {},
            historical_averaging or {},
        )
        self._settings: Settings | None = None  # what this run's optimizers and schedulers began with
        self._total_steps: int | None = None  # of the training, if anything has asked for it

    @abstractmethod
    def players(self) -> Mapping[str, Sequence[nn.Module]]:
        """Maps each player's name to its networks; see ``AdversarialModule``."""
        raise TypeError(f"{type(self).__name__} does not say who plays: give it a method players()")

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """Returns a player's optimizer: by default Adam at 2e-4 with beta1 = 0.5 (Radford et al. 2016, section 4)."""
        return Adam(parameters, lr=2e-4, betas=(0.5, 0.999))

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        """Returns a player's schedules, each with its interval, "step" (of this player) or "epoch": by default none."""
        return []

    # -- building -----------------------------------------------------------------------------------------------------

    def configure_optimizers(self) -> tuple[list[Optimizer], list[Any]]:
        """Builds one optimizer per player, in the players' order, and their schedules."""
        players, recipes = self.players(), self._recipes
        names = {parameter: name for name, parameter in self.named_parameters()}
        recipes.check(players, names)
        recipes.refuse_unused(list(players), self._given, self.optimizer_arguments, self.schedule_arguments)
        optimizers: dict[str, Optimizer] = {}
        built: list[tuple[str, LRScheduler]] = []
        self._intervals = {}
        for player, networks in players.items():
            optimizers[player] = recipes.optimizer(player, trainable(networks), names, self.player_optimizer)
            for scheduler, interval in recipes.schedulers(player, optimizers[player], self.player_schedules):
                self._intervals[scheduler] = interval
                built.append((player, scheduler))
        self._settings = settings(optimizers, built)
        self._check_resumed(optimizers, [scheduler.state_dict() for _, scheduler in built])
        if self._trainer is not None and self.trainer.ckpt_path:
            # a schedule that asked for the length of the training has had the loader built, which begins at the first
            # image, because the trainer learns only after this where it stands: let it be built again
            self.trainer.fit_loop._combined_loader = None
        return list(optimizers.values()), [{"scheduler": each, "name": f"lr/{player}"} for player, each in built]

    def _check_resumed(self, optimizers: Mapping[str, Optimizer], schedulers: Sequence[dict[str, Any]]) -> None:
        resumed, kinds = self._resumed, {name: type(each).__qualname__ for name, each in optimizers.items()}
        if resumed.optimizer_kinds and resumed.optimizer_kinds != kinds:
            raise InputError(
                f"the checkpoint was trained by {resumed.optimizer_kinds}, and the players have {kinds}: a resumed run "
                "keeps the optimizers that it began with"
            )
        if resumed.settings is not None:
            assert self._settings is not None
            check_kinds(resumed.settings, self._settings)
        if resumed.states is not None:
            check_optimizers(*resumed.states, list(optimizers.values()), schedulers)

    def _players(self) -> dict[str, Player]:
        """Returns the players of this fit, by name."""
        if self._optimizers_of is not self.trainer.optimizers:  # a new fit has new optimizers
            wrapped = self.optimizers()
            wrapped = wrapped if isinstance(wrapped, list) else [wrapped]
            schedulers = [config.scheduler for config in self.trainer.lr_scheduler_configs]
            self._playing = {}
            for name, optimizer in zip(self.players(), wrapped, strict=True):
                own = [each for each in schedulers if each.optimizer is optimizer.optimizer]
                self._playing[name] = Player(
                    name,
                    optimizer,
                    [parameter for group in optimizer.param_groups for parameter in group["params"]],
                    every_step=[each for each in own if self._intervals[each] == "step"],
                    every_epoch=[each for each in own if self._intervals[each] == "epoch"],
                )
            self._optimizers_of = self.trainer.optimizers
        return self._playing

    # -- stepping -----------------------------------------------------------------------------------------------------

    def _begin_step(self) -> None:
        """Reads the position of the run from the trainer, once in a batch."""
        batch = self.trainer.fit_loop.total_batch_idx
        if self._step.batch == batch:
            return
        if self._batch_seeded != batch:
            raise RuntimeError(f"on_train_batch_start of {type(self).__name__} does not call super().on_train_batch_start")
        self._step = Step.now(self.trainer, self.accumulate)

    def _optimize(self, player: Player) -> None:
        """Takes a player's optimizer step: clips, steps, drops the gradients, updates the EMA, steps the schedules."""
        # LightningOptimizer.step advances trainer.global_step, the strategy's own does not and is otherwise the same
        scale = self._scaler.get_scale() if self._scaler is not None else 1.0
        if not self._step.counted:
            self._step.counted = True
            player.optimizer.step()
        else:
            self.trainer.strategy.optimizer_step(player.optimizer.optimizer, _no_closure, model=self)
        if (self._recipes.clip_norm or self._recipes.historical_averaging) and not self._called_before_step:
            raise RuntimeError(
                f"on_before_optimizer_step of {type(self).__name__} does not call super().on_before_optimizer_step"
            )
        player.zero_grad()
        # where a loss scaler finds an overflow it takes no step and scales down. The batch is a step all the same, and the
        # schedules advance with the training; the average counts only steps that were taken, so it waits for the next
        moved = self._scaler is None or self._scaler.get_scale() >= scale
        if player.name in self._recipes.historical_averaging and moved:
            update_history(player)
        if self.ema is not None and moved:
            self.ema.update_parameters(player.name, self._networks_to_average(), {id(p) for p in player.parameters})
        with nullcontext() if moved else without_step_order_warning():
            player.step_schedules(self.current_epoch, self.trainer.is_last_batch)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Adds the pull of historical averaging and clips the gradient.

        Lightning calls this after unscaling, so 16-mixed clips the true gradient too.
        """
        self._called_before_step = True
        for name, weight in self._recipes.historical_averaging.items():
            player = self._players()[name]
            if player.optimizer.optimizer is optimizer:
                term = pull_to_history(player, weight)
                if self._step.log_now:
                    self.log(f"{name}/historical_averaging", term)
        for name, norm in self._recipes.clip_norm.items():
            player = self._players()[name]
            if player.optimizer.optimizer is optimizer:
                torch.nn.utils.clip_grad_norm_(player.parameters, norm)

    @property
    def _scaler(self) -> Any:
        return getattr(self.trainer.precision_plugin, "scaler", None)

    def _refuse_loss_scale(self, players: Sequence[Player]) -> None:
        # the first player's step may move the loss scale under gradients that the second has already
        if self._scaler is not None and len(players) > 1:
            raise InputError("several players in one turn need --trainer.precision bf16-mixed or 32-true, not 16-mixed")
        if self._scaler is not None and self.accumulate > 1 and len(self._players()) > 1:
            raise InputError("model.accumulate needs --trainer.precision bf16-mixed or 32-true, not 16-mixed")

    def _shared(self, loss: Tensor) -> Tensor:
        """Scales a small batch's loss to its share of the effective batch's loss, which is the mean of all."""
        return loss * self._step.share if self.accumulate > 1 else loss

    def _local_gradients(self) -> AbstractContextManager[None]:
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else nullcontext()

    def _count_steps(self) -> int:
        self._total_steps = total_steps(self.trainer, self.accumulate, type(self).__name__)
        return self._total_steps

    # -- a run begins, is resumed, ends -------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Drops the length of an earlier run; see ``ResumableModule.setup``."""
        super().setup(stage)
        if stage == "fit":
            self._total_steps = None

    def _forget_fit(self) -> None:
        super()._forget_fit()
        self._playing, self._optimizers_of, self._intervals = {}, [], {}
        self._step = Step()
        self._called_before_step = False
        self._rate_is_zero = False  # and that was reported

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the trainer's optimizers, so that the module can be copied and pickled, also after an error."""
        without = {"_playing": {}, "_optimizers_of": [], "_intervals": {}, "_step": Step()}
        return {**super().__getstate__(), **without}  # type: ignore[misc]

    def on_train_start(self) -> None:
        """Applies numbers that the user changed to a resumed run, and restores an open window's gradients."""
        self._step = Step()  # a trial of Lightning's tuner had a first batch too
        super().on_train_start()
        for optimizer in self.trainer.optimizers:
            match_layout(optimizer)
        self._follow_changes()
        if self._resumed.total_steps is not None:
            report_length(self._resumed.total_steps, self._count_steps())
        self._report_zero_rates()
        for name, gradient in self._resumed.gradients.items():
            parameter = self.get_parameter(name)
            parameter.grad = torch.empty_like(parameter).copy_(gradient)
        self._resumed.gradients = {}

    def on_train_epoch_start(self) -> None:
        """Logs once that a player's learning rate has reached 0."""
        self._report_zero_rates()

    def on_validation_model_zero_grad(self) -> None:
        """Zeroes the gradients before a validation, but not within an accumulation window, which still needs them."""
        if self.accumulate == 1:
            super().on_validation_model_zero_grad()

    def _report_zero_rates(self) -> None:
        if self.trainer.global_step and not self._rate_is_zero:  # at the very first step a warm-up may be at 0
            players = self._players().values()
            rates = {each.name: [float(group["lr"]) for group in each.optimizer.param_groups] for each in players}
            self._rate_is_zero = report_zero_rates(rates, self.current_epoch)

    def _follow_changes(self) -> None:
        assert self._settings is not None
        resumed = self._resumed
        before, resumed.settings = resumed.settings, None
        if before is None and resumed.changed and resumed.states is not None:
            before = recorded(resumed.states[0], self._settings)
        resumed.states = None
        if before is None:
            return
        optimizers = dict(zip(self.players(), self.trainer.optimizers, strict=True))
        schedulers = [each.scheduler for each in self.trainer.lr_scheduler_configs]
        changes = follow_changes(optimizers, schedulers, before, self._settings)  # type: ignore[arg-type]
        if changes:
            log_info(f"resumed with changed settings: {', '.join(changes)}")

    def _state_of_rank(self) -> dict[str, Any]:
        if self.accumulate == 1:
            return super()._state_of_rank()
        return {"gradients": {n: p.grad.cpu() for n, p in self.named_parameters() if p.grad is not None}}

    def _state_of_players(self) -> dict[str, Any]:
        kinds = (type(optimizer).__qualname__ for optimizer in self.trainer.optimizers)
        return {
            "accumulate": self.accumulate,
            "total_steps": self._total_steps,
            "optimizers": dict(zip(self.players(), kinds, strict=False)),
            "built": self._settings,
        }

    def _resume_players(self, checkpoint: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        trained, rates = checkpoint.get("hyper_parameters", {}), self._recipes.rates
        before, now = (class_paths(each.get("optimizers")) for each in (trained, self.hparams))
        if before != now:
            raise InputError(
                f"the checkpoint was trained with optimizers {before or 'of the paper'}, and model.optimizers says "
                f"{now or 'the paper'}: a resumed run keeps the optimizers that it began with"
            )
        if (trained.get("rates") or {}) != rates:
            raise InputError(
                f"the checkpoint was trained with rates {trained.get('rates') or {}}, and model.rates says {rates}: a "
                "resumed run keeps the rates that it began with"
            )
        resumed = self._resumed
        resumed.optimizer_kinds, resumed.settings = record.get("optimizers", {}), record.get("built")
        resumed.states = checkpoint["optimizer_states"], checkpoint.get("lr_schedulers", [])
        resumed.changed = {**trained, **self.hparams} != trained
        resumed.total_steps = record.get("total_steps")
        own, rank = record.get("own", []), self.trainer.global_rank
        if rank < len(own) and self.accumulate == record.get("accumulate"):
            resumed.gradients = own[rank]["gradients"]


def _no_closure() -> None:
    return None
