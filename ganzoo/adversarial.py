"""The grammar: players take turns, and each descends its own named terms.

A variant says who plays and what each player descends::

    class CycleGAN(AdversarialModule):
        def players(self):
            return {"generator": [self.G, self.F], "discriminator": [self.D_X, self.D_Y]}

        def training_step(self, batch, batch_idx):
            with self.turn("generator") as descend:
                descend({"gan": ..., "cycle": ...})

A turn freezes every other player, and ``descend`` takes the step: zero the gradients, back-propagate the sum of the
terms, clip, step the optimizer, step its schedules, log each term as ``<player>/<term>``. That ritual exists here and
nowhere else. Three forms of play:

=============================================  ==========================================================================
``turn("discriminator")``                      one player descends: ``descend({"gan": loss})``
``turn("discriminator", "generator")``         simultaneous play: both gradients are taken at the same point, then both
                                               step: ``descend(discriminator={...}, generator={...})``
``turn("features", "label", "domain")``        several players descend one sum together: ``descend({"label": ...})``
=============================================  ==========================================================================

One batch is one step wherever a user reads a number (``max_steps``, checkpoint triggers, ``trainer.global_step``, loggers),
however many optimizers stepped in it. With ``accumulate=n`` the batch that counts is the effective one of n small batches.
"""

import inspect
import math
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, is_dataclass
from functools import partial
from typing import Any, Self

import torch
import torch.distributed
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy, ParallelStrategy
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, LRScheduler, ReduceLROnPlateau

from ganzoo.errors import InputError
from ganzoo.interfaces import NAMES, doubt_range, field_of
from ganzoo.ops.image_pool import ImagePool
from ganzoo.training.ema import EMA
from ganzoo.training.hyperparameters import PlainHyperparameters, check_class, class_name
from ganzoo.training.optimizers import (
    Settings,
    check_kinds,
    check_optimizer,
    check_scheduler,
    follow_changes,
    recorded,
    settings,
)
from ganzoo.training.rates import check_rates, check_ratio, split_by_rate
from ganzoo.training.recipes import check_keys, find_class, instantiate
from ganzoo.training.resume import (
    check_inside,
    check_optimizers,
    check_version,
    fix_loop_state,
    format_metadata,
    report_changes,
    report_length,
    report_zero_rates,
    run_metadata,
)
from ganzoo.training.strategies import end_group_at_exit, refuse_strategy
from ganzoo.utils.log import log_info
from ganzoo.utils.ranges import NonNegativeFloat, PositiveFloat, PositiveInt
from ganzoo.utils.rng import seed_step

CHAINED = "ChainedScheduler does not count its epochs: give its schedules as a list"
Terms = Mapping[str, Tensor]
Descend = Callable[..., None]


@dataclass(slots=True)
class _Seat:
    """A player at the table: its optimizer, the parameters that it moves, its schedules."""

    name: str
    optimizer: LightningOptimizer
    parameters: list[nn.Parameter]
    every_step: list[LRScheduler]
    every_epoch: list[LRScheduler]

    def forget_gradients(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None


@dataclass(slots=True)
class _Round:
    """What must be known of the batch in hand."""

    batch: int  # batches begun before this one, over all epochs
    step: int  # steps completed before this one
    opens: bool  # first small batch of an accumulation window
    closes: bool  # last small batch of it: the optimizers step
    share: float  # of the window's loss that each of its small batches has
    shown: bool  # this round's values go to the logger and the progress bar
    ticked: bool = False  # an optimizer has stepped, and trainer.global_step with it
    played: set[str] = field(default_factory=set)  # who has descended


_NO_ROUND = _Round(batch=-1, step=0, opens=True, closes=True, share=1.0, shown=False)


@dataclass(slots=True)
class _Table:
    """Everyone's seats for one fit; ``optimizers`` tells whether they are still those of the trainer."""

    optimizers: list[Optimizer]
    seats: dict[str, _Seat] = field(default_factory=dict)


class AdversarialModule(PlainHyperparameters):
    """The base of every system in the zoo: players, turns, descend.

    To override: ``players`` and ``training_step`` (both required), ``player_optimizer`` and ``player_schedules`` (the
    paper's own), ``check_batch``, ``ema_networks``. The rest is final; Lightning's own hooks are yours, but call
    ``super()`` in them.

    Random numbers in ``training_step`` are a function of (seed, process, batch), whichever of torch's, numpy's or Python's
    they are: a resumed run draws what the straight run would have drawn.

    Args:
        optimizers: replaces a player's optimizer, and drops the paper's schedules of it: ``{player: {"class_path":
            "torch.optim.RMSprop", "init_args": {...}}}``.
        schedules: replaces a player's schedules: ``{player: [{"class_path": ..., "init_args": {...}, "interval":
            "step" or "epoch"}]}``; the interval is an epoch unless said.
        rates: factors on the learning rate of parts of a player's networks, by the names that ``named_parameters`` has for
            them: ``{"G_f.1": 0.1}`` for a pretrained backbone. The longest name that fits counts; the rest has 1. Whatever
            optimizer and schedules the player has, the ratio stays.
        clip_norm: the greatest gradient norm of a player's whole gradient, ``{player: 1.0}``; applied after unscaling.
        accumulate: small batches to one effective batch, whose loss is the mean of theirs. In simultaneous play that is
            exactly the large batch. In alternating play the second player sees the first before its step in all
            but the last small batch: its gradient is collected while the first stands still.
        ema_half_life: keep a moving average of the networks in ``ema_networks``, with this half-life in pictures; what the
            model is asked for outside of its training then comes from the average. Left out: none.
        ema_ramp: the half-life is at most this share of the pictures seen so far, 0.05 as in StyleGAN2's code.

    Attributes:
        ema_networks: names of the attributes that hold the networks to average: those whose pictures a user wants.
        ema: their averages, by the same names; None without.
        optimizer_arguments: names of the constructor's arguments that ``player_optimizer`` alone uses. Given beside
            ``optimizers`` for every player they would be recorded and not used, so that is refused.
        schedule_arguments: likewise those that ``player_schedules`` alone uses.

    Raises:
        InputError: when a player is not one of ``players()``, or a number is out of range.
    """

    ema_networks: tuple[str, ...] = ("G",)
    ema: EMA | None
    optimizer_arguments: tuple[str, ...] = ("lr", "beta1", "momentum")
    schedule_arguments: tuple[str, ...] = ()

    _table: _Table
    _round: _Round
    _intervals: dict[LRScheduler, str]
    _checked: bool

    def __init__(
        self,
        *,
        optimizers: dict[str, dict[str, Any]] | None = None,
        schedules: dict[str, list[dict[str, Any]]] | None = None,
        rates: dict[str, PositiveFloat] | None = None,
        clip_norm: dict[str, PositiveFloat] | None = None,
        accumulate: PositiveInt = 1,
        ema_half_life: PositiveFloat | None = None,
        ema_ramp: NonNegativeFloat = 0.05,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.ema = None
        self.accumulate = accumulate
        self.ema_half_life, self.ema_ramp = ema_half_life, ema_ramp
        self._optimizer_recipes = optimizers or {}
        self._schedule_recipes = schedules or {}
        self._clip_norm = clip_norm or {}
        self._rates = rates or {}
        self._in_turn = False
        self._seed: int | None = None
        self._recalled = False  # a checkpoint, by on_load_checkpoint
        self._trained_by: dict[str, str] = {}  # the kind of each player's optimizer, as a checkpoint has it
        self._built: Settings | None = None  # what this run's optimizers and schedules began with
        self._states_before: Sequence[Any] | None = None  # of optimizers, in a checkpoint that does not tell of them
        self._built_before: Settings | None = None  # and those of the run whose checkpoint it goes on from
        self._states: tuple[list[Any], list[Any]] | None = None  # of optimizers and schedules, of a checkpoint
        self._length: int | None = None  # of the training in steps, if anything has asked for it
        self._length_before: int | None = None  # as a checkpoint has it
        self._still = False  # whether it was said that a learning rate is 0
        self._gradients: dict[str, Tensor] = {}  # of a checkpoint from within an accumulation window
        self._leave_table()

    # -- what a variant says ------------------------------------------------------------------------------------------

    @abstractmethod
    def players(self) -> Mapping[str, Sequence[nn.Module]]:
        """Each player's name and the networks whose parameters it moves; every trainable parameter has one owner."""
        raise TypeError(f"{type(self).__name__} does not say who plays: give it a method players()")

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """A player's optimizer. Adam at 2e-4 with beta1 = 0.5 (Radford et al. 2016, section 4), unless overridden."""
        return Adam(parameters, lr=2e-4, betas=(0.5, 0.999))

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        """A player's schedules, each with its interval: "step" (of this player) or "epoch". None, unless overridden."""
        return []

    @classmethod
    def for_data(cls, data: Any, **arguments: Any) -> Self:
        """A model that fits the data: ``GAN.for_data(Digits())``.

        Args:
            data: a DataModule that says the ``shape`` (C, H, W) of its images, and ``classes`` if it has them.
            arguments: of the constructor; they win over what the data says.

        Raises:
            InputError: the data does not say what the model needs.
        """
        return cls(**{**cls.arguments_for(data), **arguments})

    @classmethod
    def arguments_for(cls, data: Any) -> dict[str, Any]:
        """The arguments that the data decides: its shape, channels and classes. To override, for others."""
        shape = getattr(data, "shape", None)
        if shape is None:
            raise InputError(f"{type(data).__name__} does not say the shape of its images: give the model's arguments")
        x, y = getattr(data, "shape_x", shape), getattr(data, "shape_y", shape)
        told = {"shape": tuple(shape), "inputs": x[0], "outputs": y[0], "channels_x": x[0], "channels_y": y[0]}
        taken: dict[str, Any] = {}
        for constructor in (vars(kind)["__init__"] for kind in cls.__mro__ if "__init__" in vars(kind)):
            for parameter in inspect.signature(constructor).parameters.values():
                taken.setdefault(parameter.name, parameter.default)
        if taken.get("classes") is not None:  # a model that can do without is left without
            told["classes"] = getattr(data, "classes", None)
            if told["classes"] is None:
                raise InputError(f"{cls.__name__} needs classes, and {type(data).__name__} has none")
        return {name: value for name, value in told.items() if name in taken}

    def field(self, batch: Any, name: str) -> Any:
        """A field of a batch of any kind (:func:`ganzoo.interfaces.field_of`), floats in the type of the weights.

        They differ where ``trainer.precision`` is ``bf16-true`` or ``64-true``: a batch comes in float32.
        """
        found = field_of(batch, name)
        return found.to(self.dtype) if isinstance(found, Tensor) and found.is_floating_point() else found

    def check_batch(self, batch: Any) -> None:
        """Raises InputError where data and model do not fit. Called with a run's first batch. Nothing, unless overridden."""

    def pictures(self, batch: Any) -> int:
        """How many pictures a batch has, for the average: the length of its first tensor of two dimensions or more.

        Raises:
            InputError: there is none.
        """
        found = next((len(tensor) for tensor in _tensors(batch) if tensor.dim() > 1), 0)
        if not found:
            raise InputError(
                f"ema_half_life counts pictures, and a batch of {type(batch).__name__} has none: override pictures()"
            )
        return found

    # -- the ritual ---------------------------------------------------------------------------------------------------

    @contextmanager
    def turn(self, *names: str) -> Iterator[Descend]:
        """The named players' turn: everyone else's parameters are frozen until the block ends.

        Compute what a player descends inside its turn. A forward pass that two turns share is computed before the first,
        and given to the opponent detached.

        Yields:
            ``descend``. ``descend({"term": loss, ...})`` takes the step of all named players on the sum of the terms.
            ``descend(generator={...}, discriminator={...})`` takes each player's gradient of its own terms with respect
            to its own parameters, all at the same point, and then steps them all.
        """
        if self._in_turn:
            raise RuntimeError("a turn cannot begin inside another: name both players in one turn for simultaneous play")
        seats = self._seats()
        strangers = [name for name in names if name not in seats]
        if strangers or not names:
            raise RuntimeError(f"turn({strangers}): the players are {list(seats)}")
        self._begin_round()
        playing = [seats[name] for name in names]
        for seat in playing:
            self._catch_up(seat)
        waiting = [p for seat in seats.values() if seat.name not in names for p in seat.parameters if p.requires_grad]
        for parameter in waiting:
            parameter.requires_grad_(False)
        self._in_turn = True
        try:
            yield partial(self._descend, playing)
        finally:
            self._in_turn = False
            for parameter in waiting:
                parameter.requires_grad_(True)

    def _descend(self, playing: list[_Seat], terms: Terms | None = None, /, **each: Terms) -> None:
        if (terms is None) == (not each) or (each and set(each) != {seat.name for seat in playing}):
            raise RuntimeError(
                f"in turn({', '.join(seat.name for seat in playing)}) descend takes one dictionary of terms, "
                "or one dictionary for each of these players by name"
            )
        for seat in playing:
            if self.accumulate > 1 and seat.name in self._round.played:
                raise RuntimeError(
                    f"'{seat.name}' has two turns in a batch, which accumulate={self.accumulate} cannot add up"
                )
            self._round.played.add(seat.name)
            if self._round.opens:
                seat.forget_gradients()
        if terms is not None:
            self._descend_together(playing, terms)
        else:
            self._descend_each(playing, each)
        if self._round.closes:
            for seat in playing:
                self._step(seat)

    def _descend_together(self, playing: list[_Seat], terms: Terms) -> None:
        self._refuse_loss_scale(playing)
        loss = _total(terms)
        with nullcontext() if self._round.closes else self._local_gradients():
            self.manual_backward(loss * self._round.share if self.accumulate > 1 else loss)
        self._show_terms("+".join(seat.name for seat in playing), terms, loss)

    def _descend_each(self, playing: list[_Seat], each: Mapping[str, Terms]) -> None:
        self._refuse_loss_scale(playing)
        with self._local_gradients():  # one graph, several backward passes: processes average by hand, below
            for seat in playing:
                loss = _total(each[seat.name])
                scaled = loss * self._round.share if self.accumulate > 1 else loss
                self.manual_backward(scaled, inputs=seat.parameters, retain_graph=seat is not playing[-1])
                self._show_terms(seat.name, each[seat.name], loss)
        if self._round.closes and self.trainer.world_size > 1:
            for seat in playing:
                for parameter in seat.parameters:
                    if parameter.grad is not None:
                        parameter.grad = self.trainer.strategy.reduce(parameter.grad, reduce_op="mean")

    def _refuse_loss_scale(self, playing: list[_Seat]) -> None:
        # the first player's step may move the loss scale under gradients that the second has already
        if self._scaler is not None and len(playing) > 1:
            raise InputError("several players in one turn need --trainer.precision bf16-mixed or 32-true, not 16-mixed")
        if self._scaler is not None and self.accumulate > 1 and len(self._seats()) > 1:
            raise InputError("model.accumulate needs --trainer.precision bf16-mixed or 32-true, not 16-mixed")

    @property
    def _scaler(self) -> Any:
        return getattr(self.trainer.precision_plugin, "scaler", None)

    def _step(self, seat: _Seat) -> None:
        # LightningOptimizer.step advances trainer.global_step, the strategy's own does not and is otherwise the same:
        # so the first optimizer of a batch ticks and the others do not, and one batch is one step.
        scale = self._scaler.get_scale() if self._scaler is not None else 1.0
        if not self._round.ticked:
            self._round.ticked = True
            seat.optimizer.step()
        else:
            self.trainer.strategy.optimizer_step(seat.optimizer.optimizer, _nothing, model=self)
        if self._clip_norm and not self._called_before_step:
            raise RuntimeError(
                f"on_before_optimizer_step of {type(self).__name__} does not call super().on_before_optimizer_step"
            )
        seat.forget_gradients()
        # where a loss scaler finds an overflow it takes no step and scales down. The batch is a step all the same, and the
        # schedules go on with the training; the average, which is of steps that were taken, waits for the next
        moved = self._scaler is None or self._scaler.get_scale() >= scale
        if self.ema is not None and moved:
            self.ema.update_parameters(seat.name, self._to_average(), {id(parameter) for parameter in seat.parameters})
        with nullcontext() if moved else _standing_still():
            for schedule in seat.every_step:
                schedule.step()
            if self.trainer.is_last_batch:
                # here and not at the epoch's end, so that a checkpoint of the last batch holds the next epoch's rate
                for schedule in seat.every_epoch:
                    if schedule.last_epoch == self.current_epoch:  # once, however many turns the player has in the batch
                        schedule.step()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clips. Lightning calls this after unscaling, so the bound holds for the true gradient under 16-mixed too."""
        self._called_before_step = True
        if self._clip_norm:
            for seat in self._seats().values():
                if seat.optimizer.optimizer is optimizer and seat.name in self._clip_norm:
                    torch.nn.utils.clip_grad_norm_(seat.parameters, self._clip_norm[seat.name])

    # -- rounds -------------------------------------------------------------------------------------------------------

    def every(self, k: int) -> bool:
        """Whether this batch is a k-th one, counted over the whole training: true at the k-th, the 2k-th, ... step.

        For Algorithm 1 of Goodfellow et al. 2014: k discriminator steps, each on a fresh batch, then one generator step.
        """
        self._begin_round()
        return (self._round.step + 1) % k == 0

    @property
    def total_steps(self) -> int:
        """Steps of the whole training, as ``max_epochs`` and ``max_steps`` have it.

        Raises:
            InputError: the trainer was given neither, or only a time.
        """
        trainer = self.trainer
        batches = trainer.estimated_stepping_batches  # which asks for the data, where nobody has yet
        limits = [] if trainer.max_steps == -1 else [trainer.max_steps]
        if trainer.max_epochs not in (None, -1) and trainer.num_training_batches != float("inf"):
            limits.append(math.ceil(trainer.num_training_batches / self.accumulate) * trainer.max_epochs)
        if not limits or batches == float("inf"):
            raise InputError(
                f"{type(self).__name__} follows the share of the training that is done, and this one has no known end: give "
                "trainer.max_epochs or trainer.max_steps"
            )
        self._length = max(min(limits), 1)
        return self._length

    @property
    def progress(self) -> float:
        """The share of the training that was done before this step: 0 at the first; it goes on where a run is resumed."""
        self._begin_round()
        return min(self._round.step / self.total_steps, 1.0)

    def show(
        self,
        values: Mapping[str, Tensor] | Callable[[], Mapping[str, Tensor]],
        through: Callable[[Tensor], Tensor] | None = None,
        prog_bar: bool = True,
    ) -> None:
        """Logs means; costs nothing in a round that is not shown.

        Args:
            values: tensors of any shape by name, or a function that makes them, called only in a round that is shown.
            through: applied to each before the mean (a loss's ``output``).
            prog_bar: whether they are on the progress bar too.
        """
        self._begin_round()
        if self._round.shown:
            values = values() if callable(values) else values
            means = {name: (through(value) if through else value).detach().float().mean() for name, value in values.items()}
            self._log_round(means, prog_bar=prog_bar)

    def _begin_round(self) -> None:
        loop = self.trainer.fit_loop
        if self._round.batch == loop.total_batch_idx:
            return
        if self._begun != loop.total_batch_idx:
            raise RuntimeError(f"on_train_batch_start of {type(self).__name__} does not call super().on_train_batch_start")
        small = loop.batch_idx % self.accumulate
        often = self.trainer.log_every_n_steps or float("inf")  # type: ignore[attr-defined]
        # the last window of an epoch may be a short one
        window = min(self.accumulate, self.trainer.num_training_batches - (loop.batch_idx - small))
        self._round = _Round(
            batch=loop.total_batch_idx,
            step=self.trainer.global_step,
            opens=small == 0,
            closes=small == self.accumulate - 1 or self.trainer.is_last_batch,
            share=1 / window,
            # the first batch too, so that the progress bar has something to say
            shown=loop.total_batch_idx == 0 or (loop.total_batch_idx + 1) % often == 0,
        )

    def _show_terms(self, name: str, terms: Terms, loss: Tensor) -> None:
        if self._round.shown:
            self._log_round({f"{name}/{term}": value.detach() for term, value in terms.items()})
            self._log_round({f"{name}/loss": loss.detach()}, prog_bar=True)

    def _log_round(self, values: dict[str, Tensor], prog_bar: bool = False) -> None:
        several = self.trainer.world_size > 1
        if self.accumulate > 1:
            # loggers would count the small batches; "step" is Lightning's own name for the x-axis
            self.log("step", float(self._round.step), sync_dist=several)
        self.log_dict(values, prog_bar=prog_bar, sync_dist=several)

    def setup(self, stage: str) -> None:
        """Lets processes train without the user knowing of unused parameters: in a turn only one player's are used."""
        self._leave_table()
        end_group_at_exit()
        if self.trainer.precision == "16-true":
            raise InputError(
                "trainer.precision 16-true has no loss scale, and gradients vanish in it: use 16-mixed, bf16-mixed, "
                "bf16-true or 32-true"
            )
        if stage == "fit":
            refuse_strategy(self.trainer.strategy)
            self._seed, self._trained_by, self._built_before = None, {}, None
            self._recalled = self._still = False
            self._length = self._length_before = None
            self._states = None
            if self.ema_half_life is None:
                self.ema = None
            elif self.ema is None:
                self.ema = self._new_average()
            else:
                self.ema.requires_grad_(False)
        if isinstance(self.trainer.strategy, DDPStrategy):
            self.trainer.strategy._ddp_kwargs.setdefault("find_unused_parameters", True)

    def teardown(self, stage: str) -> None:
        """Forgets the trainer's optimizers."""
        self._leave_table()

    def __getstate__(self) -> dict[str, Any]:
        """Without the trainer's optimizers, so that the module can be copied and pickled, also after an error."""
        unseated = {"_table": _Table([]), "_round": _NO_ROUND, "_intervals": {}}
        return {**super().__getstate__(), **unseated}  # type: ignore[misc]

    def on_train_start(self) -> None:
        """Agrees with the other processes on the seed, and goes on with the gradients of an open window."""
        self._checked = False
        self._round = _NO_ROUND  # a trial of Lightning's tuner had a first batch too
        if self._seed is None:
            self._seed = self.trainer.strategy.broadcast(torch.initial_seed() % 2**63)
        if self.ema is not None:
            self.ema.initialize(self._to_average())
        if self.trainer.ckpt_path and not self._recalled:
            raise RuntimeError(f"on_load_checkpoint of {type(self).__name__} does not call super().on_load_checkpoint")
        self._follow_changes()
        if self._length_before is not None:
            report_length(self._length_before, self.total_steps)
        self._watch_rates()
        for name, gradient in self._gradients.items():
            parameter = self.get_parameter(name)
            parameter.grad = gradient.to(parameter)
        self._gradients = {}

    def on_train_epoch_start(self) -> None:
        """Says once where a player's learning rate has come to 0."""
        self._watch_rates()

    def _watch_rates(self) -> None:
        if self.trainer.global_step and not self._still:  # at the very first step a warm-up may be at 0
            rates = {
                name: [float(group["lr"]) for group in seat.optimizer.param_groups] for name, seat in self._seats().items()
            }
            self._still = report_zero_rates(rates, self.current_epoch)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Starts the batch's random numbers. Checks the first batch."""
        self._check_first(batch)
        self._begun = self.trainer.fit_loop.total_batch_idx
        assert self._seed is not None
        seed_step(self._seed, self.trainer.global_rank, self._begun, self.device)
        if self.ema is not None:
            self.ema.seen += self.pictures(batch) * self.trainer.world_size

    def on_validation_model_zero_grad(self) -> None:
        """Lightning's, but not within an accumulation window, whose gradients are still wanted."""
        if self.accumulate == 1:
            super().on_validation_model_zero_grad()

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the seed, how the run was made, and what each process has of its own."""
        if self._trainer is None:  # a model that is written without having been trained
            checkpoint["ganzoo"] = {**format_metadata(), "class": class_name(type(self))}
            return
        own: dict[str, Any] = {"image_pools": {}, "gradients": {}}
        if self.accumulate > 1:
            own["gradients"] = {n: p.grad.cpu() for n, p in self.named_parameters() if p.grad is not None}
        everyone = [own]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            own["image_pools"] = {n: part.kept.cpu() for n, part in self.named_modules() if isinstance(part, ImagePool)}
            everyone = [own] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(everyone, own)
        seed = torch.initial_seed() if self._seed is None else self._seed
        checkpoint["ganzoo"] = {
            **run_metadata(self, seed),
            "class": class_name(type(self)),
            "accumulate": self.accumulate,
            "total_steps": self._length,
            "optimizers": dict(zip(self.players(), (type(o).__qualname__ for o in self.trainer.optimizers), strict=False)),
            "built": self._built,
            "own": everyone,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the seed and what this process had of its own; says what has changed.

        Raises:
            InputError: it was written by a newer ganzoo; with another kind of optimizer, whose state would mean nothing;
                within an epoch of other data.
        """
        check_inside(checkpoint, self._trainer)
        remembered = checkpoint.get("ganzoo", {})
        check_version(remembered)
        check_class(checkpoint, type(self))
        fitting = self._trainer is not None and self.trainer.state.fn == "fit"
        self._load_average(checkpoint["state_dict"], fitting)
        self._recalled = True
        if not fitting:
            return
        if "optimizer_states" not in checkpoint:
            raise InputError("the checkpoint holds weights only (save_weights_only): a run cannot go on from it")
        self._states = (checkpoint["optimizer_states"], checkpoint.get("lr_schedulers", []))
        self._length_before = remembered.get("total_steps")
        if getattr(self.trainer, "overfit_batches", 0) and remembered.get("within_epoch"):
            raise InputError("with trainer.overfit_batches a run goes on from an epoch's end only, not from within one")
        fix_loop_state(
            checkpoint.get("loops", {}),
            self.trainer,
            remembered.get("validation_due", False),
            remembered.get("validation_done", False),
        )
        trained = checkpoint.get("hyper_parameters", {})
        before, now = (_kinds(h.get("optimizers")) for h in (trained, self.hparams))
        if before != now:
            raise InputError(
                f"the checkpoint was trained with optimizers {before or 'of the paper'}, and model.optimizers says "
                f"{now or 'the paper'}: a run goes on with the optimizers that it began with"
            )
        if (trained.get("rates") or {}) != self._rates:
            raise InputError(
                f"the checkpoint was trained with rates {trained.get('rates') or {}}, and model.rates says {self._rates}: a "
                "run goes on with the rates that it began with"
            )
        self._trained_by = remembered.get("optimizers", {})
        self._built_before = remembered.get("built")
        if self._built_before is None and {**trained, **self.hparams} != trained:  # written by an older ganzoo
            self._states_before = checkpoint["optimizer_states"]
        if "seed" not in remembered:
            log_info("the checkpoint does not say how it was trained: weights and optimizers go on, noise begins anew")
            return
        self._seed = remembered["seed"]
        here = run_metadata(self, self._seed)
        for what in ("data", "processes"):
            report_changes(
                "trainer" if what == "processes" else "run",
                {what: remembered[what]},
                {what: here[what]},
                remembered["within_epoch"],
            )
        report_changes("model", {k: v for k, v in trained.items() if k[0] != "_"}, dict(self.hparams), False, order=False)
        own = remembered["own"]
        rank = self.trainer.global_rank
        if rank < len(own):
            self._gradients = own[rank]["gradients"] if self.accumulate == remembered["accumulate"] else {}
            for name, kept in own[rank]["image_pools"].items():
                checkpoint["state_dict"][f"{name}._extra_state"] = kept

    def _new_average(self) -> EMA:
        missing = [name for name in self.ema_networks if not isinstance(getattr(self, name, None), nn.Module)]
        if missing:
            raise InputError(
                f"{type(self).__name__} has no network '{missing[0]}' to average: name those that it has in `ema_networks`"
            )
        return EMA(self._to_average(), self.ema_half_life or math.inf, self.ema_ramp)

    def _to_average(self) -> dict[str, nn.Module]:
        return {name: getattr(self, name) for name in self.ema_networks}

    def _load_average(self, weights: dict[str, Any], fitting: bool) -> None:
        there = [name for name in weights if name.startswith("ema.")]
        if there and self.ema is None and not fitting:
            self.ema = self._new_average()
        elif there and self.ema is None:
            log_info("the checkpoint has averaged weights, and model.ema_half_life is not given: the run goes on without")
            for name in there:
                del weights[name]
        elif self.ema is not None and not there:
            if fitting:
                log_info("the checkpoint has no averaged weights: the average begins at the checkpoint's")
            own = [name for name in weights if name.startswith(tuple(f"{network}." for network in self.ema_networks))]
            weights.update({f"ema.{name}": weights[name] for name in own})
            weights["ema._extra_state"] = {"seen": 0, "updated": {}}

    def _leave_table(self) -> None:
        self._table, self._round, self._intervals, self._checked = _Table([]), _NO_ROUND, {}, False
        self._begun = -1
        self._called_before_step = False

    def on_validation_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Checks the first batch."""
        self._check_first(batch)

    on_test_batch_start = on_predict_batch_start = on_validation_batch_start

    def _check_first(self, batch: Any) -> None:
        if not self._checked:
            self.check_batch(batch)
            self._checked = True
            if not self.trainer.predicting:
                for name in NAMES:
                    images = field_of(batch, name)
                    if isinstance(images, Tensor) and images.ndim == 4:
                        doubt_range(images, f"the data's {name}")

    # -- seats --------------------------------------------------------------------------------------------------------

    def configure_optimizers(self) -> tuple[list[Optimizer], list[Any]]:
        """One optimizer per player, in the players' order, and their schedules."""
        players = self.players()
        self._check_players(players)
        self._refuse_unused(players)
        optimizers: list[Optimizer] = []
        schedulers: list[dict[str, Any]] = []
        names = {parameter: name for name, parameter in self.named_parameters()}
        self._intervals = {}
        built: list[tuple[str, LRScheduler]] = []
        for name, networks in players.items():
            parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
            optimizer = self._optimizer(name, parameters)
            split_by_rate(optimizer, names, self._rates)
            check_optimizer(f"the optimizer of '{name}'", optimizer)
            optimizers.append(optimizer)
            for scheduler, interval in self._schedules(name, optimizer):
                if isinstance(scheduler, ChainedScheduler):
                    raise InputError(CHAINED)
                self._intervals[scheduler] = interval
                built.append((name, scheduler))
                schedulers.append({"scheduler": scheduler, "name": f"lr/{name}"})
        kinds = {name: type(optimizer).__qualname__ for name, optimizer in zip(players, optimizers, strict=True)}
        if self._trained_by and self._trained_by != kinds:
            raise InputError(
                f"the checkpoint was trained by {self._trained_by}, and the players have {kinds}: a run goes on with the "
                "optimizers that it began with"
            )
        self._built = settings(dict(zip(players, optimizers, strict=True)), built)
        if self._built_before is not None:
            check_kinds(self._built_before, self._built)
        if self._states is not None:
            check_optimizers(*self._states, optimizers, [each["scheduler"].state_dict() for each in schedulers])
            self._states = None
        if self._trainer is not None and self.trainer.ckpt_path:
            # a schedule that asked for the length of the training has had the loader built, which begins at the first
            # picture, because the trainer learns only after this where it stands: let it be built again
            self.trainer.fit_loop._combined_loader = None
        return optimizers, schedulers

    def _optimizer(self, name: str, parameters: list[nn.Parameter]) -> Optimizer:
        if name in self._optimizer_recipes:
            return instantiate(self._optimizer_recipes[name], Optimizer, parameters)  # type: ignore[type-abstract]
        return self.player_optimizer(name, parameters)

    def _schedules(self, name: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        if name not in self._schedule_recipes:
            # the paper's schedules are of the paper's optimizer: they go with it
            return [] if name in self._optimizer_recipes else self.player_schedules(name, optimizer)
        recipes, rates = self._schedule_recipes[name], [float(group["lr"]) for group in optimizer.param_groups]
        for spec in recipes:
            check_keys(spec, "class_path", "init_args", "interval")
            if spec.get("interval", "epoch") not in ("step", "epoch"):
                raise InputError(f"a schedule's interval is step or epoch, not '{spec['interval']}'")
            kind = find_class(spec.get("class_path", ""), LRScheduler)
            if issubclass(kind, ReduceLROnPlateau):
                raise InputError("ReduceLROnPlateau waits for a metric, which a player does not have: use another schedule")
            if issubclass(kind, ChainedScheduler):
                raise InputError(CHAINED)
        parts = [{key: value for key, value in spec.items() if key != "interval"} for spec in recipes]
        intervals = [spec.get("interval", "epoch") for spec in recipes]
        built = []
        for part, when in zip(parts, intervals, strict=True):
            check_scheduler(f"schedules of '{name}'", part, optimizer)
            built.append((instantiate(part, LRScheduler, optimizer), when))
            check_ratio(optimizer, rates, part["class_path"])
        return built

    def _refuse_unused(self, players: Iterable[str]) -> None:
        """Refuses an argument that the user gave and that nothing would use, because recipes replace what does."""
        own_optimizer = [name for name in players if name not in self._optimizer_recipes]
        own_schedules = [name for name in own_optimizer if name not in self._schedule_recipes]
        for names, used_by, section in (
            (self.optimizer_arguments, own_optimizer, "optimizers"),
            (self.schedule_arguments, own_schedules, "schedules"),
        ):
            given = [name for name in names if name in self._given]
            if given and not used_by:
                name, value = given[0], self._arguments[given[0]]
                every_schedule = section == "schedules" and set(self._schedule_recipes) >= set(players)
                replacing = "schedules" if every_schedule else "optimizers"
                where = [f"--model.optimizers.{player}.init_args.{name} {value}" for player in players]
                has_it = section == "optimizers" and all(
                    name
                    in inspect.signature(find_class(self._optimizer_recipes[player]["class_path"], Optimizer)).parameters
                    for player in players
                )
                advice = f"write {' '.join(where)}" if has_it else f"set it within model.{section}"
                raise InputError(
                    f"model.{name} is {value}, and nothing uses it, because model.{replacing} replaces the paper's "
                    f"{section} of every player: {advice}, or leave model.{replacing} out"
                )

    def _follow_changes(self) -> None:
        before, self._built_before = self._built_before, None
        states, self._states_before = self._states_before, None
        assert self._built is not None
        if before is None and states is not None:
            before = recorded(states, self._built)
        if before is not None:
            optimizers = dict(zip(self.players(), self.trainer.optimizers, strict=True))
            schedulers = [each.scheduler for each in self.trainer.lr_scheduler_configs]
            changes = follow_changes(optimizers, schedulers, before, self._built)  # type: ignore[arg-type]
            if changes:
                log_info(f"goes on with other numbers: {', '.join(changes)}")

    def _check_players(self, players: Mapping[str, Sequence[nn.Module]]) -> None:
        for what, named in (
            ("optimizers", self._optimizer_recipes),
            ("schedules", self._schedule_recipes),
            ("clip_norm", self._clip_norm),
        ):
            for name in named:
                if name not in players:
                    raise InputError(f"{what} names a player '{name}': the players are {', '.join(players)}")
        owner: dict[nn.Parameter, str] = {}
        for name, networks in players.items():
            parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
            if not parameters:
                raise InputError(f"player '{name}' has no parameter to move: its networks are empty or frozen")
            for parameter in parameters:
                if owner.setdefault(parameter, name) != name:
                    raise InputError(f"'{owner[parameter]}' and '{name}' share a parameter: a parameter has one player")
        check_rates(self._rates, [name for name, parameter in self.named_parameters() if parameter in owner])
        orphans = [name for name, p in self.named_parameters() if p.requires_grad and p not in owner]
        if orphans:
            raise InputError(
                f"no player moves {orphans[0]} ({len(orphans)} such): name its network in players(), or freeze it"
            )

    def _seats(self) -> dict[str, _Seat]:
        optimizers = self.trainer.optimizers
        if self._table.optimizers is not optimizers:  # a new fit has new optimizers
            wrapped = self.optimizers()
            wrapped = wrapped if isinstance(wrapped, list) else [wrapped]
            seats = {}
            for name, optimizer in zip(self.players(), wrapped, strict=True):
                mine = [
                    c.scheduler for c in self.trainer.lr_scheduler_configs if c.scheduler.optimizer is optimizer.optimizer
                ]
                seats[name] = _Seat(
                    name,
                    optimizer,
                    [p for group in optimizer.param_groups for p in group["params"]],
                    [s for s in mine if self._intervals[s] == "step"],
                    [s for s in mine if self._intervals[s] == "epoch"],
                )
            self._table = _Table(optimizers, seats)
        return self._table.seats

    def _catch_up(self, seat: _Seat) -> None:
        """Brings epoch schedules to this epoch: a player who sat out the last batch of an epoch has missed its step."""
        for schedule in seat.every_epoch:
            while schedule.last_epoch < self.current_epoch:
                with _standing_still():
                    schedule.step()

    def _local_gradients(self) -> AbstractContextManager[None]:
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else nullcontext()


def _kinds(recipes: Mapping[str, Any] | None) -> dict[str, str]:
    return {player: each["class_path"] for player, each in (recipes or {}).items()}


def _tensors(batch: Any) -> Iterator[Tensor]:
    if isinstance(batch, Tensor):
        yield batch
    elif is_dataclass(batch):
        yield from _tensors(vars(batch))
    elif isinstance(batch, Mapping):
        yield from _tensors(list(batch.values()))
    elif isinstance(batch, list | tuple):
        for part in batch:
            yield from _tensors(part)


def _total(terms: Terms) -> Tensor:
    if not terms:
        raise RuntimeError("descend was given no term: a player descends at least one")
    first, *rest = terms.values()
    return sum(rest, first)


@contextmanager
def _standing_still() -> Iterator[None]:
    """Torch warns of a schedule that steps before its optimizer: the very case of a player that has not moved."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
        yield


def _nothing() -> None:
    return None
