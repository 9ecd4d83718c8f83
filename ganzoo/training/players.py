"""Builds and checks each player's optimizer and schedulers, from the paper's or from the user's recipes."""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, LRScheduler, ReduceLROnPlateau

from ganzoo.errors import InputError
from ganzoo.training.optimizers import check_optimizer, check_scheduler, fuse
from ganzoo.training.rates import check_rates, check_ratio, split_by_rate
from ganzoo.training.recipes import check_keys, find_class, instantiate

Schedules = list[tuple[LRScheduler, str]]
CHAINED = "ChainedScheduler does not count its epochs: give its schedules as a list"


@dataclass(slots=True)
class Player:
    """A player during one fit: its optimizer, the parameters that it trains, and its schedulers by interval."""

    name: str
    optimizer: LightningOptimizer
    parameters: list[nn.Parameter]
    every_step: list[LRScheduler]
    every_epoch: list[LRScheduler]

    def zero_grad(self) -> None:
        """Drops the player's gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def catch_up(self, epoch: int) -> None:
        """Steps epoch schedules up to this epoch: a player without a turn in an epoch's last batch has missed a step."""
        for schedule in self.every_epoch:
            while schedule.last_epoch < epoch:
                with without_step_order_warning():
                    schedule.step()

    def step_schedules(self, epoch: int, last_batch: bool) -> None:
        """Steps the player's schedules, after its optimizer's step.

        Args:
            epoch: the current epoch.
            last_batch: whether this is the epoch's last batch. Epoch schedules step here and not at the epoch's end, so that
                a checkpoint of the last batch holds the next epoch's rate.
        """
        for schedule in self.every_step:
            schedule.step()
        for schedule in self.every_epoch if last_batch else []:
            if schedule.last_epoch == epoch:  # once, however many turns the player has in the batch
                schedule.step()


@dataclass(slots=True)
class Recipes:
    """The user's optimizers, schedules, rates, clipping ..., by player; see ``PlayersModule`` for the arguments."""

    optimizers: dict[str, dict[str, Any]] = field(default_factory=dict)
    schedules: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    clip_norm: dict[str, float] = field(default_factory=dict)
    historical_averaging: dict[str, float] = field(default_factory=dict)

    def check(self, players: Mapping[str, Sequence[nn.Module]], names: Mapping[nn.Parameter, str]) -> None:
        """Refuses recipes for unknown players, and players that share or leave out parameters.

        Args:
            players: each player's networks.
            names: the names of all parameters of the module.

        Raises:
            InputError: an unknown player, a parameter of two players, or a trainable parameter without a player.
        """
        for what in ("optimizers", "schedules", "clip_norm", "historical_averaging"):
            for name in getattr(self, what):
                if name not in players:
                    raise InputError(f"{what} names a player '{name}': the players are {', '.join(players)}")
        owner: dict[nn.Parameter, str] = {}
        for name, networks in players.items():
            parameters = trainable(networks)
            if not parameters:
                raise InputError(f"player '{name}' has no parameter to move: its networks are empty or frozen")
            for parameter in parameters:
                if owner.setdefault(parameter, name) != name:
                    raise InputError(f"'{owner[parameter]}' and '{name}' share a parameter: each needs one player")
        check_rates(self.rates, [name for parameter, name in names.items() if parameter in owner])
        orphans = [name for p, name in names.items() if p.requires_grad and p not in owner]
        if orphans:
            raise InputError(
                f"no player moves {orphans[0]} ({len(orphans)} such): name its network in players(), or freeze it"
            )

    def optimizer(
        self,
        player: str,
        parameters: list[nn.Parameter],
        names: Mapping[nn.Parameter, str],
        paper: Callable[[str, list[nn.Parameter]], Optimizer],
    ) -> Optimizer:
        """Builds a player's optimizer from its recipe, or the paper's; applies the factors of ``rates``.

        Raises:
            InputError: the optimizer cannot train a player, or one of its numbers is out of range.
        """
        if player in self.optimizers:
            made = instantiate(self.optimizers[player], Optimizer, parameters)  # type: ignore[type-abstract]
        else:
            made = paper(player, parameters)
        split_by_rate(made, names, self.rates)
        check_optimizer(f"the optimizer of '{player}'", made)
        fuse(made)
        return made

    def schedulers(self, player: str, optimizer: Optimizer, paper: Callable[[str, Optimizer], Schedules]) -> Schedules:
        """Builds a player's schedulers, with their intervals, from its recipes, or the paper's.

        Raises:
            InputError: a scheduler cannot be used, or leaves the range of a learning rate in its first steps.
        """
        if player not in self.schedules:
            # the paper's schedules are of the paper's optimizer: they go with it
            made = [] if player in self.optimizers else paper(player, optimizer)
        else:
            made = self._from_recipes(player, optimizer)
        if any(isinstance(scheduler, ChainedScheduler) for scheduler, _ in made):
            raise InputError(CHAINED)
        return made

    def _from_recipes(self, player: str, optimizer: Optimizer) -> Schedules:
        recipes, rates = self.schedules[player], [float(group["lr"]) for group in optimizer.param_groups]
        for recipe in recipes:
            check_keys(recipe, "class_path", "init_args", "interval")
            if recipe.get("interval", "epoch") not in ("step", "epoch"):
                raise InputError(f"a schedule's interval is step or epoch, not '{recipe['interval']}'")
            kind = find_class(recipe.get("class_path", ""), LRScheduler)
            if issubclass(kind, ReduceLROnPlateau):
                raise InputError("ReduceLROnPlateau needs a metric, which a player does not have: use another schedule")
            if issubclass(kind, ChainedScheduler):
                raise InputError(CHAINED)
        made: Schedules = []
        for recipe in recipes:
            part = {key: value for key, value in recipe.items() if key != "interval"}
            check_scheduler(f"schedules of '{player}'", part, optimizer)
            made.append((instantiate(part, LRScheduler, optimizer), recipe.get("interval", "epoch")))
            check_ratio(optimizer, rates, part["class_path"])
        return made

    def refuse_unused(
        self,
        players: Sequence[str],
        given: Mapping[str, Any],
        optimizer_arguments: Sequence[str],
        schedule_arguments: Sequence[str],
    ) -> None:
        """Refuses an argument that the user gave but nothing would use, because recipes replace the paper's optimizers.

        Args:
            players: the names of all players.
            given: the constructor's arguments that differ from their defaults.
            optimizer_arguments: names of arguments that only the paper's optimizer uses.
            schedule_arguments: names of arguments that only the paper's schedules use.

        Raises:
            InputError: an argument would not be used; the message says what to write.
        """
        own_optimizer = [name for name in players if name not in self.optimizers]
        own_schedules = [name for name in own_optimizer if name not in self.schedules]
        for names, used_by, section in (
            (optimizer_arguments, own_optimizer, "optimizers"),
            (schedule_arguments, own_schedules, "schedules"),
        ):
            unused = next((name for name in names if name in given), None)
            if unused is None or used_by:
                continue
            every_schedule = section == "schedules" and set(self.schedules) >= set(players)
            replacing = "schedules" if every_schedule else "optimizers"
            where = [f"--model.optimizers.{player}.init_args.{unused} {given[unused]}" for player in players]
            has_it = section == "optimizers" and all(
                unused in inspect.signature(find_class(self.optimizers[player]["class_path"], Optimizer)).parameters
                for player in players
            )
            advice = f"write {' '.join(where)}" if has_it else f"set it within model.{section}"
            raise InputError(
                f"model.{unused} is {given[unused]}, and nothing uses it, because model.{replacing} replaces the paper's "
                f"{section} of every player: {advice}, or leave model.{replacing} out"
            )


def trainable(networks: Sequence[nn.Module]) -> list[nn.Parameter]:
    """Lists the parameters of networks that require a gradient, in order."""
    return [parameter for network in networks for parameter in network.parameters() if parameter.requires_grad]


def class_paths(recipes: Mapping[str, Any] | None) -> dict[str, str]:
    """Maps each player to the class path of its recipe."""
    return {player: each["class_path"] for player, each in (recipes or {}).items()}


@contextmanager
def without_step_order_warning() -> Iterator[None]:
    """Silences torch's warning that a scheduler steps before its optimizer, which is right for a player without a step."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
        yield
