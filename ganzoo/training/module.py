"""What a training run needs besides players: the first batch's check, random numbers, EMA, checkpoints, resume."""

import inspect
import math
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, Self

import torch
import torch.distributed
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn

from ganzoo.errors import InputError
from ganzoo.interfaces import NAMES, ImageData, LabelledData, TwoSidedData, field_of
from ganzoo.ops.image_pool import ImagePool
from ganzoo.training.damaged_checkpoints import check_inside
from ganzoo.training.ema import EMA
from ganzoo.training.exchange import average_in_turn
from ganzoo.training.hyperparameters import PlainHyperparameters, check_class, class_name
from ganzoo.training.resume import (
    Resumed,
    check_version,
    fix_loop_state,
    format_metadata,
    report_changes,
    run_metadata,
)
from ganzoo.training.steps import forget_logged
from ganzoo.training.strategies import end_group_at_exit, refuse_strategy
from ganzoo.utils.image_range import RangeDoubt
from ganzoo.utils.log import log_info
from ganzoo.utils.ranges import NonNegativeFloat, PositiveFloat
from ganzoo.utils.rng import seed_step


class ResumableModule(PlainHyperparameters):
    """A LightningModule whose run resumes exactly, and that can keep an EMA of its networks.

    Random numbers in ``training_step``, of torch, NumPy and Python alike, are a function of (seed, rank, batch). So a
    resumed run draws the numbers that the run without a stop would have drawn.

    Args:
        ema_half_life: half-life of the EMA weights, in images, above 0. Sampling, translation, validation and prediction
            then use the EMA weights. None: no EMA.
        ema_ramp: the half-life is at most this fraction of the images seen so far; at least 0. 0.05 as in StyleGAN2's code.

    Attributes:
        ema_networks: names of the attributes whose networks are averaged.
        ema: the averaged networks, by the same names; None without EMA.
        init_from: the trained model whose weights the training began at, as plain data; None if it began at none's.
    """

    ema_networks: tuple[str, ...] = ("G",)
    ema: EMA | None
    init_from: dict[str, Any] | None = None

    def __init__(self, *, ema_half_life: PositiveFloat | None = None, ema_ramp: NonNegativeFloat = 0.05) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.ema = None
        self.ema_half_life, self.ema_ramp = ema_half_life, ema_ramp
        self._seed: int | None = None
        self._resumed = Resumed()
        self._forget_fit()

    # -- what the data decides ----------------------------------------------------------------------------------------

    @classmethod
    def for_data(cls, data: Any, **arguments: Any) -> Self:
        """Builds a model that fits the data: ``GAN.for_data(Digits())``.

        Args:
            data: an ``ImageData``; a ``LabelledData`` if the model needs classes, a ``TwoSidedData`` for a translator whose
                x and y differ (``ganzoo.interfaces``).
            arguments: arguments of the constructor; they replace what the data says.

        Raises:
            InputError: the data does not say what the model needs.
        """
        return cls(**{**cls.arguments_for(data), **arguments})

    @classmethod
    def arguments_for(cls, data: Any) -> dict[str, Any]:
        """Returns the constructor arguments that the data decides: shape, channels, classes. Override it to add others."""
        if not isinstance(data, ImageData):
            raise InputError(f"{type(data).__name__} does not say the shape of its images: give the model's arguments")
        x, y = (data.shape_x, data.shape_y) if isinstance(data, TwoSidedData) else (data.shape, data.shape)
        known = {"shape": tuple(data.shape), "inputs": x[0], "outputs": y[0], "channels_x": x[0], "channels_y": y[0]}
        defaults: dict[str, Any] = {}
        for constructor in (vars(kind)["__init__"] for kind in cls.__mro__ if "__init__" in vars(kind)):
            for parameter in inspect.signature(constructor).parameters.values():
                defaults.setdefault(parameter.name, parameter.default)
        if defaults.get("classes") is not None:  # a model that can do without is left without
            if not isinstance(data, LabelledData) or data.classes is None:
                raise InputError(f"{cls.__name__} needs classes, and {type(data).__name__} has none")
            known["classes"] = data.classes
        return {name: value for name, value in known.items() if name in defaults}

    def field(self, batch: Any, name: str) -> Any:
        """Returns a field of a batch of any kind (:func:`ganzoo.interfaces.field_of`), floats in the dtype of the weights.

        A batch is float32; the weights are not with ``trainer.precision`` ``bf16-true`` or ``64-true``.
        """
        found = field_of(batch, name)
        return found.to(self.dtype) if isinstance(found, Tensor) and found.is_floating_point() else found

    def check_batch(self, batch: Any) -> None:
        """Override it to raise InputError if the data does not fit the model. Called with the first batch of a run."""

    def image_count(self, batch: Any) -> int:
        """Counts the images of a batch, for the EMA: the length of its first tensor of two or more dimensions.

        Raises:
            InputError: the batch has no such tensor.
        """
        found = next((len(tensor) for tensor in _tensors(batch) if tensor.dim() > 1), 0)
        if not found:
            raise InputError(
                f"ema_half_life counts images, and a batch of {type(batch).__name__} has none: override image_count()"
            )
        return found

    def begin_at(self, weights: Mapping[str, Tensor], origin: Mapping[str, Any]) -> None:
        """Loads weights at which a new training begins.

        Args:
            weights: some or all entries of the ``state_dict``.
            origin: where they are from, as plain data; checkpoints keep it as ``init_from``.
        """
        self.load_state_dict(weights, strict=False)
        self.init_from = dict(origin)

    # -- Lightning's hooks --------------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Refuses precisions and strategies that cannot train, creates the EMA, sets DDP's ``find_unused_parameters``."""
        self._forget_fit()
        end_group_at_exit()
        if self.trainer.precision == "16-true":
            raise InputError(
                "trainer.precision 16-true has no loss scale, and gradients vanish in it: use 16-mixed, bf16-mixed, "
                "bf16-true or 32-true"
            )
        if self.trainer.precision == "64-true":
            self.double()  # Lightning does so after it has loaded a checkpoint, whose weights float32 would round
        if stage == "fit":
            refuse_strategy(self.trainer.strategy)
            self._seed, self._resumed = None, Resumed()
            if self.ema_half_life is None:
                self.ema = None
            elif self.ema is None:
                self.ema = self._new_ema()
            else:
                self.ema.requires_grad_(False)
        if isinstance(self.trainer.strategy, DDPStrategy):
            self.trainer.strategy._ddp_kwargs.setdefault("find_unused_parameters", True)

    def teardown(self, stage: str) -> None:
        """Drops references to the trainer's objects."""
        self._forget_fit()

    def _forget_fit(self) -> None:
        self._checked = False  # the run's first batch
        self._doubts: dict[str, RangeDoubt] = {}  # of the fields whose range is not clear yet
        self._batch_seeded = -1  # the last batch whose random numbers were started

    def on_train_start(self) -> None:
        """Broadcasts the seed from rank 0, initializes the EMA, and has DDP average the players in turn only."""
        average_in_turn(self.trainer.strategy)
        self._checked = False
        if self._seed is None:
            self._seed = self.trainer.strategy.broadcast(torch.initial_seed() % 2**63)
        if self.ema is not None:
            self.ema.initialize(self._networks_to_average())
        if self.trainer.ckpt_path and not self._resumed.loaded:
            raise RuntimeError(f"on_load_checkpoint of {type(self).__name__} does not call super().on_load_checkpoint")

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seeds the batch's random numbers, and checks the first batch."""
        self._check_first(batch)
        forget_logged(self.trainer)
        self._batch_seeded = self.trainer.fit_loop.total_batch_idx
        assert self._seed is not None
        seed_step(self._seed, self.trainer.global_rank, self._batch_seeded, self.device)
        if self.ema is not None:
            self.ema.seen += self.image_count(batch) * self.trainer.world_size

    def on_validation_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Checks the first batch."""
        self._check_first(batch)

    on_test_batch_start = on_predict_batch_start = on_validation_batch_start

    def _check_first(self, batch: Any) -> None:
        if not self._checked:
            self.check_batch(batch)
            self._checked = True
            self._doubts = {} if self.trainer.predicting else {name: RangeDoubt(f"the data's {name}") for name in NAMES}
        for name, doubt in self._doubts.items():
            images = field_of(batch, name)
            doubt.look(images if isinstance(images, Tensor) and images.ndim == 4 else None)
        self._doubts = {name: doubt for name, doubt in self._doubts.items() if not doubt.is_settled}

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the seed, the run's metadata and each rank's own state (image pools, open gradients)."""
        if self._trainer is None:  # a model that is written without having been trained
            checkpoint["ganzoo"] = {**format_metadata(), **self._state_of_model()}
            return
        own: dict[str, Any] = {"image_pools": {}, **self._state_of_rank()}
        ranks = [own]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            own["image_pools"] = {n: part.kept.cpu() for n, part in self.named_modules() if isinstance(part, ImagePool)}
            ranks = [own] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(ranks, own)
        seed = torch.initial_seed() if self._seed is None else self._seed
        checkpoint["ganzoo"] = {
            **run_metadata(self, seed),
            **self._state_of_model(),
            **self._state_of_players(),
            "own": ranks,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores the seed and this rank's own state; logs a line for each difference from the checkpoint.

        Raises:
            InputError: a newer ganzoo wrote the checkpoint; the run has another kind of optimizer; or the checkpoint is from
                within an epoch and the data differs.
        """
        check_inside(checkpoint, self._trainer)
        record = checkpoint.get("ganzoo", {})
        check_version(record)
        check_class(checkpoint, type(self))
        fitting = self._trainer is not None and self.trainer.state.fn == "fit"
        self.init_from = record.get("init_from")
        self._load_ema(checkpoint["state_dict"], fitting)
        self._resumed.loaded = True
        if not fitting:
            return
        if "optimizer_states" not in checkpoint:
            raise InputError("the checkpoint holds weights only (save_weights_only): a run cannot be resumed from it")
        if getattr(self.trainer, "overfit_batches", 0) and record.get("within_epoch"):
            raise InputError("with trainer.overfit_batches a run can be resumed from the end of an epoch only")
        fix_loop_state(
            checkpoint.get("loops", {}),
            self.trainer,
            record.get("validation_due", False),
            record.get("validation_done", False),
        )
        self._resume_players(checkpoint, record)
        if "seed" not in record:
            log_info("the checkpoint has no record of its run: weights and optimizers are resumed, random numbers restart")
            return
        self._seed = record["seed"]
        here, within = run_metadata(self, self._seed), record["within_epoch"]
        report_changes("run", {"data": record["data"]}, {"data": here["data"]}, within)
        report_changes("trainer", {"processes": record["processes"]}, {"processes": here["processes"]}, within)
        trained = {name: value for name, value in checkpoint.get("hyper_parameters", {}).items() if name[0] != "_"}
        report_changes("model", trained, dict(self.hparams), False, order=False)
        if self.trainer.global_rank < len(record["own"]):
            for name, kept in record["own"][self.trainer.global_rank]["image_pools"].items():
                checkpoint["state_dict"][f"{name}._extra_state"] = kept

    def _state_of_model(self) -> dict[str, Any]:
        """Returns the class, arguments and networks that were trained, also those that a default or a subclass chose."""
        networks = {name: class_name(type(child)) for name, child in self.named_children() if name != "ema"}
        found = {"class": class_name(type(self)), "arguments": self.used_arguments(), "networks": networks}
        return found if self.init_from is None else {**found, "init_from": dict(self.init_from)}

    def _state_of_rank(self) -> dict[str, Any]:
        """Returns the players' state that differs between ranks, for the checkpoint."""
        return {"gradients": {}}

    def _state_of_players(self) -> dict[str, Any]:
        """Returns the players' state that all ranks share, for the checkpoint."""
        return {}

    def _resume_players(self, checkpoint: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        """Restores the players' state from the checkpoint of a resumed run."""

    # -- the moving average -------------------------------------------------------------------------------------------

    def _networks_to_average(self) -> dict[str, nn.Module]:
        return {name: getattr(self, name) for name in self.ema_networks}

    def _new_ema(self) -> EMA:
        missing = [name for name in self.ema_networks if not isinstance(getattr(self, name, None), nn.Module)]
        if missing:
            raise InputError(
                f"{type(self).__name__} has no network '{missing[0]}' to average: name those that it has in `ema_networks`"
            )
        return EMA(self._networks_to_average(), self.ema_half_life or math.inf, self.ema_ramp)

    def _load_ema(self, weights: dict[str, Any], fitting: bool) -> None:
        averaged = [name for name in weights if name.startswith("ema.")]
        if averaged and self.ema is None and not fitting:
            self.ema = self._new_ema()
        elif averaged and self.ema is None:
            log_info("the checkpoint has averaged weights, and model.ema_half_life is not given: the run continues without")
            for name in averaged:
                del weights[name]
        elif self.ema is not None and not averaged:
            if fitting:
                log_info("the checkpoint has no averaged weights: the average begins at the checkpoint's")
            own = [name for name in weights if name.startswith(tuple(f"{network}." for network in self.ema_networks))]
            weights.update({f"ema.{name}": weights[name] for name in own})
            weights["ema._extra_state"] = {"seen": 0, "updated": {}}


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
